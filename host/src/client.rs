//! `RpcClient`: calls, casts and fans out (rpc/client.py: `RPCClient`, `_CallContext`).
//!
//! ```no_run
//! use std::time::Duration;
//!
//! use endpointd::client::{RpcClient, Target};
//! use serde_json::{Value, json};
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let target = Target::topic("q-reports-plugin");
//! let client = RpcClient::connect("rabbit://guest:guest@127.0.0.1:5672/", target)?
//!     .exchange("neutron")
//!     .timeout(Duration::from_secs(5));
//! // Whatever serializes to an object is a request context, or arguments.
//! let context = json!({"user": "me"});
//! let reports = client.prepare().version("1.4")?;
//! let agents: Vec<Value> = reports.call(&context, "get_agents", &json!({})).await?;
//! println!("{} agents", agents.len());
//! client.close().await;
//! # Ok(())
//! # }
//! ```

pub mod back_off;
#[cfg(feature = "host")]
pub mod for_plugins;
pub mod reply_waiter;

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use tokio::runtime::Handle;
use tokio::time::timeout_at;
use uuid::Uuid;

use self::reply_waiter::{NoReply, ReplyWaiter, Waiting};
use crate::protocol::failure::Failure;
use crate::protocol::json::{self, Json};
use crate::protocol::request::{OutgoingRequest, ReplyTo};
pub use crate::protocol::target::Target;
use crate::protocol::target::{RequestedVersion, Version, is_compatible};
use crate::telemetry::trace::{self, Sending};
use crate::transport::amqp::options;
use crate::transport::open::open;
use crate::transport::url::TransportUrl;
use crate::transport::{Destination, Outgoing, Transport, TransportError};

/// How long a client waits that was told nothing else (oslo's `rpc_response_timeout`).
pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(60);
/// The exchange of a target that names none (oslo's `control_exchange`).
pub const DEFAULT_EXCHANGE: &str = "openstack";
/// Servers count whole seconds of half of it (rpc/dispatcher.py: `_watchdog`).
const SHORTEST_MONITOR: Duration = Duration::from_secs(2);
/// What stands for a time that no clock can count.
const LONGEST_WAIT: Duration = Duration::from_secs(365 * 24 * 3600);

/// Sends to a target's servers.
///
/// A copy shares the connection and the reply queue, so it costs little: [`prepare`](Self::prepare)
/// one for another target or with other options, as often as once a message.
#[derive(Clone)]
pub struct RpcClient {
    wire: Arc<Wire>,
    target: Target,
    /// `None` is the default one.
    timeout: Option<Duration>,
    default_timeout: Duration,
    version_cap: Option<Version>,
    retries: Option<u32>,
    call_monitor_timeout: Option<Duration>,
    at_least_once: bool,
    /// How many plugins, one calling the next, led to what is sent.
    depth: u32,
}

/// What all copies of a client share.
struct Wire {
    transport: Arc<dyn Transport>,
    replies: ReplyWaiter,
}

/// Why a message was not sent, or a call has no result.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The other side answered with an exception.
    #[error("{}.{}: {}", .0.module, .0.class, .0.message)]
    Remote(Failure),
    /// It was sent, and there was no reply in time: it may have been served or not.
    #[error("Timed out waiting for a reply to message ID {message_id}")]
    TimedOut { message_id: String, after: Duration },
    /// No queue takes it. Only where messages are sent [at least once](RpcClient::at_least_once).
    #[error("no server listens to `{routing_key}` in the exchange `{exchange}`")]
    Undeliverable {
        routing_key: String,
        exchange: String,
    },
    /// The broker did not take it, in time or at all.
    #[error("{0}")]
    NotSent(TransportError),
    /// The target has no topic, or cannot be called.
    #[error("{0}")]
    InvalidTarget(String),
    #[error("Version must contain a major and minor integer. Got {0}")]
    InvalidVersion(String),
    /// The servers may be too old for it.
    #[error(
        "Requested message version, {} is incompatible.  It needs to be equal in major version and \
         less than or equal in minor version as the specified version cap {cap}.",
        version.as_deref().unwrap_or("None")
    )]
    VersionCap {
        version: Option<String>,
        cap: Version,
    },
    #[error("{name} cannot be sent: {problem}")]
    Invalid { name: &'static str, problem: String },
    #[error("the result is not what was expected: {0}")]
    UnexpectedResult(serde_json::Error),
    #[error("there are too many calls waiting for their replies")]
    TooMany,
    #[error("the client was closed")]
    Closed,
}

impl ClientError {
    /// What it is, without what the other side said: that may be anything.
    fn kind(&self) -> &str {
        match self {
            Self::Remote(failure) => &failure.class,
            Self::TimedOut { .. } => "no reply in time",
            Self::Undeliverable { .. } => "no server listens there",
            _ => "not sent",
        }
    }
}

impl From<TransportError> for ClientError {
    fn from(error: TransportError) -> Self {
        match error {
            TransportError::Closed => Self::Closed,
            other => Self::NotSent(other),
        }
    }
}

/// Making one, and saying whom it sends to and how.
impl RpcClient {
    /// A client of the broker at `url`, such as `rabbit://user:password@host:5672/vhost`, which is
    /// dialled when the first message is sent. Options of RabbitMQ may follow after `?`. It runs on
    /// the tokio runtime it is made in.
    ///
    /// Fails where the URL is no good.
    pub fn connect(url: &str, target: Target) -> Result<Self, InvalidUrl> {
        let invalid = |error: &dyn std::fmt::Display| InvalidUrl(error.to_string());
        let url: TransportUrl = url.parse().map_err(|error| invalid(&error))?;
        if url == TransportUrl::Memory {
            let problem = "`memory://` reaches nobody but the host that has it: name a broker";
            return Err(invalid(&problem));
        }
        let mut options = options::Config::default();
        if let TransportUrl::Rabbit(url) = &url {
            let texts = url.options.iter().map(|(name, text)| (&**name, &**text));
            options = options.with_texts(texts).map_err(|error| invalid(&error))?;
            options.check().map_err(|error| invalid(&error))?;
            // Its names for queues would be those of every other such client.
            options.use_queue_manager = false;
        }
        let io = Handle::current();
        Ok(Self::new(open(&url, &options, 0, &io), target, &io))
    }

    /// A client that sends through `transport`, and receives replies on `io`.
    pub fn new(transport: Arc<dyn Transport>, target: Target, io: &Handle) -> Self {
        Self {
            wire: Arc::new(Wire {
                replies: ReplyWaiter::new(Arc::clone(&transport), io.clone()),
                transport,
            }),
            target,
            timeout: None,
            default_timeout: DEFAULT_TIMEOUT,
            version_cap: None,
            retries: None,
            call_monitor_timeout: None,
            at_least_once: true,
            depth: 0,
        }
    }

    /// Another client that begins with all that is set here.
    pub fn prepare(&self) -> Self {
        self.clone()
    }

    /// Whom it sends to.
    pub fn target(&self) -> &Target {
        &self.target
    }

    /// Sends to another target; an exchange that it does not name stays.
    pub fn with_target(mut self, target: Target) -> Self {
        let exchange = target.exchange.or(self.target.exchange);
        self.target = Target { exchange, ..target };
        self
    }

    pub fn exchange<'a>(mut self, exchange: impl Into<Option<&'a str>>) -> Self {
        self.target.exchange = exchange.into().map(str::to_owned);
        self
    }

    pub fn topic<'a>(mut self, topic: impl Into<Option<&'a str>>) -> Self {
        self.target.topic = topic.into().map(str::to_owned);
        self
    }

    /// One server of the topic; `None` or an empty name is any.
    pub fn server<'a>(mut self, server: impl Into<Option<&'a str>>) -> Self {
        self.target.server = server.into().map(str::to_owned);
        self
    }

    /// Every server of the topic: for casts only.
    pub fn fanout(mut self, fanout: bool) -> Self {
        self.target.fanout = fanout;
        self
    }

    pub fn namespace<'a>(mut self, namespace: impl Into<Option<&'a str>>) -> Self {
        self.target.namespace = namespace.into().map(str::to_owned);
        self
    }

    /// The version that the method needs; `None` stands for 1.0. Fails where it is none.
    pub fn version<'a>(mut self, version: impl Into<Option<&'a str>>) -> Result<Self, ClientError> {
        let version = version.into();
        if let Some(text) = version {
            checked_version(text)?;
        }
        self.target.version = version.map(str::to_owned);
        Ok(self)
    }

    /// The newest version that all servers have: what needs a newer one is refused. Fails where it
    /// is none.
    pub fn version_cap<'a>(mut self, cap: impl Into<Option<&'a str>>) -> Result<Self, ClientError> {
        self.version_cap = cap.into().map(checked_version).transpose()?;
        Ok(self)
    }

    /// How long a call waits for its result, and a cast for the broker to take it. `None` is the
    /// default.
    pub fn timeout(mut self, timeout: impl Into<Option<Duration>>) -> Self {
        self.timeout = timeout.into();
        self
    }

    /// The time where none is set; [`DEFAULT_TIMEOUT`], if it is not said.
    pub fn default_timeout(mut self, timeout: Duration) -> Self {
        self.default_timeout = timeout;
        self
    }

    /// How often sending is tried again where connecting or publishing failed; `None`, the default,
    /// is as often as there is time.
    pub fn retry(mut self, retries: impl Into<Option<u32>>) -> Self {
        self.retries = retries.into();
        self
    }

    /// The longest that a call waits for a sign that it is being worked on, which servers then send
    /// in half that time. Sending fails where it is below 2 s: servers count whole seconds, and send
    /// nothing below one.
    pub fn call_monitor_timeout(mut self, monitor: impl Into<Option<Duration>>) -> Self {
        self.call_monitor_timeout = monitor.into();
        self
    }

    /// Whether a call or a cast that no queue takes is an error at once, which is the default here.
    /// Upstream's is false: then nobody notices, and a call waits in vain. Fanouts may always have
    /// nobody to reach.
    pub fn at_least_once(mut self, at_least_once: bool) -> Self {
        self.at_least_once = at_least_once;
        self
    }

    /// Whether a message that needs `version`, or the target's where that is `None`, may be sent as
    /// far as the version cap goes.
    pub fn can_send_version(&self, version: Option<&str>) -> bool {
        let version = version.or(self.target.version.as_deref());
        self.version_cap.is_none_or(|cap| fits(cap, version))
    }
}

/// Sending.
impl RpcClient {
    /// Has one server run `method` and gives its result. `context` and `args` are what serializes
    /// to an object.
    pub async fn call<R: DeserializeOwned>(
        &self,
        context: &(impl Serialize + ?Sized),
        method: &str,
        args: &(impl Serialize + ?Sized),
    ) -> Result<R, ClientError> {
        let (context, args) = (to_json("the context", context)?, to_json("args", args)?);
        let result = self.call_json(&context, method, &args).await?;
        serde_json::from_str(result.get()).map_err(ClientError::UnexpectedResult)
    }

    /// Has a server run `method`, or every one if the target is a fanout, and returns once the
    /// broker has the message.
    pub async fn cast(
        &self,
        context: &(impl Serialize + ?Sized),
        method: &str,
        args: &(impl Serialize + ?Sized),
    ) -> Result<(), ClientError> {
        let (context, args) = (to_json("the context", context)?, to_json("args", args)?);
        self.cast_json(&context, method, &args).await
    }

    /// The same as [`call`](Self::call) with JSON, which passes as the text it is.
    pub async fn call_json(
        &self,
        context: &RawValue,
        method: &str,
        args: &RawValue,
    ) -> Result<Json, ClientError> {
        let message = Message::new(self, context, method, args)?;
        if self.target.fanout {
            let target = &self.target;
            let problem = format!("A call cannot be used with fanout:{target}");
            return Err(ClientError::InvalidTarget(problem));
        }
        let sending = message.traced("call");
        let outcome = message.call(entries(&sending)).await;
        if let (Some(sending), Err(error)) = (&sending, &outcome) {
            sending.failed(error.kind().to_owned());
        }
        outcome
    }

    /// The same as [`cast`](Self::cast) with JSON, which passes as the text it is.
    pub async fn cast_json(
        &self,
        context: &RawValue,
        method: &str,
        args: &RawValue,
    ) -> Result<(), ClientError> {
        let message = Message::new(self, context, method, args)?;
        let operation = match self.target.fanout {
            true => "fanout",
            false => "cast",
        };
        let sending = message.traced(operation);
        let outcome = message.cast(entries(&sending)).await;
        if let (Some(sending), Err(error)) = (&sending, &outcome) {
            sending.failed(error.kind().to_owned());
        }
        outcome
    }

    /// Calls that wait for their replies now, of all copies together.
    pub fn waiting_calls(&self) -> usize {
        self.wire.replies.waiting()
    }

    /// Deletes the reply queue and closes the connection, for all copies. Calls that wait fail.
    pub async fn close(&self) {
        self.wire.replies.close().await;
        self.wire.transport.close().await;
    }

    fn has_own_timeout(&self) -> bool {
        self.timeout.is_some()
    }
}

/// The URL, or an option in it, is no good.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct InvalidUrl(String);

/// One message on its way.
struct Message<'a> {
    client: &'a RpcClient,
    topic: &'a str,
    context: &'a RawValue,
    method: &'a str,
    args: &'a RawValue,
    timeout: Duration,
    deadline: Instant,
}

impl<'a> Message<'a> {
    fn new(
        client: &'a RpcClient,
        context: &'a RawValue,
        method: &'a str,
        args: &'a RawValue,
    ) -> Result<Self, ClientError> {
        for (name, value) in [("the context", context), ("args", args)] {
            if !json::is_object(value) {
                let problem = "it is not an object".to_owned();
                return Err(ClientError::Invalid { name, problem });
            }
        }
        let target = &client.target;
        if let Some(cap) = client.version_cap
            && !fits(cap, target.version.as_deref())
        {
            let version = target.version.clone();
            return Err(ClientError::VersionCap { version, cap });
        }
        let Some(topic) = target.topic.as_deref().filter(|topic| !topic.is_empty()) else {
            let problem = format!("A topic is required to send:{target}");
            return Err(ClientError::InvalidTarget(problem));
        };
        if client
            .call_monitor_timeout
            .is_some_and(|monitor| monitor < SHORTEST_MONITOR)
        {
            return Err(ClientError::Invalid {
                name: "the call monitor timeout",
                problem: "below 2 s servers give no sign of life".to_owned(),
            });
        }
        let timeout = client.timeout.unwrap_or(client.default_timeout);
        let now = Instant::now();
        Ok(Self {
            client,
            topic,
            context,
            method,
            args,
            timeout,
            deadline: now.checked_add(timeout).unwrap_or(now + LONGEST_WAIT),
        })
    }

    fn traced(&self, operation: &'static str) -> Option<Sending> {
        trace::sending(
            operation,
            self.topic,
            self.client.target.namespace.as_deref(),
            self.method,
            self.context.get(),
        )
    }

    async fn call(&self, trace: &[(String, String)]) -> Result<Json, ClientError> {
        let message_id = unique_id();
        let waiting = self.register(&message_id).await?;
        let reply_to = ReplyTo {
            queue: waiting.reply_queue,
            message_id: &message_id,
            monitor: self.client.call_monitor_timeout,
        };
        self.send(Some(reply_to), trace).await?;
        let monitor = self.client.call_monitor_timeout;
        match waiting.reply(monitor, self.deadline).await {
            Ok(outcome) => outcome.map_err(ClientError::Remote),
            Err(no_reply) => Err(self.no_reply(no_reply, message_id)),
        }
    }

    async fn cast(&self, trace: &[(String, String)]) -> Result<(), ClientError> {
        self.send(None, trace).await
    }

    /// Registers for the reply. Where the reply queue is not there yet, whether the broker can be
    /// reached is found out first: receiving goes on trying for ever, and a message does not.
    async fn register(&self, message_id: &str) -> Result<Waiting<'_>, ClientError> {
        let Wire { transport, replies } = &*self.client.wire;
        if !replies.is_listening() {
            let connecting = transport.connect(self.client.retries, self.deadline);
            connecting.await?;
        }
        let registering = replies.register(message_id, self.client.retries);
        match timeout_at(self.deadline.into(), registering).await {
            Ok(registered) => registered.map_err(|error| self.no_reply(error, String::new())),
            Err(_) => Err(ClientError::NotSent(match replies.why_not_listening() {
                Some(reason) => TransportError::Unreachable(reason),
                None => TransportError::TimedOut,
            })),
        }
    }

    fn no_reply(&self, why: NoReply, message_id: String) -> ClientError {
        match why {
            NoReply::TimedOut => ClientError::TimedOut {
                message_id,
                after: self.timeout,
            },
            NoReply::Silent(after) => ClientError::TimedOut { message_id, after },
            NoReply::Refused(reason) => ClientError::NotSent(TransportError::Refused(reason)),
            NoReply::Unreachable(reason) => {
                ClientError::NotSent(TransportError::Unreachable(reason))
            }
            NoReply::TooMany => ClientError::TooMany,
            NoReply::Stopped => ClientError::Closed,
        }
    }

    async fn send(
        &self,
        reply_to: Option<ReplyTo<'_>>,
        trace: &[(String, String)],
    ) -> Result<(), ClientError> {
        let target = &self.client.target;
        let is_call = reply_to.is_some();
        let body = OutgoingRequest {
            namespace: target.namespace.as_deref(),
            version: target.version.as_deref(),
            method: self.method,
            args: self.args,
            context: self.context,
            trace,
            depth: self.client.depth,
            reply_to,
            unique_id: &unique_id(),
        };
        let body = body.encode().map_err(|error| ClientError::Invalid {
            name: "the context",
            problem: error.to_string(),
        })?;
        let topic = self.topic.to_owned();
        let to = match target.fanout {
            true => Destination::Fanout { topic },
            false => Destination::Topic {
                exchange: match &target.exchange {
                    Some(exchange) => exchange.clone(),
                    None => DEFAULT_EXCHANGE.to_owned(),
                },
                topic,
                server: target.server.clone().filter(|server| !server.is_empty()),
            },
        };
        let message = Arc::new(Outgoing {
            body,
            expires_in: is_call.then_some(self.timeout),
            mandatory: self.client.at_least_once && !target.fanout,
            retries: self.client.retries,
            deadline: self.deadline,
        });
        let sent = self.client.wire.transport.send(&to, message).await;
        sent.map_err(|error| match (error, to) {
            (TransportError::Undeliverable(routing_key), Destination::Topic { exchange, .. }) => {
                ClientError::Undeliverable {
                    routing_key,
                    exchange,
                }
            }
            (error, _) => error.into(),
        })
    }
}

/// What of its trace goes with a message.
fn entries(sending: &Option<Sending>) -> &[(String, String)] {
    sending.as_ref().map_or(&[], |sending| &sending.entries)
}

fn to_json(name: &'static str, value: &(impl Serialize + ?Sized)) -> Result<Json, ClientError> {
    serde_json::value::to_raw_value(value).map_err(|error| ClientError::Invalid {
        name,
        problem: error.to_string(),
    })
}

fn checked_version(text: &str) -> Result<Version, ClientError> {
    text.parse()
        .map_err(|_| ClientError::InvalidVersion(text.to_owned()))
}

/// Whether servers of version `cap` have what needs `version`.
fn fits(cap: Version, version: Option<&str>) -> bool {
    version.is_some_and(|version| {
        let version = RequestedVersion::Text(version.to_owned());
        is_compatible(cap, &version) == Ok(true)
    })
}

/// 32 hexadecimal digits, as upstream's `uuid4().hex`.
fn unique_id() -> String {
    Uuid::new_v4().simple().to_string()
}
