//! A caller that writes and reads bytes, for what no well-behaved client would send.

use std::collections::HashMap;
use std::time::Duration;

use futures_util::StreamExt;
use lapin::message::Delivery;
use lapin::options::{
    BasicAckOptions, BasicConsumeOptions, BasicGetOptions, BasicPublishOptions,
    ConfirmSelectOptions, ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions,
};
use lapin::types::FieldTable;
use lapin::{BasicProperties, Channel, Connection, ConnectionProperties, Consumer, ExchangeKind};
use serde_json::{Value, json};
use tokio::runtime::{Builder, Runtime};
use tokio::time::timeout;

use super::unique;

/// How long anything may take that is expected to happen.
const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) struct Wire {
    runtime: Runtime,
    connection: Connection,
    channel: Channel,
    replies: Consumer,
    pub(crate) reply_queue: String,
}

impl Wire {
    pub(crate) fn connect(port: u16) -> Self {
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build();
        let runtime = runtime.expect("a runtime");
        let reply_queue = unique("wire-replies");
        let (connection, channel, replies) = runtime.block_on(async {
            let url = format!("amqp://guest:guest@127.0.0.1:{port}/%2f");
            let options = ConnectionProperties::default();
            let connection = Connection::connect(&url, options)
                .await
                .expect("a connection");
            let channel = connection.create_channel().await.expect("a channel");
            channel
                .confirm_select(ConfirmSelectOptions::default())
                .await
                .expect("confirms");
            let (name, options) = (reply_queue.as_str(), QueueDeclareOptions::default());
            let table = FieldTable::default();
            channel
                .queue_declare(name.into(), options, table.clone())
                .await
                .expect("a queue");
            let options = BasicConsumeOptions::default();
            let replies = channel
                .basic_consume(name.into(), "".into(), options, table)
                .await;
            (connection, channel, replies.expect("a consumer"))
        });
        Self {
            runtime,
            connection,
            channel,
            replies,
            reply_queue,
        }
    }

    /// Publishes a body as JSON.
    pub(crate) fn publish(&self, exchange: &str, key: &str, body: &[u8]) {
        let json = BasicProperties::default().with_content_type("application/json".into());
        self.publish_as(exchange, key, body, json);
    }

    pub(crate) fn publish_as(
        &self,
        exchange: &str,
        key: &str,
        body: &[u8],
        properties: BasicProperties,
    ) {
        self.runtime.block_on(async {
            let options = BasicPublishOptions::default();
            let publishing =
                self.channel
                    .basic_publish(exchange.into(), key.into(), options, body, properties);
            publishing.await.expect("sent").await.expect("confirmed");
        });
    }

    /// The next message to the reply queue.
    #[track_caller]
    pub(crate) fn next_delivery(&mut self) -> Delivery {
        let next = self.try_next(PATIENCE);
        next.expect("a reply")
    }

    /// The next message, if one comes within `patience`.
    pub(crate) fn try_next(&mut self, patience: Duration) -> Option<Delivery> {
        self.runtime.block_on(async {
            let next = timeout(patience, self.replies.next()).await.ok()?;
            let delivery = next.expect("the consumer goes on").expect("a delivery");
            delivery
                .ack(BasicAckOptions::default())
                .await
                .expect("acknowledged");
            Some(delivery)
        })
    }

    /// The message in the next reply's envelope.
    #[track_caller]
    pub(crate) fn next_reply(&mut self) -> Value {
        message_of(&self.next_delivery().data)
    }

    /// Sends one call and gives the message of its reply. An earlier one may come twice, if the
    /// broker was lost before it confirmed it.
    #[track_caller]
    pub(crate) fn call(&mut self, exchange: &str, key: &str, mut message: Value) -> Value {
        let id = json!(unique("m"));
        message["_msg_id"] = id.clone();
        message["_reply_q"] = json!(self.reply_queue);
        message["_unique_id"] = json!(unique("u"));
        self.publish(exchange, key, &envelope(&message));
        loop {
            let reply = self.next_reply();
            if reply["_msg_id"] == id {
                return reply;
            }
        }
    }

    /// Sends `count` calls of `method` with `in_flight` of them under way, each with its number as
    /// `value`, and gives how often each number came back.
    pub(crate) fn flood(
        &mut self,
        exchange: &str,
        key: &str,
        count: usize,
        in_flight: usize,
    ) -> HashMap<u64, usize> {
        let mut seen = HashMap::new();
        let run = unique("flood");
        let (mut sent, mut received) = (0, 0);
        let json_type = BasicProperties::default().with_content_type("application/json".into());
        self.runtime.block_on(async {
            while received < count {
                while sent < count && sent - received < in_flight {
                    let body = envelope(&json!({
                        "method": "echo", "args": {"value": sent}, "version": "1.4",
                        "_msg_id": sent.to_string(), "_reply_q": self.reply_queue,
                        "_unique_id": format!("{run}-{sent}"),
                    }));
                    let publishing = self.channel.basic_publish(
                        exchange.into(),
                        key.into(),
                        BasicPublishOptions::default(),
                        &body,
                        json_type.clone(),
                    );
                    drop(publishing.await.expect("sent"));
                    sent += 1;
                }
                let next = timeout(PATIENCE, self.replies.next()).await;
                let next = next.unwrap_or_else(|_| panic!("{received} of {count} came back"));
                let delivery = next.expect("the consumer goes on").expect("a delivery");
                delivery
                    .ack(BasicAckOptions::default())
                    .await
                    .expect("acknowledged");
                let reply = message_of(&delivery.data);
                assert_eq!(reply["failure"], Value::Null, "{reply}");
                *seen
                    .entry(reply["result"].as_u64().expect("its number"))
                    .or_insert(0) += 1;
                received += 1;
            }
        });
        seen
    }

    /// Makes a queue that nobody consumes, bound to an exchange under its own name; to none if the
    /// exchange's name is empty.
    pub(crate) fn make_queue(&self, exchange: &str, queue: &str) {
        self.with_channel(async |channel| {
            let name = || queue.into();
            let options = QueueDeclareOptions::default();
            let made = channel.queue_declare(name(), options, FieldTable::default());
            made.await.expect("made");
            if !exchange.is_empty() {
                let table = FieldTable::default();
                let bound = channel.queue_bind(
                    name(),
                    exchange.into(),
                    name(),
                    QueueBindOptions::default(),
                    table,
                );
                bound.await.expect("bound");
            }
        });
    }

    /// Has this caller's own queue get what is sent to a topic.
    pub(crate) fn take_over(&self, exchange: &str, topic: &str) {
        self.with_channel(async |channel| {
            let bound = channel.queue_bind(
                self.reply_queue.as_str().into(),
                exchange.into(),
                topic.into(),
                QueueBindOptions::default(),
                FieldTable::default(),
            );
            bound.await.expect("bound");
        });
    }

    /// Answers a call that was delivered: adds its id and publishes the reply.
    pub(crate) fn reply_to(&self, call: &Delivery, mut reply: Value) {
        let call = message_of(&call.data);
        reply["_msg_id"] = call["_msg_id"].clone();
        let queue = call["_reply_q"].as_str().expect("a reply queue");
        self.publish("", queue, &envelope(&reply));
    }

    /// Makes a queue that nobody consumes, bound to the fanout exchange of a topic.
    pub(crate) fn make_fanout_queue(&self, exchange: &str, queue: &str) {
        self.make_queue("", queue);
        self.with_channel(async |channel| {
            let options = ExchangeDeclareOptions {
                auto_delete: true,
                ..ExchangeDeclareOptions::default()
            };
            let table = FieldTable::default;
            let kind = ExchangeKind::Fanout;
            let made = channel.exchange_declare(exchange.into(), kind, options, table());
            made.await.expect("made");
            let options = QueueBindOptions::default();
            let bound =
                channel.queue_bind(queue.into(), exchange.into(), "".into(), options, table());
            bound.await.expect("bound");
        });
    }

    /// The first message of a queue, if there is one.
    pub(crate) fn take(&self, queue: &str) -> Option<Delivery> {
        self.with_channel(async |channel| {
            let options = BasicGetOptions { no_ack: true };
            let message = channel.basic_get(queue.into(), options).await;
            Some(message.expect("asked")?.delivery)
        })
    }

    /// Runs something on a channel of its own.
    pub(crate) fn with_channel<R>(&self, act: impl AsyncFnOnce(Channel) -> R) -> R {
        self.runtime.block_on(async {
            let channel = self.connection.create_channel().await.expect("a channel");
            act(channel).await
        })
    }
}

/// The body of a message in envelope 2.0.
pub(crate) fn envelope(message: &Value) -> Vec<u8> {
    let message = message.to_string();
    json!({"oslo.version": "2.0", "oslo.message": message})
        .to_string()
        .into_bytes()
}

/// The message in an envelope.
#[track_caller]
pub(crate) fn message_of(body: &[u8]) -> Value {
    let outer: Value = serde_json::from_slice(body).expect("JSON");
    assert_eq!(outer["oslo.version"], "2.0");
    let inner = outer["oslo.message"].as_str().expect("text");
    serde_json::from_str(inner).expect("JSON")
}
