//! Exchanges, queues, bindings and consumers: what the broker has of us, beside what it has of an
//! oslo.messaging server with the same options.

use std::collections::BTreeSet;

use lapin::options::{ExchangeDeclareOptions, ExchangeDeleteOptions, QueueDeleteOptions};
use serde_json::{Value, json};

use crate::support::host::{Host, Setup};
use crate::support::peer::Peer;
use crate::support::rabbit::{self, Rabbit};
use crate::support::unique;
use crate::support::wire::Wire;

/// Everything the broker has of some topics, to be looked at topic by topic.
struct Objects(Vec<String>);

impl Objects {
    fn list(rabbit: &Rabbit) -> Self {
        let queues = ["name", "durable", "auto_delete", "exclusive", "arguments"];
        let exchanges = ["name", "type", "durable", "auto_delete", "arguments"];
        let bindings = [
            "source_name",
            "destination_name",
            "destination_kind",
            "routing_key",
        ];
        let consumers = [
            "queue_name",
            "consumer_tag",
            "ack_required",
            "prefetch_count",
            "arguments",
        ];
        let mut found = Vec::new();
        for (command, columns) in [
            ("list_queues", queues.as_slice()),
            ("list_exchanges", &exchanges),
            ("list_bindings", &bindings),
            ("list_consumers", &consumers),
        ] {
            let objects = rabbit.list(&[[command].as_slice(), columns].concat());
            found.extend(objects.into_iter().map(|mut object| {
                // Of a table the order says nothing.
                if let Some(arguments) = object["arguments"].as_array_mut() {
                    arguments.sort_by_key(Value::to_string);
                }
                format!("{command} {object}")
            }));
        }
        Self(found)
    }

    /// Those of a topic and its exchange, with names of their own replaced.
    fn of(&self, topic: &str, exchange: &str) -> BTreeSet<String> {
        let ours = self.0.iter();
        let ours = ours.filter(|text| text.contains(topic) || text.contains(exchange));
        ours.map(|text| without_random(&text.replace(exchange, "EXCHANGE").replace(topic, "TOPIC")))
            .collect()
    }
}

/// Replaces each run of 32 hexadecimal digits after `_fanout_`.
fn without_random(text: &str) -> String {
    let mut parts: Vec<String> = text.split("_fanout_").map(str::to_owned).collect();
    for part in parts.iter_mut().skip(1) {
        let digits = part
            .get(..32)
            .is_some_and(|start| start.bytes().all(|b| b.is_ascii_hexdigit()));
        assert!(digits, "{part}");
        part.replace_range(..32, "RANDOM");
    }
    parts.join("_fanout_")
}

/// A topic with an exchange of its own, so that nothing of it is there before.
struct Place {
    topic: String,
    exchange: String,
}

impl Place {
    fn new() -> Self {
        Self {
            topic: unique("topology"),
            exchange: unique("exchange-of"),
        }
    }

    fn ours(&self, url: &str) -> Host {
        let setting = format!("control_exchange = \"{}\"", self.exchange);
        Setup::new(url)
            .settings(&setting)
            .probe(&self.topic)
            .start()
    }

    fn upstreams(&self, url: &str) -> Peer {
        Peer::start("server.py", &[url, &self.exchange, &self.topic, "testhost"])
    }
}

#[test]
fn c11_c16_the_broker_sees_what_it_sees_of_an_oslo_server() {
    let rabbit = rabbit::shared();
    let (theirs, ours) = (Place::new(), Place::new());
    let server = theirs.upstreams(&format!("{}?rabbit_qos_prefetch_count=16", rabbit.url()));
    let mut host = ours.ours(&rabbit.url());
    let objects = Objects::list(rabbit);
    let of_ours = objects.of(&ours.topic, &ours.exchange);
    assert_eq!(of_ours, objects.of(&theirs.topic, &theirs.exchange));
    // Three queues and their consumers, each queue bound by its name to the default exchange and by
    // a key to another; the exchange of the topic and that of the fanout.
    assert_eq!(of_ours.len(), 3 + 3 + 6 + 2, "{of_ours:#?}");
    server.stop();

    host.terminate();
    assert!(host.wait().success());
    let left = Objects::list(rabbit).of(&ours.topic, &ours.exchange);
    let queue = |name: &str| {
        let name = format!("\"name\":\"{name}\"");
        let of_that_name = |line: &&String| line.starts_with("list_queues") && line.contains(&name);
        left.iter().any(|line| of_that_name(&line))
    };
    assert!(queue("TOPIC") && queue("TOPIC.testhost"), "{left:#?}");
    let fanout = |line: &String| line.contains("RANDOM");
    assert!(
        !left.iter().any(fanout),
        "the fanout queue is gone: {left:#?}"
    );
}

#[test]
fn c16_a_kill_leaves_the_fanout_queue_to_expire() {
    let rabbit = rabbit::shared();
    let place = Place::new();
    let mut host = place.ours(&format!("{}?rabbit_transient_queues_ttl=77", rabbit.url()));
    host.kill();
    host.wait();
    let left = Objects::list(rabbit).of(&place.topic, &place.exchange);
    let fanout = left
        .iter()
        .find(|line| line.contains("list_queues") && line.contains("RANDOM"));
    let fanout = fanout.expect("it is there");
    assert!(
        fanout.contains("[\"x-expires\",\"signedint\",77000]"),
        "{fanout}"
    );
}

/// What can be set about the objects, as a query of `transport_url` that both sides read.
const OPTION_SETS: &[&str] = &[
    "amqp_durable_queues=true",
    "amqp_auto_delete=true",
    "amqp_durable_queues=true&amqp_auto_delete=true",
    "rabbit_quorum_queue=true",
    "rabbit_quorum_queue=true&rabbit_quorum_delivery_limit=3&rabbit_quorum_max_memory_length=100\
     &rabbit_quorum_max_memory_bytes=1000000",
    "rabbit_transient_quorum_queue=true&rabbit_quorum_delivery_limit=3",
    "rabbit_stream_fanout=true&rabbit_transient_quorum_queue=true",
    "rabbit_stream_fanout=true&rabbit_transient_quorum_queue=true&rabbit_transient_queues_ttl=0",
    "rabbit_ha_queues=true",
    "rabbit_transient_queues_ttl=0",
    "rabbit_transient_queues_ttl=30",
    "enable_cancel_on_failover=true",
];

#[test]
fn c12_c14_every_option_makes_the_objects_that_it_makes_of_an_oslo_server() {
    let rabbit = Rabbit::start();
    let mut plain = BTreeSet::new();
    for options in [""].iter().chain(OPTION_SETS) {
        let url = format!("{}?rabbit_qos_prefetch_count=7&{options}", rabbit.url());
        let (theirs, ours) = (Place::new(), Place::new());
        let (server, host) = (theirs.upstreams(&url), ours.ours(&url));
        let objects = Objects::list(&rabbit);
        // A stream's consumer says where it begins: theirs at the last message, ours after it.
        let of_theirs = objects.of(&theirs.topic, &theirs.exchange);
        let of_theirs = of_theirs.iter().map(|line| {
            line.replace(
                "[\"x-stream-offset\",\"longstr\",\"last\"]",
                "[\"x-stream-offset\",\"longstr\",\"next\"]",
            )
        });
        let of_theirs = of_theirs.collect::<BTreeSet<_>>();
        let of_ours = objects.of(&ours.topic, &ours.exchange);
        assert_eq!(of_ours, of_theirs, "{options}");
        match options.is_empty() {
            true => plain = of_ours,
            false => assert_ne!(of_ours, plain, "{options} changes something"),
        }
        // Each side also starts where the other was first, and both serve.
        let (beside_theirs, beside_ours) = (theirs.ours(&url), ours.upstreams(&url));
        for (place, host) in [(&theirs, &beside_theirs), (&ours, &host)] {
            let who = json!({
                "topic": place.topic, "exchange": place.exchange, "method": "who", "version": "1.0",
            });
            let answer = |_| {
                host.call_with(who.clone())["result"]
                    .as_str()
                    .map(str::to_owned)
            };
            let answers: BTreeSet<_> = (0..20).filter_map(answer).collect();
            assert_eq!(
                answers,
                ["endpointd", "oslo"].map(str::to_owned).into(),
                "{options}"
            );
        }
        server.stop();
        beside_ours.stop();
    }
}

#[test]
fn c13_options_that_exclude_each_other_end_the_start() {
    let url = rabbit::shared().url();
    for (options, expected) in [
        (
            "rabbit_stream_fanout=1&rabbit_transient_quorum_queue=1&rabbit_qos_prefetch_count=0",
            "`rabbit_stream_fanout` needs a `rabbit_qos_prefetch_count` above 0",
        ),
        (
            "rabbit_stream_fanout=1",
            "`rabbit_stream_fanout` needs `rabbit_transient_quorum_queue = true`",
        ),
        (
            "rabbit_quorum_queue=1&rabbit_ha_queues=1",
            "a queue is either a quorum queue or mirrored",
        ),
    ] {
        let setup = Setup::new(&format!("{url}?{options}")).probe(&unique("never"));
        let ended = setup.run_to_end();
        assert_eq!(ended.status.code(), Some(1), "{options}");
        let log = String::from_utf8_lossy(&ended.stderr);
        assert!(log.contains(expected), "{options}: {log}");
    }
}

#[test]
fn c15_an_exchange_that_is_not_durable_is_used_as_it_is() {
    let rabbit = rabbit::shared();
    let place = Place::new();
    let wire = Wire::connect(rabbit.port());
    wire.with_channel(async |channel| {
        let (options, table) = (ExchangeDeclareOptions::default(), Default::default());
        let name = place.exchange.as_str().into();
        let made = channel.exchange_declare(name, lapin::ExchangeKind::Topic, options, table);
        made.await.expect("made");
    });
    let host = place.ours(&format!("{}?amqp_durable_queues=true", rabbit.url()));
    let line = host.logs("does not survive a restart of the broker");
    assert!(
        line.contains("WARN") && line.contains(&place.exchange),
        "{line}"
    );
    let objects = Objects::list(rabbit).of(&place.topic, &place.exchange);
    let durable = |line: &&String| line.contains("\"durable\":true");
    assert_eq!(objects.iter().find(durable), None);
    // The side that sends does the same.
    let call = json!({"topic": place.topic, "method": "which", "version": "1.4", "exchange": place.exchange});
    assert_eq!(host.call_with(call)["result"], "null 1.4");
}

#[test]
fn c17_the_reply_queue_is_made_at_the_first_call_and_only_once() {
    let rabbit = Rabbit::start();
    let topic = unique("replies");
    let host = Setup::new(&rabbit.url()).probe(&topic).start();
    let replies = || {
        let queues = rabbit.list(&["list_queues", "name", "exclusive", "durable", "arguments"]);
        let is_reply = |queue: &Value| {
            queue["name"]
                .as_str()
                .is_some_and(|n| n.starts_with("reply_"))
        };
        queues.into_iter().filter(is_reply).collect::<Vec<_>>()
    };
    assert_eq!(replies(), [] as [Value; 0]);
    for _ in 0..3 {
        host.result(&topic, "which", json!({}));
    }
    let found = replies();
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(
        found[0]["name"].as_str().expect("text").len(),
        "reply_".len() + 32
    );
    assert_eq!(
        (&found[0]["exclusive"], &found[0]["durable"]),
        (&json!(false), &json!(false))
    );
    assert_eq!(
        found[0]["arguments"],
        json!([["x-expires", "signedint", 1_800_000]])
    );
}

#[test]
fn c18_the_names_of_a_queue_manager_are_the_same_after_a_restart() {
    let rabbit = Rabbit::start();
    let topic = unique("named");
    let url = format!(
        "{}?use_queue_manager=true&hostname=node1&processname=rpc",
        rabbit.url()
    );
    let mut host = Setup::new(&url).probe(&topic).start();
    let names = || {
        let queues = rabbit.list(&["list_queues", "name"]);
        let names = queues
            .iter()
            .map(|queue| queue["name"].as_str().expect("text").to_owned());
        names.collect::<BTreeSet<_>>()
    };
    host.result(&topic, "which", json!({}));
    let before = names();
    assert!(
        before.contains(&format!("{topic}_fanout_node1:rpc:1")),
        "{before:?}"
    );
    assert!(before.contains("reply_node1:rpc:2"), "{before:?}");
    host.terminate();
    assert!(host.wait().success());
    assert_eq!(names(), before, "they outlive a stop");
    host.start();
    host.result(&topic, "which", json!({}));
    assert_eq!(names(), before);
}

#[test]
fn c19_prefetch_is_set_for_each_consumer_and_0_sets_none() {
    let rabbit = rabbit::shared();
    for prefetch in [0, 5] {
        let place = Place::new();
        let url = format!("{}?rabbit_qos_prefetch_count={prefetch}", rabbit.url());
        let _host = place.ours(&url);
        let consumers = rabbit.list(&[
            "list_consumers",
            "queue_name",
            "prefetch_count",
            "channel_pid",
        ]);
        let ours = |consumer: &&Value| {
            let queue = consumer["queue_name"].as_str();
            queue.is_some_and(|name| name.starts_with(&place.topic))
        };
        let ours: Vec<_> = consumers.iter().filter(ours).collect();
        assert_eq!(ours.len(), 3);
        assert!(
            ours.iter()
                .all(|consumer| consumer["prefetch_count"] == prefetch),
            "{ours:?}"
        );
        let channels = rabbit.list(&["list_channels", "pid", "global_prefetch_count"]);
        let channel = channels
            .iter()
            .find(|channel| channel["pid"] == ours[0]["channel_pid"]);
        assert_eq!(channel.expect("it is listed")["global_prefetch_count"], 0);
    }
}

#[test]
fn an_exchange_of_another_kind_is_refused_in_words() {
    let rabbit = rabbit::shared();
    let place = Place::new();
    let wire = Wire::connect(rabbit.port());
    let name = || place.exchange.as_str().into();
    wire.with_channel(async |channel| {
        let (options, table) = (ExchangeDeclareOptions::default(), Default::default());
        let made = channel.exchange_declare(name(), lapin::ExchangeKind::Direct, options, table);
        made.await.expect("made");
    });
    let setting = format!("control_exchange = \"{}\"", place.exchange);
    let setup = Setup::new(&rabbit.url())
        .settings(&setting)
        .probe(&place.topic);
    let ended = setup.run_to_end();
    assert_eq!(ended.status.code(), Some(1));
    let log = String::from_utf8_lossy(&ended.stderr);
    let expected = format!(
        "endpointd: RabbitMQ refused the exchange `{}`",
        place.exchange
    );
    assert!(log.contains(&expected), "{log}");
    wire.with_channel(async |channel| {
        let deleted = channel
            .exchange_delete(name(), ExchangeDeleteOptions::default())
            .await;
        deleted.expect("deleted");
        let queue =
            channel.queue_delete(place.topic.as_str().into(), QueueDeleteOptions::default());
        queue.await.expect("nothing to delete is no error");
    });
}
