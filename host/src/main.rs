//! The `endpointd` program.

#![forbid(unsafe_code)]

use std::process::ExitCode;

use clap::Parser;
use endpointd::cli::Cli;

fn main() -> ExitCode {
    Cli::parse().run()
}
