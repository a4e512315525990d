//! One reply queue for all calls of a transport: each reply finds its caller by message id
//! (amqpdriver.py: `ReplyWaiter`).

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, oneshot, watch};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};
use uuid::Uuid;

use crate::protocol::envelope::{RemoteFailure, Reply};
use crate::protocol::json::Json;
use crate::transport::{Accepted, Transport};

/// Calls that may wait at the same time.
const WAITING_CALLS: usize = 100_000;
/// The pause before a reply queue that could not be declared is tried again.
const RETRY_PAUSE: Duration = Duration::from_secs(1);

type Outcome = Result<Json, RemoteFailure>;

/// Hands replies to those who wait for them.
pub struct ReplyWaiter {
    queue: String,
    waiting: Mutex<HashMap<String, oneshot::Sender<Outcome>>>,
    wanted: Notify,
    listening: watch::Sender<bool>,
}

impl Default for ReplyWaiter {
    fn default() -> Self {
        Self {
            queue: format!("reply_{}", Uuid::new_v4().simple()),
            waiting: Mutex::default(),
            wanted: Notify::new(),
            listening: watch::Sender::new(false),
        }
    }
}

impl ReplyWaiter {
    /// The name of the reply queue.
    pub fn queue(&self) -> &str {
        &self.queue
    }

    /// Waits until replies are received. The first call is what makes the queue.
    pub async fn listening(&self) {
        self.wanted.notify_one();
        // The sender lives in self, so it cannot be gone.
        let _ = self
            .listening
            .subscribe()
            .wait_for(|listening| *listening)
            .await;
    }

    /// Registers a call; `None` if too many wait already.
    pub fn expect(&self, message_id: &str) -> Option<Waiting<'_>> {
        let mut waiting = self.waiting();
        if waiting.len() >= WAITING_CALLS {
            return None;
        }
        let (sender, outcome) = oneshot::channel();
        waiting.insert(message_id.to_owned(), sender);
        Some(Waiting {
            waiter: self,
            message_id: message_id.to_owned(),
            outcome,
        })
    }

    /// Receives replies from the first call on, until `stop`.
    pub async fn run(&self, transport: &dyn Transport, stop: CancellationToken) {
        let first_call = stop.run_until_cancelled(self.wanted.notified()).await;
        if first_call.is_none() {
            return;
        }
        let mut listener = loop {
            match stop
                .run_until_cancelled(transport.listen_replies(&self.queue))
                .await
            {
                None => return,
                Some(Ok(listener)) => break listener,
                Some(Err(error)) => {
                    warn!(queue.name = self.queue, "Cannot receive replies: {error}");
                    tokio::time::sleep(RETRY_PAUSE).await;
                }
            }
        };
        self.listening.send_replace(true);
        while let Some(incoming) = stop.run_until_cancelled(listener.poll()).await {
            // A reply that is not acknowledged comes again; the second time nobody waits for it.
            let (reply, accepted) = incoming.accept().await;
            if accepted == Accepted::Served {
                self.hand_over(reply);
            }
        }
        self.listening.send_replace(false);
        listener.stop().await;
        listener.close().await;
    }

    fn hand_over(&self, reply: Reply) {
        if !reply.ending {
            return debug!("Ignored a heartbeat or the first half of an old reply");
        }
        let message_id = reply.message_id.unwrap_or_default();
        match self.waiting().remove(&message_id) {
            // If the caller has just given up, the reply is of no use any more.
            Some(waiting) => drop(waiting.send(reply.outcome)),
            None => debug!(message.id = message_id, "Dropped a reply nobody waits for"),
        }
    }

    fn waiting(&self) -> MutexGuard<'_, HashMap<String, oneshot::Sender<Outcome>>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One caller's wait. Dropping it, as a timeout does, frees its place.
pub struct Waiting<'a> {
    waiter: &'a ReplyWaiter,
    message_id: String,
    outcome: oneshot::Receiver<Outcome>,
}

impl Waiting<'_> {
    /// The outcome, whenever it comes.
    pub async fn reply(mut self) -> Outcome {
        match (&mut self.outcome).await {
            Ok(outcome) => outcome,
            // Only this guard removes an unanswered entry, and it still exists.
            Err(_) => std::future::pending().await,
        }
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.waiter.waiting().remove(&self.message_id);
    }
}
