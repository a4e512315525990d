//! Private RabbitMQ nodes: on free ports, with their own data, to be killed as a test likes.

use std::fs::File;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

use serde_json::Value;

use super::{eventually, free_port, workspace};

/// A node of one's own.
pub(crate) struct Rabbit {
    folder: PathBuf,
    port: u16,
    dist_port: u16,
    process: Option<Child>,
}

/// The node that all tests share which leave it as they found it.
pub(crate) fn shared() -> &'static Rabbit {
    static SHARED: OnceLock<Rabbit> = OnceLock::new();
    SHARED.get_or_init(Rabbit::start)
}

impl Rabbit {
    /// Starts a node with no data and waits until it takes connections.
    pub(crate) fn start() -> Self {
        Self::start_with(free_port(), |_| String::new())
    }

    /// The same on a certain port, with lines for rabbitmq.conf. They may be about files, which are
    /// put into the folder that `configure` is given.
    pub(crate) fn start_with(port: u16, configure: impl FnOnce(&Path) -> String) -> Self {
        let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("rabbit-{port}"));
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(&folder).expect("a folder");
        std::fs::write(folder.join("extra.conf"), configure(&folder)).expect("a file");
        let mut rabbit = Self {
            folder,
            port,
            dist_port: free_port(),
            process: None,
        };
        rabbit.boot();
        rabbit
    }

    /// Starts the node with the data it has.
    pub(crate) fn boot(&mut self) {
        assert!(
            std::fs::read_dir("/usr/lib/rabbitmq/lib").is_ok(),
            "RabbitMQ is not installed: run `make setup`, or `make test`, which does it"
        );
        let log = File::create(self.folder.join("output")).expect("a file");
        let errors = log.try_clone().expect("a handle");
        // The node ends when this end of the pipe does, however the test ends. Asked to stop in order
        // while it still starts, it may never end.
        let script = "\"$0\" \"$@\" & node=$!; cat >/dev/null; kill -KILL $node; wait $node";
        let process = Command::new("sh")
            .args(["-c", script])
            .arg(workspace().join("scripts/rabbitmq-node.sh"))
            .arg(&self.folder)
            .args([self.port.to_string(), self.dist_port.to_string()])
            .stdin(Stdio::piped())
            .stdout(log)
            .stderr(errors)
            .spawn()
            .expect("a shell");
        self.process = Some(process);
        eventually("the node takes connections", || {
            TcpStream::connect(("127.0.0.1", self.port)).ok()
        });
    }

    /// Sends the server a signal, such as `-STOP`.
    pub(crate) fn signal(&self, signal: &str) {
        let pid = std::fs::read_to_string(self.folder.join("pid")).expect("a pid file");
        run(Command::new("kill").args([signal, pid.trim()]));
        // Until the thread that gets it has its turn, the others go on.
        while signal == "-STOP" && !is_stopped(pid.trim()) {
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// Removes the data of a server that was killed.
    pub(crate) fn wipe(&mut self) {
        std::fs::remove_dir_all(self.folder.join("mnesia")).expect("removed");
    }

    /// Kills the server as a crash would.
    pub(crate) fn kill(&mut self) {
        self.signal("-KILL");
        if let Some(mut process) = self.process.take() {
            drop(process.stdin.take());
            process.wait().expect("it ends");
        }
    }

    pub(crate) fn url(&self) -> String {
        format!("rabbit://guest:guest@127.0.0.1:{}/", self.port)
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// What `rabbitmqctl` prints as JSON.
    pub(crate) fn list(&self, arguments: &[&str]) -> Vec<Value> {
        let output = self.ctl(arguments).arg("--formatter").arg("json").output();
        let output = output.expect("rabbitmqctl runs");
        serde_json::from_slice(&output.stdout).unwrap_or_else(|error| {
            let errors = String::from_utf8_lossy(&output.stderr);
            panic!("rabbitmqctl {arguments:?}: {error}: {errors}")
        })
    }

    pub(crate) fn run(&self, arguments: &[&str]) {
        run(&mut self.ctl(arguments));
    }

    fn ctl(&self, arguments: &[&str]) -> Command {
        let script = "exec $(ls -d /usr/lib/rabbitmq/lib/*/sbin/rabbitmqctl | tail -n 1) \"$@\"";
        let mut command = Command::new("sh");
        command
            .args(["-c", script, "rabbitmqctl", "-q", "-n"])
            .arg(format!("endpointd-{}@localhost", self.port))
            .args(arguments)
            // Names on its command line are UTF-8, whatever the tests were started with.
            .env("LC_ALL", "C.UTF-8")
            .env("HOME", &self.folder);
        command
    }
}

impl Drop for Rabbit {
    fn drop(&mut self) {
        if let Some(mut process) = self.process.take() {
            drop(process.stdin.take());
            let _ = process.wait();
        }
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

fn run(command: &mut Command) {
    let output = command.output().expect("the command runs");
    assert!(output.status.success(), "{command:?}: {output:?}");
}

/// Whether no thread of the process runs.
fn is_stopped(pid: &str) -> bool {
    let threads = std::fs::read_dir(format!("/proc/{pid}/task")).expect("it is there");
    threads.flatten().all(|thread| {
        let status = std::fs::read_to_string(thread.path().join("status")).unwrap_or_default();
        status.contains("\nState:\tT")
    })
}
