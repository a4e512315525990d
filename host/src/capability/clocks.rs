//! `wasi:clocks`, as granted. It has no errors of its own, so to call it without a grant ends the
//! guest.

use wasmtime::component::Resource;
use wasmtime_wasi::clocks::WasiClocksView;
use wasmtime_wasi::p2::DynPollable;
use wasmtime_wasi::p2::bindings::clocks::monotonic_clock::{self, Duration, Instant};
use wasmtime_wasi::p2::bindings::clocks::wall_clock::{self, Datetime};

use super::HostState;
use super::grants::Capability;

impl HostState {
    fn may_tell_time(&self, import: &'static str) -> wasmtime::Result<()> {
        let allowance = self.allowance();
        match allowance.granted.clocks {
            true => Ok(()),
            false => Err(allowance.deny(import, Capability::Clocks).into()),
        }
    }
}

impl wall_clock::Host for HostState {
    fn now(&mut self) -> wasmtime::Result<Datetime> {
        self.may_tell_time("wasi:clocks/wall-clock#now")?;
        wall_clock::Host::now(&mut self.clocks())
    }

    fn resolution(&mut self) -> wasmtime::Result<Datetime> {
        self.may_tell_time("wasi:clocks/wall-clock#resolution")?;
        wall_clock::Host::resolution(&mut self.clocks())
    }
}

impl monotonic_clock::Host for HostState {
    fn now(&mut self) -> wasmtime::Result<Instant> {
        self.may_tell_time("wasi:clocks/monotonic-clock#now")?;
        monotonic_clock::Host::now(&mut self.clocks())
    }

    fn resolution(&mut self) -> wasmtime::Result<Duration> {
        self.may_tell_time("wasi:clocks/monotonic-clock#resolution")?;
        monotonic_clock::Host::resolution(&mut self.clocks())
    }

    fn subscribe_instant(&mut self, when: Instant) -> wasmtime::Result<Resource<DynPollable>> {
        self.may_tell_time("wasi:clocks/monotonic-clock#subscribe-instant")?;
        self.clocks().subscribe_instant(when)
    }

    fn subscribe_duration(&mut self, when: Duration) -> wasmtime::Result<Resource<DynPollable>> {
        self.may_tell_time("wasi:clocks/monotonic-clock#subscribe-duration")?;
        self.clocks().subscribe_duration(when)
    }
}
