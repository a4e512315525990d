//! What is measured: an agent's report is read and answered in a few words. The same code runs as a
//! plugin and, in the native host, without any WebAssembly.

mod report;

use endpointd_guest::{Result, endpoint};

pub use crate::report::{Answer, Arguments, Report, answer};

#[derive(Default)]
struct Measured;

#[endpoint(version = "1.0")]
impl Measured {
    /// Reads the whole report, and tells what it says of its agent.
    pub fn report(&self, agent_state: Report, time: String) -> Result<Answer> {
        Ok(answer(&Arguments { agent_state, time }))
    }

    /// The length of a text, in bytes.
    pub fn length(&self, payload: String) -> Result<usize> {
        Ok(payload.len())
    }
}
