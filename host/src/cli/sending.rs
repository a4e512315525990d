//! Sends one message and prints what becomes of it; or, to watch a service, again and again.

use std::io::{IsTerminal, Write};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Args;
use serde_json::json;
use tokio::runtime::{Builder, Runtime};
use tokio::time::{MissedTickBehavior, interval};

use super::exit_code;
use super::message::{Message, duration};
use super::road::{Kind, Road, Sender};
use crate::admin::{Outcome, SendRequest};

/// How often.
#[derive(Debug, Args)]
pub struct Watch {
    /// Repeat, each time so long after the last, until Ctrl-C or --count
    #[arg(long, value_name = "TIME", value_parser = duration)]
    watch: Option<Duration>,
    /// End after so many times
    #[arg(long, value_name = "N", requires = "watch", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,
}

/// Sends the message and reports. Errors of usage have been told when it returns.
pub fn run(
    kind: Kind,
    message: Message,
    fanout: bool,
    road: &Road,
    watch: &Watch,
) -> anyhow::Result<ExitCode> {
    let as_json = message.json;
    let request = match message.request(fanout) {
        Ok(request) => request,
        Err(error) => {
            eprintln!("endpointd: {error:#}");
            return Ok(ExitCode::from(exit_code::USAGE));
        }
    };
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let code = runtime.block_on(async {
        let sender = road.open(runtime.handle())?;
        let code = match watch.watch {
            None => {
                let (code, outcome) = sender.send(kind, &request).await;
                report(&outcome, as_json, kind)?;
                code
            }
            Some(every) => repeat(&sender, kind, &request, every, watch.count, as_json).await?,
        };
        sender.close().await;
        anyhow::Ok(code)
    });
    end(runtime);
    Ok(ExitCode::from(code?))
}

/// Without waiting for a host that does not answer.
fn end(runtime: Runtime) {
    runtime.shutdown_background();
}

/// Prints the result on standard output, and what went wrong on standard error.
fn report(outcome: &Outcome, as_json: bool, kind: Kind) -> anyhow::Result<()> {
    match outcome {
        outcome if as_json => print(&serde_json::to_string(outcome)?),
        Outcome::Result(_) if kind == Kind::Cast => Ok(()),
        Outcome::Result(result) => print(result.get()),
        Outcome::Failure(failure) => {
            eprintln!("{}.{}: {}", failure.module, failure.class, failure.message);
            Ok(())
        }
        Outcome::Error(error) => {
            eprintln!("endpointd: {error}");
            Ok(())
        }
    }
}

/// A line of standard output, at once.
fn print(line: &str) -> anyhow::Result<()> {
    let mut output = std::io::stdout().lock();
    writeln!(output, "{line}")?;
    output.flush()?;
    Ok(())
}

/// Sends until it was often enough or is interrupted; gives the exit code of the last failure.
async fn repeat(
    sender: &Sender,
    kind: Kind,
    request: &SendRequest,
    every: Duration,
    count: Option<u64>,
    as_json: bool,
) -> anyhow::Result<u8> {
    let mut ticks = interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut tally = Tally::default();
    while count.is_none_or(|count| tally.sent < count) {
        let once = async {
            ticks.tick().await;
            let started = Instant::now();
            let (code, outcome) = sender.send(kind, request).await;
            (code, outcome, started.elapsed())
        };
        let (code, outcome, took) = tokio::select! {
            sent = once => sent,
            interrupted = tokio::signal::ctrl_c() => {
                interrupted?;
                break;
            }
        };
        tally.add(code, took);
        report_one(&tally, &outcome, took, as_json, kind)?;
    }
    eprintln!("{}", tally.summary());
    Ok(tally.code)
}

/// Prints the time that it took on standard error, on the line of the result where both are the same
/// terminal.
fn report_one(
    tally: &Tally,
    outcome: &Outcome,
    took: Duration,
    as_json: bool,
    kind: Kind,
) -> anyhow::Result<()> {
    let number = tally.sent;
    if as_json {
        let mut line = serde_json::to_value(outcome)?;
        line["number"] = json!(number);
        line["took_ms"] = json!(milliseconds(took));
        return print(&line.to_string());
    }
    let has_line = matches!((outcome, kind), (Outcome::Result(_), Kind::Call));
    let same_line = has_line && std::io::stdout().is_terminal() && std::io::stderr().is_terminal();
    eprint!("#{number} {:.1} ms", milliseconds(took));
    match same_line || !has_line {
        true => eprint!("  "),
        false => eprintln!(),
    }
    match outcome {
        Outcome::Result(_) if !has_line => eprintln!("sent"),
        outcome => report(outcome, false, kind)?,
    }
    Ok(())
}

fn milliseconds(took: Duration) -> f64 {
    // As exactly as anybody can use it.
    (took.as_secs_f64() * 10_000.0).round() / 10.0
}

/// What became of all of them.
#[derive(Default)]
struct Tally {
    sent: u64,
    failed: u64,
    /// Of the last failure.
    code: u8,
    shortest: Option<Duration>,
    longest: Duration,
    all: Duration,
}

impl Tally {
    fn add(&mut self, code: u8, took: Duration) {
        self.sent += 1;
        if code != 0 {
            self.failed += 1;
            self.code = code;
        }
        self.shortest = Some(self.shortest.map_or(took, |shortest| shortest.min(took)));
        self.longest = self.longest.max(took);
        self.all += took;
    }

    fn summary(&self) -> String {
        let well = self.sent - self.failed;
        let mean = self.all.div_f64(self.sent.max(1) as f64);
        format!(
            "{} times: {well} well, {} failed; {:.1} ms at least, {:.1} ms on average, {:.1} ms at \
             most",
            self.sent,
            self.failed,
            milliseconds(self.shortest.unwrap_or_default()),
            milliseconds(mean),
            milliseconds(self.longest),
        )
    }
}
