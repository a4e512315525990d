//! Logging set-up: what is logged, where to and in which form.
//!
//! Arguments, results, request contexts and passwords are never logged, at no level.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;

/// The `log` and `log_format` keys of endpointd.toml.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// A level or `tracing-subscriber` directives, such as `info,endpointd::plugin=debug`.
    pub log: String,
    pub log_format: LogFormat,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            log: "info".into(),
            log_format: LogFormat::Text,
        }
    }
}

/// How a log line looks.
#[derive(Clone, Copy, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    Text,
    Json,
}

/// Why logging could not be set up.
#[derive(Debug, thiserror::Error)]
#[error(
    "`log = \"{0}\"` is no log filter: write error, warn, info, debug, trace or off, or filters such \
     as \"info,endpointd::plugin=debug\""
)]
pub struct LogError(String);

/// Writes the log to standard error, which leaves standard output to what was asked for.
///
/// A second call changes nothing.
pub fn init(config: &Config) -> Result<(), LogError> {
    let invalid = || LogError(config.log.clone());
    // To the filter any word is the name of some crate, so a slip would silence everything.
    let words = config
        .log
        .split(',')
        .map(str::trim)
        .filter(|word| !word.contains('='));
    for word in words {
        word.parse::<LevelFilter>().map_err(|_| invalid())?;
    }
    // lapin logs returned messages with their bodies, which carry request contexts and so
    // tokens. What an operator needs of it, our transport says itself.
    if config.log.contains("lapin") {
        return Err(invalid());
    }
    // What plugins do wrong with HTTP is theirs to log, within their limits.
    let directives = format!("{},lapin=off,wasmtime_wasi_http=off", config.log);
    let filter = EnvFilter::try_new(&directives).map_err(|_| invalid())?;
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr()));
    // Already initialised is the only error, and then there is nothing left to do.
    let _ = match config.log_format {
        LogFormat::Text => builder.try_init(),
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
    };
    Ok(())
}
