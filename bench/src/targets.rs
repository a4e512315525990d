//! Figures that are no curve: how soon it is there, what waits for it, and what too much does to it.

use std::fs;
use std::net::TcpListener;
use std::process::Command;
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use endpointd::client::{RpcClient, Target};
use futures_util::future::try_join_all;
use serde_json::{Value, json};
use tokio::runtime::Builder;

use crate::curves;
use crate::load::{Amount, Figures, Load, REPORT};
use crate::node::Node;
use crate::server::{EXCHANGE, Places, Plugins, Server, TOPIC, daemon};
use crate::usage;

const STARTS: usize = 5;
const QUEUED: usize = 10_000;
/// How long a queued call waits at most.
const WAIT: Duration = Duration::from_secs(120);
/// How often memory is looked at.
const STEP: Duration = Duration::from_millis(50);
const OVERLOAD: Duration = Duration::from_secs(60);
/// Of its capacity, while load generator and broker have twice that to do on the same machine: they leave little, but
/// where it serves less than that, the load has not reached it.
const MUST_SERVE: f64 = 0.1;
/// What a caller waits for at most, in the overload.
const PATIENCE: &str = "1s";

pub(crate) struct Others {
    /// From the start of the process to the first reply, with compiled code in the cache: the middle of
    /// several, in milliseconds.
    pub(crate) first_reply_ms: f64,
    pub(crate) drain: Drain,
    /// Or why it says nothing.
    pub(crate) overload: anyhow::Result<Overload>,
}

/// 10,000 calls that wait when the host starts.
#[derive(Clone, Debug)]
pub(crate) struct Drain {
    pub(crate) seconds: f64,
    /// The most until they were answered.
    pub(crate) peak_mib: f64,
    /// Where as many come with 64 in flight.
    pub(crate) usual_mib: f64,
}

/// Twice what it can answer, for a minute.
#[derive(Clone, Debug)]
pub(crate) struct Overload {
    pub(crate) capacity: f64,
    pub(crate) asked: f64,
    /// By the host, in a second.
    pub(crate) served: f64,
    /// In the time that their callers gave them.
    pub(crate) answered: u64,
    pub(crate) failed: u64,
    pub(crate) before_mib: f64,
    pub(crate) peak_mib: f64,
    /// With one call in flight: before it, and in the second after it.
    pub(crate) p50_before_us: f64,
    pub(crate) p50_first_second_us: f64,
}

pub(crate) fn others(places: &Places, node: &Node, say: &dyn Fn(&str)) -> anyhow::Result<Others> {
    let start = || curves::start(places, node, &Plugins::one(false), 0);
    // Its compiled code is in the cache then, and its queue is there.
    drop(start()?);
    let mut starts = Vec::new();
    for _ in 0..STARTS {
        starts.push(first_reply(node, &start)?);
    }
    starts.sort_by(f64::total_cmp);
    let first_reply_ms = starts[STARTS / 2];
    say(&format!("first reply after {first_reply_ms:.0} ms"));
    let drain = drain(places, node, &start)?;
    say(&format!(
        "{QUEUED} queued calls drained in {:.1} s",
        drain.seconds
    ));
    let overload = overload(places, node);
    Ok(Others {
        first_reply_ms,
        drain,
        overload,
    })
}

/// Calls so often at once, whether or not anybody serves the topic yet, and tells when all were answered.
fn call_at_once(node: &Node, count: usize) -> anyhow::Result<Instant> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let target = Target::topic(TOPIC);
        let client = RpcClient::connect(&node.transport_url(), target)?
            .exchange(EXCHANGE)
            .timeout(WAIT)
            .at_least_once(false);
        let arguments: Value = serde_json::from_str(REPORT)?;
        let context = json!({});
        let call = || client.call::<Value>(&context, "report", &arguments);
        try_join_all((0..count).map(|_| call())).await?;
        let answered = Instant::now();
        client.close().await;
        anyhow::Ok(answered)
    })
}

/// A call that waits in the queue is answered as soon as anything can be.
fn first_reply(node: &Node, start: &dyn Fn() -> anyhow::Result<Server>) -> anyhow::Result<f64> {
    thread::scope(|scope| {
        let calling = scope.spawn(|| call_at_once(node, 1));
        sleep(Duration::from_secs(1));
        let started = Instant::now();
        let _server = start()?;
        let answered = calling.join().expect("no panic")?;
        Ok((answered - started).as_secs_f64() * 1000.0)
    })
}

fn drain(
    places: &Places,
    node: &Node,
    start: &dyn Fn() -> anyhow::Result<Server>,
) -> anyhow::Result<Drain> {
    let usual_mib = {
        let server = start()?;
        all_well(&Load::in_flight(64, 3.0).call(places, node)?)?;
        usage::resident_mib(server.pid())?
    };
    thread::scope(|scope| {
        let calling = scope.spawn(|| call_at_once(node, QUEUED));
        // For all of them to be in the queue.
        sleep(Duration::from_secs(8));
        let started = Instant::now();
        let server = start()?;
        let mut peak: f64 = 0.0;
        while !calling.is_finished() {
            peak = peak.max(usage::resident_mib(server.pid())?);
            sleep(STEP);
        }
        let ended = calling.join().expect("no panic")?;
        Ok(Drain {
            seconds: (ended - started).as_secs_f64(),
            peak_mib: peak,
            usual_mib,
        })
    })
}

fn overload(places: &Places, node: &Node) -> anyhow::Result<Overload> {
    let folder = places.work.join("overloaded");
    fs::create_dir_all(&folder)?;
    Plugins::one(false).write(places, &folder)?;
    let admin = TcpListener::bind("127.0.0.1:0")?.local_addr()?.to_string();
    let mut command = daemon(places, node, &folder, "overloaded");
    command
        .env("ENDPOINTD_ADMIN__ENABLED", "true")
        .env("ENDPOINTD_ADMIN__LISTEN", &admin);
    let server = Server::wait(command, &folder.join("server.log"))?;
    let capacity = Load::in_flight(64, 5.0).call(places, node)?.per_second;
    let one = |seconds| Load {
        warm_up: 0.0,
        ..Load::in_flight(1, seconds)
    };
    let p50_before_us = one(3.0).call(places, node)?.latency_us.p50;
    let before_mib = usage::resident_mib(server.pid())?;
    let asked = 2.0 * capacity;
    let served_before = served(places, &admin)?;
    let (figures, peak) = thread::scope(|scope| {
        let calling = scope.spawn(|| {
            let load = Load {
                amount: Amount::Rate(asked),
                seconds: OVERLOAD.as_secs_f64(),
                timeout: PATIENCE,
                ..Load::in_flight(1, 0.0)
            };
            load.call(places, node)
        });
        let mut peak: f64 = 0.0;
        while !calling.is_finished() {
            peak = peak.max(usage::resident_mib(server.pid())?);
            sleep(STEP);
        }
        anyhow::Ok((calling.join().expect("no panic")?, peak))
    })?;
    let served = (served(places, &admin)? - served_before) as f64 / OVERLOAD.as_secs_f64();
    ensure!(
        served > MUST_SERVE * capacity,
        "it served {served:.0} calls/s of the {asked:.0} that it was to be given, and can do {capacity:.0}: the \
         load did not reach it"
    );
    let first_second = one(1.0).call(places, node)?;
    all_well(&first_second)?;
    Ok(Overload {
        capacity,
        asked,
        served,
        answered: figures.calls,
        failed: figures.failed,
        before_mib,
        peak_mib: peak,
        p50_before_us,
        p50_first_second_us: first_second.latency_us.p50,
    })
}

/// Calls that the host has given to its plugin.
fn served(places: &Places, admin: &str) -> anyhow::Result<u64> {
    let output = Command::new(places.programs.join("endpointd"))
        .args(["plugins", "measured", "--json", "--via"])
        .arg(format!("http://{admin}"))
        .output()
        .context("cannot run endpointd plugins")?;
    let status: Value = serde_json::from_slice(&output.stdout)
        .with_context(|| String::from_utf8_lossy(&output.stderr).into_owned())?;
    status[0]["calls"].as_u64().context("it tells no calls")
}

fn all_well(figures: &Figures) -> anyhow::Result<()> {
    ensure!(figures.failed == 0, "{} calls failed", figures.failed);
    (figures.calls > 0)
        .then_some(())
        .context("no call was answered")
}
