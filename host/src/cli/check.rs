//! `endpointd check`: what a Wasm file is, serves and wants, without any server.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use serde_json::json;
use tokio::runtime::Builder;

use super::exit_code;
use crate::capability::grants::Capability;
use crate::keyvalue::Buckets;
use crate::plugin::cache::Cache;
use crate::plugin::engine::PluginEngine;
use crate::plugin::loader::{Inspection, PluginLoader};

/// Look at a plugin's Wasm file: what it serves, and what it must be granted.
#[derive(Debug, Args)]
pub struct Check {
    /// A component, or a core module that can be made one
    #[arg(value_name = "FILE.wasm")]
    file: PathBuf,
    /// Print one JSON document instead of text for people
    #[arg(long)]
    json: bool,
}

impl Check {
    pub fn run(self) -> anyhow::Result<ExitCode> {
        let setting_up =
            |error: wasmtime::Error| anyhow::anyhow!("cannot set up WebAssembly: {error:#}");
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()?;
        let engine = PluginEngine::new(runtime.handle().clone()).map_err(setting_up)?;
        let loader = PluginLoader::new(engine, Cache::none(), Buckets::default(), None);
        let loader = loader.map_err(setting_up)?;
        let inspection = match runtime.block_on(loader.inspect(&self.file)) {
            Err(error) if self.json => {
                println!("{}", json!({"error": error.to_string()}));
                return Ok(ExitCode::from(exit_code::ERROR));
            }
            inspected => inspected?,
        };
        match self.json {
            true => println!("{}", document(&inspection)),
            false => self.print(&inspection),
        }
        Ok(ExitCode::SUCCESS)
    }

    fn print(&self, inspection: &Inspection) {
        let artifact = &inspection.artifact;
        println!("{}", self.file.display());
        println!("  kind      {}", artifact.kind);
        println!("  size      {} bytes", artifact.size_bytes);
        println!("  sha256    {}", artifact.sha256);
        println!("  compiled  in {} ms", inspection.compiled_in.as_millis());
        println!("\nserves");
        for target in &inspection.targets {
            let namespace = target.namespace.as_deref().unwrap_or("(null namespace)");
            println!("  {namespace} {}", target.version);
            for method in &target.methods {
                println!("    {method}");
            }
        }
        println!("\nimports");
        for import in &inspection.imports {
            println!("  {import}");
        }
        let grants = grants(inspection);
        if grants.is_empty() {
            println!("\nneeds no grant: it loads as it is");
        } else {
            match inspection.has_runtime {
                true => println!(
                    "\nloads as it is, but a language's runtime is inside, which imports more than it \
                     uses:\nwhat is not granted in plugin.toml is denied when it is called\n  [grants]"
                ),
                false => println!("\nto be granted in plugin.toml\n  [grants]"),
            }
            for line in grants {
                println!("  {line}");
            }
        }
        if inspection.needs.contains(&Capability::Sockets) {
            println!("\nalways denied when called: wasi:sockets, which nothing grants");
        }
    }
}

/// The lines that grant what it imports.
fn grants(inspection: &Inspection) -> Vec<&'static str> {
    let lines = inspection.needs.iter();
    lines.filter_map(|capability| capability.line()).collect()
}

fn document(inspection: &Inspection) -> serde_json::Value {
    let targets = inspection.targets.iter().map(|target| {
        json!({
            "namespace": target.namespace,
            "version": target.version.to_string(),
            "methods": target.methods,
        })
    });
    json!({
        "kind": inspection.artifact.kind.to_string(),
        "size_bytes": inspection.artifact.size_bytes,
        "sha256": inspection.artifact.sha256,
        "compile_ms": u64::try_from(inspection.compiled_in.as_millis()).unwrap_or(u64::MAX),
        "targets": targets.collect::<Vec<_>>(),
        "imports": inspection.imports,
        "grants": grants(inspection),
        "denied_when_called": inspection.has_runtime,
    })
}
