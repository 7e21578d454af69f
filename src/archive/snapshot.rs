//! An archive as it was at one moment.

use std::sync::Arc;

use super::{Archive, Manifest, SegmentEntry};
use crate::{
    error::{Error, ErrorKind, Result},
    segment::SegmentReader,
};

/// A version of an archive: whatever is committed later, it answers from the same flows.
#[derive(Clone, Debug)]
pub struct Snapshot {
    archive: Archive,
    manifest: Arc<Manifest>,
}

impl Snapshot {
    pub(super) fn new(archive: Archive, manifest: Arc<Manifest>) -> Self {
        Self { archive, manifest }
    }

    /// The archive.
    pub fn archive(&self) -> &Archive {
        &self.archive
    }

    /// What it consists of.
    pub fn manifest(&self) -> &Arc<Manifest> {
        &self.manifest
    }

    /// A segment, opened, from the cache where it is there.
    pub(crate) async fn reader(&self, entry: &SegmentEntry) -> Result<Arc<SegmentReader>> {
        let readers = &self.archive.inner.readers;
        if let Some(reader) = readers.get(&entry.path) {
            return Ok(reader);
        }
        let path = self.archive.segment_path(entry);
        let opened = tokio::task::spawn_blocking(move || SegmentReader::open(&path)).await;
        // The Parquet reader panics on some damaged footers.
        let opened = opened.map_err(|error| match error.is_panic() {
            true => Error::damaged(format!("segment {} cannot be read: its footer is damaged", entry.path)),
            false => Error::with(ErrorKind::Internal, "opening a segment was interrupted")(error),
        });
        let reader = Arc::new(opened??);
        readers.insert(entry.path.clone(), Arc::clone(&reader));
        Ok(reader)
    }
}
