//! The exception that a caller sees.

use serde_json::{Map, Value};

/// What a method returns that can fail.
pub type Result<T, E = Failure> = std::result::Result<T, E>;

/// An exception on its way to the caller.
///
/// A caller that runs oslo.messaging rebuilds it if it knows the module: Python's own are always
/// known ([`crate::builtins`] makes them), others as far as the caller's `allowed_remote_exmods`
/// goes. What it cannot rebuild it sees as `RemoteError` with the class in `exc_type`.
#[derive(Clone, Debug, PartialEq)]
pub struct Failure {
    /// The exception's class, such as `AgentNotFound`.
    pub class: String,
    /// The Python module that defines it, such as `neutron_lib.exceptions.agent`.
    pub module: String,
    /// The text that the caller reads.
    pub message: String,
    /// The keyword arguments that the caller rebuilds the exception with.
    pub kwargs: Map<String, Value>,
    /// Lines for whoever looks for the cause: what the exception of another service came with.
    pub traceback: Box<[String]>,
    /// Part of the interface, and so not worth a line in the host's log.
    pub expected: bool,
}

impl Failure {
    /// An exception by module and class.
    pub fn new(
        module: impl Into<String>,
        class: impl Into<String>,
        message: impl Into<String>,
    ) -> Self {
        Self {
            class: class.into(),
            module: module.into(),
            message: message.into(),
            kwargs: Map::new(),
            traceback: Box::default(),
            expected: false,
        }
    }

    /// The same, with one more keyword argument for the caller to rebuild it with.
    #[must_use]
    pub fn with_kwarg(mut self, name: impl Into<String>, value: impl Into<Value>) -> Self {
        self.kwargs.insert(name.into(), value.into());
        self
    }

    /// The same, as a part of the interface.
    #[must_use]
    pub fn expected(mut self) -> Self {
        self.expected = true;
        self
    }

    /// What a caller gets who asks for a method that is not there.
    pub fn no_such_method(method: &str) -> Self {
        let message = format!("Endpoint does not support RPC method {method}");
        Self::new("oslo_messaging.rpc.dispatcher", "NoSuchMethod", message)
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}: {}", self.module, self.class, self.message)
    }
}

impl std::error::Error for Failure {}
