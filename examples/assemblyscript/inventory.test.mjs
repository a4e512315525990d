import assert from "node:assert/strict";
import { test } from "node:test";
import { Plugin } from "../../guest-sdk/assemblyscript/testing.mjs";

test("what runs out is ordered", async () => {
  const answer = ({ method, args }) => `${method} ${JSON.stringify(args)}`;
  const plugin = await Plugin.load("inventory.wasm", { config: { reorder_below: "5" }, answer });
  assert.equal(plugin.call("put", { name: "nut", quantity: 5 }).order, null);
  const { previous, order } = plugin.call("put", { name: "nut", quantity: 3 });
  assert.deepEqual([previous, order], [5, 'order {"name":"nut","quantity":2}']);
  assert.throws(() => plugin.call("get", { name: "bolt" }), { className: "ItemNotFound", kwargs: { name: "bolt" } });
});
