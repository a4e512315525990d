//! Between the contract and an endpoint.

use serde::Serialize;

use crate::{Context, Failure, Result, builtins};

/// What `#[endpoint]` makes of an `impl` block.
pub trait Endpoint {
    /// The namespace it serves; `None` is the null one.
    const NAMESPACE: Option<&'static str>;
    /// The version it serves, and with it every lower minor.
    const VERSION: &'static str;
    /// The methods callers may use.
    const METHODS: &'static [&'static str];

    /// Answers one request: JSON text, or the exception.
    fn dispatch(&self, request: &Request) -> Result<String>;
}

/// A request, as the host hands it over.
#[derive(Clone, Debug, Default)]
pub struct Request {
    /// The namespace asked for.
    pub namespace: Option<String>,
    /// The version asked for.
    pub version: String,
    /// The method asked for.
    pub method: String,
    /// The keyword arguments, the text of a JSON object.
    pub args: String,
    /// Who asks.
    pub context: Context,
}

/// The reply of a method that cannot fail.
pub fn reply<T: Serialize>(value: T) -> Result<String> {
    serde_json::to_string(&value)
        .map_err(|error| builtins::value_error(format!("the result is no JSON: {error}")))
}

/// The reply of a method that can fail.
pub fn reply_result<T: Serialize, E: Into<Failure>>(outcome: Result<T, E>) -> Result<String> {
    reply(outcome.map_err(Into::into)?)
}

#[cfg(target_family = "wasm")]
pub use self::exports::{Served, dispatch, lasting, target};

/// What the exported functions call.
#[cfg(target_family = "wasm")]
mod exports {
    use std::sync::Once;

    use super::{Endpoint, Request};
    use crate::host::bindings;
    use crate::{Context, Failure, Result, log};

    /// The contract's form of what an endpoint serves.
    pub fn target<T: Endpoint>() -> bindings::Target {
        bindings::Target {
            namespace: T::NAMESPACE.map(str::to_owned),
            version: T::VERSION.to_owned(),
            methods: T::METHODS.iter().map(|&name| name.to_owned()).collect(),
        }
    }

    /// An endpoint, which stays for as long as the instance does.
    pub fn lasting<T: Default>() -> T {
        #[cfg(feature = "heap")]
        return crate::heap::lasting(T::default);
        #[cfg(not(feature = "heap"))]
        T::default()
    }

    /// One endpoint of a plugin, and how to reach its instance.
    pub struct Served {
        namespace: Option<&'static str>,
        version: (u32, u32),
        methods: &'static [&'static str],
        dispatch: fn(&Request) -> Result<String>,
    }

    impl Served {
        /// The endpoint `T`, reached by `dispatch`.
        pub fn of<T: Endpoint>(dispatch: fn(&Request) -> Result<String>) -> Self {
            Self {
                namespace: T::NAMESPACE,
                version: version(T::VERSION),
                methods: T::METHODS,
                dispatch,
            }
        }

        /// The host has checked versions already; this tells endpoints of one plugin apart.
        fn fits(&self, request: &Request) -> bool {
            let (major, minor) = version(&request.version);
            self.namespace == request.namespace.as_deref()
                && self.version.0 == major
                && self.version.1 >= minor
                && self.methods.contains(&request.method.as_str())
        }
    }

    /// Has the endpoint with the highest version that fits answer.
    pub fn dispatch(
        request: bindings::Request,
        endpoints: &[Served],
    ) -> Result<String, bindings::Failure> {
        log_panics();
        let request = Request {
            namespace: request.namespace,
            version: request.version,
            method: request.method,
            args: request.args,
            context: Context::from_json(request.context),
        };
        let fitting = endpoints.iter().filter(|served| served.fits(&request));
        let outcome = match fitting.max_by_key(|served| served.version) {
            Some(served) => (served.dispatch)(&request),
            None => Err(Failure::no_such_method(&request.method)),
        };
        outcome.map_err(|failure| bindings::Failure {
            class: failure.class,
            module: failure.module,
            message: failure.message,
            kwargs: match failure.kwargs.is_empty() {
                true => None,
                false => serde_json::to_string(&failure.kwargs).ok(),
            },
            traceback: failure.traceback.into_vec(),
            expected: failure.expected,
        })
    }

    /// A panic ends the instance, and the host sees only that it did: say why first.
    fn log_panics() {
        static ONCE: Once = Once::new();
        ONCE.call_once(|| {
            std::panic::set_hook(Box::new(|panic| log::error(panic.to_string())));
        });
    }

    /// The first two numbers of a version, as Python's `int` reads them; what is none counts as 0.
    fn version(text: &str) -> (u32, u32) {
        let number = |part: &str| {
            let part = part.trim();
            // It may be written with underscores, but hardly ever is.
            let plain = part.parse().ok();
            plain
                .or_else(|| part.replace('_', "").parse().ok())
                .unwrap_or(0)
        };
        let mut parts = text.split('.').map(number);
        (parts.next().unwrap_or(0), parts.next().unwrap_or(0))
    }
}
