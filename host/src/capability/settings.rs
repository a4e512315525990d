//! A plugin's settings and secrets, as its operator gave them.

use std::collections::BTreeMap;
use std::env::VarError;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A secret is a password or a key, and no file that was named by mistake.
const MAX_SECRET_BYTES: u64 = 64 * 1024;

/// One of the `[secrets]` table of plugin.toml: where its value is.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum SecretSource {
    /// A file that holds it alone, relative to the plugin's folder. It is read each time the plugin
    /// asks, so a secret that is changed there is a new one at once.
    File(PathBuf),
    /// A variable of the host's environment.
    Env(String),
}

impl SecretSource {
    /// The secret as it is now.
    pub fn read(&self) -> io::Result<String> {
        let path = match self {
            Self::Env(name) => {
                let problem = match std::env::var(name) {
                    Ok(value) => return Ok(value),
                    Err(VarError::NotPresent) => "is not set",
                    // Whose own words would repeat it.
                    Err(VarError::NotUnicode(_)) => "is no text",
                };
                return Err(io::Error::other(format!("the variable {name} {problem}")));
            }
            Self::File(path) => path,
        };
        // A pipe would be waited for.
        if !std::fs::metadata(path)?.is_file() {
            return Err(io::Error::other("it is no file"));
        }
        let mut text = String::new();
        let read = File::open(path)?
            .take(MAX_SECRET_BYTES + 1)
            .read_to_string(&mut text)?;
        if read as u64 > MAX_SECRET_BYTES {
            return Err(io::Error::other(format!(
                "it has more than {MAX_SECRET_BYTES} bytes"
            )));
        }
        // Editors and `echo` put one there.
        Ok(text.strip_suffix('\n').map_or(text.clone(), str::to_owned))
    }
}

/// A secret that is not there.
#[derive(Debug, thiserror::Error)]
#[error("its secret `{name}` cannot be read: {reason}")]
pub struct SecretError {
    name: String,
    reason: io::Error,
}

/// What a plugin can read of its operator's words.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    pub plain: BTreeMap<String, String>,
    /// With whole paths.
    pub secrets: BTreeMap<String, SecretSource>,
}

impl Settings {
    /// Of the plugin in `folder`; fails if a secret cannot be read now.
    pub fn new(
        plain: &BTreeMap<String, String>,
        secrets: &BTreeMap<String, SecretSource>,
        folder: &Path,
    ) -> Result<Self, SecretError> {
        let mut secrets = secrets.clone();
        for (name, source) in &mut secrets {
            if let SecretSource::File(path) = source {
                *path = folder.join(&*path);
            }
            source.read().map_err(|reason| SecretError {
                name: name.clone(),
                reason,
            })?;
        }
        Ok(Self {
            plain: plain.clone(),
            secrets,
        })
    }
}
