//! What a person sees: one clear line for what is wrong, exit codes, the output of each command.

mod bench;
mod sending;

use std::process::{Command, Output};

use serde_json::{Value, json};

use crate::support::guests::{bare_module_returning, shipped};
use crate::support::host::Setup;
use crate::support::{rabbit, unique};

fn endpointd(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_endpointd"));
    command.args(arguments).output().expect("it runs")
}

/// The last line of standard error, of a command that fails.
#[track_caller]
fn last_line(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let errors = String::from_utf8_lossy(&output.stderr);
    errors.lines().last().unwrap_or_default().to_owned()
}

fn missing_count(output: &Output, text: &str) -> usize {
    String::from_utf8_lossy(&output.stderr)
        .matches(text)
        .count()
}

#[test]
fn a_start_that_cannot_be_ends_in_one_clear_line() {
    let memory = || Setup::new("memory://");
    let unknown = memory()
        .settings("executor_pool_sise = 1")
        .probe("t")
        .run_to_end();
    let line = last_line(&unknown);
    let hint = "line 3: unknown key `executor_pool_sise`: did you mean `executor_pool_size`?";
    assert!(line.ends_with(hint), "{line}");

    let missing = endpointd(&["serve", "--config", "/nonexistent.toml"]);
    assert!(
        last_line(&missing).contains("cannot read /nonexistent.toml"),
        "{missing:?}"
    );

    let folder = memory().settings("plugin_dir = \"elsewhere\"").run_to_end();
    assert!(
        last_line(&folder).contains("cannot read the plugin folder"),
        "{folder:?}"
    );

    let url = Setup::new("amqp://guest:hunter2@localhost/")
        .probe("t")
        .run_to_end();
    let line = last_line(&url);
    assert!(
        line.contains("names the driver `amqp`") && !line.contains("hunter2"),
        "{line}"
    );

    let twice = missing_count(&missing, "cannot read /nonexistent.toml");
    assert_eq!(twice, 1, "said once: {missing:?}");
    let silent = memory().settings("log = \"loud\"").probe("t").run_to_end();
    assert!(
        last_line(&silent).contains("`log = \"loud\"` is no log filter"),
        "{silent:?}"
    );

    let used = memory().probe("t").start();
    let address = used.admin_url().replace("http://", "");
    let taken = memory().probe("t").admin(&address).run_to_end();
    let line = last_line(&taken);
    assert!(
        line.contains(&format!("the admin listener cannot have {address}")),
        "{line}"
    );
}

#[test]
fn a_refused_login_ends_at_once_and_says_what_to_check() {
    let port = rabbit::shared().port();
    let login = format!("rabbit://guest:wrong-secret@127.0.0.1:{port}/");
    let output = Setup::new(&login).probe(&unique("login")).run_to_end();
    let line = last_line(&output);
    assert!(line.contains("refused the login of user `guest`"), "{line}");
    assert!(
        line.contains("check user and password in `transport_url`"),
        "{line}"
    );
    let everything = format!("{output:?}");
    assert!(!everything.contains("wrong-secret"), "{everything}");

    let vhost = format!("rabbit://guest:guest@127.0.0.1:{port}/nowhere");
    let line = last_line(&Setup::new(&vhost).probe(&unique("login")).run_to_end());
    assert!(
        line.contains("refused user `guest` the virtual host `nowhere`"),
        "{line}"
    );
}

#[test]
fn serve_prints_a_ready_line_for_each_topic() {
    let host = Setup::new("memory://")
        .plugin("one", &bare_module_returning("1"), "first", "")
        .plugin("two", &bare_module_returning("2"), "second", "")
        .start();
    assert_eq!(
        host.ready_lines(),
        [
            "ready: topic first server testhost exchange neutron on memory:// | one 1.0: run",
            "ready: topic second server testhost exchange neutron on memory:// | two 1.0: run",
        ]
    );
}

#[test]
fn check_calls_a_method_without_any_server() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("it.wasm");
    std::fs::write(&path, crate::support::guests::probe()).expect("a file");
    let path = path.display().to_string();
    let check = |arguments: &[&str]| {
        let output = endpointd(&[&["check", &path], arguments].concat());
        let printed = String::from_utf8(output.stdout).expect("text");
        let told = String::from_utf8(output.stderr).expect("text");
        let line = told.lines().last().unwrap_or_default().to_owned();
        (output.status.code(), printed.trim().to_owned(), line)
    };
    // It has no plugin.toml, and wants more than the time and random numbers.
    let (code, _, line) = check(&["--call", "add", "a=5"]);
    assert_eq!(code, Some(1));
    assert!(line.contains("which is not granted: add `"), "{line}");
    let manifest = format!(
        "component = \"it.wasm\"\ntopics = [\"x\"]\n{}[config]\ncolour = \"red\"\n",
        crate::support::host::PROBE_GRANTS
    );
    std::fs::write(folder.path().join("plugin.toml"), manifest).expect("a file");
    let (code, printed, line) = check(&["--call", "add", "a=5"]);
    assert_eq!((code, printed.as_str()), (Some(0), "6"));
    assert!(line.starts_with("answered in "), "{line}");
    assert_eq!(check(&["--call", "setting", "name=colour"]).1, "\"red\"");
    assert_eq!(check(&["--call", "count", "key=k"]).1, "1");
    let named = ["--call", "which", "--namespace", "named", "--json"];
    assert_eq!(check(&named).1, "\"named 1.10\"");
    assert_eq!(
        check(&["--call", "which", "--version", "2.0"]).1,
        "\"null 2.0\""
    );
    let (code, _, line) = check(&["--call", "bad_value"]);
    assert_eq!(
        (code, line.as_str()),
        (Some(3), "builtins.ValueError: bad value")
    );
    let (code, _, line) = check(&["--call", "nothing"]);
    assert_eq!(code, Some(3));
    assert!(line.contains("NoSuchMethod"), "{line}");
    assert_eq!(check(&["a=5"]).0, Some(2));
}

#[test]
fn check_tells_what_a_file_serves_and_wants() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("report_state.wasm");
    std::fs::write(&path, shipped("report_state")).expect("a file");
    let path = path.display().to_string();
    let output = endpointd(&["check", &path]);
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stdout).expect("text");
    for line in [
        "  kind      core module with component metadata",
        "  (null namespace) 1.4",
        "    report_state",
        "    delete_agent",
        "  wasi:keyvalue/store@0.2.0-draft2",
        "  keyvalue = [\"BUCKET\"]",
    ] {
        assert!(
            text.lines().any(|found| found == line),
            "no `{line}` in: {text}"
        );
    }
    let output = endpointd(&["check", "--json", &path]);
    let document: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(document["targets"][0]["version"], "1.4");
    let grants = [
        "client = [\"call:TOPIC\", \"cast:TOPIC\", \"fanout:TOPIC\"]",
        "keyvalue = [\"BUCKET\"]",
        "clocks = true",
        "random = true",
    ];
    assert_eq!(document["grants"], json!(grants));

    std::fs::write(folder.path().join("bad.wasm"), b"\0asm").expect("a file");
    let bad = folder.path().join("bad.wasm").display().to_string();
    let line = last_line(&endpointd(&["check", &bad]));
    assert!(line.contains("bad.wasm is broken"), "{line}");
    let line = last_line(&endpointd(&["check", "/nonexistent.wasm"]));
    assert!(line.contains("cannot read /nonexistent.wasm"), "{line}");
}

#[test]
fn check_says_what_does_not_fit_and_what_it_should_be() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("it.wat");
    let check = |text: &str, expected: &[&str]| {
        std::fs::write(&path, text).expect("a file");
        let output = endpointd(&["check", &path.display().to_string()]);
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        let told = String::from_utf8(output.stderr).expect("text");
        for problem in expected {
            assert!(told.contains(problem), "no `{problem}` in: {told}");
        }
    };
    let module = r#"(module
        (import "endpointd:rpc/call-info@0.1.0" "idd" (func (param i32)))
        (import "wasi:logging/logging@0.1.0-draft" "log" (func (param i32)))
        (import "env" "abort" (func))
        (memory (export "memory") 1)
        (func (export "dispatch") (param i32) (result i32) unreachable))"#;
    check(
        module,
        &[
            "it.wat does not fit the contract\n",
            "it imports `idd` from `endpointd:rpc/call-info@0.1.0`, which has no such function: it has id, ",
            "it imports `log` from `wasi:logging/logging@0.1.0-draft` as (func (param i32)), which is \
             (func (param i32 i32 i32 i32 i32))\n",
            "it imports `abort` from `env`, which is no interface of the contract",
            "it does not export the function `targets`, (func (result i32))\n",
            "its `dispatch` is (func (param i32) (result i32)), and should be (func (param i32 i32 ",
            "it does not export the function `cabi_realloc`, (func (param i32 i32 i32 i32) (result i32))\n",
        ],
    );
    let other =
        "it was built for the contract endpointd:rpc@0.2.0, and this host has endpointd:rpc@0.1.0";
    check(
        "(module (import \"endpointd:rpc/call-info@0.2.0\" \"id\" (func (param i32))))",
        &[other],
    );
    check(
        "(component (import \"endpointd:rpc/types@0.2.0\" (instance)))",
        &[other],
    );
    let component = r#"(component
        (core module $m (func (export "d")))
        (core instance $i (instantiate $m))
        (func $d (canon lift (core func $i "d")))
        (export "dispatch" (func $d)))"#;
    let exports = "it does not export the function `targets` at the level of its world, `targets: func() -> \
                   list<target>`; it exports dispatch";
    check(component, &[exports]);
    let renamed = component.replace("\"dispatch\"", "\"targets\"");
    check(
        &renamed,
        &["its `targets` is not what the contract has, `targets: func() -> list<target>`: "],
    );
    check("(module", &["it.wat is no WebAssembly text: line 1:8: "]);
}

#[test]
fn the_call_gateway_takes_json_only() {
    let host = Setup::new("memory://").probe("probe").start();
    let agent: ureq::Agent = ureq::Agent::config_builder()
        .http_status_as_error(false)
        .build()
        .into();
    let url = format!("{}/call", host.admin_url());
    // What a web page may send anywhere without asking.
    let body = json!({"topic": "probe", "method": "which"}).to_string();
    let response = agent
        .post(&url)
        .header("content-type", "text/plain")
        .send(&body);
    assert_eq!(response.expect("an answer").status(), 415);
    // A page whose own name was pointed at this machine.
    let rebound = agent
        .post(&url)
        .header("host", "evil.example:9797")
        .header("content-type", "application/json")
        .send(&body);
    assert_eq!(rebound.expect("an answer").status(), 403);
    let status = |path: &str| {
        let url = format!("{}{path}", host.admin_url());
        agent.get(&url).call().expect("an answer").status().as_u16()
    };
    assert_eq!(
        (status("/live"), status("/ready"), status("/call")),
        (200, 200, 405)
    );
}
