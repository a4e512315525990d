//! Which endpoint answers, and what a caller is told where none does.

use serde_json::{Value, json};

use super::Served;
use crate::support::guests::bare_module_serving;
use crate::support::host::{Host, Setup};
use crate::support::peer::Peer;
use crate::support::wire::Wire;
use crate::support::{rabbit, unique};

/// Plugins of one method, `run`, on topics of the test's choice.
struct Plugins {
    setup: Option<Setup>,
    count: usize,
}

impl Plugins {
    fn new() -> Self {
        Self {
            setup: Some(Setup::new(&rabbit::shared().url())),
            count: 0,
        }
    }

    /// One that answers with `answer`.
    fn with(
        mut self,
        topic: &str,
        namespace: Option<&str>,
        version: &str,
        method: &str,
        answer: &str,
    ) -> Self {
        self.count += 1;
        // Among equals the name decides.
        let name = format!("plugin{}", self.count);
        let wasm = bare_module_serving(namespace, version, method, answer);
        let setup = self.setup.take().expect("not started");
        self.setup = Some(setup.plugin(&name, &wasm, topic, ""));
        self
    }

    fn start(self) -> (Host, Wire) {
        let host = self.setup.expect("not started").start();
        (host, Wire::connect(rabbit::shared().port()))
    }
}

/// The result, or the failure's class.
#[track_caller]
fn outcome(wire: &mut Wire, topic: &str, message: Value) -> String {
    let reply = wire.call("neutron", topic, message);
    match reply["failure"].is_null() {
        true => reply["result"].as_str().expect("text").to_owned(),
        false => {
            let failure = super::failure_of(&reply);
            failure["class"].as_str().expect("text").to_owned()
        }
    }
}

#[test]
fn c52_c60_every_row_of_the_compatibility_table() {
    let rows: &[(&str, &[(Value, &str)])] = &[
        (
            "1.0",
            &[
                (json!(null), "UnsupportedVersion"),
                (json!("1.0"), "served"),
                (json!("1.0.0"), "served"),
                (json!("2.0"), "UnsupportedVersion"),
                (json!("1"), "IndexError"),
                (json!(""), "ValueError"),
                (json!("1."), "ValueError"),
                (json!("abc"), "ValueError"),
                (json!("1.0.x"), "ValueError"),
                (json!(1.0), "AttributeError"),
            ],
        ),
        (
            "1.4",
            &[
                (json!("1.0"), "served"),
                (json!("1.4"), "served"),
                (json!("1.3.9"), "served"),
                (json!("+1.4"), "served"),
                (json!("1.5"), "UnsupportedVersion"),
                (json!("1.4.1"), "UnsupportedVersion"),
                (json!("2"), "UnsupportedVersion"),
                (json!("2.x"), "UnsupportedVersion"),
            ],
        ),
        (
            "1.4.1",
            &[
                (json!("1.4"), "served"),
                (json!("1.4.1"), "served"),
                (json!("1.4.2"), "UnsupportedVersion"),
            ],
        ),
        (
            "1.5",
            &[(json!("1.4.9"), "served"), (json!("1.4.x"), "served")],
        ),
        ("1.5.0", &[(json!("1.5.0.7"), "served")]),
        (
            "1.2",
            &[(json!("1.2 "), "served"), (json!(" 01.2"), "served")],
        ),
        ("2.0", &[(json!("1.0"), "UnsupportedVersion")]),
        ("1.10", &[(json!("1.9"), "served")]),
        ("1.9", &[(json!("1.10"), "UnsupportedVersion")]),
    ];
    let run = unique("versions");
    let topic = |version: &str| format!("{run}-{version}");
    let mut plugins = Plugins::new();
    for (version, _) in rows {
        plugins = plugins.with(&topic(version), None, version, "run", "served");
    }
    let (_host, mut wire) = plugins.start();
    for (implemented, requests) in rows {
        for (requested, expected) in *requests {
            let message = json!({"method": "run", "version": requested});
            let found = outcome(&mut wire, &topic(implemented), message);
            assert_eq!(found, *expected, "{implemented} asked for {requested}");
        }
    }
}

#[test]
fn c53_c54_the_null_version_and_other_namespaces_are_unsupported() {
    let topic = unique("namespaces");
    let (_host, mut wire) = Plugins::new()
        .with(&topic, None, "1.0", "run", "null")
        .with(&topic, Some("present"), "1.0", "run", "present")
        .with(&topic, Some("legacy"), "1.0", "run", "legacy")
        .start();
    let mut check = |message: Value, expected: &str| {
        assert_eq!(
            outcome(&mut wire, &topic, message.clone()),
            expected,
            "{message}"
        );
    };
    check(json!({"method": "run"}), "null");
    check(
        json!({"method": "run", "version": null}),
        "UnsupportedVersion",
    );
    check(json!({"method": "run", "namespace": null}), "null");
    check(
        json!({"method": "run", "namespace": ""}),
        "UnsupportedVersion",
    );
    check(
        json!({"method": "run", "namespace": 5}),
        "UnsupportedVersion",
    );
    check(json!({"method": "run", "namespace": "present"}), "present");
    check(json!({"method": "run", "namespace": "legacy"}), "legacy");
    // The namespace is looked at first, so that the version is not.
    let malformed = json!({"method": "run", "namespace": "other", "version": "rubbish"});
    check(malformed, "UnsupportedVersion");
}

#[test]
fn c55_c56_a_method_may_live_in_a_later_endpoint_and_the_first_of_two_wins() {
    let topic = unique("later");
    let (_host, mut wire) = Plugins::new()
        .with(&topic, None, "1.4", "only_here", "first")
        .with(&topic, None, "1.4", "shared", "first")
        .with(&topic, None, "1.4", "shared", "second")
        .with(&topic, None, "1.2", "older", "third")
        .start();
    let mut check = |method: &str, version: &str, expected: &str| {
        let message = json!({"method": method, "version": version});
        assert_eq!(
            outcome(&mut wire, &topic, message),
            expected,
            "{method} {version}"
        );
    };
    check("only_here", "1.4", "first");
    check("shared", "1.4", "first");
    check("older", "1.0", "third");
    check("older", "1.4", "NoSuchMethod");
    check("nowhere", "1.0", "NoSuchMethod");
    check("shared", "1.5", "UnsupportedVersion");

    let text = |message: Value, wire: &mut Wire| {
        let failure = super::failure_of(&wire.call("neutron", &topic, message));
        assert_eq!(failure["module"], "oslo_messaging.rpc.dispatcher");
        failure["message"].as_str().expect("text").to_owned()
    };
    assert_eq!(
        text(json!({"method": "nowhere"}), &mut wire),
        "Endpoint does not support RPC method nowhere"
    );
    assert_eq!(
        text(json!({"method": "shared", "version": "1.5"}), &mut wire),
        "Endpoint does not support RPC version 1.5. Attempted method: shared"
    );
}

#[test]
fn c57_private_and_unlisted_methods_look_like_missing_ones() {
    let (public, explicit) = (unique("public"), unique("explicit"));
    let private = bare_module_serving(None, "1.0", "_private", "served");
    let listed = bare_module_serving(None, "1.0", "run", "served");
    let _host = Setup::new(&rabbit::shared().url())
        .plugin("a", &private, &public, "")
        .plugin("b", &listed, &public, "")
        .plugin("c", &private, &explicit, "access = \"explicit\"")
        .start();
    let mut wire = Wire::connect(rabbit::shared().port());
    let mut check = |topic: &str, method: &str, expected: &str| {
        assert_eq!(
            outcome(&mut wire, topic, json!({"method": method})),
            expected,
            "{method}"
        );
    };
    check(&public, "run", "served");
    check(&public, "_private", "NoSuchMethod");
    check(&public, "__init__", "NoSuchMethod");
    check(&public, "dispatch", "NoSuchMethod");
    check(&explicit, "_private", "served");
    check(&explicit, "run", "NoSuchMethod");
}

#[test]
fn c58_ping_answers_only_where_it_is_enabled() {
    let url = rabbit::shared().url();
    let mut client = Peer::start("client.py", &[&url, "neutron"]);
    let mut ping = |topic: &str, version: &str, namespace: Value| {
        let answer = client.ask(json!({
            "do": "call", "topic": topic, "method": "oslo_rpc_server_ping", "version": version,
            "namespace": namespace, "args": {"any": 1},
        }));
        match answer.get("result") {
            Some(result) => result.as_str().expect("text").to_owned(),
            None => answer["exc_type"]
                .as_str()
                .expect("a remote error")
                .to_owned(),
        }
    };
    let with_ping = "rpc_ping_enabled = true";
    let enabled = Served::start_with(with_ping);
    assert_eq!(ping(&enabled.topic, "1.0", Value::Null), "pong");
    // At another version the plugin's endpoint is what is compatible.
    assert_eq!(ping(&enabled.topic, "1.1", Value::Null), "NoSuchMethod");
    assert_eq!(
        ping(&enabled.topic, "1.0", json!("other")),
        "UnsupportedVersion"
    );
    assert_eq!(
        ping(&Served::start().topic, "1.0", Value::Null),
        "NoSuchMethod"
    );

    // A plugin's own goes before it.
    let topic = unique("own-ping");
    let own = bare_module_serving(None, "1.0", "oslo_rpc_server_ping", "own");
    let host = Setup::new(&url)
        .settings(with_ping)
        .plugin("a", &own, &topic, "")
        .start();
    assert_eq!(ping(&topic, "1.0", Value::Null), "own");
    host.logs("`rpc_ping_enabled` changes nothing");
}

#[test]
fn c59_a_method_or_arguments_of_the_wrong_type_are_failures() {
    let mut served = Served::start();
    for (message, class) in [
        (json!({"args": {}}), "TypeError"),
        (json!({"method": 5}), "TypeError"),
        (json!({"method": null}), "TypeError"),
        (json!({"method": "which", "args": null}), "AttributeError"),
        (json!({"method": "which", "args": [1]}), "AttributeError"),
        (json!({"method": "which", "args": "text"}), "AttributeError"),
    ] {
        assert_eq!(served.failure(message.clone()).0, class, "{message}");
    }
    served.is_unharmed();
}
