//! A place among what runs at the same time, which its holder lends to others while it only waits.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Places for what runs at the same time.
#[derive(Clone, Debug)]
pub struct Places(Arc<Semaphore>);

/// One of them. It is free again when this is dropped.
#[derive(Debug)]
pub struct Place {
    places: Places,
    /// `None` while it is lent.
    permit: Mutex<Option<OwnedSemaphorePermit>>,
}

impl Places {
    pub fn new(count: usize) -> Self {
        Self(Arc::new(Semaphore::new(count)))
    }

    /// Waits for a free place; who came first gets the first.
    pub async fn take(&self) -> Place {
        Place {
            permit: Mutex::new(Some(self.permit().await)),
            places: self.clone(),
        }
    }

    async fn permit(&self) -> OwnedSemaphorePermit {
        let permit = Arc::clone(&self.0).acquire_owned().await;
        permit.expect("places are never closed")
    }
}

impl Place {
    /// Lets others have it, for good or until it is taken back.
    pub fn lend(&self) {
        drop(self.put(None));
    }

    /// Waits until it can be had again.
    pub async fn take_back(&self) {
        let permit = self.places.permit().await;
        drop(self.put(Some(permit)));
    }

    fn put(&self, permit: Option<OwnedSemaphorePermit>) -> Option<OwnedSemaphorePermit> {
        let mut own = self.permit.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::replace(&mut own, permit)
    }
}
