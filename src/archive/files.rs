//! The files of an archive on a local disk, and how they become durable.

use std::{
    collections::HashSet,
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, ErrorKind as IoErrorKind, Write},
    path::{Path, PathBuf},
};

use super::Manifest;
use crate::error::{Error, ErrorKind, Result};

const MANIFESTS: &str = "manifests";
const DATA: &str = "data";
const LOCK: &str = "lock";
/// The ending of a file that is not part of the archive yet. No glob for Parquet files finds it.
const UNFINISHED: &str = "tmp";

/// The directory of an archive.
#[derive(Debug)]
pub(super) struct Files {
    root: PathBuf,
}

impl Files {
    pub(super) fn new(root: PathBuf) -> Self {
        Self { root }
    }

    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    /// Makes the directories of a new archive.
    pub(super) fn create(&self) -> Result<()> {
        let message = format!("the archive {} cannot be created", self.root.display());
        match fs::read_dir(&self.root) {
            Ok(entries) => {
                let ours = [MANIFESTS, DATA, LOCK];
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
        fs::create_dir_all(self.root.join(MANIFESTS))?;
        fs::create_dir_all(self.root.join(DATA))?;
        sync_directory(&self.root)?;
        self.root.parent().filter(|parent| !parent.as_os_str().is_empty()).map_or(Ok(()), sync_directory)
    }

    /// The number of the newest manifest; `None` where there is no archive.
    pub(super) fn newest_manifest(&self) -> Result<Option<u64>> {
        let entries = match fs::read_dir(self.root.join(MANIFESTS)) {
            Ok(entries) => entries,
            Err(error) if matches!(error.kind(), IoErrorKind::NotFound | IoErrorKind::NotADirectory) => {
                return Ok(None);
            }
            Err(error) => return Err(self.failed("the manifests cannot be listed", error)),
        };
        let mut newest = None;
        for entry in entries {
            let name = entry.map_err(|error| self.failed("the manifests cannot be listed", error))?.file_name();
            let version = name.to_str().and_then(|name| name.strip_suffix(".json")?.parse::<u64>().ok());
            newest = newest.max(version);
        }
        Ok(newest)
    }

    pub(super) fn has_manifest(&self, version: u64) -> bool {
        self.manifest_path(version).exists()
    }

    pub(super) fn manifest(&self, version: u64) -> Result<Manifest> {
        let path = self.manifest_path(version);
        let message = || format!("manifest {} cannot be read", path.display());
        let text = fs::read_to_string(&path).map_err(|error| Error::with(ErrorKind::Io, message())(error))?;
        Manifest::decode(&text, version).map_err(|error| Error::with(error.kind(), message())(error))
    }

    /// Makes a manifest the newest one, in one step, and durable. Where there is one of its number already, nothing
    /// changes and the answer is `false`.
    pub(super) fn publish(&self, manifest: &Manifest) -> Result<bool> {
        let path = self.manifest_path(manifest.version);
        let unfinished = path.with_extension(UNFINISHED);
        let text = manifest.encode()?;
        let publish = || {
            let mut file = File::create(&unfinished)?;
            file.write_all(text.as_bytes())?;
            file.sync_all()?;
            // A link fails where the name is taken; a rename would replace what is there.
            let linked = match fs::hard_link(&unfinished, &path) {
                Ok(()) => true,
                Err(error) if error.kind() == IoErrorKind::AlreadyExists => false,
                Err(error) => return Err(error),
            };
            fs::remove_file(&unfinished)?;
            sync_directory(&self.root.join(MANIFESTS))?;
            Ok(linked)
        };
        publish().map_err(|error| self.failed("a manifest cannot be published", error))
    }

    /// Takes the lock of the one writer, which is free again when the file is closed, be it by a crash.
    pub(super) fn lock(&self) -> Result<File> {
        let options = OpenOptions::new().create(true).write(true).truncate(false).open(self.root.join(LOCK));
        let file = options.map_err(|error| self.failed("the lock cannot be opened", error))?;
        match file.try_lock() {
            Ok(()) => Ok(file),
            Err(TryLockError::WouldBlock) => {
                let message = format!("another process is writing to the archive {}", self.root.display());
                Err(Error::new(ErrorKind::Locked, message))
            }
            Err(TryLockError::Error(error)) => Err(self.failed("the lock cannot be taken", error)),
        }
    }

    /// A new file for the segment at `path`, which is not part of the archive before [`finish`](Self::finish).
    pub(super) fn begin(&self, path: &str) -> Result<File> {
        let target = self.root.join(path);
        let begin = || OpenOptions::new().create_new(true).write(true).open(unfinished(&target));
        begin().map_err(|error| self.failed("a segment cannot be created", error))
    }

    /// Gives a segment, whose bytes are durable, its name, durably.
    pub(super) fn finish(&self, path: &str) -> Result<()> {
        let target = self.root.join(path);
        let finish = || {
            fs::rename(unfinished(&target), &target)?;
            target.parent().map_or(Ok(()), sync_directory)
        };
        finish().map_err(|error| self.failed("a segment cannot be put in its place", error))
    }

    /// Removes the unfinished file of a segment, where there is one.
    pub(super) fn discard(&self, path: &str) {
        // What is left here, the next writer sweeps.
        let _ = fs::remove_file(unfinished(&self.root.join(path)));
    }

    /// Removes what a crash has left: files that are no part of the manifest, the newest one.
    pub(super) fn sweep(&self, manifest: &Manifest) -> Result<()> {
        let kept: HashSet<PathBuf> = manifest.segments.iter().map(|segment| self.root.join(&segment.path)).collect();
        let sweep = || {
            for file in fs::read_dir(self.root.join(DATA))? {
                let path = file?.path();
                let ours = path.extension().is_some_and(|ending| ending == UNFINISHED || ending == "parquet");
                if ours && !kept.contains(&path) {
                    fs::remove_file(&path)?;
                }
            }
            for file in fs::read_dir(self.root.join(MANIFESTS))? {
                let path = file?.path();
                if path.extension().is_some_and(|ending| ending == UNFINISHED) {
                    fs::remove_file(&path)?;
                }
            }
            Ok(())
        };
        sweep().map_err(|error| self.failed("leftovers of a crash cannot be removed", error))
    }

    fn manifest_path(&self, version: u64) -> PathBuf {
        self.root.join(MANIFESTS).join(format!("{version:020}.json"))
    }

    fn failed(&self, what: &str, error: io::Error) -> Error {
        Error::with(ErrorKind::Io, format!("archive {}: {what}", self.root.display()))(error)
    }
}

fn unfinished(target: &Path) -> PathBuf {
    target.with_extension(format!("parquet.{UNFINISHED}"))
}

fn sync_directory(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}
