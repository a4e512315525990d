//! Room for instances in the engine's pool, in shares of what one component needs: of a small one many
//! more fit at once than of one with a language's runtime in it.
//!
//! The pool is made once, before any plugin is there, and plugins come and go; so what is fixed is the
//! pool, and how many instances fit into it follows from those that are loaded.

use std::fmt;
use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use wasmtime::PoolingAllocationConfig;
use wasmtime::component::Component;

use crate::outbound::MAX_DEPTH;

/// Shares of the pool. Each is one memory and four tables. A memory reserves 4 GiB of the 128 TiB of
/// addresses that a process has, and takes real memory only while it is used, but for what is kept for
/// the next one.
const SHARES: u32 = SHARES_THAT_ANSWER + SHARES_THAT_WAIT;
/// For instances that answer a request, also while they wait for others.
const SHARES_THAT_ANSWER: u32 = 5600;
/// For instances besides these that have answered and wait for another request.
const SHARES_THAT_WAIT: u32 = 2000;
const TABLES_OF_A_SHARE: u32 = 4;
/// Of those that answer, how many are kept for each depth of a chain of plugins: one that waits for another
/// keeps its instance, and without these all could wait for instances that nobody has.
const SHARES_PER_DEPTH: u32 = 400;
/// Of those of one depth, what one plugin may have: the others have chains as well.
const SHARES_OF_ONE_PLUGIN_PER_DEPTH: u32 = SHARES_PER_DEPTH / 4;
/// For those that are called by no plugin.
const SHARES_OF_THE_FIRST: u32 = SHARES_THAT_ANSWER - MAX_DEPTH * SHARES_PER_DEPTH;
/// What one component may take: without that one could take what is there for all. One of Python has up to
/// 38 core instances, 3 memories and 7 tables.
const MAX_SHARES: u32 = 12;
const MAX_CORE_INSTANCES: u32 = 120;

/// Room for one instance. It is free again when this is dropped.
pub type Room = OwnedSemaphorePermit;

/// What an instance of one component takes of the pool.
#[derive(Clone, Copy, Debug)]
pub struct Share {
    shares: u32,
    memories: u32,
    tables: u32,
}

impl Share {
    pub fn of(component: &Component) -> Self {
        match component.resources_required() {
            Some(needs) => Self::with(needs.num_memories, needs.num_tables),
            // It brings modules that are known only when it is instantiated.
            None => Self::with(MAX_SHARES, MAX_SHARES * TABLES_OF_A_SHARE),
        }
    }

    fn with(memories: u32, tables: u32) -> Self {
        let shares = memories.max(tables.div_ceil(TABLES_OF_A_SHARE));
        Self {
            shares: shares.clamp(1, MAX_SHARES),
            memories,
            tables,
        }
    }

    /// How many instances fit at once, `depth` plugins down a chain.
    pub fn fitting(self, depth: u32) -> u32 {
        match depth {
            0 => SHARES_OF_THE_FIRST / self.shares,
            _ => SHARES_OF_ONE_PLUGIN_PER_DEPTH / self.shares,
        }
    }
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let memories = match self.memories {
            1 => "1 memory".to_owned(),
            count => format!("{count} memories"),
        };
        let tables = match self.tables {
            1 => "1 table".to_owned(),
            count => format!("{count} tables"),
        };
        let fitting = self.fitting(0);
        write!(
            f,
            "An instance takes {memories} and {tables}; {fitting} fit into the pool at once"
        )
    }
}

/// What is free of the pool; all of it at first.
pub struct Rooms {
    /// By the depth of the chain that an instance is for.
    by_depth: Vec<Arc<Semaphore>>,
    waiting: Arc<Semaphore>,
}

impl Rooms {
    /// Gives a pool the size that these rooms count on.
    pub fn size(pool: &mut PoolingAllocationConfig) {
        pool.total_component_instances(SHARES)
            // Their number alone costs nothing, and each component has a limit.
            .total_core_instances(SHARES * MAX_CORE_INSTANCES)
            .total_memories(SHARES)
            .total_tables(SHARES * TABLES_OF_A_SHARE)
            .total_stacks(SHARES)
            .max_core_instances_per_component(MAX_CORE_INSTANCES)
            .max_memories_per_component(MAX_SHARES)
            .max_tables_per_component(MAX_SHARES * TABLES_OF_A_SHARE);
    }

    /// Waits until there is room for one more instance, `depth` plugins down a chain. Only with it may one
    /// run.
    pub async fn take(&self, depth: u32, share: Share) -> Room {
        let room = self.at(depth).acquire_many_owned(share.shares).await;
        room.expect("the semaphores are never closed")
    }

    /// The same, if there is room now.
    pub fn take_free(&self, depth: u32, share: Share) -> Option<Room> {
        self.at(depth).try_acquire_many_owned(share.shares).ok()
    }

    /// Room for an instance that waits for a request, if there is any.
    pub fn take_to_wait(&self, share: Share) -> Option<Room> {
        let waiting = Arc::clone(&self.waiting);
        waiting.try_acquire_many_owned(share.shares).ok()
    }

    fn at(&self, depth: u32) -> Arc<Semaphore> {
        Arc::clone(&self.by_depth[depth.min(MAX_DEPTH) as usize])
    }
}

impl Default for Rooms {
    fn default() -> Self {
        let deeper = std::iter::repeat_n(SHARES_PER_DEPTH, MAX_DEPTH as usize);
        let shares = std::iter::once(SHARES_OF_THE_FIRST).chain(deeper);
        let free = |shares| Arc::new(Semaphore::new(shares as usize));
        Self {
            by_depth: shares.map(free).collect(),
            waiting: free(SHARES_THAT_WAIT),
        }
    }
}

impl fmt::Display for Rooms {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "The pool has {SHARES} memories and {} tables: {SHARES_THAT_ANSWER} of the memories for instances \
             that answer, {SHARES_THAT_WAIT} for those that wait to",
            SHARES * TABLES_OF_A_SHARE
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn of_small_instances_more_fit_than_of_large_ones() {
        let small = Share::with(1, 2);
        let large = Share::with(3, 7);
        assert_eq!((small.fitting(0), large.fitting(0)), (2400, 800));
        assert_eq!((small.fitting(1), large.fitting(1)), (100, 33));

        let rooms = Rooms::default();
        let taken: Vec<_> = std::iter::from_fn(|| rooms.take_free(0, large)).collect();
        assert_eq!(taken.len(), 800);
        assert!(rooms.take_free(0, small).is_none());
        assert!(rooms.take_free(1, small).is_some(), "chains have their own");
        drop(taken);
        let taken: Vec<_> = std::iter::from_fn(|| rooms.take_free(0, small)).collect();
        assert_eq!(taken.len(), 2400);
    }

    #[tokio::test]
    async fn a_large_one_gets_its_turn_among_small_ones() {
        let (small, large) = (Share::with(1, 1), Share::with(12, 1));
        let rooms = Rooms::default();
        let mut taken: Vec<_> = std::iter::from_fn(|| rooms.take_free(0, small)).collect();
        let mut waiting = Box::pin(rooms.take(0, large));
        tokio::select! {
            biased;
            _ = &mut waiting => panic!("there is no room"),
            () = std::future::ready(()) => {}
        }
        taken.truncate(taken.len() - 12);
        assert!(
            rooms.take_free(0, small).is_none(),
            "a small one would take from what is collected for the large one"
        );
        assert_eq!(waiting.await.num_permits(), 12);
    }

    #[test]
    fn many_tables_take_as_much_as_many_memories() {
        assert_eq!(Share::with(1, 9).shares, 3);
        assert_eq!(Share::with(0, 0).shares, 1, "it has a stack still");
    }
}
