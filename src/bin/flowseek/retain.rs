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
    failure::{Failure, answer, unreadable},
};

/// Removes the oldest flows of an archive, by age or for want of space.
///
/// Whole segments go: by age those whose flows are all too old, for want of space those with the oldest flows. It
/// prints `removed=ROWS segments=N bytes=B`: the flows and the segments that are gone, and by how many bytes the
/// archive has become smaller. Queries that are under way still see them, and take the room on the disk until they end. With `--exact`, segments that cannot be read
/// are left as they are, and named.
///
/// With `--grace`, the files of segments that are gone whole stay for a time. Until then `--restore` puts them back, and those that
/// a running server has removed. It prints `restored=ROWS segments=N`.
#[derive(Debug, Args)]
#[command(group(ArgGroup::new("limit").required(true).multiple(true).args(["keep", "max_bytes", "restore"])))]
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
    /// Keep the files of what is removed for so long: 1d, 6h.
    #[arg(long, value_name = "DURATION", value_parser = amount::duration)]
    grace: Option<i64>,
    /// Put back what was removed, as far as its files are still there.
    #[arg(long, conflicts_with_all = ["keep", "max_bytes", "exact", "grace"])]
    restore: bool,
}

impl Retain {
    /// Removes them.
    pub fn run(&self) -> Result<(), Failure> {
        let archive = Archive::open(&self.archive)?;
        let writer = archive.writer()?;
        if self.restore {
            let restored = writer.restore()?;
            answer(format_args!("restored={} segments={}", restored.rows, restored.segments))?;
            return unreadable(restored.unreadable);
        }
        let snapshot = archive.snapshot()?;
        let time = |millis: i64| Duration::from_millis(millis.unsigned_abs());
        let keep = self.keep.map(time);
        let aged = keep.map(|keep| Retention::keeping(keep, SystemTime::now(), snapshot.manifest()));
        drop(snapshot);
        let grace = self.grace.map_or(Duration::ZERO, time);
        let retention = aged.unwrap_or_default().bytes(self.max_bytes).exact(self.exact).grace(grace);
        let retained = writer.retain(retention)?;
        answer(format_args!("removed={} segments={} bytes={}", retained.rows, retained.segments, retained.bytes))?;
        unreadable(retained.unreadable)
    }
}
