//! The plugin folder on disk: which plugins it has, and whether their files changed.
//!
//! Files are looked at again and again instead of being reported by the system: that sees through
//! symbolic links that are swapped, and works on every file system.

use std::collections::BTreeMap;
use std::fs::Metadata;
use std::io::{self, ErrorKind};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::plugin::source::component_of;

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
    /// `None` where there is no such file, which is not the same as one that cannot be looked at.
    fn of(path: &Path) -> io::Result<Option<Self>> {
        let metadata: Metadata = match std::fs::metadata(path) {
            Ok(metadata) => metadata,
            Err(error) if is_absence(&error) => return Ok(None),
            Err(error) => return Err(error),
        };
        Ok(metadata.is_file().then(|| Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            size: metadata.size(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }))
    }
}

fn is_absence(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory)
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

    /// Every plugin, which is a folder with a plugin.toml, by name; an error for one whose files
    /// cannot be looked at.
    pub(super) fn look(&mut self) -> io::Result<BTreeMap<String, io::Result<Stamp>>> {
        let mut found = BTreeMap::new();
        for entry in std::fs::read_dir(&self.path)? {
            // One whose name is no text can be neither shown nor named.
            let Ok(name) = entry?.file_name().into_string() else {
                continue;
            };
            if let Some(stamp) = self.stamp(&name).transpose() {
                found.insert(name, stamp);
            }
        }
        self.components.retain(|name, _| found.contains_key(name));
        Ok(found)
    }

    /// The state of one plugin's files; `None` where it has no manifest.
    pub(super) fn stamp(&mut self, name: &str) -> io::Result<Option<Stamp>> {
        let folder = self.path.join(name);
        let Some(manifest) = FileStamp::of(&folder.join("plugin.toml"))? else {
            return Ok(None);
        };
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
        let component = component.map(|path| FileStamp::of(&path)).transpose()?;
        Ok(Some(Stamp {
            manifest,
            component: component.flatten(),
        }))
    }
}
