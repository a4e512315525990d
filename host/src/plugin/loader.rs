//! Makes plugins of folders: compiles, checks imports against grants, and asks what is served.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use tokio::task::spawn_blocking;
use tracing::{debug, info, warn};
use wasmtime::component::{Component, Linker};

use super::artifact::{Artifact, ArtifactError, core_instances, printable};
use super::breaker::Breaker;
use super::cache::Cache;
use super::compiler;
use super::contract::{self, Contract};
use super::engine::PluginEngine;
use super::idle::Idle;
use super::instance::{GuestError, Instance, NewInstance};
use super::manifest::Manifest;
use super::room::Share;
use super::source::{Source, SourceError};
use super::tally::Tally;
use super::targets::{self, InvalidTargets};
use super::{Parts, Plugin};
use crate::bindings::EndpointPre;
use crate::capability::allowance::Allowance;
use crate::capability::grants::{Capability, GrantError, Granted, Imports};
use crate::capability::settings::{SecretError, Settings};
use crate::capability::{self, CallInfo, HostState};
use crate::endpoint::Delivery;
use crate::endpoint::place::Places;
use crate::keyvalue::Buckets;
use crate::outbound::{MAX_DEPTH, Outbound};
use crate::protocol::json;
use crate::protocol::target::EndpointTarget;

/// How long a plugin may take to say what it serves.
const TARGETS_TIMEOUT: Duration = Duration::from_secs(5);

/// Instances that are made to say how long it takes.
const MEASURED_INSTANCES: usize = 11;

/// Makes plugins of folders.
pub struct PluginLoader {
    engine: Arc<PluginEngine>,
    linker: Linker<HostState>,
    cache: Cache,
    buckets: Buckets,
    outbound: Option<Arc<dyn Outbound>>,
    host_started: SystemTime,
}

/// Some runtimes look at the time or take a number before they can say what is served: the fewest grants first.
const STARTS_WITH: [&[Capability]; 4] = [
    &[],
    &[Capability::Random],
    &[Capability::Clocks],
    &[Capability::Clocks, Capability::Random],
];

/// Why a folder gave no plugin.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    #[error(transparent)]
    Source(#[from] SourceError),
    #[error("it does not compile: {0}")]
    Compile(String),
    #[error(transparent)]
    Grant(#[from] GrantError),
    #[error(transparent)]
    Secret(#[from] SecretError),
    #[error("it does not fit the contract: {0}")]
    Misfit(String),
    #[error("asked for its targets, {0}")]
    Targets(#[from] GuestError),
    #[error(transparent)]
    InvalidTargets(#[from] InvalidTargets),
}

impl From<ArtifactError> for LoadError {
    fn from(error: ArtifactError) -> Self {
        Self::Source(error.into())
    }
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
            folder,
            manifest,
            artifact,
            generation,
        } = source;
        let component = self.compile(&artifact, false).await?;
        let share = Share::of(&component);
        info!("{share}");
        let imports = self.imports(&component)?;
        let denied = manifest.grants.check(&imports)?;
        if !denied.is_empty() {
            let names: Vec<_> = denied.iter().map(|denied| &*denied.import).collect();
            info!(
                "What it imports and is not granted is denied when it is called: {}",
                names.join(", ")
            );
        }
        for name in &manifest.grants.environment {
            if std::env::var_os(name).is_none() {
                warn!("It is granted the variable `{name}`, which is not set");
            }
        }
        let (granted, settings) = self.resolve(&manifest, &folder).await?;
        let pre = self.link(&component, &artifact).await?;
        let limits = manifest.limits;
        // There is no request that anything could be sent for.
        let asked = Granted {
            client: Vec::new(),
            http: Vec::new(),
            ..granted.clone()
        };
        let meter = || Arc::clone(tally.meter());
        let asked = Allowance::new(asked, settings.clone(), limits, None, meter());
        let asked = Arc::new(asked);
        let mut targets = self.ask_targets(&pre, share, &asked, &tally).await?;
        let hidden = targets::hide_private(&mut targets, manifest.access);
        if hidden > 0 {
            info!("{hidden} methods are private, as their names begin with `_`");
        }
        let outbound = self.outbound.clone();
        let allowance = Allowance::new(granted, settings, limits, outbound, meter());
        let fitting = share.fitting(0);
        if u32::from(limits.instances) > fitting {
            warn!(
                "It may have {} instances at once (limits.instances), and {fitting} fit",
                limits.instances
            );
        }
        let instances = |depth| {
            let most = share.fitting(depth).min(limits.instances.into());
            Places::new(most as usize)
        };
        let parts = Parts {
            pre,
            share,
            allowance: Arc::new(allowance),
            idle: Idle::new(manifest.lifecycle),
            patience: self.engine.patience(),
            instances: (0..=MAX_DEPTH).map(instances).collect(),
            concurrency: Places::new(limits.concurrency.into()),
            generation,
            tally,
            breaker: Breaker::default(),
            imports,
            denied,
            host_started: self.host_started,
            engine: Arc::clone(&self.engine),
            manifest,
            name,
        };
        Ok(Arc::new(Plugin { parts, targets }))
    }

    /// What `file` is and serves, without any grant or manifest. For `endpointd check`.
    pub async fn inspect(&self, file: &Path) -> Result<Inspection, LoadError> {
        let artifact = Artifact::read(file, None)?;
        let started = Instant::now();
        let component = self.compile(&artifact, true).await?;
        let compiled_in = started.elapsed();
        let imports = self.imports(&component)?;
        let mut needs = Vec::new();
        for (_, capability) in imports.needs()? {
            if !needs.contains(&capability) {
                needs.push(capability);
            }
        }
        let pre = self.link(&component, &artifact).await?;
        let share = Share::of(&component);
        let nobody = Arc::default();
        let (starts_with, allowance, targets) = self.start(&pre, share, &nobody).await?;
        let mut times = Vec::new();
        let mut memory_bytes = 0;
        for _ in 0..MEASURED_INSTANCES {
            let _room = self.engine.rooms().take(0, share).await;
            let started = Instant::now();
            let instance = self.instance(&pre, &allowance, &nobody).await?;
            times.push(started.elapsed());
            memory_bytes = instance.memory_bytes();
        }
        times.sort();
        Ok(Inspection {
            targets,
            made_in: times[times.len() / 2],
            memory_bytes,
            has_runtime: imports.has_runtime(),
            imports: imports.names().map(str::to_owned).collect(),
            core_instances: core_instances(&artifact.component),
            artifact,
            needs,
            starts_with: starts_with.to_vec(),
            compiled_in,
        })
    }

    /// What the plugin in `folder` gets, if all of it is there.
    async fn resolve(
        &self,
        manifest: &Manifest,
        folder: &Path,
    ) -> Result<(Granted, Settings), LoadError> {
        let (manifest, folder) = (manifest.clone(), folder.to_owned());
        let (buckets, kept) = (
            self.buckets.clone(),
            self.cache.folder().map(Path::to_owned),
        );
        // Files may be on a disk that does not answer.
        let resolving = spawn_blocking(move || {
            let granted = manifest
                .grants
                .resolve(&folder, kept.as_deref(), &buckets)?;
            let settings = Settings::new(&manifest.config, &manifest.secrets, &folder)?;
            Ok((granted, settings))
        });
        let panicked = |error| Err(LoadError::Compile(format!("{error}")));
        resolving.await.unwrap_or_else(panicked)
    }

    /// In a thread of its own: it may take seconds, if it was not compiled before, or is to be `anew`.
    async fn compile(&self, artifact: &Artifact, anew: bool) -> Result<Component, LoadError> {
        let (engine, cache) = (Arc::clone(&self.engine), self.cache.clone());
        let artifact = artifact.clone();
        let compiling = spawn_blocking(move || {
            let kept = || cache.load(engine.engine(), &artifact);
            if !anew && let Some(component) = kept() {
                debug!("Took the compiled code from the cache");
                return Ok(component);
            }
            debug!("Compiling");
            if compiler::is_large(&artifact.component) {
                let code = compiler::compile_apart(&artifact.component)?;
                cache.store(engine.engine(), &artifact, &code);
                // Where it could not be kept, that was logged.
                let component = kept().or_else(|| Cache::pass(engine.engine(), &artifact, &code));
                let nowhere = "its code can be kept neither in data_dir nor in the folder for temporary files";
                return component.ok_or_else(|| wasmtime::Error::msg(nowhere));
            }
            let component = engine.compile(&artifact.component)?;
            if cache.folder().is_some() {
                cache.store(engine.engine(), &artifact, &component.serialize()?);
            }
            Ok(component)
        });
        let compiled = compiling.await.map_err(wasmtime::Error::from).flatten();
        compiled.map_err(|error| LoadError::Compile(printable(&format!("{error:#}"))))
    }

    /// What the component imports, of this version of the contract.
    fn imports(&self, component: &Component) -> Result<Imports, LoadError> {
        let imports = Imports::of(component, self.engine.engine());
        match contract::other_version(imports.names()) {
            Some(problem) => Err(LoadError::Misfit(printable(&problem))),
            None => Ok(imports),
        }
    }

    async fn link(
        &self,
        component: &Component,
        artifact: &Artifact,
    ) -> Result<EndpointPre<HostState>, LoadError> {
        let linked = self
            .linker
            .instantiate_pre(component)
            .and_then(EndpointPre::new);
        let error = match linked {
            Ok(linked) => return Ok(linked),
            Err(error) => error,
        };
        // In a thread of its own: it reads through the whole file, and what it reads with may panic at one
        // that is strange enough.
        let artifact = artifact.clone();
        let explaining = spawn_blocking(move || {
            Contract::read()
                .ok()?
                .misfit_of_component(&artifact.component)
        });
        let known = explaining.await.ok().flatten();
        let problem = known.unwrap_or_else(|| format!("{error:#}"));
        Err(LoadError::Misfit(printable(&problem)))
    }

    /// In an instance that is made for this.
    async fn ask_targets(
        &self,
        pre: &EndpointPre<HostState>,
        share: Share,
        allowance: &Arc<Allowance>,
        tally: &Arc<Tally>,
    ) -> Result<Vec<EndpointTarget>, LoadError> {
        let room = self.engine.rooms().take(0, share).await;
        let prepared = self.prepare(pre, allowance, tally)?;
        let asking = Box::pin(async move {
            let instance = prepared.instance(TARGETS_TIMEOUT).await?;
            let targets = instance.targets(TARGETS_TIMEOUT).await;
            drop(room);
            targets
        });
        Ok(targets::checked(self.engine.patience().run(asking).await?)?)
    }

    /// What it serves, with the fewest grants that it says so with.
    async fn start(
        &self,
        pre: &EndpointPre<HostState>,
        share: Share,
        tally: &Arc<Tally>,
    ) -> Result<(&'static [Capability], Arc<Allowance>, Vec<EndpointTarget>), LoadError> {
        let mut denied = GuestError::Unavailable;
        for capabilities in STARTS_WITH {
            let granted = Granted {
                clocks: capabilities.contains(&Capability::Clocks),
                random: capabilities.contains(&Capability::Random),
                ..Granted::default()
            };
            let allowance = Arc::new(Allowance::granting(granted));
            match self.ask_targets(pre, share, &allowance, tally).await {
                Ok(targets) => return Ok((capabilities, allowance, targets)),
                Err(LoadError::Targets(error @ GuestError::Denied(_))) => denied = error,
                Err(error) => return Err(error),
            }
        }
        Err(denied.into())
    }

    /// An instance for no request.
    async fn instance(
        &self,
        pre: &EndpointPre<HostState>,
        allowance: &Arc<Allowance>,
        tally: &Arc<Tally>,
    ) -> Result<Instance, LoadError> {
        let prepared = self.prepare(pre, allowance, tally)?;
        Ok(prepared.instance(TARGETS_TIMEOUT).await?)
    }

    fn prepare(
        &self,
        pre: &EndpointPre<HostState>,
        allowance: &Arc<Allowance>,
        tally: &Arc<Tally>,
    ) -> Result<NewInstance, GuestError> {
        let call = CallInfo {
            id: String::new(),
            delivery: Delivery::Cast,
            deadline: None,
            runs_until: Instant::now() + TARGETS_TIMEOUT,
            context: json::empty_object(),
            depth: 0,
            host_started: self.host_started,
        };
        let state = HostState::new(allowance, call, Vec::new()).map_err(|error| {
            warn!("{error:#}");
            GuestError::Unavailable
        })?;
        Ok(NewInstance::new(pre.clone(), state, tally.made()))
    }
}

/// What `PluginLoader::inspect` found.
#[derive(Debug)]
pub struct Inspection {
    pub artifact: Artifact,
    pub imports: Vec<String>,
    /// What its imports need granted.
    pub needs: Vec<Capability>,
    /// Which of them it must be granted to start at all.
    pub starts_with: Vec<Capability>,
    /// Whether what is not granted is denied when it is called, instead of refusing the whole plugin.
    pub has_runtime: bool,
    pub targets: Vec<EndpointTarget>,
    pub compiled_in: Duration,
    /// How long it takes to make an instance: the middle of a few.
    pub made_in: Duration,
    /// What the linear memories of a new instance have together.
    pub memory_bytes: usize,
    /// Core instances that one instance consists of.
    pub core_instances: usize,
}
