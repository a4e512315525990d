//! What a plugin may do: `HostState`, the imports it is linked to, and the check of a
//! component's imports against what its operator granted.

pub mod call_info;
pub mod client;
pub mod client_grant;
pub mod keyvalue;
pub mod log_budget;
pub mod logging;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use wasmtime::component::{Component, HasSelf, Linker, ResourceTable};
use wasmtime::{Engine, ResourceLimiter};
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};
use wasmtime_wasi_config::{WasiConfig, WasiConfigVariables};

use self::client_grant::ClientGrant;
use self::log_budget::LogBudget;
use crate::bindings::endpointd::rpc as contract;
use crate::bindings::wasi;
use crate::endpoint::Delivery;
use crate::endpoint::place::Place;
use crate::keyvalue::{BucketName, Buckets, KeyValue};
use crate::outbound::Outbound;
use crate::protocol::json::Json;

/// The `[grants]` table of plugin.toml. Nothing is granted that is not named.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Grants {
    /// Buckets the plugin may open.
    pub keyvalue: Vec<BucketName>,
    /// RPC it may send through the host's own exchange: `call:TOPIC` and `cast:TOPIC`, to any or to
    /// one server of it, and `fanout:TOPIC`; `*` is every topic. On the wire one server of `a` is what
    /// any server of a topic named `a.SERVER` is: who may call `a` may call those.
    pub client: Vec<String>,
}

/// Why a component's imports do not fit its grants.
#[derive(Debug, thiserror::Error)]
pub enum GrantError {
    #[error(
        "it imports `{import}`, which is not granted: add `{line}` under [grants] in plugin.toml"
    )]
    NotGranted { import: String, line: &'static str },
    #[error("it imports `{0}`, which endpointd does not offer")]
    Unknown(String),
    #[error(
        "it is granted the bucket `{0}`, which is not configured: add [keyvalue.{0}] with \
         `backend = \"file\"` to endpointd.toml"
    )]
    NoSuchBucket(String),
    #[error("{0}")]
    Client(String),
}

/// What an import needs before it may be used.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Need {
    Nothing,
    /// A line under `[grants]`.
    Grant(&'static str),
}

/// What the import of this name, such as `wasi:keyvalue/store@0.2.0-draft2`, needs; `None` if
/// there is nothing to link it to.
pub fn need_of(import: &str) -> Option<Need> {
    let interface = import.split('@').next().unwrap_or_default();
    let package = interface.split('/').next().unwrap_or_default();
    match (package, interface) {
        (_, "endpointd:rpc/client") => Some(Need::Grant(
            "client = [\"call:TOPIC\", \"cast:TOPIC\", \"fanout:TOPIC\"]",
        )),
        ("wasi:keyvalue", "wasi:keyvalue/store" | "wasi:keyvalue/atomics") => {
            Some(Need::Grant("keyvalue = [\"BUCKET\"]"))
        }
        ("endpointd:rpc" | "wasi:logging" | "wasi:config", _) => Some(Need::Nothing),
        // Language runtimes import these used or not; they are linked to an empty context.
        ("wasi:cli" | "wasi:clocks" | "wasi:filesystem" | "wasi:io" | "wasi:random", _)
        | ("wasi:sockets", _) => Some(Need::Nothing),
        _ => None,
    }
}

/// The imports of a component, by name.
pub fn imports(component: &Component, engine: &Engine) -> Vec<String> {
    let component_type = component.component_type();
    let imports = component_type.imports(engine);
    imports.map(|(name, _)| name.to_owned()).collect()
}

impl Grants {
    /// Each as it would stand alone in plugin.toml.
    pub fn lines(&self) -> Vec<String> {
        let buckets = self
            .keyvalue
            .iter()
            .map(|name| format!("keyvalue = [\"{}\"]", name.as_str()));
        let client = self
            .client
            .iter()
            .map(|grant| format!("client = [\"{grant}\"]"));
        buckets.chain(client).collect()
    }

    /// Checks every import, and that what is granted exists; gives what the plugin gets.
    pub fn check(&self, imports: &[String], buckets: &Buckets) -> Result<Granted, GrantError> {
        for import in imports {
            let granted = match need_of(import) {
                None => return Err(GrantError::Unknown(import.clone())),
                Some(Need::Nothing) => continue,
                Some(Need::Grant(line)) if line.starts_with("client") => {
                    (!self.client.is_empty(), line)
                }
                Some(Need::Grant(line)) => (!self.keyvalue.is_empty(), line),
            };
            if let (false, line) = granted {
                let import = import.clone();
                return Err(GrantError::NotGranted { import, line });
            }
        }
        let mut open = BTreeMap::new();
        for name in &self.keyvalue {
            let bucket = buckets.get(name);
            let bucket =
                bucket.ok_or_else(|| GrantError::NoSuchBucket(name.as_str().to_owned()))?;
            open.insert(name.as_str().to_owned(), Arc::clone(bucket));
        }
        let client = self.client.iter().map(|text| text.parse());
        let client = client
            .collect::<Result<_, _>>()
            .map_err(GrantError::Client)?;
        Ok(Granted {
            buckets: Arc::new(open),
            client,
        })
    }
}

/// What one plugin was granted, ready for use.
#[derive(Clone, Default)]
pub struct Granted {
    buckets: Arc<BTreeMap<String, Arc<dyn KeyValue>>>,
    client: Arc<[ClientGrant]>,
}

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
    pub limits: MemoryLimit,
    pub call: CallInfo,
    /// What it holds while it runs, to be lent while it waits for a reply.
    places: Vec<Arc<Place>>,
    granted: Granted,
    log_budget: Arc<LogBudget>,
    outbound: Option<Arc<dyn Outbound>>,
    config: Arc<WasiConfigVariables>,
    table: ResourceTable,
    wasi: WasiCtx,
}

impl HostState {
    /// What a guest sends goes through `outbound`, if there is one.
    pub fn new(
        granted: Granted,
        log_budget: Arc<LogBudget>,
        outbound: Option<Arc<dyn Outbound>>,
        config: Arc<WasiConfigVariables>,
        memory_bytes: usize,
        call: CallInfo,
        places: Vec<Arc<Place>>,
    ) -> Self {
        let mut table = ResourceTable::new();
        table.set_max_capacity(MAX_RESOURCES);
        Self {
            limits: MemoryLimit::new(memory_bytes),
            call,
            places,
            granted,
            log_budget,
            outbound,
            config,
            table,
            // No arguments, environment, folders, network or standard streams.
            wasi: WasiCtx::builder().build(),
        }
    }
}

impl WasiView for HostState {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView {
            ctx: &mut self.wasi,
            table: &mut self.table,
        }
    }
}

/// Links every import that a plugin can have. Which of them it may have is checked at load, by
/// `Grants::check`.
pub fn add_to_linker(linker: &mut Linker<HostState>) -> wasmtime::Result<()> {
    wasmtime_wasi::p2::add_to_linker_async(linker)?;
    wasmtime_wasi_config::add_to_linker(linker, |state| WasiConfig::new(&state.config))?;
    wasi::logging::logging::add_to_linker::<_, HasSelf<_>>(linker, |state| state)?;
    wasi::keyvalue::store::add_to_linker::<_, HasSelf<_>>(linker, |state| state)?;
    wasi::keyvalue::atomics::add_to_linker::<_, HasSelf<_>>(linker, |state| state)?;
    contract::call_info::add_to_linker::<_, HasSelf<_>>(linker, |state| state)?;
    contract::client::add_to_linker::<_, HasSelf<_>>(linker, |state| state)?;
    Ok(())
}

/// Stops linear memories and tables from growing too large, and remembers that it did: what the
/// guest makes of a refused allocation is mostly an unspecific trap.
#[derive(Clone, Copy, Debug)]
pub struct MemoryLimit {
    /// For all linear memories of the store together.
    pub bytes: usize,
    pub exceeded: bool,
    used: usize,
}

impl MemoryLimit {
    fn new(bytes: usize) -> Self {
        Self {
            bytes,
            exceeded: false,
            used: 0,
        }
    }
}

/// Handles of one store to what the host keeps for it.
const MAX_RESOURCES: usize = 1000;

impl ResourceLimiter for MemoryLimit {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        if maximum.is_some_and(|maximum| desired > maximum) {
            return Ok(false); // Refused by the guest's own declaration: nothing is used.
        }
        let used = self.used.saturating_add(desired - current);
        let fits = used <= self.bytes;
        match fits {
            true => self.used = used,
            false => self.exceeded = true,
        }
        Ok(fits)
    }

    fn table_growing(
        &mut self,
        _current: usize,
        _desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        Ok(true) // The engine's pool has a bound for each table.
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(grants: &str, import: &str, expected: &str) {
        let grants: Grants = toml::from_str(grants).expect("grants");
        let buckets = Buckets::new([(
            BucketName::try_from("agents".to_owned()).expect("a name"),
            Arc::new(crate::keyvalue::memory::MemoryBucket::default()) as Arc<dyn KeyValue>,
        )]);
        let outcome = match grants.check(&[import.to_owned()], &buckets) {
            Ok(_) => "granted".to_owned(),
            Err(error) => error.to_string(),
        };
        assert_eq!(outcome, expected);
    }

    #[test]
    fn an_import_that_needs_a_grant_names_the_line_that_gives_it() {
        let store = "wasi:keyvalue/store@0.2.0-draft2";
        check("keyvalue = [\"agents\"]", store, "granted");
        check(
            "",
            store,
            "it imports `wasi:keyvalue/store@0.2.0-draft2`, which is not granted: add \
             `keyvalue = [\"BUCKET\"]` under [grants] in plugin.toml",
        );
        check(
            "keyvalue = [\"agents\"]",
            "endpointd:rpc/client@0.1.0",
            "it imports `endpointd:rpc/client@0.1.0`, which is not granted: add \
             `client = [\"call:TOPIC\", \"cast:TOPIC\", \"fanout:TOPIC\"]` under [grants] in plugin.toml",
        );
    }

    #[test]
    fn a_grant_to_send_names_a_kind_and_a_topic() {
        let client = "endpointd:rpc/client@0.1.0";
        check("client = [\"fanout:a.b\", \"cast:*\"]", client, "granted");
        for wrong in ["fanout", "fanout:", "publish:a"] {
            let expected = format!(
                "`{wrong}` under `client` is no grant: write call:TOPIC, cast:TOPIC or \
                 fanout:TOPIC, with * for every topic"
            );
            check(&format!("client = [\"{wrong}\"]"), client, &expected);
        }
    }

    #[test]
    fn what_is_always_there_needs_no_grant() {
        for import in [
            "endpointd:rpc/types@0.1.0",
            "endpointd:rpc/call-info@0.1.0",
            "wasi:logging/logging@0.1.0-draft",
            "wasi:config/store@0.2.0-rc.1",
            "wasi:cli/environment@0.2.6",
        ] {
            check("", import, "granted");
        }
    }

    #[test]
    fn what_is_not_offered_or_not_configured_is_refused() {
        check(
            "",
            "wasi:http/outgoing-handler@0.2.0",
            "it imports `wasi:http/outgoing-handler@0.2.0`, which endpointd does not offer",
        );
        check(
            "keyvalue = [\"leases\"]",
            "wasi:config/store@0.2.0-rc.1",
            "it is granted the bucket `leases`, which is not configured: add [keyvalue.leases] \
             with `backend = \"file\"` to endpointd.toml",
        );
    }
}
