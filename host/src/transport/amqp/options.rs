//! What can be set about RabbitMQ: oslo's options, under oslo's names and meaning.

use serde::Deserialize;

/// The `[rabbit]` table of endpointd.toml.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Seconds without any sign of the broker after which a connection counts as lost, as asked
    /// for; the smaller of ours and the broker's holds. 0 disables heartbeats.
    pub heartbeat_timeout_threshold: u16,
    /// Seconds to wait after a whole round of the hosts failed, growing by
    /// `rabbit_retry_backoff` up to `rabbit_interval_max`.
    pub rabbit_retry_interval: u64,
    pub rabbit_retry_backoff: u64,
    pub rabbit_interval_max: u64,
    /// Deliveries that may wait in this host, per queue, for a free place in the pool. More of
    /// them cost other hosts their work, fewer cost throughput.
    pub rabbit_qos_prefetch_count: u16,
    /// Seconds that fanout and reply queues outlive their owner; 0 is for ever.
    pub rabbit_transient_queues_ttl: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            heartbeat_timeout_threshold: 60,
            rabbit_retry_interval: 1,
            rabbit_retry_backoff: 2,
            rabbit_interval_max: 30,
            // Upstream sets none and takes a whole backlog into memory. Enough here to keep a
            // pool busy over the round trip of an acknowledgement.
            rabbit_qos_prefetch_count: 16,
            rabbit_transient_queues_ttl: 1800,
        }
    }
}
