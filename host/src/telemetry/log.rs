//! Logging set-up: what is logged, where to and in which form.
//!
//! Arguments, results, request contexts and passwords are never logged, at no level.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

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

/// What an author sees at work: each call, and what the plugin logs, without the circumstances.
const FOR_AUTHORS: &str = "info,endpointd::server::executor=debug,endpointd::plugin::engine=warn,\
     endpointd::plugin::loader=warn,wasmtime_wasi_http=off";

/// Writes the log to standard error, for whoever is at work on a plugin and looks at it.
pub fn init_for_author() {
    let builder = tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::new(FOR_AUTHORS))
        .with_writer(std::io::stderr)
        .with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr()))
        .event_format(MessageAlone);
    // Already initialised is the only error, and then there is nothing left to do.
    let _ = builder.try_init();
}

/// A line with the level and the message. The spans around it say what an author knows.
struct MessageAlone;

impl<S, N> FormatEvent<S, N> for MessageAlone
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        _: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> std::fmt::Result {
        let color = match (*event.metadata().level(), writer.has_ansi_escapes()) {
            (_, false) => None,
            (Level::ERROR, _) => Some(31),
            (Level::WARN, _) => Some(33),
            (Level::INFO, _) => Some(32),
            (_, _) => Some(2),
        };
        match color {
            Some(color) => write!(
                writer,
                "\x1b[{color}m{:>5}\x1b[0m ",
                event.metadata().level()
            )?,
            None => write!(writer, "{:>5} ", event.metadata().level())?,
        }
        let mut message = Message(Ok(()), &mut writer);
        event.record(&mut message);
        message.0?;
        writeln!(writer)
    }
}

/// Writes the message of an event, and none of its other fields.
struct Message<'a, 'b>(std::fmt::Result, &'a mut Writer<'b>);

impl Visit for Message<'_, '_> {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        if field.name() == "message" {
            self.0 = write!(self.1, "{value:?}");
        }
    }
}

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
    // What plugins do wrong with HTTP is theirs to log, within their limits.
    let directives = format!("{},wasmtime_wasi_http=off", config.log);
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
