//! `plugin.toml`: the operator's word on a plugin.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::capability::grants::Grants;
use crate::capability::limits::Limits;
use crate::capability::settings::SecretSource;

/// Queue names are made of a topic and more, and have at most 255 bytes.
const MAX_TOPIC_BYTES: usize = 100;

/// The file's content.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// The Wasm file, `.wasm` or as text `.wat`, relative to the plugin's folder.
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
    /// Secrets that the plugin can read by their names, as it reads settings. Here is where each is:
    /// `{ file = "PATH" }` or `{ env = "VARIABLE" }`.
    #[serde(default)]
    pub secrets: BTreeMap<String, SecretSource>,
    /// How `endpointd dev` makes the Wasm file. A host that serves does not look at it.
    pub build: Option<Build>,
}

/// The `[build]` table.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Build {
    /// One command that makes the Wasm file: run with `sh -c` in the plugin's folder.
    pub command: String,
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
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Lifecycle {
    /// `per-call`: a fresh instance for every request. `reuse`: an instance that answered may answer
    /// another request after it, one at a time; what the plugin keeps in its memory stays there.
    pub instances: Instances,
    /// With `reuse`: requests that an instance answers before another takes its place.
    pub max_calls: u32,
    /// With `reuse`: how long an instance is used.
    pub max_age_s: u32,
    /// With `reuse`: how long an instance is kept that has nothing to do.
    pub idle_s: u32,
    /// With `reuse`: an instance that has more memory than this after a request is not used again. As
    /// much as `memory_mib` allows if it is not given.
    pub max_memory_mib: Option<u32>,
}

impl Default for Lifecycle {
    fn default() -> Self {
        Self {
            instances: Instances::PerCall,
            max_calls: 1000,
            max_age_s: 3600,
            idle_s: 60,
            max_memory_mib: None,
        }
    }
}

#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Instances {
    /// A fresh instance for every request: nothing of one can reach another.
    #[default]
    PerCall,
    /// An instance answers one request after another.
    Reuse,
}

impl Lifecycle {
    pub fn max_age(&self) -> Duration {
        Duration::from_secs(self.max_age_s.into())
    }

    pub fn max_idle(&self) -> Duration {
        Duration::from_secs(self.idle_s.into())
    }

    pub fn max_memory_bytes(&self) -> usize {
        let mib = self.max_memory_mib.map_or(usize::MAX, |mib| mib as usize);
        mib.saturating_mul(1024 * 1024)
    }
}

impl Manifest {
    /// That of a file which has none: nothing serves it, and it may tell the time and have random numbers.
    pub fn bare() -> Self {
        Self {
            component: PathBuf::new(),
            sha256: None,
            topics: Vec::new(),
            priority: 0,
            access: Access::default(),
            lifecycle: Lifecycle::default(),
            limits: Limits::default(),
            grants: Grants {
                clocks: true,
                random: true,
                ..Grants::default()
            },
            config: BTreeMap::new(),
            secrets: BTreeMap::new(),
            build: None,
        }
    }

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
        let twice = self
            .secrets
            .keys()
            .find(|name| self.config.contains_key(*name));
        if let Some(name) = twice {
            return Some(format!(
                "`{name}` stands under [config] and under [secrets]: keep one"
            ));
        }
        self.limits.problem()
    }
}
