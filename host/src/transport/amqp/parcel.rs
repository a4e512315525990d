//! One message in AMQP's terms: where it goes, its body and its properties.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::{Duration, Instant};

use amq_protocol::protocol::BasicProperties;
use amq_protocol::types::{AMQPValue, FieldTable, ShortString};

use super::options::Config;
use super::topology::Exchange;
use crate::protocol::compression::{Codec, compressed};
use crate::transport::{Destination, Outgoing};

/// What RabbitMQ takes at most, whatever it is configured to. By default it takes less: 128 MiB, and
/// 16 MiB from 4.0 on.
const LARGEST_BODY: usize = 512 * 1024 * 1024;
/// What is published within that time has its caller's whole timeout as its expiration.
const PROMPT: Duration = Duration::from_secs(1);
/// RabbitMQ refuses longer ones, and closes the channel.
const LONGEST_EXPIRATION_MS: u128 = u32::MAX as u128;

/// A message that is ready to be sent, as often as that takes.
pub(super) struct Parcel {
    pub(super) route: Route,
    message: Arc<Outgoing>,
    codec: Option<Codec>,
    /// The body, where it is not the message's own.
    compressed: Option<Vec<u8>>,
}

impl Parcel {
    /// Where it cannot be sent at all, an error says why.
    pub(super) fn new(
        to: &Destination,
        message: &Arc<Outgoing>,
        config: &Config,
    ) -> Result<Self, String> {
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
            true => Err(format!(
                "the message has {} MiB, and RabbitMQ takes {} at most",
                bytes.div_ceil(1024 * 1024),
                LARGEST_BODY / (1024 * 1024)
            )),
        }
    }

    pub(super) fn body(&self) -> &[u8] {
        self.compressed.as_deref().unwrap_or(&self.message.body)
    }

    /// The properties that upstream gives every message (kombu's defaults and delivery mode 2).
    pub(super) fn properties(&self) -> BasicProperties {
        let mut headers = FieldTable::default();
        if let Some(codec) = self.codec {
            let name = AMQPValue::LongString(codec.header().into());
            headers.insert("compression".into(), name);
        }
        let properties = BasicProperties::default()
            .with_content_type("application/json".into())
            .with_content_encoding("utf-8".into())
            .with_headers(headers)
            .with_delivery_mode(2)
            .with_priority(0);
        match self.message.expires_in {
            None => properties,
            Some(timeout) => {
                // What had to wait before it could be sent has less time left.
                let left = self
                    .message
                    .deadline
                    .saturating_duration_since(Instant::now());
                let ms = timeout.min(left + PROMPT).as_millis();
                let ms = ms.min(LONGEST_EXPIRATION_MS);
                properties.with_expiration(ms.to_string().into())
            }
        }
    }
}

/// Where a message goes, in AMQP's terms.
pub(super) struct Route {
    /// `None` is the default one, which reaches queues by their names.
    pub(super) exchange: Option<Exchange>,
    pub(super) key: String,
    pub(super) mandatory: bool,
}

impl Route {
    fn new(to: &Destination, mandatory: bool, config: &Config) -> Result<Self, String> {
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
                return Err("a name has more than 255 bytes".to_owned());
            }
        }
        Ok(route)
    }

    pub(super) fn exchange_name(&self) -> &str {
        self.exchange.as_ref().map_or("", |exchange| &exchange.name)
    }

    /// What tells it from other destinations: names may have spaces in them.
    pub(super) fn destination(&self) -> String {
        let exchange = self.exchange_name();
        format!("{} {exchange} {}", exchange.len(), self.key)
    }
}
