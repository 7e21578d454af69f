//! An archive as it was at one moment.

use std::{
    collections::{BTreeMap, HashSet},
    sync::{Arc, PoisonError, Weak},
    time::Duration,
};

use super::{Archive, Manifest, Newest, SegmentEntry, files::Files, lease::Lease, nothing_at};
use crate::{
    error::{Error, ErrorKind, Result},
    filter::{Bounds, Filter},
    flow::Field,
    order::Seal,
    resources::{Deadline, Pin, blocking, io_error},
    segment::SegmentReader,
};

/// About what a footer and an index take of a segment of few flows.
const SMALLEST_INDEX: u64 = 16 << 10;

/// How often it is looked whether another process has published a version.
const LOOK: Duration = Duration::from_millis(250);

/// How often a reader looks again for the newest version when a writer has just replaced it.
const LOOKS: usize = 1000;

/// A version of an archive: whatever is committed, compacted or removed later, in this process or another, it answers
/// from the same flows.
///
/// The files of its version stay on disk for as long as it lives, so it is to be dropped when it is not needed; a
/// [`Cursor`](crate::Cursor) does not need it.
///
/// ```
/// use flowseek::{Archive, Flow};
///
/// # let directory = tempfile::tempdir()?;
/// let archive = Archive::open_or_create(directory.path().join("flows"))?;
/// let before = archive.snapshot()?;
/// let mut appender = archive.appender()?;
/// appender.push(&Flow::starting("2022-11-01T22:46:01Z".parse()?))?;
/// appender.commit()?;
/// assert_eq!(before.manifest().rows(), 0);
/// assert_eq!(archive.snapshot()?.manifest().rows(), 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Snapshot {
    archive: Archive,
    manifest: Arc<Manifest>,
    _lease: Arc<Lease>,
}

/// A snapshot that something else may keep.
#[derive(Clone, Debug)]
pub(crate) struct WeakSnapshot {
    archive: Archive,
    manifest: Weak<Manifest>,
    lease: Weak<Lease>,
}

impl WeakSnapshot {
    pub(crate) fn upgrade(&self) -> Option<Snapshot> {
        let (manifest, lease) = (self.manifest.upgrade()?, self.lease.upgrade()?);
        Some(Snapshot::new(self.archive.clone(), manifest, lease))
    }
}

impl Archive {
    /// The archive as it is now, whichever process wrote it last.
    ///
    /// # Errors
    /// [`ErrorKind::Damaged`], [`ErrorKind::Unsupported`] or [`ErrorKind::Io`] where a new manifest cannot be read, and
    /// [`ErrorKind::NotFound`] where the archive is there no more.
    pub fn snapshot(&self) -> Result<Snapshot> {
        let files = self.files();
        for _ in 0..LOOKS {
            let Newest { manifest, lease } = self.inner.newest.read().unwrap_or_else(PoisonError::into_inner).clone();
            if !files.is_newest(manifest.version)? {
                let newer = files.newest_manifest()?.ok_or_else(|| nothing_at(self.path()))?;
                self.adopt(&Arc::new(newer));
                continue;
            }
            let lease = match lease.upgrade() {
                Some(lease) => Some(lease),
                None => files.lease(manifest.version)?.map(Arc::new),
            };
            if let Some(lease) = lease {
                let mut newest = self.inner.newest.write().unwrap_or_else(PoisonError::into_inner);
                if newest.manifest.version == manifest.version {
                    newest.lease = Arc::downgrade(&lease);
                }
                drop(newest);
                return Ok(Snapshot::new(self.clone(), manifest, lease));
            }
        }
        let message = format!("the newest version of the archive {} cannot be held", self.path().display());
        Err(Error::new(ErrorKind::Io, message))
    }

    /// Whether this process knows of a version, or another has published it.
    fn has_passed(&self, version: u64) -> Result<bool> {
        Ok(self.known().version > version || !self.files().is_newest(version)?)
    }

    /// Takes notice of a new version.
    pub(super) fn adopt(&self, manifest: &Arc<Manifest>) {
        let mut newest = self.inner.newest.write().unwrap_or_else(PoisonError::into_inner);
        if manifest.version <= newest.manifest.version {
            return;
        }
        *newest = Newest { manifest: Arc::clone(manifest), lease: Weak::new() };
        drop(newest);
        self.inner.versions.send_replace(manifest.version);
        // An open file that is deleted would take its room on the disk for as long as it is cached, and its pages the room of
        // others.
        let named: HashSet<&str> = manifest.segments.iter().map(|segment| segment.path.as_str()).collect();
        let resources = &self.inner.resources;
        let gone = resources.readers.retain(self.inner.number, |path| named.contains(path));
        resources.pages.forget(&gone);
        self.blooms().keep(manifest);
    }
}

impl Snapshot {
    fn new(archive: Archive, manifest: Arc<Manifest>, lease: Arc<Lease>) -> Self {
        Self { archive, manifest, _lease: lease }
    }

    /// The same without keeping it: there while another keeps it.
    pub(crate) fn downgrade(&self) -> WeakSnapshot {
        let (manifest, lease) = (Arc::downgrade(&self.manifest), Arc::downgrade(&self._lease));
        WeakSnapshot { archive: self.archive.clone(), manifest, lease }
    }

    /// The archive.
    pub fn archive(&self) -> &Archive {
        &self.archive
    }

    /// The archive as it is once it has a newer version than this snapshot: at once where it has one. A version of this
    /// process is seen when it is published, one of another within a quarter of a second. The future looks at the file
    /// system on the threads of [`Settings::workers`](crate::Settings::workers), and may be dropped at any time.
    ///
    /// # Errors
    /// As [`Archive::snapshot`].
    ///
    /// ```
    /// use flowseek::{Archive, Flow};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let directory = tempfile::tempdir()?;
    /// let archive = Archive::open_or_create(directory.path().join("flows"))?;
    /// let before = archive.snapshot()?;
    /// let follower = tokio::spawn(async move { before.changed().await });
    /// let mut appender = archive.appender()?;
    /// appender.push(&Flow::starting("2022-11-01T22:46:01Z".parse()?))?;
    /// appender.commit()?;
    /// assert_eq!(follower.await??.manifest().rows(), 1);
    /// # Ok(())
    /// # }
    /// ```
    pub async fn changed(&self) -> Result<Self> {
        let version = self.manifest.version;
        let settings = self.archive.settings();
        let mut versions = self.archive.inner.versions.subscribe();
        loop {
            let archive = self.archive.clone();
            let look = move || match archive.has_passed(version)? {
                true => archive.snapshot().map(Some),
                false => Ok(None),
            };
            if let Some(newer) = blocking(settings.workers.as_ref(), look).await? {
                return Ok(newer);
            }
            let look_again = Deadline::after(LOOK, Arc::clone(&settings.clock));
            let _ = look_again.wait(versions.wait_for(|known| *known > version)).await;
        }
    }

    /// What it consists of.
    pub fn manifest(&self) -> &Arc<Manifest> {
        &self.manifest
    }

    /// Bytes that the indexes of its segments take, by what they hold: each list by the columns that it lists, and the rest.
    /// This blocks: it opens the segments.
    ///
    /// # Errors
    /// Where a segment cannot be opened, as of a query.
    pub fn index_bytes(&self) -> Result<BTreeMap<String, u64>> {
        let mut bytes = BTreeMap::new();
        for entry in &self.manifest().segments {
            let reader = entry.open(self.archive.files())?;
            reader.index_bytes().into_iter().for_each(|(part, more)| *bytes.entry(part).or_default() += more);
        }
        Ok(bytes)
    }

    /// What seals and opens the cursors of the archive.
    ///
    /// # Errors
    /// [`ErrorKind::Internal`] where the cipher refuses its parameters.
    pub(crate) fn seal(&self) -> Result<Seal> {
        self.manifest.seal(self.archive.settings().cursor_key.as_ref())
    }

    /// About how many bytes the footer and the index of a segment take: half a byte a flow, where blocks have 8,192 of
    /// them.
    pub(crate) fn index_memory(entry: &SegmentEntry) -> u64 {
        SMALLEST_INDEX + entry.rows / 2
    }

    /// The most that queries hold at a moment of footers and indexes.
    pub(crate) fn index_pin_bytes(&self) -> u64 {
        self.archive.inner.resources.indexes.pin_bytes()
    }

    /// Memory for footers and indexes that a query is about to open, as soon as it is free.
    ///
    /// # Errors
    /// [`ErrorKind::Busy`](crate::ErrorKind::Busy) where it is not before the deadline is over.
    pub(crate) async fn pin(&self, bytes: u64, deadline: &Deadline) -> Result<Pin> {
        self.archive.inner.resources.indexes.pin(bytes, deadline).await
    }

    /// The same, if it is free now. Who holds some never waits for more.
    pub(crate) fn try_pin(&self, bytes: u64) -> Option<Pin> {
        self.archive.inner.resources.indexes.try_pin(bytes)
    }

    /// A segment that is open, from the cache. A query holds a [`pin`](Self::pin) meanwhile.
    pub(crate) fn open_reader(&self, entry: &SegmentEntry) -> Option<Arc<SegmentReader>> {
        self.archive.inner.resources.readers.get(self.archive.inner.number, &entry.path)
    }

    /// A segment, opened, from the cache where it is there. A query holds a [`pin`](Self::pin) meanwhile.
    pub(crate) async fn reader(&self, entry: &SegmentEntry) -> Result<Arc<SegmentReader>> {
        if let Some(reader) = self.open_reader(entry) {
            return Ok(reader);
        }
        let (archive, written) = (self.archive.clone(), entry.clone());
        let open = move || Ok(written.open(archive.files())?.counted(&archive.inner.resources.indexes));
        let opened = blocking(self.archive.settings().workers.as_ref(), open).await;
        let reader = Arc::new(opened.map_err(|error| error.of_file(&self.archive.path().join(&entry.path)))?);
        let inner = &self.archive.inner;
        inner.resources.readers.insert(inner.number, &entry.path, Arc::clone(&reader));
        Ok(reader)
    }

    /// Whether the Bloom filter of a segment tells that no flow passes a part of a filter, as far as it is in memory.
    pub(crate) fn excludes(&self, entry: &SegmentEntry, part: &Filter) -> bool {
        self.archive.blooms().excludes(entry, part)
    }

    /// Whether what the Bloom filter of a segment tells of a filter must be read.
    pub(crate) fn lacks_bloom(&self, entry: &SegmentEntry, filter: &Filter) -> bool {
        !self.archive.blooms().missing(entry, filter).is_empty()
    }

    /// Reads what the Bloom filters of segments tell of a filter and is not in memory. How many bytes that were. Of others than
    /// the first it is left out what cannot be read, and what would be more than is kept, or takes long.
    ///
    /// # Errors
    /// As of a segment that is opened.
    pub(crate) async fn read_blooms(&self, entries: &[&SegmentEntry], filter: &Filter) -> Result<u64> {
        let archive = self.archive.clone();
        let mut left = archive.blooms().pages_ahead();
        let mut missing = Vec::new();
        for (number, entry) in entries.iter().enumerate() {
            let pages = archive.blooms().missing(entry, filter);
            // The first is the first even where another search has read it meanwhile: what fails of others is no error.
            if number > 0 && (pages.is_empty() || pages.len() > left) {
                continue;
            }
            left = left.saturating_sub(pages.len());
            missing.push((SegmentEntry::clone(entry), pages));
        }
        let read = move || archive.blooms().read(&missing, archive.files());
        blocking(self.archive.settings().workers.as_ref(), read).await
    }

    /// Reads what the Bloom filter of a segment tells of a filter. This blocks on the file system.
    ///
    /// # Errors
    /// As of a segment that is opened.
    pub(super) fn read_bloom(&self, entry: &SegmentEntry, filter: &Filter) -> Result<()> {
        let blooms = self.archive.blooms();
        let missing = blooms.missing(entry, filter);
        blooms.read(&[(entry.clone(), missing)], self.archive.files()).map(drop)
    }

    /// Reads every byte of a segment.
    ///
    /// # Errors
    /// [`ErrorKind::Damaged`] where one is not what was written. Every error names the file.
    pub(super) fn check(&self, entry: &SegmentEntry) -> Result<()> {
        let flaws = entry.open(self.archive.files()).and_then(|reader| reader.check());
        let flaws = flaws.map_err(|error| error.of_file(&self.archive.path().join(&entry.path)))?;
        match flaws.first() {
            None => Ok(()),
            Some(flaw) => {
                let message = format!("segment {}: {} is not what was written", entry.path, flaw.part);
                Err(Error::damaged(message).of_file(&self.archive.path().join(&entry.path)))
            }
        }
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
        let blooms = self.bloom.zip(reader.bloom_place());
        if blooms.is_some_and(|(written, found)| written != found) {
            return Err(Error::damaged("it has another Bloom filter than was written"));
        }
        Ok(())
    }

    /// Whether the bounds of an opened segment are within its zone map.
    ///
    /// # Errors
    /// [`ErrorKind::Damaged`] where they are not: queries may have passed over some of its flows.
    pub(super) fn has_bounds_of(&self, reader: &SegmentReader) -> Result<()> {
        let outside = self.zones.as_ref().and_then(|zones| zones.excludes(&reader.whole()));
        outside.map_or(Ok(()), |field| {
            let message = format!("its index has other bounds of {} than its manifest", field.name());
            Err(Error::damaged(message))
        })
    }

    /// Whether the footer of an opened segment is what was written, as far as that is known.
    ///
    /// # Errors
    /// [`ErrorKind::Io`].
    pub(super) fn has_footer_of(&self, reader: &SegmentReader) -> Result<bool> {
        self.footer.map_or(Ok(true), |written| Ok(reader.footer_checksum()? == written))
    }

    /// Opens it, if the file is what was written as far as that shows without reading its pages and lists.
    ///
    /// # Errors
    /// [`ErrorKind::Io`](crate::ErrorKind::Io) where it cannot be read, [`ErrorKind::Damaged`](crate::ErrorKind::Damaged)
    /// where it is not what was written.
    pub(super) fn open(&self, files: &Files) -> Result<SegmentReader> {
        let message = || format!("segment {} cannot be read", self.path);
        let file = files.segment(self).map_err(io_error(message()))?;
        let open = || {
            let reader = SegmentReader::read_lazily(file)?;
            self.describes(&reader)?;
            self.has_bounds_of(&reader)?;
            match self.has_footer_of(&reader)? {
                true => Ok(reader),
                false => Err(Error::damaged("its footer is damaged: its bytes are not those that were written")),
            }
        };
        open().map_err(|error| Error::with(error.kind(), message())(error))
    }
}
