//! Compiles components: small ones here, large ones in a process of their own, with a bound on its memory.
//!
//! To compile a component of Python takes some 400 MiB for seconds. A process gives them back when it ends,
//! and one that asks for more than there should be fails alone.

use std::io::{Read, Write};
use std::process::{Child, Command, Stdio};

use rustix::process::{Resource, Rlimit, Signal, set_parent_process_death_signal, setrlimit};
use wasmtime::component::Component;
use wasmtime::{Config, Engine};

use super::engine::configure;
use crate::scheduling::{COMPILING, lower_priority};

/// The command of this program that compiles; for this program alone.
pub const COMMAND: &str = "compile-component";
/// A component with fewer bytes is compiled sooner than a process is started for it.
const SMALL_BYTES: usize = 512 * 1024;
/// What compiling may take of memory; the largest language runtimes need a fifth of it.
const MEMORY_BYTES: u64 = 2 * 1024 * 1024 * 1024;
/// What it may take of processor time, all cores together; the same runtimes need some twenty seconds.
const PROCESSOR_S: u64 = 600;

/// Whether a component is compiled by a process of its own.
pub fn is_large(component: &[u8]) -> bool {
    component.len() >= SMALL_BYTES
}

/// The component's code, compiled by a process of its own, which is `endpointd compile-component`. Takes
/// seconds.
pub fn compile_apart(component: &[u8]) -> wasmtime::Result<Vec<u8>> {
    let mut child = Command::new("/proc/self/exe")
        .arg(COMMAND)
        // It needs none of what the host may have been given there, such as a password.
        .env_clear()
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    // It reads all before it writes, so neither waits for the other.
    let fed = feed(&mut child, component);
    let output = child.wait_with_output()?;
    if output.status.success() {
        fed?;
        return Ok(output.stdout);
    }
    let told = String::from_utf8_lossy(&output.stderr);
    Err(match output.status.code() {
        Some(1) => wasmtime::Error::msg(told.trim().to_owned()),
        _ => wasmtime::format_err!(
            "the process that compiles ended with {}{}; it may have at most {} MiB of memory and \
             {PROCESSOR_S} s of processor time",
            output.status,
            last_words(&told),
            MEMORY_BYTES / 1024 / 1024
        ),
    })
}

/// What a process said at its end, if anything.
fn last_words(told: &str) -> String {
    let said = told.lines().map(str::trim);
    let mut said = said.filter(|line| !line.is_empty() && !line.starts_with("note: "));
    said.next_back()
        .map_or_else(String::new, |line| format!(", saying `{line}`"))
}

fn feed(child: &mut Child, component: &[u8]) -> std::io::Result<()> {
    match child.stdin.take() {
        Some(mut input) => input.write_all(component),
        None => Ok(()),
    }
}

/// What the command does: compiles what it reads, and writes the code.
pub fn run(mut input: impl Read, mut output: impl Write) -> wasmtime::Result<()> {
    lower_priority(COMPILING);
    // Nobody waits for its code once the host is gone.
    set_parent_process_death_signal(Some(Signal::KILL))?;
    for (resource, most) in [(Resource::Data, MEMORY_BYTES), (Resource::Cpu, PROCESSOR_S)] {
        let limit = Rlimit {
            current: Some(most),
            maximum: Some(most),
        };
        setrlimit(resource, limit)?;
    }
    let mut component = Vec::new();
    input.read_to_end(&mut component)?;
    // It runs nothing, so it needs no room for instances; to the code that makes no difference.
    let mut config = Config::new();
    configure(&mut config);
    let code = Component::new(&Engine::new(&config)?, &component)?.serialize()?;
    output.write_all(&code)?;
    Ok(output.flush()?)
}
