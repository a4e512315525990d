//! Plugins that call others: themselves, each other, and real oslo.messaging and neutron servers.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::guests::{probe, shipped};
use crate::support::host::{Host, PROBE_GRANTS, Setup};
use crate::support::peer::Peer;
use crate::support::rabbit::Rabbit;
use crate::support::{eventually, rabbit, unique};

/// A host with the well-behaved guest, and a server in Python for it to call.
struct Two {
    host: Host,
    topic: String,
    python: String,
    server: Peer,
}

impl Two {
    fn start(settings: &str) -> Self {
        let (topic, python) = (unique("calling"), unique("python"));
        let url = rabbit::shared().url();
        let server = Peer::start("server.py", &[&url, "neutron", &python, "s"]);
        let host = Setup::new(&url).settings(settings).probe(&topic).start();
        Self {
            host,
            topic,
            python,
            server,
        }
    }

    /// The plugin's `ask`, with these arguments besides the Python server's topic.
    fn ask(&self, mut args: Value) -> Value {
        if args.get("topic").is_none() {
            args["topic"] = json!(self.python);
        }
        self.host.call(&self.topic, "ask", args)
    }

    /// How a call to the Python server looks to the plugin.
    fn outcome(&self, method: &str, args: Value) -> String {
        let args = json!({"topic": self.python, "name": method, "args": args});
        match &self.host.call(&self.topic, "try_ask", args)["result"] {
            Value::String(text) => text.clone(),
            other => panic!("{other}"),
        }
    }
}

#[test]
fn a_plugin_calls_a_python_server_and_gets_what_it_answers() {
    let two = Two::start("");
    let value = json!({"é": [1, 2.5, null, "😀"], "b": {}});
    let answer = two.ask(json!({"name": "echo", "args": {"value": value}}));
    assert_eq!(answer["result"], value);
    let directed = two.ask(json!({"name": "who", "args": {}, "server": "s"}));
    assert_eq!(directed["result"], "oslo");

    // The context of the request goes with it, unless the plugin has one of its own.
    let request = |context: Value| {
        two.host.call_with(json!({
            "topic": two.topic, "method": "ask", "context": {"user": "u", "roles": ["é"]},
            "args": {"topic": two.python, "name": "context", "args": {}, "context": context},
        }))
    };
    let mut context = request(Value::Null)["result"].take();
    assert_eq!(context["client_timeout"].take(), Value::Null);
    assert_eq!(context["user"], "u");
    assert_eq!(context["roles"], json!(["é"]));
    let context = request(json!({"user": "the plugin"}))["result"].take();
    assert_eq!(context["user"], "the plugin");
    assert_eq!(context.get("roles"), None);
    two.server.stop();
}

#[test]
fn what_goes_wrong_is_an_error_that_a_plugin_can_handle_or_pass_on() {
    let two = Two::start("");
    let failed = two.outcome("fail", json!({"kind": "value"}));
    assert!(
        failed.starts_with("Remote(Failure { class: \"ValueError\""),
        "{failed}"
    );
    assert!(failed.contains("Traceback"), "{failed}");
    // Passed on, it is the same exception.
    let passed_on = two.ask(json!({"name": "fail", "args": {"kind": "odd"}}));
    assert_eq!(passed_on["failure"]["class"], "Odd");
    assert_eq!(passed_on["failure"]["module"], "__main__");
    assert_eq!(passed_on["failure"]["message"], "('é \"odd\"', 7)");
    let traceback = passed_on["failure"]["traceback"].to_string();
    assert!(traceback.contains("Traceback"), "{traceback}");

    let nobody = two.ask(json!({"topic": "nobody", "name": "m", "args": {}}));
    assert_eq!(nobody["failure"]["class"], "MessageUndeliverable");
    let wrong = two.outcome("echo", json!([1]));
    assert_eq!(wrong, "Invalid(\"`args` is no JSON object\")");
    let elsewhere = two.ask(json!({"name": "who", "args": {}, "exchange": "nova"}));
    assert_eq!(
        elsewhere["failure"]["message"],
        "not granted: plugins send through the exchange `neutron` only"
    );
    let late = two.ask(json!({"name": "sleep", "args": {"seconds": 5}, "timeout_ms": 300}));
    assert_eq!(late["failure"]["class"], "MessagingTimeout");
    assert_eq!(late["failure"]["module"], "oslo_messaging.exceptions");
    two.server.stop();
}

#[test]
fn only_what_was_granted_is_called() {
    let (topic, python) = (unique("narrow"), unique("python"));
    let url = rabbit::shared().url();
    let server = Peer::start("server.py", &[&url, "neutron", &python, "s"]);
    let grants = format!("{PROBE_GRANTS}client = [\"call:{python}\", \"cast:elsewhere\"]");
    let grants = grants.replace("client = [\"call:*\", \"cast:*\", \"fanout:*\"]\n", "");
    let host = Setup::new(&url)
        .tables("[keyvalue.probe]\nbackend = \"memory\"")
        .plugin("narrow", &probe(), &topic, &grants)
        .start();
    let ask = |to: &str| {
        let args = json!({"topic": to, "name": "who", "args": {}});
        host.call(&topic, "ask", args)
    };
    assert_eq!(ask(&python)["result"], "oslo");
    for to in ["elsewhere", "other"] {
        assert_eq!(
            ask(to)["failure"]["message"],
            format!("not granted: add `client = [\"call:{to}\"]` under [grants] in plugin.toml")
        );
    }
    server.stop();
}

#[test]
fn the_deadline_of_the_request_bounds_what_it_calls() {
    let two = Two::start("");
    // The plugin hears of it in time to answer, although its caller has no more time than it.
    let request = json!({
        "topic": two.topic, "method": "try_ask", "timeout_ms": 2000,
        "args": {"topic": two.python, "name": "sleep", "args": {"seconds": 8}},
    });
    let started = Instant::now();
    assert_eq!(two.host.call_with(request)["result"], "Timeout");
    assert!(started.elapsed() < Duration::from_secs(3));
    // Nor does a plugin wait longer than by its own limit, where its caller has all the time.
    let (topic, url) = (unique("limited"), rabbit::shared().url());
    let limited = format!("{PROBE_GRANTS}[limits]\ntimeout_ms = 700");
    let host = Setup::new(&url)
        .tables("[keyvalue.probe]\nbackend = \"memory\"")
        .plugin("limited", &probe(), &topic, &limited)
        .start();
    let args = json!({"topic": two.python, "name": "sleep", "args": {"seconds": 8}});
    assert_eq!(host.call(&topic, "try_ask", args)["result"], "Timeout");
    two.server.stop();
}

/// Runs `count` calls at the same time, each from a thread of its own.
fn at_once(count: usize, call: impl Fn(usize) -> Value + Sync) -> Vec<Value> {
    std::thread::scope(|scope| {
        let call = &call;
        let calls: Vec<_> = (0..count).map(|n| scope.spawn(move || call(n))).collect();
        let calls = calls.into_iter();
        calls.map(|call| call.join().expect("no panic")).collect()
    })
}

#[test]
fn a_chain_through_a_python_server_comes_back_to_the_same_plugin() {
    // As many calls as there are places, each of which needs a second place; and far fewer places.
    for (settings, keep) in [("", true), ("", false), ("executor_pool_size = 1", false)] {
        let two = Two::start(settings);
        let answers = at_once(64, |number| {
            two.ask(json!({"name": "relay", "args": {
                "topic": two.topic, "method": "echo", "args": {"value": number}, "keep": keep,
            }}))
        });
        for (number, answer) in answers.iter().enumerate() {
            assert_eq!(answer["result"], number, "{settings} {keep}: {answer}");
        }
        two.server.stop();
    }
}

#[test]
fn calls_that_wait_for_an_instance_hold_up_none_that_has_one() {
    // More than there are instances for plugins that a plugin called.
    let two = Two::start("");
    let answers = at_once(150, |_| {
        let asked = json!({"topic": two.python, "name": "sleep", "args": {"seconds": 1}});
        two.ask(json!({"topic": two.topic, "name": "ask", "args": asked}))
    });
    for answer in answers {
        assert_eq!(answer["result"], 1, "{answer}");
    }
    two.server.stop();
}

/// Both transports, with places for one only: one in the pool, and one instance of the plugin.
fn with_one_place(check: impl Fn(&Host, &str)) {
    for url in ["memory://".to_owned(), rabbit::shared().url()] {
        let topic = unique("itself");
        let one = format!("{PROBE_GRANTS}[limits]\nconcurrency = 1");
        let host = Setup::new(&url)
            .settings("executor_pool_size = 1")
            .tables("[keyvalue.probe]\nbackend = \"memory\"")
            .plugin("itself", &probe(), &topic, &one)
            .start();
        check(&host, &topic);
    }
}

#[test]
fn a_plugin_may_call_itself_however_few_places_there_are() {
    with_one_place(|host, topic| {
        let args = json!({"topic": topic, "depth": 3});
        assert_eq!(host.call(topic, "descend", args)["result"], 3);
        // Also when many wait before it: what it calls does not wait behind them.
        let answers = at_once(400, |_| {
            host.call(topic, "descend", json!({"topic": topic, "depth": 2}))
        });
        assert_eq!(answers.len(), 400);
        for answer in answers {
            assert_eq!(answer["result"], 2, "{answer}");
        }
    });
}

#[test]
fn a_chain_of_plugins_has_an_end() {
    with_one_place(|host, topic| {
        let descend = |depth: u32| {
            let answer = host.call(topic, "descend", json!({"topic": topic, "depth": depth}));
            (
                answer["result"].clone(),
                answer["failure"]["message"].clone(),
            )
        };
        assert_eq!(descend(8), (json!(8), Value::Null));
        let (_, message) = descend(9);
        assert_eq!(
            message,
            "not granted: 8 plugins have called one another to get here, and the last may call \
             nobody"
        );
    });
    // A server in between that passes contexts on does not hide how long the chain is.
    let two = Two::start("");
    let mut request = json!({"name": "which", "args": {}});
    for _ in 0..9 {
        request = json!({"name": "relay", "args": {
            "topic": two.topic, "method": "ask", "keep": true, "args": {
                "topic": two.python, "name": request["name"], "args": request["args"],
            },
        }});
    }
    let answer = two.ask(request).to_string();
    assert!(
        answer.contains("8 plugins have called one another"),
        "{answer}"
    );
    two.server.stop();
}

#[test]
fn waiting_for_a_reply_costs_no_thread() {
    let two = Two::start("executor_pool_size = 200");
    let threads = || {
        let status = std::fs::read_to_string(format!("/proc/{}/status", two.host.id()));
        let status = status.expect("it runs");
        let line = status.lines().find(|line| line.starts_with("Threads:"));
        line.expect("a count").to_owned()
    };
    // So that everything that is made with the first call is there.
    two.ask(json!({"name": "who", "args": {}}));
    let before = threads();
    let slept = std::thread::scope(|scope| {
        let sleeping = scope.spawn(|| {
            at_once(150, |_| {
                two.ask(json!({"name": "sleep", "args": {"seconds": 2}}))
            })
        });
        let mut seen = BTreeSet::new();
        while !sleeping.is_finished() {
            seen.insert(threads());
            std::thread::sleep(Duration::from_millis(100));
        }
        assert_eq!(seen, BTreeSet::from([before]));
        sleeping.join().expect("no panic")
    });
    assert!(
        slept.iter().all(|answer| answer["result"] == 2),
        "{slept:?}"
    );
    two.server.stop();
}

#[test]
fn a_host_that_stops_finishes_the_calls_of_its_plugins() {
    let mut two = Two::start("");
    let answer = std::thread::scope(|scope| {
        let sleep = json!({"name": "sleep", "args": {"seconds": 2}});
        let calling = scope.spawn(|| two.ask(sleep));
        eventually("the plugin waits", || {
            let count = two.ask(json!({"name": "count", "args": {}}));
            (count["result"] == 1).then_some(())
        });
        two.host.terminate();
        calling.join().expect("no panic")
    });
    assert_eq!(answer["result"], 2, "{answer}");
    assert!(two.host.wait().success(), "{}", two.host.log());
}

#[test]
fn agent_watch_tells_which_agents_are_down() {
    let rabbit = Rabbit::start();
    let agents = "[grants]\nclocks = true\nrandom = true\nkeyvalue = [\"agents\"]\nclient = [\"fanout:*\"]\n[config]\n\
                  agent_down_time = \"2\"";
    let grants = "[grants]\nclocks = true\nclient = [\"call:q-reports-plugin\"]";
    let watch = |host: &str| {
        let setup = Setup::named(&rabbit.url(), host);
        setup.plugin(
            "agent_watch",
            &shipped("agent_watch"),
            "agent-watch",
            grants,
        )
    };
    let check = |host: &Host, agent: &mut Peer| {
        let empty = json!({"server_alive": true, "agents": 0, "down": 0});
        assert_eq!(
            host.call("agent-watch", "health", json!({}))["result"],
            empty
        );
        for name in ["one", "two"] {
            let state = json!({
                "binary": "b", "host": name, "topic": "N/A", "agent_type": "Open vSwitch agent",
                "start_flag": true, "configurations": {},
            });
            let report = json!({"do": "report_state", "agent_state": state});
            assert_eq!(agent.result(report), "new");
        }
        let down = |args: Value| {
            let found = host.call("agent-watch", "down_agents", args);
            assert!(found["result"].is_array(), "{found}");
            found["result"].as_array().expect("a list").clone()
        };
        assert_eq!(down(json!({})), Vec::<Value>::new());
        let found = eventually("they count as down", || {
            Some(down(json!({}))).filter(|down| down.len() == 2)
        });
        assert_eq!(found[0]["agent_type"], "Open vSwitch agent");
        assert!(
            found[0]["silent_s"].as_i64().is_some_and(|s| s >= 2),
            "{found:?}"
        );
        let one = down(json!({"host": "one"}));
        assert_eq!((one.len(), &one[0]["host"]), (1, &json!("one")));
        let health = json!({"server_alive": true, "agents": 2, "down": 2});
        assert_eq!(
            host.call("agent-watch", "health", json!({}))["result"],
            health
        );
    };
    let mut agent = Peer::start("agent.py", &[&rabbit.url()]);

    // What it asks is the plugin beside it.
    let both = watch("both")
        .tables("[keyvalue.agents]\nbackend = \"memory\"")
        .plugin(
            "report_state",
            &shipped("report_state"),
            "q-reports-plugin",
            agents,
        );
    let both = both.start();
    check(&both, &mut agent);
    both.terminate();
    let mut both = both;
    assert!(both.wait().success());

    // Nobody takes reports: the queue is there, and nobody answers.
    let alone = watch("alone").start();
    let dead = json!({"server_alive": false, "agents": null, "down": null});
    assert_eq!(
        alone.call("agent-watch", "health", json!({}))["result"],
        dead
    );

    // And neutron's own server.
    let neutron = Peer::start("neutron_server.py", &[&rabbit.url(), "ctl1", "2"]);
    check(&alone, &mut agent);
    neutron.stop();
}
