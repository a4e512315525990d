//! One reply queue for all calls of a transport: each reply finds its caller by message id
//! (amqpdriver.py: `ReplyWaiter`).

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use tokio::runtime::Handle;
use tokio::sync::{Notify, oneshot, watch};
use tokio::time::sleep_until;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;
use tracing::{debug, warn};

use crate::protocol::failure::Failure;
use crate::protocol::json::Json;
use crate::protocol::reply::Reply;
use crate::transport::{Listener, Transport};

/// Calls that may wait at the same time.
const WAITING_CALLS: usize = 100_000;
/// The pause before a reply queue that could not be declared is tried again.
const RETRY_PAUSE: Duration = Duration::from_secs(1);

/// What a reply says.
pub type Outcome = Result<Json, Failure>;

/// Hands replies to those who wait for them.
pub struct ReplyWaiter {
    shared: Arc<Shared>,
    /// Where replies are received.
    io: Handle,
    receiving: OnceLock<AbortOnDropHandle<()>>,
    stop: CancellationToken,
}

struct Shared {
    transport: Arc<dyn Transport>,
    /// The reply queue's name, once there is one.
    queue: OnceLock<String>,
    waiting: Mutex<HashMap<String, Waiter>>,
    phase: watch::Sender<Phase>,
}

/// One call that waits.
struct Waiter {
    sender: oneshot::Sender<Outcome>,
    /// Told of each sign that the call is being worked on.
    beats: Arc<Notify>,
    /// What the first half of a reply brought, which servers before release 4.0 send in two.
    first_half: Option<Outcome>,
}

/// Whether replies are received.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
enum Phase {
    #[default]
    NotYet,
    Listening,
    Stopped,
    /// The queue is gone as well.
    Closed,
}

/// Why there is no reply.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum NoReply {
    #[error("the client is stopping")]
    Stopped,
    #[error("too many calls are waiting for their replies")]
    TooMany,
    #[error("it did not come in time")]
    TimedOut,
}

impl ReplyWaiter {
    /// Replies will be received on `io`, from the first call on.
    pub fn new(transport: Arc<dyn Transport>, io: Handle) -> Self {
        Self {
            shared: Arc::new(Shared {
                transport,
                queue: OnceLock::new(),
                waiting: Mutex::default(),
                phase: watch::Sender::default(),
            }),
            io,
            receiving: OnceLock::new(),
            stop: CancellationToken::new(),
        }
    }

    /// Whether the reply queue was there already.
    pub fn is_listening(&self) -> bool {
        *self.shared.phase.borrow() == Phase::Listening
    }

    /// Registers a call, once replies are received. The first call is what makes the queue.
    pub async fn register(&self, message_id: &str) -> Result<Waiting<'_>, NoReply> {
        self.receiving.get_or_init(|| {
            let receiving = Arc::clone(&self.shared).receive(self.stop.clone());
            #[expect(clippy::disallowed_methods, reason = "it ends with its owner, this")]
            let receiving = self.io.spawn(receiving);
            AbortOnDropHandle::new(receiving)
        });
        let mut phase = self.shared.phase.subscribe();
        // The sender lives in self, so it cannot be gone.
        let _ = phase.wait_for(|phase| *phase != Phase::NotYet).await;
        let mut waiting = self.shared.waiting();
        // Looked at under the lock: whoever registers later is not told of the end.
        if *self.shared.phase.borrow() >= Phase::Stopped {
            return Err(NoReply::Stopped);
        }
        if waiting.len() >= WAITING_CALLS {
            return Err(NoReply::TooMany);
        }
        let (sender, outcome) = oneshot::channel();
        let beats = Arc::<Notify>::default();
        let waiter = Waiter {
            sender,
            beats: Arc::clone(&beats),
            first_half: None,
        };
        waiting.insert(message_id.to_owned(), waiter);
        let queue = self.shared.queue.get();
        Ok(Waiting {
            shared: &self.shared,
            reply_queue: queue.map(String::as_str).unwrap_or_default(),
            message_id: message_id.to_owned(),
            outcome,
            beats,
        })
    }

    /// Calls that wait now.
    pub fn waiting(&self) -> usize {
        self.shared.waiting().len()
    }

    /// Deletes the reply queue. Whoever waits is told so, and nobody can wait any more.
    pub async fn close(&self) {
        self.stop.cancel();
        match self.receiving.get() {
            None => self.shared.end_all(),
            Some(_) => {
                let mut phase = self.shared.phase.subscribe();
                let _ = phase.wait_for(|phase| *phase == Phase::Closed).await;
            }
        }
    }
}

impl Shared {
    /// Receives replies until `stop`; then nobody waits any longer.
    async fn receive(self: Arc<Self>, stop: CancellationToken) {
        let started = stop.run_until_cancelled(self.start()).await;
        if let Some(mut listener) = started {
            while let Some(incoming) = stop.run_until_cancelled(listener.poll()).await {
                // Acknowledged or not: if it comes a second time, nobody waits for it.
                let (reply, _) = incoming.accept().await;
                self.hand_over(reply);
            }
            self.end_all();
            listener.stop().await;
            listener.close().await;
        }
        self.end_all();
        self.phase.send_replace(Phase::Closed);
    }

    async fn start(&self) -> Box<dyn Listener<Reply>> {
        let queue = self.queue.get_or_init(|| self.transport.reply_queue());
        loop {
            match self.transport.listen_replies(queue).await {
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
            if let Some(waiter) = waiting.get_mut(&message_id) {
                waiter.beats.notify_one();
                if !is_null(&reply.outcome) {
                    waiter.first_half = Some(reply.outcome);
                }
            }
            return;
        }
        match waiting.remove(&message_id) {
            // If the caller has just given up, the reply is of no use any more.
            Some(waiter) => {
                let outcome = match waiter.first_half {
                    Some(first) if is_null(&reply.outcome) => first,
                    _ => reply.outcome,
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

fn is_null(outcome: &Outcome) -> bool {
    matches!(outcome, Ok(result) if result.get() == "null")
}

/// One caller's wait. Dropping it, as a timeout does, frees its place.
pub struct Waiting<'a> {
    shared: &'a Shared,
    /// Where the reply is to be sent.
    pub reply_queue: &'a str,
    message_id: String,
    outcome: oneshot::Receiver<Outcome>,
    beats: Arc<Notify>,
}

impl Waiting<'_> {
    /// The outcome, if it comes before the deadline and, with a `monitor`, never later than that
    /// after the last sign that the call is being worked on.
    pub async fn reply(
        mut self,
        monitor: Option<Duration>,
        deadline: Instant,
    ) -> Result<Outcome, NoReply> {
        loop {
            let silent_until = monitor.and_then(|monitor| Instant::now().checked_add(monitor));
            let until = silent_until.map_or(deadline, |silent| silent.min(deadline));
            tokio::select! {
                biased;
                outcome = &mut self.outcome => return outcome.map_err(|_| NoReply::Stopped),
                () = self.beats.notified() => {}
                () = sleep_until(until.into()) => return Err(NoReply::TimedOut),
            }
        }
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.shared.waiting().remove(&self.message_id);
    }
}
