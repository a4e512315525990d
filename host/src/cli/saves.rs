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
    /// What the build makes: no source, whether git ignores it or not.
    component: PathBuf,
    seen: Stamps,
}

impl Saves {
    pub fn of(folder: &Path, component: &Path) -> Self {
        let mut saves = Self {
            folder: folder.to_owned(),
            component: component.to_owned(),
            seen: Stamps::new(),
        };
        saves.seen = saves.look();
        saves
    }

    /// Until files have changed since the last time and are no more being written.
    pub fn wait(&mut self) {
        let mut before = self.look();
        loop {
            std::thread::sleep(LOOK_INTERVAL);
            let now = self.look();
            if now == before && now != self.seen {
                self.seen = now;
                return;
            }
            before = now;
        }
    }

    /// What is new since the last time was made by a build, such as a file that pins versions.
    pub fn ignore_new(&mut self) {
        for (path, stamp) in self.look() {
            self.seen.entry(path).or_insert(stamp);
        }
    }

    fn look(&self) -> Stamps {
        let mut walk = WalkBuilder::new(&self.folder);
        // Whether or not it is in a repository yet.
        let walk = walk.require_git(false).build();
        let files = walk.flatten().filter(|entry| {
            entry.file_type().is_some_and(|kind| kind.is_file()) && entry.path() != self.component
        });
        files
            .filter_map(|entry| {
                let metadata = entry.metadata().ok()?;
                Some((
                    entry.into_path(),
                    (metadata.modified().ok(), metadata.len()),
                ))
            })
            .collect()
    }
}
