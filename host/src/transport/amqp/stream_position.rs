//! Where a consumer of a stream goes on: a stream keeps what was consumed, so that it is the
//! consumer who must know.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

use amq_protocol::types::AMQPValue;

/// The place of one consumer in its stream.
///
/// It begins with what comes next, unlike upstream, where a restarted server runs the newest stored
/// message once more. After a loss it goes on with the first message that was not accepted; of
/// those that come again, the ones that were are known by their unique ids.
#[derive(Debug, Default)]
pub(super) struct StreamPosition {
    after_last: Option<i64>,
    /// Arrived, and not yet accepted or rejected.
    open: BTreeSet<i64>,
    was_cancelled: bool,
}

impl StreamPosition {
    pub(super) fn lock(position: &Mutex<Self>) -> MutexGuard<'_, Self> {
        // It is never left half changed.
        position.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn arrived(&mut self, offset: i64) {
        self.open.insert(offset);
        self.after_last = self.after_last.max(Some(offset.saturating_add(1)));
    }

    pub(super) fn done(&mut self, offset: i64) {
        self.open.remove(&offset);
    }

    /// The broker ended the consumer. The stream may have been made anew since, with other
    /// offsets; then only the newest is asked for again, as upstream does.
    pub(super) fn was_cancelled(&mut self) {
        self.was_cancelled = true;
    }

    /// Where a new consumer is to begin, as `x-stream-offset` has it.
    pub(super) fn start(&mut self) -> AMQPValue {
        let first_open = self.open.first().copied();
        self.open.clear();
        let was_cancelled = std::mem::take(&mut self.was_cancelled);
        match first_open.or(self.after_last) {
            None => AMQPValue::LongString("next".into()),
            Some(_) if was_cancelled => {
                self.after_last = None;
                AMQPValue::LongString("last".into())
            }
            Some(offset) => AMQPValue::LongLongInt(offset),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_goes_on_with_the_first_that_was_not_accepted() {
        let mut position = StreamPosition::default();
        assert_eq!(position.start(), AMQPValue::LongString("next".into()));
        for offset in 7..10 {
            position.arrived(offset);
        }
        position.done(7);
        position.done(9);
        assert_eq!(position.start(), AMQPValue::LongLongInt(8));
        position.arrived(8);
        position.done(8);
        assert_eq!(position.start(), AMQPValue::LongLongInt(10));
    }

    #[test]
    fn a_stream_that_may_be_another_is_not_asked_for_old_offsets() {
        let mut position = StreamPosition::default();
        position.arrived(7);
        position.was_cancelled();
        assert_eq!(position.start(), AMQPValue::LongString("last".into()));
        assert_eq!(position.start(), AMQPValue::LongString("next".into()));
    }
}
