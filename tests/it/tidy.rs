//! The rules of the source that no compiler knows: which layer may import which, that every file
//! says its job, and that ARCHITECTURE.md names every file.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::support::workspace;

/// The layers of host/src, lowest first. A file imports from layers below its own, and inside its
/// own only along the line from parent to child.
const LAYERS: &[&[&str]] = &[
    &["deadline", "document", "hand_over", "telemetry"],
    &["protocol", "scheduling"],
    &["endpoint", "keyvalue", "outbound", "transport"],
    &["bindings", "client", "server"],
    &["capability"],
    &["plugin"],
    &["catalog"],
    &["config"],
    &["admin", "app"],
    &["cli"],
];

/// The import inside a layer that is not between parent and child.
const EXCEPTIONS: &[(&str, &str)] = &[
    // `app` starts the admin listener.
    ("app", "admin"),
];

fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found.sort();
    found
}

fn host_sources() -> BTreeMap<String, String> {
    let top = workspace().join("host/src");
    let named = sources(&top).into_iter().map(|path| {
        let relative = path.strip_prefix(&top).expect("below").with_extension("");
        let text = std::fs::read_to_string(&path).expect("a file");
        (relative.display().to_string(), text)
    });
    named.collect()
}

fn layer_of(module: &str) -> Option<usize> {
    LAYERS.iter().position(|layer| layer.contains(&module))
}

/// The modules that `text` imports from the crate.
fn imports(text: &str) -> Vec<&str> {
    names_after(text, &["crate::"])
}

#[test]
fn imports_point_down_the_layers() {
    for (file, text) in host_sources() {
        let module = file.split('/').next().expect("a name");
        if ["lib", "main"].contains(&module) {
            continue;
        }
        let own = layer_of(module).unwrap_or_else(|| panic!("{file} has no layer: give it one"));
        for import in imports(&text) {
            assert_ne!(import, "", "{file}: name each module in a line of its own");
            if import == module || EXCEPTIONS.contains(&(module, import)) {
                continue;
            }
            let other = layer_of(import).unwrap_or_else(|| panic!("{file} imports `{import}`"));
            assert!(
                other < own,
                "{file} (layer {own}) imports `{import}` (layer {other})"
            );
        }
    }
}

#[test]
fn the_server_never_sees_a_plugin_and_the_plugin_never_sees_a_queue() {
    for (file, text) in host_sources() {
        let forbidden: &[&str] = match file.split('/').next() {
            Some("server") => &["plugin", "catalog", "capability"],
            Some("plugin" | "capability") => &["transport", "server", "client"],
            _ => &[],
        };
        for import in imports(&text) {
            assert!(!forbidden.contains(&import), "{file} imports `{import}`");
        }
    }
}

/// Which files of one folder may import which, in reading order: each only from those after it.
const SIBLINGS: &[(&str, &[&str])] = &[
    (
        "cli",
        &[
            "check",
            "compile",
            "completions",
            "new",
            "dev",
            "call",
            "cast",
            "bench",
            "load",
            "figures",
            "serve",
            "running",
            "saves",
            "template",
            "toolchain",
            "plugins",
            "host",
            "sending",
            "message",
            "road",
            "output",
            "exit_code",
        ],
    ),
    ("client", &["for_plugins", "back_off", "reply_waiter"]),
    ("endpoint", &["ping", "place"]),
    ("config", &["oslo_options", "oslo_file"]),
    (
        "protocol",
        &[
            "request",
            "reply",
            "failure",
            "envelope",
            "compression",
            "json",
            "target",
        ],
    ),
    (
        "server",
        &["local", "executor", "dispatcher", "gone_queues"],
    ),
    ("transport", &["open", "amqp", "memory", "url"]),
    (
        "plugin",
        &[
            "loader", "source", "idle", "targets", "instance", "manifest", "tally", "cache",
            "breaker", "compiler", "engine", "patience", "room", "artifact", "contract",
        ],
    ),
    (
        "capability",
        &[
            "client",
            "http",
            "keyvalue",
            "clocks",
            "random",
            "messages",
            "wasi_context",
            "allowance",
            "grants",
            "client_grant",
            "http_grant",
            "settings",
            "limits",
            "rate",
        ],
    ),
    (
        "transport/amqp",
        &[
            "listener",
            "acknowledgements",
            "publisher",
            "lane",
            "parcel",
            "connection",
            "socket",
            "tls",
            "stream_position",
            "topology",
            "wire",
            "options",
        ],
    ),
    (
        "transport/amqp/wire",
        &[
            "driver",
            "heartbeat",
            "connection",
            "handshake",
            "channel",
            "outgoing",
            "written",
            "frame",
            "error",
        ],
    ),
];

/// A parent imports its children or is imported by them, never both; siblings import as
/// `SIBLINGS` has them.
#[test]
fn inside_a_layer_imports_go_one_way() {
    let sources = host_sources();
    for (file, text) in &sources {
        let Some((parent, child)) = file.rsplit_once('/') else {
            continue;
        };
        let path = format!("crate::{}::", parent.replace('/', "::"));
        let mut uses_parent = false;
        for name in names_after(text, &["super::", &path]) {
            if !sources.contains_key(&format!("{parent}/{name}")) {
                uses_parent = true;
                continue;
            }
            let order = SIBLINGS.iter().find(|(folder, _)| *folder == parent);
            let (_, order) = order.unwrap_or_else(|| panic!("{file} imports its sibling {name}"));
            let place = |name: &str| order.iter().position(|other| *other == name);
            assert!(
                place(child) < place(name),
                "{file} imports its sibling {name}"
            );
        }
        let parent_uses = uses_by_name(&sources[parent], child);
        assert!(
            !(uses_parent && parent_uses),
            "{parent} and {child} import each other"
        );
    }
}

/// Whether a parent says `self::CHILD` or `CHILD::`; `other::CHILD::` is somebody else's.
fn uses_by_name(text: &str, child: &str) -> bool {
    if names_after(text, &["self::"]).contains(&child) {
        return true;
    }
    let code = text.split("#[cfg(test)]").next().unwrap_or_default();
    let path = format!("{child}::");
    code.match_indices(&path).any(|(start, _)| {
        let before = code[..start].chars().next_back();
        before.is_none_or(|c| c != ':' && !c.is_ascii_alphanumeric() && c != '_')
    })
}

/// The names that follow one of `paths`.
fn names_after<'a>(text: &'a str, paths: &[&str]) -> Vec<&'a str> {
    let text = text.split("#[cfg(test)]").next().unwrap_or_default();
    let mut names = Vec::new();
    for line in text
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"))
    {
        for path in paths {
            for (start, _) in line.match_indices(path) {
                let rest = &line[start + path.len()..];
                let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_');
                names.push(&rest[..end.unwrap_or(rest.len())]);
            }
        }
    }
    names
}

#[test]
fn every_file_opens_with_its_job() {
    let folders = [
        "host/src",
        "guest-sdk/rust/src",
        "guest-sdk/rust/macros/src",
        "plugins",
        "tests",
        "fuzz/src",
        "fuzz/fuzz_targets",
    ];
    for folder in folders {
        for path in sources(&workspace().join(folder)) {
            let text = std::fs::read_to_string(&path).expect("a file");
            let misuse = path.components().any(|part| part.as_os_str() == "misuse");
            assert!(
                misuse || text.starts_with("//! "),
                "{} does not say its job",
                path.display()
            );
        }
    }
}

#[test]
fn the_architecture_names_every_file_of_the_host() {
    let text = std::fs::read_to_string(workspace().join("ARCHITECTURE.md")).expect("a file");
    for file in host_sources().keys() {
        assert!(
            text.contains(&format!("`{file}.rs`")),
            "ARCHITECTURE.md does not name {file}.rs"
        );
    }
    // And nothing that is not there.
    for word in text.split('`').skip(1).step_by(2) {
        let source = word.ends_with(".rs") && !word.contains(' ') && !word.contains('*');
        if source {
            let there = workspace().join("host/src").join(word).is_file()
                || workspace().join(word).is_file();
            assert!(there, "ARCHITECTURE.md names {word}, which is not there");
        }
    }
}
