//! How a command that does not succeed says why, to scripts.

/// Something went wrong, and the message says what.
pub const ERROR: u8 = 1;
/// The command line was wrong; also what clap uses.
pub const USAGE: u8 = 2;
/// The other side answered with an exception.
pub const REMOTE_FAILURE: u8 = 3;
/// Nobody answered in time.
pub const TIMEOUT: u8 = 4;
/// Nobody listens there.
pub const NO_ROUTE: u8 = 5;
