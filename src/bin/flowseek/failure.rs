//! How a command ends that did not do its work.

use std::{
    fmt::Display,
    io::{self, Write},
    process::ExitCode,
};

use flowseek::{Error, ErrorKind, wire::problem_list};

/// Why a command has ended early.
#[derive(Debug)]
pub enum Failure {
    /// The query is wrong: its problems.
    Query(Vec<String>),
    /// The arguments do not go together.
    Usage(String),
    /// The work could not be done.
    Failed(String),
    /// A part of the answer was printed: why not the rest of it, and the cursor that leads to it.
    Partial(String, String),
    /// The reader of standard output wants no more: no failure to anybody.
    Closed,
}

impl Failure {
    /// The exit status of wrong usage and of a wrong query.
    pub const WRONG_USAGE: u8 = 2;

    /// Says what is wrong on standard error, each beginning with a line of its own; the exit status.
    pub fn report(self) -> ExitCode {
        let (problems, status) = match self {
            Self::Query(problems) => (problems, ExitCode::from(Self::WRONG_USAGE)),
            Self::Usage(message) => (vec![message], ExitCode::from(Self::WRONG_USAGE)),
            Self::Failed(message) => (vec![message], ExitCode::FAILURE),
            Self::Partial(message, next) => {
                Self::Failed(message).report();
                say(format_args!("next: {next}"));
                return ExitCode::FAILURE;
            }
            Self::Closed => (Vec::new(), ExitCode::SUCCESS),
        };
        for problem in problems {
            // What is wrong with a filter has lines of its own, which point at the place.
            let problem = if problem.starts_with("`filter`: ") { problem } else { one_line(&problem) };
            say(format_args!("flowseek: {problem}"));
        }
        status
    }

    /// What to make of an error of standard output.
    pub fn output(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self::Closed,
            _ => Self::Failed(format!("standard output cannot be written: {error}")),
        }
    }
}

fn one_line(message: &str) -> String {
    message.replace(['\n', '\r'], " ")
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        match error.kind() {
            ErrorKind::InvalidQuery | ErrorKind::InvalidCursor => Self::Query(problem_list(&error)),
            _ => Self::Failed(error.to_string()),
        }
    }
}

/// Writes a line to standard error. Where nobody reads it, the work goes on.
pub fn say(line: impl Display) {
    let _ = writeln!(io::stderr(), "{line}");
}

/// Writes a line to standard output.
pub fn answer(line: impl Display) -> Result<(), Failure> {
    let mut out = io::stdout();
    writeln!(out, "{line}").and_then(|()| out.flush()).map_err(Failure::output)
}

/// Names all segments that cannot be read, and fails where there are any.
pub fn unreadable(mut errors: Vec<Error>) -> Result<(), Failure> {
    let last = errors.pop();
    errors.into_iter().for_each(say);
    last.map_or(Ok(()), |error| Err(error.into()))
}
