//! A client that gives slow methods more time (neutron_lib/rpc.py: `BackingOffClient`).
//!
//! Many agents that call one overloaded server again at the same pace keep it overloaded. So each
//! timeout of a method doubles the time that its later calls wait, and spreads them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use tracing::{debug, warn};

use super::{ClientError, RpcClient, to_json};
use crate::protocol::json::Json;
use crate::transport::TransportError;

/// The longest time of a method, as a multiple of the first (neutron: `rpc_response_max_timeout`).
const MAX_FACTOR: u32 = 10;

/// Calls with the time that their method needed lately, unless they set one of their own.
///
/// What is learned is shared by all copies, and never forgotten.
#[derive(Clone)]
pub struct BackingOffClient {
    client: RpcClient,
    table: Arc<Mutex<Table>>,
}

struct Table {
    /// What a method starts with, and the longest pause after a timeout: the initial time, as far as
    /// the longest allows.
    first: Duration,
    initial: Duration,
    max: Duration,
    /// By namespace and method.
    timeouts: HashMap<String, Duration>,
}

impl BackingOffClient {
    /// Each method starts with the client's default timeout, and gets ten times that at most.
    pub fn new(client: RpcClient) -> Self {
        let first = client.default_timeout;
        let table = Table {
            first,
            initial: first,
            max: first.saturating_mul(MAX_FACTOR),
            timeouts: HashMap::new(),
        };
        Self {
            client,
            table: Arc::new(Mutex::new(table)),
        }
    }

    /// What it calls with: to be [prepared](RpcClient::prepare) for another use.
    pub fn client(&self) -> &RpcClient {
        &self.client
    }

    /// Calls with another client, and shares what is learned. One that was given a timeout neither
    /// learns nor uses it.
    pub fn with_client(&self, client: RpcClient) -> Self {
        Self {
            client,
            table: Arc::clone(&self.table),
        }
    }

    /// Lowers or raises what a method gets at most; what was learned beyond it is cut. Agents that
    /// are to end set a low one.
    pub fn set_max_timeout(&self, max: Duration) {
        let mut table = self.table();
        table.max = max;
        table.first = table.initial.min(max);
        for timeout in table.timeouts.values_mut() {
            *timeout = max.min(*timeout);
        }
    }

    /// How long the next call of `method` will wait.
    pub fn timeout_of(&self, method: &str) -> Duration {
        let table = self.table();
        let known = table.timeouts.get(&self.key(method));
        known.copied().unwrap_or(table.first)
    }

    /// As [`RpcClient::call`]. After a timeout it pauses before it returns the error.
    pub async fn call<R: DeserializeOwned>(
        &self,
        context: &(impl Serialize + ?Sized),
        method: &str,
        args: &(impl Serialize + ?Sized),
    ) -> Result<R, ClientError> {
        let (context, args) = (to_json("the context", context)?, to_json("args", args)?);
        let result = self.call_json(&context, method, &args).await?;
        serde_json::from_str(result.get()).map_err(ClientError::UnexpectedResult)
    }

    /// As [`RpcClient::call_json`]. After a timeout it pauses before it returns the error.
    pub async fn call_json(
        &self,
        context: &RawValue,
        method: &str,
        args: &RawValue,
    ) -> Result<Json, ClientError> {
        if self.client.has_own_timeout() {
            return self.client.call_json(context, method, args).await;
        }
        let used = self.timeout_of(method);
        let client = self.client.prepare().timeout(used);
        let outcome = client.call_json(context, method, args).await;
        if let Err(ClientError::TimedOut { .. }) = outcome {
            let pause = self.lengthen(method, used).mul_f64(fastrand::f64());
            warn!(
                "No reply to `{method}` within {} s; pausing {:.1} s, and then waiting {} s",
                used.as_secs_f64(),
                pause.as_secs_f64(),
                self.timeout_of(method).as_secs_f64()
            );
            tokio::time::sleep(pause).await;
        }
        outcome
    }

    /// As [`RpcClient::cast`]; but one that the broker does not take now is given up without an error,
    /// as neutron's agents expect. What it refuses is one.
    pub async fn cast(
        &self,
        context: &(impl Serialize + ?Sized),
        method: &str,
        args: &(impl Serialize + ?Sized),
    ) -> Result<(), ClientError> {
        match self.client.cast(context, method, args).await {
            Err(ClientError::NotSent(error)) if !matches!(error, TransportError::Refused(_)) => {
                debug!("Gave up a cast of `{method}`: {error}");
                Ok(())
            }
            outcome => outcome,
        }
    }

    /// Gives the method more time after it used up `used`; the longest pause that may follow.
    fn lengthen(&self, method: &str, used: Duration) -> Duration {
        let mut table = self.table();
        let longer = used.saturating_mul(2).min(table.max);
        let (first, key) = (table.first, self.key(method));
        let known = table.timeouts.entry(key).or_insert(first);
        *known = longer.max(*known);
        used.min(first)
    }

    fn key(&self, method: &str) -> String {
        match &self.client.target.namespace {
            Some(namespace) => format!("{namespace}.{method}"),
            None => method.to_owned(),
        }
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
