//! `RpcServer`: polls one target's queues and hands what arrives to the executor, which has a
//! place for it before it is accepted (oslo_messaging/server.py, rpc/server.py).

pub mod dispatcher;
pub mod executor;
pub mod gone_queues;
pub mod local;
pub mod topics;

use std::collections::VecDeque;
use std::sync::Arc;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::debug;

use self::executor::{Executor, Job};
use crate::endpoint::Endpoints;
use crate::protocol::request::Request;
use crate::protocol::target::ServerTarget;
use crate::transport::Listener;

/// Messages of one topic that may wait in this host for a place. They are polled so that the time
/// of their callers is counted from their arrival, and are still the broker's: unacknowledged, and
/// released at a stop. The transport's prefetch is the tighter bound where it has one.
const WAITING_MESSAGES: usize = 64;

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
        let mut waiting = VecDeque::new();
        // Here and not where they run: no computing guest must hold up an acknowledgement.
        let mut accepting = FuturesUnordered::new();
        loop {
            tokio::select! {
                // In this order: a stop is seen however much arrives, and what waits goes first.
                biased;
                () = stop.cancelled() => break,
                Some(job) = accepting.next() => self.executor.start(job),
                admission = self.executor.admit(), if !waiting.is_empty() => {
                    if let Some(incoming) = waiting.pop_front() {
                        let endpoints = self.endpoints.borrow().clone();
                        let topic = Arc::clone(&topic);
                        accepting.push(Job::accept(incoming, admission, topic, endpoints));
                    }
                }
                incoming = self.listener.poll(), if waiting.len() < WAITING_MESSAGES => {
                    waiting.push_back(incoming);
                }
            }
        }
        while let Some(job) = accepting.next().await {
            self.executor.start(job);
        }
        debug!(target.topic = %topic, "Stopping to consume `{topic}`");
        // First, or the broker would hand the released ones straight back, and count each time.
        self.listener.stop().await;
        // The last first, since each goes back to the front of its queue.
        while let Some(incoming) = waiting.pop_back() {
            incoming.release().await;
        }
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
