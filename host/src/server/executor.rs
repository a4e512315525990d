//! The bounded pool: one task a request that was accepted, and another for the rest of its reply.
//!
//! A request has its place in the pool before it is accepted and keeps it until it is answered; only
//! while its endpoint waits for the reply of others is the place lent. So the pool's size bounds what
//! runs, and that together with `WAITING_REQUESTS` bounds everything that this host has taken on.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout_at;
use tokio_util::sync::CancellationToken;
use tokio_util::task::task_tracker::TaskTrackerToken;
use tokio_util::task::{AbortOnDropHandle, TaskTracker};
use tracing::{Instrument, Span, debug, error, field, info_span, warn};
use uuid::Uuid;

use super::dispatcher::{self, Resolved};
use super::gone_queues::GoneQueues;
use crate::endpoint::place::{Place, Places};
use crate::endpoint::{Call, Delivery, Endpoints};
use crate::hand_over::{begin, begin_then};
use crate::protocol::failure::Failure;
use crate::protocol::json::Json;
use crate::protocol::reply::{encode_heartbeat, encode_reply};
use crate::protocol::request::{Namespace, ReplyAddress, Request};
use crate::protocol::target::RequestedVersion;
use crate::telemetry::trace;
use crate::transport::{Accepted, Destination, Incoming, Outgoing, Transport, TransportError};

/// How long a reply may take to be sent while the broker is lost.
const SEND_TIMEOUT: Duration = Duration::from_secs(60);
/// How often a reply is tried again whose queue is missing (amqpdriver.py: `reply`).
const MISSING_QUEUE_PAUSE: Duration = Duration::from_millis(250);
/// Requests of a topic that may wait for the reply of others, besides those that hold a place: what
/// they wait for may need the places, of this very topic.
const WAITING_REQUESTS: usize = 256;
/// Replies that may wait for their queue to come back, apart from the pool. One more and the
/// reply is dropped, as its caller is most probably gone.
const WAITING_REPLIES: usize = 1000;

/// What the executors of all topics have in common.
#[derive(Clone)]
pub struct Pool {
    /// Requests of one topic that run at the same time.
    pub size: usize,
    /// How long a reply is tried again whose queue is missing; not once `stopping` is cancelled.
    pub missing_queue_timeout: Duration,
    /// Where requests run.
    pub workers: Handle,
    /// Where replies are sent to their end.
    pub io: Handle,
    /// Cancelled when the stop begins.
    pub stopping: CancellationToken,
}

/// Runs accepted requests.
pub struct Executor {
    /// For all requests that were accepted.
    accepted: Arc<Semaphore>,
    /// For those of them that run.
    places: Places,
    waiting_replies: Arc<Semaphore>,
    pool: Pool,
    gone: GoneQueues,
    transport: Arc<dyn Transport>,
    tasks: TaskTracker,
}

/// What a request needs before it may be accepted.
pub struct Admission {
    accepted: OwnedSemaphorePermit,
    place: Arc<Place>,
}

/// One request to run, once it is accepted.
pub struct Job {
    accepting: BoxFuture<'static, (Request, Accepted)>,
    circumstances: Circumstances,
}

/// What a request is answered with.
struct Circumstances {
    admission: Admission,
    deadline: Option<Instant>,
    topic: Arc<str>,
    endpoints: Endpoints,
}

impl Job {
    /// Asks for what was admitted to be accepted. What serves the topic now are the `endpoints`; they stay so
    /// for this request.
    pub fn new(
        incoming: Incoming<Request>,
        admission: Admission,
        topic: Arc<str>,
        endpoints: Endpoints,
    ) -> Self {
        let circumstances = Circumstances {
            admission,
            deadline: incoming.deadline,
            topic,
            endpoints,
        };
        Self {
            accepting: Box::pin(incoming.accept()),
            circumstances,
        }
    }
}

impl Executor {
    /// A pool that nothing runs in yet.
    pub fn new(pool: &Pool, transport: Arc<dyn Transport>) -> Self {
        Self {
            accepted: Arc::new(Semaphore::new(pool.size + WAITING_REQUESTS)),
            places: Places::new(pool.size),
            waiting_replies: Arc::new(Semaphore::new(WAITING_REPLIES)),
            pool: pool.clone(),
            gone: GoneQueues::default(),
            transport,
            tasks: TaskTracker::new(),
        }
    }

    /// Requests that are under way.
    pub fn running(&self) -> usize {
        self.tasks.len()
    }

    /// Waits until none is under way, once no more are started.
    pub async fn finished(&self) {
        self.tasks.close();
        self.tasks.wait().await;
    }

    /// Waits until there is room for one more request.
    pub async fn admit(&self) -> Admission {
        let accepted = Arc::clone(&self.accepted).acquire_owned().await;
        Admission {
            accepted: accepted.expect("the pool is never closed"),
            place: Arc::new(self.places.take(0).await),
        }
    }

    /// Accepts requests here, and runs each to its end on the workers. The broker must know before the
    /// endpoint runs: at most once.
    pub fn start(self: &Arc<Self>, jobs: Vec<Job>) {
        for job in jobs {
            let executor = Arc::clone(self);
            let under_way = self.tasks.token();
            begin_then(
                job.accepting,
                &self.pool.workers,
                move |(request, accepted)| {
                    executor.run(request, accepted, job.circumstances, under_way)
                },
            );
        }
    }

    async fn run(
        self: Arc<Self>,
        mut request: Request,
        accepted: Accepted,
        circumstances: Circumstances,
        under_way: TaskTrackerToken,
    ) {
        let Circumstances {
            admission,
            deadline,
            topic,
            endpoints,
        } = circumstances;
        let message_id = request.reply_to.as_ref();
        let message_id = message_id.map(|address| address.message_id.get().trim_matches('"'));
        let received =
            trace::received(request.method.as_deref(), message_id, request.context.get());
        let span = request_span(&topic, &request);
        let answering = async {
            match accepted {
                Accepted::Served => {}
                Accepted::Duplicate => return warn!("Dropped a message that was served before"),
                Accepted::Lost => return debug!("The broker was lost and will deliver again"),
            }
            let given_up = || deadline.is_some_and(|deadline| deadline <= Instant::now());
            if given_up() {
                return debug!("Dropped a call whose caller has given up");
            }
            let place = &admission.place;
            let started = Instant::now();
            let outcome = self.answer(&endpoints, &request, deadline, place).await;
            let duration_ms = started.elapsed().as_secs_f64() * 1000.0;
            let method = request.method.as_deref().unwrap_or_default();
            match &outcome {
                Ok(_) => debug!("Answered {method:?} in {duration_ms:.1} ms"),
                Err(failure) => {
                    let (module, class) = (&failure.module, &failure.class);
                    debug!("Answered {method:?} with {module:?}.{class:?} in {duration_ms:.1} ms");
                }
            }
            if given_up() {
                return debug!("Dropped a reply whose caller has given up");
            }
            let Some(address) = request.reply_to.take() else {
                return;
            };
            let executor = Arc::clone(&self);
            let replying = async move {
                executor.reply(&address, &outcome, admission).await;
                drop(under_way);
            };
            let replying = trace::continued(replying).in_current_span();
            begin(Box::pin(replying), &self.pool.io);
        };
        trace::within(received, answering).instrument(span).await;
    }

    /// Has a call of a plugin answered that needs no broker, as its endpoint is here; `None` if that
    /// takes too long. It waits for a place like any other, in a task that ends with this future.
    pub async fn answer_here(
        self: &Arc<Self>,
        topic: &str,
        endpoints: Endpoints,
        request: Request,
        deadline: Instant,
    ) -> Option<Result<Json, Failure>> {
        let span = request_span(topic, &request);
        let executor = Arc::clone(self);
        let answering = async move {
            let resolved = dispatcher::resolve(&endpoints, &request)?;
            let place = Arc::new(executor.places.take(request.depth).await);
            invoke(resolved, &request, Delivery::Call, Some(deadline), &place).await
        };
        let answering = trace::continued(answering).instrument(span);
        let answering = AbortOnDropHandle::new(self.tasks.spawn_on(answering, &self.pool.workers));
        match timeout_at(deadline.into(), answering).await {
            Ok(Ok(outcome)) => Some(outcome),
            // It was cut short by the end of the process.
            Ok(Err(_)) | Err(_) => None,
        }
    }

    /// Has the request answered; a caller with a call monitor hears meanwhile that it is.
    async fn answer(
        &self,
        endpoints: &Endpoints,
        request: &Request,
        deadline: Option<Instant>,
        place: &Arc<Place>,
    ) -> Result<Json, Failure> {
        let resolved = dispatcher::resolve(endpoints, request)?;
        let delivery = match request.reply_to {
            Some(_) => Delivery::Call,
            None => Delivery::Cast,
        };
        let answering = invoke(resolved, request, delivery, deadline, place);
        let (Some(every), Some(address)) = (request.heartbeat_every, &request.reply_to) else {
            return answering.await;
        };
        let mut answering = std::pin::pin!(answering);
        tokio::select! {
            outcome = &mut answering => outcome,
            // In a box of its own, as few calls have one.
            () = Box::pin(self.send_heartbeats(address, every)) => answering.await,
        }
    }

    /// Until the caller's queue is gone. Dropping it, as soon as there is a reply, ends it too.
    async fn send_heartbeats(&self, address: &ReplyAddress, every: Duration) {
        let to = Destination::Reply {
            queue: address.queue.clone(),
        };
        loop {
            tokio::time::sleep(every).await;
            if self.gone.contains(&address.queue) {
                return;
            }
            let message = Arc::new(Outgoing {
                body: encode_heartbeat(&address.message_id, &unique_id()),
                expires_in: None,
                mandatory: true,
                retries: None,
                deadline: Instant::now() + every,
            });
            match self.transport.send(&to, message).await {
                Ok(()) => {}
                Err(TransportError::Undeliverable(queue)) => {
                    let what = "Nobody hears that the call is being worked on";
                    return debug!(queue.name = queue, "{what}: the reply queue is missing");
                }
                Err(error) => debug!("A heartbeat was not sent: {error}"),
            }
        }
    }

    /// Sends the reply; if its queue is missing, again and again, without holding a place.
    async fn reply(
        &self,
        address: &ReplyAddress,
        outcome: &Result<Json, Failure>,
        admission: Admission,
    ) {
        let queue = &address.queue;
        if self.gone.contains(queue) {
            let what = "Dropped a reply to a queue that did not come back lately";
            return debug!(queue.name = queue, "{what}");
        }
        let to = Destination::Reply {
            queue: queue.clone(),
        };
        let give_up = Instant::now() + self.pool.missing_queue_timeout;
        let deadline = Instant::now() + self.pool.missing_queue_timeout.max(SEND_TIMEOUT);
        let mut permit = admission.accepted;
        let mut waiting = false;
        let message = Arc::new(Outgoing {
            body: encode_reply(&address.message_id, &unique_id(), outcome),
            expires_in: None,
            mandatory: true,
            retries: None,
            deadline,
        });
        loop {
            let error = match self.transport.send(&to, Arc::clone(&message)).await {
                Ok(()) => return,
                Err(error) => error,
            };
            let missing = matches!(error, TransportError::Undeliverable(_));
            let too_late = Instant::now() >= give_up;
            if missing && !too_late && !waiting {
                match Arc::clone(&self.waiting_replies).try_acquire_owned() {
                    Ok(instead) => {
                        admission.place.lend();
                        permit = instead;
                    }
                    Err(_) => {
                        return warn!(queue.name = queue, "Dropped a reply: too many wait");
                    }
                }
                waiting = true;
            }
            if missing && too_late {
                self.gone.insert(queue);
            }
            let is_gone = self.gone.contains(queue);
            if !missing || is_gone || self.pool.stopping.is_cancelled() {
                drop(permit);
                return warn!(queue.name = queue, "Dropped a reply: {error}");
            }
            let pause = tokio::time::sleep(MISSING_QUEUE_PAUSE);
            self.pool.stopping.run_until_cancelled(pause).await;
        }
    }
}

fn request_span(topic: &str, request: &Request) -> Span {
    info_span!(
        "request",
        target.topic = topic,
        rpc.method = request.method,
        message.id = request.unique_id,
        plugin.name = field::Empty,
        plugin.generation = field::Empty,
    )
}

/// Has the endpoint answer. A panic is the host's fault and becomes a failure too.
async fn invoke(
    Resolved {
        endpoint,
        method,
        args,
    }: Resolved<'_>,
    request: &Request,
    delivery: Delivery,
    deadline: Option<Instant>,
    place: &Arc<Place>,
) -> Result<Json, Failure> {
    Span::current()
        .record("plugin.name", endpoint.name())
        .record("plugin.generation", endpoint.generation());
    let call = Call {
        namespace: match &request.namespace {
            Namespace::Named(name) => Some(name),
            Namespace::Null | Namespace::NotText => None,
        },
        version: match &request.version {
            RequestedVersion::Text(version) => version,
            RequestedVersion::Null | RequestedVersion::NotText(_) => "",
        },
        method,
        args,
        context: &request.context,
        id: request.unique_id.as_deref().unwrap_or_default(),
        delivery,
        deadline,
        depth: request.depth,
        place: Arc::clone(place),
    };
    let invoking = AssertUnwindSafe(endpoint.invoke(call)).catch_unwind();
    invoking.await.unwrap_or_else(|_| {
        error!(
            "A panic in the host while `{}` answered: this is a bug",
            endpoint.name()
        );
        Err(Failure::internal(
            "HostError",
            "the host failed while answering",
        ))
    })
}

/// 32 hexadecimal digits, as upstream's `uuid4().hex`.
fn unique_id() -> String {
    Uuid::new_v4().simple().to_string()
}
