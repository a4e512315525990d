//! How `call` and `cast` reach the servers: straight through the broker, or by way of a running host.

use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use axum::http::StatusCode;
use clap::Args;
use tokio::runtime::{Builder, Handle};
use toml::Table;

use super::exit_code;
use super::output::finished;
use crate::admin::{Outcome, SendRequest, outcome_of};
use crate::client::{RpcClient, Target};
use crate::config::{Config, DEFAULT_FILE, Sources};
use crate::transport::open::open;
use crate::transport::url::TransportUrl;

/// The variable that can be set instead of `--via`.
pub const VIA: &str = "ENDPOINTD_VIA";
const URL_VARIABLES: [&str; 2] = ["ENDPOINTD_TRANSPORT_URL", "ENDPOINTD_TRANSPORT_URL_FILE"];
/// The host on this machine, where nothing else is said.
pub const DEFAULT_VIA: &str = "http://127.0.0.1:9797";
/// How much longer than the call itself the way to the host may take.
const HTTP_GRACE: Duration = Duration::from_secs(5);

/// More than any reply has, in bytes.
const LARGEST_ANSWER: u64 = 256 * 1024 * 1024;

/// Said in the help of both commands.
pub const HELP: &str = "\
The way to the servers: the broker after --transport-url, or of the configuration that --config or
--oslo-config-file name; else the host after --via; else the broker of ENDPOINTD_TRANSPORT_URL or of
endpointd.toml, if there is one here; else the host at http://127.0.0.1:9797. Where the broker is
memory://, it is always the host at `listen` of [admin].

Exit codes: 0 done, 1 error, 2 wrong usage, 3 the method failed, 4 no reply in time, 5 no server
listens there.";

/// Which way to take.
#[derive(Debug, Args)]
pub struct Road {
    /// The broker: rabbit://USER:PASSWORD@HOST:PORT/VHOST
    #[arg(long, value_name = "URL")]
    transport_url: Option<String>,
    /// Take the broker, the exchange and RabbitMQ's options from this endpointd.toml
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Take them from an OpenStack service's own file, such as /etc/neutron/neutron.conf
    #[arg(long, value_name = "FILE")]
    oslo_config_file: Vec<PathBuf>,
    /// Go by way of a running host: the URL of its admin listener. [env: ENDPOINTD_VIA]
    #[arg(long, value_name = "URL", conflicts_with_all = ["transport_url", "config", "oslo_config_file"])]
    via: Option<String>,
}

/// The way, open.
pub enum Sender {
    Broker(Box<RpcClient>),
    Host(String),
}

/// Whether there is to be a reply.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Kind {
    Call,
    Cast,
}

impl Road {
    /// Opens it; a broker is dialled with the first message.
    fn open(&self, io: &Handle) -> anyhow::Result<Sender> {
        let names_a_broker = self.transport_url.is_some()
            || self.config.is_some()
            || !self.oslo_config_file.is_empty();
        let via = self.via.clone().or_else(|| std::env::var(VIA).ok());
        if let Some(via) = via.filter(|_| !names_a_broker) {
            return Ok(Sender::Host(host_url(&via)?));
        }
        let finds_a_broker = URL_VARIABLES.iter().any(|name| std::env::var(name).is_ok())
            || Path::new(DEFAULT_FILE).exists();
        if !names_a_broker && !finds_a_broker {
            return Ok(Sender::Host(host_url(DEFAULT_VIA)?));
        }
        let config = self.load()?;
        let url = config.transport_url()?;
        if url == TransportUrl::Memory {
            let url = host_url(&format!("http://{}", config.admin.listen))?;
            return Ok(Sender::Host(url));
        }
        let mut options = config.rabbit_options(&url)?;
        // Its names for queues would be those of every other command that runs here now.
        options.use_queue_manager = false;
        let transport = open(&url, &options, 0, io);
        let client = RpcClient::new(transport, Target::default(), io)
            .exchange(config.control_exchange.as_str())
            .default_timeout(config.response_timeout())
            // Whoever sits there wants to know at once.
            .retry(0);
        Ok(Sender::Broker(Box::new(client)))
    }

    /// Opens it for `work`, which gives an exit code and whether all was written, and leaves nothing behind.
    /// What is wrong with the way itself has been told when this returns.
    pub fn walk(
        &self,
        work: impl AsyncFnOnce(&Sender) -> (u8, io::Result<()>),
    ) -> anyhow::Result<ExitCode> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let worked = runtime.block_on(async {
            let sender = match self.open(runtime.handle()) {
                Ok(sender) => sender,
                Err(error) => {
                    eprintln!("endpointd: {error:#}");
                    return (exit_code::USAGE, Ok(()));
                }
            };
            let worked = work(&sender).await;
            tokio::select! {
                () = sender.close() => {}
                // Who is in a hurry need not wait for a broker that does not answer.
                _ = tokio::signal::ctrl_c() => {}
            }
            worked
        });
        // Nor for a host.
        runtime.shutdown_background();
        let (code, written) = worked;
        finished(written)?;
        Ok(ExitCode::from(code))
    }

    fn load(&self) -> anyhow::Result<Config> {
        let mut flags = Table::new();
        if let Some(url) = &self.transport_url {
            flags.insert("transport_url".to_owned(), url.clone().into());
        }
        let sources = Sources {
            file: self.config.as_deref(),
            oslo_files: &self.oslo_config_file,
            flags,
        };
        let environment = std::env::vars().filter(|(name, _)| name != VIA);
        let (config, warnings) = Config::load(sources, environment)?;
        for warning in warnings {
            eprintln!("endpointd: {warning}");
        }
        Ok(config)
    }
}

/// The URL of a host's admin listener, to which paths can be added.
pub fn host_url(url: &str) -> anyhow::Result<String> {
    anyhow::ensure!(
        url.starts_with("http://"),
        "--via or {VIA} names no way to a host: write http://ADDRESS:PORT, as its [admin] has it"
    );
    Ok(url.trim_end_matches('/').to_owned())
}

impl Sender {
    /// Sends the message, and gives what became of it with the exit code that tells the kind.
    pub async fn send(&self, kind: Kind, request: &SendRequest) -> (u8, Outcome) {
        let (status, outcome) = match self {
            Self::Broker(client) => through_broker(client, kind, request).await,
            Self::Host(url) => match through_host(url, kind, request).await {
                Ok(answered) => answered,
                Err(error) => {
                    let text = format!("{error:#}");
                    (StatusCode::BAD_GATEWAY, Outcome::Error(text))
                }
            },
        };
        let code = match outcome {
            Outcome::Result(_) => 0,
            Outcome::Failure(_) => exit_code::REMOTE_FAILURE,
            Outcome::Error(_) => match status {
                StatusCode::NOT_FOUND => exit_code::NO_ROUTE,
                StatusCode::UNPROCESSABLE_ENTITY => exit_code::USAGE,
                StatusCode::GATEWAY_TIMEOUT => exit_code::TIMEOUT,
                _ => exit_code::ERROR,
            },
        };
        (code, outcome)
    }

    /// Leaves nothing behind: neither a connection nor a reply queue.
    async fn close(self) {
        if let Self::Broker(client) = self {
            client.close().await;
        }
    }
}

async fn through_broker(
    client: &RpcClient,
    kind: Kind,
    request: &SendRequest,
) -> (StatusCode, Outcome) {
    let (context, method, args) = (&request.context, &request.method, &request.args);
    let client = match request.prepare(client) {
        Ok(client) => client,
        Err(error) => return outcome_of(Err(error)),
    };
    outcome_of(match kind {
        Kind::Call => client.call_json(context, method, args).await,
        Kind::Cast => {
            let sent = client.cast_json(context, method, args).await;
            sent.map(|()| serde_json::value::RawValue::NULL.to_owned())
        }
    })
}

async fn through_host(
    url: &str,
    kind: Kind,
    request: &SendRequest,
) -> anyhow::Result<(StatusCode, Outcome)> {
    let path = match kind {
        Kind::Call => "call",
        Kind::Cast => "cast",
    };
    let url = format!("{url}/{path}");
    let request = request.clone();
    // One that is not waited for any longer ends with the process.
    let asking = tokio::task::spawn_blocking(move || ask(&url, &request));
    asking.await?
}

/// Asks hosts.
pub fn host_agent(timeout: Option<Duration>) -> ureq::Agent {
    ureq::Agent::config_builder()
        .http_status_as_error(false)
        // The host is addressed as itself, and what is sent is for nobody else.
        .proxy(None)
        .timeout_global(timeout)
        .build()
        .into()
}

fn ask(url: &str, request: &SendRequest) -> anyhow::Result<(StatusCode, Outcome)> {
    let timeout = request.timeout_ms.map(Duration::from_millis);
    let agent = host_agent(timeout.map(|timeout| timeout + HTTP_GRACE));
    let answered = agent.post(url).send_json(request).and_then(|mut response| {
        let status = response.status().as_u16();
        let body = response.body_mut().with_config().limit(LARGEST_ANSWER);
        Ok((status, body.read_to_string()?))
    });
    let (status, body) = match answered {
        Ok(answered) => answered,
        Err(ureq::Error::Timeout(_)) => {
            let problem = format!("the host at {url} gave no answer in time");
            return Ok((StatusCode::GATEWAY_TIMEOUT, Outcome::Error(problem)));
        }
        Err(error) => {
            return Err(error).with_context(|| {
                format!(
                    "cannot reach a host at {url}: is `endpointd serve` running there, or `endpointd dev` \
                     with its first build done?"
                )
            });
        }
    };
    let status = StatusCode::from_u16(status)?;
    let outcome = serde_json::from_str(&body)
        .with_context(|| format!("{url} answered with status {status} and no outcome"))?;
    Ok((status, outcome))
}
