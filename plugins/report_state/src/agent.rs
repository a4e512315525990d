//! An agent as it is stored, and what a report makes of it (agents_db.py:
//! `create_or_update_agent`).

use endpointd_guest::{Result, builtins, random};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use time::Duration;

use crate::timestamp::Timestamp;

/// What the operator set.
pub(crate) struct Settings {
    pub(crate) agent_down_time: Duration,
    pub(crate) enable_new_agents: bool,
    pub(crate) dhcp_load_type: String,
}

/// How an agent looks from here (neutron_lib/agent/constants.py).
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Status {
    New,
    Alive,
    /// It was down before this report.
    Revived,
}

/// The fields of `neutron.objects.agent.Agent`, which `get_agents` sends as they are.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub(crate) struct Agent {
    pub(crate) id: String,
    pub(crate) agent_type: String,
    pub(crate) binary: String,
    pub(crate) topic: String,
    pub(crate) host: String,
    pub(crate) availability_zone: Option<String>,
    pub(crate) admin_state_up: bool,
    pub(crate) started_at: Timestamp,
    pub(crate) created_at: Timestamp,
    pub(crate) heartbeat_timestamp: Timestamp,
    pub(crate) description: Option<String>,
    pub(crate) configurations: Map<String, Value>,
    pub(crate) resource_versions: Option<Map<String, Value>>,
    pub(crate) load: i64,
    pub(crate) resources_synced: Option<bool>,
}

/// One report, with everything it must have.
pub(crate) struct Report {
    pub(crate) agent_type: String,
    pub(crate) host: String,
    binary: String,
    topic: String,
    /// Outer `None`: not in the report, so what is stored stays.
    availability_zone: Option<Option<String>>,
    configurations: Map<String, Value>,
    resource_versions: Option<Map<String, Value>>,
    load: i64,
    starting: bool,
}

/// Under what an agent is stored: type and host are unique together.
pub(crate) fn key(agent_type: &str, host: &str) -> String {
    // As JSON, so that no two pairs can look alike.
    serde_json::json!([agent_type, host]).to_string()
}

impl Report {
    /// Reads a report; a required field that is missing is Python's `KeyError`.
    pub(crate) fn read(report: &Value, settings: &Settings) -> Result<Self> {
        let required = |name: &str| match report.get(name) {
            Some(Value::String(text)) => Ok(text.clone()),
            Some(_) => Err(builtins::value_error(format!(
                "`{name}` of a report is no text"
            ))),
            None => Err(builtins::key_error(name)),
        };
        let object = |name: &str| report.get(name).and_then(Value::as_object).cloned();
        let configurations = object("configurations").unwrap_or_default();
        let agent_type = required("agent_type")?;
        let load = match agent_type.as_str() {
            "DHCP agent" => integer(configurations.get(&settings.dhcp_load_type))?,
            _ => 0,
        };
        Ok(Self {
            binary: required("binary")?,
            host: required("host")?,
            topic: required("topic")?,
            availability_zone: report
                .get("availability_zone")
                .map(|zone| zone.as_str().map(str::to_owned)),
            resource_versions: object("resource_versions").filter(|versions| !versions.is_empty()),
            starting: report
                .get("start_flag")
                .and_then(Value::as_bool)
                .unwrap_or(false),
            agent_type,
            configurations,
            load,
        })
    }

    pub(crate) fn key(&self) -> String {
        key(&self.agent_type, &self.host)
    }

    /// Whether the agent asks for a log line a heartbeat.
    pub(crate) fn log_heartbeat(&self) -> bool {
        let flag = self.configurations.get("log_agent_heartbeats");
        flag.and_then(Value::as_bool).unwrap_or(false)
    }

    pub(crate) fn has_resource_versions(&self) -> bool {
        self.resource_versions.is_some()
    }

    /// What is to be stored, and how the agent looks. The agent's own time is never stored.
    pub(crate) fn apply(
        &self,
        known: Option<Agent>,
        now: Timestamp,
        settings: &Settings,
    ) -> (Agent, Status) {
        let status = match &known {
            None => Status::New,
            Some(agent) if agent.is_active(now, settings) => Status::Alive,
            Some(_) => Status::Revived,
        };
        let mut agent = known.unwrap_or_else(|| Agent {
            id: random::uuid(),
            agent_type: self.agent_type.clone(),
            binary: String::new(),
            topic: String::new(),
            host: self.host.clone(),
            availability_zone: None,
            admin_state_up: settings.enable_new_agents,
            started_at: now,
            created_at: now,
            heartbeat_timestamp: now,
            description: None,
            configurations: Map::new(),
            resource_versions: None,
            load: 0,
            resources_synced: None,
        });
        agent.binary.clone_from(&self.binary);
        agent.topic.clone_from(&self.topic);
        if let Some(zone) = &self.availability_zone {
            agent.availability_zone.clone_from(zone);
        }
        agent.configurations.clone_from(&self.configurations);
        if let Some(versions) = &self.resource_versions {
            agent.resource_versions = Some(versions.clone());
        }
        agent.load = self.load;
        agent.heartbeat_timestamp = now;
        if self.starting {
            agent.started_at = now;
        }
        (agent, status)
    }
}

impl Agent {
    pub(crate) fn is_active(&self, now: Timestamp, settings: &Settings) -> bool {
        now - self.heartbeat_timestamp <= settings.agent_down_time
    }

    pub(crate) fn has_field(name: &str) -> bool {
        const FIELDS: [&str; 15] = [
            "id",
            "agent_type",
            "binary",
            "topic",
            "host",
            "availability_zone",
            "admin_state_up",
            "started_at",
            "created_at",
            "heartbeat_timestamp",
            "description",
            "configurations",
            "resource_versions",
            "load",
            "resources_synced",
        ];
        FIELDS.contains(&name)
    }

    /// Whether every filter's field has its value, or one of its values.
    pub(crate) fn fits(&self, filters: &Map<String, Value>) -> bool {
        let Ok(Value::Object(fields)) = serde_json::to_value(self) else {
            return false;
        };
        filters
            .iter()
            .all(|(name, wanted)| match (fields.get(name), wanted) {
                (Some(actual), Value::Array(several)) => several.contains(actual),
                (actual, one) => actual == Some(one),
            })
    }
}

/// What Python's `int()` makes of a load: a missing one is 0.
fn integer(value: Option<&Value>) -> Result<i64> {
    let number = match value {
        None => Some(0),
        Some(Value::Number(number)) => number.as_i64(),
        Some(Value::String(text)) => text.trim().parse().ok(),
        Some(_) => None,
    };
    number.ok_or_else(|| builtins::value_error("the load of a DHCP agent is no number"))
}
