//! Flows that are too old, or too many.

use std::{
    path::PathBuf,
    time::{Duration, SystemTime},
};

use clap::{
    ArgGroup, Args,
    builder::{OsStringValueParser, TypedValueParser},
};
use flowseek::{Archive, archive::Retention};

use super::{
    amount, archive_path,
    failure::{Failure, answer, say},
};

/// Removes the oldest flows of an archive, by age or for want of space.
///
/// Whole segments go: by age those whose flows are all too old, for want of space those with the oldest flows. It
/// prints `removed=ROWS segments=N bytes=B`: the flows and the segments that are gone, and by how many bytes the
/// archive has become smaller. Queries that are under way still see them, and take the room on the disk until they end. With `--exact`, segments that cannot be read
/// are left as they are, and named.
#[derive(Debug, Args)]
#[command(group(ArgGroup::new("limit").required(true).multiple(true).args(["keep", "max_bytes"])))]
pub struct Retain {
    /// The archive.
    #[arg(value_parser = OsStringValueParser::new().try_map(archive_path::parse))]
    archive: PathBuf,
    /// Keep the flows that started within this time before now, or before the newest flow, if that is earlier: 90d, 36h.
    #[arg(long, value_name = "DURATION", value_parser = amount::duration)]
    keep: Option<i64>,
    /// Keep at most so many bytes of segments: 10GB, 512MiB.
    #[arg(long, value_name = "SIZE", value_parser = amount::size)]
    max_bytes: Option<u64>,
    /// Write segments anew that have flows to be kept and flows that are too old, so that none of these is left.
    #[arg(long, requires = "keep")]
    exact: bool,
}

impl Retain {
    /// Removes them.
    pub fn run(&self) -> Result<(), Failure> {
        let archive = Archive::open(&self.archive)?;
        let writer = archive.writer()?;
        let snapshot = archive.snapshot()?;
        let keep = self.keep.map(|keep| Duration::from_millis(keep.unsigned_abs()));
        let aged = keep.map(|keep| Retention::keeping(keep, SystemTime::now(), snapshot.manifest()));
        drop(snapshot);
        let retention = aged.unwrap_or_default().bytes(self.max_bytes).exact(self.exact);
        let retained = writer.retain(retention)?;
        answer(format_args!("removed={} segments={} bytes={}", retained.rows, retained.segments, retained.bytes))?;
        let mut unreadable = retained.unreadable;
        let last = unreadable.pop();
        unreadable.into_iter().for_each(say);
        last.map_or(Ok(()), |error| Err(error.into()))
    }
}
