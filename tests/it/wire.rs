//! Messages as bytes: what is rejected, what is served, and what exactly comes back.

use std::time::Duration;

use lapin::BasicProperties;
use serde_json::{Value, json};

use crate::support::host::{Host, Setup};
use crate::support::wire::{Wire, envelope, message_of};
use crate::support::{rabbit, unique};

struct Served {
    host: Host,
    topic: String,
    wire: Wire,
}

impl Served {
    fn start() -> Self {
        let topic = unique("wire");
        let rabbit = rabbit::shared();
        Self {
            host: Setup::new(&rabbit.url()).probe(&topic).start(),
            wire: Wire::connect(rabbit.port()),
            topic,
        }
    }

    #[track_caller]
    fn call(&mut self, message: Value) -> Value {
        self.wire.call("neutron", &self.topic, message)
    }

    #[track_caller]
    fn failure(&mut self, message: Value) -> (String, String) {
        let reply = self.call(message);
        assert_eq!(reply["result"], Value::Null);
        // The failure is JSON within JSON within JSON.
        let failure = reply["failure"].as_str().expect("text");
        let failure: Value = serde_json::from_str(failure).expect("JSON");
        let text = |key: &str| failure[key].as_str().expect("text").to_owned();
        (text("class"), text("message"))
    }

    /// That the host goes on serving, and that nothing was left in its queue or put back.
    #[track_caller]
    fn is_unharmed(&mut self) {
        let reply = self.call(json!({"method": "add", "args": {"a": 1}}));
        assert_eq!(reply["result"], 2);
        let queues = rabbit::shared().list(&["list_queues", "name", "messages"]);
        let queue = queues.iter().find(|queue| queue["name"] == *self.topic);
        assert_eq!(queue.expect("the queue")["messages"], 0);
    }
}

#[test]
fn what_upstream_rejects_is_rejected_and_the_next_message_served() {
    let mut served = Served::start();
    let inner = r#"{\"method\": \"add\", \"args\": {\"a\": 1}}"#;
    let mut bodies: Vec<Vec<u8>> = Vec::new();
    for version in [
        "\"2.1\"",
        "\"2.0.1\"",
        "\"1.9\"",
        "\"3.0\"",
        "\"2\"",
        "2.0",
        "null",
    ] {
        let body = format!(r#"{{"oslo.version": {version}, "oslo.message": "{inner}"}}"#);
        bodies.push(body.into_bytes());
    }
    for inner in [
        "\"no json\"",
        "\"[1]\"",
        "\"\\\"text\\\"\"",
        "\"5\"",
        "\"null\"",
        "{}",
    ] {
        let body = format!(r#"{{"oslo.version": "2.0", "oslo.message": {inner}}}"#);
        bodies.push(body.into_bytes());
    }
    for outer in ["[1]", "\"text\"", "5", "null", "no json", "\u{feff}{}"] {
        bodies.push(outer.as_bytes().to_vec());
    }
    bodies.push(b"{\"method\": \"\xff\xfe\"}".to_vec());
    bodies.push(vec![b'['; 100_000]);
    let count = bodies.len();
    for body in bodies {
        served.wire.publish("neutron", &served.topic, &body);
    }
    let good = envelope(&json!({"method": "add", "args": {"a": 1}}));
    let content_types = [
        None,
        Some("text/plain"),
        Some("application/data"),
        Some("application/json; charset=utf-8"),
        Some("application/x-python-serialize"),
    ];
    for content_type in content_types {
        let properties = match content_type {
            None => BasicProperties::default(),
            Some(name) => BasicProperties::default().with_content_type(name.into()),
        };
        served
            .wire
            .publish_as("neutron", &served.topic, &good, properties);
    }
    served.is_unharmed();
    let log = served.host.log();
    let rejected = log
        .lines()
        .filter(|line| line.contains("Rejected a message"))
        .count();
    assert_eq!(rejected, count + content_types.len(), "{log}");
    assert!(
        !log.contains("no json"),
        "nothing of a body is in the log: {log}"
    );
}

#[test]
fn an_empty_message_is_accepted_and_has_no_reply() {
    let mut served = Served::start();
    for body in ["", "[]", "{}"] {
        served
            .wire
            .publish("neutron", &served.topic, body.as_bytes());
    }
    served.is_unharmed();
    assert!(!served.host.log().contains("Rejected"));
}

#[test]
fn a_message_without_an_envelope_is_served() {
    let mut served = Served::start();
    let message = json!({
        "method": "add", "args": {"a": 2}, "_msg_id": "1", "_reply_q": served.wire.reply_queue,
    });
    served
        .wire
        .publish("neutron", &served.topic, message.to_string().as_bytes());
    assert_eq!(served.wire.next_reply()["result"], 3);
}

#[test]
fn a_reply_has_upstreams_shape_and_properties() {
    let mut served = Served::start();
    // An id that is no 32 digits, and no text even, is given back as it is.
    let message = json!({
        "method": "echo", "args": {"value": "é"}, "_msg_id": 17,
        "_reply_q": served.wire.reply_queue,
    });
    served
        .wire
        .publish("neutron", &served.topic, &envelope(&message));
    let delivery = served.wire.next_delivery();
    let properties = &delivery.properties;
    let text = |value: &Option<lapin::types::ShortString>| {
        value.as_ref().map(|text| text.as_str().to_owned())
    };
    assert_eq!(
        text(properties.content_type()).as_deref(),
        Some("application/json")
    );
    assert_eq!(
        text(properties.content_encoding()).as_deref(),
        Some("utf-8")
    );
    assert_eq!(*properties.delivery_mode(), Some(2));
    assert_eq!(*properties.priority(), Some(0));
    assert_eq!(text(properties.expiration()), None);
    assert!(
        properties
            .headers()
            .as_ref()
            .is_some_and(|table| table.inner().is_empty())
    );
    assert_eq!(delivery.exchange.as_str(), "");

    let mut reply = message_of(&delivery.data);
    let unique_id = reply["_unique_id"].take();
    assert_eq!(unique_id.as_str().expect("text").len(), 32);
    let expected = json!({
        "result": "é", "failure": null, "ending": true, "_msg_id": 17, "_unique_id": null,
    });
    assert_eq!(reply, expected);
}

#[test]
fn requests_of_any_shape_get_an_answer_or_none_and_harm_nobody() {
    let mut served = Served::start();
    let reply =
        served.call(json!({"method": "context", "_context_user": "u", "_context_msg_id": 1}));
    assert_eq!(reply["result"], json!({"user": "u"}));
    assert_eq!(
        served.call(json!({"method": "which", "unknown": [1]}))["result"],
        "null 1.4"
    );
    let python =
        |class: &str, failure: (String, String)| assert_eq!(failure.0, class, "{failure:?}");
    python("TypeError", served.failure(json!({"args": {}})));
    python("TypeError", served.failure(json!({"method": 5})));
    python(
        "AttributeError",
        served.failure(json!({"method": "which", "args": null})),
    );
    python(
        "AttributeError",
        served.failure(json!({"method": "which", "version": 1.0})),
    );
    python(
        "UnsupportedVersion",
        served.failure(json!({"method": "which", "version": null})),
    );
    python(
        "NoSuchMethod",
        served.failure(json!({"method": "__init__"})),
    );

    // A cast has no reply, and neither has a message id that is nothing.
    for id in [json!(null), json!("")] {
        let cast = json!({
            "method": "add", "args": {"a": 1}, "_msg_id": id, "_reply_q": served.wire.reply_queue,
        });
        served
            .wire
            .publish("neutron", &served.topic, &envelope(&cast));
    }
    assert!(served.wire.try_next(Duration::from_millis(500)).is_none());
    served.is_unharmed();
}

#[test]
fn a_message_that_comes_twice_is_served_once() {
    let mut served = Served::start();
    let message = json!({
        "method": "count", "args": {"key": unique("twice")}, "version": "1.0",
        "_msg_id": "1", "_reply_q": served.wire.reply_queue, "_unique_id": unique("id"),
    });
    for _ in 0..3 {
        served
            .wire
            .publish("neutron", &served.topic, &envelope(&message));
    }
    assert_eq!(served.wire.next_reply()["result"], 1);
    assert!(served.wire.try_next(Duration::from_millis(500)).is_none());
    served.host.logs("Dropped a message that was served before");
}

#[test]
fn a_reply_waits_for_a_queue_that_comes_back() {
    let mut served = Served::start();
    let queue = unique("late");
    let message = json!({
        "method": "add", "args": {"a": 1}, "_msg_id": "1", "_reply_q": queue,
    });
    served
        .wire
        .publish("neutron", &served.topic, &envelope(&message));
    // It is tried in vain, and nobody else has to wait meanwhile.
    served.is_unharmed();
    let body = served.wire.with_channel(async |channel| {
        use lapin::options::{BasicGetOptions, QueueDeclareOptions};
        let options = QueueDeclareOptions::default();
        channel
            .queue_declare(queue.as_str().into(), options, Default::default())
            .await
            .expect("made");
        for _ in 0..200 {
            let options = BasicGetOptions { no_ack: true };
            if let Some(message) = channel
                .basic_get(queue.as_str().into(), options)
                .await
                .expect("asked")
            {
                return message.delivery.data;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("no reply came");
    });
    assert_eq!(message_of(&body)["result"], 2);
}
