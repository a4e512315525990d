//! Puts the files that `endpointd new` writes into the program: for each language its template, and its
//! guest library, which goes into the folder `endpointd` of a project.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

/// Each has its template in templates, and its library below guest-sdk. Python imports a folder by its name, so
/// there it is the package alone; what is written by hand has the contract instead.
const LANGUAGES: [(&str, &str); 9] = [
    ("assemblyscript", "assemblyscript"),
    ("c", "c"),
    ("go", "go"),
    ("javascript", "javascript"),
    ("python", "python/endpointd"),
    ("rust", "rust"),
    ("typescript", "javascript"),
    ("wat", "wit"),
    ("zig", "zig"),
];
/// What is built or only for whoever works on the library.
const LEFT_OUT: [&str; 8] = [
    "__pycache__",
    "build",
    "dist",
    "node_modules",
    "package-lock.json",
    "target",
    "tests",
    "zig-out",
];

fn main() {
    let host = std::env::var("CARGO_MANIFEST_DIR").expect("cargo sets it");
    let host = Path::new(&host);
    let mut list = String::from("&[\n");
    for (language, library) in LANGUAGES {
        let template = host.join("templates").join(language);
        add(&mut list, language, &template, "");
        let library = host.join("../guest-sdk").join(library);
        add(&mut list, language, &library, "endpointd/");
    }
    list.push(']');
    let out = std::env::var("OUT_DIR").expect("cargo sets it");
    fs::write(Path::new(&out).join("template_files.rs"), list)
        .expect("the build folder is writable");
}

/// Every file below `folder`, by the name that it has in a project.
fn add(list: &mut String, language: &str, folder: &Path, prefix: &str) {
    println!("cargo:rerun-if-changed={}", folder.display());
    let mut entries: Vec<_> = fs::read_dir(folder)
        .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
        .map(|entry| entry.expect("a folder can be read").path())
        .collect();
    entries.sort();
    for path in entries {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let hidden = name.starts_with('.') && name != ".gitignore";
        if hidden || LEFT_OUT.contains(&&*name) || name.ends_with(".wasm") {
            continue;
        }
        if path.is_dir() {
            add(list, language, &path, &format!("{prefix}{name}/"));
        } else {
            println!("cargo:rerun-if-changed={}", path.display());
            let project = format!("{prefix}{name}");
            let _ = writeln!(list, "({language:?}, {project:?}, include_str!({path:?})),");
        }
    }
}
