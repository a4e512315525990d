//! What commands print.

use std::fmt::Display;
use std::io::{self, ErrorKind, Write};

use anyhow::Context;

/// Writes to standard output.
pub fn print(text: impl Display) -> anyhow::Result<()> {
    let mut output = io::stdout().lock();
    finished(write!(output, "{text}").and_then(|()| output.flush()))
}

/// What became of writing a result. That its reader has had enough is no error.
pub fn finished(written: io::Result<()>) -> anyhow::Result<()> {
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
