//! The program `flowseek`: an archive of flows, from a command line.

mod amount;
mod archive_path;
mod compact;
mod completions;
mod failure;
mod follow;
mod generate;
mod import;
mod man;
mod output;
mod parameters;
mod progress;
mod query;
mod remove;
mod retain;
mod serve;
mod signals;
mod source;
mod sql;
mod stats;
mod summary;
mod threads;
mod verify;

use std::{panic, process::ExitCode};

use clap::{CommandFactory, Parser, Subcommand};

use self::failure::Failure;

/// Stores network flow logs as Parquet files, and answers queries over them.
#[derive(Debug, Parser)]
#[command(version, after_help = EXIT_STATUS)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

const EXIT_STATUS: &str = "\
Exit status: 0 done, 1 failed, 2 wrong usage or wrong query.
ARCHIVE is a directory: a path, or a URL such as file:///var/lib/flows.";

#[derive(Debug, Subcommand)]
enum Command {
    Import(import::Import),
    Query(query::Query),
    Summary(summary::Summary),
    Serve(Box<serve::Serve>),
    Sql(sql::Sql),
    Generate(generate::Generate),
    Stats(stats::Stats),
    Compact(compact::Compact),
    Retain(retain::Retain),
    Remove(remove::Remove),
    Verify(verify::Verify),
    Completions(completions::Completions),
    Man(man::Manual),
}

fn main() -> ExitCode {
    keep_silent_of_damage();
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(usage) => {
            // Nobody is left to be told where this cannot be written.
            let _ = usage.print();
            return if usage.use_stderr() { Failure::WRONG_USAGE.into() } else { ExitCode::SUCCESS };
        }
    };
    let done = match &arguments.command {
        Command::Import(command) => command.run(),
        Command::Query(command) => command.run(),
        Command::Summary(command) => command.run(),
        Command::Serve(command) => command.run(),
        Command::Sql(command) => command.run(),
        Command::Generate(command) => command.run(),
        Command::Stats(command) => command.run(),
        Command::Compact(command) => command.run(),
        Command::Retain(command) => command.run(),
        Command::Remove(command) => command.run(),
        Command::Verify(command) => command.run(),
        Command::Completions(command) => command.run(Arguments::command()),
        Command::Man(command) => command.run(Arguments::command()),
    };
    done.map_or_else(|failure| failure.report(), |()| ExitCode::SUCCESS)
}

/// Lets nobody hear of the panics of a decoder over damaged bytes: each becomes an error, which is told.
fn keep_silent_of_damage() {
    let default = panic::take_hook();
    panic::set_hook(Box::new(move |panic| {
        if !flowseek::resources::is_guarded() {
            default(panic);
        }
    }));
}
