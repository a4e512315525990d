//! A broker inside the process, for development, demonstrations and fast tests.
//!
//! Bodies are encoded and decoded as for RabbitMQ, and queues behave alike: one message goes to
//! one consumer of a queue, expires where it waits too long, and goes back if it is released.

use std::collections::{HashMap, VecDeque};
use std::future::ready;
use std::marker::PhantomData;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use futures_util::future::BoxFuture;
use tokio::sync::Notify;
use tracing::warn;
use uuid::Uuid;

use super::{
    Delivery, Destination, Incoming, Listener, Outgoing, SeenIds, Transport, TransportError,
};
use crate::protocol::envelope::{self, Message};
use crate::protocol::reply::Reply;
use crate::protocol::request::Request;
use crate::protocol::target::ServerTarget;

/// The most messages a queue holds. A sender that finds it full is told so.
const QUEUE_CAPACITY: usize = 10_000;

/// The transport behind `memory://`.
#[derive(Clone)]
pub struct MemoryTransport {
    broker: Arc<Broker>,
    duplicate_window: usize,
}

impl MemoryTransport {
    /// A broker of its own. A listener knows the last `duplicate_window` messages by their ids.
    pub fn new(duplicate_window: usize) -> Self {
        Self {
            broker: Arc::default(),
            duplicate_window,
        }
    }

    fn listener<T>(&self, queues: Vec<String>, owned: Vec<String>) -> MemoryListener<T> {
        MemoryListener {
            broker: Arc::clone(&self.broker),
            queues,
            owned,
            seen: Arc::new(Mutex::new(SeenIds::new(self.duplicate_window))),
            message: PhantomData,
        }
    }
}

#[async_trait]
impl Transport for MemoryTransport {
    async fn listen(
        &self,
        target: &ServerTarget,
    ) -> Result<Box<dyn Listener<Request>>, TransportError> {
        let topic = target.topic.clone();
        let directed = format!("{topic}.{}", target.server);
        let fanout = format!("{topic}_fanout_{}", Uuid::new_v4().simple());
        let mut state = self.broker.state();
        for queue in [&topic, &directed, &fanout] {
            state.queues.entry(queue.clone()).or_default();
        }
        for queue in [&topic, &directed] {
            let key = (target.exchange.clone(), queue.clone());
            state.bindings.insert(key, queue.clone());
        }
        let fanouts = state.fanouts.entry(topic.clone()).or_default();
        fanouts.push(fanout.clone());
        drop(state);
        let owned = vec![fanout.clone()];
        Ok(Box::new(
            self.listener(vec![topic, directed, fanout], owned),
        ))
    }

    fn reply_queue(&self) -> String {
        format!("reply_{}", Uuid::new_v4().simple())
    }

    async fn listen_replies(
        &self,
        queue: &str,
    ) -> Result<Box<dyn Listener<Reply>>, TransportError> {
        let queues = vec![queue.to_owned()];
        self.broker
            .state()
            .queues
            .entry(queue.to_owned())
            .or_default();
        Ok(Box::new(self.listener(queues.clone(), queues)))
    }

    async fn connect(
        &self,
        _retries: Option<u32>,
        _deadline: Instant,
    ) -> Result<(), TransportError> {
        Ok(())
    }

    async fn send(&self, to: &Destination, message: Arc<Outgoing>) -> Result<(), TransportError> {
        let put = self.broker.state().put(to, &message);
        match put {
            Err(TransportError::Undeliverable(_)) if !message.mandatory => return Ok(()),
            put => put?,
        }
        self.broker.arrived.notify_waiters();
        Ok(())
    }

    fn is_connected(&self) -> bool {
        true
    }

    async fn close(&self) {}
}

#[derive(Default)]
struct Broker {
    state: Mutex<BrokerState>,
    /// Something was put into some queue.
    arrived: Notify,
}

#[derive(Default)]
struct BrokerState {
    queues: HashMap<String, VecDeque<Stored>>,
    /// Exchange and routing key to queue.
    bindings: HashMap<(String, String), String>,
    /// Topic to the fanout queues of its servers.
    fanouts: HashMap<String, Vec<String>>,
}

struct Stored {
    body: Vec<u8>,
    expires_at: Option<Instant>,
}

impl BrokerState {
    fn put(&mut self, to: &Destination, message: &Outgoing) -> Result<(), TransportError> {
        for name in self.route(to)? {
            let Some(queue) = self.queues.get_mut(&name) else {
                return Err(TransportError::Undeliverable(name));
            };
            if queue.len() >= QUEUE_CAPACITY {
                return Err(TransportError::QueueFull(name));
            }
            queue.push_back(Stored {
                body: message.body.clone(),
                expires_at: message
                    .expires_in
                    .and_then(|left| Instant::now().checked_add(left)),
            });
        }
        Ok(())
    }

    /// The queues that take a message; only a fanout may have none.
    fn route(&self, to: &Destination) -> Result<Vec<String>, TransportError> {
        match to {
            Destination::Reply { queue } => Ok(vec![queue.clone()]),
            Destination::Fanout { topic } => {
                Ok(self.fanouts.get(topic).cloned().unwrap_or_default())
            }
            Destination::Topic {
                exchange,
                topic,
                server,
            } => {
                let key = match server {
                    Some(server) => format!("{topic}.{server}"),
                    None => topic.clone(),
                };
                match self.bindings.get(&(exchange.clone(), key.clone())) {
                    Some(queue) => Ok(vec![queue.clone()]),
                    None => Err(TransportError::Undeliverable(key)),
                }
            }
        }
    }

    fn delete(&mut self, queue: &str) {
        self.queues.remove(queue);
        for queues in self.fanouts.values_mut() {
            queues.retain(|name| name != queue);
        }
    }
}

impl Broker {
    fn state(&self) -> MutexGuard<'_, BrokerState> {
        // A queue is never left half changed, so a panic elsewhere does not spoil it.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The first message of the first of `names` that has one.
    fn take(&self, names: &[String]) -> Option<(String, Stored)> {
        let mut state = self.state();
        let now = Instant::now();
        for name in names {
            let Some(queue) = state.queues.get_mut(name) else {
                continue;
            };
            while let Some(stored) = queue.pop_front() {
                if stored.expires_at.is_none_or(|at| at > now) {
                    return Some((name.clone(), stored));
                }
            }
        }
        None
    }
}

struct MemoryListener<T> {
    broker: Arc<Broker>,
    queues: Vec<String>,
    /// Those of its queues that end with it.
    owned: Vec<String>,
    seen: Arc<Mutex<SeenIds>>,
    message: PhantomData<fn() -> T>,
}

#[async_trait]
impl<T: Message> Listener<T> for MemoryListener<T> {
    async fn poll(&mut self) -> Incoming<T> {
        loop {
            let arrived = self.broker.arrived.notified();
            let Some((queue, stored)) = self.broker.take(&self.queues) else {
                arrived.await;
                continue;
            };
            match envelope::decode(&stored.body) {
                Ok(message) => {
                    let left = |at: Instant| at.saturating_duration_since(Instant::now());
                    let expires_in: Option<Duration> = stored.expires_at.map(left);
                    let delivery = Box::new(MemoryDelivery {
                        broker: Arc::clone(&self.broker),
                        queue,
                        stored,
                    });
                    let seen = Arc::clone(&self.seen);
                    return Incoming::new(message, expires_in, delivery, seen);
                }
                Err(error) => {
                    warn!(queue.name = %queue, "Rejected a message: {error}");
                }
            }
        }
    }

    async fn stop(&mut self) {}

    async fn close(self: Box<Self>) {
        let mut state = self.broker.state();
        for queue in &self.owned {
            state.delete(queue);
        }
    }
}

struct MemoryDelivery {
    broker: Arc<Broker>,
    queue: String,
    stored: Stored,
}

#[async_trait]
impl Delivery for MemoryDelivery {
    fn accept(self: Box<Self>) -> BoxFuture<'static, bool> {
        Box::pin(ready(true))
    }

    async fn release(self: Box<Self>) {
        if let Some(queue) = self.broker.state().queues.get_mut(&self.queue) {
            queue.push_front(self.stored);
        }
        self.broker.arrived.notify_waiters();
    }
}
