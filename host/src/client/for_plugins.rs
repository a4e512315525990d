//! What plugins send goes out through the host's own client.

use std::time::Instant;

use async_trait::async_trait;
use tracing::warn;

use super::{ClientError, DEFAULT_EXCHANGE, RpcClient};
use crate::outbound::{Message, Outbound, OutboundError, Recipients};
use crate::protocol::json::Json;
use crate::protocol::target::Target;
use crate::transport::TransportError;

impl RpcClient {
    fn for_message(&self, message: &Message<'_>) -> Self {
        let target = Target {
            exchange: self.target.exchange.clone(),
            topic: Some(message.topic.to_owned()),
            namespace: message.namespace.map(str::to_owned),
            version: message.version.map(str::to_owned),
            server: match message.to {
                Recipients::Server(server) => Some(server.to_owned()),
                Recipients::Any | Recipients::All => None,
            },
            fanout: message.to == Recipients::All,
        };
        let left = message.deadline.saturating_duration_since(Instant::now());
        let mut client = self.prepare().with_target(target).timeout(left);
        client.depth = message.depth;
        client
    }
}

#[async_trait]
impl Outbound for RpcClient {
    async fn call(&self, message: Message<'_>) -> Result<Json, OutboundError> {
        let client = self.for_message(&message);
        let calling = client.call_json(message.context, message.method, message.args);
        calling.await.map_err(for_guests)
    }

    async fn cast(&self, message: Message<'_>) -> Result<(), OutboundError> {
        let client = self.for_message(&message);
        let casting = client.cast_json(message.context, message.method, message.args);
        casting.await.map_err(for_guests)
    }

    fn exchange(&self) -> &str {
        self.target.exchange.as_deref().unwrap_or(DEFAULT_EXCHANGE)
    }
}

/// The error without what only the operator may know: addresses and users are in the log.
fn for_guests(error: ClientError) -> OutboundError {
    let unavailable = |problem: &str| OutboundError::Unavailable(problem.to_owned());
    match error {
        ClientError::Remote(failure) => OutboundError::Remote(failure),
        ClientError::TimedOut { .. } => OutboundError::TimedOut,
        ClientError::Undeliverable { .. } => OutboundError::Unroutable,
        ClientError::NotSent(TransportError::Refused(problem)) => {
            warn!("What a plugin sent was refused: {problem}");
            OutboundError::Invalid("the broker does not allow it".to_owned())
        }
        ClientError::NotSent(problem) => {
            warn!("What a plugin sent did not reach the broker: {problem}");
            unavailable("the broker cannot be reached, or takes no messages now")
        }
        ClientError::TooMany => unavailable("too many calls wait for their replies"),
        ClientError::Closed => unavailable("the host is stopping"),
        ClientError::InvalidTarget(_)
        | ClientError::InvalidVersion(_)
        | ClientError::VersionCap { .. }
        | ClientError::Invalid { .. }
        | ClientError::UnexpectedResult(_) => OutboundError::Invalid(error.to_string()),
    }
}
