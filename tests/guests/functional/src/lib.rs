//! The server of upstream's functional tests (`functional/utils.py`) as a guest. What it remembers
//! is in a bucket, as each request has an instance of its own.

use std::time::Duration;

use endpointd_guest::keyvalue::Bucket;
use endpointd_guest::{Result, builtins, clock, endpoint};
use serde_json::Value;

/// `TestServerEndpoint`, what `RpcServerFixture` itself answers, and the endpoint of
/// `test_monitor_long_call`.
#[derive(Default)]
struct Server;

#[endpoint(version = "1.0", export = false)]
impl Server {
    pub fn add(&self, increment: i64) -> Result<i64> {
        Ok(bucket()?.increment("ival", increment)?)
    }

    pub fn subtract(&self, increment: i64) -> Result<i64> {
        bucket()?.update_json("ival", |ival: Option<i64>| {
            let ival = ival.unwrap_or(0);
            if ival < increment {
                let error = builtins::value_error("ival can't go negative!");
                return (ival, Err(error));
            }
            let ival = ival - increment;
            (ival, Ok(ival))
        })?
    }

    pub fn append(&self, text: String) -> Result<String> {
        Ok(bucket()?.update_json("sval", |sval: Option<String>| {
            let sval = sval.unwrap_or_default() + &text;
            (sval.clone(), sval)
        })?)
    }

    pub fn long_running_task(&self, seconds: u64) {
        busy(seconds);
    }

    pub fn ping(&self) {}

    pub fn sync(&self) -> Result<()> {
        bucket()?.increment("syncs", 1)?;
        Ok(())
    }

    /// How often `sync` was called, in place of upstream's queue.
    pub fn sync_count(&self) -> Result<i64> {
        Ok(bucket()?.increment("syncs", 0)?)
    }

    pub fn delay(&self, seconds: u64) -> u64 {
        busy(seconds);
        seconds
    }
}

/// The endpoint of `test_endpoint_version_namespace`.
#[derive(Default)]
struct Named;

#[endpoint(namespace = "Name1", version = "7.5", export = false)]
impl Named {
    pub fn test(&self, echo: Value) -> Value {
        echo
    }
}

endpointd_guest::export!(Server, Named);

fn bucket() -> Result<Bucket> {
    Ok(Bucket::open("functional")?)
}

/// Upstream sleeps; a guest has a clock to look at, but nothing to sleep with.
fn busy(seconds: u64) {
    let end = clock::now() + Duration::from_secs(seconds);
    while clock::now() < end {}
}
