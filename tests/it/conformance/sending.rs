//! What a client sends, to whom, and what it refuses to send.

use std::time::{Duration, Instant};

use endpointd::client::ClientError;
use endpointd::transport::TransportError;
use lapin::options::{QueueBindOptions, QueueDeclareOptions};
use lapin::types::{AMQPValue, FieldTable};
use serde_json::{Value, json};

use crate::support::caller::Caller;
use crate::support::peer::Peer;
use crate::support::rabbit::Rabbit;
use crate::support::wire::{Wire, message_of};
use crate::support::{eventually, free_port, rabbit, unique};

/// A caller, and the wire that gets what it sends to `topic`.
struct Watched {
    caller: Caller,
    wire: Wire,
    topic: String,
}

impl Watched {
    fn start() -> Self {
        let rabbit = rabbit::shared();
        let caller = Caller::connect(&rabbit.url());
        let wire = Wire::connect(rabbit.port());
        let topic = unique("watched");
        // The first message makes the exchange.
        let nobody = caller.of("nobody").at_least_once(false);
        caller.cast(&nobody, "m", json!({})).expect("sent");
        wire.take_over("neutron", &topic);
        Self {
            caller,
            wire,
            topic,
        }
    }

    /// The message that arrives next, without the values that are new each time.
    #[track_caller]
    fn next(&mut self) -> Value {
        let mut message = message_of(&self.wire.next_delivery().data);
        for key in ["_unique_id", "_msg_id"] {
            if let Some(id) = message.get_mut(key) {
                assert_eq!(id.as_str().map(str::len), Some(32), "{key}");
                *id = json!("an id");
            }
        }
        if let Some(queue) = message.get_mut("_reply_q") {
            assert!(
                queue
                    .as_str()
                    .is_some_and(|name| name.starts_with("reply_"))
            );
            *queue = json!("a queue");
        }
        message
    }
}

#[test]
fn c28_c29_each_kind_of_message_has_its_own_keys() {
    let mut watched = Watched::start();
    let client = watched.caller.of(&watched.topic);
    let context = json!({"user": "é", "roles": ["a"]});

    let plain = client.prepare().timeout(Duration::from_secs(2));
    let args = json!({"a": 1});
    let outcome: Result<Value, _> = watched.caller.run(plain.call(&context, "m", &args));
    assert!(matches!(outcome, Err(ClientError::TimedOut { .. })));
    let expected = json!({
        "method": "m", "args": {"a": 1}, "_msg_id": "an id", "_reply_q": "a queue",
        "_timeout": null, "_unique_id": "an id", "_context_user": "é", "_context_roles": ["a"],
    });
    assert_eq!(watched.next(), expected);

    let full = plain.prepare().namespace("n").version("1.2").expect("one");
    let full = full.call_monitor_timeout(Duration::from_secs(4));
    let _: Result<Value, _> = watched.caller.run(full.call(&json!({}), "m", &json!({})));
    let expected = json!({
        "method": "m", "args": {}, "namespace": "n", "version": "1.2", "_msg_id": "an id",
        "_reply_q": "a queue", "_timeout": 4, "_unique_id": "an id",
    });
    assert_eq!(watched.next(), expected);

    watched
        .caller
        .run(client.cast(&context, "m", &args))
        .expect("sent");
    let expected = json!({
        "method": "m", "args": {"a": 1}, "_unique_id": "an id", "_context_user": "é",
        "_context_roles": ["a"],
    });
    assert_eq!(watched.next(), expected);

    let queue = unique("fanned-out");
    let exchange = format!("{}_fanout", watched.topic);
    watched.wire.make_fanout_queue(&exchange, &queue);
    let all = client.prepare().fanout(true);
    watched
        .caller
        .run(all.cast(&json!({}), "m", &args))
        .expect("sent");
    let fanned_out = eventually("it was fanned out", || watched.wire.take(&queue));
    let mut message = message_of(&fanned_out.data);
    assert!(message["_unique_id"].take().is_string());
    assert_eq!(
        message,
        json!({"method": "m", "args": {"a": 1}, "_unique_id": null})
    );
}

#[test]
fn c28_an_oslo_client_sends_the_same() {
    let mut watched = Watched::start();
    let mut theirs = Peer::start("client.py", &[&rabbit::shared().url(), "neutron"]);
    let client = watched
        .caller
        .of(&watched.topic)
        .timeout(Duration::from_secs(1));
    let context = json!({"user": "u", "is_admin": true});
    for (namespace, version, monitor) in [(None, None, None), (Some("n"), Some("1.2"), Some(2))] {
        let mut request = json!({
            "do": "call", "topic": watched.topic, "method": "m", "args": {"a": [1, "é"]},
            "timeout": 1, "context": context, "call_monitor_timeout": monitor,
            "version": version, "namespace": namespace,
        });
        assert_eq!(theirs.ask(request.clone())["raised"], "MessagingTimeout");
        let by_oslo = watched.next();
        let monitor = monitor.map(Duration::from_secs);
        let ours = client
            .prepare()
            .namespace(namespace)
            .call_monitor_timeout(monitor);
        let ours = ours.version(version).expect("one");
        let args = json!({"a": [1, "é"]});
        let _: Result<Value, _> = watched.caller.run(ours.call(&context, "m", &args));
        assert_eq!(watched.next(), by_oslo);

        request["do"] = json!("cast");
        assert!(theirs.ask(request).get("result").is_some());
        let by_oslo = watched.next();
        watched
            .caller
            .run(ours.cast(&context, "m", &args))
            .expect("sent");
        assert_eq!(watched.next(), by_oslo);
    }
}

#[test]
fn c30_a_server_is_a_part_of_the_key_and_a_fanout_has_none() {
    let mut watched = Watched::start();
    let directed = format!("{}.one", watched.topic);
    watched.wire.take_over("neutron", &directed);
    let one = watched.caller.of(&watched.topic).server("one");
    watched.caller.cast(&one, "m", json!({})).expect("sent");
    let delivery = watched.wire.next_delivery();
    assert_eq!(delivery.exchange.as_str(), "neutron");
    assert_eq!(delivery.routing_key.as_str(), directed);

    let queue = unique("fanned-out");
    let exchange = format!("{}_fanout", watched.topic);
    watched.wire.make_fanout_queue(&exchange, &queue);
    let all = one.fanout(true);
    watched.caller.cast(&all, "m", json!({})).expect("sent");
    let delivery = eventually("it was fanned out", || watched.wire.take(&queue));
    assert_eq!(delivery.exchange.as_str(), exchange);
    assert_eq!(delivery.routing_key.as_str(), "");
}

#[test]
fn c71_prepare_keeps_what_it_is_not_given_and_replaces_the_rest() {
    let caller = Caller::connect(&rabbit::shared().url());
    let base = caller
        .of("t")
        .namespace("n")
        .server("s")
        .version("1.2")
        .expect("one");
    let kept = base.prepare();
    assert_eq!(kept.target(), base.target());
    let target = "<Target exchange=neutron, topic=t, namespace=n, version=1.2, server=s>";
    assert_eq!(kept.target().to_string(), target);
    let replaced = base
        .prepare()
        .topic("u")
        .namespace(None)
        .server(None)
        .fanout(true);
    let replaced = replaced.version(None).expect("none");
    let target = "<Target exchange=neutron, topic=u, fanout=True>";
    assert_eq!(replaced.target().to_string(), target);
    assert!(
        replaced.prepare().can_send_version(Some("9.9")),
        "there is no cap"
    );

    let mut theirs = Peer::start("client.py", &[&rabbit::shared().url(), "neutron"]);
    for malformed in ["1", "rubbish", "1.x", ""] {
        let refused = base
            .prepare()
            .version(malformed)
            .err()
            .expect("refused")
            .to_string();
        let expected = format!("Version must contain a major and minor integer. Got {malformed}");
        assert_eq!(refused, expected);
        let raised = theirs.ask(json!({"do": "prepare", "version": malformed}));
        assert_eq!(raised["message"], expected, "upstream says the same");
    }
}

#[test]
fn c72_a_version_cap_refuses_what_servers_may_be_too_old_for() {
    let caller = Caller::connect(&rabbit::shared().url());
    let mut theirs = Peer::start("client.py", &[&rabbit::shared().url(), "neutron"]);
    for (cap, version) in [
        (None, None),
        (None, Some("1.3")),
        (Some("1.2"), None),
        (Some("1.2"), Some("1.0")),
        (Some("1.2"), Some("1.2")),
        (Some("1.2"), Some("1.3")),
        (Some("1.2"), Some("1.2.1")),
        (Some("1.10"), Some("1.9")),
        (Some("1.2"), Some("2.0")),
        (Some("2.0"), Some("1.0")),
    ] {
        let ours = caller.of("t").version_cap(cap).expect("one");
        let expected = theirs.result(json!({
            "do": "can_send", "topic": "t", "version": version, "version_cap": cap,
        }));
        assert_eq!(
            ours.can_send_version(version),
            expected,
            "{version:?} under {cap:?}"
        );
        if expected == true {
            continue;
        }
        let ours = ours.version(version).expect("one");
        let refused = caller
            .call(&ours, "m", json!({}))
            .expect_err("refused")
            .to_string();
        let raised = theirs.ask(json!({
            "do": "call", "topic": "t", "method": "m", "version": version, "version_cap": cap,
        }));
        assert_eq!(raised["raised"], "RPCVersionCapError");
        assert_eq!(raised["message"], refused);
        let refused = caller.cast(&ours, "m", json!({})).expect_err("refused");
        assert!(matches!(refused, ClientError::VersionCap { .. }));
    }
}

#[test]
fn c73_a_call_by_fanout_and_a_message_without_topic_are_refused() {
    let caller = Caller::connect(&rabbit::shared().url());
    let mut theirs = Peer::start("client.py", &[&rabbit::shared().url(), "neutron"]);
    let all = caller.of("t").version("1.0").expect("one").fanout(true);
    let refused = caller
        .call(&all, "m", json!({}))
        .expect_err("refused")
        .to_string();
    let expected = "A call cannot be used with fanout:<Target exchange=neutron, topic=t, \
                    version=1.0, fanout=True>";
    assert_eq!(refused, expected);
    let request = json!({
        "do": "call", "topic": "t", "method": "m", "version": "1.0", "fanout": true,
    });
    assert_eq!(theirs.ask(request)["message"], expected);

    let nowhere = caller.of("t").topic(None);
    let expected = "A topic is required to send:<Target exchange=neutron>";
    for refused in [
        caller.call(&nowhere, "m", json!({})).map(drop),
        caller.cast(&nowhere, "m", json!({})),
    ] {
        assert_eq!(refused.expect_err("refused").to_string(), expected);
    }
    assert_eq!(
        theirs.ask(json!({"do": "call", "method": "m"}))["message"],
        expected
    );
}

#[test]
fn what_is_no_object_is_neither_context_nor_arguments() {
    let caller = Caller::connect(&rabbit::shared().url());
    let client = caller.of("t");
    let refused = caller.call(&client, "m", json!([1])).expect_err("refused");
    assert_eq!(
        refused.to_string(),
        "args cannot be sent: it is not an object"
    );
    let refused = caller.run(client.cast(&json!("me"), "m", &json!({})));
    let refused = refused.expect_err("refused").to_string();
    assert_eq!(refused, "the context cannot be sent: it is not an object");
}

#[test]
fn c76_what_no_queue_takes_is_an_error_or_is_lost_as_was_asked() {
    let caller = Caller::connect(&rabbit::shared().url());
    let topic = unique("nobody");
    let sure = caller.of(&topic).at_least_once(true);
    let expected = format!("no server listens to `{topic}` in the exchange `neutron`");
    for outcome in [
        caller.call(&sure, "m", json!({})).map(drop),
        caller.cast(&sure, "m", json!({})),
    ] {
        let error = outcome.expect_err("nobody has it");
        assert!(matches!(error, ClientError::Undeliverable { .. }));
        assert_eq!(error.to_string(), expected);
    }
    let unsure = sure
        .at_least_once(false)
        .timeout(Duration::from_millis(300));
    caller.cast(&unsure, "m", json!({})).expect("sent");
    let error = caller
        .call(&unsure, "m", json!({}))
        .expect_err("nobody answers");
    assert!(matches!(error, ClientError::TimedOut { .. }), "{error}");
}

#[test]
fn c78_a_fanout_succeeds_after_the_last_server_took_the_exchange_along() {
    let caller = Caller::connect(&rabbit::shared().url());
    let topic = unique("fanned");
    // Even without a retry: it is nobody's failure.
    let all = caller.of(&topic).fanout(true).retry(0);
    for _ in 0..2 {
        let url = rabbit::shared().url();
        let server = Peer::start("server.py", &[&url, "neutron", &topic, "s"]);
        caller
            .cast(&all, "note", json!({"value": 1}))
            .expect("sent");
        let count = caller.of(&topic);
        eventually("it was served", || {
            let count = caller.call(&count, "count", json!({})).expect("a count");
            (count == 1).then_some(())
        });
        server.stop();
        // Its queue was the last one, so the exchange is gone.
        let exchange = format!("{topic}_fanout");
        let exchanges = rabbit::shared().list(&["list_exchanges", "name"]);
        assert!(exchanges.iter().all(|found| found["name"] != exchange));
        caller
            .cast(&all, "note", json!({"value": 1}))
            .expect("sent");
    }
}

#[test]
fn c79_a_message_that_the_broker_could_not_take_is_published_again() {
    let rabbit = rabbit::shared();
    let caller = Caller::connect(&rabbit.url());
    let wire = Wire::connect(rabbit.port());
    let topic = unique("narrow");
    let nobody = caller.of("nobody").at_least_once(false);
    caller
        .cast(&nobody, "m", json!({}))
        .expect("the exchange is made");
    // It has room for one message, and the broker says no (nack) to the next.
    wire.with_channel(async |channel| {
        let mut table = FieldTable::default();
        table.insert("x-max-length".into(), AMQPValue::LongInt(1));
        let overflow = AMQPValue::LongString("reject-publish".into());
        table.insert("x-overflow".into(), overflow);
        let name = || topic.as_str().into();
        let made = channel.queue_declare(name(), QueueDeclareOptions::default(), table);
        made.await.expect("made");
        let options = QueueBindOptions::default();
        let table = FieldTable::default();
        let bound = channel.queue_bind(name(), "neutron".into(), name(), options, table);
        bound.await.expect("bound");
    });
    let client = caller.of(&topic);
    caller.cast(&client, "first", json!({})).expect("sent");
    let none_more = client.prepare().retry(0);
    let error = caller
        .cast(&none_more, "refused", json!({}))
        .expect_err("there is no room");
    assert!(error.to_string().contains("could not take it"), "{error}");

    let second = {
        let client = client.prepare();
        caller.start(async move { client.cast(&json!({}), "second", &json!({})).await })
    };
    std::thread::sleep(Duration::from_millis(500));
    assert!(!second.is_finished(), "nothing confirmed it");
    let method = |wire: &Wire| {
        let delivery = eventually("it is there", || wire.take(&topic));
        message_of(&delivery.data)["method"].clone()
    };
    assert_eq!(method(&wire), "first");
    caller
        .outcome(second)
        .expect("sent, now that there is room");
    assert_eq!(method(&wire), "second");
    assert!(wire.take(&topic).is_none());

    // And one that never finds room ends at its deadline.
    caller.cast(&client, "third", json!({})).expect("sent");
    let started = Instant::now();
    let hurried = client.timeout(Duration::from_millis(300));
    let error = caller
        .cast(&hurried, "fourth", json!({}))
        .expect_err("there is no room");
    assert!(matches!(error, ClientError::NotSent(_)), "{error}");
    assert!(started.elapsed() >= Duration::from_millis(300));
}

#[test]
fn c76_each_of_hundreds_is_told_what_became_of_its_own_message() {
    let url = rabbit::shared().url();
    let topic = unique("mixed");
    let server = Peer::start("server.py", &[&url, "neutron", &topic, "s"]);
    let caller = Caller::connect(&url);
    let (served, nobody) = (caller.of(&topic), caller.of(&unique("nobody")));
    let calling: Vec<_> = (0..600)
        .map(|number| {
            let args = json!({"value": number});
            // No pattern that confirms of several messages at once could follow.
            match number % 2 == 0 || number % 5 == 0 {
                true => caller.start_call(served.prepare(), "echo", args),
                false => caller.start_call(nobody.prepare(), "echo", args),
            }
        })
        .collect();
    for (number, calling) in calling.into_iter().enumerate() {
        let outcome = caller.outcome(calling);
        match number % 2 == 0 || number % 5 == 0 {
            true => assert_eq!(outcome.expect("its own"), number),
            false => assert!(
                matches!(outcome, Err(ClientError::Undeliverable { .. })),
                "{number}: {outcome:?}"
            ),
        }
    }
    server.stop();
}

#[test]
fn a_message_that_the_broker_finds_too_large_harms_no_other() {
    let rabbit = Rabbit::start_with(free_port(), |_| "max_message_size = 100000\n".to_owned());
    let topic = unique("narrow");
    let server = Peer::start("server.py", &[&rabbit.url(), "neutron", &topic, "s"]);
    let caller = Caller::connect(&rabbit.url());
    let client = caller.of(&topic);
    let large = "x".repeat(200_000);
    let casting: Vec<_> = (0..200)
        .map(|number| {
            let client = client.prepare();
            let args = match number % 10 {
                0 => json!({"value": large}),
                _ => json!({"value": number}),
            };
            caller.start(async move { client.cast(&json!({}), "note", &args).await })
        })
        .collect();
    for (number, casting) in casting.into_iter().enumerate() {
        let outcome = caller.outcome(casting);
        if number % 10 != 0 {
            outcome.expect("sent");
            continue;
        }
        let error = outcome.expect_err("it is too large");
        assert!(
            matches!(&error, ClientError::NotSent(TransportError::Refused(reason))
                if reason.contains("message size 200")),
            "{error}"
        );
    }
    eventually("the others arrived", || {
        let count = caller.call(&client, "count", json!({}));
        (count.expect("a number") == 180).then_some(())
    });
    server.stop();
}

#[test]
fn messages_that_the_broker_refuses_use_up_no_connection() {
    let options = "channel_max = 16\nmax_message_size = 100000\n";
    let rabbit = Rabbit::start_with(free_port(), |_| options.to_owned());
    let topic = unique("refused");
    let server = Peer::start("server.py", &[&rabbit.url(), "neutron", &topic, "s"]);
    let caller = Caller::connect(&rabbit.url());
    let client = caller.of(&topic);
    let large = json!({"value": "x".repeat(200_000)});
    // Each costs the number of a channel, of which there are sixteen.
    for _ in 0..40 {
        let error = caller
            .cast(&client, "note", large.clone())
            .expect_err("it is too large");
        assert!(
            matches!(error, ClientError::NotSent(TransportError::Refused(_))),
            "{error}"
        );
    }
    let number = caller.call(&client, "count", json!({}));
    assert_eq!(number.expect("a number"), 0);
    server.stop();
}

#[test]
fn messages_that_are_given_up_cost_no_connection() {
    let rabbit = Rabbit::start();
    let topic = unique("given-up");
    let server = Peer::start("server.py", &[&rabbit.url(), "neutron", &topic, "s"]);
    let caller = Caller::connect(&rabbit.url());
    let client = caller.of(&topic);
    let count = || caller.call(&client, "count", json!({})).expect("a number");
    assert_eq!(count(), 0);
    let connections = || {
        let listed = rabbit.list(&["list_connections", "pid"]);
        let mut pids: Vec<_> = listed.iter().map(|one| one["pid"].to_string()).collect();
        pids.sort();
        pids
    };
    let before = connections();
    rabbit.run(&["set_vm_memory_high_watermark", "absolute", "1"]);
    let hasty = client.prepare().timeout(Duration::from_millis(300));
    let args = json!({"value": "x".repeat(50_000)});
    let casting: Vec<_> = (0..200)
        .map(|_| {
            let (hasty, args) = (hasty.prepare(), args.clone());
            caller.start(async move { hasty.cast(&json!({}), "note", &args).await })
        })
        .collect();
    for casting in casting {
        let error = caller.outcome(casting).expect_err("it takes no messages");
        assert!(matches!(error, ClientError::NotSent(_)), "{error}");
    }
    rabbit.run(&["set_vm_memory_high_watermark", "absolute", "1GB"]);
    // Those that had begun still arrive, and nobody was cut off.
    eventually("the broker goes on", || (count() != 0).then_some(()));
    assert_eq!(connections(), before);
    server.stop();
}
