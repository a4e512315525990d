//! What authors build with: the languages, and where the compiler of each is.

use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use clap::ValueEnum;

/// A language that plugins can be written in from a template.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub enum Language {
    #[value(name = "rust")]
    Rust,
    #[value(name = "python")]
    Python,
    #[value(name = "typescript", alias = "ts")]
    TypeScript,
    #[value(name = "javascript", alias = "js")]
    JavaScript,
    #[value(name = "go")]
    Go,
    #[value(name = "c")]
    C,
    #[value(name = "assemblyscript")]
    AssemblyScript,
    #[value(name = "zig")]
    Zig,
    #[value(name = "wat")]
    Wat,
}

impl fmt::Display for Language {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Rust => "Rust",
            Self::Python => "Python",
            Self::TypeScript => "TypeScript",
            Self::JavaScript => "JavaScript",
            Self::Go => "Go",
            Self::C => "C",
            Self::AssemblyScript => "AssemblyScript",
            Self::Zig => "Zig",
            Self::Wat => "WebAssembly text",
        })
    }
}

impl Language {
    /// As it is asked for.
    pub fn name(self) -> &'static str {
        match self {
            Self::Rust => "rust",
            Self::Python => "python",
            Self::TypeScript => "typescript",
            Self::JavaScript => "javascript",
            Self::Go => "go",
            Self::C => "c",
            Self::AssemblyScript => "assemblyscript",
            Self::Zig => "zig",
            Self::Wat => "wat",
        }
    }

    /// What the project in `folder` is written in, by the files that only this language has.
    pub fn of_project(folder: &Path) -> Option<Self> {
        let has = |name: &str| folder.join(name).exists();
        let has_extension = |wanted: &str| {
            let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
            let mut paths = entries.map(|entry| entry.path());
            paths.any(|path| {
                path.extension()
                    .is_some_and(|extension| extension == wanted)
            })
        };
        Some(match () {
            () if has("Cargo.toml") => Self::Rust,
            () if has("asconfig.json") => Self::AssemblyScript,
            () if has("tsconfig.json") => Self::TypeScript,
            () if has("package.json") => Self::JavaScript,
            () if has("go.mod") => Self::Go,
            () if has("build.zig") || has_extension("zig") => Self::Zig,
            () if has("requirements.txt") || has_extension("py") => Self::Python,
            () if has_extension("c") => Self::C,
            () if has_extension("wat") => Self::Wat,
            () => return None,
        })
    }

    /// What a build needs; `None` where there is no build.
    fn needs(self) -> Option<Needs> {
        Some(match self {
            Self::Rust => Needs {
                probe: "cargo --version && ls \"$(rustc --print target-libdir --target wasm32-unknown-unknown)\"/libstd-*",
                what: "Rust with the target wasm32-unknown-unknown",
                get: "https://rustup.rs, then: rustup target add wasm32-unknown-unknown",
            },
            Self::Python => Needs {
                probe: "python3 -c 'import componentize_py'",
                what: "the Python package componentize-py",
                get: "python3 -m venv ~/.componentize && . ~/.componentize/bin/activate && pip install componentize-py==0.25.1",
            },
            Self::TypeScript | Self::JavaScript | Self::AssemblyScript => Needs {
                probe: "npm --version && node -e '\
                        const [major, minor] = process.versions.node.split(\".\").map(Number);\
                        process.exit(major > 20 || (major === 20 && minor >= 6) ? 0 : 1)'",
                what: "Node.js 20.6 or newer with npm",
                get: "https://nodejs.org",
            },
            Self::Go => Needs {
                probe: "go version | grep -Eq 'go1\\.(2[7-9]|[3-9][0-9])'",
                what: "Go 1.27 or newer",
                get: "https://go.dev/dl",
            },
            Self::C => Needs {
                probe: "clang --version && wasm-ld --version",
                what: "clang with lld",
                get: "apt-get install clang lld",
            },
            Self::Zig => Needs {
                probe: "zig version | grep -q '^0\\.17\\.'",
                what: "Zig 0.17",
                get: "https://ziglang.org/download",
            },
            Self::Wat => return None,
        })
    }
}

/// A compiler.
struct Needs {
    /// A shell command that succeeds where all of it is there.
    probe: &'static str,
    what: &'static str,
    get: &'static str,
}

/// A language's compiler, as it was found.
#[derive(Debug)]
pub struct Toolchain {
    /// To be put before the PATH; empty if all is on it.
    bin: Option<PathBuf>,
}

/// A compiler that is not there.
#[derive(Debug, thiserror::Error)]
#[error(
    "{what} is missing.\n  Get it with: {get}\n  or, in a checkout of endpointd: make setup-{language}"
)]
pub struct Missing {
    what: &'static str,
    get: &'static str,
    language: &'static str,
}

impl Toolchain {
    /// Looks where `make setup-LANGUAGE` puts compilers, then on the PATH.
    pub fn find(language: Language) -> Result<Self, Missing> {
        let Some(needs) = language.needs() else {
            return Ok(Self::of_path());
        };
        let installed =
            cache_folder().map(|cache| cache.join("toolchains").join(language.name()).join("bin"));
        let installed = installed.filter(|bin| bin.is_dir());
        let found = [installed, None].into_iter().map(|bin| Self { bin });
        let mut working = found.filter(|toolchain| {
            let mut probe = toolchain.command(needs.probe);
            let status = probe
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .status();
            status.is_ok_and(|status| status.success())
        });
        working.next().ok_or(Missing {
            what: needs.what,
            get: needs.get,
            language: language.name(),
        })
    }

    /// Where it is, if not on the PATH.
    pub fn bin(&self) -> Option<&Path> {
        self.bin.as_deref()
    }

    /// Whatever is on the PATH.
    pub fn of_path() -> Self {
        Self { bin: None }
    }

    /// A shell command that finds the compiler.
    pub fn command(&self, line: &str) -> Command {
        let mut command = Command::new("sh");
        command.arg("-c").arg(line);
        if let Some(bin) = &self.bin {
            let mut path = OsString::from(bin);
            if let Some(rest) = std::env::var_os("PATH") {
                path.push(":");
                path.push(rest);
            }
            command.env("PATH", path);
        }
        command
    }
}

/// Where things are kept that can be made again: `$XDG_CACHE_HOME/endpointd`, or `~/.cache/endpointd`.
pub fn cache_folder() -> Option<PathBuf> {
    let given = std::env::var_os("XDG_CACHE_HOME").filter(|folder| !folder.is_empty());
    let home = || Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache"));
    let folder = given.map(PathBuf::from).or_else(home)?;
    Some(folder.join("endpointd"))
}
