//! The main job: an unmodified `neutron.agent.rpc.PluginReportStateAPI` over a real RabbitMQ,
//! answered by the shipped plugin.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::guests::shipped;
use crate::support::host::{Host, Setup};
use crate::support::peer::Peer;
use crate::support::rabbit::Rabbit;

/// The neutron client's topic is fixed, so this test has a broker to itself.
struct Neutron {
    agent: Peer,
    host: Host,
    _rabbit: Rabbit,
}

impl Neutron {
    fn start(config: &str) -> Self {
        let rabbit = Rabbit::start();
        let more = format!(
            "[grants]\nclocks = true\nrandom = true\nkeyvalue = [\"agents\"]\nclient = [\"fanout:q-server-resource-versions\"]\n[config]\n{config}"
        );
        let host = Setup::new(&rabbit.url())
            .tables("[keyvalue.agents]\nbackend = \"file\"")
            .plugin(
                "report_state",
                &shipped("report_state"),
                "q-reports-plugin",
                &more,
            )
            .start();
        Self {
            agent: Peer::start("agent.py", &[&rabbit.url()]),
            host,
            _rabbit: rabbit,
        }
    }

    #[track_caller]
    fn report(&mut self, host: &str) -> Value {
        self.agent
            .result(json!({"do": "report_state", "agent_state": state(host)}))
    }
}

fn state(host: &str) -> Value {
    json!({
        "binary": "neutron-openvswitch-agent", "host": host, "topic": "N/A",
        "agent_type": "Open vSwitch agent", "start_flag": true,
        "configurations": {"bridge_mappings": {"physnet1": "br-ex"}, "devices": 2},
        "resource_versions": {"QosPolicy": "1.10"},
    })
}

#[test]
fn a_real_agent_reports_and_is_answered_as_by_neutron() {
    let mut neutron = Neutron::start("agent_down_time = \"2\"");
    assert_eq!(neutron.report("node1"), "new");
    assert_eq!(neutron.report("node1"), "alive");
    assert_eq!(neutron.report("node2"), "new");
    std::thread::sleep(Duration::from_millis(2500));
    assert_eq!(neutron.report("node1"), "revived");
    assert_eq!(neutron.report("node1"), "alive");

    let agent = &mut neutron.agent;
    let stale =
        json!({"do": "report_at", "agent_state": state("old"), "time": "2020-01-01T00:00:00.0"});
    assert_eq!(agent.result(stale), Value::Null);
    let bad = agent.ask(json!({"do": "report_at", "agent_state": state("bad"), "time": "now"}));
    assert_eq!(
        (&bad["raised"], &bad["module"]),
        (&json!("ValueError"), &json!("builtins"))
    );
    let message = bad["message"].as_str().expect("text");
    assert!(
        message.contains("time data 'now' does not match format"),
        "{message}"
    );

    assert_eq!(
        agent.result(json!({"do": "has_alive_neutron_server"})),
        true
    );
    let found = agent.result(json!({"do": "get_agents", "host": ["node1", "old", "bad"]}));
    assert_eq!(found.as_array().expect("a list").len(), 1, "{found}");
    assert_eq!(
        found[0]["configurations"]["bridge_mappings"]["physnet1"],
        "br-ex"
    );
    assert_eq!(found[0]["resource_versions"], json!({"QosPolicy": "1.10"}));

    let gone = json!({"do": "delete_agent", "host": "node1", "agent_type": "Open vSwitch agent"});
    assert_eq!(agent.result(gone), Value::Null);
    assert_eq!(
        agent.result(json!({"do": "get_agents", "host": ["node1"]})),
        json!([])
    );
    assert_eq!(neutron.report("node1"), "new");

    // The cast form is stored and not answered.
    let cast = json!({"do": "report_state", "agent_state": state("node3"), "use_call": false});
    assert_eq!(neutron.agent.result(cast), Value::Null);
    crate::support::eventually("the cast is stored", || {
        let found = neutron
            .agent
            .result(json!({"do": "get_agents", "host": ["node3"]}));
        (found.as_array()?.len() == 1).then_some(())
    });

    // Reports of one agent at the same time: one of them is the first.
    let reports = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..16)
            .map(|_| scope.spawn(|| call_report(&neutron.host, "node4")))
            .collect();
        let answers = threads
            .into_iter()
            .map(|thread| thread.join().expect("no panic"));
        answers.collect::<Vec<_>>()
    });
    let new = reports.iter().filter(|status| *status == "new").count();
    let alive = reports.iter().filter(|status| *status == "alive").count();
    assert_eq!((new, alive), (1, 15), "{reports:?}");
}

fn call_report(host: &Host, node: &str) -> Value {
    let args =
        json!({"agent_state": {"agent_state": state(node)}, "time": "2100-01-01T00:00:00.0"});
    host.result("q-reports-plugin", "report_state", args)
}
