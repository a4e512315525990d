//! One body of calls, run on both transports: what a caller can expect wherever it calls.

use serde_json::{Value, json};

use crate::support::host::{Host, Setup};
use crate::support::{eventually, rabbit, unique};

/// Makes a test of each function for each transport.
macro_rules! on_both_transports {
    ($($test:ident)+) => {
        mod memory {
            $(#[test] fn $test() { super::$test(&super::Served::start("memory://")); })+
        }
        mod rabbitmq {
            $(#[test] fn $test() {
                super::$test(&super::Served::start(&super::rabbit::shared().url()));
            })+
        }
    };
}

on_both_transports! {
    results_come_back_as_they_were
    a_method_is_found_by_namespace_and_version
    arguments_are_checked_by_name
    failures_carry_class_module_and_message
    the_context_and_the_call_reach_the_plugin
    settings_and_log_lines_pass
    buckets_count_without_losing_one
    a_plugin_casts_and_fans_out
    nobody_listens_elsewhere
    a_call_ends_at_its_timeout
}

struct Served {
    host: Host,
    topic: String,
}

impl Served {
    fn start(url: &str) -> Self {
        let topic = unique("rpc");
        let host = Setup::new(url).probe(&topic).start();
        Self { host, topic }
    }

    #[track_caller]
    fn result(&self, method: &str, args: Value) -> Value {
        self.host.result(&self.topic, method, args)
    }

    #[track_caller]
    fn failure(&self, method: &str, args: Value) -> (String, String) {
        self.host.failure(&self.topic, method, args)
    }
}

fn results_come_back_as_they_were(served: &Served) {
    let values = [
        json!(null),
        json!(true),
        json!(-17),
        json!(2.5),
        json!("é€😀\u{7f}\"\\/"),
        json!([[], {}, [null]]),
        json!({"": {"a b": 1}, "é": 2}),
        json!("x".repeat(500_000)),
    ];
    for value in values {
        assert_eq!(served.result("echo", json!({"value": value})), value);
    }
}

fn a_method_is_found_by_namespace_and_version(served: &Served) {
    let which = |namespace: Value, version: Value| {
        let answer = served.host.call_with(json!({
            "topic": served.topic, "method": "which", "namespace": namespace, "version": version,
        }));
        match answer.get("result") {
            Some(result) => result.clone(),
            None => answer["failure"]["class"].clone(),
        }
    };
    let null = Value::Null;
    assert_eq!(which(null.clone(), json!("1.4")), "null 1.4");
    assert_eq!(which(null.clone(), json!("1.0")), "null 1.4");
    assert_eq!(which(null.clone(), null.clone()), "null 1.4");
    assert_eq!(which(null.clone(), json!("1.5")), "UnsupportedVersion");
    assert_eq!(which(null.clone(), json!("2.0")), "null 2.0");
    assert_eq!(which(null.clone(), json!("3.0")), "UnsupportedVersion");
    assert_eq!(which(json!("named"), json!("1.9")), "named 1.10");
    assert_eq!(which(json!("named"), json!("1.11")), "UnsupportedVersion");
    assert_eq!(which(json!(""), json!("1.0")), "UnsupportedVersion");
    // What is no version is not even sent.
    for malformed in ["rubbish", "1"] {
        let answer = served.host.call_with(json!({
            "topic": served.topic, "method": "which", "version": malformed,
        }));
        let error = format!("Version must contain a major and minor integer. Got {malformed}");
        assert_eq!(answer["error"], error);
    }
    let unknown = served.failure("nosuch", json!({}));
    assert_eq!(unknown.0, "NoSuchMethod");
}

fn arguments_are_checked_by_name(served: &Served) {
    assert_eq!(served.result("add", json!({"a": 1, "b": 5})), 6);
    assert_eq!(served.result("add", json!({"a": 1})), 2);
    assert_eq!(served.result("add", json!({"a": 1, "b": null})), 2);
    let message = |args: Value| {
        let (class, message) = served.failure("add", args);
        assert_eq!(class, "TypeError");
        message
    };
    assert_eq!(message(json!({})), "add() missing a required argument: 'a'");
    let unexpected = "add() got an unexpected keyword argument 'c'";
    assert_eq!(message(json!({"a": 1, "c": 1})), unexpected);
    assert!(message(json!({"a": "text"})).starts_with("add() argument 'a': invalid type"));
    let everything = json!({"z": 1, "a": {"b": []}});
    assert_eq!(served.result("everything", everything.clone()), everything);
}

fn failures_carry_class_module_and_message(served: &Served) {
    let args = json!({"module": "some.module", "class": "Gone", "message": "it is \"gone\" é"});
    let answer = served.host.call(&served.topic, "fail", args);
    assert_eq!(answer["failure"]["module"], "some.module");
    assert_eq!(answer["failure"]["class"], "Gone");
    assert_eq!(answer["failure"]["message"], "it is \"gone\" é");
}

fn the_context_and_the_call_reach_the_plugin(served: &Served) {
    let context = json!({"user": "u", "roles": ["a", "é"], "is_admin": true, "nothing": null});
    let answer = served.host.call_with(json!({
        "topic": served.topic, "method": "context", "context": context,
    }));
    assert_eq!(answer["result"], context);
    let info = served.result("call_info", json!({}));
    assert_eq!(info["id"].as_str().expect("text").len(), 32, "{info}");
    assert_eq!(info["delivery"], "Call");
    let left = info["remaining_ms"].as_u64().expect("known");
    assert!((50_000..=60_000).contains(&left), "{info}");
    assert_ne!(info["uuid"], served.result("call_info", json!({}))["uuid"]);
}

fn settings_and_log_lines_pass(served: &Served) {
    assert_eq!(served.result("setting", json!({"name": "colour"})), "green");
    assert_eq!(
        served.result("setting", json!({"name": "other"})),
        Value::Null
    );
    served.result("log", json!({"line": "from the guest\nERROR forged line"}));
    let line = served.host.logs("from the guest");
    assert!(
        line.contains("INFO") && line.contains("plugin.name=\"probe\""),
        "{line}"
    );
    assert!(
        line.contains("forged line"),
        "a line of the guest is one line of the log: {line}"
    );
}

fn buckets_count_without_losing_one(served: &Served) {
    const CALLERS: u64 = 8;
    const CALLS: u64 = 25;
    let (count, swapped) = (unique("count"), unique("swapped"));
    std::thread::scope(|scope| {
        for _ in 0..CALLERS {
            scope.spawn(|| {
                for _ in 0..CALLS {
                    served.result("count", json!({"key": count}));
                    served.result("swap_count", json!({"key": swapped}));
                }
            });
        }
    });
    assert_eq!(
        served.result("number", json!({"key": count})),
        CALLERS * CALLS
    );
    assert_eq!(
        served.result("number", json!({"key": swapped})),
        CALLERS * CALLS
    );
    let (class, message) = served.failure("open", json!({"bucket": "other"}));
    assert_eq!(
        (class.as_str(), message.as_str()),
        (
            "BucketError",
            "the bucket `other` is not granted to this plugin"
        )
    );
}

fn a_plugin_casts_and_fans_out(served: &Served) {
    let key = unique("told");
    let tell = |topic: &str, all: bool| {
        let args = json!({"topic": topic, "key": key, "all": all});
        served.host.call(&served.topic, "tell", args)
    };
    for (all, count) in [(false, 1), (true, 2)] {
        assert_eq!(tell(&served.topic, all)["result"], Value::Null);
        eventually("it was served", || {
            let number = served.result("number", json!({"key": key}));
            (number == count).then_some(())
        });
    }
    // A fanout may have nobody to reach; a cast is for somebody.
    assert_eq!(tell("no-such-topic", true)["result"], Value::Null);
    let failure = &tell("no-such-topic", false)["failure"];
    assert_eq!(failure["message"], "no server listens there");
}

fn nobody_listens_elsewhere(served: &Served) {
    let answer = served.host.call("no-such-topic", "echo", json!({}));
    assert_eq!(
        answer["error"],
        "no server listens to `no-such-topic` in the exchange `neutron`"
    );
    let answer = served.host.call_with(json!({
        "topic": served.topic, "method": "which", "server": "nobody",
    }));
    assert_eq!(
        answer["error"],
        format!(
            "no server listens to `{}.nobody` in the exchange `neutron`",
            served.topic
        )
    );
}

fn a_call_ends_at_its_timeout(served: &Served) {
    let answer = served.host.call_with(json!({
        "topic": served.topic, "method": "spin", "args": {"ms": 20_000}, "timeout_ms": 300,
    }));
    assert_eq!(answer["error"], "no reply within 0.3 s");
    // Neither the caller's end nor the work it left behind is in the way of the next.
    assert_eq!(served.result("add", json!({"a": 1})), 2);
}
