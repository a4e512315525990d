//! What an OpenStack service's own file means to us: its options under our names.

use std::path::PathBuf;

use toml::{Table, Value};

use super::oslo_file::{InvalidOsloFile, OsloFile};
use crate::document;
use crate::transport::amqp::options::{self, InvalidOption};

const DEFAULT: &str = "DEFAULT";
const RABBIT: &str = "oslo_messaging_rabbit";
const TRACING: &str = "oslo_messaging_tracing";

/// Options outside of `[oslo_messaging_rabbit]`: group and name, and our table and key for them. Of
/// those for one key the first that is set counts.
const OPTIONS: &[(&str, &str, Option<&str>, &str, Kind)] = &[
    (DEFAULT, "transport_url", None, "transport_url", Kind::Url),
    (
        DEFAULT,
        "control_exchange",
        None,
        "control_exchange",
        Kind::Text,
    ),
    (DEFAULT, "host", None, "host", Kind::Text),
    (
        DEFAULT,
        "executor_thread_pool_size",
        None,
        "executor_pool_size",
        Kind::Number,
    ),
    (
        DEFAULT,
        "rpc_thread_pool_size",
        None,
        "executor_pool_size",
        Kind::Number,
    ),
    (
        DEFAULT,
        "rpc_response_timeout",
        None,
        "rpc_response_timeout_s",
        Kind::Number,
    ),
    (
        DEFAULT,
        "rpc_ping_enabled",
        None,
        "rpc_ping_enabled",
        Kind::Boolean,
    ),
    (
        TRACING,
        "tracing_enabled",
        Some("tracing"),
        "tracing_enabled",
        Kind::Boolean,
    ),
    (
        TRACING,
        "tracing_service_name",
        Some("tracing"),
        "tracing_service_name",
        Kind::Text,
    ),
    (
        TRACING,
        "otel_exporter_otlp_endpoint",
        Some("tracing"),
        "otel_exporter_otlp_endpoint",
        Kind::Text,
    ),
];

#[derive(Clone, Copy)]
enum Kind {
    Text,
    Url,
    Number,
    Boolean,
}

/// Why OpenStack's files cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum OsloConfigError {
    #[error("cannot read {}: {reason}", path.display())]
    Read {
        path: PathBuf,
        reason: std::io::Error,
    },
    #[error("{0}")]
    File(InvalidOsloFile),
    #[error("{place}: `{option}` needs {needs}")]
    Value {
        place: String,
        option: &'static str,
        needs: &'static str,
    },
    #[error("{place}: {problem}")]
    Rabbit {
        place: String,
        problem: InvalidOption,
    },
}

impl From<InvalidOsloFile> for OsloConfigError {
    fn from(error: InvalidOsloFile) -> Self {
        Self::File(error)
    }
}

/// Reads the files, of which later ones win, into a table as endpointd.toml would give it. Also
/// says which options of RabbitMQ are none: upstream passes over them in silence.
pub(super) fn read(paths: &[PathBuf]) -> Result<(Table, Vec<String>), OsloConfigError> {
    let mut file = OsloFile::default();
    for path in paths {
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(reason) => {
                let path = path.clone();
                return Err(OsloConfigError::Read { path, reason });
            }
        };
        file.read(&path.display().to_string(), &text)?;
    }
    let mut table = Table::new();
    for (group, option, within, key, kind) in OPTIONS {
        let Some(text) = file.get(group, option)?.filter(|text| !text.is_empty()) else {
            continue;
        };
        let value = value(&text, *kind).map_err(|needs| OsloConfigError::Value {
            place: file.origin_of(group, option).unwrap_or_default(),
            option,
            needs,
        })?;
        let table = match within {
            None => &mut table,
            Some(name) => {
                let inner = table.entry(*name).or_insert_with(|| Table::new().into());
                inner.as_table_mut().expect("only tables have these names")
            }
        };
        table.entry(*key).or_insert(value);
    }
    let mut notes = Vec::new();
    let mut rabbit = Table::new();
    for option in file.options(RABBIT) {
        let place = file.origin_of(RABBIT, option).unwrap_or_default();
        if !options::is_known(option) {
            notes.push(format!(
                "{place} sets nothing: oslo.messaging has no option `{option}` in [{RABBIT}]"
            ));
            continue;
        }
        // Without a value it is as if it was not there, as for upstream's numbers.
        let text = file.get(RABBIT, option)?.unwrap_or_default();
        if !text.is_empty() {
            let set = options::table_of_texts([(option, text.as_str())]);
            rabbit.extend(set.map_err(|problem| OsloConfigError::Rabbit { place, problem })?);
        }
    }
    if !rabbit.is_empty() {
        table.insert("rabbit".to_owned(), Value::Table(rabbit));
    }
    Ok((table, notes))
}

fn value(text: &str, kind: Kind) -> Result<Value, &'static str> {
    match kind {
        Kind::Text => Ok(text.into()),
        // Python drops line ends from a URL, so that a list of hosts may have a line for each.
        Kind::Url => Ok(text.replace(['\n', '\r', '\t'], "").into()),
        Kind::Number => {
            let number: Option<i64> = text.trim().replace('_', "").parse().ok();
            number.map(Value::Integer).ok_or("a whole number")
        }
        Kind::Boolean => document::boolean(text)
            .map(Value::Boolean)
            .ok_or("true or false"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_text(text: &str) -> Result<(Table, Vec<String>), OsloConfigError> {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("neutron.conf");
        std::fs::write(&path, text).expect("a file");
        read(&[path])
    }

    #[test]
    fn an_operators_file_needs_no_translation() {
        let text = "[DEFAULT]\ncore_plugin = ml2\nhost = ctl1\nexecutor_thread_pool_size = 8\n\
            transport_url = rabbit://u:p@h1,\n  u:p@h2/v\nrpc_ping_enabled = True\n\
            [oslo_messaging_rabbit]\nrabbit_quorum_queue = true\nheartbeat_rate = 3\n\
            kombu_reconnect_timeout = 5\nrabbit_userid = old\n[database]\nconnection = x://\n";
        let (table, notes) = read_text(text).expect("fine");
        let expected = "transport_url = \"rabbit://u:p@h1,u:p@h2/v\"\nhost = \"ctl1\"\n\
            executor_pool_size = 8\nrpc_ping_enabled = true\n\
            [rabbit]\nrabbit_quorum_queue = true\nkombu_missing_consumer_retry_timeout = 5\n";
        assert_eq!(table, expected.parse::<Table>().expect("TOML"));
        assert_eq!(notes.len(), 1);
        assert!(
            notes[0].contains("neutron.conf line 12 sets nothing"),
            "{notes:?}"
        );
    }

    #[test]
    fn what_cannot_be_honoured_is_refused_by_name_and_place() {
        let refused = |text: &str| read_text(text).expect_err("refused").to_string();
        let error = refused("[oslo_messaging_rabbit]\nkombu_compression = hidden\n");
        assert!(
            error.contains("neutron.conf line 2: the option `kombu_compression`"),
            "{error}"
        );
        assert!(!error.contains("hidden"), "{error}");
        let error = refused("[DEFAULT]\n\nrpc_response_timeout = soon\n");
        let expected = "neutron.conf line 3: `rpc_response_timeout` needs a whole";
        assert!(error.contains(expected), "{error}");
        refused("[oslo_messaging_rabbit]\nssl_enforce_fips_mode = true\n");
    }
}
