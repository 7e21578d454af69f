//! Completions of the command line, for shells.

use std::io::{self, Write};

use clap::{Args, Command};
use clap_complete::{Shell, generate};

use super::failure::Failure;

const HELP: &str = "\
Put them where the shell looks for them:
  bash  flowseek completions bash > ~/.local/share/bash-completion/completions/flowseek
  zsh   flowseek completions zsh > _flowseek, in a directory of $fpath
  fish  flowseek completions fish > ~/.config/fish/completions/flowseek.fish";

/// Prints completions of the command line for a shell.
#[derive(Debug, Args)]
#[command(after_help = HELP)]
pub struct Completions {
    /// The shell.
    #[arg(value_enum)]
    shell: Shell,
}

impl Completions {
    /// Prints the completions of `program`.
    pub fn run(&self, mut program: Command) -> Result<(), Failure> {
        let name = program.get_name().to_owned();
        // It panics where it cannot write; memory can always be written.
        let mut text = Vec::new();
        generate(self.shell, &mut program, name, &mut text);
        let mut out = io::stdout();
        out.write_all(&text).and_then(|()| out.flush()).map_err(Failure::output)
    }
}
