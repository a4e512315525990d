//! Futures that are to be done by a certain time.

use std::pin::pin;
use std::task::Poll;
use std::time::Instant;

use tokio::task::coop::{has_budget_remaining, unconstrained};
use tokio::time::sleep_until;

/// The time was over before the future was done.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Elapsed;

/// What the future gives, if it does by this time.
///
/// Unlike tokio's `timeout_at` it makes a timer only when the future waits for something, which most never do: a
/// timer takes hold of what all threads of its runtime share, even where it is never started.
pub async fn by<F: Future>(deadline: Instant, future: F) -> Result<F::Output, Elapsed> {
    let mut future = pin!(future);
    let mut timer = None;
    std::future::poll_fn(|context| {
        let had_a_turn = has_budget_remaining();
        if let Poll::Ready(output) = future.as_mut().poll(context) {
            return Poll::Ready(Ok(output));
        }
        // In a box, as few futures have one and all are moved.
        let timer = timer.get_or_insert_with(|| Box::pin(sleep_until(deadline.into())));
        let elapsed = match had_a_turn && !has_budget_remaining() {
            // The future used up its task's turn, and may do so each time.
            true => pin!(unconstrained(timer.as_mut())).poll(context),
            // Where the turn was over before, what is ready could not say so, and is asked again.
            false => timer.as_mut().poll(context),
        };
        elapsed.map(|()| Err(Elapsed))
    })
    .await
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};
    use std::time::Duration;

    use tokio::task::coop::consume_budget;

    use super::*;

    #[tokio::test]
    async fn what_is_there_at_once_is_never_too_late() {
        assert_eq!(by(Instant::now(), ready(1)).await, Ok(1));
    }

    #[tokio::test]
    async fn who_waits_does_so_until_then() {
        let deadline = Instant::now() + Duration::from_millis(20);
        assert_eq!(by(deadline, pending::<()>()).await, Err(Elapsed));
        assert!(Instant::now() >= deadline);
        let later = Instant::now() + Duration::from_secs(60);
        let soon = tokio::time::sleep(Duration::from_millis(1));
        assert_eq!(by(later, soon).await, Ok(()));
    }

    #[tokio::test]
    async fn who_is_always_busy_is_ended_as_well() {
        let busy = async {
            let end = Instant::now() + Duration::from_secs(10);
            while Instant::now() < end {
                consume_budget().await;
            }
        };
        let deadline = Instant::now() + Duration::from_millis(20);
        assert_eq!(by(deadline, busy).await, Err(Elapsed));
    }
}
