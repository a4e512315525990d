//! The semantics of a report, natively. Over the wire they are tested with a real agent's client.

use std::time::{Duration, SystemTime};

use endpointd_guest::client::Kind;
use endpointd_guest::log::Level;
use endpointd_guest::testing::{
    break_bucket, set_config, set_host_started, set_now, take_log, take_sent,
};
use endpointd_guest::{Endpoint, Request};
use serde_json::json;

use super::*;

/// 2026-11-22T11:05:31Z.
fn start() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_345_531)
}

const SENT_AT: &str = "2026-11-22T11:05:31.448079";

fn report() -> Value {
    json!({
        "binary": "neutron-openvswitch-agent", "host": "node1", "topic": "N/A",
        "agent_type": "Open vSwitch agent", "start_flag": true,
        "configurations": {"devices": 2},
        "resource_versions": {"QosPolicy": "1.10"},
    })
}

/// Calls as the host does, and gives the JSON of the result or the failure's class and message.
fn call(method: &str, args: &Value) -> String {
    let request = Request {
        version: "1.4".to_owned(),
        method: method.to_owned(),
        args: args.to_string(),
        ..Request::default()
    };
    match ReportState.dispatch(&request) {
        Ok(result) => result,
        Err(failure) => format!("{}: {}", failure.class, failure.message),
    }
}

fn send(report: &Value, time: &str) -> String {
    call(
        "report_state",
        &json!({"agent_state": {"agent_state": report}, "time": time}),
    )
}

fn stored() -> Agent {
    let mut agents = ReportState.get_agents(Map::new()).expect("a list");
    agents.pop().expect("an agent")
}

#[test]
fn an_agent_is_new_then_alive_then_revived() {
    set_now(start());
    assert_eq!(send(&report(), SENT_AT), "\"new\"");
    set_now(start() + Duration::from_secs(75));
    assert_eq!(send(&report(), SENT_AT), "\"alive\"");
    set_now(start() + Duration::from_secs(151));
    assert_eq!(send(&report(), SENT_AT), "\"revived\"");
    set_config("agent_down_time", "1");
    set_now(start() + Duration::from_secs(153));
    assert_eq!(send(&report(), SENT_AT), "\"revived\"");
}

#[test]
fn a_report_from_before_the_start_is_null_and_not_stored() {
    set_now(start());
    set_host_started(start() + Duration::from_secs(1));
    assert_eq!(send(&report(), SENT_AT), "null");
    assert_eq!(call("get_agents", &json!({})), "[]");
}

#[test]
fn a_bad_time_is_a_value_error() {
    for time in [
        "2026-11-22T11:05:31",
        "2026-11-22T11:05:31.448079Z",
        "2026-11-22T11:05:31.4480791",
        "2026-11-22 11:05:31.448079",
        "2026-02-30T11:05:31.448079",
        "",
    ] {
        assert_eq!(
            send(&report(), time),
            format!("ValueError: time data '{time}' does not match format '%Y-%m-%dT%H:%M:%S.%f'")
        );
    }
    assert_eq!(send(&report(), "2026-11-22T11:05:31.4"), "\"new\"");
}

#[test]
fn what_is_missing_is_a_key_error() {
    assert_eq!(
        call("report_state", &json!({"agent_state": {}})),
        "KeyError: 'time'"
    );
    assert_eq!(
        call("report_state", &json!({"time": SENT_AT})),
        "KeyError: 'agent_state'"
    );
    let inner = json!({"agent_state": {}, "time": SENT_AT});
    assert_eq!(call("report_state", &inner), "KeyError: 'agent_state'");
    for field in ["agent_type", "binary", "host", "topic"] {
        let mut report = report();
        report.as_object_mut().expect("an object").remove(field);
        assert_eq!(send(&report, SENT_AT), format!("KeyError: '{field}'"));
    }
    assert_eq!(call("get_agents", &json!({})), "[]");
}

#[test]
fn a_skewed_clock_at_start_is_logged_and_the_report_stored() {
    set_now(start() + Duration::from_secs(76));
    assert_eq!(send(&report(), SENT_AT), "\"new\"");
    let log = take_log();
    assert!(
        log.iter()
            .any(|(level, line)| *level == Level::Error && line.contains("node1"))
    );
    let mut quiet = report();
    quiet["start_flag"] = false.into();
    assert_eq!(send(&quiet, SENT_AT), "\"alive\"");
    assert_eq!(take_log(), []);
}

#[test]
fn a_report_overwrites_what_upstream_overwrites() {
    set_now(start());
    send(&report(), SENT_AT);
    let first = stored();
    assert_eq!(
        first.heartbeat_timestamp.to_string(),
        "2026-11-22T11:05:31.000000"
    );
    set_now(start() + Duration::from_secs(10));
    let mut later = report();
    let fields = later.as_object_mut().expect("an object");
    for gone in ["configurations", "resource_versions", "start_flag"] {
        fields.remove(gone);
    }
    fields.insert("availability_zone".to_owned(), "az1".into());
    send(&later, SENT_AT);
    let second = stored();
    assert_eq!(second.id, first.id);
    assert_eq!(second.configurations, Map::new());
    assert_eq!(second.resource_versions, first.resource_versions);
    assert_eq!(second.started_at, first.started_at);
    assert_eq!(second.availability_zone.as_deref(), Some("az1"));
    assert_eq!(
        second.heartbeat_timestamp.to_string(),
        "2026-11-22T11:05:41.000000"
    );
    send(&report(), SENT_AT);
    let third = stored();
    assert_eq!(third.started_at.to_string(), "2026-11-22T11:05:41.000000");
    assert_eq!(third.availability_zone.as_deref(), Some("az1"));
}

#[test]
fn resource_versions_are_told_to_every_server() {
    set_now(start());
    let told = || {
        let sent = take_sent();
        let sent = sent.into_iter().map(|(kind, to, method, args)| {
            assert_eq!(kind, Kind::Fanout);
            assert_eq!(
                to,
                Target::topic("q-server-resource-versions").version("1.0")
            );
            assert_eq!(method, "report_agent_resource_versions");
            serde_json::from_str::<Value>(&args).expect("JSON")
        });
        sent.collect::<Vec<_>>()
    };
    let expected = [json!({
        "agent_type": "Open vSwitch agent", "agent_host": "node1",
        "version_map": {"QosPolicy": "1.10"},
    })];
    send(&report(), SENT_AT);
    assert_eq!(told(), expected);
    let mut later = report();
    later
        .as_object_mut()
        .expect("an object")
        .remove("resource_versions");
    send(&later, SENT_AT);
    assert_eq!(told(), [] as [Value; 0]);
    // Of a revived agent those that are known.
    set_now(start() + Duration::from_secs(100));
    assert_eq!(send(&later, SENT_AT), "\"revived\"");
    assert_eq!(told(), expected);
}

#[test]
fn a_dhcp_agents_load_is_read_from_its_configurations() {
    let mut dhcp = report();
    dhcp["agent_type"] = "DHCP agent".into();
    dhcp["configurations"] = json!({"networks": 3, "ports": "12"});
    send(&dhcp, SENT_AT);
    assert_eq!(stored().load, 3);
    set_config("dhcp_load_type", "ports");
    send(&dhcp, SENT_AT);
    assert_eq!(stored().load, 12);
}

#[test]
fn agents_are_found_by_their_fields() {
    set_now(start());
    for host in ["node1", "node2"] {
        let mut report = report();
        report["host"] = host.into();
        send(&report, SENT_AT);
    }
    let hosts = |filters: Value| {
        let filters = filters.as_object().expect("an object").clone();
        let agents = ReportState.get_agents(filters).expect("a list");
        agents
            .into_iter()
            .map(|agent| agent.host)
            .collect::<Vec<_>>()
    };
    assert_eq!(hosts(json!({})), ["node1", "node2"]);
    assert_eq!(hosts(json!({"host": "node2"})), ["node2"]);
    assert_eq!(
        hosts(json!({"host": ["node1", "node3"], "admin_state_up": [true]})),
        ["node1"]
    );
    assert_eq!(hosts(json!({"is_active": true})), ["node1", "node2"]);
    set_now(start() + Duration::from_secs(100));
    assert_eq!(hosts(json!({"is_active": "True"})), Vec::<String>::new());
    assert_eq!(
        call("get_agents", &json!({"colour": 1})),
        "InvalidInput: Invalid input for operation: 'colour' is not supported for filtering."
    );
}

#[test]
fn deleting_is_always_null() {
    send(&report(), SENT_AT);
    assert_eq!(call("delete_agent", &json!({"host": "node1"})), "null");
    let other = json!({"host": "node9", "agent_type": "Open vSwitch agent"});
    assert_eq!(call("delete_agent", &other), "null");
    assert_ne!(call("get_agents", &json!({})), "[]");
    let known = json!({"host": "node1", "agent_type": "Open vSwitch agent"});
    assert_eq!(call("delete_agent", &known), "null");
    assert_eq!(call("get_agents", &json!({})), "[]");
}

#[test]
fn the_server_is_alive_while_its_agents_can_be_reached() {
    assert_eq!(call("has_alive_neutron_server", &json!({})), "true");
    break_bucket("agents");
    assert_eq!(
        call("has_alive_neutron_server", &json!({"any": 1})),
        "false"
    );
}
