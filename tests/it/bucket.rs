//! What was replied to is on disk: a host that is killed finds it again.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::host::{PROBE_GRANTS, Setup};

#[test]
fn a_host_killed_while_it_writes_finds_everything_it_replied_to() {
    let mut host = Setup::new("memory://").probe("probe").start();
    let replied: Vec<u64> = std::thread::scope(|scope| {
        let callers: Vec<_> = (0..16)
            .map(|number| {
                let host = &host;
                scope.spawn(move || {
                    let args = json!({"key": format!("key-{number}")});
                    let call = json!({"topic": "probe", "method": "swap_count", "args": args});
                    let mut last = 0;
                    // Until it is killed, in the middle of whatever it does.
                    while let Ok(answer) = host.try_call_with(call.clone()) {
                        last = answer["result"].as_u64().expect("a number");
                    }
                    last
                })
            })
            .collect();
        std::thread::sleep(Duration::from_millis(500));
        host.kill();
        callers
            .into_iter()
            .map(|caller| caller.join().expect("no panic"))
            .collect()
    });
    host.wait();
    host.start();
    for (number, replied) in replied.into_iter().enumerate() {
        let key = format!("key-{number}");
        assert!(replied > 0, "{key} was never counted");
        let stored = host.result("probe", "number", json!({"key": key})).as_u64();
        // What was written and not yet replied to may be there too.
        assert!(
            (replied..=replied + 1).contains(&stored.expect("a number")),
            "{key}"
        );
    }
}

#[test]
fn a_bucket_in_memory_ends_with_its_host() {
    let mut host = Setup::new("memory://")
        .tables("[keyvalue.probe]\nbackend = \"memory\"")
        .plugin(
            "probe",
            &crate::support::guests::probe(),
            "probe",
            PROBE_GRANTS,
        )
        .start();
    assert_eq!(host.result("probe", "count", json!({"key": "k"})), 1);
    assert_eq!(host.result("probe", "count", json!({"key": "k"})), 2);
    host.kill();
    host.start();
    assert_eq!(
        host.result("probe", "number", json!({"key": "k"})),
        Value::Null
    );
}
