//! `wasi:logging/logging`: a plugin's lines in the host's log.

use tracing::{debug, error, info, trace, warn};

use super::HostState;
use crate::bindings::wasi::logging::logging::{Host, Level};

/// What is kept of one line.
const MAX_LINE_BYTES: usize = 4096;

impl Host for HostState {
    fn log(&mut self, level: Level, context: String, message: String) -> wasmtime::Result<()> {
        let plugin = &*self.plugin;
        let id = &self.call.id;
        // Escaped, so that a plugin cannot write lines that look like the host's.
        let line = shortened(&message).escape_debug();
        let context = shortened(&context);
        match level {
            Level::Trace => trace!(plugin.name = plugin, message.id = id, context, "{line}"),
            Level::Debug => debug!(plugin.name = plugin, message.id = id, context, "{line}"),
            Level::Info => info!(plugin.name = plugin, message.id = id, context, "{line}"),
            Level::Warn => warn!(plugin.name = plugin, message.id = id, context, "{line}"),
            Level::Error | Level::Critical => {
                error!(plugin.name = plugin, message.id = id, context, "{line}");
            }
        }
        Ok(())
    }
}

fn shortened(text: &str) -> &str {
    &text[..text.floor_char_boundary(MAX_LINE_BYTES)]
}
