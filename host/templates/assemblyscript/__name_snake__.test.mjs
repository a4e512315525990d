import assert from "node:assert/strict";
import { test } from "node:test";
import { Plugin } from "./endpointd/testing.mjs";

test("whoever has a name is greeted", async () => {
  const plugin = await Plugin.load("{{name_snake}}.wasm", { config: { greeting: "Hi" } });
  assert.equal(plugin.call("greet", { name: "Ada" }), "Hi, Ada");
  assert.throws(() => plugin.call("greet", { name: "" }), { className: "ValueError", message: "a name is needed" });
});
