//! Each example's README is replayed: its commands are run, and print what it says they print.

use std::path::Path;
use std::process::{Child, Command, Stdio};

use crate::support::{eventually, free_port, workspace};

/// A host with the example's own configuration.
struct Example {
    host: Child,
    via: String,
}

impl Example {
    fn start(folder: &Path) -> Self {
        let address = format!("127.0.0.1:{}", free_port());
        let host = Command::new(env!("CARGO_BIN_EXE_endpointd"))
            .args(["serve", "--log", "off", "--config"])
            .arg(folder.join("endpointd.toml"))
            .env("ENDPOINTD_ADMIN__LISTEN", &address)
            .stdout(Stdio::null())
            .spawn()
            .expect("the host starts");
        let via = format!("http://{address}");
        eventually("the example is served", || {
            ureq::get(format!("{via}/ready")).call().ok()
        });
        Self { host, via }
    }

    /// What the command prints on a terminal.
    fn run(&self, command: &str) -> String {
        let endpointd = Path::new(env!("CARGO_BIN_EXE_endpointd"));
        let folder = endpointd.parent().expect("a folder").display();
        let output = Command::new("sh")
            .args(["-c", &format!("PATH={folder}:$PATH; {command} 2>&1")])
            .env("ENDPOINTD_VIA", &self.via)
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

#[track_caller]
fn replay(name: &str) {
    let folder = workspace().join("examples").join(name);
    let readme = std::fs::read_to_string(folder.join("README.md")).expect("a README");
    let example = Example::start(&folder);
    let mut commands = 0;
    for block in readme.split("```console\n").skip(1) {
        let block = block.split("```").next().unwrap_or_default();
        for step in block.split("$ ").skip(1) {
            let (command, printed) = step.split_once('\n').expect("a line");
            assert_eq!(example.run(command), printed, "{name}: {command}");
            commands += 1;
        }
    }
    assert!(commands > 0, "{name}'s README has no commands");
}

#[test]
fn greeter_does_what_its_readme_says() {
    replay("greeter");
}

#[test]
fn report_state_does_what_its_readme_says() {
    replay("report_state");
}
