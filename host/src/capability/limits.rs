//! The limits of a plugin: what its operator set, what a store has used of them, and how often each
//! was reached.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use wasmtime::ResourceLimiter;

/// What one table may hold at most, whatever an operator sets: the engine's pool is made for it.
pub const MAX_TABLE_ELEMENTS: usize = 20_000;
/// What guests may keep on the stack of their thread. One for all: stacks come from the engine's pool.
pub const STACK_BYTES: usize = 512 * 1024;
/// Handles of one store to what the host keeps for it: open buckets, streams, files, HTTP bodies.
pub const MAX_HANDLES: usize = 1000;
/// The headers of one HTTP request or response, as the host keeps them.
pub const MAX_HEADER_BYTES: usize = 32 * 1024;

/// What one request may use.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// All linear memories of an instance together.
    pub memory_mib: u32,
    /// Elements of all tables of an instance together.
    pub table_elements: u32,
    /// From start to reply by the clock on the wall; computing is bounded by the same.
    pub timeout_ms: u32,
    /// Instances that run at the same time, without those that wait for a reply. Further requests
    /// wait.
    pub concurrency: u16,
    /// Instances that answer at the same time, with those that wait for a reply, at each depth of a
    /// chain of plugins. Further requests wait.
    pub instances: u16,
    /// Arguments and request context together. A larger request is refused.
    pub request_kib: u32,
    /// The result, or the failure, as JSON.
    pub reply_kib: u32,
    /// How deep arrays and objects may stand in one another, in a request and in a reply.
    pub json_depth: u32,
    /// What the plugin may hand to the host in one call of an import: a value for a bucket, a line for
    /// the log, bytes for a file. Where it is less than `reply_kib`, that is the limit.
    pub host_call_kib: u32,
    /// Calls, casts, fanouts and HTTP requests that the answer to one request may send.
    pub outbound: u32,
    /// The same a second, of all instances together. Those beyond it fail.
    pub outbound_per_s: u32,
    /// Lines in the host's log, of all instances together; those beyond it are dropped.
    pub log_lines_per_s: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            memory_mib: 64,
            table_elements: MAX_TABLE_ELEMENTS as u32,
            timeout_ms: 30_000,
            concurrency: 16,
            instances: 100,
            request_kib: 4096,
            reply_kib: 1024,
            json_depth: 128,
            host_call_kib: 4096,
            outbound: 100,
            outbound_per_s: 1000,
            log_lines_per_s: 100,
        }
    }
}

/// Quoting may double a message, and RabbitMQ takes 128 MiB by default.
const MAX_MESSAGE_KIB: u32 = 60 * 1024;
/// All that a 32-bit memory can have.
const MAX_MEMORY_MIB: u32 = 4096;

impl Limits {
    /// What the types alone do not catch, in words for the operator.
    pub fn problem(&self) -> Option<String> {
        let bounds = [
            ("memory_mib", self.memory_mib, MAX_MEMORY_MIB),
            (
                "table_elements",
                self.table_elements,
                MAX_TABLE_ELEMENTS as u32,
            ),
            ("timeout_ms", self.timeout_ms, u32::MAX),
            ("concurrency", self.concurrency.into(), u32::MAX),
            ("instances", self.instances.into(), u32::MAX),
            ("request_kib", self.request_kib, MAX_MESSAGE_KIB),
            ("reply_kib", self.reply_kib, MAX_MESSAGE_KIB),
            ("json_depth", self.json_depth, u32::MAX),
            ("host_call_kib", self.host_call_kib, MAX_MESSAGE_KIB),
        ];
        bounds.into_iter().find_map(|(name, value, most)| {
            if value == 0 {
                return Some(format!(
                    "`{name}` under [limits] is 0, which lets nothing run"
                ));
            }
            (value > most).then(|| format!("`{name}` under [limits] is above {most}"))
        })
    }

    pub fn memory_bytes(&self) -> usize {
        self.memory_mib as usize * 1024 * 1024
    }

    pub fn timeout(&self) -> Duration {
        Duration::from_millis(self.timeout_ms.into())
    }

    pub fn request_bytes(&self) -> usize {
        self.request_kib as usize * 1024
    }

    pub fn reply_bytes(&self) -> usize {
        self.reply_kib as usize * 1024
    }

    /// What may be copied out of a guest at once, whether that is a reply or for an import.
    pub fn copied_bytes(&self) -> usize {
        // A failure is a handful of texts, each of which counts.
        self.handed_kib() as usize * 1024 + 4096
    }

    /// A reply is handed to the host as well, and the engine has one bound for both.
    fn handed_kib(&self) -> u32 {
        self.host_call_kib.max(self.reply_kib)
    }

    /// That this limit was reached, in words for operators and callers.
    pub fn exceeded(&self, limit: Limit) -> Exceeded {
        let text = match limit {
            Limit::Memory => format!(
                "it needed more than its limit of {} MiB of memory",
                self.memory_mib
            ),
            Limit::TableElements => format!(
                "it needed more than its limit of {} table elements",
                self.table_elements
            ),
            Limit::Handles => format!("it kept more than {MAX_HANDLES} handles open"),
            Limit::Stack => format!(
                "its calls nest deeper than the {} KiB of stack that a plugin has",
                STACK_BYTES / 1024
            ),
            Limit::Time => format!("it ran longer than its limit of {} ms", self.timeout_ms),
            Limit::Request => format!(
                "the request is larger than the plugin's limit of {} KiB",
                self.request_kib
            ),
            Limit::RequestDepth => format!(
                "the request nests deeper than the plugin's limit of {}",
                self.json_depth
            ),
            Limit::Reply => format!(
                "its reply is larger than its limit of {} KiB",
                self.reply_kib
            ),
            Limit::ReplyDepth => format!(
                "its reply nests deeper than its limit of {}",
                self.json_depth
            ),
            Limit::HostCall => format!(
                "it handed more than its limit of {} KiB to the host at once",
                self.handed_kib()
            ),
            Limit::Outbound => format!(
                "it sent more than its limit of {} messages for one request",
                self.outbound
            ),
            Limit::OutboundRate => format!(
                "the plugin sends more than its limit of {} messages a second",
                self.outbound_per_s
            ),
            Limit::LogLines => format!(
                "it writes more than its limit of {} lines a second",
                self.log_lines_per_s
            ),
            Limit::Bucket => "a bucket is full".to_owned(),
        };
        Exceeded { limit, text }
    }
}

/// A limit that can be reached.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Limit {
    Memory,
    TableElements,
    Handles,
    Stack,
    Time,
    Request,
    RequestDepth,
    Reply,
    ReplyDepth,
    HostCall,
    Outbound,
    OutboundRate,
    LogLines,
    Bucket,
}

impl Limit {
    pub const ALL: [Self; 14] = [
        Self::Memory,
        Self::TableElements,
        Self::Handles,
        Self::Stack,
        Self::Time,
        Self::Request,
        Self::RequestDepth,
        Self::Reply,
        Self::ReplyDepth,
        Self::HostCall,
        Self::Outbound,
        Self::OutboundRate,
        Self::LogLines,
        Self::Bucket,
    ];

    /// As operators know it: by its key where it has one.
    pub fn name(self) -> &'static str {
        match self {
            Self::Memory => "memory_mib",
            Self::TableElements => "table_elements",
            Self::Handles => "handles",
            Self::Stack => "stack",
            Self::Time => "timeout_ms",
            Self::Request => "request_kib",
            Self::RequestDepth | Self::ReplyDepth => "json_depth",
            Self::Reply => "reply_kib",
            Self::HostCall => "host_call_kib",
            Self::Outbound => "outbound",
            Self::OutboundRate => "outbound_per_s",
            Self::LogLines => "log_lines_per_s",
            Self::Bucket => "bucket",
        }
    }
}

/// A limit was reached. Ends the guest where it comes out of an import.
#[derive(Clone, Debug)]
pub struct Exceeded {
    pub limit: Limit,
    text: String,
}

impl std::error::Error for Exceeded {}

impl fmt::Display for Exceeded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.text, self.limit.name())
    }
}

/// How often each limit was reached, and how often something was asked for that is not granted.
#[derive(Debug, Default)]
pub struct Meter {
    limits: [AtomicU64; Limit::ALL.len()],
    denied: AtomicU64,
}

impl Meter {
    pub fn reached(&self, limit: Limit) {
        self.limits[limit as usize].fetch_add(1, Ordering::Relaxed);
    }

    pub fn denied(&self) {
        self.denied.fetch_add(1, Ordering::Relaxed);
    }

    pub fn times_denied(&self) -> u64 {
        self.denied.load(Ordering::Relaxed)
    }

    /// Every limit that was reached, by its name, which a request and a reply may share.
    pub fn counts(&self) -> BTreeMap<&'static str, u64> {
        let mut counts = BTreeMap::new();
        for limit in Limit::ALL {
            let count = self.limits[limit as usize].load(Ordering::Relaxed);
            if count > 0 {
                *counts.entry(limit.name()).or_default() += count;
            }
        }
        counts
    }
}

/// Stops linear memories and tables from growing too large, and remembers that it did: what the
/// guest makes of a refused allocation is mostly an unspecific trap.
#[derive(Clone, Copy, Debug)]
pub struct StoreLimits {
    memory_bytes: usize,
    table_elements: usize,
    memory_used: usize,
    elements_used: usize,
    exceeded: Option<Limit>,
}

impl StoreLimits {
    pub fn new(limits: &Limits) -> Self {
        Self {
            memory_bytes: limits.memory_bytes(),
            table_elements: limits.table_elements as usize,
            memory_used: 0,
            elements_used: 0,
            exceeded: None,
        }
    }

    /// Of all linear memories of the store together.
    pub fn memory_used(&self) -> usize {
        self.memory_used
    }

    /// The limit that kept it from growing since it was asked the last time.
    pub fn take_exceeded(&mut self) -> Option<Limit> {
        self.exceeded.take()
    }
}

impl ResourceLimiter for StoreLimits {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        if maximum.is_some_and(|maximum| desired > maximum) {
            return Ok(false); // Refused by the guest's own declaration: nothing is used.
        }
        let used = self.memory_used.saturating_add(desired - current);
        let fits = used <= self.memory_bytes;
        match fits {
            // Whoever made do with less was not stopped by it.
            true => (self.memory_used, self.exceeded) = (used, None),
            false => self.exceeded = Some(Limit::Memory),
        }
        Ok(fits)
    }

    fn table_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let used = self.elements_used.saturating_add(desired - current);
        let fits = used <= self.table_elements;
        // The maximum may be that of the engine's pool, which is our limit too, or the guest's own.
        if fits && maximum.is_some_and(|maximum| desired > maximum) {
            return Ok(false);
        }
        match fits {
            true => (self.elements_used, self.exceeded) = (used, None),
            false => self.exceeded = Some(Limit::TableElements),
        }
        Ok(fits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memories_and_tables_grow_to_their_limits_and_say_which_stopped_them() {
        let limits = Limits {
            memory_mib: 1,
            table_elements: 10,
            ..Limits::default()
        };
        let mut store = StoreLimits::new(&limits);
        let mib = 1024 * 1024;
        let grows = |grown: wasmtime::Result<bool>| grown.expect("no trap");
        assert!(grows(store.memory_growing(0, mib, None)));
        assert!(!grows(store.memory_growing(0, 1, Some(0))));
        assert_eq!(store.take_exceeded(), None);
        assert!(!grows(store.memory_growing(mib, mib + 1, None)));
        assert_eq!(store.take_exceeded(), Some(Limit::Memory));
        assert!(grows(store.table_growing(0, 6, None)));
        assert!(grows(store.table_growing(0, 4, None)));
        assert!(!grows(store.table_growing(4, 5, Some(4))));
        assert_eq!(store.take_exceeded(), Some(Limit::TableElements));
        assert_eq!(store.memory_used(), mib);
    }

    #[test]
    fn counts_are_kept_by_limit() {
        let meter = Meter::default();
        for (index, limit) in Limit::ALL.into_iter().enumerate() {
            assert_eq!(index, limit as usize);
        }
        meter.reached(Limit::Outbound);
        meter.reached(Limit::RequestDepth);
        meter.reached(Limit::ReplyDepth);
        let expected = BTreeMap::from([("json_depth", 2), ("outbound", 1)]);
        assert_eq!(meter.counts(), expected);
    }
}
