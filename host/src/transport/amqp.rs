//! The RabbitMQ side of the seam. One connection listens and one sends, so that a flood of one
//! never holds up the other (_drivers/common.py: `PURPOSE_LISTEN`, `PURPOSE_SEND`).

mod connection;
mod listener;
pub mod options;
mod publisher;
mod topology;

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use lapin::Channel;
use tokio::runtime::Handle;
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep, timeout_at};
use tracing::debug;
use uuid::Uuid;

use self::connection::Connection;
use self::listener::AmqpListener;
use self::options::Config;
use self::publisher::PublishError;
use self::topology::{Exchange, Topology};
use super::url::RabbitUrl;
use super::{Destination, Listener, Outgoing, Transport, TransportError};
use crate::protocol::envelope::{Message, Reply, Request};
use crate::protocol::target::ServerTarget;

/// The pause before a message is published again whose channel broke or which the broker could not
/// take.
const RETRY_PAUSE: Duration = Duration::from_millis(100);

/// The transport behind `rabbit://`.
pub struct RabbitTransport {
    listening: Arc<Connection>,
    sending: Connection,
    publishing: Mutex<Option<Publishing>>,
    config: Config,
}

/// The channel that messages leave by, and the exchanges that were declared on it.
#[derive(Clone)]
struct Publishing {
    channel: Channel,
    declared: Arc<Mutex<HashSet<String>>>,
}

impl RabbitTransport {
    /// A transport to the cluster at `url`; it dials when it is first used. `io` runs the
    /// heartbeats, and must not be kept busy by anything else.
    pub fn new(url: &RabbitUrl, config: Config, io: &Handle) -> Self {
        Self {
            listening: Arc::new(Connection::new("listening", url, &config, io)),
            sending: Connection::new("sending", url, &config, io),
            publishing: Mutex::default(),
            config,
        }
    }

    async fn start_listener<T: Message>(
        &self,
        topology: Topology,
    ) -> Result<Box<dyn Listener<T>>, TransportError> {
        let prefetch = self.config.rabbit_qos_prefetch_count;
        let mut listener = AmqpListener::new(Arc::clone(&self.listening), topology, prefetch);
        listener.start().await?;
        Ok(Box::new(listener))
    }

    /// 0 is for ever, as upstream has it.
    fn transient_ttl(&self) -> Option<Duration> {
        match self.config.rabbit_transient_queues_ttl {
            0 => None,
            seconds => Some(Duration::from_secs(seconds)),
        }
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
        if let Destination::Topic { exchange, .. } = to
            && !publishing.declared.lock().await.contains(exchange)
        {
            self.declare(exchange).await?;
            publishing.declared.lock().await.insert(exchange.clone());
        }
        publisher::publish(&publishing.channel, to, message).await
    }

    /// Makes an exchange, on a channel of its own: a refusal closes the channel, and with it
    /// whatever others have under way there.
    async fn declare(&self, exchange: &str) -> Result<(), PublishError> {
        publisher::name(exchange)?;
        let channel = self.sending.channel().await?;
        let declared = topology::declare_exchange(&channel, &Exchange::topic(exchange)).await;
        declared.map_err(|error| match error.is_amqp_soft_error() {
            true => PublishError::Refused(format!("RabbitMQ refused the exchange: {error}")),
            false => error.into(),
        })
    }
}

#[async_trait]
impl Transport for RabbitTransport {
    async fn listen(
        &self,
        target: &ServerTarget,
    ) -> Result<Box<dyn Listener<Request>>, TransportError> {
        let suffix = Uuid::new_v4().simple().to_string();
        let topology = Topology::of_server(target, &suffix, self.transient_ttl());
        self.start_listener(topology).await
    }

    async fn listen_replies(
        &self,
        queue: &str,
    ) -> Result<Box<dyn Listener<Reply>>, TransportError> {
        let topology = Topology::of_replies(queue, self.transient_ttl());
        self.start_listener(topology).await
    }

    async fn send(&self, to: &Destination, message: Outgoing) -> Result<(), TransportError> {
        let deadline = Instant::from_std(message.deadline);
        let attempts = async {
            loop {
                match self.publish(to, &message).await {
                    Ok(()) => return Ok(()),
                    Err(PublishError::Returned(queue)) => {
                        return Err(TransportError::Undeliverable(queue));
                    }
                    Err(PublishError::Refused(reason)) => {
                        return Err(TransportError::Refused(reason));
                    }
                    // A message whose confirm was lost is published twice: its receiver knows it
                    // by its unique id.
                    Err(PublishError::Broken(error)) => {
                        debug!("Publishing again: {error}");
                        sleep(RETRY_PAUSE).await;
                    }
                }
            }
        };
        timeout_at(deadline, attempts)
            .await
            .unwrap_or(Err(TransportError::TimedOut))
    }

    fn is_connected(&self) -> bool {
        self.listening.is_open()
    }

    async fn close(&self) {
        self.sending.close().await;
        self.listening.close().await;
    }
}
