//! The functional tests of oslo.messaging, as it is installed, run with us as their server.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::support::rabbit::Rabbit;
use crate::support::{peer, workspace};

const TESTS: [&str; 13] = [
    "CallTestCase.test_bad_endpoint",
    "CallTestCase.test_different_exchanges",
    "CallTestCase.test_endpoint_version_namespace",
    "CallTestCase.test_exception",
    "CallTestCase.test_mandatory_call",
    "CallTestCase.test_monitor_long_call",
    "CallTestCase.test_server_in_group",
    "CallTestCase.test_specific_server",
    "CallTestCase.test_timeout",
    "CallTestCase.test_timeout_with_concurrently_queues",
    "CastTestCase.test_fanout",
    "CastTestCase.test_server_in_group",
    "CastTestCase.test_specific_server",
];

#[test]
fn upstreams_functional_tests_pass_against_us() {
    let guest = workspace().join("target/guests/functional");
    assert!(
        guest.join("functional.wasm").is_file(),
        "{} has no guest: run `make plugins`, or `make test`, which does it",
        guest.display()
    );
    // A node of its own: upstream's exchanges and topics are not named after this run.
    let rabbit = Rabbit::start();
    let guest = guest.to_str().expect("text");
    let endpointd = env!("CARGO_BIN_EXE_endpointd");
    let mut lines = peer::run("functional.py", &[&rabbit.url(), endpointd, guest]);

    let total = lines.pop();
    let text = |value: &Value| value.as_str().expect("text").to_owned();
    let not_ok = lines.iter().filter(|line| line["outcome"] != "ok");
    let problems: Vec<_> = not_ok
        .map(|line| {
            let [test, outcome, detail] = ["test", "outcome", "detail"].map(|key| text(&line[key]));
            format!("{test} {outcome}: {detail}")
        })
        .collect();
    assert!(problems.is_empty(), "{}", problems.join("\n\n"));
    let ran: BTreeSet<_> = lines.iter().map(|line| text(&line["test"])).collect();
    assert_eq!(ran, TESTS.map(str::to_owned).into());
    assert_eq!(total, Some(json!({"ran": TESTS.len()})));
}
