//! The manual: one page for the program, one for each of its commands.

use std::{
    io::{self, Write},
    path::PathBuf,
};

use clap::{Args, Command};
use clap_mangen::{Man, generate_to};

use super::failure::Failure;

/// Prints the manual page of the program, or writes those of all its commands.
#[derive(Debug, Args)]
pub struct Manual {
    /// Write flowseek.1, flowseek-query.1 and so on into this directory, which is there already.
    directory: Option<PathBuf>,
}

impl Manual {
    /// Prints or writes the pages of `program`.
    pub fn run(&self, program: Command) -> Result<(), Failure> {
        // `flowseek help` has no page.
        let program = program.disable_help_subcommand(true);
        let Some(directory) = &self.directory else {
            let mut out = io::stdout();
            return Man::new(program).render(&mut out).and_then(|()| out.flush()).map_err(Failure::output);
        };
        generate_to(program, directory).map_err(|error| {
            Failure::Failed(format!("manual pages cannot be written into {}: {error}", directory.display()))
        })
    }
}
