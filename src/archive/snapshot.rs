//! An archive as it was at one moment.

use std::{fs::File, io, path::Path, sync::Arc};

use super::{Archive, Manifest, SegmentEntry, lease::Lease};
use crate::{
    error::{Error, ErrorKind, Result},
    segment::SegmentReader,
};

/// A version of an archive: whatever is committed, compacted or removed later, in this process or another, it answers
/// from the same flows.
///
/// The files of its version stay on disk for as long as it lives, so it is to be dropped when it is not needed; a
/// [`Cursor`](crate::Cursor) does not need it.
#[derive(Clone, Debug)]
pub struct Snapshot {
    archive: Archive,
    manifest: Arc<Manifest>,
    _lease: Arc<Lease>,
}

impl Snapshot {
    pub(super) fn new(archive: Archive, manifest: Arc<Manifest>, lease: Arc<Lease>) -> Self {
        Self { archive, manifest, _lease: lease }
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
        let (place, retired) = self.archive.files().segment_paths(&entry.path);
        let open = move || either(&place, &retired, SegmentReader::open);
        let opened = tokio::task::spawn_blocking(open).await;
        // The Parquet reader panics on some damaged footers.
        let opened = opened.map_err(|error| match error.is_panic() {
            true => Error::damaged(format!("segment {} cannot be read: its footer is damaged", entry.path)),
            false => Error::with(ErrorKind::Internal, "opening a segment was interrupted")(error),
        });
        let reader = Arc::new(opened??);
        readers.insert(entry.path.clone(), Arc::clone(&reader));
        Ok(reader)
    }

    /// The file of a segment.
    pub(super) fn file(&self, entry: &SegmentEntry) -> io::Result<File> {
        let (place, retired) = self.archive.files().segment_paths(&entry.path);
        either(&place, &retired, |path| File::open(path))
    }
}

/// Opens a segment where it lies; where it is not there any more, where it lies once it is retired.
fn either<T, E>(place: &Path, retired: &Path, open: impl Fn(&Path) -> Result<T, E>) -> Result<T, E> {
    open(place).or_else(|error| if !place.exists() && retired.exists() { open(retired) } else { Err(error) })
}
