//! `endpointd:rpc/call-info`: about the request being answered.

use std::time::Instant;

use super::HostState;
use crate::bindings::endpointd::rpc::call_info;
use crate::endpoint::Delivery;

/// What a guest may know of its request beyond the request itself.
#[derive(Clone, Debug)]
pub struct CallInfo {
    pub id: String,
    pub delivery: Delivery,
    pub deadline: Option<Instant>,
}

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
        let left = self.call.deadline.map(left);
        Ok(left.map(|left| u64::try_from(left.as_millis()).unwrap_or(u64::MAX)))
    }
}
