//! The plugin with a server that the test plays.

use std::time::{Duration, SystemTime};

use endpointd_guest::client::{Error, Kind};
use endpointd_guest::{Failure, testing};
use serde_json::json;

use super::*;

fn agent(host: &str, heartbeat: &str) -> Value {
    json!({
        "agent_type": "DHCP agent", "host": host, "admin_state_up": true, "binary": "b",
        "heartbeat_timestamp": heartbeat,
    })
}

#[test]
fn the_longest_silent_comes_first() {
    testing::set_now(SystemTime::UNIX_EPOCH + Duration::from_secs(100));
    testing::set_config("reports_topic", "elsewhere");
    testing::answer(|_, _, _| {
        Ok(json!([
            agent("a", "1970-01-01T00:01:00.500000"),
            agent("b", "1970-01-01T00:00:10.000000"),
            agent("c", "yesterday"),
        ]))
    });
    let down = AgentWatch.down_agents(None, Some("x".to_owned()));
    let down: Vec<_> = down.expect("a list").into_iter().collect();
    let silent = |agent: &DownAgent| (agent.host.clone(), agent.silent_s);
    let expected = [("b", Some(90)), ("a", Some(39)), ("c", None)];
    let expected = expected.map(|(host, silent)| (host.to_owned(), silent));
    assert_eq!(down.iter().map(silent).collect::<Vec<_>>(), expected);

    let [(kind, to, method, args)] = &testing::take_sent()[..] else {
        panic!("one call");
    };
    assert_eq!((*kind, method.as_str()), (Kind::Call, "get_agents"));
    assert_eq!(*to, Target::topic("elsewhere").version("1.4"));
    assert_eq!(args, r#"{"host":"x","is_active":false}"#);
}

#[test]
fn what_the_server_raises_is_raised() {
    let raised = Failure::new("neutron_lib.exceptions", "InvalidInput", "no");
    let answer = raised.clone();
    testing::answer(move |_, _, _| Err(Error::Remote(answer.clone())));
    assert_eq!(AgentWatch.down_agents(None, None), Err(raised.clone()));
    assert_eq!(AgentWatch.health(), Err(raised));
}

#[test]
fn a_server_is_alive_or_not() {
    testing::answer(|_, method, args| match method {
        "has_alive_neutron_server" => Ok(json!(true)),
        _ if args == json!({}) => Ok(json!([1, 2, 3])),
        _ => Ok(json!([1])),
    });
    let well = Health {
        server_alive: true,
        agents: Some(3),
        down: Some(1),
    };
    assert_eq!(AgentWatch.health(), Ok(well));
    for dead in [
        Ok(json!(false)),
        Err(Error::Timeout),
        Err(Error::Unroutable),
    ] {
        testing::answer(move |_, _, _| dead.clone());
        assert_eq!(AgentWatch.health(), Ok(Health::default()));
    }
}
