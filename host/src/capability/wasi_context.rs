//! The part of WASI that a plugin gets: what its language's runtime looks for, with nothing in it but
//! what was granted.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use tokio::io::AsyncWrite;
use tracing::Level;
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};
use wasmtime_wasi::p2::{OutputStream, Pollable, StreamResult};
use wasmtime_wasi::{FsPerms, WasiCtx, WasiCtxBuilder};

use super::allowance::Allowance;
use super::grants::FolderAccess;

/// Random bytes at once; a guest that wants more asks again.
const MAX_RANDOM_BYTES: u64 = 1024 * 1024;

/// What may be printed at once, and the longest line that is kept in one piece.
const MAX_LINE_BYTES: usize = 4096;

/// Variables and folders as granted; no arguments, input or network. What the plugin prints goes to
/// the log. Fails where a folder cannot be opened.
pub fn with_folders(allowance: &Arc<Allowance>) -> wasmtime::Result<WasiCtx> {
    let mut wasi = builder(allowance);
    for folder in &allowance.granted.folders {
        let access = match folder.access {
            FolderAccess::ReadOnly => FsPerms::ReadOnly,
            FolderAccess::ReadWrite => FsPerms::ReadWrite,
        };
        wasi.preopened_dir(&folder.path, &folder.at, access)
            .map_err(|error| {
                let path = folder.path.display();
                error.context(format!("its folder {path} cannot be opened"))
            })?;
    }
    Ok(wasi.build())
}

/// The same for a plugin that was granted no folder.
pub fn without_folders(allowance: &Arc<Allowance>) -> WasiCtx {
    debug_assert!(allowance.granted.folders.is_empty());
    builder(allowance).build()
}

fn builder(allowance: &Arc<Allowance>) -> WasiCtxBuilder {
    let mut wasi = WasiCtx::builder();
    wasi.max_random_size(MAX_RANDOM_BYTES);
    // What is sent goes through the host.
    wasi.allow_tcp(false)
        .allow_udp(false)
        .allow_ip_name_lookup(false);
    wasi.envs(&allowance.granted.environment);
    let output = |name, level| Output {
        allowance: Arc::clone(allowance),
        name,
        level,
    };
    wasi.stdout(output("stdout", Level::INFO));
    wasi.stderr(output("stderr", Level::WARN));
    wasi
}

/// What a plugin prints, line by line into the log.
#[derive(Clone)]
struct Output {
    allowance: Arc<Allowance>,
    name: &'static str,
    level: Level,
}

impl IsTerminal for Output {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for Output {
    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(LineWriter {
            output: self.clone(),
            line: Vec::new(),
        })
    }

    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        // Only WASI 0.3 asks for it.
        Box::new(tokio::io::sink())
    }
}

struct LineWriter {
    output: Output,
    /// The line that is not complete yet.
    line: Vec<u8>,
}

impl LineWriter {
    fn end_line(&mut self) {
        if !self.line.is_empty() {
            let Output {
                allowance,
                name,
                level,
            } = &self.output;
            let line = String::from_utf8_lossy(&self.line);
            allowance.log(*level, Some(name), line.trim_end());
            self.line.clear();
        }
    }
}

#[async_trait]
impl Pollable for LineWriter {
    async fn ready(&mut self) {}
}

impl OutputStream for LineWriter {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        for part in bytes.split_inclusive(|byte| *byte == b'\n') {
            self.line.extend_from_slice(part);
            if part.ends_with(b"\n") || self.line.len() >= MAX_LINE_BYTES {
                self.end_line();
            }
        }
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(MAX_LINE_BYTES)
    }
}

impl Drop for LineWriter {
    fn drop(&mut self) {
        self.end_line();
    }
}
