//! neutron's agent reports: what `neutron.agent.rpc.PluginReportStateAPI` calls, with the
//! semantics of `neutron/db/agents_db.py: AgentExtRpcCallback`.
//!
//! Agents are kept in the bucket `agents`, one key an agent, so that several hosts can serve one
//! topic.

mod agent;
mod timestamp;

use endpointd_guest::client::{self, Target};
use endpointd_guest::keyvalue::{self, Bucket};
use endpointd_guest::{Failure, Result, builtins, call_info, clock, config, endpoint, log};
use serde_json::{Map, Value, json};
use time::Duration;

use crate::agent::{Agent, Report, Settings, Status, key};
use crate::timestamp::Timestamp;

type Arguments = Map<String, Value>;

#[derive(Default)]
struct ReportState;

#[endpoint(version = "1.4")]
impl ReportState {
    /// Stores an agent's report and tells how the agent looks from here: `new`, `alive` or
    /// `revived`; null for a report that waited in a queue since before this host started.
    pub fn report_state(&self, #[kwargs] arguments: Arguments) -> Result<Option<Status>> {
        let sent_at = Timestamp::of_report(required(&arguments, "time")?)?;
        let outer = required(&arguments, "agent_state")?;
        let report = outer
            .get("agent_state")
            .ok_or_else(|| builtins::key_error("agent_state"))?;
        let settings = settings()?;
        let now = Timestamp::from(clock::now());
        warn_of_skew(report, sent_at, now, &settings);
        if sent_at < Timestamp::from(call_info::host_started()) {
            log::debug("skipped a report that is older than this host");
            return Ok(None);
        }
        let report = Report::read(report, &settings)?;
        let log_heartbeat = report.log_heartbeat();
        let bucket = agents()?;
        let (status, last_seen, stored) =
            bucket.update_json(&report.key(), |known: Option<Agent>| {
                let last_seen = known.as_ref().map(|agent| agent.heartbeat_timestamp);
                let (agent, status) = report.apply(known, now, &settings);
                (agent.clone(), (status, last_seen, agent))
            })?;
        if let (true, Some(last_seen)) = (log_heartbeat, last_seen) {
            let (kind, host) = (&report.agent_type, &report.host);
            let after = now - last_seen;
            log::info(format!(
                "heartbeat of {kind} on {host} after {after}, sent at {sent_at}"
            ));
        }
        if report.has_resource_versions() || status == Status::Revived {
            tell_resource_versions(&stored);
        }
        Ok(Some(status))
    }

    /// Whether reports can be stored here.
    pub fn has_alive_neutron_server(&self, #[kwargs] _arguments: Arguments) -> bool {
        let reached = agents().and_then(|bucket| bucket.exists("any"));
        if let Err(error) = &reached {
            log::error(format!("cannot reach the agents: {error}"));
        }
        reached.is_ok()
    }

    /// The agents that fit every filter: a field's name and the value, or list of values, it is
    /// to have; `is_active` is computed.
    pub fn get_agents(&self, #[kwargs] mut filters: Arguments) -> Result<Vec<Agent>> {
        let settings = settings()?;
        let now = Timestamp::from(clock::now());
        let is_active = filters
            .remove("is_active")
            .map(|value| boolean(&value))
            .transpose()?;
        if let Some(unknown) = filters.keys().find(|name| !Agent::has_field(name)) {
            return Err(invalid_input(format!(
                "'{unknown}' is not supported for filtering"
            )));
        }
        let bucket = agents()?;
        let mut found = Vec::new();
        for key in bucket.keys()? {
            // One that was deleted since the keys were listed is not there any more.
            let Some(agent) = bucket.get_json::<Agent>(&key)? else {
                continue;
            };
            let active = is_active.is_none_or(|wanted| agent.is_active(now, &settings) == wanted);
            if active && agent.fits(&filters) {
                found.push(agent);
            }
        }
        Ok(found)
    }

    /// Forgets an agent. One that is not known is no error, and neither is a missing argument.
    pub fn delete_agent(&self, #[kwargs] arguments: Arguments) -> Result<()> {
        let text = |name: &str| arguments.get(name).and_then(Value::as_str);
        match (text("agent_type"), text("host")) {
            (Some(agent_type), Some(host)) => agents()?.delete(&key(agent_type, host))?,
            _ => log::warn("delete_agent needs both `host` and `agent_type`"),
        }
        Ok(())
    }
}

fn agents() -> Result<Bucket, keyvalue::Error> {
    Bucket::open("agents")
}

fn settings() -> Result<Settings> {
    Ok(Settings {
        agent_down_time: Duration::seconds(config::parsed("agent_down_time", 75)?),
        enable_new_agents: config::parsed("enable_new_agents", true)?,
        dhcp_load_type: config::parsed("dhcp_load_type", "networks".to_owned())?,
    })
}

/// Tells every server which versions of its objects the agent can read, before its report is
/// answered (agents_db.py: `report_state`). Upstream goes on as well if nobody could be told.
fn tell_resource_versions(agent: &Agent) {
    let Some(versions) = &agent.resource_versions else {
        return;
    };
    let to = Target::topic("q-server-resource-versions").version("1.0");
    let args = json!({
        "agent_type": agent.agent_type, "agent_host": agent.host, "version_map": versions,
    });
    if let Err(error) = client::fanout(&to, "report_agent_resource_versions", &args) {
        log::warn(format!(
            "other servers were not told of resource versions: {error}"
        ));
    }
}

/// A missing one is Python's `KeyError`, as upstream reads its keyword arguments from a dict.
fn required<'a>(arguments: &'a Arguments, name: &str) -> Result<&'a Value> {
    arguments.get(name).ok_or_else(|| builtins::key_error(name))
}

/// An agent whose clock is far off looks dead as soon as it has reported.
fn warn_of_skew(report: &Value, sent_at: Timestamp, now: Timestamp, settings: &Settings) {
    let starting = report
        .get("start_flag")
        .and_then(Value::as_bool)
        .unwrap_or(false);
    let skew = (now - sent_at).abs();
    if starting && skew > settings.agent_down_time {
        let text = |name: &str| report.get(name).and_then(Value::as_str).unwrap_or("?");
        log::error(format!(
            "the clocks of {} on {} and of this host are {skew} apart, more than {}: \
             the agent says {sent_at}, this host {now}",
            text("agent_type"),
            text("host"),
            settings.agent_down_time,
        ));
    }
}

/// What `neutron_lib.api.converters.convert_to_boolean` takes for a boolean.
fn boolean(value: &Value) -> Result<bool> {
    let text = match value {
        Value::String(text) => text.to_lowercase(),
        other => other.to_string(),
    };
    match text.as_str() {
        "true" | "1" => Ok(true),
        "false" | "0" => Ok(false),
        _ => Err(invalid_input(format!(
            "'{text}' cannot be converted to boolean"
        ))),
    }
}

fn invalid_input(reason: String) -> Failure {
    let message = format!("Invalid input for operation: {reason}.");
    Failure::new("neutron_lib.exceptions", "InvalidInput", message)
        .with_kwarg("error_message", reason)
        .expected()
}

#[cfg(test)]
mod tests;
