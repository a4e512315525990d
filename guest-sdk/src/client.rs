//! RPC to others, as the operator granted it (`client = ["fanout:TOPIC"]` in plugin.toml).
//!
//! The request context of the call being answered goes with each message.

use serde::Serialize;

use crate::{Failure, host};

/// Whom to send to. What is not said takes the host's defaults.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Target {
    pub(crate) exchange: Option<String>,
    pub(crate) topic: String,
    pub(crate) server: Option<String>,
    pub(crate) namespace: Option<String>,
    pub(crate) version: Option<String>,
}

impl Target {
    /// The servers of a topic, in the null namespace, at version 1.0.
    pub fn topic(topic: impl Into<String>) -> Self {
        Self {
            topic: topic.into(),
            ..Self::default()
        }
    }

    /// Through another exchange than the host's own.
    pub fn exchange(mut self, exchange: impl Into<String>) -> Self {
        self.exchange = Some(exchange.into());
        self
    }

    /// One server of the topic.
    pub fn server(mut self, server: impl Into<String>) -> Self {
        self.server = Some(server.into());
        self
    }

    /// A namespace of the topic.
    pub fn namespace(mut self, namespace: impl Into<String>) -> Self {
        self.namespace = Some(namespace.into());
        self
    }

    /// The version that the method needs.
    pub fn version(mut self, version: impl Into<String>) -> Self {
        self.version = Some(version.into());
        self
    }
}

/// Why a message was not sent.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Error {
    /// The operator did not grant it; the text has the line that would.
    NotGranted(String),
    /// The arguments or the target are not well formed.
    Invalid(String),
    /// No server listens there.
    Unroutable,
    /// The broker cannot be reached, or did not take it in time.
    Unavailable(String),
}

impl std::fmt::Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::NotGranted(line) => write!(f, "not granted: {line}"),
            Self::Invalid(problem) => f.write_str(problem),
            Self::Unroutable => f.write_str("no server listens there"),
            Self::Unavailable(reason) => write!(f, "the broker cannot be reached: {reason}"),
        }
    }
}

impl std::error::Error for Error {}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::new("endpointd", "ClientError", error.to_string())
    }
}

/// Has one server of the target run a method, without waiting for it.
pub fn cast(to: &Target, method: &str, args: &impl Serialize) -> Result<(), Error> {
    host::send(Kind::Cast, to, method, text(args)?)
}

/// Has every server of the target's topic run a method, without waiting for them.
pub fn fanout(to: &Target, method: &str, args: &impl Serialize) -> Result<(), Error> {
    host::send(Kind::Fanout, to, method, text(args)?)
}

/// How many of a topic's servers get a message.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Kind {
    /// One.
    Cast,
    /// Every one.
    Fanout,
}

fn text(args: &impl Serialize) -> Result<String, Error> {
    serde_json::to_string(args).map_err(|error| Error::Invalid(error.to_string()))
}
