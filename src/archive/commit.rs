//! Writing: segments first, then the manifest that names them.

use std::{
    fs::File,
    io::{BufWriter, Write},
    sync::Arc,
};

use arrow::array::RecordBatch;
use uuid::Uuid;

use super::{Archive, Manifest, SegmentEntry};
use crate::{
    error::{Error, ErrorKind, Result},
    flow::FlowId,
    segment::write_segment,
};

/// The one writer of an archive. What it has written is no part of the archive before it is committed; what is not
/// committed when it is dropped is discarded.
#[derive(Debug)]
pub struct Writer {
    archive: Archive,
    base: Arc<Manifest>,
    staged: Vec<SegmentEntry>,
    next: FlowId,
    /// Held for as long as the writer lives.
    _lock: File,
}

/// What a commit has added.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub struct Commit {
    /// The version of the archive that holds it.
    pub version: u64,
    /// How many flows it added.
    pub flows: u64,
    /// The ID of the first; the others follow on it, in the order in which they were pushed.
    pub first: FlowId,
}

impl Writer {
    pub(super) fn new(archive: Archive) -> Result<Self> {
        let lock = archive.inner.files.lock()?;
        let base = archive.snapshot()?.manifest().clone();
        archive.inner.files.sweep(&base)?;
        let next = FlowId::new(base.next_flow_id);
        Ok(Self { archive, base, staged: Vec::new(), next, _lock: lock })
    }

    /// The ID that the next flow gets.
    pub fn next_id(&self) -> FlowId {
        self.next
    }

    /// Writes flows as a segment. Their IDs begin with [`next_id`](Self::next_id) and leave no gap.
    pub fn write(&mut self, flows: &RecordBatch) -> Result<()> {
        if flows.num_rows() == 0 {
            return Ok(());
        }
        // The file is named by the day of its newest flow, which is the first. There are no folders below `data`: some
        // readers would pass over them.
        let day = crate::schema::Flows::new(flows)?.get(0).map(|newest| newest.flow.start_time.to_string());
        let day = day.as_deref().and_then(|time| time.get(..10)).unwrap_or("unknown");
        let path = format!("data/{day}-{}.parquet", Uuid::new_v4().simple());
        let files = &self.archive.inner.files;
        let written = files.begin(&path).and_then(|file| {
            let mut sink = BufWriter::with_capacity(1 << 20, &file);
            let summary = write_segment(flows, &mut sink, self.archive.inner.settings.segment)?;
            let durable = sink.flush().and_then(|()| file.sync_all());
            durable.map_err(Error::with(ErrorKind::Io, format!("segment {path} cannot be written")))?;
            Ok(summary)
        });
        match written {
            Ok(summary) => {
                self.next = FlowId::new(self.next.get() + summary.rows);
                self.staged.push(SegmentEntry::new(path, &summary));
                Ok(())
            }
            Err(error) => {
                files.discard(&path);
                Err(error)
            }
        }
    }

    /// Adds everything that was written to the archive: when this returns, it is durable and visible.
    ///
    /// # Errors
    /// [`ErrorKind::Io`]; the archive is then as it was before, and what was written is still to be committed.
    pub fn commit(&mut self) -> Result<Commit> {
        let first = FlowId::new(self.base.next_flow_id);
        if self.staged.is_empty() {
            return Ok(Commit { version: self.base.version, flows: 0, first });
        }
        let files = &self.archive.inner.files;
        for segment in &self.staged {
            if !self.archive.segment_path(segment).exists() {
                files.finish(&segment.path)?;
            }
        }
        let manifest = self.base.with(self.staged.clone(), self.next.get());
        if !files.publish(&manifest)? {
            return Err(Error::new(
                ErrorKind::Locked,
                "another process has written to the archive in spite of the lock",
            ));
        }
        let flows = self.staged.iter().map(|segment| segment.rows).sum();
        self.staged.clear();
        self.base = Arc::new(manifest);
        Ok(Commit { version: self.base.version, flows, first })
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        for segment in &self.staged {
            self.archive.inner.files.discard(&segment.path);
        }
    }
}
