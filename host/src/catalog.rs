//! The loaded plugins, by topic: watches the plugin folder, and keeps what is good of it.
//!
//! What changed is loaded beside what serves, and takes its place in one step; requests under way
//! end on the generation they began with, which is freed with the last of them. What does not load
//! changes nothing, and its status says why.

mod folder;
pub mod status;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use tokio::sync::{Semaphore, mpsc, oneshot, watch};
use tokio::task::spawn_blocking;
use tokio::time::{sleep, sleep_until, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{Instrument, error, info, info_span, warn};

use self::folder::{Folder, Stamp};
use self::status::Entry;
use crate::endpoint::{ByTopic, Endpoint, Endpoints};
use crate::plugin::Plugin;
use crate::plugin::loader::{LoadError, PluginLoader};
use crate::plugin::source::Source;
use crate::plugin::tally::Tally;

/// How often the folder is looked at. Files are taken as written when two looks in a row see the
/// same.
const LOOK_INTERVAL: Duration = Duration::from_millis(500);
/// The same while somebody waits for it.
const HURRIED_LOOK: Duration = Duration::from_millis(100);
/// How long a reload that somebody asked for waits for files that go on changing.
const RELOAD_PATIENCE: Duration = Duration::from_secs(10);
/// How long a start waits for plugins that are slow to load.
const START_PATIENCE: Duration = Duration::from_secs(10);
/// Plugins that are loaded at the same time: one that is slow to say what it serves must not keep the
/// others waiting, and to compile takes memory.
const LOADS_AT_ONCE: usize = 4;

/// Every plugin of a folder.
pub struct Catalog {
    folder: Folder,
    loader: Arc<PluginLoader>,
    /// By name.
    slots: BTreeMap<String, Slot>,
    loading: FuturesUnordered<BoxFuture<'static, Loaded>>,
    loads: Arc<Semaphore>,
    /// Loads that were begun.
    begun: u64,
    /// Who waits for everything to be loaded.
    reloads: Vec<PendingReload>,
    /// Whether the folder could be read the last time.
    readable: bool,
    by_topic: watch::Sender<ByTopic>,
    entries: watch::Sender<Arc<[Entry]>>,
}

/// One plugin.
struct Slot {
    tally: Arc<Tally>,
    current: Option<Arc<Plugin>>,
    previous: Option<Arc<Plugin>>,
    since: SystemTime,
    /// Its files when they were looked at the last time, and since when they are so; `None` for the
    /// files if they are gone.
    seen: Option<(Option<Stamp>, Instant)>,
    /// The load under way, by its number.
    loading: Option<u64>,
    /// Its files when they were loaded, or could not be.
    tried: Option<Stamp>,
    on_disk: Option<String>,
    problem: Option<String>,
}

/// What came of loading what was in a plugin's folder.
struct Loaded {
    name: String,
    number: u64,
    /// Its files before they were read.
    stamp: Stamp,
    started: Instant,
    /// The generation that was read; `None` if nothing could be.
    on_disk: Option<String>,
    outcome: Result<Arc<Plugin>, LoadError>,
}

struct PendingReload {
    patience: Instant,
    done: oneshot::Sender<Result<(), ReloadError>>,
}

/// What an operator asks of the catalog.
pub enum Command {
    /// Load now what changed or failed; answered when that is done.
    Reload(oneshot::Sender<Result<(), ReloadError>>),
    /// Return to the generation before.
    Rollback {
        name: String,
        done: oneshot::Sender<Result<(), RollbackError>>,
    },
}

/// Why not everything that changed was loaded.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum ReloadError {
    #[error("cannot read the plugin folder {}; what was loaded goes on", .0.display())]
    Unreadable(PathBuf),
    #[error("files in the plugin folder go on changing; what is complete is loaded when they stop")]
    Unsettled,
}

/// Why a plugin was not returned to what it was.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum RollbackError {
    #[error("there is no plugin `{0}`")]
    NoSuchPlugin(String),
    #[error("there is no generation of `{0}` before this one, since the host was started")]
    NothingBefore(String),
}

/// The folder cannot be read.
#[derive(Debug, thiserror::Error)]
#[error(
    "cannot read the plugin folder {}: {reason}; name another with `plugin_dir` or --plugins",
    path.display()
)]
pub struct CatalogError {
    path: PathBuf,
    reason: std::io::Error,
}

impl Catalog {
    /// Loads every folder of `directory` that has a plugin.toml. One that cannot be loaded is
    /// logged, and the others are served.
    pub async fn open(directory: &Path, loader: PluginLoader) -> Result<Self, CatalogError> {
        let mut catalog = Self {
            folder: Folder::new(directory),
            loader: Arc::new(loader),
            slots: BTreeMap::new(),
            loading: FuturesUnordered::new(),
            loads: Arc::new(Semaphore::new(LOADS_AT_ONCE)),
            begun: 0,
            reloads: Vec::new(),
            readable: true,
            by_topic: watch::Sender::default(),
            entries: watch::Sender::new(Arc::new([])),
        };
        let found = catalog.folder.look().map_err(|reason| CatalogError {
            path: directory.to_owned(),
            reason,
        })?;
        // As everywhere: files that look the same twice in a row are taken as written.
        sleep(HURRIED_LOOK).await;
        for (name, stamp) in found {
            match stamp {
                Err(reason) => catalog.cannot_look(&name, &reason),
                Ok(stamp) if catalog.is_still(&name, &stamp) => catalog.start_load(&name, stamp),
                // It is looked at again soon.
                Ok(_) => {}
            }
        }
        let loading = async {
            while let Some(loaded) = catalog.loading.next().await {
                catalog.finish_load(loaded);
            }
        };
        // One that is slow is served when it is there.
        if timeout(START_PATIENCE, loading).await.is_err() {
            let slow = catalog
                .slots
                .iter()
                .filter(|(_, slot)| slot.loading.is_some());
            let slow: Vec<_> = slow.map(|(name, _)| name.as_str()).collect();
            warn!(
                "Serving without those that are still being loaded: {}",
                slow.join(", ")
            );
        }
        if catalog.slots.is_empty() {
            warn!(
                "There is no plugin in the folder {} yet: each is a folder of its own with a \
                 plugin.toml and a .wasm",
                directory.display()
            );
        }
        catalog.publish();
        Ok(catalog)
    }

    /// What serves each topic, as it changes.
    pub fn by_topic(&self) -> watch::Receiver<ByTopic> {
        self.by_topic.subscribe()
    }

    /// The state of each plugin, as it changes.
    pub fn entries(&self) -> watch::Receiver<Arc<[Entry]>> {
        self.entries.subscribe()
    }

    /// Watches the folder and does what operators ask, until `stop`.
    pub async fn run(mut self, mut commands: mpsc::Receiver<Command>, stop: CancellationToken) {
        let mut next_look = Instant::now();
        let watching = async {
            loop {
                tokio::select! {
                    () = sleep_until(next_look.into()) => {
                        self.look_around(false);
                    }
                    Some(command) = commands.recv() => match command {
                        Command::Reload(done) => {
                            let patience = Instant::now() + RELOAD_PATIENCE;
                            self.reloads.push(PendingReload { patience, done });
                            self.look_around(true);
                        }
                        Command::Rollback { name, done } => {
                            let _ = done.send(self.roll_back(name));
                            continue;
                        }
                    },
                    Some(loaded) = self.loading.next(), if !self.loading.is_empty() => {
                        self.finish_load(loaded);
                        self.publish();
                        continue;
                    }
                }
                next_look = Instant::now()
                    + match self.reloads.is_empty() {
                        true => LOOK_INTERVAL,
                        false => HURRIED_LOOK,
                    };
            }
        };
        stop.run_until_cancelled(watching).await;
    }

    /// Looks at the folder, and answers those who wait for it to be loaded. With `again` also what could
    /// not be loaded is tried.
    fn look_around(&mut self, again: bool) {
        let unsettled = self.look(again);
        for slot in self.slots.values() {
            if let Some(current) = &slot.current {
                current.retire_instances();
            }
            if let Some(previous) = &slot.previous {
                previous.clear_instances();
            }
        }
        let answer = match (self.readable, unsettled || !self.loading.is_empty()) {
            (false, _) => Some(Err(ReloadError::Unreadable(self.folder.path().to_owned()))),
            (true, false) => Some(Ok(())),
            (true, true) => None,
        };
        let now = Instant::now();
        for reload in std::mem::take(&mut self.reloads) {
            // To compile takes what it takes; files that go on changing may do so for ever.
            let is_late = unsettled && now >= reload.patience;
            let late = is_late.then_some(Err(ReloadError::Unsettled));
            match answer.clone().or(late) {
                Some(answer) => drop(reload.done.send(answer)),
                None if reload.done.is_closed() => {}
                None => self.reloads.push(reload),
            }
        }
    }

    /// Begins to load what is new or has changed since the last look but one, and drops what is gone.
    /// Whether there is more to come: files that may be being written.
    fn look(&mut self, again: bool) -> bool {
        let found = match self.folder.look() {
            Ok(found) => found,
            Err(reason) => {
                if std::mem::replace(&mut self.readable, false) {
                    let path = self.folder.path().display();
                    error!(
                        "Cannot read the plugin folder {path}: {reason}; what is loaded goes on"
                    );
                }
                return false;
            }
        };
        self.readable = true;
        let mut unsettled = false;
        let known = self.slots.keys().cloned().collect::<Vec<_>>();
        for name in known.iter().filter(|name| !found.contains_key(*name)) {
            unsettled |= self.missed(name);
        }
        for (name, stamp) in found {
            let stamp = match stamp {
                Ok(stamp) => stamp,
                Err(reason) => {
                    self.cannot_look(&name, &reason);
                    continue;
                }
            };
            let slot = self.slots.entry(name.clone()).or_default();
            // Once more, whether the files changed or not.
            if again && slot.problem.is_some() {
                slot.tried = None;
            }
            let is_settled = slot.is_settled(Some(&stamp));
            if slot.loading.is_some() || slot.tried.as_ref() == Some(&stamp) {
                continue;
            }
            match is_settled {
                true => self.start_load(&name, stamp),
                false => unsettled = true,
            }
        }
        unsettled
    }

    fn is_still(&mut self, name: &str, stamp: &Stamp) -> bool {
        self.folder
            .stamp(name)
            .is_ok_and(|now| now.as_ref() == Some(stamp))
    }

    /// A plugin's files are there and cannot be looked at: what serves goes on.
    fn cannot_look(&mut self, name: &str, reason: &std::io::Error) {
        let slot = self.slots.entry(name.to_owned()).or_default();
        let problem = format!("its files cannot be looked at: {reason}");
        if slot.problem.as_ref() != Some(&problem) {
            error!(plugin.name = name, "Plugin `{name}`: {problem}");
            slot.problem = Some(problem);
            // Once they can, they are loaded, changed or not.
            slot.tried = None;
            self.publish();
        }
    }

    /// A plugin's files are gone. Whether they may come back: those that are replaced may be gone for
    /// a moment.
    fn missed(&mut self, name: &str) -> bool {
        let slot = self.slots.get_mut(name);
        if slot.is_some_and(|slot| !slot.is_settled(None)) {
            return true;
        }
        self.slots.remove(name);
        info!(
            plugin.name = name,
            "Withdrew plugin `{name}`: its folder is gone"
        );
        self.publish();
        false
    }

    /// Begins to load what is in the folder, beside what serves.
    fn start_load(&mut self, name: &str, stamp: Stamp) {
        let slot = self.slots.entry(name.to_owned()).or_default();
        self.begun += 1;
        let number = self.begun;
        slot.loading = Some(number);
        let tally = Arc::clone(&slot.tally);
        let (loader, loads) = (Arc::clone(&self.loader), Arc::clone(&self.loads));
        let folder = self.folder.path().join(name);
        let span = info_span!("load", plugin.name = name);
        let name = name.to_owned();
        let loading = async move {
            let _turn = loads.acquire().await;
            let started = Instant::now();
            let (on_disk, outcome) = load(&loader, folder, tally).await;
            Loaded {
                name,
                number,
                stamp,
                started,
                on_disk,
                outcome,
            }
        };
        self.loading.push(Box::pin(loading.instrument(span)));
    }

    /// Has what was loaded take the place of what served.
    fn finish_load(&mut self, loaded: Loaded) {
        let Loaded {
            name,
            number,
            stamp,
            started,
            on_disk,
            outcome,
        } = loaded;
        let is_still = self.is_still(&name, &stamp);
        // It may have been withdrawn meanwhile, and be another now.
        let slot = self.slots.get_mut(&name);
        let Some(slot) = slot.filter(|slot| slot.loading == Some(number)) else {
            return;
        };
        slot.loading = None;
        if !is_still {
            // What was read may be half of the one and half of the other.
            return;
        }
        slot.tried = Some(stamp);
        if slot.current.is_some() && slot.problem.is_none() && slot.on_disk == on_disk {
            // Only what stands around the content changed, such as a date. It undoes no rollback.
            return;
        }
        slot.on_disk = on_disk;
        match outcome {
            Ok(plugin) => {
                slot.problem = None;
                let generation = plugin.generation().to_owned();
                let same = |current: &Arc<Plugin>| current.generation() == generation;
                if slot.current.as_ref().is_some_and(same) {
                    return;
                }
                let duration_ms = started.elapsed().as_millis();
                let verb = match &slot.current {
                    None => "Loaded",
                    Some(before) => {
                        log_differences(before, &plugin);
                        "Replaced"
                    }
                };
                info!(
                    plugin.name = name,
                    plugin.generation = generation,
                    duration_ms,
                    "{verb} plugin `{name}`"
                );
                slot.previous = slot.current.replace(plugin);
                slot.since = SystemTime::now();
            }
            Err(problem) => {
                let instead = match &slot.current {
                    Some(current) => format!("; generation {} goes on", current.generation()),
                    None => String::new(),
                };
                error!(
                    plugin.name = name,
                    "Plugin `{name}` was not loaded: {problem}{instead}"
                );
                slot.problem = Some(problem.to_string());
            }
        }
    }

    fn roll_back(&mut self, name: String) -> Result<(), RollbackError> {
        let Some(slot) = self.slots.get_mut(&name) else {
            return Err(RollbackError::NoSuchPlugin(name));
        };
        let Some(previous) = slot.previous.take() else {
            return Err(RollbackError::NothingBefore(name));
        };
        info!(
            plugin.name = name,
            plugin.generation = previous.generation(),
            "Rolled plugin `{name}` back"
        );
        slot.previous = slot.current.replace(previous);
        slot.since = SystemTime::now();
        self.publish();
        Ok(())
    }

    /// Makes the new state known, where it is a new one.
    fn publish(&self) {
        let entry = |(name, slot): (&String, &Slot)| Entry {
            name: name.clone(),
            current: slot.current.clone(),
            previous: slot
                .previous
                .as_ref()
                .map(|plugin| plugin.generation().to_owned()),
            on_disk: slot.on_disk.clone(),
            problem: slot.problem.clone(),
            since: slot.since,
            tally: Arc::clone(&slot.tally),
        };
        self.entries
            .send_replace(self.slots.iter().map(entry).collect());
        self.by_topic.send_replace(self.endpoints_by_topic());
    }

    /// Between equal versions the priority decides, then the name.
    fn endpoints_by_topic(&self) -> ByTopic {
        let current = |slot: &Slot| slot.current.clone();
        let mut plugins: Vec<_> = self.slots.values().filter_map(current).collect();
        plugins.sort_by_key(|plugin| {
            let priority = std::cmp::Reverse(plugin.manifest().priority);
            (priority, plugin.name().to_owned())
        });
        let mut topics: BTreeMap<String, Vec<Arc<dyn Endpoint>>> = BTreeMap::new();
        for plugin in &plugins {
            for topic in &plugin.manifest().topics {
                let endpoints = topics.entry(topic.clone()).or_default();
                endpoints.extend(plugin.endpoints());
            }
        }
        let snapshot = |(topic, endpoints)| (topic, Endpoints::new(endpoints));
        topics.into_iter().map(snapshot).collect()
    }
}

/// The generation that is in a plugin's folder, and what came of loading it.
async fn load(
    loader: &PluginLoader,
    folder: PathBuf,
    tally: Arc<Tally>,
) -> (Option<String>, Result<Arc<Plugin>, LoadError>) {
    let reading = spawn_blocking(move || Source::read(&folder)).await;
    let source = match reading {
        Ok(Ok(source)) => source,
        Ok(Err(problem)) => return (None, Err(problem.into())),
        Err(panicked) => return (None, Err(LoadError::Compile(panicked.to_string()))),
    };
    let generation = source.generation.clone();
    (Some(generation), loader.load(source, tally).await)
}

impl Slot {
    /// Remembers its files, and whether they have been so for long enough.
    fn is_settled(&mut self, files: Option<&Stamp>) -> bool {
        let now = Instant::now();
        match &self.seen {
            Some((seen, since)) if seen.as_ref() == files => now >= *since + HURRIED_LOOK,
            _ => {
                self.seen = Some((files.cloned(), now));
                false
            }
        }
    }
}

impl Default for Slot {
    fn default() -> Self {
        Self {
            tally: Arc::default(),
            current: None,
            previous: None,
            since: SystemTime::now(),
            seen: None,
            loading: None,
            tried: None,
            on_disk: None,
            problem: None,
        }
    }
}

/// What a new generation imports and is granted that the old did not, and the other way round.
fn log_differences(before: &Plugin, after: &Plugin) {
    let grants = |plugin: &Plugin| plugin.manifest().grants.lines();
    let imports = |plugin: &Plugin| plugin.imports().map(str::to_owned).collect::<Vec<_>>();
    let name = after.name();
    for (what, before, after) in [
        ("import", imports(before), imports(after)),
        ("grant", grants(before), grants(after)),
    ] {
        for gained in after.iter().filter(|one| !before.contains(one)) {
            warn!(
                plugin.name = name,
                "The new generation of `{name}` has the {what} {gained}"
            );
        }
        for lost in before.iter().filter(|one| !after.contains(one)) {
            info!(
                plugin.name = name,
                "The new generation of `{name}` has no more the {what} {lost}"
            );
        }
    }
}
