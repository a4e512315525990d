//! What was measured of many calls, for people and for machines.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use indicatif::HumanCount;
use serde_json::{Map, Value, json};

use super::exit_code;
use super::sending::harmless;
use crate::admin::Outcome;

/// In nanoseconds: from 1 µs to an hour, to three digits.
const SHORTEST: u64 = 1_000;
const LONGEST: u64 = 3_600_000_000_000;
const DIGITS: u8 = 3;

/// The parts of the latency that are told, in percent; the last is the longest.
const PARTS: [(&str, f64); 5] = [
    ("p50", 50.0),
    ("p90", 90.0),
    ("p99", 99.0),
    ("p99.9", 99.9),
    ("max", 100.0),
];

/// What became of the calls that count.
pub struct Figures {
    begun: Instant,
    /// When no more calls begin, where that is a time.
    ends: Option<Instant>,
    /// When the last that was answered ended.
    last: Instant,
    /// Calls that were answered between begin and end, whenever they began.
    answered: u64,
    /// How long those took that count, and were answered with a result.
    latency: Histogram<u64>,
    /// The others, by what went wrong.
    failures: BTreeMap<String, Failed>,
    failed: u64,
    /// Of the last that failed, or 0.
    code: u8,
    /// All that ended, with those that do not count.
    ended: u64,
}

/// Calls that failed in the same way.
struct Failed {
    count: u64,
    /// What was said of the first.
    first: String,
}

impl Figures {
    /// Nothing yet; counting begins at `begun`, and goes on until the time `ends` or the last call.
    pub fn new(begun: Instant, ends: Option<Instant>) -> Self {
        Self {
            begun,
            ends,
            last: begun,
            answered: 0,
            latency: Histogram::new_with_bounds(SHORTEST, LONGEST, DIGITS)
                .expect("the bounds are in order, and the digits are few"),
            failures: BTreeMap::new(),
            failed: 0,
            code: 0,
            ended: 0,
        }
    }

    pub fn begun(&self) -> Instant {
        self.begun
    }

    /// All calls that ended, whether or not they count.
    pub fn ended(&self) -> u64 {
        self.ended
    }

    /// Those that count.
    pub fn counted(&self) -> u64 {
        self.latency.len() + self.failed
    }

    /// 0 where nothing failed.
    pub fn exit_code(&self) -> u8 {
        match self.counted() {
            // Nothing was learned: that is no success.
            0 => exit_code::ERROR,
            _ => self.code,
        }
    }

    /// Whatever was to come does not.
    pub fn interrupted(&mut self) {
        self.ends = self.ends.map(|ends| ends.min(Instant::now()));
    }

    /// One call that ended now and was to begin at `due`.
    pub fn add(&mut self, due: Instant, counts: bool, code: u8, outcome: &Outcome) {
        let now = Instant::now();
        self.ended += 1;
        let is_answered = matches!(outcome, Outcome::Result(_));
        let in_time = now >= self.begun && self.ends.is_none_or(|ends| now <= ends);
        if is_answered && in_time {
            self.answered += 1;
            self.last = now;
        }
        if !counts {
            return;
        }
        let (kind, text) = match outcome {
            Outcome::Result(_) => {
                let took = now.saturating_duration_since(due).as_nanos();
                let took = u64::try_from(took).unwrap_or(LONGEST);
                self.latency.saturating_record(took.max(SHORTEST));
                return;
            }
            Outcome::Failure(failure) => (harmless(&failure.class), &failure.message),
            Outcome::Error(text) => {
                let kind = match code {
                    exit_code::TIMEOUT => "no reply in time",
                    exit_code::NO_ROUTE => "no server listens there",
                    _ => "no answer",
                };
                (kind.to_owned(), text)
            }
        };
        let failed = self.failures.entry(kind).or_insert_with(|| Failed {
            count: 0,
            first: harmless(text),
        });
        failed.count += 1;
        self.failed += 1;
        self.code = code;
    }

    /// Between begin and end.
    fn seconds(&self) -> f64 {
        let until = self.ends.unwrap_or(self.last);
        until.saturating_duration_since(self.begun).as_secs_f64()
    }

    /// Calls that were answered with a result.
    fn per_second(&self) -> f64 {
        match self.seconds() {
            0.0 => 0.0,
            seconds => self.answered as f64 / seconds,
        }
    }

    /// Times are in microseconds.
    pub fn document(&self) -> Map<String, Value> {
        let microseconds = |nanoseconds: f64| Value::from(nanoseconds / 1000.0);
        let mut latency = Map::new();
        if !self.latency.is_empty() {
            for (name, part) in PARTS {
                let value = self.latency.value_at_percentile(part) as f64;
                latency.insert(name.to_owned(), microseconds(value));
            }
            latency.insert("mean".to_owned(), microseconds(self.latency.mean()));
        }
        let failures: Map<_, _> = self
            .failures
            .iter()
            .map(|(kind, failed)| {
                let document = json!({"count": failed.count, "first": failed.first});
                (kind.clone(), document)
            })
            .collect();
        Map::from_iter([
            ("seconds".to_owned(), self.seconds().into()),
            ("calls".to_owned(), self.latency.len().into()),
            ("per_second".to_owned(), self.per_second().into()),
            ("latency_us".to_owned(), latency.into()),
            ("ended".to_owned(), self.ended.into()),
            ("failed".to_owned(), self.failed.into()),
            ("failures".to_owned(), failures.into()),
        ])
    }

    /// Lines of a name and a text.
    pub fn lines(&self) -> Vec<(&'static str, String)> {
        let calls = HumanCount(self.latency.len());
        let rate = HumanCount(self.per_second().round() as u64);
        let mut lines = vec![("answered", format!("{calls}, {rate} a second"))];
        if !self.latency.is_empty() {
            let parts = PARTS.map(|(name, part)| {
                let value = Duration::from_nanos(self.latency.value_at_percentile(part));
                format!("{name} {}", readable(value))
            });
            lines.push(("latency", parts.join("  ")));
        }
        if self.failures.is_empty() {
            lines.push(("failed", "none".to_owned()));
        }
        for (kind, failed) in &self.failures {
            let (count, first) = (HumanCount(failed.count), &failed.first);
            lines.push(("failed", format!("{count} {kind}, the first with: {first}")));
        }
        lines
    }
}

/// To three digits or so.
fn readable(time: Duration) -> String {
    let seconds = time.as_secs_f64();
    match seconds {
        0.0..0.001 => format!("{:.0} µs", seconds * 1e6),
        0.001..0.1 => format!("{:.2} ms", seconds * 1e3),
        0.1..1.0 => format!("{:.0} ms", seconds * 1e3),
        _ => format!("{seconds:.2} s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_has_a_unit_that_suits_it() {
        for (nanoseconds, text) in [
            (250_000, "250 µs"),
            (2_346_000, "2.35 ms"),
            (234_500_000, "234 ms"),
            (2_346_000_000, "2.35 s"),
        ] {
            assert_eq!(readable(Duration::from_nanos(nanoseconds)), text);
        }
    }

    #[test]
    fn failures_are_counted_by_kind_and_their_times_are_not() {
        let due = Instant::now();
        let mut figures = Figures::new(due, None);
        let result = Outcome::Result(crate::protocol::json::empty_object());
        let error = Outcome::Error("gone".to_owned());
        figures.add(due, false, 0, &result);
        figures.add(due, true, 0, &result);
        figures.add(due, true, exit_code::TIMEOUT, &error);
        figures.add(due, true, exit_code::TIMEOUT, &error);
        assert_eq!((figures.ended(), figures.counted()), (4, 3));
        assert_eq!(figures.latency.len(), 1);
        let late = &figures.failures["no reply in time"];
        assert_eq!((late.count, late.first.as_str()), (2, "gone"));
        assert_eq!(figures.exit_code(), exit_code::TIMEOUT);
    }

    #[test]
    fn calls_a_second_are_those_that_end_in_the_time() {
        let now = Instant::now();
        let (begun, ends) = (now - Duration::from_secs(2), now - Duration::from_secs(1));
        let result = Outcome::Result(crate::protocol::json::empty_object());
        let mut late = Figures::new(begun, Some(ends));
        late.add(begun, true, 0, &result);
        assert_eq!((late.per_second(), late.counted()), (0.0, 1));
        let mut in_time = Figures::new(begun, Some(now + Duration::from_secs(2)));
        // It began in the warm-up, in the place of one that will end too late.
        in_time.add(begun, false, 0, &result);
        assert_eq!((in_time.per_second(), in_time.counted()), (0.25, 0));
    }
}
