// What a plugin does, and what a caller sees of it.

import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";
import { Failure, Plugin, Unsent } from "../testing.mjs";

let plugin;
let answer;

beforeEach(async () => {
  answer = () => { throw new Unsent("unroutable"); };
  plugin = await Plugin.load("tests/probe.wasm", {
    config: { greeting: "Hi", number: "-12", odd: "5 apples" },
    answer: (message) => answer(message),
  });
});

function failure(method, args, options) {
  try {
    plugin.call(method, args, options);
  } catch (error) {
    if (!(error instanceof Failure)) throw error;
    return `${error.module}.${error.className}: ${error.message}`;
  }
  assert.fail(`${method} did not fail`);
}

test("every endpoint is a target", () => {
  const targets = plugin.targets.map(({ namespace, version }) => [namespace, version]);
  assert.deepEqual(targets, [[null, "1.2"], [null, "1.3"], [null, "2.0"], ["space", "1.0"]]);
  assert.deepEqual(plugin.targets[1].methods, ["version"]);
});

test("the highest version that fits and has the method answers", () => {
  assert.equal(plugin.call("version"), "1.3");
  assert.equal(plugin.call("echo", { value: 1 }, { version: "1.2" }), 1);
  assert.equal(plugin.call("version", {}, { version: "2" }), "2.0");
  assert.equal(plugin.call("version", {}, { namespace: "space" }), "space");
  const missing = (method) => `oslo_messaging.rpc.dispatcher.NoSuchMethod: Endpoint does not support RPC method ${method}`;
  assert.equal(failure("nothing"), missing("nothing"));
  assert.equal(failure("echo", { value: 1 }, { version: "1.3" }), missing("echo"));
  assert.equal(failure("version", {}, { namespace: "" }), missing("version"));
});

test("arguments are checked before a method runs", () => {
  const all = { t: "x", i: 1, f: 2, b: true };
  assert.deepEqual(plugin.call("needs", all), ["x", 1, 2.0, true]);
  const wrong = (args) => failure("needs", { ...all, ...args });
  assert.equal(failure("needs", { t: "x", i: 1, f: 2 }), "builtins.TypeError: needs() missing a required argument: 'b'");
  assert.equal(wrong({ size: 1 }), "builtins.TypeError: needs() got an unexpected keyword argument 'size'");
  assert.equal(wrong({ t: null }), "builtins.TypeError: needs() argument 't': text is needed, not null");
  assert.equal(wrong({ i: true }), "builtins.TypeError: needs() argument 'i': an integer is needed, not true");
  assert.equal(wrong({ i: "1" }), "builtins.TypeError: needs() argument 'i': an integer is needed, not text");
  assert.equal(wrong({ f: [] }), "builtins.TypeError: needs() argument 'f': a number is needed, not a list");
  assert.equal(wrong({ b: 1 }), "builtins.TypeError: needs() argument 'b': true or false is needed, not an integer");
  for (const number of ["3.0", "1e2", "9223372036854775808", "-9223372036854775809", "123456789012345678901234567890"]) {
    const text = `{"t": "x", "i": ${number}, "f": 0, "b": true}`;
    const problem = "argument 'i': an integer is needed, not a float, or an integer beyond 64 bits";
    assert.equal(failure("needs", text), `builtins.TypeError: needs() ${problem}`);
  }
  assert.deepEqual(plugin.call("kinds", {}), {});
  assert.deepEqual(plugin.call("kinds", { t: null, l: [1], o: {} }), { t: null, l: [1], o: {} });
  assert.equal(failure("kinds", { l: {} }), "builtins.TypeError: kinds() argument 'l': a list is needed, not an object");
  assert.equal(failure("kinds", { o: [] }), "builtins.TypeError: kinds() argument 'o': an object is needed, not a list");
  assert.equal(failure("needs", "{,}"), "builtins.TypeError: needs() arguments: a name in quotes is needed, at byte 1");
});

test("failures have all that a caller rebuilds them with", () => {
  assert.throws(() => plugin.call("fails"), {
    module: "some.module", className: "Odd", message: "é 漢字 😀", kwargs: { a: 1, b: [null] }, traceback: ["line 1"],
    expected: true,
  });
  assert.throws(() => plugin.call("key_error"), { className: "KeyError", message: "'k'", kwargs: {}, expected: false });
  assert.equal(failure("not_a_number"), "builtins.ValueError: the result is no JSON: NaN cannot be written");
  assert.equal(failure("too_deep"), "builtins.ValueError: the result is no JSON: it is nested deeper than 256");
});

test("what ends the instance is logged first", () => {
  assert.throws(() => plugin.call("throws"), WebAssembly.RuntimeError);
  assert.throws(() => plugin.call("undeclared"), WebAssembly.RuntimeError);
  assert.throws(() => plugin.call("value_of_a_failure"), WebAssembly.RuntimeError);
  const lines = plugin.log.map(({ level, message }) => `${level} ${message}`);
  assert.match(lines[0], /^error tests\/probe\.ts:\d+:\d+: on purpose$/);
  assert.match(lines[1], /There is no argument 'name': declare it with text\(\), or use call\.get\(\)/);
  assert.match(lines[2], /There is no value, but builtins\.ValueError: unseen/);
});

test("a call knows who asks and how", () => {
  const context = { user: "Ada", is_admin: true };
  assert.deepEqual(plugin.call("info", {}, { context, id: "é1", cast: true, remainingMs: 5 }), {
    id: "é1", cast: true, remaining: 5, started: 0, user: "Ada", admin: true, method: "info",
  });
  assert.deepEqual(plugin.call("info"), {
    id: "", cast: false, remaining: -1, started: 0, user: null, admin: false, method: "info",
  });
});

test("settings, the log, the clock and random numbers are there", () => {
  assert.deepEqual(plugin.call("settings"), plugin.config);
  assert.deepEqual(plugin.call("setting", { name: "greeting" }), ["Hi", "Hi"]);
  assert.deepEqual(plugin.call("setting", { name: "none" }), [null, "none"]);
  assert.equal(plugin.call("number", { name: "number" }), -12);
  assert.equal(plugin.call("number", { name: "none" }), 42);
  const wrong = "builtins.ValueError: setting `odd` of the plugin is wrong: `5 apples` is no plain integer";
  assert.equal(failure("number", { name: "odd" }), wrong);
  plugin.call("logs");
  assert.equal(plugin.log.map(({ level }) => level).join(), "trace,debug,info,warn,error,critical,info,error");
  assert.equal(plugin.log[2].message, "c é");
  plugin.now = 1_700_000_000_123;
  assert.equal(plugin.call("now"), 1_700_000_000_123_000_000);
  const [length, differ, fraction] = plugin.call("random");
  assert.ok(length === 5 && differ && fraction >= 0 && fraction < 1);
});

test("buckets keep what is put into them", () => {
  assert.equal(plugin.call("get", { key: "a" }), null);
  plugin.call("set", { key: "a", size: 3 });
  plugin.call("set", { key: "empty", size: 0 });
  assert.equal(plugin.call("get", { key: "a" }), 3);
  assert.equal(plugin.call("get", { key: "empty" }), 0);
  plugin.call("set_json", { key: "é", value: { x: [1.5, "漢"] } });
  assert.deepEqual(plugin.call("get_json", { key: "é" }), { x: [1.5, "漢"] });
  assert.equal(plugin.call("get_json", { key: "none" }), null);
  assert.equal(plugin.call("exists", { key: "é" }), true);
  plugin.call("delete", { key: "é" });
  assert.equal(plugin.call("exists", { key: "é" }), false);
  assert.equal(plugin.call("increment", { key: "n", by: 5 }), 5);
  assert.equal(plugin.call("increment", { key: "n", by: -7 }), -2);
  for (let i = 0; i < 8; i++) plugin.call("set", { key: `k${i}`, size: 1 });
  assert.deepEqual(plugin.call("keys"), ["a", "empty", "k0", "k1", "k2", "k3", "k4", "k5", "k6", "k7", "n"]);
});

test("a value is replaced atomically", () => {
  assert.equal(plugin.call("update", { key: "n", by: 5 }), null);
  assert.equal(plugin.call("update", { key: "n", by: 5 }), 5);
  const others = ["100", "200"];
  plugin.beforeSwap = (entries, key) => {
    if (others.length > 0) entries.set(key, new TextEncoder().encode(others.shift()));
  };
  assert.equal(plugin.call("update", { key: "n", by: 5 }), 200);
  assert.equal(plugin.call("get_json", { key: "n" }), 205);
  const wrong = "endpointd.BucketError: a value of the bucket is not as expected: ";
  assert.equal(failure("update_nan"), `${wrong}NaN cannot be written`);
  plugin.call("set", { key: "n", size: 1 });
  assert.equal(failure("update", { key: "n", by: 5 }), `${wrong}that is no value, at byte 0`);
  assert.equal(failure("get_json", { key: "n" }), `${wrong}that is no value, at byte 0`);
});

test("a bucket that fails is a failure", () => {
  plugin.call("keys");
  plugin.broken.add("things");
  const calls = {
    get: { key: "a" }, set: { key: "a", size: 1 }, get_json: { key: "a" }, set_json: { key: "a", value: 1 }, keys: {},
    delete: { key: "a" }, exists: { key: "a" }, increment: { key: "a", by: 1 }, update: { key: "a", by: 1 },
  };
  for (const [method, args] of Object.entries(calls)) {
    assert.equal(failure(method, args), "endpointd.BucketError: the bucket failed: it is broken", method);
  }
});

test("others are called", () => {
  answer = ({ args }) => ({ got: args });
  assert.deepEqual(plugin.call("call", { kind: "call", args: { x: 1 } }), { got: { x: 1 } });
  plugin.call("call", { kind: "cast", args: {} });
  plugin.call("call", { kind: "fanout", args: {} });
  const target = { exchange: "change", topic: "topic", server: "host", namespace: "space", version: "1.5" };
  const options = { target, method: "do", timeoutMs: 1500, context: { user: "Ada" } };
  assert.deepEqual(plugin.sent, [
    { kind: "call", args: { x: 1 }, ...options },
    { kind: "cast", args: {}, ...options },
    { kind: "fanout", args: {}, ...options },
  ]);
  plugin.call("call_plainly");
  assert.deepEqual(plugin.sent[3], {
    kind: "call", args: {}, method: "do", timeoutMs: null, context: null,
    target: { exchange: null, topic: "topic", server: null, namespace: null, version: null },
  });
});

test("each way that a call goes wrong is told apart", () => {
  const wrong = (error) => {
    answer = () => { throw error; };
    assert.throws(() => plugin.call("call", { kind: "cast", args: {} }), Failure);
    let seen;
    assert.throws(() => plugin.call("call", { kind: "call", args: {} }), (failure) => {
      seen = failure;
      return true;
    });
    return [`${seen.module}.${seen.className}: ${seen.message}`, seen.kwargs.cause];
  };
  assert.deepEqual(wrong(new Unsent("not-granted", "a line")), ["endpointd.ClientError: not granted: a line", 1]);
  assert.deepEqual(wrong(new Unsent("invalid", "bad")), ["endpointd.ClientError: bad", 2]);
  const timeout = "oslo_messaging.exceptions.MessagingTimeout: there was no reply in time";
  assert.deepEqual(wrong(new Unsent("timeout")), [timeout, 3]);
  const unroutable = "oslo_messaging.exceptions.MessageUndeliverable: no server listens there";
  assert.deepEqual(wrong(new Unsent("unroutable")), [unroutable, 4]);
  const unavailable = "oslo_messaging.exceptions.MessageDeliveryFailure: gone";
  assert.deepEqual(wrong(new Unsent("unavailable", "gone")), [unavailable, 5]);
  const remote = new Failure("m", "C", "é", { kwargs: { a: 1 }, traceback: ["l"], expected: true });
  assert.deepEqual(wrong(remote), ["m.C: é", 6]);
  assert.throws(() => plugin.call("call", { kind: "call", args: {} }), {
    kwargs: { a: 1, cause: 6 }, traceback: ["l"], expected: true,
  });
  assert.equal(failure("call_nan"), "endpointd.ClientError: the arguments are no JSON: NaN cannot be written");
});

test("memory does not grow", () => {
  const note = "é\n".repeat(1 << 18);
  const some = () => {
    for (let i = 0; i < 5; i++) assert.equal(plugin.call("echo", { value: note }), note);
    for (let i = 0; i < 2000; i++) {
      plugin.call("update", { key: "n", by: 1 });
      plugin.call("keys");
      plugin.call("info", {}, { context: { user: "Ada" } });
      failure("fails");
      failure("needs", {});
      plugin.targets;
    }
    return plugin.memorySize;
  };
  const size = some();
  assert.equal(some(), size);
});
