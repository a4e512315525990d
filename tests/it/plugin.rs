//! Files that are plugins, and files that are none: which are served, and what their operator is told.

use serde_json::json;

use crate::support::guests::{
    bare_module, bare_module_importing, bare_module_named, bare_module_returning,
    bare_module_with_targets, probe,
};
use crate::support::host::{PROBE_GRANTS, Setup};

#[test]
fn all_three_kinds_of_file_are_served() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("probe.wasm");
    std::fs::write(&path, probe()).expect("a file");
    let described = endpointd::plugin::artifact::Artifact::read(&path, None).expect("a plugin");
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
fn what_a_broken_file_says_is_escaped() {
    let name = "x\\1b]0;title\\07\\0aERROR forged";
    let text = format!("(module (import \"{name}\" \"f\" (func)))");
    let wasm = wat::parse_str(text).expect("a module");
    let host = Setup::new("memory://")
        .probe("good")
        .plugin_without_topic("bad", &wasm)
        .start();
    let line = host.logs("Plugin `bad` was not loaded");
    assert!(
        line.contains("forged") && !line.contains('\u{1b}'),
        "{line}"
    );
    let problem = host.plugin("bad")["problem"].to_string();
    assert!(
        problem.contains("forged") && !problem.contains("\\u001b"),
        "{problem}"
    );
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
    let http = format!("{MANIFEST}[grants]\nhttp = [\"example.org\"]\n");
    check_refused(
        Some(&probe()),
        &http,
        "which is not granted: add `client = [\"call:TOPIC\", \"cast:TOPIC\", \"fanout:TOPIC\"]` under [grants]",
    );
    let send = format!("{http}client = [\"cast:*\"]\n");
    check_refused(
        Some(&probe()),
        &send,
        "which is not granted: add `keyvalue = [\"BUCKET\"]` under [grants] in plugin.toml",
    );
    let wasm = bare_module_importing("env", "system");
    check_refused(Some(&wasm), MANIFEST, "does not fit the contract");
    let rest = "clocks = true\nrandom = true\n";
    let granted = format!("{send}keyvalue = [\"elsewhere\"]\n{rest}");
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
