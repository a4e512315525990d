//! How often a second a plugin may do something, over all of its instances.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

const WINDOW: Duration = Duration::from_secs(1);

/// Counts, and begins anew each second.
#[derive(Debug)]
pub struct Rate {
    per_s: u32,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    began: Option<Instant>,
    /// In this second.
    count: u32,
    /// Since the plugin was loaded.
    beyond: u64,
}

/// What becomes of one more.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Turn {
    Within,
    /// The first of this second that is beyond the limit, which is worth a word.
    FirstBeyond,
    Beyond,
}

impl Rate {
    pub fn new(per_s: u32) -> Self {
        Self {
            per_s,
            state: Mutex::default(),
        }
    }

    /// Counts one more.
    pub fn take(&self, now: Instant) -> Turn {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.began.is_none_or(|began| now >= began + WINDOW) {
            state.began = Some(now);
            state.count = 0;
        }
        state.count = state.count.saturating_add(1);
        if state.count <= self.per_s {
            return Turn::Within;
        }
        state.beyond += 1;
        match state.count - self.per_s {
            1 => Turn::FirstBeyond,
            _ => Turn::Beyond,
        }
    }

    /// How many were beyond the limit since the plugin was loaded.
    pub fn beyond(&self) -> u64 {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.beyond
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_second_has_so_many() {
        let (rate, now) = (Rate::new(2), Instant::now());
        for second in 0..3 {
            let now = now + second * WINDOW;
            let turns: Vec<_> = (0..5).map(|_| rate.take(now)).collect();
            let expected = [
                Turn::Within,
                Turn::Within,
                Turn::FirstBeyond,
                Turn::Beyond,
                Turn::Beyond,
            ];
            assert_eq!(turns, expected);
        }
        assert_eq!(rate.beyond(), 9);
    }
}
