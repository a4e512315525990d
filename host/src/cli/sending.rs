//! Sends one message and prints what becomes of it; or, to watch a service, again and again.

use std::borrow::Cow;
use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Args;
use serde::Serialize;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::{MissedTickBehavior, interval};

use super::exit_code;
use super::message::{Message, duration};
use super::road::{Kind, Road, Sender};
use crate::admin::{Outcome, SendRequest};

/// How often.
#[derive(Debug, Args)]
pub struct Watch {
    /// Repeat until Ctrl-C or --count, beginning so long after the last one began, or when it ended
    #[arg(long, value_name = "TIME", value_parser = duration, allow_hyphen_values = true)]
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
    road.walk(async |sender| {
        let mut tally = Tally::default();
        let sent = match watch.watch {
            None => once(sender, kind, &request, as_json, &mut tally).await,
            Some(every) => {
                let count = watch.count;
                repeat(sender, kind, &request, every, count, as_json, &mut tally).await
            }
        };
        (tally.code, sent)
    })
}

/// Prints the result on standard output, and what went wrong on standard error.
fn report(outcome: &Outcome, as_json: bool, kind: Kind) -> io::Result<()> {
    match outcome {
        outcome if as_json => print(&serde_json::to_string(outcome)?),
        Outcome::Result(_) if kind == Kind::Cast => Ok(()),
        Outcome::Result(result) => print(result.get()),
        Outcome::Failure(failure) => {
            let text = format!("{}.{}: {}", failure.module, failure.class, failure.message);
            say(&harmless(&text))
        }
        Outcome::Error(error) => say(&format!("endpointd: {}", harmless(error))),
    }
}

/// What others wrote must not steer the terminal.
pub fn harmless(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '\n' | '\t' => shown.push(letter),
            letter if letter.is_control() => shown.extend(letter.escape_default()),
            letter => shown.push(letter),
        }
    }
    shown
}

/// JSON as one line of standard output, at once.
fn print(json: &str) -> io::Result<()> {
    let mut output = io::stdout().lock();
    writeln!(output, "{}", one_line(json))?;
    output.flush()
}

/// A line of standard error.
fn say(line: &str) -> io::Result<()> {
    writeln!(io::stderr().lock(), "{line}")
}

/// The same JSON on one line, and without what steers a terminal: control characters other than
/// white space stand only in strings, where they may be escaped.
fn one_line(json: &str) -> Cow<'_, str> {
    if !json.contains(char::is_control) {
        return Cow::Borrowed(json);
    }
    let mut line = String::with_capacity(json.len());
    for letter in json.chars() {
        match letter {
            '\n' | '\r' | '\t' => line.push(' '),
            letter if letter.is_control() => line.push_str(&format!("\\u{:04x}", letter as u32)),
            letter => line.push(letter),
        }
    }
    Cow::Owned(line)
}

/// Ctrl-C, or SIGTERM.
pub async fn interruption() -> io::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        interrupted = tokio::signal::ctrl_c() => interrupted,
        _ = terminate.recv() => Ok(()),
    }
}

async fn once(
    sender: &Sender,
    kind: Kind,
    request: &SendRequest,
    as_json: bool,
    tally: &mut Tally,
) -> io::Result<()> {
    let (code, outcome) = sender.send(kind, request).await;
    tally.code = code;
    report(&outcome, as_json, kind)
}

/// Sends until it was often enough, is interrupted, or turns out to be no message at all.
async fn repeat(
    sender: &Sender,
    kind: Kind,
    request: &SendRequest,
    every: Duration,
    count: Option<u64>,
    as_json: bool,
    tally: &mut Tally,
) -> io::Result<()> {
    let mut ticks = interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut interrupted = std::pin::pin!(interruption());
    while count.is_none_or(|count| tally.sent < count) {
        let once = async {
            ticks.tick().await;
            let started = Instant::now();
            let (code, outcome) = sender.send(kind, request).await;
            (code, outcome, started.elapsed())
        };
        let (code, outcome, took) = tokio::select! {
            sent = once => sent,
            interrupted = &mut interrupted => {
                interrupted?;
                if tally.sent == 0 {
                    // Nothing was learned: that is no success.
                    tally.code = exit_code::ERROR;
                }
                break;
            }
        };
        if code == exit_code::USAGE {
            tally.code = code;
            return report(&outcome, as_json, kind);
        }
        tally.add(code, took);
        report_one(tally, code, &outcome, took, as_json, kind)?;
    }
    say(&tally.summary())
}

/// Prints the time that it took on standard error, on the line of the result where both are the same
/// terminal.
fn report_one(
    tally: &Tally,
    code: u8,
    outcome: &Outcome,
    took: Duration,
    as_json: bool,
    kind: Kind,
) -> io::Result<()> {
    let number = tally.sent;
    if as_json {
        let timed = Timed {
            outcome,
            number,
            code,
            took_ms: milliseconds(took),
        };
        return print(&serde_json::to_string(&timed)?);
    }
    let has_line = matches!((outcome, kind), (Outcome::Result(_), Kind::Call));
    let same_line = has_line && io::stdout().is_terminal() && io::stderr().is_terminal();
    let end = match same_line || !has_line {
        true => "  ",
        false => "\n",
    };
    write!(
        io::stderr().lock(),
        "#{number} {:.1} ms{end}",
        milliseconds(took)
    )?;
    match outcome {
        Outcome::Result(_) if !has_line => say("sent")?,
        outcome => report(outcome, false, kind)?,
    }
    Ok(())
}

fn milliseconds(took: Duration) -> f64 {
    // As exactly as anybody can use it.
    (took.as_secs_f64() * 10_000.0).round() / 10.0
}

/// A line of `--json --watch`.
#[derive(Serialize)]
struct Timed<'a> {
    #[serde(flatten)]
    outcome: &'a Outcome,
    number: u64,
    /// The exit code that it alone would have given.
    code: u8,
    took_ms: f64,
}

/// What became of all of them.
#[derive(Default)]
struct Tally {
    sent: u64,
    failed: u64,
    /// Of the last failure, or 0.
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
            return;
        }
        self.shortest = Some(self.shortest.map_or(took, |shortest| shortest.min(took)));
        self.longest = self.longest.max(took);
        self.all += took;
    }

    fn summary(&self) -> String {
        let well = self.sent - self.failed;
        let times = match self.sent {
            1 => "once".to_owned(),
            sent => format!("{sent} times"),
        };
        let counts = format!("{times}: {well} well, {} failed", self.failed);
        let Some(shortest) = self.shortest else {
            return counts;
        };
        format!(
            "{counts}; those that went well took {:.1} ms at least, {:.1} ms on average, {:.1} ms at \
             most",
            milliseconds(shortest),
            milliseconds(self.all.div_f64(well as f64)),
            milliseconds(self.longest),
        )
    }
}
