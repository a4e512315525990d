//! The seam through which plugins reach others: whom to send what, and nothing of queues.

use std::time::Instant;

use async_trait::async_trait;
use serde_json::value::RawValue;

use crate::protocol::failure::Failure;
use crate::protocol::json::Json;

/// How many plugins may call one another in a row; the last of them may call nobody. Each of them
/// waits for the next, so a chain without an end would take all that there is.
pub const MAX_DEPTH: u32 = 8;

/// Sends messages for plugins.
#[async_trait]
pub trait Outbound: Send + Sync {
    /// Has one server run a method, and gives its result.
    async fn call(&self, message: Message<'_>) -> Result<Json, OutboundError>;

    /// Sends a message that has no reply, and returns once it is safe with the broker.
    async fn cast(&self, message: Message<'_>) -> Result<(), OutboundError>;

    /// What all messages go through.
    fn exchange(&self) -> &str;
}

/// What is to be sent.
#[derive(Clone, Copy, Debug)]
pub struct Message<'a> {
    pub topic: &'a str,
    pub to: Recipients<'a>,
    pub namespace: Option<&'a str>,
    pub version: Option<&'a str>,
    pub method: &'a str,
    /// An object.
    pub args: &'a RawValue,
    /// An object.
    pub context: &'a RawValue,
    /// How many plugins, one calling the next, led to it. It begins anew with what has no reply, as
    /// nobody waits for that.
    pub depth: u32,
    /// When to give up sending it, and waiting for its result.
    pub deadline: Instant,
}

/// Who of a topic gets a message.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Recipients<'a> {
    Any,
    Server(&'a str),
    All,
}

/// Why a message was not sent, or has no result.
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
    #[error("there was no reply in time")]
    TimedOut,
    #[error("{}.{}: {}", .0.module, .0.class, .0.message)]
    Remote(Failure),
}
