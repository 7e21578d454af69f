//! What files hold, read again when they change.

use std::{
    error::Error as StdError,
    fmt, fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::{Arc, PoisonError, RwLock},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use crate::error::{Error, ErrorKind, Result};

/// A file that was changed within this time of being read may be changed again within the same tick of the file system's
/// clock, and would look the same.
const TICK: Duration = Duration::from_secs(1);
/// How soon files are read again that could not be, though they are there.
const RETRY: Duration = Duration::from_secs(1);

/// Makes a value of the bytes of files, in the order of their paths.
pub(super) type Read<T> = fn(&[Vec<u8>]) -> Result<T, Box<dyn StdError + Send + Sync>>;

/// A value that is made of the bytes of files, and made anew when they change. It stays what it was while they cannot be read
/// or make no value; the log says why. Keys of tokens are watched like this, and a server can watch its certificate.
///
/// ```
/// use flowseek::http::Watched;
///
/// let path = std::env::temp_dir().join(format!("greeting-{}", std::process::id()));
/// std::fs::write(&path, "hello")?;
/// let greeting = Watched::open(vec![path.clone()], |files| Ok(String::from_utf8(files.concat())?))?;
/// assert_eq!(*greeting.current(), "hello");
/// std::fs::write(&path, "good morning")?;
/// assert_eq!(*greeting.current(), "good morning");
/// # std::fs::remove_file(path)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Watched<T> {
    paths: Vec<PathBuf>,
    read: Read<T>,
    state: RwLock<State<T>>,
}

struct State<T> {
    value: Arc<T>,
    /// What the files looked like when they were read last.
    stamps: Vec<Stamp>,
    next_look: NextLook,
    /// What was wrong with them then, which the log has.
    failure: Option<String>,
}

/// When files are read again that look the same.
enum NextLook {
    /// They need not be.
    Never,
    /// At the next request.
    AtOnce,
    /// From then on.
    At(Instant),
}

/// What tells a file from the one that was there before.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stamp {
    Missing,
    File { inode: u64, bytes: u64, modified: (i64, i64), changed: (i64, i64) },
}

impl<T> Watched<T> {
    /// What `read` makes of the bytes of the files at `paths`.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] where `read` fails; [`ErrorKind::NotFound`] or [`ErrorKind::Io`] where a file cannot be
    /// read.
    pub fn open(paths: Vec<PathBuf>, read: Read<T>) -> Result<Self> {
        let stamps = stamps(&paths);
        let value = Arc::new(load(&paths, read)?);
        let next_look = if are_fresh(&stamps) { NextLook::AtOnce } else { NextLook::Never };
        Ok(Self { paths, read, state: RwLock::new(State { value, stamps, next_look, failure: None }) })
    }

    /// What the files hold now. To look takes a microsecond or two, so it is done on the spot.
    pub fn current(&self) -> Arc<T> {
        let stamps = stamps(&self.paths);
        if let Some(value) = self.state.read().unwrap_or_else(PoisonError::into_inner).current(&stamps) {
            return value;
        }
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        // Another request may have read them while this one waited.
        if let Some(value) = state.current(&stamps) {
            return value;
        }
        state.next_look = if are_fresh(&stamps) { NextLook::AtOnce } else { NextLook::Never };
        match load(&self.paths, self.read) {
            Ok(value) => {
                state.value = Arc::new(value);
                state.failure = None;
            }
            Err(error) => {
                if error.kind() == ErrorKind::Io {
                    state.next_look = NextLook::At(Instant::now() + RETRY);
                }
                let failure = Some(error.to_string());
                if state.failure != failure {
                    tracing::warn!(%error, "what was read of it before stays in force");
                    state.failure = failure;
                }
            }
        }
        state.stamps = stamps;
        Arc::clone(&state.value)
    }
}

impl<T> State<T> {
    /// What was read, where it need not be read again.
    fn current(&self, stamps: &[Stamp]) -> Option<Arc<T>> {
        let is_due = match self.next_look {
            NextLook::Never => false,
            NextLook::AtOnce => true,
            NextLook::At(time) => time <= Instant::now(),
        };
        (self.stamps == stamps && !is_due).then(|| Arc::clone(&self.value))
    }
}

impl<T> fmt::Debug for Watched<T> {
    /// Names the files, and nothing of what they hold.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watched").field("paths", &self.paths).finish_non_exhaustive()
    }
}

fn stamps(paths: &[PathBuf]) -> Vec<Stamp> {
    paths.iter().map(|path| stamp(path)).collect()
}

fn stamp(path: &Path) -> Stamp {
    fs::metadata(path).map_or(Stamp::Missing, |file| Stamp::File {
        inode: file.ino(),
        bytes: file.len(),
        modified: (file.mtime(), file.mtime_nsec()),
        changed: (file.ctime(), file.ctime_nsec()),
    })
}

/// Whether a change within this very moment could leave a file looking as it does. The time of its last change may be any,
/// the future included, where a clock was set or the time given by hand: it tells of such a change all the same.
fn are_fresh(stamps: &[Stamp]) -> bool {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
    let is_near = |(seconds, nanos): (i64, i64)| {
        let time = i128::from(seconds) * 1_000_000_000 + i128::from(nanos);
        i128::try_from(now).is_ok_and(|now| now.abs_diff(time) <= TICK.as_nanos())
    };
    stamps.iter().any(|stamp| match stamp {
        Stamp::Missing => false,
        Stamp::File { modified, changed, .. } => is_near(*modified) || is_near(*changed),
    })
}

fn load<T>(paths: &[PathBuf], read: Read<T>) -> Result<T> {
    let bytes = |path: &PathBuf| {
        fs::read(path).map_err(|error| {
            let missing = error.kind() == std::io::ErrorKind::NotFound;
            let kind = if missing { ErrorKind::NotFound } else { ErrorKind::Io };
            Error::with(kind, format!("{} cannot be read", path.display()))(error)
        })
    };
    let files = paths.iter().map(bytes).collect::<Result<Vec<_>>>()?;
    let names = || paths.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(" and ");
    read(&files).map_err(|error| Error::with(ErrorKind::InvalidInput, format!("{} cannot be used", names()))(error))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(files: &[Vec<u8>]) -> Result<String, Box<dyn StdError + Send + Sync>> {
        Ok(String::from_utf8(files.concat())?)
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

    /// As if the files had been written long ago: the time of their last change in the directory cannot be set.
    fn settle<T>(watched: &Watched<T>) {
        watched.state.write().unwrap().next_look = NextLook::Never;
    }

    #[test]
    fn what_is_fresh_lies_near_to_now_on_either_side() {
        let now = i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()).unwrap();
        let file = |modified: i64, changed: i64| Stamp::File {
            inode: 1,
            bytes: 1,
            modified: (modified, 0),
            changed: (changed, 0),
        };
        assert!(are_fresh(&[file(now, now - 99)]) && are_fresh(&[file(now - 99, now)]));
        assert!(are_fresh(&[file(0, 0), file(now, 0)]));
        for time in [now - 9, now + 9, now + 1_000_000, 0, -1, i64::MAX, i64::MIN] {
            assert!(!are_fresh(&[file(time, time), Stamp::Missing]), "{time}");
        }
    }

    #[test]
    fn a_file_is_read_once_though_its_time_lies_in_the_past_or_the_future() {
        for time in [SystemTime::now() - Duration::from_secs(3600), SystemTime::now() + Duration::from_secs(3600)] {
            let directory = tempfile::tempdir().unwrap();
            let path = directory.path().join("file");
            let touch = |text: &str| {
                fs::write(&path, text).unwrap();
                fs::File::options().write(true).open(&path).unwrap().set_modified(time).unwrap();
            };
            touch("one");
            let watched = Watched::open(vec![path.clone()], text).unwrap();
            settle(&watched);
            assert!(Arc::ptr_eq(&watched.current(), &watched.current()));
            // Another content is seen all the same, though the time is that of before.
            touch("three");
            assert_eq!(*watched.current(), "three");
        }
    }

    #[test]
    fn a_file_that_cannot_be_used_is_looked_at_and_logged_once() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        fs::write(&path, "good").unwrap();
        let watched = Watched::open(vec![path.clone()], text).unwrap();
        let look = || {
            settle(&watched);
            (0..5).for_each(|_| assert_eq!(*watched.current(), "good"));
            watched.state.read().unwrap().failure.clone()
        };
        assert_eq!(look(), None);
        fs::remove_file(&path).unwrap();
        let missing = look().unwrap();
        assert!(missing.contains("cannot be read"), "{missing}");
        assert!(watched.state.read().unwrap().current(&[Stamp::Missing]).is_some(), "it is looked for at each request");
        // A directory can be looked at and not read: that may pass.
        fs::create_dir(&path).unwrap();
        let unreadable = look().unwrap();
        assert_ne!(unreadable, missing);
        fs::remove_dir(&path).unwrap();
        fs::write(&path, "well").unwrap();
        assert_eq!(*watched.current(), "well");
        assert_eq!(watched.state.read().unwrap().failure, None);
    }

    #[test]
    fn a_missing_file_is_not_found() {
        let error = Watched::open(vec!["/nowhere/at/all".into()], text).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound);
    }
}
