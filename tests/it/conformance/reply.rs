//! Replies, failures and heartbeats, and what becomes of them where nobody waits.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::{Served, failure_of};
use crate::support::guests::bare_module_returning;
use crate::support::host::Setup;
use crate::support::peer::Peer;
use crate::support::wire::{Wire, message_of};
use crate::support::{eventually, rabbit, unique};

#[test]
fn c36_c37_a_reply_has_five_keys_and_the_callers_id() {
    let mut served = Served::start();
    // An id that is no 32 digits, and no text even, is given back as it is.
    for id in [
        json!(17),
        json!("d4f95b9ab310476e8b364f174bb40a87"),
        json!("é \"x\""),
        json!(2.5),
    ] {
        served.publish(&json!({
            "method": "echo", "args": {"value": "é"}, "_msg_id": id,
            "_reply_q": served.wire.reply_queue,
        }));
        let delivery = served.wire.next_delivery();
        assert_eq!(delivery.exchange.as_str(), "");
        assert_eq!(delivery.routing_key.as_str(), served.wire.reply_queue);
        assert_eq!(delivery.properties.expiration(), &None);
        let mut reply = message_of(&delivery.data);
        let unique_id = reply["_unique_id"].take();
        assert_eq!(unique_id.as_str().expect("text").len(), 32);
        let expected = json!({
            "result": "é", "failure": null, "ending": true, "_msg_id": id, "_unique_id": null,
        });
        assert_eq!(reply, expected);
    }
    // As it was written, not as the same value could be written too.
    for id in ["2.50", "1e2", r#""\u00e9""#] {
        let queue = &served.wire.reply_queue;
        let message = format!(r#"{{"method": "which", "_msg_id": {id}, "_reply_q": "{queue}"}}"#);
        served
            .wire
            .publish("neutron", &served.topic, message.as_bytes());
        let data = served.wire.next_delivery().data;
        let outer: Value = serde_json::from_slice(&data).expect("JSON");
        let inner = outer["oslo.message"].as_str().expect("text");
        assert!(inner.contains(&format!("\"_msg_id\": {id}, ")), "{inner}");
    }
}

/// The messages that a call gets, up to the one that ends it.
fn replies_to(served: &mut Served, message: Value) -> Vec<Value> {
    timed_replies_to(served, message).0
}

/// The same, and when each came after the call was sent.
fn timed_replies_to(served: &mut Served, mut message: Value) -> (Vec<Value>, Vec<Duration>) {
    let started = Instant::now();
    message["_msg_id"] = json!(unique("m"));
    message["_reply_q"] = json!(served.wire.reply_queue);
    served.publish(&message);
    let (mut replies, mut times) = (Vec::new(), Vec::new());
    loop {
        let reply = served.wire.next_reply();
        times.push(started.elapsed());
        assert_eq!(reply["_msg_id"], message["_msg_id"]);
        replies.push(reply);
        if replies.last().is_some_and(|reply| reply["ending"] == true) {
            return (replies, times);
        }
    }
}

#[test]
fn c41_a_call_monitor_gets_heartbeats_while_the_endpoint_runs() {
    let mut served = Served::start();
    let started = Instant::now();
    let spin = json!({"method": "spin", "args": {"ms": 5000}, "_timeout": 4});
    let (replies, times) = timed_replies_to(&mut served, spin);
    assert!(times[0] >= Duration::from_millis(1900), "{times:?}");
    assert!(
        times[1] - times[0] >= Duration::from_millis(1500),
        "{times:?}"
    );
    assert!(started.elapsed() >= Duration::from_secs(5));
    // At 2 and 4 s; a machine under load may see them later, but never one more.
    assert_eq!(replies.len(), 3, "{replies:?}");
    for (index, heartbeat) in replies[..2].iter().enumerate() {
        let mut heartbeat = heartbeat.clone();
        assert_eq!(
            heartbeat["_unique_id"].take().as_str().expect("text").len(),
            32
        );
        assert!(heartbeat["_msg_id"].take().is_string(), "{index}");
        let expected = json!({
            "result": null, "failure": null, "ending": false, "_msg_id": null, "_unique_id": null,
        });
        assert_eq!(heartbeat, expected);
    }
    assert_eq!(replies[2]["result"], 5000);
}

#[test]
fn c41_an_oslo_client_is_kept_waiting_by_heartbeats() {
    let served = Served::start();
    let mut client = Peer::start("client.py", &[&rabbit::shared().url(), "neutron"]);
    // Without them it would give up after 2 s.
    let result = client.result(json!({
        "do": "call", "topic": served.topic, "method": "spin", "args": {"ms": 5000},
        "timeout": 60, "call_monitor_timeout": 2,
    }));
    assert_eq!(result, 5000);
}

#[test]
fn c42_a_monitor_of_less_than_two_seconds_gets_none_and_texts_count() {
    let mut served = Served::start();
    for (monitor, expected) in [
        (json!(1), 0),
        (json!(0.5), 0),
        (json!(-4), 0),
        (json!("soon"), 0),
        (json!([4]), 0),
        (json!(null), 0),
        (json!("2"), 1),
        (json!(2.9), 1),
    ] {
        let spin = json!({"method": "spin", "args": {"ms": 1500}, "_timeout": monitor});
        let replies = replies_to(&mut served, spin);
        assert_eq!(replies.len(), expected + 1, "{monitor}: {replies:?}");
    }
}

#[test]
fn c43_no_heartbeat_follows_a_final_reply() {
    let mut served = Served::start();
    for message in [
        json!({"method": "which", "_timeout": 2}),
        json!({"method": "nosuch", "_timeout": 2}),
        json!({"method": "which", "version": "9.0", "_timeout": 2}),
        json!({"method": "which", "version": "rubbish", "_timeout": 2}),
    ] {
        assert_eq!(replies_to(&mut served, message).len(), 1);
    }
    assert!(served.wire.try_next(Duration::from_millis(2500)).is_none());
}

#[test]
fn c45_a_failure_is_a_text_of_json_with_six_keys() {
    let mut served = Served::start();
    let args = json!({"module": "some.module", "class": "Gone", "message": "it is \"gone\" é"});
    let reply = served.call(json!({"method": "fail", "args": args}));
    assert_eq!(reply["result"], Value::Null);
    let failure = failure_of(&reply);
    let keys = |value: &Value| {
        value
            .as_object()
            .expect("an object")
            .keys()
            .cloned()
            .collect::<Vec<_>>()
    };
    assert_eq!(
        keys(&failure),
        ["args", "class", "kwargs", "message", "module", "tb"]
    );
    assert_eq!(failure["class"], "Gone");
    assert_eq!(failure["module"], "some.module");
    assert_eq!(failure["message"], "it is \"gone\" é");
    assert_eq!(failure["args"], json!(["it is \"gone\" é"]));
    assert_eq!(failure["kwargs"], json!({"id": 7}));
    let lines = failure["tb"].as_array().expect("a list");
    assert!(lines.iter().all(Value::is_string), "{failure}");
}

#[test]
fn c46_an_oslo_client_raises_what_was_meant() {
    let served = Served::start();
    let mut client = Peer::start("client.py", &[&rabbit::shared().url(), "neutron"]);
    let mut call = |method: &str, args: Value| {
        client.ask(json!({
            "do": "call", "topic": served.topic, "method": method, "args": args, "version": "1.4",
        }))
    };
    let bad = call("bad_value", json!({}));
    assert_eq!(
        (&bad["raised"], &bad["module"]),
        (&json!("ValueError"), &json!("builtins"))
    );
    assert!(
        bad["message"]
            .as_str()
            .expect("text")
            .starts_with("bad value"),
        "{bad}"
    );
    assert_eq!(call("add", json!({"a": 1, "c": 2}))["raised"], "TypeError");
    let mut remote = |method: &str, args: Value, class: &str, value: &str| {
        let raised = call(method, args);
        assert_eq!(raised["raised"], "RemoteError", "{raised}");
        assert_eq!(raised["exc_type"], class, "{raised}");
        assert!(
            raised["value"].as_str().expect("text").starts_with(value),
            "{raised}"
        );
    };
    let unknown = "Endpoint does not support RPC method nosuch";
    remote("nosuch", json!({}), "NoSuchMethod", unknown);
    let own = json!({"module": "neutron.exceptions", "class": "AgentGone", "message": "gone"});
    remote("fail", own, "AgentGone", "gone");
    remote(
        "panic",
        json!({}),
        "PluginTrap",
        "plugin `probe`: it trapped",
    );
}

#[test]
fn c49_a_reply_queue_that_stays_away_is_given_up_and_remembered() {
    let mut served = Served::start_with("[rabbit]\nkombu_missing_consumer_retry_timeout = 2\n");
    let queue = unique("gone");
    let call = |id: &str| json!({"method": "which", "_msg_id": id, "_reply_q": queue});
    served.publish(&call("1"));
    served.is_unharmed();
    let line = served.host.logs("Dropped a reply: queue");
    assert!(
        line.contains(&queue) && line.contains("does not exist"),
        "{line}"
    );
    // From now on nothing is tried for that queue, even if it is there.
    served.wire.make_queue("", &queue);
    served.publish(&call("2"));
    served.is_unharmed();
    std::thread::sleep(Duration::from_millis(600));
    assert!(served.wire.take(&queue).is_none());
    // Others are answered.
    let other = unique("present");
    served.wire.make_queue("", &other);
    served.publish(&json!({"method": "which", "_msg_id": "3", "_reply_q": other}));
    let reply = eventually("its reply", || served.wire.take(&other));
    assert_eq!(message_of(&reply.data)["result"], "null 1.4");
}

#[test]
fn c50_a_reply_waits_for_a_queue_that_comes_back() {
    let mut served = Served::start();
    let queue = unique("late");
    served.publish(&json!({
        "method": "add", "args": {"a": 1}, "_msg_id": "1", "_reply_q": queue,
    }));
    // It is tried in vain, and nobody else has to wait meanwhile.
    served.is_unharmed();
    served.wire.make_queue("", &queue);
    let reply = eventually("its reply", || served.wire.take(&queue));
    assert_eq!(message_of(&reply.data)["result"], 2);
}

#[test]
fn c51_a_result_that_is_no_json_is_a_failure() {
    let topic = unique("unencodable");
    let url = rabbit::shared().url();
    for text in [
        "",
        "nothing",
        "1, \"failure\": null",
        "{}} {\"a\": 1",
        "NaN",
    ] {
        let wasm = bare_module_returning(text);
        let _host = Setup::new(&url).plugin("bad", &wasm, &topic, "").start();
        let mut wire = Wire::connect(rabbit::shared().port());
        let reply = wire.call("neutron", &topic, json!({"method": "run"}));
        assert_eq!(reply["result"], Value::Null, "{text}");
        assert_eq!(failure_of(&reply)["class"], "PluginInvalidReply", "{text}");
    }
}
