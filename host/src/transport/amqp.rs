//! The RabbitMQ side of the seam. One connection listens and one sends, so that a flood of one
//! never holds up the other (_drivers/common.py: `PURPOSE_LISTEN`, `PURPOSE_SEND`).

mod acknowledgements;
mod connection;
mod lane;
mod listener;
pub mod options;
mod parcel;
mod publisher;
mod socket;
mod stream_position;
mod tls;
mod topology;
mod wire;

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use tokio::runtime::Handle;
use tokio::time::{sleep, timeout_at};
use tracing::debug;
use uuid::Uuid;

use self::connection::Connection;
use self::listener::AmqpListener;
use self::options::Config;
use self::publisher::{PublishError, Publisher};
use self::topology::Topology;
use super::url::RabbitUrl;
use super::{Destination, Listener, Outgoing, Transport, TransportError};
use crate::protocol::envelope::Message;
use crate::protocol::reply::Reply;
use crate::protocol::request::Request;
use crate::protocol::target::ServerTarget;

/// The pause before a message is published again whose connection broke or which the broker could
/// not take.
const RETRY_PAUSE: Duration = Duration::from_millis(100);

/// The transport behind `rabbit://`.
pub struct RabbitTransport {
    listening: Arc<Connection>,
    publisher: Publisher,
    config: Config,
    duplicate_window: usize,
    /// Listeners that have stopped to consume, for now.
    idle: Arc<AtomicUsize>,
    /// How many names were asked for that stay the same after a restart.
    names: AtomicU64,
}

impl RabbitTransport {
    /// A transport to the cluster at `url`; it dials when it is first used. A listener knows the
    /// last `duplicate_window` messages by their ids. `io` runs the heartbeats, and must not be
    /// kept busy by anything else.
    pub fn new(url: &RabbitUrl, config: Config, duplicate_window: usize, io: &Handle) -> Self {
        // What one of them was let in with is right for the other.
        let was_open = Arc::default();
        let connection = |purpose| Connection::new(purpose, url, &config, io, &was_open);
        Self {
            listening: Arc::new(connection("listening")),
            publisher: Publisher::new(connection("sending"), &config, io),
            config,
            duplicate_window,
            idle: Arc::default(),
            names: AtomicU64::new(0),
        }
    }

    async fn start_listener<T: Message>(
        &self,
        topology: Topology,
    ) -> Result<Box<dyn Listener<T>>, TransportError> {
        let connection = Arc::clone(&self.listening);
        let mut listener = AmqpListener::new(
            connection,
            topology,
            &self.config,
            self.duplicate_window,
            &self.idle,
        );
        listener.start().await?;
        Ok(Box::new(listener))
    }

    /// The last part of a queue's name that belongs to this process alone: random, or the same
    /// after a restart (amqpdriver.py: `QManager`). Upstream keeps its counter in a file, as its
    /// processes share it; ours is one process.
    fn unique_name(&self) -> String {
        if !self.config.use_queue_manager {
            return Uuid::new_v4().simple().to_string();
        }
        let number = self.names.fetch_add(1, Ordering::Relaxed) + 1;
        let Config {
            hostname,
            processname,
            ..
        } = &self.config;
        format!("{hostname}:{processname}:{number}")
    }

    /// Does what needs the sending connection, again and again where that breaks: so often, and until
    /// the deadline.
    async fn persist<F: Future<Output = Result<(), PublishError>>>(
        &self,
        retries: Option<u32>,
        deadline: Instant,
        work: impl Fn() -> F,
    ) -> Result<(), TransportError> {
        let attempts = async {
            let mut failures = 0;
            loop {
                match work().await {
                    Ok(()) => return Ok(()),
                    Err(PublishError::Returned(queue)) => {
                        return Err(TransportError::Undeliverable(queue));
                    }
                    Err(PublishError::Closed) => return Err(TransportError::Closed),
                    Err(PublishError::Refused(reason)) => {
                        return Err(TransportError::Refused(reason));
                    }
                    Err(PublishError::Broken(error))
                        if retries.is_some_and(|retries| failures >= retries) =>
                    {
                        return Err(TransportError::Disconnected(error.into()));
                    }
                    // A message whose confirm was lost is published twice: its receiver knows it
                    // by its unique id.
                    Err(PublishError::Broken(error)) => {
                        debug!("Trying again: {error}");
                        failures += 1;
                        sleep(RETRY_PAUSE).await;
                    }
                }
            }
        };
        let connection = self.publisher.connection();
        // Pinned, so that it is not moved into one future after the other.
        let attempts = pin!(attempts);
        let trying = connection.while_dialled(retries, attempts);
        timeout_at(deadline.into(), trying)
            .await
            .unwrap_or_else(|_| match connection.why_not_open() {
                Some(reason) => Err(TransportError::Unreachable(reason)),
                None => Err(TransportError::TimedOut),
            })
    }
}

#[async_trait]
impl Transport for RabbitTransport {
    async fn listen(
        &self,
        target: &ServerTarget,
    ) -> Result<Box<dyn Listener<Request>>, TransportError> {
        let topology = Topology::of_server(target, &self.unique_name(), &self.config);
        self.start_listener(topology).await
    }

    fn reply_queue(&self) -> String {
        format!("reply_{}", self.unique_name())
    }

    async fn listen_replies(
        &self,
        queue: &str,
    ) -> Result<Box<dyn Listener<Reply>>, TransportError> {
        let topology = Topology::of_replies(queue, &self.config);
        let starting = self.start_listener(topology);
        // Whoever waits for it decides how often it is tried.
        self.listening.while_dialled(Some(0), starting).await
    }

    async fn connect(&self, retries: Option<u32>, deadline: Instant) -> Result<(), TransportError> {
        let connecting = || self.publisher.connect();
        self.persist(retries, deadline, connecting).await
    }

    async fn send(&self, to: &Destination, message: Arc<Outgoing>) -> Result<(), TransportError> {
        let (retries, deadline) = (message.retries, message.deadline);
        let publishing = || self.publisher.publish(to, &message);
        self.persist(retries, deadline, publishing).await
    }

    fn is_connected(&self) -> bool {
        self.listening.is_open() && self.idle.load(Ordering::Relaxed) == 0
    }

    async fn close(&self) {
        self.publisher.connection().close().await;
        self.listening.close().await;
    }
}
