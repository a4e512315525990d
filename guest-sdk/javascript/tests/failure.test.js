import assert from "node:assert/strict";
import { test } from "node:test";

import { Failure, KeyError, ValueError } from "endpointd-guest";

import { describe } from "../src/failure.js";

function check(thrown, module, name, message) {
  const told = describe(thrown);
  assert.deepEqual([told.module, told.class, told.message], [module, name, message]);
  assert.equal(told.traceback[0], `${name}: ${message}`);
  return told;
}

test("whatever is thrown has a class and a module", () => {
  class Odd extends Error {}
  check(new TypeError("t"), "builtins", "TypeError", "t");
  check(new RangeError("r"), "javascript", "RangeError", "r");
  check(new Odd("o"), "javascript", "Odd", "o");
  check(Object.assign(new Error("n"), { name: "NotFoundError" }), "javascript", "NotFoundError", "n");
  check(new ValueError("v"), "builtins", "ValueError", "v");
  check(new KeyError("k"), "builtins", "KeyError", "'k'");
  check("text", "javascript", "Error", "text");
  check(undefined, "javascript", "Error", "undefined");
  check(Symbol("s"), "javascript", "Error", "Symbol(s)");
  check({ code: 5 }, "javascript", "Error", '{"code":5}');
  check({ message: "m" }, "javascript", "Error", "m");
});

test("what cannot cross is replaced or left out", () => {
  assert.equal(describe(new Error("a\ud800b")).message, "a\ufffdb");
  assert.equal(describe(new Failure("f", { kwargs: { big: 1n } })).kwargs, null);
  assert.equal(describe(new Failure("f")).kwargs, null);
  assert.equal(describe(new Failure("f", { kwargs: { name: "nut" } })).kwargs, '{"name":"nut"}');
});

test("a traceback has the lines of the author's sources", () => {
  globalThis.endpointdSources = [0, "shop.js:7"];
  const stack = "    at put (bundle:2:9)\n    at <eval> (bundle:1:3)\n    at map (native)\n    at bundle:2:1\n";
  const { traceback } = describe(Object.assign(new Error("e"), { stack }));
  assert.deepEqual(traceback, ["Error: e", "    at put (shop.js:7)", "    at <anonymous> (shop.js:7)"]);
  delete globalThis.endpointdSources;
  assert.deepEqual(describe(new Failure("f", { traceback: ["line"] })).traceback, ["line"]);
});
