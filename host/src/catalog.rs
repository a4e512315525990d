//! The loaded plugins, by topic: reads the plugin folder, and keeps what is good of it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use tracing::{Instrument, error, info, info_span, warn};

use crate::endpoint::{Endpoint, Endpoints};
use crate::plugin::{Plugin, PluginLoader};

/// Every plugin that could be loaded.
pub struct Catalog {
    plugins: Vec<Arc<Plugin>>,
}

/// Why there is nothing to serve.
#[derive(Debug, thiserror::Error)]
pub enum CatalogError {
    #[error(
        "cannot read the plugin folder {}: {reason}; name another with `plugin_dir` or --plugins",
        path.display()
    )]
    Folder {
        path: PathBuf,
        reason: std::io::Error,
    },
    #[error(
        "there is no plugin in the folder {}: each is a folder of its own with a plugin.toml and a \
         .wasm",
        .0.display()
    )]
    Empty(PathBuf),
    #[error("no plugin in the folder {} could be loaded, of {count}; the log says why", path.display())]
    NoneLoaded { path: PathBuf, count: usize },
}

impl Catalog {
    /// Loads every folder of `directory` that has a plugin.toml. One that cannot be loaded is
    /// logged, and the others are served.
    pub async fn load(directory: &Path, loader: &PluginLoader) -> Result<Self, CatalogError> {
        let folders = plugin_folders(directory).map_err(|reason| CatalogError::Folder {
            path: directory.to_owned(),
            reason,
        })?;
        let mut plugins = Vec::new();
        for folder in &folders {
            let started = Instant::now();
            let name = folder.file_name().unwrap_or_default().to_string_lossy();
            let span = info_span!("load", plugin.name = &*name);
            match loader.load(folder).instrument(span).await {
                Ok(plugin) => {
                    let duration_ms = started.elapsed().as_millis();
                    let (name, digest) = (plugin.name(), plugin.digest());
                    info!(
                        plugin.name = name,
                        plugin.digest = digest,
                        duration_ms,
                        "Loaded plugin `{name}`"
                    );
                    plugins.push(plugin);
                }
                Err(problem) => {
                    error!(
                        plugin.name = &*name,
                        "Plugin `{name}` was not loaded: {problem}"
                    );
                }
            }
        }
        match (plugins.is_empty(), folders.len()) {
            (true, 0) => Err(CatalogError::Empty(directory.to_owned())),
            (true, count) => Err(CatalogError::NoneLoaded {
                path: directory.to_owned(),
                count,
            }),
            (false, _) => Ok(Self { plugins }),
        }
    }

    /// What serves each topic. Between equal versions the priority decides, then the name.
    pub fn by_topic(&self) -> BTreeMap<String, Endpoints> {
        let mut plugins = self.plugins.clone();
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

/// In the order of their names, so that every start is alike.
fn plugin_folders(directory: &Path) -> std::io::Result<Vec<PathBuf>> {
    let mut folders = Vec::new();
    for entry in std::fs::read_dir(directory)? {
        let folder = entry?.path();
        if folder.join("plugin.toml").is_file() {
            folders.push(folder);
        } else if folder.is_dir() {
            warn!("Skipped {}: it has no plugin.toml", folder.display());
        }
    }
    folders.sort();
    Ok(folders)
}
