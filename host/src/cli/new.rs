//! `endpointd new`: a project to begin with.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, bail};
use clap::Args;

use super::output::print_line;
use super::template;
use super::toolchain::{Language, Toolchain};

/// Make a project for a plugin: a method, its test, and all that it takes to build it.
///
/// The guest library comes with it, in the folder `endpointd`, so that only the language's own compiler is
/// needed; or, for WebAssembly text, which needs none, the contract.
#[derive(Debug, Args)]
#[command(before_help = "Example: endpointd new greeter --lang python && endpointd dev greeter")]
pub struct New {
    /// What it is called: the plugin, its topic and its folder
    #[arg(value_parser = project_name)]
    name: String,
    /// The language to write it in
    #[arg(long, value_enum)]
    lang: Language,
    /// Where to put it [default: a folder of its name]
    #[arg(long, value_name = "FOLDER")]
    into: Option<PathBuf>,
}

impl New {
    pub fn run(self) -> anyhow::Result<ExitCode> {
        let folder = self.into.unwrap_or_else(|| PathBuf::from(&self.name));
        let shown = folder.display();
        let is_taken = match std::fs::read_dir(&folder) {
            Ok(mut entries) => entries.next().is_some(),
            Err(_) => folder.exists(),
        };
        if is_taken {
            bail!("{shown} is there already: choose another name, or a folder with --into");
        }
        template::write(self.lang, &self.name, &folder)
            .with_context(|| format!("cannot write the project to {shown}"))?;
        let (lang, name) = (self.lang, &self.name);
        print_line(format_args!(
            "Made {shown}, a plugin in {lang}. Next:\n\n  \
             endpointd dev {shown}\n        \
             builds it, serves it, and does so again when you save\n\n  \
             endpointd call {name} greet name=Ada\n        \
             calls it from another terminal"
        ))?;
        if let Err(missing) = Toolchain::find(lang) {
            print_line(format_args!("\nBefore that: {missing}"))?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// A name that is one in every language.
fn project_name(text: &str) -> Result<String, String> {
    let letters = |letter: char| {
        letter.is_ascii_lowercase() || letter.is_ascii_digit() || "-_".contains(letter)
    };
    let fits = text.starts_with(|first: char| first.is_ascii_lowercase())
        && text.chars().all(letters)
        && text.len() <= 50;
    match (fits, text) {
        (true, "endpointd" | "endpointd-guest" | "endpointd_guest") => {
            Err("that is the name of the guest library in the project".to_owned())
        }
        (true, "alloc" | "core" | "proc_macro" | "proc-macro" | "std" | "test") => {
            Err("that is the name of a library of Rust's own".to_owned())
        }
        (true, _) => Ok(text.to_owned()),
        (false, _) => Err(
            "begin with a letter and use at most 50 of a-z, 0-9, - and _, as every language takes these"
                .to_owned(),
        ),
    }
}
