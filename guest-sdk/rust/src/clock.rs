//! The host's clock, where the operator granted it with `clocks = true`. `SystemTime::now()` panics on `wasm32-unknown-unknown`; this works on both
//! targets.

use std::time::SystemTime;

use crate::host;

/// The time now.
pub fn now() -> SystemTime {
    host::now()
}
