//! Write an endpointd plugin in Rust: a plain struct whose methods answer RPC calls.
//!
//! ```
//! use endpointd_guest::{Context, Result, builtins, endpoint};
//!
//! #[derive(Default)]
//! struct Greeter;
//!
//! #[endpoint(version = "1.0")]
//! impl Greeter {
//!     /// Callers use `greet(name="Ada")`.
//!     pub fn greet(&self, context: &Context, name: String) -> Result<String> {
//!         if name.is_empty() {
//!             return Err(builtins::value_error("a name is needed"));
//!         }
//!         let asker = context.text("user").unwrap_or("somebody");
//!         Ok(format!("{asker} greets {name}"))
//!     }
//! }
//!
//! // The same method, as a unit test calls it.
//! let reply = Greeter.greet(&Context::default(), "Ada".into()).unwrap();
//! assert_eq!(reply, "somebody greets Ada");
//! ```
//!
//! Build it with `crate-type = ["cdylib"]` for `wasm32-unknown-unknown` or `wasm32-wasip2`; both
//! give a file that endpointd loads. Natively the crate builds as well: there buckets, settings
//! and the log are plain Rust, one set a thread, so methods can be unit-tested as they are (see
//! [`testing`]).
//!
//! The feature `heap`, which is on, brings the allocator of plugins; who has one of their own leaves it out with
//! `default-features = false`.
//!
//! What a plugin may use is up to the operator: what is called here without a grant in plugin.toml
//! refuses the whole plugin, with the line that would grant it. Settings, secrets, the log and what is
//! known of the call are always there.

#![deny(missing_docs)]

mod arguments;
pub mod builtins;
pub mod call_info;
pub mod client;
pub mod clock;
pub mod config;
mod context;
mod error;
mod glue;
#[cfg(all(any(target_family = "wasm", test), feature = "heap"))]
mod heap;
mod host;
pub mod http;
pub mod keyvalue;
pub mod log;
pub mod random;
#[cfg(not(target_family = "wasm"))]
pub mod testing;

pub use endpointd_guest_macros::endpoint;

pub use self::context::Context;
pub use self::error::{Failure, Result};
pub use self::glue::{Endpoint, Request};

/// What the macros write calls to. Not for use by hand.
#[doc(hidden)]
pub mod __private {
    pub use crate::arguments::{Arguments, Parameter, read};
    #[cfg(target_family = "wasm")]
    pub use crate::glue::{Served, dispatch, lasting, target};
    pub use crate::glue::{reply, reply_result};
    #[cfg(target_family = "wasm")]
    pub use crate::host::bindings;
}

/// Makes endpoints a plugin: what the host calls is exported here.
///
/// `#[endpoint]` does this for a plugin of one endpoint. One of several, in which every endpoint
/// is written with `export = false`, does it by hand, once:
///
/// ```
/// # use endpointd_guest::endpoint;
/// # #[derive(Default)] struct Old;
/// # #[endpoint(version = "1.4", export = false)] impl Old { pub fn ping(&self) {} }
/// # #[derive(Default)] struct New;
/// # #[endpoint(version = "2.0", export = false)] impl New { pub fn ping(&self) {} }
/// endpointd_guest::export!(Old, New);
/// ```
#[macro_export]
macro_rules! export {
    ($($endpoint:ty),+ $(,)?) => {
        const _: () = {
            fn every_endpoint_is_default<T: ::core::default::Default + $crate::Endpoint>() {}
            let _ = ($(every_endpoint_is_default::<$endpoint>,)+);
        };
        #[cfg(target_family = "wasm")]
        const _: () = {
            use $crate::__private::bindings;
            struct Plugin;
            impl bindings::Guest for Plugin {
                fn targets() -> ::std::vec::Vec<bindings::Target> {
                    ::std::vec![$($crate::__private::target::<$endpoint>()),+]
                }
                fn dispatch(
                    request: bindings::Request,
                ) -> ::core::result::Result<::std::string::String, bindings::Failure> {
                    $crate::__private::dispatch(request, &[
                        $($crate::__private::Served::of::<$endpoint>({
                            ::std::thread_local! {
                                static ENDPOINT: $endpoint = $crate::__private::lasting();
                            }
                            |request| ENDPOINT.with(|endpoint| {
                                $crate::Endpoint::dispatch(endpoint, request)
                            })
                        })),+
                    ])
                }
            }
            bindings::export!(Plugin with_types_in bindings);
        };
    };
}

/// Misuse that the compiler itself reports, which it does at the type that is wrong.
///
/// An endpoint that is not `Default`:
/// ```compile_fail,E0277
/// struct Leases;
/// #[endpointd_guest::endpoint(version = "1.0")]
/// impl Leases { pub fn take(&self) {} }
/// ```
/// An argument that cannot be read from JSON:
/// ```compile_fail,E0277
/// struct Host;
/// #[derive(Default)] struct Leases;
/// #[endpointd_guest::endpoint(version = "1.0")]
/// impl Leases { pub fn take(&self, host: Host) {} }
/// ```
/// A result that cannot be written as JSON:
/// ```compile_fail,E0277
/// struct Host;
/// #[derive(Default)] struct Leases;
/// #[endpointd_guest::endpoint(version = "1.0")]
/// impl Leases { pub fn take(&self) -> Host { Host } }
/// ```
#[cfg(doctest)]
pub struct Misuse;
