//! Publishes messages, and returns once the broker has each
//! (impl_rabbit.py: `_ensure_publishing`, `direct_send`, `topic_send`, `fanout_send`).
//!
//! Messages go in batches (`lane.rs`), each on a channel that it has to itself until it is confirmed. A
//! broker tells why it closed a channel without saying which message it means: then each goes alone. And
//! what it returned is known by its body, once the whole batch is confirmed: a return comes before the
//! confirm of its message, but not always with it.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio::time::{sleep, timeout};
use tracing::warn;

use super::connection::Connection;
use super::lane::{BATCHES_TO_ONE, Lane, PROMPT};
use super::options::Config;
use super::parcel::Parcel;
use super::topology::Exchange;
use super::wire::{self, Channel, Confirms, Publication, code};
use crate::hand_over::begin;
use crate::transport::{Destination, Outgoing, TransportError};

/// Channels that are kept for the next messages.
const AT_REST: usize = 64;
/// Exchanges that are known to be there. One more and all are forgotten: declaring one again costs a
/// round trip, and nothing else.
const REMEMBERED_EXCHANGES: usize = 1000;
/// The pause before an exchange is made again that is not there any more.
const GONE_PAUSE: Duration = Duration::from_millis(20);

/// Publishes over one connection.
pub(super) struct Publisher {
    shared: Arc<Shared>,
    /// Where confirms are awaited.
    io: Handle,
}

struct Shared {
    connection: Connection,
    config: Config,
    requests: Lane<Pending>,
    /// Not behind what others send: whoever waits for them holds a place in a pool.
    replies: Lane<Pending>,
    /// Channels on which nothing is under way.
    at_rest: Mutex<Vec<Channel>>,
    /// Exchanges that were made, and not missed since.
    declared: Mutex<HashSet<String>>,
}

/// One message, and who waits for what becomes of it.
struct Pending {
    parcel: Parcel,
    verdict: oneshot::Sender<Result<(), PublishError>>,
}

impl Pending {
    /// Whoever gave up waiting may have sent it again.
    fn is_abandoned(&self) -> bool {
        self.verdict.is_closed()
    }

    fn tell(self, verdict: Result<(), PublishError>) {
        // If nobody waits for it any longer, it is as it is all the same.
        let _ = self.verdict.send(verdict);
    }
}

/// Why a message was not taken.
#[derive(Clone, Debug)]
pub(super) enum PublishError {
    /// No queue takes it; holds the routing key.
    Returned(String),
    /// The broker, or AMQP itself, does not allow it: trying again gives the same answer.
    Refused(String),
    /// This side closed the connection.
    Closed,
    /// The connection is of no further use, or the broker could not take it now.
    Broken(String),
}

impl From<wire::Error> for PublishError {
    fn from(error: wire::Error) -> Self {
        match error {
            wire::Error::Channel(refusal) => {
                Self::Refused(format!("RabbitMQ refused the message: {refusal}"))
            }
            error => Self::Broken(error.to_string()),
        }
    }
}

impl From<TransportError> for PublishError {
    fn from(error: TransportError) -> Self {
        match error {
            TransportError::Refused(reason) => Self::Refused(reason),
            TransportError::Closed => Self::Closed,
            error => Self::Broken(error.to_string()),
        }
    }
}

impl Publisher {
    /// Dials when the first message is published.
    pub(super) fn new(connection: Connection, config: &Config, io: &Handle) -> Self {
        Self {
            shared: Arc::new(Shared {
                connection,
                config: config.clone(),
                requests: Lane::new(Pending::is_abandoned),
                replies: Lane::new(Pending::is_abandoned),
                at_rest: Mutex::default(),
                declared: Mutex::default(),
            }),
            io: io.clone(),
        }
    }

    pub(super) fn connection(&self) -> &Connection {
        &self.shared.connection
    }

    /// Makes sure that there is a channel to publish on.
    pub(super) async fn connect(&self) -> Result<(), PublishError> {
        let channel = self.shared.channel().await?;
        self.shared.keep(channel);
        Ok(())
    }

    /// A mandatory message that reaches no queue comes back as an error.
    ///
    /// A message that was begun is finished, whether or not anybody waits for it any longer: a
    /// channel that is closed in the middle of one may cost the connection. One that was not begun is
    /// not sent any more.
    pub(super) async fn publish(
        &self,
        to: &Destination,
        message: &Arc<Outgoing>,
    ) -> Result<(), PublishError> {
        let parcel =
            Parcel::new(to, message, &self.shared.config).map_err(PublishError::Refused)?;
        let destination = parcel.route.destination();
        let bytes = parcel.body().len();
        let (verdict, mut waiting) = oneshot::channel();
        let is_reply = matches!(to, Destination::Reply { .. });
        let lane = self.shared.lane(is_reply);
        let pending = Pending { parcel, verdict };
        let stopped = |_| Err(PublishError::Broken("its threads were stopped".to_owned()));
        if lane.push(&destination, pending, bytes, Instant::now()) {
            self.send(is_reply, destination);
            return waiting.await.unwrap_or_else(stopped);
        }
        // It waits behind others, for as long as the broker is prompt.
        for _ in 0..BATCHES_TO_ONE {
            if let Ok(verdict) = timeout(PROMPT, &mut waiting).await {
                return verdict.unwrap_or_else(stopped);
            }
            if lane.needs_another(&destination, Instant::now()) {
                self.send(is_reply, destination.clone());
            }
        }
        waiting.await.unwrap_or_else(stopped)
    }

    /// Sends what waits for a destination, to its end.
    fn send(&self, is_reply: bool, destination: String) {
        let sending = Arc::clone(&self.shared).send_all(is_reply, destination);
        begin(Box::pin(sending), &self.io);
    }
}

impl Shared {
    fn lane(&self, of_replies: bool) -> &Lane<Pending> {
        match of_replies {
            true => &self.replies,
            false => &self.requests,
        }
    }

    /// Sends to a destination until nothing waits for it.
    async fn send_all(self: Arc<Self>, of_replies: bool, destination: String) {
        let lane = self.lane(of_replies);
        while let Some(batch) = lane.batch(&destination).await {
            for pending in self.send(batch.messages).await {
                self.send(vec![pending]).await;
            }
        }
    }

    /// Sends a batch, and tells everybody what became of it. Gives back those that have to be sent alone,
    /// as the broker took offence at one of them and did not say which.
    async fn send(&self, mut batch: Vec<Pending>) -> Vec<Pending> {
        loop {
            let Some(first) = batch.first() else {
                return batch;
            };
            let exchange = first.parcel.route.exchange.clone();
            let channel = tokio::select! {
                channel = self.channel_to(exchange.as_ref()) => channel,
                () = all_abandoned(&mut batch) => return Vec::new(),
            };
            let channel = match channel {
                Ok(channel) => channel,
                Err(error) => {
                    let failed = || Err(error.clone());
                    batch.into_iter().for_each(|pending| pending.tell(failed()));
                    return Vec::new();
                }
            };
            batch.retain(|pending| !pending.is_abandoned());
            if batch.is_empty() {
                self.keep(channel);
                return batch;
            }
            let outcomes = publish_together(&channel, &batch).await;
            let refusals = outcomes
                .iter()
                .filter_map(|outcome| outcome.as_ref().err()?.refusal());
            let refused = refusals.clone().next().is_some();
            let missing = refusals
                .map(|refusal| refusal.code)
                .any(|it| it == code::NOT_FOUND);
            if channel.is_open() {
                self.keep(channel);
            }
            let alone = refused && batch.len() > 1;
            let mut again = Vec::new();
            for (pending, outcome) in batch.into_iter().zip(outcomes) {
                match outcome {
                    Ok(verdict) => pending.tell(verdict),
                    Err(_) if alone || missing && exchange.is_some() => again.push(pending),
                    Err(error) => pending.tell(Err(error.into())),
                }
            }
            match exchange {
                // Whoever was the last to use it took it along; that is nobody's failure.
                Some(exchange) if missing => {
                    self.declared().remove(&exchange.name);
                    sleep(GONE_PAUSE).await;
                    batch = again;
                }
                _ => return again,
            }
        }
    }

    /// A channel that nothing is under way on, once the exchange is there.
    async fn channel_to(&self, exchange: Option<&Exchange>) -> Result<Channel, PublishError> {
        if let Some(exchange) = exchange {
            self.make_known(exchange).await?;
        }
        self.channel().await
    }

    /// Makes an exchange, unless it was made before.
    async fn make_known(&self, exchange: &Exchange) -> Result<(), PublishError> {
        if self.declared().contains(&exchange.name) {
            return Ok(());
        }
        // In a box, as few messages are the first to their exchange.
        Box::pin(self.declare(exchange)).await?;
        let mut declared = self.declared();
        if declared.len() >= REMEMBERED_EXCHANGES {
            declared.clear();
        }
        declared.insert(exchange.name.clone());
        Ok(())
    }

    async fn declare(&self, exchange: &Exchange) -> Result<(), PublishError> {
        let channel = self.connection.channel().await?;
        let refused = match exchange.declare(&channel).await {
            Ok(()) => return Ok(()),
            Err(wire::Error::Channel(refusal)) => refusal,
            Err(error) => return Err(error.into()),
        };
        // Somebody made it before, as one that does not survive a restart of the broker.
        if let Some(weaker) = exchange.not_durable() {
            let channel = self.connection.channel().await?;
            match weaker.declare(&channel).await {
                Ok(()) => {
                    warn!(
                        "The exchange `{}` is used as it exists: not durable",
                        exchange.name
                    );
                    return Ok(());
                }
                Err(wire::Error::Channel(_)) => {}
                Err(error) => return Err(error.into()),
            }
        }
        let reason = format!("RabbitMQ refused the exchange: {refused}");
        Err(PublishError::Refused(reason))
    }

    async fn channel(&self) -> Result<Channel, PublishError> {
        let open = {
            let mut at_rest = lock(&self.at_rest);
            at_rest.retain(|channel| channel.is_open());
            at_rest.pop()
        };
        if let Some(channel) = open {
            return Ok(channel);
        }
        // In a box, as most channels are used again.
        let channel = Box::pin(self.connection.channel()).await?;
        let confirming = channel.confirm().await;
        confirming.map_err(|error| PublishError::Broken(error.to_string()))?;
        Ok(channel)
    }

    /// Keeps a channel for the next messages; one too many is closed when it is dropped here, with
    /// nothing under way.
    fn keep(&self, channel: Channel) {
        let mut at_rest = lock(&self.at_rest);
        if at_rest.len() < AT_REST {
            at_rest.push(channel);
        }
    }

    fn declared(&self) -> MutexGuard<'_, HashSet<String>> {
        lock(&self.declared)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Until nobody waits for any of them.
async fn all_abandoned(batch: &mut [Pending]) {
    for pending in batch {
        pending.verdict.closed().await;
    }
}

/// What became of a message, or why the broker did not say.
type Outcome = Result<Result<(), PublishError>, wire::Error>;

/// Publishes a batch on a channel of its own, and awaits that all of it is confirmed or the channel lost.
async fn publish_together(channel: &Channel, batch: &[Pending]) -> Vec<Outcome> {
    let publications = batch.iter().map(|Pending { parcel, .. }| Publication {
        exchange: parcel.route.exchange_name(),
        key: &parcel.route.key,
        mandatory: parcel.route.mandatory,
        properties: parcel.properties(),
        body: parcel.body(),
    });
    let Confirms {
        taken,
        returned,
        lost,
    } = channel.publish(publications.collect()).await;
    let lost = lost.unwrap_or(wire::Error::Closed);
    let outcome = |taken| match taken {
        Some(true) => Ok(Ok(())),
        // The broker could not keep it: as good as a lost connection, so it is sent again.
        Some(false) => {
            let problem = "the broker could not take it".to_owned();
            Ok(Err(PublishError::Broken(problem)))
        }
        None => Err(lost.clone()),
    };
    let mut outcomes: Vec<_> = taken.into_iter().map(outcome).collect();
    for body in returned {
        // Each has a unique id in its body.
        let is_it = |pending: &Pending| pending.parcel.body() == body;
        if let Some(index) = batch.iter().position(is_it) {
            let key = batch[index].parcel.route.key.clone();
            outcomes[index] = Ok(Err(PublishError::Returned(key)));
        }
    }
    outcomes
}
