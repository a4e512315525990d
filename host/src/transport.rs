//! The seam to whatever carries messages: RabbitMQ, or a broker inside the process.

pub mod amqp;
pub mod memory;
pub mod open;
pub mod url;

use std::collections::{HashSet, VecDeque};
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use futures_util::future::BoxFuture;

use crate::protocol::envelope::Message;
use crate::protocol::reply::Reply;
use crate::protocol::request::Request;
use crate::protocol::target::ServerTarget;

/// Carries messages to and from queues.
#[async_trait]
pub trait Transport: Send + Sync {
    /// Declares the three queues of `target` and starts to consume them.
    async fn listen(
        &self,
        target: &ServerTarget,
    ) -> Result<Box<dyn Listener<Request>>, TransportError>;

    /// A name for a reply queue of this process's own.
    fn reply_queue(&self) -> String;

    /// Declares a reply queue and starts to consume it.
    async fn listen_replies(&self, queue: &str)
    -> Result<Box<dyn Listener<Reply>>, TransportError>;

    /// Makes sure that messages can be sent: connects if need be, with `retries` as a message has
    /// them.
    async fn connect(&self, retries: Option<u32>, deadline: Instant) -> Result<(), TransportError>;

    /// Sends one message and returns once it is safe with the broker.
    async fn send(&self, to: &Destination, message: Arc<Outgoing>) -> Result<(), TransportError>;

    /// Whether the broker is there and every listener consumes, as far as is known.
    fn is_connected(&self) -> bool;

    /// Lets go of the broker; everything else ends first.
    async fn close(&self);
}

/// Consumes the queues it was made for, and goes on doing so when the broker is lost and found.
#[async_trait]
pub trait Listener<T>: Send {
    /// The next message that can be read, however long it takes to come or to find the broker
    /// again. What cannot be read is rejected on the way, without requeueing.
    ///
    /// Dropping the future loses nothing.
    async fn poll(&mut self) -> Incoming<T>;

    /// Stops consuming, and releases what arrived and was not polled.
    async fn stop(&mut self);

    /// Deletes the queues that are of no use without this listener.
    async fn close(self: Box<Self>);
}

/// A message that was polled: to be accepted and served, or to be released.
pub struct Incoming<T> {
    pub message: T,
    /// When its sender stops waiting: its expiration, counted from its arrival here.
    pub deadline: Option<Instant>,
    delivery: Box<dyn Delivery>,
    seen: Arc<Mutex<SeenIds>>,
}

/// The broker's side of one message.
#[async_trait]
pub trait Delivery: Send {
    /// Takes the message off its queue; false if the broker was lost before it knew. All that are asked for
    /// before the first of them is polled may go together, so what is asked for is to be polled, and not
    /// dropped. Each is polled first by the task that polls the listener, and may go on elsewhere.
    fn accept(self: Box<Self>) -> BoxFuture<'static, bool>;

    /// Puts the message back into its queue, for this host or another.
    async fn release(self: Box<Self>);
}

impl<T: Message> Incoming<T> {
    pub fn new(
        message: T,
        expires_in: Option<Duration>,
        delivery: Box<dyn Delivery>,
        seen: Arc<Mutex<SeenIds>>,
    ) -> Self {
        Self {
            message,
            // An expiration too far away to be counted is none.
            deadline: expires_in.and_then(|left| Instant::now().checked_add(left)),
            delivery,
            seen,
        }
    }

    /// Takes the message off its queue, as [`Delivery::accept`] does. Only what is `Accepted::Served` may be
    /// served.
    pub fn accept(self) -> impl Future<Output = (T, Accepted)> + Send + use<T> {
        let taken = self.delivery.accept();
        let (message, seen) = (self.message, self.seen);
        async move {
            if !taken.await {
                return (message, Accepted::Lost);
            }
            let first = message.unique_id().is_none_or(|id| {
                let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
                seen.insert(id)
            });
            let accepted = match first {
                true => Accepted::Served,
                false => Accepted::Duplicate,
            };
            (message, accepted)
        }
    }

    /// The message and its acknowledgement apart, for what it does no harm to have twice: it is not
    /// remembered.
    pub fn split(self) -> (T, BoxFuture<'static, bool>) {
        (self.message, self.delivery.accept())
    }

    /// Puts the message back into its queue.
    pub async fn release(self) {
        self.delivery.release().await;
    }
}

/// What became of a message when it was accepted.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Accepted {
    /// It is ours.
    Served,
    /// It was accepted before; this copy is dropped.
    Duplicate,
    /// The broker was lost before it knew; it will deliver the message again.
    Lost,
}

/// Where a message goes (`impl_rabbit.py`: `topic_send`, `fanout_send`, `direct_send`).
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Destination {
    /// Any server of a topic, or one of them.
    Topic {
        exchange: String,
        topic: String,
        server: Option<String>,
    },
    /// Every server of a topic, of whichever exchange.
    Fanout { topic: String },
    /// A reply queue.
    Reply { queue: String },
}

/// A message on its way out.
#[derive(Clone, Debug)]
pub struct Outgoing {
    pub body: Vec<u8>,
    /// How long it is of use in a queue; for calls.
    pub expires_in: Option<Duration>,
    /// Whether it is an error if no queue takes it. A fanout may always have nobody to reach.
    pub mandatory: bool,
    /// How often it is tried again after connecting or publishing failed; `None` is as often as there
    /// is time.
    pub retries: Option<u32>,
    /// When to give up sending it, whatever is left of the retries.
    pub deadline: Instant,
}

/// Any error, as a cause.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Why a message could not be carried. The seam names no broker crate.
#[derive(Debug, thiserror::Error)]
pub enum TransportError {
    /// Trying again cannot help before somebody changes something.
    #[error("{0}")]
    Refused(String),
    /// Dialled as often as was allowed, or until the deadline; says what happened the last time.
    #[error("{0}")]
    Unreachable(String),
    #[error("the broker was lost on the way: {0}")]
    Disconnected(#[source] BoxError),
    #[error("queue `{0}` does not exist")]
    Undeliverable(String),
    #[error("the connection to the broker was closed on this side")]
    Closed,
    #[error("the broker took no message in time")]
    TimedOut,
    #[error("queue `{0}` is full")]
    QueueFull(String),
}

/// The last ids of messages, to drop those that arrive twice (amqpdriver.py: `_MsgIdCache`).
///
/// A message counts as seen when it was acknowledged, not before: one whose acknowledgement was
/// lost is delivered again, and is then served. A keyed hash stands for each id, so that what
/// senders choose as ids neither takes memory nor collides on purpose.
#[derive(Debug)]
pub struct SeenIds {
    capacity: usize,
    order: VecDeque<u64>,
    hashes: HashSet<u64>,
    key: RandomState,
}

impl SeenIds {
    /// Remembers the last `capacity` ids; upstream has 16.
    pub fn new(capacity: usize) -> Self {
        Self {
            capacity,
            order: VecDeque::new(),
            hashes: HashSet::new(),
            key: RandomState::new(),
        }
    }

    /// Remembers `id`; false if it was remembered already, which does not refresh its place.
    pub fn insert(&mut self, id: &str) -> bool {
        let hash = self.key.hash_one(id);
        if !self.hashes.insert(hash) {
            return false;
        }
        self.order.push_back(hash);
        if self.order.len() > self.capacity
            && let Some(oldest) = self.order.pop_front()
        {
            self.hashes.remove(&oldest);
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_known_until_enough_others_came() {
        let mut seen = SeenIds::new(16);
        assert!(seen.insert("first"));
        for other in 1..16 {
            assert!(seen.insert(&other.to_string()));
        }
        assert!(!seen.insert("first"));
        assert!(seen.insert("one more"));
        assert!(seen.insert("first"), "it is the oldest and was forgotten");
    }
}
