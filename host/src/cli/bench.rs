//! `endpointd bench`: calls a method again and again, and tells how many calls a second that made and
//! how long they took.

use std::cell::RefCell;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::Context;
use clap::Args;
use indicatif::{HumanCount, ProgressBar, ProgressStyle};
use serde_json::{Map, Value};
use tokio::time::interval;

use super::exit_code;
use super::figures::Figures;
use super::load::{End, Load, Plan};
use super::message::{Message, duration};
use super::road::{self, Kind, Road, Sender};
use super::sending::{harmless, interruption};
use crate::admin::{Outcome, SendRequest};
use crate::protocol::json;
use crate::scheduling::preempt_nobody;

const DEFAULT_IN_FLIGHT: usize = 64;
/// At a rate, only what the client itself can keep apart bounds what is under way.
const DEFAULT_IN_FLIGHT_AT_A_RATE: usize = 50_000;
/// Each takes a thread then.
const IN_FLIGHT_BY_HOST: usize = 500;
const DEFAULT_TIME: Duration = Duration::from_secs(10);
const DEFAULT_WARM_UP: Duration = Duration::from_secs(1);
/// How often the bar moves.
const STEP: Duration = Duration::from_millis(250);
/// 64 MiB; a broker takes 16 or 128 MiB.
const LARGEST_PAYLOAD: u64 = 64 * 1024 * 1024;

/// Measure a method: calls a second, and how long a call takes.
///
/// It calls as an oslo.messaging client does, with so many calls under way at the same time; or, with
/// --rate, begins them on time whether or not earlier ones were answered, so that a service that cannot
/// keep up shows it. Then a call that began late counts from when it should have begun. What goes wrong
/// is counted by its kind, and its time is not.
#[derive(Debug, Args)]
#[command(
    before_help = "Example: endpointd bench greetings greet name=Ada --in-flight 64 --for 10s",
    after_help = road::HELP,
)]
pub struct Bench {
    #[command(flatten)]
    message: Message,
    #[command(flatten, next_help_heading = "How much")]
    amount: Amount,
    #[command(flatten, next_help_heading = "The way to the servers")]
    road: Road,
}

#[derive(Debug, Args)]
struct Amount {
    /// Calls that are under way at the same time [default: 64; with --rate at most 50000]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=50_000))]
    in_flight: Option<u32>,
    /// Begin so many calls a second, whether or not earlier ones were answered
    #[arg(long, value_name = "N", value_parser = rate)]
    rate: Option<f64>,
    /// Measure so many calls, however long they take
    #[arg(long, value_name = "N", conflicts_with = "time", value_parser = clap::value_parser!(u64).range(1..))]
    calls: Option<u64>,
    /// Measure for so long [default: 10s]
    #[arg(long = "for", value_name = "TIME", value_parser = duration)]
    time: Option<Duration>,
    /// Call for so long before anything is counted; 0 is not at all [default: 1s]
    #[arg(long, value_name = "TIME", value_parser = duration_or_none)]
    warm_up: Option<Duration>,
    /// Send a text of so many bytes as one more argument, such as 100, 64KiB or 1MiB
    #[arg(long, value_name = "SIZE", conflicts_with = "payload_file", value_parser = size)]
    payload: Option<u64>,
    /// Send the text of this file as one more argument
    #[arg(long, value_name = "FILE")]
    payload_file: Option<PathBuf>,
    /// The name of that argument
    #[arg(long, value_name = "KEY", default_value = "payload")]
    payload_as: String,
}

impl Bench {
    pub fn run(self) -> anyhow::Result<ExitCode> {
        let as_json = self.message.json;
        let prepared = self
            .message
            .request(false)
            .and_then(|request| self.amount.with_payload(request));
        let request = match prepared {
            Ok(request) => request,
            Err(error) => {
                eprintln!("endpointd: {error:#}");
                return Ok(ExitCode::from(exit_code::USAGE));
            }
        };
        let mut plan = self.amount.plan();
        // It is not to take the processor from what it measures for each reply; at a rate, being on time comes first.
        if let Load::Closed = plan.load {
            preempt_nobody();
        }
        self.road.walk(async |sender| {
            if let Sender::Host(_) = sender
                && plan.in_flight > IN_FLIGHT_BY_HOST
            {
                if self.amount.in_flight.is_some() {
                    eprintln!(
                        "endpointd: by way of a host at most {IN_FLIGHT_BY_HOST} calls can be in flight: \
                         name the broker with --transport-url"
                    );
                    return (exit_code::USAGE, Ok(()));
                }
                plan.in_flight = IN_FLIGHT_BY_HOST;
            }
            match measure(sender, &request, &plan).await {
                Ok(Ok(figures)) => {
                    let printed = print(&figures, &request, &plan, as_json);
                    (figures.exit_code(), printed)
                }
                Ok(Err(code)) => (code, Ok(())),
                Err(error) => (exit_code::ERROR, Err(error)),
            }
        })
    }
}

impl Amount {
    fn plan(&self) -> Plan {
        let load = match self.rate {
            Some(rate) => Load::Rate(rate),
            None => Load::Closed,
        };
        let default_in_flight = match load {
            Load::Closed => DEFAULT_IN_FLIGHT,
            Load::Rate(_) => DEFAULT_IN_FLIGHT_AT_A_RATE,
        };
        Plan {
            load,
            in_flight: self
                .in_flight
                .map_or(default_in_flight, |count| count as usize),
            warm_up: self.warm_up.unwrap_or(DEFAULT_WARM_UP),
            end: match self.calls {
                Some(calls) => End::Calls(calls),
                None => End::Time(self.time.unwrap_or(DEFAULT_TIME)),
            },
        }
    }

    /// The request with one more argument, if one is asked for.
    fn with_payload(&self, mut request: SendRequest) -> anyhow::Result<SendRequest> {
        let payload = match (&self.payload, &self.payload_file) {
            (Some(bytes), _) => "x".repeat((*bytes).try_into()?),
            (None, Some(file)) => std::fs::read_to_string(file)
                .with_context(|| format!("cannot read {} as UTF-8 text", file.display()))?,
            (None, None) => return Ok(request),
        };
        let mut args: Map<String, Value> = serde_json::from_str(request.args.get())?;
        let name = &self.payload_as;
        let was_there = args.insert(name.clone(), payload.into()).is_some();
        anyhow::ensure!(
            !was_there,
            "there is an argument `{name}` already: name the payload with --payload-as"
        );
        request.args = json::checked(serde_json::to_string(&args)?)?;
        Ok(request)
    }
}

/// Calls as planned. Where the first call shows that there is nobody to call, that is said, and its exit
/// code is what is left.
async fn measure(
    sender: &Sender,
    request: &SendRequest,
    plan: &Plan,
) -> io::Result<Result<Figures, u8>> {
    let (code, outcome) = sender.send(Kind::Call, request).await;
    if let Outcome::Error(error) = outcome {
        eprintln!("endpointd: {}", harmless(&error));
        return Ok(Err(code));
    }
    let begun = Instant::now() + plan.warm_up;
    let ends = match plan.end {
        End::Calls(_) => None,
        End::Time(time) => Some(begun + time),
    };
    let figures = RefCell::new(Figures::new(begun, ends));
    tokio::select! {
        () = plan.drive(sender, request, &figures) => {}
        interrupted = interruption() => {
            interrupted?;
            figures.borrow_mut().interrupted();
        }
        never = show_progress(plan, &figures) => never,
    }
    Ok(Ok(figures.into_inner()))
}

/// A bar on a terminal, with the calls of the last moment.
async fn show_progress(plan: &Plan, figures: &RefCell<Figures>) -> ! {
    let bar = ProgressBar::new(match plan.end {
        End::Calls(calls) => calls,
        End::Time(time) => (plan.warm_up + time).as_millis() as u64,
    });
    if let Ok(style) = ProgressStyle::with_template("{bar:40} {msg}") {
        bar.set_style(style);
    }
    let begun = Instant::now();
    let mut before = 0;
    let mut steps = interval(STEP);
    loop {
        steps.tick().await;
        let figures = figures.borrow();
        let ended = figures.ended();
        let rate = (ended - before) as f64 / STEP.as_secs_f64();
        before = ended;
        let phase = match begun.elapsed() < plan.warm_up {
            true => "warming up, ",
            false => "",
        };
        bar.set_message(format!("{phase}{} calls/s", HumanCount(rate as u64)));
        bar.set_position(match plan.end {
            End::Calls(_) => figures.counted(),
            End::Time(_) => begun.elapsed().as_millis() as u64,
        });
    }
}

fn print(figures: &Figures, request: &SendRequest, plan: &Plan, as_json: bool) -> io::Result<()> {
    let mut output = io::stdout().lock();
    match as_json {
        true => writeln!(output, "{}", document(figures, request, plan))?,
        false => {
            writeln!(output, "{:<10} {}", "what", description(request, plan))?;
            for (name, text) in figures.lines() {
                writeln!(output, "{name:<10} {text}")?;
            }
        }
    }
    output.flush()
}

fn document(figures: &Figures, request: &SendRequest, plan: &Plan) -> Value {
    let rate = match plan.load {
        Load::Closed => None,
        Load::Rate(rate) => Some(rate),
    };
    let mut document = Map::from_iter([
        ("topic".to_owned(), request.topic.as_str().into()),
        ("method".to_owned(), request.method.as_str().into()),
        ("argument_bytes".to_owned(), request.args.get().len().into()),
        ("in_flight".to_owned(), plan.in_flight.into()),
        ("rate".to_owned(), rate.into()),
    ]);
    document.extend(figures.document());
    document.into()
}

fn description(request: &SendRequest, plan: &Plan) -> String {
    let how = match plan.load {
        Load::Closed => format!("{} in flight", HumanCount(plan.in_flight as u64)),
        Load::Rate(rate) => format!("{rate} calls a second"),
    };
    let long = match plan.end {
        End::Calls(calls) => format!("{} calls", HumanCount(calls)),
        End::Time(time) => format!("for {}", humantime::format_duration(time)),
    };
    let (topic, method) = (harmless(&request.topic), harmless(&request.method));
    let bytes = HumanCount(request.args.get().len() as u64);
    format!("{method} of {topic}, {how}, {long}, {bytes} bytes of arguments")
}

fn rate(text: &str) -> Result<f64, String> {
    let rate = text.parse().ok();
    rate.filter(|rate: &f64| (0.001..=1e6).contains(rate))
        .ok_or_else(|| "write a number of calls a second, up to 1000000".to_owned())
}

fn duration_or_none(text: &str) -> Result<Duration, String> {
    match text.trim_end_matches(|letter: char| letter.is_ascii_alphabetic()) {
        "0" => Ok(Duration::ZERO),
        _ => duration(text),
    }
}

/// Bytes, or a number with `KiB` or `MiB` after it.
fn size(text: &str) -> Result<u64, String> {
    let digits = text.trim_end_matches(|letter: char| letter.is_ascii_alphabetic());
    let unit = match &text[digits.len()..] {
        "" | "B" => Some(1),
        "KiB" => Some(1024),
        "MiB" => Some(1024 * 1024),
        _ => None,
    };
    let bytes = unit.and_then(|unit| digits.parse::<u64>().ok()?.checked_mul(unit));
    bytes
        .filter(|bytes| *bytes <= LARGEST_PAYLOAD)
        .ok_or_else(|| "write a size of at most 64MiB, such as 100, 64KiB or 1MiB".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_is_a_number_with_or_without_a_unit() {
        for (text, bytes) in [("0", 0), ("100", 100), ("2KiB", 2048), ("1MiB", 1 << 20)] {
            assert_eq!(size(text), Ok(bytes), "{text}");
        }
        for text in [
            "",
            "KiB",
            "-1",
            "1.5MiB",
            "1kb",
            "65MiB",
            "99999999999999999999",
        ] {
            assert!(size(text).is_err(), "{text}");
        }
    }

    #[test]
    fn no_warm_up_is_a_time_too() {
        for text in ["0", "0ms", "0s"] {
            assert_eq!(duration_or_none(text), Ok(Duration::ZERO), "{text}");
        }
        assert_eq!(duration_or_none("2ms"), Ok(Duration::from_millis(2)));
        assert!(duration_or_none("").is_err());
    }

    #[test]
    fn a_rate_is_a_positive_number() {
        assert_eq!(rate("0.5"), Ok(0.5));
        for text in ["0", "-1", "NaN", "inf", "fast", "1e9"] {
            assert!(rate(text).is_err(), "{text}");
        }
    }
}
