import assert from "node:assert/strict";
import { test } from "node:test";

import { callInfo, endpoint, Failure, method, optional } from "endpointd-guest";
import { host } from "endpointd-guest/testing";

const shop = endpoint(
  { version: "1.2" },
  {
    put: method(
      { name: "string", quantity: "integer", note: optional("string", "null"), size: ["number", "boolean"] },
      (args, context) => ({ ...args, by: context.user }),
    ),
    any: method({ first: "object", "...": "integer" }, (args) => args),
    even: method({ number: (value) => (value % 2 ? raise("it is odd") : value / 2) }, ({ number }) => number),
    later: method({}, async () => 1),
    nothing: method({}, () => undefined),
    broken: method({}, () => 1n),
    id: method({}, () => callInfo.id()),
  },
);
endpoint({ version: "1.3" }, { newer: method({}, () => "1.3") });
endpoint({ version: "1.1", namespace: "other" }, { id: method({}, () => "other 1.1") });
endpoint({ version: "1.4.1", namespace: "other" }, { id: method({}, () => "other 1.4") });
endpoint({ version: "2.0" }, { id: method({}, () => "2.0") });

// What the host calls; it looks at what is served by then.
const { dispatch, targets } = await import("endpointd-guest/component");

function raise(message) {
  throw new RangeError(message);
}

const whole = { name: "nut", quantity: 3, size: 1.5 };

test("arguments that fit are handed over by name", () => {
  assert.deepEqual(shop.put({ ...whole, note: null }, { user: "Ada" }), { ...whole, note: null, by: "Ada" });
  assert.deepEqual(shop.put({ ...whole, note: undefined }), { ...whole, by: undefined });
  assert.deepEqual(shop.any({ first: {}, second: 2 }), { first: {}, second: 2 });
  assert.equal(shop.even({ number: 8 }), 4);
});

test("those that do not fit are TypeErrors that say why", () => {
  const check = (name, args, message) => assert.throws(() => shop[name](args), new TypeError(message));
  check("put", { quantity: 1 }, "put() missing a required argument: 'name'");
  check("put", { ...whole, sise: 1 }, "put() got an unexpected keyword argument 'sise'");
  check("put", { ...whole, name: 5 }, "put() argument 'name': expected string, got number");
  check("put", { ...whole, name: "\ud800" }, "put() argument 'name': expected string, got a string with half a character");
  check("put", { ...whole, quantity: true }, "put() argument 'quantity': expected integer, got boolean");
  check("put", { ...whole, quantity: 1.5 }, "put() argument 'quantity': expected integer, got number");
  check("put", { ...whole, quantity: 2 ** 53 }, "put() argument 'quantity': expected integer, got an integer beyond 2^53");
  check("put", { ...whole, note: [] }, "put() argument 'note': expected string or null, got array");
  check("any", { first: null }, "any() argument 'first': expected object, got null");
  check("any", { first: {}, second: "2" }, "any() argument 'second': expected integer, got string");
  check("any", { first: {}, "...": "2" }, "any() argument '...': expected integer, got string");
  check("even", { number: 7 }, "even() argument 'number': it is odd");
  check("later", {}, "later() returned a promise: a method is not async, and a plugin does one thing at a time");
});

test("a declaration that is wrong is refused at once", () => {
  const check = (methods, message, version = "1.0") => assert.throws(() => endpoint({ version }, methods), message);
  check({}, /"1" is not a version: write major\.minor/, "1");
  check({ get: () => 1 }, /get is not a method: write get: method\(/);
  check({ get: method({ key: "text" }, () => 1) }, /get\(\): 'key' cannot be text: use string, integer/);
  check({ get: method({ key: optional() }, () => 1) }, /get\(\): 'key' cannot be undefined/);
});

function request(method, args = "{}", { namespace = null, version = "1.0" } = {}) {
  return { method, args, namespace, version, context: '{"user": "Ada"}' };
}

function failure(...asked) {
  try {
    return dispatch(request(...asked));
  } catch (thrown) {
    return thrown;
  }
}

test("the highest version that fits and has the method answers", () => {
  host.reset();
  assert.equal(targets().length, 5);
  assert.deepEqual(targets()[1], { namespace: null, version: "1.3", methods: ["newer"] });
  assert.equal(dispatch(request("id")), '"test"');
  assert.equal(dispatch(request("newer")), '"1.3"');
  assert.equal(dispatch(request("id", "{}", { version: "2.0" })), '"2.0"');
  assert.equal(dispatch(request("id", "{}", { namespace: "other" })), '"other 1.4"');
  assert.equal(dispatch(request("nothing")), "null");
  for (const asked of [{ version: "1.3" }, { namespace: "none" }, { version: "3.0" }]) {
    const { class: name, module, message } = failure("id", "{}", asked);
    assert.deepEqual([module, name], ["oslo_messaging.rpc.dispatcher", "NoSuchMethod"]);
    assert.equal(message, "Endpoint does not support RPC method id");
  }
  // Not one that every object has.
  assert.equal(failure("toString").class, "NoSuchMethod");
});

test("JSON goes in and comes out", () => {
  const args = JSON.stringify({ first: { é: "漢字🦀\u0001", "\ud800": [] }, __proto__: null });
  assert.equal(dispatch(request("any", args)), args);
  assert.equal(JSON.parse(dispatch(request("put", '{"name": "a", "name": "b", "quantity": 1, "size": 1}'))).name, "b");
  const { class: name, module, message } = failure("broken");
  assert.deepEqual([module, name], ["builtins", "ValueError"]);
  assert.match(message, /^the result is no JSON: /);
});

test("failures are Errors, with what the author gave", () => {
  class Gone extends Failure {
    static module = "shop.exceptions";
    static expected = true;
  }
  const gone = new Gone("nut is gone", { kwargs: { name: "nut" } });
  assert.ok(gone instanceof Error);
  assert.deepEqual([gone.name, gone.module, gone.expected], ["Gone", "shop.exceptions", true]);
  assert.deepEqual(gone.kwargs, { name: "nut" });
  const named = new Failure("text", { class: "Other", module: "m", expected: false, cause: gone });
  assert.deepEqual([named.name, named.module, named.expected, named.cause], ["Other", "m", false, gone]);
});
