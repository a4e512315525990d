//! A plugin's folder as it was read: the operator's word and the Wasm file, which together are one
//! generation.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use sha2::{Digest, Sha256};

use super::artifact::{Artifact, ArtifactError, hexadecimal};
use super::manifest::Manifest;
use crate::document::{self, DocumentError};

/// Enough hexadecimal digits to tell generations apart.
const GENERATION_DIGITS: usize = 12;

/// A plugin's folder, as it was read.
#[derive(Debug)]
pub struct Source {
    /// The folder's.
    pub name: Arc<str>,
    pub folder: PathBuf,
    pub manifest: Manifest,
    pub artifact: Artifact,
    /// What tells one state of a plugin's files from another: of plugin.toml and the Wasm file.
    pub generation: String,
}

/// Why a folder cannot be read as a plugin.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    #[error("cannot read {}: {reason}", path.display())]
    Manifest {
        path: PathBuf,
        reason: std::io::Error,
    },
    #[error("{}: {reason}", path.display())]
    Document {
        path: PathBuf,
        reason: DocumentError,
    },
    #[error("{}: {problem}", path.display())]
    Invalid { path: PathBuf, problem: String },
    #[error(transparent)]
    Artifact(#[from] ArtifactError),
}

impl Source {
    /// Reads `folder`. A file that is not the pinned one is refused before anything of it is looked
    /// at.
    pub fn read(folder: &Path) -> Result<Self, SourceError> {
        let (manifest, text) = read_manifest(folder.join("plugin.toml"))?;
        let pin = manifest.sha256.as_deref();
        let component = folder.join(&manifest.component);
        if let Some(name) = manifest.component.file_name()
            && !component.exists()
            && folder.join(name).exists()
        {
            let problem = format!(
                "there is no {}: for the file beside plugin.toml write component = {name:?}",
                manifest.component.display()
            );
            let path = folder.join("plugin.toml");
            return Err(SourceError::Invalid { path, problem });
        }
        let artifact = Artifact::read(&component, pin)?;
        let name = folder.file_name().unwrap_or(folder.as_os_str());
        let both = Sha256::new()
            .chain_update(&artifact.sha256)
            .chain_update(text);
        Ok(Self {
            name: name.to_string_lossy().into(),
            folder: folder.to_owned(),
            generation: hexadecimal(&both.finalize())[..GENERATION_DIGITS].to_owned(),
            manifest,
            artifact,
        })
    }
}

impl Source {
    /// The plugin that `file` is: with the plugin.toml of its folder, or of one around that, which names it
    /// as `component`; else with nothing but the time and random numbers. A plugin.toml beside the file that
    /// cannot be read is an error.
    pub fn of_file(file: &Path) -> Result<Self, SourceError> {
        let absolute = std::path::absolute(file).unwrap_or_else(|_| file.to_owned());
        let real = file.canonicalize().ok();
        // Compilers put it somewhere below the project.
        for (depth, folder) in absolute.ancestors().skip(1).enumerate() {
            if !folder.join("plugin.toml").exists() {
                continue;
            }
            let component = match manifest_of(folder) {
                Ok(manifest) => folder.join(manifest.component).canonicalize().ok(),
                Err(error) if depth == 0 => return Err(error),
                Err(_) => continue,
            };
            if component.is_some() && component == real {
                return Self::read(folder);
            }
        }
        let folder = absolute.parent().unwrap_or(Path::new("/"));
        let artifact = Artifact::read(file, None)?;
        Ok(Self {
            name: file
                .file_stem()
                .unwrap_or_default()
                .to_string_lossy()
                .into(),
            folder: folder.to_owned(),
            generation: artifact.sha256[..GENERATION_DIGITS].to_owned(),
            manifest: Manifest::bare(),
            artifact,
        })
    }
}

/// What `folder`'s plugin.toml says.
pub fn manifest_of(folder: &Path) -> Result<Manifest, SourceError> {
    Ok(read_manifest(folder.join("plugin.toml"))?.0)
}

/// Where the Wasm file is that `folder`'s plugin.toml names; `None` if it names none.
pub fn component_of(folder: &Path) -> Option<PathBuf> {
    let (manifest, _) = read_manifest(folder.join("plugin.toml")).ok()?;
    Some(folder.join(manifest.component))
}

/// The manifest, and the text it was read from.
fn read_manifest(path: PathBuf) -> Result<(Manifest, String), SourceError> {
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(reason) => return Err(SourceError::Manifest { path, reason }),
    };
    let manifest: Manifest = match document::parse(&text) {
        Ok(manifest) => manifest,
        Err(reason) => return Err(SourceError::Document { path, reason }),
    };
    match manifest.problem() {
        Some(problem) => Err(SourceError::Invalid { path, problem }),
        None => Ok((manifest, text)),
    }
}
