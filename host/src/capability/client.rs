//! `endpointd:rpc/client`: RPC to others, as granted.

use std::time::{Duration, Instant};

use super::HostState;
use super::grants::Capability;
use super::limits::Limit;
use crate::bindings::endpointd::rpc::client::{Destination, Error, Host, Options};
use crate::bindings::endpointd::rpc::types;
use crate::outbound::{MAX_DEPTH, Message, Outbound, OutboundError, Recipients};
use crate::protocol::json::{self, Json};

/// What is kept of a guest's time, or a tenth of it if that is less: after a call that used up all the
/// rest, it can still say so.
const TIME_TO_ANSWER: Duration = Duration::from_millis(50);

impl From<OutboundError> for Error {
    fn from(error: OutboundError) -> Self {
        match error {
            OutboundError::Invalid(problem) => Self::Invalid(problem),
            OutboundError::NotGranted(problem) => Self::NotGranted(problem),
            OutboundError::Unroutable => Self::Unroutable,
            OutboundError::Unavailable(problem) => Self::Unavailable(problem),
            OutboundError::TimedOut => Self::Timeout,
            OutboundError::Remote(failure) => Self::Remote(types::Failure {
                class: failure.class,
                module: failure.module,
                message: failure.message,
                kwargs: failure.kwargs.map(|kwargs| kwargs.get().to_owned()),
                traceback: failure.traceback,
                expected: false,
            }),
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

/// What a guest wants sent: checked, and still without the borrowed parts of a `Message`.
struct Wanted {
    kind: &'static str,
    to: Destination,
    method: String,
    args: Json,
    context: Json,
    deadline: Instant,
}

impl Wanted {
    fn message(&self, depth: u32) -> Message<'_> {
        Message {
            topic: &self.to.topic,
            to: match (self.kind, &self.to.server) {
                ("fanout", _) => Recipients::All,
                (_, Some(server)) => Recipients::Server(server),
                (_, None) => Recipients::Any,
            },
            namespace: self.to.namespace.as_deref(),
            version: self.to.version.as_deref(),
            method: &self.method,
            args: &self.args,
            context: &self.context,
            depth,
            deadline: self.deadline,
        }
    }
}

impl HostState {
    fn checked(
        &self,
        kind: &'static str,
        to: Destination,
        method: String,
        args: String,
        options: Options,
    ) -> Result<Wanted, OutboundError> {
        let allowance = self.allowance();
        let grants = &allowance.granted.client;
        if !grants.iter().any(|grant| grant.allows(kind, &to.topic)) {
            allowance.deny("endpointd:rpc/client", Capability::Client);
            return Err(OutboundError::NotGranted(format!(
                "add `client = [\"{kind}:{}\"]` under [grants] in plugin.toml",
                to.topic
            )));
        }
        // A grant names topics of the service that this host belongs to, and not of every other.
        let exchange = self.outbound()?.exchange();
        if to.exchange.as_deref().is_some_and(|name| name != exchange) {
            return Err(OutboundError::NotGranted(format!(
                "plugins send through the exchange `{exchange}` only"
            )));
        }
        let args = object("args", args).map_err(OutboundError::Invalid)?;
        let context = match options.context {
            Some(text) => object("context", text).map_err(OutboundError::Invalid)?,
            None => self.call.context.clone(),
        };
        let now = Instant::now();
        let left = self.call.runs_until.saturating_duration_since(now);
        let usable = left.saturating_sub(TIME_TO_ANSWER.min(left / 10));
        let wanted = options.timeout_ms.map_or(usable, |limit| {
            usable.min(Duration::from_millis(limit.into()))
        });
        Ok(Wanted {
            kind,
            to,
            method,
            args,
            context,
            deadline: now + wanted,
        })
    }

    /// The same, counted. The outer error ends the guest.
    fn admit(
        &mut self,
        kind: &'static str,
        to: Destination,
        method: String,
        args: String,
        options: Options,
    ) -> wasmtime::Result<Result<Wanted, OutboundError>> {
        let wanted = match self.checked(kind, to, method, args, options) {
            Ok(wanted) => wanted,
            Err(refused) => return Ok(Err(refused)),
        };
        match self.messages.take() {
            Ok(()) => Ok(Ok(wanted)),
            // Other requests may have used it up, so it is nothing that this one did wrong.
            Err(exceeded) if exceeded.limit == Limit::OutboundRate => {
                Ok(Err(OutboundError::Unavailable(exceeded.to_string())))
            }
            Err(exceeded) => Err(exceeded.into()),
        }
    }

    fn outbound(&self) -> Result<&dyn Outbound, OutboundError> {
        match &self.allowance().outbound {
            Some(outbound) => Ok(&**outbound),
            None => Err(OutboundError::Unavailable(
                "nothing is sent from here".to_owned(),
            )),
        }
    }

    async fn call_out(&mut self, wanted: &Wanted) -> Result<String, OutboundError> {
        if self.call.depth >= MAX_DEPTH {
            return Err(OutboundError::NotGranted(format!(
                "{MAX_DEPTH} plugins have called one another to get here, and the last may call \
                 nobody"
            )));
        }
        let calling = self.outbound()?.call(wanted.message(self.call.depth + 1));
        for place in &self.places {
            place.lend();
        }
        let outcome = calling.await;
        for place in &self.places {
            place.take_back().await;
        }
        Ok(outcome?.get().to_owned())
    }

    async fn cast_out(&mut self, wanted: &Wanted) -> Result<(), OutboundError> {
        let casting = self.outbound()?.cast(wanted.message(0));
        casting.await
    }
}

impl Host for HostState {
    async fn call(
        &mut self,
        to: Destination,
        method: String,
        args: String,
        options: Options,
    ) -> wasmtime::Result<Result<String, Error>> {
        Ok(match self.admit("call", to, method, args, options)? {
            Ok(wanted) => self.call_out(&wanted).await.map_err(Error::from),
            Err(refused) => Err(refused.into()),
        })
    }

    async fn cast(
        &mut self,
        to: Destination,
        method: String,
        args: String,
        options: Options,
    ) -> wasmtime::Result<Result<(), Error>> {
        Ok(match self.admit("cast", to, method, args, options)? {
            Ok(wanted) => self.cast_out(&wanted).await.map_err(Error::from),
            Err(refused) => Err(refused.into()),
        })
    }

    async fn fanout(
        &mut self,
        to: Destination,
        method: String,
        args: String,
        options: Options,
    ) -> wasmtime::Result<Result<(), Error>> {
        Ok(match self.admit("fanout", to, method, args, options)? {
            Ok(wanted) => self.cast_out(&wanted).await.map_err(Error::from),
            Err(refused) => Err(refused.into()),
        })
    }
}
