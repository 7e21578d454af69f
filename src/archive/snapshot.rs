//! An archive as it was at one moment.

use std::{
    fs::File,
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
    sync::Arc,
};

use super::{Archive, Manifest, SegmentEntry, lease::Lease};
use crate::{
    error::{Error, ErrorKind, Result},
    filter::Bounds,
    flow::Field,
    order::Seal,
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

    /// What seals and opens the cursors of the archive.
    ///
    /// # Errors
    /// [`ErrorKind::Internal`] where the cipher refuses its parameters.
    pub(crate) fn seal(&self) -> Result<Seal> {
        self.manifest.seal(self.archive.settings().cursor_key.as_ref())
    }

    /// A segment, opened, from the cache where it is there.
    pub(crate) async fn reader(&self, entry: &SegmentEntry) -> Result<Arc<SegmentReader>> {
        let readers = &self.archive.inner.readers;
        if let Some(reader) = readers.get(&entry.path) {
            return Ok(reader);
        }
        let (place, retired) = self.archive.files().segment_paths(&entry.path);
        let file = place.clone();
        let written = entry.clone();
        let open = move || either(&place, &retired, |path| written.open(path));
        let opened = tokio::task::spawn_blocking(open).await;
        // The Parquet reader panics on some damaged footers.
        let opened = opened.map_err(|error| match error.is_panic() {
            true => Error::damaged(format!("segment {} cannot be read: its footer is damaged", entry.path)),
            false => Error::with(ErrorKind::Internal, "opening a segment was interrupted")(error),
        });
        let reader = Arc::new(opened.and_then(|opened| opened).map_err(|error| error.of_file(&file))?);
        readers.insert(entry.path.clone(), Arc::clone(&reader));
        Ok(reader)
    }

    /// Reads every byte of a segment.
    ///
    /// # Errors
    /// [`ErrorKind::Damaged`] where one is not what was written.
    pub(super) fn check(&self, entry: &SegmentEntry) -> Result<()> {
        let (place, retired) = self.archive.files().segment_paths(&entry.path);
        let check = || either(&place, &retired, |path| entry.open(path)?.check());
        // The Parquet reader panics on some damaged footers.
        let flaws = catch_unwind(AssertUnwindSafe(check));
        let flaws = flaws.unwrap_or_else(|_| Err(Error::damaged("its footer is damaged")));
        let flaws = flaws.map_err(|error| {
            let message = format!("segment {} cannot be read", entry.path);
            Error::with(error.kind(), message)(error)
        })?;
        match flaws.first() {
            None => Ok(()),
            Some(flaw) => {
                let message = format!("segment {}: {} is not what was written", entry.path, flaw.part);
                Err(Error::damaged(message))
            }
        }
    }

    /// The file of a segment.
    pub(super) fn file(&self, entry: &SegmentEntry) -> io::Result<File> {
        let (place, retired) = self.archive.files().segment_paths(&entry.path);
        either(&place, &retired, |path| File::open(path))
    }
}

impl SegmentEntry {
    /// Whether an opened segment is the one that is meant.
    ///
    /// # Errors
    /// [`ErrorKind::Damaged`] where it has other rows, times or IDs.
    pub(super) fn describes(&self, reader: &SegmentReader) -> Result<()> {
        let rows = reader.shape().rows as u64;
        if rows != self.rows {
            return Err(Error::damaged(format!("it has {rows} flows; {} were written", self.rows)));
        }
        for field in [Field::StartTime, Field::FlowId] {
            // Of bounds that are lost nothing can be said.
            let whole = reader.whole();
            let Some(found) = whole.field(field) else { continue };
            if Bounds::field(self, field).is_some_and(|span| span.values != found.values) {
                return Err(Error::damaged(format!("it has flows of another {} than were written", field.name())));
            }
        }
        Ok(())
    }

    /// Whether the footer of an opened segment is what was written, as far as that is known.
    ///
    /// # Errors
    /// [`ErrorKind::Io`].
    pub(super) fn has_footer_of(&self, reader: &SegmentReader) -> Result<bool> {
        self.footer.map_or(Ok(true), |written| Ok(reader.footer_checksum()? == written))
    }

    /// Opens it, if the file is what was written as far as that shows without reading its pages and lists.
    pub(super) fn open(&self, path: &Path) -> Result<SegmentReader> {
        let reader = SegmentReader::open(path)?;
        let damaged = |message: &str| Error::damaged(format!("segment {} cannot be read: {message}", path.display()));
        self.describes(&reader).map_err(|error| damaged(&error.to_string()))?;
        match self.has_footer_of(&reader)? {
            true => Ok(reader),
            false => Err(damaged("its footer is damaged: its bytes are not those that were written")),
        }
    }
}

/// Opens a segment where it lies; where it is not there any more, where it lies once it is retired.
fn either<T, E>(place: &Path, retired: &Path, open: impl Fn(&Path) -> Result<T, E>) -> Result<T, E> {
    open(place).or_else(|error| if !place.exists() && retired.exists() { open(retired) } else { Err(error) })
}
