//! The seam through which plugins reach others: whom to send what, and nothing of queues.

use std::time::Instant;

use async_trait::async_trait;
use serde_json::value::RawValue;

/// Sends messages for plugins.
#[async_trait]
pub trait Outbound: Send + Sync {
    /// Sends a message that has no reply, and returns once it is safe with the broker.
    async fn cast(&self, cast: Cast<'_>) -> Result<(), OutboundError>;
}

/// A message without a reply.
#[derive(Debug)]
pub struct Cast<'a> {
    /// `None` is the host's own; no other is allowed.
    pub exchange: Option<&'a str>,
    pub topic: &'a str,
    pub to: Recipients<'a>,
    pub namespace: Option<&'a str>,
    pub version: Option<&'a str>,
    pub method: &'a str,
    /// An object.
    pub args: &'a RawValue,
    /// An object.
    pub context: &'a RawValue,
    /// When to give up sending it.
    pub deadline: Instant,
}

/// Who of a topic gets a message.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Recipients<'a> {
    Any,
    Server(&'a str),
    All,
}

/// Why a message was not sent.
#[derive(Debug, thiserror::Error)]
pub enum OutboundError {
    #[error("{0}")]
    Invalid(String),
    #[error("{0}")]
    NotGranted(String),
    #[error("no server listens there")]
    Unroutable,
    #[error("{0}")]
    Unavailable(String),
}
