//! The file an operator drops in, and the component it becomes.
//!
//! A component is taken as it is. A core module is wrapped: with the description it carries, or,
//! if it carries none and just exports the canonical names, with the contract's own.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use sha2::{Digest, Sha256};
use wasi_preview1_component_adapter_provider::{
    WASI_SNAPSHOT_PREVIEW1_ADAPTER_NAME, WASI_SNAPSHOT_PREVIEW1_REACTOR_ADAPTER,
};
use wasmparser::{Parser, Payload};
use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

macro_rules! contract {
    ($file:literal) => {
        (
            $file,
            include_str!(concat!("../../../guest-sdk/wit/", $file)),
        )
    };
}

/// The contract, as guests are built against it; each file after those it uses.
const CONTRACT: [(&str, &str); 8] = [
    contract!("deps/wasi-clocks.wit"),
    contract!("deps/wasi-config.wit"),
    contract!("deps/wasi-io.wit"),
    contract!("deps/wasi-http.wit"),
    contract!("deps/wasi-keyvalue.wit"),
    contract!("deps/wasi-logging.wit"),
    contract!("deps/wasi-random.wit"),
    contract!("endpointd.wit"),
];
/// The one with every import that there is.
const WORLD: &str = "endpoint-with-http";
/// Above this it is not a plugin but a mistake; Python's is 18 MiB.
const MAX_FILE_BYTES: u64 = 256 * 1024 * 1024;

/// A Wasm file that was read.
#[derive(Clone, Debug)]
pub struct Artifact {
    pub kind: Kind,
    /// SHA-256 of the file, in hexadecimal.
    pub sha256: String,
    /// Bytes in the file.
    pub size_bytes: usize,
    /// A component.
    pub component: Arc<[u8]>,
}

/// What the file holds.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Kind {
    Component,
    /// A core module with a description of its world, as `wit-bindgen` makes it.
    DescribedModule,
    /// A core module that only exports the canonical names.
    BareModule,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Component => "component",
            Self::DescribedModule => "core module with component metadata",
            Self::BareModule => "core module without metadata",
        })
    }
}

/// Why a file is no plugin.
#[derive(Debug, thiserror::Error)]
pub enum ArtifactError {
    #[error("cannot read {path}: {reason}")]
    Read {
        path: String,
        reason: std::io::Error,
    },
    #[error("{path} is a folder: name the .wasm file in it")]
    Folder { path: String },
    #[error("{path} has {size} bytes, more than the {MAX_FILE_BYTES} a plugin may have")]
    TooLarge { path: String, size: u64 },
    #[error("its file has the SHA-256 {actual}, but plugin.toml pins {pinned}")]
    Pin { pinned: String, actual: String },
    #[error("{path} is not WebAssembly: it does not start with `\\0asm`")]
    NotWasm { path: String },
    #[error("{path} is broken: {reason}")]
    Malformed { path: String, reason: String },
    #[error("{path} does not fit the contract: {reason}")]
    Misfit { path: String, reason: String },
}

impl Artifact {
    /// Reads the file and makes a component of it; only if its SHA-256 is `pinned`, where that is
    /// given.
    pub fn read(path: &Path, pinned: Option<&str>) -> Result<Self, ArtifactError> {
        let shown = || path.display().to_string();
        let unreadable = |reason| ArtifactError::Read {
            path: shown(),
            reason,
        };
        let size = std::fs::metadata(path).map_err(unreadable)?.len();
        if path.is_dir() {
            return Err(ArtifactError::Folder { path: shown() });
        }
        if size > MAX_FILE_BYTES {
            return Err(ArtifactError::TooLarge {
                path: shown(),
                size,
            });
        }
        let bytes = std::fs::read(path).map_err(unreadable)?;
        let sha256 = hexadecimal(&Sha256::digest(&bytes));
        if let Some(pinned) = pinned
            && !pinned.eq_ignore_ascii_case(&sha256)
        {
            return Err(ArtifactError::Pin {
                pinned: pinned.to_owned(),
                actual: sha256,
            });
        }
        if !bytes.starts_with(b"\0asm") {
            return Err(ArtifactError::NotWasm { path: shown() });
        }
        let size_bytes = bytes.len();
        let shape = Shape::of(&bytes).map_err(|error| ArtifactError::Malformed {
            path: shown(),
            reason: printable(&error.to_string()),
        })?;
        let component = match shape.kind {
            Kind::Component => bytes,
            _ => wrap(bytes, &shape).map_err(|error| ArtifactError::Misfit {
                path: shown(),
                reason: printable(&error.root_cause().to_string()),
            })?,
        };
        Ok(Self {
            kind: shape.kind,
            sha256,
            size_bytes,
            component: component.into(),
        })
    }
}

/// What decides how a file is made into a component.
struct Shape {
    kind: Kind,
    uses_wasip1: bool,
}

impl Shape {
    /// Reads through the whole file, so that a truncated one is found here.
    fn of(bytes: &[u8]) -> wasmparser::Result<Self> {
        let mut shape = Self {
            kind: Kind::BareModule,
            uses_wasip1: false,
        };
        if Parser::is_component(bytes) {
            shape.kind = Kind::Component;
        }
        for payload in Parser::new(0).parse_all(bytes) {
            match payload? {
                Payload::CustomSection(section)
                    if shape.kind == Kind::BareModule
                        && section.name().starts_with("component-type") =>
                {
                    shape.kind = Kind::DescribedModule;
                }
                Payload::ImportSection(imports) => {
                    for import in imports.into_imports() {
                        let module = import?.module;
                        shape.uses_wasip1 |= module == WASI_SNAPSHOT_PREVIEW1_ADAPTER_NAME;
                    }
                }
                _ => {}
            }
        }
        Ok(shape)
    }
}

fn wrap(mut module: Vec<u8>, shape: &Shape) -> anyhow::Result<Vec<u8>> {
    if shape.kind == Kind::BareModule {
        let mut resolve = Resolve::default();
        let mut package = None;
        for (name, text) in CONTRACT {
            package = Some(resolve.push_str(name, text)?);
        }
        let world = resolve.select_world(package.as_slice(), Some(WORLD))?;
        embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8)?;
    }
    let mut encoder = ComponentEncoder::default().validate(true).module(&module)?;
    if shape.uses_wasip1 {
        encoder = encoder.adapter(
            WASI_SNAPSHOT_PREVIEW1_ADAPTER_NAME,
            WASI_SNAPSHOT_PREVIEW1_REACTOR_ADAPTER,
        )?;
    }
    encoder.encode()
}

/// Text that quotes what a file chose to say, so that it cannot look like something else on a terminal or
/// in the log; cut where nobody reads on.
pub(super) fn printable(text: &str) -> String {
    const MAX_LETTERS: usize = 1000;
    let mut shown = String::new();
    for letter in text.chars().take(MAX_LETTERS) {
        match letter.is_control() {
            true => shown.extend(letter.escape_default()),
            false => shown.push(letter),
        }
    }
    shown
}

/// As digests are shown.
pub(super) fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
