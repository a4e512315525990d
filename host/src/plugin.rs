//! A plugin: a component and its manifest, which answers requests in sandboxed instances.

pub mod artifact;
pub mod breaker;
pub mod cache;
pub mod engine;
pub mod instance;
pub mod manifest;
pub mod tally;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use async_trait::async_trait;
use sha2::{Digest, Sha256};
use tokio::task::spawn_blocking;
use tracing::{debug, info, warn};
use wasmtime::component::{Component, Linker};
use wasmtime_wasi_config::WasiConfigVariables;

use self::artifact::{Artifact, ArtifactError, hexadecimal};
use self::breaker::{Breaker, Pass};
use self::cache::Cache;
use self::engine::PluginEngine;
use self::instance::GuestError;
use self::manifest::{Access, Manifest};
use self::tally::{Problem, Tally};
use crate::bindings::EndpointPre;
use crate::bindings::endpointd::rpc::types;
use crate::capability::log_budget::LogBudget;
use crate::capability::{self, CallInfo, GrantError, Granted, HostState};
use crate::document::{self, DocumentError};
use crate::endpoint::place::{Place, Places};
use crate::endpoint::{Call, Delivery, Endpoint};
use crate::keyvalue::Buckets;
use crate::outbound::Outbound;
use crate::protocol::failure::Failure;
use crate::protocol::json::{self, Json};
use crate::protocol::target::{EndpointTarget, InvalidVersion};

/// Enough hexadecimal digits to tell generations apart.
const GENERATION_DIGITS: usize = 12;
/// How long a plugin may take to say what it serves.
const TARGETS_TIMEOUT: Duration = Duration::from_secs(5);
/// What a plugin's answer about itself may be at most.
const MAX_TARGETS: usize = 100;
const MAX_METHODS: usize = 1000;
const MAX_NAME_BYTES: usize = 255;

/// Makes plugins of folders.
pub struct PluginLoader {
    engine: Arc<PluginEngine>,
    linker: Linker<HostState>,
    cache: Cache,
    buckets: Buckets,
    outbound: Option<Arc<dyn Outbound>>,
    host_started: SystemTime,
}

/// Why a folder gave no plugin.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    #[error("cannot read {}: {reason}", path.display())]
    Manifest {
        path: PathBuf,
        reason: std::io::Error,
    },
    #[error("{}: {reason}", path.display())]
    Document {
        path: PathBuf,
        reason: DocumentError,
    },
    #[error("{}: {problem}", path.display())]
    Invalid { path: PathBuf, problem: String },
    #[error(transparent)]
    Artifact(#[from] ArtifactError),
    #[error("its file has the SHA-256 {actual}, but plugin.toml pins {pinned}")]
    Pin { pinned: String, actual: String },
    #[error("it does not compile: {0}")]
    Compile(String),
    #[error(transparent)]
    Grant(#[from] GrantError),
    #[error("it does not fit the contract: {0}")]
    Misfit(String),
    #[error("asked for its targets, {0}")]
    Targets(#[from] GuestError),
    #[error("its targets are wrong: {0}")]
    InvalidTargets(String),
}

impl PluginLoader {
    /// Plugins get `buckets` and send through `outbound`, as they are granted it. What is compiled
    /// is kept in `cache`.
    pub fn new(
        engine: PluginEngine,
        cache: Cache,
        buckets: Buckets,
        outbound: Option<Arc<dyn Outbound>>,
    ) -> wasmtime::Result<Self> {
        let mut linker = Linker::new(engine.engine());
        capability::add_to_linker(&mut linker)?;
        Ok(Self {
            engine: Arc::new(engine),
            linker,
            cache,
            buckets,
            outbound,
            host_started: SystemTime::now(),
        })
    }

    /// Checks and compiles what was read of a plugin, and asks it what it serves. Its requests are
    /// counted in `tally`.
    pub async fn load(&self, source: Source, tally: Arc<Tally>) -> Result<Arc<Plugin>, LoadError> {
        let Source {
            name,
            manifest,
            artifact,
            generation,
        } = source;
        let component = self.compile(&artifact).await?;
        let imports = capability::imports(&component, self.engine.engine());
        let granted = manifest.grants.check(&imports, &self.buckets)?;
        let parts = Parts {
            pre: self.link(&component)?,
            config: Arc::new(manifest.config.iter().map(|(k, v)| (&**k, &**v)).collect()),
            concurrency: Places::new(manifest.limits.concurrency.into()),
            generation,
            tally,
            breaker: Breaker::default(),
            log_budget: Arc::new(LogBudget::new(manifest.limits.log_lines_per_s)),
            imports,
            host_started: self.host_started,
            engine: Arc::clone(&self.engine),
            granted,
            outbound: self.outbound.clone(),
            manifest,
            name,
        };
        let targets = parts.ask_targets().await?;
        Ok(Arc::new(Plugin { parts, targets }))
    }

    /// What `file` is and serves, without any grant or manifest. For `endpointd check`.
    pub async fn inspect(&self, file: &Path) -> Result<Inspection, LoadError> {
        let artifact = Artifact::read(file)?;
        let started = Instant::now();
        let component = self.compile(&artifact).await?;
        let compiled_in = started.elapsed();
        let imports = capability::imports(&component, self.engine.engine());
        let unknown = imports
            .iter()
            .find(|import| capability::need_of(import).is_none());
        if let Some(import) = unknown {
            return Err(GrantError::Unknown(import.clone()).into());
        }
        let pre = self.link(&component)?;
        let limits = manifest::Limits::default();
        let state = HostState::new(
            Granted::default(),
            Arc::new(LogBudget::new(limits.log_lines_per_s)),
            None,
            Arc::default(),
            limits.memory_bytes(),
            no_call(self.host_started),
            Vec::new(),
        );
        let targets = instance::targets(&pre, state, TARGETS_TIMEOUT).await?;
        Ok(Inspection {
            targets: checked_targets(targets)?,
            artifact,
            imports,
            compiled_in,
        })
    }

    /// In a thread of its own: it may take seconds, if it was not compiled before.
    async fn compile(&self, artifact: &Artifact) -> Result<Component, LoadError> {
        let (engine, cache) = (self.engine.engine().clone(), self.cache.clone());
        let artifact = artifact.clone();
        let compiling = spawn_blocking(move || {
            if let Some(component) = cache.load(&engine, &artifact) {
                debug!("Took the compiled code from the cache");
                return Ok(component);
            }
            debug!("Compiling");
            let component = Component::new(&engine, &artifact.component)?;
            cache.store(&engine, &artifact, &component);
            Ok(component)
        });
        let compiled = compiling.await.map_err(wasmtime::Error::from).flatten();
        compiled.map_err(|error| LoadError::Compile(format!("{error:#}")))
    }

    fn link(&self, component: &Component) -> Result<EndpointPre<HostState>, LoadError> {
        let misfit = |error: wasmtime::Error| LoadError::Misfit(format!("{error:#}"));
        let pre = self.linker.instantiate_pre(component).map_err(misfit)?;
        EndpointPre::new(pre).map_err(misfit)
    }
}

/// A plugin's folder, as it was read.
#[derive(Debug)]
pub struct Source {
    /// The folder's.
    name: Arc<str>,
    manifest: Manifest,
    artifact: Artifact,
    generation: String,
}

impl Source {
    /// Reads `folder`. A file that is not the pinned one is refused here, before anything of it is
    /// compiled.
    pub fn read(folder: &Path) -> Result<Self, LoadError> {
        let (manifest, text) = read_manifest(folder.join("plugin.toml"))?;
        let artifact = Artifact::read(&folder.join(&manifest.component))?;
        if let Some(pinned) = &manifest.sha256
            && !pinned.eq_ignore_ascii_case(&artifact.sha256)
        {
            return Err(LoadError::Pin {
                pinned: pinned.clone(),
                actual: artifact.sha256,
            });
        }
        let name = folder.file_name().unwrap_or(folder.as_os_str());
        let both = Sha256::new()
            .chain_update(&artifact.sha256)
            .chain_update(text);
        Ok(Self {
            name: name.to_string_lossy().into(),
            generation: hexadecimal(&both.finalize())[..GENERATION_DIGITS].to_owned(),
            manifest,
            artifact,
        })
    }

    /// What tells one state of a plugin's files from another: of plugin.toml and the Wasm file.
    pub fn generation(&self) -> &str {
        &self.generation
    }
}

/// Where the Wasm file is that `folder`'s plugin.toml names; `None` if it names none.
pub fn component_of(folder: &Path) -> Option<PathBuf> {
    let (manifest, _) = read_manifest(folder.join("plugin.toml")).ok()?;
    Some(folder.join(manifest.component))
}

/// What `PluginLoader::inspect` found.
#[derive(Debug)]
pub struct Inspection {
    pub artifact: Artifact,
    pub imports: Vec<String>,
    pub targets: Vec<EndpointTarget>,
    pub compiled_in: Duration,
}

/// A loaded plugin.
pub struct Plugin {
    parts: Parts,
    targets: Vec<EndpointTarget>,
}

struct Parts {
    name: Arc<str>,
    generation: String,
    tally: Arc<Tally>,
    breaker: Breaker,
    manifest: Manifest,
    imports: Vec<String>,
    granted: Granted,
    log_budget: Arc<LogBudget>,
    outbound: Option<Arc<dyn Outbound>>,
    config: Arc<WasiConfigVariables>,
    pre: EndpointPre<HostState>,
    /// For instances that run, and do not wait for the reply of others.
    concurrency: Places,
    host_started: SystemTime,
    /// Also kept for its ticker: without it no guest is ever interrupted.
    engine: Arc<PluginEngine>,
}

impl Plugin {
    pub fn name(&self) -> &str {
        &self.parts.name
    }

    /// What tells this state of its files from others.
    pub fn generation(&self) -> &str {
        &self.parts.generation
    }

    pub fn targets(&self) -> &[EndpointTarget] {
        &self.targets
    }

    /// How long it is still given a rest, if it is.
    pub fn resting(&self) -> Option<Duration> {
        self.parts.breaker.resting(Instant::now())
    }

    /// Lines that it wrote beyond its limit, and that nobody saw.
    pub fn dropped_log_lines(&self) -> u64 {
        self.parts.log_budget.dropped()
    }

    /// What its component imports.
    pub fn imports(&self) -> &[String] {
        &self.parts.imports
    }

    pub fn manifest(&self) -> &Manifest {
        &self.parts.manifest
    }

    /// One endpoint a target: dispatch tries them one by one.
    pub fn endpoints(self: &Arc<Self>) -> impl Iterator<Item = Arc<dyn Endpoint>> {
        (0..self.targets.len()).map(|index| -> Arc<dyn Endpoint> {
            Arc::new(PluginEndpoint {
                plugin: Arc::clone(self),
                index,
            })
        })
    }
}

impl Parts {
    async fn ask_targets(&self) -> Result<Vec<EndpointTarget>, LoadError> {
        let _place = self.engine.place(0).await;
        // There is no request that anything could be sent for.
        let state = self.state(no_call(self.host_started), None, Vec::new());
        let targets = instance::targets(&self.pre, state, TARGETS_TIMEOUT).await?;
        let mut targets = checked_targets(targets)?;
        if self.manifest.access == Access::Public {
            let before = count_methods(&targets);
            for target in &mut targets {
                target.methods.retain(|method| !method.starts_with('_'));
            }
            let hidden = before - count_methods(&targets);
            if hidden > 0 {
                info!("{hidden} methods are private, as their names begin with `_`");
            }
        }
        Ok(targets)
    }

    fn state(
        &self,
        call: CallInfo,
        outbound: Option<Arc<dyn Outbound>>,
        places: Vec<Arc<Place>>,
    ) -> HostState {
        HostState::new(
            self.granted.clone(),
            Arc::clone(&self.log_budget),
            outbound,
            Arc::clone(&self.config),
            self.manifest.limits.memory_bytes(),
            call,
            places,
        )
    }

    async fn answer(&self, call: Call<'_>) -> Result<Json, Failure> {
        let limits = &self.manifest.limits;
        let pass = match self.breaker.admit(Instant::now()) {
            Ok(pass) => pass,
            Err(left) => return Err(self.resting(left)),
        };
        let deadline = call.deadline;
        let waiting = async {
            let place = self.concurrency.take(call.depth).await;
            let room = match self.engine.free_place(call.depth) {
                Some(room) => room,
                None => {
                    // Those who have an instance may wait for these places to go on.
                    call.place.lend();
                    place.lend();
                    let room = self.engine.place(call.depth).await;
                    call.place.take_back().await;
                    place.take_back().await;
                    room
                }
            };
            (place, room)
        };
        let (place, _room) = match deadline {
            None => waiting.await,
            Some(deadline) => match tokio::time::timeout_at(deadline.into(), waiting).await {
                Ok(places) => places,
                Err(_) => {
                    debug!("Dropped a call whose caller gave up before there was a place");
                    return Err(self.failure(Problem::Busy, "no instance was free in time"));
                }
            },
        };
        let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        let limit = left.map_or(limits.timeout(), |left| left.min(limits.timeout()));
        let request = types::Request {
            namespace: call.namespace.map(str::to_owned),
            version: call.version.to_owned(),
            method: call.method.to_owned(),
            args: call.args.get().to_owned(),
            context: call.context.get().to_owned(),
        };
        let info = CallInfo {
            id: call.id.to_owned(),
            delivery: call.delivery,
            deadline,
            runs_until: Instant::now() + limit,
            context: call.context.to_owned(),
            depth: call.depth,
            host_started: self.host_started,
        };
        let _live = self.tally.begin();
        // Taken back in the order in which they were taken, or two could wait for each other.
        let places = vec![call.place, Arc::new(place)];
        let state = self.state(info, self.outbound.clone(), places);
        match instance::dispatch(&self.pre, state, limit, &request).await {
            Ok(answer) => {
                self.breaker.answered();
                match answer {
                    Ok(result) => self.result(result),
                    Err(failure) => self.guest_failure(failure),
                }
            }
            Err(error) => {
                let problem = match error {
                    GuestError::TimedOut(_) if limit < limits.timeout() => {
                        format!(
                            "it ran until its caller gave up, after {} ms",
                            limit.as_millis()
                        )
                    }
                    _ => error.to_string(),
                };
                warn!("Plugin `{}`: {problem}", self.name);
                let kind = match error {
                    GuestError::TimedOut(_) => Problem::TimedOut,
                    GuestError::OutOfMemory(_) => Problem::OutOfMemory,
                    GuestError::Trapped(_) => Problem::Trapped,
                };
                // It may be others that it waits for in vain.
                if kind != Problem::TimedOut {
                    self.count_against_it(pass);
                }
                Err(self.failure(kind, &problem))
            }
        }
    }

    /// What a guest returned is taken only if it is one whole JSON value: it cannot close the
    /// reply it is put into and write another.
    fn result(&self, result: String) -> Result<Json, Failure> {
        let limit_kib = self.manifest.limits.reply_kib;
        if result.len() > self.manifest.limits.reply_bytes() {
            let problem = format!("its reply is larger than its limit of {limit_kib} KiB");
            return Err(self.invalid_reply(&problem));
        }
        json::checked(result)
            .map_err(|error| self.invalid_reply(&format!("its reply is not JSON: {error}")))
    }

    fn guest_failure(&self, failure: types::Failure) -> Result<Json, Failure> {
        self.tally.failed();
        if !failure.expected {
            debug!(
                "Plugin `{}` failed with {:?}.{:?}",
                self.name, failure.module, failure.class
            );
        }
        let parts = [&failure.class, &failure.module, &failure.message];
        let lines = parts.into_iter().chain(&failure.traceback);
        let size: usize = lines.map(String::len).sum();
        let kwargs = failure.kwargs.unwrap_or_else(|| "{}".to_owned());
        if size + kwargs.len() > self.manifest.limits.reply_bytes() {
            return Err(self.invalid_reply("its failure is larger than a reply may be"));
        }
        match json::checked(kwargs) {
            Ok(kwargs) if json::is_object(&kwargs) => Err(Failure {
                class: failure.class,
                module: failure.module,
                message: failure.message,
                kwargs: Some(kwargs),
                traceback: failure.traceback,
            }),
            _ => Err(self.invalid_reply("its failure's keyword arguments are not a JSON object")),
        }
    }

    fn invalid_reply(&self, problem: &str) -> Failure {
        warn!("Plugin `{}`: {problem}", self.name);
        self.failure(Problem::InvalidReply, problem)
    }

    /// What is said of a trap, and what it leads to.
    fn count_against_it(&self, pass: Pass) {
        if let Some(rest) = self.breaker.trapped(pass, Instant::now()) {
            warn!(
                "Plugin `{}` is given a rest of {} s: it traps again and again",
                self.name,
                rest.as_secs()
            );
        }
    }

    fn resting(&self, left: Duration) -> Failure {
        let problem = format!(
            "it trapped again and again, and is tried again in {:.1} s",
            left.as_secs_f64()
        );
        self.failure(Problem::Resting, &problem)
    }

    fn failure(&self, kind: Problem, problem: &str) -> Failure {
        self.tally.went_wrong(kind, problem);
        Failure::internal(kind.class(), format!("plugin `{}`: {problem}", self.name))
    }
}

/// One target of a plugin.
struct PluginEndpoint {
    plugin: Arc<Plugin>,
    index: usize,
}

#[async_trait]
impl Endpoint for PluginEndpoint {
    fn target(&self) -> &EndpointTarget {
        &self.plugin.targets[self.index]
    }

    fn name(&self) -> &str {
        self.plugin.name()
    }

    fn generation(&self) -> &str {
        self.plugin.generation()
    }

    async fn invoke(&self, call: Call<'_>) -> Result<Json, Failure> {
        self.plugin.parts.answer(call).await
    }
}

/// The manifest, and the text it was read from.
fn read_manifest(path: PathBuf) -> Result<(Manifest, String), LoadError> {
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(reason) => return Err(LoadError::Manifest { path, reason }),
    };
    let manifest: Manifest = match document::parse(&text) {
        Ok(manifest) => manifest,
        Err(reason) => return Err(LoadError::Document { path, reason }),
    };
    match manifest.problem() {
        Some(problem) => Err(LoadError::Invalid { path, problem }),
        None => Ok((manifest, text)),
    }
}

fn checked_targets(targets: Vec<types::Target>) -> Result<Vec<EndpointTarget>, LoadError> {
    let invalid = |problem: String| LoadError::InvalidTargets(problem);
    let methods: usize = targets.iter().map(|target| target.methods.len()).sum();
    if targets.is_empty() || methods == 0 {
        return Err(invalid("it serves no method".to_owned()));
    }
    if targets.len() > MAX_TARGETS || methods > MAX_METHODS {
        return Err(invalid(format!(
            "{} targets with {methods} methods are more than {MAX_TARGETS} and {MAX_METHODS}",
            targets.len()
        )));
    }
    let namespaces = targets
        .iter()
        .filter_map(|target| target.namespace.as_ref());
    let names = namespaces.chain(targets.iter().flat_map(|target| &target.methods));
    if let Some(bad) = names.into_iter().find(|name| !is_printable(name)) {
        let start = &bad[..bad.floor_char_boundary(MAX_NAME_BYTES)];
        return Err(invalid(format!("{start:?} is no name that can be shown")));
    }
    let checked = |target: types::Target| -> Result<_, InvalidVersion> {
        Ok(EndpointTarget {
            version: target.version.parse()?,
            namespace: target.namespace,
            methods: target.methods,
        })
    };
    let targets = targets.into_iter().map(checked).collect::<Result<_, _>>();
    targets.map_err(|error: InvalidVersion| {
        let problem = error.to_string();
        invalid(problem[..problem.floor_char_boundary(MAX_NAME_BYTES)].to_owned())
    })
}

fn count_methods(targets: &[EndpointTarget]) -> usize {
    targets.iter().map(|target| target.methods.len()).sum()
}

/// Names of plugins are shown to operators, in ready lines and by `check`: they must not be able to
/// look like something else there.
fn is_printable(name: &str) -> bool {
    name.len() <= MAX_NAME_BYTES && !name.chars().any(char::is_control)
}

/// What `call-info` says outside of any request.
fn no_call(host_started: SystemTime) -> CallInfo {
    CallInfo {
        id: String::new(),
        delivery: Delivery::Cast,
        deadline: None,
        runs_until: Instant::now(),
        context: json::empty_object(),
        depth: 0,
        host_started,
    }
}
