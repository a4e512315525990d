//! The request context: who asks, and on whose behalf.

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use std::cell::OnceCell;

use crate::{Failure, builtins};

/// The caller's request context, read when it is first looked at.
#[derive(Clone, Debug)]
pub struct Context {
    json: String,
    entries: OnceCell<Map<String, Value>>,
}

impl Default for Context {
    /// A context without entries.
    fn default() -> Self {
        Self::from_json("{}")
    }
}

impl Context {
    /// A context from the text of a JSON object; any other text has no entries.
    pub fn from_json(json: impl Into<String>) -> Self {
        Self {
            json: json.into(),
            entries: OnceCell::new(),
        }
    }

    /// The context as it came.
    pub fn as_json(&self) -> &str {
        &self.json
    }

    /// The entry of this name.
    pub fn get(&self, name: &str) -> Option<&Value> {
        let parse = || serde_json::from_str(&self.json).unwrap_or_default();
        self.entries.get_or_init(parse).get(name)
    }

    /// The entry of this name, if it is text.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.get(name)?.as_str()
    }

    /// Whether the caller is an administrator, as OpenStack's contexts say it.
    pub fn is_admin(&self) -> bool {
        self.get("is_admin")
            .and_then(Value::as_bool)
            .unwrap_or(false)
    }

    /// The whole context as a type of your own; a `ValueError` if it does not fit.
    pub fn read<T: DeserializeOwned>(&self) -> Result<T, Failure> {
        serde_json::from_str(&self.json)
            .map_err(|error| builtins::value_error(format!("request context: {error}")))
    }
}
