//! `wasi:logging/logging`: a plugin's lines in the host's log. Plugin and message are told by the
//! span that the line is in.

use std::time::Instant;

use tracing::{debug, error, info, trace, warn};

use super::HostState;
use super::log_budget::Line;
use crate::bindings::wasi::logging::logging::{Host, Level};

/// What is kept of one line.
const MAX_LINE_BYTES: usize = 4096;

impl Host for HostState {
    fn log(&mut self, level: Level, context: String, message: String) -> wasmtime::Result<()> {
        match self.log_budget.line(Instant::now()) {
            Line::Written => {}
            Line::FirstDropped => {
                let lines = self.log_budget.lines();
                warn!(
                    "Dropping lines: the plugin writes more than its `log_lines_per_s` of {lines}"
                );
                return Ok(());
            }
            Line::Dropped => return Ok(()),
        }
        // Escaped, so that a plugin cannot write lines that look like the host's.
        let line = shortened(&message).escape_debug();
        let context = (!context.is_empty()).then_some(shortened(&context));
        match level {
            Level::Trace => trace!(context, "{line}"),
            Level::Debug => debug!(context, "{line}"),
            Level::Info => info!(context, "{line}"),
            Level::Warn => warn!(context, "{line}"),
            Level::Error | Level::Critical => {
                error!(context, "{line}");
            }
        }
        Ok(())
    }
}

fn shortened(text: &str) -> &str {
    &text[..text.floor_char_boundary(MAX_LINE_BYTES)]
}
