//! Guests that compute for long go on where they disturb nobody: on threads of low priority, which have
//! what the others leave, and with pauses while others are served. Alone they lose nothing by it.

use std::panic::resume_unwind;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};
use tokio::runtime::Handle;
use tokio::task::yield_now;
use tokio::time::sleep;
use tokio_util::task::{AbortOnDropHandle, TaskTracker};
use tracing::{Instrument, debug};

use crate::telemetry::trace;

/// A guest that has computed for so long is moved when it gives way the next time, which is every 10 ms.
const LONG: Duration = Duration::from_millis(50);
/// One that gave way after so long was computing, and did not wait for anything.
const COMPUTING: Duration = Duration::from_millis(5);
/// How long it then leaves the processor's caches and clock to the others, if there are any.
const PAUSE: Duration = Duration::from_millis(20);

/// Counts the requests that are begun, of all plugins: whoever sees it grow is not alone.
pub type Requests = Arc<AtomicU64>;

/// Whether the guests of one plugin compute for long.
#[derive(Debug)]
pub struct Patience {
    threads: Handle,
    requests: Requests,
    /// As the last one did, or would have if it had come to an end.
    computes_long: AtomicBool,
}

impl Patience {
    /// Those that do go on on `threads`, with pauses while `requests` grow.
    pub fn new(threads: Handle, requests: Requests) -> Self {
        Self {
            threads,
            requests,
            computes_long: AtomicBool::new(false),
        }
    }

    /// Runs a guest here, until it shows that it computes for long; or at once on the other threads, if
    /// the one before it did. It is in a box, as it may be large, and is moved with what counts its turns.
    pub async fn run<T, E>(
        &self,
        work: Pin<Box<impl Future<Output = Result<T, E>> + Send + 'static>>,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: Send + 'static,
    {
        let mut turns = Turns {
            work,
            computed: Duration::ZERO,
            is_measured: false,
        };
        if !self.computes_long.load(Ordering::Relaxed) {
            self.requests.fetch_add(1, Ordering::Relaxed);
            let here = std::future::poll_fn(|cx| match turns.poll(cx) {
                Poll::Ready(output) => Poll::Ready(Some(output)),
                Poll::Pending if turns.computed >= LONG => Poll::Ready(None),
                Poll::Pending => Poll::Pending,
            });
            if let Some(output) = here.await {
                return output;
            }
            debug!("It computes for long, and goes on with low priority");
            self.computes_long.store(true, Ordering::Relaxed);
        }
        let requests = Arc::clone(&self.requests);
        let moved = async move {
            loop {
                let seen = requests.load(Ordering::Relaxed);
                if let Some(output) = turns.one().await {
                    return (output, turns.computed);
                }
                match requests.load(Ordering::Relaxed) == seen {
                    true => yield_now().await,
                    false => sleep(PAUSE).await,
                }
            }
        };
        let moved = trace::continued(moved).in_current_span();
        // It ends with this future, or at its next turn after that.
        let moved = TaskTracker::new().spawn_on(moved, &self.threads);
        match AbortOnDropHandle::new(moved).await {
            Ok((output, computed)) => {
                // What was ended here may have had no turn to compute in.
                if output.is_ok() && computed < LONG {
                    self.computes_long.store(false, Ordering::Relaxed);
                }
                output
            }
            Err(error) if error.is_panic() => resume_unwind(error.into_panic()),
            // The process ends.
            Err(_) => std::future::pending().await,
        }
    }
}

/// A guest's turns, and what it has computed in them.
struct Turns<F> {
    work: Pin<Box<F>>,
    /// From the end of its first turn that was long enough to be worth two calls to the kernel.
    computed: Duration,
    is_measured: bool,
}

impl<F: Future> Turns<F> {
    /// Lets it go on until it is done, or gives way although it has more to compute.
    async fn one(&mut self) -> Option<F::Output> {
        std::future::poll_fn(|cx| {
            let before = self.computed;
            match self.poll(cx) {
                Poll::Ready(output) => Poll::Ready(Some(output)),
                Poll::Pending if self.computed - before >= COMPUTING => Poll::Ready(None),
                Poll::Pending => Poll::Pending,
            }
        })
        .await
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<F::Output> {
        if !self.is_measured {
            let started = Instant::now();
            let polled = self.work.as_mut().poll(cx);
            self.is_measured = started.elapsed() >= COMPUTING;
            return polled;
        }
        let started = thread_time();
        let polled = self.work.as_mut().poll(cx);
        self.computed += thread_time().saturating_sub(started);
        polled
    }
}

/// What this thread has computed: on a busy machine the clock on the wall runs while others do.
fn thread_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::try_from(time).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Computes for so many turns, and tells on which thread the last one was.
    async fn compute(turns: u32) -> Result<String, String> {
        for _ in 0..turns {
            let end = thread_time() + LONG / 2;
            while thread_time() < end {}
            yield_now().await;
        }
        let name = std::thread::current().name().map(str::to_owned);
        let name = name.unwrap_or_default();
        match turns {
            1 => Err(name),
            _ => Ok(name),
        }
    }

    #[test]
    fn who_computes_for_long_goes_on_elsewhere_and_comes_back() {
        let runtime = |name: &str| {
            let mut builder = tokio::runtime::Builder::new_multi_thread();
            builder.worker_threads(1).thread_name(name).enable_all();
            builder.build().expect("a runtime")
        };
        let (usual, patient) = (runtime("usual"), runtime("patient"));
        let patience = Patience::new(patient.handle().clone(), Requests::default());
        let patience = Arc::new(patience);
        let on = |turns| {
            let patience = Arc::clone(&patience);
            let running = async move { patience.run(Box::pin(compute(turns))).await };
            let task = TaskTracker::new().spawn_on(running, usual.handle());
            usual.block_on(task).expect("no panic")
        };
        let name = |name: &str| name.to_owned();
        assert_eq!(on(0), Ok(name("usual")));
        assert_eq!(on(5), Ok(name("patient")));
        // The next one begins where the last one ended, and shows whether it is better. One that comes to
        // no end shows nothing.
        assert_eq!(on(1), Err(name("patient")));
        assert_eq!(on(0), Ok(name("patient")));
        assert_eq!(on(0), Ok(name("usual")));
    }
}
