//! `client = ["fanout:TOPIC"]` in plugin.toml: what a plugin may send, and to whom.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One of `client = ["fanout:TOPIC"]` in plugin.toml.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct ClientGrant {
    kind: String,
    /// `*` is every topic.
    topic: String,
}

impl TryFrom<String> for ClientGrant {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        match text.split_once(':') {
            Some((kind @ ("call" | "cast" | "fanout"), topic)) if !topic.is_empty() => Ok(Self {
                kind: kind.to_owned(),
                topic: topic.to_owned(),
            }),
            _ => Err(format!(
                "`{text}` under `client` is no grant: write call:TOPIC, cast:TOPIC or \
                 fanout:TOPIC, with * for every topic"
            )),
        }
    }
}

impl fmt::Display for ClientGrant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.kind, self.topic)
    }
}

impl From<ClientGrant> for String {
    fn from(grant: ClientGrant) -> Self {
        grant.to_string()
    }
}

impl ClientGrant {
    pub fn allows(&self, kind: &str, topic: &str) -> bool {
        self.kind == kind && (self.topic == "*" || self.topic == topic)
    }
}
