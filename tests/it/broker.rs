//! What we declare on the broker, and what happens when it is lost.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::host::Setup;
use crate::support::peer::Peer;
use crate::support::rabbit::{self, Rabbit};
use crate::support::wire::Wire;
use crate::support::{eventually, free_port, unique};

/// Everything the broker has of a topic, with the random part of names cut off.
fn objects(rabbit: &Rabbit, topic: &str) -> BTreeSet<String> {
    let queue_columns = ["name", "durable", "auto_delete", "exclusive", "arguments"];
    let mut queues = vec!["list_queues"];
    queues.extend(queue_columns);
    let exchanges = [
        "list_exchanges",
        "name",
        "type",
        "durable",
        "auto_delete",
        "arguments",
    ];
    let bindings = [
        "list_bindings",
        "source_name",
        "destination_name",
        "destination_kind",
        "routing_key",
        "arguments",
    ];
    let mut found = BTreeSet::new();
    for arguments in [queues.as_slice(), &exchanges, &bindings] {
        for object in rabbit.list(arguments) {
            let text = object.to_string();
            if text.contains(topic) {
                found.insert(format!("{} {}", arguments[0], without_random(&text)));
            }
        }
    }
    found
}

/// Replaces each run of 32 hexadecimal digits.
fn without_random(text: &str) -> String {
    let mut parts: Vec<String> = text.split("_fanout_").map(str::to_owned).collect();
    for part in parts.iter_mut().skip(1) {
        assert!(
            part[..32].bytes().all(|byte| byte.is_ascii_hexdigit()),
            "{part}"
        );
        part.replace_range(..32, "RANDOM");
    }
    parts.join("_fanout_")
}

#[test]
fn the_broker_sees_what_it_sees_of_an_oslo_server() {
    let rabbit = rabbit::shared();
    let topic = unique("topology");
    let exchange = unique("exchange-of-topology");
    let everything = || {
        [objects(rabbit, &topic), objects(rabbit, &exchange)]
            .into_iter()
            .flatten()
            .collect::<BTreeSet<_>>()
    };
    let server = Peer::start("server.py", &[&rabbit.url(), &exchange, &topic, "testhost"]);
    let of_oslo = everything();
    server.stop();
    // Whatever it left, so that ours has to declare everything itself.
    for queue in [topic.clone(), format!("{topic}.testhost")] {
        rabbit.run(&["delete_queue", &queue]);
    }
    let name = format!("rabbit_misc:r(<<\"/\">>, exchange, <<\"{exchange}\">>)");
    rabbit.run(&[
        "eval",
        &format!("rabbit_exchange:delete({name}, false, <<\"test\">>)."),
    ]);
    assert!(everything().is_empty());

    let setting = format!("control_exchange = \"{exchange}\"");
    let setup = Setup::new(&rabbit.url()).settings(&setting);
    let mut host = setup.probe(&topic).start();
    assert_eq!(everything(), of_oslo);
    // Three queues, each bound by its name to the default exchange and by a key to another; the
    // exchange of the topic and that of the fanout.
    assert_eq!(of_oslo.len(), 3 + 6 + 2, "{of_oslo:#?}");

    host.terminate();
    assert!(host.wait().success());
    let left = objects(rabbit, &topic);
    assert!(
        left.iter().all(|line| !line.contains("RANDOM")),
        "{left:#?}"
    );
    assert!(
        left.iter().any(|line| line.starts_with("list_queues")),
        "{left:#?}"
    );
}

#[test]
fn twenty_thousand_calls_with_64_in_flight_lose_none() {
    const CALLS: usize = 20_000;
    let rabbit = rabbit::shared();
    let topic = unique("flood");
    let _host = Setup::new(&rabbit.url()).probe(&topic).start();
    let mut wire = Wire::connect(rabbit.port());
    let seen = wire.flood("neutron", &topic, CALLS, 64);
    assert_eq!(seen.len(), CALLS);
    assert!(seen.values().all(|&times| times == 1));
}

#[test]
fn a_backlog_stays_with_the_broker() {
    const CALLS: usize = 200;
    const POOL: usize = 2;
    // The default prefetch, which is what one queue may have waiting in a host.
    const WAITING: usize = 16;
    let rabbit = rabbit::shared();
    let topic = unique("backlog");
    let setting = format!("executor_pool_size = {POOL}");
    let host = Setup::new(&rabbit.url())
        .settings(&setting)
        .probe(&topic)
        .start();
    let wire = Wire::connect(rabbit.port());
    for number in 0..CALLS {
        // Longer than this test: none ends while it looks.
        let message = serde_json::json!({
            "method": "spin", "args": {"ms": 600_000}, "_unique_id": format!("{topic}-{number}"),
        });
        wire.publish("neutron", &topic, &crate::support::wire::envelope(&message));
    }
    let columns = [
        "list_queues",
        "name",
        "messages_ready",
        "messages_unacknowledged",
    ];
    let left = CALLS - POOL - WAITING;
    eventually("the host has taken what it may, and no more", || {
        let queues = rabbit.list(&columns);
        let queue = queues.iter().find(|queue| queue["name"] == *topic)?;
        assert!(queue["messages_ready"].as_u64()? >= left as u64, "{queue}");
        (queue["messages_ready"] == left && queue["messages_unacknowledged"] == WAITING)
            .then_some(())
    });
    // What it held and did not run is the broker's again.
    drop(host);
    eventually("the rest is back in the queue", || {
        let queues = rabbit.list(&columns);
        let queue = queues.iter().find(|queue| queue["name"] == *topic)?;
        (queue["messages_ready"] == CALLS - POOL).then_some(())
    });
    rabbit.run(&["delete_queue", &topic]);
}

#[test]
fn a_killed_broker_is_found_again_by_itself() {
    let mut rabbit = Rabbit::start();
    let topic = unique("killed");
    let host = Setup::new(&rabbit.url()).probe(&topic).start();
    let port = rabbit.port();
    assert_eq!(
        Wire::connect(port).flood("neutron", &topic, 500, 64).len(),
        500
    );

    // Killed with calls under way: those are lost with the broker's transient queues.
    let mut wire = Wire::connect(port);
    for number in 0..200 {
        let message = serde_json::json!({
            "method": "spin", "args": {"ms": 5}, "_msg_id": number.to_string(),
            "_reply_q": wire.reply_queue,
        });
        wire.publish("neutron", &topic, &crate::support::wire::envelope(&message));
    }
    assert_eq!(wire.next_reply()["failure"], Value::Null);
    rabbit.kill();
    host.logs("Lost RabbitMQ at");
    host.logs("trying again in");
    rabbit.boot();
    let returned = Instant::now();
    host.logs(&format!("Consuming {topic}"));
    let mut wire = Wire::connect(port);
    let reply = wire.call("neutron", &topic, serde_json::json!({"method": "which"}));
    assert_eq!(reply["result"], "null 1.4");
    // What operators are promised; it takes about a hundredth of it.
    assert!(
        returned.elapsed() < Duration::from_secs(5),
        "{:?}",
        returned.elapsed()
    );
    assert_eq!(wire.flood("neutron", &topic, 500, 64).len(), 500);
}

#[test]
fn what_the_broker_refuses_one_call_costs_no_other() {
    let rabbit = rabbit::shared();
    let topic = unique("refused");
    let host = Setup::new(&rabbit.url()).probe(&topic).start();
    let mut wire = Wire::connect(rabbit.port());
    let call = |exchange: &str| {
        let request = serde_json::json!({"topic": topic, "method": "which", "exchange": exchange});
        host.call_with(request)["error"]
            .as_str()
            .expect("an error")
            .to_owned()
    };
    std::thread::scope(|scope| {
        let flood = scope.spawn(|| wire.flood("neutron", &topic, 3000, 64));
        while !flood.is_finished() {
            // It exists with another type.
            let error = call("amq.direct");
            assert!(
                error.starts_with("RabbitMQ refused the exchange"),
                "{error}"
            );
            assert_eq!(call(&"x".repeat(300)), "a name has more than 255 bytes");
        }
        assert_eq!(flood.join().expect("no panic").len(), 3000);
    });
}

#[test]
fn a_deleted_queue_is_declared_again() {
    let rabbit = rabbit::shared();
    let topic = unique("deleted");
    let host = Setup::new(&rabbit.url()).probe(&topic).start();
    rabbit.run(&["delete_queue", &topic]);
    host.logs("The broker cancelled a consumer");
    host.logs(&format!("Consuming {topic}"));
    assert_eq!(
        host.result(&topic, "which", serde_json::json!({})),
        "null 1.4"
    );
}

#[test]
fn a_host_that_starts_before_its_broker_waits_for_it() {
    let rabbit = Rabbit::start();
    let topic = unique("early");
    let admin = format!("127.0.0.1:{}", free_port());
    let url = rabbit.url();
    let mut rabbit = rabbit;
    rabbit.kill();
    let starting = std::thread::spawn({
        let topic = topic.clone();
        let admin = admin.clone();
        move || Setup::new(&url).admin(&admin).probe(&topic).start()
    });
    let admin = format!("http://{admin}");
    let ready = || {
        let agent: ureq::Agent = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .build()
            .into();
        let mut response = agent.get(format!("{admin}/ready")).call().ok()?;
        Some((
            response.status().as_u16(),
            response.body_mut().read_to_string().ok()?,
        ))
    };
    let waiting = (503, "waiting for the broker\n".to_owned());
    assert_eq!(eventually("the admin listener answers", ready), waiting);
    assert!(!starting.is_finished(), "there is nothing to be ready with");
    rabbit.boot();
    let host = starting.join().expect("it starts");
    let answer = eventually("it answers", || {
        host.call(&topic, "which", serde_json::json!({}))
            .get("result")
            .cloned()
    });
    assert_eq!(answer, "null 1.4");
    assert_eq!(ready(), Some((200, "ready\n".to_owned())));
    rabbit.kill();
    eventually("it is not ready without its broker", || {
        (ready()? == waiting).then_some(())
    });
}
