//! The file system.

use std::{
    fmt,
    fs::{self, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    sync::Arc,
};

/// What reads and changes the files of an archive.
///
/// The lock of the writer and the shared locks of readers go to the file system directly. All else goes through here,
/// so that a host can watch or throttle it, and a test can make any single step fail.
///
/// ```
/// use flowseek::resources::{LocalStorage, ReadFile, Storage};
///
/// # let directory = tempfile::tempdir()?;
/// let (draft, letter) = (directory.path().join("draft"), directory.path().join("letter"));
/// let mut file = LocalStorage.create(&draft)?;
/// file.write_all(b"dear")?;
/// file.sync_all()?; // its bytes are durable
/// LocalStorage.rename(&draft, &letter)?;
/// LocalStorage.sync_directory(directory.path())?; // and so is its name
/// assert_eq!(LocalStorage.size(&letter)?, Some(4));
/// assert_eq!(LocalStorage.read(&letter)?, b"dear");
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

    /// Opens a file for reading.
    ///
    /// # Errors
    /// [`io::ErrorKind::NotFound`] where there is none; whatever the system says.
    fn open(&self, path: &Path) -> io::Result<Arc<dyn ReadFile>>;

    /// The paths of all that a directory has, in no order.
    ///
    /// # Errors
    /// [`io::ErrorKind::NotFound`] where there is none; whatever the system says.
    fn list(&self, path: &Path) -> io::Result<Vec<PathBuf>>;

    /// The bytes of a file; `None` where there is nothing of this name.
    ///
    /// # Errors
    /// Whatever the system says. That it cannot tell is no sign that there is nothing.
    fn size(&self, path: &Path) -> io::Result<Option<u64>>;

    /// All bytes of a file.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        let file = self.open(path)?;
        let size = usize::try_from(file.size()?).map_err(|_| io::ErrorKind::OutOfMemory)?;
        let mut bytes = vec![0; size];
        file.read_exact_at(&mut bytes, 0)?;
        Ok(bytes)
    }
}

/// A file that is open for reading. It can be read to its end, even where its name is removed meanwhile.
///
/// ```
/// use flowseek::resources::{LocalStorage, ReadFile, Storage};
///
/// # let directory = tempfile::tempdir()?;
/// let path = directory.path().join("letter");
/// std::fs::write(&path, "dear")?;
/// let file = LocalStorage.open(&path)?;
/// let mut bytes = [0; 2];
/// file.read_exact_at(&mut bytes, 1)?;
/// assert_eq!((file.size()?, &bytes), (4, b"ea"));
/// # Ok::<(), std::io::Error>(())
/// ```
pub trait ReadFile: fmt::Debug + Send + Sync {
    /// Its bytes.
    ///
    /// # Errors
    /// Whatever the system says.
    fn size(&self) -> io::Result<u64>;

    /// Fills `bytes` with those from `offset` on.
    ///
    /// # Errors
    /// [`io::ErrorKind::UnexpectedEof`] where the file ends before; whatever the system says.
    fn read_exact_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<()>;
}

/// A file that is being written.
///
/// ```
/// use flowseek::resources::{LocalStorage, Storage, StoredFile};
///
/// # let directory = tempfile::tempdir()?;
/// let path = directory.path().join("letter");
/// let mut file: Box<dyn StoredFile> = LocalStorage.create(&path)?;
/// file.write_all(b"dear")?;
/// file.sync_all()?; // its bytes are durable
/// assert_eq!(LocalStorage.read(&path)?, b"dear");
/// # Ok::<(), std::io::Error>(())
/// ```
pub trait StoredFile: Write + Send {
    /// Makes the bytes written so far durable. Its name is durable only with its directory.
    ///
    /// # Errors
    /// Whatever the system says. What was written is then not to be trusted, and the file is to be written anew.
    fn sync_all(&mut self) -> io::Result<()>;
}

/// A local file system.
///
/// ```
/// use flowseek::resources::{LocalStorage, Storage};
///
/// # let directory = tempfile::tempdir()?;
/// let path = directory.path().join("letter");
/// assert_eq!(LocalStorage.size(&path)?, None);
/// std::fs::write(&path, "dear")?;
/// assert_eq!(LocalStorage.size(&path)?, Some(4));
/// assert_eq!(LocalStorage.list(directory.path())?, [path]);
/// # Ok::<(), std::io::Error>(())
/// ```
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

    fn open(&self, path: &Path) -> io::Result<Arc<dyn ReadFile>> {
        Ok(Arc::new(File::open(path)?))
    }

    fn list(&self, path: &Path) -> io::Result<Vec<PathBuf>> {
        fs::read_dir(path)?.map(|entry| entry.map(|entry| entry.path())).collect()
    }

    fn size(&self, path: &Path) -> io::Result<Option<u64>> {
        match fs::metadata(path) {
            Ok(metadata) => Ok(Some(metadata.len())),
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

impl ReadFile for File {
    fn size(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }

    fn read_exact_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<()> {
        FileExt::read_exact_at(self, bytes, offset)
    }
}

impl StoredFile for File {
    fn sync_all(&mut self) -> io::Result<()> {
        Self::sync_all(self)
    }
}
