//! Runs the load generator, and takes down what it and the server used.

use std::process::{Command, Stdio};

use anyhow::{Context, ensure};
use serde::Deserialize;

use crate::node::Node;
use crate::server::{EXCHANGE, Places, TOPIC};
use crate::usage;

/// What an agent of neutron sends (neutron/agent/rpc.py: `PluginReportStateAPI.report_state`).
pub(crate) const REPORT: &str = include_str!("../report.json");

/// How much is called.
pub(crate) enum Amount {
    InFlight(u32),
    Rate(f64),
}

/// One measurement.
pub(crate) struct Load<'a> {
    pub(crate) topic: String,
    pub(crate) amount: Amount,
    pub(crate) seconds: f64,
    pub(crate) warm_up: f64,
    /// A text of so many bytes instead of the report.
    pub(crate) payload: Option<usize>,
    pub(crate) timeout: &'a str,
}

/// What `endpointd bench --json` says.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Figures {
    pub(crate) per_second: f64,
    pub(crate) calls: u64,
    pub(crate) ended: u64,
    pub(crate) failed: u64,
    pub(crate) latency_us: Latency,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Latency {
    pub(crate) p50: f64,
    pub(crate) p90: f64,
    pub(crate) p99: f64,
    #[serde(rename = "p99.9")]
    pub(crate) p99_9: f64,
    pub(crate) max: f64,
}

/// With what the server used.
#[derive(Clone, Debug)]
pub(crate) struct Sample {
    pub(crate) figures: Figures,
    /// Of the server, for each call.
    pub(crate) processor_us: f64,
    pub(crate) resident_mib: f64,
}

impl Load<'_> {
    pub(crate) fn in_flight(count: u32, seconds: f64) -> Self {
        Self {
            topic: TOPIC.to_owned(),
            amount: Amount::InFlight(count),
            seconds,
            warm_up: 1.0,
            payload: None,
            timeout: "30s",
        }
    }

    /// Calls the topic; calls that fail are an error.
    pub(crate) fn run(&self, places: &Places, node: &Node, server: u32) -> anyhow::Result<Sample> {
        let before = usage::processor_seconds(server)?;
        let figures = self.call(places, node)?;
        let used = usage::processor_seconds(server)? - before;
        ensure!(
            figures.failed == 0 && figures.calls > 0,
            "{} of {} calls failed: no figure can be taken from that",
            figures.failed,
            figures.calls + figures.failed
        );
        Ok(Sample {
            processor_us: used * 1e6 / figures.ended as f64,
            resident_mib: usage::resident_mib(server)?,
            figures,
        })
    }

    /// Calls the topic, and says what became of that.
    pub(crate) fn call(&self, places: &Places, node: &Node) -> anyhow::Result<Figures> {
        let output = self
            .command(places, node)
            .stderr(Stdio::piped())
            .output()
            .context("cannot run endpointd bench")?;
        let said = String::from_utf8_lossy(&output.stderr);
        serde_json::from_slice(&output.stdout)
            .with_context(|| format!("endpointd bench gave no figures: {}", said.trim()))
    }

    fn command(&self, places: &Places, node: &Node) -> Command {
        let mut command = Command::new(places.programs.join("endpointd"));
        command
            .args(["bench", &self.topic])
            .args(match self.payload {
                None => [
                    "report".to_owned(),
                    "--args".to_owned(),
                    REPORT.trim().to_owned(),
                ],
                Some(bytes) => {
                    let payload = format!("{bytes}");
                    ["length".to_owned(), "--payload".to_owned(), payload]
                }
            })
            .args(match self.amount {
                Amount::InFlight(count) => ["--in-flight".to_owned(), count.to_string()],
                Amount::Rate(rate) => ["--rate".to_owned(), rate.to_string()],
            })
            .args(["--for", &format!("{}ms", (self.seconds * 1000.0) as u64)])
            .args([
                "--warm-up",
                &format!("{}ms", (self.warm_up * 1000.0) as u64),
            ])
            .args(["--timeout", self.timeout, "--json"])
            .args(["--exchange", EXCHANGE])
            .args(["--transport-url", &node.transport_url()]);
        command
    }
}
