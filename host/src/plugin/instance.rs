//! One store and one instance for one use: made, run within its limits, and dropped.
//!
//! Whatever happens, the store goes with the future that runs it, so nothing of one request is
//! left for the next.

use std::time::{Duration, Instant};

use tokio::time::error::Elapsed;
use tokio::time::timeout;
use wasmtime::{Engine, Store, Trap, UpdateDeadline};

use crate::bindings::EndpointPre;
use crate::bindings::endpointd::rpc::types;
use crate::capability::HostState;

/// Why a guest did not come to an answer.
#[derive(Debug, thiserror::Error)]
pub enum GuestError {
    #[error("it ran longer than its limit of {} ms", .0.as_millis())]
    TimedOut(Duration),
    #[error("it needed more than its limit of {} MiB of memory", .0 / (1024 * 1024))]
    OutOfMemory(usize),
    #[error("it trapped: {0}")]
    Trapped(String),
}

/// Asks a guest what it serves.
pub async fn targets(
    pre: &EndpointPre<HostState>,
    state: HostState,
    limit: Duration,
) -> Result<Vec<types::Target>, GuestError> {
    let mut store = new_store(pre.engine(), state, limit);
    let running = async {
        let endpoint = pre.instantiate_async(&mut store).await?;
        endpoint.call_targets(&mut store).await
    };
    let outcome = timeout(limit, running).await;
    verdict(outcome, &store, limit)
}

/// Has a guest answer one request.
pub async fn dispatch(
    pre: &EndpointPre<HostState>,
    state: HostState,
    limit: Duration,
    request: &types::Request,
) -> Result<Result<String, types::Failure>, GuestError> {
    let mut store = new_store(pre.engine(), state, limit);
    let running = async {
        let endpoint = pre.instantiate_async(&mut store).await?;
        endpoint.call_dispatch(&mut store, request).await
    };
    let outcome = timeout(limit, running).await;
    verdict(outcome, &store, limit)
}

fn new_store(engine: &Engine, state: HostState, limit: Duration) -> Store<HostState> {
    let mut store = Store::new(engine, state);
    store.limiter(|state| &mut state.limits);
    // A computing guest gives way at every tick. It also looks at the clock itself, because while
    // guests keep every worker busy, timers are looked at late.
    let deadline = Instant::now() + limit;
    store.set_epoch_deadline(1);
    store.epoch_deadline_callback(move |_| match Instant::now() < deadline {
        true => Ok(UpdateDeadline::Yield(1)),
        false => Err(Trap::Interrupt.into()),
    });
    store
}

fn verdict<T>(
    outcome: Result<wasmtime::Result<T>, Elapsed>,
    store: &Store<HostState>,
    limit: Duration,
) -> Result<T, GuestError> {
    let memory = &store.data().limits;
    match outcome {
        Ok(Ok(value)) => Ok(value),
        Err(_) => Err(GuestError::TimedOut(limit)),
        Ok(Err(error)) if error.downcast_ref() == Some(&Trap::Interrupt) => {
            Err(GuestError::TimedOut(limit))
        }
        Ok(Err(_)) if memory.exceeded => Err(GuestError::OutOfMemory(memory.bytes)),
        Ok(Err(error)) => Err(GuestError::Trapped(reason(&error))),
    }
}

/// The trap in a few words; the guest's own backtrace is for its author, in the debug log.
fn reason(error: &wasmtime::Error) -> String {
    tracing::debug!("Backtrace of a trap: {error:?}");
    match error.downcast_ref::<Trap>() {
        Some(trap) => trap.to_string(),
        None => error.root_cause().to_string(),
    }
}
