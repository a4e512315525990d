//! `RpcServer`: polls one target's queues and hands what arrives to the executor, which has a
//! place for it before it is accepted (oslo_messaging/server.py, rpc/server.py).

pub mod dispatcher;
pub mod executor;
pub mod gone_queues;
pub mod local;
pub mod topics;

use std::collections::VecDeque;
use std::future::ready;
use std::sync::Arc;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::debug;

use self::executor::{Admission, Executor, Job};
use crate::endpoint::Endpoints;
use crate::protocol::request::Request;
use crate::protocol::target::ServerTarget;
use crate::transport::{Incoming, Listener};

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
        let mut admitted = Vec::new();
        loop {
            tokio::select! {
                // In this order: a stop is seen however much arrives, and what waits goes first.
                biased;
                () = stop.cancelled() => break,
                admission = self.executor.admit(), if !waiting.is_empty() => {
                    if let Some(incoming) = waiting.pop_front() {
                        admitted.push((incoming, admission));
                    }
                }
                incoming = self.listener.poll(), if waiting.len() < WAITING_MESSAGES => {
                    waiting.push_back(incoming);
                }
                // Once nothing more is here: what came together is accepted together.
                () = ready(()), if !admitted.is_empty() => self.start(&topic, &mut admitted),
            }
        }
        self.start(&topic, &mut admitted);
        debug!(target.topic = %topic, "Stopping to consume `{topic}`");
        // First, or the broker would hand the released ones straight back, and count each time.
        self.listener.stop().await;
        // The last first, since each goes back to the front of its queue.
        while let Some(incoming) = waiting.pop_back() {
            incoming.release().await;
        }
        StoppedServer(self.listener)
    }

    /// Has what was admitted accepted. The acknowledgement is sent in this task: no computing guest must hold it up.
    fn start(&self, topic: &Arc<str>, admitted: &mut Vec<(Incoming<Request>, Admission)>) {
        let endpoints = self.endpoints.borrow().clone();
        let jobs = admitted.drain(..).map(|(incoming, admission)| {
            Job::new(incoming, admission, Arc::clone(topic), endpoints.clone())
        });
        self.executor.start(jobs.collect());
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
