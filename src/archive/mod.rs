//! Which segments an archive consists of: a directory of Parquet files, and numbered manifests that are written once.
//!
//! ```text
//! ARCHIVE/data/2022-11-01-<id>.parquet         a segment, named by the day of its newest flow
//! ARCHIVE/manifests/00000000000000000007.json  the segments that make version 7, the newest
//! ARCHIVE/retired/...                          manifests and segments of older versions that are still being read
//! ARCHIVE/lock                                 locked by the one writing process
//! ARCHIVE/quarantine/...                       segments that no manifest names, and what a repair has found damaged
//! ```
//!
//! # How a version is published
//! A commit adds segments, a compaction replaces some by others, a retention removes some. Each of them is one version,
//! and each takes these steps, in this order:
//!
//! 1. *Write* the new segments to `data/<name>.parquet.tmp`, and sync each file. Nobody looks for such names: a crash
//!    here leaves the archive as it was, and files that the next writer deletes.
//! 2. *Name* them: rename each to `data/<name>.parquet`, then sync `data`. Their bytes are durable already, so under
//!    these names there is never half a file. No manifest has them yet: the archive is still as it was.
//! 3. *Publish* the next manifest: write `manifests/<random>.tmp` and sync it, link it to the number of the version,
//!    then sync `manifests`. The link either is there or is not, and everything that the manifest names is durable
//!    since step 2: whoever opens the archive, after whatever crash, finds all of the version or nothing of it. It has
//!    a checksum, so that other damage shows. Were there a second writer in spite of the lock, its link would fail, as
//!    a link replaces nothing.
//! 4. *Clear away* what the version has no more: move the older manifests and the removed segments to `retired`. A
//!    glob for `data/*.parquet` finds no flow twice then; between steps 2 and 4 of a compaction it may, and after a
//!    crash in between until the next writer opens the archive.
//! 5. *Delete* what is in `retired` and no longer read.
//!
//! A version is there from step 3 on. Whatever fails after it is tried again with the next version, and by the next
//! writer, which finishes steps 4 and 5 before anything else: the manifest lists the retired segments, so that a file
//! that is no part of the archive is known for one that was. If the last
//! sync of step 3 fails, the version is visible though maybe not durable. The caller gets an error, and the next
//! attempt first looks what is there, so that nothing is added twice.
//!
//! # Segments that no manifest names
//! A crash between steps 2 and 3 leaves some, and so does whoever puts back an older manifest. A writer cannot tell the two
//! apart, and deletes neither: when it opens the archive it moves them to `quarantine`, and sees to it that the IDs of
//! their flows are not given again: the manifest lists them as put aside. [`Archive::repair`] reads what lies in
//! `quarantine`, and takes back each flow whose bytes are proven and whose ID was put aside, or was lost with a segment
//! that is missing or damaged. Any other ID that has been given is that of a flow that is there, or was removed on
//! purpose. Only files that end in `.tmp` are deleted.
//!
//! # How files stay that are read
//! A [`Snapshot`] holds a shared lock on the file of its manifest. A segment is deleted only after the manifests of all
//! versions that have it were locked exclusively and removed, which the system grants only when no process holds them.
//! A reader that opens a manifest while it is moved away finds that after locking, and takes the newer one. So a
//! version stays readable for as long as a snapshot of it lives, in whichever process, without any time limit; it is
//! free at once when that is dropped, or its process is killed; and the disk space is free with the next version, with
//! the next [`Compactor::run_once`], or when the archive is next opened for writing. A segment that was removed with a
//! [grace period](Retention::grace) stays until that is over, too, and until then [`Writer::restore`] puts it back.
//!
//! A reader asks the file system, for every snapshot, whether there is a manifest of the next number, and whether its
//! own is still in place: so it sees a new version as soon as that is published, without opening the archive anew.
//!
//! # How damage shows
//! Every byte has a checksum. A manifest has its own, and for each segment one of its Parquet footer; the index of a
//! segment has its own, and one for each page, dictionary and list. A reader checks what it reads, when it reads it, so
//! that a damage is an error and never another answer; [`Archive::verify`] reads everything, and [`Archive::repair`]
//! makes good what can be made good. A query can pass over what cannot be read ([`Gaps`](crate::query::Gaps)).
//!
//! # The format, and how it may change
//! The format of manifests and of segments is 1. Archives of it are read by every later version; `testdata/format`
//! keeps one that was written first. A reader refuses a manifest or a segment of a format that it does not know, and
//! names both numbers. Within format 1:
//!
//! - A key may be added to a manifest, and a section or a list to an index: readers pass over what they do not know.
//! - A column may be added: nullable, and behind all others. Then a segment without it stays what it is, and a later
//!   reader fills in absent values. A segment without values in added columns is still written without them, so that it
//!   does not grow and an earlier reader reads it; an earlier reader refuses a segment with it by the name of the column, as it would
//!   leave out a part of each flow otherwise. A compaction by an earlier version can so never drop the column.
//! - A column of new segments may have another encoding or compression of Parquet: each page says which it has.
//! - Everything else, and every change of what a byte means, makes format 2.
//!
//! # Zone maps
//! For each segment a manifest has the bounds of every field ([`SegmentEntry::zones`]). A query opens a segment only if by
//! these it can contribute, whatever the query sorts or filters by. A segment that was added before manifests had them is
//! opened, and the next commit of a process that has it open writes them down. They may be wider than the truth and never
//! narrower; [`Archive::verify`] holds them against the index, and the index against the rows.
//!
//! # Bloom filters
//! A manifest says where in its file the Bloom filter of each segment lies. A query for an address or a name asks it before it
//! opens the segment. It reads one page of 4 kilobytes for each value and keeps it, so that a value that few segments have
//! costs hardly more in an archive of many segments than in one of few. A filter has 12 bits for each different address or name
//! of its segment; pages that are kept take up to a fourth of [`Settings::index_cache_bytes`]. Segments without one, of earlier versions or of values that hardly recur, are opened.
//!
//! # Groups of nodes
//! Compaction may [divide](Partition) the flows of different nodes: a manifest says how, and of each segment that was divided
//! of which group its flows are. A query for nodes passes over the segments of other groups. [`Archive::verify`] holds
//! the nodes of all flows against that. An earlier version of flowseek merges segments of different groups, and then says of
//! none that it is one of a group; a repair that puts together a manifest does not either: the next compaction divides them again.
//!
//! # Batches with numbers
//! A manifest has the number of the last batch of each source that appends with numbers
//! ([`LiveAppender::append_once`](crate::ingest::LiveAppender::append_once)). A version has the flows of a batch and its number,
//! or neither. An earlier version of flowseek leaves the numbers out of the manifests that it writes.
//!
//! # The identity
//! A manifest has the identity of its archive and a key for its cursors: random bytes, drawn when the archive is created,
//! and the same in every version and every copy. They do not change with a commit, a compaction, a repair or an older
//! manifest that is put back. A manifest that was written before there were such has none: then every reader derives them
//! from its text, in the same way, and the next commit writes down what they have derived. An earlier version of flowseek
//! passes over them, and leaves them out of the manifests that it writes; cursors from before are then refused.
//!
//! # The lock
//! There is one writing process at a time. The lock belongs to an open file, and a crash frees it. In that process
//! the [`Writer`] and its [`Compactor`]s share it: they work at the same time, and wait for one another only to publish.
//!
//! If somebody removes the file of the lock, or replaces the directory, two processes may each have a lock. So a writer looks
//! before each change whether its lock is still the one that others would have to take. If it is not, and anything was
//! published meanwhile, each further change of that writer fails with [`ErrorKind::Locked`], and it deletes nothing; if
//! nothing was, it takes the lock again.

mod aged;
mod aging;
mod blooms;
mod commit;
mod compact;
mod counts;
mod exclusive;
mod files;
mod id_ranges;
mod identity;
mod known;
mod lease;
mod lock;
mod manifest;
mod merge;
mod partition;
mod quarantine;
mod remove;
mod repair;
mod resources;
mod retain;
mod retire;
mod settings;
mod snapshot;
mod stage;
mod verify;

use std::{
    path::Path,
    sync::{
        Arc, PoisonError, RwLock, Weak,
        atomic::{AtomicU64, Ordering},
    },
};

pub use crate::segment::{SegmentOptions, ZoneMap};
pub(crate) use aging::Aging;
pub use commit::{Commit, Writer};
pub use compact::{Compaction, Compactor, Effort, Job, JobOutcome};
pub(crate) use counts::{Counted, Counts};
pub(crate) use files::is_at;
pub(crate) use known::Known;
pub(crate) use manifest::Sources;
pub use manifest::{Manifest, Retired, SegmentEntry};
pub use partition::Partition;
pub use remove::Removed;
pub use repair::{Loss, Rebuilt, Repaired};
pub(crate) use resources::Crews;
pub use resources::Memory;
pub use retain::{Restored, Retained, Retention};
pub use settings::Settings;
pub use snapshot::Snapshot;
pub(crate) use snapshot::WeakSnapshot;
use tokio::sync::watch;
pub use verify::{Depth, Extent, Finding, FindingKind, Report};

use self::{blooms::Blooms, files::Files, lease::Lease, resources::Resources};
use crate::{
    error::{Error, ErrorKind, Result},
    segment::PageCache,
};

/// An archive of flows: a directory.
///
/// It is cheap to clone, and its clones share their caches. Opening and writing block on the file system; queries
/// do not.
///
/// ```
/// use flowseek::{Archive, Flow, Order, filter};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let directory = tempfile::tempdir()?;
/// # let path = directory.path().join("flows");
/// let archive = Archive::open_or_create(&path)?;
///
/// let mut appender = archive.appender()?;
/// appender.push(&Flow { dst_port: Some(443), ..Flow::starting("2022-11-01T22:46:01.765Z".parse()?) })?;
/// appender.commit()?; // durable, and visible to every reader
///
/// let query = archive.snapshot()?.query(filter::dst_port().eq(443));
/// let page = query.order(Order::newest_first()).limit(100).page().await?;
/// assert_eq!(page.flows()?[0].flow.dst_port, Some(443));
/// assert!(page.next.is_none());
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Archive {
    inner: Arc<Inner>,
}

static NEXT_NUMBER: AtomicU64 = AtomicU64::new(0);

#[derive(Debug)]
struct Inner {
    files: Files,
    settings: Settings,
    newest: RwLock<Newest>,
    /// The number of that version.
    versions: watch::Sender<u64>,
    /// What it is known by among the archives that share its resources.
    number: u64,
    resources: Arc<Resources>,
}

/// The newest version that is known.
#[derive(Clone, Debug)]
struct Newest {
    manifest: Arc<Manifest>,
    /// Alive while some snapshot is.
    lease: Weak<Lease>,
}

impl Archive {
    /// Opens the archive in a directory.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] where there is none; [`ErrorKind::Damaged`] or [`ErrorKind::Unsupported`] where its
    /// newest manifest cannot be read; [`ErrorKind::Io`].
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        Self::open_with(path, Settings::default())
    }

    /// [`open`](Self::open), with settings.
    pub fn open_with(path: impl AsRef<Path>, settings: Settings) -> Result<Self> {
        let resources = settings.resources();
        let files = settings.files(path.as_ref(), &resources);
        let manifest = files.newest_manifest()?.ok_or_else(|| nothing_at(path.as_ref()))?;
        Ok(Self::at(files, settings, resources, manifest))
    }

    /// Opens the archive in a directory, or creates one where there is nothing yet.
    ///
    /// # Errors
    /// As [`open`](Self::open), and [`ErrorKind::InvalidInput`] where the directory holds something else.
    pub fn open_or_create(path: impl AsRef<Path>) -> Result<Self> {
        Self::open_or_create_with(path, Settings::default())
    }

    /// [`open_or_create`](Self::open_or_create), with settings.
    pub fn open_or_create_with(path: impl AsRef<Path>, settings: Settings) -> Result<Self> {
        let resources = settings.resources();
        let files = settings.files(path.as_ref(), &resources);
        let manifest = match files.newest_manifest()? {
            Some(manifest) => manifest,
            None => {
                files.create()?;
                let published = files.publish(&Manifest::first(files.random())?);
                let manifest = files.newest_manifest()?;
                match (published, manifest) {
                    (Ok(_), Some(manifest)) => manifest,
                    // Another process may have been faster; then its first manifest serves as well.
                    (Err(_), Some(manifest)) => {
                        files.sync_manifests().map_err(|error| files.failed("it cannot be made durable", error))?;
                        manifest
                    }
                    (Ok(_), None) => return Err(nothing_at(path.as_ref())),
                    (Err(error), None) => return Err(error),
                }
            }
        };
        Ok(Self::at(files, settings, resources, manifest))
    }

    fn at(files: Files, settings: Settings, resources: Arc<Resources>, manifest: Manifest) -> Self {
        let versions = watch::Sender::new(manifest.version);
        let newest = RwLock::new(Newest { manifest: Arc::new(manifest), lease: Weak::new() });
        let number = NEXT_NUMBER.fetch_add(1, Ordering::Relaxed);
        Self { inner: Arc::new(Inner { files, settings, newest, versions, number, resources }) }
    }

    /// How it is written and what it may hold on to.
    pub fn settings(&self) -> &Settings {
        &self.inner.settings
    }

    /// Its directory.
    pub fn path(&self) -> &Path {
        self.inner.files.root()
    }

    /// What it holds; where it [shares](Settings::shared) its limits with others, what all of these hold.
    pub fn memory(&self) -> Memory {
        self.inner.resources.memory()
    }

    /// The zone map of a segment, where it is open anyway.
    fn zones(&self, path: &str) -> Option<ZoneMap> {
        let reader = self.inner.resources.readers.peek(self.inner.number, path)?;
        Some(ZoneMap::of(&reader.whole()))
    }

    pub(crate) fn pages(&self) -> &Arc<PageCache> {
        &self.inner.resources.pages
    }

    pub(crate) fn counts(&self) -> Counts<'_> {
        self.inner.resources.counts.of(self.inner.number)
    }

    /// Its Bloom filters.
    fn blooms(&self) -> Blooms<'_> {
        self.inner.resources.blooms.of(self.inner.number)
    }

    /// The threads of its live appenders.
    pub(crate) fn crews(&self) -> &Crews {
        &self.inner.resources.crews
    }

    /// The newest version that this process knows of.
    pub(crate) fn known(&self) -> Arc<Manifest> {
        Arc::clone(&self.inner.newest.read().unwrap_or_else(PoisonError::into_inner).manifest)
    }

    fn files(&self) -> &Files {
        &self.inner.files
    }
}

fn nothing_at(path: &Path) -> Error {
    Error::new(ErrorKind::NotFound, format!("there is no flow archive at {}", path.display()))
}
