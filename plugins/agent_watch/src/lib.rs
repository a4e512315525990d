//! Which of neutron's agents are down: asked of whoever takes their reports
//! (neutron/db/agents_db.py: `AgentExtRpcCallback`).

use std::time::Duration;

use endpointd_guest::client::{self, Target};
use endpointd_guest::{Result, clock, config, endpoint};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use time::format_description::BorrowedFormatItem;
use time::macros::format_description;
use time::{PrimitiveDateTime, UtcDateTime};

/// As neutron writes times: in UTC, without saying so.
const TIMESTAMP: &[BorrowedFormatItem<'_>] =
    format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond]");

/// How long a server that is well may take to say so.
const HEALTH_TIMEOUT: Duration = Duration::from_secs(5);

#[derive(Default)]
struct AgentWatch;

#[endpoint(version = "1.0")]
impl AgentWatch {
    /// The agents that are down, of this type and on this host if they are given; the one that was
    /// silent the longest comes first.
    pub fn down_agents(
        &self,
        agent_type: Option<String>,
        host: Option<String>,
    ) -> Result<Vec<DownAgent>> {
        let mut filters = Map::new();
        filters.insert("is_active".to_owned(), json!(false));
        for (name, value) in [("agent_type", agent_type), ("host", host)] {
            filters.extend(value.map(|value| (name.to_owned(), json!(value))));
        }
        let agents: Vec<Agent> = client::call(&reports()?, "get_agents", &filters)?;
        let now = UtcDateTime::from(clock::now());
        let mut down: Vec<_> = agents.into_iter().map(|agent| agent.down(now)).collect();
        down.sort_by_key(|agent| std::cmp::Reverse(agent.silent_s));
        Ok(down)
    }

    /// Whether the server is there, and how its agents are.
    pub fn health(&self) -> Result<Health> {
        let reports = reports()?.prepare().timeout(HEALTH_TIMEOUT);
        match reports.call("has_alive_neutron_server", &json!({})) {
            Ok(true) => {}
            // A server that says no, or nothing, is what this is to find out.
            Ok(false) | Err(client::Error::Timeout | client::Error::Unroutable) => {
                return Ok(Health::default());
            }
            Err(error) => return Err(error.into()),
        }
        let count = |filters: Value| -> Result<usize> {
            let agents: Vec<Value> = reports.call("get_agents", &filters)?;
            Ok(agents.len())
        };
        Ok(Health {
            server_alive: true,
            agents: Some(count(json!({}))?),
            down: Some(count(json!({"is_active": false}))?),
        })
    }
}

fn reports() -> Result<Target> {
    let topic: String = config::parsed("reports_topic", "q-reports-plugin".to_owned())?;
    Ok(Target::topic(topic).version("1.4"))
}

/// An agent as the server knows it; it has more fields.
#[derive(Deserialize)]
struct Agent {
    agent_type: String,
    host: String,
    admin_state_up: bool,
    heartbeat_timestamp: String,
}

#[derive(Debug, Eq, PartialEq, Serialize)]
struct DownAgent {
    agent_type: String,
    host: String,
    /// False where an operator has taken it out.
    admin_state_up: bool,
    last_heard: String,
    /// Seconds since then; null where the time cannot be read.
    silent_s: Option<i64>,
}

impl Agent {
    fn down(self, now: UtcDateTime) -> DownAgent {
        let last_heard = PrimitiveDateTime::parse(&self.heartbeat_timestamp, TIMESTAMP);
        DownAgent {
            agent_type: self.agent_type,
            host: self.host,
            admin_state_up: self.admin_state_up,
            silent_s: last_heard
                .ok()
                .map(|heard| (now - heard.as_utc()).whole_seconds()),
            last_heard: self.heartbeat_timestamp,
        }
    }
}

#[derive(Debug, Default, Eq, PartialEq, Serialize)]
struct Health {
    server_alive: bool,
    agents: Option<usize>,
    down: Option<usize>,
}

#[cfg(test)]
mod tests;
