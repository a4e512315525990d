//! Futures that ask a broker for something each, where the order of asking counts.

use std::pin::Pin;
use std::task::{Context, Waker};

use futures_util::future::{MaybeDone, join_all, maybe_done};

/// Futures that have begun, one after the other.
pub(super) struct InOrder<F: Future>(Vec<Pin<Box<MaybeDone<F>>>>);

impl<F: Future> InOrder<F> {
    /// Polls each once, in this order, and has nobody woken for it.
    pub(super) fn begin(futures: impl Iterator<Item = F>) -> Self {
        let mut begun: Vec<_> = futures.map(|future| Box::pin(maybe_done(future))).collect();
        for future in &mut begun {
            let _ = future
                .as_mut()
                .poll(&mut Context::from_waker(Waker::noop()));
        }
        Self(begun)
    }

    /// What each gives, in the same order.
    pub(super) async fn finish(mut self) -> Vec<F::Output> {
        join_all(self.0.iter_mut().map(Pin::as_mut)).await;
        let outputs = self.0.iter_mut();
        outputs
            .filter_map(|future| future.as_mut().take_output())
            .collect()
    }
}
