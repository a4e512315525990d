//! A running `endpointd serve`, with a configuration and a plugin folder of its own.

use std::collections::BTreeSet;
use std::fs::File;
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;

use super::{eventually, free_port};

/// What the well-behaved guest needs, in plugin.toml.
pub(crate) const PROBE_GRANTS: &str = "[grants]\nkeyvalue = [\"probe\"]\nclient = [\"call:*\", \"cast:*\", \"fanout:*\"]\n\
     clocks = true\nrandom = true\nhttp = [\"http://127.0.0.1:1\"]\n";

/// What a host is started with.
pub(crate) struct Setup {
    folder: TempDir,
    settings: String,
    tables: String,
    admin: String,
    topics: BTreeSet<String>,
    arguments: Vec<String>,
    variables: Vec<(String, String)>,
}

impl Setup {
    pub(crate) fn new(transport_url: &str) -> Self {
        Self::named(transport_url, "testhost")
    }

    /// With a server name of its own, where there are several.
    pub(crate) fn named(transport_url: &str, host: &str) -> Self {
        Self::without_url().settings(&format!(
            "transport_url = \"{transport_url}\"\nhost = \"{host}\""
        ))
    }

    /// With neither broker nor server name in endpointd.toml.
    pub(crate) fn without_url() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::create_dir(folder.path().join("plugins")).expect("a folder");
        Self {
            settings: String::new(),
            tables: String::new(),
            admin: format!("127.0.0.1:{}", free_port()),
            topics: BTreeSet::new(),
            arguments: Vec::new(),
            variables: Vec::new(),
            folder,
        }
    }

    /// Lines for the top of endpointd.toml.
    pub(crate) fn settings(mut self, lines: &str) -> Self {
        self.settings.push_str(lines);
        self.settings.push('\n');
        self
    }

    /// Tables for the end of endpointd.toml.
    pub(crate) fn tables(mut self, lines: &str) -> Self {
        self.tables.push_str(lines);
        self.tables.push('\n');
        self
    }

    /// A plugin on `topic`; `more` is the rest of its plugin.toml.
    pub(crate) fn plugin(mut self, name: &str, wasm: &[u8], topic: &str, more: &str) -> Self {
        let manifest = format!("component = \"it.wasm\"\ntopics = [\"{topic}\"]\n{more}\n");
        self.topics.insert(topic.to_owned());
        self.file(&format!("plugins/{name}/plugin.toml"), manifest.as_bytes())
            .file(&format!("plugins/{name}/it.wasm"), wasm)
    }

    /// A plugin that will not come to serve anything.
    pub(crate) fn plugin_without_topic(self, name: &str, wasm: &[u8]) -> Self {
        let manifest = format!("component = \"it.wasm\"\ntopics = [\"{name}\"]\n");
        self.file(&format!("plugins/{name}/plugin.toml"), manifest.as_bytes())
            .file(&format!("plugins/{name}/it.wasm"), wasm)
    }

    /// The well-behaved guest on `topic`, with its bucket.
    pub(crate) fn probe(self, topic: &str) -> Self {
        let more = format!("{PROBE_GRANTS}[config]\ncolour = \"green\"");
        self.tables("[keyvalue.probe]\nbackend = \"file\"").plugin(
            "probe",
            &super::guests::probe(),
            topic,
            &more,
        )
    }

    /// Further arguments of `endpointd serve`, which runs in the host's folder.
    pub(crate) fn arguments(mut self, arguments: &[&str]) -> Self {
        let arguments = arguments.iter().copied().map(str::to_owned);
        self.arguments.extend(arguments);
        self
    }

    /// A variable of its environment.
    pub(crate) fn variable(mut self, name: &str, value: &str) -> Self {
        self.variables.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Where the admin listener is to be, instead of on a free port.
    pub(crate) fn admin(mut self, address: &str) -> Self {
        self.admin = address.to_owned();
        self
    }

    /// Any file, by its path in the host's folder.
    pub(crate) fn file(self, path: &str, content: &[u8]) -> Self {
        let path = self.folder.path().join(path);
        std::fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
        std::fs::write(path, content).expect("a file");
        self
    }

    /// Lets everybody write to a folder of the host's.
    pub(crate) fn open_to_others(self, path: &str) -> Self {
        let mode = std::fs::Permissions::from_mode(0o777);
        let path = self.folder.path().join(path);
        std::fs::set_permissions(path, mode).expect("it is ours");
        self
    }

    /// Starts the host and waits for its ready lines.
    pub(crate) fn start(self) -> Host {
        let mut host = self.launch();
        host.becomes_ready();
        host
    }

    /// Starts the host and waits for nothing: it may never be ready.
    pub(crate) fn launch(self) -> Host {
        self.write();
        let mut host = Host {
            process: None,
            setup: self,
        };
        host.launch();
        host
    }

    /// Starts the host and waits for its end.
    pub(crate) fn run_to_end(self) -> Output {
        self.write();
        self.serve().output().expect("the host runs")
    }

    fn write(&self) {
        let admin = format!("[admin]\nlisten = \"{}\"\n", self.admin);
        let text = format!("{}{admin}{}", self.settings, self.tables);
        std::fs::write(self.folder.path().join("endpointd.toml"), text).expect("a file");
    }

    fn serve(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_endpointd"));
        command
            .arg("serve")
            .args(&self.arguments)
            .current_dir(self.folder.path())
            .stdin(Stdio::null());
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("ENDPOINTD_")) {
            command.env_remove(name);
        }
        command.envs(self.variables.iter().cloned());
        command
    }
}

fn agent() -> ureq::Agent {
    ureq::Agent::config_builder()
        .http_status_as_error(false)
        .timeout_global(Some(Duration::from_secs(60)))
        .build()
        .into()
}

#[track_caller]
fn text_of(answered: Result<http::Response<ureq::Body>, ureq::Error>) -> String {
    let mut response = answered.unwrap_or_else(|error| panic!("no answer: {error}"));
    response.body_mut().read_to_string().expect("text")
}

pub(crate) struct Host {
    process: Option<Child>,
    setup: Setup,
}

impl Host {
    /// Starts it again, in its folder as it is.
    pub(crate) fn start(&mut self) {
        self.launch();
        self.becomes_ready();
    }

    fn launch(&mut self) {
        let output = File::create(self.path("output")).expect("a file");
        let log = File::options()
            .create(true)
            .append(true)
            .open(self.path("log"));
        let mut command = self.setup.serve();
        let process = command
            .stdout(output)
            .stderr(log.expect("a file"))
            .spawn()
            .expect("the host starts");
        self.process = Some(process);
    }

    /// Waits for its ready lines.
    #[track_caller]
    pub(crate) fn becomes_ready(&mut self) {
        eventually("the host is ready", || {
            let running = self.process.as_mut().expect("started").try_wait();
            assert!(
                matches!(running, Ok(None)),
                "the host ended: {}",
                self.log()
            );
            let listens = || TcpStream::connect(&self.setup.admin).is_ok();
            let all = self.ready_lines().len() >= self.setup.topics.len();
            // Where no topic is served, the admin listener is what there is.
            (all && (!self.setup.topics.is_empty() || listens())).then_some(())
        });
    }

    pub(crate) fn ready_lines(&self) -> Vec<String> {
        let output = std::fs::read_to_string(self.path("output")).unwrap_or_default();
        let complete = output
            .split_inclusive('\n')
            .filter(|line| line.ends_with('\n'));
        complete.map(|line| line.trim_end().to_owned()).collect()
    }

    /// Where it runs, with endpointd.toml and the plugin folder.
    pub(crate) fn folder(&self) -> &Path {
        self.setup.folder.path()
    }

    /// What the admin listener answers, whatever the status.
    #[track_caller]
    pub(crate) fn get(&self, path: &str) -> Value {
        let text = self.get_text(path);
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
    }

    /// The same as the text it is.
    #[track_caller]
    pub(crate) fn get_text(&self, path: &str) -> String {
        text_of(agent().get(format!("{}{path}", self.admin_url())).call())
    }

    /// What `GET /plugins` says of one.
    #[track_caller]
    pub(crate) fn plugin(&self, name: &str) -> Value {
        let all = self.get("/plugins");
        let all = all.as_array().expect("a list");
        let found = all.iter().find(|plugin| plugin["name"] == *name);
        found.cloned().unwrap_or(Value::Null)
    }

    /// The memory that its process has, in KiB.
    pub(crate) fn resident_kib(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.id()));
        let status = status.expect("it runs");
        let line = status.lines().find(|line| line.starts_with("VmRSS:"));
        let number = line.and_then(|line| line.split_whitespace().nth(1));
        number.and_then(|kib| kib.parse().ok()).expect("a number")
    }

    pub(crate) fn post(&self, path: &str) -> Value {
        let request = agent().post(format!("{}{path}", self.admin_url()));
        let text = text_of(request.send_json(json!({})));
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
    }

    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.path("log")).unwrap_or_default()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.setup.folder.path().join(name)
    }

    /// Its process id, by which the broker knows its connections.
    pub(crate) fn id(&self) -> u32 {
        self.process.as_ref().expect("running").id()
    }

    /// Asks for an orderly stop.
    pub(crate) fn terminate(&self) {
        self.signal("-TERM");
    }

    /// Ends it as a crash would.
    pub(crate) fn kill(&self) {
        self.signal("-KILL");
    }

    fn signal(&self, signal: &str) {
        let pid = self.id().to_string();
        let sent = Command::new("kill").args([signal, &pid]).status();
        assert!(sent.expect("kill runs").success());
    }

    /// Waits for its end.
    #[track_caller]
    pub(crate) fn wait(&mut self) -> ExitStatus {
        let process = self.process.as_mut().expect("running");
        let status = eventually("the host ends", || process.try_wait().expect("asked"));
        self.process = None;
        status
    }

    pub(crate) fn admin_url(&self) -> String {
        let text = std::fs::read_to_string(self.path("endpointd.toml")).expect("a file");
        let (_, rest) = text.split_once("listen = \"").expect("an address");
        format!("http://{}", rest.split('"').next().expect("an address"))
    }

    /// The status of `GET /ready`.
    pub(crate) fn ready(&self) -> u16 {
        let agent: ureq::Agent = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(Duration::from_secs(30)))
            .build()
            .into();
        let url = format!("{}/ready", self.admin_url());
        let response = agent.get(&url).call().expect("an answer");
        response.status().as_u16()
    }

    /// Calls through the admin listener: `{"result": ...}`, `{"failure": ...}` or
    /// `{"error": ...}`.
    pub(crate) fn call(&self, topic: &str, method: &str, args: Value) -> Value {
        self.call_with(json!({"topic": topic, "method": method, "args": args}))
    }

    pub(crate) fn call_with(&self, request: Value) -> Value {
        let answer = self.try_call_with(request);
        answer.unwrap_or_else(|error| panic!("no answer: {error}"))
    }

    /// An error if the host does not answer, as when it was killed.
    pub(crate) fn try_call_with(&self, request: Value) -> Result<Value, ureq::Error> {
        let agent: ureq::Agent = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(Duration::from_secs(90)))
            .build()
            .into();
        let url = format!("{}/call", self.admin_url());
        let mut response = agent.post(&url).send_json(&request)?;
        let text = response.body_mut().read_to_string()?;
        Ok(serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}")))
    }

    /// The result of a call at version 1.4 that succeeds.
    #[track_caller]
    pub(crate) fn result(&self, topic: &str, method: &str, args: Value) -> Value {
        let request = json!({"topic": topic, "method": method, "args": args, "version": "1.4"});
        let answer = self.call_with(request);
        assert!(answer.get("result").is_some(), "{method}: {answer}");
        answer["result"].clone()
    }

    /// Class and message of the failure of a call.
    #[track_caller]
    pub(crate) fn failure(&self, topic: &str, method: &str, args: Value) -> (String, String) {
        let answer = self.call(topic, method, args);
        let text = |key: &str| match &answer["failure"][key] {
            Value::String(text) => text.clone(),
            _ => panic!("{method} did not fail: {answer}"),
        };
        (text("class"), text("message"))
    }

    /// Waits for a line of the log that has `text`.
    #[track_caller]
    pub(crate) fn logs(&self, text: &str) -> String {
        let started = Instant::now();
        loop {
            let log = self.log();
            if let Some(line) = log.lines().find(|line| line.contains(text)) {
                return line.to_owned();
            }
            assert!(
                started.elapsed() < Duration::from_secs(30),
                "no `{text}` in: {log}"
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        if let Some(mut process) = self.process.take() {
            let _ = process.kill();
            let _ = process.wait();
        }
        if std::thread::panicking() {
            eprintln!("the host's log:\n{}", self.log());
        }
    }
}
