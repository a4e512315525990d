//! What a plugin may do and use: one for all of its instances.

use std::sync::Arc;
use std::time::Instant;

use tracing::{Level, debug, error, info, trace, warn};

use super::grants::{Capability, Granted};
use super::limits::{Exceeded, Limit, Limits, Meter};
use super::rate::{Rate, Turn};
use super::settings::Settings;
use crate::outbound::Outbound;

/// What is kept of one line in the log.
const MAX_LINE_BYTES: usize = 4096;

/// What a plugin may do and use, as its operator said.
pub struct Allowance {
    pub granted: Granted,
    pub settings: Settings,
    pub limits: Limits,
    /// Where what it sends goes, if anywhere.
    pub outbound: Option<Arc<dyn Outbound>>,
    pub meter: Arc<Meter>,
    log_lines: Rate,
    messages: Rate,
}

impl Allowance {
    pub fn new(
        granted: Granted,
        settings: Settings,
        limits: Limits,
        outbound: Option<Arc<dyn Outbound>>,
        meter: Arc<Meter>,
    ) -> Self {
        Self {
            log_lines: Rate::new(limits.log_lines_per_s),
            messages: Rate::new(limits.outbound_per_s),
            granted,
            settings,
            limits,
            outbound,
            meter,
        }
    }

    /// This, without settings and with the usual limits.
    pub fn granting(granted: Granted) -> Self {
        let (settings, limits) = (Settings::default(), Limits::default());
        Self::new(granted, settings, limits, None, Arc::default())
    }

    /// Writes a line of the plugin into the host's log, if its limit allows. Which plugin and which
    /// message it belongs to is told by the span that it is in.
    pub fn log(&self, level: Level, context: Option<&str>, line: &str) {
        if !self.is_within(&self.log_lines, Limit::LogLines) {
            return;
        }
        // Escaped, so that a plugin cannot write lines that look like the host's.
        let line = shortened(line).escape_debug();
        let context = context.map(shortened);
        match level {
            Level::TRACE => trace!(context, "{line}"),
            Level::DEBUG => debug!(context, "{line}"),
            Level::INFO => info!(context, "{line}"),
            Level::WARN => warn!(context, "{line}"),
            Level::ERROR => error!(context, "{line}"),
        }
    }

    /// Lines beyond the limit, which nobody saw.
    pub fn dropped_log_lines(&self) -> u64 {
        self.log_lines.beyond()
    }

    /// Counts one more message of all instances together.
    pub fn may_send(&self) -> Result<(), Exceeded> {
        match self.is_within(&self.messages, Limit::OutboundRate) {
            true => Ok(()),
            false => Err(self.limits.exceeded(Limit::OutboundRate)),
        }
    }

    fn is_within(&self, rate: &Rate, limit: Limit) -> bool {
        let turn = rate.take(Instant::now());
        if turn == Turn::FirstBeyond {
            warn!(
                "{}; what is beyond it is dropped",
                self.limits.exceeded(limit)
            );
        }
        if turn != Turn::Within {
            self.meter.reached(limit);
        }
        turn == Turn::Within
    }

    /// What was asked for is not granted: says so in the log, and gives what ends the guest where its
    /// import has no error of its own.
    pub fn deny(&self, import: &'static str, capability: Capability) -> Denied {
        self.meter.denied();
        let denied = Denied {
            import,
            line: capability.line().unwrap_or_default(),
        };
        self.warn(&format!("Denied: {denied}"));
        denied
    }

    /// A line of the host's own that the plugin brought about: it counts as one of the plugin's.
    pub fn warn(&self, line: &str) {
        if self.is_within(&self.log_lines, Limit::LogLines) {
            warn!("{line}");
        }
    }
}

fn shortened(text: &str) -> &str {
    &text[..text.floor_char_boundary(MAX_LINE_BYTES)]
}

/// A guest called what it was not granted.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("it called `{import}`, which is not granted: add `{line}` under [grants] in plugin.toml")]
pub struct Denied {
    import: &'static str,
    line: &'static str,
}
