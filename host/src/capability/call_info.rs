//! `endpointd:rpc/call-info`: about the request being answered.

use std::time::{Duration, Instant, SystemTime};

use super::HostState;
use crate::bindings::endpointd::rpc::call_info;
use crate::endpoint::Delivery;

impl call_info::Host for HostState {
    fn id(&mut self) -> wasmtime::Result<String> {
        Ok(self.call.id.clone())
    }

    fn delivery(&mut self) -> wasmtime::Result<call_info::DeliveryKind> {
        Ok(match self.call.delivery {
            Delivery::Call => call_info::DeliveryKind::Call,
            Delivery::Cast => call_info::DeliveryKind::Cast,
        })
    }

    fn remaining_ms(&mut self) -> wasmtime::Result<Option<u64>> {
        let left = |deadline: Instant| deadline.saturating_duration_since(Instant::now());
        Ok(self.call.deadline.map(left).map(whole_ms))
    }

    fn host_started_ms(&mut self) -> wasmtime::Result<u64> {
        let since_1970 = self
            .call
            .host_started
            .duration_since(SystemTime::UNIX_EPOCH);
        Ok(since_1970.map_or(0, whole_ms))
    }
}

fn whole_ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
