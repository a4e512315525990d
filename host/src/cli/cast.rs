//! `endpointd cast`: has a method run, and does not wait for it.

use std::process::ExitCode;

use clap::Args;

use super::message::Message;
use super::road::{self, Kind, Road};
use super::sending::{self, Watch};

/// Have a method run, without waiting for it.
///
/// It ends once the broker has the message, and prints nothing. That nobody listens is an error, but
/// not with --fanout, which may have nobody to reach.
#[derive(Debug, Args)]
#[command(
    before_help = "Example: endpointd cast q-agent-notifier-port-update port_update --fanout \
                   'port={\"id\": \"p1\"}'",
    after_help = road::HELP,
)]
pub struct Cast {
    #[command(flatten)]
    message: Message,
    /// Send to every server of the topic
    #[arg(long, conflicts_with = "server")]
    fanout: bool,
    #[command(flatten, next_help_heading = "The way to the servers")]
    road: Road,
    #[command(flatten, next_help_heading = "Again and again")]
    watch: Watch,
}

impl Cast {
    pub fn run(self) -> anyhow::Result<ExitCode> {
        let fanout = self.fanout;
        sending::run(Kind::Cast, self.message, fanout, &self.road, &self.watch)
    }
}
