//! What became of a plugin's requests, counted over all of its generations.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use crate::capability::limits::Meter;

/// Counts.
#[derive(Debug, Default)]
pub struct Tally {
    live: AtomicUsize,
    made: AtomicU64,
    calls: AtomicU64,
    failures: AtomicU64,
    problems: [AtomicU64; Problem::ALL.len()],
    last_problem: Mutex<Option<(SystemTime, String)>>,
    meter: Arc<Meter>,
}

/// What can go wrong with a plugin itself, as against a failure that it reports.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Problem {
    /// It waited for an instance until its caller gave up.
    Busy,
    /// It was not called, as it had trapped again and again.
    Resting,
    /// What it was granted is not there now.
    Unavailable,
    /// It was not called, as the request is beyond a limit.
    InvalidRequest,
    TimedOut,
    OutOfMemory,
    /// Another limit ended it.
    LimitExceeded,
    /// It called what it was not granted.
    Denied,
    Trapped,
    InvalidReply,
}

impl Problem {
    pub const ALL: [Self; 10] = [
        Self::Busy,
        Self::Resting,
        Self::Unavailable,
        Self::InvalidRequest,
        Self::TimedOut,
        Self::OutOfMemory,
        Self::LimitExceeded,
        Self::Denied,
        Self::Trapped,
        Self::InvalidReply,
    ];

    /// The class of the failure that the caller gets.
    pub fn class(self) -> &'static str {
        match self {
            Self::Busy => "PluginBusy",
            Self::Resting => "PluginResting",
            Self::Unavailable => "PluginUnavailable",
            Self::InvalidRequest => "PluginInvalidRequest",
            Self::TimedOut => "PluginTimeout",
            Self::OutOfMemory => "PluginOutOfMemory",
            Self::LimitExceeded => "PluginLimitExceeded",
            Self::Denied => "PluginDenied",
            Self::Trapped => "PluginTrap",
            Self::InvalidReply => "PluginInvalidReply",
        }
    }

    /// As metrics and statuses call it.
    pub fn kind(self) -> &'static str {
        match self {
            Self::Busy => "busy",
            Self::Resting => "refused",
            Self::Unavailable => "unavailable",
            Self::InvalidRequest => "invalid_request",
            Self::TimedOut => "timeout",
            Self::OutOfMemory => "out_of_memory",
            Self::LimitExceeded => "limit_exceeded",
            Self::Denied => "denied",
            Self::Trapped => "trap",
            Self::InvalidReply => "invalid_reply",
        }
    }

    /// Whether it is the plugin that does this, again and again until it is given a rest. To run out
    /// of time is no such thing: it may be others that are slow.
    pub fn counts_against_it(self) -> bool {
        matches!(
            self,
            Self::OutOfMemory | Self::LimitExceeded | Self::Denied | Self::Trapped
        )
    }
}

/// One instance, for as long as it lives.
#[derive(Debug)]
pub struct Live(Arc<Tally>);

impl Tally {
    /// The plugin is given a request.
    pub fn called(&self) {
        self.calls.fetch_add(1, Ordering::Relaxed);
    }

    /// An instance is made.
    pub fn made(self: &Arc<Self>) -> Live {
        self.made.fetch_add(1, Ordering::Relaxed);
        self.live.fetch_add(1, Ordering::Relaxed);
        Live(Arc::clone(self))
    }

    /// What counts the limits that are reached.
    pub fn meter(&self) -> &Arc<Meter> {
        &self.meter
    }

    /// The plugin answered with a failure of its own.
    pub fn failed(&self) {
        self.failures.fetch_add(1, Ordering::Relaxed);
    }

    /// The plugin did not answer, or not as it must. `text` is for operators.
    pub fn went_wrong(&self, problem: Problem, text: &str) {
        self.problems[problem as usize].fetch_add(1, Ordering::Relaxed);
        if problem == Problem::Resting {
            // What led to it says more.
            return;
        }
        let mut last = self
            .last_problem
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        *last = Some((SystemTime::now(), text.to_owned()));
    }

    /// Instances that there are now, with those that are kept for further requests.
    pub fn live(&self) -> usize {
        self.live.load(Ordering::Relaxed)
    }

    /// Instances that were made.
    pub fn instances_made(&self) -> u64 {
        self.made.load(Ordering::Relaxed)
    }

    /// Calls and casts that the plugin was given.
    pub fn calls(&self) -> u64 {
        self.calls.load(Ordering::Relaxed)
    }

    pub fn failures(&self) -> u64 {
        self.failures.load(Ordering::Relaxed)
    }

    pub fn problems(&self, problem: Problem) -> u64 {
        self.problems[problem as usize].load(Ordering::Relaxed)
    }

    /// What went wrong the last time, and when.
    pub fn last_problem(&self) -> Option<(SystemTime, String)> {
        let last = self.last_problem.lock();
        last.unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        self.0.live.fetch_sub(1, Ordering::Relaxed);
    }
}
