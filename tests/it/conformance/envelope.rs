//! Bodies and their properties: what is read, what is rejected, and what is sent.

use std::io::Write;

use lapin::BasicProperties;
use lapin::types::{AMQPValue, FieldTable};
use serde_json::{Value, json};

use super::Served;
use crate::support::host::Setup;
use crate::support::peer::Peer;
use crate::support::wire::{envelope, message_of};
use crate::support::{eventually, rabbit, unique};

#[test]
fn c20_messages_have_the_properties_that_an_oslo_client_gives_them() {
    let served = Served::start();
    let url = rabbit::shared().url();
    let mut client = Peer::start("client.py", &[&url, "neutron"]);
    // Nobody serves it: the messages stay in their queue to be looked at.
    let topic = unique("caught");
    served.wire.make_queue("neutron", &topic);
    let caught = || eventually("it was sent", || served.wire.take(&topic));
    let call = json!({
        "do": "call", "topic": topic, "method": "m", "args": {"a": 1}, "version": "1.2",
        "timeout": 7,
    });
    let theirs = std::thread::scope(|scope| {
        let calling = scope.spawn(|| client.ask(call));
        let theirs = caught();
        let raised = calling.join().expect("no panic");
        assert_eq!(raised["raised"], "MessagingTimeout");
        theirs
    });
    let call = json!({
        "topic": topic, "method": "m", "args": {"a": 1}, "version": "1.2", "timeout_ms": 7000,
    });
    let ours = std::thread::scope(|scope| {
        let calling = scope.spawn(|| served.host.call_with(call));
        let ours = caught();
        let answer = calling.join().expect("no panic");
        assert_eq!(answer["error"], "no reply within 7 s");
        ours
    });
    assert_eq!(ours.properties, theirs.properties);
    let expiration = ours
        .properties
        .expiration()
        .as_ref()
        .expect("a call has one");
    assert_eq!(expiration.as_str(), "7000");

    let keys = |delivery: &lapin::message::Delivery| match message_of(&delivery.data) {
        Value::Object(message) => message.keys().cloned().collect::<Vec<_>>(),
        other => panic!("{other}"),
    };
    assert_eq!(keys(&ours), keys(&theirs));

    // A reply has the same, but for the expiration.
    let mut wire = served.wire;
    let message = json!({"method": "which", "_msg_id": "1", "_reply_q": wire.reply_queue});
    wire.publish("neutron", &served.topic, &envelope(&message));
    let reply = wire.next_delivery();
    let server = Peer::start("server.py", &[&url, "neutron", &topic, "other"]);
    let message = json!({"method": "who", "_msg_id": "1", "_reply_q": wire.reply_queue});
    wire.publish("neutron", &topic, &envelope(&message));
    let their_reply = wire.next_delivery();
    assert_eq!(reply.properties, their_reply.properties);
    assert_eq!(reply.properties.expiration(), &None);
    assert_eq!(keys(&reply), keys(&their_reply));
    server.stop();
}

#[test]
fn c21_each_side_reads_the_others_bodies() {
    let served = Served::start();
    let url = rabbit::shared().url();
    let value = json!({"text": "é€😀\u{0}\"\\", "numbers": [1, -2.5, 1e300], "null": null});
    let mut client = Peer::start("client.py", &[&url, "neutron"]);
    let echoed = client.result(json!({
        "do": "call", "topic": served.topic, "method": "echo", "args": {"value": value},
    }));
    assert_eq!(echoed, value);

    let topic = unique("theirs");
    let server = Peer::start("server.py", &[&url, "neutron", &topic, "other"]);
    let call = json!({"topic": topic, "method": "echo", "args": {"value": value}});
    assert_eq!(served.host.call_with(call)["result"], value);
    server.stop();
}

#[test]
fn c22_a_message_without_an_envelope_is_served() {
    let mut served = Served::start();
    let message = json!({
        "method": "add", "args": {"a": 2}, "_msg_id": "1", "_reply_q": served.wire.reply_queue,
    });
    let body = message.to_string();
    served
        .wire
        .publish("neutron", &served.topic, body.as_bytes());
    assert_eq!(served.wire.next_reply()["result"], 3);
}

#[test]
fn c23_compatible_versions_of_the_envelope_are_read() {
    let mut served = Served::start();
    for version in ["2.0", "2.0.0", "2.-1"] {
        let message = json!({
            "method": "add", "args": {"a": 1}, "_msg_id": version,
            "_reply_q": served.wire.reply_queue,
        });
        let message = message.to_string();
        let body = json!({"oslo.version": version, "oslo.message": message, "other": 1});
        let body = body.to_string();
        served
            .wire
            .publish("neutron", &served.topic, body.as_bytes());
        assert_eq!(served.wire.next_reply()["result"], 2, "{version}");
    }
}

#[test]
fn c23_c24_c26_what_upstream_rejects_is_rejected_and_the_next_message_served() {
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
    assert!(log.contains(&format!("to `{}`", served.topic)), "{log}");
    let rejected = log
        .lines()
        .filter(|line| line.contains("Rejected a message"));
    assert_eq!(rejected.count(), count + content_types.len(), "{log}");
    assert!(
        !log.contains("no json"),
        "nothing of a body is in the log: {log}"
    );
}

#[test]
fn c24_an_empty_message_is_accepted_and_has_no_reply() {
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
fn c25_compressed_bodies_are_read() {
    let mut served = Served::start();
    let zlib = |body: &[u8]| {
        let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), Default::default());
        encoder
            .write_all(body)
            .and_then(|()| encoder.finish())
            .expect("memory")
    };
    let gzip = |body: &[u8]| {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), Default::default());
        encoder
            .write_all(body)
            .and_then(|()| encoder.finish())
            .expect("memory")
    };
    let bzip2 = |body: &[u8]| {
        let mut encoder = bzip2::write::BzEncoder::new(Vec::new(), Default::default());
        encoder
            .write_all(body)
            .and_then(|()| encoder.finish())
            .expect("memory")
    };
    let message = json!({
        "method": "add", "args": {"a": 1}, "_msg_id": "1", "_reply_q": served.wire.reply_queue,
    });
    let plain = envelope(&message);
    let named = |name: &str| {
        let mut headers = FieldTable::default();
        headers.insert("compression".into(), AMQPValue::LongString(name.into()));
        let properties = BasicProperties::default().with_headers(headers);
        properties.with_content_type("application/json".into())
    };
    for (name, body) in [
        ("application/x-gzip", zlib(&plain)),
        ("application/x-gzip", gzip(&plain)),
        ("zlib", zlib(&plain)),
        ("application/x-bz2", bzip2(&plain)),
    ] {
        served
            .wire
            .publish_as("neutron", &served.topic, &body, named(name));
        assert_eq!(served.wire.next_reply()["result"], 2, "{name}");
    }
    // What is not what it says, what nobody knows, and what would not end, are rejected.
    let bomb = bzip2(&vec![b' '; 70 * 1024 * 1024]);
    for (name, body) in [
        ("application/x-gzip", plain.clone()),
        ("application/unheard-of", plain.clone()),
        ("application/x-bz2", bomb),
    ] {
        served
            .wire
            .publish_as("neutron", &served.topic, &body, named(name));
    }
    served.is_unharmed();
    let log = served.host.log();
    assert_eq!(log.matches("Rejected a message").count(), 3, "{log}");
}

#[test]
fn c25_an_oslo_client_and_ours_read_each_others_compression() {
    let url = format!("{}?kombu_compression=gzip", rabbit::shared().url());
    let topic = unique("packed");
    let host = Setup::new(&url).probe(&topic).start();
    let mut client = Peer::start("client.py", &[&url, "neutron"]);
    let value = json!("é ".repeat(10_000));
    let call = json!({"do": "call", "topic": topic, "method": "echo", "args": {"value": value}});
    assert_eq!(client.result(call), value);
    // Both were compressed: a queue in between has small bodies.
    let wire = crate::support::wire::Wire::connect(rabbit::shared().port());
    let caught = unique("caught");
    wire.make_queue("neutron", &caught);
    let call = json!({
        "topic": caught, "method": "m", "args": {"value": value}, "timeout_ms": 7000,
    });
    let message = std::thread::scope(|scope| {
        scope.spawn(|| host.call_with(call));
        eventually("it was sent", || wire.take(&caught))
    });
    assert!(message.data.len() < 2000, "{}", message.data.len());
    assert_eq!(message.data[0], 0x78, "a zlib stream, as kombu has it");
}

#[test]
fn c27_numbers_that_json_has_not_are_a_failure_and_harm_nobody() {
    let mut served = Served::start();
    let url = rabbit::shared().url();
    let mut client = Peer::start("client.py", &[&url, "neutron"]);
    for number in ["NaN", "Infinity", "-Infinity"] {
        let answer = client.ask_text(&format!(
            r#"{{"do": "call", "topic": "{}", "method": "echo", "args": {{"value": [{number}]}}}}"#,
            served.topic
        ));
        assert_eq!(answer["raised"], "ValueError", "{answer}");
    }
    served.is_unharmed();
    // The other way: a server's result.
    let topic = unique("theirs");
    let server = Peer::start("server.py", &[&url, "neutron", &topic, "other"]);
    let call = json!({"topic": topic, "method": "not_a_number"});
    assert_eq!(
        served.host.call_with(call)["failure"]["class"],
        "InvalidReply"
    );
    let call = json!({"topic": topic, "method": "who"});
    assert_eq!(served.host.call_with(call)["result"], "oslo");
    server.stop();
}
