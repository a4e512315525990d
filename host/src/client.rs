//! `RpcClient`: calls out over the transport and waits for the reply (rpc/client.py).

pub mod reply_waiter;

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use serde_json::value::RawValue;
use tokio::time::timeout_at;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use self::reply_waiter::{NoReply, ReplyWaiter};
use crate::outbound::{Cast, Outbound, OutboundError, Recipients};
use crate::protocol::envelope::{OutgoingRequest, RemoteFailure, ReplyTo};
use crate::protocol::json::Json;
use crate::telemetry::trace::{self, Sending};
use crate::transport::{Destination, Outgoing, Transport, TransportError};

/// What stands for a time that no clock can count.
const LONGEST_WAIT: Duration = Duration::from_secs(365 * 24 * 3600);

/// Calls methods of other servers, or of this one.
pub struct RpcClient {
    transport: Arc<dyn Transport>,
    /// Of messages that name none.
    exchange: String,
    replies: ReplyWaiter,
}

/// One call to be made.
#[derive(Debug)]
pub struct RpcCall<'a> {
    pub exchange: &'a str,
    pub topic: &'a str,
    pub server: Option<&'a str>,
    pub namespace: Option<&'a str>,
    pub version: Option<&'a str>,
    pub method: &'a str,
    /// An object.
    pub args: &'a RawValue,
    /// An object.
    pub context: &'a RawValue,
    pub timeout: Duration,
}

/// Why a call has no result.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    #[error("{}.{}: {}", .0.module, .0.class, .0.message)]
    Remote(RemoteFailure),
    #[error("no reply within {} s", .0.as_secs_f64())]
    TimedOut(Duration),
    #[error("no server listens to `{0}`")]
    NoServer(String),
    #[error("the context is not an object: {0}")]
    Context(serde_json::Error),
    #[error(transparent)]
    NoReply(#[from] NoReply),
    #[error(transparent)]
    Transport(TransportError),
}

/// What of its trace goes with a message.
fn entries(sending: &Option<Sending>) -> &[(String, String)] {
    sending.as_ref().map_or(&[], |sending| &sending.entries)
}

impl CallError {
    /// What it is, without what the other side said: that may be anything.
    fn kind(&self) -> &str {
        match self {
            Self::Remote(failure) => &failure.class,
            Self::TimedOut(_) => "no reply in time",
            Self::NoServer(_) => "no server listens there",
            Self::Context(_) => "the context is no object",
            Self::NoReply(_) | Self::Transport(_) => "not sent",
        }
    }
}

impl RpcClient {
    /// A client whose messages go through `exchange`, if they name no other.
    pub fn new(transport: Arc<dyn Transport>, exchange: String) -> Self {
        Self {
            transport,
            exchange,
            replies: ReplyWaiter::default(),
        }
    }

    /// Receives replies until `stop`; calls need this to be running.
    pub async fn run(&self, stop: CancellationToken) {
        self.replies.run(&*self.transport, stop).await;
    }

    /// Sends the call, as mandatory, and waits for its reply.
    pub async fn call(&self, call: RpcCall<'_>) -> Result<Json, CallError> {
        let now = Instant::now();
        let deadline = now.checked_add(call.timeout).unwrap_or(now + LONGEST_WAIT);
        let timed_out = || CallError::TimedOut(call.timeout);
        let sending = trace::sending(
            "call",
            call.topic,
            call.namespace,
            call.method,
            call.context.get(),
        );
        let calling = async {
            let message_id = Uuid::new_v4().simple().to_string();
            let waiting = self.replies.register(&message_id).await?;
            let body = OutgoingRequest {
                namespace: call.namespace,
                version: call.version,
                method: call.method,
                args: call.args,
                context: call.context,
                trace: entries(&sending),
                reply_to: Some(ReplyTo {
                    queue: waiting.reply_queue,
                    message_id: &message_id,
                }),
                unique_id: &Uuid::new_v4().simple().to_string(),
            }
            .encode()
            .map_err(CallError::Context)?;
            let to = Destination::Topic {
                exchange: call.exchange.to_owned(),
                topic: call.topic.to_owned(),
                server: call.server.map(str::to_owned),
            };
            let message = Outgoing {
                body,
                expires_in: Some(call.timeout),
                deadline,
            };
            self.transport
                .send(&to, message)
                .await
                .map_err(|error| match error {
                    TransportError::Undeliverable(queue) => CallError::NoServer(queue),
                    TransportError::TimedOut => timed_out(),
                    other => CallError::Transport(other),
                })?;
            waiting.reply().await?.map_err(CallError::Remote)
        };
        let outcome = timeout_at(deadline.into(), calling)
            .await
            .unwrap_or_else(|_| Err(timed_out()));
        if let (Some(sending), Err(error)) = (&sending, &outcome) {
            sending.failed(error.kind().to_owned());
        }
        outcome
    }
}

#[async_trait]
impl Outbound for RpcClient {
    async fn cast(&self, cast: Cast<'_>) -> Result<(), OutboundError> {
        // A grant names topics of the service that this host belongs to, and not of every other.
        if cast
            .exchange
            .is_some_and(|exchange| exchange != self.exchange)
        {
            return Err(OutboundError::NotGranted(format!(
                "plugins send through the exchange `{}` only",
                self.exchange
            )));
        }
        let operation = match cast.to {
            Recipients::All => "fanout",
            Recipients::Any | Recipients::Server(_) => "cast",
        };
        let sending = trace::sending(
            operation,
            cast.topic,
            cast.namespace,
            cast.method,
            cast.context.get(),
        );
        let body = OutgoingRequest {
            namespace: cast.namespace,
            version: cast.version,
            method: cast.method,
            args: cast.args,
            context: cast.context,
            trace: entries(&sending),
            reply_to: None,
            unique_id: &Uuid::new_v4().simple().to_string(),
        }
        .encode()
        .map_err(|error| OutboundError::Invalid(format!("the context is no object: {error}")))?;
        let topic = cast.topic.to_owned();
        let exchange = self.exchange.clone();
        let to = match cast.to {
            Recipients::All => Destination::Fanout { topic },
            Recipients::Any => Destination::Topic {
                exchange,
                topic,
                server: None,
            },
            Recipients::Server(server) => Destination::Topic {
                exchange,
                topic,
                server: Some(server.to_owned()),
            },
        };
        let message = Outgoing {
            body,
            expires_in: None,
            deadline: cast.deadline,
        };
        let sent = self.transport.send(&to, message).await;
        sent.map_err(|error| match error {
            TransportError::Undeliverable(_) => OutboundError::Unroutable,
            TransportError::Refused(reason) => OutboundError::Invalid(reason),
            other => OutboundError::Unavailable(other.to_string()),
        })
    }
}
