/** A stock of items in a bucket, that orders more of what runs out. */

import { Bucket, Target, ValueError, callInfo, config, endpoint, log, method, optional } from "endpointd-guest";

import { InvalidQuantity, ItemNotFound } from "./exceptions.js";

const ITEM = "item/";
const stock = new Bucket("inventory");
const suppliers = new Target("suppliers", { version: "1.0" });

export const inventory = endpoint(
  { version: "1.1" },
  {
    /** Sets how many there are of an item, and orders more where that is too few. */
    put: method(
      { name: "string", quantity: "integer", note: optional("string", "null") },
      ({ name, quantity, note = null }, context) => {
        if (!name) throw new ValueError("a name is needed");
        if (quantity < 0) throw new InvalidQuantity(name, quantity);
        const by = typeof context.user === "string" ? context.user : null;
        const item = { name, quantity, note, by };
        const before = stock.updateJson(ITEM + name, () => item);
        stock.increment("puts");
        log.info(`${name}: ${quantity}, by request ${callInfo.id()}`);
        return { ...item, previous: before?.quantity ?? null, order: order(name, quantity) };
      },
    ),

    get: method({ name: "string" }, ({ name }) => {
      const item = stock.getJson(ITEM + name);
      if (!item) throw new ItemNotFound(name);
      return item;
    }),

    /** The names that begin with a prefix. */
    list: method({ prefix: optional("string") }, ({ prefix = "" }) => names().filter((name) => name.startsWith(prefix))),

    count: method({}, () => {
      const quantities = names().map((name) => stock.getJson(ITEM + name).quantity);
      const quantity = quantities.reduce((sum, one) => sum + one, 0);
      return { items: quantities.length, quantity, puts: stock.getJson("puts") ?? 0 };
    }),

    /** FNV-1a over every name, as often as one likes. */
    checksum: method({ rounds: optional("integer") }, ({ rounds = 1 }) => {
      const bytes = new TextEncoder().encode(names().join(""));
      let sum = 2166136261;
      for (let round = 0; round < rounds; round++) {
        for (const byte of bytes) sum = Math.imul(sum ^ byte, 16777619);
      }
      return sum >>> 0;
    }),
  },
);

function names() {
  const keys = stock.keys().filter((key) => key.startsWith(ITEM));
  return keys.map((key) => key.slice(ITEM.length));
}

/** Orders what is missing, where the operator said how much there should be. */
function order(name, quantity) {
  const missing = Number(config.get("reorder_below") ?? -Infinity) - quantity;
  return missing > 0 ? suppliers.call("order", { name, quantity: missing }) : null;
}
