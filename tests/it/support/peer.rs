//! Python peers: real oslo.messaging and neutron, told what to do a line at a time.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::Mutex;
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::{watchdog, workspace};

/// How long a peer may take to answer: longer than any call it makes.
const PATIENCE: Duration = Duration::from_secs(240);
/// How long it may take to end in order.
const ORDERLY: Duration = Duration::from_secs(20);

/// Runs `tests/peers/SCRIPT` to its end and gives the lines of JSON that it prints.
pub(crate) fn run(script: &str, arguments: &[&str]) -> Vec<Value> {
    let process = spawned(command(script, arguments).stderr(Stdio::piped()));
    let output = process.wait_with_output().expect("it ends");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{script}: {errors}");
    let text = String::from_utf8(output.stdout).expect("text");
    let line = |line| serde_json::from_str(line).unwrap_or_else(|_| panic!("{script}: {line}"));
    text.lines().map(line).collect()
}

fn command(script: &str, arguments: &[&str]) -> Command {
    let cache = match std::env::var("XDG_CACHE_HOME") {
        Ok(cache) => cache,
        Err(_) => format!("{}/.cache", std::env::var("HOME").expect("a home")),
    };
    watchdog::watch();
    let mut command = Command::new(format!("{cache}/endpointd/peers/bin/python"));
    command
        .arg(workspace().join("tests/peers").join(script))
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    command
}

fn spawned(command: &mut Command) -> Child {
    command.spawn().unwrap_or_else(|error| {
        let python = command.get_program().display();
        panic!("{python}: {error}: run `make setup`, or `make test`, which does it")
    })
}

pub(crate) struct Peer {
    process: Child,
    input: Option<ChildStdin>,
    /// A lock only so that tests may share the peer.
    lines: Mutex<Receiver<String>>,
}

impl Peer {
    /// Starts `tests/peers/SCRIPT` and waits until it is ready.
    pub(crate) fn start(script: &str, arguments: &[&str]) -> Self {
        let mut process = spawned(command(script, arguments).stdin(Stdio::piped()));
        let output = BufReader::new(process.stdout.take().expect("a pipe"));
        let (sender, lines) = mpsc::channel();
        std::thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
        let peer = Self {
            input: process.stdin.take(),
            process,
            lines: Mutex::new(lines),
        };
        assert_eq!(peer.read()["ready"], true, "{script} did not start");
        peer
    }

    /// Has it do one thing: `{"result": ...}` or `{"raised": ...}`.
    pub(crate) fn ask(&mut self, request: Value) -> Value {
        self.ask_text(&request.to_string())
    }

    /// The same with a request that may be Python's and no JSON.
    pub(crate) fn ask_text(&mut self, request: &str) -> Value {
        let input = self.input.as_mut().expect("open");
        writeln!(input, "{request}").expect("it reads");
        self.read()
    }

    /// Has it do one thing that succeeds.
    #[track_caller]
    pub(crate) fn result(&mut self, request: Value) -> Value {
        let answer = self.ask(request);
        assert!(answer.get("result").is_some(), "{answer}");
        answer["result"].clone()
    }

    fn read(&self) -> Value {
        let lines = self.lines.lock().expect("no panic");
        let line = lines.recv_timeout(PATIENCE);
        let line = line.expect("the peer goes on, and answers in time");
        serde_json::from_str(&line).expect("a line of JSON")
    }

    /// Ends it in order, its servers as upstream stops them. Where upstream does not come to an
    /// end, as it may not after its broker was gone, it is killed.
    pub(crate) fn stop(mut self) {
        drop(self.input.take());
        let given_up = Instant::now() + ORDERLY;
        while let Ok(None) = self.process.try_wait() {
            if Instant::now() > given_up {
                break;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
