//! `endpointd serve`: runs the daemon until it is told to stop.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use tokio::sync::mpsc;
use toml::Table;
use tracing::warn;

use super::road::VIA;
use super::running;
use crate::config::{Config, ConfigError, DEFAULT_FILE, Sources};
use crate::telemetry::{log, trace};

/// Serve the plugins of a folder.
///
/// Prints one line a topic on standard output when it is ready; the log goes to standard error.
/// SIGTERM or Ctrl-C finishes what was accepted and ends; a second one ends at once.
#[derive(Debug, Args)]
#[command(after_help = "Each key of the file can be set by a variable instead: \
                        ENDPOINTD_TRANSPORT_URL, ENDPOINTD_ADMIN__LISTEN for `listen` in \
                        [admin]. Flags win over variables, and these over the file.")]
pub struct Serve {
    /// The configuration [default: endpointd.toml, if it is there]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Take broker, exchange, host name and RabbitMQ's options from an OpenStack service's own file,
    /// such as /etc/neutron/neutron.conf. May be repeated: later files win, endpointd.toml wins over
    /// them all
    #[arg(long, value_name = "FILE")]
    oslo_config_file: Vec<PathBuf>,
    /// rabbit://USER:PASSWORD@HOST:PORT/VHOST, or memory:// for a broker inside the process
    #[arg(long, value_name = "URL")]
    transport_url: Option<String>,
    /// The folder of plugins
    #[arg(long, value_name = "DIR")]
    plugins: Option<String>,
    /// The server's name; calls to this host go to TOPIC.HOST
    #[arg(long, value_name = "NAME")]
    host: Option<String>,
    /// What to log: error, warn, info, debug, or filters such as info,endpointd::plugin=debug
    #[arg(long, value_name = "FILTER")]
    log: Option<String>,
}

impl Serve {
    pub fn run(self) -> anyhow::Result<ExitCode> {
        let (config, warnings) = self.load()?;
        log::init(&config.log())?;
        trace::init(&config.tracing)?;
        if self.config.is_none() && !Path::new(DEFAULT_FILE).exists() {
            warn!("There is no {DEFAULT_FILE} here: what is not set is the default");
        }
        for warning in warnings {
            warn!("{warning}");
        }
        let announce = |lines: &[String]| lines.iter().for_each(|line| println!("{line}"));
        running::serve(config, &mut mpsc::channel(1).1, announce)?;
        Ok(ExitCode::SUCCESS)
    }

    fn load(&self) -> Result<(Config, Vec<String>), ConfigError> {
        let flags = [
            ("transport_url", &self.transport_url),
            ("plugin_dir", &self.plugins),
            ("host", &self.host),
            ("log", &self.log),
        ];
        let flags: Table = flags
            .into_iter()
            .filter_map(|(key, value)| Some((key.to_owned(), value.clone()?.into())))
            .collect();
        // That one is for `endpointd call`, which may well be used from the same shell.
        let text = |(name, value): (OsString, OsString)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        };
        let environment = std::env::vars_os().filter_map(text);
        let environment = environment.filter(|(name, _)| name != VIA);
        let sources = Sources {
            file: self.config.as_deref(),
            oslo_files: &self.oslo_config_file,
            flags,
        };
        Config::load(sources, environment)
    }
}
