//! Builds each part once, joins the seams, and owns every task and the drain.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{info, warn};

use crate::admin::{Admin, Phase};
use crate::catalog::{Catalog, Command};
use crate::client::{RpcClient, Target};
use crate::config::Config;
use crate::endpoint::ping::{self, Ping};
use crate::endpoint::{ByTopic, Endpoint, Endpoints};
use crate::keyvalue::file::FileBucket;
use crate::keyvalue::memory::MemoryBucket;
use crate::keyvalue::redis::RedisBucket;
use crate::keyvalue::{Backend, Buckets, KeyValue};
use crate::plugin::cache::Cache;
use crate::plugin::engine::PluginEngine;
use crate::plugin::loader::PluginLoader;
use crate::protocol::target::ServerTarget;
use crate::server::executor::Pool;
use crate::server::local::LocalServers;
use crate::server::topics::Topics;
use crate::transport::Transport;
use crate::transport::open::open;
use crate::transport::url::TransportUrl;

/// Where compiled code is kept, below `data_dir`.
const COMPILED_FOLDER: &str = "compiled";
/// Orders of operators that may wait to be obeyed.
const COMMANDS: usize = 16;

/// What a signal asks for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Asked {
    Stop,
    /// To load what changed in the plugin folder.
    Reload,
}

/// The daemon, before it talks to the broker.
pub struct App {
    config: Config,
    url: TransportUrl,
    catalog: Catalog,
    transport: Arc<dyn Transport>,
    client: RpcClient,
    /// What plugins send through.
    local: Arc<LocalServers>,
    admin: Option<TcpListener>,
    workers: Handle,
    /// How long a reply is tried again whose queue is missing.
    missing_queue_timeout: Duration,
    /// Cancelled when the stop begins.
    stopping: CancellationToken,
}

impl App {
    /// Loads plugins and opens buckets. Requests will run on `workers`, guests that compute for long go on
    /// on `patient`; everything that talks to the broker runs where this is called.
    pub async fn build(config: Config, workers: Handle, patient: Handle) -> anyhow::Result<Self> {
        let url = config.transport_url()?;
        let options = config.rabbit_options(&url)?;
        let io = Handle::current();
        let transport = open(&url, &options, config.duplicate_window, &io);
        let client = RpcClient::new(Arc::clone(&transport), Target::default(), &io)
            .exchange(config.control_exchange.as_str())
            .default_timeout(config.response_timeout());
        let local = Arc::new(LocalServers::new(Arc::new(client.clone())));
        let engine = PluginEngine::new(patient)
            .map_err(|error| anyhow::anyhow!("cannot set up WebAssembly: {error:#}"))?;
        let buckets = open_buckets(&config)?;
        let cache = Cache::open(&config.data_dir.join(COMPILED_FOLDER));
        let loader = PluginLoader::new(engine, cache, buckets, Some(local.clone()))
            .map_err(|error| anyhow::anyhow!("cannot set up the plugins' imports: {error:#}"))?;
        let catalog = load(&config.plugin_dir, loader, &workers).await?;
        let admin = bind_admin(&config).await?;
        Ok(Self {
            client,
            local,
            missing_queue_timeout: Duration::from_secs(
                options.kombu_missing_consumer_retry_timeout.into(),
            ),
            config,
            url,
            catalog,
            transport,
            admin,
            workers,
            stopping: CancellationToken::new(),
        })
    }

    /// Serves until it is `asked` to stop, then finishes what was accepted; asked a second time, it
    /// cuts that short. `announce` gets a line for each topic that is served: those of the start
    /// together, when all are.
    pub async fn run(
        mut self,
        mut asked: impl AsyncFnMut() -> Asked,
        announce: impl Fn(&[String]),
    ) -> anyhow::Result<()> {
        let (phase, phases) = watch::channel(Phase::Starting);
        // The admin listener is needed until the last reply is sent.
        let drained = CancellationToken::new();
        let others = TaskTracker::new();
        let (commands, orders) = mpsc::channel(COMMANDS);
        if let Some(listener) = self.admin.take() {
            let admin = Admin {
                client: self.client.clone(),
                phase: phases,
                transport: Arc::clone(&self.transport),
                plugins: self.catalog.entries(),
                commands: commands.clone(),
            };
            start_admin(admin, listener, drained.child_token(), &others)?;
        }
        let mut by_topic = self.catalog.by_topic();
        let mut topics = self.topics();
        let watching = self.catalog.run(orders, self.stopping.child_token());
        others.spawn_on(watching, &self.workers);

        let ping = self.config.rpc_ping_enabled;
        let mut served = with_ping(&by_topic.borrow_and_update(), ping);
        let mut starting: FuturesUnordered<_> = topics.apply(served.clone()).into_iter().collect();
        // What cannot be served of these ends the start.
        let mut at_start = served.clone();
        let mut lines = Vec::new();
        loop {
            if starting.is_empty() && *phase.borrow() == Phase::Starting {
                announce(&std::mem::take(&mut lines));
                phase.send_replace(Phase::Serving);
                at_start.clear();
            }
            tokio::select! {
                asked = asked() => match asked {
                    Asked::Stop => break,
                    // Where many wait to be obeyed, one of them will do it.
                    Asked::Reload => drop(commands.try_send(Command::Reload(oneshot::channel().0))),
                },
                Ok(()) = by_topic.changed() => {
                    served = with_ping(&by_topic.borrow_and_update(), ping);
                    starting.extend(topics.apply(served.clone()));
                }
                Some(outcome) = starting.next() => match outcome {
                    // Its topic went before it could be served.
                    Err(_) => {}
                    Ok((target, Ok(()))) => {
                        let endpoints = served.get(&target.topic);
                        lines.extend(endpoints.map(|them| ready_line(&target, them, &self.url)));
                        if *phase.borrow() == Phase::Serving {
                            announce(&std::mem::take(&mut lines));
                        }
                    }
                    Ok((target, Err(error))) if at_start.contains_key(&target.topic) => {
                        return Err(error.into());
                    }
                    Ok((target, Err(error))) => {
                        let topic = target.topic;
                        warn!("Cannot serve `{topic}` yet: {error}; trying again");
                    }
                },
            }
        }

        phase.send_replace(Phase::Stopping);
        info!(
            "Stopping: finishing {}",
            count_of_requests(topics.running())
        );
        self.stopping.cancel();
        let drain = async {
            topics.stop().await;
            drained.cancel();
            others.close();
            // Ends the client as well, so that no request of the admin listener waits for a reply
            // that cannot come.
            tokio::join!(others.wait(), self.client.close());
        };
        let grace = self.config.shutdown_grace();
        let left = || count_of_requests(topics.running());
        let asked_again = async { while asked().await != Asked::Stop {} };
        tokio::select! {
            finished = timeout(grace, drain) => match finished {
                Ok(()) => info!("Stopped"),
                Err(_) => anyhow::bail!(
                    "{} s after the stop {} had not ended, or could not be answered because the \
                     broker is gone",
                    grace.as_secs(),
                    left()
                ),
            },
            () = asked_again => anyhow::bail!("stopped at once; {} had not ended", left()),
        }
        Ok(())
    }

    /// No topic yet.
    fn topics(&self) -> Topics {
        let target = ServerTarget {
            exchange: self.config.control_exchange.clone(),
            topic: String::new(),
            server: self.config.host.clone(),
        };
        let pool = Pool {
            size: self.config.executor_pool_size,
            missing_queue_timeout: self.missing_queue_timeout,
            workers: self.workers.clone(),
            io: Handle::current(),
            stopping: self.stopping.clone(),
        };
        let transport = Arc::clone(&self.transport);
        Topics::new(target, pool, transport, Arc::clone(&self.local))
    }
}

/// These, and ping where it is enabled. It answers last, and not at all where a plugin has a method
/// of that name.
fn with_ping(by_topic: &ByTopic, enabled: bool) -> ByTopic {
    let has_it = |endpoint: &Arc<dyn Endpoint>| endpoint.target().has_method(ping::METHOD);
    let beside = |(topic, endpoints): (&String, &Endpoints)| {
        let answered = endpoints.iter().any(has_it);
        if enabled && answered {
            warn!("`rpc_ping_enabled` changes nothing for `{topic}`: a plugin answers pings");
        }
        let endpoints = match enabled && !answered {
            true => endpoints.followed_by(Arc::new(Ping::default())),
            false => endpoints.clone(),
        };
        (topic.clone(), endpoints)
    };
    by_topic.iter().map(beside).collect()
}

fn start_admin(
    admin: Admin,
    listener: TcpListener,
    until: CancellationToken,
    tasks: &TaskTracker,
) -> std::io::Result<()> {
    info!("Admin listener on http://{}", listener.local_addr()?);
    tasks.spawn(async move {
        if let Err(error) = admin.run(listener, until).await {
            warn!("The admin listener ended: {error}");
        }
    });
    Ok(())
}

/// Loads the plugins where their code may run.
async fn load(folder: &Path, loader: PluginLoader, workers: &Handle) -> anyhow::Result<Catalog> {
    let folder = folder.to_owned();
    let opening = async move { Catalog::open(&folder, loader).await };
    Ok(TaskTracker::new().spawn_on(opening, workers).await??)
}

fn count_of_requests(running: usize) -> String {
    match running {
        1 => "1 request".to_owned(),
        count => format!("{count} requests"),
    }
}

fn open_buckets(config: &Config) -> anyhow::Result<Buckets> {
    let mut buckets: BTreeMap<_, Arc<dyn KeyValue>> = BTreeMap::new();
    for (name, bucket) in &config.keyvalue {
        let open: Arc<dyn KeyValue> = match bucket.backend {
            Backend::Memory => Arc::new(MemoryBucket::new(bucket.limits())),
            Backend::File => {
                let default = || config.data_dir.join(format!("{}.redb", name.as_str()));
                let path = bucket.path.clone().unwrap_or_else(default);
                Arc::new(FileBucket::open(Path::new(&path), bucket.limits())?)
            }
            Backend::Redis => {
                let name = name.as_str();
                let url = bucket.url.as_deref().with_context(|| {
                    format!("[keyvalue.{name}] has the backend `redis` and no `url`")
                })?;
                let bucket = RedisBucket::new(url, name, bucket.limits()).map_err(|problem| {
                    anyhow::anyhow!("`url` of [keyvalue.{name}] is no good: {problem}")
                })?;
                Arc::new(bucket)
            }
        };
        buckets.insert(name.clone(), open);
    }
    Ok(Buckets::new(buckets))
}

async fn bind_admin(config: &Config) -> anyhow::Result<Option<TcpListener>> {
    if !config.admin.enabled {
        return Ok(None);
    }
    let address = config.admin.listen;
    let listener = TcpListener::bind(address).await.with_context(|| {
        format!(
            "the admin listener cannot have {address}: free it, choose another `listen` under \
             [admin], or set `enabled = false` there"
        )
    })?;
    Ok(Some(listener))
}

fn ready_line(target: &ServerTarget, endpoints: &Endpoints, url: &TransportUrl) -> String {
    let serving: Vec<_> = endpoints
        .iter()
        .map(|endpoint| format!("{} {}", endpoint.name(), endpoint.target()))
        .collect();
    format!(
        "ready: topic {} server {} exchange {} on {url} | {}",
        target.topic,
        target.server,
        target.exchange,
        serving.join(" | ")
    )
}
