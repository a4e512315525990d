//! `endpointd call`, `cast` and `completions`, as a person or a script uses them.

use std::io::Write;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::support::host::{Host, Setup};
use crate::support::rabbit::Rabbit;
use crate::support::wire::{Wire, message_of};
use crate::support::{eventually, free_port, rabbit, unique};

/// Exit code, standard output and standard error of a command.
type Said = (Option<i32>, String, String);

/// Runs a command with the variables and the input it is given and no others, in a folder without a
/// configuration.
fn run_with(variables: &[(&str, &str)], input: &str, arguments: &[&str]) -> Said {
    let folder = tempfile::tempdir().expect("a folder");
    let mut process = Command::new(env!("CARGO_BIN_EXE_endpointd"))
        .args(arguments)
        .current_dir(folder.path())
        .env_remove("ENDPOINTD_VIA")
        .envs(variables.iter().copied())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it starts");
    let mut stdin = process.stdin.take().expect("a pipe");
    // One that reads no input may have ended already.
    let _ = stdin.write_all(input.as_bytes());
    drop(stdin);
    let output = process.wait_with_output().expect("it ends");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim_end().to_owned();
    (
        output.status.code(),
        text(&output.stdout),
        text(&output.stderr),
    )
}

fn run(arguments: &[&str]) -> Said {
    run_with(&[], "", arguments)
}

fn done(result: &str) -> Said {
    (Some(0), result.to_owned(), String::new())
}

fn failed(code: i32, error: &str) -> Said {
    (Some(code), String::new(), error.to_owned())
}

/// Calls by way of the host.
fn via(host: &Host, arguments: &[&str]) -> Said {
    let url = host.admin_url();
    run(&[&["call", "--via", &url], arguments].concat())
}

#[test]
fn call_prints_the_result_and_tells_failures_by_its_exit_code() {
    let host = Setup::new("memory://").probe("probe").start();
    assert_eq!(via(&host, &["probe", "add", "a=4", "b=5"]), done("9"));
    assert_eq!(
        via(&host, &["probe", "echo", "value=text"]),
        done("\"text\"")
    );
    assert_eq!(
        via(&host, &["probe", "echo", "--args", "{\"value\": [1]}"]),
        done("[1]")
    );
    assert_eq!(
        via(&host, &["probe", "which", "--version", "2.0"]),
        done("\"null 2.0\"")
    );
    let named = [
        "probe",
        "which",
        "--namespace",
        "named",
        "--server",
        "testhost",
    ];
    assert_eq!(via(&host, &named), done("\"named 1.10\""));
    let context = ["probe", "context", "--context", "{\"user\": \"u\"}"];
    assert_eq!(via(&host, &context), done("{\"user\":\"u\"}"));
    assert_eq!(
        via(&host, &["probe", "bad_value"]),
        failed(3, "builtins.ValueError: bad value")
    );
    assert_eq!(
        via(&host, &["probe", "spin", "ms=5000", "--timeout", "0.2"]),
        failed(4, "endpointd: no reply within 0.2 s")
    );
    assert_eq!(
        via(&host, &["nowhere", "add"]),
        failed(
            5,
            "endpointd: no server listens to `nowhere` in the exchange `neutron`"
        )
    );
    let (code, text, _) = via(&host, &["--json", "probe", "bad_value"]);
    let document: Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(code, Some(3));
    assert_eq!(document["failure"]["class"], "ValueError");

    let (code, _, error) = run(&["call", "--via", "http://127.0.0.1:1", "t", "m"]);
    assert_eq!(code, Some(1));
    assert!(
        error.contains("is `endpointd serve` running there, or `endpointd dev`"),
        "{error}"
    );
}

#[test]
fn a_call_through_the_broker_ends_as_one_by_way_of_a_host() {
    let (topic, url) = (unique("direct"), rabbit::shared().url());
    let host = Setup::new(&url).probe(&topic).start();
    let admin = host.admin_url();
    let direct = ["--transport-url", &url];
    for way in [direct, ["--via", &admin]] {
        let call = |arguments: &[&str]| run(&[&["call"], &way[..], arguments].concat());
        assert_eq!(call(&[&topic, "add", "a=4", "b=5"]), done("9"));
        assert_eq!(
            call(&[&topic, "which", "--version", "2.0", "--server", "testhost"]),
            done("\"null 2.0\"")
        );
        assert_eq!(
            call(&[&topic, "bad_value"]),
            failed(3, "builtins.ValueError: bad value")
        );
        assert_eq!(
            call(&[&topic, "spin", "ms=9000", "--timeout", "2"]),
            failed(4, "endpointd: no reply within 2 s")
        );
        let nowhere = format!("{topic}-nowhere");
        assert_eq!(
            call(&[&nowhere, "add"]),
            failed(
                5,
                &format!("endpointd: no server listens to `{nowhere}` in the exchange `neutron`")
            )
        );
        let (code, text, errors) = call(&[&topic, "bad_value", "--json"]);
        let document: Value = serde_json::from_str(&text).expect("JSON");
        assert_eq!((code, &*errors), (Some(3), ""));
        assert_eq!(document["failure"]["message"], "bad value");
        let wrong = "endpointd: Version must contain a major and minor integer. Got one";
        assert_eq!(
            call(&[&topic, "which", "--version", "one"]),
            failed(2, wrong)
        );
    }
    // Another exchange has other queues.
    let elsewhere = ["call", &topic, "which", "--exchange", "elsewhere"];
    assert_eq!(run(&[&elsewhere, &direct[..]].concat()).0, Some(5));
}

#[test]
fn the_broker_is_found_where_the_help_says() {
    let (topic, url) = (unique("found"), rabbit::shared().url());
    let _host = Setup::new(&url).probe(&topic).start();
    let folder = tempfile::tempdir().expect("a folder");
    let config = folder.path().join("my.toml");
    let other_exchange = folder.path().join("other.toml");
    let oslo = folder.path().join("neutron.conf");
    std::fs::write(&config, format!("transport_url = \"{url}\"\n")).expect("a file");
    std::fs::write(
        &other_exchange,
        format!("transport_url = \"{url}\"\ncontrol_exchange = \"elsewhere\"\n"),
    )
    .expect("a file");
    std::fs::write(&oslo, format!("[DEFAULT]\ntransport_url = {url}\n")).expect("a file");
    let file = |flag: &str, path: &std::path::Path| {
        let path = path.display().to_string();
        run(&["call", &topic, "add", "a=1", "b=0", flag, &path])
    };
    assert_eq!(file("--config", &config), done("1"));
    assert_eq!(file("--oslo-config-file", &oslo), done("1"));
    assert_eq!(file("--config", &other_exchange).0, Some(5));

    let call = ["call", &topic, "add", "a=1", "b=0"];
    let from_environment = [("ENDPOINTD_TRANSPORT_URL", &*url)];
    assert_eq!(run_with(&from_environment, "", &call), done("1"));
    // A host that was named goes before what lies about, and a broker that was named before both.
    let both = [from_environment[0], ("ENDPOINTD_VIA", "http://127.0.0.1:1")];
    assert_eq!(run_with(&both, "", &call).0, Some(1));
    let named = [&call[..], &["--transport-url", &url]].concat();
    assert_eq!(run_with(&both, "", &named), done("1"));
}

#[test]
fn what_cannot_be_meant_is_wrong_usage() {
    for (arguments, expected) in [
        (
            &["t", "add", "a"][..],
            "endpointd: `a` is no argument: write KEY=VALUE",
        ),
        (&["t", "add", "a=1", "a=2"], "endpointd: `a` is given twice"),
        (
            &["t", "add", "--args", "[1]"],
            "endpointd: --args is not a JSON object",
        ),
        (
            &["t", "add", "--args", "-", "--context", "-"],
            "endpointd: --args and --context cannot both be read from standard input",
        ),
        (&["t", "add", "a=1", "--args", "{}"], "cannot be used with"),
        (
            &["t", "m", "--via", "http://a:1", "--config", "b"],
            "cannot be used with",
        ),
        (&["t", "m", "--timeout", "soon"], "write a time"),
        (&["t", "m", "--count", "3"], "--watch"),
        (&["", "m"], "a value is required"),
    ] {
        let (code, result, error) = run(&[&["call"], arguments].concat());
        assert_eq!((code, &*result), (Some(2), ""), "{arguments:?}: {error}");
        assert!(error.contains(expected), "{arguments:?}: {error}");
    }
}

#[test]
fn a_dead_broker_is_said_at_once() {
    let url = format!("rabbit://guest:hunter2@127.0.0.1:{}/", free_port());
    for command in ["call", "cast"] {
        let (code, result, error) = run(&[command, "--transport-url", &url, "t", "m"]);
        assert_eq!((code, &*result), (Some(1), ""), "{error}");
        assert!(error.contains("127.0.0.1"), "{error}");
        assert!(!error.contains("hunter2"), "{error}");
    }
}

#[test]
fn arguments_and_context_are_read_from_standard_input() {
    let host = Setup::new("memory://").probe("probe").start();
    let url = host.admin_url();
    let said = |input: &str, arguments: &[&str]| {
        run_with(&[], input, &[&["call", "--via", &url], arguments].concat())
    };
    let document = "{\"value\": {\"é\": [1, 2.50]}}\n";
    assert_eq!(
        said(document, &["probe", "echo", "--args", "-"]),
        done("{\"é\":[1,2.5]}")
    );
    assert_eq!(
        said("{\"user\": \"u\"}", &["probe", "context", "--context", "-"]),
        done("{\"user\":\"u\"}")
    );
    let (code, _, error) = said("{\"value\"", &["probe", "echo", "--args", "-"]);
    assert_eq!(code, Some(2));
    assert!(
        error.starts_with("endpointd: --args is not JSON: "),
        "{error}"
    );
}

#[test]
fn a_cast_returns_once_it_is_sent_and_a_fanout_reaches_every_host() {
    let (topic, url) = (unique("cast"), rabbit::shared().url());
    let hosts = ["one", "two"].map(|name| Setup::named(&url, name).probe(&topic).start());
    let cast = |arguments: &[&str]| {
        let direct = ["cast", "--transport-url", &url, &topic, "count", "key=k"];
        run(&[&direct, arguments].concat())
    };
    let counts = || {
        hosts.each_ref().map(|host| {
            let number = [&*topic, "number", "key=k", "--server", host_name(host)];
            via(host, &number).1
        })
    };
    let reach = |expected: [&str; 2]| {
        eventually("they were served", || (counts() == expected).then_some(()));
    };
    assert_eq!(cast(&["--server", "two"]), done(""));
    reach(["null", "1"]);
    assert_eq!(cast(&["--fanout"]), done(""));
    reach(["1", "2"]);
    let by_way_of_a_host = ["cast", "--via", &hosts[0].admin_url()];
    let fanout = [
        &by_way_of_a_host[..],
        &[&topic, "count", "key=k", "--fanout"],
    ]
    .concat();
    assert_eq!(run(&fanout), done(""));
    reach(["2", "3"]);

    assert_eq!(cast(&["--fanout", "--server", "two"]).0, Some(2));
    let nobody = run(&["cast", "--transport-url", &url, "nowhere", "m"]);
    let line = "endpointd: no server listens to `nowhere` in the exchange `neutron`";
    assert_eq!(nobody, failed(5, line));
    // Whether anybody gets a fanout, nobody knows.
    let nobody = run(&["cast", "--transport-url", &url, "nowhere", "m", "--fanout"]);
    assert_eq!(nobody, done(""));
}

fn host_name(host: &Host) -> &'static str {
    match host.ready_lines()[0].contains("server one") {
        true => "one",
        false => "two",
    }
}

#[test]
fn watch_calls_again_and_again() {
    let host = Setup::new("memory://").probe("probe").start();
    let often = ["--watch", "1ms", "--count", "3"];
    let watch = |arguments: &[&str]| via(&host, &[&often[..], arguments].concat());
    let (code, results, report) = watch(&["probe", "count", "key=k"]);
    assert_eq!((code, &*results), (Some(0), "1\n2\n3"), "{report}");
    let lines: Vec<_> = report.lines().collect();
    assert_eq!(lines.len(), 4, "{report}");
    assert!(lines[2].starts_with("#3 "), "{report}");
    assert!(
        lines[3].starts_with("3 times: 3 well, 0 failed;"),
        "{report}"
    );

    let (code, results, report) = watch(&["probe", "bad_value"]);
    assert_eq!((code, &*results), (Some(3), ""), "{report}");
    assert!(report.ends_with("3 times: 0 well, 3 failed"), "{report}");

    let (code, results, _) = watch(&["probe", "which", "--json"]);
    let numbers = results.lines().map(|line| {
        let document: Value = serde_json::from_str(line).expect("JSON");
        assert_eq!(document["result"], "null 1.4");
        assert!(document["took_ms"].is_number(), "{document}");
        assert_eq!(document["code"], 0);
        document["number"].clone()
    });
    assert_eq!(code, Some(0));
    assert!(numbers.eq([json!(1), json!(2), json!(3)]));
}

#[test]
fn a_command_that_ends_leaves_no_queue_on_the_broker() {
    let rabbit = rabbit::shared();
    let (topic, url) = (unique("leaves"), rabbit.url());
    let call = [
        "call",
        "--transport-url",
        &url,
        &topic,
        "m",
        "--timeout",
        "2",
    ];
    // It makes the exchange.
    assert_eq!(run(&call).0, Some(5));
    let mut wire = Wire::connect(rabbit.port());
    wire.take_over("neutron", &topic);
    assert_eq!(run(&call).0, Some(4));
    let message = message_of(&wire.next_delivery().data);
    let queue = &message["_reply_q"];
    assert!(queue.is_string(), "{message}");
    let queues = rabbit.list(&["list_queues", "name"]);
    let own = |one: &Value| one["name"] == *wire.reply_queue;
    assert!(queues.iter().any(own), "{queues:?}");
    assert!(
        !queues.iter().any(|one| one["name"] == *queue),
        "{queues:?}"
    );
}

/// What the script for bash offers after these words.
fn offers(words: &str) -> Vec<String> {
    let (_, script, _) = run(&["completions", "bash"]);
    let ask = format!(
        "{script}\nCOMP_WORDS=({words}); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1))\n\
         _endpointd endpointd \"${{COMP_WORDS[-1]}}\" \"${{COMP_WORDS[-2]}}\"\n\
         printf '%s\\n' \"${{COMPREPLY[@]}}\""
    );
    let output = Command::new("bash").args(["-c", &ask]).output();
    let output = output.expect("bash");
    assert!(output.stderr.is_empty(), "{output:?}");
    let text = String::from_utf8(output.stdout).expect("text");
    text.lines().map(str::to_owned).collect()
}

#[test]
fn shells_complete_commands_and_flags() {
    assert_eq!(offers("endpointd ca"), ["call", "cast"]);
    assert_eq!(offers("endpointd cast --fan"), ["--fanout"]);
    assert_eq!(offers("endpointd call --transport"), ["--transport-url"]);
    for shell in ["zsh", "fish", "powershell"] {
        let (code, script, errors) = run(&["completions", shell]);
        assert_eq!((code, &*errors), (Some(0), ""), "{shell}");
        for word in ["cast", "transport-url", "fanout"] {
            assert!(script.contains(word), "{shell} does not offer {word}");
        }
    }
    assert_eq!(run(&["completions", "tcsh"]).0, Some(2));
}

#[test]
fn what_others_wrote_does_not_steer_the_terminal() {
    let host = Setup::new("memory://").probe("probe").start();
    let text = "\u{1b}[2Jgone\u{7}";
    let args = json!({"module": "m", "class": "C", "message": text}).to_string();
    assert_eq!(
        via(&host, &["probe", "fail", "--args", &args]),
        failed(3, "m.C: \\u{1b}[2Jgone\\u{7}")
    );
}

#[test]
fn wrong_usage_is_said_once_and_ends_with_its_own_code() {
    for arguments in [
        &["call", "--transport-url", "redis://localhost/", "t", "m"][..],
        &["call", "--via", "ftp://localhost/", "t", "m"],
        &["cast", "--config", "/nowhere.toml", "t", "m"],
    ] {
        let (code, result, error) = run(arguments);
        assert_eq!((code, &*result), (Some(2), ""), "{error}");
        assert_eq!(error.lines().count(), 1, "{error}");
    }
    let host = Setup::new("memory://").probe("probe").start();
    let (code, _, error) = via(
        &host,
        &["probe", "which", "--version", "x", "--watch", "1ms"],
    );
    assert_eq!(code, Some(2), "{error}");
    assert_eq!(error.lines().count(), 1, "{error}");
}

#[test]
fn who_stops_reading_ends_a_watch_that_leaves_nothing_behind() {
    let rabbit = Rabbit::start();
    let topic = unique("piped");
    let _host = Setup::new(&rabbit.url()).probe(&topic).start();
    let endpointd = env!("CARGO_BIN_EXE_endpointd");
    let url = rabbit.url();
    let command = format!(
        "{endpointd} call --transport-url '{url}' --exchange neutron {topic} which --version 1.4 \
         --watch 10ms"
    );
    // Also where both outputs go into the pipe.
    for (pipe, complete) in [("| head -n 2", true), ("2>&1 | head -n 1", false)] {
        let command = format!("{command} {pipe}");
        let output = Command::new("bash")
            .args(["-o", "pipefail", "-c", &command])
            .current_dir(std::env::temp_dir())
            .output()
            .expect("bash");
        let (lines, errors) = (
            String::from_utf8_lossy(&output.stdout).into_owned(),
            String::from_utf8_lossy(&output.stderr).into_owned(),
        );
        assert!(output.status.success(), "{errors}");
        if complete {
            assert_eq!(lines, "\"null 1.4\"\n\"null 1.4\"\n", "{errors}");
        }
        assert!(!errors.contains("endpointd:"), "{errors}");
        let queues = rabbit.list(&["list_queues", "name"]);
        let is_reply = |one: &Value| {
            one["name"]
                .as_str()
                .is_some_and(|n| n.starts_with("reply_"))
        };
        assert!(!queues.iter().any(is_reply), "{queues:?}");
    }
}
