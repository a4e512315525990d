//! What of a request reaches the endpoint, and which requests want no reply.

use std::time::Duration;

use opentelemetry_proto::tonic::common::v1::any_value::Value as AnyValue;
use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use serde_json::{Value, json};

use super::Served;
use crate::support::collector::Collector;
use crate::support::peer::Peer;
use crate::support::rabbit;

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
fn c34_the_span_of_a_request_is_a_child_of_the_callers() {
    let collector = Collector::start();
    let settings = format!(
        "[tracing]\ntracing_enabled = true\notel_exporter_otlp_endpoint = \"{}\"\n",
        collector.endpoint()
    );
    let mut served = Served::start_with(&settings);
    let url = rabbit::shared().url();
    let endpoint = collector.endpoint();
    let mut client = Peer::start("client.py", &[&url, "neutron", &endpoint]);
    let context = client.result(json!({
        "do": "call", "topic": served.topic, "method": "context", "args": {},
        "context": {"request_id": "req-1"},
    }));
    let traceparent = context["traceparent"]
        .as_str()
        .expect("it travels in the context");
    assert_eq!(traceparent.len(), 55, "{traceparent}");
    let hex = |bytes: &[u8]| {
        bytes
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect::<String>()
    };
    let sent = collector.span(&format!("{}.context", served.topic));
    assert_eq!(traceparent[3..35], hex(&sent.trace_id));
    assert_eq!(traceparent[36..52], hex(&sent.span_id));
    // What we send goes with a trace of its own.
    let call = json!({"topic": served.topic, "method": "which", "version": "1.4"});
    assert_eq!(served.host.call_with(call)["result"], "null 1.4");
    assert_eq!(
        served.call(json!({"method": "nosuch"}))["result"],
        Value::Null
    );
    served.host.terminate();
    assert!(
        served.host.wait().success(),
        "it sends the rest when it ends"
    );

    let received = collector.span("context receive");
    assert_eq!(received.trace_id, sent.trace_id);
    assert_eq!(received.parent_span_id, sent.span_id);
    assert_eq!(received.kind, SpanKind::Consumer as i32);
    let attribute = |span: &Span, name: &str| {
        let found = span
            .attributes
            .iter()
            .find(|attribute| attribute.key == name);
        let value = found.and_then(|attribute| attribute.value.clone()?.value);
        match value {
            Some(AnyValue::StringValue(text)) => text,
            other => panic!("{name}: {other:?}"),
        }
    };
    assert_eq!(attribute(&received, "messaging.system"), "rabbitmq");
    assert_eq!(attribute(&received, "messaging.operation"), "receive");
    assert_eq!(attribute(&received, "rpc.method"), "context");
    assert_eq!(attribute(&received, "openstack.request_id"), "req-1");
    assert_eq!(attribute(&received, "messaging.message.id").len(), 32);

    let sent = collector.span(&format!("{}.which", served.topic));
    assert_eq!(sent.kind, SpanKind::Producer as i32);
    assert_eq!(attribute(&sent, "messaging.operation"), "call");
    let received = collector.span("which receive");
    assert_eq!(received.parent_span_id, sent.span_id);
    assert_eq!(received.trace_id, sent.trace_id);
    // A caller that traces nothing.
    assert_eq!(
        collector.span("nosuch receive").parent_span_id,
        [] as [u8; 0]
    );
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
