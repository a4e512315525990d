//! A server's life: acceptance, duplicates, load, the stop, and who gets what beside other servers.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::Served;
use crate::support::guests::bare_module;
use crate::support::host::{Host, Setup};
use crate::support::peer::Peer;
use crate::support::proxy::Proxy;
use crate::support::wire::{Wire, envelope, message_of};
use crate::support::{eventually, rabbit, unique};

#[test]
fn c61_a_message_is_acknowledged_before_the_endpoint_runs() {
    let mut served = Served::start();
    served.publish(&json!({
        "method": "spin", "args": {"ms": 10_000}, "_msg_id": "1",
        "_reply_q": served.wire.reply_queue,
    }));
    let columns = [
        "list_queues",
        "name",
        "messages",
        "messages_unacknowledged",
        "consumers",
    ];
    // Taken off its queue while it runs: there is no reply yet.
    eventually("the queue is empty", || {
        let queues = rabbit::shared().list(&columns);
        let queue = queues.iter().find(|queue| queue["name"] == *served.topic)?;
        (queue["messages"] == 0 && queue["messages_unacknowledged"] == 0).then_some(())
    });
    assert!(
        served.wire.try_next(Duration::ZERO).is_none(),
        "it runs still"
    );
    assert_eq!(served.wire.next_reply()["result"], 10_000);
}

#[test]
fn c62_a_message_that_comes_twice_is_served_once() {
    let mut served = Served::start_with("duplicate_window = 16");
    let key = unique("twice");
    let id = |number: usize| format!("{key}-{number}");
    let (soon, never) = (Duration::from_secs(30), Duration::from_secs(1));
    let mut call = |number: usize, patience: Duration| {
        served.publish(&json!({
            "method": "count", "args": {"key": key}, "_msg_id": format!("call {number}"),
            "_reply_q": served.wire.reply_queue, "_unique_id": id(number),
        }));
        let reply = served.wire.try_next(patience);
        reply.map(|reply| message_of(&reply.data)["result"].clone())
    };
    assert_eq!(call(0, soon), Some(json!(1)));
    assert_eq!(call(0, never), None, "a repeat");
    for number in 1..16 {
        assert_eq!(call(number, soon), Some(json!(number + 1)));
    }
    assert_eq!(call(0, never), None, "15 others came since");
    assert_eq!(call(16, soon), Some(json!(17)));
    assert_eq!(call(0, soon), Some(json!(18)), "16 others came since");
    served.host.logs("Dropped a message that was served before");
    // Those without an id are all served.
    for expected in 19..21 {
        let message = json!({
            "method": "count", "args": {"key": key}, "_msg_id": "x",
            "_reply_q": served.wire.reply_queue,
        });
        served.publish(&message);
        assert_eq!(served.wire.next_reply()["result"], expected);
    }
    served.is_unharmed();
}

#[test]
fn c63_more_requests_than_places_are_all_served() {
    const CALLS: usize = 5_000;
    let mut served = Served::start_with("executor_pool_size = 2");
    let seen = served.wire.flood("neutron", &served.topic, CALLS, CALLS);
    assert_eq!(seen.len(), CALLS);
    assert!(seen.values().all(|&times| times == 1));
}

#[test]
fn c64_c65_a_stop_finishes_what_was_accepted_and_leaves_the_rest() {
    const CALLS: usize = 300;
    let rabbit = rabbit::shared();
    // A quorum queue that counts: what a stop gives back must not be counted twice.
    let limited = "rabbit_quorum_queue=1&rabbit_quorum_delivery_limit=1";
    for options in ["", limited] {
        let topic = unique("stop");
        let url = format!("{}?{options}", rabbit.url());
        let setup = Setup::new(&url).settings("executor_pool_size = 4");
        let mut host = setup.probe(&topic).start();
        let mut wire = Wire::connect(rabbit.port());
        for number in 0..CALLS {
            let message = json!({
                "method": "spin", "args": {"ms": 30}, "_msg_id": number.to_string(),
                "_reply_q": wire.reply_queue, "_unique_id": format!("{topic}-{number}"),
            });
            wire.publish("neutron", &topic, &envelope(&message));
        }
        let mut answered = vec![answer_of(wire.next_reply())];
        host.terminate();
        assert!(host.wait().success());
        while let Some(delivery) = wire.try_next(Duration::from_millis(500)) {
            answered.push(answer_of(message_of(&delivery.data)));
        }
        let before = answered.len();
        assert!(
            before < CALLS,
            "all were served before the stop: it shows nothing"
        );

        // Every other message is still there, for the next host.
        host.start();
        while answered.len() < CALLS {
            answered.push(answer_of(wire.next_reply()));
        }
        assert!(wire.try_next(Duration::from_millis(500)).is_none());
        answered.sort_unstable();
        assert_eq!(
            answered,
            (0..CALLS).collect::<Vec<_>>(),
            "{options}: each once"
        );
    }
}

/// The number of the call that this reply is for, which succeeded.
#[track_caller]
fn answer_of(reply: Value) -> usize {
    assert_eq!(reply["result"], 30, "{reply}");
    reply["_msg_id"]
        .as_str()
        .and_then(|id| id.parse().ok())
        .expect("its number")
}

#[test]
fn c65_what_arrives_during_a_stop_is_served_by_another() {
    const CALLS: usize = 3_000;
    let rabbit = rabbit::shared();
    let topic = unique("handover");
    let setup = || Setup::new(&rabbit.url()).probe(&topic);
    let _stays = setup().start();
    let mut wire = Wire::connect(rabbit.port());
    let stopped_twice = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let floods = scope.spawn(|| {
            while !stopped_twice.load(Ordering::SeqCst) {
                let seen = wire.flood("neutron", &topic, CALLS, 64);
                assert_eq!(seen.len(), CALLS);
                assert!(seen.values().all(|&times| times == 1));
            }
        });
        for _ in 0..2 {
            let mut leaves = setup().start();
            leaves.terminate();
            assert!(leaves.wait().success());
        }
        stopped_twice.store(true, Ordering::SeqCst);
        floods.join().expect("no panic");
    });
}

/// Queue and consumer tag of each consumer of a topic.
fn consumers(topic: &str) -> BTreeSet<(String, String)> {
    let listed = rabbit::shared().list(&["list_consumers", "queue_name", "consumer_tag"]);
    let text = |value: &Value| value.as_str().expect("text").to_owned();
    let pairs = listed
        .iter()
        .map(|c| (text(&c["queue_name"]), text(&c["consumer_tag"])));
    pairs
        .filter(|(queue, _)| queue.starts_with(topic))
        .collect()
}

#[test]
fn c66_after_a_cut_the_server_serves_again_under_the_same_names() {
    let proxy = Proxy::start(rabbit::shared().port());
    let topic = unique("cut");
    let host = Setup::new(&proxy.url()).probe(&topic).start();
    let mut wire = Wire::connect(rabbit::shared().port());
    let before = consumers(&topic);
    let tags: Vec<_> = before.iter().map(|(_, tag)| tag.as_str()).collect();
    assert_eq!(tags, ["1", "2", "3"]);
    let mut best = Duration::MAX;
    let reply = wire.call("neutron", &topic, json!({"method": "which"}));
    assert_eq!(reply["result"], "null 1.4");
    for _ in 0..3 {
        proxy.cut();
        let cut = Instant::now();
        let reply = wire.call("neutron", &topic, json!({"method": "which"}));
        assert_eq!(reply["result"], "null 1.4");
        best = best.min(cut.elapsed());
        assert_eq!(consumers(&topic), before);
    }
    // What upstream takes; a machine under load may need more for one of them.
    assert!(best < Duration::from_secs(2), "{best:?}");
    let log = host.log();
    assert_eq!(
        log.matches("Lost RabbitMQ at").count(),
        6,
        "each connection, each time: {log}"
    );
    assert_eq!(
        log.matches(&format!("Consuming {topic}")).count(),
        3,
        "{log}"
    );
}

#[test]
fn c67_a_deleted_queue_is_declared_again() {
    let served = Served::start();
    let topic = &served.topic;
    for queue in [topic.clone(), format!("{topic}.testhost")] {
        rabbit::shared().run(&["delete_queue", &queue]);
        served.host.logs("The broker cancelled a consumer");
        eventually("all three are consumed", || {
            (consumers(topic).len() == 3).then_some(())
        });
        assert_eq!(served.host.result(topic, "which", json!({})), "null 1.4");
        let directed = json!({"topic": topic, "server": "testhost", "method": "which"});
        assert_eq!(served.host.call_with(directed)["result"], "null 1.4");
    }
}

#[test]
fn c68_servers_share_calls_each_gets_fanouts_and_one_a_directed_call() {
    let topic = unique("shared");
    let url = rabbit::shared().url();
    let ours = |name: &str| {
        let setup = Setup::named(&url, name);
        setup.probe(&topic).start()
    };
    let hosts = [ours("first"), ours("second")];
    let server = Peer::start("server.py", &[&url, "neutron", &topic, "third"]);
    let mut client = Peer::start("client.py", &[&url, "neutron"]);
    let mut who = |server: Option<&str>| {
        client.result(json!({
            "do": "call", "topic": topic, "method": "who", "version": "1.0", "server": server,
        }))
    };
    let answers: BTreeSet<_> = (0..30).map(|_| who(None).to_string()).collect();
    assert_eq!(
        answers,
        ["\"endpointd\"", "\"oslo\""].map(str::to_owned).into()
    );
    assert_eq!(who(Some("first")), "endpointd");
    assert_eq!(who(Some("second")), "endpointd");
    assert_eq!(who(Some("third")), "oslo");

    let name = ["first", "second"];
    let mut cast = |fanout: bool, server: Option<&str>| {
        client.result(json!({
            "do": "cast", "topic": topic, "method": "count", "args": {"key": "k"},
            "version": "1.4", "fanout": fanout, "server": server,
        }));
    };
    cast(true, None);
    cast(false, Some("second"));
    eventually("one got both, the other the fanout", || {
        let counts = std::array::from_fn::<_, 2, _>(|n| count_at(&hosts[n], &topic, name[n]));
        (counts == [json!(1), json!(2)]).then_some(())
    });
    server.stop();
}

/// What the bucket of one host of several on a topic has under `k`.
fn count_at(host: &Host, topic: &str, server: &str) -> Value {
    let number = json!({
        "topic": topic, "server": server, "method": "number", "args": {"key": "k"},
        "version": "1.4",
    });
    host.call_with(number)["result"].clone()
}

#[test]
fn c69_with_streams_no_fanout_is_missed_or_run_twice() {
    let rabbit = rabbit::Rabbit::start();
    let proxy = Proxy::start(rabbit.port());
    let topic = unique("stream");
    let options =
        "rabbit_stream_fanout=1&rabbit_transient_quorum_queue=1&rabbit_qos_prefetch_count=4";
    let url = format!("{}?{options}&kombu_reconnect_delay=3", proxy.url());
    let mut host = Setup::new(&url).probe(&topic).start();
    let wire = Wire::connect(rabbit.port());
    let exchange = format!("{topic}_fanout");
    let fanout = |wire: &Wire, key: &str, times: usize| {
        for number in 0..times {
            let message = json!({
                "method": "count", "args": {"key": key}, "version": "1.4",
                "_unique_id": format!("{key}-{number}"),
            });
            wire.publish(&exchange, "", &envelope(&message));
        }
    };
    let counted = |host: &Host, key: &str, expected: usize| {
        eventually("every fanout was served", || {
            let found = host.result(&topic, "number", json!({"key": key}));
            assert!(
                found.as_u64().unwrap_or(0) <= expected as u64,
                "{key}: {found}"
            );
            (found == expected).then_some(())
        });
    };
    fanout(&wire, "before", 20);
    counted(&host, "before", 20);
    // While nobody listens; the host dials again after 3 s.
    proxy.cut();
    fanout(&wire, "during", 20);
    counted(&host, "during", 20);
    fanout(&wire, "after", 20);
    counted(&host, "after", 20);
    counted(&host, "before", 20);
    counted(&host, "during", 20);
    // A host that starts anew begins with what comes next.
    host.terminate();
    assert!(host.wait().success());
    host.start();
    fanout(&wire, "again", 3);
    counted(&host, "again", 3);
    for key in ["before", "during", "after"] {
        counted(&host, key, 20);
    }
}

#[test]
fn c70_a_crash_of_an_endpoint_is_a_failure_reply() {
    let topic = unique("crash");
    let rabbit = rabbit::shared();
    let _host = Setup::new(&rabbit.url())
        .plugin("crash", &bare_module("unreachable"), &topic, "")
        .start();
    let mut wire = Wire::connect(rabbit.port());
    for _ in 0..3 {
        let reply = wire.call("neutron", &topic, json!({"method": "run"}));
        assert_eq!(super::failure_of(&reply)["class"], "PluginTrap");
    }
    let mut served = Served::start();
    assert_eq!(served.failure(json!({"method": "panic"})).0, "PluginTrap");
    served.is_unharmed();
}
