//! What the server may spend on its clients.

use std::{fs, time::Duration};

use clap::{Args, ValueEnum};
use flowseek::{
    http::EndpointSettings,
    query::Budget,
    wire::{FlagsFormat, Limits, Profile},
};

use super::server::Connections;

/// Open files that are left for the archive.
const FILES_OF_ARCHIVE: usize = 256;
/// Open files that a process may have where the system does not say.
const USUAL_FILES: usize = 512;
/// Connections at a time, however many files may be open.
const MOST_CONNECTIONS: usize = 4096;

/// Limits, each with a default that suits most.
#[derive(Debug, Args)]
pub struct Spending {
    /// Rows of a page where a request names no limit.
    #[arg(long, value_name = "ROWS", default_value_t = Limits::default().default_rows)]
    default_limit: usize,
    /// The largest limit that a request may name.
    #[arg(long, value_name = "ROWS", default_value_t = Limits::default().largest_rows)]
    max_limit: usize,
    /// Which fields a page shows that is not asked for certain ones.
    #[arg(long, value_enum, default_value_t = Shown::Seed)]
    profile: Shown,
    /// How TCP flags are written; with --profile current they are decimal numbers.
    #[arg(long, value_enum, default_value_t = Flags::Binary)]
    tcp_flags: Flags,
    /// Seconds that the search for one page may take; then what is found is answered, and where to go on.
    #[arg(long, value_name = "SECONDS", default_value = "10", value_parser = seconds)]
    query_time: Duration,
    /// Rows that may be read for one page; then likewise.
    #[arg(long, value_name = "ROWS", default_value_t = Budget::default().rows)]
    query_rows: u64,
    /// Pages that are worked on at a time; other requests wait.
    #[arg(long, value_name = "N", default_value_t = EndpointSettings::default().queries)]
    queries: usize,
    /// Answers to limit=all that are streamed at a time; with 0 that is a wrong query.
    #[arg(long, value_name = "N", default_value_t = 0)]
    exports: usize,
    /// Connections at a time [default: what the limit of open files allows, at most 4096].
    #[arg(long, value_name = "N")]
    connections: Option<usize>,
    /// Seconds that a client may take for the head of a request, and stay idle.
    #[arg(long, value_name = "SECONDS", default_value = "30", value_parser = seconds)]
    head_time: Duration,
    /// Seconds that a client may take nothing of its answer, and take for the body of a request.
    #[arg(long, value_name = "SECONDS", default_value = "30", value_parser = seconds)]
    stall_time: Duration,
    /// Seconds that begun requests may take to end when the server is to stop.
    #[arg(long, value_name = "SECONDS", default_value = "30", value_parser = seconds)]
    grace: Duration,
}

/// How TCP flags are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Flags {
    /// Eight binary digits: 00010010.
    Binary,
    /// A decimal number: 18.
    Decimal,
    /// Two hexadecimal digits: 0x12.
    Hex,
}

/// Which fields a page shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Shown {
    /// The thirteen that there were from the beginning.
    Seed,
    /// In addition nodeId, flags and meta; and the header x-cursor.
    Current,
}

impl Spending {
    /// The settings of the endpoint.
    pub fn settings(&self) -> EndpointSettings {
        let default = self.default_limit.min(self.max_limit);
        EndpointSettings::default()
            .limits(Limits::default().default_rows(default).largest_rows(self.max_limit))
            .profile(match self.profile {
                Shown::Seed => Profile::Seed,
                Shown::Current => Profile::Current,
            })
            .flags(match self.tcp_flags {
                Flags::Binary => FlagsFormat::Binary,
                Flags::Decimal => FlagsFormat::Decimal,
                Flags::Hex => FlagsFormat::Hex,
            })
            .budget(Budget::default().rows(self.query_rows).time(self.query_time))
            .queries(self.queries)
            .exports(self.exports)
    }

    /// The settings of a server.
    pub fn connections(&self) -> Connections {
        let most = self.connections.unwrap_or_else(connections_of_files);
        Connections { most, head_time: self.head_time, stall_time: self.stall_time, grace: self.grace }
    }
}

/// As many connections as there may be files open beside those of the archive.
fn connections_of_files() -> usize {
    let limits = fs::read_to_string("/proc/self/limits").unwrap_or_default();
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"));
    let files = line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(USUAL_FILES);
    files.saturating_sub(FILES_OF_ARCHIVE).clamp(64, MOST_CONNECTIONS)
}

/// Reads seconds, fractions allowed.
pub fn seconds(text: &str) -> Result<Duration, String> {
    let seconds = text.parse().ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    seconds.ok_or_else(|| "seconds are a number from 0 on, such as 30 or 0.5".to_owned())
}
