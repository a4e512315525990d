//! The host's clock. `SystemTime::now()` panics on `wasm32-unknown-unknown`; this works on both
//! targets.

use std::time::SystemTime;

use crate::host;

/// The time now.
pub fn now() -> SystemTime {
    host::now()
}
