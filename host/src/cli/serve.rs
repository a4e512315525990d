//! `endpointd serve`: runs the daemon until it is told to stop.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use clap::Args;
use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{Signal, SignalKind, signal};
use toml::Table;
use tracing::warn;

use super::road::VIA;
use crate::app::{App, Asked};
use crate::config::{Config, ConfigError, DEFAULT_FILE, Sources};
use crate::plugin::patience::{PATIENT, lower_priority};
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
        // Guests may keep every worker busy; what talks to the broker has a thread of its own.
        let io = runtime("io", 1, || {})?;
        let cores = std::thread::available_parallelism().map_or(2, usize::from);
        let workers = runtime("worker", cores, || {})?;
        // Guests that compute for long must not keep those of others waiting.
        let patient = runtime("patient", cores.div_ceil(2), || lower_priority(PATIENT))?;
        let outcome = io.block_on(serve(config, &workers, &patient));
        // What is still running was waited for as long as was allowed.
        workers.shutdown_background();
        patient.shutdown_background();
        io.shutdown_background();
        trace::finish();
        outcome.map(|()| ExitCode::SUCCESS)
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

fn runtime(
    name: &str,
    threads: usize,
    on_start: impl Fn() + Send + Sync + 'static,
) -> anyhow::Result<Runtime> {
    Builder::new_multi_thread()
        .worker_threads(threads)
        .thread_name(name)
        .on_thread_start(on_start)
        .enable_all()
        .build()
        .with_context(|| format!("cannot start the {name} threads"))
}

async fn serve(config: Config, workers: &Runtime, patient: &Runtime) -> anyhow::Result<()> {
    let mut signals = Signals::listen()?;
    let building = App::build(config, workers.handle().clone(), patient.handle().clone());
    let app = tokio::select! {
        built = building => built?,
        // Nothing was accepted yet, so there is nothing to finish.
        () = async { while signals.next().await != Asked::Stop {} } => return Ok(()),
    };
    let announce = |lines: &[String]| lines.iter().for_each(|line| println!("{line}"));
    app.run(async || signals.next().await, announce).await
}

/// SIGTERM and Ctrl-C to stop, SIGHUP to load plugins anew.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

impl Signals {
    fn listen() -> anyhow::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate()).context("cannot listen to SIGTERM")?,
            interrupt: signal(SignalKind::interrupt()).context("cannot listen to Ctrl-C")?,
            hangup: signal(SignalKind::hangup()).context("cannot listen to SIGHUP")?,
        })
    }

    async fn next(&mut self) -> Asked {
        tokio::select! {
            _ = self.terminate.recv() => Asked::Stop,
            _ = self.interrupt.recv() => Asked::Stop,
            _ = self.hangup.recv() => Asked::Reload,
        }
    }
}
