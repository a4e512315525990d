//! The wire: values and rules only, with no I/O and no clock.

pub mod compression;
pub mod envelope;
pub mod failure;
pub mod json;
pub mod reply;
pub mod request;
pub mod target;
