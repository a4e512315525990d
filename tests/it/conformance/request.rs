//! What of a request reaches the endpoint, and which requests want no reply.

use std::time::Duration;

use serde_json::{Value, json};

use super::Served;

#[test]
fn c31_a_message_id_that_is_nothing_gets_no_reply() {
    let mut served = Served::start();
    for id in [Some(json!(null)), Some(json!("")), None] {
        let mut cast = json!({
            "method": "add", "args": {"a": 1}, "_reply_q": served.wire.reply_queue,
        });
        if let Some(id) = id {
            cast["_msg_id"] = id;
        }
        served.publish(&cast);
    }
    // Nor one that has nowhere to go.
    served.publish(&json!({"method": "add", "args": {"a": 1}, "_msg_id": "1"}));
    assert!(served.wire.try_next(Duration::from_millis(500)).is_none());
    served.is_unharmed();
    assert!(!served.host.log().contains("WARN"), "{}", served.host.log());
}

#[test]
fn c32_unknown_keys_are_ignored_and_missing_arguments_are_none() {
    let mut served = Served::start();
    let reply = served.call(json!({"method": "which", "unknown": [1], "options": {}}));
    assert_eq!(reply["result"], "null 1.4");
    let reply = served.call(json!({"method": "everything"}));
    assert_eq!(reply["result"], json!({}));
}

#[test]
fn c33_the_context_has_every_entry_but_the_transports() {
    let mut served = Served::start();
    let reply = served.call(json!({
        "method": "context", "_context_user": "u", "_context_roles": ["a", "é"],
        "_context_nothing": null, "_context_": 0, "_context__context_x": 1,
        "_context_msg_id": 1, "_context_reply_q": 2, "context_other": 3,
    }));
    let expected =
        json!({"user": "u", "roles": ["a", "é"], "nothing": null, "": 0, "_context_x": 1});
    assert_eq!(reply["result"], expected);
}

#[test]
fn c35_a_request_without_a_sound_traceparent_is_served_all_the_same() {
    let mut served = Served::start();
    let odd: [Value; 7] = [
        json!(null),
        json!(""),
        json!("nonsense"),
        json!(17),
        json!({"version": "00"}),
        json!("00-00000000000000000000000000000000-0000000000000000-01"),
        json!("00-ec0aedad4a2e3799a96cb95934d69eb6-cc79b80de5bfd123-03"),
    ];
    for traceparent in odd {
        let message = json!({"method": "context", "_context_traceparent": traceparent});
        assert_eq!(served.call(message)["result"]["traceparent"], traceparent);
    }
    assert_eq!(
        served.call(json!({"method": "context"}))["result"],
        json!({})
    );
}
