//! `endpointd dev`: a project that is built and served again whenever it is saved.

use std::cell::Cell;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::{DirBuilderExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{ExitCode, Stdio};
use std::time::Instant;

use anyhow::{Context, bail};
use clap::Args;
use tokio::sync::mpsc;
use toml::{Table, Value};
use uuid::Uuid;

use super::road::DEFAULT_VIA;
use super::running;
use super::saves::Saves;
use super::toolchain::{Language, Toolchain, cache_folder};
use crate::app::Asked;
use crate::config::{Config, Sources};
use crate::plugin::manifest::Manifest;
use crate::plugin::source::manifest_of;
use crate::telemetry::log;

/// Build a project and serve it, and do so again whenever a file is saved.
///
/// It runs the command under [build] in the project's plugin.toml, and serves what that makes on a broker
/// inside the process, with buckets in memory. What is called, and what the plugin logs, is shown as it
/// happens. A build that fails leaves what serves as it is. Files that git ignores are not watched.
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
        let project = Project::open(&self.project)?;
        let Dev { listen, beside, .. } = self;
        // Said now and not after the first build.
        TcpListener::bind(listen)
            .with_context(|| format!("{listen} cannot be had: choose another with --listen"))?;
        log::init_for_author();
        let mut saves = Saves::of(&project.folder, &project.component);
        while !project.build() {
            eprintln!("==> Waiting for the next save");
            saves.ignore_new();
            saves.wait();
        }
        saves.ignore_new();
        // Not before: what ends a build ends this process as well, and would leave it behind.
        let place = Place::make(&project, beside.as_deref(), listen)?;
        let (orders, received) = mpsc::channel(1);
        let call = project.example(listen);
        let building = std::thread::Builder::new().name("builder".to_owned());
        building.spawn(move || {
            loop {
                saves.wait();
                let is_built = project.build();
                saves.ignore_new();
                if is_built {
                    // Where one waits already, that one does it.
                    let _ = orders.try_send(Asked::Reload);
                }
            }
        })?;
        let is_first = Cell::new(true);
        let announce = |lines: &[String]| {
            for line in lines {
                eprintln!("==> {}", line.replacen("ready: ", "Serving ", 1));
            }
            // A start announces nothing where its plugin takes long to compile.
            if !lines.is_empty() && is_first.replace(false) {
                eprintln!("==> Call it from another terminal:\n\n    {call}\n");
            }
        };
        running::serve(place.config()?, received, announce)?;
        Ok(ExitCode::SUCCESS)
    }
}

/// What is worked on.
struct Project {
    folder: PathBuf,
    name: String,
    manifest: Manifest,
    component: PathBuf,
    toolchain: Toolchain,
}

impl Project {
    fn open(folder: &Path) -> anyhow::Result<Self> {
        let shown = folder.display();
        let folder = folder
            .canonicalize()
            .with_context(|| format!("there is no folder {shown}: `endpointd new` makes one"))?;
        let manifest = manifest_of(&folder)?;
        let toolchain = match (&manifest.build, Language::of_project(&folder)) {
            (Some(_), Some(language)) => Toolchain::find(language)?,
            _ => Toolchain::of_path(),
        };
        let name = folder
            .file_name()
            .map(|name| name.to_string_lossy().into_owned());
        Ok(Self {
            name: name.unwrap_or_else(|| "plugin".to_owned()),
            component: folder.join(&manifest.component),
            toolchain,
            manifest,
            folder,
        })
    }

    /// Whether the Wasm file is there now. The compiler says the rest.
    fn build(&self) -> bool {
        let Some(build) = &self.manifest.build else {
            return true;
        };
        eprintln!("==> Building: {}", build.command);
        let started = Instant::now();
        let mut command = self.toolchain.command(&build.command);
        let status = command
            .current_dir(&self.folder)
            .stdin(Stdio::null())
            .status();
        let took = started.elapsed().as_secs_f64();
        match status {
            Ok(status) if status.success() && self.component.is_file() => {
                eprintln!("==> Built in {took:.1} s");
                true
            }
            Ok(status) if status.success() => {
                let component = self.component.display();
                eprintln!(
                    "==> The build made no {component}, which plugin.toml names as `component`"
                );
                false
            }
            Ok(status) => {
                eprintln!("==> The build failed after {took:.1} s ({status})");
                false
            }
            Err(error) => {
                eprintln!("==> The build cannot be started: {error}");
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
struct Place(PathBuf);

impl Place {
    fn make(project: &Project, beside: Option<&Path>, listen: SocketAddr) -> anyhow::Result<Self> {
        let cache =
            cache_folder().context("neither HOME nor XDG_CACHE_HOME says where to keep things")?;
        let folder = cache.join("dev").join(Uuid::new_v4().simple().to_string());
        let plugins = folder.join("plugins");
        let mut builder = std::fs::DirBuilder::new();
        let made = builder.recursive(true).mode(0o700).create(&plugins);
        made.with_context(|| format!("cannot make {}", plugins.display()))?;
        let place = Self(folder);
        let mut buckets = project.manifest.grants.keyvalue.clone();
        symlink(&project.folder, plugins.join(&project.name))?;
        if let Some(beside) = beside {
            let entries = std::fs::read_dir(beside)
                .with_context(|| format!("cannot read the folder {}", beside.display()))?;
            for entry in entries {
                let other = entry?.path().canonicalize()?;
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
                buckets.extend(manifest_of(&other)?.grants.keyvalue);
                symlink(&other, plugins.join(name))?;
            }
        }
        let in_memory =
            || Value::Table(Table::from_iter([("backend".to_owned(), "memory".into())]));
        let keyvalue = buckets
            .iter()
            .map(|name| (name.as_str().to_owned(), in_memory()));
        let admin = Table::from_iter([("listen".to_owned(), listen.to_string().into())]);
        let settings = Table::from_iter([
            ("transport_url".to_owned(), "memory://".into()),
            ("host".to_owned(), "dev".into()),
            ("data_dir".to_owned(), cache.display().to_string().into()),
            ("admin".to_owned(), Value::Table(admin)),
            ("keyvalue".to_owned(), Value::Table(keyvalue.collect())),
        ]);
        std::fs::write(place.0.join("endpointd.toml"), settings.to_string())?;
        Ok(place)
    }

    fn config(&self) -> anyhow::Result<Config> {
        let file = self.0.join("endpointd.toml");
        let sources = Sources {
            file: Some(&file),
            oslo_files: &[],
            flags: Table::new(),
        };
        Ok(Config::load(sources, std::iter::empty())?.0)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        drop(std::fs::remove_dir_all(&self.0));
    }
}
