//! The least that a server on lapin can do: consume a queue, read each request just as far as its reply
//! needs, acknowledge it, and publish a reply with a fixed result. No pool, no dispatch, no confirms, no
//! acknowledgement waited for. It bounds what any server on this client library can reach.
//!
//! Usage: lapin-echo AMQP-URL EXCHANGE TOPIC. Prints `ready` once it consumes.

use std::borrow::Cow;

use anyhow::Context;
use futures_util::StreamExt;
use lapin::options::{
    BasicAckOptions, BasicConsumeOptions, BasicPublishOptions, ExchangeDeclareOptions,
    QueueBindOptions, QueueDeclareOptions,
};
use lapin::types::FieldTable;
use lapin::{BasicProperties, Connection, ConnectionProperties, ExchangeKind};
use serde::Deserialize;
use uuid::Uuid;

#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(rename = "oslo.message", borrow)]
    message: Cow<'a, str>,
}

#[derive(Deserialize)]
struct Request<'a> {
    #[serde(rename = "_msg_id")]
    id: &'a str,
    #[serde(rename = "_reply_q")]
    reply_to: &'a str,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let mut next = || {
        arguments
            .next()
            .context("usage: lapin-echo URL EXCHANGE TOPIC")
    };
    let (url, exchange, topic) = (next()?, next()?, next()?);
    let connection = Connection::connect(&url, ConnectionProperties::default()).await?;
    let channel = connection.create_channel().await?;
    let exchange = exchange.as_str();
    channel
        .exchange_declare(
            exchange.into(),
            ExchangeKind::Topic,
            ExchangeDeclareOptions::default(),
            FieldTable::default(),
        )
        .await?;
    let topic = topic.as_str();
    let declared = QueueDeclareOptions::default();
    channel
        .queue_declare(topic.into(), declared, FieldTable::default())
        .await?;
    channel
        .queue_bind(
            topic.into(),
            exchange.into(),
            topic.into(),
            QueueBindOptions::default(),
            FieldTable::default(),
        )
        .await?;
    let mut deliveries = channel
        .basic_consume(
            topic.into(),
            "echo".into(),
            BasicConsumeOptions::default(),
            FieldTable::default(),
        )
        .await?;
    println!("ready");
    while let Some(delivery) = deliveries.next().await {
        let delivery = delivery?;
        delivery.ack(BasicAckOptions::default()).await?;
        let envelope: Envelope = serde_json::from_slice(&delivery.data)?;
        let request: Request = serde_json::from_str(&envelope.message)?;
        let reply = format!(
            r#"{{"oslo.version": "2.0", "oslo.message": "{{\"result\": \"alive\", \"failure\": null, \"ending\": true, \"_msg_id\": \"{}\", \"_unique_id\": \"{}\"}}"}}"#,
            request.id,
            Uuid::new_v4().simple()
        );
        let properties = BasicProperties::default()
            .with_content_type("application/json".into())
            .with_content_encoding("utf-8".into())
            .with_delivery_mode(2);
        channel
            .basic_publish(
                "".into(),
                request.reply_to.into(),
                BasicPublishOptions::default(),
                reply.as_bytes(),
                properties,
            )
            .await?;
    }
    Ok(())
}
