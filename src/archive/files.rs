//! The directory of an archive: its manifests, its segments, its lock.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, ErrorKind as IoErrorKind},
    path::{Path, PathBuf},
    sync::Arc,
};

use uuid::Uuid;

use super::{Manifest, SegmentEntry, Storage, lease::Lease};
use crate::error::{Error, ErrorKind, Result};

pub(super) const MANIFESTS: &str = "manifests";
pub(super) const DATA: &str = "data";
pub(super) const RETIRED: &str = "retired";
/// Damaged files, and files that were none of the archive's, where a repair has put them.
pub(super) const QUARANTINE: &str = "quarantine";
const LOCK: &str = "lock";
/// The ending of a file that is not part of the archive yet. No glob for Parquet files finds it.
pub(super) const UNFINISHED: &str = "tmp";

/// The directory of an archive.
#[derive(Debug)]
pub(super) struct Files {
    root: PathBuf,
    pub(super) storage: Arc<dyn Storage>,
}

impl Files {
    pub(super) fn new(root: PathBuf, storage: Arc<dyn Storage>) -> Self {
        Self { root, storage }
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
        match fs::read_dir(&self.root) {
            Ok(entries) => {
                let ours = [MANIFESTS, DATA, RETIRED, LOCK];
                let foreign = entries.flatten().find(|entry| ours.iter().all(|name| entry.file_name() != **name));
                if let Some(foreign) = foreign {
                    let name = foreign.file_name();
                    let message = format!("{message}: the directory holds something else ({})", name.display());
                    return Err(Error::new(ErrorKind::InvalidInput, message));
                }
            }
            Err(error) if error.kind() == IoErrorKind::NotFound => {}
            Err(error) => return Err(Error::with(ErrorKind::Io, message)(error)),
        }
        self.make_directories().map_err(Error::with(ErrorKind::Io, message))
    }

    fn make_directories(&self) -> io::Result<()> {
        let named = |path: &&Path| !path.as_os_str().is_empty();
        let missing: Vec<&Path> = self.root.ancestors().filter(named).take_while(|path| !path.exists()).collect();
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
        let entries = match fs::read_dir(self.folder(MANIFESTS)) {
            Ok(entries) => entries,
            Err(error) if matches!(error.kind(), IoErrorKind::NotFound | IoErrorKind::NotADirectory) => {
                return Ok(None);
            }
            Err(error) => return Err(self.failed("the manifests cannot be listed", error)),
        };
        let mut newest = None;
        for entry in entries {
            let name = entry.map_err(|error| self.failed("the manifests cannot be listed", error))?.file_name();
            newest = newest.max(version_of(Path::new(&name)));
        }
        Ok(newest)
    }

    /// Whether no version follows on this one. An older version than the newest has been moved away, or has its
    /// successor beside it.
    pub(super) fn is_newest(&self, version: u64) -> bool {
        !self.has_manifest(version + 1) && self.has_manifest(version)
    }

    pub(super) fn has_manifest(&self, version: u64) -> bool {
        self.manifest_path(version).exists()
    }

    /// A manifest; `None` where it is not there, or no longer.
    pub(super) fn manifest(&self, version: u64) -> Result<Option<Manifest>> {
        let path = self.manifest_path(version);
        let message = || format!("manifest {} cannot be read", path.display());
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == IoErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(Error::with(ErrorKind::Io, message())(error)),
        };
        let decoded = Manifest::decode(&text, version);
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
            Ok(()) => Ok(path.exists().then(|| Lease::new(file))),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(self.failed("a manifest cannot be locked", error)),
        }
    }

    /// Makes a manifest the newest one, in one step, and durable. Where there is one of its number already, nothing
    /// changes and the answer is `false`.
    pub(super) fn publish(&self, manifest: &Manifest) -> Result<bool> {
        let path = self.manifest_path(manifest.version);
        let unfinished = path.with_extension(format!("{}.{UNFINISHED}", Uuid::new_v4().simple()));
        let text = manifest.encode()?;
        let publish = || {
            let mut file = self.storage.create(&unfinished)?;
            file.write_all(text.as_bytes())?;
            file.sync_all()?;
            // A link fails where the name is taken; a rename would replace what is there.
            let linked = match self.storage.hard_link(&unfinished, &path) {
                Ok(()) => true,
                Err(error) if error.kind() == IoErrorKind::AlreadyExists => false,
                Err(error) => return Err(error),
            };
            self.sync_manifests()?;
            Ok(linked)
        };
        let published = publish();
        // What is left here, the next writer sweeps.
        let _ = self.storage.remove(&unfinished);
        published.map_err(|error| self.failed("a manifest cannot be published", error))
    }

    pub(super) fn sync_manifests(&self) -> io::Result<()> {
        self.storage.sync_directory(&self.folder(MANIFESTS))
    }

    /// Takes the lock of the one writer, which is free again when the file is closed, be it by a crash.
    pub(super) fn lock(&self) -> Result<File> {
        let options = OpenOptions::new().create(true).write(true).truncate(false).open(self.root.join(LOCK));
        let file = options.map_err(|error| self.failed("the lock cannot be opened", error))?;
        match file.try_lock() {
            Ok(()) => Ok(file),
            Err(TryLockError::WouldBlock) => {
                let message = format!("another writer has the archive {}", self.root.display());
                Err(Error::new(ErrorKind::Locked, message))
            }
            Err(TryLockError::Error(error)) => Err(self.failed("the lock cannot be taken", error)),
        }
    }

    /// Where the segment at `path` lies, and where it lies once it is retired.
    pub(super) fn segment_paths(&self, path: &str) -> (PathBuf, PathBuf) {
        let place = self.root.join(path);
        let retired = self.folder(RETIRED).join(place.file_name().unwrap_or_default());
        (place, retired)
    }

    /// The file of a segment, wherever it lies; `None` where there is none.
    pub(super) fn segment_file(&self, entry: &SegmentEntry) -> Option<PathBuf> {
        let (place, retired) = self.segment_paths(&entry.path);
        [place, retired].into_iter().find(|path| path.exists())
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
        Error::with(ErrorKind::Io, format!("archive {}: {what}", self.root.display()))(error)
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
