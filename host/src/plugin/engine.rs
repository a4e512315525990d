//! The one wasmtime `Engine`: its settings, and the ticker that bounds how long a guest computes
//! before others get a turn.

use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;

use rayon::{ThreadPool, ThreadPoolBuilder};
use tokio::runtime::Handle;
use tracing::info;
use wasmtime::component::Component;
use wasmtime::{Config, Enabled, Engine, InstanceAllocationStrategy, PoolingAllocationConfig};

use super::patience::{Patience, Requests};
use super::room::Rooms;
use crate::capability::limits::{MAX_TABLE_ELEMENTS, STACK_BYTES};
use crate::scheduling::{COMPILING, lower_priority};

/// How often computing guests are interrupted. A guest past its time ends at the next tick.
const TICK: Duration = Duration::from_millis(10);
/// What stays of a memory and of a table for the next instance, in bytes, once what was written is set back.
/// Setting a page back costs less than a fault for a new one, but only where the kernel tells which were
/// written (Linux 6.7), as a guest writes few of them.
const KEPT_OF_A_MEMORY: usize = 256 * 1024;
const KEPT_OF_A_TABLE: usize = 16 * 1024;
/// What a guest's thread has beyond what guests may use of it: for the host's own functions.
const HOST_STACK_BYTES: usize = 1536 * 1024;

/// The engine, and its ticker for as long as it exists.
pub struct PluginEngine {
    engine: Engine,
    rooms: Rooms,
    /// Where guests go on that compute for long.
    patient: Handle,
    requests: Requests,
    /// Compiles, with low priority: what serves has the first claim.
    compilers: ThreadPool,
    _ticker: Ticker,
}

impl PluginEngine {
    /// Guests that compute for long go on on the threads of `patient`. Fails where the machine does not
    /// give the address space.
    pub fn new(patient: Handle) -> wasmtime::Result<Self> {
        let mut pool = PoolingAllocationConfig::new();
        Rooms::size(&mut pool);
        pool.table_elements(MAX_TABLE_ELEMENTS);
        if PoolingAllocationConfig::is_pagemap_scan_available() {
            pool.pagemap_scan(Enabled::Yes)
                .linear_memory_keep_resident(KEPT_OF_A_MEMORY)
                .table_keep_resident(KEPT_OF_A_TABLE);
        }
        let mut config = Config::new();
        configure(&mut config);
        config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool));
        let engine = Engine::new(&config)?;
        let rooms = Rooms::default();
        info!("{rooms}");
        let ticker = Ticker::start(engine.clone())?;
        Ok(Self {
            engine,
            rooms,
            patient,
            requests: Requests::default(),
            compilers: ThreadPoolBuilder::new()
                .thread_name(|_| "compiler".to_owned())
                .start_handler(|_| lower_priority(COMPILING))
                .build()?,
            _ticker: ticker,
        })
    }

    pub fn rooms(&self) -> &Rooms {
        &self.rooms
    }

    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// For the guests of one plugin.
    pub fn patience(&self) -> Patience {
        Patience::new(self.patient.clone(), Arc::clone(&self.requests))
    }

    /// Takes from milliseconds to many seconds.
    pub fn compile(&self, component: &[u8]) -> wasmtime::Result<Component> {
        let compiling = || Component::new(&self.engine, component);
        self.compilers.install(compiling)
    }
}

/// What compiled code depends on.
pub fn configure(config: &mut Config) {
    config
        .epoch_interruption(true)
        .max_wasm_stack(STACK_BYTES)
        .async_stack_size(STACK_BYTES + HOST_STACK_BYTES);
}

/// Advances the engine's epoch from a thread of its own, until it is dropped.
struct Ticker {
    _stop: mpsc::Sender<()>,
}

impl Ticker {
    fn start(engine: Engine) -> std::io::Result<Self> {
        let (stop, stopped) = mpsc::channel();
        std::thread::Builder::new()
            .name("epoch-ticker".to_owned())
            .spawn(move || {
                while let Err(RecvTimeoutError::Timeout) = stopped.recv_timeout(TICK) {
                    engine.increment_epoch();
                }
            })?;
        Ok(Self { _stop: stop })
    }
}
