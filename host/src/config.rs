//! `endpointd.toml`, overridden by `ENDPOINTD_*` variables, overridden by flags; below them what an
//! OpenStack service's own files set.

mod oslo_file;
mod oslo_options;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use toml::{Table, Value};

use self::oslo_options::OsloConfigError;
use crate::document::{self, DocumentError};
use crate::keyvalue::{BucketConfig, BucketName};
use crate::telemetry::log::{self, LogFormat};
use crate::telemetry::trace;
use crate::transport::amqp::options::{self, InvalidOption};
use crate::transport::url::{InvalidUrl, TransportUrl};

/// Read if no other file is named, and if it is there.
pub const DEFAULT_FILE: &str = "endpointd.toml";
const ENV_PREFIX: &str = "ENDPOINTD_";

/// A year: more than anybody waits, and few enough to be added to any time.
const MAX_SECONDS: u64 = 31_536_000;

/// Everything that can be set.
#[derive(Clone, Debug, Deserialize, JsonSchema, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Which broker carries the messages: `rabbit://USER:PASSWORD@HOST:PORT,HOST2.../VHOST`, or
    /// `memory://`. What is left out is `guest:guest@127.0.0.1:5672`, virtual host `/`. Options of
    /// `[rabbit]` may follow after `?`, and win over those of the file.
    transport_url: Option<String>,
    /// A file that holds the URL alone, to keep the password out of this one.
    transport_url_file: Option<PathBuf>,
    /// The exchange that the topics' queues are bound to, and of a target that names none.
    pub control_exchange: String,
    /// This server's name: calls to it alone go to `TOPIC.HOST`. The machine's name if it is not
    /// given.
    pub host: String,
    /// The folder of plugins.
    pub plugin_dir: PathBuf,
    /// Where compiled code and the buckets of the `file` backend are kept.
    pub data_dir: PathBuf,
    /// Requests of one topic that are answered at the same time; the rest stays with the broker.
    pub executor_pool_size: usize,
    /// Messages of one topic that are remembered, to drop those that come twice. Upstream has 16,
    /// which a busy topic outruns in a millisecond.
    pub duplicate_window: usize,
    /// Each topic also answers `oslo_rpc_server_ping`, for probes.
    pub rpc_ping_enabled: bool,
    /// Seconds that a call of `endpointd call` or `POST /call` waits which names no time.
    pub rpc_response_timeout_s: u64,
    /// Seconds that accepted requests may run on after a stop was asked for.
    pub shutdown_grace_s: u64,
    /// `error`, `warn`, `info`, `debug`, `trace`, `off`, or filters such as
    /// `info,endpointd::plugin=debug`.
    pub log: String,
    /// `text` or `json`.
    pub log_format: LogFormat,
    pub admin: AdminConfig,
    pub tracing: trace::Config,
    pub rabbit: options::Config,
    pub keyvalue: BTreeMap<BucketName, BucketConfig>,
}

/// The `[admin]` table.
#[derive(Clone, Debug, Deserialize, JsonSchema, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct AdminConfig {
    /// Whether the admin listener runs at all.
    pub enabled: bool,
    /// Where it listens.
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
        let logging = log::Config::default();
        Self {
            transport_url: None,
            transport_url_file: None,
            control_exchange: "neutron".to_owned(),
            host: String::new(),
            plugin_dir: "plugins".into(),
            data_dir: "data".into(),
            executor_pool_size: 64,
            duplicate_window: 4096,
            rpc_ping_enabled: false,
            rpc_response_timeout_s: 60,
            shutdown_grace_s: 30,
            log: logging.log,
            log_format: logging.log_format,
            admin: AdminConfig::default(),
            tracing: trace::Config::default(),
            rabbit: options::Config::default(),
            keyvalue: BTreeMap::new(),
        }
    }
}

/// Where a configuration comes from, besides the environment.
#[derive(Debug, Default)]
pub struct Sources<'a> {
    /// endpointd.toml; the default one, if it is there, where none is named.
    pub file: Option<&'a Path>,
    /// OpenStack services' own files, the later ones over the earlier.
    pub oslo_files: &'a [PathBuf],
    /// Keys and values from the command line.
    pub flags: Table,
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
    #[error("`transport_url` with [rabbit]: {0}")]
    UrlOption(InvalidOption),
    #[error("[rabbit]: {0}")]
    Rabbit(InvalidOption),
    #[error(transparent)]
    Oslo(#[from] OsloConfigError),
    #[error("`transport_url` and `transport_url_file` are both set: keep one")]
    TwoUrls,
    #[error("{0}")]
    Invalid(String),
}

impl Config {
    /// Reads the OpenStack files, over them endpointd.toml, over it the variables, over them the
    /// flags.
    ///
    /// Also gives what an operator should hear of but what is no error: Kubernetes sets
    /// `ENDPOINTD_PORT` and its like for a service of that name.
    pub fn load(
        sources: Sources<'_>,
        environment: impl Iterator<Item = (String, String)>,
    ) -> Result<(Self, Vec<String>), ConfigError> {
        let (own, origin) = read_file(sources.file)?;
        let (mut table, mut notes) = oslo_options::read(sources.oslo_files)?;
        // Alone first, so that an error is about the right file.
        document::from_table::<Self>(table.clone()).map_err(|reason| {
            let files = sources
                .oslo_files
                .iter()
                .map(|path| path.display().to_string());
            let origin = files.collect::<Vec<_>>().join(", ");
            ConfigError::Document { origin, reason }
        })?;
        overlay(&mut table, own);
        let mut variables = Table::new();
        for (name, value) in environment {
            let Some(key) = name.strip_prefix(ENV_PREFIX) else {
                continue;
            };
            let path = key.to_ascii_lowercase();
            match set(&mut variables, &path, &value) {
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
        overlay(&mut table, variables);
        overlay(&mut table, sources.flags);
        let mut config: Self = document::from_table(table)
            .map_err(|reason| ConfigError::Document { origin, reason })?;
        for name in [&mut config.host, &mut config.rabbit.hostname] {
            if name.is_empty() {
                *name = host_name();
            }
        }
        config.check()?;
        Ok((config, notes))
    }

    /// RabbitMQ's options for `url`, whose own win over the file's.
    pub fn rabbit_options(&self, url: &TransportUrl) -> Result<options::Config, ConfigError> {
        let TransportUrl::Rabbit(url) = url else {
            return Ok(self.rabbit.clone());
        };
        let texts = url.options.iter().map(|(name, text)| (&**name, &**text));
        let options = self.rabbit.with_texts(texts);
        let options = options.map_err(ConfigError::UrlOption)?;
        // Together they are judged where the last word on them stands.
        let place = match url.options.is_empty() {
            true => ConfigError::Rabbit,
            false => ConfigError::UrlOption,
        };
        options.check().map_err(place)?;
        Ok(options)
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

    pub fn log(&self) -> log::Config {
        log::Config {
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
            () if self.duplicate_window > 1_000_000 => "`duplicate_window` must be at most 1000000",
            () if !(1..=MAX_SECONDS).contains(&self.rpc_response_timeout_s) => {
                "`rpc_response_timeout_s` must be between 1 and 31536000, a year"
            }
            () if self.shutdown_grace_s > MAX_SECONDS => {
                "`shutdown_grace_s` must be at most 31536000, a year"
            }
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
        if let Some(Value::String(path)) = table.get_mut(key)
            && !path.is_empty()
        {
            *path = folder.join(&*path).to_string_lossy().into_owned();
        }
    };
    for key in ["plugin_dir", "data_dir", "transport_url_file"] {
        rebase_key(table, key);
    }
    if let Some(rabbit) = table.get_mut("rabbit").and_then(Value::as_table_mut) {
        for key in ["ssl_ca_file", "ssl_cert_file", "ssl_key_file"] {
            rebase_key(rabbit, key);
        }
    }
    let buckets = table.get_mut("keyvalue").and_then(Value::as_table_mut);
    for (_, bucket) in buckets.into_iter().flatten() {
        if let Some(bucket) = bucket.as_table_mut() {
            rebase_key(bucket, "path");
        }
    }
}

/// Sets everything in `above` over `table`, tables key by key. A URL may be given in two ways, of
/// which the one above wins.
fn overlay(table: &mut Table, above: Table) {
    let urls = ["transport_url", "transport_url_file"];
    if urls.iter().any(|key| above.contains_key(*key)) {
        urls.iter().for_each(|key| drop(table.remove(*key)));
    }
    for (key, value) in above {
        match (table.get_mut(&key), value) {
            (Some(Value::Table(inner)), Value::Table(above)) => overlay(inner, above),
            (_, value) => drop(table.insert(key, value)),
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
        let sources = Sources {
            file: Some(&path),
            ..Sources::default()
        };
        Config::load(sources, environment)
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
    fn options_of_the_url_win_over_those_of_the_file() {
        let text = "transport_url = \"rabbit://h?rabbit_qos_prefetch_count=3&ssl=yes\"\n\
                    [rabbit]\nrabbit_qos_prefetch_count = 2\namqp_durable_queues = true\n";
        let (config, _) = load(text, &[]).expect("fine");
        let options = |config: &Config| match config.transport_url() {
            Ok(url @ TransportUrl::Rabbit(_)) => config.rabbit_options(&url),
            other => panic!("{other:?}"),
        };
        let found = options(&config).expect("fine");
        assert_eq!(found.rabbit_qos_prefetch_count, 3);
        assert!(found.ssl && found.amqp_durable_queues);
        for wrong in [
            "rpc_response_timeout=5",
            "ssl=perhaps",
            "rabbit_stream_fanout=1",
        ] {
            let text = format!("transport_url = \"rabbit://h?{wrong}\"");
            let (config, _) = load(&text, &[]).expect("a URL is looked at later");
            options(&config).expect_err(wrong);
        }
    }

    #[test]
    fn the_url_may_stand_in_a_file_but_not_in_two_places() {
        let folder = tempfile::tempdir().expect("a folder");
        let secret = folder.path().join("url");
        std::fs::write(&secret, "memory://\n").expect("a file");
        let line = format!("transport_url_file = {:?}\n", secret.display().to_string());
        let (config, _) = load(&line, &[]).expect("fine");
        assert_eq!(config.transport_url().expect("a URL"), TransportUrl::Memory);
        let (config, _) = load(&line, &[("ENDPOINTD_TRANSPORT_URL", "rabbit://")]).expect("fine");
        assert!(matches!(
            config.transport_url(),
            Ok(TransportUrl::Rabbit(_))
        ));
        let both = format!("{line}transport_url = \"memory://\"\n");
        let (config, _) = load(&both, &[]).expect("fine");
        assert!(matches!(config.transport_url(), Err(ConfigError::TwoUrls)));
    }
}
