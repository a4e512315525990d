//! What it costs as the work grows.

use std::fs;

use crate::load::{Load, Sample};
use crate::node::Node;
use crate::server::{Places, Plugins, Server, daemon};
use crate::usage;

const IN_FLIGHT: [u32; 9] = [1, 4, 16, 64, 128, 256, 512, 1024, 4096];
const PAYLOADS: [usize; 6] = [100, 1024, 10 * 1024, 100 * 1024, 512 * 1024, 1024 * 1024];
const PLUGINS: [usize; 4] = [1, 10, 100, 1000];
const TOPICS: [usize; 4] = [1, 10, 100, 500];
const HOSTS: [usize; 4] = [1, 2, 3, 4];
/// Calls under way where something else grows.
const USUAL_IN_FLIGHT: u32 = 64;

/// One point of a curve.
#[derive(Clone, Debug)]
pub(crate) struct Point {
    pub(crate) at: f64,
    pub(crate) per_second: f64,
    pub(crate) p50_us: f64,
    pub(crate) p99_us: f64,
    pub(crate) processor_us: f64,
    pub(crate) resident_mib: f64,
}

/// Each curve by what grows in it.
#[derive(Clone, Debug)]
pub(crate) struct Curves {
    pub(crate) in_flight: Vec<Point>,
    pub(crate) payload_bytes: Vec<Point>,
    pub(crate) plugins: Vec<Point>,
    pub(crate) topics: Vec<Point>,
    pub(crate) hosts: Vec<Point>,
    /// With all plugins loaded and nothing called yet, in MiB, by their number.
    pub(crate) idle_mib: Vec<(usize, f64)>,
}

pub(crate) fn curves(
    places: &Places,
    node: &Node,
    seconds: f64,
    say: &dyn Fn(&str),
) -> anyhow::Result<Curves> {
    let point = |at: f64, sample: &Sample| Point {
        at,
        per_second: sample.figures.per_second,
        p50_us: sample.figures.latency_us.p50,
        p99_us: sample.figures.latency_us.p99,
        processor_us: sample.processor_us,
        resident_mib: sample.resident_mib,
    };
    let measure = |what: &str, at: usize, load: &Load, server: &Server| -> anyhow::Result<Point> {
        let sample = load.run(places, node, server.pid())?;
        say(&format!(
            "{at} {what}: {:.0} calls/s",
            sample.figures.per_second
        ));
        Ok(point(at as f64, &sample))
    };
    let start = |plugins: &Plugins| start(places, node, plugins, 0);

    let server = start(&Plugins::one(false))?;
    let in_flight = IN_FLIGHT.map(|count| {
        measure(
            "in flight",
            count as usize,
            &Load::in_flight(count, seconds),
            &server,
        )
    });
    let payloads = PAYLOADS.map(|bytes| {
        let load = Load {
            payload: Some(bytes),
            ..Load::in_flight(4, seconds)
        };
        measure("bytes of payload", bytes, &load, &server)
    });
    drop(server);

    let usual = Load::in_flight(USUAL_IN_FLIGHT, seconds);
    let mut idle_mib = Vec::new();
    let mut plugins = Vec::new();
    for count in PLUGINS {
        let server = start(&Plugins {
            idle: count - 1,
            ..Plugins::one(false)
        })?;
        idle_mib.push((count, usage::resident_mib(server.pid())?));
        plugins.push(measure("plugins", count, &usual, &server)?);
    }
    let mut topics = Vec::new();
    for count in TOPICS {
        let server = start(&Plugins {
            topics: count,
            ..Plugins::one(false)
        })?;
        topics.push(measure("topics", count, &usual, &server)?);
    }
    let mut servers = Vec::new();
    let mut hosts = Vec::new();
    for count in HOSTS {
        servers.push(self::start(places, node, &Plugins::one(false), count)?);
        hosts.push(measure("hosts", count, &usual, &servers[0])?);
    }
    Ok(Curves {
        in_flight: in_flight.into_iter().collect::<Result<_, _>>()?,
        payload_bytes: payloads.into_iter().collect::<Result<_, _>>()?,
        plugins,
        topics,
        hosts,
        idle_mib,
    })
}

/// A daemon with these plugins.
pub(crate) fn start(
    places: &Places,
    node: &Node,
    plugins: &Plugins,
    number: usize,
) -> anyhow::Result<Server> {
    let folder = places.work.join(format!("host-{number}"));
    fs::create_dir_all(&folder)?;
    plugins.write(places, &folder)?;
    let command = daemon(places, node, &folder, &format!("host-{number}"));
    Server::wait(command, &folder.join("server.log"))
}
