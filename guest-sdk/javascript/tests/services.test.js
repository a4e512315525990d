import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";

import { Bucket, BucketError, callInfo, ClientError, config, Failure, log, Target } from "endpointd-guest";
import { host } from "endpointd-guest/testing";

beforeEach(() => host.reset());

test("a bucket keeps bytes, JSON and counters", () => {
  const bucket = new Bucket("shop");
  bucket.set("bytes", new Uint8Array([0, 255]));
  bucket.setJson("json", { é: "漢字🦀" });
  assert.deepEqual(bucket.get("bytes"), new Uint8Array([0, 255]));
  assert.deepEqual(new Bucket("shop").getJson("json"), { é: "漢字🦀" });
  assert.equal(bucket.get("none"), undefined);
  assert.equal(bucket.getJson("none"), undefined);
  assert.deepEqual([bucket.increment("count"), bucket.increment("count", -3), bucket.getJson("count")], [1, -2, -2]);
  assert.equal(bucket.updateJson("sum", (before = 1) => before + 1), undefined);
  assert.equal(bucket.updateJson("sum", (before) => before + 1), 2);
  bucket.delete("sum");
  bucket.delete("sum");
  assert.deepEqual([bucket.exists("sum"), bucket.exists("json")], [false, true]);
  // In the order of their bytes, not of UTF-16.
  bucket.set("\ue000", new Uint8Array());
  bucket.set("🦀", new Uint8Array());
  assert.deepEqual(bucket.keys(), ["bytes", "count", "json", "\ue000", "🦀"]);
});

test("what goes wrong with a bucket is a BucketError, but for what its caller does", () => {
  const bucket = new Bucket("shop");
  bucket.set("bytes", new Uint8Array([255]));
  const expected = (text) => (error) => error instanceof BucketError && error.message.startsWith(text);
  assert.throws(() => bucket.getJson("bytes"), expected("a value of the bucket is not as expected: "));
  assert.throws(() => bucket.updateJson("new", () => undefined), expected("a value of the bucket is not as expected: "));
  assert.throws(() => bucket.increment("bytes"), expected("the bucket failed: the value of bytes is not"));
  const own = new Error("mine");
  const change = () => {
    throw own;
  };
  assert.throws(() => bucket.updateJson("new", change), own);
  assert.throws(() => bucket.set("text", "text"), TypeError);
  assert.throws(() => bucket.increment("count", 0.5), TypeError);
  host.brokenBuckets.set("shop", "it is on fire");
  assert.throws(() => bucket.keys(), expected("the bucket failed: it is on fire"));
});

test("calls are sent and answered", () => {
  host.answer = (target, method, { name }) => `${target.topic} ${method} ${name}`;
  const suppliers = new Target("suppliers", { version: "1.0", server: "one" });
  assert.equal(suppliers.call("order", { name: "nut" }, { timeoutMs: 1500.7, context: { user: "Eve" } }), "suppliers order nut");
  suppliers.cast("forget");
  suppliers.fanout("hear", { all: true });
  const target = { topic: "suppliers", version: "1.0", server: "one" };
  const none = { timeoutMs: undefined, context: undefined };
  assert.deepEqual(host.sent, [
    { kind: "call", target, method: "order", args: { name: "nut" }, timeoutMs: 1500, context: { user: "Eve" } },
    { kind: "cast", target, method: "forget", args: {}, ...none },
    { kind: "fanout", target, method: "hear", args: { all: true }, ...none },
  ]);
});

test("each error of a call can be told, and is what Python would raise", () => {
  const remote = { class: "Gone", module: "m", message: "it is", kwargs: '{"name":"nut"}', traceback: ["t"], expected: true };
  const oslo = "oslo_messaging.exceptions";
  for (const [tag, val, module, name, message] of [
    ["not-granted", "add it", "endpointd", "ClientError", "not granted: add it"],
    ["invalid", "no topic", "endpointd", "ClientError", "no topic"],
    ["timeout", undefined, oslo, "MessagingTimeout", "there was no reply in time"],
    ["unroutable", undefined, oslo, "MessageUndeliverable", "no server listens there"],
    ["unavailable", "no broker", oslo, "MessageDeliveryFailure", "no broker"],
    ["remote", remote, "m", "Gone", "it is"],
  ]) {
    host.answer = () => {
      throw Object.assign(new Error(), { payload: { tag, val } });
    };
    assert.throws(
      () => new Target("suppliers").call("order"),
      (error) => {
        assert.ok(error instanceof ClientError && error instanceof Failure);
        assert.deepEqual([error.kind, error.module, error.name, error.message], [tag, module, name, message]);
        const isRemote = tag === "remote";
        assert.deepEqual([error.kwargs, error.traceback], isRemote ? [{ name: "nut" }, ["t"]] : [{}, undefined]);
        return error.expected === isRemote;
      },
    );
  }
  const unwritable = (error) => error.kind === "invalid";
  assert.throws(() => new Target("suppliers").call("order", { name: 1n }), unwritable);
});

test("settings, the log and the call itself", () => {
  host.settings.greeting = "Hello";
  assert.deepEqual([config.get("greeting"), config.get("none"), config.all()], ["Hello", undefined, { greeting: "Hello" }]);
  log.warn("half \ud800");
  log.info(5);
  assert.deepEqual(host.logged, [
    { level: "warn", message: "half \ufffd" },
    { level: "info", message: "5" },
  ]);
  Object.assign(host.call, { id: "abc", delivery: "cast", remainingMs: 7, hostStartedMs: 1000 });
  assert.deepEqual([callInfo.id(), callInfo.delivery(), callInfo.remainingMs()], ["abc", "cast", 7]);
  assert.deepEqual(callInfo.hostStarted(), new Date(1000));
});
