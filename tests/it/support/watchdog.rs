//! No test runs for ever: one that hangs is named, and ends the suite.

use std::collections::HashMap;
use std::sync::{LazyLock, Mutex};
use std::thread;
use std::time::{Duration, Instant};

/// Many times what the longest test takes on a slow machine.
const LONGEST_TEST: Duration = Duration::from_secs(600);

static RUNNING: LazyLock<Mutex<HashMap<String, Instant>>> = LazyLock::new(|| {
    thread::spawn(look_after);
    Mutex::default()
});

thread_local! {
    /// Each test has a thread of its own, and this ends with it.
    static WATCHED: Watched = Watched::begin();
}

struct Watched(String);

impl Watched {
    fn begin() -> Self {
        let name = thread::current().name().unwrap_or_default().to_owned();
        // With a single test thread every test runs on the main one, which never ends.
        if name.contains("::") {
            let mut running = RUNNING.lock().expect("no panic");
            running.insert(name.clone(), Instant::now());
        }
        Self(name)
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        RUNNING.lock().expect("no panic").remove(&self.0);
    }
}

/// Has the test that calls this watched until it ends.
pub(crate) fn watch() {
    WATCHED.with(|_| ());
}

fn look_after() {
    loop {
        thread::sleep(Duration::from_secs(5));
        let running = RUNNING.lock().expect("no panic");
        let hangs = |(_, began): &(&String, &Instant)| began.elapsed() > LONGEST_TEST;
        if let Some((test, _)) = running.iter().find(hangs) {
            let minutes = LONGEST_TEST.as_secs() / 60;
            eprintln!("test {test} has not ended after {minutes} minutes: giving up");
            std::process::exit(101);
        }
    }
}
