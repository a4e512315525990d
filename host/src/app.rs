//! Builds each part once, joins the seams, and owns every task and the drain.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{info, warn};

use crate::admin::{Admin, Phase};
use crate::catalog::Catalog;
use crate::client::{RpcClient, Target};
use crate::config::Config;
use crate::endpoint::ping::{self, Ping};
use crate::endpoint::{Endpoint, Endpoints};
use crate::keyvalue::file::FileBucket;
use crate::keyvalue::memory::MemoryBucket;
use crate::keyvalue::{Backend, Buckets, KeyValue};
use crate::plugin::PluginLoader;
use crate::plugin::engine::PluginEngine;
use crate::protocol::target::ServerTarget;
use crate::server::executor::Executor;
use crate::server::local::LocalServers;
use crate::server::{RpcServer, StoppedServer};
use crate::transport::Transport;
use crate::transport::open::open;
use crate::transport::url::TransportUrl;

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
    /// Running requests.
    requests: TaskTracker,
    /// Cancelled when the stop begins.
    stopping: CancellationToken,
}

impl App {
    /// Loads plugins and opens buckets. Requests will run on `workers`; everything that talks to
    /// the broker runs where this is called.
    pub async fn build(config: Config, workers: Handle) -> anyhow::Result<Self> {
        let url = config.transport_url()?;
        let options = config.rabbit_options(&url)?;
        let io = Handle::current();
        let transport = open(&url, &options, config.duplicate_window, &io);
        let client = RpcClient::new(Arc::clone(&transport), Target::default(), &io)
            .exchange(config.control_exchange.as_str())
            .default_timeout(config.response_timeout());
        let local = Arc::new(LocalServers::new(Arc::new(client.clone())));
        let engine = PluginEngine::new()
            .map_err(|error| anyhow::anyhow!("cannot set up WebAssembly: {error:#}"))?;
        let buckets = open_buckets(&config)?;
        let loader = PluginLoader::new(engine, buckets, Some(local.clone()))
            .map_err(|error| anyhow::anyhow!("cannot set up the plugins' imports: {error:#}"))?;
        let catalog = Catalog::load(&config.plugin_dir, &loader).await?;
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
            requests: TaskTracker::new(),
            stopping: CancellationToken::new(),
        })
    }

    /// Serves until `stop` completes, then finishes what was accepted; when `stop` completes a
    /// second time, that is cut short. `announce` gets one line a topic when all are served.
    pub async fn run(
        mut self,
        mut stop: impl AsyncFnMut(),
        announce: impl FnOnce(&[String]),
    ) -> anyhow::Result<()> {
        let (phase, phases) = watch::channel(Phase::Starting);
        // The admin listener is needed until the last reply is sent.
        let drained = CancellationToken::new();
        let others = TaskTracker::new();
        if let Some(listener) = self.admin.take() {
            self.start_admin(listener, phases, drained.child_token(), &others)?;
        }

        let servers = TaskTracker::new();
        let mut ending = Vec::new();
        let listening = tokio::select! {
            listening = self.listen() => Some(listening?),
            () = stop() => None,
        };
        if let Some((listening, ready_lines)) = listening {
            for server in listening {
                ending.push(servers.spawn(server.run(self.stopping.child_token())));
            }
            phase.send_replace(Phase::Serving);
            announce(&ready_lines);
            stop().await;
        }

        phase.send_replace(Phase::Stopping);
        info!("Stopping: finishing {}", count_of_requests(&self.requests));
        self.stopping.cancel();
        let drain = async {
            let mut stopped: Vec<StoppedServer> = Vec::new();
            for server in ending {
                stopped.extend(server.await);
            }
            self.requests.close();
            self.requests.wait().await;
            for server in stopped {
                server.close().await;
            }
            drained.cancel();
            others.close();
            // Ends the client as well, so that no request of the admin listener waits for a reply
            // that cannot come.
            tokio::join!(others.wait(), self.client.close());
        };
        let grace = self.config.shutdown_grace();
        let left = || count_of_requests(&self.requests);
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
            () = stop() => anyhow::bail!("stopped at once; {} had not ended", left()),
        }
        Ok(())
    }

    /// Declares every topic's queues and consumes them; waits for the broker if need be.
    async fn listen(&self) -> anyhow::Result<(Vec<RpcServer>, Vec<String>)> {
        let mut servers = Vec::new();
        let mut ready_lines = Vec::new();
        for (topic, endpoints) in self.catalog.by_topic() {
            let target = ServerTarget {
                exchange: self.config.control_exchange.clone(),
                topic,
                server: self.config.host.clone(),
            };
            let listener = self.transport.listen(&target).await?;
            let endpoints = self.with_ping(&target, endpoints);
            ready_lines.push(ready_line(&target, &endpoints, &self.url));
            let (_, endpoints) = watch::channel(endpoints);
            // One pool a topic, as upstream has it: one that is busy leaves the others alone.
            let executor = Arc::new(Executor::new(
                self.config.executor_pool_size,
                self.missing_queue_timeout,
                Arc::clone(&self.transport),
                self.requests.clone(),
                self.workers.clone(),
                self.stopping.clone(),
            ));
            self.local
                .add(target.clone(), endpoints.clone(), Arc::clone(&executor));
            servers.push(RpcServer::new(target, listener, endpoints, executor));
        }
        Ok((servers, ready_lines))
    }

    /// Ping answers last, and not at all where a plugin has a method of that name.
    fn with_ping(&self, target: &ServerTarget, endpoints: Endpoints) -> Endpoints {
        if !self.config.rpc_ping_enabled {
            return endpoints;
        }
        let has_it = |endpoint: &Arc<dyn Endpoint>| endpoint.target().has_method(ping::METHOD);
        if endpoints.iter().any(has_it) {
            let topic = &target.topic;
            warn!("`rpc_ping_enabled` changes nothing for `{topic}`: a plugin answers pings");
            return endpoints;
        }
        endpoints.followed_by(Arc::new(Ping::default()))
    }

    fn start_admin(
        &self,
        listener: TcpListener,
        phase: watch::Receiver<Phase>,
        until: CancellationToken,
        tasks: &TaskTracker,
    ) -> std::io::Result<()> {
        info!("Admin listener on http://{}", listener.local_addr()?);
        let admin = Admin {
            client: self.client.clone(),
            phase,
            transport: Arc::clone(&self.transport),
        };
        tasks.spawn(async move {
            if let Err(error) = admin.run(listener, until).await {
                warn!("The admin listener ended: {error}");
            }
        });
        Ok(())
    }
}

fn count_of_requests(requests: &TaskTracker) -> String {
    match requests.len() {
        1 => "1 request".to_owned(),
        count => format!("{count} requests"),
    }
}

fn open_buckets(config: &Config) -> anyhow::Result<Buckets> {
    let mut buckets: BTreeMap<_, Arc<dyn KeyValue>> = BTreeMap::new();
    for (name, bucket) in &config.keyvalue {
        let open: Arc<dyn KeyValue> = match bucket.backend {
            Backend::Memory => Arc::new(MemoryBucket::default()),
            Backend::File => {
                let default = || config.data_dir.join(format!("{}.redb", name.as_str()));
                let path = bucket.path.clone().unwrap_or_else(default);
                Arc::new(FileBucket::open(Path::new(&path))?)
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
