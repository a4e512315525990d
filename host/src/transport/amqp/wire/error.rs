//! Why something on a connection did not come about.

use std::io;
use std::sync::Arc;

use amq_protocol::types::ShortString;

/// What the broker says when it closes a channel or a connection: code and text (specification, 1.2).
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{text} ({code})")]
pub(crate) struct Refusal {
    pub(crate) code: u16,
    pub(crate) text: String,
}

/// Reply codes that something depends on.
pub(crate) mod code {
    pub(crate) const ACCESS_REFUSED: u16 = 403;
    pub(crate) const NOT_FOUND: u16 = 404;
    pub(crate) const PRECONDITION_FAILED: u16 = 406;
    pub(crate) const NOT_ALLOWED: u16 = 530;
}

/// Why something did not come about.
#[derive(Clone, Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The broker closed the channel, and only that: what was asked for on it cannot be had.
    #[error(transparent)]
    Channel(Refusal),
    /// The broker closed the connection.
    #[error(transparent)]
    Connection(Refusal),
    #[error(transparent)]
    Io(Arc<io::Error>),
    #[error("the broker ended the connection without a word")]
    HungUp,
    #[error("the broker sent what is no AMQP 0-9-1: {0}")]
    Garbled(String),
    #[error("the broker does not offer the login method {wanted}, but {offered}")]
    LoginMethod { wanted: String, offered: String },
    #[error("nothing came from the broker for {0} s")]
    Silent(u32),
    /// AMQP's short strings have at most 255 bytes.
    #[error("the name `{0}` has more than 255 bytes")]
    LongName(String),
    #[error("all {0} channels of the connection are in use")]
    NoChannelLeft(u16),
    /// This side did.
    #[error("it was closed")]
    Closed,
}

impl From<io::Error> for Error {
    fn from(error: io::Error) -> Self {
        Self::Io(Arc::new(error))
    }
}

impl Error {
    /// What the broker said of a channel that it closed. Asking again gives the same answer.
    pub(crate) fn refusal(&self) -> Option<&Refusal> {
        match self {
            Self::Channel(refusal) => Some(refusal),
            _ => None,
        }
    }
}

/// A name in AMQP's form.
pub(crate) fn short(name: &str) -> Result<ShortString, Error> {
    ShortString::try_new(name).map_err(|_| Error::LongName(name.to_owned()))
}
