//! `endpointd:rpc/client`: RPC to others, as granted. Calls are answered with "not granted" for now:
//! only what has no reply is sent.

use std::time::{Duration, Instant};

use super::HostState;
use crate::bindings::endpointd::rpc::client::{Destination, Error, Host, Options};
use crate::outbound::{Cast, OutboundError, Recipients};
use crate::protocol::json::{self, Json};

/// How long a message may take to be sent where neither the guest nor its caller says.
const SEND_TIMEOUT: Duration = Duration::from_secs(60);

impl From<OutboundError> for Error {
    fn from(error: OutboundError) -> Self {
        match error {
            OutboundError::Invalid(problem) => Self::Invalid(problem),
            OutboundError::NotGranted(problem) => Self::NotGranted(problem),
            OutboundError::Unroutable => Self::Unroutable,
            OutboundError::Unavailable(problem) => Self::Unavailable(problem),
        }
    }
}

/// JSON that must be an object, or which text is not.
fn object(name: &str, text: String) -> Result<Json, String> {
    match json::checked(text) {
        Ok(value) if json::is_object(&value) => Ok(value),
        Ok(_) => Err(format!("`{name}` is no JSON object")),
        Err(error) => Err(format!("`{name}` is no JSON: {error}")),
    }
}

impl HostState {
    async fn send(
        &mut self,
        kind: &str,
        to: &Destination,
        method: &str,
        args: String,
        options: Options,
    ) -> Result<(), Error> {
        let grants = &self.granted.client;
        if !grants.iter().any(|grant| grant.allows(kind, &to.topic)) {
            return Err(Error::NotGranted(format!(
                "add `client = [\"{kind}:{}\"]` under [grants] in plugin.toml",
                to.topic
            )));
        }
        let args = object("args", args).map_err(Error::Invalid)?;
        let context = match options.context {
            Some(text) => object("context", text).map_err(Error::Invalid)?,
            None => self.call.context.clone(),
        };
        let own_limit = options
            .timeout_ms
            .map(|left| Duration::from_millis(left.into()));
        let own = Instant::now() + own_limit.unwrap_or(SEND_TIMEOUT);
        let cast = Cast {
            exchange: to.exchange.as_deref(),
            topic: &to.topic,
            to: match (kind, &to.server) {
                ("fanout", _) => Recipients::All,
                (_, Some(server)) => Recipients::Server(server),
                (_, None) => Recipients::Any,
            },
            namespace: to.namespace.as_deref(),
            version: to.version.as_deref(),
            method,
            args: &args,
            context: &context,
            deadline: self.call.deadline.map_or(own, |callers| callers.min(own)),
        };
        match &self.outbound {
            Some(outbound) => Ok(outbound.cast(cast).await?),
            None => Err(Error::Unavailable("nothing is sent from here".to_owned())),
        }
    }
}

impl Host for HostState {
    async fn call(
        &mut self,
        to: Destination,
        _method: String,
        _args: String,
        _options: Options,
    ) -> wasmtime::Result<Result<String, Error>> {
        let topic = to.topic;
        Ok(Err(Error::NotGranted(format!(
            "this version of endpointd cannot send `call:{topic}` for a plugin"
        ))))
    }

    async fn cast(
        &mut self,
        to: Destination,
        method: String,
        args: String,
        options: Options,
    ) -> wasmtime::Result<Result<(), Error>> {
        Ok(self.send("cast", &to, &method, args, options).await)
    }

    async fn fanout(
        &mut self,
        to: Destination,
        method: String,
        args: String,
        options: Options,
    ) -> wasmtime::Result<Result<(), Error>> {
        Ok(self.send("fanout", &to, &method, args, options).await)
    }
}
