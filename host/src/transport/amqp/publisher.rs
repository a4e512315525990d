//! Publishes messages, and returns once the broker has each
//! (impl_rabbit.py: `_ensure_publishing`, `direct_send`, `topic_send`, `fanout_send`).
//!
//! Each message has a channel to itself until it is confirmed. A broker tells what it returned, and
//! why it closed a channel, without saying which message it means: here there is only one.

use std::collections::HashSet;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use lapin::options::{BasicPublishOptions, ConfirmSelectOptions};
use lapin::protocol::AMQPSoftError;
use lapin::types::{AMQPValue, FieldTable, ShortString};
use lapin::{BasicProperties, Channel, Confirmation, ErrorKind};
use tokio::sync::Semaphore;
use tokio::time::sleep;
use tracing::warn;

use super::connection::Connection;
use super::options::Config;
use super::topology::Exchange;
use crate::protocol::compression::{Codec, compressed};
use crate::transport::{BoxError, Destination, Outgoing, TransportError};

/// Messages that are under way to the broker at the same time. The others wait for a channel, and
/// none waits longer than its own confirm takes.
const CHANNELS: usize = 64;
/// Exchanges that are known to be there. One more and all are forgotten: declaring one again costs a
/// round trip, and nothing else.
const REMEMBERED_EXCHANGES: usize = 1000;
/// What RabbitMQ takes at most, whatever it is configured to; by default 4.0 takes a fourth of it.
const LARGEST_BODY: usize = 128 * 1024 * 1024;
/// The pause before an exchange is made again that is not there any more.
const GONE_PAUSE: Duration = Duration::from_millis(20);
/// What is published within that time has its caller's whole timeout as its expiration.
const PROMPT: Duration = Duration::from_secs(1);
/// RabbitMQ refuses longer ones, and closes the channel.
const LONGEST_EXPIRATION_MS: u128 = u32::MAX as u128;

/// Publishes over one connection.
pub(super) struct Publisher {
    connection: Connection,
    config: Config,
    places: Semaphore,
    /// Channels on which nothing is under way.
    at_rest: Mutex<Vec<Channel>>,
    /// Exchanges that were made, and not missed since.
    declared: Mutex<HashSet<String>>,
}

/// Why a message was not taken.
pub(super) enum PublishError {
    /// No queue takes it; holds the routing key.
    Returned(String),
    /// The broker, or AMQP itself, does not allow it: trying again gives the same answer.
    Refused(String),
    /// This side closed the connection.
    Closed,
    /// The connection is of no further use, or the broker could not take it now.
    Broken(BoxError),
}

impl From<lapin::Error> for PublishError {
    fn from(error: lapin::Error) -> Self {
        match error.is_amqp_soft_error() {
            true => Self::Refused(format!("RabbitMQ refused the message: {error}")),
            false => Self::Broken(error.into()),
        }
    }
}

impl From<TransportError> for PublishError {
    fn from(error: TransportError) -> Self {
        match error {
            TransportError::Refused(reason) => Self::Refused(reason),
            TransportError::Closed => Self::Closed,
            error => Self::Broken(error.into()),
        }
    }
}

impl Publisher {
    /// Dials when the first message is published.
    pub(super) fn new(connection: Connection, config: &Config) -> Self {
        Self {
            connection,
            config: config.clone(),
            places: Semaphore::new(CHANNELS),
            at_rest: Mutex::default(),
            declared: Mutex::default(),
        }
    }

    pub(super) fn connection(&self) -> &Connection {
        &self.connection
    }

    /// Makes sure that there is a channel to publish on.
    pub(super) async fn connect(&self) -> Result<(), PublishError> {
        let _place = self.places.acquire().await;
        let channel = self.channel().await?;
        self.at_rest().push(channel);
        Ok(())
    }

    /// A mandatory message that reaches no queue comes back as an error.
    pub(super) async fn publish(
        &self,
        to: &Destination,
        message: &Outgoing,
    ) -> Result<(), PublishError> {
        if message.body.len() > LARGEST_BODY {
            return Err(PublishError::Refused(format!(
                "the message has {} MiB, and RabbitMQ takes {} at most",
                message.body.len().div_ceil(1024 * 1024),
                LARGEST_BODY / (1024 * 1024)
            )));
        }
        let route = Route::new(to, message.mandatory, &self.config)?;
        let _place = self.places.acquire().await;
        loop {
            if let Some(exchange) = &route.exchange {
                self.make_known(exchange).await?;
            }
            // Whoever gives up in the middle takes the channel along: its confirm is to come yet.
            let channel = self.channel().await?;
            let error = match self.publish_on(&channel, &route, message).await {
                Ok(confirmation) => {
                    self.at_rest().push(channel);
                    return verdict(confirmation, route.key);
                }
                Err(error) => error,
            };
            match &route.exchange {
                // Whoever was the last to use it took it along; that is nobody's failure.
                Some(exchange) if is_missing(&error) => {
                    self.declared().remove(&exchange.name);
                    sleep(GONE_PAUSE).await;
                }
                _ => return Err(error.into()),
            }
        }
    }

    async fn publish_on(
        &self,
        channel: &Channel,
        route: &Route,
        message: &Outgoing,
    ) -> lapin::Result<Confirmation> {
        let codec = self.config.kombu_compression.codec();
        let options = BasicPublishOptions {
            mandatory: route.mandatory,
            ..BasicPublishOptions::default()
        };
        let exchange = match &route.exchange {
            Some(exchange) => exchange.name.as_str(),
            None => "",
        };
        let body = compressed(codec, &message.body);
        let properties = properties(message, codec);
        channel
            .basic_publish(
                exchange.into(),
                route.key.as_str().into(),
                options,
                &body,
                properties,
            )
            .await?
            .await
    }

    /// Makes an exchange, unless it was made before.
    async fn make_known(&self, exchange: &Exchange) -> Result<(), PublishError> {
        if self.declared().contains(&exchange.name) {
            return Ok(());
        }
        self.declare(exchange).await?;
        let mut declared = self.declared();
        if declared.len() >= REMEMBERED_EXCHANGES {
            declared.clear();
        }
        declared.insert(exchange.name.clone());
        Ok(())
    }

    async fn declare(&self, exchange: &Exchange) -> Result<(), PublishError> {
        let channel = self.connection.channel().await?;
        let refused = match exchange.declare(&channel).await {
            Ok(()) => return Ok(()),
            Err(error) if error.is_amqp_soft_error() => error,
            Err(error) => return Err(error.into()),
        };
        // Somebody made it before, as one that does not survive a restart of the broker.
        if let Some(weaker) = exchange.not_durable() {
            let channel = self.connection.channel().await?;
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

    async fn channel(&self) -> Result<Channel, PublishError> {
        let open = {
            let mut at_rest = self.at_rest();
            at_rest.retain(|channel| channel.status().connected());
            at_rest.pop()
        };
        if let Some(channel) = open {
            return Ok(channel);
        }
        let channel = self.connection.channel().await?;
        channel
            .confirm_select(ConfirmSelectOptions::default())
            .await
            .map_err(|error| PublishError::Broken(error.into()))?;
        Ok(channel)
    }

    fn at_rest(&self) -> MutexGuard<'_, Vec<Channel>> {
        self.at_rest.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn declared(&self) -> MutexGuard<'_, HashSet<String>> {
        self.declared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Where a message goes, in AMQP's terms.
struct Route {
    /// `None` is the default one, which reaches queues by their names.
    exchange: Option<Exchange>,
    key: String,
    mandatory: bool,
}

impl Route {
    fn new(to: &Destination, mandatory: bool, config: &Config) -> Result<Self, PublishError> {
        let route = match to {
            Destination::Reply { queue } => Self {
                exchange: None,
                key: queue.clone(),
                mandatory: mandatory && config.direct_mandatory_flag,
            },
            Destination::Topic {
                exchange,
                topic,
                server,
            } => Self {
                exchange: Some(Exchange::topic(exchange, config)),
                key: match server {
                    Some(server) => format!("{topic}.{server}"),
                    None => topic.clone(),
                },
                mandatory,
            },
            Destination::Fanout { topic } => Self {
                exchange: Some(Exchange::fanout(topic, config)),
                key: String::new(),
                mandatory: false,
            },
        };
        let exchange = route.exchange.as_ref().map(|exchange| &*exchange.name);
        for name in [exchange.unwrap_or_default(), &route.key] {
            if ShortString::try_new(name).is_err() {
                let problem = "a name has more than 255 bytes".to_owned();
                return Err(PublishError::Refused(problem));
            }
        }
        Ok(route)
    }
}

fn verdict(confirmation: Confirmation, routing_key: String) -> Result<(), PublishError> {
    match confirmation {
        Confirmation::Ack(None) | Confirmation::NotRequested => Ok(()),
        Confirmation::Ack(Some(_)) => Err(PublishError::Returned(routing_key)),
        // The broker could not keep it: as good as a lost connection, so it is sent again.
        Confirmation::Nack(_) => Err(PublishError::Broken("the broker could not take it".into())),
    }
}

fn is_missing(error: &lapin::Error) -> bool {
    matches!(error.kind(), ErrorKind::ProtocolError(protocol)
        if protocol.get_id() == AMQPSoftError::NOTFOUND.get_id())
}

/// The properties that upstream gives every message (kombu's defaults and delivery mode 2).
fn properties(message: &Outgoing, codec: Option<Codec>) -> BasicProperties {
    let mut headers = FieldTable::default();
    if let Some(codec) = codec {
        let name = AMQPValue::LongString(codec.header().into());
        headers.insert("compression".into(), name);
    }
    let properties = BasicProperties::default()
        .with_content_type("application/json".into())
        .with_content_encoding("utf-8".into())
        .with_headers(headers)
        .with_delivery_mode(2)
        .with_priority(0);
    match message.expires_in {
        None => properties,
        Some(timeout) => {
            // What had to wait before it could be sent has less time left.
            let left = message.deadline.saturating_duration_since(Instant::now());
            let ms = timeout.min(left + PROMPT).as_millis();
            let ms = ms.min(LONGEST_EXPIRATION_MS);
            properties.with_expiration(ms.to_string().into())
        }
    }
}
