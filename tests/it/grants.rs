//! What a plugin can do with a grant, and cannot do without.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::unix::fs::symlink;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::guests::{bare_module_with, probe};
use crate::support::host::{Host, PROBE_GRANTS, Setup};

/// A guest that imports WASI's first preview, and answers with what the function `$body` of
/// `functions` gives: the address of a result.
fn wasi_guest(functions: &str) -> Vec<u8> {
    let imports = [
        ("path_open", "i32 i32 i32 i32 i32 i64 i64 i32 i32"),
        ("fd_read", "i32 i32 i32 i32"),
        ("fd_write", "i32 i32 i32 i32"),
        ("environ_sizes_get", "i32 i32"),
        ("environ_get", "i32 i32"),
    ];
    let import = |(name, parameters): &(&str, &str)| {
        format!(
            "(import \"wasi_snapshot_preview1\" \"{name}\"
               (func ${name} (param {parameters}) (result i32)))"
        )
    };
    let imports = imports.iter().map(import).collect::<String>();
    let more = format!(
        r#"{imports} {functions}
        (func $text (param $at i32) (param $length i32) (result i32)
          (i32.store (i32.const 200) (i32.const 0)) (i32.store (i32.const 204) (local.get $at))
          (i32.store (i32.const 208) (local.get $length)) (i32.const 200))
        (func $digit (param $at i32) (param $n i32)
          (i32.store8 (local.get $at)
            (i32.add (i32.const 48) (i32.rem_u (local.get $n) (i32.const 10)))))
        ;; An error number as a text of two digits.
        (func $number (param $n i32) (result i32)
          (i32.store8 (i32.const 1300) (i32.const 34))
          (call $digit (i32.const 1301) (i32.div_u (local.get $n) (i32.const 10)))
          (call $digit (i32.const 1302) (local.get $n))
          (i32.store8 (i32.const 1303) (i32.const 34))
          (call $text (i32.const 1300) (i32.const 4)))"#
    );
    bare_module_with(&more, "i32.const 96", "call $body")
}

/// Opens a file of the first granted folder and does `then` with it; else answers the error number.
fn opening(path: &str, flags: u32, rights: u32, then: &str) -> Vec<u8> {
    wasi_guest(&format!(
        r#"(data (i32.const 1500) "{path}") (data (i32.const 1600) "\"written\"")
        (func $body (result i32) (local $error i32)
          (local.set $error (call $path_open (i32.const 3) (i32.const 1) (i32.const 1500)
            (i32.const {}) (i32.const {flags}) (i64.const {rights}) (i64.const 0) (i32.const 0)
            (i32.const 1200)))
          (if (local.get $error) (then (return (call $number (local.get $error)))))
          {then})"#,
        path.len()
    ))
}

/// Answers with a file's content, which is JSON.
fn reading(path: &str) -> Vec<u8> {
    let then = "(i32.store (i32.const 1400) (i32.const 2000))
        (i32.store (i32.const 1404) (i32.const 500))
        (local.set $error (call $fd_read (i32.load (i32.const 1200)) (i32.const 1400) (i32.const 1)
          (i32.const 1420)))
        (if (local.get $error) (then (return (call $number (local.get $error)))))
        (call $text (i32.const 2000) (i32.load (i32.const 1420)))";
    opening(path, 0, 2, then)
}

/// Makes a file with the content `"written"`, and answers with that.
fn writing(path: &str) -> Vec<u8> {
    let then = "(i32.store (i32.const 1400) (i32.const 1600))
        (i32.store (i32.const 1404) (i32.const 9))
        (local.set $error (call $fd_write (i32.load (i32.const 1200)) (i32.const 1400) (i32.const 1)
          (i32.const 1420)))
        (if (local.get $error) (then (return (call $number (local.get $error)))))
        (call $text (i32.const 1600) (i32.const 9))";
    opening(path, 1, 64, then)
}

/// WASI's numbers for what went wrong.
const NOT_A_DESCRIPTOR: &str = "08";
const NOT_PERMITTED: [&str; 2] = ["02", "63"];
const READ_ONLY: &str = "69";

fn run(host: &Host, topic: &str) -> Value {
    let answer = host.call(topic, "run", json!({}));
    assert!(answer.get("result").is_some(), "{answer}");
    answer["result"].clone()
}

#[test]
fn a_folder_is_what_is_granted_of_it_and_no_more() {
    let outside = tempfile::tempdir().expect("a folder");
    std::fs::write(outside.path().join("secret"), "\"secret\"").expect("a file");
    let granted = "[grants]\nfolders = [{ path = \"data\", at = \"/data\" }]";
    let writable =
        "[grants]\nfolders = [{ path = \"data\", at = \"/data\", access = \"read-write\" }]";
    let escape = format!("../{}/secret", "../".repeat(20));
    let host = Setup::new("memory://")
        .file("plugins/reads/data/file", b"\"hello\"")
        .plugin("reads", &reading("file"), "reads", granted)
        .file("plugins/none/data/file", b"\"hello\"")
        .plugin("none", &reading("file"), "none", "")
        .file("plugins/climbs/data/file", b"\"hello\"")
        .plugin("climbs", &reading("../plugin.toml"), "climbs", granted)
        .file("plugins/high/data/file", b"\"hello\"")
        .plugin("high", &reading(&escape), "high", granted)
        .file("plugins/follows/data/file", b"\"hello\"")
        .plugin("follows", &reading("link"), "follows", granted)
        .file("plugins/spoils/data/file", b"\"hello\"")
        .plugin("spoils", &writing("new"), "spoils", granted)
        .file("plugins/writes/data/file", b"\"hello\"")
        .plugin("writes", &writing("new"), "writes", writable)
        .start();
    let of = |plugin: &str| host.folder().join("plugins").join(plugin).join("data");
    symlink(outside.path().join("secret"), of("follows").join("link")).expect("a link");
    assert_eq!(run(&host, "reads"), "hello");
    assert_eq!(run(&host, "none"), NOT_A_DESCRIPTOR);
    for topic in ["climbs", "high", "follows"] {
        let answer = run(&host, topic);
        assert!(
            NOT_PERMITTED.iter().any(|number| answer == *number),
            "{topic}: {answer}"
        );
    }
    let refused = run(&host, "spoils");
    let expected = [NOT_PERMITTED[0], NOT_PERMITTED[1], READ_ONLY];
    assert!(
        expected.iter().any(|number| refused == *number),
        "{refused}"
    );
    assert!(!of("spoils").join("new").exists());
    assert_eq!(run(&host, "writes"), "written");
    let written = std::fs::read_to_string(of("writes").join("new"));
    assert_eq!(written.expect("a file"), "\"written\"");
    // One that is gone is its caller's failure, until it is back.
    std::fs::rename(of("reads"), of("reads").with_extension("away")).expect("moved");
    let failure = host.failure("reads", "run", json!({}));
    assert_eq!(failure.0, "PluginUnavailable", "{}", failure.1);
    assert!(!failure.1.contains("data"), "{}", failure.1);
    host.logs("plugins/reads/data cannot be opened");
    std::fs::rename(of("reads").with_extension("away"), of("reads")).expect("moved");
    assert_eq!(run(&host, "reads"), "hello");
}

#[test]
fn of_the_environment_a_plugin_sees_what_is_named() {
    // Everything it sees, in quotes: the number of bytes is where the text ends.
    let guest = wasi_guest(
        "(func $body (result i32)
           (drop (call $environ_sizes_get (i32.const 1200) (i32.const 1204)))
           (drop (call $environ_get (i32.const 1400) (i32.const 2001)))
           (i32.store8 (i32.const 2000) (i32.const 34))
           (if (i32.eqz (i32.load (i32.const 1204)))
             (then (i32.store8 (i32.const 2001) (i32.const 34))
                   (return (call $text (i32.const 2000) (i32.const 2)))))
           ;; In place of the zero that ends the last one.
           (i32.store8 (i32.add (i32.const 2000) (i32.load (i32.const 1204))) (i32.const 34))
           (call $text (i32.const 2000) (i32.add (i32.load (i32.const 1204)) (i32.const 1))))",
    );
    let host = Setup::new("memory://")
        .variable("GREETING", "hello")
        .variable("OTHER", "secret")
        .plugin(
            "sees",
            &guest,
            "sees",
            "[grants]\nenvironment = [\"GREETING\"]",
        )
        .plugin("blind", &guest, "blind", "")
        .plugin(
            "unset",
            &guest,
            "unset",
            "[grants]\nenvironment = [\"NOT_SET\"]",
        )
        .start();
    assert_eq!(run(&host, "sees"), "GREETING=hello");
    assert_eq!(run(&host, "blind"), "");
    assert_eq!(run(&host, "unset"), "");
    host.logs("It is granted the variable `NOT_SET`, which is not set");
}

#[test]
fn what_a_plugin_prints_is_in_the_log_line_by_line() {
    let guest = wasi_guest(
        r#"(data (i32.const 1600) "one line\nand \1b[31mmore") (data (i32.const 1700) "1")
        (func $body (result i32)
          (i32.store (i32.const 1400) (i32.const 1600)) (i32.store (i32.const 1404) (i32.const 22))
          (drop (call $fd_write (i32.const 1) (i32.const 1400) (i32.const 1) (i32.const 1420)))
          (call $text (i32.const 1700) (i32.const 1)))"#,
    );
    let host = Setup::new("memory://")
        .plugin("prints", &guest, "prints", "")
        .start();
    assert_eq!(run(&host, "prints"), 1);
    let line = host.logs("one line");
    assert!(
        line.contains("stdout") && line.contains("plugin.name"),
        "{line}"
    );
    let rest = host.logs("31mmore");
    assert!(!rest.contains('\u{1b}'), "{rest}");
}

#[test]
fn a_secret_comes_from_a_file_or_the_environment_and_shows_nowhere() {
    let more = format!(
        "{PROBE_GRANTS}[config]\ncolour = \"green\"\n\
         [secrets]\ntoken = {{ file = \"token\" }}\nkey = {{ env = \"PROBE_KEY\" }}"
    );
    let mut setup = Setup::new("memory://")
        .settings("log = \"trace\"")
        .tables("[keyvalue.probe]\nbackend = \"memory\"")
        .variable("PROBE_KEY", "hidden-key");
    setup = setup.file("plugins/probe/token", b"hidden-token\n");
    let host = setup.plugin("probe", &probe(), "probe", &more).start();
    let setting = |name: &str| host.result("probe", "setting", json!({"name": name}));
    assert_eq!(setting("token"), "hidden-token");
    assert_eq!(setting("key"), "hidden-key");
    assert_eq!(setting("colour"), "green");
    // It is what is there when it is asked for.
    let path = host.folder().join("plugins/probe/token");
    std::fs::write(&path, "hidden-and-new").expect("a file");
    assert_eq!(setting("token"), "hidden-and-new");
    std::fs::remove_file(&path).expect("removed");
    assert_eq!(setting("token"), Value::Null);
    host.logs("The secret `token` cannot be read");
    let shown = [
        host.log(),
        host.get("/plugins").to_string(),
        host.get_text("/metrics"),
    ];
    for text in shown {
        assert!(!text.contains("hidden"), "{text}");
    }
}

#[test]
fn a_secret_that_is_not_there_refuses_the_plugin() {
    for (source, problem) in [
        (
            "{ file = \"missing\" }",
            "its secret `token` cannot be read",
        ),
        (
            "{ env = \"NOT_SET\" }",
            "its secret `token` cannot be read: the variable NOT_SET is not set",
        ),
        ("\"in the file\"", "plugin.toml: line"),
    ] {
        let manifest =
            format!("component = \"it.wasm\"\ntopics = [\"bad\"]\n[secrets]\ntoken = {source}\n");
        let host = Setup::new("memory://")
            .probe("good")
            .file("plugins/bad/plugin.toml", manifest.as_bytes())
            .file("plugins/bad/it.wasm", &reading("file"))
            .start();
        let line = host.logs("Plugin `bad` was not loaded");
        assert!(line.contains(problem), "{line}");
        assert!(!line.contains("in the file"), "{line}");
    }
}

/// An HTTP server that answers each request with the line and the headers it got; it counts
/// connections, and never answers what asks for `/never`.
struct Echo {
    address: String,
    connections: Arc<AtomicUsize>,
}

impl Echo {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address").to_string();
        let connections = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&connections);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.expect("a connection");
                counted.fetch_add(1, Ordering::SeqCst);
                std::thread::spawn(move || {
                    let mut request = vec![0; 4096];
                    let mut length = 0;
                    let wait = stream.set_read_timeout(Some(Duration::from_millis(200)));
                    wait.expect("a time");
                    while let Ok(more) = stream.read(&mut request[length..]) {
                        length += more;
                        if more == 0 {
                            break;
                        }
                    }
                    let text = String::from_utf8_lossy(&request[..length]).into_owned();
                    if text.contains("/never") {
                        std::thread::sleep(Duration::from_secs(30));
                    }
                    let answer = format!(
                        "HTTP/1.1 201 Created\r\ncontent-length: {}\r\nx-echo: yes\r\n\
                         connection: close\r\n\r\n{text}",
                        text.len()
                    );
                    let _ = stream.write_all(answer.as_bytes());
                });
            }
        });
        Self {
            address,
            connections,
        }
    }
}

#[test]
fn http_goes_to_the_hosts_that_are_granted() {
    let (granted, other) = (Echo::start(), Echo::start());
    let grants = PROBE_GRANTS.replace("http://127.0.0.1:1", &format!("http://{}", granted.address));
    let host = Setup::new("memory://")
        .tables("[keyvalue.probe]\nbackend = \"memory\"")
        .plugin(
            "probe",
            &probe(),
            "probe",
            &format!("{grants}[limits]\noutbound = 3\ntimeout_ms = 3000"),
        )
        .start();
    let url = |echo: &Echo, path: &str| format!("http://{}{path}", echo.address);
    let args = json!({"url": url(&granted, "/a?b=c"), "body": "hello"});
    let answer = host.result("probe", "fetch", args);
    assert_eq!(answer["status"], 201, "{answer}");
    let text = answer["body"].as_str().expect("text");
    assert!(text.starts_with("POST /a?b=c HTTP/1.1\r\n"), "{text}");
    assert!(text.ends_with("\r\n\r\nhello"), "{text}");
    assert!(
        text.contains(&format!("host: {}", granted.address)),
        "{text}"
    );
    assert_eq!(answer["echo"], "yes", "{answer}");
    for wrong in [
        url(&other, "/"),
        url(&granted, "/").replace("http:", "https:"),
    ] {
        let (class, message) = host.failure("probe", "fetch", json!({"url": wrong}));
        assert_eq!(class, "HttpError", "{message}");
        assert!(message.contains("not granted"), "{message}");
    }
    assert_eq!(other.connections.load(Ordering::SeqCst), 0);
    assert_eq!(host.plugin("probe")["times_denied"], 2);
    // What a host does not answer ends with the guest.
    let args = json!({"url": url(&granted, "/never")});
    let (class, _) = host.failure("probe", "fetch", args);
    assert_eq!(class, "PluginTimeout");
    // HTTP counts as what is sent.
    let args = json!({"url": url(&granted, "/"), "times": 4});
    let (class, message) = host.failure("probe", "fetch", args);
    assert_eq!(class, "HttpError");
    assert!(message.contains("limit of 3 messages"), "{message}");
}

#[test]
fn a_bucket_that_is_full_is_an_error_that_names_its_limit() {
    let host = Setup::new("memory://")
        .tables("[keyvalue.probe]\nbackend = \"memory\"\nmax_keys = 2")
        .plugin("probe", &probe(), "probe", PROBE_GRANTS)
        .start();
    for key in ["a", "b"] {
        assert_eq!(host.result("probe", "count", json!({"key": key})), 1);
    }
    let (class, message) = host.failure("probe", "count", json!({"key": "c"}));
    assert_eq!(class, "BucketError");
    assert!(
        message.contains("its 2 keys") && message.contains("max_keys"),
        "{message}"
    );
    assert_eq!(host.plugin("probe")["limits_reached"], json!({"bucket": 1}));
}

#[test]
fn check_shows_what_is_denied_without_a_grant() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("it.wasm");
    let check = |wasm: &[u8], arguments: &[&str]| {
        std::fs::write(&path, wasm).expect("a file");
        let output = Command::new(env!("CARGO_BIN_EXE_endpointd"))
            .arg("check")
            .arg(&path)
            .args(arguments)
            .output()
            .expect("it runs");
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).expect("text")
    };
    let shown = check(&reading("file"), &[]);
    assert!(shown.contains("denied when it is called"), "{shown}");
    assert!(
        shown.contains("  folders = [{ path = \"PATH\", at = \"/NAME\" }]"),
        "{shown}"
    );
    let shown = check(&probe(), &[]);
    for line in [
        "to be granted in plugin.toml",
        "  clocks = true",
        "  random = true",
    ] {
        assert!(shown.contains(line), "{shown}");
    }
    let document: Value =
        serde_json::from_str(&check(&reading("file"), &["--json"])).expect("JSON");
    assert_eq!(document["denied_when_called"], true, "{document}");
}
