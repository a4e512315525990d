//! One reply queue for all calls of a transport: each reply finds its caller by message id
//! (amqpdriver.py: `ReplyWaiter`).

use std::collections::HashMap;
use std::future::ready;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::runtime::Handle;
use tokio::sync::{Notify, oneshot, watch};
use tokio::time::sleep_until;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;
use tracing::{debug, warn};

use crate::protocol::failure::Failure;
use crate::protocol::json::Json;
use crate::protocol::reply::Reply;
use crate::transport::{Listener, Transport, TransportError};

/// Calls that may wait at the same time.
const WAITING_CALLS: usize = 100_000;
/// Replies that are acknowledged together.
const TOGETHER: usize = 64;
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
    progress: watch::Sender<Progress>,
    /// Told that somebody wants to call after all, where the reply queue was refused before.
    wanted: Notify,
}

/// One call that waits.
struct Waiter {
    sender: oneshot::Sender<Outcome>,
    /// Told of each sign that the call is being worked on.
    beats: Arc<Notify>,
    /// What the first half of a reply brought, which servers before release 4.0 send in two.
    first_half: Option<Outcome>,
}

/// How receiving goes.
#[derive(Debug, Default)]
struct Progress {
    phase: Phase,
    /// How often a reply queue was not to be had, and why the last time.
    failed: u64,
    reason: Option<String>,
}

/// Whether replies are received.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
enum Phase {
    #[default]
    NotYet,
    Listening,
    /// The broker does not allow a reply queue.
    Refused,
    Stopped,
    /// The queue is gone as well.
    Closed,
}

/// Why there is no reply.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum NoReply {
    /// There can be no reply queue before somebody changes something.
    #[error("{0}")]
    Refused(String),
    /// There was no reply queue, however often it was tried.
    #[error("{0}")]
    Unreachable(String),
    #[error("the client is stopping")]
    Stopped,
    #[error("too many calls are waiting for their replies")]
    TooMany,
    #[error("it did not come in time")]
    TimedOut,
    /// For so long there was no sign that the call was being worked on.
    #[error("there was no sign of it for {} s", .0.as_secs_f64())]
    Silent(Duration),
}

impl ReplyWaiter {
    /// Replies will be received on `io`, from the first call on.
    pub fn new(transport: Arc<dyn Transport>, io: Handle) -> Self {
        Self {
            shared: Arc::new(Shared {
                transport,
                queue: OnceLock::new(),
                waiting: Mutex::default(),
                progress: watch::Sender::default(),
                wanted: Notify::new(),
            }),
            io,
            receiving: OnceLock::new(),
            stop: CancellationToken::new(),
        }
    }

    /// Whether the reply queue was there already.
    pub fn is_listening(&self) -> bool {
        self.shared.progress.borrow().phase == Phase::Listening
    }

    /// Why there is no reply queue yet, if it was tried.
    pub fn why_not_listening(&self) -> Option<String> {
        self.shared.progress.borrow().reason.clone()
    }

    /// Registers a call, once replies are received. The first call is what makes the queue, and
    /// waits for `retries` more attempts after one that failed; `None` is as many as there may be.
    pub async fn register(
        &self,
        message_id: &str,
        retries: Option<u32>,
    ) -> Result<Waiting<'_>, NoReply> {
        self.receiving.get_or_init(|| {
            let receiving = Arc::clone(&self.shared).receive(self.stop.clone());
            #[expect(clippy::disallowed_methods, reason = "it ends with its owner, this")]
            let receiving = self.io.spawn(receiving);
            AbortOnDropHandle::new(receiving)
        });
        let progress = self.shared.listening(retries).await;
        let mut waiting = self.shared.waiting();
        // Looked at under the lock: whoever registers later is not told of the end.
        match self.shared.progress.borrow().phase {
            Phase::Stopped | Phase::Closed => return Err(NoReply::Stopped),
            _ => progress?,
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
                let mut progress = self.shared.progress.subscribe();
                let closed = |progress: &Progress| progress.phase == Phase::Closed;
                let _ = progress.wait_for(closed).await;
            }
        }
    }
}

impl Shared {
    /// Receives replies until `stop`; then nobody waits any longer.
    async fn receive(self: Arc<Self>, stop: CancellationToken) {
        let started = stop.run_until_cancelled(self.start()).await;
        if let Some(mut listener) = started {
            self.receive_from(&mut *listener, &stop).await;
            self.end_all();
            listener.stop().await;
            listener.close().await;
        }
        self.end_all();
        self.progress
            .send_modify(|progress| progress.phase = Phase::Closed);
    }

    async fn receive_from(&self, listener: &mut dyn Listener<Reply>, stop: &CancellationToken) {
        let mut due = Vec::new();
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                incoming = listener.poll(), if due.len() < TOGETHER => {
                    let (reply, acknowledging) = incoming.split();
                    // Acknowledged or not: if it comes a second time, nobody waits for it.
                    self.hand_over(reply);
                    due.push(acknowledging);
                }
                // Once nothing more is here: what came together is acknowledged together.
                () = ready(()), if !due.is_empty() => acknowledge(&mut due),
            }
        }
        acknowledge(&mut due);
    }

    /// Waits until replies are received, or may not be.
    async fn listening(&self, retries: Option<u32>) -> Result<(), NoReply> {
        let again = self.progress.send_if_modified(|progress| {
            let was_refused = progress.phase == Phase::Refused;
            if was_refused {
                progress.phase = Phase::NotYet;
            }
            was_refused
        });
        if again {
            self.wanted.notify_one();
        }
        let mut progress = self.progress.subscribe();
        let enough = retries.map(|retries| progress.borrow().failed + u64::from(retries) + 1);
        let decided = progress.wait_for(|progress| {
            progress.phase != Phase::NotYet
                || enough.is_some_and(|enough| progress.failed >= enough)
        });
        // The sender lives in self, so it cannot be gone.
        let Ok(progress) = decided.await else {
            return Err(NoReply::Stopped);
        };
        let reason = || progress.reason.clone().unwrap_or_default();
        match progress.phase {
            Phase::Listening => Ok(()),
            Phase::NotYet => Err(NoReply::Unreachable(reason())),
            Phase::Refused => Err(NoReply::Refused(reason())),
            Phase::Stopped | Phase::Closed => Err(NoReply::Stopped),
        }
    }

    async fn start(&self) -> Box<dyn Listener<Reply>> {
        let queue = self.queue.get_or_init(|| self.transport.reply_queue());
        loop {
            let error = match self.transport.listen_replies(queue).await {
                Ok(listener) => {
                    self.progress.send_modify(|progress| {
                        progress.phase = Phase::Listening;
                        progress.reason = None;
                    });
                    return listener;
                }
                Err(error) => error,
            };
            warn!(queue.name = queue, "Cannot receive replies: {error}");
            let is_refused = matches!(error, TransportError::Refused(_));
            self.progress.send_modify(|progress| {
                progress.failed += 1;
                progress.reason = Some(error.to_string());
                if is_refused {
                    progress.phase = Phase::Refused;
                }
            });
            match is_refused {
                // Somebody may have changed by then what it was refused for.
                true => self.wanted.notified().await,
                false => tokio::time::sleep(RETRY_PAUSE).await,
            }
        }
    }

    fn end_all(&self) {
        self.progress
            .send_modify(|progress| progress.phase = Phase::Stopped);
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
            let (until, given_up) = match silent_until.zip(monitor) {
                Some((silent, monitor)) if silent < deadline => (silent, NoReply::Silent(monitor)),
                _ => (deadline, NoReply::TimedOut),
            };
            tokio::select! {
                biased;
                outcome = &mut self.outcome => return outcome.map_err(|_| NoReply::Stopped),
                () = self.beats.notified() => {}
                () = sleep_until(until.into()) => return Err(given_up),
            }
        }
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.shared.waiting().remove(&self.message_id);
    }
}

/// Has acknowledgements sent. They are on their way with that, and nobody needs to know when they are there.
fn acknowledge(due: &mut Vec<BoxFuture<'static, bool>>) {
    for acknowledging in due.drain(..) {
        acknowledging.now_or_never();
    }
}
