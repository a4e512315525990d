//! A place among what runs at the same time, which its holder lends to others while it only waits.
//!
//! What is further along goes first: who takes a place back goes before everybody, and who is called
//! by another plugin before those who are not. So chains come to their end before new ones begin,
//! and few of them are under way at the same time.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

/// The urgency of those who had their place before.
const TAKES_BACK: u32 = u32::MAX;

/// Places for what runs at the same time.
#[derive(Clone, Debug)]
pub struct Places(Arc<Mutex<Queue>>);

#[derive(Debug)]
struct Queue {
    free: usize,
    /// Nobody waits while a place is free.
    waiting: BTreeMap<Turn, oneshot::Sender<()>>,
    arrivals: u64,
}

/// The most urgent first, then who came first.
type Turn = (Reverse<u32>, u64);

/// One of them. It is free again when this is dropped.
#[derive(Debug)]
pub struct Place {
    places: Places,
    /// Not while it is lent.
    is_held: AtomicBool,
}

impl Places {
    pub fn new(count: usize) -> Self {
        Self(Arc::new(Mutex::new(Queue {
            free: count,
            waiting: BTreeMap::new(),
            arrivals: 0,
        })))
    }

    /// Waits for a free place, `depth` plugins down a chain.
    pub async fn take(&self, depth: u32) -> Place {
        // A depth comes from the wire, and may be any number.
        self.turn(depth.min(TAKES_BACK - 1)).await;
        self.place()
    }

    /// A free place, if there is one now.
    pub fn take_free(&self) -> Option<Place> {
        let mut queue = self.queue();
        queue.free = queue.free.checked_sub(1)?;
        drop(queue);
        Some(self.place())
    }

    /// One that was free, and is the caller's now.
    fn place(&self) -> Place {
        Place {
            places: self.clone(),
            is_held: AtomicBool::new(true),
        }
    }

    /// Waits until one that is free is the caller's.
    async fn turn(&self, urgency: u32) {
        if let Some(mut wait) = self.wait(urgency) {
            // The sender is kept until it is used.
            let _ = (&mut wait.granted).await;
        }
    }

    /// `None` if there is a free place, which is then the caller's.
    fn wait(&self, urgency: u32) -> Option<Wait<'_>> {
        let mut queue = self.queue();
        if queue.free > 0 {
            queue.free -= 1;
            return None;
        }
        queue.arrivals += 1;
        let turn = (Reverse(urgency), queue.arrivals);
        let (grant, granted) = oneshot::channel();
        queue.waiting.insert(turn, grant);
        Some(Wait {
            places: self,
            turn,
            granted,
        })
    }

    fn release(&self) {
        let mut queue = self.queue();
        while let Some((_, next)) = queue.waiting.pop_first() {
            // Whoever gave up in this moment leaves it to the next.
            if next.send(()).is_ok() {
                return;
            }
        }
        queue.free += 1;
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Somebody who waits, and may give up.
struct Wait<'a> {
    places: &'a Places,
    turn: Turn,
    granted: oneshot::Receiver<()>,
}

impl Drop for Wait<'_> {
    fn drop(&mut self) {
        self.places.queue().waiting.remove(&self.turn);
        self.granted.close();
        // It was granted, and not seen any more.
        if self.granted.try_recv().is_ok() {
            self.places.release();
        }
    }
}

impl Place {
    /// Lets others have it, for good or until it is taken back.
    pub fn lend(&self) {
        if self.is_held.swap(false, Ordering::AcqRel) {
            self.places.release();
        }
    }

    /// Waits until it can be had again.
    pub async fn take_back(&self) {
        self.places.turn(TAKES_BACK).await;
        if self.is_held.swap(true, Ordering::AcqRel) {
            // It was not lent.
            self.places.release();
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.lend();
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[test]
    fn who_is_further_along_goes_first() {
        let places = Places::new(1);
        let held = places.take(0).now_or_never().expect("it is free");
        let mut first = Box::pin(places.take(0));
        let mut second = Box::pin(places.take(0));
        let mut called = Box::pin(places.take(1));
        for waiting in [&mut first, &mut second, &mut called] {
            assert!(waiting.now_or_never().is_none());
        }
        held.lend();
        let called = called.now_or_never().expect("before those of the queue");
        let mut back = Box::pin(held.take_back());
        assert!((&mut back).now_or_never().is_none());
        drop(called);
        back.now_or_never().expect("before everybody");
        assert!((&mut first).now_or_never().is_none());
        drop(held);
        assert!((&mut second).now_or_never().is_none());
        let first = first.now_or_never().expect("who came first");
        drop(first);
        second.now_or_never().expect("and then the next");
    }

    #[test]
    fn a_place_is_lent_once_and_taken_back_once() {
        let places = Places::new(2);
        let one = places.take_free().expect("it is free");
        let other = places.take_free().expect("it is free");
        one.lend();
        one.lend();
        one.take_back().now_or_never().expect("it is free");
        assert!(places.take_free().is_none(), "lent twice, one was free");
        other.lend();
        one.take_back().now_or_never().expect("it is free");
        other.take_back().now_or_never().expect("it was not lent");
        assert!(places.take_free().is_none());
        drop(one);
        drop(other);
        let free = std::iter::from_fn(|| places.take_free());
        assert_eq!(free.collect::<Vec<_>>().len(), 2);
    }

    #[test]
    fn who_gives_up_leaves_the_place_to_the_next() {
        let places = Places::new(1);
        let held = places.take(0).now_or_never().expect("it is free");
        let mut before = Box::pin(places.take(0));
        let mut granted = Box::pin(places.take(0));
        let mut after = Box::pin(places.take(0));
        for waiting in [&mut before, &mut granted, &mut after] {
            assert!(waiting.now_or_never().is_none());
        }
        drop(before);
        drop(held);
        // It is its turn, and it does not look any more.
        drop(granted);
        let after = after.now_or_never().expect("the place was passed on");
        drop(after);
        places.take(0).now_or_never().expect("none is lost");
    }
}
