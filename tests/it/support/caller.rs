//! The client half as a library: a Rust program that calls, as `examples/` shows it.

use std::time::Duration;

use endpointd::client::{ClientError, RpcClient, Target};
use serde_json::{Value, json};
use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinHandle;

pub(crate) struct Caller {
    runtime: Runtime,
    client: RpcClient,
}

impl Caller {
    /// A client of the broker at `url`, through the exchange `neutron`.
    pub(crate) fn connect(url: &str) -> Self {
        let runtime = Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .expect("a runtime");
        let entered = runtime.enter();
        let client = RpcClient::connect(url, Target::default()).expect("a client");
        drop(entered);
        Self {
            client: client.exchange("neutron").timeout(Duration::from_secs(30)),
            runtime,
        }
    }

    /// A client for a topic, at version 1.0.
    pub(crate) fn of(&self, topic: &str) -> RpcClient {
        self.client.prepare().topic(topic)
    }

    pub(crate) fn run<F: Future>(&self, future: F) -> F::Output {
        self.runtime.block_on(future)
    }

    /// Calls, without a context.
    pub(crate) fn call(
        &self,
        client: &RpcClient,
        method: &str,
        args: Value,
    ) -> Result<Value, ClientError> {
        self.run(client.call(&json!({}), method, &args))
    }

    /// Casts, without a context.
    pub(crate) fn cast(
        &self,
        client: &RpcClient,
        method: &str,
        args: Value,
    ) -> Result<(), ClientError> {
        self.run(client.cast(&json!({}), method, &args))
    }

    /// Does it in the background, while the test plays the server.
    pub(crate) fn start<F>(&self, future: F) -> JoinHandle<F::Output>
    where
        F: Future<Output: Send> + Send + 'static,
    {
        self.runtime.spawn(future)
    }

    /// The same with a call.
    pub(crate) fn start_call(
        &self,
        client: RpcClient,
        method: &'static str,
        args: Value,
    ) -> JoinHandle<Result<Value, ClientError>> {
        self.start(async move { client.call(&json!({}), method, &args).await })
    }

    /// What became of it.
    pub(crate) fn outcome<T>(&self, started: JoinHandle<T>) -> T {
        self.run(started).expect("no panic")
    }
}
