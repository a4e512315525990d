//! Heartbeats: ours are sent where nothing else is, and the peer's are missed (specification, 4.2.7).

use std::mem::take;
use std::task::Context;
use std::time::Duration;

use tokio::time::{Interval, MissedTickBehavior, interval};

use super::error::Error;

/// Heartbeats, and looks for them, in the time that was agreed on (impl_rabbit.py: `heartbeat_rate`).
const BEATS: u32 = 3;
/// A peer that is silent for twice that time is gone.
const SILENT_BEATS: u32 = 2 * BEATS;

/// Heartbeats of both sides.
pub(super) struct Beats {
    interval: Interval,
    agreed: u32,
    /// Since the last beat.
    pub(super) wrote: bool,
    /// Beats in which nothing was read.
    pub(super) silent: u32,
}

impl Beats {
    /// For a time in seconds that both sides agreed on; 0 is none.
    pub(super) fn every(seconds: u16) -> Option<Self> {
        let agreed = u32::from(seconds);
        let mut interval =
            (agreed > 0).then(|| interval(Duration::from_secs(agreed.into()) / BEATS))?;
        // A process that was stopped for a while has not been left alone for that long.
        interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Some(Self {
            interval,
            agreed,
            wrote: true,
            silent: 0,
        })
    }

    /// Whether it is time for one of ours.
    pub(super) fn poll(&mut self, context: &mut Context<'_>) -> Result<bool, Error> {
        let mut is_due = false;
        while self.interval.poll_tick(context).is_ready() {
            if self.silent >= SILENT_BEATS {
                return Err(Error::Silent(2 * self.agreed));
            }
            self.silent += 1;
            is_due |= !take(&mut self.wrote);
        }
        Ok(is_due)
    }
}
