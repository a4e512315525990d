//! Remote exceptions as the wire carries them (oslo_messaging/_drivers/common.py:
//! `serialize_remote_exception`, `deserialize_remote_exception`), and the ones that the host itself
//! raises.

use serde::Serialize;
use serde_json::value::RawValue;

use super::envelope::{Fields, text_of};
use super::json::{Json, empty_object, is_object};
use super::target::MalformedVersion;

/// The module whose exceptions every oslo client rebuilds as themselves.
const BUILTINS: &str = "builtins";
const DISPATCHER: &str = "oslo_messaging.rpc.dispatcher";
/// Where our own failures live. Clients do not list it among the modules they rebuild, so they
/// see a `RemoteError` that carries the class as its `exc_type`.
const ENDPOINTD: &str = "endpointd";
/// Python's mark on an exception that was raised again after it came from another service.
const PASSED_ON: &str = "_Remote";

/// The exception that a caller sees.
#[derive(Clone, Debug, Default)]
pub struct Failure {
    /// The exception's class, such as `ValueError`.
    pub class: String,
    /// The Python module that defines it, such as `builtins`.
    pub module: String,
    pub message: String,
    /// An object: the keyword arguments a caller rebuilds the exception with.
    pub kwargs: Option<Json>,
    /// Lines as the failing side's language shows them; empty where it has none.
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

    /// Reads the JSON text under a reply's `failure` key; an error if that is no object.
    ///
    /// Every key is optional, and one of another type than it should have is shown as it is: a caller
    /// learns what there is to learn. Nothing is rebuilt of it as Python does, so it is the same
    /// whatever module it names.
    pub fn from_json(text: &str) -> Result<Self, serde_json::Error> {
        let fields: Fields<'_> = serde_json::from_str(text)?;
        let shown = |value: &RawValue| text_of(value).unwrap_or_else(|| value.get().to_owned());
        let mut failure = Self::new("None", "None", "None");
        for (key, value) in fields
            .0
            .into_iter()
            .filter(|(_, value)| value.get() != "null")
        {
            match key.as_ref() {
                "class" => failure.class = shown(value),
                "module" => failure.module = shown(value),
                "message" => failure.message = shown(value),
                "kwargs" => failure.kwargs = is_object(value).then(|| value.to_owned()),
                "tb" => {
                    let lines = serde_json::from_str(value.get());
                    failure.traceback = lines.unwrap_or_else(|_| vec![shown(value)]);
                }
                _ => {}
            }
        }
        let (class, module) = (&failure.class, &failure.module);
        if let (Some(class), Some(module)) = (
            class.strip_suffix(PASSED_ON),
            module.strip_suffix(PASSED_ON),
        ) {
            (failure.class, failure.module) = (class.to_owned(), module.to_owned());
        }
        if failure.module == "exceptions" {
            failure.module = BUILTINS.to_owned();
        }
        Ok(failure)
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

    #[track_caller]
    fn check_failure(failure: &str, expected: (&str, &str, &str, &[&str])) {
        let failure = Failure::from_json(failure).expect("a failure");
        let traceback: Vec<_> = failure.traceback.iter().map(String::as_str).collect();
        let (class, module) = (failure.class.as_str(), failure.module.as_str());
        assert_eq!(
            (class, module, failure.message.as_str(), &*traceback),
            expected
        );
    }

    #[test]
    fn a_failure_keeps_what_it_has_however_odd() {
        check_failure("{}", ("None", "None", "None", &[]));
        check_failure(
            r#"{"class": 7, "module": ["m"], "message": {"a": 1}, "tb": "line", "args": 5}"#,
            ("7", "[\"m\"]", "{\"a\": 1}", &["line"]),
        );
        check_failure(
            r#"{"class": "E", "module": "exceptions", "message": "é", "tb": null, "kwargs": 5}"#,
            ("E", "builtins", "é", &[]),
        );
        check_failure(
            r#"{"class": "E_Remote", "module": "m_Remote", "tb": ["a", "b"], "other": 1}"#,
            ("E", "m", "None", &["a", "b"]),
        );
        check_failure(
            r#"{"class": "E_Remote"}"#,
            ("E_Remote", "None", "None", &[]),
        );
    }

    #[test]
    fn a_failure_has_the_six_keys_of_upstream() {
        assert_eq!(
            Failure::no_such_method("nosuch").to_json(),
            r#"{"class":"NoSuchMethod","module":"oslo_messaging.rpc.dispatcher","message":"Endpoint does not support RPC method nosuch","tb":[],"args":["Endpoint does not support RPC method nosuch"],"kwargs":{}}"#
        );
    }
}
