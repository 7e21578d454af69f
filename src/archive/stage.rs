//! Segments on their way into an archive.

use std::io::{self, BufWriter, ErrorKind as IoErrorKind, Write};

use super::{
    SegmentEntry,
    files::{DATA, Files, unfinished},
};
use crate::{
    error::Result,
    resources::io_error,
    schema::Flows,
    segment::{SegmentOptions, write_segment},
};
use arrow::array::RecordBatch;

impl Files {
    /// Writes flows as a segment, durably, under a name that no reader looks for.
    pub(super) fn stage(&self, flows: &RecordBatch, options: SegmentOptions) -> Result<SegmentEntry> {
        // The file is named by the day of its newest flow, which is the first. There are no folders below `data`: some
        // readers would pass over them.
        let day = Flows::new(flows)?.get(0).map(|newest| newest.flow.start_time.to_string());
        let day = day.as_deref().and_then(|time| time.get(..10)).unwrap_or("unknown");
        let path = format!("{DATA}/{day}-{}.parquet", self.new_id()?.simple());
        let failed = || io_error(format!("archive {}: {path} cannot be written", self.root().display()));
        let mut file = self.storage.create(&unfinished(&self.root().join(&path))).map_err(failed())?;
        let mut write = || {
            let mut sink = BufWriter::with_capacity(1 << 20, &mut file);
            let summary = write_segment(flows, &mut sink, options)?;
            sink.flush().map_err(failed())?;
            drop(sink);
            file.sync_all().map_err(failed())?;
            Ok(summary)
        };
        match write() {
            Ok(summary) => Ok(SegmentEntry::new(path, &summary)),
            Err(error) => {
                self.discard(&path);
                Err(error)
            }
        }
    }

    /// Gives staged segments their names, durably.
    pub(super) fn finish(&self, segments: &[SegmentEntry]) -> Result<()> {
        let finish = || {
            for segment in segments {
                let target = self.root().join(&segment.path);
                match self.storage.rename(&unfinished(&target), &target) {
                    // An earlier attempt has come so far.
                    Err(error) if error.kind() == IoErrorKind::NotFound && self.storage.size(&target)?.is_some() => {}
                    renamed => renamed?,
                }
            }
            self.storage.sync_directory(&self.folder(DATA))
        };
        finish().map_err(|error: io::Error| self.failed("segments cannot be put in their place", error))
    }

    /// Removes a segment that has not become part of the archive.
    pub(super) fn discard(&self, path: &str) {
        let target = self.root().join(path);
        // What is left here, the next writer sweeps.
        let _ = self.storage.remove(&unfinished(&target));
        let _ = self.storage.remove(&target);
    }
}
