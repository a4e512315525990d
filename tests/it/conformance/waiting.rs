//! What a client makes of the replies that it gets, of those that it does not get, and of a broker
//! that is not there.

use std::io::Read;
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use endpointd::client::back_off::BackingOffClient;
use endpointd::client::{ClientError, RpcClient};
use endpointd::transport::TransportError;
use serde_json::{Value, json};

use crate::support::caller::Caller;
use crate::support::peer::Peer;
use crate::support::proxy::Proxy;
use crate::support::rabbit::Rabbit;
use crate::support::wire::{Wire, message_of};
use crate::support::{eventually, free_port, rabbit, unique};

/// A caller whose server is the test: it gets the calls to `topic`, and writes any reply.
struct Played {
    caller: Caller,
    wire: Wire,
    client: RpcClient,
}

impl Played {
    fn start() -> Self {
        Self::start_through(&rabbit::shared().url())
    }

    /// With a way of its own to the shared broker.
    fn start_through(url: &str) -> Self {
        let caller = Caller::connect(url);
        let wire = Wire::connect(rabbit::shared().port());
        let topic = unique("played");
        let nobody = caller.of("nobody").at_least_once(false);
        caller
            .cast(&nobody, "m", json!({}))
            .expect("the exchange is made");
        wire.take_over("neutron", &topic);
        Self {
            client: caller.of(&topic),
            caller,
            wire,
        }
    }

    /// What a call makes of these replies.
    fn outcome(&mut self, replies: &[Value]) -> Result<Value, ClientError> {
        let calling = self
            .caller
            .start_call(self.client.prepare(), "m", json!({}));
        let call = self.wire.next_delivery();
        for reply in replies {
            self.wire.reply_to(&call, reply.clone());
        }
        self.caller.outcome(calling)
    }

    /// The failure that a call makes of this text.
    #[track_caller]
    fn failure(&mut self, text: &str) -> (String, String, String, Vec<String>) {
        let reply = json!({"result": null, "failure": text, "ending": true});
        match self.outcome(&[reply]) {
            Err(ClientError::Remote(failure)) => (
                failure.module,
                failure.class,
                failure.message,
                failure.traceback,
            ),
            other => panic!("{text}: {other:?}"),
        }
    }

    /// The messages in the client's reply queue, acknowledged or not.
    fn left_over(&self, reply_queue: &str) -> Value {
        let queues = rabbit::shared().list(&["list_queues", "name", "messages"]);
        let queue = queues
            .into_iter()
            .find(|queue| queue["name"] == *reply_queue);
        queue.expect("the queue")["messages"].clone()
    }
}

fn texts(module: &str, class: &str, message: &str) -> (String, String, String, Vec<String>) {
    (
        module.to_owned(),
        class.to_owned(),
        message.to_owned(),
        Vec::new(),
    )
}

#[test]
fn c22_a_reply_without_an_envelope_is_accepted() {
    let mut played = Played::start();
    let calling = played
        .caller
        .start_call(played.client.prepare(), "m", json!({}));
    let call = message_of(&played.wire.next_delivery().data);
    let reply = json!({
        "result": [1], "failure": null, "ending": true, "_msg_id": call["_msg_id"],
    });
    let queue = call["_reply_q"].as_str().expect("a name");
    played.wire.publish("", queue, reply.to_string().as_bytes());
    assert_eq!(
        played.caller.outcome(calling).expect("a result"),
        json!([1])
    );
}

#[test]
fn c38_a_reply_in_two_messages_is_the_first_ones_result() {
    let mut played = Played::start();
    let ending = json!({"result": null, "failure": null, "ending": true});
    let first = json!({"result": {"a": 1}, "failure": null});
    let outcome = played.outcome(&[first, ending.clone()]);
    assert_eq!(outcome.expect("a result"), json!({"a": 1}));
    // Where it was null, and where it was a failure.
    let first = json!({"result": null, "failure": null, "ending": false});
    let outcome = played.outcome(&[first, ending.clone()]);
    assert_eq!(outcome.expect("a result"), Value::Null);
    let first = json!({"result": null, "failure": "{\"class\": \"Old\"}"});
    let outcome = played.outcome(&[first, ending]);
    assert_eq!(
        outcome.expect_err("a failure").to_string(),
        "None.Old: None"
    );
}

#[test]
fn c39_c48_a_reply_that_lacks_something_is_still_one() {
    let mut played = Played::start();
    for (reply, result) in [
        (json!({"failure": null, "ending": true}), Value::Null),
        (json!({"result": 5, "ending": true}), json!(5)),
        (json!({"ending": 1}), Value::Null),
        (
            json!({"result": 6, "failure": "", "ending": true}),
            json!(6),
        ),
        (
            json!({"result": 7, "failure": null, "ending": true, "more": 1}),
            json!(7),
        ),
    ] {
        let shown = reply.to_string();
        assert_eq!(played.outcome(&[reply]).expect(&shown), result, "{shown}");
    }
    // What is no failure as it must be is an error that says so.
    for (failure, text) in [
        (
            json!("no JSON"),
            "the failure in the reply is not as it must be",
        ),
        (json!([1]), "the failure in the reply is not as it must be"),
    ] {
        let reply = json!({"result": null, "failure": failure, "ending": true});
        let error = played.outcome(&[reply]).expect_err("a failure").to_string();
        assert_eq!(error, format!("endpointd.InvalidReply: {text}"));
    }

    // One that nobody waits for is taken off the queue, and does no harm.
    let calling = played
        .caller
        .start_call(played.client.prepare(), "m", json!({}));
    let call = played.wire.next_delivery();
    let reply_queue = message_of(&call.data)["_reply_q"]
        .as_str()
        .expect("a name")
        .to_owned();
    for stray in [
        json!({"_msg_id": "unknown", "ending": true}),
        json!({"ending": true}),
    ] {
        let body = crate::support::wire::envelope(&stray);
        played.wire.publish("", &reply_queue, &body);
    }
    played.wire.publish("", &reply_queue, b"rubbish");
    let reply = json!({"result": "mine", "failure": null, "ending": true});
    played.wire.reply_to(&call, reply);
    assert_eq!(played.caller.outcome(calling).expect("a result"), "mine");
    eventually("nothing is left", || {
        (played.left_over(&reply_queue) == 0).then_some(())
    });
}

#[test]
fn c40_a_heartbeat_that_nobody_asked_for_is_passed_over() {
    let mut played = Played::start();
    let beat = json!({"result": null, "failure": null, "ending": false});
    let reply = json!({"result": "late", "failure": null, "ending": true});
    let outcome = played.outcome(&[beat.clone(), beat, reply]);
    assert_eq!(outcome.expect("a result"), "late");
}

#[test]
fn c44_a_monitored_call_ends_when_its_server_falls_silent() {
    let played = Played::start();
    // Nobody answers, and nobody says that it is being worked on.
    let patient = played.client.prepare().timeout(Duration::from_secs(3600));
    let monitored = patient
        .prepare()
        .call_monitor_timeout(Duration::from_secs(2));
    let started = Instant::now();
    let error = played
        .caller
        .call(&monitored, "m", json!({}))
        .expect_err("silence");
    assert!(started.elapsed() >= Duration::from_secs(2));
    let ClientError::TimedOut { after, .. } = error else {
        panic!("{error}");
    };
    assert_eq!(after, Duration::from_secs(2), "not the whole timeout");
    let hasty = patient.call_monitor_timeout(Duration::from_millis(1999));
    let error = played
        .caller
        .call(&hasty, "m", json!({}))
        .expect_err("no server would keep it alive");
    assert!(matches!(error, ClientError::Invalid { .. }), "{error}");

    let topic = unique("beating");
    let url = rabbit::shared().url();
    let server = Peer::start("server.py", &[&url, "neutron", &topic, "s"]);
    let sleep = json!({"seconds": 5});
    let beating = monitored.prepare().topic(topic.as_str()).server(None);
    let slept = played.caller.call(&beating, "sleep", sleep.clone());
    assert_eq!(slept.expect("kept alive"), 5, "longer than the monitor");
    let hurried = beating.timeout(Duration::from_secs(3));
    let started = Instant::now();
    let error = played
        .caller
        .call(&hurried, "sleep", sleep)
        .expect_err("too long");
    assert!(matches!(error, ClientError::TimedOut { .. }), "{error}");
    assert!(started.elapsed() >= Duration::from_secs(3));
    server.stop();
}

#[test]
fn c47_a_failure_keeps_what_it_has_whatever_it_is_of() {
    let mut played = Played::start();
    let failure = |text: &str| text.to_owned();
    for (text, expected) in [
        ("{}", texts("None", "None", "None")),
        (
            r#"{"class": "ValueError", "module": "exceptions", "message": "m"}"#,
            texts("builtins", "ValueError", "m"),
        ),
        (
            r#"{"class": "SystemExit", "module": "builtins", "message": "", "args": 5}"#,
            texts("builtins", "SystemExit", ""),
        ),
        (
            r#"{"class": "E_Remote", "module": "m_Remote", "message": ["a"], "kwargs": [1]}"#,
            texts("m", "E", r#"["a"]"#),
        ),
    ] {
        assert_eq!(played.failure(&failure(text)), expected);
    }
    let (.., traceback) = played.failure(r#"{"tb": ["a\n", "b\n"]}"#);
    assert_eq!(traceback, ["a\n", "b\n"]);
}

#[test]
fn c47_what_an_oslo_server_raises_arrives_with_its_traceback() {
    let topic = unique("raising");
    let url = rabbit::shared().url();
    let server = Peer::start("server.py", &[&url, "neutron", &topic, "s"]);
    let caller = Caller::connect(&url);
    let client = caller.of(&topic);
    for (kind, module, class, message) in [
        ("value", "builtins", "ValueError", "('bad value', 3)"),
        ("odd", "__main__", "Odd", "('é \"odd\"', 7)"),
        ("empty", "builtins", "RuntimeError", ""),
        ("nothing", "builtins", "KeyError", "'nothing'"),
    ] {
        let error = caller.call(&client, "fail", json!({"kind": kind}));
        let Err(ClientError::Remote(failure)) = error else {
            panic!("{error:?}");
        };
        let found = (&*failure.module, &*failure.class, &*failure.message);
        assert_eq!(found, (module, class, message));
        let traceback = failure.traceback.concat();
        assert!(
            traceback.contains("Traceback") && traceback.contains("fail"),
            "{traceback}"
        );
        let kwargs = failure.kwargs.as_deref().map(|kwargs| kwargs.get());
        assert_eq!(
            kwargs,
            Some(if kind == "odd" { r#"{"a": 1}"# } else { "{}" })
        );
    }
    let unknown = caller
        .call(&client, "nosuch", json!({}))
        .expect_err("there is none");
    assert_eq!(
        unknown.to_string(),
        "oslo_messaging.rpc.dispatcher.NoSuchMethod: Endpoint does not support RPC method nosuch"
    );
    let newer = client.version("1.1").expect("one");
    let unsupported = caller
        .call(&newer, "who", json!({}))
        .expect_err("it is too old");
    assert_eq!(
        unsupported.to_string(),
        "oslo_messaging.rpc.dispatcher.UnsupportedVersion: Endpoint does not support RPC version \
         1.1. Attempted method: who"
    );
    let named = newer.namespace("named");
    assert_eq!(
        caller.call(&named, "which", json!({})).expect("one"),
        "named 1.10"
    );
    server.stop();
}

#[test]
fn c74_an_unanswered_call_ends_at_its_timeout_and_leaves_nothing() {
    let mut played = Played::start();
    let client = played.client.prepare().timeout(Duration::from_secs(2));
    let started = Instant::now();
    let error = played
        .caller
        .call(&client, "m", json!({}))
        .expect_err("nobody answers");
    assert!(started.elapsed() >= Duration::from_secs(2));
    let call = played.wire.next_delivery();
    let id = message_of(&call.data)["_msg_id"].clone();
    let id = id.as_str().expect("text");
    let expected = format!("Timed out waiting for a reply to message ID {id}");
    assert_eq!(error.to_string(), expected);
    assert_eq!(client.waiting_calls(), 0);

    // A call that is given up before leaves nothing either, and a late reply does no harm.
    let given_up = played
        .caller
        .start_call(played.client.prepare(), "m", json!({}));
    let second = played.wire.next_delivery();
    assert_eq!(client.waiting_calls(), 1);
    given_up.abort();
    eventually("it is freed", || {
        (client.waiting_calls() == 0).then_some(())
    });
    for call in [call, second] {
        let late = json!({"result": "late", "failure": null, "ending": true});
        played.wire.reply_to(&call, late);
    }
    let reply = json!({"result": "mine", "failure": null, "ending": true});
    assert_eq!(played.outcome(&[reply]).expect("a result"), "mine");
}

#[test]
fn c75_a_reply_is_not_lost_with_the_connection() {
    let proxy = Proxy::start(rabbit::shared().port());
    let mut played = Played::start_through(&proxy.url());
    let calling = played
        .caller
        .start_call(played.client.prepare(), "m", json!({}));
    let call = played.wire.next_delivery();
    proxy.cut();
    let reply = json!({"result": "kept", "failure": null, "ending": true});
    played.wire.reply_to(&call, reply);
    assert_eq!(played.caller.outcome(calling).expect("a result"), "kept");
}

#[test]
fn c75_calls_survive_a_restart_of_the_broker() {
    let mut rabbit = Rabbit::start();
    let topic = unique("restarted");
    let server = Peer::start("server.py", &[&rabbit.url(), "neutron", &topic, "s"]);
    let caller = Caller::connect(&rabbit.url());
    let client = caller.of(&topic).timeout(Duration::from_secs(120));
    assert_eq!(caller.call(&client, "who", json!({})).expect("one"), "oslo");
    let calling: Vec<_> = (0..20)
        .map(|_| caller.start_call(client.prepare(), "sleep", json!({"seconds": 8})))
        .collect();
    // All of them are being answered when it goes, and reply queues go with it.
    eventually("the server has them all", || {
        let count = caller.call(&client, "count", json!({}));
        (count.expect("a number") == 20).then_some(())
    });
    rabbit.kill();
    rabbit.boot();
    for calling in calling {
        assert_eq!(caller.outcome(calling).expect("answered after all"), 8);
    }
    // Its replies may be out before it consumes again.
    eventually("the server listens again", || {
        let queues = rabbit.list(&["list_queues", "name", "consumers"]);
        let queue = queues.iter().find(|queue| queue["name"] == *topic)?;
        (queue["consumers"] == 1).then_some(())
    });
    assert_eq!(caller.call(&client, "who", json!({})).expect("one"), "oslo");
    server.stop();
}

#[test]
fn a_call_whose_reply_queue_is_refused_ends_at_once_and_the_next_tries_again() {
    let rabbit = Rabbit::start();
    let topic = unique("unreplied");
    let server = Peer::start("server.py", &[&rabbit.url(), "neutron", &topic, "s"]);
    let caller = Caller::connect(&rabbit.url());
    let client = caller.of(&topic).timeout(Duration::from_secs(60));
    rabbit.run(&["set_permissions", "guest", "^(?!reply_).*", ".*", ".*"]);
    for _ in 0..2 {
        let started = Instant::now();
        let error = caller
            .call(&client, "who", json!({}))
            .expect_err("there can be no reply queue");
        assert!(
            matches!(&error, ClientError::NotSent(TransportError::Refused(reason))
                if reason.contains("RabbitMQ refused the queue `reply_")),
            "{error:?}"
        );
        assert!(started.elapsed() < Duration::from_secs(30));
    }
    rabbit.run(&["set_permissions", "guest", ".*", ".*", ".*"]);
    assert_eq!(caller.call(&client, "who", json!({})).expect("one"), "oslo");
    server.stop();
}

#[test]
fn a_client_that_was_closed_stays_so() {
    let caller = Caller::connect(&rabbit::shared().url());
    let client = caller.of("nobody").at_least_once(false);
    caller.cast(&client, "m", json!({})).expect("sent");
    let copy = client.prepare();
    caller.run(client.close());
    for outcome in [
        caller.cast(&copy, "m", json!({})),
        caller.call(&copy, "m", json!({})).map(drop),
    ] {
        assert!(matches!(outcome, Err(ClientError::Closed)), "{outcome:?}");
    }
    // Also while somebody dials: nobody waits for the end of that.
    let (port, _) = closed_door();
    let caller = Caller::connect(&format!("rabbit://127.0.0.1:{port}/"));
    let client = caller.of("t");
    let dialling = caller.start_call(client.prepare(), "m", json!({}));
    std::thread::sleep(Duration::from_millis(300));
    caller.run(client.close());
    let outcome = caller.outcome(dialling);
    assert!(matches!(outcome, Err(ClientError::Closed)), "{outcome:?}");
}

#[test]
fn clients_with_a_queue_manager_have_reply_queues_of_their_own() {
    let url = format!("{}?use_queue_manager=true", rabbit::shared().url());
    let mut queues: Vec<_> = (0..2)
        .map(|_| {
            let mut played = Played::start_through(&url);
            let calling = played
                .caller
                .start_call(played.client.prepare(), "m", json!({}));
            let call = played.wire.next_delivery();
            played.wire.reply_to(&call, json!({"ending": true}));
            played.caller.outcome(calling).expect("its own reply");
            message_of(&call.data)["_reply_q"].to_string()
        })
        .collect();
    queues.dedup();
    assert_eq!(queues.len(), 2, "{queues:?}");
}

/// Counts who connects, and lets nobody in.
fn closed_door() -> (u16, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let count = Arc::<AtomicUsize>::default();
    let counted = Arc::clone(&count);
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            counted.fetch_add(1, Ordering::SeqCst);
            let _ = stream.read(&mut [0; 8]);
        }
    });
    (port, count)
}

#[test]
fn c77_a_dead_broker_is_dialled_as_often_as_was_asked() {
    let sent = |retries: u32, is_call: bool| {
        let (port, count) = closed_door();
        let caller = Caller::connect(&format!("rabbit://127.0.0.1:{port}/"));
        let client = caller.of("t").retry(retries);
        let error = match is_call {
            true => caller.call(&client, "m", json!({})).map(drop),
            false => caller.cast(&client, "m", json!({})),
        };
        let error = error.expect_err("nobody lets it in");
        let is_unreachable = matches!(
            &error,
            ClientError::NotSent(TransportError::Unreachable(reason))
                if reason.contains(&format!("127.0.0.1:{port}"))
        );
        assert!(is_unreachable, "{error:?}");
        count.load(Ordering::SeqCst)
    };
    for is_call in [true, false] {
        assert_eq!(sent(0, is_call), 1);
        assert_eq!(sent(2, is_call), 3);
    }
}

#[test]
fn c77_messages_end_at_their_deadline_while_the_broker_is_gone() {
    let limit = Duration::from_millis(1500);
    let check = |caller: &Caller, client: &RpcClient| {
        for is_call in [true, false] {
            let started = Instant::now();
            let error = match is_call {
                true => caller.call(client, "m", json!({})).map(drop),
                false => caller.cast(client, "m", json!({})),
            };
            let error = error.expect_err("the broker is gone");
            assert!(matches!(error, ClientError::NotSent(_)), "{error:?}");
            let took = started.elapsed();
            assert!(took >= limit && took < limit * 3, "{took:?}");
        }
    };
    // Never there.
    let caller = Caller::connect(&format!("rabbit://127.0.0.1:{}/", free_port()));
    check(&caller, &caller.of("t").timeout(limit));
    // There, and then silent; and then not even that.
    let mut rabbit = Rabbit::start();
    let wire = Wire::connect(rabbit.port());
    let caller = Caller::connect(&rabbit.url());
    let client = caller.of("t").at_least_once(false).timeout(limit);
    let error = caller
        .call(&client, "m", json!({}))
        .expect_err("nobody answers");
    assert!(matches!(error, ClientError::TimedOut { .. }), "{error:?}");
    wire.make_queue("neutron", "t");
    rabbit.signal("-STOP");
    check(&caller, &client);
    rabbit.signal("-CONT");
    drop(wire);
    rabbit.kill();
    check(&caller, &client);
    // And it is found again.
    rabbit.boot();
    let patient = client.timeout(Duration::from_secs(60));
    caller.cast(&patient, "m", json!({})).expect("sent");
}

#[test]
fn c80_ten_thousand_calls_wait_at_one_queue_and_each_gets_its_own_reply() {
    const CALLS: usize = 10_000;
    let topic = unique("crowded");
    let url = rabbit::shared().url();
    let start = || Peer::start("server.py", &[&url, "neutron", &topic, "s"]);
    // It leaves its queue behind, where the calls wait until it comes back.
    start().stop();
    let caller = Caller::connect(&url);
    let client = caller.of(&topic).timeout(Duration::from_secs(300));
    let calling: Vec<_> = (0..CALLS)
        .map(|number| {
            let args = json!({"value": {"number": number}});
            caller.start_call(client.prepare(), "echo", args)
        })
        .collect();
    eventually("they all wait", || {
        let queues = rabbit::shared().list(&["list_queues", "name", "messages"]);
        let queue = queues.iter().find(|queue| queue["name"] == *topic)?;
        (queue["messages"] == CALLS).then_some(())
    });
    assert_eq!(client.waiting_calls(), CALLS);
    let server = start();
    for (number, calling) in calling.into_iter().enumerate() {
        let echoed = caller.outcome(calling).expect("a reply");
        assert_eq!(echoed, json!({"number": number}));
    }
    assert_eq!(client.waiting_calls(), 0);
    server.stop();
}

#[test]
fn c81_timeouts_double_for_a_method_and_stay_doubled() {
    let mut played = Played::start();
    // The connection and the reply queue are there before time is short.
    played.outcome(&[json!({"ending": true})]).expect("a reply");
    let seconds = Duration::from_secs;
    let client = played
        .client
        .prepare()
        .timeout(None)
        .default_timeout(seconds(1));
    let backing_off = BackingOffClient::new(client);
    backing_off.set_max_timeout(seconds(3));
    let mut expirations = Vec::new();
    for _ in 0..4 {
        let (used, started) = (backing_off.timeout_of("m"), Instant::now());
        let calling = {
            let backing_off = backing_off.clone();
            played
                .caller
                .start(async move { backing_off.call::<Value>(&json!({}), "m", &json!({})).await })
        };
        let sent = played.wire.next_delivery();
        let expiration = sent
            .properties
            .expiration()
            .as_ref()
            .expect("a call has one");
        expirations.push(expiration.as_str().to_owned());
        let error = played.caller.outcome(calling).expect_err("nobody answers");
        assert!(matches!(error, ClientError::TimedOut { .. }), "{error}");
        // It pauses after the timeout, and no longer than the first timeout was.
        let took = started.elapsed();
        assert!(
            took >= used && took < used + seconds(1) + seconds(5),
            "{took:?}"
        );
    }
    assert_eq!(expirations, ["1000", "2000", "3000", "3000"]);
    // Others begin at the beginning: by method, and by namespace.
    assert_eq!(backing_off.timeout_of("m"), seconds(3));
    assert_eq!(backing_off.timeout_of("other"), seconds(1));
    let named = backing_off.with_client(backing_off.client().prepare().namespace("n"));
    assert_eq!(named.timeout_of("m"), seconds(1));
    // Who says how long it takes neither learns nor pauses.
    let hurried = backing_off.client().prepare();
    let hurried = backing_off.with_client(hurried.timeout(Duration::from_millis(100)));
    let failed = played
        .caller
        .run(hurried.call::<Value>(&json!({}), "other", &json!({})));
    let Err(ClientError::TimedOut { after, .. }) = failed else {
        panic!("{failed:?}");
    };
    assert_eq!(after, Duration::from_millis(100));
    assert_eq!(backing_off.timeout_of("other"), seconds(1));
    // An agent that is to end cuts what was learned.
    backing_off.set_max_timeout(Duration::from_millis(500));
    for method in ["m", "other"] {
        assert_eq!(backing_off.timeout_of(method), Duration::from_millis(500));
    }
    // And one that is to go on after all begins again as at first.
    backing_off.set_max_timeout(seconds(3));
    assert_eq!(backing_off.timeout_of("new"), seconds(1));
}

#[test]
fn c81_a_cast_that_the_broker_does_not_take_is_given_up_in_silence() {
    let caller = Caller::connect(&format!("rabbit://127.0.0.1:{}/", free_port()));
    let backing_off = BackingOffClient::new(caller.of("t").retry(0));
    caller
        .run(backing_off.cast(&json!({}), "m", &json!({})))
        .expect("no error");
}
