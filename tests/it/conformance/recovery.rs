//! What can befall a connection, a channel or a queue: the host serves again by itself, under the
//! same names, and says in one line what happened and what it does.

use std::time::Duration;

use serde_json::{Value, json};

use super::Served;
use crate::support::host::{Host, Setup};
use crate::support::rabbit::Rabbit;
use crate::support::wire::{Wire, envelope};
use crate::support::{eventually, unique};

/// The names of a topic's queues.
fn queues(rabbit: &Rabbit, topic: &str) -> Vec<String> {
    let queues = rabbit.list(&["list_queues", "name"]);
    let names = queues.iter().filter_map(|queue| queue["name"].as_str());
    let mut names: Vec<_> = names
        .filter(|n| n.starts_with(topic))
        .map(str::to_owned)
        .collect();
    names.sort();
    names
}

/// A call of a caller that came after what befell the broker.
#[track_caller]
fn serves(rabbit: &Rabbit, topic: &str) {
    let mut wire = Wire::connect(rabbit.port());
    let reply = wire.call("neutron", topic, json!({"method": "which"}));
    assert_eq!(reply["result"], "null 1.4");
}

/// The lines of the log that have `text`.
fn lines<'a>(log: &'a str, text: &str) -> Vec<&'a str> {
    log.lines().filter(|line| line.contains(text)).collect()
}

fn start(rabbit: &Rabbit, options: &str) -> (Host, String) {
    let topic = unique("recovery");
    let url = format!("{}?{options}", rabbit.url());
    (Setup::new(&url).probe(&topic).start(), topic)
}

#[test]
fn a_broker_that_was_stopped_is_noticed_and_found_again() {
    let rabbit = Rabbit::start();
    let (host, topic) = start(
        &rabbit,
        "heartbeat_timeout_threshold=1&rabbit_interval_max=1",
    );
    let before = queues(&rabbit, &topic);
    // It closes nothing: only the missing heartbeats tell.
    rabbit.signal("-STOP");
    let line = host.logs("Lost RabbitMQ at");
    assert!(
        line.contains("(listening)") && line.contains("connecting again"),
        "{line}"
    );
    host.logs("accepts connections but does not answer; trying again in 1 s");
    rabbit.signal("-CONT");
    host.logs(&format!("Consuming {topic}"));
    serves(&rabbit, &topic);
    assert_eq!(queues(&rabbit, &topic), before);
}

#[test]
fn a_broker_that_comes_back_empty_has_everything_declared_again() {
    let mut rabbit = Rabbit::start();
    let (host, topic) = start(&rabbit, "amqp_durable_queues=true");
    let before = queues(&rabbit, &topic);
    assert_eq!(before.len(), 3);
    rabbit.kill();
    rabbit.wipe();
    rabbit.boot();
    host.logs(&format!("Consuming {topic}"));
    serves(&rabbit, &topic);
    assert_eq!(queues(&rabbit, &topic), before);
    assert_eq!(lines(&host.log(), "Consuming").len(), 1);
}

#[test]
fn a_channel_that_the_broker_closes_is_replaced() {
    let rabbit = Rabbit::start();
    // Messages that wait here unacknowledged for longer than the broker likes: it closes their
    // channel with 406.
    rabbit.run(&[
        "eval",
        "application:set_env(rabbit, consumer_timeout, 1000).",
    ]);
    rabbit.run(&[
        "eval",
        "application:set_env(rabbit, channel_tick_interval, 500).",
    ]);
    let topic = unique("recovery");
    let setup = Setup::new(&rabbit.url()).settings("executor_pool_size = 1");
    let host = setup.probe(&topic).start();
    let mut wire = Wire::connect(rabbit.port());
    for number in 1..5 {
        let message = json!({
            "method": "spin", "args": {"ms": 2500}, "_msg_id": number,
            "_reply_q": wire.reply_queue, "_unique_id": format!("{topic}-{number}"),
        });
        wire.publish("neutron", &topic, &envelope(&message));
    }
    let line = host.logs("RabbitMQ closed the channel of");
    let told = line.contains("PRECONDITION") && line.contains("opening another");
    assert!(told, "{line}");
    host.logs(&format!("Consuming {topic}"));
    // What had waited is delivered again, and each is served once.
    let mut answered: Vec<_> = (1..5)
        .map(|_| wire.next_reply()["_msg_id"].clone())
        .collect();
    answered.sort_by_key(Value::as_u64);
    assert_eq!(answered, [1, 2, 3, 4].map(|number| json!(number)));
    assert!(wire.try_next(Duration::from_millis(500)).is_none());
    assert_eq!(
        lines(&host.log(), "Lost RabbitMQ"),
        [] as [&str; 0],
        "the connection stayed"
    );
}

#[test]
fn a_broker_that_blocks_publishers_is_waited_for() {
    let rabbit = Rabbit::start();
    let (host, topic) = start(&rabbit, "");
    host.result(&topic, "which", json!({}));
    rabbit.run(&["set_vm_memory_high_watermark", "absolute", "1"]);
    std::thread::scope(|scope| {
        let call = scope.spawn(|| host.result(&topic, "which", json!({})));
        let line = host.logs("takes no messages now");
        assert!(
            line.contains("(sending)") && line.contains("they wait until it does"),
            "{line}"
        );
        assert!(!call.is_finished());
        rabbit.run(&["set_vm_memory_high_watermark", "absolute", "1GB"]);
        host.logs("takes messages again");
        assert_eq!(call.join().expect("no panic"), "null 1.4");
    });
    assert_eq!(lines(&host.log(), "takes no messages now").len(), 1);
}

#[test]
fn a_killed_broker_is_found_again_by_itself() {
    let mut rabbit = Rabbit::start();
    let (host, topic) = start(&rabbit, "");
    let port = rabbit.port();
    let before = queues(&rabbit, &topic);
    assert_eq!(
        Wire::connect(port).flood("neutron", &topic, 500, 64).len(),
        500
    );

    // Killed with calls under way: those are lost with the broker's transient queues.
    let mut wire = Wire::connect(port);
    for number in 0..200 {
        let message = json!({
            "method": "spin", "args": {"ms": 5}, "_msg_id": number.to_string(),
            "_reply_q": wire.reply_queue,
        });
        wire.publish("neutron", &topic, &envelope(&message));
    }
    assert_eq!(wire.next_reply()["failure"], Value::Null);
    rabbit.kill();
    host.logs("Lost RabbitMQ at");
    host.logs("trying again in");
    rabbit.boot();
    host.logs(&format!("Consuming {topic}"));
    serves(&rabbit, &topic);
    assert_eq!(queues(&rabbit, &topic), before);
    assert_eq!(
        Wire::connect(port).flood("neutron", &topic, 500, 64).len(),
        500
    );
    let log = host.log();
    // One line a connection, whoever used it.
    assert!(lines(&log, "Lost RabbitMQ at").len() <= 2, "{log}");
    assert_eq!(lines(&log, "Consuming").len(), 1, "{log}");
}

#[test]
fn a_queue_that_cannot_be_had_is_asked_for_until_it_can() {
    let served = Served::start();
    let topic = &served.topic;
    let rabbit = crate::support::rabbit::shared();
    // Made anew by somebody else, with other flags, as soon as it is gone.
    served.wire.with_channel(async |channel| {
        use lapin::options::{QueueDeclareOptions, QueueDeleteOptions};
        let name = || topic.as_str().into();
        let deleted = channel.queue_delete(name(), QueueDeleteOptions::default());
        let made =
            channel.queue_declare(name(), QueueDeclareOptions::durable(), Default::default());
        let (deleted, made) = (deleted.await, made.await);
        deleted.expect("deleted");
        made.expect("made");
    });
    let line = served.host.logs("Cannot consume");
    let told =
        line.contains(&format!("the queue `{topic}`")) && line.contains("trying again in 1 s");
    assert!(told, "{line}");
    assert_eq!(served.host.ready(), 503, "it serves nothing");
    rabbit.run(&["delete_queue", topic]);
    eventually("it is served again", || {
        let answer = served.host.call_with(json!({
            "topic": topic, "method": "which", "timeout_ms": 500,
        }));
        (answer["result"] == "null 1.4").then_some(())
    });
    assert_eq!(served.host.ready(), 200);
}
