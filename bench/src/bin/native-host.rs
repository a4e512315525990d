//! endpointd's own server with an endpoint in Rust instead of a plugin: the same transport, dispatch,
//! executor and replies, and no WebAssembly. What it is faster by is what the sandbox costs.
//!
//! Usage: native-host TRANSPORT-URL EXCHANGE TOPIC. Prints `ready` once it consumes.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use async_trait::async_trait;
use endpointd::client::{RpcClient, Target};
use endpointd::endpoint::{Call, Endpoint, Endpoints};
use endpointd::protocol::failure::Failure;
use endpointd::protocol::json::{self, Json};
use endpointd::protocol::target::{EndpointTarget, ServerTarget};
use endpointd::scheduling::preempt_nobody;
use endpointd::server::executor::Pool;
use endpointd::server::local::LocalServers;
use endpointd::server::topics::Topics;
use endpointd::transport::amqp::options::Config;
use endpointd::transport::open::open;
use endpointd::transport::url::TransportUrl;
use measured::Arguments;
use serde::Deserialize;
use tokio::runtime::{Builder, Runtime};
use tokio_util::sync::CancellationToken;

/// As `endpointd serve` has them by default.
const POOL_SIZE: usize = 64;
const DUPLICATE_WINDOW: usize = 1000;
const MISSING_QUEUE_TIMEOUT: Duration = Duration::from_secs(60);

fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let mut next = || {
        arguments
            .next()
            .context("usage: native-host URL EXCHANGE TOPIC")
    };
    let (url, exchange, topic) = (next()?, next()?, next()?);
    // The threads of the daemon.
    let io = runtime(1, preempt_nobody)?;
    let cores = std::thread::available_parallelism().map_or(2, usize::from);
    let workers = runtime(cores, || {})?;
    io.block_on(serve(&url.parse()?, exchange, topic, &workers))
}

fn runtime(threads: usize, on_start: impl Fn() + Send + Sync + 'static) -> anyhow::Result<Runtime> {
    let mut builder = Builder::new_multi_thread();
    builder.worker_threads(threads).on_thread_start(on_start);
    Ok(builder.enable_all().build()?)
}

async fn serve(
    url: &TransportUrl,
    exchange: String,
    topic: String,
    workers: &Runtime,
) -> anyhow::Result<()> {
    let io = tokio::runtime::Handle::current();
    let transport = open(url, &Config::default(), DUPLICATE_WINDOW, &io);
    let client = RpcClient::new(Arc::clone(&transport), Target::default(), &io);
    let local = Arc::new(LocalServers::new(Arc::new(client)));
    let target = ServerTarget {
        exchange,
        topic: String::new(),
        server: "native".to_owned(),
    };
    let pool = Pool {
        size: POOL_SIZE,
        missing_queue_timeout: MISSING_QUEUE_TIMEOUT,
        workers: workers.handle().clone(),
        io: io.clone(),
        stopping: CancellationToken::new(),
    };
    let mut topics = Topics::new(target, pool, transport, local);
    let endpoints = Endpoints::new(vec![Arc::new(Native::new()?)]);
    for started in topics.apply(BTreeMap::from([(topic, endpoints)])) {
        started.await?.1?;
    }
    println!("ready");
    tokio::signal::ctrl_c().await?;
    Ok(())
}

struct Native(EndpointTarget);

impl Native {
    fn new() -> anyhow::Result<Self> {
        Ok(Self(EndpointTarget {
            namespace: None,
            version: "1.0".parse()?,
            methods: ["report", "length"]
                .map(str::to_owned)
                .into_iter()
                .collect(),
        }))
    }
}

#[derive(Deserialize)]
struct Payload {
    payload: String,
}

#[async_trait]
impl Endpoint for Native {
    fn target(&self) -> &EndpointTarget {
        &self.0
    }

    fn name(&self) -> &str {
        "native"
    }

    fn generation(&self) -> &str {
        "1"
    }

    async fn invoke(&self, call: Call<'_>) -> Result<Json, Failure> {
        let answer = match call.method {
            "length" => serde_json::from_str(call.args.get())
                .and_then(|Payload { payload }| serde_json::to_string(&payload.len())),
            _ => serde_json::from_str::<Arguments>(call.args.get())
                .and_then(|arguments| serde_json::to_string(&measured::answer(&arguments))),
        };
        answer
            .and_then(json::checked)
            .map_err(|error| Failure::builtin("TypeError", error.to_string()))
    }
}
