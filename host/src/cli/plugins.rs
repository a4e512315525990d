//! `endpointd plugins`, `reload` and `rollback`: what a running host has loaded, and changing it.

use std::fmt::Write as _;
use std::process::ExitCode;

use clap::Args;
use comfy_table::presets::NOTHING;
use comfy_table::{CellAlignment, Table};

use super::host::Host;
use super::output::{print, print_line};
use crate::catalog::status::{PluginStatus, State};

/// Show the plugins of a running host.
///
/// Without a name, a line for each; with one, everything about it: what it serves, may do and may
/// use, how often it was called, and what went wrong.
#[derive(Debug, Args)]
#[command(before_help = "Example: endpointd plugins report_state")]
pub struct Plugins {
    /// Only this one, with everything about it
    name: Option<String>,
    /// Print JSON, as `GET /plugins` gives it
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    host: Host,
}

/// Load what changed in the plugin folder of a running host, now.
///
/// A host sees changes by itself, within a second or two; this waits until they are loaded, also tries
/// again what did not load, and prints what is loaded then. A signal does the same: kill -HUP.
#[derive(Debug, Args)]
pub struct Reload {
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    host: Host,
}

/// Have a plugin's generation before this one serve again.
///
/// The host keeps it while it runs. It serves until the plugin's files change again; a second
/// rollback returns to the newer one.
#[derive(Debug, Args)]
#[command(before_help = "Example: endpointd rollback report_state")]
pub struct Rollback {
    /// The plugin
    name: String,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    host: Host,
}

impl Plugins {
    pub fn run(self) -> anyhow::Result<ExitCode> {
        let mut all: Vec<PluginStatus> = self.host.get("/plugins")?;
        if let Some(name) = &self.name {
            all.retain(|plugin| plugin.name == *name);
            anyhow::ensure!(!all.is_empty(), "the host has no plugin `{name}`");
        }
        match (self.json, self.name.is_some()) {
            (true, _) => print_line(serde_json::to_string(&all)?)?,
            (false, true) => print(all.iter().map(details).collect::<String>())?,
            (false, false) => print(overview(&all))?,
        }
        Ok(ExitCode::SUCCESS)
    }
}

impl Reload {
    pub fn run(self) -> anyhow::Result<ExitCode> {
        let all: Vec<PluginStatus> = self.host.post("/plugins/reload")?;
        match self.json {
            true => print_line(serde_json::to_string(&all)?)?,
            false => print(overview(&all))?,
        }
        let is_good = |plugin: &PluginStatus| plugin.problem.is_none();
        Ok(match all.iter().all(is_good) {
            true => ExitCode::SUCCESS,
            false => ExitCode::FAILURE,
        })
    }
}

impl Rollback {
    pub fn run(self) -> anyhow::Result<ExitCode> {
        let path = format!("/plugins/{}/rollback", self.name);
        let plugin: Option<PluginStatus> = self.host.post(&path)?;
        match (&plugin, self.json) {
            (_, true) => print_line(serde_json::to_string(&plugin)?)?,
            (Some(plugin), false) => print_line(format_args!(
                "`{}` is at generation {} again",
                plugin.name,
                plugin.generation.as_deref().unwrap_or("none")
            ))?,
            (None, false) => print_line(format_args!("`{}` was withdrawn meanwhile", self.name))?,
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// A line for each plugin, and below them why what is in the folder does not serve.
fn overview(plugins: &[PluginStatus]) -> String {
    if plugins.is_empty() {
        return "No plugin is loaded.\n".to_owned();
    }
    let mut table = Table::new();
    table.load_preset(NOTHING).set_header([
        "PLUGIN",
        "STATE",
        "GENERATION",
        "VERSIONS",
        "TOPICS",
        "LIVE",
        "CALLS",
        "FAILURES",
        "TRAPS",
        "TIMEOUTS",
    ]);
    for plugin in plugins {
        let versions: Vec<_> = plugin
            .targets
            .iter()
            .map(|target| target.version.as_str())
            .collect();
        table.add_row([
            plugin.name.clone(),
            plugin.state.to_string(),
            plugin.generation.clone().unwrap_or_default(),
            versions.join(" "),
            plugin.topics.join(" "),
            plugin.live_instances.to_string(),
            plugin.calls.to_string(),
            plugin.failures.to_string(),
            plugin.traps.to_string(),
            plugin.timeouts.to_string(),
        ]);
    }
    for column in table.column_iter_mut().skip(5) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    let mut text = lines(&table);
    for plugin in plugins {
        if let Some(problem) = &plugin.problem {
            let _ = writeln!(text, "\n{}: {problem}", plugin.name);
        }
    }
    text
}

fn details(plugin: &PluginStatus) -> String {
    let mut table = Table::new();
    table.load_preset(NOTHING);
    let absent = || "none".to_owned();
    let mut row = |name: &str, value: String| {
        table.add_row([name.to_owned(), value]);
    };
    row("plugin", plugin.name.clone());
    row("state", plugin.state.to_string());
    row(
        "generation",
        plugin.generation.clone().unwrap_or_else(absent),
    );
    row(
        "in its folder",
        plugin.on_disk.clone().unwrap_or_else(absent),
    );
    row(
        "the one before",
        plugin.previous.clone().unwrap_or_else(absent),
    );
    row("since", plugin.since.clone());
    row("topics", plugin.topics.join(" "));
    for target in &plugin.targets {
        let namespace = target.namespace.as_deref().unwrap_or("null");
        let methods = target.methods.join(" ");
        row(
            "serves",
            format!("{namespace} {}: {methods}", target.version),
        );
    }
    row("grants", plugin.grants.to_string());
    for denied in plugin.denied_imports.as_array().into_iter().flatten() {
        let import = denied["import"].as_str().unwrap_or_default();
        row("denied", import.to_owned());
    }
    row("limits", plugin.limits.to_string());
    row("lifecycle", plugin.lifecycle.to_string());
    row("live instances", plugin.live_instances.to_string());
    for (name, count) in [
        ("instances made", plugin.instances_made),
        ("calls", plugin.calls),
        ("failures", plugin.failures),
        ("timeouts", plugin.timeouts),
        ("traps", plugin.traps),
        ("out of memory", plugin.out_of_memory),
        ("limit exceeded", plugin.limit_exceeded),
        ("denied", plugin.denied),
        ("invalid replies", plugin.invalid_replies),
        ("invalid requests", plugin.invalid_requests),
        ("unavailable", plugin.unavailable),
        ("busy", plugin.busy),
        ("refused", plugin.refused),
        ("dropped log lines", plugin.dropped_log_lines),
    ] {
        row(name, count.to_string());
    }
    for (limit, count) in &plugin.limits_reached {
        row("reached", format!("{limit}, {count} times"));
    }
    if let Some(left) = plugin.rests_ms {
        row("rests for", format!("{left} ms"));
    }
    if let Some(last) = &plugin.last_error {
        row("last error", format!("{} {}", last.at, last.text));
    }
    if let Some(problem) = &plugin.problem {
        row("problem", problem.clone());
    }
    lines(&table)
}

/// Without the blanks that fill a table's last column.
fn lines(table: &Table) -> String {
    let mut text = String::new();
    for line in table.lines() {
        let _ = writeln!(text, "{}", line.trim());
    }
    text
}

impl std::fmt::Display for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Serving => "serving",
            Self::Outdated => "outdated",
            Self::RolledBack => "rolled back",
            Self::Failed => "failed",
        })
    }
}
