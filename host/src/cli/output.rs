//! What commands print.

use std::fmt::Display;
use std::io::{self, ErrorKind, Write};

use anyhow::Context;

/// Writes to standard output. That its reader has had enough is no error.
pub fn print(text: impl Display) -> anyhow::Result<()> {
    let mut output = io::stdout().lock();
    let written = write!(output, "{text}").and_then(|()| output.flush());
    match written {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        written => written.context("cannot write the result"),
    }
}

/// The same with the end of a line.
pub fn print_line(text: impl Display) -> anyhow::Result<()> {
    print(format_args!("{text}\n"))
}

/// A line of standard error, for whoever is still there to read it.
pub fn say(text: impl Display) {
    drop(writeln!(io::stderr().lock(), "{text}"));
}
