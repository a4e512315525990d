//! docs/benchmarks.md: what was measured goes between its marks; what is said about it is written by hand.

use std::fmt::Write;
use std::fs;

use anyhow::{Context, ensure};

use crate::compare::{IN_FLIGHT, TURN_S, Table};
use crate::curves::{Curves, Point};
use crate::server::Kind;
use crate::spread::Spread;
use crate::targets::Others;

/// Puts `text` between the marks of this name.
pub(crate) fn put(page: &str, name: &str, text: &str) -> anyhow::Result<String> {
    let (begin, end) = (
        format!("<!-- begin: {name} -->\n"),
        format!("<!-- end: {name} -->\n"),
    );
    let missing = |mark: &str| format!("the page has no `{}`", mark.trim());
    let (before, rest) = page.split_once(&begin).with_context(|| missing(&begin))?;
    let (_, after) = rest.split_once(&end).with_context(|| missing(&end))?;
    ensure!(
        !text.contains("NaN"),
        "a figure of `{name}` could not be taken"
    );
    Ok(format!("{before}{begin}{text}{end}{after}"))
}

pub(crate) fn machine(rounds: usize, seconds: f64) -> anyhow::Result<String> {
    let cpuinfo = fs::read_to_string("/proc/cpuinfo")?;
    let model = cpuinfo
        .lines()
        .find_map(|line| line.strip_prefix("model name"))
        .map_or("unknown", |rest| rest.trim_start_matches([':', ' ', '\t']));
    let cores = std::thread::available_parallelism()?;
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease")?;
    Ok(format!(
        "{cores} cores of {model}, Linux {}; broker, load and server share them. {rounds} turns of \
         {TURN_S} s of each server; medians, with the least and the most. {seconds} s for each point of a curve.\n",
        kernel.trim()
    ))
}

pub(crate) fn servers(table: &Table) -> String {
    let mut text = String::new();
    for in_flight in IN_FLIGHT {
        let _ = writeln!(
            text,
            "\n**{in_flight} in flight**\n\n| server | calls/s | to oslo.messaging | p50 | p90 | p99 | p99.9 | max | CPU a call | memory |\n\
             |---|---|---|---|---|---|---|---|---|---|"
        );
        for kind in Kind::ALL {
            let row = table.row(kind, in_flight);
            let to_oslo = table.ratio(kind, Kind::Oslo, in_flight, |sample| {
                sample.figures.per_second
            });
            let ms = |spread: Spread| format!("{:.2} ms", spread.median / 1000.0);
            let _ = writeln!(
                text,
                "| {} | {:.0} ({:.0}–{:.0}) | {:.1} | {} | {} | {} | {} | {} | {:.0} µs | {:.0} MiB |",
                kind.label(),
                row.per_second.median,
                row.per_second.least,
                row.per_second.most,
                to_oslo,
                ms(row.p50_us),
                ms(row.p90_us),
                ms(row.p99_us),
                ms(row.p99_9_us),
                ms(row.max_us),
                row.processor_us.median,
                row.resident_mib.median,
            );
        }
    }
    text
}

/// What these servers do beside the first of them, line by line.
pub(crate) fn beside(table: &Table, kinds: &[Kind]) -> String {
    let mut text = String::new();
    let Some(&first) = kinds.first() else {
        return text;
    };
    for in_flight in IN_FLIGHT {
        for &kind in kinds {
            let row = table.row(kind, in_flight);
            let ratio = |value| table.ratio(kind, first, in_flight, value);
            let _ = writeln!(
                text,
                "{in_flight} in flight, {}: {:.0} calls/s ({:.3} of {}'s), {:.1} µs of processor ({:.3})",
                kind.name(),
                row.per_second.median,
                ratio(|sample| sample.figures.per_second),
                first.name(),
                row.processor_us.median,
                ratio(|sample| sample.processor_us),
            );
        }
    }
    text
}

/// What was to be reached, and what was.
pub(crate) fn targets(table: &Table, curves: &Curves, others: &Others) -> String {
    let rate = |kind, other| table.ratio(kind, other, 64, |sample| sample.figures.per_second);
    let first = |kind| table.ratio(kind, Kind::Echo, 1, |sample| sample.figures.latency_us.p50);
    let processor = |kind| table.ratio(kind, Kind::Native, 64, |sample| sample.processor_us);
    let (count, idle_mib) = curves.idle_mib.last().copied().unwrap_or((0, f64::NAN));
    let drain = &others.drain;
    let mut lines = vec![
        at_least(
            "Wasm to native, calls/s with 64 in flight, an instance a call",
            rate(Kind::Wasm, Kind::Native),
            0.95,
        ),
        at_least(
            "the same with instances reused",
            rate(Kind::WasmReused, Kind::Native),
            0.95,
        ),
        at_least(
            "Wasm to oslo.messaging, calls/s with 64 in flight, instances reused",
            rate(Kind::WasmReused, Kind::Oslo),
            15.0,
        ),
        at_most(
            "p50 with one in flight to the bare lapin echo, an instance a call",
            first(Kind::Wasm),
            1.1,
        ),
        at_most(
            "the same with instances reused",
            first(Kind::WasmReused),
            1.1,
        ),
        at_most(
            "host CPU a call to native with 64 in flight, instances reused",
            processor(Kind::WasmReused),
            1.25,
        ),
        at_most("the same, an instance a call", processor(Kind::Wasm), 1.6),
        at_most(
            "start to first reply with a warm cache, ms",
            others.first_reply_ms,
            300.0,
        ),
        at_most(
            &format!("{count} loaded idle plugins, MiB"),
            idle_mib,
            1024.0,
        ),
        at_most(
            "10,000 queued calls: memory at most to memory in usual work",
            drain.peak_mib / drain.usual_mib,
            1.1,
        ),
    ];
    let overload = match &others.overload {
        Ok(overload) => {
            lines.push(at_most(
                "twice the capacity for a minute: memory at most to memory before",
                overload.peak_mib / overload.before_mib,
                1.1,
            ));
            lines.push(at_most(
                "p50 in the second after it to p50 before",
                overload.p50_first_second_us / overload.p50_before_us,
                1.25,
            ));
            format!(
                "In the overload {:.0} calls/s were asked for, where {:.0} is what it can do with 64 in flight, and it served \
                 {:.0}; {} calls were answered within the second that their callers gave them and {} were not; memory was \
                 {:.0} MiB before and {:.0} MiB at most.",
                overload.asked,
                overload.capacity,
                overload.served,
                overload.answered,
                overload.failed,
                overload.before_mib,
                overload.peak_mib
            )
        }
        Err(error) => format!("The overload could not be taken: {error:#}."),
    };
    let head = "| figure | measured | target | |\n|---|---|---|---|\n";
    format!(
        "{head}{}\nThe 10,000 queued calls were answered in {:.1} s after the start of the host. {overload}\n",
        lines.concat(),
        drain.seconds
    )
}

fn at_least(what: &str, value: f64, bound: f64) -> String {
    line(what, value, &format!("at least {bound}"), value >= bound)
}

fn at_most(what: &str, value: f64, bound: f64) -> String {
    line(what, value, &format!("at most {bound}"), value <= bound)
}

fn line(what: &str, value: f64, target: &str, is_met: bool) -> String {
    let verdict = match is_met {
        true => "met",
        false => "**missed**",
    };
    let value = match value {
        100.0.. => format!("{value:.0}"),
        10.0.. => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    };
    format!("| {what} | {value} | {target} | {verdict} |\n")
}

pub(crate) fn curve(what: &str, points: &[Point]) -> String {
    let mut text = format!(
        "| {what} | calls/s | p50 | p99 | CPU a call | memory |\n|---|---|---|---|---|---|\n"
    );
    for point in points {
        let _ = writeln!(
            text,
            "| {:.0} | {:.0} | {:.2} ms | {:.2} ms | {:.0} µs | {:.0} MiB |",
            point.at,
            point.per_second,
            point.p50_us / 1000.0,
            point.p99_us / 1000.0,
            point.processor_us,
            point.resident_mib
        );
    }
    text
}
