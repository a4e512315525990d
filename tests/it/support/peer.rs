//! Python peers: real oslo.messaging and neutron, told what to do a line at a time.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use serde_json::Value;

use super::workspace;

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
    output: BufReader<ChildStdout>,
}

impl Peer {
    /// Starts `tests/peers/SCRIPT` and waits until it is ready.
    pub(crate) fn start(script: &str, arguments: &[&str]) -> Self {
        let mut process = spawned(command(script, arguments).stdin(Stdio::piped()));
        let output = BufReader::new(process.stdout.take().expect("a pipe"));
        let mut peer = Self {
            input: process.stdin.take(),
            process,
            output,
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

    fn read(&mut self) -> Value {
        let mut line = String::new();
        self.output.read_line(&mut line).expect("it writes");
        assert!(!line.is_empty(), "the peer ended");
        serde_json::from_str(&line).expect("a line of JSON")
    }

    /// Ends it in order: its servers stop as upstream stops them.
    pub(crate) fn stop(mut self) {
        drop(self.input.take());
        self.process.wait().expect("it ends");
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
