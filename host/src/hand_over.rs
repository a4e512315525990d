//! Futures that begin on one thread and go on on another.
//!
//! A task that is spawned elsewhere wakes a thread before it has begun, and if all that it does then is to ask
//! somebody for something, the thread is woken twice for each time that it is needed. Such a future begins at
//! once, on the thread that has it, and whoever wakes it first spawns it where it goes on.

use std::cell::Cell;
use std::mem;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

use futures_util::future::{Either, Ready, ready};
use tokio::runtime::Handle;

/// Polls `future` once, here, but as a part of the runtime `there`: timers and sockets that it makes are that
/// one's. If it is not done, it goes on in a task there when it is woken, which has to happen in the end: nobody
/// else has it. Whoever tracks tasks tracks what the future has.
pub fn begin<F>(future: F, there: &Handle)
where
    F: Future<Output = ()> + Send + Unpin + 'static,
{
    let spawning = there.clone();
    relay(future, there, move |begun| {
        if !begun.is_done() {
            #[expect(
                clippy::disallowed_methods,
                reason = "its caller knows who waits for it"
            )]
            drop(spawning.spawn(begun));
        }
    });
}

/// The same with what gives something, which `then` goes on with in the task there; so there is one in any case.
pub fn begin_then<F, T>(
    first: F,
    there: &Handle,
    then: impl FnOnce(F::Output) -> T + Send + 'static,
) where
    F: Future + Send + Unpin + 'static,
    F::Output: Send,
    T: Future<Output = ()> + Send + 'static,
{
    let spawning = there.clone();
    relay(first, there, move |begun| {
        #[expect(
            clippy::disallowed_methods,
            reason = "its caller knows who waits for it"
        )]
        // In a box, as a task moves what it runs several times.
        drop(spawning.spawn(Box::pin(async move { then(begun.await).await })));
    });
}

thread_local! {
    static LEAVES: Cell<bool> = const { Cell::new(false) };
}

/// On this thread nothing begins any more, but is left to the others at once: it may have to wait for its turn
/// while it holds a lock that they need.
pub fn leave_to_others() {
    LEAVES.set(true);
}

fn relay<F>(mut first: F, there: &Handle, go_on: impl FnOnce(Begun<F>) + Send + 'static)
where
    F: Future + Send + Unpin + 'static,
    F::Output: Send,
{
    if LEAVES.get() {
        return go_on(Begun::new(Either::Left(first)));
    }
    let _there = there.enter();
    let relay = Arc::new(Relay(Mutex::new(State::Beginning)));
    let waker = Waker::from(Arc::clone(&relay));
    let polled = Pin::new(&mut first).poll(&mut Context::from_waker(&waker));
    let begun = match polled {
        Poll::Ready(output) => Begun::new(Either::Right(ready(output))),
        Poll::Pending => {
            let begun = Begun::new(Either::Left(first));
            let mut state = relay.state();
            if matches!(*state, State::Beginning) {
                *state = State::Waiting(begun, go_on);
                return;
            }
            begun
        }
    };
    go_on(begun);
}

/// A future that was begun, or what it gave.
///
/// Where it is never polled again, as its runtime was shut down, it is not dropped either: who wakes it may hold
/// the lock that it takes when it is dropped.
struct Begun<F: Future> {
    future: Option<Either<F, Ready<F::Output>>>,
    goes_on: bool,
}

impl<F: Future> Begun<F> {
    fn new(future: Either<F, Ready<F::Output>>) -> Self {
        Self {
            future: Some(future),
            goes_on: false,
        }
    }

    fn is_done(&self) -> bool {
        matches!(self.future, Some(Either::Right(_)))
    }
}

impl<F: Future + Unpin> Future for Begun<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        self.goes_on = true;
        match &mut self.future {
            Some(future) => Pin::new(future).poll(context),
            None => Poll::Pending,
        }
    }
}

impl<F: Future> Drop for Begun<F> {
    fn drop(&mut self) {
        if !self.goes_on {
            mem::forget(self.future.take());
        }
    }
}

/// What wakes a future that was begun.
struct Relay<F: Future, G>(Mutex<State<F, G>>);

enum State<F: Future, G> {
    Beginning,
    Waiting(Begun<F>, G),
    Woken,
}

impl<F: Future, G> Relay<F, G> {
    fn state(&self) -> MutexGuard<'_, State<F, G>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<F, G> Wake for Relay<F, G>
where
    F: Future + Send + Unpin + 'static,
    F::Output: Send,
    G: FnOnce(Begun<F>) + Send + 'static,
{
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        let before = mem::replace(&mut *self.state(), State::Woken);
        if let State::Waiting(begun, go_on) = before {
            go_on(begun);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::sync::mpsc;
    use std::thread;

    use tokio::runtime::{Builder, Runtime};
    use tokio::sync::oneshot;

    use super::*;

    fn runtime() -> Runtime {
        let mut builder = Builder::new_multi_thread();
        builder.worker_threads(1).thread_name("there");
        builder.build().expect("a runtime")
    }

    fn here() -> Option<String> {
        thread::current().name().map(str::to_owned)
    }

    /// Notes on which threads it is polled, until something comes.
    fn noting(
        mut coming: oneshot::Receiver<()>,
        notes: mpsc::Sender<Option<String>>,
    ) -> impl Future<Output = ()> + Send + Unpin {
        Box::pin(poll_fn(move |context| {
            notes.send(here()).expect("it is read");
            Pin::new(&mut coming).poll(context).map(drop)
        }))
    }

    #[test]
    fn it_begins_here_and_goes_on_there() {
        let (runtime, (notes, polled)) = (runtime(), mpsc::channel());
        let (come, coming) = oneshot::channel();
        let last = notes.clone();
        begin_then(noting(coming, notes), runtime.handle(), async move |()| {
            last.send(here()).expect("it is read");
        });
        assert_eq!(polled.recv(), Ok(here()));
        assert!(polled.try_recv().is_err(), "nobody woke it yet");
        let waking = thread::spawn(move || come.send(()));
        waking.join().expect("no panic").expect("it waits");
        let there = Some("there".to_owned());
        assert_eq!(polled.iter().collect::<Vec<_>>(), [there.clone(), there]);
    }

    #[test]
    fn what_is_done_at_once_is_followed_there() {
        let (runtime, (sender, followed)) = (runtime(), mpsc::channel());
        begin_then(ready(5), runtime.handle(), async move |number| {
            sender.send((number, here())).expect("it is read");
        });
        assert_eq!(followed.recv(), Ok((5, Some("there".to_owned()))));
    }

    #[test]
    fn a_thread_that_leaves_all_to_others_begins_nothing() {
        let (runtime, (notes, polled)) = (runtime(), mpsc::channel());
        let (come, coming) = oneshot::channel();
        let handle = runtime.handle().clone();
        let leaving = thread::spawn(move || {
            leave_to_others();
            begin(noting(coming, notes), &handle);
        });
        leaving.join().expect("no panic");
        come.send(()).expect("it waits");
        assert!(
            polled
                .iter()
                .all(|thread| thread.as_deref() == Some("there"))
        );
    }

    #[test]
    fn what_is_woken_while_it_begins_goes_on_at_once() {
        let (runtime, (sender, followed)) = (runtime(), mpsc::channel());
        let mut polls = 0;
        let twice = poll_fn(move |context| {
            polls += 1;
            context.waker().wake_by_ref();
            match polls {
                1 => Poll::Pending,
                _ => Poll::Ready(here()),
            }
        });
        begin_then(twice, runtime.handle(), async move |thread| {
            sender.send(thread).expect("it is read");
        });
        assert_eq!(followed.recv(), Ok(Some("there".to_owned())));
    }

    #[test]
    fn whoever_wakes_it_may_hold_a_lock_that_it_takes_when_it_is_dropped() {
        /// Needs the lock for its end.
        struct Locking(Arc<Mutex<Option<Waker>>>);

        impl Drop for Locking {
            fn drop(&mut self) {
                drop(self.0.lock());
            }
        }

        let runtime = runtime();
        let waiting = Arc::<Mutex<Option<Waker>>>::default();
        let locking = Locking(Arc::clone(&waiting));
        let first = poll_fn(move |context| {
            let waker = context.waker().clone();
            *locking.0.lock().expect("no panic") = Some(waker);
            Poll::<()>::Pending
        });
        begin_then(first, runtime.handle(), |()| ready(()));
        runtime.shutdown_background();
        let waiting = waiting.lock().expect("no panic");
        waiting.as_ref().expect("it was polled").wake_by_ref();
    }
}
