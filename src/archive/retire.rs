//! Files that are no part of the newest version: out of the way at once, deleted when nobody can need them.

use std::{
    collections::HashSet,
    fs::{File, TryLockError},
    io::{self, ErrorKind as IoErrorKind},
    iter,
    path::{Path, PathBuf},
};

use super::{
    Manifest, Retired, SegmentEntry,
    files::{DATA, Files, MANIFESTS, RETIRED, UNFINISHED, is_segment, version_of},
};
use crate::error::Result;

impl Files {
    /// Moves the manifests before `version` away, so that whoever holds one of them notices that it is old.
    pub(super) fn retire_manifests(&self, version: u64) -> io::Result<()> {
        for path in self.storage.list(&self.folder(MANIFESTS))? {
            if let Some(older) = version_of(&path).filter(|other| *other < version) {
                self.storage.rename(&path, &self.retired_place(older)?)?;
            }
        }
        Ok(())
    }

    /// Where the manifest of a version lies once it is retired. One of the same number may be there, which a reader
    /// holds, where an older manifest was put back.
    fn retired_place(&self, version: u64) -> io::Result<PathBuf> {
        let folder = self.folder(RETIRED);
        let numbered = |number: u32| folder.join(format!("{version:020}.{number}.json"));
        for place in iter::once(folder.join(format!("{version:020}.json"))).chain((2..10_000).map(numbered)) {
            if self.storage.size(&place)?.is_none() {
                return Ok(place);
            }
        }
        Err(IoErrorKind::AlreadyExists.into())
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

    /// Deletes what only versions need that nobody holds, but for what is `kept`; `gone` takes the paths of the segments
    /// among it. The manifests and segments that are not part of the newest version must have been moved away before.
    pub(super) fn delete_retired(
        &self,
        manifest: &Manifest,
        kept: impl Fn(&Retired) -> bool,
        gone: &mut HashSet<String>,
    ) -> io::Result<()> {
        let mut held = Vec::new();
        for path in self.storage.list(&self.folder(RETIRED))? {
            let Some(version) = retired_version(&path) else { continue };
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
        let mut deleted = Vec::new();
        for retired in &manifest.retired {
            let is_held = held.iter().any(|version| (retired.added..retired.removed).contains(version));
            if !is_held && !gone.contains(&retired.path) && !kept(retired) {
                remove_if_there(self, &self.segment_paths(&retired.path).1)?;
                deleted.push(retired.path.clone());
            }
        }
        // The next manifest does not name them any more: were one there again after a power failure, it would be taken
        // for a segment that was put aside.
        if !deleted.is_empty() {
            self.storage.sync_directory(&self.folder(RETIRED))?;
            gone.extend(deleted);
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
            self.bring_back(&manifest.segments)?;
            for folder in [DATA, RETIRED] {
                for path in self.storage.list(&self.folder(folder))? {
                    if is_segment(&path) && is_unfinished(&path) {
                        self.storage.remove(&path)?;
                    }
                }
            }
            for path in self.storage.list(&self.folder(MANIFESTS))? {
                if is_unfinished(&path) {
                    self.storage.remove(&path)?;
                }
            }
            Ok(())
        };
        sweep().map_err(|error| self.failed("leftovers of a crash cannot be removed", error))
    }

    /// Puts those of some segments back in their place that were retired.
    pub(super) fn bring_back(&self, segments: &[SegmentEntry]) -> io::Result<()> {
        let retired: HashSet<PathBuf> = self.storage.list(&self.folder(RETIRED))?.into_iter().collect();
        let mut moved = false;
        for (place, away) in segments.iter().map(|segment| self.segment_paths(&segment.path)) {
            if retired.contains(&away) && self.storage.size(&place)?.is_none() {
                self.storage.rename(&away, &place)?;
                moved = true;
            }
        }
        if moved { self.storage.sync_directory(&self.folder(DATA)) } else { Ok(()) }
    }

    /// The finished segments that no part of a manifest names, from the archive's directory on.
    pub(super) fn strays(&self, manifest: &Manifest) -> io::Result<Vec<String>> {
        let kept = manifest.segments.iter().map(|segment| self.root().join(&segment.path));
        let retired = manifest.retired.iter().map(|retired| self.segment_paths(&retired.path).1);
        let known: HashSet<PathBuf> = kept.chain(retired).collect();
        let mut strays = Vec::new();
        for folder in [DATA, RETIRED] {
            for path in self.storage.list(&self.folder(folder))? {
                let name = path.file_name().unwrap_or_default().display().to_string();
                if is_segment(&path) && !is_unfinished(&path) && !known.contains(&path) {
                    strays.push(format!("{folder}/{name}"));
                }
            }
        }
        strays.sort_unstable();
        Ok(strays)
    }
}

fn remove_if_there(files: &Files, path: &Path) -> io::Result<()> {
    match files.storage.remove(path) {
        Err(error) if error.kind() == IoErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}

/// The version whose retired manifest the file is.
fn retired_version(path: &Path) -> Option<u64> {
    let name = path.file_name()?.to_str()?.strip_suffix(".json")?;
    name.split_once('.').map_or(name, |(version, _)| version).parse().ok()
}

fn is_unfinished(path: &Path) -> bool {
    path.extension().is_some_and(|ending| ending == UNFINISHED)
}
