//! The steps of a request, one by one, without any broker: `cargo bench --package endpointd-bench`.
//!
//! The plugin is what `scripts/build-guests.sh bench/measured` makes.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use divan::{Bencher, black_box};
use endpointd::endpoint::place::Places;
use endpointd::endpoint::{Call, Delivery, Endpoints};
use endpointd::keyvalue::Buckets;
use endpointd::plugin::Plugin;
use endpointd::plugin::artifact::Artifact;
use endpointd::plugin::cache::Cache;
use endpointd::plugin::engine::PluginEngine;
use endpointd::plugin::loader::PluginLoader;
use endpointd::plugin::source::Source;
use endpointd::protocol::envelope;
use endpointd::protocol::json::{self, Json};
use endpointd::protocol::reply::encode_reply;
use endpointd::protocol::request::{OutgoingRequest, ReplyTo, Request};
use endpointd::server::dispatcher;
use serde_json::value::RawValue;
use tempfile::TempDir;
use tokio::runtime::{Builder, Runtime};

/// As the load generator sends it.
const REPORT: &str = include_str!("../report.json");
const ID: &str = "a8775dafcf4d4b17b8b8c77e814e8f6b";

fn main() {
    divan::main();
}

fn report() -> Json {
    json::checked(REPORT.trim().to_owned()).expect("JSON")
}

fn encoded() -> Vec<u8> {
    let (context, args) = (json::empty_object(), report());
    let request = OutgoingRequest {
        method: "report",
        args: &args,
        context: &context,
        version: Some("1.0"),
        namespace: None,
        trace: &[],
        depth: 0,
        reply_to: Some(ReplyTo {
            queue: "reply_ddda652defc14097b6cdc77553924b6b",
            message_id: ID,
            monitor: None,
        }),
        unique_id: ID,
    };
    request.encode().expect("it can be sent")
}

#[divan::bench]
fn encode_a_request(bencher: Bencher) {
    bencher.bench(encoded);
}

#[divan::bench]
fn decode_a_request(bencher: Bencher) {
    let body = encoded();
    bencher.bench(|| envelope::decode::<Request>(black_box(&body)).expect("a request"));
}

#[divan::bench]
fn encode_a_reply(bencher: Bencher) {
    let id = RawValue::from_string(format!("\"{ID}\"")).expect("JSON");
    let outcome = Ok(report());
    bencher.bench(|| encode_reply(black_box(&id), ID, black_box(&outcome)));
}

#[divan::bench]
fn choose_the_endpoint(bencher: Bencher) {
    let guest = Guest::new("");
    let request: Request = envelope::decode(&encoded()).expect("a request");
    bencher.bench(|| dispatcher::resolve(&guest.endpoints, black_box(&request)).is_ok());
}

/// Everything that a plugin does for a call, with an instance of its own.
#[divan::bench]
fn answer_with_a_fresh_instance(bencher: Bencher) {
    let (guest, report) = (Guest::new(""), report());
    bencher.bench_local(|| guest.answer("report", &report));
}

#[divan::bench]
fn answer_with_a_reused_instance(bencher: Bencher) {
    let guest = Guest::new("[lifecycle]\ninstances = \"reuse\"\nmax_calls = 1000000000\n");
    let report = report();
    bencher.bench_local(|| guest.answer("report", &report));
}

/// The same work without WebAssembly.
#[divan::bench]
fn answer_natively(bencher: Bencher) {
    bencher.bench(|| {
        let arguments = serde_json::from_str(black_box(REPORT)).expect("arguments");
        serde_json::to_string(&measured::answer(&arguments)).expect("JSON")
    });
}

#[divan::bench(sample_count = 20, sample_size = 1)]
fn take_an_argument_of_1_mib(bencher: Bencher) {
    let guest = Guest::new("");
    let text = "x".repeat(1024 * 1024);
    let arguments = json::checked(format!("{{\"payload\": \"{text}\"}}")).expect("JSON");
    bencher.bench_local(|| guest.answer("length", &arguments));
}

#[divan::bench(sample_count = 5, sample_size = 1)]
fn compile(bencher: Bencher) {
    let folder = folder("");
    let artifact = Artifact::read(&folder.path().join("measured.wasm"), None).expect("a file");
    let runtime = runtime();
    let engine = PluginEngine::new(runtime.handle().clone()).expect("an engine");
    bencher.bench_local(|| engine.compile(&artifact.component).expect("it compiles"));
}

/// From the folder to a plugin that can be called, with compiled code in the cache.
#[divan::bench(sample_count = 20, sample_size = 1)]
fn load_from_the_cache(bencher: Bencher) {
    let guest = Guest::new("");
    bencher.bench_local(|| guest.load());
}

/// The same, and that it takes the place of the one before.
#[divan::bench(sample_count = 20, sample_size = 1)]
fn swap_from_the_cache(bencher: Bencher) {
    let mut guest = Guest::new("");
    bencher.bench_local(|| guest.endpoints = Endpoints::new(guest.load().endpoints().collect()));
}

/// A folder with the plugin.
fn folder(more: &str) -> TempDir {
    let workspace = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..");
    let component = workspace.join("target/bench/measured/measured.wasm");
    let folder = tempfile::tempdir().expect("a folder");
    fs::copy(&component, folder.path().join("measured.wasm"))
        .expect("build it with scripts/build-guests.sh bench/measured");
    let manifest = format!("component = \"measured.wasm\"\ntopics = [\"measured\"]\n{more}");
    fs::write(folder.path().join("plugin.toml"), manifest).expect("a manifest");
    folder
}

fn runtime() -> Runtime {
    let mut builder = Builder::new_multi_thread();
    builder
        .worker_threads(1)
        .enable_all()
        .build()
        .expect("a runtime")
}

/// The plugin, loaded.
struct Guest {
    runtime: Runtime,
    loader: PluginLoader,
    endpoints: Endpoints,
    places: Places,
    folder: TempDir,
    _cache: TempDir,
}

impl Guest {
    fn new(more: &str) -> Self {
        let (folder, cache) = (folder(more), tempfile::tempdir().expect("a folder"));
        let runtime = runtime();
        let engine = PluginEngine::new(runtime.handle().clone()).expect("an engine");
        let kept = Cache::open(cache.path());
        let loader = PluginLoader::new(engine, kept, Buckets::default(), None);
        let mut guest = Self {
            runtime,
            loader: loader.expect("a linker"),
            endpoints: Endpoints::default(),
            places: Places::new(1),
            folder,
            _cache: cache,
        };
        guest.endpoints = Endpoints::new(guest.load().endpoints().collect());
        guest
    }

    fn load(&self) -> Arc<Plugin> {
        let source = Source::read(self.folder.path()).expect("a plugin");
        let loading = self.loader.load(source, Arc::default());
        self.runtime.block_on(loading).expect("it loads")
    }

    fn answer(&self, method: &str, args: &RawValue) -> Json {
        let endpoint = self.endpoints.iter().next().expect("one endpoint");
        let context = json::empty_object();
        self.runtime.block_on(async {
            let place = Arc::new(self.places.take(0).await);
            let call = Call {
                namespace: None,
                version: "1.0",
                method,
                args,
                context: &context,
                id: ID,
                delivery: Delivery::Call,
                deadline: None,
                depth: 0,
                place,
            };
            endpoint.invoke(call).await.expect("a result")
        })
    }
}
