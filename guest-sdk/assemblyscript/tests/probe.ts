// A plugin that shows what the library does, for the tests.

import {
  Bucket, Call, Cause, Delivery, Endpoint, Failure, Json, Outcome, Reply, Target, any, boolean, builtins, clock, config, float,
  integer, list, log, object, optional, random, text,
} from "../index";

export * from "../exports";

const bucket = new Bucket("things");

function outcome(failure: Failure | null): Reply {
  return failure ? failure : Json.NULL;
}

function caused(failure: Failure): Reply {
  return failure.with("cause", <i32>failure.cause);
}

new Endpoint("1.2")
  .method("echo", [any("value")], (call) => call.get("value"))
  .method("kinds", [
    optional(text("t")), optional(integer("i")), optional(float("f")), optional(boolean("b")), optional(list("l")),
    optional(object("o")),
  ], (call) => call.args)
  .method("needs", [text("t"), integer("i"), float("f"), boolean("b")], (call) => {
    return Json.list().push(call.text("t")).push(call.integer("i")).push(call.float("f")).push(call.boolean("b"));
  })
  .method("undeclared", [], (call) => Json.from(call.text("name")))
  .method("made", [], () => {
    const none: string | null = null;
    const nothing: Json | null = null;
    return Json.list()
      .push(true).push(<u8>7).push(i64.MIN_VALUE).push(u64.MAX_VALUE).push(<f32>1.5).push("x").push(none).push(nothing)
      .push([1, 2]).push(["a"]).push([[0.5]]).push(Json.from(-0.0)).push(Json.object().set("a", 1).set("b", 2).set("a", 3));
  })
  .method("unreadable", [], () => {
    const json = Json.object().set("a", Json.list().push("x"));
    return Json.list().push(json.get("b").text).push(json.get("a").integerOr(5)).push(json.text).push(json.items.length)
      .push(Json.from(1).get("x").get("y")).push(Json.from("").textOr("default")).push(Json.from("3").floatOr(0.5));
  })
  .method("not_a_number", [], () => Json.list().push(NaN))
  .method("too_deep", [], () => {
    let json = Json.list();
    for (let i = 0; i < 300; i++) json = Json.list().push(json);
    return json;
  })
  .method("surrogate", [], () => Json.from(String.fromCharCode(0xd800) + "x"))
  .method("fails", [], () => {
    const failure = new Failure("some.module", "Odd", "é 漢字 😀").with("a", 1).with("b", [Json.NULL]).expected();
    failure.traceback.push("line 1");
    return failure;
  })
  .method("key_error", [], () => builtins.keyError("k"))
  .method("throws", [], () => {
    throw new Error("on purpose");
  })
  .method("beyond", [], () => Json.from([1][<i32>Math.random() + 5]))
  .method("info", [], (call) => Json.object()
    .set("id", call.id).set("cast", call.delivery == Delivery.Cast).set("remaining", call.remainingMs)
    .set("started", call.hostStartedMs).set("user", call.context.get("user").text).set("admin", call.isAdmin)
    .set("method", call.method))
  .method("settings", [], () => {
    const all = config.all();
    const json = Json.object();
    for (let i = 0, names = all.keys(); i < names.length; i++) json.set(names[i], all.get(names[i]));
    return json;
  })
  .method("setting", [text("name")], (call) => Json.list()
    .push(config.get(call.text("name"))).push(config.getOr(call.text("name"), "none")))
  .method("number", [text("name")], (call) => {
    const number = config.integerOr(call.text("name"), 42);
    return number.failed ? number.failure : Json.from(number.value);
  })
  .method("logs", [], () => {
    log.trace("a");
    log.debug("b");
    log.info("c é");
    log.warn("d");
    log.error("e");
    log.critical("f");
    console.log("g");
    console.error("h");
    return Json.NULL;
  })
  .method("now", [], () => Json.from(clock.now()))
  .method("random", [], () => Json.list().push(random.bytes(5).length).push(random.bits() != random.bits()).push(Math.random()))
  .method("get", [text("key")], (call) => {
    const value = bucket.get(call.text("key"));
    if (value.failed) return caused(value.failure);
    const bytes = value.value;
    return bytes ? Json.from(bytes.length) : Json.NULL;
  })
  .method("set", [text("key"), integer("size")], (call) => {
    return outcome(bucket.set(call.text("key"), new Uint8Array(<i32>call.integer("size") + 2).subarray(2)));
  })
  .method("get_json", [text("key")], (call) => {
    const value = bucket.getJson(call.text("key"));
    return value.failed ? caused(value.failure) : value.value;
  })
  .method("set_json", [text("key"), any("value")], (call) => outcome(bucket.setJson(call.text("key"), call.get("value"))))
  .method("set_nan", [], () => outcome(bucket.setJson("nan", NaN)))
  .method("delete", [text("key")], (call) => outcome(bucket.delete(call.text("key"))))
  .method("exists", [text("key")], (call) => {
    const exists = bucket.exists(call.text("key"));
    return exists.failed ? exists.failure : Json.from(exists.value);
  })
  .method("keys", [], () => {
    const keys = bucket.keys();
    return keys.failed ? keys.failure : Json.from(keys.value);
  })
  .method("increment", [text("key"), integer("by")], (call) => {
    const sum = bucket.increment(call.text("key"), call.integer("by"));
    return sum.failed ? sum.failure : Json.from(sum.value);
  })
  .method("update", [text("key"), integer("by")], (call) => {
    const add = (current: Json, by: i64): Json => Json.from(current.integerOr(0) + by);
    const before = bucket.updateJson(call.text("key"), add, call.integer("by"));
    return before.failed ? before.failure : before.value;
  })
  .method("update_nan", [], () => {
    const before = bucket.updateJson("nan", (_: Json, state: f64): Json => Json.from(state), NaN);
    return before.failed ? before.failure : before.value;
  })
  .method("call", [text("kind"), optional(any("args"))], (call) => {
    const target = new Target("topic").version("1.5").namespace("space").server("host").exchange("change")
      .timeout(1500).context(Json.object().set("user", "Ada"));
    if (call.text("kind") == "cast") return outcome(target.cast("do", call.get("args")));
    if (call.text("kind") == "fanout") return outcome(target.fanout("do", call.get("args")));
    const result = target.call("do", call.get("args"));
    return result.failed ? caused(result.failure) : result.value;
  })
  .method("call_plainly", [], () => {
    const result = new Target("topic").call("do");
    return result.failed ? result.failure : result.value;
  })
  .method("call_nan", [], () => {
    const result = new Target("topic").call("do", Json.object().set("x", NaN));
    return result.failed ? caused(result.failure) : result.value;
  })
  .method("value_of_a_failure", [], () => {
    const failed: Outcome<Json> = Outcome.failed<Json>(builtins.valueError("unseen"));
    return failed.value;
  })
  .method("version", [], () => Json.from("1.2"));

new Endpoint("1.3").method("version", [], () => Json.from("1.3"));
new Endpoint("2.0").method("version", [], () => Json.from("2.0"));
new Endpoint("1.0", "space").method("version", [], (call: Call): Reply => Json.from("space"));
