//! `wasi:http`: requests to the hosts that were granted. They end with the guest that sent them.

use tracing::debug;
use wasmtime_wasi_http::{
    Error, RequestOptions, Result, WasiBody, WasiHttpCtxView, WasiHttpHooks, WasiHttpView,
    default_hooks,
};

use super::HostState;
use super::grants::Capability;
use super::limits::Limit;
use super::messages::Messages;

/// What is kept of a body that nobody reads yet, for each request that a guest makes.
const CHUNK_BYTES: usize = 64 * 1024;

/// What a request comes to: the response, and the work on its connection.
type Sending = Box<
    dyn Future<
            Output = Result<(
                http::Response<WasiBody>,
                Box<dyn Future<Output = Result<()>> + Send>,
            )>,
        > + Send,
>;

impl WasiHttpView for HostState {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        WasiHttpCtxView {
            hooks: &mut self.messages,
            table: &mut self.table,
            ctx: &mut self.http,
        }
    }
}

impl WasiHttpHooks for Messages {
    fn send_request(
        &mut self,
        request: http::Request<WasiBody>,
        options: Option<RequestOptions>,
        rest: Box<dyn Future<Output = Result<()>> + Send>,
    ) -> Sending {
        let uri = request.uri();
        let scheme = uri.scheme_str().unwrap_or_default();
        let authority = uri.authority().map_or("", |authority| authority.as_str());
        let hosts = &self.allowance.granted.http;
        if !hosts.iter().any(|host| host.allows(scheme, authority)) {
            self.allowance
                .deny("wasi:http/outgoing-handler#handle", Capability::Http);
            return Box::new(async { Err(Error::HttpRequestDenied) });
        }
        if let Err(exceeded) = self.take() {
            if exceeded.limit == Limit::Outbound {
                self.allowance.meter.reached(exceeded.limit);
            }
            let problem = exceeded.to_string();
            return Box::new(async { Err(Error::InternalError(Some(problem))) });
        }
        debug!("Sends an HTTP request to {authority}");
        default_hooks().send_request(request, options, rest)
    }

    fn p2_outgoing_body_chunk_size(&mut self) -> usize {
        CHUNK_BYTES
    }
}
