//! What the tests of connections share: a host with one plugin, and what the broker and the log say
//! of it.

use std::net::TcpListener;
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde_json::{Value, json};

use crate::support::eventually;
use crate::support::guests::bare_module_returning;
use crate::support::host::{Host, Setup};
use crate::support::rabbit::Rabbit;

/// A host with one plugin, whose `run` returns 1.
pub(super) fn serving(url: &str, topic: &str) -> Setup {
    with_plugin(Setup::new(url), topic)
}

pub(super) fn with_plugin(setup: Setup, topic: &str) -> Setup {
    setup.plugin("one", &bare_module_returning("1"), topic, "")
}

/// That a call goes out through the broker and its reply comes back.
#[track_caller]
pub(super) fn answers(host: &Host, topic: &str) {
    let answer = host.call(topic, "run", json!({}));
    assert_eq!(answer["result"], 1, "{answer}");
}

/// What the broker says of the connections of each host, which is the same of the one that listens
/// and of the one that sends.
#[track_caller]
pub(super) fn check_connections<'a>(
    rabbit: &Rabbit,
    hosts: impl IntoIterator<Item = (&'a Host, Value)>,
) {
    let hosts: Vec<_> = hosts.into_iter().collect();
    let (_, first) = &hosts[0];
    let mut columns = vec!["list_connections", "client_properties"];
    columns.extend(
        first
            .as_object()
            .expect("an object")
            .keys()
            .map(String::as_str),
    );
    let all = rabbit.list(&columns);
    for (host, expected) in &hosts {
        for purpose in ["listening", "sending"] {
            let name = format!("endpointd:{}:{purpose}", host.id());
            let mut found = all.iter().filter(|connection| {
                let properties = connection["client_properties"].to_string();
                properties.contains(&name)
            });
            let mut connection = found.next().expect("the connection").clone();
            let columns = connection.as_object_mut().expect("an object");
            columns.remove("client_properties");
            assert_eq!(connection, *expected);
            assert_eq!(found.count(), 0, "there is one for each purpose");
        }
    }
}

/// The lines of a log that have `text`.
pub(super) fn lines_with<'a>(log: &'a str, text: &str) -> Vec<&'a str> {
    log.lines().filter(|line| line.contains(text)).collect()
}

/// That the host ends by itself, without a second try, and says `expected` in its last line and
/// nowhere else.
#[track_caller]
pub(super) fn check_refused(setup: Setup, expected: &str) {
    let mut host = setup.launch();
    let status = host.wait();
    let log = host.log();
    assert_eq!(status.code(), Some(1), "{log}");
    assert!(
        log.lines().last().unwrap_or_default().contains(expected),
        "no `{expected}` at the end of: {log}"
    );
    assert_eq!(lines_with(&log, expected).len(), 1, "{log}");
    assert!(!log.contains("trying again"), "{log}");
}

/// The port that a URL need not name, for one test after the other. Somebody else's suite may have
/// it for a while, so that it is waited for.
pub(super) fn default_port() -> MutexGuard<'static, ()> {
    static TAKEN: Mutex<()> = Mutex::new(());
    let turn = TAKEN.lock().unwrap_or_else(PoisonError::into_inner);
    let what = "port 5672 of 127.0.0.1 is free, which this test needs: end the broker that has it";
    eventually(what, || TcpListener::bind(("127.0.0.1", 5672)).ok());
    turn
}
