//! docs/configuration.md: its tables are made of the configuration types' own documentation, so that
//! it has every key, and nothing else. docs/security.md: every claim names a test that there is.

use endpointd::config::Config;
use endpointd::plugin::manifest::Manifest;
use schemars::{JsonSchema, schema_for};
use serde_json::Value;

use crate::support::workspace;

/// The tables of the page, each by the name in its markers.
fn tables() -> Vec<(&'static str, String)> {
    let config = schema_of::<Config>();
    let manifest = schema_of::<Manifest>();
    let of = |schema: &Value, table: &str| rows(definition(schema, table));
    vec![
        ("endpointd.toml", rows(&config)),
        ("[admin]", of(&config, "AdminConfig")),
        ("[tracing]", of(&config, "TracingConfig")),
        ("[keyvalue.NAME]", of(&config, "BucketConfig")),
        ("[rabbit]", of(&config, "RabbitConfig")),
        ("plugin.toml", rows(&manifest)),
        ("[build]", of(&manifest, "Build")),
        ("[lifecycle]", of(&manifest, "Lifecycle")),
        ("[limits]", of(&manifest, "Limits")),
        ("[grants]", of(&manifest, "Grants")),
        ("[grants.folders]", of(&manifest, "FolderGrant")),
    ]
}

fn schema_of<T: JsonSchema>() -> Value {
    schema_for!(T).to_value()
}

#[track_caller]
fn definition<'a>(schema: &'a Value, name: &str) -> &'a Value {
    let found = &schema["$defs"][name];
    assert!(found.is_object(), "no {name}");
    found
}

/// A row for each key that is no table itself.
fn rows(schema: &Value) -> String {
    let mut text = "| key | default | meaning |\n|---|---|---|\n".to_owned();
    let required = |key: &String| {
        let required = schema["required"].as_array();
        required.is_some_and(|keys| keys.iter().any(|name| name == key.as_str()))
    };
    for (key, property) in schema["properties"].as_object().expect("an object") {
        let Some(meaning) = property["description"].as_str() else {
            // A table, which has rows of its own.
            continue;
        };
        let default = match &property["default"] {
            _ if required(key) => "required".to_owned(),
            Value::Null => String::new(),
            Value::String(text) if text.is_empty() => String::new(),
            Value::String(text) => format!("`{text}`"),
            Value::Array(list) if list.is_empty() => "none".to_owned(),
            Value::Object(_) => String::new(),
            other => format!("`{other}`"),
        };
        let meaning = meaning.split_whitespace().collect::<Vec<_>>().join(" ");
        text.push_str(&format!("| `{key}` | {default} | {meaning} |\n"));
    }
    text
}

/// `page` with what stands between the markers of each table replaced.
#[track_caller]
fn filled(mut page: String) -> String {
    for (name, rows) in tables() {
        // Each by a key that no other table has.
        let own = match name {
            "[rabbit]" => "amqp_durable_queues",
            "[tracing]" => "tracing_enabled",
            "[limits]" => "timeout_ms",
            _ => "",
        };
        assert!(rows.contains(own), "{name} has no {own}");
        let (begin, end) = (format!("<!-- {name} -->\n"), "<!-- end -->");
        let start = page
            .find(&begin)
            .unwrap_or_else(|| panic!("no marker {begin}"))
            + begin.len();
        let length = page[start..].find(end).expect("an end");
        page.replace_range(start..start + length, &rows);
    }
    page
}

#[test]
fn the_page_on_configuration_is_what_the_types_say() {
    let path = workspace().join("docs/configuration.md");
    let page = std::fs::read_to_string(&path).expect("a file");
    let made = filled(page.clone());
    if std::env::var_os("ENDPOINTD_WRITE_DOCS").is_some() {
        std::fs::write(&path, &made).expect("written");
    } else {
        assert!(
            page == made,
            "docs/configuration.md is not up to date: run `make docs`"
        );
    }
}

/// The names of all tests below a folder.
fn tests_of(folder: &std::path::Path) -> Vec<String> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            names.extend(tests_of(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = std::fs::read_to_string(&path).expect("a file");
            // Those of the suite by their file or folder as well, as cargo names them.
            let relative = path.strip_prefix(workspace().join("tests/it"));
            let module = relative.ok().map(|path| {
                let top = path.components().next().expect("a part").as_os_str();
                let top = std::path::Path::new(top).with_extension("");
                format!("{}::", top.display())
            });
            let module = module.unwrap_or_default();
            let mut lines = text.lines().map(str::trim);
            while let Some(line) = lines.next() {
                if line == "#[test]" || line == "#[tokio::test]" {
                    let line = lines.next().unwrap_or_default();
                    let name = line.trim_start_matches("async ").trim_start_matches("fn ");
                    let name = name.split('(').next().unwrap_or_default();
                    names.push(format!("{module}{name}"));
                }
            }
        }
    }
    names
}

#[test]
fn every_claim_about_security_names_tests_that_there_are() {
    let page = std::fs::read_to_string(workspace().join("docs/security.md")).expect("a file");
    let tests: Vec<_> = ["tests/it", "host/src"]
        .iter()
        .flat_map(|folder| tests_of(&workspace().join(folder)))
        .collect();
    let rows = page
        .lines()
        .filter(|line| line.starts_with("| ") && line.matches(" | ").count() == 2);
    let mut shown = 0;
    for row in rows.filter(|row| !row.starts_with("| it cannot")) {
        let cell = row.rsplit(" | ").next().unwrap_or_default();
        let names: Vec<_> = cell.split('`').skip(1).step_by(2).collect();
        assert!(
            !names.is_empty() || cell.starts_with("all of the above"),
            "{row}"
        );
        for name in names {
            assert!(
                tests.iter().any(|test| test == name),
                "there is no test {name}"
            );
            shown += 1;
        }
    }
    assert!(shown > 40, "{shown}");
}
