//! The changes of a file system that commits are made of.

use std::{
    fmt,
    fs::{self, File, OpenOptions},
    io::{self, Write},
    path::Path,
};

/// What changes the files of an archive.
///
/// Reading, and the lock of the writer, go to the file system directly; every change goes through here, so that a host
/// can watch or throttle what is written, and a test can make any single step of a commit fail.
///
/// ```
/// use flowseek::archive::{LocalStorage, Storage};
///
/// # let directory = tempfile::tempdir()?;
/// let (draft, letter) = (directory.path().join("draft"), directory.path().join("letter"));
/// let mut file = LocalStorage.create(&draft)?;
/// file.write_all(b"dear")?;
/// file.sync_all()?; // its bytes are durable
/// LocalStorage.rename(&draft, &letter)?;
/// LocalStorage.sync_directory(directory.path())?; // and so is its name
/// # Ok::<(), std::io::Error>(())
/// ```
pub trait Storage: fmt::Debug + Send + Sync {
    /// A new file for writing.
    ///
    /// # Errors
    /// [`io::ErrorKind::AlreadyExists`] where the name is taken; whatever the system says.
    fn create(&self, path: &Path) -> io::Result<Box<dyn StoredFile>>;

    /// Gives a file another name, in one step. A file that had the name is no more.
    ///
    /// # Errors
    /// Whatever the system says.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Gives a file a further name, in one step.
    ///
    /// # Errors
    /// [`io::ErrorKind::AlreadyExists`] where the name is taken; whatever the system says.
    fn hard_link(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Removes a name of a file. Whoever has the file open can go on reading it.
    ///
    /// # Errors
    /// [`io::ErrorKind::NotFound`] where there is none; whatever the system says.
    fn remove(&self, path: &Path) -> io::Result<()>;

    /// Makes a directory; where there is one, nothing changes.
    ///
    /// # Errors
    /// Whatever the system says.
    fn create_directory(&self, path: &Path) -> io::Result<()>;

    /// Makes durable which names a directory has: all that was created, renamed, linked or removed in it before.
    ///
    /// # Errors
    /// Whatever the system says.
    fn sync_directory(&self, path: &Path) -> io::Result<()>;
}

/// A file that is being written.
pub trait StoredFile: Write + Send {
    /// Makes the bytes written so far durable. Its name is durable only with its directory.
    ///
    /// # Errors
    /// Whatever the system says. What was written is then not to be trusted, and the file is to be written anew.
    fn sync_all(&mut self) -> io::Result<()>;
}

/// A local file system.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LocalStorage;

impl Storage for LocalStorage {
    fn create(&self, path: &Path) -> io::Result<Box<dyn StoredFile>> {
        Ok(Box::new(OpenOptions::new().create_new(true).write(true).open(path)?))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn hard_link(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::hard_link(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn create_directory(&self, path: &Path) -> io::Result<()> {
        match fs::create_dir(path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => Ok(()),
            made => made,
        }
    }

    fn sync_directory(&self, path: &Path) -> io::Result<()> {
        File::open(path)?.sync_all()
    }
}

impl StoredFile for File {
    fn sync_all(&mut self) -> io::Result<()> {
        Self::sync_all(self)
    }
}
