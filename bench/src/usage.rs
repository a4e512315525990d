//! What a process used, by the kernel's account (proc(5)).

use std::fs;

use anyhow::Context;

/// The kernel counts in these (sysconf `_SC_CLK_TCK`, which is 100 on Linux).
const TICKS_A_SECOND: f64 = 100.0;

/// Seconds of processor time, of all threads.
pub(crate) fn processor_seconds(pid: u32) -> anyhow::Result<f64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))
        .with_context(|| format!("process {pid} is gone"))?;
    // The name before may contain anything, even parentheses.
    let (_, fields) = stat.rsplit_once(')').context("no name in /proc/PID/stat")?;
    let field = |number: usize| -> anyhow::Result<f64> {
        let text = fields.split_whitespace().nth(number - 3);
        Ok(text.context("a short /proc/PID/stat")?.parse()?)
    };
    Ok((field(14)? + field(15)?) / TICKS_A_SECOND)
}

/// Resident memory now, in MiB.
pub(crate) fn resident_mib(pid: u32) -> anyhow::Result<f64> {
    status(pid, "VmRSS:")
}

fn status(pid: u32, key: &str) -> anyhow::Result<f64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))
        .with_context(|| format!("process {pid} is gone"))?;
    let line = status.lines().find_map(|line| line.strip_prefix(key));
    let kib = line.and_then(|line| line.split_whitespace().next());
    let kib: f64 = kib
        .with_context(|| format!("no {key} in /proc/PID/status"))?
        .parse()?;
    Ok(kib / 1024.0)
}
