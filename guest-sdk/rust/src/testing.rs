//! The host's side of a unit test, native only. Every thread, and so every test, has its own:
//! no settings, empty buckets, an empty log, nobody to call and no host to reach.

use std::time::SystemTime;

use serde_json::Value;

use crate::client::{Error, Kind, Target};
use crate::host::world;
use crate::http;
use crate::log::Level;

/// Gives the plugin a setting.
pub fn set_config(name: &str, value: &str) {
    world(|world| world.settings.insert(name.to_owned(), value.to_owned()));
}

/// Makes every use of a bucket fail.
pub fn break_bucket(name: &str) {
    world(|world| world.broken_bucket = Some(name.to_owned()));
}

/// Stops the clock at this time.
pub fn set_now(now: SystemTime) {
    world(|world| world.now = Some(now));
}

/// Says when the host started; otherwise that is long ago.
pub fn set_host_started(started: SystemTime) {
    world(|world| world.host_started = Some(started));
}

/// The lines logged so far, and forgets them.
pub fn take_log() -> Vec<(Level, String)> {
    world(|world| std::mem::take(&mut world.log))
}

/// Answers calls to others, given the target, the method and its arguments. Without it nobody listens.
pub fn answer(answerer: impl FnMut(&Target, &str, Value) -> Result<Value, Error> + 'static) {
    world(|world| world.answerer = Some(Box::new(answerer)));
}

/// The messages sent so far, each with its method and arguments as JSON, and forgets them.
pub fn take_sent() -> Vec<(Kind, Target, String, String)> {
    world(|world| std::mem::take(&mut world.sent))
}

/// Responds to HTTP requests. Without it no host is granted.
pub fn respond(
    responder: impl FnMut(&http::Request) -> Result<http::Response, http::Error> + 'static,
) {
    world(|world| world.responder = Some(Box::new(responder)));
}
