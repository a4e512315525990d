//! Reply queues that did not come back: their callers are gone, so that further replies to them are
//! not worth a try (amqpdriver.py: `ObsoleteReplyQueuesCache`).

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Upstream's figures.
const CAPACITY: usize = 200;
const REMEMBERED_FOR: Duration = Duration::from_secs(60);

/// The last queues that were given up.
#[derive(Debug, Default)]
pub struct GoneQueues(Mutex<VecDeque<(String, Instant)>>);

impl GoneQueues {
    /// Nobody consumes `queue` any more.
    pub fn insert(&self, queue: &str) {
        let mut queues = self.current();
        // Of many replies to one queue each gives it up.
        if queues.iter().any(|(gone, _)| gone == queue) {
            return;
        }
        if queues.len() == CAPACITY {
            queues.pop_front();
        }
        queues.push_back((queue.to_owned(), Instant::now() + REMEMBERED_FOR));
    }

    pub fn contains(&self, queue: &str) -> bool {
        self.current().iter().any(|(gone, _)| gone == queue)
    }

    /// Without those that were forgotten meanwhile.
    fn current(&self) -> MutexGuard<'_, VecDeque<(String, Instant)>> {
        let mut queues = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        // All are remembered for the same time, so that the oldest are in front.
        while queues.front().is_some_and(|(_, until)| *until <= now) {
            queues.pop_front();
        }
        queues
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_is_forgotten_for_the_newest() {
        let gone = GoneQueues::default();
        for number in 0..=CAPACITY {
            gone.insert(&number.to_string());
        }
        for _ in 0..CAPACITY {
            gone.insert("1");
        }
        assert!(!gone.contains("0"));
        assert!(gone.contains("1"));
        assert!(gone.contains(&CAPACITY.to_string()));
    }
}
