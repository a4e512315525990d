//! Reads TOML that a person wrote: `endpointd.toml` and `plugin.toml`.
//!
//! A key that is not known is an error that names the nearest known one; nothing is ignored.

use serde::de::DeserializeOwned;

/// Why a document was refused, in words for its author.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct DocumentError(String);

impl DocumentError {
    /// Whether it is about a key that does not exist, rather than about a value.
    pub fn is_unknown_key(&self) -> bool {
        self.0.contains(UNKNOWN_KEY)
    }
}

const UNKNOWN_KEY: &str = "unknown key `";

/// Reads `text` into `T`, which must refuse unknown fields.
pub fn parse<T: DeserializeOwned>(text: &str) -> Result<T, DocumentError> {
    toml::from_str(text).map_err(|error| DocumentError(explain(&error, Some(text))))
}

/// Reads an already parsed table into `T`, which must refuse unknown fields.
pub fn from_table<T: DeserializeOwned>(table: toml::Table) -> Result<T, DocumentError> {
    T::deserialize(toml::Value::Table(table)).map_err(|error| DocumentError(explain(&error, None)))
}

/// What `text` says as oslo.config reads it (types.py: `Boolean`).
pub fn boolean(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "1" | "yes" | "on" => Some(true),
        "false" | "0" | "no" | "off" => Some(false),
        _ => None,
    }
}

/// The name in `known` that `word` was probably meant to be.
pub fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    /// Below this two words are not a slip of the keyboard but different words.
    const MIN_SIMILARITY: f64 = 0.75;
    known
        .into_iter()
        .map(|name| (strsim::jaro_winkler(word, name), name))
        .filter(|(similarity, _)| *similarity >= MIN_SIMILARITY)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, name)| name)
}

fn explain(error: &toml::de::Error, text: Option<&str>) -> String {
    let line = match (error.span(), text) {
        (Some(span), Some(text)) => {
            let before = text.get(..span.start).unwrap_or_default();
            format!("line {}: ", before.matches('\n').count() + 1)
        }
        _ => String::new(),
    };
    let message = error.message();
    // serde's wording: "unknown field `x`, expected one of `a`, `b`".
    let mut quoted = message.split('`').skip(1).step_by(2);
    if !message.starts_with("unknown field") {
        return format!("{line}{}", without_value(message));
    }
    let word = quoted.next().unwrap_or_default();
    match nearest(word, quoted) {
        Some(name) => format!("{line}{UNKNOWN_KEY}{word}`: did you mean `{name}`?"),
        None => {
            let expected = message
                .split_once("expected")
                .map_or("", |(_, known)| known);
            format!("{line}{UNKNOWN_KEY}{word}`: expected{expected}")
        }
    }
}

/// serde repeats a value that is wrong where it is, and that may be a URL with a password.
fn without_value(message: &str) -> String {
    if message.starts_with("unknown variant `")
        && let Some((_, expected)) = message.rsplit_once("`, expected ")
    {
        return format!("expected {expected}");
    }
    let problem = VALUES.iter().find_map(|value| message.split_once(value));
    let expected = message.rsplit_once(", expected ");
    let message = match (problem, expected) {
        (Some((problem, _)), Some((_, expected))) => format!("{problem}: expected {expected}"),
        _ => message.to_owned(),
    };
    let plain = WORDS
        .iter()
        .find(|(technical, _)| message.ends_with(technical));
    match plain {
        Some((technical, plain)) => {
            format!("{}{plain}", &message[..message.len() - technical.len()])
        }
        None => message,
    }
}

/// What serde repeats a value after. A text comes first, as it may have any of the others in it.
const VALUES: &[&str] = &[
    ": string \"",
    ": integer `",
    ": floating point `",
    ": boolean `",
];

/// What serde calls things, and what their author calls them.
const WORDS: &[(&str, &str)] = &[
    ("expected u16", "expected a whole number up to 65535"),
    ("expected u32", "expected a whole number up to 4294967295"),
    ("expected u64", "expected a whole number"),
    ("expected i32", "expected a whole number"),
    ("expected usize", "expected a whole number"),
    ("expected a sequence", "expected a list"),
    ("expected a boolean", "expected true or false"),
    ("expected a string", "expected a text in quotes"),
    (
        "invalid socket address syntax",
        "expected ADDRESS:PORT, such as \"127.0.0.1:9797\"",
    ),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only whether it parses is looked at")]
    struct Sample {
        memory_mib: u32,
        timeout_ms: u32,
    }

    #[track_caller]
    fn check(text: &str, expected: &str) {
        let error = parse::<Sample>(text).expect_err("the document is wrong");
        assert_eq!(error.to_string(), expected);
    }

    #[test]
    fn an_unknown_key_names_its_line_and_the_nearest_known_key() {
        check(
            "memory_mib = 1\n\ntimout_ms = 2\n",
            "line 3: unknown key `timout_ms`: did you mean `timeout_ms`?",
        );
    }

    #[test]
    fn a_key_like_no_other_lists_the_known_ones() {
        check(
            "colour = 1",
            "line 1: unknown key `colour`: expected `memory_mib` or `timeout_ms`",
        );
    }

    #[test]
    fn a_wrong_word_is_not_repeated() {
        let message = "unknown variant `hid`, expected den`, expected one of `a`, `b`";
        assert_eq!(without_value(message), "expected one of `a`, `b`");
    }

    #[test]
    fn a_wrong_type_names_its_line() {
        check(
            "memory_mib = \"much\"\ntimeout_ms = 2",
            "line 1: invalid type: expected a whole number up to 4294967295",
        );
    }

    #[test]
    fn a_number_that_does_not_fit_says_what_does_and_is_not_repeated() {
        for value in ["-5", "5000000000", "5.5", "true"] {
            let error = parse::<Sample>(&format!("memory_mib = {value}")).expect_err("wrong");
            let text = error.to_string();
            assert!(
                text.ends_with("expected a whole number up to 4294967295"),
                "{text}"
            );
            assert!(!text.contains(value), "{text}");
        }
    }
}
