//! `endpointd call`: calls a method and prints its result.

use std::process::ExitCode;

use clap::Args;

use super::message::Message;
use super::road::{self, Kind, Road};
use super::sending::{self, Watch};

/// Call a method and print its result.
///
/// The result goes to standard output as JSON; everything else goes to standard error. With --watch it
/// calls again and again, to probe a service: each result with the time it took, and a summary at the
/// end, whose exit code is that of the last failure.
#[derive(Debug, Args)]
#[command(
    before_help = "Example: endpointd call q-reports-plugin get_agents --version 1.4 \
                   'host=[\"node1\"]'",
    after_help = road::HELP,
)]
pub struct Call {
    #[command(flatten)]
    message: Message,
    #[command(flatten, next_help_heading = "The way to the servers")]
    road: Road,
    #[command(flatten, next_help_heading = "Again and again")]
    watch: Watch,
}

impl Call {
    pub fn run(self) -> anyhow::Result<ExitCode> {
        sending::run(Kind::Call, self.message, false, &self.road, &self.watch)
    }
}
