//! Each example's README is replayed: its commands are run, and print what it says they print.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::support::rabbit::Rabbit;
use crate::support::{eventually, free_port, workspace};

/// A host with the example's own configuration.
struct Example {
    host: Child,
    via: String,
    url: String,
}

impl Example {
    /// Serves what the example `served` configures, on the broker at `url`.
    fn start(served: &str, url: &str) -> Self {
        let address = format!("127.0.0.1:{}", free_port());
        let host = Command::new(env!("CARGO_BIN_EXE_endpointd"))
            .args(["serve", "--log", "off", "--transport-url", url, "--config"])
            .arg(folder(served).join("endpointd.toml"))
            .env("ENDPOINTD_ADMIN__LISTEN", &address)
            .stdout(Stdio::null())
            .spawn()
            .expect("the host starts");
        let example = Self {
            host,
            via: format!("http://{address}"),
            url: url.to_owned(),
        };
        eventually("the example is served", || {
            let ready = ureq::get(format!("{}/ready", example.via)).config();
            let ready = ready.timeout_global(Some(Duration::from_secs(10)));
            ready.build().call().ok()
        });
        example
    }

    /// What the command prints on a terminal.
    fn run(&self, command: &str) -> String {
        let endpointd = Path::new(env!("CARGO_BIN_EXE_endpointd"));
        let folder = endpointd.parent().expect("a folder").display();
        let output = Command::new("sh")
            .args(["-c", &format!("PATH={folder}:$PATH; {command} 2>&1")])
            .env("ENDPOINTD_VIA", &self.via)
            .env("URL", &self.url)
            .output()
            .expect("a shell");
        String::from_utf8(output.stdout).expect("text")
    }
}

impl Drop for Example {
    fn drop(&mut self) {
        let _ = self.host.kill();
        let _ = self.host.wait();
    }
}

fn folder(example: &str) -> PathBuf {
    workspace().join("examples").join(example)
}

/// Runs the commands of each `console` block of the README of `name`. Those of a block that is marked
/// `retried` are about what takes a moment.
#[track_caller]
fn replay(name: &str, example: &Example) {
    let readme = std::fs::read_to_string(folder(name).join("README.md")).expect("a README");
    let mut commands = 0;
    for block in readme.split("```console").skip(1) {
        let (mark, steps) = block.split_once('\n').expect("a line");
        let steps = steps.split("```").next().unwrap_or_default();
        for step in steps.split("$ ").skip(1) {
            let (command, printed) = step.split_once('\n').expect("a line");
            if mark.trim() == "retried" {
                eventually(command, || (example.run(command) == printed).then_some(()));
            } else {
                assert_eq!(example.run(command), printed, "{name}: {command}");
            }
            commands += 1;
        }
    }
    assert!(commands > 0, "{name}'s README has no commands");
}

#[test]
fn greeter_does_what_its_readme_says() {
    replay("greeter", &Example::start("greeter", "memory://"));
}

#[test]
fn report_state_does_what_its_readme_says() {
    replay("report_state", &Example::start("report_state", "memory://"));
}

#[test]
fn caller_does_what_its_readme_says() {
    let rabbit = Rabbit::start();
    replay("caller", &Example::start("greeter", &rabbit.url()));
}

#[test]
fn fanout_publisher_does_what_its_readme_says() {
    let rabbit = Rabbit::start();
    replay(
        "fanout_publisher",
        &Example::start("greeter", &rabbit.url()),
    );
}
