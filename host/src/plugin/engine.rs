//! The one wasmtime `Engine`: its settings, and the ticker that bounds how long a guest computes
//! before others get a turn.

use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;

use tokio::sync::{Semaphore, SemaphorePermit};
use wasmtime::{Config, Engine, InstanceAllocationStrategy, PoolingAllocationConfig};

use crate::outbound::MAX_DEPTH;

/// How often computing guests are interrupted. A guest past its time ends at the next tick.
const TICK: Duration = Duration::from_millis(10);
/// Core instances, memories and tables that a large component holds: one of Python has up to 38
/// core instances, 3 memories and 7 tables.
const CORE_INSTANCES_PER_COMPONENT: u32 = 40;
const MEMORIES_PER_COMPONENT: u32 = 4;
const TABLES_PER_COMPONENT: u32 = 16;
/// Instances of all plugins together. Each reserves address space, 16 GiB of the 128 TiB that a
/// process has, and takes memory only while it runs.
const MAX_INSTANCES: u32 = 1000;
/// Of these, how many are kept for each depth of a chain of plugins: one that waits for another keeps
/// its instance, and without these all could wait for instances that nobody has.
const INSTANCES_PER_DEPTH: u32 = 50;
const MAX_TABLE_ELEMENTS: usize = 20_000;

/// The engine, and its ticker for as long as it exists.
pub struct PluginEngine {
    engine: Engine,
    /// By the depth of the chain that an instance is for.
    places: Vec<Semaphore>,
    _ticker: Ticker,
}

impl PluginEngine {
    /// Fails where the machine does not give the address space.
    pub fn new() -> wasmtime::Result<Self> {
        let mut pool = PoolingAllocationConfig::new();
        pool.total_component_instances(MAX_INSTANCES)
            .total_core_instances(MAX_INSTANCES * CORE_INSTANCES_PER_COMPONENT)
            .total_memories(MAX_INSTANCES * MEMORIES_PER_COMPONENT)
            .total_tables(MAX_INSTANCES * TABLES_PER_COMPONENT)
            .total_stacks(MAX_INSTANCES)
            // Without these one component could take what is there for all.
            .max_core_instances_per_component(CORE_INSTANCES_PER_COMPONENT)
            .max_memories_per_component(MEMORIES_PER_COMPONENT)
            .max_tables_per_component(TABLES_PER_COMPONENT)
            .table_elements(MAX_TABLE_ELEMENTS);
        let mut config = Config::new();
        config
            .allocation_strategy(InstanceAllocationStrategy::Pooling(pool))
            .epoch_interruption(true);
        let engine = Engine::new(&config)?;
        let ticker = Ticker::start(engine.clone())?;
        Ok(Self {
            engine,
            places: places_by_depth(),
            _ticker: ticker,
        })
    }

    /// Waits until there is room for one more instance, `depth` plugins down a chain. Only with it
    /// may one be made.
    pub async fn place(&self, depth: u32) -> SemaphorePermit<'_> {
        let place = self.places_at(depth).acquire().await;
        place.expect("the engine's semaphores are never closed")
    }

    /// The same, if there is room now.
    pub fn free_place(&self, depth: u32) -> Option<SemaphorePermit<'_>> {
        self.places_at(depth).try_acquire().ok()
    }

    fn places_at(&self, depth: u32) -> &Semaphore {
        &self.places[depth.min(MAX_DEPTH) as usize]
    }

    pub fn engine(&self) -> &Engine {
        &self.engine
    }
}

fn places_by_depth() -> Vec<Semaphore> {
    let deeper = std::iter::repeat_n(INSTANCES_PER_DEPTH, MAX_DEPTH as usize);
    let first = MAX_INSTANCES - MAX_DEPTH * INSTANCES_PER_DEPTH;
    let counts = std::iter::once(first).chain(deeper);
    counts.map(|count| Semaphore::new(count as usize)).collect()
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
