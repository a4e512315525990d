//! docs/hostile-guests.md: how soon each hostile guest is stopped, and what a well-behaved plugin beside
//! it loses. Measured by `make zoo`; otherwise only that the page has every guest.

use std::fmt::Write;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use endpointd::client::ClientError;
use serde_json::{Value, json};

use crate::support::caller::Caller;
use crate::support::guests::{ImportedCall, bare_module, bare_module_returning, bare_module_with};
use crate::support::host::{Host, Setup};
use crate::support::rabbit::Rabbit;
use crate::support::{unique, workspace};

/// A guest that does harm whenever it is called.
struct Hostile {
    name: &'static str,
    wasm: Vec<u8>,
    more: String,
    /// What it is given, in milliseconds; 0 where another limit is to end it at once.
    limit_ms: u64,
    class: &'static str,
}

fn zoo(topic: &str) -> Vec<Hostile> {
    let guest = |name, wasm, more: &str, limit_ms, class| Hostile {
        name,
        wasm,
        more: format!("[limits]\n{more}"),
        limit_ms,
        class,
    };
    let grow = "(loop $again
        (if (i32.eq (memory.grow (i32.const 16)) (i32.const -1)) (then unreachable))
        (memory.fill (i32.sub (i32.shl (memory.size) (i32.const 16)) (i32.const 1048576))
          (i32.const 1) (i32.const 1048576))
        (br $again)) unreachable";
    let tables = "(loop $again
        (if (i32.eq (table.grow $table (ref.null func) (i32.const 100)) (i32.const -1))
          (then unreachable))
        (br $again)) unreachable";
    let recursion = "(call $dispatch (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0)
        (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0)
        (i32.const 0))";
    let gigabyte = "(drop (memory.grow (i32.const 16384)))
        (i32.store (i32.const 200) (i32.const 0)) (i32.store (i32.const 204) (i32.const 0))
        (i32.store (i32.const 208) (i32.const 0x40000000)) (i32.const 200)";
    let nested = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let spin = "(loop $again (br $again)) unreachable";
    let log = ImportedCall::log(16, 3);
    let flood = format!("(loop $again {} (br $again)) unreachable", log.call);
    let cast = ImportedCall::client("cast", topic, "run");
    let bomb = format!("(loop $again {} (br $again)) unreachable", cast.call);
    let sleeping = bare_module_with(
        "(import \"wasi_snapshot_preview1\" \"poll_oneoff\"
           (func $poll (param i32 i32 i32 i32) (result i32)))
         (data (i32.const 1040) \"\\01\\00\\00\\00\\00\\00\\00\\00\\ff\\ff\\ff\\ff\\ff\\ff\\ff\\0f\")",
        "i32.const 96",
        "(drop (call $poll (i32.const 1024) (i32.const 1100) (i32.const 1) (i32.const 1200)))
         unreachable",
    );
    vec![
        guest(
            "endless loop",
            bare_module(spin),
            "timeout_ms = 300",
            300,
            "PluginTimeout",
        ),
        guest("memory bomb", bare_module(grow), "", 0, "PluginOutOfMemory"),
        guest(
            "table bomb",
            bare_module_with("(table $table 1 funcref)", "i32.const 96", tables),
            "",
            0,
            "PluginLimitExceeded",
        ),
        guest(
            "stack bomb",
            bare_module(recursion),
            "",
            0,
            "PluginLimitExceeded",
        ),
        guest("trap", bare_module("unreachable"), "", 0, "PluginTrap"),
        guest(
            "wrong JSON",
            bare_module_returning("{\"a\": "),
            "",
            0,
            "PluginInvalidReply",
        ),
        guest(
            "reply of 1 GiB",
            bare_module(gigabyte),
            "memory_mib = 2048",
            0,
            "PluginInvalidReply",
        ),
        guest(
            "deep JSON",
            bare_module_returning(&nested),
            "",
            0,
            "PluginInvalidReply",
        ),
        guest(
            "log flood",
            bare_module_with(&log.import, "i32.const 96", &flood),
            "timeout_ms = 300",
            300,
            "PluginTimeout",
        ),
        Hostile {
            more: format!("[limits]\noutbound = 10\n[grants]\nclient = [\"cast:{topic}\"]"),
            ..guest(
                "fork bomb of messages",
                bare_module_with(&cast.import, "i32.const 96", &bomb),
                "",
                0,
                "PluginLimitExceeded",
            )
        },
        Hostile {
            more: "[limits]\ntimeout_ms = 300\n[grants]\nclocks = true".to_owned(),
            ..guest(
                "sleep past its deadline",
                sleeping,
                "",
                300,
                "PluginTimeout",
            )
        },
    ]
}

const PAGE: &str = "docs/hostile-guests.md";
/// Of one measurement, and how many of them with and without the hostile guest.
const WINDOW: Duration = Duration::from_secs(3);
const ROUNDS: usize = 5;
const CALLERS: usize = 64;
const HOSTILE_CALLERS: usize = 2;

struct Figures {
    /// How long after its limit the caller had its failure, in milliseconds: in the middle, and at most.
    median_late_ms: f64,
    most_late_ms: f64,
    quiet_per_s: f64,
    beside_per_s: f64,
}

/// Calls the well-behaved plugin without pause, and the hostile one now and then.
fn measure(rabbit: &Rabbit, hostile: &Hostile, topic: &str) -> Figures {
    let good = unique("good");
    let host = Setup::new(&rabbit.url())
        .probe(&good)
        .plugin("bad", &hostile.wasm, topic, &hostile.more)
        .start();
    let done = AtomicBool::new(false);
    let (harm, answered) = (AtomicBool::new(false), AtomicU64::new(0));
    let late = std::sync::Mutex::new(Vec::new());
    let mut per_s = [Vec::new(), Vec::new()];
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let caller = Caller::connect(&rabbit.url());
            let client = caller.of(&good);
            let calling = (0..CALLERS).map(|_| async {
                while !done.load(Ordering::Relaxed) {
                    let context = json!({});
                    let added: Result<u64, _> =
                        client.call(&context, "add", &json!({"a": 1})).await;
                    assert_eq!(added.expect("answered"), 2);
                    answered.fetch_add(1, Ordering::Relaxed);
                }
            });
            caller.run(futures_util::future::join_all(calling));
        });
        scope.spawn(|| {
            let caller = Caller::connect(&rabbit.url());
            let client = caller.of(topic);
            let calling = (0..HOSTILE_CALLERS).map(|_| async {
                // The first call of a client makes its connections and its reply queue.
                let _: Result<Value, _> = client.call(&json!({}), "run", &json!({})).await;
                while !done.load(Ordering::Relaxed) {
                    if !harm.load(Ordering::Relaxed) {
                        tokio::time::sleep(Duration::from_millis(10)).await;
                        continue;
                    }
                    let started = Instant::now();
                    let called: Result<Value, _> = client.call(&json!({}), "run", &json!({})).await;
                    let Err(ClientError::Remote(failure)) = called else {
                        panic!("{}: {called:?}", hostile.name);
                    };
                    let took = started.elapsed().as_secs_f64() * 1000.0;
                    let beyond = took - hostile.limit_ms as f64;
                    match failure.class.as_str() {
                        // It is not called, so there is nothing to measure.
                        "PluginResting" => tokio::time::sleep(Duration::from_millis(10)).await,
                        class => {
                            assert_eq!(class, hostile.class, "{}", failure.message);
                            late.lock().expect("whole").push(beyond);
                        }
                    }
                }
            });
            caller.run(futures_util::future::join_all(calling));
        });
        std::thread::sleep(WINDOW);
        for _ in 0..ROUNDS {
            for (with, rates) in per_s.iter_mut().enumerate() {
                harm.store(with == 1, Ordering::Relaxed);
                std::thread::sleep(Duration::from_millis(500));
                let (before, started) = (answered.load(Ordering::Relaxed), Instant::now());
                std::thread::sleep(WINDOW);
                let count = answered.load(Ordering::Relaxed) - before;
                rates.push(count as f64 / started.elapsed().as_secs_f64());
            }
        }
        done.store(true, Ordering::Relaxed);
    });
    drop::<Host>(host);
    let mut late = late.into_inner().expect("whole");
    assert!(!late.is_empty(), "{} was never seen", hostile.name);
    let [quiet, beside] = per_s;
    Figures {
        most_late_ms: late.iter().copied().fold(f64::MIN, f64::max),
        median_late_ms: median(&mut late),
        quiet_per_s: median(&mut quiet.clone()),
        beside_per_s: median(&mut beside.clone()),
    }
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

#[test]
fn the_page_on_hostile_guests_has_every_one() {
    let path = workspace().join(PAGE);
    if std::env::var_os("ENDPOINTD_MEASURE").is_none() {
        let page = std::fs::read_to_string(&path).expect("a file");
        for hostile in zoo("topic") {
            let row = format!("| {} |", hostile.name);
            assert!(page.contains(&row), "no `{row}` in {PAGE}: run `make zoo`");
        }
        return;
    }
    let rabbit = Rabbit::start();
    let mut rows =
        "| guest | failure | limit ms | late ms | at most | alone /s | beside /s | ratio |\n\
                    |---|---|---|---|---|---|---|---|\n"
            .to_owned();
    let only = std::env::var("ENDPOINTD_MEASURE").unwrap_or_default();
    let topic = unique("bad");
    for hostile in zoo(&topic) {
        if only != "1" && !hostile.name.contains(&only) {
            continue;
        }
        let figures = measure(&rabbit, &hostile, &topic);
        let row = format!(
            "| {} | `{}` | {} | {:.1} | {:.1} | {:.0} | {:.0} | {:.2} |",
            hostile.name,
            hostile.class,
            hostile.limit_ms,
            figures.median_late_ms,
            figures.most_late_ms,
            figures.quiet_per_s,
            figures.beside_per_s,
            figures.beside_per_s / figures.quiet_per_s,
        );
        eprintln!("{row}");
        writeln!(rows, "{row}").expect("text");
    }
    if only == "1" {
        let page = std::fs::read_to_string(&path).unwrap_or_default();
        let (head, rest) = page.split_once("<!-- figures -->\n").expect("a marker");
        let (_, tail) = rest.split_once("<!-- end -->").expect("an end");
        let made = format!("{head}<!-- figures -->\n{rows}<!-- end -->{tail}");
        std::fs::write(&path, made).expect("written");
    }
}
