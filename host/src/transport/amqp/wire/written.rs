//! Whether something was written, for all who wait for it: it is told once, and whoever asks after that takes no
//! lock, although many ask at the same time.

use std::mem::take;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::{Context, Poll, Waker};

/// True once it is written, false if the connection is lost before.
#[derive(Clone)]
pub(crate) struct Written(Arc<Shared>);

/// Tells whoever waits. If it is dropped, that it will not be.
pub(super) struct Teller(Arc<Shared>);

#[derive(Default)]
struct Shared {
    outcome: OnceLock<bool>,
    waiting: Mutex<Vec<Waker>>,
}

impl Written {
    /// It is not known yet.
    pub(super) fn new() -> (Teller, Self) {
        let shared = Arc::<Shared>::default();
        (Teller(Arc::clone(&shared)), Self(shared))
    }

    /// It will not be.
    pub(super) fn never() -> Self {
        Self::new().1
    }
}

impl Teller {
    pub(super) fn tell_written(self) {
        self.0.tell(true);
    }
}

impl Drop for Teller {
    fn drop(&mut self) {
        self.0.tell(false);
    }
}

impl Shared {
    /// Tells it, if it was not told before.
    fn tell(&self, is_written: bool) {
        if self.outcome.set(is_written).is_ok() {
            let waiting = take(&mut *self.waiting());
            // Without the lock, as they may be woken on other threads and ask at once.
            waiting.into_iter().for_each(Waker::wake);
        }
    }

    fn waiting(&self) -> MutexGuard<'_, Vec<Waker>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Future for Written {
    type Output = bool;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<bool> {
        let Shared { outcome, .. } = &*self.0;
        if let Some(is_written) = outcome.get() {
            return Poll::Ready(*is_written);
        }
        let mut waiting = self.0.waiting();
        // It is told before those are taken that wait.
        match outcome.get() {
            Some(is_written) => Poll::Ready(*is_written),
            None => {
                waiting.push(context.waker().clone());
                Poll::Pending
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[test]
    fn all_are_told_before_and_after() {
        let (teller, written) = Written::new();
        let mut early = written.clone();
        assert_eq!((&mut early).now_or_never(), None);
        teller.tell_written();
        assert_eq!(early.now_or_never(), Some(true));
        assert_eq!(written.now_or_never(), Some(true));
        assert_eq!(Written::never().now_or_never(), Some(false));
    }

    #[tokio::test]
    async fn who_waits_is_woken() {
        let (teller, written) = Written::new();
        let (told, ()) = tokio::join!(written, async {
            tokio::task::yield_now().await;
            drop(teller);
        });
        assert!(!told);
    }
}
