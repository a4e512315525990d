//! Consumes the queues of a topology: prefetch, decode, acknowledge, and start again after a
//! loss, under the same names (amqpdriver.py: `RpcAMQPListener`).

use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::stream::{SelectAll, select_all};
use futures_util::{Stream, StreamExt};
use lapin::message::Delivery as AmqpDelivery;
use lapin::options::{
    BasicAckOptions, BasicCancelOptions, BasicConsumeOptions, BasicQosOptions, BasicRejectOptions,
    QueueDeleteOptions,
};
use lapin::types::FieldTable;
use lapin::{Acker, Channel};
use tokio::time::{sleep, timeout};
use tracing::{info, warn};

use super::connection::Connection;
use super::topology::Topology;
use crate::protocol::envelope::{self, EnvelopeError, Message};
use crate::transport::{Delivery, Incoming, Listener, SeenIds, TransportError};

/// The pause before queues are declared again after the broker closed only the channel, so that
/// a lasting conflict does not become a storm of declarations.
const REDECLARE_PAUSE: Duration = Duration::from_secs(1);
/// How long the orderly end of a listener may wait for the broker.
const STOP_TIMEOUT: Duration = Duration::from_secs(5);

pub(super) struct AmqpListener<T> {
    connection: Arc<Connection>,
    topology: Topology,
    prefetch: u16,
    consuming: Option<Consuming>,
    seen: Arc<Mutex<SeenIds>>,
    message: PhantomData<fn() -> T>,
}

/// An open channel and what arrives on it.
struct Consuming {
    channel: Channel,
    arrivals: SelectAll<Arrivals>,
    tags: Vec<String>,
}

type Arrivals = Pin<Box<dyn Stream<Item = Arrival> + Send + Sync>>;

#[expect(clippy::large_enum_variant, reason = "nearly every one is a delivery")]
enum Arrival {
    Delivery(AmqpDelivery),
    /// The channel or the connection broke.
    Broken(lapin::Error),
    /// The broker cancelled the consumer, which it does when the queue was deleted.
    Cancelled,
}

impl<T: Message> AmqpListener<T> {
    pub(super) fn new(connection: Arc<Connection>, topology: Topology, prefetch: u16) -> Self {
        Self {
            connection,
            topology,
            prefetch,
            consuming: None,
            seen: Arc::default(),
            message: PhantomData,
        }
    }

    /// Declares the queues and consumes them.
    pub(super) async fn start(&mut self) -> Result<(), TransportError> {
        let channel = self.connection.channel().await?;
        let consuming = self.consume(channel).await.map_err(|error| {
            if error.is_amqp_error() {
                let queues = self.queue_names();
                TransportError::Refused(format!("RabbitMQ refused the queues {queues}: {error}"))
            } else {
                TransportError::Disconnected(error.into())
            }
        })?;
        self.consuming = Some(consuming);
        Ok(())
    }

    async fn consume(&self, channel: Channel) -> lapin::Result<Consuming> {
        if self.prefetch > 0 {
            let options = BasicQosOptions { global: false };
            channel.basic_qos(self.prefetch, options).await?;
        }
        self.topology.declare(&channel).await?;
        let mut consuming = Consuming {
            channel,
            arrivals: select_all([]),
            tags: Vec::new(),
        };
        for (index, queue) in self.topology.queues.iter().enumerate() {
            // Upstream numbers its consumers from 1 in the order of declaration.
            let tag = (index + 1).to_string();
            let consumer = consuming
                .channel
                .basic_consume(
                    queue.name.as_str().into(),
                    tag.as_str().into(),
                    BasicConsumeOptions::default(),
                    FieldTable::default(),
                )
                .await?;
            let arrivals = consumer
                .map(|next| match next {
                    Ok(delivery) => Arrival::Delivery(delivery),
                    Err(error) => Arrival::Broken(error),
                })
                .chain(futures_util::stream::iter([Arrival::Cancelled]));
            consuming.arrivals.push(Box::pin(arrivals));
            consuming.tags.push(tag);
        }
        Ok(consuming)
    }

    /// Starts again after a loss, however long that takes.
    async fn restart(&mut self) {
        while let Err(error) = self.start().await {
            warn!("Cannot consume {}: {error}", self.queue_names());
            sleep(REDECLARE_PAUSE).await;
        }
        info!("Consuming {} again", self.queue_names());
    }

    fn queue_names(&self) -> String {
        let names: Vec<_> = self
            .topology
            .queues
            .iter()
            .map(|queue| &*queue.name)
            .collect();
        names.join(", ")
    }
}

/// Reads a delivery, or tells why it can never be read.
fn decode<T: Message>(delivery: &AmqpDelivery) -> Result<T, EnvelopeError> {
    let content_type = delivery.properties.content_type();
    match content_type.as_ref().map(|name| name.as_str()) {
        Some("application/json") => envelope::decode(&delivery.data),
        _ => Err(EnvelopeError::ContentType),
    }
}

#[async_trait]
impl<T: Message> Listener<T> for AmqpListener<T> {
    async fn poll(&mut self) -> Incoming<T> {
        loop {
            let Some(consuming) = &mut self.consuming else {
                self.restart().await;
                continue;
            };
            let delivery = match consuming.arrivals.next().await {
                Some(Arrival::Delivery(delivery)) => delivery,
                Some(Arrival::Broken(error)) => {
                    warn!("Lost the consumers of {}: {error}", self.queue_names());
                    self.connection.seems_lost();
                    self.consuming = None;
                    continue;
                }
                Some(Arrival::Cancelled) | None => {
                    warn!(
                        "The broker cancelled a consumer of {}; declaring them again",
                        self.queue_names()
                    );
                    self.consuming = None;
                    continue;
                }
            };
            match decode(&delivery) {
                Ok(message) => {
                    let expiration = delivery.properties.expiration();
                    let expires_in = expiration
                        .as_ref()
                        .and_then(|left_ms| left_ms.as_str().parse().ok())
                        .map(Duration::from_millis);
                    let delivery = Box::new(Unaccepted(delivery.acker));
                    let seen = Arc::clone(&self.seen);
                    return Incoming::new(message, expires_in, delivery, seen);
                }
                Err(error) => {
                    let queue = delivery.routing_key.as_str();
                    warn!(
                        queue.name = queue,
                        "Rejected a message to `{queue}`: {error}"
                    );
                    // A failure here means the channel is gone, which the next arrival tells.
                    let _ = delivery.reject(BasicRejectOptions { requeue: false }).await;
                }
            }
        }
    }

    async fn stop(&mut self) {
        let Some(consuming) = &mut self.consuming else {
            return;
        };
        let stopping = async {
            for tag in &consuming.tags {
                let options = BasicCancelOptions::default();
                consuming
                    .channel
                    .basic_cancel(tag.as_str().into(), options)
                    .await?;
            }
            // After the last cancel nothing more arrives; what is here goes to other hosts.
            while let Some(arrival) = consuming.arrivals.next().await {
                if let Arrival::Delivery(delivery) = arrival {
                    delivery
                        .reject(BasicRejectOptions { requeue: true })
                        .await?;
                }
            }
            lapin::Result::Ok(())
        };
        // If the broker is gone it requeues everything by itself.
        let _ = timeout(STOP_TIMEOUT, stopping).await;
    }

    async fn close(self: Box<Self>) {
        let Some(consuming) = &self.consuming else {
            return;
        };
        let closing = async {
            for queue in self.topology.queues.iter().filter(|queue| queue.owned) {
                let options = QueueDeleteOptions::default();
                consuming
                    .channel
                    .queue_delete(queue.name.as_str().into(), options)
                    .await?;
            }
            consuming.channel.close(200, "OK".into()).await
        };
        // If the broker is gone, `x-expires` does the same, later.
        let _ = timeout(STOP_TIMEOUT, closing).await;
    }
}

/// A delivery that is neither acknowledged nor rejected.
struct Unaccepted(Acker);

#[async_trait]
impl Delivery for Unaccepted {
    async fn accept(self: Box<Self>) -> bool {
        matches!(self.0.ack(BasicAckOptions::default()).await, Ok(true))
    }

    async fn release(self: Box<Self>) {
        // If the channel is gone, the message is back in its queue already.
        let _ = self.0.reject(BasicRejectOptions { requeue: true }).await;
    }
}
