//! Instances that have answered and wait for another request, where the operator allows that.
//!
//! An instance is here or in the hands of one request, so no two requests ever share it.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use super::instance::Instance;
use super::manifest::{Instances, Lifecycle};
use super::room::Room;

/// Those of one generation of a plugin.
pub struct Idle {
    lifecycle: Lifecycle,
    instances: Mutex<Vec<Waiting>>,
}

struct Waiting {
    instance: Instance,
    since: Instant,
    /// One of the engine's places for instances that do nothing.
    _room: Room,
}

impl Idle {
    pub fn new(lifecycle: Lifecycle) -> Self {
        Self {
            lifecycle,
            instances: Mutex::default(),
        }
    }

    /// The one that came last, whose memory is most probably still in the processor's caches.
    pub fn take(&self, now: Instant) -> Option<Instance> {
        if self.lifecycle.instances == Instances::PerCall {
            return None;
        }
        let last = self.waiting().pop()?;
        // Those below it have waited for longer.
        self.is_good(&last, now).then_some(last.instance)
    }

    /// Whether this instance may answer another request.
    pub fn wants(&self, instance: &Instance, now: Instant) -> bool {
        let lifecycle = &self.lifecycle;
        lifecycle.instances == Instances::Reuse
            && instance.calls < lifecycle.max_calls
            && now.duration_since(instance.born) < lifecycle.max_age()
            && instance.memory_bytes() <= lifecycle.max_memory_bytes()
    }

    /// Keeps an instance that is wanted.
    pub fn keep(&self, instance: Instance, room: Room, now: Instant) {
        self.waiting().push(Waiting {
            instance,
            since: now,
            _room: room,
        });
    }

    /// Lets those go that have waited too long or are too old.
    pub fn retire(&self) {
        let now = Instant::now();
        let mut waiting = self.waiting();
        let gone: Vec<_> = waiting
            .extract_if(.., |waiting| !self.is_good(waiting, now))
            .collect();
        // Nobody waits for their memory to be given back.
        drop(waiting);
        drop(gone);
    }

    /// Lets all go.
    pub fn clear(&self) {
        let gone = std::mem::take(&mut *self.waiting());
        drop(gone);
    }

    fn is_good(&self, waiting: &Waiting, now: Instant) -> bool {
        now.duration_since(waiting.since) < self.lifecycle.max_idle()
            && now.duration_since(waiting.instance.born) < self.lifecycle.max_age()
    }

    fn waiting(&self) -> MutexGuard<'_, Vec<Waiting>> {
        self.instances
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}
