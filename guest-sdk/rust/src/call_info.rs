//! About the request being answered.

use std::time::{Duration, SystemTime};

use crate::host;

/// Whether anybody waits for the result.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Delivery {
    /// The caller waits for a reply.
    Call,
    /// Nobody waits: the result is dropped.
    Cast,
}

/// The message's unique id, which the logs of both sides share; empty if the caller sent none.
pub fn id() -> String {
    host::call_id()
}

/// Whether anybody waits for the result.
pub fn delivery() -> Delivery {
    host::call_delivery()
}

/// What is left of the caller's time, where it is known.
pub fn remaining() -> Option<Duration> {
    host::call_remaining_ms().map(Duration::from_millis)
}

/// When the host started: what was sent before that has waited while nobody served it.
pub fn host_started() -> SystemTime {
    host::host_started()
}
