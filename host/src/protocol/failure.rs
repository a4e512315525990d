//! Remote exceptions as the wire carries them (oslo_messaging/_drivers/common.py:
//! `serialize_remote_exception`), and the ones that the host itself raises.

use serde::Serialize;
use serde_json::value::RawValue;

use super::json::{Json, empty_object};
use super::target::MalformedVersion;

/// The module whose exceptions every oslo client rebuilds as themselves.
const BUILTINS: &str = "builtins";
const DISPATCHER: &str = "oslo_messaging.rpc.dispatcher";
/// Where our own failures live. Clients do not list it among the modules they rebuild, so they
/// see a `RemoteError` that carries the class as its `exc_type`.
const ENDPOINTD: &str = "endpointd";

/// The exception that a caller sees.
#[derive(Clone, Debug, Default)]
pub struct Failure {
    pub class: String,
    pub module: String,
    pub message: String,
    /// An object: the keyword arguments a caller rebuilds the exception with.
    pub kwargs: Option<Json>,
    pub traceback: Vec<String>,
}

/// The object that stands, as text, under the reply's `failure` key.
#[derive(Serialize)]
struct WireFailure<'a> {
    class: &'a str,
    module: &'a str,
    message: &'a str,
    tb: &'a [String],
    args: [&'a str; 1],
    kwargs: &'a RawValue,
}

impl Failure {
    pub fn new(module: &str, class: &str, message: impl Into<String>) -> Self {
        Self {
            class: class.to_owned(),
            module: module.to_owned(),
            message: message.into(),
            ..Self::default()
        }
    }

    /// One of Python's built-in exceptions.
    pub fn builtin(class: &str, message: impl Into<String>) -> Self {
        Self::new(BUILTINS, class, message)
    }

    /// A failure of the host or of a plugin, as opposed to one that a plugin answered with.
    pub fn internal(class: &str, message: impl Into<String>) -> Self {
        Self::new(ENDPOINTD, class, message)
    }

    /// Also sent where the method exists but may not be called: the two look alike.
    pub fn no_such_method(method: &str) -> Self {
        let message = format!("Endpoint does not support RPC method {method}");
        Self::new(DISPATCHER, "NoSuchMethod", message)
    }

    pub fn unsupported_version(version: &str, method: &str) -> Self {
        let message =
            format!("Endpoint does not support RPC version {version}. Attempted method: {method}");
        Self::new(DISPATCHER, "UnsupportedVersion", message)
    }

    /// The JSON text that goes under the reply's `failure` key.
    pub fn to_json(&self) -> String {
        let empty = empty_object();
        let wire = WireFailure {
            class: &self.class,
            module: &self.module,
            message: &self.message,
            tb: &self.traceback,
            args: [&self.message],
            kwargs: self.kwargs.as_deref().unwrap_or(&empty),
        };
        serde_json::to_string(&wire).expect("texts and valid JSON always serialize")
    }
}

impl From<MalformedVersion> for Failure {
    fn from(error: MalformedVersion) -> Self {
        match &error {
            MalformedVersion::NoMinor(_) => Self::builtin("IndexError", "list index out of range"),
            MalformedVersion::NotANumber(_) => Self::builtin("ValueError", error.to_string()),
            MalformedVersion::NotText(_) => Self::builtin("AttributeError", error.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_has_the_six_keys_of_upstream() {
        assert_eq!(
            Failure::no_such_method("nosuch").to_json(),
            r#"{"class":"NoSuchMethod","module":"oslo_messaging.rpc.dispatcher","message":"Endpoint does not support RPC method nosuch","tb":[],"args":["Endpoint does not support RPC method nosuch"],"kwargs":{}}"#
        );
    }
}
