//! What the host says of itself.

#[cfg(feature = "host")]
pub mod log;
pub mod trace;
