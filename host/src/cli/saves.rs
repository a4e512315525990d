//! Sees when a file of a project is saved.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use ignore::WalkBuilder;

/// Soon enough that nobody waits for it. To look takes a fraction of a millisecond for a project.
const LOOK_INTERVAL: Duration = Duration::from_millis(100);

type Stamps = BTreeMap<PathBuf, (Option<SystemTime>, u64)>;

/// The files of a project, as they were seen the last time.
pub struct Saves {
    folder: PathBuf,
    seen: Stamps,
}

impl Saves {
    pub fn of(folder: &Path) -> Self {
        Self {
            folder: folder.to_owned(),
            seen: look(folder),
        }
    }

    /// Whether there is nothing to wait for.
    pub fn sees_nothing(&self) -> bool {
        self.seen.is_empty()
    }

    /// Until files have changed since the last time and are no more being written; tells which. The
    /// `component` is what the build makes, and no source, whether git ignores it or not.
    pub fn wait(&mut self, component: Option<&Path>) -> String {
        let look = || {
            let mut stamps = look(&self.folder);
            component.map(|component| stamps.remove(component));
            stamps
        };
        component.map(|component| self.seen.remove(component));
        let mut before = look();
        loop {
            std::thread::sleep(LOOK_INTERVAL);
            let now = look();
            if now == before && now != self.seen {
                let changed = now
                    .iter()
                    .filter(|(path, now)| self.seen.get(*path) != Some(now));
                let gone = self.seen.keys().filter(|path| !now.contains_key(*path));
                let mut paths = changed.map(|(path, _)| path).chain(gone);
                let first = paths.next().map(|path| {
                    let name = path.strip_prefix(&self.folder).unwrap_or(path);
                    name.display().to_string()
                });
                let told = match paths.count() {
                    0 => first.unwrap_or_default(),
                    more => format!("{} and {more} more", first.unwrap_or_default()),
                };
                self.seen = now;
                return told;
            }
            before = now;
        }
    }

    /// What is new since the last time was made by a build, such as a file that pins versions.
    pub fn ignore_new(&mut self) {
        for (path, stamp) in look(&self.folder) {
            self.seen.entry(path).or_insert(stamp);
        }
    }
}

fn look(folder: &Path) -> Stamps {
    let is_in_repository = folder.ancestors().any(|one| one.join(".git").exists());
    let mut walk = WalkBuilder::new(folder);
    // A project may be in no repository yet, and then what is ignored around it is not its own.
    let walk = walk.require_git(false).parents(is_in_repository).build();
    let stamp = |path: PathBuf| {
        // Of what a link leads to.
        let metadata = std::fs::metadata(&path).ok()?;
        let stamp = (metadata.modified().ok(), metadata.len());
        metadata.is_file().then_some((path, stamp))
    };
    walk.flatten()
        .filter_map(|entry| stamp(entry.into_path()))
        .collect()
}
