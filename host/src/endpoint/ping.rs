//! `oslo_rpc_server_ping`: tells an operator's probe that a server answers
//! (oslo_messaging/rpc/dispatcher.py: `PingEndpoint`).

use async_trait::async_trait;
use serde_json::value::RawValue;

use super::{Call, Endpoint};
use crate::protocol::failure::Failure;
use crate::protocol::json::Json;
use crate::protocol::target::EndpointTarget;

/// The method's name.
pub const METHOD: &str = "oslo_rpc_server_ping";

/// Answers `"pong"`, whatever the arguments.
pub struct Ping(EndpointTarget);

impl Default for Ping {
    fn default() -> Self {
        Self(EndpointTarget {
            namespace: None,
            version: "1.0".parse().expect("a version"),
            methods: vec![METHOD.to_owned()],
        })
    }
}

#[async_trait]
impl Endpoint for Ping {
    fn target(&self) -> &EndpointTarget {
        &self.0
    }

    fn generation(&self) -> &str {
        env!("CARGO_PKG_VERSION")
    }

    fn name(&self) -> &str {
        "ping"
    }

    async fn invoke(&self, _: Call<'_>) -> Result<Json, Failure> {
        Ok(RawValue::from_string("\"pong\"".to_owned()).expect("JSON"))
    }
}
