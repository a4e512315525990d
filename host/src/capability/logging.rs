//! `wasi:logging/logging`: a plugin's lines in the host's log.

use super::HostState;
use crate::bindings::wasi::logging::logging::{Host, Level};

impl Host for HostState {
    fn log(&mut self, level: Level, context: String, message: String) -> wasmtime::Result<()> {
        let level = match level {
            Level::Trace => tracing::Level::TRACE,
            Level::Debug => tracing::Level::DEBUG,
            Level::Info => tracing::Level::INFO,
            Level::Warn => tracing::Level::WARN,
            Level::Error | Level::Critical => tracing::Level::ERROR,
        };
        let context = (!context.is_empty()).then_some(context.as_str());
        self.allowance().log(level, context, &message);
        Ok(())
    }
}
