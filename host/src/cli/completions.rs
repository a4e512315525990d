//! `endpointd completions`: what makes a shell complete the commands.

use std::process::ExitCode;

use clap::{Args, Command};
use clap_complete::Shell;

/// Print a script that makes a shell complete commands and flags.
#[derive(Debug, Args)]
#[command(
    after_help = "To have it in every new shell (`mkdir -p` the folder first):
  bash        endpointd completions bash > ~/.local/share/bash-completion/completions/endpointd
  zsh         endpointd completions zsh > ~/.zfunc/_endpointd, with `fpath+=~/.zfunc` before compinit
  fish        endpointd completions fish > ~/.config/fish/completions/endpointd.fish
  powershell  endpointd completions powershell >> $PROFILE"
)]
pub struct Completions {
    shell: Shell,
}

impl Completions {
    /// Prints the script for `command`.
    pub fn run(self, mut command: Command) -> anyhow::Result<ExitCode> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut command, "endpointd", &mut script);
        std::io::Write::write_all(&mut std::io::stdout(), &script)?;
        Ok(ExitCode::SUCCESS)
    }
}
