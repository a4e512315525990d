//! Lines in the host's log. They carry the plugin's name and the request's id by themselves.

use crate::host;

/// How much a line matters.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Level {
    /// The flow of control.
    Trace,
    /// For whoever looks for a fault.
    Debug,
    /// For whoever watches.
    Info,
    /// Something is not as it should be.
    Warn,
    /// Somebody must act.
    Error,
}

/// Writes a line.
pub fn log(level: Level, message: impl AsRef<str>) {
    host::log(level, message.as_ref());
}

/// Writes a line at level debug.
pub fn debug(message: impl AsRef<str>) {
    log(Level::Debug, message);
}

/// Writes a line at level info.
pub fn info(message: impl AsRef<str>) {
    log(Level::Info, message);
}

/// Writes a line at level warn.
pub fn warn(message: impl AsRef<str>) {
    log(Level::Warn, message);
}

/// Writes a line at level error.
pub fn error(message: impl AsRef<str>) {
    log(Level::Error, message);
}
