//! What was replied to is on disk: a host that is killed finds it again.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::host::Setup;

#[test]
fn a_killed_host_finds_everything_it_replied_to() {
    let mut host = Setup::new("memory://").probe("probe").start();
    let stop = AtomicBool::new(false);
    let replied: Vec<AtomicU64> = (0..16).map(|_| AtomicU64::new(0)).collect();
    std::thread::scope(|scope| {
        for (number, replied) in replied.iter().enumerate() {
            let (host, stop) = (&host, &stop);
            scope.spawn(move || {
                let key = format!("key-{number}");
                while !stop.load(Ordering::Relaxed) {
                    let count = host.result("probe", "swap_count", json!({"key": key}));
                    replied.store(count.as_u64().expect("a number"), Ordering::Relaxed);
                }
            });
        }
        std::thread::sleep(Duration::from_millis(500));
        stop.store(true, Ordering::Relaxed);
    });
    host.kill();
    host.start();
    for (number, replied) in replied.iter().enumerate() {
        let key = format!("key-{number}");
        let replied = replied.load(Ordering::Relaxed);
        assert!(replied > 0, "{key} was never counted");
        assert_eq!(host.result("probe", "number", json!({"key": key})), replied);
    }
}

#[test]
fn a_bucket_in_memory_ends_with_its_host() {
    let more = "[grants]\nkeyvalue = [\"probe\"]";
    let mut host = Setup::new("memory://")
        .tables("[keyvalue.probe]\nbackend = \"memory\"")
        .plugin("probe", &crate::support::guests::probe(), "probe", more)
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
