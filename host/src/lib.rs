//! endpointd answers RPC calls that arrive over RabbitMQ with WebAssembly plugins.
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

#![forbid(unsafe_code)]

pub mod admin;
pub mod app;
pub mod bindings;
pub mod capability;
pub mod catalog;
pub mod cli;
pub mod client;
pub mod config;
pub mod document;
pub mod endpoint;
pub mod keyvalue;
pub mod outbound;
pub mod plugin;
pub mod protocol;
pub mod server;
pub mod telemetry;
pub mod transport;
