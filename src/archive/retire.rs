//! Files that are no part of the newest version: out of the way at once, deleted when nobody can need them.

use std::{
    collections::HashSet,
    fs::{File, TryLockError},
    io::{self, ErrorKind as IoErrorKind},
    path::{Path, PathBuf},
};

use super::{
    Manifest,
    files::{DATA, Files, MANIFESTS, RETIRED, UNFINISHED, version_of},
};
use crate::error::Result;

impl Files {
    /// Moves the manifests before `version` away, so that whoever holds one of them notices that it is old.
    pub(super) fn retire_manifests(&self, version: u64) -> io::Result<()> {
        for path in self.storage.list(&self.folder(MANIFESTS))? {
            if let Some((_, name)) = version_of(&path).filter(|other| *other < version).zip(path.file_name()) {
                self.storage.rename(&path, &self.folder(RETIRED).join(name))?;
            }
        }
        Ok(())
    }

    /// Moves the retired segments of a manifest to where no glob for `data` finds them.
    pub(super) fn retire_segments(&self, manifest: &Manifest) -> io::Result<()> {
        let mut moved = false;
        for retired in &manifest.retired {
            let (place, away) = self.segment_paths(&retired.path);
            if self.storage.size(&place)?.is_some() {
                self.storage.rename(&place, &away)?;
                moved = true;
            }
        }
        if moved { self.storage.sync_directory(&self.folder(DATA)) } else { Ok(()) }
    }

    /// Deletes what only versions need that nobody holds; `gone` takes the paths of the segments among it. The
    /// manifests and segments that are not part of the newest version must have been moved away before.
    pub(super) fn delete_retired(&self, manifest: &Manifest, gone: &mut HashSet<String>) -> io::Result<()> {
        let mut held = Vec::new();
        for path in self.storage.list(&self.folder(RETIRED))? {
            let Some(version) = version_of(&path) else { continue };
            let file = File::open(&path)?;
            match file.try_lock() {
                // While it is locked no reader can come to hold it, and afterwards its name is no more.
                Ok(()) => {
                    self.storage.remove(&path)?;
                    file.unlock()?;
                }
                Err(TryLockError::WouldBlock) => held.push(version),
                Err(TryLockError::Error(error)) => return Err(error),
            }
        }
        for retired in &manifest.retired {
            let is_held = held.iter().any(|version| (retired.added..retired.removed).contains(version));
            if !is_held && !gone.contains(&retired.path) {
                remove_if_there(self, &self.segment_paths(&retired.path).1)?;
                gone.insert(retired.path.clone());
            }
        }
        Ok(())
    }

    /// Finishes or undoes what a crash has left half done. `manifest` is the newest one.
    pub(super) fn sweep(&self, manifest: &Manifest) -> Result<()> {
        let sweep = || {
            if self.storage.size(&self.folder(RETIRED))?.is_none() {
                self.storage.create_directory(&self.folder(RETIRED))?;
                self.storage.sync_directory(self.root())?;
            }
            self.retire_manifests(manifest.version)?;
            self.retire_segments(manifest)?;
            let kept = manifest.segments.iter().map(|segment| self.root().join(&segment.path));
            let retired = manifest.retired.iter().map(|retired| self.segment_paths(&retired.path).1);
            let kept: HashSet<PathBuf> = kept.chain(retired).collect();
            for folder in [DATA, RETIRED] {
                for path in self.storage.list(&self.folder(folder))?.into_iter().filter(|path| is_segment(path)) {
                    if !kept.contains(&path) {
                        self.storage.remove(&path)?;
                    }
                }
            }
            for path in self.storage.list(&self.folder(MANIFESTS))? {
                if path.extension().is_some_and(|ending| ending == UNFINISHED) {
                    self.storage.remove(&path)?;
                }
            }
            Ok(())
        };
        sweep().map_err(|error| self.failed("leftovers of a crash cannot be removed", error))
    }
}

fn remove_if_there(files: &Files, path: &Path) -> io::Result<()> {
    match files.storage.remove(path) {
        Err(error) if error.kind() == IoErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}

/// Whether a file is named as a segment, finished or not: `2022-11-01-<32 hex digits>.parquet`. Other files are not
/// the archive's, whoever put them there.
pub(super) fn is_segment(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let stem = name.strip_suffix(&format!(".{UNFINISHED}")).unwrap_or(name).strip_suffix(".parquet");
    let id = stem.and_then(|stem| stem.rsplit_once('-')).map_or("", |(_, id)| id);
    id.len() == 32 && id.bytes().all(|digit| digit.is_ascii_hexdigit())
}
