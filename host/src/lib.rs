//! endpointd answers RPC calls that arrive over RabbitMQ with WebAssembly plugins, and calls others.
//!
//! To call from a program of your own, begin with [`client::RpcClient`], and leave out the daemon:
//! `endpointd = { ..., default-features = false }`.
//!
//! The modules, in the order in which a request passes them; ARCHITECTURE.md tells the rest.
//!
//! - [`transport`]: connect, declare, poll, decode; [`protocol`] holds the rules of the wire
//! - [`server`]: choose the endpoint, run it in the pool, reply
//! - [`endpoint`], [`outbound`]: the seams between server, client and plugins
//! - [`plugin`], [`capability`], [`keyvalue`]: the instance that answers, and what it may use
//! - [`catalog`]: the plugins that are loaded, by topic
//! - [`client`], [`admin`]: calling others, and being asked
//! - [`config`], [`app`], [`cli`]: everything put together

#![deny(unsafe_code)]

#[cfg(feature = "host")]
pub mod admin;
#[cfg(feature = "host")]
pub mod app;
#[cfg(feature = "host")]
pub mod bindings;
#[cfg(feature = "host")]
pub mod capability;
#[cfg(feature = "host")]
pub mod catalog;
#[cfg(feature = "host")]
pub mod cli;
pub mod client;
#[cfg(feature = "host")]
pub mod config;
#[cfg(feature = "host")]
pub mod deadline;
pub mod document;
#[cfg(feature = "host")]
pub mod endpoint;
pub mod hand_over;
#[cfg(feature = "host")]
pub mod keyvalue;
#[cfg(feature = "host")]
pub mod outbound;
#[cfg(feature = "host")]
pub mod plugin;
pub mod protocol;
#[cfg(feature = "host")]
pub mod scheduling;
#[cfg(feature = "host")]
pub mod server;
pub mod telemetry;
pub mod transport;
