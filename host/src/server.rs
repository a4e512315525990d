//! `RpcServer`: polls one target's queues and hands what arrives to the executor, which has a
//! place for it before it is accepted (oslo_messaging/server.py, rpc/server.py).

pub mod dispatcher;
pub mod executor;

use std::sync::Arc;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::debug;

use self::executor::{Executor, Job};
use crate::endpoint::Endpoints;
use crate::protocol::envelope::Request;
use crate::protocol::target::ServerTarget;
use crate::transport::Listener;

/// One target being served.
pub struct RpcServer {
    target: ServerTarget,
    listener: Box<dyn Listener<Request>>,
    endpoints: watch::Receiver<Endpoints>,
    executor: Arc<Executor>,
}

impl RpcServer {
    pub fn new(
        target: ServerTarget,
        listener: Box<dyn Listener<Request>>,
        endpoints: watch::Receiver<Endpoints>,
        executor: Arc<Executor>,
    ) -> Self {
        Self {
            target,
            listener,
            endpoints,
            executor,
        }
    }

    /// Serves until `stop`, and then no longer consumes. What was accepted goes on in the
    /// executor; once that is done, the server is to be closed.
    pub async fn run(mut self, stop: CancellationToken) -> StoppedServer {
        let topic = Arc::<str>::from(self.target.topic.as_str());
        while let Some(incoming) = stop.run_until_cancelled(self.listener.poll()).await {
            // Until there is a place for it, the message stays the broker's.
            match stop.run_until_cancelled(self.executor.place()).await {
                Some(place) => self.executor.start(Job {
                    place,
                    incoming,
                    topic: Arc::clone(&topic),
                    endpoints: self.endpoints.borrow().clone(),
                }),
                None => incoming.release().await,
            }
        }
        debug!(target.topic = %topic, "Stopping to consume `{topic}`");
        self.listener.stop().await;
        StoppedServer(self.listener)
    }
}

/// A server that no longer consumes, but whose requests may still be running.
pub struct StoppedServer(Box<dyn Listener<Request>>);

impl StoppedServer {
    /// Deletes what only this server used.
    pub async fn close(self) {
        self.0.close().await;
    }
}
