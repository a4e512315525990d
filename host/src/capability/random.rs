//! `wasi:random`, as granted. It has no errors of its own, so to call it without a grant ends the
//! guest.

use wasmtime_wasi::WasiView;
use wasmtime_wasi::p2::bindings::random::{insecure, insecure_seed, random};
use wasmtime_wasi::random::WasiRandomCtx;

use super::HostState;
use super::grants::Capability;

impl HostState {
    fn numbers(&mut self, import: &'static str) -> wasmtime::Result<&mut WasiRandomCtx> {
        let allowance = self.allowance();
        match allowance.granted.random {
            true => Ok(self.ctx().ctx.random()),
            false => Err(allowance.deny(import, Capability::Random).into()),
        }
    }
}

impl random::Host for HostState {
    fn get_random_bytes(&mut self, len: u64) -> wasmtime::Result<Vec<u8>> {
        let numbers = self.numbers("wasi:random/random#get-random-bytes")?;
        numbers.get_random_bytes(len)
    }

    fn get_random_u64(&mut self) -> wasmtime::Result<u64> {
        let numbers = self.numbers("wasi:random/random#get-random-u64")?;
        numbers.get_random_u64()
    }
}

impl insecure::Host for HostState {
    fn get_insecure_random_bytes(&mut self, len: u64) -> wasmtime::Result<Vec<u8>> {
        let numbers = self.numbers("wasi:random/insecure#get-insecure-random-bytes")?;
        numbers.get_insecure_random_bytes(len)
    }

    fn get_insecure_random_u64(&mut self) -> wasmtime::Result<u64> {
        let numbers = self.numbers("wasi:random/insecure#get-insecure-random-u64")?;
        numbers.get_insecure_random_u64()
    }
}

impl insecure_seed::Host for HostState {
    fn insecure_seed(&mut self) -> wasmtime::Result<(u64, u64)> {
        let numbers = self.numbers("wasi:random/insecure-seed#insecure-seed")?;
        numbers.insecure_seed()
    }
}
