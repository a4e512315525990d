//! `endpointd.toml`, overridden by `ENDPOINTD_*` variables, overridden by flags.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;
use toml::{Table, Value};

use crate::document::{self, DocumentError};
use crate::keyvalue::{BucketConfig, BucketName};
use crate::telemetry::LogFormat;
use crate::transport::amqp::options;
use crate::transport::url::{InvalidUrl, TransportUrl};

/// Read if no other file is named, and if it is there.
pub const DEFAULT_FILE: &str = "endpointd.toml";
const ENV_PREFIX: &str = "ENDPOINTD_";

/// Everything that can be set.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Which broker carries the messages; may hold a password.
    transport_url: Option<String>,
    /// A file that holds the URL alone, for those who keep secrets in files.
    transport_url_file: Option<PathBuf>,
    /// The exchange of a target that names none. Neutron's services use `neutron`.
    pub control_exchange: String,
    /// The server's name: calls to one host go to `TOPIC.HOST`.
    pub host: String,
    pub plugin_dir: PathBuf,
    /// Where buckets of the `file` backend are kept.
    pub data_dir: PathBuf,
    /// Requests that are answered at the same time.
    pub executor_pool_size: usize,
    /// How long a call from this host waits for its reply.
    pub rpc_response_timeout_s: u64,
    /// How long accepted requests may still run after a stop was asked for.
    pub shutdown_grace_s: u64,
    pub log: String,
    pub log_format: LogFormat,
    pub admin: AdminConfig,
    pub rabbit: options::Config,
    pub keyvalue: BTreeMap<BucketName, BucketConfig>,
}

/// The `[admin]` table.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AdminConfig {
    /// Whether the admin listener runs at all.
    pub enabled: bool,
    pub listen: SocketAddr,
}

impl Default for AdminConfig {
    fn default() -> Self {
        Self {
            enabled: true,
            listen: SocketAddr::from(([127, 0, 0, 1], 9797)),
        }
    }
}

impl Default for Config {
    fn default() -> Self {
        let telemetry = crate::telemetry::Config::default();
        Self {
            transport_url: None,
            transport_url_file: None,
            control_exchange: "neutron".to_owned(),
            host: host_name(),
            plugin_dir: "plugins".into(),
            data_dir: "data".into(),
            executor_pool_size: 64,
            rpc_response_timeout_s: 60,
            shutdown_grace_s: 30,
            log: telemetry.log,
            log_format: telemetry.log_format,
            admin: AdminConfig::default(),
            rabbit: options::Config::default(),
            keyvalue: BTreeMap::new(),
        }
    }
}

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error("cannot read {}: {reason}", path.display())]
    Read {
        path: PathBuf,
        reason: std::io::Error,
    },
    #[error("{origin}: {reason}")]
    Document {
        origin: String,
        reason: DocumentError,
    },
    #[error(transparent)]
    Url(#[from] InvalidUrl),
    #[error("`transport_url` and `transport_url_file` are both set: keep one")]
    TwoUrls,
    #[error("{0}")]
    Invalid(String),
}

impl Config {
    /// Reads the file (the default one only if it is there), then the variables, then the flags,
    /// given as keys and values.
    ///
    /// Also gives what an operator should hear of but what is no error: Kubernetes sets
    /// `ENDPOINTD_PORT` and its like for a service of that name.
    pub fn load(
        file: Option<&Path>,
        environment: impl Iterator<Item = (String, String)>,
        flags: Table,
    ) -> Result<(Self, Vec<String>), ConfigError> {
        let (mut table, origin) = read_file(file)?;
        let mut notes = Vec::new();
        if file.is_none() && !Path::new(DEFAULT_FILE).exists() {
            notes.push(format!(
                "There is no {DEFAULT_FILE} here: what is not set is the default"
            ));
        }
        for (name, value) in environment {
            let Some(key) = name.strip_prefix(ENV_PREFIX) else {
                continue;
            };
            let path = key.to_ascii_lowercase();
            match set(&mut table, &path, &value) {
                Ok(()) => {}
                Err(error) if error.is_unknown_key() => {
                    notes.push(format!("{name} sets nothing: there is no key `{path}`"));
                }
                Err(reason) => {
                    let origin = format!("the variable {name}");
                    return Err(ConfigError::Document { origin, reason });
                }
            }
        }
        for (key, value) in flags {
            table.insert(key, value);
        }
        let config: Self = document::from_table(table)
            .map_err(|reason| ConfigError::Document { origin, reason })?;
        config.check()?;
        Ok((config, notes))
    }

    /// The broker to use, from the key or from the file that holds it.
    pub fn transport_url(&self) -> Result<TransportUrl, ConfigError> {
        let text = match (&self.transport_url, &self.transport_url_file) {
            (Some(_), Some(_)) => return Err(ConfigError::TwoUrls),
            (Some(url), None) => url.clone(),
            (None, None) => "rabbit://".to_owned(),
            (None, Some(path)) => match std::fs::read_to_string(path) {
                Ok(url) => url.trim().to_owned(),
                Err(reason) => {
                    let path = path.clone();
                    return Err(ConfigError::Read { path, reason });
                }
            },
        };
        Ok(text.parse()?)
    }

    pub fn response_timeout(&self) -> Duration {
        Duration::from_secs(self.rpc_response_timeout_s)
    }

    pub fn shutdown_grace(&self) -> Duration {
        Duration::from_secs(self.shutdown_grace_s)
    }

    pub fn telemetry(&self) -> crate::telemetry::Config {
        crate::telemetry::Config {
            log: self.log.clone(),
            log_format: self.log_format,
        }
    }

    fn check(&self) -> Result<(), ConfigError> {
        let problem = match () {
            () if !(1..=10_000).contains(&self.executor_pool_size) => {
                "`executor_pool_size` must be between 1 and 10000"
            }
            () if !(1..=100).contains(&self.host.len()) => "`host` must have 1 to 100 bytes",
            () if !(1..=255).contains(&self.control_exchange.len()) => {
                "`control_exchange` must have 1 to 255 bytes"
            }
            () if self.rpc_response_timeout_s == 0 => "`rpc_response_timeout_s` must not be 0",
            () => return Ok(()),
        };
        Err(ConfigError::Invalid(problem.to_owned()))
    }
}

fn read_file(file: Option<&Path>) -> Result<(Table, String), ConfigError> {
    let path = file.unwrap_or(Path::new(DEFAULT_FILE));
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if file.is_none() && error.kind() == std::io::ErrorKind::NotFound => {
            return Ok((Table::new(), "configuration".to_owned()));
        }
        Err(reason) => {
            let path = path.to_owned();
            return Err(ConfigError::Read { path, reason });
        }
    };
    let origin = path.display().to_string();
    let failed = |reason| ConfigError::Document {
        origin: origin.clone(),
        reason,
    };
    // Read as a whole first, since only then an error can name its line.
    document::parse::<Config>(&text).map_err(failed)?;
    let mut table = document::parse(&text).map_err(failed)?;
    rebase(&mut table, path.parent().unwrap_or(Path::new("")));
    Ok((table, origin))
}

/// A relative path is relative to the file, wherever the daemon is started; so are the defaults.
fn rebase(table: &mut Table, folder: &Path) {
    let defaults = Config::default();
    for (key, path) in [
        ("plugin_dir", defaults.plugin_dir),
        ("data_dir", defaults.data_dir),
    ] {
        let path = path.to_string_lossy().into_owned();
        table.entry(key).or_insert(Value::String(path));
    }
    let rebase_key = |table: &mut Table, key: &str| {
        if let Some(Value::String(path)) = table.get_mut(key) {
            *path = folder.join(&*path).to_string_lossy().into_owned();
        }
    };
    for key in ["plugin_dir", "data_dir", "transport_url_file"] {
        rebase_key(table, key);
    }
    let buckets = table.get_mut("keyvalue").and_then(Value::as_table_mut);
    for (_, bucket) in buckets.into_iter().flatten() {
        if let Some(bucket) = bucket.as_table_mut() {
            rebase_key(bucket, "path");
        }
    }
}

/// Sets a key from a variable: `admin__listen` is `listen` in `[admin]`.
fn set(table: &mut Table, path: &str, text: &str) -> Result<(), DocumentError> {
    let as_text = insert(table.clone(), path, text.into());
    // `host = 123` is a number to TOML but a name to us: what fits decides.
    if let Ok(value) = text.parse::<Value>() {
        let as_typed = insert(table.clone(), path, value);
        if document::from_table::<Config>(as_typed.clone()).is_ok() {
            *table = as_typed;
            return Ok(());
        }
    }
    document::from_table::<Config>(as_text.clone())?;
    *table = as_text;
    Ok(())
}

fn insert(mut table: Table, path: &str, value: Value) -> Table {
    match path.split_once("__") {
        None => {
            table.insert(path.to_owned(), value);
        }
        Some((head, rest)) => {
            let inner = match table.remove(head) {
                Some(Value::Table(inner)) => inner,
                _ => Table::new(),
            };
            table.insert(head.to_owned(), insert(inner, rest, value).into());
        }
    }
    table
}

fn host_name() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    match name.trim() {
        "" => "localhost".to_owned(),
        name => name.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(
        text: &str,
        environment: &[(&str, &str)],
    ) -> Result<(Config, Vec<String>), ConfigError> {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("endpointd.toml");
        std::fs::write(&path, text).expect("a file");
        let environment = environment
            .iter()
            .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()));
        Config::load(Some(&path), environment, Table::new())
    }

    #[test]
    fn variables_override_the_file_and_flags_override_both() {
        let text = "host = \"a\"\n[admin]\nlisten = \"127.0.0.1:1\"\n";
        let environment = [
            ("ENDPOINTD_HOST", "123"),
            ("ENDPOINTD_EXECUTOR_POOL_SIZE", "7"),
            ("ENDPOINTD_ADMIN__LISTEN", "127.0.0.1:2"),
            ("OTHER", "x"),
        ];
        let (config, unknown) = load(text, &environment).expect("a configuration");
        assert_eq!(config.host, "123");
        assert_eq!(config.executor_pool_size, 7);
        assert_eq!(config.admin.listen.port(), 2);
        assert!(unknown.is_empty());
    }

    #[test]
    fn a_variable_that_sets_nothing_is_told_and_is_no_error() {
        let (_, unknown) = load("", &[("ENDPOINTD_PORT", "tcp://10.0.0.1:80")]).expect("fine");
        assert_eq!(
            unknown,
            ["ENDPOINTD_PORT sets nothing: there is no key `port`"]
        );
    }

    #[test]
    fn a_wrong_value_in_a_variable_is_an_error() {
        let error = load("", &[("ENDPOINTD_EXECUTOR_POOL_SIZE", "many")]).expect_err("wrong");
        assert_eq!(
            error.to_string(),
            "the variable ENDPOINTD_EXECUTOR_POOL_SIZE: invalid type: expected a whole number"
        );
        // Set by mistake to what belongs elsewhere: nothing of it is repeated.
        let error = load("", &[("ENDPOINTD_RABBIT", "rabbit://u:hidden@h")]).expect_err("wrong");
        assert!(!error.to_string().contains("hidden"), "{error}");
    }

    #[test]
    fn an_unknown_key_names_the_file_the_line_and_the_nearest_key() {
        let error = load("\nexecutor_pool_sise = 3\n", &[])
            .expect_err("wrong")
            .to_string();
        assert!(
            error.ends_with(
                "endpointd.toml: line 2: unknown key `executor_pool_sise`: did you mean \
                 `executor_pool_size`?"
            ),
            "{error}"
        );
    }

    #[test]
    fn a_relative_path_is_relative_to_the_file() {
        let text = "plugin_dir = \"p\"\n[keyvalue.b]\nbackend = \"file\"\npath = \"/x/y\"\n";
        let (config, _) = load(text, &[]).expect("fine");
        assert!(config.plugin_dir.is_absolute() && config.plugin_dir.ends_with("p"));
        assert!(config.data_dir.is_absolute() && config.data_dir.ends_with("data"));
        let bucket = config.keyvalue.values().next().expect("a bucket");
        assert_eq!(bucket.path.as_deref(), Some(Path::new("/x/y")));
    }

    #[test]
    fn the_url_may_stand_in_a_file_but_not_in_two_places() {
        let folder = tempfile::tempdir().expect("a folder");
        let secret = folder.path().join("url");
        std::fs::write(&secret, "memory://\n").expect("a file");
        let line = format!("transport_url_file = {:?}\n", secret.display().to_string());
        let (config, _) = load(&line, &[]).expect("fine");
        assert_eq!(config.transport_url().expect("a URL"), TransportUrl::Memory);
        let (config, _) = load(&line, &[("ENDPOINTD_TRANSPORT_URL", "memory://")]).expect("fine");
        assert!(matches!(config.transport_url(), Err(ConfigError::TwoUrls)));
    }
}
