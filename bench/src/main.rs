//! Measures endpointd beside oslo.messaging, beside FastStream, and beside no WebAssembly at all, on one
//! private RabbitMQ node, and writes docs/benchmarks.md. `make bench` builds all that it needs.

mod compare;
mod curves;
mod load;
mod node;
mod page;
mod plot;
mod server;
mod spread;
mod targets;
mod usage;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use clap::Parser;

use crate::node::Node;
use crate::server::{Kind, Places};

/// Measure endpointd beside others on one private RabbitMQ node, and write docs/benchmarks.md.
///
/// To be run where the workspace is. What cannot be measured ends it, and nothing is written then; but for the
/// overload, which the page is written without before it ends with an error.
#[derive(Parser)]
struct Arguments {
    /// How often each server has its turn of 0.8 s, for each number of calls in flight; the page has the medians
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// How long each point of a curve takes, in seconds, after one of warm-up
    #[arg(long, default_value_t = 4.0)]
    seconds: f64,
    /// Measure these alone, beside the first of them, say what was found, and write nothing
    #[arg(
        long,
        value_name = "SERVER,SERVER...",
        value_enum,
        value_delimiter = ','
    )]
    only: Vec<Kind>,
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    ensure!(
        (0.5..=600.0).contains(&arguments.seconds),
        "--seconds is a number from 0.5 to 600"
    );
    let only: BTreeSet<_> = arguments.only.iter().collect();
    ensure!(
        only.len() == arguments.only.len(),
        "--only names a server twice"
    );
    let places = places()?;
    let docs = places.workspace.join("docs");
    let node = Node::start(&places.workspace, &places.work.join("rabbitmq"))?;
    let say = |line: &str| eprintln!("{line}");
    let rounds = arguments.rounds as usize;
    if !arguments.only.is_empty() {
        let table = compare::compare(&places, &node, &arguments.only, rounds, &say)?;
        print!("{}", page::beside(&table, &arguments.only));
        return Ok(());
    }
    let table = compare::compare(&places, &node, &Kind::ALL, rounds, &say)?;
    let curves = curves::curves(&places, &node, arguments.seconds, &say)?;
    let others = targets::others(&places, &node, &say)?;

    let machine = page::machine(rounds, arguments.seconds)?;
    let figures = docs.join("benchmarks");
    fs::create_dir_all(&figures)?;
    let path = docs.join("benchmarks.md");
    let mut page = fs::read_to_string(&path)?;
    page = page::put(&page, "machine", &machine)?;
    page = page::put(&page, "servers", &page::servers(&table))?;
    page = page::put(&page, "targets", &page::targets(&table, &curves, &others))?;
    plot::servers(&figures.join("servers.svg"), &table)?;
    for (name, what, points) in [
        ("in-flight", "calls in flight", &curves.in_flight),
        ("payload", "bytes of payload", &curves.payload_bytes),
        ("plugins", "plugins", &curves.plugins),
        ("topics", "topics", &curves.topics),
        ("hosts", "hosts", &curves.hosts),
    ] {
        page = page::put(&page, name, &page::curve(what, points))?;
        plot::curve(&figures.join(format!("{name}.svg")), what, points)?;
    }
    fs::write(&path, page)?;
    eprintln!("Wrote {} and the plots beside it", path.display());
    others
        .overload
        .map(|_| ())
        .context("the page is without the overload")
}

fn places() -> anyhow::Result<Places> {
    let workspace = std::env::current_dir()?;
    ensure!(
        workspace.join("docs/benchmarks.md").is_file(),
        "there is no docs/benchmarks.md here: run it where the workspace is"
    );
    let cache = cache_folder().context("HOME is not set")?.join("endpointd");
    let python = |name: &str| -> anyhow::Result<PathBuf> {
        let python = cache.join(name).join("bin/python");
        ensure!(
            python.exists(),
            "{} is missing: `make bench` installs it",
            python.display()
        );
        Ok(python)
    };
    let programs = std::env::current_exe()?;
    Ok(Places {
        programs: programs
            .parent()
            .map(Path::to_owned)
            .context("no folder of programs")?,
        faststream: python("bench-peers")?,
        oslo: python("peers")?,
        work: workspace.join("target/bench/work"),
        workspace,
    })
}

/// As the scripts have it.
fn cache_folder() -> Option<PathBuf> {
    let given = std::env::var_os("XDG_CACHE_HOME").filter(|folder| !folder.is_empty());
    let home = || Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache"));
    given.map(PathBuf::from).or_else(home)
}
