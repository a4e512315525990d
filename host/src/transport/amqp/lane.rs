//! Messages on their way to the broker: which of them wait, and which are published together.
//!
//! What goes to one destination is published in batches: one message where one is there, and all that came
//! meanwhile where they come faster than the broker confirms. A broker that takes its time gets several at
//! once. A queue that confirms nothing, such as one without a quorum, keeps its batches under way. It must not
//! keep others from being sent.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Batches under way at the same time.
const BATCHES: usize = 512;
/// Of these, those to one destination.
pub(super) const BATCHES_TO_ONE: usize = 4;
/// So long the next batch waits for the one before it: together messages cost all sides less than one by one. A
/// broker that has confirmed nothing by then, as it has to ask others first, gets the next one all the same.
pub(super) const PROMPT: Duration = Duration::from_millis(10);
/// Messages of one batch.
const MESSAGES: usize = 256;
/// Bytes of a batch, unless one message alone has more. A broker may refuse that one, and with it what is in
/// the same batch.
const BYTES: usize = 1024 * 1024;

/// The messages that keep to one bound.
pub(super) struct Lane<T> {
    /// Whether nobody waits for a message any longer. It is of no use then.
    is_abandoned: fn(&T) -> bool,
    batches: Arc<Semaphore>,
    by_destination: Mutex<HashMap<String, Queue<T>>>,
}

/// What waits for one destination.
struct Queue<T> {
    /// Each with its bytes.
    messages: VecDeque<(T, usize)>,
    /// At how many it is looked through for such as are abandoned.
    crowded: usize,
    /// Those that take batches of them, one after the other.
    senders: usize,
    /// When the last of them was asked for.
    asked: Instant,
}

impl<T> Queue<T> {
    fn asks_for_sender(&mut self, now: Instant) -> bool {
        let one_more = match self.senders {
            0 => true,
            BATCHES_TO_ONE.. => false,
            _ => now.saturating_duration_since(self.asked) >= PROMPT,
        };
        if one_more {
            self.senders += 1;
            self.asked = now;
        }
        one_more
    }
}

/// Messages that are published together.
pub(super) struct Batch<T> {
    pub(super) messages: Vec<T>,
    _turn: OwnedSemaphorePermit,
}

impl<T> Lane<T> {
    pub(super) fn new(is_abandoned: fn(&T) -> bool) -> Self {
        Self {
            is_abandoned,
            batches: Arc::new(Semaphore::new(BATCHES)),
            by_destination: Mutex::default(),
        }
    }

    /// Adds a message of so many bytes. Where this is true, somebody must begin to send to the destination:
    /// to take batches until there is none. Where it is false, whoever adds it asks again after `PROMPT` whether
    /// it `needs_another` to do so.
    #[must_use]
    pub(super) fn push(&self, destination: &str, message: T, bytes: usize, now: Instant) -> bool {
        let mut destinations = self.destinations();
        let queue = match destinations.get_mut(destination) {
            Some(queue) => queue,
            None => destinations.entry(destination.to_owned()).or_insert(Queue {
                messages: VecDeque::new(),
                crowded: MESSAGES,
                senders: 0,
                asked: now,
            }),
        };
        if queue.messages.len() >= queue.crowded {
            queue
                .messages
                .retain(|(message, _)| !(self.is_abandoned)(message));
            queue.crowded = (2 * queue.messages.len()).max(MESSAGES);
        }
        queue.messages.push_back((message, bytes));
        queue.asks_for_sender(now)
    }

    /// Whether somebody must begin to send to the destination, as those that do are held up.
    #[must_use]
    pub(super) fn needs_another(&self, destination: &str, now: Instant) -> bool {
        let mut destinations = self.destinations();
        let queue = destinations.get_mut(destination);
        queue.is_some_and(|queue| !queue.messages.is_empty() && queue.asks_for_sender(now))
    }

    /// Waits for its turn, and takes a batch. Without one, whoever asks is to send no more.
    pub(super) async fn batch(&self, destination: &str) -> Option<Batch<T>> {
        let turn = Arc::clone(&self.batches).acquire_owned().await;
        let turn = turn.expect("the semaphore is never closed");
        let mut destinations = self.destinations();
        let queue = destinations.get_mut(destination)?;
        let mut messages = Vec::new();
        let mut bytes = 0;
        while let Some((_, size)) = queue.messages.front()
            && (messages.is_empty() || messages.len() < MESSAGES && bytes + size <= BYTES)
        {
            bytes += size;
            messages.extend(queue.messages.pop_front().map(|(message, _)| message));
        }
        if messages.is_empty() {
            queue.senders -= 1;
            if queue.senders == 0 {
                destinations.remove(destination);
            }
            return None;
        }
        Some(Batch {
            messages,
            _turn: turn,
        })
    }

    fn destinations(&self) -> MutexGuard<'_, HashMap<String, Queue<T>>> {
        self.by_destination
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    fn lane() -> Lane<u32> {
        Lane::new(|_| false)
    }

    fn batch(lane: &Lane<u32>, destination: &str) -> Option<Batch<u32>> {
        lane.batch(destination).now_or_never().expect("a turn")
    }

    #[test]
    fn what_comes_while_others_are_under_way_goes_together() {
        let (lane, now) = (lane(), Instant::now());
        assert!(lane.push("a", 0, 10, now), "the first needs a sender");
        let first = batch(&lane, "a").expect("one waits");
        assert_eq!(first.messages, [0]);
        for number in 1..300 {
            assert!(!lane.push("a", number, 10, now), "the others wait for it");
        }
        drop(first);
        let second = batch(&lane, "a").expect("many wait");
        assert_eq!(second.messages, (1..257).collect::<Vec<_>>());
        drop(second);
        assert_eq!(
            batch(&lane, "a").map(|batch| batch.messages.len()),
            Some(43)
        );
        assert!(batch(&lane, "a").is_none());
        assert!(lane.destinations().is_empty(), "nothing is left of it");
        assert!(lane.push("a", 300, 10, now), "and it begins again");
    }

    #[test]
    fn a_broker_that_takes_its_time_gets_several() {
        let (lane, mut now) = (lane(), Instant::now());
        let mut under_way = Vec::new();
        for number in 0..BATCHES_TO_ONE {
            assert!(lane.push("a", 0, 10, now), "sender {number} is needed");
            under_way.push(batch(&lane, "a").expect("one waits"));
            assert!(!lane.push("a", 1, 10, now), "and not another at once");
            assert!(!lane.needs_another("a", now));
            now += PROMPT;
        }
        assert!(!lane.push("a", 2, 10, now), "that is enough");
        assert!(!lane.needs_another("a", now));
        drop(under_way);
        assert_eq!(
            batch(&lane, "a").map(|batch| batch.messages),
            Some(vec![1, 2])
        );
        for _ in 0..BATCHES_TO_ONE {
            assert!(batch(&lane, "a").is_none());
        }
        assert!(lane.destinations().is_empty(), "nothing is left of it");
    }

    #[test]
    fn the_last_message_is_not_left_behind_a_broker_that_takes_its_time() {
        let (lane, now) = (lane(), Instant::now());
        assert!(lane.push("a", 0, 10, now));
        let _held_up = batch(&lane, "a").expect("one waits");
        assert!(!lane.push("a", 1, 10, now));
        assert!(lane.needs_another("a", now + PROMPT), "nothing else comes");
        let second = batch(&lane, "a").expect("it waits");
        assert_eq!(second.messages, [1]);
        assert!(!lane.needs_another("a", now + 2 * PROMPT), "none waits");
        assert!(!lane.needs_another("b", now));
    }

    #[test]
    fn a_large_message_goes_alone() {
        let (lane, now) = (lane(), Instant::now());
        for (number, bytes) in [(0, 10), (1, BYTES), (2, 10), (3, 10)] {
            let _ = lane.push("a", number, bytes, now);
        }
        let batches: Vec<_> = std::iter::from_fn(|| batch(&lane, "a"))
            .map(|batch| batch.messages)
            .collect();
        assert_eq!(batches, [vec![0], vec![1], vec![2, 3]]);
    }

    #[test]
    fn what_is_abandoned_does_not_pile_up() {
        let (lane, now) = (Lane::new(|number| number % 2 == 1), Instant::now());
        for number in 0..10_000 {
            let _ = lane.push("a", number % 2, 10, now);
            let _ = lane.push("b", 1, 10, now);
        }
        let waiting = |name| lane.destinations()[name].messages.len();
        assert!((5000..=10_000).contains(&waiting("a")));
        assert!(waiting("b") <= MESSAGES);
    }

    #[test]
    fn one_destination_does_not_take_what_others_need() {
        let (lane, mut now) = (lane(), Instant::now());
        let mut senders = 0;
        for number in 0..1000 {
            senders += u32::from(lane.push("stuck", number, 10, now));
            now += PROMPT;
        }
        assert_eq!(senders as usize, BATCHES_TO_ONE);
        let _stuck: Vec<_> = (0..senders).map(|_| batch(&lane, "stuck")).collect();
        assert!(lane.push("other", 0, 10, now));
        assert!(batch(&lane, "other").is_some());
    }
}
