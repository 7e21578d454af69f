//! What files hold, read again when they change.

use std::{
    fmt, fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::{Arc, PoisonError, RwLock},
    time::{Duration, SystemTime},
};

use crate::error::{Error, ErrorKind, Result};

/// A file that was changed within this time before it was read may have been changed again within the same tick of
/// the file system's clock, and would look the same.
const TICK: Duration = Duration::from_secs(1);

/// What is made of the bytes of some files. It stays what it was while they cannot be read.
pub(super) struct Watched<T> {
    paths: Vec<PathBuf>,
    read: fn(&[Vec<u8>]) -> Result<T>,
    state: RwLock<State<T>>,
}

struct State<T> {
    stamps: Vec<Option<Stamp>>,
    value: Arc<T>,
}

/// What tells a file from the one that was there before.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Stamp {
    inode: u64,
    bytes: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl<T> Watched<T> {
    /// What the files at `paths` hold, made by `read`.
    ///
    /// # Errors
    /// What `read` fails with; [`ErrorKind::NotFound`] or [`ErrorKind::Io`] where a file cannot be read.
    pub(super) fn open(paths: Vec<PathBuf>, read: fn(&[Vec<u8>]) -> Result<T>) -> Result<Self> {
        let stamps = stamps(&paths);
        let value = Arc::new(load(&paths, read)?);
        Ok(Self { paths, read, state: RwLock::new(State { stamps, value }) })
    }

    /// What the files hold now. To look takes a microsecond or two, so it is done on the spot.
    pub(super) fn current(&self) -> Arc<T> {
        let stamps = stamps(&self.paths);
        let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
        if state.stamps == stamps && stamps.iter().all(Option::is_some) {
            return Arc::clone(&state.value);
        }
        drop(state);
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        match load(&self.paths, self.read) {
            Ok(value) => state.value = Arc::new(value),
            Err(error) => tracing::warn!(%error, "what was read of it before stays in force"),
        }
        state.stamps = stamps;
        Arc::clone(&state.value)
    }
}

impl<T> fmt::Debug for Watched<T> {
    /// Names the files, and nothing of what they hold.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watched").field("paths", &self.paths).finish_non_exhaustive()
    }
}

/// The files' stamps; none of one that is not there or is too fresh to be told from its successor.
fn stamps(paths: &[PathBuf]) -> Vec<Option<Stamp>> {
    paths.iter().map(|path| stamp(path)).collect()
}

fn stamp(path: &Path) -> Option<Stamp> {
    let file = fs::metadata(path).ok()?;
    let age = SystemTime::now().duration_since(file.modified().ok()?).unwrap_or_default();
    (age > TICK).then(|| Stamp {
        inode: file.ino(),
        bytes: file.len(),
        modified: (file.mtime(), file.mtime_nsec()),
        changed: (file.ctime(), file.ctime_nsec()),
    })
}

fn load<T>(paths: &[PathBuf], read: fn(&[Vec<u8>]) -> Result<T>) -> Result<T> {
    let bytes = |path: &PathBuf| {
        fs::read(path).map_err(|error| {
            let missing = error.kind() == std::io::ErrorKind::NotFound;
            let kind = if missing { ErrorKind::NotFound } else { ErrorKind::Io };
            Error::with(kind, format!("{} cannot be read", path.display()))(error)
        })
    };
    let files = paths.iter().map(bytes).collect::<Result<Vec<_>>>()?;
    let names = || paths.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(" and ");
    read(&files).map_err(|error| Error::with(error.kind(), format!("{} cannot be used", names()))(error))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(files: &[Vec<u8>]) -> Result<String> {
        String::from_utf8(files.concat()).map_err(Error::with(ErrorKind::InvalidInput, "it is not text"))
    }

    #[test]
    fn a_change_is_seen_at_once_and_a_bad_one_changes_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        let write = |bytes: &[u8]| fs::write(&path, bytes).unwrap();
        write(b"one");
        let watched = Watched::open(vec![path.clone()], text).unwrap();
        assert_eq!(*watched.current(), "one");
        // As long, and within the same tick.
        for word in ["two", "six", "ten"] {
            write(word.as_bytes());
            assert_eq!(*watched.current(), word);
        }
        write(b"\xff");
        assert_eq!(*watched.current(), "ten");
        fs::remove_file(&path).unwrap();
        assert_eq!(*watched.current(), "ten");
        write(b"end");
        assert_eq!(*watched.current(), "end");
    }

    #[test]
    fn a_file_that_is_old_is_read_once() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        fs::write(&path, "old").unwrap();
        let hour = Duration::from_secs(3600);
        fs::File::options().write(true).open(&path).unwrap().set_modified(SystemTime::now() - hour).unwrap();
        let watched = Watched::open(vec![path], text).unwrap();
        assert!(Arc::ptr_eq(&watched.current(), &watched.current()));
    }

    #[test]
    fn a_missing_file_is_not_found() {
        let error = Watched::open(vec!["/nowhere/at/all".into()], text).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound);
    }
}
