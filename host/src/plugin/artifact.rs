//! The file an operator drops in, and the component it becomes.
//!
//! A component is taken as it is. A core module is wrapped: with the description it carries, or,
//! if it carries none and just exports the canonical names, with the contract's own. Both may also be
//! text, in a file that ends in `.wat`.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use sha2::{Digest, Sha256};
use wasi_preview1_component_adapter_provider::{
    WASI_SNAPSHOT_PREVIEW1_ADAPTER_NAME, WASI_SNAPSHOT_PREVIEW1_REACTOR_ADAPTER,
};
use wasmparser::{Instance, Parser, Payload};
use wit_component::ComponentEncoder;

use super::contract::Contract;

/// Above this it is not a plugin but a mistake; Python's is 18 MiB.
const MAX_FILE_BYTES: u64 = 256 * 1024 * 1024;
/// The same of text, which people write, and which takes many times its size to be read.
const MAX_TEXT_BYTES: u64 = 4 * 1024 * 1024;

/// What a core module may import. All functions of the contract and of WASI are a third of it, and what makes
/// a component of it takes time with the square of the number.
const MAX_IMPORTS: usize = 1000;

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
    /// The same as WebAssembly's text, `.wat`.
    Text,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Component => "component",
            Self::DescribedModule => "core module with component metadata",
            Self::BareModule => "core module without metadata",
            Self::Text => "core module as text",
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
    #[error("{path} has {size} bytes, more than the {most} that such a plugin may have")]
    TooLarge { path: String, size: u64, most: u64 },
    #[error("its file has the SHA-256 {actual}, but plugin.toml pins {pinned}")]
    Pin { pinned: String, actual: String },
    #[error("{path} is not WebAssembly: it does not start with `\\0asm`")]
    NotWasm { path: String },
    #[error("{path} is broken: {reason}")]
    Malformed { path: String, reason: String },
    #[error("{path} is no WebAssembly text: {reason}")]
    Text { path: String, reason: String },
    #[error("{path} does not fit the contract: {}", problems.join("; "))]
    Misfit { path: String, problems: Vec<String> },
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
        let is_text = path.extension().is_some_and(|extension| extension == "wat");
        let most = match is_text {
            true => MAX_TEXT_BYTES,
            false => MAX_FILE_BYTES,
        };
        if size > most {
            return Err(ArtifactError::TooLarge {
                path: shown(),
                size,
                most,
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
        let size_bytes = bytes.len();
        let bytes = match is_text {
            true => assemble(&bytes).map_err(|reason| ArtifactError::Text {
                path: shown(),
                reason: printable(&reason),
            })?,
            false if !bytes.starts_with(b"\0asm") => {
                return Err(ArtifactError::NotWasm { path: shown() });
            }
            false => bytes,
        };
        let shape = Shape::of(&bytes).map_err(|error| ArtifactError::Malformed {
            path: shown(),
            reason: printable(&error.to_string()),
        })?;
        let component = match shape.kind {
            Kind::Component => bytes,
            _ => wrap(&bytes, &shape).map_err(|problems| ArtifactError::Misfit {
                path: shown(),
                problems: problems.iter().map(|one| printable(one)).collect(),
            })?,
        };
        Ok(Self {
            kind: match shape.kind {
                Kind::BareModule if is_text => Kind::Text,
                kind => kind,
            },
            sha256,
            size_bytes,
            component: component.into(),
        })
    }
}

/// The module or component that a text stands for; why it stands for none.
fn assemble(text: &[u8]) -> Result<Vec<u8>, String> {
    let text = std::str::from_utf8(text).map_err(|error| error.to_string())?;
    wat::parse_str(text).map_err(|error| {
        // After what is wrong comes where, and then a picture of it.
        let shown = error.to_string();
        let mut lines = shown.lines();
        let problem = lines.next().unwrap_or_default();
        match lines.next().and_then(|line| line.rsplit_once("<anon>:")) {
            Some((_, place)) => format!("line {place}: {problem}"),
            None => problem.to_owned(),
        }
    })
}

/// What decides how a file is made into a component.
struct Shape {
    kind: Kind,
    uses_wasip1: bool,
    /// Of a core module.
    imports: usize,
}

impl Shape {
    /// Reads through the whole file, so that a truncated one is found here.
    fn of(bytes: &[u8]) -> wasmparser::Result<Self> {
        let mut shape = Self {
            kind: Kind::BareModule,
            uses_wasip1: false,
            imports: 0,
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
                        shape.imports += 1;
                        shape.uses_wasip1 |= module == WASI_SNAPSHOT_PREVIEW1_ADAPTER_NAME;
                    }
                }
                _ => {}
            }
        }
        Ok(shape)
    }
}

/// What is wrong with it where it does not fit.
fn wrap(module: &[u8], shape: &Shape) -> Result<Vec<u8>, Vec<String>> {
    if shape.imports > MAX_IMPORTS {
        let imports = shape.imports;
        return Err(vec![format!(
            "it imports {imports} functions and other things, more than the {MAX_IMPORTS} it may"
        )]);
    }
    let unreadable = |error: anyhow::Error| vec![error.root_cause().to_string()];
    let contract = Contract::read().map_err(unreadable)?;
    encode(&contract, module.to_vec(), shape).map_err(|error| {
        match contract.misfits_of_module(module) {
            misfits if misfits.is_empty() => unreadable(error),
            misfits => misfits,
        }
    })
}

fn encode(contract: &Contract, mut module: Vec<u8>, shape: &Shape) -> anyhow::Result<Vec<u8>> {
    if shape.kind == Kind::BareModule {
        contract.describe(&mut module)?;
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

/// How many core modules are instantiated for one instance of a component: a language's runtime has its
/// own, adapters and shims beside that of the plugin.
pub(super) fn core_instances(component: &[u8]) -> usize {
    let payloads = Parser::new(0).parse_all(component).map_while(Result::ok);
    let instances = payloads.filter_map(|payload| match payload {
        Payload::InstanceSection(section) => Some(section.into_iter().flatten()),
        _ => None,
    });
    let is_instantiated = |one: &Instance<'_>| matches!(one, Instance::Instantiate { .. });
    instances.flatten().filter(is_instantiated).count()
}

/// Text that quotes what a file chose to say, so that it cannot look like something else on a terminal or
/// in the log; cut where nobody reads on.
pub fn printable(text: &str) -> String {
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
