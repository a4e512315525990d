//! Calls of plugins to what this host serves itself: they go straight to the endpoint.
//!
//! Through the broker such a call would wait behind everything that is in the topic's queue, while its
//! caller waits for it: with enough callers, for ever. What has no reply is not waited for, and goes
//! through the broker, as does what no endpoint here has.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Instant;

use async_trait::async_trait;
use tokio::sync::watch;
use uuid::Uuid;

use super::dispatcher;
use super::executor::Executor;
use crate::endpoint::Endpoints;
use crate::outbound::{Message, Outbound, OutboundError, Recipients};
use crate::protocol::json::Json;
use crate::protocol::request::{Namespace, Request, received_context};
use crate::protocol::target::{RequestedVersion, ServerTarget};

/// What plugins send, either to endpoints here or to others.
pub struct LocalServers {
    others: Arc<dyn Outbound>,
    /// By topic.
    served: RwLock<HashMap<String, Served>>,
}

#[derive(Clone)]
struct Served {
    target: ServerTarget,
    endpoints: watch::Receiver<Endpoints>,
    executor: Arc<Executor>,
}

impl LocalServers {
    /// Until topics are added, everything goes to `others`.
    pub fn new(others: Arc<dyn Outbound>) -> Self {
        Self {
            others,
            served: RwLock::default(),
        }
    }

    /// From now on, calls to this target are answered here.
    pub fn add(
        &self,
        target: ServerTarget,
        endpoints: watch::Receiver<Endpoints>,
        executor: Arc<Executor>,
    ) {
        let topic = target.topic.clone();
        let served = Served {
            target,
            endpoints,
            executor,
        };
        let mut all = self.served.write().unwrap_or_else(PoisonError::into_inner);
        all.insert(topic, served);
    }

    /// From now on, calls to this topic go to others.
    pub fn remove(&self, topic: &str) {
        let mut all = self.served.write().unwrap_or_else(PoisonError::into_inner);
        all.remove(topic);
    }

    /// Who serves it here, whatever its version and method.
    fn server_of(&self, message: &Message<'_>) -> Option<Served> {
        let all = self.served.read().unwrap_or_else(PoisonError::into_inner);
        let served = all.get(message.topic)?;
        let is_meant = match message.to {
            Recipients::Any => true,
            Recipients::Server(server) => server == served.target.server,
            Recipients::All => false,
        };
        is_meant.then(|| served.clone())
    }
}

#[async_trait]
impl Outbound for LocalServers {
    async fn call(&self, message: Message<'_>) -> Result<Json, OutboundError> {
        let Some(served) = self.server_of(&message) else {
            return self.others.call(message).await;
        };
        let request = Request {
            namespace: match message.namespace {
                Some(name) => Namespace::Named(name.to_owned()),
                None => Namespace::Null,
            },
            version: RequestedVersion::Text(message.version.unwrap_or("1.0").to_owned()),
            method: Some(message.method.to_owned()),
            args: Ok(message.args.to_owned()),
            context: received_context(message.context)
                .map_err(|error| OutboundError::Invalid(error.to_string()))?,
            depth: message.depth,
            reply_to: None,
            heartbeat_every: None,
            unique_id: Some(Uuid::new_v4().simple().to_string()),
        };
        let endpoints = served.endpoints.borrow().clone();
        if dispatcher::resolve(&endpoints, &request).is_err() {
            // Another server of the topic may have it.
            return self.others.call(message).await;
        }
        let topic = &served.target.topic;
        let answering = served
            .executor
            .answer_here(topic, endpoints, request, message.deadline);
        match answering.await {
            Some(Ok(result)) => Ok(result),
            // What its end by the deadline left behind is no answer.
            Some(Err(_)) if message.deadline <= Instant::now() => Err(OutboundError::TimedOut),
            Some(Err(failure)) => Err(OutboundError::Remote(failure)),
            None => Err(OutboundError::TimedOut),
        }
    }

    async fn cast(&self, message: Message<'_>) -> Result<(), OutboundError> {
        self.others.cast(message).await
    }

    fn exchange(&self) -> &str {
        self.others.exchange()
    }
}
