//! Acknowledgements of one channel: those that are due at the same time go in as few frames as AMQP has for
//! them, and are waited for together.

use std::collections::BTreeSet;
use std::mem::take;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use super::wire::{Acknowledgement, Channel, Written};

/// Those of one channel. All are polled first by the task that polls the listener: a frame that speaks for
/// several must not be overtaken by a later one.
pub(super) struct Acknowledgements {
    channel: Channel,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    tags: Tags,
    /// Those that go with the next round.
    due: Vec<u64>,
    round: Round,
}

/// The frames for all that were due, once they are on their way; each of those waits for them.
type Round = Arc<OnceLock<Written>>;

impl Acknowledgements {
    pub(super) fn new(channel: Channel) -> Self {
        Self {
            channel,
            state: Mutex::default(),
        }
    }

    /// Acknowledges a delivery, together with all that are due when the first of them is polled; false if the
    /// channel was lost before.
    pub(super) fn acknowledge(
        self: &Arc<Self>,
        tag: u64,
    ) -> impl Future<Output = bool> + Send + use<> {
        let all = Arc::clone(self);
        let round = {
            let mut state = self.state();
            state.due.push(tag);
            Arc::clone(&state.round)
        };
        async move { all.sent(&round).await }
    }

    /// Sends a round, if that was not done before.
    fn sent(&self, round: &Round) -> Written {
        if let Some(written) = round.get() {
            return written.clone();
        }
        let mut state = self.state();
        // Within the lock, so that rounds are sent one after the other.
        let written = round.get_or_init(|| {
            state.round = Round::default();
            let due = take(&mut state.due);
            self.channel.acknowledge(&state.tags.frames(due))
        });
        written.clone()
    }

    /// Rejects a delivery; false if the channel was lost before.
    pub(super) async fn reject(&self, tag: u64, requeue: bool) -> bool {
        let rejected = {
            let mut state = self.state();
            state.tags.settle(tag);
            self.channel.reject(tag, requeue)
        };
        rejected.await
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Which deliveries are settled. A broker numbers those of a channel from 1 on, without a gap; here they are seen
/// in any order, as they come from several queues.
struct Tags {
    /// The first that is not settled.
    open: u64,
    /// Those after it that are.
    settled: BTreeSet<u64>,
}

impl Default for Tags {
    fn default() -> Self {
        Self {
            open: 1,
            settled: BTreeSet::new(),
        }
    }
}

impl Tags {
    fn settle(&mut self, tag: u64) {
        self.settled.insert(tag);
        while self.settled.remove(&self.open) {
            self.open += 1;
        }
    }

    /// The fewest frames that acknowledge these and nothing else. They are settled with that.
    fn frames(&mut self, mut tags: Vec<u64>) -> Vec<Acknowledgement> {
        tags.sort_unstable();
        for tag in &tags {
            self.settle(*tag);
        }
        let together = tags.partition_point(|tag| *tag < self.open);
        let (together, alone) = tags.split_at(together);
        let first = together.last().map(|last| Acknowledgement {
            tag: *last,
            multiple: together.len() > 1,
        });
        let alone = alone.iter().map(|tag| Acknowledgement {
            tag: *tag,
            multiple: false,
        });
        first.into_iter().chain(alone).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(tags: &mut Tags, acknowledged: &[u64], expected: &[(u64, bool)]) {
        let frames = tags.frames(acknowledged.to_vec());
        let frames: Vec<_> = frames
            .iter()
            .map(|frame| (frame.tag, frame.multiple))
            .collect();
        assert_eq!(frames, expected);
    }

    #[test]
    fn those_that_have_none_open_before_them_go_together() {
        let mut tags = Tags::default();
        check(&mut tags, &[1], &[(1, false)]);
        check(&mut tags, &[3, 2, 4], &[(4, true)]);
        // 5 is still open.
        check(&mut tags, &[6, 7], &[(6, false), (7, false)]);
        check(&mut tags, &[5], &[(5, false)]);
        check(&mut tags, &[8, 9, 11], &[(9, true), (11, false)]);
    }

    #[test]
    fn what_was_rejected_is_no_gap() {
        let mut tags = Tags::default();
        tags.settle(2);
        check(&mut tags, &[1, 3], &[(3, true)]);
        tags.settle(4);
        check(&mut tags, &[5], &[(5, false)]);
        assert_eq!((tags.open, tags.settled.len()), (6, 0));
    }
}
