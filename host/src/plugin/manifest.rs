//! `plugin.toml`: the operator's word on a plugin.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::capability::Grants;

/// Queue names are made of a topic and more, and have at most 255 bytes.
const MAX_TOPIC_BYTES: usize = 100;

/// Quoting may double a reply, and RabbitMQ takes 128 MiB by default.
const MAX_REPLY_KIB: u32 = 60 * 1024;

/// The file's content.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// The Wasm file, relative to the plugin's folder.
    pub component: PathBuf,
    /// A pin: the file is loaded only if this is its SHA-256, in hexadecimal.
    pub sha256: Option<String>,
    /// Where the plugin answers.
    pub topics: Vec<String>,
    /// Decides between plugins that serve the same version: the higher one answers, then the first
    /// by name.
    #[serde(default)]
    pub priority: i32,
    /// `public`: callers may use the methods that the plugin lists, but for those whose names begin
    /// with `_`. `explicit`: exactly those it lists.
    #[serde(default)]
    pub access: Access,
    #[serde(default)]
    pub lifecycle: Lifecycle,
    #[serde(default)]
    pub limits: Limits,
    #[serde(default)]
    pub grants: Grants,
    /// Settings that the plugin can read.
    #[serde(default)]
    pub config: BTreeMap<String, String>,
}

/// Which of the methods that a plugin lists may be called (rpc/dispatcher.py:
/// `DefaultRPCAccessPolicy`, `ExplicitRPCAccessPolicy`). What it does not list never may.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Access {
    #[default]
    Public,
    Explicit,
}

/// How long an instance lives.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Lifecycle {
    /// `per-call`: a fresh instance for every request.
    pub instances: Instances,
}

#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Instances {
    /// A fresh instance for every request: nothing of one can reach another.
    #[default]
    PerCall,
}

/// What one request may use.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// All linear memories of an instance together.
    pub memory_mib: u32,
    /// From start to reply by the clock on the wall; computing is bounded by the same.
    pub timeout_ms: u32,
    /// Instances that run at the same time, without those that wait for a reply. Further requests
    /// wait.
    pub concurrency: u16,
    /// The result, or the failure, as JSON.
    pub reply_kib: u32,
    /// Lines in the host's log, of all instances together; those beyond it are dropped.
    pub log_lines_per_s: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            memory_mib: 64,
            timeout_ms: 30_000,
            concurrency: 16,
            reply_kib: 1024,
            log_lines_per_s: 100,
        }
    }
}

impl Limits {
    pub fn memory_bytes(&self) -> usize {
        self.memory_mib as usize * 1024 * 1024
    }

    pub fn timeout(&self) -> Duration {
        Duration::from_millis(self.timeout_ms.into())
    }

    pub fn reply_bytes(&self) -> usize {
        self.reply_kib as usize * 1024
    }
}

impl Manifest {
    /// What the types alone do not catch, in words for the operator.
    pub fn problem(&self) -> Option<String> {
        let empty = |topic: &String| topic.trim().is_empty();
        if self.topics.is_empty() || self.topics.iter().any(empty) {
            return Some("`topics` names no topic, so nothing would ever call it".to_owned());
        }
        if self
            .topics
            .iter()
            .any(|topic| topic.len() > MAX_TOPIC_BYTES)
        {
            return Some(format!(
                "`topics` has one with more than {MAX_TOPIC_BYTES} bytes"
            ));
        }
        let digits = |pin: &String| pin.bytes().all(|byte| byte.is_ascii_hexdigit());
        if self
            .sha256
            .as_ref()
            .is_some_and(|pin| pin.len() != 64 || !digits(pin))
        {
            return Some("`sha256` is not 64 hexadecimal digits".to_owned());
        }
        let positive = [
            ("memory_mib", self.limits.memory_mib),
            ("timeout_ms", self.limits.timeout_ms),
            ("concurrency", self.limits.concurrency.into()),
            ("reply_kib", self.limits.reply_kib),
        ];
        let zero = positive.iter().find(|(_, value)| *value == 0);
        if let Some((name, _)) = zero {
            return Some(format!(
                "`{name}` under [limits] is 0, which lets nothing run"
            ));
        }
        if self.limits.reply_kib > MAX_REPLY_KIB {
            return Some(format!(
                "`reply_kib` is above {MAX_REPLY_KIB}: a broker takes no messages that large"
            ));
        }
        if self.limits.memory_mib > 4096 {
            return Some(
                "`memory_mib` is above 4096, all that a 32-bit memory can have".to_owned(),
            );
        }
        None
    }
}
