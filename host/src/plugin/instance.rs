//! One instance: a store of its own, in which it answers one request at a time within its limits.
//!
//! It is handed back only after a normal return. Whatever else happens, the store goes with the
//! future that runs it.

use std::time::{Duration, Instant};

use tracing::debug;
use wasmtime::component::ResourceTableError;
use wasmtime::{Engine, Store, Trap, UpdateDeadline, WasmBacktrace};

use super::tally::Live;
use crate::bindings::endpointd::rpc::types;
use crate::bindings::{Endpoint, EndpointPre};
use crate::capability::HostState;
use crate::capability::allowance::Denied;
use crate::capability::limits::{Exceeded, Limit};
use crate::deadline::{self, Elapsed};

/// Why a guest did not come to an answer.
#[derive(Debug, thiserror::Error)]
pub enum GuestError {
    #[error("it ran longer than its limit of {} ms (timeout_ms)", .0.as_millis())]
    TimedOut(Duration),
    #[error("{0}")]
    Exceeded(Exceeded),
    #[error("{0}")]
    Denied(Denied),
    #[error("a folder that it was granted cannot be opened now; the host's log says which")]
    Unavailable,
    #[error("it trapped: {0}")]
    Trapped(String),
}

/// What a guest answers a request with.
pub type Answer = Result<String, types::Failure>;

/// Where the instance for a request comes from.
pub enum Prepared {
    New(NewInstance),
    /// Its state was begun anew.
    Again(Instance),
}

impl Prepared {
    /// The instance, by the end of the `limit` that its state was made or begun with.
    pub async fn instance(self, limit: Duration) -> Result<Instance, GuestError> {
        match self {
            // In a box, or this future would be as large when it only hands on an instance that is there.
            Self::New(new) => Box::pin(new.instance(limit)).await,
            Self::Again(instance) => Ok(instance),
        }
    }
}

/// An instance that is not made yet: so far there is its store.
pub struct NewInstance {
    store: Store<HostState>,
    pre: EndpointPre<HostState>,
    live: Live,
}

impl NewInstance {
    /// Its instance counts as `live` until it is dropped.
    pub fn new(pre: EndpointPre<HostState>, state: HostState, live: Live) -> Self {
        Self {
            store: new_store(pre.engine(), state),
            pre,
            live,
        }
    }

    /// The instance, by the end of the `limit` that its state was made with.
    pub async fn instance(self, limit: Duration) -> Result<Instance, GuestError> {
        let Self {
            mut store,
            pre,
            live,
        } = self;
        let making = async |store: &mut Store<HostState>| pre.instantiate_async(store).await;
        let endpoint = within(limit, &mut store, making).await?;
        Ok(Instance {
            store,
            endpoint,
            born: Instant::now(),
            calls: 0,
            _live: live,
        })
    }
}

/// An instance that runs nothing at the moment.
pub struct Instance {
    store: Store<HostState>,
    endpoint: Endpoint,
    pub born: Instant,
    /// Requests that it has answered.
    pub calls: u32,
    _live: Live,
}

impl Instance {
    /// What the guest serves. The instance is good for nothing else.
    pub async fn targets(mut self, limit: Duration) -> Result<Vec<types::Target>, GuestError> {
        let endpoint = &self.endpoint;
        let asking = async |store: &mut Store<HostState>| endpoint.call_targets(store).await;
        within(limit, &mut self.store, asking).await
    }

    /// Has the guest answer the request that `state` was begun with. The instance comes back with the
    /// answer, and is gone with every error.
    pub async fn dispatch(
        mut self,
        limit: Duration,
        request: &types::Request,
    ) -> Result<(Answer, Self), GuestError> {
        let endpoint = &self.endpoint;
        let asking =
            async |store: &mut Store<HostState>| endpoint.call_dispatch(store, request).await;
        let answer = within(limit, &mut self.store, asking).await?;
        self.store.data_mut().end();
        self.calls += 1;
        Ok((answer, self))
    }

    pub fn state(&mut self) -> &mut HostState {
        self.store.data_mut()
    }

    /// Of all its linear memories together.
    pub fn memory_bytes(&self) -> usize {
        self.store.data().limits.memory_used()
    }
}

fn new_store(engine: &Engine, state: HostState) -> Store<HostState> {
    let copied_bytes = state.allowance().limits.copied_bytes();
    let mut store = Store::new(engine, state);
    store.limiter(|state| &mut state.limits);
    store.set_hostcall_fuel(copied_bytes);
    // A computing guest gives way at every tick. It also looks at the clock itself, because while
    // guests keep every worker busy, timers are looked at late.
    store.epoch_deadline_callback(
        |store| match Instant::now() < store.data().call.runs_until {
            true => Ok(UpdateDeadline::Yield(1)),
            false => Err(Trap::Interrupt.into()),
        },
    );
    store
}

/// Runs a guest until the state's `runs_until`, which is `limit` after its start.
async fn within<T>(
    limit: Duration,
    store: &mut Store<HostState>,
    running: impl AsyncFnOnce(&mut Store<HostState>) -> wasmtime::Result<T>,
) -> Result<T, GuestError> {
    store.set_epoch_deadline(1);
    let until = store.data().call.runs_until;
    let error = match deadline::by(until, running(store)).await {
        Ok(Ok(value)) => return Ok(value),
        Ok(Err(error)) => error,
        Err(Elapsed) => return Err(GuestError::TimedOut(limit)),
    };
    let state = store.data_mut();
    if error.downcast_ref() == Some(&Trap::Interrupt) {
        return Err(GuestError::TimedOut(limit));
    }
    if let Some(denied) = error.downcast_ref::<Denied>() {
        return Err(GuestError::Denied(*denied));
    }
    if let Some(exceeded) = error.downcast_ref::<Exceeded>() {
        return Err(GuestError::Exceeded(exceeded.clone()));
    }
    match limit_of(&error).or(state.limits.take_exceeded()) {
        Some(limit) => Err(GuestError::Exceeded(
            state.allowance().limits.exceeded(limit),
        )),
        None => Err(GuestError::Trapped(reason(&error))),
    }
}

/// The limit that an error of the engine stands for.
fn limit_of(error: &wasmtime::Error) -> Option<Limit> {
    if error.downcast_ref() == Some(&Trap::StackOverflow) {
        return Some(Limit::Stack);
    }
    if matches!(error.downcast_ref(), Some(ResourceTableError::Full)) {
        return Some(Limit::Handles);
    }
    // The engine's error for that has no public type.
    if error.root_cause().to_string().contains(COPIED_TOO_MUCH) {
        // What a guest returns is copied when none of its code is running.
        return Some(match error.downcast_ref::<WasmBacktrace>() {
            Some(_) => Limit::HostCall,
            None => Limit::Reply,
        });
    }
    None
}

/// Part of what wasmtime says where a guest hands over more than `Store::set_hostcall_fuel` allows.
const COPIED_TOO_MUCH: &str = "fuel allocated for hostcalls has been exhausted";

/// The trap in a few words; the guest's own backtrace is for its author, in the debug log.
fn reason(error: &wasmtime::Error) -> String {
    // Escaped, as the guest chose the names in it.
    let backtrace = format!("{error:?}");
    debug!("Backtrace of a trap: {}", backtrace.escape_debug());
    match error.downcast_ref::<Trap>() {
        Some(trap) => trap.to_string(),
        None => error.root_cause().to_string(),
    }
}
