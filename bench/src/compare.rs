//! Servers side by side. All of them run at the same time, and are called in turns of less than a second: such a
//! machine changes its speed by half within minutes, and two that are to be compared are to have the same of it.

use std::collections::BTreeMap;

use crate::load::{Load, Sample};
use crate::node::Node;
use crate::server::{Kind, Places, Server};
use crate::spread::Spread;

pub(crate) const IN_FLIGHT: [u32; 3] = [1, 64, 256];
/// How long a turn takes.
pub(crate) const TURN_S: f64 = 0.8;
/// Before each turn; the first of a server is longer.
const WARM_UP_S: f64 = 0.2;
const FIRST_WARM_UP_S: f64 = 2.0;
/// After so many, all servers are started anew: what is decided when one starts, such as what the broker puts
/// together with it, is not to count for all of its turns.
const ROUNDS_A_START: usize = 5;

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

/// Every turn of every server.
pub(crate) struct Table(BTreeMap<(Kind, u32), Vec<Sample>>);

impl Table {
    pub(crate) fn row(&self, kind: Kind, in_flight: u32) -> Row {
        let of = |value| Spread::of(self.turns(kind, in_flight, value));
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

    /// What a server has for each of what another one has: the middle of all rounds, in each of which the two had
    /// their turns within seconds of each other.
    pub(crate) fn ratio(
        &self,
        kind: Kind,
        other: Kind,
        in_flight: u32,
        value: fn(&Sample) -> f64,
    ) -> f64 {
        let others = self.turns(other, in_flight, value);
        let turns = self.turns(kind, in_flight, value);
        Spread::of(turns.zip(others).map(|(its, others)| its / others)).median
    }

    fn turns(
        &self,
        kind: Kind,
        in_flight: u32,
        value: fn(&Sample) -> f64,
    ) -> impl Iterator<Item = f64> {
        self.0[&(kind, in_flight)].iter().map(value)
    }
}

pub(crate) fn compare(
    places: &Places,
    node: &Node,
    kinds: &[Kind],
    rounds: usize,
    say: &dyn Fn(&str),
) -> anyhow::Result<Table> {
    let mut samples: BTreeMap<(Kind, u32), Vec<Sample>> = BTreeMap::new();
    for in_flight in IN_FLIGHT {
        let mut servers = Vec::new();
        for round in 0..rounds {
            let is_new = round % ROUNDS_A_START == 0;
            if is_new {
                servers.clear();
                for &kind in kinds {
                    servers.push((kind, Server::start(kind, places, node)?));
                }
            }
            // What the one before leaves to the broker is not always the same one's to bear.
            fastrand::shuffle(&mut servers);
            let mut line = format!("{in_flight} in flight, round {}/{rounds}:", round + 1);
            for (kind, server) in &servers {
                let load = Load {
                    topic: kind.topic(),
                    warm_up: match is_new {
                        true => FIRST_WARM_UP_S,
                        false => WARM_UP_S,
                    },
                    ..Load::in_flight(in_flight, TURN_S)
                };
                let sample = load.run(places, node, server.pid())?;
                line += &format!(" {} {:.0}", kind.name(), sample.figures.per_second);
                samples.entry((*kind, in_flight)).or_default().push(sample);
            }
            say(&line);
        }
    }
    Ok(Table(samples))
}
