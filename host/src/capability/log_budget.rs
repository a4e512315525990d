//! How many lines a second a plugin may write into the host's log, over all of its instances.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

const WINDOW: Duration = Duration::from_secs(1);

/// Counts lines, and begins anew each second.
#[derive(Debug)]
pub struct LogBudget {
    lines: u32,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    began: Option<Instant>,
    /// In this second.
    written: u32,
    /// Since the plugin was loaded.
    dropped: u64,
}

/// What becomes of a line.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Line {
    Written,
    /// The first of this second that is dropped, which is worth a word.
    FirstDropped,
    Dropped,
}

impl LogBudget {
    /// So many `lines` a second.
    pub fn new(lines: u32) -> Self {
        Self {
            lines,
            state: Mutex::default(),
        }
    }

    pub fn lines(&self) -> u32 {
        self.lines
    }

    /// Counts one more line.
    pub fn line(&self, now: Instant) -> Line {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.began.is_none_or(|began| now >= began + WINDOW) {
            state.began = Some(now);
            state.written = 0;
        }
        state.written = state.written.saturating_add(1);
        if state.written <= self.lines {
            return Line::Written;
        }
        state.dropped += 1;
        match state.written - self.lines {
            1 => Line::FirstDropped,
            _ => Line::Dropped,
        }
    }

    /// Lines that were dropped since the plugin was loaded.
    pub fn dropped(&self) -> u64 {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.dropped
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_second_has_so_many_lines() {
        let (budget, now) = (LogBudget::new(2), Instant::now());
        for second in 0..3 {
            let now = now + second * WINDOW;
            let lines: Vec<_> = (0..5).map(|_| budget.line(now)).collect();
            let expected = [
                Line::Written,
                Line::Written,
                Line::FirstDropped,
                Line::Dropped,
                Line::Dropped,
            ];
            assert_eq!(lines, expected);
        }
        assert_eq!(budget.dropped(), 9);
    }
}
