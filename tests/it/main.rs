//! The integration suite: the built binary, a real RabbitMQ, real oslo.messaging and neutron peers.
//!
//! - `agent`: an unmodified neutron agent's client against the shipped plugin
//! - `interop`: a plain oslo.messaging client, and a server to share a topic with
//! - `upstream`: oslo.messaging's own functional tests, with us as their server
//! - `rpc`: one body of calls, run on both transports
//! - `conformance`: the points of the wire, one by one
//! - `broker`: load, backlogs, refusals
//! - `calling`: plugins that call others
//! - `plugin`: files that are plugins, and files that are none
//! - `zoo`: hostile guests
//! - `zoo_figures`: the page on how soon they are stopped
//! - `grants`: what a plugin can do with a grant, and not without
//! - `reuse`: instances that answer one request after another
//! - `hot`: plugins that come, change and go
//! - `bucket`: what survives a kill
//! - `languages`: one endpoint in every language
//! - `shutdown`: what a stop finishes, and what it leaves to others
//! - `cli`: what a person sees
//! - `docs`: the page on configuration
//! - `examples`: each example's README, replayed
//! - `tidy`: the rules of the source

mod agent;
mod broker;
mod bucket;
mod calling;
mod cli;
mod conformance;
mod docs;
mod examples;
mod grants;
mod hot;
mod interop;
mod languages;
mod plugin;
mod reuse;
mod rpc;
mod shutdown;
mod support;
mod tidy;
mod upstream;
mod zoo;
mod zoo_figures;
