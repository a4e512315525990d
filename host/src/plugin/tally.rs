//! What became of a plugin's requests, counted over all of its generations.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

/// Counts.
#[derive(Debug, Default)]
pub struct Tally {
    live: AtomicUsize,
    calls: AtomicU64,
    failures: AtomicU64,
    problems: [AtomicU64; Problem::ALL.len()],
    last_problem: Mutex<Option<(SystemTime, String)>>,
}

/// What can go wrong with a plugin itself, as against a failure that it reports.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Problem {
    /// It waited for an instance until its caller gave up.
    Busy,
    /// It was not called, as it had trapped again and again.
    Resting,
    TimedOut,
    OutOfMemory,
    Trapped,
    InvalidReply,
}

impl Problem {
    pub const ALL: [Self; 6] = [
        Self::Busy,
        Self::Resting,
        Self::TimedOut,
        Self::OutOfMemory,
        Self::Trapped,
        Self::InvalidReply,
    ];

    /// The class of the failure that the caller gets.
    pub fn class(self) -> &'static str {
        match self {
            Self::Busy => "PluginBusy",
            Self::Resting => "PluginResting",
            Self::TimedOut => "PluginTimeout",
            Self::OutOfMemory => "PluginOutOfMemory",
            Self::Trapped => "PluginTrap",
            Self::InvalidReply => "PluginInvalidReply",
        }
    }
}

/// One instance, for as long as it lives.
pub struct Live<'a>(&'a Tally);

impl Tally {
    /// An instance is made for one call.
    pub fn begin(&self) -> Live<'_> {
        self.calls.fetch_add(1, Ordering::Relaxed);
        self.live.fetch_add(1, Ordering::Relaxed);
        Live(self)
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

    /// Instances that there are now.
    pub fn live(&self) -> usize {
        self.live.load(Ordering::Relaxed)
    }

    /// Calls and casts for which an instance was made.
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

impl Drop for Live<'_> {
    fn drop(&mut self) {
        self.0.live.fetch_sub(1, Ordering::Relaxed);
    }
}
