//! The one wasmtime `Engine`: its settings, and the ticker that bounds how long a guest computes
//! before others get a turn.

use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;

use rayon::{ThreadPool, ThreadPoolBuilder};
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tracing::info;
use wasmtime::component::Component;
use wasmtime::{Config, Enabled, Engine, InstanceAllocationStrategy, PoolingAllocationConfig};

use super::patience::{COMPILING, Patience, Requests, lower_priority};
use crate::capability::limits::{MAX_TABLE_ELEMENTS, STACK_BYTES};
use crate::outbound::MAX_DEPTH;

/// How often computing guests are interrupted. A guest past its time ends at the next tick.
const TICK: Duration = Duration::from_millis(10);
/// Core instances, memories and tables that a large component holds: one of Python has up to 38
/// core instances, 3 memories and 7 tables.
const CORE_INSTANCES_PER_COMPONENT: u32 = 40;
const MEMORIES_PER_COMPONENT: u32 = 4;
const TABLES_PER_COMPONENT: u32 = 16;
/// Instances of all plugins together. Each reserves address space, 16 GiB of the 128 TiB that a
/// process has, and takes memory only while it runs, but for what is kept for the next one.
const MAX_INSTANCES: u32 = 1400;
/// Of these, how many are kept for each depth of a chain of plugins: one that waits for another keeps
/// its instance, and without these all could wait for instances that nobody has.
const INSTANCES_PER_DEPTH: u32 = 100;
/// Of those of one depth, what one plugin may have: the others have chains as well.
pub const INSTANCES_OF_ONE_PLUGIN_PER_DEPTH: u16 = 25;
/// Instances besides these that have answered and wait for another request.
const MAX_IDLE_INSTANCES: u32 = 500;
const POOLED_INSTANCES: u32 = MAX_INSTANCES + MAX_IDLE_INSTANCES;
/// What stays of a memory and of a table for the next instance, in bytes, once what was written is set back.
/// Setting a page back costs less than a fault for a new one, but only where the kernel tells which were
/// written (Linux 6.7), as a guest writes few of them.
const KEPT_OF_A_MEMORY: usize = 256 * 1024;
const KEPT_OF_A_TABLE: usize = 16 * 1024;
/// What a guest's thread has beyond what guests may use of it: for the host's own functions.
const HOST_STACK_BYTES: usize = 1536 * 1024;

/// Room for one instance.
pub type Room = OwnedSemaphorePermit;

/// The engine, and its ticker for as long as it exists.
pub struct PluginEngine {
    engine: Engine,
    /// By the depth of the chain that an instance is for.
    rooms: Vec<Arc<Semaphore>>,
    idle_rooms: Arc<Semaphore>,
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
        pool.total_component_instances(POOLED_INSTANCES)
            .total_core_instances(POOLED_INSTANCES * CORE_INSTANCES_PER_COMPONENT)
            .total_memories(POOLED_INSTANCES * MEMORIES_PER_COMPONENT)
            .total_tables(POOLED_INSTANCES * TABLES_PER_COMPONENT)
            .total_stacks(POOLED_INSTANCES)
            // Without these one component could take what is there for all.
            .max_core_instances_per_component(CORE_INSTANCES_PER_COMPONENT)
            .max_memories_per_component(MEMORIES_PER_COMPONENT)
            .max_tables_per_component(TABLES_PER_COMPONENT)
            .table_elements(MAX_TABLE_ELEMENTS);
        if PoolingAllocationConfig::is_pagemap_scan_available() {
            pool.pagemap_scan(Enabled::Yes)
                .linear_memory_keep_resident(KEPT_OF_A_MEMORY)
                .table_keep_resident(KEPT_OF_A_TABLE);
        }
        let mut config = Config::new();
        configure(&mut config);
        config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool));
        let engine = Engine::new(&config)?;
        info!(
            "Room for {MAX_INSTANCES} instances that answer and {MAX_IDLE_INSTANCES} that wait, of up to \
             {CORE_INSTANCES_PER_COMPONENT} core instances, {MEMORIES_PER_COMPONENT} memories and \
             {TABLES_PER_COMPONENT} tables each"
        );
        let ticker = Ticker::start(engine.clone())?;
        Ok(Self {
            engine,
            rooms: rooms_by_depth(),
            idle_rooms: Arc::new(Semaphore::new(MAX_IDLE_INSTANCES as usize)),
            patient,
            requests: Requests::default(),
            compilers: ThreadPoolBuilder::new()
                .thread_name(|_| "compiler".to_owned())
                .start_handler(|_| lower_priority(COMPILING))
                .build()?,
            _ticker: ticker,
        })
    }

    /// Waits until there is room for one more instance, `depth` plugins down a chain. Only with it
    /// may one run.
    pub async fn room(&self, depth: u32) -> Room {
        let room = self.rooms_at(depth).acquire_owned().await;
        room.expect("the engine's semaphores are never closed")
    }

    /// The same, if there is room now.
    pub fn free_room(&self, depth: u32) -> Option<Room> {
        self.rooms_at(depth).try_acquire_owned().ok()
    }

    /// Room for an instance that waits for a request, if there is any.
    pub fn idle_room(&self) -> Option<Room> {
        Arc::clone(&self.idle_rooms).try_acquire_owned().ok()
    }

    fn rooms_at(&self, depth: u32) -> Arc<Semaphore> {
        Arc::clone(&self.rooms[depth.min(MAX_DEPTH) as usize])
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

fn rooms_by_depth() -> Vec<Arc<Semaphore>> {
    let deeper = std::iter::repeat_n(INSTANCES_PER_DEPTH, MAX_DEPTH as usize);
    let first = MAX_INSTANCES - MAX_DEPTH * INSTANCES_PER_DEPTH;
    let counts = std::iter::once(first).chain(deeper);
    let rooms = |count| Arc::new(Semaphore::new(count as usize));
    counts.map(rooms).collect()
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
