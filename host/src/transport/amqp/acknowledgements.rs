//! Acknowledgements of one channel: those that are due at the same time go in as few frames as AMQP has for
//! them, and are waited for together.
//!
//! Whoever is first sends for all that come until it begins, and the next one of those that come meanwhile
//! sends then. So nobody waits for more than the one before it, and a lone one for nothing.

use std::collections::BTreeSet;
use std::mem::take;
use std::sync::{Mutex, MutexGuard, PoisonError};

use lapin::Channel;
use lapin::options::{BasicAckOptions, BasicRejectOptions};
use lapin::types::DeliveryTag;
use tokio::sync::oneshot;

/// Those of one channel.
pub(super) struct Acknowledgements {
    channel: Channel,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    tags: Tags,
    waiting: Vec<(DeliveryTag, oneshot::Sender<Turn>)>,
    is_sending: bool,
}

/// What becomes of one that waits.
enum Turn {
    /// It was sent, or could not be.
    Done(bool),
    /// It is the one that sends, for all that wait.
    Send,
}

impl Acknowledgements {
    pub(super) fn new(channel: Channel) -> Self {
        Self {
            channel,
            state: Mutex::default(),
        }
    }

    /// Acknowledges a delivery; false if the channel was lost before. To be awaited to its end, as others may
    /// wait for it.
    pub(super) async fn acknowledge(&self, tag: DeliveryTag) -> bool {
        let turn = {
            let mut state = self.state();
            match state.is_sending {
                true => {
                    let (sender, turn) = oneshot::channel();
                    state.waiting.push((tag, sender));
                    Some(turn)
                }
                false => {
                    state.is_sending = true;
                    None
                }
            }
        };
        if let Some(turn) = turn {
            match turn.await {
                Ok(Turn::Done(sent)) => return sent,
                Ok(Turn::Send) => {}
                Err(_) => return false,
            }
        }
        let _sending = Sending(self);
        let (others, frames) = {
            let mut state = self.state();
            let others = take(&mut state.waiting);
            let tags = others.iter().map(|(tag, _)| *tag).chain([tag]);
            let frames = state.tags.frames(tags.collect());
            (others, frames)
        };
        let mut sent = Vec::with_capacity(frames.len());
        for frame in frames {
            let options = BasicAckOptions {
                multiple: frame.multiple,
            };
            if self.channel.basic_ack(frame.tag, options).await.is_err() {
                break;
            }
            sent.push(frame);
        }
        let is_sent = |tag| sent.iter().any(|frame| frame.acknowledges(tag));
        for (tag, turn) in others {
            // Whoever went away does not need to know.
            let _ = turn.send(Turn::Done(is_sent(tag)));
        }
        is_sent(tag)
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

/// The turn of who sends; whatever becomes of it, the next one has it then.
struct Sending<'a>(&'a Acknowledgements);

impl Drop for Sending<'_> {
    fn drop(&mut self) {
        let mut state = self.0.state();
        while !state.waiting.is_empty() {
            let (_, turn) = state.waiting.remove(0);
            // One that went away is delivered again when the channel ends.
            if turn.send(Turn::Send).is_ok() {
                return;
            }
        }
        state.is_sending = false;
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
