//! A plugin: a component and its manifest, which answers requests in sandboxed instances.

pub mod artifact;
pub mod breaker;
pub mod cache;
pub mod compiler;
pub mod contract;
pub mod engine;
pub mod idle;
pub mod instance;
pub mod loader;
pub mod manifest;
pub mod patience;
pub mod room;
pub mod source;
pub mod tally;
pub mod targets;

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use async_trait::async_trait;
use tracing::{debug, warn};

use self::breaker::{Breaker, Pass};
use self::engine::PluginEngine;
use self::idle::Idle;
use self::instance::{Answer, GuestError, NewInstance, Prepared};
use self::manifest::Manifest;
use self::patience::Patience;
use self::room::{Room, Share};
use self::tally::{Problem, Tally};
use crate::bindings::EndpointPre;
use crate::bindings::endpointd::rpc::types;
use crate::capability::allowance::Allowance;
use crate::capability::grants::{DeniedImport, Imports};
use crate::capability::limits::{Exceeded, Limit};
use crate::capability::{CallInfo, HostState};
use crate::deadline::{self, Elapsed};
use crate::endpoint::place::{Place, Places};
use crate::endpoint::{Call, Endpoint};
use crate::outbound::MAX_DEPTH;
use crate::protocol::failure::Failure;
use crate::protocol::json::{self, Json};
use crate::protocol::target::EndpointTarget;

/// A loaded plugin.
pub struct Plugin {
    parts: Parts,
    targets: Vec<EndpointTarget>,
}

/// What a plugin answers with.
struct Parts {
    name: Arc<str>,
    generation: String,
    tally: Arc<Tally>,
    breaker: Breaker,
    manifest: Manifest,
    imports: Imports,
    denied: Vec<DeniedImport>,
    allowance: Arc<Allowance>,
    pre: EndpointPre<HostState>,
    share: Share,
    idle: Idle,
    patience: Patience,
    /// For instances that answer a request, also those that wait for the reply of others; by the depth
    /// of the chain. Those of one depth wait for the next alone, so they cannot wait for each other.
    instances: Vec<Places>,
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
        self.parts.allowance.dropped_log_lines()
    }

    /// What its component imports.
    pub fn imports(&self) -> impl Iterator<Item = &str> {
        self.parts.imports.names()
    }

    /// Imports that are denied whenever they are called.
    pub fn denied(&self) -> &[DeniedImport] {
        &self.parts.denied
    }

    pub fn manifest(&self) -> &Manifest {
        &self.parts.manifest
    }

    /// Lets instances go that have waited for a request for too long, or are too old.
    pub fn retire_instances(&self) {
        self.parts.idle.retire();
    }

    /// Lets all instances go that wait for a request.
    pub fn clear_instances(&self) {
        self.parts.idle.clear();
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

/// What a request holds while it is answered.
struct Held {
    /// Lent while it waits for others, and taken back in the order in which they were taken, or two
    /// could wait for each other.
    places: Vec<Arc<Place>>,
    /// Kept until its store is gone.
    instance: (Place, Room),
}

impl Parts {
    async fn answer(&self, call: Call<'_>) -> Result<Json, Failure> {
        let limits = &self.manifest.limits;
        // First, or requests that are refused would use up the one call that ends a rest.
        self.check_request(&call)?;
        let pass = match self.breaker.admit(Instant::now) {
            Ok(pass) => pass,
            Err(left) => return Err(self.resting(left)),
        };
        let deadline = call.deadline;
        let holding = self.hold(&call);
        let held = match deadline {
            None => holding.await,
            Some(deadline) => match deadline::by(deadline, holding).await {
                Ok(held) => held,
                Err(Elapsed) => {
                    debug!("Dropped a call whose caller gave up before there was a place");
                    self.breaker.unused(pass, Instant::now());
                    return Err(self.failure(Problem::Busy, "no instance was free in time"));
                }
            },
        };
        let now = Instant::now();
        let left = deadline.map(|deadline| deadline.saturating_duration_since(now));
        let limit = left.map_or(limits.timeout(), |left| left.min(limits.timeout()));
        self.tally.called();
        match self.run(&call, now, limit, held).await {
            Ok(answer) => {
                self.breaker.answered();
                match answer {
                    Ok(result) => self.result(result),
                    Err(failure) => self.guest_failure(failure),
                }
            }
            Err(error) => Err(self.guest_error(error, limit, pass)),
        }
    }

    /// Refuses what is beyond the plugin's limits, before anything is spent on it.
    fn check_request(&self, call: &Call<'_>) -> Result<(), Failure> {
        let limits = &self.manifest.limits;
        let parts = [call.args.get(), call.context.get()];
        let size: usize = parts.iter().map(|part| part.len()).sum();
        let is_deep = |part: &&str| json::nests_deeper(part, limits.json_depth as usize);
        let limit = match () {
            () if size > limits.request_bytes() => Limit::Request,
            () if parts.iter().any(is_deep) => Limit::RequestDepth,
            () => return Ok(()),
        };
        debug!("Refused a request: {}", limits.exceeded(limit));
        Err(self.exceeded(Problem::InvalidRequest, &limits.exceeded(limit)))
    }

    /// Waits for all that an instance needs. Meanwhile the places that others may need to go on are
    /// lent to them.
    async fn hold(&self, call: &Call<'_>) -> Held {
        let instances = &self.instances[call.depth.min(MAX_DEPTH) as usize];
        let instance = match instances.take_free() {
            Some(instance) => instance,
            None => {
                call.place.lend();
                let instance = instances.take(call.depth).await;
                call.place.take_back().await;
                instance
            }
        };
        let place = self.concurrency.take(call.depth).await;
        let rooms = self.engine.rooms();
        let room = match rooms.take_free(call.depth, self.share) {
            Some(room) => room,
            None => {
                call.place.lend();
                place.lend();
                let room = rooms.take(call.depth, self.share).await;
                call.place.take_back().await;
                place.take_back().await;
                room
            }
        };
        Held {
            places: vec![Arc::clone(&call.place), Arc::new(place)],
            instance: (instance, room),
        }
    }

    /// Has an instance answer, a new one or one that is free, from `now` on.
    async fn run(
        &self,
        call: &Call<'_>,
        now: Instant,
        limit: Duration,
        held: Held,
    ) -> Result<Answer, GuestError> {
        let Held {
            places,
            instance: held,
        } = held;
        let request = types::Request {
            namespace: call.namespace.map(str::to_owned),
            version: call.version.to_owned(),
            method: call.method.to_owned(),
            args: call.args.get().to_owned(),
            context: call.context.get().to_owned(),
        };
        let runs_until = now + limit;
        let info = CallInfo {
            id: call.id.to_owned(),
            delivery: call.delivery,
            deadline: call.deadline,
            runs_until,
            context: call.context.to_owned(),
            depth: call.depth,
            host_started: self.host_started,
        };
        let prepared = match self.idle.take(now) {
            Some(mut instance) => {
                instance.state().begin(info, places);
                Prepared::Again(instance)
            }
            None => {
                let state = HostState::new(&self.allowance, info, places);
                let state = state.map_err(|error| {
                    // Where a folder is, is the operator's to know.
                    warn!("Plugin `{}`: {error:#}", self.name);
                    GuestError::Unavailable
                })?;
                Prepared::New(NewInstance::new(self.pre.clone(), state, self.tally.made()))
            }
        };
        let answering = Box::pin(async move {
            let instance = prepared.instance(limit).await?;
            let answered = instance.dispatch(limit, &request).await;
            // Not before: an instance that is given up may be dropped later than its request.
            drop(held);
            answered
        });
        let answered = deadline::by(runs_until, self.patience.run(answering));
        // The instance sees to its end itself; but where it computes with low priority, it may see late
        // that its time is up, and what it holds of the pool is free before it is gone.
        let answered = answered.await.unwrap_or_else(|Elapsed| {
            call.place.lend();
            Err(GuestError::TimedOut(limit))
        });
        let (answer, instance) = answered?;
        let now = Instant::now();
        if self.idle.wants(&instance, now)
            && let Some(room) = self.engine.rooms().take_to_wait(self.share)
        {
            self.idle.keep(instance, room, now);
        }
        Ok(answer)
    }

    /// What the caller is told of a guest that came to no answer, and what that leads to.
    fn guest_error(&self, error: GuestError, limit: Duration, pass: Pass) -> Failure {
        let kind = match &error {
            GuestError::TimedOut(_) => Problem::TimedOut,
            GuestError::Exceeded(exceeded) => match exceeded.limit {
                Limit::Memory => Problem::OutOfMemory,
                Limit::Reply => Problem::InvalidReply,
                _ => Problem::LimitExceeded,
            },
            GuestError::Denied(_) => Problem::Denied,
            GuestError::Unavailable => Problem::Unavailable,
            GuestError::Trapped(_) => Problem::Trapped,
        };
        let problem = match error {
            GuestError::TimedOut(_) if limit < self.manifest.limits.timeout() => format!(
                "it ran until its caller gave up, after {} ms",
                limit.as_millis()
            ),
            _ => error.to_string(),
        };
        warn!("Plugin `{}`: {problem}", self.name);
        if kind.counts_against_it()
            && let Some(rest) = self.breaker.trapped(pass, Instant::now())
        {
            warn!(
                "Plugin `{}` is given a rest of {} s: it traps again and again",
                self.name,
                rest.as_secs()
            );
        }
        match error {
            GuestError::Exceeded(exceeded) => self.exceeded(kind, &exceeded),
            GuestError::TimedOut(_) if limit == self.manifest.limits.timeout() => {
                self.tally.meter().reached(Limit::Time);
                self.failure(kind, &problem)
            }
            _ => self.failure(kind, &problem),
        }
    }

    /// What a guest returned is taken only if it is one whole JSON value: it cannot close the
    /// reply it is put into and write another.
    fn result(&self, result: String) -> Result<Json, Failure> {
        let limits = &self.manifest.limits;
        if result.len() > limits.reply_bytes() {
            return Err(self.reply_beyond(Limit::Reply));
        }
        if json::nests_deeper(&result, limits.json_depth as usize) {
            return Err(self.reply_beyond(Limit::ReplyDepth));
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
        let limits = &self.manifest.limits;
        if size + kwargs.len() > limits.reply_bytes() {
            return Err(self.reply_beyond(Limit::Reply));
        }
        if json::nests_deeper(&kwargs, limits.json_depth as usize) {
            return Err(self.reply_beyond(Limit::ReplyDepth));
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

    fn reply_beyond(&self, limit: Limit) -> Failure {
        let exceeded = self.manifest.limits.exceeded(limit);
        warn!("Plugin `{}`: {exceeded}", self.name);
        self.exceeded(Problem::InvalidReply, &exceeded)
    }

    fn resting(&self, left: Duration) -> Failure {
        let problem = format!(
            "it trapped again and again, and is tried again in {:.1} s",
            left.as_secs_f64()
        );
        self.failure(Problem::Resting, &problem)
    }

    fn exceeded(&self, kind: Problem, exceeded: &Exceeded) -> Failure {
        self.tally.meter().reached(exceeded.limit);
        self.failure(kind, &exceeded.to_string())
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
