//! Many small segments to few large ones.

use std::path::PathBuf;

use clap::{
    Args,
    builder::{OsStringValueParser, TypedValueParser},
};
use flowseek::{
    Archive,
    archive::{Effort, JobOutcome, Partition},
};

use super::{
    archive_path,
    failure::{Failure, answer, say},
    progress,
};

/// Merges the small and overlapping segments of an archive, until nothing is left that pays.
///
/// Segments of an earlier version are written anew, each by itself, so that queries for several values at once read only
/// the flows that match.
///
/// With `--groups`, flows of different nodes come to lie in different segments, from then on and in whatever process compacts
/// the archive, so that a query for the nodes of one tenant reads few flows of others.
///
/// Flows keep their IDs, cursors stay good, and queries go on meanwhile. It can be stopped at any moment; what was
/// merged by then stays merged. It prints `compacted=N segments=M`: how many segments were merged or written
/// anew, and how many the archive has now. Segments that cannot be read are left as they are, and named.
#[derive(Debug, Args)]
pub struct Compact {
    /// The archive.
    #[arg(value_parser = OsStringValueParser::new().try_map(archive_path::parse))]
    archive: PathBuf,
    /// Merge all segments that overlap in time, however little: this may write the whole archive anew.
    #[arg(long)]
    full: bool,
    /// Divide the flows into so many groups of nodes, 1 to 64; 0: no more.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(0..=64))]
    groups: Option<u16>,
    /// Nodes whose IDs agree up to the first SEPARATOR are in one group: with `/`, tenant-7/a and tenant-7/b.
    #[arg(long, value_name = "SEPARATOR", requires = "groups")]
    tenant_up_to: Option<String>,
}

impl Compact {
    /// Merges until nothing is left.
    pub fn run(&self) -> Result<(), Failure> {
        let effort = if self.full { Effort::Full } else { Effort::Thorough };
        let archive = Archive::open(&self.archive)?;
        let writer = archive.writer()?;
        if let Some(groups) = self.groups {
            let partition = Partition::by_node(groups).up_to(self.tenant_up_to.clone().unwrap_or_default());
            let _ = writer.partition((groups > 0).then_some(partition))?;
        }
        let compactor = writer.compactor();
        let bar = progress::flows(0);
        let mut compacted = 0;
        let mut damaged = None;
        while let Some(job) = compactor.next_job(effort) {
            bar.inc_length(job.rows());
            match compactor.run(&job, &mut |rows| bar.inc(rows)) {
                Ok(JobOutcome::Merged(done)) => compacted += done.merged,
                Ok(_) => {}
                // The next job leaves that segment out.
                Err(error) if error.file().is_some() && !error.is_retryable() => {
                    bar.suspend(|| damaged.replace(error).into_iter().for_each(say));
                }
                Err(error) => return Err(error.into()),
            }
        }
        bar.finish_and_clear();
        let segments = archive.snapshot()?.manifest().segments.len();
        answer(format_args!("compacted={compacted} segments={segments}"))?;
        damaged.map_or(Ok(()), |error| Err(error.into()))
    }
}
