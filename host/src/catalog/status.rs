//! What operators are told of a plugin.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::SystemTime;

use humantime::format_rfc3339_seconds;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::plugin::Plugin;
use crate::plugin::tally::{Problem, Tally};

/// The state of one plugin, for whoever asks.
#[derive(Clone)]
pub struct Entry {
    pub name: String,
    /// What serves, if anything does.
    pub current: Option<Arc<Plugin>>,
    /// The generation that `rollback` returns to.
    pub previous: Option<String>,
    /// The generation in the folder; `None` if it cannot be read.
    pub on_disk: Option<String>,
    /// Why that is not what serves.
    pub problem: Option<String>,
    pub since: SystemTime,
    pub tally: Arc<Tally>,
}

/// One line of `GET /plugins`.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct PluginStatus {
    pub name: String,
    pub state: State,
    /// Of plugin.toml and the Wasm file, together: the one that serves.
    pub generation: Option<String>,
    /// The one in the folder, which is another while it does not load, or after a rollback.
    pub on_disk: Option<String>,
    /// The one that `endpointd rollback` returns to.
    pub previous: Option<String>,
    /// When what serves began to; in RFC 3339.
    pub since: String,
    pub topics: Vec<String>,
    /// As `NAMESPACE VERSION`, each with its methods.
    pub targets: Vec<TargetStatus>,
    pub grants: Value,
    /// Imports that are denied whenever they are called, with the line that would grant each.
    pub denied_imports: Value,
    pub limits: Value,
    pub lifecycle: Value,
    /// Also those that wait for a request.
    pub live_instances: usize,
    /// Since the host was started.
    pub instances_made: u64,
    pub calls: u64,
    /// Calls that the plugin answered with a failure of its own.
    pub failures: u64,
    pub timeouts: u64,
    pub traps: u64,
    pub out_of_memory: u64,
    /// Calls that another limit ended.
    pub limit_exceeded: u64,
    /// Calls that were ended as they used what is not granted.
    pub denied: u64,
    pub invalid_replies: u64,
    /// Calls that were not given to it, as the request is beyond a limit.
    pub invalid_requests: u64,
    /// Calls that found something gone that was granted.
    pub unavailable: u64,
    /// Calls that found no free instance in time.
    pub busy: u64,
    /// Calls that were refused, as it had trapped again and again.
    pub refused: u64,
    /// How long it is still given a rest for that, if it is.
    pub rests_ms: Option<u64>,
    /// How often each limit was reached, by its name.
    pub limits_reached: BTreeMap<String, u64>,
    /// How often something was asked for that is not granted.
    pub times_denied: u64,
    /// Of the generation that serves, beyond its limit.
    pub dropped_log_lines: u64,
    pub last_error: Option<LastError>,
    /// Why the generation in the folder does not serve.
    pub problem: Option<String>,
}

#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    Serving,
    /// What serves is older than what is in the folder, which does not load.
    Outdated,
    /// What serves is what was before, on the word of an operator.
    RolledBack,
    /// Nothing of it serves.
    Failed,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct TargetStatus {
    pub namespace: Option<String>,
    pub version: String,
    pub methods: Vec<String>,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct LastError {
    /// In RFC 3339.
    pub at: String,
    pub text: String,
}

impl Entry {
    pub fn status(&self) -> PluginStatus {
        let current = self.current.as_deref();
        let tally = &self.tally;
        let manifest = current.map(Plugin::manifest);
        let targets = current.map(Plugin::targets).unwrap_or_default();
        PluginStatus {
            name: self.name.clone(),
            state: match (current, &self.problem) {
                (None, _) => State::Failed,
                (Some(_), Some(_)) => State::Outdated,
                (Some(current), None) => match &self.on_disk {
                    Some(on_disk) if on_disk != current.generation() => State::RolledBack,
                    _ => State::Serving,
                },
            },
            generation: current.map(|plugin| plugin.generation().to_owned()),
            on_disk: self.on_disk.clone(),
            previous: self.previous.clone(),
            since: format_rfc3339_seconds(self.since).to_string(),
            topics: manifest
                .map(|manifest| manifest.topics.clone())
                .unwrap_or_default(),
            targets: targets
                .iter()
                .map(|target| TargetStatus {
                    namespace: target.namespace.clone(),
                    version: target.version.to_string(),
                    methods: target.methods.clone(),
                })
                .collect(),
            grants: manifest.map_or(Value::Null, |manifest| json!(manifest.grants)),
            denied_imports: current.map_or(Value::Null, |plugin| json!(plugin.denied())),
            limits: manifest.map_or(Value::Null, |manifest| json!(manifest.limits)),
            lifecycle: manifest.map_or(Value::Null, |manifest| json!(manifest.lifecycle)),
            live_instances: tally.live(),
            instances_made: tally.instances_made(),
            calls: tally.calls(),
            failures: tally.failures(),
            timeouts: tally.problems(Problem::TimedOut),
            traps: tally.problems(Problem::Trapped),
            out_of_memory: tally.problems(Problem::OutOfMemory),
            limit_exceeded: tally.problems(Problem::LimitExceeded),
            denied: tally.problems(Problem::Denied),
            invalid_replies: tally.problems(Problem::InvalidReply),
            invalid_requests: tally.problems(Problem::InvalidRequest),
            unavailable: tally.problems(Problem::Unavailable),
            busy: tally.problems(Problem::Busy),
            refused: tally.problems(Problem::Resting),
            rests_ms: current
                .and_then(Plugin::resting)
                .map(|left| left.as_millis() as u64),
            limits_reached: tally
                .meter()
                .counts()
                .into_iter()
                .map(|(name, count)| (name.to_owned(), count))
                .collect(),
            times_denied: tally.meter().times_denied(),
            dropped_log_lines: current.map_or(0, Plugin::dropped_log_lines),
            last_error: tally.last_problem().map(|(at, text)| LastError {
                at: format_rfc3339_seconds(at).to_string(),
                text,
            }),
            problem: self.problem.clone(),
        }
    }
}
