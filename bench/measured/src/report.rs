//! The report of an agent, as neutron's agents send it (neutron/agent/rpc.py: `report_state`).

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

#[derive(Debug, Deserialize)]
pub struct Arguments {
    pub agent_state: Report,
    pub time: String,
}

#[derive(Debug, Deserialize)]
pub struct Report {
    pub agent_state: AgentState,
}

#[derive(Debug, Deserialize)]
pub struct AgentState {
    pub agent_type: String,
    pub binary: String,
    pub host: String,
    pub topic: String,
    pub configurations: Map<String, Value>,
    #[serde(default)]
    pub start_flag: bool,
}

#[derive(Debug, Serialize)]
pub struct Answer {
    agent: String,
    host: String,
    configurations: usize,
    status: &'static str,
    sent_at: String,
}

pub fn answer(arguments: &Arguments) -> Answer {
    let state = &arguments.agent_state.agent_state;
    Answer {
        agent: format!("{} ({})", state.agent_type, state.binary),
        host: state.host.clone(),
        configurations: state.configurations.len(),
        status: match state.start_flag {
            true => "new",
            false => "alive",
        },
        sent_at: arguments.time.clone(),
    }
}
