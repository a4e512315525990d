//! The servers of all topics: one starts when a topic gets its first endpoints, and stops when it
//! loses its last.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{oneshot, watch};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{info, warn};

use super::RpcServer;
use super::executor::{Executor, Pool};
use super::local::LocalServers;
use crate::endpoint::{ByTopic, Endpoints};
use crate::protocol::target::ServerTarget;
use crate::transport::{Transport, TransportError};

/// The pause before a topic is tried again that the broker refused.
const REFUSED_PAUSE: Duration = Duration::from_secs(5);

/// Starts and stops servers.
pub struct Topics {
    /// Of every topic; the name of its topic is still to be filled in.
    target: ServerTarget,
    pool: Pool,
    transport: Arc<dyn Transport>,
    local: Arc<LocalServers>,
    serving: BTreeMap<String, Serving>,
    /// Every server that was started, until it is closed.
    servers: TaskTracker,
    stop: CancellationToken,
}

/// One topic that is served.
struct Serving {
    endpoints: watch::Sender<Endpoints>,
    executor: Arc<Executor>,
    stop: CancellationToken,
}

/// Tells how the first attempt went to serve a target. What fails is tried again.
pub type Started = oneshot::Receiver<(ServerTarget, Result<(), TransportError>)>;

impl Topics {
    /// No topic is served yet. All will be under the exchange and the server's name of `target`,
    /// each with a `pool` of its own: one that is busy leaves the others alone.
    pub fn new(
        target: ServerTarget,
        pool: Pool,
        transport: Arc<dyn Transport>,
        local: Arc<LocalServers>,
    ) -> Self {
        Self {
            target,
            stop: pool.stopping.clone(),
            pool,
            transport,
            local,
            serving: BTreeMap::new(),
            servers: TaskTracker::new(),
        }
    }

    /// Serves what `by_topic` says, and nothing else. Requests that are under way end as they began.
    pub fn apply(&mut self, by_topic: ByTopic) -> Vec<Started> {
        let gone = self
            .serving
            .extract_if(.., |topic, _| !by_topic.contains_key(topic));
        for (topic, serving) in gone {
            info!("No plugin serves `{topic}` any more: what is left in its queue waits there");
            self.local.remove(&topic);
            serving.stop.cancel();
        }
        let mut started = Vec::new();
        for (topic, endpoints) in by_topic {
            match self.serving.get(&topic) {
                Some(serving) => drop(serving.endpoints.send_replace(endpoints)),
                None => started.push(self.start(topic, endpoints)),
            }
        }
        started
    }

    fn start(&mut self, topic: String, endpoints: Endpoints) -> Started {
        let target = ServerTarget {
            topic: topic.clone(),
            ..self.target.clone()
        };
        let (endpoints, current) = watch::channel(endpoints);
        let executor = Arc::new(Executor::new(&self.pool, Arc::clone(&self.transport)));
        let stop = self.stop.child_token();
        self.local
            .add(target.clone(), current.clone(), Arc::clone(&executor));
        let (report, started) = oneshot::channel();
        self.servers.spawn(serve(
            target,
            Arc::clone(&self.transport),
            current,
            Arc::clone(&executor),
            stop.clone(),
            report,
        ));
        let serving = Serving {
            endpoints,
            executor,
            stop,
        };
        self.serving.insert(topic, serving);
        started
    }

    /// Requests that are under way.
    pub fn running(&self) -> usize {
        let executors = self.serving.values().map(|serving| &serving.executor);
        executors.map(|executor| executor.running()).sum()
    }

    /// Stops them all, and waits until what they accepted is answered.
    pub async fn stop(&self) {
        self.stop.cancel();
        self.servers.close();
        self.servers.wait().await;
    }
}

/// Serves one target until `stop`, and closes it once its requests have ended.
async fn serve(
    target: ServerTarget,
    transport: Arc<dyn Transport>,
    endpoints: watch::Receiver<Endpoints>,
    executor: Arc<Executor>,
    stop: CancellationToken,
    report: oneshot::Sender<(ServerTarget, Result<(), TransportError>)>,
) {
    let listening = async {
        let mut report = Some(report);
        loop {
            let (listener, outcome) = match transport.listen(&target).await {
                Ok(listener) => (Some(listener), Ok(())),
                Err(error) => (None, Err(error)),
            };
            match (report.take(), outcome) {
                // Whoever gets it says it.
                (Some(report), outcome) => drop(report.send((target.clone(), outcome))),
                (None, Err(error)) => {
                    let topic = &target.topic;
                    warn!(target.topic = %topic, "Still cannot serve `{topic}`: {error}");
                }
                (None, Ok(())) => {}
            }
            if let Some(listener) = listener {
                return listener;
            }
            sleep(REFUSED_PAUSE).await;
        }
    };
    let Some(listener) = stop.run_until_cancelled(listening).await else {
        return;
    };
    let server = RpcServer::new(target, listener, endpoints, Arc::clone(&executor));
    let stopped = server.run(stop).await;
    // A request is accepted on the channel that it came by.
    executor.finished().await;
    stopped.close().await;
}
