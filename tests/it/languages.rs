//! The endpoint that every language has (examples/inventory.md), built with each language's own compiler and
//! given the same calls.
//!
//! A language whose compiler cannot be had here is left out by the Makefile, by name and in its last lines;
//! asked for, it fails.

use std::collections::BTreeMap;
use std::fs::File;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use toml::Table;

use crate::support::guests::bare_module_serving;
use crate::support::host::{Host, Setup};
use crate::support::{eventually, free_port, workspace};

macro_rules! languages {
    ($($language:ident)+) => {$(
        mod $language {
            const LANGUAGE: &str = stringify!($language);

            #[test]
            fn methods_failures_and_state_are_those_of_the_others() {
                super::check_methods(LANGUAGE);
            }

            #[test]
            fn arguments_are_checked_as_the_others_do() {
                super::check_arguments(LANGUAGE);
            }

            #[test]
            fn what_it_sends_is_answered_or_its_failure() {
                super::check_outbound(LANGUAGE);
            }

            #[test]
            fn a_reused_instance_answers_20000_calls_in_bounded_memory() {
                super::check_reuse(LANGUAGE);
            }

            #[test]
            fn its_own_tests_pass() {
                super::check_own_tests(LANGUAGE);
            }

            #[test]
            fn a_new_project_is_tested_served_and_served_again_when_it_is_saved() {
                let _ = super::check_project(LANGUAGE);
            }

            #[test]
            fn time_and_memory_are_limited() {
                super::check_limits(LANGUAGE);
            }
        }
    )+};
}

languages! { assemblyscript c go javascript python rust typescript wat zig }

const LANGUAGES: [&str; 9] = [
    "assemblyscript",
    "c",
    "go",
    "javascript",
    "python",
    "rust",
    "typescript",
    "wat",
    "zig",
];

/// What the example's folder makes.
#[derive(Clone)]
struct Guest {
    wasm: Vec<u8>,
    manifest: Table,
}

/// The example, built once, with the command of its own plugin.toml.
fn guest(language: &str) -> Guest {
    static BUILT: Mutex<BTreeMap<String, Guest>> = Mutex::new(BTreeMap::new());
    // A build that failed fails for each test of the language.
    let mut built = BUILT.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(guest) = built.get(language) {
        return guest.clone();
    }
    let folder = workspace().join("examples").join(language);
    let text = std::fs::read_to_string(folder.join("plugin.toml")).expect("a plugin.toml");
    let manifest: Table = text.parse().expect("TOML");
    if let Some(build) = manifest.get("build") {
        let command = build["command"].as_str().expect("a command");
        run_in(&folder, language, command);
    }
    let component = folder.join(manifest["component"].as_str().expect("a name"));
    let wasm = std::fs::read(&component).expect("the build makes what plugin.toml names");
    let guest = Guest { wasm, manifest };
    built.insert(language.to_owned(), guest.clone());
    guest
}

/// Runs a command of the language's toolchain.
#[track_caller]
fn run_in(folder: &Path, language: &str, command: &str) {
    let toolchain = cache().join("toolchains").join(language).join("bin");
    let endpointd = Path::new(env!("CARGO_BIN_EXE_endpointd")).with_file_name("");
    let path = std::env::var("PATH").unwrap_or_default();
    let output = Command::new("sh")
        .args(["-c", command])
        .current_dir(folder)
        .env(
            "PATH",
            format!("{}:{}:{path}", toolchain.display(), endpointd.display()),
        )
        // Of a project, it is in its folder.
        .env("PYTHONPATH", workspace().join("guest-sdk/python"))
        .output()
        .expect("a shell");
    assert!(
        output.status.success(),
        "`{command}` failed: run `make setup-{language}` first\n{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}

fn cache() -> PathBuf {
    let home = || PathBuf::from(std::env::var_os("HOME").expect("a home")).join(".cache");
    let cache = std::env::var_os("XDG_CACHE_HOME").map_or_else(home, PathBuf::from);
    cache.join("endpointd")
}

/// A host with the example, as its plugin.toml has it but for what `change` changes, and a supplier.
fn serve(language: &str, change: impl FnOnce(&mut Table)) -> Host {
    let supplier = bare_module_serving(None, "1.0", "order", "order 7");
    start(setup(language, change).plugin("supplier", &supplier, "suppliers", ""))
}

/// One after another: the first of a language compiles it, and the others find that.
fn start(setup: Setup) -> Host {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let turn = ONE_AT_A_TIME.lock();
    let host = setup.start();
    drop(turn);
    host
}

/// The same without the supplier.
fn setup(language: &str, change: impl FnOnce(&mut Table)) -> Setup {
    let Guest { wasm, mut manifest } = guest(language);
    for key in ["component", "topics", "build"] {
        manifest.remove(key);
    }
    change(&mut manifest);
    // `.wat` is told from `.wasm` by the name of the file.
    let wasm = match wasm.starts_with(b"\0asm") {
        true => wasm,
        false => ::wat::parse_bytes(&wasm)
            .expect("a text module")
            .into_owned(),
    };
    let kept = workspace().join("target/languages");
    Setup::new("memory://")
        .settings(&format!("data_dir = {:?}", kept.display().to_string()))
        .tables("[keyvalue.inventory]\nbackend = \"memory\"\nmax_value_kib = 8192")
        .plugin("inventory", &wasm, "inventory", &manifest.to_string())
}

fn set(manifest: &mut Table, table: &str, key: &str, value: impl Into<toml::Value>) {
    let table = manifest.entry(table).or_insert_with(|| Table::new().into());
    table
        .as_table_mut()
        .expect("a table")
        .insert(key.to_owned(), value.into());
}

fn call(host: &Host, method: &str, args: Value) -> Value {
    host.call_with(json!({
        "topic": "inventory", "method": method, "args": args, "version": "1.1",
        "context": {"user": "Ada"},
    }))
}

#[track_caller]
fn result(host: &Host, method: &str, args: Value) -> Value {
    let answer = call(host, method, args);
    answer
        .get("result")
        .unwrap_or_else(|| panic!("{method}: {answer}"))
        .clone()
}

#[track_caller]
fn failure(host: &Host, method: &str, args: Value) -> Value {
    let answer = call(host, method, args);
    answer
        .get("failure")
        .unwrap_or_else(|| panic!("{method}: {answer}"))
        .clone()
}

/// Module, class and message.
#[track_caller]
fn check_failure(host: &Host, method: &str, args: Value, expected: (&str, &str, &str)) -> Value {
    let failure = failure(host, method, args);
    let found = (&failure["module"], &failure["class"], &failure["message"]);
    assert_eq!(
        found,
        (&json!(expected.0), &json!(expected.1), &json!(expected.2))
    );
    failure
}

fn checksum(names: &[&str]) -> u32 {
    let bytes = names.iter().flat_map(|name| name.bytes());
    bytes.fold(2_166_136_261, |sum: u32, byte| {
        (sum ^ u32::from(byte)).wrapping_mul(16_777_619)
    })
}

#[track_caller]
fn check_methods(language: &str) {
    let host = serve(language, |manifest| {
        for limit in ["request_kib", "reply_kib"] {
            set(manifest, "limits", limit, 16_384);
        }
    });
    let put = |name: &str, quantity: i64| {
        result(&host, "put", json!({"name": name, "quantity": quantity}))
    };
    let item = |quantity: i64, previous: Value, order: Value| {
        json!({"name": "nut", "quantity": quantity, "note": null, "by": "Ada", "previous": previous,
               "order": order})
    };
    assert_eq!(put("nut", 7), item(7, Value::Null, Value::Null));
    assert_eq!(put("nut", 5), item(5, 7.into(), Value::Null));
    assert_eq!(put("nut", 3), item(3, 5.into(), "order 7".into()));
    let stored = json!({"name": "nut", "quantity": 3, "note": null, "by": "Ada"});
    assert_eq!(result(&host, "get", json!({"name": "nut"})), stored);
    let line = host.logs("nut: 3, by request ");
    let id = line.split("by request ").nth(1).expect("it is there");
    assert!(
        id.split([' ', '"']).next().is_some_and(|id| id.len() == 32),
        "{line}"
    );

    // Text of every kind comes back as it was.
    let names = [
        "émile",
        "漢字",
        "🦀 crab",
        "quote\" back\\slash",
        "line\nbreak\ttab\u{1}",
    ];
    for (quantity, name) in (10..).zip(names) {
        let note = format!("about {name}");
        let args = json!({"name": name, "quantity": quantity, "note": note});
        assert_eq!(result(&host, "put", args)["note"], note);
        let found = result(&host, "get", json!({"name": name}));
        assert_eq!(
            found,
            json!({"name": name, "quantity": quantity, "note": note, "by": "Ada"})
        );
    }
    let mut all = vec!["nut"];
    all.extend(names);
    all.sort_unstable();
    assert_eq!(result(&host, "list", json!({})), json!(all));
    assert_eq!(
        result(&host, "list", json!({"prefix": "é"})),
        json!(["émile"])
    );
    assert_eq!(
        result(&host, "list", json!({"prefix": "no such"})),
        json!([])
    );
    let count = json!({"items": 6, "quantity": 3 + 10 + 11 + 12 + 13 + 14, "puts": 8});
    assert_eq!(result(&host, "count", json!({})), count);
    assert_eq!(result(&host, "checksum", json!({})), checksum(&all));
    assert_eq!(
        result(&host, "checksum", json!({"rounds": 2})),
        checksum(&[all.clone(), all].concat())
    );
    assert_eq!(
        result(&host, "checksum", json!({"rounds": 0})),
        2_166_136_261_u32
    );

    let none = (
        "inventory.exceptions",
        "ItemNotFound",
        "there is no item bolt",
    );
    let failure = check_failure(&host, "get", json!({"name": "bolt"}), none);
    assert_eq!(failure["kwargs"], json!({"name": "bolt"}));
    let negative = (
        "inventory.exceptions",
        "InvalidQuantity",
        "the quantity of nut cannot be -1",
    );
    let failure = check_failure(
        &host,
        "put",
        json!({"name": "nut", "quantity": -1}),
        negative,
    );
    assert_eq!(failure["kwargs"], json!({"name": "nut", "quantity": -1}));
    let unnamed = ("builtins", "ValueError", "a name is needed");
    let failure = check_failure(&host, "put", json!({"name": "", "quantity": 1}), unnamed);
    // Where the language has exceptions, this is one that nothing caught.
    if ["javascript", "python", "typescript"].contains(&language) {
        let lines = failure["traceback"].to_string();
        assert!(lines.contains("put"), "{lines}");
    }
    assert_eq!(result(&host, "get", json!({"name": "nut"})), stored);

    // Larger than what most guests have of memory at first.
    for mib in [1, 3] {
        let note = "é\"".repeat(mib * 1024 * 1024 / 3);
        let args = json!({"name": "large", "quantity": 9, "note": note});
        assert!(
            result(&host, "put", args)["note"] == note,
            "{mib} MiB came back otherwise"
        );
        assert!(
            result(&host, "get", json!({"name": "large"}))["note"] == note,
            "{mib} MiB were stored otherwise"
        );
    }
}

#[track_caller]
fn check_arguments(language: &str) {
    let host = serve(language, |_| {});
    let type_error = |method: &str, args: Value, message: &str| {
        check_failure(&host, method, args, ("builtins", "TypeError", message));
    };
    type_error(
        "put",
        json!({"name": "nut"}),
        "put() missing a required argument: 'quantity'",
    );
    type_error(
        "get",
        json!({}),
        "get() missing a required argument: 'name'",
    );
    let unknown = json!({"name": "nut", "quantity": 1, "size": 2});
    type_error(
        "put",
        unknown,
        "put() got an unexpected keyword argument 'size'",
    );
    type_error(
        "count",
        json!({"all": true}),
        "count() got an unexpected keyword argument 'all'",
    );
    for (method, argument, args) in [
        (
            "put",
            "quantity",
            json!({"name": "nut", "quantity": "many"}),
        ),
        ("put", "quantity", json!({"name": "nut", "quantity": true})),
        ("put", "quantity", json!({"name": "nut", "quantity": 1.5})),
        ("put", "quantity", json!({"name": "nut", "quantity": null})),
        ("put", "quantity", json!({"name": "nut", "quantity": [1]})),
        ("put", "name", json!({"name": 5, "quantity": 1})),
        (
            "put",
            "note",
            json!({"name": "nut", "quantity": 1, "note": {"a": 1}}),
        ),
        ("get", "name", json!({"name": null})),
    ] {
        let failure = failure(&host, method, args.clone());
        let message = failure["message"].as_str().expect("text");
        assert!(
            failure["class"] == "TypeError" && failure["module"] == "builtins",
            "{args}: {failure}"
        );
        assert!(
            message.starts_with(&format!("{method}() argument '{argument}': ")),
            "{message}"
        );
    }
    // As nested as the host lets through.
    let nested = |depth: usize| (0..depth).fold(json!(1), |inner, _| json!([inner]));
    let failure = failure(&host, "get", json!({"name": nested(100)}));
    assert_eq!(failure["class"], "TypeError");
    let answer = call(&host, "absent", json!({}));
    assert_eq!(answer["failure"]["class"], "NoSuchMethod", "{answer}");
    let newer = host
        .call_with(json!({"topic": "inventory", "method": "count", "args": {}, "version": "1.2"}));
    assert_eq!(newer["failure"]["class"], "UnsupportedVersion", "{newer}");
    assert_eq!(
        result(&host, "count", json!({})),
        json!({"items": 0, "quantity": 0, "puts": 0})
    );
}

#[track_caller]
fn check_outbound(language: &str) {
    // Nobody serves there.
    let host = serve(language, |manifest| {
        set(manifest, "config", "reorder_below", "5");
        set(manifest, "grants", "client", vec!["call:elsewhere"]);
    });
    let refused = failure(&host, "put", json!({"name": "nut", "quantity": 1}));
    assert_eq!(
        (&refused["module"], &refused["class"]),
        (&json!("endpointd"), &json!("ClientError"))
    );
    let text = refused["message"].as_str().expect("text");
    assert!(text.contains("call:suppliers"), "{text}");
    // What was stored before it failed stays.
    assert_eq!(result(&host, "get", json!({"name": "nut"}))["quantity"], 1);
    drop(host);

    // Without the setting nothing is ordered.
    let host = serve(language, |manifest| {
        manifest.remove("config");
    });
    assert_eq!(
        result(&host, "put", json!({"name": "nut", "quantity": 1}))["order"],
        Value::Null
    );
    drop(host);

    let host = start(setup(language, |_| {}));
    let gone = failure(&host, "put", json!({"name": "nut", "quantity": 1}));
    let found = (&gone["module"], &gone["class"]);
    assert_eq!(
        found,
        (
            &json!("oslo_messaging.exceptions"),
            &json!("MessageUndeliverable")
        ),
        "{gone}"
    );
}

#[track_caller]
fn check_reuse(language: &str) {
    let host = serve(language, |manifest| {
        set(manifest, "lifecycle", "instances", "reuse");
        set(manifest, "lifecycle", "max_calls", 100_000);
        // One that kept a little of each call would not get there.
        let memory_mib = match language {
            "python" => 20,
            "go" => 12,
            "javascript" | "typescript" => 6,
            "rust" | "zig" => 2,
            _ => 1,
        };
        set(manifest, "limits", "memory_mib", memory_mib);
    });
    let note = "n".repeat(200);
    result(
        &host,
        "put",
        json!({"name": "nut", "quantity": 9, "note": note}),
    );
    let made = || {
        host.plugin("inventory")["instances_made"]
            .as_u64()
            .expect("a count")
    };
    let before = made();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..5000 {
                    let item = result(&host, "get", json!({"name": "nut"}));
                    assert_eq!(item["quantity"], 9);
                }
            });
        }
    });
    // Who loses a race for the key reads again what the other wrote.
    let replaced = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for caller in 0..4 {
            let (host, replaced) = (&host, &replaced);
            scope.spawn(move || {
                for call in 0..200 {
                    let quantity = 1000 * (caller + 1) + call;
                    let put = result(host, "put", json!({"name": "bolt", "quantity": quantity}));
                    let previous = put["previous"].as_i64();
                    replaced.lock().expect("no panic").push(previous);
                }
            });
        }
    });
    let mut replaced = replaced.into_inner().expect("no panic");
    replaced.sort_unstable();
    replaced.dedup();
    assert_eq!(replaced.len(), 800, "each value was replaced once");
    // Four callers need four instances at the most; a trap would have cost one more.
    assert!(
        made() - before <= 3,
        "{before} instances before, {} after",
        made()
    );
    let status = host.plugin("inventory");
    for kind in ["failures", "traps", "out_of_memory", "limit_exceeded"] {
        assert_eq!(status[kind], 0, "{kind}: {status}");
    }
}

#[track_caller]
fn check_limits(language: &str) {
    let host = serve(language, |manifest| {
        set(manifest, "limits", "timeout_ms", 1500);
        set(manifest, "limits", "memory_mib", 24);
        set(manifest, "limits", "request_kib", 61_440);
    });
    result(&host, "put", json!({"name": "nut", "quantity": 9}));
    let late = failure(&host, "checksum", json!({"rounds": 4_000_000_000_u64}));
    let text = late["message"].as_str().expect("text");
    assert!(text.contains("timeout_ms"), "{late}");
    let note = "n".repeat(24 * 1024 * 1024);
    let large = failure(
        &host,
        "put",
        json!({"name": "large", "quantity": 9, "note": note}),
    );
    let reached = host.plugin("inventory")["limits_reached"]["memory_mib"].as_u64();
    assert!(reached > Some(0), "{large}: {reached:?}");
    // It goes on with the next call, whatever was wrong with the last.
    assert_eq!(result(&host, "get", json!({"name": "nut"}))["quantity"], 9);
}

/// How a README says to test what it is about, if it does.
fn test_command(folder: &Path) -> Option<String> {
    let readme = std::fs::read_to_string(folder.join("README.md")).expect("a README");
    let commands = [
        "cargo test",
        "cc -std=c11",
        "go test",
        "npm test",
        "python3 -m unittest",
        "sh test.sh",
        "zig test",
    ];
    let is_test = |line: &&str| commands.iter().any(|command| line.starts_with(command));
    readme.lines().rfind(is_test).map(str::to_owned)
}

/// Those of the example and of the library. That for Rust is tested with the workspace, the example for C
/// has none, and for WebAssembly text there is no library.
#[track_caller]
fn check_own_tests(language: &str) {
    let example = workspace().join("examples").join(language);
    let library = match language {
        "typescript" => "javascript",
        other => other,
    };
    let library = workspace().join("guest-sdk").join(library);
    guest(language);
    let readme = std::fs::read_to_string(example.join("README.md")).expect("a README");
    let mut lines = readme.lines();
    let trial = lines.find(|line| {
        line.starts_with("endpointd check inventory.")
            || line.starts_with("endpointd check target/")
    });
    run_in(&example, language, trial.expect("it says how to try it"));
    let mut ran = 0;
    for folder in [example, library] {
        if folder.join("README.md").exists()
            && let Some(command) = test_command(&folder)
        {
            run_in(&folder, language, &command);
            ran += 1;
        }
    }
    let expected = match language {
        "c" | "rust" | "wat" => 1,
        _ => 2,
    };
    assert_eq!(ran, expected, "tests that a README names");
}

/// `endpointd dev` at work, ended with this.
struct Dev(Child);

impl Drop for Dev {
    fn drop(&mut self) {
        // It may be in the middle of a build, which ends with its group.
        let group = format!("-{}", self.0.id());
        let _ = Command::new("kill").args(["-KILL", "--", &group]).status();
        let _ = self.0.wait();
    }
}

/// A bucket that is granted later is there without another word.
#[test]
fn dev_gives_a_project_the_buckets_that_it_is_granted_later() {
    let folder = tempfile::tempdir().expect("a folder");
    let endpointd = env!("CARGO_BIN_EXE_endpointd");
    let project = folder.path().join("keeper");
    let made = Command::new(endpointd)
        .args(["new", "keeper", "--lang", "wat", "--into"])
        .arg(&project)
        .status();
    assert!(made.expect("it runs").success());
    let log = folder.path().join("log");
    let dev = Command::new(endpointd)
        .args(["dev", "--listen", "127.0.0.1:0"])
        .arg(&project)
        .process_group(0)
        .stderr(File::create(&log).expect("a file"))
        .spawn();
    let _dev = Dev(dev.expect("it runs"));
    let logged = || std::fs::read_to_string(&log).expect("a file");
    let served = || logged().matches("==> Serving topic keeper").count();
    eventually("it serves", || (served() == 1).then_some(()));

    let manifest = project.join("plugin.toml");
    let before = std::fs::read_to_string(&manifest).expect("a manifest");
    let granted = format!("{before}\n[grants]\nkeyvalue = [\"later\"]\n");
    std::fs::write(&manifest, granted).expect("saved");
    eventually("it serves again", || (served() == 2).then_some(()));
    assert!(
        logged().contains("Other buckets are granted"),
        "{}",
        logged()
    );
    let said = logged();
    let via = said
        .split("--via ")
        .nth(1)
        .and_then(|rest| rest.lines().next());
    let via = via.expect("it says how to call it");
    let plugins = Command::new(endpointd)
        .args(["plugins", "keeper", "--json", "--via", via])
        .output();
    let plugins = String::from_utf8(plugins.expect("it runs").stdout).expect("text");
    assert!(plugins.contains("later"), "{plugins}");
    // What cannot be read is told, and changes nothing.
    std::fs::write(&manifest, "component = 5").expect("saved");
    eventually("it says what is wrong", || {
        logged().contains("plugin.toml").then_some(())
    });
    let call = ["call", "keeper", "greet", "name=Ada", "--via", via];
    let called = Command::new(endpointd)
        .args(call)
        .output()
        .expect("it runs");
    assert_eq!(String::from_utf8_lossy(&called.stdout), "\"Hello, Ada\"\n");
}

/// How long an author waits.
struct Waits {
    /// From nothing to the first answered call of a new project.
    first_call: Duration,
    /// From a save until what was saved is served.
    save: Duration,
}

#[track_caller]
fn check_project(language: &str) -> Waits {
    let begun = Instant::now();
    let folder = tempfile::tempdir().expect("a folder");
    let endpointd = env!("CARGO_BIN_EXE_endpointd");
    let made = Command::new(endpointd)
        .args(["new", "some-greeter", "--lang", language])
        .current_dir(folder.path())
        .output();
    let made = made.expect("it runs");
    assert!(made.status.success(), "{made:?}");
    let project = folder.path().join("some-greeter");
    let manifest = std::fs::read_to_string(project.join("plugin.toml")).expect("a manifest");
    let manifest: Table = manifest.parse().expect("TOML");

    let address = format!("127.0.0.1:{}", free_port());
    let log = File::create(folder.path().join("log")).expect("a file");
    let dev = Command::new(endpointd)
        .args(["dev", "some-greeter", "--listen", &address])
        .current_dir(folder.path())
        .process_group(0)
        .stderr(log)
        .spawn();
    let dev = Dev(dev.expect("it runs"));
    let logged = || std::fs::read_to_string(folder.path().join("log")).expect("a file");
    let greet = |name: &str| {
        let name = format!("name={name}");
        let via = format!("http://{address}");
        let call = ["call", "some-greeter", "greet", &name, "--via", &via];
        let output = Command::new(endpointd)
            .args(call)
            .output()
            .expect("it runs");
        let both = [output.stdout, output.stderr].concat();
        String::from_utf8(both).expect("text").trim_end().to_owned()
    };
    // To build and to compile may be slow beside others.
    let wait = |what: &str, is_done: &dyn Fn() -> bool| {
        let patience = Instant::now() + Duration::from_secs(300);
        while !is_done() {
            assert!(Instant::now() < patience, "never: {what}: {}", logged());
            std::thread::sleep(Duration::from_millis(100));
        }
    };
    wait("it serves", &|| {
        logged().contains("Call it from another terminal")
    });
    assert_eq!(greet("Ada"), "\"Hello, Ada\"", "{}", logged());
    let first_call = begun.elapsed();
    assert_eq!(greet(""), "builtins.ValueError: a name is needed");
    let logged_calls = logged();
    assert!(logged_calls.contains("greeting Ada"), "{logged_calls}");
    assert!(
        logged_calls.contains("Answered \"greet\" in "),
        "{logged_calls}"
    );
    assert!(
        logged_calls.contains("with \"builtins\".\"ValueError\""),
        "{logged_calls}"
    );

    // What does not build changes nothing.
    let source = [
        "src/lib.rs",
        "some_greeter_plugin.py",
        "some_greeter.js",
        "some_greeter.ts",
        "plugin.c",
        "plugin.go",
        "plugin.zig",
        "some_greeter.wat",
    ];
    let mut sources = source.iter().map(|name| project.join(name));
    let source = sources.find(|path| path.exists()).expect("a source");
    let before = std::fs::read_to_string(&source).expect("a source");
    std::fs::write(&source, format!("{before}\n) nonsense")).expect("saved");
    let problem = match manifest.contains_key("build") {
        true => "The build failed",
        false => "was not loaded",
    };
    wait("what is wrong is told", &|| logged().contains(problem));
    assert_eq!(greet("Ada"), "\"Hello, Ada\"");
    let after = before.replace("a name is needed", "who are you");
    let expected = "builtins.ValueError: who are you";
    let saved = Instant::now();
    std::fs::write(&source, after).expect("saved");
    wait("what was saved is served", &|| greet("") == expected);
    let save = saved.elapsed();

    // The project's own test, as its README says, of what `new` made.
    drop(dev);
    std::fs::write(&source, before).expect("saved");
    let test = test_command(&project).expect("it says how to test");
    if let Some(build) = manifest.get("build")
        && test.starts_with("sh ")
    {
        // It tries what was built.
        let command = build["command"].as_str().expect("a command");
        run_in(&project, language, command);
    }
    run_in(&project, language, &test);
    Waits { first_call, save }
}

/// docs/languages.md has a row for each language; `make languages` measures them and writes them.
#[test]
fn figures_of_every_language_are_on_the_page() {
    let path = workspace().join("docs/languages.md");
    let mut page = std::fs::read_to_string(&path).expect("the page");
    let (begin, end) = ("<!-- begin: figures -->\n", "<!-- end: figures -->\n");
    if std::env::var_os("ENDPOINTD_MEASURE").is_some() {
        let rows: String = LANGUAGES.iter().map(|language| figures(language)).collect();
        let head = "| language | compiler | new to served | save to served | build | file | instance | memory | core instances | first call | warm call | of the contract |\n\
                    |---|---|---|---|---|---|---|---|---|---|---|---|\n";
        let (before, rest) = page.split_once(begin).expect("the mark");
        let (_, after) = rest.split_once(end).expect("the mark");
        page = format!("{before}{begin}{head}{rows}{end}{after}");
        std::fs::write(&path, &page).expect("written");
    }
    let (_, table) = page.split_once(begin).expect("the mark");
    for language in LANGUAGES {
        let row = format!("| [{language}](../examples/{language}) | ");
        let row = table.lines().find(|line| line.starts_with(&row));
        assert!(
            row.is_some_and(|row| row.ends_with(" | all 8 parts |")),
            "{language} has no figures, or not all of it works: `make languages` takes them: {row:?}"
        );
    }
}

/// One row: what it takes to build the example once more, what `check` says of it, and calls by way of
/// the admin listener of a host that keeps its instance.
fn figures(language: &str) -> String {
    guest(language);
    let folder = workspace().join("examples").join(language);
    let Guest { manifest, .. } = guest(language);
    // What changed nothing would be built from what is kept.
    let source = [
        "src/lib.rs",
        "inventory/__init__.py",
        "inventory.js",
        "inventory.ts",
        "inventory.c",
        "inventory.go",
        "inventory.zig",
        "inventory.wat",
    ];
    let source = source
        .iter()
        .map(|name| folder.join(name))
        .find(|path| path.exists());
    let source = File::open(source.expect("a source")).expect("it can be opened");
    source
        .set_modified(std::time::SystemTime::now())
        .expect("touched");
    let build = match manifest.get("build") {
        None => "none".to_owned(),
        Some(build) => {
            let started = Instant::now();
            run_in(
                &folder,
                language,
                build["command"].as_str().expect("a command"),
            );
            format!("{:.1} s", started.elapsed().as_secs_f64())
        }
    };
    let component = folder.join(manifest["component"].as_str().expect("a name"));
    let checked = Command::new(env!("CARGO_BIN_EXE_endpointd"))
        .args(["check", "--json"])
        .arg(&component)
        .output();
    let checked: Value = serde_json::from_slice(&checked.expect("it runs").stdout).expect("JSON");
    let number = |key: &str| checked[key].as_u64().expect("a number");
    let host = serve(language, |manifest| {
        set(manifest, "lifecycle", "instances", "reuse")
    });
    let timed = || {
        let started = Instant::now();
        result(&host, "put", json!({"name": "nut", "quantity": 9}));
        started.elapsed().as_secs_f64() * 1000.0
    };
    let first = timed();
    let mut warm: Vec<f64> = (0..500).map(|_| timed()).collect();
    warm.sort_by(f64::total_cmp);
    drop(host);
    let contract = works(&serve(language, |_| {}));
    let Waits { first_call, save } = check_project(language);
    let (new, save) = (first_call.as_secs_f64(), save.as_secs_f64());
    format!(
        "| [{language}](../examples/{language}) | {} | {new:.0} s | {save:.1} s | {build} | {} KiB | {} µs | {} KiB | {} | {first:.1} ms | {:.2} ms | {contract} |\n",
        compiler(language),
        number("size_bytes") / 1024,
        number("instance_us"),
        number("memory_bytes") / 1024,
        number("core_instances"),
        warm[warm.len() / 2],
    )
}

/// Which parts of the contract an inventory uses as it should: all, or all but those that are named.
fn works(host: &Host) -> String {
    let put = |name: &str, quantity: i64| {
        let context = json!({"user": "ada"});
        host.call_with(json!({
            "topic": "inventory", "method": "put", "version": "1.1", "context": context,
            "args": {"name": name, "quantity": quantity},
        }))
    };
    let (first, second) = (put("part", 9), put("part", 1));
    let refused = put("part", -1);
    let count = result(host, "count", json!({}));
    let parts = [
        ("results", first["result"]["quantity"] == 9),
        ("failures", refused["failure"]["class"].is_string()),
        ("context", first["result"]["by"] == "ada"),
        ("buckets", count["quantity"].as_i64() > Some(0)),
        ("increments", count["puts"].as_i64() > Some(1)),
        ("swaps", second["result"]["previous"] == 9),
        (
            "settings and calls out",
            second["result"]["order"] == "order 7",
        ),
        ("the log", host.log().contains("part")),
    ];
    let failing: Vec<_> = parts
        .iter()
        .filter(|(_, works)| !works)
        .map(|(name, _)| *name)
        .collect();
    match failing.is_empty() {
        true => format!("all {} parts", parts.len()),
        false => format!("all but {}", failing.join(", ")),
    }
}

/// What built it, by its own words.
fn compiler(language: &str) -> String {
    let asked = match language {
        "python" => "componentize-py --version",
        "rust" => "cargo --version | cut -d' ' -f1,2",
        "c" => "clang --version | head -n 1 | cut -d' ' -f2-4",
        "assemblyscript" => "echo asc $(asc --version | cut -d' ' -f2)",
        "go" => "echo go $(go env GOVERSION | cut -c3-)",
        "wat" => "echo none",
        "javascript" | "typescript" => {
            "cd guest-sdk/javascript && echo componentize-qjs $(node -p 'require(\"./package.json\").dependencies[\"componentize-qjs\"]'), node $(node --version)"
        }
        _ => "echo zig $(zig version)",
    };
    let toolchain = cache().join("toolchains").join(language).join("bin");
    let path = std::env::var("PATH").unwrap_or_default();
    let output = Command::new("sh")
        .args(["-c", asked])
        .current_dir(workspace())
        .env("PATH", format!("{}:{path}", toolchain.display()))
        .output();
    String::from_utf8(output.expect("a shell").stdout)
        .expect("text")
        .trim()
        .to_owned()
}
