//! Plugins that come, change and go while the host runs.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::guests::{bare_module, bare_module_returning, probe};
use crate::support::host::{Host, Setup};
use crate::support::rabbit::Rabbit;
use crate::support::wire::{Wire, envelope};
use crate::support::{eventually, free_port, rabbit, unique};

/// A plugin whose method `run` returns `answer`.
fn answering(answer: &str) -> Vec<u8> {
    bare_module_returning(&format!("{answer:?}"))
}

fn manifest(topic: &str) -> String {
    format!("component = \"it.wasm\"\ntopics = [\"{topic}\"]\n")
}

/// Changes the plugin folder of a running host as an operator does.
struct Plugins {
    folder: PathBuf,
}

impl Plugins {
    fn of(host: &Host) -> Self {
        Self {
            folder: host.folder().join("plugins"),
        }
    }

    /// Copies a plugin in, the Wasm file last.
    fn put(&self, name: &str, topic: &str, answer: &str) {
        self.put_file(name, topic, &answering(answer));
    }

    fn put_file(&self, name: &str, topic: &str, wasm: &[u8]) {
        let folder = self.folder.join(name);
        std::fs::create_dir_all(&folder).expect("a folder");
        std::fs::write(folder.join("plugin.toml"), manifest(topic)).expect("a file");
        self.write(name, wasm);
    }

    fn write(&self, name: &str, wasm: &[u8]) {
        std::fs::write(self.folder.join(name).join("it.wasm"), wasm).expect("a file");
    }

    fn remove(&self, name: &str) {
        std::fs::remove_dir_all(self.folder.join(name)).expect("removed");
    }
}

/// Ends those who wait for it, also where the test fails.
struct Done<'a>(&'a AtomicBool);

impl Drop for Done<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

fn run(host: &Host, topic: &str) -> Value {
    host.call(topic, "run", json!({}))["result"].clone()
}

#[track_caller]
fn comes_to_answer(host: &Host, topic: &str, answer: &str) {
    eventually(answer, || (run(host, topic) == *answer).then_some(()));
}

fn status(host: &Host, name: &str) -> Value {
    host.plugin(name)
}

fn start(url: &str, topic: &str, answer: &str) -> Host {
    Setup::new(url)
        .plugin("one", &answering(answer), topic, "")
        .start()
}

#[test]
fn plugins_come_change_and_go_while_the_host_runs() {
    for url in ["memory://".to_owned(), rabbit::shared().url()] {
        let (first, second) = (unique("first"), unique("second"));
        let host = start(&url, &first, "one");
        let plugins = Plugins::of(&host);
        assert_eq!(run(&host, &first), "one");
        plugins.put("two", &second, "two");
        comes_to_answer(&host, &second, "two");
        let lines = host.ready_lines();
        assert!(lines[1].contains(&format!("topic {second} ")), "{lines:?}");
        plugins.put("two", &second, "three");
        comes_to_answer(&host, &second, "three");
        host.logs("Replaced plugin `two`");
        plugins.remove("two");
        host.logs("Withdrew plugin `two`");
        eventually("nobody listens", || {
            let call = json!({"topic": second, "method": "run", "timeout_ms": 300});
            host.call_with(call)["error"].is_string().then_some(())
        });
        assert_eq!(run(&host, &first), "one");
        assert_eq!(status(&host, "two"), Value::Null);
        assert_eq!(host.ready(), 200);
    }
}

#[test]
fn a_host_may_start_with_no_plugin_at_all() {
    let topic = unique("late");
    let host = Setup::new("memory://").start();
    eventually("it runs", || (host.ready() == 503).then_some(()));
    Plugins::of(&host).put("one", &topic, "one");
    comes_to_answer(&host, &topic, "one");
    assert_eq!(host.ready(), 200);
}

#[test]
fn who_calls_a_plugin_that_did_not_load_is_told_why() {
    let (topic, other) = (unique("unloaded"), unique("unloaded"));
    let host = Setup::new("memory://").start();
    let plugins = Plugins::of(&host);
    plugins.put_file("one", &topic, b"not Wasm");
    let said = |topic: &str, words: &str| {
        eventually(words, || {
            let error = host.call(topic, "run", json!({}))["error"].clone();
            let error = error.as_str().unwrap_or_default().to_owned();
            error.contains(words).then_some(error)
        })
    };
    let problem = said(&topic, "it.wasm");
    let begins = format!(
        "no server listens to `{topic}` in the exchange `neutron`; this host does not serve what is in the \
         folder of `one`: "
    );
    assert!(problem.starts_with(&begins), "{problem}");
    plugins.put_file("two", &other, b"not Wasm either");
    said(
        &topic,
        "does not serve what is in the folders of 2 plugins: `endpointd plugins` tells",
    );
    plugins.put("two", &topic, "two");
    comes_to_answer(&host, &topic, "two");
    // What serves is what was there before, on the topic of before.
    plugins.put_file("two", &other, b"not Wasm any more");
    said(&other, "does not serve what is in the folders of 2 plugins");
}

#[test]
fn what_waits_in_the_queue_of_a_topic_that_goes_is_served_when_it_comes_back() {
    let (topic, port) = (unique("returning"), rabbit::shared().port());
    let host = start(&rabbit::shared().url(), &topic, "one");
    let plugins = Plugins::of(&host);
    plugins.remove("one");
    host.logs("No plugin serves");
    let no_consumer = || {
        let queues = rabbit::shared().list(&["list_queues", "name", "consumers"]);
        let queue = queues.iter().find(|queue| queue["name"] == *topic)?;
        (queue["consumers"] == 0).then_some(())
    };
    eventually("nobody consumes", no_consumer);
    let mut wire = Wire::connect(port);
    for number in 0..50 {
        let message = json!({
            "method": "run", "args": {}, "_msg_id": number.to_string(),
            "_reply_q": wire.reply_queue,
        });
        wire.publish("neutron", &topic, &envelope(&message));
    }
    assert!(wire.try_next(Duration::from_millis(300)).is_none());
    plugins.put("one", &topic, "two");
    let mut served: Vec<_> = (0..50)
        .map(|_| {
            let reply = wire.next_reply();
            assert_eq!(reply["result"], "two", "{reply}");
            reply["_msg_id"].as_str().map(str::to_owned)
        })
        .collect();
    served.sort();
    served.dedup();
    assert_eq!(served.len(), 50);
}

#[test]
fn a_bad_generation_changes_nothing_and_says_why() {
    let topic = unique("bad");
    let host = start("memory://", &topic, "good");
    let plugins = Plugins::of(&host);
    let before = status(&host, "one");
    assert_eq!(before["state"], "serving");
    assert_eq!(before["generation"], before["on_disk"]);
    let good = answering("better");
    for (bad, problem) in [
        (b"no Wasm at all".to_vec(), "is not WebAssembly"),
        (good[..good.len() / 2].to_vec(), "is broken"),
        (wat::parse_str("(module)").expect("WAT"), "does not fit"),
    ] {
        plugins.write("one", &bad);
        let now = eventually("it is seen", || {
            let now = status(&host, "one");
            let is_new = now["problem"].is_string() && now["state"] == "outdated";
            is_new.then_some(now)
        });
        assert_eq!(now["generation"], before["generation"], "{now}");
        assert_eq!(run(&host, &topic), "good");
        let told = now["problem"].as_str().expect("text");
        assert!(told.contains(problem), "{told}");
        host.logs("Plugin `one` was not loaded:");
        let metrics = host.get_text("/metrics");
        let told = "endpointd_plugin_load_problem{plugin=\"one\",reason=\"";
        assert!(metrics.contains(told), "{metrics}");
        // It recovers from each.
        plugins.write("one", &answering("good"));
        eventually("it is mended", || {
            (status(&host, "one")["problem"].is_null()).then_some(())
        });
    }
    std::fs::write(host.folder().join("plugins/one/plugin.toml"), "topics = 5").expect("a file");
    eventually("it is seen", || {
        let problem = status(&host, "one")["problem"].to_string();
        problem.contains("plugin.toml").then_some(())
    });
    assert_eq!(run(&host, &topic), "good");
}

#[test]
fn one_bad_plugin_at_the_start_keeps_no_other_from_serving() {
    let topic = unique("beside");
    let host = Setup::new("memory://")
        .plugin("one", &answering("one"), &topic, "")
        .file("plugins/bad/plugin.toml", manifest("bad").as_bytes())
        .start();
    assert_eq!(run(&host, &topic), "one");
    let bad = status(&host, "bad");
    assert_eq!(bad["state"], "failed");
    assert!(bad["problem"].to_string().contains("it.wasm"), "{bad}");
    // The file that was missing comes.
    Plugins::of(&host).write("bad", &answering("mended"));
    comes_to_answer(&host, "bad", "mended");
}

#[test]
fn a_file_that_is_still_being_written_is_waited_for() {
    let topic = unique("slow");
    let host = start("memory://", &topic, "old");
    let wasm = answering("new");
    let path = host.folder().join("plugins/one/it.wasm");
    for end in (0..wasm.len()).step_by(wasm.len() / 12) {
        std::fs::write(&path, &wasm[..end]).expect("a file");
        std::thread::sleep(Duration::from_millis(200));
        assert_eq!(run(&host, &topic), "old");
    }
    std::fs::write(&path, &wasm).expect("a file");
    comes_to_answer(&host, &topic, "new");
    assert!(!host.log().contains("was not loaded"), "{}", host.log());
}

#[test]
fn a_symbolic_link_that_is_swapped_is_a_change() {
    let topic = unique("linked");
    let host = Setup::new("memory://").start();
    let releases = host.folder().join("releases");
    for answer in ["v1", "v2"] {
        let folder = releases.join(answer);
        std::fs::create_dir_all(&folder).expect("a folder");
        std::fs::write(folder.join("plugin.toml"), manifest(&topic)).expect("a file");
        std::fs::write(folder.join("it.wasm"), answering(answer)).expect("a file");
    }
    let link = host.folder().join("plugins/one");
    for answer in ["v1", "v2", "v1"] {
        let next = host.folder().join("next");
        std::os::unix::fs::symlink(releases.join(answer), &next).expect("a link");
        std::fs::rename(&next, &link).expect("swapped at once");
        comes_to_answer(&host, &topic, answer);
    }
}

#[test]
fn ten_plugins_that_change_at_once_all_do() {
    let topics: Vec<_> = (0..10).map(|_| unique("many")).collect();
    let host = Setup::new("memory://").start();
    let plugins = Plugins::of(&host);
    for round in ["old", "new"] {
        for (number, topic) in topics.iter().enumerate() {
            plugins.put(&format!("p{number}"), topic, &format!("{round} {number}"));
        }
        for (number, topic) in topics.iter().enumerate() {
            comes_to_answer(&host, topic, &format!("{round} {number}"));
        }
    }
}

#[test]
fn reload_does_it_now_and_tells_what_came_of_it() {
    let topic = unique("reloaded");
    let host = start("memory://", &topic, "old");
    let plugins = Plugins::of(&host);
    plugins.write("one", &answering("new"));
    let all = host.post("/plugins/reload");
    assert_eq!(all[0]["state"], "serving", "{all}");
    assert_eq!(run(&host, &topic), "new");
    plugins.write("one", b"rubbish");
    let all = host.post("/plugins/reload");
    assert_eq!(all[0]["state"], "outdated", "{all}");
    // A signal does the same.
    plugins.write("one", &answering("newer"));
    let pid = host.id().to_string();
    let sent = Command::new("kill").args(["-HUP", &pid]).status();
    assert!(sent.expect("kill runs").success());
    comes_to_answer(&host, &topic, "newer");
}

#[test]
fn rollback_returns_to_the_generation_before_and_back() {
    let topic = unique("rolled");
    let host = start("memory://", &topic, "old");
    let none = host.post("/plugins/one/rollback");
    assert!(
        none["error"].to_string().contains("before this one"),
        "{none}"
    );
    let unknown = host.post("/plugins/other/rollback");
    assert_eq!(unknown["error"], "there is no plugin `other`");
    let plugins = Plugins::of(&host);
    plugins.write("one", &answering("new"));
    host.post("/plugins/reload");
    assert_eq!(run(&host, &topic), "new");
    let back = host.post("/plugins/one/rollback");
    assert_eq!(back["state"], "rolled-back", "{back}");
    assert_eq!(run(&host, &topic), "old");
    // Nothing changes that by itself, nor does a reload, nor another date of the same content.
    plugins.write("one", &answering("new"));
    host.post("/plugins/reload");
    assert_eq!(status(&host, "one")["state"], "rolled-back");
    assert_eq!(run(&host, &topic), "old");
    host.post("/plugins/one/rollback");
    assert_eq!(run(&host, &topic), "new");
    host.post("/plugins/one/rollback");
    plugins.write("one", &answering("newest"));
    comes_to_answer(&host, &topic, "newest");
}

#[test]
fn lines_about_a_request_carry_the_generation_that_answers_it() {
    let topic = unique("logged");
    let host = Setup::new("memory://").probe(&topic).start();
    host.result(&topic, "log", json!({"line": "I was here"}));
    let generation = status(&host, "probe")["generation"].clone();
    let generation = generation.as_str().expect("text");
    let line = host.logs("I was here");
    assert!(
        line.contains(&format!("plugin.generation=\"{generation}\"")),
        "{line}"
    );
}

#[test]
fn a_flood_of_log_lines_is_cut_and_told() {
    let topic = unique("chatty");
    let more = format!(
        "{}[limits]\nlog_lines_per_s = 5",
        crate::support::host::PROBE_GRANTS
    );
    let host = Setup::new("memory://")
        .tables("[keyvalue.probe]\nbackend = \"memory\"")
        .plugin("probe", &probe(), &topic, &more)
        .start();
    let seconds = Instant::now();
    for number in 0..60 {
        host.result(&topic, "log", json!({"line": format!("chatter {number}.")}));
    }
    let windows = seconds.elapsed().as_secs() as usize + 1;
    let log = host.log();
    let written = log.lines().filter(|line| line.contains("chatter ")).count();
    assert!(
        (5..=5 * (windows + 1)).contains(&written),
        "{written} in {windows} s"
    );
    assert!(
        log.contains("more than its limit of 5 lines a second (log_lines_per_s)"),
        "{log}"
    );
    assert_eq!(status(&host, "probe")["dropped_log_lines"], 60 - written);
}

#[test]
fn a_gain_of_imports_and_grants_is_logged() {
    let topic = unique("gaining");
    let host = Setup::new("memory://")
        .tables("[keyvalue.probe]\nbackend = \"memory\"")
        .plugin("one", &answering("one"), &topic, "")
        .start();
    let more = format!("{}{}", manifest(&topic), crate::support::host::PROBE_GRANTS);
    let plugins = Plugins::of(&host);
    std::fs::write(host.folder().join("plugins/one/plugin.toml"), more).expect("a file");
    plugins.write("one", &probe());
    host.post("/plugins/reload");
    host.logs("The new generation of `one` has the import endpointd:rpc/client@");
    host.logs("The new generation of `one` has the grant client = [\"fanout:*\"]");
}

#[test]
fn a_thousand_swaps_under_load_lose_no_call_and_no_memory() {
    let topic = unique("swapped");
    let host = start(&rabbit::shared().url(), &topic, "blue");
    Plugins::of(&host).write("one", &answering("green"));
    host.post("/plugins/reload");
    let done = AtomicBool::new(false);
    let answered = AtomicUsize::new(0);
    let (mut blue, mut green, mut early) = (0, 0, 0);
    std::thread::scope(|scope| {
        let callers: Vec<_> = (0..64)
            .map(|_| {
                scope.spawn(|| {
                    let mut answers = Vec::new();
                    while !done.load(Ordering::SeqCst) {
                        answers.push(host.call(&topic, "run", json!({})));
                        answered.fetch_add(1, Ordering::SeqCst);
                    }
                    answers
                })
            })
            .collect();
        let ending = Done(&done);
        for swap in 1..=1000 {
            let swapped = host.post("/plugins/one/rollback");
            assert_eq!(swapped["name"], "one", "{swapped}");
            // Each of them has calls around it.
            eventually("calls are answered", || {
                (answered.load(Ordering::SeqCst) >= 2 * swap).then_some(())
            });
            if swap == 200 {
                early = host.resident_kib();
            }
        }
        drop(ending);
        let answers = callers
            .into_iter()
            .flat_map(|caller| caller.join().expect("no panic"));
        for answer in answers {
            match answer["result"].as_str() {
                Some("blue") => blue += 1,
                Some("green") => green += 1,
                _ => panic!("{answer}"),
            }
        }
    });
    let late = host.resident_kib();
    assert!(blue > 100 && green > 100, "{blue} and {green}");
    assert!(late < early + early / 5, "{early} KiB, and then {late} KiB");
}

#[test]
fn generations_that_were_replaced_are_freed() {
    let topic = unique("freed");
    let host = start("memory://", &topic, "0");
    let plugins = Plugins::of(&host);
    let mut early = 0;
    for round in 1..=60 {
        plugins.write("one", &answering(&format!("{round} {}", "x".repeat(1000))));
        host.post("/plugins/reload");
        if round == 20 {
            early = host.resident_kib();
        }
    }
    let late = host.resident_kib();
    assert!(late < early + early / 5, "{early} KiB, and then {late} KiB");
}

/// The only file of compiled code that the host has.
fn compiled(host: &Host) -> PathBuf {
    let folder = host.folder().join("data/compiled");
    let entries = std::fs::read_dir(&folder).expect("the folder");
    let mut files: Vec<_> = entries.map(|entry| entry.expect("a file").path()).collect();
    assert_eq!(files.len(), 1, "{files:?}");
    files.pop().expect("one")
}

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).expect("there").permissions().mode() & 0o777
}

#[test]
fn compiled_code_is_kept_and_taken_again_only_if_it_can_be_trusted() {
    let topic = unique("compiled");
    let mut host = Setup::new("memory://")
        .settings("log = \"info,endpointd::plugin=debug\"")
        .plugin("one", &answering("one"), &topic, "")
        .start();
    let file = compiled(&host);
    assert_eq!(mode(&file), 0o600);
    assert_eq!(mode(file.parent().expect("a folder")), 0o700);
    let mut restart = |tamper: &dyn Fn()| {
        host.terminate();
        host.wait();
        tamper();
        let before = host.log().len();
        host.start();
        assert_eq!(run(&host, &topic), "one");
        host.log()[before..].to_owned()
    };
    let log = restart(&|| {});
    assert!(
        log.contains("Took the compiled code from the cache"),
        "{log}"
    );

    let flip = || {
        let mut bytes = std::fs::read(&file).expect("a file");
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        std::fs::write(&file, bytes).expect("written");
    };
    let truncate = || {
        let bytes = std::fs::read(&file).expect("a file");
        std::fs::write(&file, &bytes[..10]).expect("written");
    };
    let open_up = || {
        let everybody = Permissions::from_mode(0o666);
        std::fs::set_permissions(&file, everybody).expect("set");
    };
    let link = || {
        let elsewhere = file.with_file_name("elsewhere");
        std::fs::rename(&file, &elsewhere).expect("renamed");
        std::os::unix::fs::symlink(&elsewhere, &file).expect("linked");
    };
    let tampering: [(&dyn Fn(), &str); 4] = [
        (&flip, "it is not as it was written"),
        (&truncate, "it is not as it was written"),
        (&open_up, "others may write to it"),
        (&link, "it is a symbolic link"),
    ];
    for (tamper, reason) in tampering {
        let log = restart(tamper);
        assert!(log.contains(reason), "{log}");
        assert!(log.contains("Compiling"), "{log}");
        // It was made anew.
        let log = restart(&|| {});
        assert!(
            log.contains("Took the compiled code from the cache"),
            "{log}"
        );
    }

    // What was compiled of another component is not taken for this one's, whole as it is.
    let other = Setup::new("memory://")
        .plugin("other", &answering("other"), &unique("other"), "")
        .start();
    let others = std::fs::read(compiled(&other)).expect("a file");
    let log = restart(&|| std::fs::write(&file, &others).expect("written"));
    assert!(log.contains("it is not as it was written"), "{log}");

    // Nor is anything kept where others could put a folder of theirs in its place.
    let data = file.ancestors().nth(2).expect("a folder");
    let mode = |mode| std::fs::set_permissions(data, Permissions::from_mode(mode)).expect("set");
    let log = restart(&|| mode(0o777));
    assert!(
        log.contains("others may put another folder in its place"),
        "{log}"
    );
    mode(0o700);

    let log = restart(&|| {
        let everybody = Permissions::from_mode(0o777);
        std::fs::set_permissions(file.parent().expect("a folder"), everybody).expect("set");
    });
    assert!(
        log.contains("Compiled code is not kept: the folder"),
        "{log}"
    );
    assert!(log.contains("Compiling"), "{log}");
}

#[test]
fn a_plugin_that_only_traps_is_given_a_rest_and_no_other_notices() {
    let (topic, beside) = (unique("trapping"), unique("beside"));
    let host = Setup::new("memory://")
        .plugin("bad", &bare_module("unreachable"), &topic, "")
        .plugin("good", &answering("good"), &beside, "")
        .start();
    let class = || host.failure(&topic, "run", json!({})).0;
    for _ in 0..10 {
        assert_eq!(class(), "PluginTrap");
    }
    let (rests, message) = host.failure(&topic, "run", json!({}));
    assert_eq!(rests, "PluginResting");
    assert!(message.contains("it trapped again and again"), "{message}");
    assert_eq!(run(&host, &beside), "good");
    let bad = status(&host, "bad");
    assert!(bad["rests_ms"].is_number(), "{bad}");
    assert_eq!(bad["traps"], 10, "{bad}");
    assert!(
        bad["last_error"]["text"].to_string().contains("trapped"),
        "{bad}"
    );
    let metrics = host.get_text("/metrics");
    for line in [
        "endpointd_plugin_errors_total{plugin=\"bad\",kind=\"trap\"} 10",
        "endpointd_plugin_calls_total{plugin=\"good\"} 1",
    ] {
        assert!(metrics.lines().any(|one| one == line), "{metrics}");
    }
    // It is tried again, and rests longer.
    eventually("a trial", || (class() == "PluginTrap").then_some(()));
    assert_eq!(class(), "PluginResting");
    // A new generation begins anew.
    Plugins::of(&host).write("bad", &answering("mended"));
    host.post("/plugins/reload");
    assert_eq!(run(&host, &topic), "mended");
    assert_eq!(status(&host, "bad")["rests_ms"], Value::Null);
}

#[test]
fn a_new_version_beside_an_old_one_disturbs_none_of_its_callers() {
    let topic = unique("versions");
    let host = Setup::new(&rabbit::shared().url())
        .tables("[keyvalue.probe]\nbackend = \"memory\"")
        .plugin("old", &answering("1.0"), &topic, "")
        .start();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let callers: Vec<_> = (0..16)
            .map(|_| {
                scope.spawn(|| {
                    let mut calls = 0;
                    while !done.load(Ordering::SeqCst) {
                        assert_eq!(run(&host, &topic), "1.0");
                        calls += 1;
                    }
                    calls
                })
            })
            .collect();
        let ending = Done(&done);
        // It has 1.4 and 2.0.
        let folder = host.folder().join("plugins/new");
        std::fs::create_dir(&folder).expect("a folder");
        let more = format!("{}{}", manifest(&topic), crate::support::host::PROBE_GRANTS);
        std::fs::write(folder.join("plugin.toml"), more).expect("a file");
        std::fs::write(folder.join("it.wasm"), probe()).expect("a file");
        let which = |version: &str| {
            let call = json!({"topic": topic, "method": "which", "version": version});
            host.call_with(call)["result"].clone()
        };
        eventually("both serve", || (which("2.0") == "null 2.0").then_some(()));
        assert_eq!(which("1.2"), "null 1.4");
        std::fs::remove_dir_all(&folder).expect("removed");
        eventually("one serves", || which("2.0").is_null().then_some(()));
        drop(ending);
        let calls: u32 = callers
            .into_iter()
            .map(|caller| caller.join().expect("no panic"))
            .sum();
        assert!(calls > 100, "{calls}");
    });
}

#[test]
fn a_topic_that_goes_before_the_broker_comes_holds_up_no_other() {
    let (kept, gone) = (unique("kept"), unique("gone"));
    let port = free_port();
    let host = Setup::new(&format!("rabbit://guest:guest@127.0.0.1:{port}/"))
        .plugin("kept", &answering("kept"), &kept, "")
        .plugin("gone", &answering("gone"), &gone, "")
        .launch();
    host.logs("cannot connect");
    Plugins::of(&host).remove("gone");
    host.logs("Withdrew plugin `gone`");
    let _rabbit = Rabbit::start_with(port, |_| String::new());
    eventually("it is ready", || (host.ready() == 200).then_some(()));
    assert_eq!(run(&host, &kept), "kept");
    assert_eq!(host.ready_lines().len(), 1);
}

#[test]
fn a_web_page_can_give_no_orders() {
    let host = start("memory://", &unique("ordered"), "one");
    for path in ["/plugins/reload", "/plugins/one/rollback"] {
        let url = format!("{}{path}", host.admin_url());
        for kind in ["text/plain", "application/x-www-form-urlencoded"] {
            let sent = ureq::post(&url).content_type(kind).send("{}");
            assert!(
                matches!(sent, Err(ureq::Error::StatusCode(415))),
                "{sent:?}"
            );
        }
        let sent = ureq::post(&url)
            .header("Host", "example.org")
            .content_type("application/json")
            .send("{}");
        assert!(
            matches!(sent, Err(ureq::Error::StatusCode(403))),
            "{sent:?}"
        );
    }
}

#[test]
fn files_that_cannot_be_looked_at_withdraw_nothing() {
    let topic = unique("hidden");
    let host = start("memory://", &topic, "old");
    let folder = host.folder().join("plugins/one");
    let aside = host.folder().join("aside");
    // A link that leads to itself is there, and nobody can follow it.
    std::fs::rename(&folder, &aside).expect("renamed");
    std::os::unix::fs::symlink(&folder, &folder).expect("linked");
    eventually("it is seen", || {
        let problem = status(&host, "one")["problem"].to_string();
        problem.contains("cannot be looked at").then_some(())
    });
    std::thread::sleep(Duration::from_secs(2));
    assert_eq!(run(&host, &topic), "old");
    std::fs::remove_file(&folder).expect("removed");
    std::fs::rename(&aside, &folder).expect("renamed");
    eventually("it is mended", || {
        status(&host, "one")["problem"].is_null().then_some(())
    });
    assert_eq!(run(&host, &topic), "old");
}
