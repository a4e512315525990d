//! A plain oslo.messaging client calls us, and an oslo.messaging server serves a topic beside us.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::support::host::Setup;
use crate::support::peer::Peer;
use crate::support::{rabbit, unique};

#[test]
fn an_oslo_client_gets_results_and_the_right_exceptions() {
    let topic = unique("interop");
    let url = rabbit::shared().url();
    let _host = Setup::new(&url).probe(&topic).start();
    let mut client = Peer::start("client.py", &[&url, "neutron"]);
    let call = |method: &str, args: Value, more: Value| {
        let mut request = json!({
            "do": "call", "topic": topic, "method": method, "args": args, "version": "1.4",
        });
        for (key, value) in more.as_object().expect("an object") {
            request[key] = value.clone();
        }
        request
    };
    let none = json!({});

    let value = json!({"text": "é€😀\u{0}\"\\", "numbers": [1, -2.5, 1e300], "null": null});
    let echoed = client.result(call("echo", json!({"value": value}), none.clone()));
    assert_eq!(echoed, value);
    assert_eq!(
        client.result(call("add", json!({"a": 4}), json!({"version": "1.0"}))),
        5
    );
    assert_eq!(
        client.result(call("which", none.clone(), json!({"version": "2.0"}))),
        "null 2.0"
    );
    let named = json!({"namespace": "named", "version": "1.9"});
    assert_eq!(
        client.result(call("which", none.clone(), named)),
        "named 1.10"
    );
    assert_eq!(
        client.result(call("which", none.clone(), json!({"server": "testhost"}))),
        "null 1.4"
    );
    let context = json!({"user": "u", "roles": ["a"]});
    let seen = client.result(call("context", none.clone(), json!({"context": context})));
    assert_eq!(seen, context);

    let raised = |answer: &Value| (answer["raised"].clone(), answer["exc_type"].clone());
    let remote = |class: &str| (json!("RemoteError"), json!(class));
    let missing = client.ask(call("nosuch", none.clone(), none.clone()));
    assert_eq!(raised(&missing), remote("NoSuchMethod"));
    assert_eq!(
        missing["value"],
        "Endpoint does not support RPC method nosuch"
    );
    let newer = client.ask(call("which", none.clone(), json!({"version": "1.5"})));
    assert_eq!(raised(&newer), remote("UnsupportedVersion"));
    let wording = "Endpoint does not support RPC version 1.5. Attempted method: which";
    assert_eq!(newer["value"], wording);
    let elsewhere = client.ask(call("which", none.clone(), json!({"namespace": "other"})));
    assert_eq!(raised(&elsewhere), remote("UnsupportedVersion"));

    let bad = client.ask(call("bad_value", none.clone(), none.clone()));
    assert_eq!(
        (&bad["raised"], &bad["module"]),
        (&json!("ValueError"), &json!("builtins"))
    );
    assert!(
        bad["message"]
            .as_str()
            .expect("text")
            .starts_with("bad value"),
        "{bad}"
    );
    let wrong = client.ask(call("add", json!({"a": 1, "c": 2}), none.clone()));
    assert_eq!(wrong["raised"], "TypeError");
    let own = json!({"module": "neutron.exceptions", "class": "AgentGone", "message": "gone"});
    let own = client.ask(call("fail", own, none.clone()));
    assert_eq!(raised(&own), remote("AgentGone"));
    assert_eq!(own["value"], "gone");
    let trapped = client.ask(call("panic", none.clone(), none));
    assert_eq!(raised(&trapped), remote("PluginTrap"));
}

#[test]
fn an_oslo_server_and_ours_serve_one_topic_together() {
    let topic = unique("shared");
    let url = rabbit::shared().url();
    // Either may come first and find the other's exchange and queue.
    for oslo_first in [true, false] {
        let oslo = || Peer::start("server.py", &[&url, "neutron", &topic, "other"]);
        let ours = || Setup::new(&url).probe(&topic).start();
        let (server, _host) = match oslo_first {
            true => {
                let server = oslo();
                (server, ours())
            }
            false => {
                let host = ours();
                (oslo(), host)
            }
        };
        let mut client = Peer::start("client.py", &[&url, "neutron"]);
        let mut who = |server: Option<&str>| {
            let request = json!({
                "do": "call", "topic": topic, "method": "who", "version": "1.0", "server": server,
            });
            client.result(request).as_str().expect("text").to_owned()
        };
        let answers: BTreeSet<_> = (0..20).map(|_| who(None)).collect();
        assert_eq!(answers, ["endpointd", "oslo"].map(str::to_owned).into());
        assert_eq!(who(Some("testhost")), "endpointd");
        assert_eq!(who(Some("other")), "oslo");
        server.stop();
    }
}
