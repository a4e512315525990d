//! Publishes messages, and returns once the broker has each
//! (impl_rabbit.py: `_ensure_publishing`, `direct_send`, `topic_send`, `fanout_send`).
//!
//! Each message has a channel to itself until it is confirmed. A broker tells what it returned, and
//! why it closed a channel, without saying which message it means: here there is only one.

use std::borrow::Cow;
use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use lapin::options::{BasicPublishOptions, ConfirmSelectOptions};
use lapin::protocol::AMQPSoftError;
use lapin::types::{AMQPValue, FieldTable, ShortString};
use lapin::{BasicProperties, Channel, Confirmation, ErrorKind};
use tokio::runtime::Handle;
use tokio::time::sleep;
use tracing::warn;

use super::connection::Connection;
use super::lane::{Lane, Underway};
use super::options::Config;
use super::topology::Exchange;
use crate::protocol::compression::{Codec, compressed};
use crate::transport::{BoxError, Destination, Outgoing, TransportError};

/// Channels that are kept for the next messages.
const AT_REST: usize = 64;
/// Exchanges that are known to be there. One more and all are forgotten: declaring one again costs a
/// round trip, and nothing else.
const REMEMBERED_EXCHANGES: usize = 1000;
/// What RabbitMQ takes at most, whatever it is configured to. By default it takes less: 128 MiB, and
/// 16 MiB from 4.0 on.
const LARGEST_BODY: usize = 512 * 1024 * 1024;
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
    /// Where confirms are awaited.
    io: Handle,
    requests: Lane,
    /// Not behind what others send: whoever waits for them holds a place in a pool.
    replies: Lane,
    /// Channels on which nothing is under way.
    at_rest: Arc<Mutex<Vec<Channel>>>,
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
    pub(super) fn new(connection: Connection, config: &Config, io: &Handle) -> Self {
        Self {
            connection,
            config: config.clone(),
            io: io.clone(),
            requests: Lane::new(),
            replies: Lane::new(),
            at_rest: Arc::default(),
            declared: Mutex::default(),
        }
    }

    pub(super) fn connection(&self) -> &Connection {
        &self.connection
    }

    /// Makes sure that there is a channel to publish on.
    pub(super) async fn connect(&self) -> Result<(), PublishError> {
        let channel = self.channel().await?;
        keep(&self.at_rest, channel);
        Ok(())
    }

    /// A mandatory message that reaches no queue comes back as an error.
    ///
    /// A message that was begun is finished, whether or not anybody waits for it any longer: a
    /// channel that is closed in the middle of one may cost the connection.
    pub(super) async fn publish(
        &self,
        to: &Destination,
        message: &Arc<Outgoing>,
    ) -> Result<(), PublishError> {
        let parcel = Arc::new(Parcel::new(to, message, &self.config)?);
        let route = &parcel.route;
        let lane = match to {
            Destination::Reply { .. } => &self.replies,
            Destination::Topic { .. } | Destination::Fanout { .. } => &self.requests,
        };
        loop {
            let place = lane.place(&route.destination()).await;
            if let Some(exchange) = &route.exchange {
                self.make_known(exchange).await?;
            }
            let publishing = publish_on(
                self.channel().await?,
                Arc::clone(&parcel),
                Arc::clone(&self.at_rest),
                place,
            );
            #[expect(
                clippy::disallowed_methods,
                reason = "it ends with its confirm or connection"
            )]
            let publishing = self.io.spawn(publishing);
            let outcome = publishing
                .await
                .map_err(|error| PublishError::Broken(error.into()))?;
            match (outcome, &route.exchange) {
                // Whoever was the last to use it took it along; that is nobody's failure.
                (Err(error), Some(exchange)) if is_missing(&error) => {
                    self.declared().remove(&exchange.name);
                    sleep(GONE_PAUSE).await;
                }
                (Err(error), _) => return Err(error.into()),
                (Ok(confirmation), _) => return verdict(confirmation, route.key.clone()),
            }
        }
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
            match weaker.declare(&channel).await {
                Ok(()) => {
                    warn!(
                        "The exchange `{}` is used as it exists: not durable",
                        exchange.name
                    );
                    return Ok(());
                }
                Err(error) if error.is_amqp_soft_error() => {}
                Err(error) => return Err(error.into()),
            }
        }
        let reason = format!("RabbitMQ refused the exchange: {refused}");
        Err(PublishError::Refused(reason))
    }

    async fn channel(&self) -> Result<Channel, PublishError> {
        let open = {
            let mut at_rest = lock(&self.at_rest);
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

    fn declared(&self) -> MutexGuard<'_, HashSet<String>> {
        lock(&self.declared)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Keeps a channel for the next message; one too many is closed when it is dropped here, with
/// nothing under way.
fn keep(at_rest: &Mutex<Vec<Channel>>, channel: Channel) {
    let mut at_rest = lock(at_rest);
    if at_rest.len() < AT_REST {
        at_rest.push(channel);
    }
}

/// Publishes, awaits the confirm, and only then lets go of channel and place.
async fn publish_on(
    channel: Channel,
    parcel: Arc<Parcel>,
    at_rest: Arc<Mutex<Vec<Channel>>>,
    _place: Underway,
) -> lapin::Result<Confirmation> {
    let route = &parcel.route;
    let options = BasicPublishOptions {
        mandatory: route.mandatory,
        ..BasicPublishOptions::default()
    };
    let (exchange, key) = (route.exchange_name().into(), route.key.as_str().into());
    let properties = properties(&parcel.message, parcel.codec);
    let publishing = channel.basic_publish(exchange, key, options, parcel.body(), properties);
    let confirmation = publishing.await?.await?;
    keep(&at_rest, channel);
    Ok(confirmation)
}

/// A message that is ready to be sent, as often as that takes.
struct Parcel {
    route: Route,
    message: Arc<Outgoing>,
    codec: Option<Codec>,
    /// The body, where it is not the message's own.
    compressed: Option<Vec<u8>>,
}

impl Parcel {
    fn new(
        to: &Destination,
        message: &Arc<Outgoing>,
        config: &Config,
    ) -> Result<Self, PublishError> {
        let codec = config.kombu_compression.codec();
        let parcel = Self {
            route: Route::new(to, message.mandatory, config)?,
            message: Arc::clone(message),
            codec,
            compressed: match compressed(codec, &message.body) {
                Cow::Owned(body) => Some(body),
                Cow::Borrowed(_) => None,
            },
        };
        let bytes = parcel.body().len();
        match bytes > LARGEST_BODY {
            false => Ok(parcel),
            true => Err(PublishError::Refused(format!(
                "the message has {} MiB, and RabbitMQ takes {} at most",
                bytes.div_ceil(1024 * 1024),
                LARGEST_BODY / (1024 * 1024)
            ))),
        }
    }

    fn body(&self) -> &[u8] {
        self.compressed.as_deref().unwrap_or(&self.message.body)
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
        for name in [route.exchange_name(), &route.key] {
            if ShortString::try_new(name).is_err() {
                let problem = "a name has more than 255 bytes".to_owned();
                return Err(PublishError::Refused(problem));
            }
        }
        Ok(route)
    }

    fn exchange_name(&self) -> &str {
        self.exchange.as_ref().map_or("", |exchange| &exchange.name)
    }

    /// What tells it from other destinations.
    fn destination(&self) -> String {
        format!("{} {}", self.exchange_name(), self.key)
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
