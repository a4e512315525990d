//! Gives a plugin a rest that only traps: its callers are told at once, and nothing is spent on it.
//!
//! To run out of memory is a trap here. To run out of time is none: it may be others that are slow.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// So many traps in a row, with no answer between them, and it is given a rest.
const TRAPS_IN_A_ROW: u32 = 10;
/// The first rest. Each time that it traps again after one, the next is twice as long.
const FIRST_REST: Duration = Duration::from_secs(1);
const LONGEST_REST: Duration = Duration::from_secs(60);

/// Watches one generation of a plugin.
#[derive(Debug, Default)]
pub struct Breaker {
    state: Mutex<State>,
    /// Where it did not since its last answer, the state is as it was at first, and nobody looks at it: calls do not
    /// wait for each other. Changed under the state's lock alone.
    has_trapped: AtomicBool,
}

#[derive(Debug, Default)]
struct State {
    traps: u32,
    /// Rests since its last answer.
    rests: u32,
    rests_until: Option<Instant>,
}

/// A call that may be made.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Pass {
    Ordinary,
    /// The one call after a rest, which decides whether there is another.
    Trial,
}

impl Breaker {
    /// Whether a call may be made; else how long the plugin is still given a rest.
    pub fn admit(&self, now: impl FnOnce() -> Instant) -> Result<Pass, Duration> {
        if !self.has_trapped.load(Ordering::Acquire) {
            return Ok(Pass::Ordinary);
        }
        let now = now();
        let mut state = self.state();
        match state.rests_until {
            None => Ok(Pass::Ordinary),
            Some(until) if until > now => Err(until - now),
            Some(_) => {
                // The others wait for what comes of it, or as long again if nothing does.
                state.rests_until = Some(now + length_of(state.rests));
                Ok(Pass::Trial)
            }
        }
    }

    /// The call that may be made was not made after all.
    pub fn unused(&self, pass: Pass, now: Instant) {
        // Another call, from before the rest, may have ended it.
        if pass == Pass::Trial
            && let Some(until) = &mut self.state().rests_until
        {
            *until = now;
        }
    }

    /// The plugin answered, whatever that was.
    pub fn answered(&self) {
        if self.has_trapped.load(Ordering::Acquire) {
            let mut state = self.state();
            *state = State::default();
            self.has_trapped.store(false, Ordering::Release);
        }
    }

    /// The plugin trapped. Gives the rest that begins with that, if one does.
    pub fn trapped(&self, pass: Pass, now: Instant) -> Option<Duration> {
        let mut state = self.state();
        self.has_trapped.store(true, Ordering::Release);
        state.traps += 1;
        let begins = match pass {
            Pass::Trial => true,
            // Those that were under way when a rest began do not make it longer.
            Pass::Ordinary => state.rests_until.is_none() && state.traps >= TRAPS_IN_A_ROW,
        };
        begins.then(|| {
            state.rests += 1;
            let rest = length_of(state.rests);
            state.rests_until = Some(now + rest);
            rest
        })
    }

    /// How long the plugin is still given a rest, if it is.
    pub fn resting(&self, now: Instant) -> Option<Duration> {
        let until = self.state().rests_until?;
        until.checked_duration_since(now)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Of the rest of this number, counted from 1.
fn length_of(rest: u32) -> Duration {
    let doubled = 2_u32.saturating_pow(rest.saturating_sub(1));
    FIRST_REST.saturating_mul(doubled).min(LONGEST_REST)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn trap_until_it_rests(breaker: &Breaker, now: Instant) {
        for _ in 1..TRAPS_IN_A_ROW {
            let pass = breaker.admit(|| now).expect("admitted");
            assert_eq!(breaker.trapped(pass, now), None);
        }
        let pass = breaker.admit(|| now).expect("admitted");
        assert_eq!(breaker.trapped(pass, now), Some(SECOND));
    }

    #[test]
    fn traps_in_a_row_earn_a_rest_and_the_next_ones_longer() {
        let (breaker, mut now) = (Breaker::default(), Instant::now());
        trap_until_it_rests(&breaker, now);
        for rest in [2, 4, 8, 16, 32, 60, 60] {
            assert!(breaker.admit(|| now).is_err());
            now += breaker.resting(now).expect("it rests");
            assert_eq!(breaker.admit(|| now), Ok(Pass::Trial));
            assert!(breaker.admit(|| now).is_err(), "one at a time");
            assert_eq!(breaker.trapped(Pass::Trial, now), Some(rest * SECOND));
        }
    }

    #[test]
    fn an_answer_ends_it() {
        let (breaker, now) = (Breaker::default(), Instant::now());
        for _ in 0..100 {
            for _ in 1..TRAPS_IN_A_ROW {
                assert_eq!(breaker.trapped(Pass::Ordinary, now), None);
            }
            breaker.answered();
        }
        trap_until_it_rests(&breaker, now);
        assert_eq!(breaker.admit(|| now + SECOND), Ok(Pass::Trial));
        breaker.answered();
        assert_eq!(breaker.admit(|| now), Ok(Pass::Ordinary));
        assert_eq!(breaker.resting(now), None);
    }

    #[test]
    fn those_that_were_under_way_do_not_make_a_rest_longer() {
        let (breaker, now) = (Breaker::default(), Instant::now());
        trap_until_it_rests(&breaker, now);
        for _ in 0..50 {
            assert_eq!(breaker.trapped(Pass::Ordinary, now), None);
        }
        assert_eq!(breaker.resting(now), Some(SECOND));
    }

    #[test]
    fn a_trial_that_was_not_made_is_anothers() {
        let (breaker, now) = (Breaker::default(), Instant::now());
        trap_until_it_rests(&breaker, now);
        let now = now + SECOND;
        assert_eq!(breaker.admit(|| now), Ok(Pass::Trial));
        breaker.unused(Pass::Trial, now);
        assert_eq!(breaker.admit(|| now), Ok(Pass::Trial));
        breaker.unused(Pass::Ordinary, now);
        assert!(breaker.admit(|| now).is_err());
    }

    #[test]
    fn a_trial_that_was_not_made_leaves_nothing_once_another_call_answered() {
        let (breaker, now) = (Breaker::default(), Instant::now());
        trap_until_it_rests(&breaker, now);
        let now = now + SECOND;
        assert_eq!(breaker.admit(|| now), Ok(Pass::Trial));
        breaker.answered();
        breaker.unused(Pass::Trial, now);
        trap_until_it_rests(&breaker, now);
    }

    #[test]
    fn a_trial_that_comes_to_nothing_is_followed_by_another() {
        let (breaker, now) = (Breaker::default(), Instant::now());
        trap_until_it_rests(&breaker, now);
        assert_eq!(breaker.admit(|| now + SECOND), Ok(Pass::Trial));
        assert!(breaker.admit(|| now + SECOND).is_err());
        assert_eq!(breaker.admit(|| now + 2 * SECOND), Ok(Pass::Trial));
    }
}
