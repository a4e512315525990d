//! The one wasmtime `Engine`: its settings, and the ticker that bounds how long a guest computes
//! before others get a turn.

use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;

use wasmtime::{Config, Engine, InstanceAllocationStrategy, PoolingAllocationConfig};

/// How often computing guests are interrupted: a time limit is kept to this precision.
const TICK: Duration = Duration::from_millis(10);
/// Core instances, memories and tables that a large component holds: one of Python has up to 38
/// core instances, 3 memories and 7 tables.
const CORE_INSTANCES_PER_COMPONENT: u32 = 40;
const MEMORIES_PER_COMPONENT: u32 = 4;
const TABLES_PER_COMPONENT: u32 = 16;
/// Instances besides those that answer requests: for `targets` of plugins being loaded.
const SPARE_INSTANCES: u32 = 4;
const MAX_TABLE_ELEMENTS: usize = 20_000;

/// The engine, and its ticker for as long as it exists.
pub struct PluginEngine {
    engine: Engine,
    _ticker: Ticker,
}

impl PluginEngine {
    /// An engine for `concurrency` requests at the same time. Fails where the machine does not
    /// give the address space.
    pub fn new(concurrency: usize) -> wasmtime::Result<Self> {
        let instances = u32::try_from(concurrency)?.saturating_add(SPARE_INSTANCES);
        let mut pool = PoolingAllocationConfig::new();
        pool.total_component_instances(instances)
            .total_core_instances(instances.saturating_mul(CORE_INSTANCES_PER_COMPONENT))
            .total_memories(instances.saturating_mul(MEMORIES_PER_COMPONENT))
            .total_tables(instances.saturating_mul(TABLES_PER_COMPONENT))
            .total_stacks(instances)
            .table_elements(MAX_TABLE_ELEMENTS);
        let mut config = Config::new();
        config
            .allocation_strategy(InstanceAllocationStrategy::Pooling(pool))
            .epoch_interruption(true);
        let engine = Engine::new(&config)?;
        let ticker = Ticker::start(engine.clone())?;
        Ok(Self {
            engine,
            _ticker: ticker,
        })
    }

    pub fn engine(&self) -> &Engine {
        &self.engine
    }
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
