//! docs/benchmarks.md: what was measured goes between its marks; what is said about it is written by hand.

use std::fmt::Write;
use std::fs;
use std::path::Path;

use anyhow::{Context, ensure};

use crate::compare::{IN_FLIGHT, Table};
use crate::curves::{Curves, Point};
use crate::server::Kind;
use crate::spread::Spread;
use crate::targets::Others;

/// Writes `text` between the marks of this name.
pub(crate) fn put(page: &Path, name: &str, text: &str) -> anyhow::Result<()> {
    let (begin, end) = (
        format!("<!-- begin: {name} -->\n"),
        format!("<!-- end: {name} -->\n"),
    );
    let whole = fs::read_to_string(page).with_context(|| page.display().to_string())?;
    let (before, rest) = whole
        .split_once(&begin)
        .with_context(|| format!("{} has no `{}`", page.display(), begin.trim()))?;
    let (_, after) = rest
        .split_once(&end)
        .with_context(|| format!("{} has no `{}`", page.display(), end.trim()))?;
    ensure!(
        !text.contains("NaN"),
        "a figure of `{name}` could not be taken"
    );
    fs::write(page, format!("{before}{begin}{text}{end}{after}"))?;
    Ok(())
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
        "{cores} cores of {model}, Linux {}; broker, load and server share them. {rounds} rounds of {seconds} s each, after 1 s \
         of warm-up; medians, with the least and the most.\n",
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
        let oslo = table[&(Kind::Oslo, in_flight)].per_second.median;
        for kind in Kind::ALL {
            let row = &table[&(kind, in_flight)];
            let ms = |spread: Spread| format!("{:.2} ms", spread.median / 1000.0);
            let _ = writeln!(
                text,
                "| {} | {:.0} ({:.0}–{:.0}) | {:.1} | {} | {} | {} | {} | {} | {:.0} µs | {:.0} MiB |",
                kind.label(),
                row.per_second.median,
                row.per_second.least,
                row.per_second.most,
                row.per_second.median / oslo,
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

/// What was to be reached, and what was.
pub(crate) fn targets(table: &Table, curves: &Curves, others: &Others) -> String {
    let median = |kind, in_flight, value: fn(&crate::compare::Row) -> Spread| {
        value(&table[&(kind, in_flight)]).median
    };
    let rate = |kind| median(kind, 64, |row| row.per_second);
    let first = |kind| median(kind, 1, |row| row.p50_us);
    let processor = |kind| median(kind, 64, |row| row.processor_us);
    let (count, idle_mib) = curves.idle_mib.last().copied().unwrap_or((0, f64::NAN));
    let at_most = |value: f64, bound: f64| value <= bound;
    let at_least = |value: f64, bound: f64| value >= bound;
    let (drain, overload) = (&others.drain, &others.overload);
    let wasm = rate(Kind::Wasm).max(rate(Kind::WasmReused));
    let lines = [
        line(
            "Wasm to native, calls/s with 64 in flight, an instance a call",
            rate(Kind::Wasm) / rate(Kind::Native),
            "at least 0.95",
            at_least(rate(Kind::Wasm) / rate(Kind::Native), 0.95),
        ),
        line(
            "the same with instances reused",
            rate(Kind::WasmReused) / rate(Kind::Native),
            "at least 0.95",
            at_least(rate(Kind::WasmReused) / rate(Kind::Native), 0.95),
        ),
        line(
            "Wasm to oslo.messaging, calls/s with 64 in flight",
            wasm / rate(Kind::Oslo),
            "at least 15",
            at_least(wasm / rate(Kind::Oslo), 15.0),
        ),
        line(
            "p50 with one in flight to the bare lapin echo, an instance a call",
            first(Kind::Wasm) / first(Kind::Echo),
            "at most 1.1",
            at_most(first(Kind::Wasm) / first(Kind::Echo), 1.1),
        ),
        line(
            "the same with instances reused",
            first(Kind::WasmReused) / first(Kind::Echo),
            "at most 1.1",
            at_most(first(Kind::WasmReused) / first(Kind::Echo), 1.1),
        ),
        line(
            "host CPU a call to native with 64 in flight, instances reused",
            processor(Kind::WasmReused) / processor(Kind::Native),
            "at most 1.25",
            at_most(processor(Kind::WasmReused) / processor(Kind::Native), 1.25),
        ),
        line(
            "the same, an instance a call",
            processor(Kind::Wasm) / processor(Kind::Native),
            "at most 1.6",
            at_most(processor(Kind::Wasm) / processor(Kind::Native), 1.6),
        ),
        line(
            "start to first reply with a warm cache, ms",
            others.first_reply_ms,
            "under 300",
            others.first_reply_ms < 300.0,
        ),
        line(
            &format!("{count} loaded idle plugins, MiB"),
            idle_mib,
            "under 1024",
            count == 1000 && idle_mib < 1024.0,
        ),
        line(
            "10,000 queued calls: memory at most to memory in usual work",
            drain.peak_mib / drain.usual_mib,
            "no growth",
            drain.peak_mib <= drain.usual_mib * 1.1,
        ),
        line(
            "twice the capacity for a minute: memory at most to memory before",
            overload.peak_mib / overload.before_mib,
            "flat",
            overload.peak_mib <= overload.before_mib * 1.1,
        ),
        line(
            "p50 in the second after it to p50 before",
            overload.p50_first_second_us / overload.p50_before_us,
            "normal",
            overload.p50_first_second_us <= overload.p50_before_us * 1.25,
        ),
    ];
    let head = "| figure | measured | target | |\n|---|---|---|---|\n";
    let drained = format!(
        "\nThe 10,000 queued calls were answered in {:.1} s after the start of the host. In the overload {:.0} calls/s were \
         asked for, where {:.0} is what it can do, {:.0} were answered within a second and {} were not; memory was {:.0} MiB \
         before and {:.0} MiB at most.\n",
        drain.seconds,
        overload.asked,
        overload.capacity,
        overload.answered,
        overload.failed,
        overload.before_mib,
        overload.peak_mib
    );
    format!("{head}{}{drained}", lines.concat())
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
