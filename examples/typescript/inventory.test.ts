import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";

import { host } from "endpointd-guest/testing";

import { ItemNotFound } from "./exceptions.ts";
import { inventory } from "./inventory.ts";

beforeEach(() => host.reset());

test("what runs out is ordered", () => {
  host.settings.reorder_below = "5";
  host.answer = ({ topic }, method, { quantity }) => `${topic} ${method} ${quantity}`;
  const put = (quantity: number) => inventory.put({ name: "nut", quantity }, { user: "Ada" });
  assert.equal(put(5).order, null);
  assert.deepEqual(put(3), {
    name: "nut",
    quantity: 3,
    note: null,
    by: "Ada",
    previous: 5,
    order: "suppliers order 2",
  });
  assert.throws(() => inventory.get({ name: "bolt" }), ItemNotFound);
});
