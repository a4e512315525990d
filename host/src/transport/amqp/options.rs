//! What can be set about RabbitMQ: oslo's options, under oslo's names and meaning
//! (impl_rabbit.py: `rabbit_opts`, amqp.py: `amqp_opts`).

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use toml::{Table, Value};

use crate::document;
use crate::protocol::compression::Codec;

/// The `[rabbit]` table of endpointd.toml, also set by the query of `transport_url`.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields)]
#[schemars(rename = "RabbitConfig")]
pub struct Config {
    /// Exchange and topic queues survive a restart of the broker.
    pub amqp_durable_queues: bool,
    /// The broker deletes exchange and topic queues when their last consumer goes. Not for quorum
    /// queues.
    pub amqp_auto_delete: bool,
    /// Topic queues are quorum queues, which are durable and replicated. Not with
    /// `rabbit_ha_queues`.
    pub rabbit_quorum_queue: bool,
    /// Fanout and reply queues are quorum queues too.
    pub rabbit_transient_quorum_queue: bool,
    /// How often a quorum queue delivers a message before it drops it; 0 sets no limit.
    pub rabbit_quorum_delivery_limit: u32,
    /// Messages that a quorum queue keeps in memory; 0 sets no limit.
    pub rabbit_quorum_max_memory_length: u32,
    /// Bytes of messages that a quorum queue keeps in memory; 0 sets no limit.
    pub rabbit_quorum_max_memory_bytes: u32,
    /// Queues ask to be mirrored, by an argument that RabbitMQ 3 and later take no notice of: a
    /// policy does it there.
    pub rabbit_ha_queues: bool,
    /// Seconds that fanout and reply queues outlive their owner, or that a fanout stream keeps its
    /// messages; 0 is for ever.
    pub rabbit_transient_queues_ttl: u32,
    /// Fanouts of a topic go through one stream instead of a queue for each server. Needs
    /// `rabbit_qos_prefetch_count` and `rabbit_transient_quorum_queue`.
    pub rabbit_stream_fanout: bool,
    /// Deliveries that may wait in this host, per queue, for a free place in the pool; 0 sets no
    /// limit. More of them cost other hosts their work, fewer cost throughput. Upstream's default
    /// is 0, which takes whole backlogs into memory.
    pub rabbit_qos_prefetch_count: u16,
    /// The broker tells consumers when a mirrored queue moves to another node, and they consume
    /// again.
    pub enable_cancel_on_failover: bool,
    /// Fanout and reply queues have names that stay the same after a restart:
    /// `..._HOSTNAME:PROCESSNAME:NUMBER`. Two hosts on one machine then need different process
    /// names.
    pub use_queue_manager: bool,
    /// The host's part in those names; empty for the machine's name.
    pub hostname: String,
    /// The process's part in those names.
    pub processname: String,
    /// Seconds without any sign of the broker after which a connection counts as lost, as asked
    /// for: the smaller of ours and the broker's holds, and it is lost after twice as long. 0
    /// disables heartbeats.
    pub heartbeat_timeout_threshold: u16,
    /// Seconds to wait before a connection that was lost is dialled again.
    pub kombu_reconnect_delay: f64,
    /// Up to how many seconds more, chosen at random, so that hosts do not all come back at once.
    /// Upstream logs it and does not wait.
    pub kombu_reconnect_splay: f64,
    /// How messages are compressed: `gzip` or `bz2`; empty for not at all. What arrives is
    /// decompressed in any case.
    pub kombu_compression: Compression,
    /// Seconds that a reply is tried again whose queue is missing.
    pub kombu_missing_consumer_retry_timeout: u32,
    /// In which order the hosts of `transport_url` are tried: `round-robin` or `shuffle`.
    pub kombu_failover_strategy: FailoverStrategy,
    /// Seconds to wait after every host failed.
    pub rabbit_retry_interval: u32,
    /// By how many seconds that pause grows.
    pub rabbit_retry_backoff: u32,
    /// Up to how many seconds it grows. While no host listens at all, one that does ends the pause
    /// at once.
    pub rabbit_interval_max: u32,
    /// How user and password are sent: `AMQPLAIN`, `PLAIN`, `EXTERNAL` or `RABBIT-CR-DEMO`.
    pub rabbit_login_method: LoginMethod,
    /// The broker says when a reply's queue is missing. Without it such replies are lost and
    /// nobody is told.
    pub direct_mandatory_flag: bool,
    /// Connect with TLS.
    pub ssl: bool,
    /// `TLSv1_2` for no newer version; empty or `SSLv23` for 1.2 and 1.3. Older versions are
    /// refused.
    pub ssl_version: String,
    /// The key of the client's certificate (PEM).
    pub ssl_key_file: PathBuf,
    /// The client's certificate, for brokers that ask for one (PEM).
    pub ssl_cert_file: PathBuf,
    /// The authorities that the broker's certificate may come from (PEM). Without it the system's
    /// are taken and, as upstream has it, the name in the certificate is not checked.
    pub ssl_ca_file: PathBuf,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            amqp_durable_queues: false,
            amqp_auto_delete: false,
            rabbit_quorum_queue: false,
            rabbit_transient_quorum_queue: false,
            rabbit_quorum_delivery_limit: 0,
            rabbit_quorum_max_memory_length: 0,
            rabbit_quorum_max_memory_bytes: 0,
            rabbit_ha_queues: false,
            rabbit_transient_queues_ttl: 1800,
            rabbit_stream_fanout: false,
            // Enough to keep a pool busy over the round trip of an acknowledgement.
            rabbit_qos_prefetch_count: 16,
            enable_cancel_on_failover: false,
            use_queue_manager: false,
            hostname: String::new(),
            processname: "endpointd".to_owned(),
            heartbeat_timeout_threshold: 60,
            kombu_reconnect_delay: 1.0,
            kombu_reconnect_splay: 0.0,
            kombu_compression: Compression::None,
            kombu_missing_consumer_retry_timeout: 60,
            kombu_failover_strategy: FailoverStrategy::RoundRobin,
            rabbit_retry_interval: 1,
            rabbit_retry_backoff: 2,
            rabbit_interval_max: 30,
            rabbit_login_method: LoginMethod::AmqPlain,
            direct_mandatory_flag: true,
            ssl: false,
            ssl_version: String::new(),
            ssl_key_file: PathBuf::new(),
            ssl_cert_file: PathBuf::new(),
            ssl_ca_file: PathBuf::new(),
        }
    }
}

/// The value of `kombu_compression`.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
pub enum Compression {
    #[default]
    #[serde(rename = "")]
    None,
    #[serde(rename = "gzip")]
    Gzip,
    #[serde(rename = "bz2")]
    Bzip2,
}

impl Compression {
    pub(super) fn codec(self) -> Option<Codec> {
        match self {
            Self::None => None,
            Self::Gzip => Some(Codec::Gzip),
            Self::Bzip2 => Some(Codec::Bzip2),
        }
    }
}

/// The value of `kombu_failover_strategy`.
#[derive(Clone, Copy, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum FailoverStrategy {
    RoundRobin,
    Shuffle,
}

/// The value of `rabbit_login_method`.
#[derive(Clone, Copy, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
pub enum LoginMethod {
    #[serde(rename = "PLAIN")]
    Plain,
    #[serde(rename = "AMQPLAIN")]
    AmqPlain,
    #[serde(rename = "EXTERNAL")]
    External,
    #[serde(rename = "RABBIT-CR-DEMO")]
    RabbitCrDemo,
}

/// Upstream takes no notice of it any more; who sets it wants something that we do not have.
const FIPS: &str = "ssl_enforce_fips_mode";

/// Options of upstream that its own way of working needs, and ours does not: they change nothing
/// that a peer or a broker sees. One connection sends everything, and heartbeats go out by
/// themselves.
const WITHOUT_EFFECT: &[&str] = &[
    "conn_pool_min_size",
    "conn_pool_ttl",
    "heartbeat_rate",
    "rpc_conn_pool_size",
    // Upstream gave it up: where there is a CA file, the name is always checked.
    "ssl_enforce_hostname_verification",
];

/// A name that upstream gave up, and the one that took its place.
const RENAMED: (&str, &str) = (
    "kombu_reconnect_timeout",
    "kombu_missing_consumer_retry_timeout",
);

/// Why a set of options cannot be used. Values are never repeated: they may be somebody's secret.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum InvalidOption {
    #[error("there is no option `{0}`{1}")]
    Unknown(String, Suggestion),
    #[error("the option `{0}` needs {1}")]
    Value(String, String),
    #[error("{0}")]
    Together(&'static str),
}

/// The name that was probably meant.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Suggestion(Option<String>);

impl fmt::Display for Suggestion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Some(name) => write!(f, ": did you mean `{name}`?"),
            None => Ok(()),
        }
    }
}

/// Whether oslo.messaging has an option of this name.
pub fn is_known(name: &str) -> bool {
    name == RENAMED.0
        || name == FIPS
        || WITHOUT_EFFECT.contains(&name)
        || Config::default().to_table().contains_key(name)
}

/// The part of a `[rabbit]` table that sets `texts`, names and values as in oslo's own files.
pub fn table_of_texts<'a>(
    texts: impl IntoIterator<Item = (&'a str, &'a str)>,
) -> Result<Table, InvalidOption> {
    let known = Config::default().to_table();
    let mut table = Table::new();
    for (name, text) in texts {
        let name = if name == RENAMED.0 { RENAMED.1 } else { name };
        if name == FIPS && document::boolean(text) != Some(false) {
            return Err(InvalidOption::Together(
                "`ssl_enforce_fips_mode` cannot be honoured: endpointd's TLS has no FIPS mode",
            ));
        }
        if name == FIPS || WITHOUT_EFFECT.contains(&name) {
            continue;
        }
        let Some(default) = known.get(name) else {
            let nearest = document::nearest(name, known.keys().map(String::as_str));
            let suggestion = Suggestion(nearest.map(str::to_owned));
            return Err(InvalidOption::Unknown(name.to_owned(), suggestion));
        };
        let number = text.trim().replace('_', "");
        let (value, needs) = match default {
            Value::Boolean(_) => (document::boolean(text).map(Value::Boolean), "true or false"),
            Value::Integer(_) => (number.parse().ok().map(Value::Integer), "a whole number"),
            Value::Float(_) => (number.parse().ok().map(Value::Float), "a number"),
            _ => (Some(Value::String(text.to_owned())), "a text"),
        };
        let wrong = |needs: String| InvalidOption::Value(name.to_owned(), needs);
        let value = value.ok_or_else(|| wrong(needs.to_owned()))?;
        // Alone, so that the error is about this option.
        let alone = Table::from_iter([(name.to_owned(), value.clone())]);
        document::from_table::<Config>(alone)
            .map_err(|error| wrong(format!("another value: {error}")))?;
        table.insert(name.to_owned(), value);
    }
    Ok(table)
}

impl Config {
    /// These options with `texts` set over them.
    pub fn with_texts<'a>(
        &self,
        texts: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Result<Self, InvalidOption> {
        let mut table = self.to_table();
        table.extend(table_of_texts(texts)?);
        Ok(document::from_table(table).expect("every value of it was read"))
    }

    /// What the types alone do not catch.
    pub fn check(&self) -> Result<(), InvalidOption> {
        let quorum = self.rabbit_quorum_queue || self.rabbit_transient_quorum_queue;
        let files = [&self.ssl_key_file, &self.ssl_cert_file];
        let given = files.iter().filter(|file| !file.as_os_str().is_empty());
        let problem = match () {
            () if quorum && self.rabbit_ha_queues => {
                "a queue is either a quorum queue or mirrored: unset `rabbit_ha_queues`, or \
                 `rabbit_quorum_queue` and `rabbit_transient_quorum_queue`"
            }
            () if self.rabbit_quorum_queue && self.amqp_auto_delete => {
                "RabbitMQ has no quorum queues that delete themselves: unset `amqp_auto_delete` or \
                 `rabbit_quorum_queue`"
            }
            () if self.rabbit_stream_fanout && self.rabbit_qos_prefetch_count == 0 => {
                "`rabbit_stream_fanout` needs a `rabbit_qos_prefetch_count` above 0"
            }
            () if self.rabbit_stream_fanout && !self.rabbit_transient_quorum_queue => {
                "`rabbit_stream_fanout` needs `rabbit_transient_quorum_queue = true`"
            }
            () if !(0.0..=60.0).contains(&self.kombu_reconnect_delay)
                || !(0.0..=60.0).contains(&self.kombu_reconnect_splay) =>
            {
                "`kombu_reconnect_delay` and `kombu_reconnect_splay` must be between 0 and 60"
            }
            () if self.rabbit_retry_interval == 0 || self.rabbit_interval_max == 0 => {
                "`rabbit_retry_interval` and `rabbit_interval_max` must not be 0"
            }
            () if self.hostname.len() + self.processname.len() > 120 => {
                "`hostname` and `processname` together must have at most 120 bytes"
            }
            () if !matches!(
                self.ssl_version.to_ascii_lowercase().as_str(),
                "" | "sslv23" | "tlsv1_2" | "tlsv1_3"
            ) =>
            {
                "`ssl_version` must be empty, SSLv23, TLSv1_2 or TLSv1_3: endpointd speaks no older \
                 TLS"
            }
            () if given.count() == 1 => "`ssl_cert_file` and `ssl_key_file` go together",
            () => return Ok(()),
        };
        Err(InvalidOption::Together(problem))
    }

    /// How long transient queues outlive their owner; `None` is for ever.
    pub(super) fn transient_ttl(&self) -> Option<Duration> {
        match self.rabbit_transient_queues_ttl {
            0 => None,
            seconds => Some(Duration::from_secs(seconds.into())),
        }
    }

    /// Upstream's D: what belongs to a topic is durable.
    pub(super) fn durable(&self) -> bool {
        self.amqp_durable_queues || self.rabbit_quorum_queue
    }

    fn to_table(&self) -> Table {
        Table::try_from(self).expect("plain values always serialize")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_refused(texts: &[(&str, &str)], expected: &str) {
        let refused = Config::default().with_texts(texts.iter().copied());
        assert_eq!(refused.expect_err("refused").to_string(), expected);
    }

    #[test]
    fn texts_are_read_as_oslo_reads_them() {
        let texts = [
            ("amqp_durable_queues", "Yes"),
            ("rabbit_qos_prefetch_count", "0"),
            ("kombu_reconnect_delay", "0.5"),
            ("kombu_compression", "bz2"),
            ("kombu_reconnect_timeout", "1_0"),
            ("rpc_conn_pool_size", "30"),
        ];
        let config = Config::default().with_texts(texts).expect("fine");
        let expected = Config {
            amqp_durable_queues: true,
            rabbit_qos_prefetch_count: 0,
            kombu_reconnect_delay: 0.5,
            kombu_compression: Compression::Bzip2,
            kombu_missing_consumer_retry_timeout: 10,
            ..Config::default()
        };
        assert_eq!(config, expected);
    }

    #[test]
    fn what_cannot_be_read_is_refused_by_name_and_without_its_value() {
        check_refused(
            &[("rabbit_quorum_queues", "1")],
            "there is no option `rabbit_quorum_queues`: did you mean `rabbit_quorum_queue`?",
        );
        check_refused(&[("ssl", "maybe")], "the option `ssl` needs true or false");
        check_refused(
            &[("rabbit_retry_interval", "soon")],
            "the option `rabbit_retry_interval` needs a whole number",
        );
        let error = Config::default().with_texts([("kombu_compression", "hidden")]);
        assert!(!error.expect_err("refused").to_string().contains("hidden"));
    }

    #[test]
    fn options_that_exclude_each_other_are_refused() {
        let refused = |texts: &[(&str, &str)]| {
            let config = Config::default().with_texts(texts.iter().copied());
            config.expect("readable").check().is_err()
        };
        let on = "true";
        assert!(refused(&[
            ("rabbit_quorum_queue", on),
            ("rabbit_ha_queues", on)
        ]));
        assert!(refused(&[
            ("rabbit_quorum_queue", on),
            ("amqp_auto_delete", on)
        ]));
        assert!(refused(&[("rabbit_stream_fanout", on)]));
        assert!(refused(&[("ssl_version", "TLSv1")]));
        assert!(refused(&[("ssl_key_file", "key.pem")]));
        assert!(!refused(&[]));
        assert!(!refused(&[
            ("rabbit_stream_fanout", on),
            ("rabbit_transient_quorum_queue", on)
        ]));
    }
}
