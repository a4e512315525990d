//! A stop: what was accepted is finished and answered, and the rest is left to others.

use std::time::Duration;

use serde_json::json;

use crate::support::host::Setup;
use crate::support::wire::{Wire, envelope};
use crate::support::{rabbit, unique};

#[test]
fn a_second_signal_ends_at_once() {
    let topic = unique("hurry");
    let mut host = Setup::new(&rabbit::shared().url()).probe(&topic).start();
    let wire = Wire::connect(rabbit::shared().port());
    let message = json!({
        "method": "spin", "args": {"ms": 20_000}, "_msg_id": "1", "_reply_q": wire.reply_queue,
    });
    wire.publish("neutron", &topic, &envelope(&message));
    std::thread::sleep(Duration::from_millis(500));
    host.terminate();
    host.logs("finishing 1 request");
    host.terminate();
    assert_eq!(host.wait().code(), Some(1));
    host.logs("Stopping");
}

#[test]
fn a_stop_is_seen_with_a_full_pool_and_messages_waiting() {
    for url in ["memory://".to_owned(), rabbit::shared().url()] {
        let topic = unique("full");
        let setup = Setup::new(&url)
            .settings("executor_pool_size = 1")
            .probe(&topic);
        let mut host = setup.start();
        let answers = std::thread::scope(|scope| {
            let callers: Vec<_> = (0..20)
                .map(|_| {
                    let spin = json!({"topic": topic, "method": "spin", "args": {"ms": 300}});
                    scope.spawn(|| host.try_call_with(spin))
                })
                .collect();
            std::thread::sleep(Duration::from_millis(450));
            host.terminate();
            callers
                .into_iter()
                .map(|caller| caller.join().expect("no panic"))
                .collect::<Vec<_>>()
        });
        assert!(host.wait().success(), "{}", host.log());
        // What was accepted is answered; whoever waited for the rest is told at once.
        let served = answers
            .iter()
            .flatten()
            .filter(|answer| answer["result"] == 300)
            .count();
        let told = answers
            .iter()
            .flatten()
            .filter(|answer| {
                let error = answer["error"].as_str();
                error.is_some_and(|error| error.starts_with("the host stopped before"))
            })
            .count();
        assert!((1..=4).contains(&served), "{answers:?}");
        assert_eq!(served + told, 20, "{answers:?}");
    }
}

#[test]
fn a_stop_without_work_is_quick_and_successful() {
    for url in ["memory://".to_owned(), rabbit::shared().url()] {
        let mut host = Setup::new(&url).probe(&unique("idle")).start();
        host.terminate();
        assert!(host.wait().success());
        assert!(!host.log().contains("WARN"), "{}", host.log());
    }
}
