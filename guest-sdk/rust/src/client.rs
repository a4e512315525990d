//! RPC to others, as the operator granted it: `client = ["call:TOPIC", "cast:TOPIC", "fanout:TOPIC"]`
//! under `[grants]` in plugin.toml, with `*` for every topic.
//!
//! The request context of the call being answered goes with each message, and what is left of its time
//! bounds how long a call waits. While a plugin waits, others get its place.
//!
//! ```
//! use endpointd_guest::client::{self, Target};
//! use endpointd_guest::{Result, endpoint};
//! use serde_json::json;
//!
//! #[derive(Default)]
//! struct Relay;
//!
//! #[endpoint(version = "1.0")]
//! impl Relay {
//!     /// How many agents neutron knows. What goes wrong there goes wrong here: `?` passes it on.
//!     pub fn agents(&self) -> Result<usize> {
//!         let reports = Target::topic("q-reports-plugin").version("1.4");
//!         let agents: Vec<serde_json::Value> = client::call(&reports, "get_agents", &json!({}))?;
//!         Ok(agents.len())
//!     }
//! }
//! # fn main() {
//! # endpointd_guest::testing::answer(|_, method, _| Ok(json!([method])));
//! # assert_eq!(Relay.agents(), Ok(1));
//! # }
//! ```

use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::{Context, Failure, host};

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

    /// Through this exchange. Only the host's own is allowed, which is also the default.
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

    /// With a shorter time or another context than by default.
    pub fn prepare(&self) -> Prepared {
        Prepared {
            to: self.clone(),
            options: Options::default(),
        }
    }
}

/// Why a message was not sent, or a call has no result.
///
/// As a [`Failure`], which `?` makes of it, it is what Python would raise: the other side's own
/// exception, or one of `oslo_messaging.exceptions`.
#[derive(Clone, Debug, PartialEq)]
pub enum Error {
    /// The operator did not grant it; the text has the line that would. Also where too many plugins
    /// have called one another.
    NotGranted(String),
    /// The arguments or the target are not well formed.
    Invalid(String),
    /// There was no result in time; the other side may still have done it.
    Timeout,
    /// No server listens there.
    Unroutable,
    /// It could not be sent now: the broker cannot be reached or took nothing in time, the host is
    /// stopping, or too many calls wait. The text says which.
    Unavailable(String),
    /// The other side answered with this exception.
    Remote(Failure),
    /// The result is not of the type that was asked for.
    UnexpectedResult(String),
}

impl std::fmt::Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::NotGranted(line) => write!(f, "not granted: {line}"),
            Self::Invalid(problem) => f.write_str(problem),
            Self::Timeout => f.write_str("there was no reply in time"),
            Self::Unroutable => f.write_str("no server listens there"),
            Self::Unavailable(reason) => f.write_str(reason),
            Self::Remote(failure) => failure.fmt(f),
            Self::UnexpectedResult(problem) => {
                write!(f, "the result is not what was expected: {problem}")
            }
        }
    }
}

impl std::error::Error for Error {}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let oslo = |class: &str| Self::new("oslo_messaging.exceptions", class, error.to_string());
        match error {
            Error::Remote(failure) => failure,
            Error::Timeout => oslo("MessagingTimeout"),
            Error::Unroutable => oslo("MessageUndeliverable"),
            Error::Unavailable(_) => oslo("MessageDeliveryFailure"),
            Error::NotGranted(_) | Error::Invalid(_) | Error::UnexpectedResult(_) => {
                Self::new("endpointd", "ClientError", error.to_string())
            }
        }
    }
}

/// Has one server of the target run a method and gives its result, as a type of your own or as
/// `serde_json::Value`. `args` is what serializes to an object.
pub fn call<R: DeserializeOwned>(
    to: &Target,
    method: &str,
    args: &impl Serialize,
) -> Result<R, Error> {
    to.prepare().call(method, args)
}

/// Has one server of the target run a method, without waiting for it.
pub fn cast(to: &Target, method: &str, args: &impl Serialize) -> Result<(), Error> {
    to.prepare().cast(method, args)
}

/// Has every server of the target's topic run a method, without waiting for them.
pub fn fanout(to: &Target, method: &str, args: &impl Serialize) -> Result<(), Error> {
    to.prepare().fanout(method, args)
}

/// A target with options: `Target::topic("t").prepare().timeout(...).call(...)`.
#[derive(Clone, Debug)]
pub struct Prepared {
    to: Target,
    options: Options,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Options {
    pub(crate) timeout_ms: Option<u32>,
    pub(crate) context: Option<String>,
}

impl Prepared {
    /// The longest that it may take; never longer than what is left of the call being answered.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        let longest = u32::MAX;
        self.options.timeout_ms = Some(timeout.as_millis().try_into().unwrap_or(longest));
        self
    }

    /// Another request context than that of the call being answered.
    pub fn context(mut self, context: &Context) -> Self {
        self.options.context = Some(context.as_json().to_owned());
        self
    }

    /// As [`call`](call()).
    pub fn call<R: DeserializeOwned>(
        &self,
        method: &str,
        args: &impl Serialize,
    ) -> Result<R, Error> {
        let result = host::call(&self.to, method, text(args)?, &self.options)?;
        serde_json::from_str(&result).map_err(|error| Error::UnexpectedResult(error.to_string()))
    }

    /// As [`cast`](cast()).
    pub fn cast(&self, method: &str, args: &impl Serialize) -> Result<(), Error> {
        host::send(Kind::Cast, &self.to, method, text(args)?, &self.options)
    }

    /// As [`fanout`](fanout()).
    pub fn fanout(&self, method: &str, args: &impl Serialize) -> Result<(), Error> {
        host::send(Kind::Fanout, &self.to, method, text(args)?, &self.options)
    }
}

/// What was sent, in a test.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Kind {
    /// To one server, for its result.
    Call,
    /// To one server.
    Cast,
    /// To every one.
    Fanout,
}

fn text(args: &impl Serialize) -> Result<String, Error> {
    serde_json::to_string(args).map_err(|error| Error::Invalid(error.to_string()))
}
