//! Hostile guests: each is its own caller's failure, which names what stopped it, and nobody else's
//! problem.

use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};

use crate::support::guests::{
    ImportedCall, bare_module, bare_module_counting, bare_module_returning, bare_module_with,
    bare_module_with_targets,
};
use crate::support::host::{Host, Setup};
use crate::support::{eventually, unique};

/// A host with the guest on `bad` and the well-behaved one on `good`.
fn beside_the_probe(wasm: &[u8], more: &str) -> Host {
    Setup::new("memory://")
        .probe("good")
        .plugin("bad", wasm, "bad", more)
        .start()
}

/// A host that refuses to load the guest and serves on, and what it logs of that.
#[track_caller]
fn refused(wasm: &[u8]) -> (Host, String) {
    let host = Setup::new("memory://")
        .probe("good")
        .plugin_without_topic("bad", wasm)
        .start();
    let line = host.logs("Plugin `bad` was not loaded");
    assert_eq!(host.result("good", "add", json!({"a": 1})), 2);
    (host, line)
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
        "it ran longer than its limit of 300 ms (timeout_ms)",
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
        "it needed more than its limit of 8 MiB of memory (memory_mib)",
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
        "PluginLimitExceeded",
        "its calls nest deeper than the 512 KiB of stack that a plugin has (stack)",
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
        "its reply is larger than its limit of 1 KiB (reply_kib)",
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
fn a_table_bomb_is_a_failure() {
    let grow = "(loop $again
        (if (i32.eq (table.grow $table (ref.null func) (i32.const 100)) (i32.const -1))
          (then unreachable))
        (br $again)) unreachable";
    let wasm = bare_module_with("(table $table 1 funcref)", "i32.const 96", grow);
    for (more, limit) in [("[limits]\ntable_elements = 5000", 5000), ("", 20_000)] {
        let expected =
            format!("it needed more than its limit of {limit} table elements (table_elements)");
        check(&wasm, more, "PluginLimitExceeded", &expected);
    }
}

#[test]
fn a_reply_of_a_gigabyte_is_a_failure_before_it_is_copied() {
    // It has the memory for it, and says that all of that is its reply.
    let answer = "(drop (memory.grow (i32.const 16384)))
        (i32.store (i32.const 200) (i32.const 0)) (i32.store (i32.const 204) (i32.const 0))
        (i32.store (i32.const 208) (i32.const 0x40000000)) (i32.const 200)";
    let host = beside_the_probe(&bare_module(answer), "[limits]\nmemory_mib = 2048");
    let before = host.resident_kib();
    for _ in 0..5 {
        let (class, message) = host.failure("bad", "run", json!({}));
        assert_eq!(class, "PluginInvalidReply");
        assert_eq!(
            message,
            "plugin `bad`: its reply is larger than its limit of 1024 KiB (reply_kib)"
        );
    }
    let grown = host.resident_kib().saturating_sub(before);
    assert!(grown < 200 * 1024, "the host grew by {grown} KiB");
    assert_eq!(host.result("good", "add", json!({"a": 1})), 2);
}

#[test]
fn json_that_nests_too_deep_is_a_failure_in_a_reply_and_in_a_request() {
    let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    check(
        &bare_module_returning(&nested(100_000)),
        "",
        "PluginInvalidReply",
        "its reply nests deeper than its limit of 128 (json_depth)",
    );
    // In a failure's keyword arguments, which are JSON as well: the text stands at 1024.
    let kwargs = format!("{{\"a\": {}}}", nested(300));
    let failing = format!(
        "(i32.store8 (i32.const 200) (i32.const 1))
         (i32.store8 (i32.const 228) (i32.const 1)) (i32.store (i32.const 232) (i32.const 1024))
         (i32.store (i32.const 236) (i32.const {})) (i32.const 200)",
        kwargs.len()
    );
    let data = format!("(data (i32.const 1024) {:?})", kwargs);
    check(
        &bare_module_with(&data, "i32.const 96", &failing),
        "",
        "PluginInvalidReply",
        "its reply nests deeper than its limit of 128 (json_depth)",
    );
    let host = beside_the_probe(&bare_module_returning("1"), "[limits]\njson_depth = 3");
    assert_eq!(host.call("bad", "run", json!({"a": [[1]]}))["result"], 1);
    let failure = host.failure("bad", "run", json!({"a": [[[1]]]}));
    assert_eq!(failure.0, "PluginInvalidRequest");
    let expected =
        "plugin `bad`: the request nests deeper than the plugin's limit of 3 (json_depth)";
    assert_eq!(failure.1, expected);
}

#[test]
fn a_request_beyond_the_limit_is_refused_before_anything_runs() {
    let host = beside_the_probe(&bare_module("unreachable"), "[limits]\nrequest_kib = 10");
    let large = "x".repeat(10 * 1024);
    for _ in 0..20 {
        let (class, message) = host.failure("bad", "run", json!({"a": large}));
        assert_eq!(class, "PluginInvalidRequest");
        let expected =
            "plugin `bad`: the request is larger than the plugin's limit of 10 KiB (request_kib)";
        assert_eq!(message, expected);
    }
    // It is the caller's doing, and no reason to give the plugin a rest.
    let status = host.plugin("bad");
    assert_eq!(status["invalid_requests"], 20, "{status}");
    assert_eq!(status["calls"], 0, "{status}");
    assert_eq!(status["limits_reached"], json!({"request_kib": 20}));
    assert_eq!(host.failure("bad", "run", json!({})).0, "PluginTrap");
}

#[test]
fn what_is_handed_to_the_host_at_once_is_bounded() {
    let log = ImportedCall::log(0, 2 * 1024 * 1024);
    let wasm = bare_module_with(
        &log.import,
        "i32.const 96",
        &format!("{} unreachable", log.call),
    );
    check(
        &wasm,
        "[limits]\nhost_call_kib = 1536\nmemory_mib = 16",
        "PluginLimitExceeded",
        "it handed more than its limit of 1536 KiB to the host at once (host_call_kib)",
    );
}

#[test]
fn a_log_flood_is_bounded_and_counted() {
    let log = ImportedCall::log(16, 3);
    let flood = format!("(loop $again {} (br $again)) unreachable", log.call);
    let wasm = bare_module_with(&log.import, "i32.const 96", &flood);
    let host = beside_the_probe(&wasm, "[limits]\ntimeout_ms = 500\nlog_lines_per_s = 5");
    assert_eq!(host.failure("bad", "run", json!({})).0, "PluginTimeout");
    let lines = host
        .log()
        .lines()
        .filter(|line| line.ends_with("1.0"))
        .count();
    assert!((5..=15).contains(&lines), "{lines}");
    host.logs("it writes more than its limit of 5 lines a second (log_lines_per_s)");
    let reached = host.plugin("bad")["limits_reached"]["log_lines_per_s"].clone();
    assert!(reached.as_u64() > Some(100), "{reached}");
}

#[test]
fn a_fork_bomb_of_messages_is_bounded_for_a_request_and_for_a_second() {
    let topic = unique("bomb");
    let cast = ImportedCall::client("cast", &topic, "run");
    let bomb = format!("(loop $again {} (br $again)) unreachable", cast.call);
    let wasm = bare_module_with(&cast.import, "i32.const 96", &bomb);
    let more = format!(
        "[limits]\noutbound = 10\noutbound_per_s = 50\ntimeout_ms = 2000\n\
         [grants]\nclient = [\"cast:{topic}\"]"
    );
    let host = Setup::new("memory://")
        .probe("good")
        .plugin("bad", &wasm, &topic, &more)
        .start();
    let (class, message) = host.failure(&topic, "run", json!({}));
    assert_eq!(class, "PluginLimitExceeded");
    let expected =
        "plugin `bad`: it sent more than its limit of 10 messages for one request (outbound)";
    assert_eq!(message, expected);
    // Each of them sends ten, and so on: ten times as many each time, if nothing held them up.
    eventually("the rate is reached", || {
        let reached = host.plugin("bad")["limits_reached"]["outbound_per_s"].as_u64();
        (reached > Some(0)).then_some(())
    });
    for _ in 0..20 {
        assert_eq!(host.result("good", "add", json!({"a": 1})), 2);
    }
    let calls = || host.plugin("bad")["calls"].as_u64().expect("a number");
    let before = calls();
    std::thread::sleep(std::time::Duration::from_secs(2));
    // Three windows may begin in two seconds.
    assert!(calls() - before <= 160, "{} more", calls() - before);
}

#[test]
fn a_fork_bomb_of_calls_ends_at_its_depth() {
    let topic = unique("bomb");
    let call = ImportedCall::client("call", &topic, "run");
    let bomb = format!("(loop $again {} (br $again)) unreachable", call.call);
    let wasm = bare_module_with(&call.import, "i32.const 96", &bomb);
    let more =
        format!("[limits]\noutbound = 3\ntimeout_ms = 2000\n[grants]\nclient = [\"call:{topic}\"]");
    let host = Setup::new("memory://")
        .probe("good")
        .plugin("bad", &wasm, &topic, &more)
        .start();
    let (class, _) = host.failure(&topic, "run", json!({}));
    assert!(["PluginLimitExceeded", "PluginTimeout", "PluginResting"].contains(&class.as_str()));
    assert_eq!(host.result("good", "add", json!({"a": 1})), 2);
    // The first of them and eight below it wait for each other; then each at the end may try three times,
    // and the breaker ends it. Without a depth there would be one below the other until the time is up.
    let status = host.plugin("bad");
    assert!(status["instances_made"].as_u64() < Some(60), "{status}");
}

#[test]
fn handles_that_are_kept_open_are_bounded() {
    let open = ImportedCall::open_bucket("probe");
    let hoard = format!("(loop $again {} (br $again)) unreachable", open.call);
    let wasm = bare_module_with(&open.import, "i32.const 96", &hoard);
    check(
        &wasm,
        "[grants]\nkeyvalue = [\"probe\"]",
        "PluginLimitExceeded",
        "it kept more than 1000 handles open (handles)",
    );
}

#[test]
fn what_the_host_keeps_for_handles_is_bounded() {
    // A swap for each of as many keys as there may be, each of 1 MiB.
    let wasm = bare_module_with(
        "(import \"wasi:keyvalue/store@0.2.0-draft2\" \"open\" (func $open (param i32 i32 i32)))
         (import \"wasi:keyvalue/atomics@0.2.0-draft2\" \"[static]cas.new\"
           (func $cas (param i32 i32 i32 i32)))
         (data (i32.const 3200) \"probe\")",
        "i32.const 96",
        "(call $open (i32.const 3200) (i32.const 5) (i32.const 3500))
         (loop $again
           (call $cas (i32.load (i32.const 3504)) (i32.const 65536) (i32.const 1048576)
             (i32.const 3600))
           (br $again))
         unreachable",
    );
    let more = "[limits]\ntimeout_ms = 1500\n[grants]\nkeyvalue = [\"probe\"]";
    let host = beside_the_probe(&wasm, more);
    let before = host.resident_kib();
    assert_eq!(host.failure("bad", "run", json!({})).0, "PluginTimeout");
    let grown = host.resident_kib().saturating_sub(before);
    assert!(grown < 200 * 1024, "the host grew by {grown} KiB");
}

#[test]
fn sleeping_past_its_deadline_is_a_failure_in_time() {
    // A subscription to the clock that never comes, at 1024.
    let wasm = bare_module_with(
        "(import \"wasi_snapshot_preview1\" \"poll_oneoff\"
           (func $poll (param i32 i32 i32 i32) (result i32)))
         (data (i32.const 1040) \"\\01\\00\\00\\00\\00\\00\\00\\00\\ff\\ff\\ff\\ff\\ff\\ff\\ff\\0f\")",
        "i32.const 96",
        "(drop (call $poll (i32.const 1024) (i32.const 1100) (i32.const 1) (i32.const 1200)))
         unreachable",
    );
    check(
        &wasm,
        "[limits]\ntimeout_ms = 200\n[grants]\nclocks = true",
        "PluginTimeout",
        "it ran longer than its limit of 200 ms (timeout_ms)",
    );
}

#[test]
fn random_bytes_are_bounded_at_once() {
    let wasm = bare_module_with(
        "(import \"wasi:random/random@0.2.0\" \"get-random-bytes\" (func $bytes (param i64 i32)))",
        "i32.const 96",
        "(call $bytes (i64.const 0x40000000) (i32.const 1024)) unreachable",
    );
    let host = beside_the_probe(&wasm, "[grants]\nrandom = true");
    let (class, message) = host.failure("bad", "run", json!({}));
    assert_eq!(class, "PluginTrap");
    assert!(message.contains("exceeds limit 1048576"), "{message}");
}

#[test]
fn a_plugin_that_starts_slowly_or_spins_in_targets_keeps_no_other_waiting() {
    let spin = bare_module_with_targets("(loop $again (br $again)) unreachable");
    let slow = bare_module_with(
        "(func $start (local i32)
           (loop $again
             (br_if $again (i32.lt_u
               (local.tee 0 (i32.add (local.get 0) (i32.const 1))) (i32.const 200000000)))))
         (start $start)",
        "i32.const 96",
        "unreachable",
    );
    let host = Setup::new("memory://").probe("good").start();
    let plugins = host.folder().join("plugins");
    let put = |name: &str, wasm: &[u8]| {
        let folder = plugins.join(name);
        std::fs::create_dir_all(&folder).expect("a folder");
        std::fs::write(folder.join("it.wasm"), wasm).expect("a file");
        let manifest = format!("component = \"it.wasm\"\ntopics = [\"{name}\"]\n");
        std::fs::write(folder.join("plugin.toml"), manifest).expect("a file");
    };
    put("spins", &spin);
    put("slow", &slow);
    put("zz-quick", &bare_module_returning("1"));
    eventually("the quick one serves", || {
        (host.call("zz-quick", "run", json!({}))["result"] == 1).then_some(())
    });
    // It came after the one that spins, which is still being waited for.
    let spins = host.plugin("spins");
    assert!(spins["problem"].is_null(), "{spins}");
    assert_eq!(host.result("good", "add", json!({"a": 1})), 2);
    host.logs("Plugin `spins` was not loaded: asked for its targets, it ran longer than its limit");
    eventually("the slow one is there", || {
        (host.plugin("slow")["state"] == "serving").then_some(())
    });
}

#[test]
fn a_component_with_hundreds_of_instances_inside_is_refused() {
    let instance = "(core instance (instantiate $m))\n".repeat(200);
    let text = format!("(component (core module $m) {instance})");
    let wasm = wat::parse_str(text).expect("a component");
    let (_, line) = refused(&wasm);
    assert!(line.contains("200") && line.contains("120"), "{line}");
}

#[test]
fn every_import_without_a_grant_is_refused_or_denied() {
    for (import, line) in [
        (
            "(import \"wasi:clocks/wall-clock@0.2.0\" \"now\" (func (param i32)))",
            "clocks = true",
        ),
        (
            "(import \"wasi:random/random@0.2.0\" \"get-random-u64\" (func (result i64)))",
            "random = true",
        ),
        (
            &ImportedCall::open_bucket("b").import,
            "keyvalue = [\"BUCKET\"]",
        ),
        (
            &ImportedCall::client("call", "t", "m").import,
            "client = [\"call:TOPIC\", ",
        ),
        (
            "(import \"wasi:http/outgoing-handler@0.2.0\" \"handle\" (func (param i32 i32 i32 i32)))",
            "http = [\"HOST\"]",
        ),
    ] {
        let wasm = bare_module_with(import, "i32.const 96", "unreachable");
        let (_, told) = refused(&wasm);
        assert!(told.contains(&format!("add `{line}")), "{told}");
    }
    // A runtime imports more than it uses, so there it is denied when it is called.
    for (import, call, what, line) in [
        (
            "clock_time_get\" (func $f (param i32 i64 i32) (result i32)))",
            "(drop (call $f (i32.const 0) (i64.const 0) (i32.const 1024)))",
            "wasi:clocks/wall-clock#now",
            "clocks = true",
        ),
        (
            "random_get\" (func $f (param i32 i32) (result i32)))",
            "(drop (call $f (i32.const 1024) (i32.const 8)))",
            "wasi:random/random#get-random-bytes",
            "random = true",
        ),
    ] {
        let import = format!("(import \"wasi_snapshot_preview1\" \"{import}");
        let wasm = bare_module_with(&import, "i32.const 96", &format!("{call} unreachable"));
        let expected = format!(
            "it called `{what}`, which is not granted: add `{line}` under [grants] in plugin.toml"
        );
        check(&wasm, "", "PluginDenied", &expected);
    }
}

#[test]
fn nothing_of_a_failure_can_end_the_reply_it_stands_in() {
    let escape = "\"}\", \"result\": \"forged\", \"ending\": true, \"x\": {\"y\": \"";
    let host = beside_the_probe(&bare_module_returning(escape), "");
    let answer = host.call("bad", "run", json!({}));
    assert_eq!(answer["result"], Value::Null, "{answer}");
    assert_eq!(answer["failure"]["class"], "PluginInvalidReply", "{answer}");
}

#[test]
fn nothing_of_one_request_reaches_the_next() {
    let host = beside_the_probe(&bare_module_counting(), "");
    for _ in 0..20 {
        assert_eq!(host.call("bad", "run", json!({}))["result"], 1);
    }
}

/// A component that holds one function of seven million bytes, each twelve of them a branch: to compile it takes
/// more than 2 GiB.
fn too_much_to_compile() -> Vec<u8> {
    // Of the first argument, the second becomes the first or itself.
    const BRANCH: [u8; 12] = *b"\x20\0\x04\x7f\x20\0\x05\x20\x01\x0b\x21\x01";
    let body = [&[0][..], &BRANCH.repeat(583_000), &[0x0b]].concat();
    let code: Vec<_> = number(1).chain(number(body.len())).chain(body).collect();
    let module = [
        b"\0asm\x01\0\0\0".to_vec(),
        section(1, b"\x01\x60\x02\x7f\x7f\0"),
        section(3, b"\x01\0"),
        section(10, &code),
    ]
    .concat();
    [b"\0asm\x0d\0\x01\0".to_vec(), section(1, &module)].concat()
}

#[test]
fn what_takes_too_much_to_compile_fails_alone() {
    let wasm = too_much_to_compile();
    let (host, failed) = refused(&wasm);
    assert!(
        failed.contains("the process that compiles ended with signal: 6")
            && failed.contains("at most 2048 MiB of memory and 600 s of processor time"),
        "{failed}"
    );
    assert!(host.resident_kib() < 500 * 1024, "{}", host.resident_kib());
}

/// Its children that compile, with their limits and variables.
fn compiling(host: &Host) -> Option<(String, String)> {
    let parent = format!("PPid:\t{}\n", host.id());
    std::fs::read_dir("/proc")
        .ok()?
        .flatten()
        .find_map(|process| {
            let read = |name: &str| std::fs::read_to_string(process.path().join(name)).ok();
            let is_child = read("status")?.contains(&parent);
            (is_child && read("cmdline")?.contains("compile-component"))
                .then(|| Some((read("limits")?, read("environ")?)))?
        })
}

#[test]
fn what_compiles_is_bounded_and_knows_nothing_of_the_host() {
    let wasm = too_much_to_compile();
    let host = Setup::new("memory://")
        .plugin_without_topic("bad", &wasm)
        .launch();
    let limit = |limits: &str, name: &str| {
        let line = limits.lines().find(|line| line.starts_with(name))?;
        // The soft one and the hard one.
        let mut words = line[name.len()..].split_whitespace();
        Some((words.next()?.to_owned(), words.next()?.to_owned()))
    };
    let pair = |limit: &str| Some((limit.to_owned(), limit.to_owned()));
    eventually("it is compiled within limits", || {
        let (limits, variables) = compiling(&host)?;
        assert_eq!(variables, "");
        // It gives them to itself.
        (limit(&limits, "Max data size") == pair("2147483648")
            && limit(&limits, "Max cpu time") == pair("600"))
        .then_some(())
    });
}

#[test]
fn a_module_that_imports_without_end_is_refused_at_once() {
    const IMPORTS: usize = 300_000;
    let values = || number(1000).chain([0x7f; 1000]);
    let types: Vec<_> = [1, 0x60]
        .into_iter()
        .chain(values())
        .chain(values())
        .collect();
    let imports = number(IMPORTS).chain(b"\x01a\x01b\0\0".repeat(IMPORTS));
    let wasm = [
        b"\0asm\x01\0\0\0".to_vec(),
        section(1, &types),
        section(2, &imports.collect::<Vec<_>>()),
    ]
    .concat();
    let (_, failed) = refused(&wasm);
    assert!(
        failed.contains("it imports 300000 functions and other things, more than the 1000 it may"),
        "{failed}"
    );
}

#[test]
fn a_large_plugin_is_compiled_apart_also_where_nothing_can_be_kept() {
    let name = [&[1, b'x'][..], &[0; 600 * 1024]].concat();
    let wasm = [bare_module_returning("1"), section(0, &name)].concat();
    // Others could write to it, so nothing in it is trusted.
    let setup = || {
        let setup = Setup::new("memory://").file("data/compiled/others", b"");
        setup.open_to_others("data/compiled")
    };
    let host = setup().plugin("large", &wasm, "large", "").start();
    host.logs("Compiled code is not kept");
    assert_eq!(host.call("large", "run", json!({}))["result"], 1);
    let host = setup()
        .variable("TMPDIR", "/dev/null")
        .plugin_without_topic("large", &wasm)
        .start();
    host.logs("neither in data_dir nor in the folder for temporary files");
}

/// Of a module or component.
fn section(id: u8, content: &[u8]) -> Vec<u8> {
    let size = number(content.len());
    std::iter::once(id)
        .chain(size)
        .chain(content.iter().copied())
        .collect()
}

/// As WebAssembly writes it (unsigned LEB128).
fn number(mut value: usize) -> impl Iterator<Item = u8> {
    let mut bytes = Vec::new();
    while value >= 0x80 {
        bytes.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
    bytes.into_iter()
}
