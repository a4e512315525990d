//! The conformance points, each by a test that begins with its number: what `make conformance`
//! makes docs/conformance.md of. tests/conformance.toml says what each point demands.

mod connecting;
mod dispatch;
mod envelope;
mod life;
mod neutron;
mod oslo_file;
mod recovery;
mod reply;
mod request;
mod sending;
mod tls;
mod topology;
mod url;
mod waiting;

use serde_json::{Value, json};

use crate::support::host::{Host, Setup};
use crate::support::wire::Wire;
use crate::support::{rabbit, unique};

/// A host with the well-behaved guest, and a caller that writes bytes, on the shared node.
struct Served {
    host: Host,
    topic: String,
    wire: Wire,
}

impl Served {
    fn start() -> Self {
        Self::start_with("")
    }

    /// With lines for the top of endpointd.toml.
    fn start_with(settings: &str) -> Self {
        let topic = unique("served");
        let rabbit = rabbit::shared();
        let setup = Setup::new(&rabbit.url()).settings(settings);
        Self {
            host: setup.probe(&topic).start(),
            wire: Wire::connect(rabbit.port()),
            topic,
        }
    }

    #[track_caller]
    fn call(&mut self, message: Value) -> Value {
        self.wire.call("neutron", &self.topic, message)
    }

    #[track_caller]
    fn failure(&mut self, message: Value) -> (String, String) {
        let reply = self.call(message);
        assert_eq!(reply["result"], Value::Null, "{reply}");
        let failure = failure_of(&reply);
        let text = |key: &str| failure[key].as_str().expect("text").to_owned();
        (text("class"), text("message"))
    }

    /// Publishes a message as it is, in an envelope.
    fn publish(&self, message: &Value) {
        let body = crate::support::wire::envelope(message);
        self.wire.publish("neutron", &self.topic, &body);
    }

    /// That the host goes on serving, and that nothing was left in its queue or put back.
    #[track_caller]
    fn is_unharmed(&mut self) {
        let reply = self.call(json!({"method": "add", "args": {"a": 1}}));
        assert_eq!(reply["result"], 2);
        let queues = rabbit::shared().list(&["list_queues", "name", "messages"]);
        let queue = queues.iter().find(|queue| queue["name"] == *self.topic);
        assert_eq!(queue.expect("the queue")["messages"], 0);
    }
}

/// The failure in a reply: JSON within JSON within JSON.
#[track_caller]
fn failure_of(reply: &Value) -> Value {
    let failure = reply["failure"].as_str().expect("a failure that is text");
    serde_json::from_str(failure).expect("JSON")
}
