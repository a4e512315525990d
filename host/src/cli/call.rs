//! `endpointd call`: calls a method through the admin listener of a running host.

use std::collections::HashSet;
use std::io::Read;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use clap::Args;
use clap::builder::NonEmptyStringValueParser;
use serde_json::value::RawValue;

use super::exit_code;
use crate::admin::{CallRequest, CallResponse};
use crate::protocol::json::{self, Json, ObjectWriter};

/// The variable that can be set instead of `--via`.
pub const VIA: &str = "ENDPOINTD_VIA";
/// How much longer than the call itself the way to the host may take.
const HTTP_GRACE: Duration = Duration::from_secs(5);

/// Call a method by way of a running host and print its result.
///
/// The result goes to standard output as JSON; everything else goes to standard error.
#[derive(Debug, Args)]
#[command(
    after_help = "Example: endpointd call q-reports-plugin get_agents --version 1.4 \
                        'filters={\"host\": [\"node1\"]}'"
)]
pub struct Call {
    /// The admin listener of the host to go through
    #[arg(long, env = VIA, value_name = "URL", default_value = "http://127.0.0.1:9797")]
    via: String,
    /// Whom to ask: any server of this topic, or the one after --server
    #[arg(value_parser = NonEmptyStringValueParser::new())]
    topic: String,
    /// What to call
    #[arg(value_parser = NonEmptyStringValueParser::new())]
    method: String,
    /// The arguments: each value is JSON where it parses as JSON, and text otherwise
    #[arg(value_name = "KEY=VALUE")]
    args: Vec<String>,
    /// All arguments as one JSON object; `-` reads it from standard input
    #[arg(long = "args", value_name = "JSON", conflicts_with = "args")]
    all_args: Option<String>,
    /// The request context, a JSON object
    #[arg(long, value_name = "JSON")]
    context: Option<String>,
    /// The namespace asked for [default: the null namespace]
    #[arg(long, value_name = "NAME")]
    namespace: Option<String>,
    /// The version asked for [default: what oslo.messaging takes for 1.0]
    #[arg(long = "version", value_name = "MAJOR.MINOR")]
    rpc_version: Option<String>,
    /// One server of the topic instead of any
    #[arg(long, value_name = "HOST")]
    server: Option<String>,
    /// The exchange [default: the host's own]
    #[arg(long, value_name = "NAME")]
    exchange: Option<String>,
    /// Seconds to wait for the reply
    #[arg(long, value_name = "SECONDS", default_value_t = 60.0, value_parser = seconds)]
    timeout: f64,
    /// Print the whole outcome as one JSON document, failures too
    #[arg(long)]
    json: bool,
}

impl Call {
    pub fn run(self) -> anyhow::Result<ExitCode> {
        let (args, context) = match (self.arguments(), self.context()) {
            (Ok(args), Ok(context)) => (args, context),
            (Err(error), _) | (_, Err(error)) => {
                eprintln!("endpointd: {error:#}");
                return Ok(ExitCode::from(exit_code::USAGE));
            }
        };
        if !self.via.starts_with("http://") {
            eprintln!("endpointd: --via {} is no http:// URL", self.via);
            return Ok(ExitCode::from(exit_code::USAGE));
        }
        let timeout = Duration::from_secs_f64(self.timeout);
        let request = CallRequest {
            topic: self.topic,
            method: self.method,
            args,
            context,
            namespace: self.namespace,
            version: self.rpc_version,
            server: self.server,
            exchange: self.exchange,
            timeout_ms: Some(u64::try_from(timeout.as_millis())?),
        };
        let agent: ureq::Agent = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(timeout + HTTP_GRACE))
            .build()
            .into();
        let url = format!("{}/call", self.via.trim_end_matches('/'));
        let mut response = agent.post(&url).send_json(&request).with_context(|| {
            format!(
                "cannot reach a host at {}: is `endpointd serve` running there?",
                self.via
            )
        })?;
        let status = response.status().as_u16();
        let body = response.body_mut().read_to_string()?;
        if self.json {
            println!("{body}");
        }
        let answer: CallResponse = serde_json::from_str(&body)
            .with_context(|| format!("{url} answered with status {status} and no outcome"))?;
        Ok(ExitCode::from(report(answer, status, self.json)))
    }

    fn arguments(&self) -> anyhow::Result<Json> {
        let text = match self.all_args.as_deref() {
            Some("-") => {
                let mut text = String::new();
                std::io::stdin().read_to_string(&mut text)?;
                text
            }
            Some(text) => text.to_owned(),
            None => return keyword_arguments(&self.args),
        };
        object(text, "--args")
    }

    fn context(&self) -> anyhow::Result<Json> {
        match &self.context {
            Some(text) => object(text.clone(), "--context"),
            None => Ok(json::empty_object()),
        }
    }
}

/// Prints the outcome, and gives the exit code that tells it.
fn report(answer: CallResponse, status: u16, printed: bool) -> u8 {
    match answer {
        CallResponse::Result(result) => {
            if !printed {
                println!("{result}");
            }
            0
        }
        CallResponse::Failure(failure) => {
            if !printed {
                eprintln!("{}.{}: {}", failure.module, failure.class, failure.message);
            }
            exit_code::REMOTE_FAILURE
        }
        CallResponse::Error(error) => {
            if !printed {
                eprintln!("endpointd: {error}");
            }
            match status {
                404 => exit_code::NO_ROUTE,
                422 => exit_code::USAGE,
                504 => exit_code::TIMEOUT,
                _ => exit_code::ERROR,
            }
        }
    }
}

fn keyword_arguments(pairs: &[String]) -> anyhow::Result<Json> {
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

fn object(text: String, flag: &str) -> anyhow::Result<Json> {
    let value = json::checked(text).with_context(|| format!("{flag} is not JSON"))?;
    anyhow::ensure!(json::is_object(&value), "{flag} is not a JSON object");
    Ok(value)
}

fn seconds(text: &str) -> Result<f64, String> {
    /// A day: whoever waits longer wants something else.
    const MAX: f64 = 86_400.0;
    match text.parse::<f64>() {
        Ok(seconds) if seconds > 0.0 && seconds <= MAX => Ok(seconds),
        _ => Err(format!(
            "give a number of seconds above 0 and at most {MAX}"
        )),
    }
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
}
