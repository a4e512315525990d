//! `endpointd:rpc/client`: RPC to others. Declared so that plugins can be built against it;
//! every use is answered with "not granted" for now.

use super::HostState;
use crate::bindings::endpointd::rpc::client::{Destination, Error, Host, Options};

fn refused(kind: &str, to: &Destination) -> Error {
    Error::NotGranted(format!(
        "this version of endpointd cannot send `{kind}:{}` for a plugin",
        to.topic
    ))
}

impl Host for HostState {
    async fn call(
        &mut self,
        to: Destination,
        _method: String,
        _args: String,
        _options: Options,
    ) -> wasmtime::Result<Result<String, Error>> {
        Ok(Err(refused("call", &to)))
    }

    async fn cast(
        &mut self,
        to: Destination,
        _method: String,
        _args: String,
        _options: Options,
    ) -> wasmtime::Result<Result<(), Error>> {
        Ok(Err(refused("cast", &to)))
    }

    async fn fanout(
        &mut self,
        to: Destination,
        _method: String,
        _args: String,
        _options: Options,
    ) -> wasmtime::Result<Result<(), Error>> {
        Ok(Err(refused("fanout", &to)))
    }
}
