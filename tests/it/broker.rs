//! Load, backlogs, refusals, and a broker that is not there yet.

use std::collections::BTreeSet;

use crate::support::host::Setup;
use crate::support::rabbit::{self, Rabbit};
use crate::support::wire::Wire;
use crate::support::{eventually, free_port, unique};

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
fn a_message_that_the_broker_refuses_is_given_up_alone() {
    let rabbit = Rabbit::start();
    let topic = unique("forbidden");
    let host = Setup::new(&rabbit.url()).probe(&topic).start();
    let mut wire = Wire::connect(rabbit.port());
    // Nothing may be published to the default exchange, as replies are. The broker looks at that when
    // a channel is first used.
    let write = "^(?!amq\\.default$).*";
    rabbit.run(&["set_permissions", "guest", ".*", write, ".*"]);
    let message = serde_json::json!({
        "method": "which", "_msg_id": "1", "_reply_q": wire.reply_queue,
    });
    wire.publish("neutron", &topic, &crate::support::wire::envelope(&message));
    let line = host.logs("Dropped a reply");
    assert!(line.contains("RabbitMQ refused the message"), "{line}");
    rabbit.run(&["set_permissions", "guest", ".*", ".*", ".*"]);
    let reply = wire.call("neutron", &topic, serde_json::json!({"method": "which"}));
    assert_eq!(reply["result"], "null 1.4");
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

#[test]
fn who_talks_to_the_broker_preempts_nobody_and_all_others_are_as_usual() {
    let host = Setup::new("memory://").probe("turns").start();
    let threads = std::fs::read_dir(format!("/proc/{}/task", host.id())).expect("it runs");
    let policies: BTreeSet<String> = threads
        .filter_map(|thread| {
            let stat = std::fs::read_to_string(thread.ok()?.path().join("stat")).ok()?;
            let (name, rest) = stat.rsplit_once(") ").expect("a name");
            let name = name.split_once('(').expect("a name").1;
            // Where proc_pid_stat(5) has the policy; 0 is the usual one, 3 is `SCHED_BATCH`.
            let policy = rest.split(' ').nth(38).expect("a policy");
            Some(format!("{name} {policy}"))
        })
        .filter(|thread| {
            ["io", "worker", "patient"].contains(&thread.split(' ').next().unwrap_or_default())
        })
        .collect();
    assert_eq!(Vec::from_iter(policies), ["io 3", "patient 0", "worker 0"]);
}
