//! Guests that misbehave, and files that are no plugins: each is its caller's failure or its
//! operator's clear line, and nobody else's problem.

use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::json;

use crate::support::guests::{
    bare_module, bare_module_counting, bare_module_importing, bare_module_named,
    bare_module_returning, bare_module_with_targets, probe,
};
use crate::support::host::{Host, PROBE_GRANTS, Setup};

/// A host with the guest on `bad` and the well-behaved one on `good`.
fn beside_the_probe(wasm: &[u8], more: &str) -> Host {
    Setup::new("memory://")
        .probe("good")
        .plugin("bad", wasm, "bad", more)
        .start()
}

/// The failure that the caller of the guest gets, twice, while the other plugin serves on.
#[track_caller]
fn check(wasm: &[u8], more: &str, class: &str, message: &str) {
    let host = beside_the_probe(wasm, more);
    for _ in 0..2 {
        let failure = host.failure("bad", "run", json!({}));
        assert_eq!(
            failure,
            (class.to_owned(), format!("plugin `bad`: {message}"))
        );
        assert_eq!(host.result("good", "add", json!({"a": 1})), 2);
    }
}

#[test]
fn a_trap_is_a_failure() {
    check(
        &bare_module("unreachable"),
        "",
        "PluginTrap",
        "it trapped: wasm trap: wasm `unreachable` instruction executed",
    );
}

#[test]
fn an_endless_loop_is_a_failure_after_its_time() {
    check(
        &bare_module("(loop $again (br $again)) unreachable"),
        "[limits]\ntimeout_ms = 300",
        "PluginTimeout",
        "it ran longer than its limit of 300 ms",
    );
}

#[test]
fn endless_loops_delay_nobody_on_another_topic_for_good() {
    // More of them than a pool has places, on every core.
    const CALLS: usize = 100;
    let spin = bare_module("(loop $again (br $again)) unreachable");
    let host = beside_the_probe(&spin, "[limits]\ntimeout_ms = 500");
    let done = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..CALLS {
            scope.spawn(|| {
                assert_eq!(host.failure("bad", "run", json!({})).0, "PluginTimeout");
                done.fetch_add(1, Ordering::Relaxed);
            });
        }
        for _ in 0..50 {
            assert_eq!(host.result("good", "add", json!({"a": 1})), 2);
        }
        assert!(
            done.load(Ordering::Relaxed) < CALLS,
            "they were over: it shows nothing"
        );
    });
}

#[test]
fn growing_without_bound_is_a_failure() {
    let grow = "(loop $again
        (if (i32.eq (memory.grow (i32.const 16)) (i32.const -1)) (then unreachable))
        (br $again)) unreachable";
    check(
        &bare_module(grow),
        "[limits]\nmemory_mib = 8",
        "PluginOutOfMemory",
        "it needed more than its limit of 8 MiB of memory",
    );
}

#[test]
fn endless_recursion_is_a_failure() {
    let recursion = "(call $dispatch (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0)
        (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0)
        (i32.const 0))";
    let wasm = bare_module(recursion);
    check(
        &wasm,
        "",
        "PluginTrap",
        "it trapped: wasm trap: call stack exhausted",
    );
}

#[test]
fn a_reply_that_is_not_one_json_value_is_a_failure() {
    for text in [
        "",
        "nothing",
        "{\"a\": 1",
        "1, \"failure\": null",
        "{}} {\"a\": 1",
    ] {
        let host = beside_the_probe(&bare_module_returning(text), "");
        let (class, message) = host.failure("bad", "run", json!({}));
        assert_eq!(class, "PluginInvalidReply", "{text}");
        assert!(
            message.starts_with("plugin `bad`: its reply is not JSON"),
            "{message}"
        );
        assert_eq!(host.result("good", "add", json!({"a": 1})), 2);
    }
    let host = beside_the_probe(&bare_module_returning(" {\"a\": [1]} "), "");
    assert_eq!(
        host.call("bad", "run", json!({}))["result"],
        json!({"a": [1]})
    );
}

#[test]
fn a_reply_over_its_limit_is_a_failure() {
    let text = format!("\"{}\"", "x".repeat(2000));
    check(
        &bare_module_returning(&text),
        "[limits]\nreply_kib = 1",
        "PluginInvalidReply",
        "its reply is larger than its limit of 1 KiB",
    );
}

#[test]
fn a_pointer_out_of_bounds_is_a_failure() {
    let host = beside_the_probe(&bare_module("i32.const 0x7ffffff0"), "");
    let (class, message) = host.failure("bad", "run", json!({}));
    assert_eq!(class, "PluginTrap", "{message}");
}

#[test]
fn a_panic_says_in_the_log_where_it_was() {
    let host = Setup::new("memory://").probe("good").start();
    assert_eq!(host.failure("good", "panic", json!({})).0, "PluginTrap");
    let line = host.logs("the probe panics");
    assert!(
        line.contains("ERROR") && line.contains("src/lib.rs"),
        "{line}"
    );
}

#[test]
fn all_three_kinds_of_file_are_served() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("probe.wasm");
    std::fs::write(&path, probe()).expect("a file");
    let described = endpointd::plugin::artifact::Artifact::read(&path).expect("a plugin");
    let bare = bare_module_returning("\"bare\"");
    let host = Setup::new("memory://")
        .probe("described")
        .plugin("component", &described.component, "component", PROBE_GRANTS)
        .plugin("bare", &bare, "bare", "")
        .start();
    assert_eq!(host.result("described", "which", json!({})), "null 1.4");
    assert_eq!(host.result("component", "which", json!({})), "null 1.4");
    assert_eq!(host.call("bare", "run", json!({}))["result"], "bare");
}

#[test]
fn between_equal_versions_the_priority_decides_and_then_the_name() {
    let guest = |text: &str| bare_module_returning(&format!("\"{text}\""));
    let host = Setup::new("memory://")
        .plugin("a", &guest("a"), "names", "")
        .plugin("b", &guest("b"), "names", "")
        .plugin("c", &guest("c"), "priorities", "")
        .plugin("d", &guest("d"), "priorities", "priority = 1")
        .start();
    assert_eq!(host.call("names", "run", json!({}))["result"], "a");
    assert_eq!(host.call("priorities", "run", json!({}))["result"], "d");
}

/// The line that says why a plugin was not loaded, while the other one is served.
#[track_caller]
fn check_refused(wasm: Option<&[u8]>, manifest: &str, expected: &str) {
    let mut setup = Setup::new("memory://").probe("good");
    setup = setup.file("plugins/bad/plugin.toml", manifest.as_bytes());
    if let Some(wasm) = wasm {
        setup = setup.file("plugins/bad/it.wasm", wasm);
    }
    let host = setup.start();
    let line = host.logs("Plugin `bad` was not loaded");
    assert!(line.contains("ERROR"), "{line}");
    assert!(line.contains(expected), "{line}");
    assert_eq!(host.result("good", "add", json!({"a": 1})), 2);
}

const MANIFEST: &str = "component = \"it.wasm\"\ntopics = [\"bad\"]\n";

#[test]
fn a_file_that_is_no_plugin_is_refused_with_its_reason() {
    let whole = probe();
    check_refused(Some(b"hello"), MANIFEST, "it.wasm is not WebAssembly");
    check_refused(
        Some(&whole[..whole.len() / 2]),
        MANIFEST,
        "it.wasm is broken",
    );
    check_refused(None, MANIFEST, "cannot read");
    let empty = wat::parse_str("(module)").expect("a module");
    check_refused(Some(&empty), MANIFEST, "does not fit the contract");
}

#[test]
fn a_manifest_that_is_wrong_is_refused_with_its_line() {
    let wasm = bare_module("unreachable");
    check_refused(
        Some(&wasm),
        "component = \"it.wasm\"",
        "missing field `topics`",
    );
    let unknown = format!("{MANIFEST}[limits]\nmemory_mb = 5\n");
    check_refused(
        Some(&wasm),
        &unknown,
        "line 4: unknown key `memory_mb`: did you mean `memory_mib`?",
    );
    let none = "component = \"it.wasm\"\ntopics = []\n";
    check_refused(Some(&wasm), none, "`topics` names no topic");
    let zero = format!("{MANIFEST}[limits]\nconcurrency = 0\n");
    check_refused(Some(&wasm), &zero, "`concurrency` under [limits] is 0");
    let short = format!("sha256 = \"00\"\n{MANIFEST}");
    check_refused(Some(&wasm), &short, "`sha256` is not 64 hexadecimal digits");
    let pin = "0".repeat(64);
    let pinned = format!("sha256 = \"{pin}\"\n{MANIFEST}");
    check_refused(Some(&wasm), &pinned, &format!("plugin.toml pins {pin}"));
}

#[test]
fn an_import_that_is_not_granted_is_refused_with_the_line_that_grants_it() {
    check_refused(
        Some(&probe()),
        MANIFEST,
        "which is not granted: add `client = [\"call:TOPIC\", \"cast:TOPIC\", \"fanout:TOPIC\"]` under [grants]",
    );
    let send = format!("{MANIFEST}[grants]\nclient = [\"cast:*\"]\n");
    check_refused(
        Some(&probe()),
        &send,
        "which is not granted: add `keyvalue = [\"BUCKET\"]` under [grants] in plugin.toml",
    );
    let wasm = bare_module_importing("env", "system");
    check_refused(Some(&wasm), MANIFEST, "does not fit the contract");
    let granted = format!("{send}keyvalue = [\"elsewhere\"]\n");
    check_refused(Some(&probe()), &granted, "add [keyvalue.elsewhere]");
}

#[test]
fn what_a_plugin_says_of_itself_is_checked() {
    let spin = bare_module_with_targets("(loop $again (br $again)) unreachable");
    check_refused(
        Some(&spin),
        MANIFEST,
        "asked for its targets, it ran longer than its limit",
    );
    let trap = bare_module_with_targets("unreachable");
    check_refused(Some(&trap), MANIFEST, "asked for its targets, it trapped");
    // A name that would write lines of its own to the terminal.
    let forged = bare_module_named("x\\0aready: y");
    check_refused(Some(&forged), MANIFEST, "is no name that can be shown");
    // The list at 104 is empty.
    let nothing = bare_module_with_targets("i32.const 104");
    check_refused(Some(&nothing), MANIFEST, "it serves no method");
}

#[test]
fn nothing_of_one_request_reaches_the_next() {
    let host = beside_the_probe(&bare_module_counting(), "");
    for _ in 0..20 {
        assert_eq!(host.call("bad", "run", json!({}))["result"], 1);
    }
}
