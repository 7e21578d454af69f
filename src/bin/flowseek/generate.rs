//! Made-up flows, for trying out and measuring.

use std::{path::PathBuf, sync::mpsc::sync_channel, thread};

use clap::{
    Args,
    builder::{OsStringValueParser, TypedValueParser},
};
use flowseek::{
    Archive,
    generate::{CHUNK_FLOWS, Generator},
};

use super::{
    archive_path,
    failure::{Failure, answer},
    progress,
    stats::bytes_per_flow,
    threads::start,
};

/// Chunks that are ready before the archive takes them.
const AHEAD: usize = 4;

/// Appends made-up flows to an archive, which is created where there is none.
///
/// The same seed gives the same flows: skewed as real ones are, from 2025-01-01 on, 20 million in 30 days.
#[derive(Debug, Args)]
pub struct Generate {
    /// The archive.
    #[arg(value_parser = OsStringValueParser::new().try_map(archive_path::parse))]
    archive: PathBuf,
    /// How many flows.
    #[arg(long, value_name = "N")]
    flows: u64,
    /// What tells this stream of flows from others.
    #[arg(long, value_name = "N", default_value_t = 7)]
    seed: u64,
    /// Give the flows packets, flow flags and meta, too; otherwise they are the same.
    #[arg(long)]
    all_columns: bool,
}

impl Generate {
    /// Makes the flows on a second thread, and commits them all at once.
    pub fn run(&self) -> Result<(), Failure> {
        let archive = Archive::open_or_create(&self.archive)?;
        let mut appender = archive.appender()?;
        let before = archive.snapshot()?.manifest().bytes();
        let bar = progress::flows(self.flows);
        let plain = Generator::new(self.seed);
        let generator = if self.all_columns { plain.all_columns() } else { plain };
        let (sender, chunks) = sync_channel(AHEAD);
        thread::scope(|scope| {
            let size = CHUNK_FLOWS as u64;
            let numbers = 0..self.flows.div_ceil(size);
            let generate = move || {
                // Sending ends where the archive takes no more.
                let _ = numbers.map(|number| generator.chunk(number)).try_for_each(|chunk| sender.send(chunk));
            };
            start("flowseek-generate", scope, generate)?;
            // The last chunk may be longer than what is left of the flows.
            let mut left = self.flows;
            for chunk in chunks {
                let wanted = usize::try_from(left).unwrap_or(usize::MAX).min(chunk.len());
                chunk.iter().take(wanted).try_for_each(|flow| appender.push(flow))?;
                left -= wanted as u64;
                bar.inc(wanted as u64);
            }
            Ok::<(), Failure>(())
        })?;
        let commit = appender.commit()?;
        bar.finish_and_clear();
        let bytes = archive.snapshot()?.manifest().bytes().saturating_sub(before);
        let per_flow = bytes_per_flow(bytes, commit.flows).unwrap_or_default();
        answer(format_args!("generated={} bytes={bytes} bytes_per_flow={per_flow}", commit.flows))
    }
}
