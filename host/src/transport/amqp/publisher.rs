//! Publishes one message on a channel and waits until the broker has it
//! (impl_rabbit.py: `_ensure_publishing`, `direct_send`, `topic_send`, `fanout_send`).

use lapin::options::{BasicPublishOptions, ConfirmSelectOptions};
use lapin::protocol::AMQPSoftError;
use lapin::types::{AMQPValue, FieldTable, ShortString};
use lapin::{BasicProperties, Channel, Confirmation, ErrorKind};

use super::options::Config;
use crate::protocol::compression::{Codec, compressed};
use crate::transport::{BoxError, Destination, Outgoing, TransportError};

/// RabbitMQ refuses longer ones, and closes the channel.
const LONGEST_EXPIRATION_MS: u128 = u32::MAX as u128;

/// Why a message was not taken.
pub(super) enum PublishError {
    /// No queue takes it; holds the routing key.
    Returned(String),
    /// The broker, or AMQP itself, does not allow it: trying again gives the same answer.
    Refused(String),
    /// The broker closed the channel for it, or for a message of somebody else's on it: only one that
    /// is sent alone shows whose.
    Closed(lapin::Error),
    /// The exchange is not there any more: one that is deleted with its last queue.
    ExchangeGone,
    /// The channel is of no further use, or the broker could not take it now. Whoever shares a
    /// channel gets the error that another one caused, so this is no verdict on the message.
    Broken(BoxError),
}

impl From<lapin::Error> for PublishError {
    fn from(error: lapin::Error) -> Self {
        let is_missing_exchange = matches!(error.kind(), ErrorKind::ProtocolError(protocol)
            if protocol.get_id() == AMQPSoftError::NOTFOUND.get_id());
        match error.is_amqp_soft_error() {
            // It is declared again with the next channel.
            true if is_missing_exchange => Self::ExchangeGone,
            true => Self::Closed(error),
            false => Self::Broken(error.into()),
        }
    }
}

impl From<TransportError> for PublishError {
    fn from(error: TransportError) -> Self {
        match error {
            TransportError::Refused(reason) => Self::Refused(reason),
            error => Self::Broken(error.into()),
        }
    }
}

/// Makes the broker confirm what is published on this channel.
pub(super) async fn enable_confirms(channel: &Channel) -> lapin::Result<()> {
    channel
        .confirm_select(ConfirmSelectOptions::default())
        .await
}

/// A mandatory message that reaches no queue comes back as an error.
pub(super) async fn publish(
    channel: &Channel,
    to: &Destination,
    message: &Outgoing,
    config: &Config,
) -> Result<(), PublishError> {
    let fanout_exchange;
    let (exchange, routing_key, mandatory) = match to {
        Destination::Reply { queue } => {
            let mandatory = message.mandatory && config.direct_mandatory_flag;
            ("", queue.clone(), mandatory)
        }
        Destination::Topic {
            exchange,
            topic,
            server: None,
        } => (exchange.as_str(), topic.clone(), message.mandatory),
        Destination::Topic {
            exchange,
            topic,
            server: Some(server),
        } => (
            exchange.as_str(),
            format!("{topic}.{server}"),
            message.mandatory,
        ),
        Destination::Fanout { topic } => {
            fanout_exchange = format!("{topic}_fanout");
            (fanout_exchange.as_str(), String::new(), false)
        }
    };
    let options = BasicPublishOptions {
        mandatory,
        ..BasicPublishOptions::default()
    };
    let codec = config.kombu_compression.codec();
    let confirm = channel
        .basic_publish(
            name(exchange)?,
            name(&routing_key)?,
            options,
            &compressed(codec, &message.body),
            properties(message, codec),
        )
        .await?;
    match confirm.await? {
        Confirmation::Ack(None) | Confirmation::NotRequested => Ok(()),
        Confirmation::Ack(Some(_)) => Err(PublishError::Returned(routing_key)),
        // The broker could not keep it: as good as a lost connection, so it is sent again.
        Confirmation::Nack(_) => Err(PublishError::Broken("the broker could not take it".into())),
    }
}

/// A name as AMQP can carry it.
pub(super) fn name(text: &str) -> Result<ShortString, PublishError> {
    ShortString::try_new(text)
        .map_err(|_| PublishError::Refused("a name has more than 255 bytes".to_owned()))
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
        Some(left) => {
            let ms = left.as_millis().min(LONGEST_EXPIRATION_MS);
            properties.with_expiration(ms.to_string().into())
        }
    }
}
