//! The lock of the one writer.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, ErrorKind as IoErrorKind, Read, Write},
    os::unix::fs::MetadataExt,
    path::PathBuf,
    process,
};

use super::files::{Files, LOCK};
use crate::error::{Error, ErrorKind, Result};

/// How often the file is opened again when somebody has removed it just then.
const ATTEMPTS: usize = 100;

/// The right to write to an archive: a locked file. It is free again when this is dropped, and when the process ends.
#[derive(Debug)]
pub(super) struct WriterLock {
    file: File,
    path: PathBuf,
}

impl Files {
    /// Takes the lock.
    ///
    /// # Errors
    /// [`ErrorKind::Locked`] where another writer has it; [`ErrorKind::NotFound`] where the directory is there no more.
    pub(super) fn lock(&self) -> Result<WriterLock> {
        let path = self.folder(LOCK);
        for _ in 0..ATTEMPTS {
            let file = match OpenOptions::new().create(true).read(true).write(true).truncate(false).open(&path) {
                Ok(file) => file,
                Err(error) if error.kind() == IoErrorKind::NotFound => {
                    let message = format!("the archive {} is not there any more", self.root().display());
                    return Err(Error::with(ErrorKind::NotFound, message)(error));
                }
                Err(error) => return Err(self.failed("the lock cannot be opened", error)),
            };
            match file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => {
                    let holder = holder(file).map_or_else(String::new, |process| format!(" (process {process})"));
                    let message = format!("another writer{holder} has the archive {}", self.root().display());
                    return Err(Error::new(ErrorKind::Locked, message));
                }
                Err(TryLockError::Error(error)) => return Err(self.failed("the lock cannot be taken", error)),
            }
            let lock = WriterLock { file, path: path.clone() };
            // What was locked may have been removed between the two calls: then the next process locks another file.
            if lock.is_in_place().map_err(|error| self.failed("the lock cannot be looked at", error))? {
                lock.sign();
                return Ok(lock);
            }
        }
        Err(Error::new(ErrorKind::Busy, format!("the lock of the archive {} keeps vanishing", self.root().display())))
    }
}

/// The number of the process that has the lock, where it says so.
fn holder(mut lock: File) -> Option<u32> {
    let mut text = String::new();
    Read::by_ref(&mut lock).take(16).read_to_string(&mut text).ok()?;
    text.trim_end().parse().ok()
}

impl WriterLock {
    /// Says in the file which process has it. Where that fails, as the disk is full, others are told none.
    fn sign(&self) {
        let sign = || {
            self.file.set_len(0)?;
            writeln!(&self.file, "{}", process::id())
        };
        let _: io::Result<()> = sign();
    }

    /// Whether another process would have to take this very lock: its file was not removed, nor its directory.
    pub(super) fn is_in_place(&self) -> io::Result<bool> {
        let ours = self.file.metadata()?;
        match fs::metadata(&self.path) {
            Ok(there) => Ok((there.dev(), there.ino()) == (ours.dev(), ours.ino())),
            Err(error) if matches!(error.kind(), IoErrorKind::NotFound | IoErrorKind::NotADirectory) => Ok(false),
            Err(error) => Err(error),
        }
    }
}

impl Drop for WriterLock {
    fn drop(&mut self) {
        // A process that this one is just starting has the file open too: closing it alone would not free the lock.
        let _ = self.file.unlock();
    }
}
