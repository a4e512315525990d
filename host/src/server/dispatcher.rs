//! The pure choice of the endpoint that answers a request (rpc/dispatcher.py: `dispatch`).

use std::sync::Arc;

use serde_json::value::RawValue;

use crate::endpoint::{Endpoint, Endpoints};
use crate::protocol::failure::Failure;
use crate::protocol::request::{BadArguments, Namespace, Request};
use crate::protocol::target::{MalformedVersion, is_compatible};

/// Why no endpoint answers.
#[derive(Debug, thiserror::Error)]
pub enum DispatchError {
    #[error("no endpoint has the method `{0}`")]
    NoSuchMethod(String),
    #[error("no endpoint serves version {version} of the namespace asked for")]
    UnsupportedVersion { version: String, method: String },
    #[error("malformed version: {0}")]
    MalformedVersion(#[from] MalformedVersion),
    #[error("the method is missing or no string")]
    MethodNotText,
    #[error("the arguments cannot be passed on")]
    Arguments(BadArguments),
}

impl From<DispatchError> for Failure {
    fn from(error: DispatchError) -> Self {
        match error {
            DispatchError::NoSuchMethod(method) => Self::no_such_method(&method),
            DispatchError::UnsupportedVersion { version, method } => {
                Self::unsupported_version(&version, &method)
            }
            DispatchError::MalformedVersion(error) => error.into(),
            DispatchError::MethodNotText => {
                Self::builtin("TypeError", "attribute name must be string")
            }
            // An unmodified agent takes AttributeError as a reason to stop reporting for good.
            // Upstream sends it here, but only for arguments that no agent sends.
            DispatchError::Arguments(BadArguments::NotAnObject) => {
                Self::builtin("AttributeError", "the arguments must be an object")
            }
            DispatchError::Arguments(BadArguments::NotFinite) => Self::builtin(
                "ValueError",
                "arguments or context have NaN or Infinity, which JSON has not",
            ),
        }
    }
}

/// A request that found its endpoint.
pub struct Resolved<'a> {
    pub endpoint: &'a Arc<dyn Endpoint>,
    pub method: &'a str,
    /// An object.
    pub args: &'a RawValue,
}

/// Chooses the endpoint that must answer: by namespace first, then version, then method.
///
/// The first that fits wins. A compatible endpoint without the method is a different failure
/// from no compatible endpoint at all, since callers tell the two apart.
pub fn resolve<'a>(
    endpoints: &'a Endpoints,
    request: &'a Request,
) -> Result<Resolved<'a>, DispatchError> {
    let mut compatible = false;
    for endpoint in endpoints.iter() {
        let target = endpoint.target();
        if !serves_namespace(target.namespace.as_deref(), &request.namespace)
            || !is_compatible(target.version, &request.version)?
        {
            continue;
        }
        let method = request
            .method
            .as_deref()
            .ok_or(DispatchError::MethodNotText)?;
        if target.has_method(method) {
            let args = request
                .args
                .as_ref()
                .map_err(|bad| DispatchError::Arguments(*bad))?;
            return Ok(Resolved {
                endpoint,
                method,
                args,
            });
        }
        compatible = true;
    }
    let method = request.method.clone().unwrap_or_else(|| "None".to_owned());
    match compatible {
        true => Err(DispatchError::NoSuchMethod(method)),
        false => Err(DispatchError::UnsupportedVersion {
            version: request.version.as_python_text().to_owned(),
            method,
        }),
    }
}

fn serves_namespace(served: Option<&str>, requested: &Namespace) -> bool {
    match requested {
        Namespace::Null => served.is_none(),
        Namespace::Named(name) => served == Some(name),
        Namespace::NotText => false,
    }
}

#[cfg(test)]
mod tests {
    use async_trait::async_trait;

    use super::*;
    use crate::endpoint::Call;
    use crate::protocol::envelope::decode;
    use crate::protocol::json::Json;
    use crate::protocol::target::EndpointTarget;

    struct Silent(EndpointTarget);

    #[async_trait]
    impl Endpoint for Silent {
        fn generation(&self) -> &str {
            "1"
        }

        fn target(&self) -> &EndpointTarget {
            &self.0
        }

        fn name(&self) -> &str {
            "silent"
        }

        async fn invoke(&self, _: Call<'_>) -> Result<Json, Failure> {
            unreachable!("only asked for its target")
        }
    }

    /// `text` is "namespace version: method method", where `-` is the null namespace.
    fn endpoint(text: &str) -> Arc<dyn Endpoint> {
        let (head, methods) = text.split_once(':').expect("a colon");
        let (namespace, version) = head.split_once(' ').expect("two words");
        Arc::new(Silent(EndpointTarget {
            namespace: (namespace != "-").then(|| namespace.to_owned()),
            version: version.parse().expect("a version"),
            methods: methods.split_whitespace().map(str::to_owned).collect(),
        }))
    }

    /// `expected` is the version and methods that answer, or the failure's class and message.
    #[track_caller]
    fn check(offered: &[&str], request: &str, expected: &str) {
        let endpoints = Endpoints::new(offered.iter().map(|text| endpoint(text)).collect());
        let request = decode(request.as_bytes()).expect("a request");
        let outcome = match resolve(&endpoints, &request) {
            Ok(resolved) => resolved.endpoint.target().to_string(),
            Err(error) => {
                let failure = Failure::from(error);
                format!("{}: {}", failure.class, failure.message)
            }
        };
        assert_eq!(outcome, expected);
    }

    #[test]
    fn a_newer_minor_answers_an_older_request() {
        check(
            &["- 1.4: m"],
            r#"{"method": "m", "version": "1.2"}"#,
            "1.4: m",
        );
        check(&["- 1.4: m"], r#"{"method": "m"}"#, "1.4: m");
    }

    #[test]
    fn of_several_that_fit_the_highest_version_answers() {
        check(
            &["- 1.9: m", "- 1.10: m", "- 2.0: m"],
            r#"{"method": "m", "version": "1.1"}"#,
            "1.10: m",
        );
    }

    #[test]
    fn a_method_may_live_in_a_lower_compatible_version() {
        check(
            &["- 1.4: m", "- 1.6: n"],
            r#"{"method": "m", "version": "1.4"}"#,
            "1.4: m",
        );
    }

    #[test]
    fn what_is_missing_is_told_apart() {
        let text = "Endpoint does not support RPC";
        check(
            &["- 1.4: m"],
            r#"{"method": "n", "version": "1.4"}"#,
            &format!("NoSuchMethod: {text} method n"),
        );
        check(
            &["- 1.4: m"],
            r#"{"method": "m", "version": "1.5"}"#,
            &format!("UnsupportedVersion: {text} version 1.5. Attempted method: m"),
        );
        check(
            &["- 1.4: m"],
            r#"{"method": "m", "version": null}"#,
            &format!("UnsupportedVersion: {text} version None. Attempted method: m"),
        );
    }

    #[test]
    fn the_namespace_is_looked_at_before_the_version() {
        let asked = r#"{"method": "m", "version": "rubbish", "namespace": "other"}"#;
        check(
            &["- 1.4: m"],
            asked,
            "UnsupportedVersion: Endpoint does not support RPC version rubbish. Attempted method: m",
        );
        check(
            &["other 1.4: m"],
            asked,
            "ValueError: invalid literal for int() with base 10: 'rubbish'",
        );
    }

    #[test]
    fn an_empty_namespace_is_not_the_null_one() {
        let unsupported =
            "UnsupportedVersion: Endpoint does not support RPC version 1.0. Attempted method: m";
        check(
            &["- 1.0: m"],
            r#"{"method": "m", "namespace": ""}"#,
            unsupported,
        );
        check(
            &["- 1.0: m"],
            r#"{"method": "m", "namespace": 5}"#,
            unsupported,
        );
        check(
            &["- 1.0: m"],
            r#"{"method": "m", "namespace": null}"#,
            "1.0: m",
        );
        check(
            &["base 1.0: m"],
            r#"{"method": "m", "namespace": "base"}"#,
            "base 1.0: m",
        );
    }

    #[test]
    fn a_method_or_arguments_of_the_wrong_type_are_failures() {
        check(
            &["- 1.0: m"],
            r#"{"args": {}}"#,
            "TypeError: attribute name must be string",
        );
        check(
            &["- 1.0: m"],
            r#"{"method": 5}"#,
            "TypeError: attribute name must be string",
        );
        check(
            &["- 1.0: m"],
            r#"{"method": "m", "args": [1]}"#,
            "AttributeError: the arguments must be an object",
        );
    }
}
