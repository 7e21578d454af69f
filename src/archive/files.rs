//! The directory of an archive: its manifests, its segments, its lock.

use std::{
    fs::{File, TryLockError},
    io::{self, ErrorKind as IoErrorKind},
    path::{Path, PathBuf},
    sync::Arc,
};

use uuid::Uuid;

use super::{Manifest, SegmentEntry, lease::Lease};
use crate::{
    error::{Error, ErrorKind, Result},
    resources::{DescriptorTable, Descriptors, Random, SharedFile, Storage, io_error},
    segment::SegmentReader,
};

pub(super) const MANIFESTS: &str = "manifests";

/// Whether a directory looks like an archive.
pub(crate) fn is_at(directory: &Path) -> bool {
    directory.join(MANIFESTS).is_dir()
}
pub(super) const DATA: &str = "data";
pub(super) const RETIRED: &str = "retired";
/// Damaged files, and files that were none of the archive's, where a repair has put them.
pub(super) const QUARANTINE: &str = "quarantine";
pub(super) const LOCK: &str = "lock";
/// The ending of a file that is not part of the archive yet. No glob for Parquet files finds it.
pub(super) const UNFINISHED: &str = "tmp";

/// What has become of a manifest that was to be published.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(super) enum Publication {
    /// It is the newest one, durably.
    Published,
    /// Nothing has changed: another process has published one of its number.
    Taken,
}

/// The directory of an archive.
#[derive(Debug)]
pub(super) struct Files {
    root: PathBuf,
    pub(super) storage: Arc<dyn Storage>,
    random: Arc<dyn Random>,
    /// The segments that are open.
    descriptors: Arc<Descriptors>,
}

impl Files {
    pub(super) fn new(
        root: PathBuf,
        storage: Arc<dyn Storage>,
        random: Arc<dyn Random>,
        open: Arc<DescriptorTable>,
    ) -> Self {
        let descriptors = Arc::new(Descriptors::new(Arc::clone(&storage), open));
        Self { root, storage, random, descriptors }
    }

    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    pub(super) fn folder(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    /// Makes the directories of a new archive.
    pub(super) fn create(&self) -> Result<()> {
        let message = format!("the archive {} cannot be created", self.root.display());
        match self.storage.list(&self.root) {
            Ok(paths) => {
                let ours = [MANIFESTS, DATA, RETIRED, LOCK, QUARANTINE].map(|name| self.folder(name));
                if let Some(foreign) = paths.iter().find(|path| !ours.contains(path)) {
                    let name = foreign.file_name().unwrap_or_default();
                    let message = format!("{message}: the directory holds something else ({})", name.display());
                    return Err(Error::new(ErrorKind::InvalidInput, message));
                }
            }
            Err(error) if error.kind() == IoErrorKind::NotFound => {}
            Err(error) => return Err(io_error(message)(error)),
        }
        if self.has_segments().map_err(io_error(message.clone()))? {
            let message = format!(
                "{message}: it has segments and no manifest; put back a copy of {MANIFESTS} from a backup, or import \
                 {}/{DATA}/*.parquet into a new archive",
                self.root.display()
            );
            return Err(Error::damaged(message));
        }
        self.make_directories().map_err(io_error(message))
    }

    /// Whether there are finished segments, whatever names them.
    fn has_segments(&self) -> io::Result<bool> {
        let paths = match self.storage.list(&self.folder(DATA)) {
            Err(error) if error.kind() == IoErrorKind::NotFound => return Ok(false),
            paths => paths?,
        };
        Ok(paths.iter().any(|path| is_segment(path) && path.extension().is_some_and(|ending| ending == "parquet")))
    }

    fn make_directories(&self) -> io::Result<()> {
        let named = |path: &&Path| !path.as_os_str().is_empty();
        let mut missing = Vec::new();
        for path in self.root.ancestors().filter(named) {
            if self.storage.size(path)?.is_some() {
                break;
            }
            missing.push(path);
        }
        for path in missing.into_iter().rev() {
            self.storage.create_directory(path)?;
            let parent = path.parent().filter(named).unwrap_or(Path::new("."));
            self.storage.sync_directory(parent)?;
        }
        for folder in [MANIFESTS, DATA, RETIRED] {
            self.storage.create_directory(&self.folder(folder))?;
        }
        self.storage.sync_directory(&self.root)
    }

    /// The newest manifest; `None` where there is no archive.
    pub(super) fn newest_manifest(&self) -> Result<Option<Manifest>> {
        loop {
            let Some(version) = self.newest_version()? else { return Ok(None) };
            // Between the two looks, a newer one may have taken its place.
            if let Some(manifest) = self.manifest(version)? {
                return Ok(Some(manifest));
            }
        }
    }

    pub(super) fn newest_version(&self) -> Result<Option<u64>> {
        match self.storage.list(&self.folder(MANIFESTS)) {
            Ok(paths) => Ok(paths.iter().filter_map(|path| version_of(path)).max()),
            Err(error) if matches!(error.kind(), IoErrorKind::NotFound | IoErrorKind::NotADirectory) => Ok(None),
            Err(error) => Err(self.failed("the manifests cannot be listed", error)),
        }
    }

    /// Whether no version follows on this one. An older version than the newest has been moved away, or has its
    /// successor beside it.
    pub(super) fn is_newest(&self, version: u64) -> Result<bool> {
        Ok(!self.has_manifest(version + 1)? && self.has_manifest(version)?)
    }

    pub(super) fn has_manifest(&self, version: u64) -> Result<bool> {
        let size = self.storage.size(&self.manifest_path(version));
        Ok(size.map_err(|error| self.failed("a manifest cannot be looked for", error))?.is_some())
    }

    /// A manifest; `None` where it is not there, or no longer.
    pub(super) fn manifest(&self, version: u64) -> Result<Option<Manifest>> {
        let path = self.manifest_path(version);
        let message = || format!("manifest {} cannot be read", path.display());
        let bytes = match self.storage.read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == IoErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(io_error(message())(error)),
        };
        let decoded = Manifest::decode(&bytes, version);
        decoded.map(Some).map_err(|error| Error::with(error.kind(), message())(error))
    }

    /// A hold on the newest version; `None` where it is that no more.
    pub(super) fn lease(&self, version: u64) -> Result<Option<Lease>> {
        let path = self.manifest_path(version);
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == IoErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(self.failed("a manifest cannot be opened", error)),
        };
        match file.try_lock_shared() {
            // What is locked may have been moved away meanwhile, and then be deleted, or be so already.
            Ok(()) => Ok(self.has_manifest(version)?.then(|| Lease::new(file, Arc::clone(&self.descriptors)))),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(self.failed("a manifest cannot be locked", error)),
        }
    }

    /// Makes a manifest the newest one, in one step, and durable.
    ///
    /// # Errors
    /// Then it may be the newest one or not: the very last step makes it durable.
    pub(super) fn publish(&self, manifest: &Manifest) -> Result<Publication> {
        let path = self.manifest_path(manifest.version);
        let unfinished = path.with_extension(format!("{}.{UNFINISHED}", self.new_id()?.simple()));
        let text = manifest.encode()?;
        let publish = || {
            let mut file = self.storage.create(&unfinished)?;
            file.write_all(text.as_bytes())?;
            file.sync_all()?;
            // A link fails where the name is taken; a rename would replace what is there.
            match self.storage.hard_link(&unfinished, &path) {
                Ok(()) => {}
                Err(error) if error.kind() == IoErrorKind::AlreadyExists => return Ok(Publication::Taken),
                Err(error) => return Err(error),
            }
            self.sync_manifests()?;
            Ok(Publication::Published)
        };
        let published = publish();
        // What is left here, the next writer sweeps.
        let _ = self.storage.remove(&unfinished);
        published.map_err(|error| self.failed("a manifest cannot be published", error))
    }

    pub(super) fn sync_manifests(&self) -> io::Result<()> {
        self.storage.sync_directory(&self.folder(MANIFESTS))
    }

    /// Where the segment at `path` lies, and where it lies once it is retired.
    pub(super) fn segment_paths(&self, path: &str) -> (PathBuf, PathBuf) {
        let place = self.root.join(path);
        let retired = self.folder(RETIRED).join(place.file_name().unwrap_or_default());
        (place, retired)
    }

    /// The least and the greatest flow ID of a segment that no manifest names; `None` where it does not tell.
    ///
    /// # Errors
    /// [`ErrorKind::Busy`] where it may tell later.
    pub(super) fn stray_ids(&self, path: &str) -> Result<Option<(u64, u64)>> {
        let read = || -> Result<Option<(u64, u64)>> {
            let ids = self.read_entry(self.root.join(path), path)?.map(|entry| entry.flow_id);
            // No archive has given as many IDs as that.
            Ok(ids.filter(|(_, last)| *last < u64::MAX / 2))
        };
        match read() {
            Err(error) if !error.is_retryable() => Ok(None),
            told => told,
        }
    }

    /// What there is to say of a retired segment; `None` where it is not there.
    ///
    /// # Errors
    /// Where it cannot be read; the error names the file.
    pub(super) fn entry(&self, path: &str) -> Result<Option<SegmentEntry>> {
        let failed = |error| self.failed("a retired segment cannot be looked for", error);
        let Some(place) = self.place_of(path).map_err(failed)? else { return Ok(None) };
        let read = || {
            let entry = self.read_entry(place.clone(), path)?;
            entry.ok_or_else(|| Error::damaged(format!("the bounds of segment {path} cannot be read")))
        };
        read().map(Some).map_err(|error| error.of_file(&place))
    }

    /// What there is to say of the segment in a file; `None` where its bounds or its footer cannot be read.
    fn read_entry(&self, file: PathBuf, path: &str) -> Result<Option<SegmentEntry>> {
        let file = SharedFile::open(&self.descriptors, vec![file]);
        let file = file.map_err(io_error(format!("segment {path} cannot be read")))?;
        SegmentEntry::of(&SegmentReader::read(Arc::new(file))?, path.to_owned())
    }

    /// Where the segment at `path` lies now; `None` where it is not there.
    pub(super) fn place_of(&self, path: &str) -> io::Result<Option<PathBuf>> {
        let (place, retired) = self.segment_paths(path);
        for place in [place, retired] {
            if self.storage.size(&place)?.is_some() {
                return Ok(Some(place));
            }
        }
        Ok(None)
    }

    /// The file of a segment, wherever it lies.
    ///
    /// # Errors
    /// [`io::ErrorKind::NotFound`] where there is none; whatever the system says.
    pub(super) fn segment(&self, entry: &SegmentEntry) -> io::Result<Arc<SharedFile>> {
        let (place, retired) = self.segment_paths(&entry.path);
        SharedFile::open(&self.descriptors, vec![place, retired]).map(Arc::new)
    }

    /// The segments that are open.
    pub(super) fn descriptors(&self) -> &Arc<Descriptors> {
        &self.descriptors
    }

    /// Random numbers.
    pub(super) fn random(&self) -> &dyn Random {
        self.random.as_ref()
    }

    /// A number for a new file, which no other file has.
    pub(super) fn new_id(&self) -> Result<Uuid> {
        let mut bytes = [0; 16];
        self.random.fill(&mut bytes).map_err(|error| self.failed("there are no random numbers", error))?;
        Ok(uuid::Builder::from_random_bytes(bytes).into_uuid())
    }

    /// The path of a manifest, from the archive's directory on.
    pub(super) fn manifest_name(&self, version: u64) -> String {
        let path = self.manifest_path(version);
        path.strip_prefix(&self.root).unwrap_or(&path).display().to_string()
    }

    pub(super) fn manifest_path(&self, version: u64) -> PathBuf {
        self.folder(MANIFESTS).join(format!("{version:020}.json"))
    }

    pub(super) fn failed(&self, what: &str, error: io::Error) -> Error {
        io_error(format!("archive {}: {what}", self.root.display()))(error)
    }
}

/// The version whose manifest the file is.
pub(super) fn version_of(path: &Path) -> Option<u64> {
    path.file_name()?.to_str()?.strip_suffix(".json")?.parse().ok()
}

/// What the segment at `target` is called while it is written.
pub(super) fn unfinished(target: &Path) -> PathBuf {
    target.with_extension(format!("parquet.{UNFINISHED}"))
}

/// Whether a file is named as a segment, finished or not: `2022-11-01-<32 hex digits>.parquet`. Other files are not
/// the archive's, whoever put them there.
pub(super) fn is_segment(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let stem = name.strip_suffix(&format!(".{UNFINISHED}")).unwrap_or(name).strip_suffix(".parquet");
    let id = stem.and_then(|stem| stem.rsplit_once('-')).map_or("", |(_, id)| id);
    id.len() == 32 && id.bytes().all(|digit| digit.is_ascii_hexdigit())
}
