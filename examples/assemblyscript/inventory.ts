// A stock of items in a bucket, that orders more of what runs out.

import {
  Bucket, Call, Endpoint, Failure, Json, Outcome, Target, builtins, config, integer, log, optional, text,
} from "../../guest-sdk/assemblyscript";

export * from "../../guest-sdk/assemblyscript/exports";

const stock = new Bucket("inventory");
const suppliers = new Target("suppliers").version("1.0");

new Endpoint("1.1")
  .method("put", [text("name"), integer("quantity"), optional(text("note"))], (call) => {
    const name = call.text("name");
    const quantity = call.integer("quantity");
    if (name == "") return builtins.valueError("a name is needed");
    if (quantity < 0) return invalidQuantity(name, quantity);
    const item = Json.object()
      .set("name", name)
      .set("quantity", quantity)
      .set("note", call.get("note"))
      .set("by", call.context.get("user").text);
    const before = stock.updateJson("item/" + name, (_: Json, item: Json): Json => item, item);
    if (before.failed) return before.failure;
    const puts = stock.increment("puts");
    if (puts.failed) return puts.failure;
    log.info(`${name}: ${quantity}, by request ${call.id}`);
    const ordered = order(name, quantity);
    if (ordered.failed) return ordered.failure;
    return item.set("previous", before.value.get("quantity")).set("order", ordered.value);
  })
  .method("get", [text("name")], (call) => {
    const name = call.text("name");
    const item = stock.getJson("item/" + name);
    if (item.failed) return item.failure;
    return item.value.isNull ? itemNotFound(name) : item.value;
  })
  .method("list", [optional(text("prefix"))], (call) => {
    const all = names(call.get("prefix").textOr(""));
    return all.failed ? all.failure : Json.from(all.value);
  })
  .method("count", [], (call) => {
    const all = names();
    if (all.failed) return all.failure;
    const puts = stock.getJson("puts");
    if (puts.failed) return puts.failure;
    let quantity: i64 = 0;
    for (let i = 0; i < all.value.length; i++) {
      const item = stock.getJson("item/" + all.value[i]);
      if (item.failed) return item.failure;
      quantity += item.value.get("quantity").integerOr(0);
    }
    return Json.object()
      .set("items", all.value.length)
      .set("quantity", quantity)
      .set("puts", puts.value.integerOr(0));
  })
  // FNV-1a over every name, as often as one likes.
  .method("checksum", [optional(integer("rounds"))], (call) => {
    const all = names();
    if (all.failed) return all.failure;
    const bytes = Uint8Array.wrap(String.UTF8.encode(all.value.join("")));
    let sum: u32 = 2166136261;
    for (let round = call.get("rounds").integerOr(1); round > 0; round--) {
      for (let i = 0; i < bytes.length; i++) sum = (sum ^ bytes[i]) * 16777619;
    }
    return Json.from(sum);
  });

/** The names that begin with a prefix. */
function names(prefix: string = ""): Outcome<string[]> {
  const keys = stock.keys();
  if (keys.failed) return keys;
  const found: string[] = [];
  for (let i = 0; i < keys.value.length; i++) {
    const key = keys.value[i];
    if (key.startsWith("item/" + prefix)) found.push(key.substring("item/".length));
  }
  return Outcome.of(found);
}

/** Orders what is missing, where the operator said how much there should be. */
function order(name: string, quantity: i64): Outcome<Json> {
  const enough = config.integerOr("reorder_below", 0);
  if (enough.failed) return Outcome.failed<Json>(enough.failure);
  if (quantity >= enough.value) return Outcome.of(Json.NULL);
  return suppliers.call("order", Json.object().set("name", name).set("quantity", enough.value - quantity));
}

function invalidQuantity(name: string, quantity: i64): Failure {
  return new Failure("inventory.exceptions", "InvalidQuantity", `the quantity of ${name} cannot be ${quantity}`)
    .with("name", name)
    .with("quantity", quantity)
    .expected();
}

function itemNotFound(name: string): Failure {
  return new Failure("inventory.exceptions", "ItemNotFound", `there is no item ${name}`).with("name", name).expected();
}
