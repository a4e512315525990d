//! Builds each part once, joins the seams, and owns every task and the drain. The only file that
//! knows which transport runs.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use anyhow::Context;
use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{info, warn};

use crate::admin::Admin;
use crate::catalog::Catalog;
use crate::client::RpcClient;
use crate::config::Config;
use crate::endpoint::Endpoints;
use crate::keyvalue::file::FileBucket;
use crate::keyvalue::memory::MemoryBucket;
use crate::keyvalue::{Backend, Buckets, KeyValue};
use crate::plugin::PluginLoader;
use crate::plugin::engine::PluginEngine;
use crate::protocol::target::ServerTarget;
use crate::server::executor::Executor;
use crate::server::{RpcServer, StoppedServer};
use crate::transport::Transport;
use crate::transport::amqp::RabbitTransport;
use crate::transport::memory::MemoryTransport;
use crate::transport::url::TransportUrl;

/// The daemon, ready to serve.
pub struct App {
    config: Config,
    transport: Arc<dyn Transport>,
    servers: Vec<RpcServer>,
    client: Arc<RpcClient>,
    admin: Option<TcpListener>,
    /// Running requests.
    requests: TaskTracker,
    /// Cancelled when the stop begins.
    stopping: CancellationToken,
    ready_lines: Vec<String>,
}

impl App {
    /// Loads plugins, reaches the broker and declares every topic's queues. Requests will run on
    /// `workers`; everything that talks to the broker runs where this is called.
    pub async fn build(config: Config, workers: Handle) -> anyhow::Result<Self> {
        let url = config.transport_url()?;
        let engine = PluginEngine::new()
            .map_err(|error| anyhow::anyhow!("cannot set up WebAssembly: {error:#}"))?;
        let buckets = open_buckets(&config)?;
        let loader = PluginLoader::new(engine, buckets)
            .map_err(|error| anyhow::anyhow!("cannot set up the plugins' imports: {error:#}"))?;
        let catalog = Catalog::load(&config.plugin_dir, &loader).await?;
        let admin = bind_admin(&config).await?;

        let transport: Arc<dyn Transport> = match &url {
            TransportUrl::Memory => Arc::new(MemoryTransport::default()),
            TransportUrl::Rabbit(rabbit) => {
                let io = Handle::current();
                Arc::new(RabbitTransport::new(rabbit, config.rabbit.clone(), &io))
            }
        };
        let requests = TaskTracker::new();
        let stopping = CancellationToken::new();
        let mut servers = Vec::new();
        let mut ready_lines = Vec::new();
        for (topic, endpoints) in catalog.by_topic() {
            let target = ServerTarget {
                exchange: config.control_exchange.clone(),
                topic,
                server: config.host.clone(),
            };
            let listener = transport.listen(&target).await?;
            ready_lines.push(ready_line(&target, &endpoints, &url));
            let (_, endpoints) = watch::channel(endpoints);
            // One pool a topic, as upstream has it: one that is busy leaves the others alone.
            let executor = Arc::new(Executor::new(
                config.executor_pool_size,
                Arc::clone(&transport),
                requests.clone(),
                workers.clone(),
                stopping.clone(),
            ));
            servers.push(RpcServer::new(target, listener, endpoints, executor));
        }
        Ok(Self {
            client: Arc::new(RpcClient::new(Arc::clone(&transport))),
            config,
            transport,
            servers,
            admin,
            requests,
            stopping,
            ready_lines,
        })
    }

    /// One line a topic, for whoever waits for the daemon to be ready.
    pub fn ready_lines(&self) -> &[String] {
        &self.ready_lines
    }

    /// Where the admin listener is, if there is one.
    pub fn admin_address(&self) -> Option<std::net::SocketAddr> {
        self.admin.as_ref()?.local_addr().ok()
    }

    /// Serves until `stop` completes, then finishes what was accepted; when `stop` completes a
    /// second time, that is cut short.
    pub async fn run(self, mut stop: impl AsyncFnMut()) -> anyhow::Result<()> {
        let draining = self.stopping;
        // The client and the admin listener are needed until the last reply is sent.
        let drained = CancellationToken::new();
        let (servers, others) = (TaskTracker::new(), TaskTracker::new());

        let mut stopping = Vec::new();
        for server in self.servers {
            stopping.push(servers.spawn(server.run(draining.child_token())));
        }
        let client = Arc::clone(&self.client);
        let until = drained.child_token();
        others.spawn(async move { client.run(until).await });
        if let Some(listener) = self.admin {
            let admin = Admin {
                client: self.client,
                draining: draining.clone(),
                exchange: self.config.control_exchange.clone(),
                default_timeout: self.config.response_timeout(),
            };
            let until = drained.child_token();
            others.spawn(async move {
                if let Err(error) = admin.run(listener, until).await {
                    warn!("The admin listener ended: {error}");
                }
            });
        }

        stop().await;
        info!(
            "Stopping: no longer consuming, finishing {} requests",
            self.requests.len()
        );
        draining.cancel();
        let drain = async {
            let mut stopped: Vec<StoppedServer> = Vec::new();
            for server in stopping {
                stopped.extend(server.await);
            }
            self.requests.close();
            self.requests.wait().await;
            for server in stopped {
                server.close().await;
            }
            // Ends the client first, so that no request of the admin listener waits for a reply that
            // cannot come.
            drained.cancel();
            others.close();
            others.wait().await;
            self.transport.close().await;
        };
        let grace = self.config.shutdown_grace();
        tokio::select! {
            finished = timeout(grace, drain) => finished.with_context(|| {
                let left = self.requests.len();
                let grace = grace.as_secs();
                format!("{left} requests were still running {grace} s after the stop")
            }),
            () = stop() => {
                let left = self.requests.len();
                Err(anyhow::anyhow!("stopped at once, with {left} requests still running"))
            }
        }
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
