//! The arguments that `call` and `cast` share: what to send, and to whom.

use std::collections::HashSet;
use std::io::Read;
use std::time::Duration;

use anyhow::Context;
use clap::Args;
use clap::builder::NonEmptyStringValueParser;
use serde_json::value::RawValue;

use crate::admin::SendRequest;
use crate::protocol::json::{self, Json, ObjectWriter};

/// A day: whoever waits longer wants something else.
const LONGEST: Duration = Duration::from_secs(86_400);

/// What to send, and to whom.
#[derive(Debug, Args)]
pub struct Message {
    /// Whom to ask: any server of this topic, or the one after --server
    #[arg(value_parser = NonEmptyStringValueParser::new())]
    topic: String,
    /// The method
    #[arg(value_parser = NonEmptyStringValueParser::new())]
    method: String,
    /// The arguments: each value is JSON where it parses as JSON, and text otherwise; the text 5 is
    /// 'key="5"'
    #[arg(value_name = "KEY=VALUE")]
    args: Vec<String>,
    /// All arguments as one JSON object; `-` reads it from standard input
    #[arg(long = "args", value_name = "JSON", conflicts_with = "args")]
    all_args: Option<String>,
    /// The request context, a JSON object; `-` reads it from standard input
    #[arg(long, value_name = "JSON")]
    context: Option<String>,
    /// The namespace asked for [default: the null namespace]
    #[arg(long, value_name = "NAME", value_parser = NonEmptyStringValueParser::new())]
    namespace: Option<String>,
    /// The version asked for, which any server of the same major and this or a later minor version
    /// answers [default: none, which means 1.0]
    #[arg(
        long = "version",
        value_name = "MAJOR.MINOR",
        allow_hyphen_values = true
    )]
    rpc_version: Option<String>,
    /// One server of the topic instead of any
    #[arg(long, value_name = "HOST", value_parser = NonEmptyStringValueParser::new())]
    server: Option<String>,
    /// The exchange [default: `control_exchange` of the configuration, or of the host that is asked]
    #[arg(long, value_name = "NAME", value_parser = NonEmptyStringValueParser::new())]
    exchange: Option<String>,
    /// How long it may take, such as 5, 5s or 500ms [default: `rpc_response_timeout_s` of the
    /// configuration, which is 60 s if that does not say]
    #[arg(long, value_name = "TIME", value_parser = duration, allow_hyphen_values = true)]
    timeout: Option<Duration>,
    /// Print the whole outcome as one JSON document, failures too
    #[arg(long)]
    pub json: bool,
}

impl Message {
    /// The message; an error is one of usage.
    pub fn request(self, fanout: bool) -> anyhow::Result<SendRequest> {
        let from_stdin = |text: &Option<String>| text.as_deref() == Some("-");
        anyhow::ensure!(
            !(from_stdin(&self.all_args) && from_stdin(&self.context)),
            "--args and --context cannot both be read from standard input"
        );
        let args = match &self.all_args {
            Some(text) => object(text, "--args")?,
            None => keyword_arguments(&self.args)?,
        };
        let context = match &self.context {
            Some(text) => object(text, "--context")?,
            None => json::empty_object(),
        };
        let timeout_ms = self.timeout.map(|timeout| timeout.as_millis().try_into());
        Ok(SendRequest {
            topic: self.topic,
            method: self.method,
            args,
            context,
            namespace: self.namespace,
            version: self.rpc_version,
            server: self.server,
            fanout,
            exchange: self.exchange,
            timeout_ms: timeout_ms.transpose()?,
        })
    }
}

/// Arguments of the form KEY=VALUE as one object.
pub fn keyword_arguments(pairs: &[String]) -> anyhow::Result<Json> {
    let mut object = ObjectWriter::default();
    let mut keys = HashSet::new();
    for pair in pairs {
        let (key, value) = pair
            .split_once('=')
            .filter(|(key, _)| !key.is_empty())
            .with_context(|| format!("`{pair}` is no argument: write KEY=VALUE"))?;
        anyhow::ensure!(keys.insert(key), "`{key}` is given twice");
        match serde_json::from_str::<&RawValue>(value) {
            Ok(json) => object.raw(key, json.get()),
            Err(_) => object.text(key, value),
        }
    }
    Ok(json::checked(object.finish())?)
}

/// A JSON object: the text itself, or standard input.
fn object(text: &str, flag: &str) -> anyhow::Result<Json> {
    let text = match text {
        "-" => {
            let mut input = String::new();
            let reading = std::io::stdin().read_to_string(&mut input);
            reading.context("cannot read standard input")?;
            anyhow::ensure!(!input.trim().is_empty(), "{flag}: standard input was empty");
            input
        }
        text => text.to_owned(),
    };
    let value = json::checked(text).with_context(|| format!("{flag} is not JSON"))?;
    anyhow::ensure!(json::is_object(&value), "{flag} is not a JSON object");
    Ok(value)
}

/// Seconds, or a number with `ms`, `s`, `m` or `h` after it.
pub fn duration(text: &str) -> Result<Duration, String> {
    let digits = text.trim_end_matches(|letter: char| letter.is_ascii_alphabetic());
    let unit = match &text[digits.len()..] {
        "ms" => Some(0.001),
        "" | "s" => Some(1.0),
        "m" => Some(60.0),
        "h" => Some(3600.0),
        _ => None,
    };
    let seconds = unit.and_then(|unit| Some(digits.parse::<f64>().ok()? * unit));
    seconds
        .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
        .filter(|duration| (Duration::from_millis(1)..=LONGEST).contains(duration))
        .ok_or_else(|| "write a time of at most a day, such as 5, 5s, 500ms or 2m".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(pairs: &[&str], expected: &str) {
        let pairs: Vec<_> = pairs.iter().map(|pair| (*pair).to_owned()).collect();
        let outcome = match keyword_arguments(&pairs) {
            Ok(object) => object.get().to_owned(),
            Err(error) => error.to_string(),
        };
        assert_eq!(outcome, expected);
    }

    #[test]
    fn values_are_json_where_they_parse_as_json() {
        check(
            &[
                "a=1", "b=[true]", "c=text", "d=1.4.2", "e=", "f=\"1\"", "g=x=y",
            ],
            r#"{"a": 1, "b": [true], "c": "text", "d": "1.4.2", "e": "", "f": "1", "g": "x=y"}"#,
        );
        check(&[], "{}");
        check(&["=x"], "`=x` is no argument: write KEY=VALUE");
        check(&["a=1", "a=2"], "`a` is given twice");
        check(&["nothing"], "`nothing` is no argument: write KEY=VALUE");
    }

    #[test]
    fn a_time_is_a_number_with_or_without_a_unit() {
        for (text, ms) in [
            ("2", 2000),
            ("0.2", 200),
            ("2s", 2000),
            ("500ms", 500),
            ("1.5m", 90_000),
            ("24h", 86_400_000),
        ] {
            assert_eq!(duration(text), Ok(Duration::from_millis(ms)), "{text}");
        }
        for text in [
            "", "s", "0", "-1", "2x", "inf", "NaN", "25h", "1 s", "1e99", "é",
        ] {
            assert!(duration(text).is_err(), "{text}");
        }
    }
}
