//! Acknowledgements of one channel: those that are due at the same time go in as few frames as AMQP has for
//! them, and are waited for together.

use std::collections::BTreeSet;
use std::mem::take;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared};
use lapin::Channel;
use lapin::options::{BasicAckOptions, BasicRejectOptions};
use lapin::types::DeliveryTag;

use super::in_order::InOrder;

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
    due: Vec<DeliveryTag>,
    round: Option<Round>,
}

/// The frames that were sent for all that were due; awaited by each of them.
type Round = Shared<BoxFuture<'static, Arc<[Frame]>>>;

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
        tag: DeliveryTag,
    ) -> impl Future<Output = bool> + Send + use<> {
        let mut state = self.state();
        state.due.push(tag);
        let round = state
            .round
            .get_or_insert_with(|| Arc::clone(self).send_due().boxed().shared());
        let round = round.clone();
        async move {
            let sent = round.await;
            sent.iter().any(|frame| frame.acknowledges(tag))
        }
    }

    async fn send_due(self: Arc<Self>) -> Arc<[Frame]> {
        let frames = {
            let mut state = self.state();
            state.round = None;
            let due = take(&mut state.due);
            state.tags.frames(due)
        };
        let sending = frames.iter().map(async |frame| {
            let multiple = frame.multiple;
            let options = BasicAckOptions { multiple };
            let sent = self.channel.basic_ack(frame.tag, options).await;
            sent.is_ok().then_some(*frame)
        });
        let sent = InOrder::begin(sending).finish().await;
        sent.into_iter().flatten().collect()
    }

    /// Rejects a delivery; false if the channel was lost before.
    pub(super) async fn reject(&self, tag: DeliveryTag, requeue: bool) -> bool {
        let options = BasicRejectOptions { requeue };
        // Not before: an acknowledgement of several must not come between.
        let _settling = Settling { of: self, tag };
        self.channel.basic_reject(tag, options).await.is_ok()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A delivery that is settled with this, also where nobody waits for the end of its frame: that is on its
/// way then.
struct Settling<'a> {
    of: &'a Acknowledgements,
    tag: DeliveryTag,
}

impl Drop for Settling<'_> {
    fn drop(&mut self) {
        self.of.state().tags.settle(self.tag);
    }
}

/// One `basic.ack`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Frame {
    tag: DeliveryTag,
    /// With all before it.
    multiple: bool,
}

impl Frame {
    /// Whether it does so for one of those that it was made for.
    fn acknowledges(self, tag: DeliveryTag) -> bool {
        tag == self.tag || self.multiple && tag < self.tag
    }
}

/// Which deliveries are settled. A broker numbers those of a channel from 1 on, without a gap; here they are seen
/// in any order, as they come from several queues.
struct Tags {
    /// The first that is not settled.
    open: DeliveryTag,
    /// Those after it that are.
    settled: BTreeSet<DeliveryTag>,
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
    fn settle(&mut self, tag: DeliveryTag) {
        self.settled.insert(tag);
        while self.settled.remove(&self.open) {
            self.open += 1;
        }
    }

    /// The fewest frames that acknowledge these and nothing else. They are settled with that.
    fn frames(&mut self, mut tags: Vec<DeliveryTag>) -> Vec<Frame> {
        tags.sort_unstable();
        for tag in &tags {
            self.settle(*tag);
        }
        let together = tags.partition_point(|tag| *tag < self.open);
        let (together, alone) = tags.split_at(together);
        let first = together.last().map(|last| Frame {
            tag: *last,
            multiple: together.len() > 1,
        });
        let alone = alone.iter().map(|tag| Frame {
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
    fn check(tags: &mut Tags, acknowledged: &[DeliveryTag], expected: &[(DeliveryTag, bool)]) {
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
