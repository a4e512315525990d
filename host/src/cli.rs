//! The command line: one struct a command, and the exit codes.

pub mod bench;
pub mod call;
pub mod cast;
pub mod check;
pub mod compile;
pub mod completions;
pub mod dev;
pub mod exit_code;
pub mod figures;
pub mod host;
pub mod load;
pub mod message;
pub mod new;
pub mod output;
pub mod plugins;
pub mod road;
pub mod running;
pub mod saves;
pub mod sending;
pub mod serve;
pub mod template;
pub mod toolchain;

use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};

use crate::plugin::compiler;

/// Answers RPC calls arriving over RabbitMQ with WebAssembly plugins.
///
/// Speaks oslo.messaging's wire: an unmodified OpenStack agent can call it.
#[derive(Debug, Parser)]
#[command(name = "endpointd", version, max_term_width = 100)]
#[command(
    after_help = "Exit codes: 0 done, 1 error, 2 wrong usage, 3 the called method failed, \
                        4 no reply in time, 5 no server listens there."
)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Serve(serve::Serve),
    New(new::New),
    Dev(dev::Dev),
    Plugins(plugins::Plugins),
    Reload(plugins::Reload),
    Rollback(plugins::Rollback),
    Check(check::Check),
    Call(call::Call),
    Cast(cast::Cast),
    Bench(bench::Bench),
    Completions(completions::Completions),
    #[command(name = compiler::COMMAND, hide = true)]
    Compile(compile::Compile),
}

impl Cli {
    /// Runs the command; an error is one line on standard error.
    pub fn run(self) -> ExitCode {
        let outcome = match self.command {
            Command::Serve(serve) => serve.run(),
            Command::New(new) => new.run(),
            Command::Dev(dev) => dev.run(),
            Command::Plugins(plugins) => plugins.run(),
            Command::Reload(reload) => reload.run(),
            Command::Rollback(rollback) => rollback.run(),
            Command::Check(check) => check.run(),
            Command::Call(call) => call.run(),
            Command::Cast(cast) => cast.run(),
            Command::Bench(bench) => bench.run(),
            Command::Completions(completions) => completions.run(Self::command()),
            Command::Compile(compile) => return compile.run(),
        };
        outcome.unwrap_or_else(|error| {
            eprintln!("endpointd: {error:#}");
            ExitCode::from(exit_code::ERROR)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }
}
