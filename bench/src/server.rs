//! What is measured: servers of one topic, each in a process of its own.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use anyhow::{Context, bail};
use clap::ValueEnum;

use crate::node::Node;

pub(crate) const EXCHANGE: &str = "bench";
pub(crate) const TOPIC: &str = "measured";
const START_TIMEOUT: Duration = Duration::from_secs(60);

/// Where everything is.
pub(crate) struct Places {
    pub(crate) workspace: PathBuf,
    /// The programs of this measurement, and the daemon.
    pub(crate) programs: PathBuf,
    /// Python with FastStream.
    pub(crate) faststream: PathBuf,
    /// Python with oslo.messaging.
    pub(crate) oslo: PathBuf,
    /// For all that is written while it runs.
    pub(crate) work: PathBuf,
}

/// A kind of server.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd, ValueEnum)]
pub(crate) enum Kind {
    Oslo,
    #[value(name = "faststream")]
    FastStream,
    Echo,
    Native,
    Wasm,
    #[value(name = "reused")]
    WasmReused,
}

impl Kind {
    pub(crate) const ALL: [Self; 6] = [
        Self::Oslo,
        Self::FastStream,
        Self::Echo,
        Self::Native,
        Self::Wasm,
        Self::WasmReused,
    ];

    /// As the page names it.
    pub(crate) fn label(self) -> &'static str {
        match self {
            Self::Oslo => "oslo.messaging, threading, 64",
            Self::FastStream => "FastStream, prefetch 64",
            Self::Echo => "bare lapin echo",
            Self::Native => "endpointd, native endpoint",
            Self::Wasm => "endpointd, Wasm, an instance a call",
            Self::WasmReused => "endpointd, Wasm, instances reused",
        }
    }

    /// Apart from the others', as queues are named by topics.
    pub(crate) fn topic(self) -> String {
        format!("{TOPIC}-{}", self.name())
    }

    /// In a word.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Oslo => "oslo",
            Self::FastStream => "faststream",
            Self::Echo => "echo",
            Self::Native => "native",
            Self::Wasm => "wasm",
            Self::WasmReused => "reused",
        }
    }

    fn command(self, places: &Places, node: &Node, folder: &Path) -> anyhow::Result<Command> {
        let script = |python: &Path, name: &str| {
            let mut command = Command::new(python);
            command.arg(places.workspace.join("bench/peers").join(name));
            command
        };
        let (mut command, url) = match self {
            Self::Oslo => (script(&places.oslo, "oslo_server.py"), node.transport_url()),
            Self::FastStream => {
                let script = script(&places.faststream, "faststream_server.py");
                (script, node.amqp_url())
            }
            Self::Echo => (
                Command::new(places.programs.join("lapin-echo")),
                node.amqp_url(),
            ),
            Self::Native => {
                let program = places.programs.join("native-host");
                (Command::new(program), node.transport_url())
            }
            Self::Wasm | Self::WasmReused => {
                let plugins = Plugins {
                    topic: self.topic(),
                    ..Plugins::one(self == Self::WasmReused)
                };
                plugins.write(places, folder)?;
                return Ok(daemon(places, node, folder, self.name()));
            }
        };
        command.args([&url, EXCHANGE, &self.topic()]);
        Ok(command)
    }
}

/// The plugins that a daemon is to have.
pub(crate) struct Plugins {
    pub(crate) reused: bool,
    /// The first topic of the one that is called.
    pub(crate) topic: String,
    /// How many it has.
    pub(crate) topics: usize,
    /// Others, that nobody calls.
    pub(crate) idle: usize,
}

impl Plugins {
    pub(crate) fn one(reused: bool) -> Self {
        Self {
            reused,
            topic: TOPIC.to_owned(),
            topics: 1,
            idle: 0,
        }
    }

    /// Writes a configuration and the plugins into `folder`.
    pub(crate) fn write(&self, places: &Places, folder: &Path) -> anyhow::Result<()> {
        let _ = fs::remove_dir_all(folder.join("plugins"));
        let component = places.workspace.join("target/bench/measured/measured.wasm");
        let lifecycle = match self.reused {
            true => "\n[lifecycle]\ninstances = \"reuse\"\n",
            false => "",
        };
        let plugin = |name: &str, topics: &[String]| -> anyhow::Result<()> {
            let folder = folder.join("plugins").join(name);
            fs::create_dir_all(&folder)?;
            fs::copy(&component, folder.join("measured.wasm"))
                .with_context(|| format!("{}: `make bench` builds it", component.display()))?;
            let manifest =
                format!("component = \"measured.wasm\"\ntopics = {topics:?}\n{lifecycle}");
            Ok(fs::write(folder.join("plugin.toml"), manifest)?)
        };
        let more = (1..self.topics).map(|number| format!("{}-{number}", self.topic));
        let topics: Vec<_> = std::iter::once(self.topic.clone()).chain(more).collect();
        plugin("measured", &topics)?;
        for number in 0..self.idle {
            plugin(&format!("idle-{number}"), &["idle".to_owned()])?;
        }
        Ok(())
    }
}

/// The daemon, with what was written into `folder`; its compiled code is kept between runs.
pub(crate) fn daemon(places: &Places, node: &Node, folder: &Path, host: &str) -> Command {
    let mut command = Command::new(places.programs.join("endpointd"));
    command
        .args(["serve", "--log", "warn", "--host", host])
        .args(["--transport-url", &node.transport_url()])
        .arg("--plugins")
        .arg(folder.join("plugins"))
        .env("ENDPOINTD_CONTROL_EXCHANGE", EXCHANGE)
        .env("ENDPOINTD_DATA_DIR", places.work.join("data"))
        .env("ENDPOINTD_ADMIN__ENABLED", "false");
    command
}

/// A server that consumes. Ends when it is dropped.
pub(crate) struct Server {
    process: Child,
}

impl Server {
    pub(crate) fn start(kind: Kind, places: &Places, node: &Node) -> anyhow::Result<Self> {
        let folder = places.work.join(kind.name());
        fs::create_dir_all(&folder)?;
        let command = kind.command(places, node, &folder)?;
        Self::wait(command, &folder.join("server.log")).with_context(|| kind.label())
    }

    /// Starts the command, and waits for its line.
    pub(crate) fn wait(mut command: Command, log: &Path) -> anyhow::Result<Self> {
        let mut process = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(fs::File::create(log)?)
            .spawn()
            .with_context(|| format!("cannot run {}", command.get_program().display()))?;
        let output = process.stdout.take().context("no output")?;
        let (lines, ready) = mpsc::channel();
        std::thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                // Later lines are read so that nobody waits for room in the pipe.
                let _ = lines.send(line);
            }
        });
        let server = Self { process };
        match ready.recv_timeout(START_TIMEOUT) {
            Ok(line) if line.starts_with("ready") => Ok(server),
            _ => {
                let said = fs::read_to_string(log).unwrap_or_default();
                let last: Vec<_> = said.lines().rev().take(5).collect();
                bail!("it did not start: {}", last.join(" / "))
            }
        }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.process.id()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
