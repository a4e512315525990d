//! `client = ["fanout:TOPIC"]` in plugin.toml: what a plugin may send, and to whom.

use std::str::FromStr;

/// One of `client = ["fanout:TOPIC"]` in plugin.toml.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ClientGrant {
    kind: String,
    /// `*` is every topic.
    topic: String,
}

impl FromStr for ClientGrant {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
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

impl ClientGrant {
    pub fn allows(&self, kind: &str, topic: &str) -> bool {
        self.kind == kind && (self.topic == "*" || self.topic == topic)
    }
}
