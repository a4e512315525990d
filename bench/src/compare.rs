//! All servers side by side: round after round, each in turn, so that what the machine does meanwhile falls
//! on all of them.

use std::collections::BTreeMap;

use crate::load::{Load, Sample};
use crate::node::Node;
use crate::server::{Kind, Places, Server};
use crate::spread::Spread;

pub(crate) const IN_FLIGHT: [u32; 3] = [1, 64, 256];

/// What was measured of one server with so many calls in flight.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub(crate) per_second: Spread,
    pub(crate) p50_us: Spread,
    pub(crate) p90_us: Spread,
    pub(crate) p99_us: Spread,
    pub(crate) p99_9_us: Spread,
    pub(crate) max_us: Spread,
    /// Of the server, for each call.
    pub(crate) processor_us: Spread,
    pub(crate) resident_mib: Spread,
}

pub(crate) type Table = BTreeMap<(Kind, u32), Row>;

pub(crate) fn compare(
    places: &Places,
    node: &Node,
    rounds: usize,
    seconds: f64,
    say: &dyn Fn(&str),
) -> anyhow::Result<Table> {
    let mut samples: BTreeMap<(Kind, u32), Vec<Sample>> = BTreeMap::new();
    for round in 0..rounds {
        for place in 0..Kind::ALL.len() {
            // Another one begins each round.
            let kind = Kind::ALL[(place + round) % Kind::ALL.len()];
            let server = Server::start(kind, places, node)?;
            for in_flight in IN_FLIGHT {
                let sample = Load::in_flight(in_flight, seconds).run(places, node, server.pid())?;
                say(&format!(
                    "round {}/{rounds}  {:<36} {in_flight:>4} in flight {:>8.0} calls/s",
                    round + 1,
                    kind.label(),
                    sample.figures.per_second
                ));
                samples.entry((kind, in_flight)).or_default().push(sample);
            }
        }
    }
    let rows = samples.iter().map(|(key, samples)| (*key, row(samples)));
    Ok(rows.collect())
}

pub(crate) fn row(samples: &[Sample]) -> Row {
    let of = |value: fn(&Sample) -> f64| Spread::of(samples.iter().map(value));
    Row {
        per_second: of(|sample| sample.figures.per_second),
        p50_us: of(|sample| sample.figures.latency_us.p50),
        p90_us: of(|sample| sample.figures.latency_us.p90),
        p99_us: of(|sample| sample.figures.latency_us.p99),
        p99_9_us: of(|sample| sample.figures.latency_us.p99_9),
        max_us: of(|sample| sample.figures.latency_us.max),
        processor_us: of(|sample| sample.processor_us),
        resident_mib: of(|sample| sample.resident_mib),
    }
}
