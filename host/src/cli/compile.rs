//! `endpointd compile-component`: what the host has do the compiling of large plugins.

use std::process::ExitCode;

use clap::Args;

use crate::plugin::compiler;

/// Compile the component on standard input to code on standard output. For endpointd itself.
#[derive(Debug, Args)]
pub struct Compile {}

impl Compile {
    pub fn run(self) -> ExitCode {
        match compiler::run(std::io::stdin().lock(), std::io::stdout().lock()) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                // The process that reads this adds to it whose it is.
                eprintln!("{error:#}");
                ExitCode::FAILURE
            }
        }
    }
}
