//! How many messages the answer to one request sends: RPC and HTTP alike.

use std::sync::Arc;

use super::allowance::Allowance;
use super::limits::{Exceeded, Limit};

/// Counts what one request's answer sends.
pub struct Messages {
    pub allowance: Arc<Allowance>,
    sent: u32,
}

impl Messages {
    /// None was sent yet.
    pub fn new(allowance: Arc<Allowance>) -> Self {
        Self { allowance, sent: 0 }
    }

    /// Begins anew, for the next request.
    pub fn reset(&mut self) {
        self.sent = 0;
    }

    /// Counts one more. The limits of the one request and of all together are different ones.
    pub fn take(&mut self) -> Result<(), Exceeded> {
        let limits = &self.allowance.limits;
        if self.sent >= limits.outbound {
            return Err(limits.exceeded(Limit::Outbound));
        }
        self.sent += 1;
        self.allowance.may_send()
    }
}
