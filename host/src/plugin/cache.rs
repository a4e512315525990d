//! Compiled code on disk, so that what was compiled once is not compiled again.
//!
//! Compiled code runs as a part of the host, outside of any sandbox. So it is taken only from files that
//! nobody else can have written, and that are as they were written: a file ends with the digest of its
//! content, and its name has that of the component, the engine's version and settings, and the features of
//! the processor. It is mapped, not read: a host that has loaded it takes little memory for it.

use std::fs::{DirBuilder, DirEntry, File, Metadata, OpenOptions};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use rustix::process::geteuid;
use sha2::{Digest, Sha256};
use tracing::{debug, warn};
use uuid::Uuid;
use wasmtime::Engine;
use wasmtime::component::Component;

use super::artifact::{Artifact, hexadecimal};

/// What is kept, in files and in bytes; beyond that the longest unused go.
const KEPT_FILES: usize = 1000;
const KEPT_BYTES: u64 = 4 * 1024 * 1024 * 1024;
const DIGEST_BYTES: u64 = 32;
const CHUNK_BYTES: usize = 64 * 1024;
/// Whatever is larger is not ours: Python's is 60 MiB.
const MAX_FILE_BYTES: u64 = 2 * 1024 * 1024 * 1024;
const WRITABLE_BY_OTHERS: u32 = 0o022;

/// A folder of compiled components.
#[derive(Clone, Debug)]
pub struct Cache {
    /// `None` where there is no folder that can be trusted.
    folder: Option<PathBuf>,
}

impl Cache {
    /// Nothing is kept.
    pub fn none() -> Self {
        Self { folder: None }
    }

    /// The cache in `folder`, which is made if need be. Where that cannot be, or others could write
    /// there, it says so and keeps nothing.
    pub fn open(folder: &Path) -> Self {
        let mut builder = DirBuilder::new();
        builder.recursive(true).mode(0o700);
        let opened = builder
            .create(folder)
            .and_then(|()| trusted(&std::fs::symlink_metadata(folder)?))
            .and_then(|()| cannot_be_replaced(folder));
        match opened {
            Ok(()) => Self {
                folder: Some(folder.to_owned()),
            },
            Err(reason) => {
                warn!(
                    "Compiled code is not kept: the folder {} cannot be used: {reason}",
                    folder.display()
                );
                Self::none()
            }
        }
    }

    /// Where it is, if anywhere.
    pub fn folder(&self) -> Option<&Path> {
        self.folder.as_deref()
    }

    /// What was compiled of the artifact before, if it can be trusted.
    pub fn load(&self, engine: &Engine, artifact: &Artifact) -> Option<Component> {
        let path = self.path(engine, artifact)?;
        let file = match checked(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
            Err(reason) => {
                warn!("Compiled code in {} is not used: {reason}", path.display());
                drop(std::fs::remove_file(&path));
                return None;
            }
        };
        // The very file that was checked, whatever its name stands for by now.
        let open = format!("/proc/self/fd/{}", file.as_raw_fd());
        #[expect(
            unsafe_code,
            reason = "nobody but this user can have written the file, and its digest is right"
        )]
        // SAFETY: the bytes are what `Component::serialize` gave this user's host, which is what
        // `deserialize_file` asks for; it compares version, settings and processor itself. This program
        // never writes to a file of the cache once it has its name.
        let component = unsafe { Component::deserialize_file(engine, open) };
        match component {
            Ok(component) => {
                // The time of its last use decides how long it is kept.
                let now = SystemTime::now();
                drop(file.set_modified(now));
                Some(component)
            }
            Err(error) => {
                debug!(
                    "Compiled code in {} is of no use: {error:#}",
                    path.display()
                );
                None
            }
        }
    }

    /// Keeps the code that was compiled of the artifact.
    pub fn store(&self, engine: &Engine, artifact: &Artifact, code: &[u8]) {
        let Some(path) = self.path(engine, artifact) else {
            return;
        };
        if let Err(reason) = write(&path, code) {
            warn!("Compiled code is not kept in {}: {reason}", path.display());
        }
        self.prune();
    }

    /// The component of `code` that was compiled just now and can be kept nowhere, by way of a folder that is
    /// gone afterwards.
    pub fn pass(engine: &Engine, artifact: &Artifact, code: &[u8]) -> Option<Component> {
        let name = format!("endpointd-{}", Uuid::new_v4().simple());
        let folder = std::env::temp_dir().join(name);
        let cache = Self::open(&folder);
        cache.store(engine, artifact, code);
        let component = cache.load(engine, artifact);
        drop(std::fs::remove_dir_all(&folder));
        component
    }

    fn path(&self, engine: &Engine, artifact: &Artifact) -> Option<PathBuf> {
        let folder = self.folder.as_ref()?;
        let mut hasher = DefaultHasher::new();
        engine.precompile_compatibility_hash().hash(&mut hasher);
        let digest = hexadecimal(&Sha256::digest(&artifact.component));
        let name = format!("{digest}-{:016x}", hasher.finish());
        Some(folder.join(name))
    }

    fn prune(&self) {
        let Some(folder) = &self.folder else { return };
        let Ok(entries) = std::fs::read_dir(folder) else {
            return;
        };
        let of_entry = |entry: DirEntry| {
            let metadata = entry.metadata().ok()?;
            Some((metadata.modified().ok()?, metadata.len(), entry.path()))
        };
        let mut files: Vec<_> = entries.flatten().filter_map(of_entry).collect();
        files.sort();
        let mut bytes: u64 = files.iter().map(|(_, size, _)| size).sum();
        let mut count = files.len();
        for (_, size, path) in files {
            if count <= KEPT_FILES && bytes <= KEPT_BYTES {
                break;
            }
            drop(std::fs::remove_file(path));
            count -= 1;
            bytes -= size;
        }
    }
}

/// Whether only this user can have written it.
fn trusted(metadata: &Metadata) -> io::Result<()> {
    if metadata.uid() != geteuid().as_raw() {
        return Err(io::Error::other("it belongs to another user"));
    }
    if metadata.mode() & WRITABLE_BY_OTHERS != 0 {
        return Err(io::Error::other("others may write to it"));
    }
    Ok(())
}

/// Whether nobody else can put another folder in its place.
fn cannot_be_replaced(folder: &Path) -> io::Result<()> {
    const STICKY: u32 = 0o1000;
    let parent = folder
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty());
    let metadata = std::fs::metadata(parent.unwrap_or(Path::new(".")))?;
    let is_open = metadata.mode() & WRITABLE_BY_OTHERS != 0 && metadata.mode() & STICKY == 0;
    let owner = metadata.uid();
    if is_open || (owner != geteuid().as_raw() && owner != 0) {
        return Err(io::Error::other(
            "others may put another folder in its place",
        ));
    }
    Ok(())
}

/// A file that can be trusted.
fn checked(path: &Path) -> io::Result<File> {
    if std::fs::symlink_metadata(path)?.is_symlink() {
        return Err(io::Error::other("it is a symbolic link"));
    }
    let mut file = File::open(path)?;
    // Of the open file: what the name stands for may change.
    let metadata = file.metadata()?;
    trusted(&metadata)?;
    if !metadata.is_file() || metadata.len() > MAX_FILE_BYTES {
        return Err(io::Error::other("it is no file of this cache"));
    }
    // One that is too short for a digest has the wrong one.
    let code_bytes = metadata.len().saturating_sub(DIGEST_BYTES);
    let mut hasher = hasher(path);
    let mut reader = BufReader::with_capacity(CHUNK_BYTES, (&mut file).take(code_bytes));
    loop {
        let chunk = reader.fill_buf()?;
        if chunk.is_empty() {
            break;
        }
        hasher.update(chunk);
        let bytes = chunk.len();
        reader.consume(bytes);
    }
    let mut written = Vec::new();
    file.read_to_end(&mut written)?;
    if written != hasher.finalize().to_vec() {
        return Err(io::Error::other("it is not as it was written"));
    }
    Ok(file)
}

/// Of the name first: what was compiled of one component is not that of another.
fn hasher(path: &Path) -> Sha256 {
    let name = path.file_name().unwrap_or_default();
    Sha256::new().chain_update(name.as_encoded_bytes())
}

/// Writes the whole file or none.
fn write(path: &Path, code: &[u8]) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let partial = folder.join(format!("partial-{}", Uuid::new_v4().simple()));
    let mut options = OpenOptions::new();
    let mut file = options
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&partial)?;
    let written = file
        .write_all(code)
        .and_then(|()| file.write_all(&hasher(path).chain_update(code).finalize()))
        .and_then(|()| std::fs::rename(&partial, path));
    if written.is_err() {
        drop(std::fs::remove_file(&partial));
    }
    written
}
