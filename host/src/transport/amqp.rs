//! The RabbitMQ side of the seam. One connection listens and one sends, so that a flood of one
//! never holds up the other (_drivers/common.py: `PURPOSE_LISTEN`, `PURPOSE_SEND`).

mod connection;
mod listener;
pub mod options;
mod publisher;
mod socket;
mod stream_position;
mod tls;
mod topology;

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use lapin::Channel;
use tokio::runtime::Handle;
use tokio::sync::Mutex;
use tokio::time::{sleep, timeout_at};
use tracing::{debug, warn};
use uuid::Uuid;

use self::connection::Connection;
use self::listener::AmqpListener;
use self::options::Config;
use self::publisher::PublishError;
use self::topology::{Exchange, Topology};
use super::url::RabbitUrl;
use super::{Destination, Listener, Outgoing, Transport, TransportError};
use crate::protocol::envelope::Message;
use crate::protocol::reply::Reply;
use crate::protocol::request::Request;
use crate::protocol::target::ServerTarget;

/// The pause before a message is published again whose channel broke or which the broker could not
/// take.
const RETRY_PAUSE: Duration = Duration::from_millis(100);

/// Exchanges that are known to be there. One more and all are forgotten: declaring one again costs a
/// round trip, and nothing else.
const REMEMBERED_EXCHANGES: usize = 1000;

/// The transport behind `rabbit://`.
pub struct RabbitTransport {
    listening: Arc<Connection>,
    sending: Connection,
    publishing: Mutex<Option<Publishing>>,
    config: Config,
    duplicate_window: usize,
    /// Listeners that consume nothing at the moment.
    idle: Arc<AtomicUsize>,
    /// How many names were asked for that stay the same after a restart.
    names: AtomicU64,
}

/// The channel that messages leave by, and the exchanges that were declared on it.
#[derive(Clone)]
struct Publishing {
    channel: Channel,
    declared: Arc<Mutex<HashSet<String>>>,
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
            sending: connection("sending"),
            publishing: Mutex::default(),
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

    /// The open publishing channel, made anew if the last one broke.
    async fn publishing(&self) -> Result<Publishing, TransportError> {
        let mut current = self.publishing.lock().await;
        match &*current {
            Some(open) if open.channel.status().connected() => Ok(open.clone()),
            _ => {
                let channel = self.sending.channel().await?;
                publisher::enable_confirms(&channel)
                    .await
                    .map_err(|error| TransportError::Disconnected(error.into()))?;
                let open = Publishing {
                    channel,
                    declared: Arc::default(),
                };
                *current = Some(open.clone());
                Ok(open)
            }
        }
    }

    async fn publish(&self, to: &Destination, message: &Outgoing) -> Result<(), PublishError> {
        let publishing = self.publishing().await?;
        let exchange = match to {
            Destination::Topic { exchange, .. } => Some(Exchange::topic(exchange, &self.config)),
            Destination::Fanout { topic } => Some(Exchange::fanout(topic, &self.config)),
            Destination::Reply { .. } => None,
        };
        if let Some(exchange) = exchange
            && !publishing.declared.lock().await.contains(&exchange.name)
        {
            self.declare(&exchange).await?;
            let mut declared = publishing.declared.lock().await;
            if declared.len() >= REMEMBERED_EXCHANGES {
                declared.clear();
            }
            declared.insert(exchange.name);
        }
        publisher::publish(&publishing.channel, to, message, &self.config).await
    }

    /// Does what needs the sending connection, as long as that can be dialled with so many retries,
    /// and until the deadline.
    async fn bounded<T>(
        &self,
        retries: Option<u32>,
        deadline: std::time::Instant,
        work: impl Future<Output = Result<T, TransportError>>,
    ) -> Result<T, TransportError> {
        let trying = self.sending.while_dialled(retries, work);
        timeout_at(deadline.into(), trying)
            .await
            .unwrap_or_else(|_| match self.sending.why_not_open() {
                Some(reason) => Err(TransportError::Unreachable(reason)),
                None => Err(TransportError::TimedOut),
            })
    }

    /// Publishes on a channel that nobody shares, to an exchange that is there.
    async fn publish_alone(
        &self,
        to: &Destination,
        message: &Outgoing,
    ) -> Result<(), PublishError> {
        let channel = self.sending.channel().await?;
        publisher::enable_confirms(&channel).await?;
        publisher::publish(&channel, to, message, &self.config).await
    }

    /// Makes an exchange, on a channel of its own: a refusal closes the channel, and with it
    /// whatever others have under way there.
    async fn declare(&self, exchange: &Exchange) -> Result<(), PublishError> {
        publisher::name(&exchange.name)?;
        let channel = self.sending.channel().await?;
        let refused = match exchange.declare(&channel).await {
            Ok(()) => return Ok(()),
            Err(error) if error.is_amqp_soft_error() => error,
            Err(error) => return Err(error.into()),
        };
        // Somebody made it before, as one that does not survive a restart of the broker.
        if let Some(weaker) = exchange.not_durable() {
            let channel = self.sending.channel().await?;
            if weaker.declare(&channel).await.is_ok() {
                warn!(
                    "The exchange `{}` is used as it exists: not durable",
                    exchange.name
                );
                return Ok(());
            }
        }
        let reason = format!("RabbitMQ refused the exchange: {refused}");
        Err(PublishError::Refused(reason))
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
        self.start_listener(topology).await
    }

    async fn connect(
        &self,
        retries: Option<u32>,
        deadline: std::time::Instant,
    ) -> Result<(), TransportError> {
        let opening = async { self.publishing().await.map(drop) };
        self.bounded(retries, deadline, opening).await
    }

    async fn send(&self, to: &Destination, message: Outgoing) -> Result<(), TransportError> {
        let attempts = async {
            let mut alone = false;
            let mut failures = 0;
            loop {
                let published = match alone {
                    false => self.publish(to, &message).await,
                    true => self.publish_alone(to, &message).await,
                };
                match published {
                    Ok(()) => return Ok(()),
                    Err(PublishError::Returned(queue)) => {
                        return Err(TransportError::Undeliverable(queue));
                    }
                    Err(PublishError::Refused(reason)) => {
                        return Err(TransportError::Refused(reason));
                    }
                    Err(PublishError::Closed(error)) if alone => {
                        let reason = format!("RabbitMQ refused the message: {error}");
                        return Err(TransportError::Refused(reason));
                    }
                    Err(PublishError::Closed(_)) => alone = true,
                    // Whoever was the last to use it took it along; that is nobody's failure.
                    Err(PublishError::ExchangeGone) => {}
                    Err(PublishError::Broken(error))
                        if message.retries.is_some_and(|retries| failures >= retries) =>
                    {
                        return Err(TransportError::Disconnected(error));
                    }
                    // A message whose confirm was lost is published twice: its receiver knows it
                    // by its unique id.
                    Err(PublishError::Broken(error)) => {
                        debug!("Publishing again: {error}");
                        failures += 1;
                        sleep(RETRY_PAUSE).await;
                    }
                }
            }
        };
        self.bounded(message.retries, message.deadline, attempts)
            .await
    }

    fn is_connected(&self) -> bool {
        self.listening.is_open() && self.idle.load(Ordering::Relaxed) == 0
    }

    async fn close(&self) {
        self.sending.close().await;
        self.listening.close().await;
    }
}
