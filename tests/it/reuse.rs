//! Instances that answer one request after another, where the operator allows it.

use serde_json::{Value, json};

use crate::support::eventually;
use crate::support::guests::{bare_module_counting, bare_module_with};
use crate::support::host::{Host, Setup};

/// A host with a guest that counts the requests its memory has seen.
fn counting(lifecycle: &str) -> Host {
    let more = format!("[lifecycle]\ninstances = \"reuse\"\n{lifecycle}");
    Setup::new("memory://")
        .plugin("one", &bare_module_counting(), "one", &more)
        .start()
}

fn run(host: &Host) -> Value {
    host.call("one", "run", json!({}))["result"].clone()
}

#[test]
fn an_instance_answers_so_many_requests_and_no_more() {
    let host = counting("max_calls = 3");
    let counts: Vec<_> = (0..7).map(|_| run(&host)).collect();
    assert_eq!(counts, [1, 2, 3, 1, 2, 3, 1]);
    let status = host.plugin("one");
    // One more was made to ask what it serves.
    assert_eq!(status["instances_made"], 1 + 3, "{status}");
    assert_eq!(status["live_instances"], 1, "{status}");
}

#[test]
fn how_many_instances_fit_is_told_for_each_plugin() {
    let host = counting("");
    let told = host.logs("An instance takes");
    assert!(
        told.contains("An instance takes 1 memory and 0 tables; 2400 fit into the pool at once"),
        "{told}"
    );
    host.logs("The pool has 7600 memories and 30400 tables");
}

#[test]
fn an_instance_that_has_nothing_to_do_goes() {
    let host = counting("idle_s = 1");
    assert_eq!((run(&host), run(&host)), (1.into(), 2.into()));
    eventually("it goes by itself", || {
        (host.plugin("one")["live_instances"] == 0).then_some(())
    });
    assert_eq!(run(&host), 1);
}

#[test]
fn an_instance_that_is_too_old_is_not_used() {
    let host = counting("max_age_s = 2");
    let mut last = 0;
    eventually("another takes its place", || {
        // It counts to nine.
        std::thread::sleep(std::time::Duration::from_millis(300));
        let count = run(&host).as_u64().expect("a number");
        (std::mem::replace(&mut last, count) > count).then_some(())
    });
}

#[test]
fn an_instance_that_grew_is_not_used_again() {
    // It grows by half a MiB with each request.
    let grow = "(drop (memory.grow (i32.const 8)))
        (i32.store8 (i32.const 1024) (i32.add (i32.load8_u (i32.const 1024)) (i32.const 1)))
        (i32.store (i32.const 204) (i32.const 1024)) (i32.store (i32.const 208) (i32.const 1))
        (i32.const 200)";
    let wasm = bare_module_with("(data (i32.const 1024) \"0\")", "i32.const 96", grow);
    let more = "[lifecycle]\ninstances = \"reuse\"\nmax_memory_mib = 5";
    let host = Setup::new("memory://")
        .plugin("one", &wasm, "one", more)
        .start();
    let counts: Vec<_> = (0..6).map(|_| run(&host)).collect();
    assert_eq!(counts, [1, 2, 3, 1, 2, 3]);
}

#[test]
fn no_two_requests_share_an_instance_and_none_survives_what_is_not_an_answer() {
    // It counts, computes for a while, and answers the count; the tenth traps.
    let body = "(local $i i32)
        (i32.store (i32.const 1020) (i32.add (i32.load (i32.const 1020)) (i32.const 1)))
        (if (i32.load8_u (i32.const 1016)) (then unreachable))
        (i32.store8 (i32.const 1016) (i32.const 1))
        (loop $again (br_if $again (i32.lt_u
          (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const 1000000))))
        (i32.store8 (i32.const 1016) (i32.const 0))
        (if (i32.eq (i32.load (i32.const 1020)) (i32.const 10)) (then unreachable))
        (i32.store (i32.const 204) (i32.const 1024)) (i32.store (i32.const 208) (i32.const 1))
        (i32.const 200)";
    let function = format!("(data (i32.const 1024) \"1\") (func $body (result i32) {body})");
    let wasm = bare_module_with(&function, "i32.const 96", "call $body");
    let host = Setup::new("memory://")
        .plugin("one", &wasm, "one", "[lifecycle]\ninstances = \"reuse\"")
        .start();
    let (answers, traps) = (std::sync::Mutex::new(0), std::sync::Mutex::new(0));
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..50 {
                    let answer = host.call("one", "run", json!({}));
                    match answer.get("result") {
                        Some(result) => {
                            assert_eq!(*result, 1);
                            *answers.lock().expect("whole") += 1;
                        }
                        None => {
                            assert_eq!(answer["failure"]["class"], "PluginTrap", "{answer}");
                            *traps.lock().expect("whole") += 1;
                        }
                    }
                }
            });
        }
    });
    let (answers, traps): (u64, u64) = (
        answers.into_inner().expect("whole"),
        traps.into_inner().expect("whole"),
    );
    assert_eq!(answers + traps, 400);
    let status = host.plugin("one");
    // A mark that a request found of another would have been a trap before the tenth.
    assert!(traps > 0 && answers >= 9 * traps, "{answers} {traps}");
    // And who answered after a trap would have answered more than nine times.
    assert!(answers <= 9 * (traps + 8), "{answers} {traps}");
    assert!(status["instances_made"].as_u64() < Some(100), "{status}");
}

/// A guest whose instances answer one request, and never come to the end of a second.
fn endless_the_second_time() -> Vec<u8> {
    let body =
        "(i32.store8 (i32.const 1024) (i32.add (i32.load8_u (i32.const 1024)) (i32.const 1)))
        (if (i32.eq (i32.load8_u (i32.const 1024)) (i32.const 50)) (then (loop $again (br $again))))
        (i32.store (i32.const 204) (i32.const 1024)) (i32.store (i32.const 208) (i32.const 1))
        (i32.const 200)";
    bare_module_with("(data (i32.const 1024) \"0\")", "i32.const 96", body)
}

#[test]
fn an_instance_that_ran_out_of_time_is_not_used_again() {
    let more = "[limits]\ntimeout_ms = 200\n[lifecycle]\ninstances = \"reuse\"";
    let host = Setup::new("memory://")
        .plugin("one", &endless_the_second_time(), "one", more)
        .start();
    for _ in 0..3 {
        assert_eq!(run(&host), 1);
        assert_eq!(host.failure("one", "run", json!({})).0, "PluginTimeout");
    }
}

#[test]
fn an_instance_whose_caller_gave_up_is_not_used_again() {
    let host = Setup::new("memory://")
        .plugin(
            "one",
            &endless_the_second_time(),
            "one",
            "[lifecycle]\ninstances = \"reuse\"",
        )
        .start();
    for _ in 0..3 {
        assert_eq!(run(&host), 1);
        let call = json!({"topic": "one", "method": "run", "timeout_ms": 200});
        assert!(host.call_with(call)["error"].is_string());
        // It ends with its caller's patience, long before its own limit.
        eventually("its instance is gone", || {
            (host.plugin("one")["live_instances"] == 0).then_some(())
        });
    }
    assert_eq!(host.plugin("one")["limits_reached"], json!({}));
}

#[test]
fn a_generation_that_is_replaced_keeps_no_instances() {
    let host = counting("");
    assert_eq!((run(&host), run(&host)), (1.into(), 2.into()));
    let manifest = host.folder().join("plugins/one/plugin.toml");
    let text = std::fs::read_to_string(&manifest).expect("a file");
    std::fs::write(&manifest, format!("{text}max_calls = 50\n")).expect("a file");
    eventually("it is replaced, and what it kept is gone", || {
        let status = host.plugin("one");
        (status["previous"].is_string() && status["live_instances"] == 0).then_some(())
    });
    assert_eq!(run(&host), 1);
}
