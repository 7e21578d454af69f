//! What the server logs.

use std::io;

use clap::ValueEnum;
use tracing_subscriber::filter::LevelFilter;

use crate::failure::Failure;

/// How much is logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Level {
    /// Nothing.
    Off,
    /// What the server could not do.
    Error,
    /// And what may soon be an error.
    Warn,
    /// And each request.
    Info,
    /// And what helps to find out why.
    Debug,
}

impl From<Level> for LevelFilter {
    fn from(level: Level) -> Self {
        match level {
            Level::Off => Self::OFF,
            Level::Error => Self::ERROR,
            Level::Warn => Self::WARN,
            Level::Info => Self::INFO,
            Level::Debug => Self::DEBUG,
        }
    }
}

/// Logs to standard error from now on.
pub fn start(level: Level) -> Result<(), Failure> {
    let started = tracing_subscriber::fmt().with_writer(io::stderr).with_max_level(LevelFilter::from(level)).try_init();
    started.map_err(|error| Failure::Failed(format!("logging cannot be started: {error}")))
}
