//! `endpointd dev`: a project that is built and served again whenever it is saved.

use std::cell::Cell;
use std::fs::{File, Metadata};
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::{DirBuilderExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{ExitCode, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use clap::Args;
use tokio::sync::mpsc;
use toml::{Table, Value};
use uuid::Uuid;

use super::output::say;
use super::road::DEFAULT_VIA;
use super::running;
use super::saves::Saves;
use super::toolchain::{Language, Missing, Toolchain, cache_folder};
use crate::app::Asked;
use crate::config::{Config, Sources};
use crate::plugin::manifest::Manifest;
use crate::plugin::source::manifest_of;
use crate::telemetry::log;

const MANIFEST: &str = "plugin.toml";
/// A folder as new as that may have no lock yet.
const BEING_MADE: Duration = Duration::from_secs(60);

/// Build a project and serve it, and do so again whenever a file is saved.
///
/// It runs the command under [build] in the project's plugin.toml, and serves what that makes on a broker
/// inside the process, with buckets in memory. What is called, and what the plugin logs, is shown as it
/// happens. A build that fails leaves what serves as it is. Files that git ignores are not watched; what a
/// build writes beside the Wasm file, or a log kept in the project, is best ignored.
#[derive(Debug, Args)]
#[command(before_help = "Example: endpointd new greeter --lang rust && endpointd dev greeter")]
pub struct Dev {
    /// The project: a folder with a plugin.toml
    #[arg(default_value = ".", value_name = "FOLDER")]
    project: PathBuf,
    /// Where `endpointd call` finds it
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:9797")]
    listen: SocketAddr,
    /// A folder of plugins that are served as well, such as those that it calls
    #[arg(long, value_name = "FOLDER")]
    beside: Option<PathBuf>,
}

impl Dev {
    pub fn run(self) -> anyhow::Result<ExitCode> {
        let mut project = Project::open(&self.project)?;
        let Dev { listen, beside, .. } = self;
        // Said now and not after the first build.
        let listener = TcpListener::bind(listen)
            .with_context(|| format!("{listen} cannot be had: choose another with --listen"))?;
        // A port that the kernel chose could be another's by then. One that is known refuses who calls too early.
        let is_chosen = listen.port() == 0;
        let listen = listener.local_addr()?;
        let kept = is_chosen.then_some(listener);
        log::init_for_author();
        if let Some(bin) = project.toolchain.bin() {
            let bin = bin.display();
            say(format_args!(
                "==> The compiler is in {bin}; for your shell: export PATH={bin}:$PATH"
            ));
        }
        let mut saves = Saves::of(&project.folder);
        if saves.sees_nothing() {
            say("==> Git ignores all files here, so no save will be seen");
        }
        while !project.build() {
            if let Some(missing) = project.missing {
                return Err(missing.into());
            }
            say("==> Waiting for the next save");
            let saved = saves.wait(project.made());
            say(format_args!("==> Saved: {saved}"));
            project.read_manifest();
        }
        saves.ignore_new();
        // Not before: what ends a build ends this process as well, and would leave it behind.
        let place = Place::make(&project, beside.as_deref())?;
        let call = project.example(listen);
        let (orders, mut received) = mpsc::channel(1);
        let is_to_begin_anew = Arc::new(AtomicBool::new(false));
        let begin_anew = Arc::clone(&is_to_begin_anew);
        let building = std::thread::Builder::new().name("builder".to_owned());
        building.spawn(move || {
            loop {
                let saved = saves.wait(project.made());
                say(format_args!("==> Saved: {saved}"));
                let buckets = project.manifest.grants.keyvalue.clone();
                let command = project.command().map(str::to_owned);
                if !project.read_manifest() {
                    say("==> What serves goes on");
                    continue;
                }
                if project.manifest.grants.keyvalue != buckets {
                    // Before the build: the host sees the new plugin.toml too, and has no such buckets.
                    say("==> Other buckets are granted: starting anew, with all of them empty");
                    begin_anew.store(true, Ordering::SeqCst);
                    let _ = orders.blocking_send(Asked::Stop);
                }
                let is_built = saved == MANIFEST && project.command() == command.as_deref();
                if is_built || project.build() {
                    saves.ignore_new();
                    // Where one waits already, that one does it.
                    let _ = orders.try_send(Asked::Reload);
                }
            }
        })?;
        drop(kept);
        let is_first = Cell::new(true);
        let announce = |lines: &[String]| {
            for line in lines {
                say(format_args!(
                    "==> {}",
                    line.replacen("ready: ", "Serving ", 1)
                ));
            }
            // A start announces nothing where its plugin takes long to compile.
            if !lines.is_empty() && is_first.replace(false) {
                say(format_args!(
                    "==> Call it from another terminal:\n\n    {call}\n"
                ));
            }
        };
        loop {
            running::serve(place.config(listen)?, &mut received, announce)?;
            if !is_to_begin_anew.swap(false, Ordering::SeqCst) {
                return Ok(ExitCode::SUCCESS);
            }
        }
    }
}

/// What is worked on.
struct Project {
    folder: PathBuf,
    name: String,
    manifest: Manifest,
    component: PathBuf,
    toolchain: Toolchain,
    /// What the language seems to need.
    missing: Option<Missing>,
}

impl Project {
    fn open(folder: &Path) -> anyhow::Result<Self> {
        let shown = folder.display();
        let folder = folder
            .canonicalize()
            .with_context(|| format!("there is no folder {shown}: `endpointd new` makes one"))?;
        if !folder.join(MANIFEST).exists() {
            bail!(
                "there is no {MANIFEST} in {shown}, so it is no plugin: `endpointd new` makes one"
            );
        }
        let manifest = manifest_of(&folder)?;
        let language = Language::of_project(&folder).filter(|_| manifest.build.is_some());
        // The command may well need something else: what is missing is told only where it fails.
        let (toolchain, missing) = match language.map(Toolchain::find) {
            Some(Ok(toolchain)) => (toolchain, None),
            Some(Err(missing)) => (Toolchain::of_path(), Some(missing)),
            None => (Toolchain::of_path(), None),
        };
        let name = folder
            .file_name()
            .map(|name| name.to_string_lossy().into_owned());
        Ok(Self {
            name: name.unwrap_or_else(|| "plugin".to_owned()),
            component: folder.join(&manifest.component),
            toolchain,
            missing,
            manifest,
            folder,
        })
    }

    fn command(&self) -> Option<&str> {
        self.manifest.build.as_ref().map(|build| &*build.command)
    }

    /// The file that a build makes, if there is one.
    fn made(&self) -> Option<&Path> {
        self.command().map(|_| &*self.component)
    }

    /// Reads plugin.toml again, and tells whether it could be read. One that cannot be changes nothing.
    fn read_manifest(&mut self) -> bool {
        match manifest_of(&self.folder) {
            Ok(manifest) => {
                self.component = self.folder.join(&manifest.component);
                self.manifest = manifest;
                true
            }
            Err(error) => {
                say(format_args!("==> {error}"));
                false
            }
        }
    }

    /// Whether the Wasm file is there now. The compiler says the rest.
    fn build(&self) -> bool {
        let Some(line) = self.command() else {
            return true;
        };
        say(format_args!("==> Building: {line}"));
        let written = || std::fs::metadata(&self.component)?.modified();
        let before = written().ok();
        let started = Instant::now();
        let mut command = self.toolchain.command(line);
        let status = command
            .current_dir(&self.folder)
            .stdin(Stdio::null())
            .status();
        let took = started.elapsed().as_secs_f64();
        match status {
            Ok(status) if status.success() && self.component.is_file() => {
                match before.is_some() && before == written().ok() {
                    true => say(format_args!(
                        "==> Built in {took:.1} s, and {} is as it was",
                        self.manifest.component.display()
                    )),
                    false => say(format_args!("==> Built in {took:.1} s")),
                }
                true
            }
            Ok(status) if status.success() => {
                let component = self.component.display();
                say(format_args!(
                    "==> The build made no {component}, which plugin.toml names as `component`"
                ));
                false
            }
            Ok(status) => {
                say(format_args!(
                    "==> The build failed after {took:.1} s ({status})"
                ));
                false
            }
            Err(error) => {
                say(format_args!("==> The build cannot be started: {error}"));
                false
            }
        }
    }

    /// How it is called.
    fn example(&self, listen: SocketAddr) -> String {
        let topic = self.manifest.topics.first().map_or("TOPIC", String::as_str);
        let via = format!("http://{listen}");
        match via == DEFAULT_VIA {
            true => format!("endpointd call {topic} METHOD KEY=VALUE..."),
            false => format!("endpointd call {topic} METHOD KEY=VALUE... --via {via}"),
        }
    }
}

/// A folder that a host is made in, gone with this.
struct Place {
    folder: PathBuf,
    /// Held for as long as the folder is used, by a process that may be killed.
    _lock: File,
}

impl Place {
    fn make(project: &Project, beside: Option<&Path>) -> anyhow::Result<Self> {
        let places = keeping()?.join("dev");
        sweep(&places);
        let folder = places.join(Uuid::new_v4().simple().to_string());
        let mut builder = std::fs::DirBuilder::new();
        let made = builder
            .recursive(true)
            .mode(0o700)
            .create(folder.join("plugins"))
            .and_then(|()| File::create(folder.join("lock")));
        let lock = made.with_context(|| format!("cannot make {}", folder.display()))?;
        let place = Self {
            folder,
            _lock: lock,
        };
        place._lock.lock()?;
        let plugins = place.plugins();
        symlink(&project.folder, plugins.join(&project.name))?;
        let Some(beside) = beside else {
            return Ok(place);
        };
        let entries = std::fs::read_dir(beside)
            .with_context(|| format!("cannot read the folder {}", beside.display()))?;
        for entry in entries {
            let other = entry?.path();
            let other = other
                .canonicalize()
                .with_context(|| format!("cannot follow {}", other.display()))?;
            let Some(name) = other
                .file_name()
                .filter(|_| other.join("plugin.toml").exists())
            else {
                continue;
            };
            if other == project.folder {
                continue;
            }
            if name.to_string_lossy() == project.name {
                bail!(
                    "{} and the project are both called {}",
                    other.display(),
                    project.name
                );
            }
            symlink(&other, plugins.join(name))?;
        }
        Ok(place)
    }

    fn plugins(&self) -> PathBuf {
        self.folder.join("plugins")
    }

    /// For a host with the plugins that are here, and a bucket in memory for each that they are granted now.
    fn config(&self, listen: SocketAddr) -> anyhow::Result<Config> {
        let mut keyvalue = Table::new();
        for plugin in std::fs::read_dir(self.plugins())? {
            // The host says what is wrong with one that cannot be read.
            let Ok(manifest) = manifest_of(&plugin?.path()) else {
                continue;
            };
            for name in manifest.grants.keyvalue {
                let bucket = Table::from_iter([("backend".to_owned(), "memory".into())]);
                keyvalue.insert(name.as_str().to_owned(), Value::Table(bucket));
            }
        }
        let admin = Table::from_iter([("listen".to_owned(), listen.to_string().into())]);
        let settings = Table::from_iter([
            ("transport_url".to_owned(), "memory://".into()),
            ("host".to_owned(), "dev".into()),
            (
                "data_dir".to_owned(),
                keeping()?.display().to_string().into(),
            ),
            ("admin".to_owned(), Value::Table(admin)),
            ("keyvalue".to_owned(), Value::Table(keyvalue)),
        ]);
        let file = self.folder.join("endpointd.toml");
        std::fs::write(&file, settings.to_string())?;
        let sources = Sources {
            file: Some(&file),
            oslo_files: &[],
            flags: Table::new(),
        };
        Ok(Config::load(sources, std::iter::empty())?.0)
    }
}

/// Removes what processes left behind that were killed.
fn sweep(places: &Path) {
    for place in std::fs::read_dir(places).into_iter().flatten().flatten() {
        let is_new = |metadata: Metadata| {
            let age = metadata.modified().ok()?.elapsed().ok()?;
            Some(age < BEING_MADE)
        };
        let lock = File::open(place.path().join("lock"));
        let is_used = lock.is_ok_and(|lock| lock.try_lock().is_err());
        if !is_used && place.metadata().ok().and_then(is_new) == Some(false) {
            drop(std::fs::remove_dir_all(place.path()));
        }
    }
}

fn keeping() -> anyhow::Result<PathBuf> {
    cache_folder().context("neither HOME nor XDG_CACHE_HOME says where to keep things")
}

impl Drop for Place {
    fn drop(&mut self) {
        drop(std::fs::remove_dir_all(&self.folder));
    }
}
