//! Load: calls that are begun one after the other, or on time.

use std::cell::{Cell, RefCell};
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::task::unconstrained;
use tokio::time::sleep_until;

use super::figures::Figures;
use super::road::{Kind, Sender};
use crate::admin::SendRequest;

/// A timer of tokio's is late by up to a millisecond.
const TIMER: Duration = Duration::from_millis(2);

/// What is to be called for how long.
pub struct Plan {
    pub load: Load,
    /// Calls that may be under way at the same time.
    pub in_flight: usize,
    /// What begins in this time is not counted.
    pub warm_up: Duration,
    pub end: End,
}

/// When a call begins.
#[derive(Clone, Copy, Debug)]
pub enum Load {
    /// When an earlier one has ended.
    Closed,
    /// So many a second, whatever became of earlier ones.
    Rate(f64),
}

/// When no more calls begin.
#[derive(Clone, Copy, Debug)]
pub enum End {
    /// After so many that are counted.
    Calls(u64),
    /// So long after the warm-up.
    Time(Duration),
}

impl Plan {
    /// Calls until the end of the plan, and waits for what is still under way then.
    pub async fn drive(&self, sender: &Sender, request: &SendRequest, figures: &RefCell<Figures>) {
        let turns = Turns {
            plan: self,
            warm_until: figures.borrow().begun(),
            counted: Cell::new(0),
        };
        let call = async |turn: Turn| {
            let (code, outcome) = sender.send(Kind::Call, request).await;
            let mut figures = figures.borrow_mut();
            figures.add(turn.due, turn.counts, code, &outcome);
        };
        match self.load {
            Load::Closed => self.one_by_one(&turns, call).await,
            Load::Rate(rate) => self.on_time(rate, &turns, call).await,
        }
    }

    async fn one_by_one(&self, turns: &Turns<'_>, call: impl AsyncFn(Turn)) {
        let one = async || {
            while let Some(turn) = turns.next(Instant::now()) {
                call(turn).await;
            }
        };
        let mut running: FuturesUnordered<_> = (0..self.in_flight).map(|_| one()).collect();
        while next(&mut running).await.is_some() {}
    }

    async fn on_time(&self, rate: f64, turns: &Turns<'_>, call: impl AsyncFn(Turn)) {
        let begun = Instant::now();
        let mut running = FuturesUnordered::new();
        for number in 0_u64.. {
            let due = begun + Duration::from_secs_f64(number as f64 / rate);
            let Some(turn) = turns.next(due) else { break };
            let mut time = std::pin::pin!(sleep_until(due.into()));
            let mut is_held_up = false;
            loop {
                let may_begin = running.len() < self.in_flight;
                is_held_up |= !may_begin;
                tokio::select! {
                    () = &mut time, if may_begin => break,
                    Some(()) = next(&mut running) => {}
                }
            }
            // What the timer alone was late by is not the service's.
            let late = due.elapsed();
            let turn = match late < TIMER && !is_held_up {
                true => Turn {
                    due: due + late,
                    ..turn
                },
                false => turn,
            };
            running.push(call(turn));
        }
        while next(&mut running).await.is_some() {}
    }
}

/// Waits until one of them is done. Without the runtime's bound for one turn: where many go on at once, they would
/// use it up, and each of the others would be asked in vain, again and again.
async fn next(running: &mut FuturesUnordered<impl Future<Output = ()>>) -> Option<()> {
    unconstrained(running.next()).await
}

/// One call that is to begin.
struct Turn {
    due: Instant,
    counts: bool,
}

/// Says of each call whether it begins, and whether it counts.
struct Turns<'a> {
    plan: &'a Plan,
    warm_until: Instant,
    counted: Cell<u64>,
}

impl Turns<'_> {
    /// For a call that is due at that time; `None` is the end.
    fn next(&self, due: Instant) -> Option<Turn> {
        if due < self.warm_until {
            return Some(Turn { due, counts: false });
        }
        let counted = self.counted.get();
        self.counted.set(counted + 1);
        let goes_on = match self.plan.end {
            End::Calls(calls) => counted < calls,
            End::Time(time) => due < self.warm_until + time,
        };
        goes_on.then_some(Turn { due, counts: true })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_begins_in_the_warm_up_does_not_count_and_the_end_is_the_end() {
        let begun = Instant::now();
        let plan = |end| Plan {
            load: Load::Closed,
            in_flight: 1,
            warm_up: Duration::from_secs(1),
            end,
        };
        let turns = |plan: &Plan, at_ms: [u64; 5]| {
            let turns = Turns {
                plan,
                warm_until: begun + plan.warm_up,
                counted: Cell::new(0),
            };
            at_ms.map(|ms| {
                let turn = turns.next(begun + Duration::from_millis(ms));
                turn.map(|turn| turn.counts)
            })
        };
        assert_eq!(
            turns(&plan(End::Calls(2)), [0, 999, 1000, 90_000, 90_001]),
            [Some(false), Some(false), Some(true), Some(true), None]
        );
        let time = plan(End::Time(Duration::from_secs(2)));
        assert_eq!(
            turns(&time, [999, 1000, 2999, 3000, 3001]),
            [Some(false), Some(true), Some(true), None, None]
        );
    }
}
