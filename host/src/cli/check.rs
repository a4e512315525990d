//! `endpointd check`: what a Wasm file is, serves and wants, and what it answers, without any server.

use std::fmt::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::Args;
use clap::builder::NonEmptyStringValueParser;
use serde_json::json;
use tokio::runtime::{Builder, Handle};

use super::exit_code;
use super::message::keyword_arguments;
use super::output::{print, print_line, say};
use super::toolchain;
use crate::capability::grants::Capability;
use crate::endpoint::place::Places;
use crate::endpoint::{Call, Delivery, Endpoint, Endpoints};
use crate::keyvalue::memory::MemoryBucket;
use crate::keyvalue::{Buckets, KeyValue};
use crate::plugin::artifact::{ArtifactError, printable};
use crate::plugin::cache::Cache;
use crate::plugin::engine::PluginEngine;
use crate::plugin::loader::{Inspection, LoadError, PluginLoader};
use crate::plugin::source::{Source, SourceError};
use crate::protocol::failure::Failure;
use crate::protocol::json::{self, Json};
use crate::protocol::request::{Namespace, Request};
use crate::protocol::target::RequestedVersion;
use crate::server::dispatcher;

/// An instance that takes longer to make is better kept: then it costs more than most calls do.
const WORTH_KEEPING: Duration = Duration::from_micros(100);

/// Look at a plugin's Wasm file: what it serves, and what it must be granted; or try one of its methods.
///
/// With --call it is called once, without any server: by the plugin.toml that names the file, beside it or
/// in a folder around it, with empty buckets in memory; without one, it has the time and random numbers. It
/// reaches nobody by RPC.
#[derive(Debug, Args)]
#[command(before_help = "Example: endpointd check greeter.wasm --call greet name=Ada")]
pub struct Check {
    /// A component, or a core module that can be made one
    #[arg(value_name = "FILE.wasm")]
    file: PathBuf,
    /// Call this method and print its result
    #[arg(long, value_name = "METHOD", value_parser = NonEmptyStringValueParser::new())]
    call: Option<String>,
    /// The arguments of the call: each value is JSON where it parses as JSON, and text otherwise
    #[arg(value_name = "KEY=VALUE", requires = "call")]
    args: Vec<String>,
    /// The namespace of the call [default: the null namespace]
    #[arg(long, value_name = "NAME", requires = "call")]
    namespace: Option<String>,
    /// The version of the call [default: of the first target that has the method]
    #[arg(long = "version", value_name = "MAJOR.MINOR", requires = "call")]
    rpc_version: Option<String>,
    /// Print one JSON document instead of text for people
    #[arg(long)]
    json: bool,
}

impl Check {
    pub fn run(self) -> anyhow::Result<ExitCode> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()?;
        if let Some(method) = &self.call {
            let args = keyword_arguments(&self.args)?;
            let calling = self.answer(method.clone(), args, runtime.handle());
            return runtime.block_on(calling).or_else(|error| self.tell(&error));
        }
        let loader = loader(runtime.handle(), Buckets::default())?;
        let inspection = match runtime.block_on(loader.inspect(&self.file)) {
            Ok(inspection) => inspection,
            // What is wrong with the file itself names it.
            Err(error @ LoadError::Source(_)) => return self.tell(&error.into()),
            Err(error) => {
                let path = self.file.display();
                return self.tell(&anyhow::anyhow!("{path}: {error:#}"));
            }
        };
        match self.json {
            true => print_line(document(&inspection))?,
            false => print(self.text(&inspection)?)?,
        }
        Ok(ExitCode::SUCCESS)
    }

    /// Has the plugin answer one call, and prints what it answers.
    async fn answer(&self, method: String, args: Json, io: &Handle) -> anyhow::Result<ExitCode> {
        let source = Source::of_file(&self.file)?;
        let bucket = || -> Arc<dyn KeyValue> { Arc::new(MemoryBucket::default()) };
        let names = source.manifest.grants.keyvalue.iter();
        let buckets = Buckets::new(names.map(|name| (name.clone(), bucket())));
        let loaded = loader(io, buckets)?.load(source, Arc::default()).await;
        let path = self.file.display();
        let plugin = loaded.map_err(|error| anyhow::anyhow!("{path}: {error:#}"))?;
        let first = plugin
            .targets()
            .iter()
            .find(|target| target.namespace == self.namespace && target.has_method(&method));
        let version = match (&self.rpc_version, first) {
            (Some(version), _) => version.clone(),
            (None, Some(target)) => target.version.to_string(),
            (None, None) => "1.0".to_owned(),
        };
        let request = Request {
            namespace: match &self.namespace {
                Some(name) => Namespace::Named(name.clone()),
                None => Namespace::Null,
            },
            version: RequestedVersion::Text(version.clone()),
            method: Some(method),
            args: Ok(args),
            context: json::empty_object(),
            depth: 0,
            reply_to: None,
            heartbeat_every: None,
            unique_id: None,
        };
        let endpoints: Vec<Arc<dyn Endpoint>> = plugin.endpoints().collect();
        let endpoints = Endpoints::new(endpoints);
        let started = Instant::now();
        let answer = match dispatcher::resolve(&endpoints, &request) {
            Err(error) => Err(Failure::from(error)),
            Ok(resolved) => {
                let call = Call {
                    namespace: self.namespace.as_deref(),
                    version: &version,
                    method: resolved.method,
                    args: resolved.args,
                    context: &request.context,
                    id: "",
                    delivery: Delivery::Call,
                    deadline: None,
                    depth: 0,
                    place: Arc::new(Places::new(1).take(0).await),
                };
                resolved.endpoint.invoke(call).await
            }
        };
        let took = started.elapsed().as_secs_f64() * 1000.0;
        match answer {
            Ok(result) => {
                print_line(result.get())?;
                if !self.json {
                    say(format_args!("answered in {took:.1} ms"));
                }
                Ok(ExitCode::SUCCESS)
            }
            Err(failure) => {
                match self.json {
                    true => print_line(failure.to_json())?,
                    false => {
                        let text =
                            format!("{}.{}: {}", failure.module, failure.class, failure.message);
                        say(printable(&text));
                    }
                }
                Ok(ExitCode::from(exit_code::REMOTE_FAILURE))
            }
        }
    }

    /// What went wrong; with a file that does not fit, each thing in a line of its own.
    fn tell(&self, error: &anyhow::Error) -> anyhow::Result<ExitCode> {
        let problems = match error.downcast_ref() {
            Some(LoadError::Source(SourceError::Artifact(ArtifactError::Misfit {
                problems,
                ..
            }))) => problems.as_slice(),
            _ => &[],
        };
        if self.json {
            print_line(json!({"error": error.to_string(), "problems": problems}))?;
        } else if problems.is_empty() {
            say(format_args!("endpointd: {error:#}"));
        } else {
            let file = self.file.display();
            say(format_args!("endpointd: {file} does not fit the contract"));
            for problem in problems {
                say(format_args!("  {problem}"));
            }
        }
        Ok(ExitCode::from(exit_code::ERROR))
    }

    fn text(&self, inspection: &Inspection) -> Result<String, fmt::Error> {
        let mut out = String::new();
        let artifact = &inspection.artifact;
        writeln!(out, "{}", self.file.display())?;
        writeln!(out, "  kind      {}", artifact.kind)?;
        writeln!(out, "  size      {} bytes", artifact.size_bytes)?;
        writeln!(out, "  sha256    {}", artifact.sha256)?;
        writeln!(
            out,
            "  compiled  in {} ms",
            inspection.compiled_in.as_millis()
        )?;
        writeln!(
            out,
            "  instance  made in {} µs, with {} KiB of memory, of {} core instances",
            inspection.made_in.as_micros(),
            inspection.memory_bytes / 1024,
            inspection.core_instances
        )?;
        writeln!(out, "\nserves")?;
        for target in &inspection.targets {
            let namespace = target.namespace.as_deref().unwrap_or("(null namespace)");
            writeln!(out, "  {namespace} {}", target.version)?;
            for method in &target.methods {
                writeln!(out, "    {method}")?;
            }
        }
        writeln!(out, "\nimports")?;
        for import in &inspection.imports {
            writeln!(out, "  {import}")?;
        }
        let grants = lines(&inspection.needs);
        let starts_with = lines(&inspection.starts_with);
        if inspection.has_runtime && !starts_with.is_empty() {
            writeln!(
                out,
                "\nmust be granted in plugin.toml, or it does not start\n  [grants]"
            )?;
            for line in &starts_with {
                writeln!(out, "  {line}")?;
            }
        }
        if grants.is_empty() {
            writeln!(out, "\nneeds no grant: it loads as it is")?;
        } else {
            match inspection.has_runtime {
                true => writeln!(
                    out,
                    "\na language's runtime is inside, which imports more than it uses:\nwhat else is not granted \
                     in plugin.toml is denied when it is called\n  [grants]"
                )?,
                false => writeln!(out, "\nto be granted in plugin.toml\n  [grants]")?,
            }
            let is_told = |line: &&str| inspection.has_runtime && starts_with.contains(line);
            for line in grants.iter().filter(|line| !is_told(line)) {
                writeln!(out, "  {line}")?;
            }
        }
        if inspection.made_in > WORTH_KEEPING {
            writeln!(
                out,
                "\nan instance takes long to make: keep it for further calls, unless nothing of one call \
                 may reach the next\n  [lifecycle]\n  instances = \"reuse\""
            )?;
        }
        if inspection.needs.contains(&Capability::Sockets) {
            writeln!(
                out,
                "\nalways denied when called: wasi:sockets, which nothing grants"
            )?;
        }
        Ok(out)
    }
}

fn loader(io: &Handle, buckets: Buckets) -> anyhow::Result<PluginLoader> {
    let setting_up =
        |error: wasmtime::Error| anyhow::anyhow!("cannot set up WebAssembly: {error:#}");
    let engine = PluginEngine::new(io.clone()).map_err(setting_up)?;
    let cache = toolchain::cache_folder()
        .map_or_else(Cache::none, |folder| Cache::open(&folder.join("compiled")));
    PluginLoader::new(engine, cache, buckets, None).map_err(setting_up)
}

/// The lines that grant these.
fn lines(capabilities: &[Capability]) -> Vec<&'static str> {
    let lines = capabilities.iter();
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
        "instance_us": u64::try_from(inspection.made_in.as_micros()).unwrap_or(u64::MAX),
        "memory_bytes": inspection.memory_bytes,
        "core_instances": inspection.core_instances,
        "targets": targets.collect::<Vec<_>>(),
        "imports": inspection.imports,
        "grants": lines(&inspection.needs),
        "grants_to_start": lines(&inspection.starts_with),
        "denied_when_called": inspection.has_runtime,
    })
}
