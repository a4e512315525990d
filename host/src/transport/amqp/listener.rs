//! Consumes the queues of a topology: prefetch, decode, acknowledge, and start again after a
//! loss, under the same names (amqpdriver.py: `RpcAMQPListener`, impl_rabbit.py: `Consumer`).

use std::marker::PhantomData;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use amq_protocol::types::AMQPValue;
use async_trait::async_trait;
use futures_util::future::BoxFuture;
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};
use tracing::{debug, info, warn};

use super::acknowledgements::Acknowledgements;
use super::connection::Connection;
use super::options::Config;
use super::stream_position::StreamPosition;
use super::topology::{DeclareError, Object, Queue, Topology};
use super::wire::{self, Arrival, Channel, Refusal, code};
use crate::protocol::envelope::{self, EnvelopeError, Message};
use crate::transport::{Delivery, Incoming, Listener, SeenIds, TransportError};

/// The first pause before queues are declared again that the broker refused, and by how much it
/// grows: what somebody else has to put right must not become a storm of declarations.
const REDECLARE_PAUSE: Duration = Duration::from_secs(1);
const REDECLARE_GROWTH: Duration = Duration::from_secs(2);
/// How long the orderly end of a listener may wait for the broker.
const STOP_TIMEOUT: Duration = Duration::from_secs(5);
/// How often a connection may be lost while queues are declared, before that is an error.
const LOST_WHILE_DECLARING: u32 = 3;
/// How long a broker that failed inside is left alone then (impl_rabbit.py: `Consumer.declare`).
const BROKER_FAILED_PAUSE: Duration = Duration::from_secs(2);

pub(super) struct AmqpListener<T> {
    connection: Arc<Connection>,
    topology: Topology,
    prefetch: u16,
    longest_pause: Duration,
    consuming: Option<Consuming>,
    /// Of the topology's stream, where it has one.
    position: Arc<Mutex<StreamPosition>>,
    seen: Arc<Mutex<SeenIds>>,
    /// How many listeners of the transport have stopped to consume, for now.
    idle: Arc<AtomicUsize>,
    /// Whether this is one of them.
    is_idle: bool,
    message: PhantomData<fn() -> T>,
}

impl<T> Drop for AmqpListener<T> {
    fn drop(&mut self) {
        self.set_idle(false);
    }
}

/// An open channel and what arrives on it.
struct Consuming {
    channel: Channel,
    acknowledgements: Arc<Acknowledgements>,
    arrivals: mpsc::UnboundedReceiver<Arrival>,
}

/// Upstream numbers its consumers from 1 in the order of declaration.
fn tag(index: usize) -> String {
    (index + 1).to_string()
}

impl<T: Message> AmqpListener<T> {
    pub(super) fn new(
        connection: Arc<Connection>,
        topology: Topology,
        config: &Config,
        duplicate_window: usize,
        idle: &Arc<AtomicUsize>,
    ) -> Self {
        Self {
            connection,
            topology,
            prefetch: config.rabbit_qos_prefetch_count,
            longest_pause: Duration::from_secs(config.rabbit_interval_max.into()),
            consuming: None,
            position: Arc::default(),
            seen: Arc::new(Mutex::new(SeenIds::new(duplicate_window))),
            idle: Arc::clone(idle),
            is_idle: false,
            message: PhantomData,
        }
    }

    /// Declares the queues and consumes them.
    pub(super) async fn start(&mut self) -> Result<(), TransportError> {
        let mut repaired = false;
        let mut rounds = 0;
        loop {
            let channel = self.connection.channel().await?;
            match self.consume(channel).await {
                Ok(consuming) => {
                    self.consuming = Some(consuming);
                    self.set_idle(false);
                    return Ok(());
                }
                // The connection went, perhaps with a broker that is starting or stopping.
                Err(DeclareError { error, .. })
                    if error.refusal().is_none() && rounds < LOST_WHILE_DECLARING =>
                {
                    rounds += 1;
                    debug!("Lost while declaring {}: {error}", self.queue_names());
                    sleep(BROKER_FAILED_PAUSE).await;
                }
                Err(refusal) => {
                    if !self.put_right(&refusal, repaired).await {
                        return Err(self.explain(refusal));
                    }
                    // What does not help once does not help twice, but for the exchanges, which
                    // are made weaker only once each.
                    repaired |= !matches!(refusal.object, Object::Exchange(_));
                }
            }
        }
    }

    async fn consume(&self, channel: Channel) -> Result<Consuming, DeclareError> {
        let all = || Object::Use(self.queue_names());
        let failed = |object| move |error| DeclareError { object, error };
        if self.prefetch > 0 {
            let set = channel.prefetch(self.prefetch).await;
            set.map_err(failed(all()))?;
        }
        self.topology.declare(&channel).await?;
        let arrivals = channel.arrivals();
        for (index, queue) in self.topology.queues.iter().enumerate() {
            let mut arguments = queue.consumer_arguments.clone();
            if queue.is_stream() {
                let offset = StreamPosition::lock(&self.position).start();
                arguments.insert("x-stream-offset".into(), offset);
            }
            let tag = tag(index);
            let consumed = channel.consume(&queue.name, &tag, arguments).await;
            consumed.map_err(failed(Object::Use(queue.name.clone())))?;
        }
        Ok(Consuming {
            acknowledgements: Arc::new(Acknowledgements::new(channel.clone())),
            channel,
            arrivals,
        })
    }

    /// The queue whose consumer has that tag.
    fn queue(&self, consumer: &str) -> Option<&Queue> {
        let mut queues = self.topology.queues.iter().enumerate();
        let found = queues.find(|(index, _)| tag(*index) == consumer);
        found.map(|(_, queue)| queue)
    }

    /// Does about a refusal what upstream does; false where that is nothing.
    async fn put_right(&mut self, refusal: &DeclareError, repaired: bool) -> bool {
        let DeclareError { object, error } = refusal;
        let Some(Refusal { code, text }) = error.refusal() else {
            return false;
        };
        match (*code, object) {
            (code::PRECONDITION_FAILED, Object::Exchange(name))
                if text.contains("inequivalent arg 'durable'") =>
            {
                let changed = self.topology.give_up_durability_of(name);
                if changed {
                    warn!(
                        "The exchange `{name}` exists and does not survive a restart of the \
                         broker: it and its queues are used so, although durable ones are asked for"
                    );
                }
                changed
            }
            // It belongs to a node that is down; only a new one can be consumed.
            (code::NOT_FOUND, Object::Queue(name)) if !repaired => {
                warn!("The queue `{name}` is lost with its node ({error}): making it anew");
                self.delete(name).await;
                true
            }
            // Something went between two steps: all of them once more.
            (code::NOT_FOUND, Object::Use(_)) => !repaired,
            _ => false,
        }
    }

    async fn delete(&self, queue: &str) {
        let Ok(channel) = self.connection.channel().await else {
            return;
        };
        if let Err(error) = channel.delete_queue(queue).await {
            debug!("The queue `{queue}` could not be deleted: {error}");
        }
    }

    fn explain(&self, refusal: DeclareError) -> TransportError {
        let DeclareError { object, error } = refusal;
        if !matches!(error, wire::Error::Channel(_) | wire::Error::Connection(_)) {
            return TransportError::Disconnected(error.into());
        }
        let what = match object {
            Object::Exchange(name) => format!("the exchange `{name}`"),
            Object::Queue(name) => format!("the queue `{name}`"),
            Object::Use(name) => format!("to have the queue `{name}` used"),
        };
        TransportError::Refused(format!("RabbitMQ refused {what}: {error}"))
    }

    /// Starts again after a loss, however long that takes.
    async fn restart(&mut self) {
        let mut pause = REDECLARE_PAUSE.min(self.longest_pause);
        while let Err(error) = self.start().await {
            warn!(
                "Cannot consume {}: {error}; trying again in {} s",
                self.queue_names(),
                pause.as_secs()
            );
            sleep(pause).await;
            pause = (pause + REDECLARE_GROWTH).min(self.longest_pause);
        }
        info!("Consuming {} again", self.queue_names());
    }

    fn queue_names(&self) -> String {
        let names = self.topology.queues.iter().map(|queue| &*queue.name);
        names.collect::<Vec<_>>().join(", ")
    }
}

/// The stream's own number of a delivery, if it comes from a stream.
fn stream_offset(delivery: &wire::Delivery) -> Option<i64> {
    let headers = delivery.properties.headers().as_ref()?;
    match headers.inner().get("x-stream-offset")? {
        AMQPValue::LongLongInt(offset) => Some(*offset),
        AMQPValue::LongInt(offset) => Some((*offset).into()),
        _ => None,
    }
}

/// Reads a delivery, or tells why it can never be read.
fn decode<T: Message>(delivery: &wire::Delivery) -> Result<T, EnvelopeError> {
    let properties = &delivery.properties;
    let content_type = properties.content_type().as_ref();
    let headers = properties.headers().as_ref();
    let compression = match headers.and_then(|headers| headers.inner().get("compression")) {
        Some(AMQPValue::LongString(name)) => Some(String::from_utf8_lossy(name.as_bytes())),
        _ => None,
    };
    let body = envelope::open(
        &delivery.body,
        content_type.map(|name| name.as_str()),
        compression.as_deref(),
    )?;
    envelope::decode(&body)
}

#[async_trait]
impl<T: Message> Listener<T> for AmqpListener<T> {
    async fn poll(&mut self) -> Incoming<T> {
        loop {
            let Some(consuming) = &mut self.consuming else {
                // In a box, as the others below: nearly every message comes without.
                Box::pin(self.restart()).await;
                continue;
            };
            let delivery = match consuming.arrivals.recv().await {
                Some(Arrival::Delivery(delivery)) => delivery,
                Some(Arrival::Ended(error)) => {
                    // A lost connection has its own line, for all who use it.
                    if let Some(refusal) = error.refusal() {
                        warn!(
                            "RabbitMQ closed the channel of {}: {refusal}; opening another",
                            self.queue_names()
                        );
                    }
                    self.stop_consuming();
                    continue;
                }
                Some(Arrival::Cancelled(consumer)) => {
                    warn!(
                        "The broker cancelled a consumer of {}; declaring them again",
                        self.queue_names()
                    );
                    if self.queue(&consumer).is_some_and(Queue::is_stream) {
                        StreamPosition::lock(&self.position).was_cancelled();
                    }
                    Box::pin(self.close_channel()).await;
                    continue;
                }
                None => {
                    self.stop_consuming();
                    continue;
                }
            };
            let offset = stream_offset(&delivery);
            if let Some(offset) = offset {
                StreamPosition::lock(&self.position).arrived(offset);
            }
            let unaccepted = Box::new(Unaccepted {
                acknowledgements: Arc::clone(&consuming.acknowledgements),
                tag: delivery.tag,
                stream: offset.map(|offset| (Arc::clone(&self.position), offset)),
            });
            match decode(&delivery) {
                Ok(message) => {
                    let expiration = delivery.properties.expiration();
                    let expires_in = expiration
                        .as_ref()
                        .and_then(|left_ms| left_ms.as_str().parse().ok())
                        .map(Duration::from_millis);
                    let seen = Arc::clone(&self.seen);
                    return Incoming::new(message, expires_in, unaccepted, seen);
                }
                Err(error) => {
                    let consumer = delivery.consumer.as_str();
                    let queue = self.queue(consumer).map_or("", |queue| &queue.name);
                    warn!(
                        queue.name = queue,
                        "Rejected a message to `{queue}`: {error}"
                    );
                    Box::pin(unaccepted.reject()).await;
                }
            }
        }
    }

    async fn stop(&mut self) {
        let Some(consuming) = &mut self.consuming else {
            return;
        };
        let stopping = async {
            for index in 0..self.topology.queues.len() {
                consuming.channel.cancel(&tag(index)).await?;
            }
            // After the last cancel nothing more arrives; what is here goes to other hosts.
            while let Ok(arrival) = consuming.arrivals.try_recv() {
                if let Arrival::Delivery(delivery) = arrival {
                    consuming.acknowledgements.reject(delivery.tag, true).await;
                }
            }
            Ok::<_, wire::Error>(())
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
                consuming.channel.delete_queue(&queue.name).await?;
            }
            consuming.channel.close().await
        };
        // If the broker is gone, `x-expires` does the same, later.
        let _ = timeout(STOP_TIMEOUT, closing).await;
    }
}

impl<T> AmqpListener<T> {
    /// Consumes no longer; what was open is given back.
    fn stop_consuming(&mut self) -> Option<Consuming> {
        let consuming = self.consuming.take()?;
        self.set_idle(true);
        Some(consuming)
    }

    fn set_idle(&mut self, idle: bool) {
        match (self.is_idle, idle) {
            (false, true) => self.idle.fetch_add(1, Ordering::Relaxed),
            (true, false) => self.idle.fetch_sub(1, Ordering::Relaxed),
            _ => return,
        };
        self.is_idle = idle;
    }

    /// Gives up a channel on which only some consumers are left.
    async fn close_channel(&mut self) {
        if let Some(consuming) = self.stop_consuming() {
            // If it cannot be closed it is gone already.
            let _ = timeout(STOP_TIMEOUT, consuming.channel.close()).await;
        }
    }
}

/// A delivery that is neither acknowledged nor rejected.
struct Unaccepted {
    /// Of the channel that it came by.
    acknowledgements: Arc<Acknowledgements>,
    tag: u64,
    /// Of one from a stream: where the stream is to go on, and the delivery's place in it.
    stream: Option<(Arc<Mutex<StreamPosition>>, i64)>,
}

impl Unaccepted {
    /// A copy of it would not be better.
    async fn reject(self) {
        // A failure here means the channel is gone, which the next arrival tells.
        if self.acknowledgements.reject(self.tag, false).await {
            self.is_done_with();
        }
    }

    fn is_done_with(&self) {
        if let Some((position, offset)) = &self.stream {
            StreamPosition::lock(position).done(*offset);
        }
    }
}

#[async_trait]
impl Delivery for Unaccepted {
    fn accept(self: Box<Self>) -> BoxFuture<'static, bool> {
        let acknowledged = self.acknowledgements.acknowledge(self.tag);
        Box::pin(async move {
            let accepted = acknowledged.await;
            if accepted {
                self.is_done_with();
            }
            accepted
        })
    }

    async fn release(self: Box<Self>) {
        // If the channel is gone, the message is back in its queue already.
        self.acknowledgements.reject(self.tag, true).await;
    }
}
