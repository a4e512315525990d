//! One reply queue for all calls of a transport: each reply finds its caller by message id
//! (amqpdriver.py: `ReplyWaiter`).

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, oneshot, watch};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use crate::protocol::envelope::{RemoteFailure, Reply};
use crate::protocol::json::Json;
use crate::transport::{Accepted, Listener, Transport};

/// Calls that may wait at the same time.
const WAITING_CALLS: usize = 100_000;
/// The pause before a reply queue that could not be declared is tried again.
const RETRY_PAUSE: Duration = Duration::from_secs(1);

/// What a reply says.
pub type Outcome = Result<Json, RemoteFailure>;

/// Hands replies to those who wait for them.
#[derive(Default)]
pub struct ReplyWaiter {
    /// The reply queue's name, once there is one.
    queue: OnceLock<String>,
    waiting: Mutex<HashMap<String, Waiter>>,
    wanted: Notify,
    phase: watch::Sender<Phase>,
}

/// One call that waits.
struct Waiter {
    sender: oneshot::Sender<Outcome>,
    /// What the first half of a reply brought, which servers before release 4.0 send in two.
    first_half: Option<Json>,
}

/// Whether replies are received.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
enum Phase {
    #[default]
    NotYet,
    Listening,
    Stopped,
}

/// Why nobody can wait for a reply.
#[derive(Debug, thiserror::Error)]
pub enum NoReply {
    #[error("the host is stopping")]
    Stopped,
    #[error("too many calls are waiting for their replies")]
    TooMany,
}

impl ReplyWaiter {
    /// Registers a call, once replies are received. The first call is what makes the queue.
    pub async fn register(&self, message_id: &str) -> Result<Waiting<'_>, NoReply> {
        self.wanted.notify_one();
        let mut phase = self.phase.subscribe();
        // The sender lives in self, so it cannot be gone.
        let _ = phase.wait_for(|phase| *phase != Phase::NotYet).await;
        let mut waiting = self.waiting();
        // Looked at under the lock: whoever registers later is not told of the end.
        if *self.phase.borrow() == Phase::Stopped {
            return Err(NoReply::Stopped);
        }
        if waiting.len() >= WAITING_CALLS {
            return Err(NoReply::TooMany);
        }
        let (sender, outcome) = oneshot::channel();
        let waiter = Waiter {
            sender,
            first_half: None,
        };
        waiting.insert(message_id.to_owned(), waiter);
        Ok(Waiting {
            waiter: self,
            reply_queue: self.queue.get().map(String::as_str).unwrap_or_default(),
            message_id: message_id.to_owned(),
            outcome,
        })
    }

    /// Receives replies from the first call on, until `stop`; then nobody waits any longer.
    pub async fn run(&self, transport: &dyn Transport, stop: CancellationToken) {
        let started = stop.run_until_cancelled(self.start(transport)).await;
        let Some(mut listener) = started else {
            return self.end_all();
        };
        while let Some(incoming) = stop.run_until_cancelled(listener.poll()).await {
            // A reply that is not acknowledged comes again; the second time nobody waits for it.
            let (reply, accepted) = incoming.accept().await;
            if accepted == Accepted::Served {
                self.hand_over(reply);
            }
        }
        self.end_all();
        listener.stop().await;
        listener.close().await;
    }

    /// The listener, once somebody wants replies.
    async fn start(&self, transport: &dyn Transport) -> Box<dyn Listener<Reply>> {
        self.wanted.notified().await;
        let queue = self.queue.get_or_init(|| transport.reply_queue());
        loop {
            match transport.listen_replies(queue).await {
                Ok(listener) => {
                    self.phase.send_replace(Phase::Listening);
                    return listener;
                }
                Err(error) => {
                    warn!(queue.name = queue, "Cannot receive replies: {error}");
                    tokio::time::sleep(RETRY_PAUSE).await;
                }
            }
        }
    }

    fn end_all(&self) {
        self.phase.send_replace(Phase::Stopped);
        // Dropping the senders is what tells those who wait.
        self.waiting().clear();
    }

    fn hand_over(&self, reply: Reply) {
        let message_id = reply.message_id.unwrap_or_default();
        let mut waiting = self.waiting();
        if !reply.ending {
            if let (Some(waiter), Ok(result)) = (waiting.get_mut(&message_id), reply.outcome)
                && result.get() != "null"
            {
                waiter.first_half = Some(result);
            }
            return;
        }
        match waiting.remove(&message_id) {
            // If the caller has just given up, the reply is of no use any more.
            Some(waiter) => {
                let outcome = match (reply.outcome, waiter.first_half) {
                    (Ok(result), Some(first)) if result.get() == "null" => Ok(first),
                    (outcome, _) => outcome,
                };
                drop(waiter.sender.send(outcome));
            }
            None => debug!(message.id = message_id, "Dropped a reply nobody waits for"),
        }
    }

    fn waiting(&self) -> MutexGuard<'_, HashMap<String, Waiter>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One caller's wait. Dropping it, as a timeout does, frees its place.
pub struct Waiting<'a> {
    waiter: &'a ReplyWaiter,
    /// Where the reply is to be sent.
    pub reply_queue: &'a str,
    message_id: String,
    outcome: oneshot::Receiver<Outcome>,
}

impl Waiting<'_> {
    /// The outcome, whenever it comes.
    pub async fn reply(mut self) -> Result<Outcome, NoReply> {
        (&mut self.outcome).await.map_err(|_| NoReply::Stopped)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.waiter.waiting().remove(&self.message_id);
    }
}
