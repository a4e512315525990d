//! The plugin folder on disk: which plugins it has, and whether their files changed.
//!
//! Files are looked at again and again instead of being reported by the system: that sees through
//! symbolic links that are swapped, and works on every file system.

use std::collections::BTreeMap;
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::plugin::component_of;

/// What tells one state of a plugin's files from another, without reading them.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Stamp {
    manifest: FileStamp,
    /// `None` where there is no such file, or no manifest that names one.
    component: Option<FileStamp>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct FileStamp {
    device: u64,
    inode: u64,
    size: u64,
    /// Seconds and nanoseconds.
    modified: (i64, i64),
    changed: (i64, i64),
}

impl FileStamp {
    fn of(path: &Path) -> Option<Self> {
        let metadata: Metadata = std::fs::metadata(path).ok()?;
        metadata.is_file().then(|| Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            size: metadata.size(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        })
    }
}

/// Looks at the plugins of one folder.
#[derive(Debug)]
pub(super) struct Folder {
    path: PathBuf,
    /// By the plugin's name: where its Wasm file is, as its manifest said in that state.
    components: BTreeMap<String, (FileStamp, Option<PathBuf>)>,
}

impl Folder {
    pub(super) fn new(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
            components: BTreeMap::new(),
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Every plugin, which is a folder with a plugin.toml, by name.
    pub(super) fn look(&mut self) -> std::io::Result<BTreeMap<String, Stamp>> {
        let mut found = BTreeMap::new();
        for entry in std::fs::read_dir(&self.path)? {
            // One whose name is no text can be neither shown nor named.
            let Ok(name) = entry?.file_name().into_string() else {
                continue;
            };
            if let Some(stamp) = self.stamp(&name) {
                found.insert(name, stamp);
            }
        }
        self.components.retain(|name, _| found.contains_key(name));
        Ok(found)
    }

    /// The state of one plugin's files; `None` where it has no manifest.
    pub(super) fn stamp(&mut self, name: &str) -> Option<Stamp> {
        let folder = self.path.join(name);
        let manifest = FileStamp::of(&folder.join("plugin.toml"))?;
        let known = self.components.get(name);
        let component = match known.filter(|(stamp, _)| *stamp == manifest) {
            Some((_, component)) => component.clone(),
            None => {
                let component = component_of(&folder);
                let remembered = (manifest, component.clone());
                self.components.insert(name.to_owned(), remembered);
                component
            }
        };
        Some(Stamp {
            manifest,
            component: component.and_then(|path| FileStamp::of(&path)),
        })
    }
}
