//! What a plugin may do: `HostState`, and the imports it is linked to.

pub mod allowance;
pub mod call_info;
pub mod client;
pub mod client_grant;
pub mod clocks;
pub mod config_store;
pub mod grants;
pub mod http;
pub mod http_grant;
pub mod keyvalue;
pub mod limits;
pub mod logging;
pub mod messages;
pub mod random;
pub mod rate;
pub mod settings;
pub mod wasi_context;

use std::sync::Arc;
use std::time::{Instant, SystemTime};

use wasmtime::component::{HasSelf, Linker, ResourceTable};
use wasmtime_wasi::p2::bindings::{clocks as wasi_clocks, random as wasi_random};
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};
use wasmtime_wasi_http::WasiHttpCtx;

use self::allowance::Allowance;
use self::limits::{MAX_HANDLES, MAX_HEADER_BYTES, StoreLimits};
use self::messages::Messages;
use crate::bindings::endpointd::rpc as contract;
use crate::bindings::wasi;
use crate::endpoint::Delivery;
use crate::endpoint::place::Place;
use crate::protocol::json::{self, Json};

/// What a guest may know of its request beyond the request itself.
#[derive(Clone, Debug)]
pub struct CallInfo {
    pub id: String,
    pub delivery: Delivery,
    /// When the caller stops waiting, where it is known.
    pub deadline: Option<Instant>,
    /// When the guest is ended, whatever it does.
    pub runs_until: Instant,
    /// How many plugins, one calling the next, led to it.
    pub depth: u32,
    /// An object; it goes with what the guest sends, if the guest sends no other.
    pub context: Json,
    pub host_started: SystemTime,
}

/// Everything that a guest's imports act on; the data of its store.
pub struct HostState {
    pub limits: StoreLimits,
    pub call: CallInfo,
    /// What it holds while it runs, to be lent while it waits for a reply.
    places: Vec<Arc<Place>>,
    messages: Messages,
    table: ResourceTable,
    /// Made when it is first asked for, which most requests never do; from the start where folders are to be
    /// opened, as that can fail.
    wasi: Option<WasiCtx>,
    http: WasiHttpCtx,
}

impl HostState {
    /// Fails where something that was granted is not there any more.
    pub fn new(
        allowance: &Arc<Allowance>,
        call: CallInfo,
        places: Vec<Arc<Place>>,
    ) -> wasmtime::Result<Self> {
        let mut table = ResourceTable::new();
        table.set_max_capacity(MAX_HANDLES);
        let mut http = WasiHttpCtx::new();
        http.set_field_size_limit(MAX_HEADER_BYTES);
        Ok(Self {
            limits: StoreLimits::new(&allowance.limits),
            call,
            places,
            messages: Messages::new(Arc::clone(allowance)),
            table,
            wasi: match allowance.granted.folders.is_empty() {
                true => None,
                false => Some(wasi_context::with_folders(allowance)?),
            },
            http,
        })
    }

    /// Begins the next request of an instance that is used again.
    pub fn begin(&mut self, call: CallInfo, places: Vec<Arc<Place>>) {
        self.call = call;
        self.places = places;
        self.messages.reset();
        self.limits.take_exceeded();
    }

    /// The request is over: what it held is free for others, and nothing of it is kept, whatever becomes
    /// of the instance.
    pub fn end(&mut self) {
        self.places.clear();
        self.call.context = json::empty_object();
    }

    pub fn allowance(&self) -> &Arc<Allowance> {
        &self.messages.allowance
    }
}

impl WasiView for HostState {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        let allowance = &self.messages.allowance;
        let made = || wasi_context::without_folders(allowance);
        WasiCtxView {
            ctx: self.wasi.get_or_insert_with(made),
            table: &mut self.table,
        }
    }
}

/// Links every import that a plugin can have. Which of them it may have is checked at load, by
/// `Grants::check`; what a runtime imports without a grant is denied when it is called.
pub fn add_to_linker(linker: &mut Linker<HostState>) -> wasmtime::Result<()> {
    wasmtime_wasi::p2::add_to_linker_async(linker)?;
    // Our own take the place of those that ask for no grant.
    linker.allow_shadowing(true);
    wasi_clocks::wall_clock::add_to_linker::<_, HasSelf<_>>(linker, |state| state)?;
    wasi_clocks::monotonic_clock::add_to_linker::<_, HasSelf<_>>(linker, |state| state)?;
    wasi_random::random::add_to_linker::<_, HasSelf<_>>(linker, |state| state)?;
    wasi_random::insecure::add_to_linker::<_, HasSelf<_>>(linker, |state| state)?;
    wasi_random::insecure_seed::add_to_linker::<_, HasSelf<_>>(linker, |state| state)?;
    linker.allow_shadowing(false);
    wasmtime_wasi_http::p2::add_only_http_to_linker_async(linker)?;
    wasi::config::store::add_to_linker::<_, HasSelf<_>>(linker, |state| state)?;
    wasi::logging::logging::add_to_linker::<_, HasSelf<_>>(linker, |state| state)?;
    wasi::keyvalue::store::add_to_linker::<_, HasSelf<_>>(linker, |state| state)?;
    wasi::keyvalue::atomics::add_to_linker::<_, HasSelf<_>>(linker, |state| state)?;
    contract::call_info::add_to_linker::<_, HasSelf<_>>(linker, |state| state)?;
    contract::client::add_to_linker::<_, HasSelf<_>>(linker, |state| state)?;
    Ok(())
}
