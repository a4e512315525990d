//! neutron's agent reports over the wire, answered by the shipped plugin. An unmodified agent's
//! client is in `agent`.

use std::time::Duration;

use endpointd::client::ClientError;
use serde_json::{Value, json};

use crate::support::caller::Caller;
use crate::support::guests::shipped;
use crate::support::host::{Host, Setup};
use crate::support::peer::Peer;
use crate::support::rabbit::Rabbit;
use crate::support::redis::Redis;
use crate::support::wire::{Wire, envelope, message_of};
use crate::support::{eventually, rabbit, unique};

struct Reports {
    host: Host,
    topic: String,
    wire: Wire,
}

impl Reports {
    /// With this many seconds until an agent counts as down.
    fn start(agent_down_time: &str) -> Self {
        let grants = "[grants]\nclocks = true\nrandom = true\nkeyvalue = [\"agents\"]\nclient = [\"fanout:q-server-resource-versions\"]\n[config]\n";
        Self::start_with(&format!("{grants}agent_down_time = \"{agent_down_time}\""))
    }

    /// With the rest of plugin.toml.
    fn start_with(more: &str) -> Self {
        let (topic, rabbit) = (unique("reports"), rabbit::shared());
        let plugin = shipped("report_state");
        let host = Setup::new(&rabbit.url())
            .tables("[keyvalue.agents]\nbackend = \"file\"\n[keyvalue.other]\nbackend = \"memory\"")
            .plugin("report_state", &plugin, &topic, more)
            .start();
        Self {
            host,
            topic,
            wire: Wire::connect(rabbit.port()),
        }
    }

    /// The result of a call, or the class of its failure.
    fn call(&mut self, method: &str, args: Value) -> Value {
        let mut message = captured();
        message["method"] = json!(method);
        message["args"] = args;
        let reply = self.wire.call("neutron", &self.topic, message);
        match reply["failure"].is_null() {
            true => reply["result"].clone(),
            false => super::failure_of(&reply)["class"].clone(),
        }
    }

    fn report(&mut self, agent: Value, time: &str) -> Value {
        let args = json!({"agent_state": {"agent_state": agent}, "time": time});
        self.call("report_state", args)
    }

    fn stored(&mut self) -> Value {
        self.call("get_agents", json!({}))
    }
}

/// A request as the client of a neutron agent sends it, all of it but what tells it from the next.
fn captured() -> Value {
    json!({
        "method": "report_state", "version": "1.4", "_timeout": null,
        "args": {"agent_state": {"agent_state": agent()}, "time": now()},
        "_context_user": null, "_context_project_id": null, "_context_system_scope": null,
        "_context_project": null, "_context_domain": null, "_context_user_domain": null,
        "_context_project_domain": null, "_context_is_admin": true, "_context_read_only": false,
        "_context_show_deleted": false, "_context_auth_token": null,
        "_context_request_id": "req-f9c69308-12af-4d2f-bcdf-288dca6a3d4c",
        "_context_global_request_id": null, "_context_resource_uuid": null,
        "_context_roles": ["reader", "member", "admin"], "_context_user_identity": "- - - - -",
        "_context_is_admin_project": true, "_context_user_id": null,
        "_context_timestamp": "2026-11-22 11:05:31.256358", "_context_project_name": null,
        "_context_user_name": null, "_context_has_global_access": true,
        "_context_can_set_project_id": true,
    })
}

fn agent() -> Value {
    json!({
        "binary": "neutron-openvswitch-agent", "host": "node1", "topic": "N/A",
        "configurations": {
            "bridge_mappings": {"physnet1": "br-ex"}, "tunnel_types": ["vxlan"],
            "tunneling_ip": "192.0.2.10", "l2_population": true, "extensions": [],
            "log_agent_heartbeats": true, "devices": 2, "in_distributed_mode": false,
        },
        "resource_versions": {"QosPolicy": "1.10", "Trunk": "1.1", "SubPort": "1.0"},
        "agent_type": "Open vSwitch agent", "start_flag": true,
        "uuid": "a359e509-052d-412c-9fef-fe81002bd5ed",
    })
}

/// The time of an agent whose clock is right, or a little ahead.
fn now() -> String {
    let soon = time::OffsetDateTime::now_utc() + time::Duration::seconds(5);
    let format = time::macros::format_description!(
        "[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:6]"
    );
    soon.format(format).expect("a time")
}

#[test]
fn two_hosts_on_one_topic_and_one_bucket_server_agree_on_an_agent() {
    let (topic, rabbit, redis) = (unique("agreed"), rabbit::shared(), Redis::start());
    let more = "[grants]\nclocks = true\nrandom = true\nkeyvalue = [\"agents\"]\nclient = [\"fanout:q-server-resource-versions\"]\n\
                [config]\nagent_down_time = \"10\"";
    let bucket = format!(
        "[keyvalue.agents]\nbackend = \"redis\"\nurl = \"{}\"",
        redis.url()
    );
    let start = |name: &str| {
        Setup::named(&rabbit.url(), name)
            .tables(&bucket)
            .plugin("report_state", &shipped("report_state"), &topic, more)
            .start()
    };
    let _hosts = [start("one"), start("two")];
    let mut wire = Wire::connect(rabbit.port());
    let mut report = |server: &str| {
        let mut message = captured();
        message["args"] = json!({"agent_state": {"agent_state": agent()}, "time": now()});
        wire.call("neutron", &format!("{topic}.{server}"), message)
    };
    for (server, status) in [("one", "new"), ("two", "alive"), ("one", "alive")] {
        assert_eq!(report(server)["result"], status, "{server}");
    }
    std::thread::sleep(Duration::from_secs(11));
    for (server, status) in [("two", "revived"), ("one", "alive")] {
        assert_eq!(report(server)["result"], status, "{server}");
    }
    // Without it they say so, in time.
    drop(redis);
    let failure = super::failure_of(&report("one"));
    let told = failure.to_string();
    assert!(
        told.contains("the bucket's server cannot be reached"),
        "{told}"
    );
    assert!(!told.contains("socket"), "{told}");
}

#[test]
fn c82_the_captured_report_is_new_then_alive_then_revived() {
    let mut reports = Reports::start("1");
    assert_eq!(reports.report(agent(), &now()), "new");
    assert_eq!(reports.report(agent(), &now()), "alive");
    std::thread::sleep(Duration::from_millis(1500));
    assert_eq!(reports.report(agent(), &now()), "revived");
}

#[test]
fn c83_a_report_from_before_the_start_is_null_and_stores_nothing() {
    let mut reports = Reports::start("75");
    assert_eq!(
        reports.report(agent(), "2020-01-01T00:00:00.000000"),
        Value::Null
    );
    assert_eq!(reports.stored(), json!([]));
}

#[test]
fn c84_bad_times_are_value_errors_and_missing_fields_key_errors() {
    let mut reports = Reports::start("75");
    let plain = &now()[..19];
    for time in [
        plain.to_owned(),
        format!("{plain}.448079Z"),
        "now".to_owned(),
    ] {
        assert_eq!(reports.report(agent(), &time), "ValueError", "{time}");
    }
    for field in ["agent_type", "binary", "host", "topic"] {
        let mut agent = agent();
        agent.as_object_mut().expect("an object").remove(field);
        assert_eq!(reports.report(agent, &now()), "KeyError", "{field}");
    }
    let without_time = json!({"agent_state": {"agent_state": agent()}});
    assert_eq!(reports.call("report_state", without_time), "KeyError");
    assert_eq!(
        reports.call("report_state", json!({"time": now()})),
        "KeyError"
    );
    assert_eq!(reports.stored(), json!([]));
}

#[test]
fn c85_a_skewed_clock_at_the_start_is_logged_and_the_report_stored() {
    let mut reports = Reports::start("75");
    assert_eq!(reports.report(agent(), "2100-01-01T00:00:00.0"), "new");
    let line = reports
        .host
        .logs("the clocks of Open vSwitch agent on node1");
    assert!(line.contains("ERROR"), "{line}");
    assert_eq!(reports.stored().as_array().map(Vec::len), Some(1));
}

#[test]
fn c86_resource_versions_are_fanned_out_before_the_reply() {
    let mut reports = Reports::start("75");
    // As a neutron-server would listen.
    let queue = unique("server-resource-versions");
    let exchange = "q-server-resource-versions_fanout";
    reports.wire.make_fanout_queue(exchange, &queue);
    let mut agent = agent();
    let node = unique("node");
    agent["host"] = json!(node);
    assert_eq!(reports.report(agent.clone(), &now()), "new");
    // The reply is here: so must the fanout be, among those of other tests.
    let fanout = loop {
        let found = reports.wire.take(&queue).expect("it was sent before");
        if message_of(&found.data)["args"]["agent_host"] == *node {
            break found;
        }
    };
    assert_eq!(fanout.properties.expiration(), &None);
    let mut message = message_of(&fanout.data);
    assert_eq!(
        message["_unique_id"].take().as_str().expect("text").len(),
        32
    );
    let mut expected = captured();
    expected["method"] = json!("report_agent_resource_versions");
    expected["version"] = json!("1.0");
    expected["args"] = json!({
        "agent_type": "Open vSwitch agent", "agent_host": node,
        "version_map": {"QosPolicy": "1.10", "Trunk": "1.1", "SubPort": "1.0"},
    });
    expected["_unique_id"] = Value::Null;
    expected
        .as_object_mut()
        .expect("an object")
        .remove("_timeout");
    assert_eq!(
        message, expected,
        "with the context of the report, and no key of a call"
    );
    // A plugin that was not granted it goes on all the same.
    let grants = "[grants]\nclocks = true\nrandom = true\nkeyvalue = [\"agents\"]\nclient = [\"fanout:other\"]";
    let mut without = Reports::start_with(grants);
    assert_eq!(without.report(agent, &now()), "new");
    let line = without.host.logs("other servers were not told");
    assert!(line.contains("fanout:q-server-resource-versions"), "{line}");
}

#[test]
fn c87_a_server_is_alive_unless_its_store_cannot_be_reached() {
    assert_eq!(
        Reports::start("75").call("has_alive_neutron_server", json!({})),
        true
    );
    // The bucket of the agents is not one that it may open.
    let mut without = Reports::start_with(
        "[grants]\nclocks = true\nrandom = true\nkeyvalue = [\"other\"]\nclient = [\"fanout:x\"]",
    );
    let any = json!({"any": 1});
    assert_eq!(without.call("has_alive_neutron_server", any), false);
    without.host.logs("cannot reach the agents");
}

#[test]
fn c88_a_cast_is_stored_and_not_answered() {
    let mut reports = Reports::start("75");
    let body = envelope(&captured());
    reports.wire.publish("neutron", &reports.topic, &body);
    eventually("it is stored", || {
        (reports.stored().as_array()?.len() == 1).then_some(())
    });
    assert!(reports.wire.try_next(Duration::from_millis(300)).is_none());
}

#[test]
fn c89_times_are_the_servers_and_a_report_overwrites_what_upstream_overwrites() {
    let mut reports = Reports::start("75");
    let mut stored = |agent: Value, time: &str, status: &str| {
        assert_eq!(reports.report(agent, time), status);
        let agents = reports.stored();
        let text = |key: &str| agents[0][key].as_str().expect("text").to_owned();
        (
            text("started_at"),
            text("heartbeat_timestamp"),
            agents[0].clone(),
        )
    };
    let in_2100 = "2100-01-01T00:00:00.000000";
    let (started, beat, first) = stored(agent(), in_2100, "new");
    assert_eq!(started, beat);
    let now = now();
    assert!(
        beat <= now && beat[..10] >= now[..10].to_owned()[..],
        "{beat}"
    );
    assert_eq!(first["configurations"]["devices"], 2);

    let mut later = agent();
    let fields = later.as_object_mut().expect("an object");
    for gone in ["configurations", "resource_versions", "start_flag"] {
        fields.remove(gone);
    }
    let (started_later, beat_later, second) = stored(later, in_2100, "alive");
    assert_eq!(started_later, started, "only start_flag changes it");
    assert!(beat_later > beat);
    assert_eq!(second["configurations"], json!({}));
    assert_eq!(second["resource_versions"], first["resource_versions"]);
    let (restarted, ..) = stored(agent(), in_2100, "alive");
    assert!(restarted > started);
}

#[test]
fn the_captured_request_is_answered_in_the_captured_shape() {
    let mut reports = Reports::start("75");
    let mut message = captured();
    message["_msg_id"] = json!("d4f95b9ab310476e8b364f174bb40a87");
    message["_reply_q"] = json!(reports.wire.reply_queue);
    reports
        .wire
        .publish("neutron", &reports.topic, &envelope(&message));
    let mut reply = message_of(&reports.wire.next_delivery().data);
    reply["_unique_id"].take();
    let expected = json!({
        "result": "new", "failure": null, "ending": true,
        "_msg_id": "d4f95b9ab310476e8b364f174bb40a87", "_unique_id": null,
    });
    assert_eq!(reply, expected);
}

#[test]
fn c90_neutrons_own_client_is_answered_by_our_server() {
    let rabbit = Rabbit::start();
    let grants =
        "[grants]\nclocks = true\nrandom = true\nkeyvalue = [\"agents\"]\nclient = [\"fanout:*\"]";
    let _host = Setup::new(&rabbit.url())
        .tables("[keyvalue.agents]\nbackend = \"memory\"")
        .plugin(
            "report_state",
            &shipped("report_state"),
            "q-reports-plugin",
            grants,
        )
        .start();
    let mut agent = Peer::start("agent.py", &[&rabbit.url()]);
    let state = json!({
        "binary": "b", "host": "node1", "topic": "N/A", "agent_type": "DHCP agent",
        "start_flag": true, "configurations": {}, "resource_versions": {"QosPolicy": "1.10"},
    });
    let report = json!({"do": "report_state", "agent_state": state});
    assert_eq!(agent.result(report.clone()), "new");
    assert_eq!(agent.result(report), "alive");
    assert_eq!(
        agent.result(json!({"do": "has_alive_neutron_server"})),
        true
    );
    let agents = agent.result(json!({"do": "get_agents", "host": "node1"}));
    assert_eq!(agents[0]["agent_type"], "DHCP agent");
}

#[test]
fn c90_our_client_is_answered_by_neutrons_own_server() {
    let rabbit = Rabbit::start();
    let neutron = Peer::start("neutron_server.py", &[&rabbit.url(), "ctl1", "2"]);
    let caller = Caller::connect(&rabbit.url());
    let reports = caller.of("q-reports-plugin").version("1.4").expect("one");
    // As an agent's context has it; without it a request is not an administrator's.
    let context = json!({"is_admin": true, "roles": ["admin"]});
    let call = |method: &str, args: Value| -> Result<Value, ClientError> {
        caller.run(reports.call(&context, method, &args))
    };
    let report = || {
        let state = json!({"agent_state": agent()});
        call("report_state", json!({"agent_state": state, "time": now()}))
    };
    assert_eq!(report().expect("a status"), "new");
    assert_eq!(report().expect("a status"), "alive");
    std::thread::sleep(Duration::from_millis(2500));
    assert_eq!(report().expect("a status"), "revived");
    assert_eq!(
        call("has_alive_neutron_server", json!({})).expect("one"),
        true
    );

    let host = agent()["host"].clone();
    let agents = call("get_agents", json!({"host": host})).expect("a list");
    assert_eq!(agents[0]["agent_type"], agent()["agent_type"]);
    assert_eq!(agents[0]["configurations"], agent()["configurations"]);
    let known = json!({"host": host, "agent_type": agent()["agent_type"]});
    assert_eq!(call("delete_agent", known).expect("done"), Value::Null);
    assert_eq!(call("get_agents", json!({})).expect("a list"), json!([]));

    let state = json!({"agent_state": agent()});
    let bad = call("report_state", json!({"agent_state": state, "time": "now"}));
    let Err(ClientError::Remote(failure)) = bad else {
        panic!("{bad:?}");
    };
    assert_eq!(
        (&*failure.module, &*failure.class),
        ("builtins", "ValueError")
    );
    // A cast is stored as well.
    let args = json!({"agent_state": state, "time": now()});
    caller
        .run(reports.cast(&context, "report_state", &args))
        .expect("sent");
    eventually("it is stored", || {
        let agents = call("get_agents", json!({})).expect("a list");
        (agents.as_array()?.len() == 1).then_some(())
    });
    neutron.stop();
}
