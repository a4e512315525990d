//! How many messages may be under way to the broker: in all, and to one destination.
//!
//! A queue that confirms nothing, such as one without a quorum, keeps what was sent to it under way.
//! It must not keep others from being sent.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Messages under way at the same time.
const MESSAGES: usize = 512;
/// Of these, those to one destination.
const MESSAGES_TO_ONE: usize = 64;
/// Destinations that are remembered before those without a message are forgotten.
const REMEMBERED: usize = 1000;

/// The messages that keep to one bound.
pub(super) struct Lane {
    all: Arc<Semaphore>,
    by_destination: Mutex<HashMap<String, Arc<Semaphore>>>,
}

/// One message's place. It is free again when this is dropped.
pub(super) struct Underway {
    _one: OwnedSemaphorePermit,
    _all: OwnedSemaphorePermit,
}

impl Lane {
    pub(super) fn new() -> Self {
        Self {
            all: Arc::new(Semaphore::new(MESSAGES)),
            by_destination: Mutex::default(),
        }
    }

    /// Waits until one more message may be sent to `destination`.
    pub(super) async fn place(&self, destination: &str) -> Underway {
        let one = self.destination(destination).acquire_owned().await;
        let all = Arc::clone(&self.all).acquire_owned().await;
        const NEVER_CLOSED: &str = "these semaphores are never closed";
        Underway {
            _one: one.expect(NEVER_CLOSED),
            _all: all.expect(NEVER_CLOSED),
        }
    }

    fn destination(&self, name: &str) -> Arc<Semaphore> {
        let mut known = self
            .by_destination
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(places) = known.get(name) {
            return Arc::clone(places);
        }
        if known.len() >= REMEMBERED {
            // Each place that is taken or waited for holds its semaphore.
            known.retain(|_, places| Arc::strong_count(places) > 1);
        }
        let places = Arc::new(Semaphore::new(MESSAGES_TO_ONE));
        known.insert(name.to_owned(), Arc::clone(&places));
        places
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[test]
    fn one_destination_does_not_take_what_others_need() {
        let lane = Lane::new();
        let place = |destination: &str| lane.place(destination).now_or_never();
        let stuck: Vec<_> = (0..MESSAGES_TO_ONE).map(|_| place("stuck")).collect();
        assert!(stuck.iter().all(Option::is_some));
        assert!(place("stuck").is_none());
        assert!(place("other").is_some());
        drop(stuck);
        assert!(place("stuck").is_some());
    }

    #[test]
    fn a_destination_without_a_message_is_forgotten_in_time() {
        let lane = Lane::new();
        let held = lane.place("held").now_or_never();
        for number in 0..2 * REMEMBERED {
            lane.place(&number.to_string()).now_or_never();
        }
        let known = lane.by_destination.lock().expect("no panic");
        assert!(known.len() <= REMEMBERED);
        assert!(known.contains_key("held"));
        drop(held);
    }
}
