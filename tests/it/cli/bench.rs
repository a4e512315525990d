//! `endpointd bench`, as a person or a script uses it.

use std::process::{Command, Output};

use serde_json::Value;

use crate::support::host::Setup;
use crate::support::{rabbit, unique};

fn bench(arguments: &[&str]) -> Output {
    let folder = tempfile::tempdir().expect("a folder");
    Command::new(env!("CARGO_BIN_EXE_endpointd"))
        .arg("bench")
        .args(arguments)
        .current_dir(folder.path())
        .env_remove("ENDPOINTD_VIA")
        .output()
        .expect("it runs")
}

#[track_caller]
fn figures(arguments: &[&str]) -> (Option<i32>, Value) {
    let output = bench(&[arguments, &["--json"]].concat());
    let said = String::from_utf8_lossy(&output.stderr);
    let figures = serde_json::from_slice(&output.stdout);
    (
        output.status.code(),
        figures.unwrap_or_else(|_| panic!("no JSON: {said}")),
    )
}

#[test]
fn so_many_calls_are_made_through_the_broker_and_counted() {
    let (topic, url) = (unique("bench"), rabbit::shared().url());
    let host = Setup::new(&url).probe(&topic).start();
    let measured = figures(&[
        &topic,
        "add",
        "a=4",
        "b=5",
        "--transport-url",
        &url,
        "--exchange",
        "neutron",
        "--calls",
        "500",
        "--in-flight",
        "16",
        "--warm-up",
        "0",
    ]);
    let (code, figures) = measured;
    assert_eq!(code, Some(0), "{figures}");
    assert_eq!(figures["calls"], 500);
    assert_eq!(figures["failed"], 0);
    // With the first, which sees whether somebody is there.
    assert_eq!(host.plugin("probe")["calls"], 501);
    let of = |part: &str| figures["latency_us"][part].as_f64().expect("a number");
    assert!(0.0 < of("p50") && of("p50") <= of("p99") && of("p99") <= of("max"));
    assert!(figures["per_second"].as_f64() > Some(0.0));
}

#[test]
fn calls_at_a_rate_begin_on_time_and_failures_are_told_by_kind() {
    let host = Setup::new("memory://").probe("probe").start();
    let via = host.admin_url();
    let at_rate = [
        "--via",
        &via,
        "--rate",
        "50",
        "--for",
        "2s",
        "--warm-up",
        "0",
    ];
    let (code, figures) = figures(&[&["probe", "bad_value"], &at_rate[..]].concat());
    assert_eq!(code, Some(3), "{figures}");
    // Of 2 s with 50 each, the first at once and the last before the end.
    assert_eq!(figures["failed"], 100);
    assert_eq!(figures["failures"]["ValueError"]["count"], 100);
    assert_eq!(figures["failures"]["ValueError"]["first"], "bad value");
    assert_eq!(figures["latency_us"], serde_json::json!({}));

    let output = bench(
        &[
            &[
                "probe",
                "echo",
                "--payload",
                "2KiB",
                "--payload-as",
                "value",
            ],
            &at_rate[..],
        ]
        .concat(),
    );
    let text = String::from_utf8(output.stdout).expect("text");
    assert!(text.contains("2,060 bytes of arguments"), "{text}");
    assert!(text.contains("latency    p50 "), "{text}");
    assert!(text.contains("failed     none"), "{text}");
}

#[test]
fn what_cannot_be_measured_is_said_before_anything_is_called() {
    let host = Setup::new("memory://").probe("probe").start();
    let via = host.admin_url();
    for (arguments, code, problem) in [
        (&["nowhere", "add"][..], 5, "no server listens to `nowhere`"),
        (
            &[
                "probe",
                "echo",
                "value=1",
                "--payload",
                "1",
                "--payload-as",
                "value",
            ],
            2,
            "already",
        ),
        (
            &["probe", "echo", "value=1", "--in-flight", "501"],
            2,
            "at most 500 calls",
        ),
        (&["probe", "echo", "--payload", "1GiB"], 2, "write a size"),
        (
            &["probe", "echo", "--rate", "0"],
            2,
            "write a number of calls a second",
        ),
    ] {
        let output = bench(&[arguments, &["--via", &via]].concat());
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {said}");
        assert!(said.contains(problem), "{arguments:?}: {said}");
        assert!(output.stdout.is_empty());
    }
    assert_eq!(host.plugin("probe")["calls"], 0);
}
