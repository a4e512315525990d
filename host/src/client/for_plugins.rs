//! What plugins send goes out through the host's own client.

use std::time::Instant;

use async_trait::async_trait;

use super::{ClientError, RpcClient};
use crate::outbound::{Message, Outbound, OutboundError, Recipients};
use crate::protocol::json::Json;
use crate::protocol::target::Target;
use crate::transport::TransportError;

impl RpcClient {
    fn for_message(&self, message: &Message<'_>) -> Result<Self, OutboundError> {
        let own = self.target.exchange.as_deref();
        // A grant names topics of the service that this host belongs to, and not of every other.
        if message.exchange.is_some() && message.exchange != own {
            return Err(OutboundError::NotGranted(format!(
                "plugins send through the exchange `{}` only",
                own.unwrap_or_default()
            )));
        }
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
        Ok(client)
    }
}

#[async_trait]
impl Outbound for RpcClient {
    async fn call(&self, message: Message<'_>) -> Result<Json, OutboundError> {
        let client = self.for_message(&message)?;
        let calling = client.call_json(message.context, message.method, message.args);
        Ok(calling.await?)
    }

    async fn cast(&self, message: Message<'_>) -> Result<(), OutboundError> {
        let client = self.for_message(&message)?;
        let casting = client.cast_json(message.context, message.method, message.args);
        Ok(casting.await?)
    }
}

impl From<ClientError> for OutboundError {
    fn from(error: ClientError) -> Self {
        match error {
            ClientError::Remote(failure) => Self::Remote(failure),
            ClientError::TimedOut { .. } => Self::TimedOut,
            ClientError::Undeliverable(_) => Self::Unroutable,
            ClientError::NotSent(TransportError::Refused(problem)) => Self::Invalid(problem),
            ClientError::NotSent(_) | ClientError::TooMany | ClientError::Closed => {
                Self::Unavailable(error.to_string())
            }
            ClientError::InvalidTarget(_)
            | ClientError::InvalidVersion(_)
            | ClientError::VersionCap { .. }
            | ClientError::Invalid { .. }
            | ClientError::UnexpectedResult(_) => Self::Invalid(error.to_string()),
        }
    }
}
