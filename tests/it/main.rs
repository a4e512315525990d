//! The integration suite: the built binary, a real RabbitMQ, real oslo.messaging and neutron peers.
//!
//! - `agent`: an unmodified neutron agent's client against the shipped plugin
//! - `interop`: a plain oslo.messaging client, and a server to share a topic with
//! - `rpc`: one body of calls, run on both transports
//! - `wire`: bodies, properties and replies as bytes
//! - `broker`: declared objects, lost connections, load
//! - `plugin`: guests that misbehave, files that are no plugins, grants
//! - `bucket`: what survives a kill
//! - `shutdown`: what a stop finishes, and what it leaves to others
//! - `cli`: what a person sees
//! - `examples`: each example's README, replayed
//! - `tidy`: the rules of the source

mod agent;
mod broker;
mod bucket;
mod cli;
mod examples;
mod interop;
mod plugin;
mod rpc;
mod shutdown;
mod support;
mod tidy;
mod wire;
