//! The local file system, with a say in what is done to it.

use std::{
    fmt, fs,
    io::{self, Write},
    path::{Path, PathBuf},
    sync::Arc,
};

use flowseek::resources::{LocalStorage, ReadFile, Storage, StoredFile};

/// What is about to be done to a file or a directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    Create,
    /// So many bytes are written at its end.
    Write(usize),
    Open,
    /// So many bytes of it are read.
    Read(usize),
    /// Its size is asked for, by its name or where it is open.
    Size,
    List,
    /// The names in a directory are made durable.
    SyncDirectory,
}

impl Step {
    /// Whether it changes nothing.
    pub fn is_read(self) -> bool {
        !matches!(self, Self::Create | Self::Write(_) | Self::SyncDirectory)
    }
}

type Hook = dyn Fn(&Path, Step) -> io::Result<()> + Send + Sync;

/// The local file system, where a hook is asked before each [`Step`]. Nothing is synced in truth.
#[derive(Clone)]
pub struct Hooked(Arc<Hook>);

impl Hooked {
    pub fn new(hook: impl Fn(&Path, Step) -> io::Result<()> + Send + Sync + 'static) -> Self {
        Self(Arc::new(hook))
    }
}

impl fmt::Debug for Hooked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Hooked")
    }
}

impl Storage for Hooked {
    fn create(&self, path: &Path) -> io::Result<Box<dyn StoredFile>> {
        (self.0)(path, Step::Create)?;
        Ok(Box::new(HookedFile { path: path.to_owned(), file: LocalStorage.create(path)?, hook: Arc::clone(&self.0) }))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        LocalStorage.rename(from, to)
    }

    fn hard_link(&self, from: &Path, to: &Path) -> io::Result<()> {
        LocalStorage.hard_link(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        LocalStorage.remove(path)
    }

    fn create_directory(&self, path: &Path) -> io::Result<()> {
        LocalStorage.create_directory(path)
    }

    fn sync_directory(&self, path: &Path) -> io::Result<()> {
        (self.0)(path, Step::SyncDirectory)?;
        fs::File::open(path).map(drop)
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn ReadFile>> {
        (self.0)(path, Step::Open)?;
        Ok(Arc::new(HookedFile { path: path.to_owned(), file: LocalStorage.open(path)?, hook: Arc::clone(&self.0) }))
    }

    fn list(&self, path: &Path) -> io::Result<Vec<PathBuf>> {
        (self.0)(path, Step::List)?;
        LocalStorage.list(path)
    }

    fn size(&self, path: &Path) -> io::Result<Option<u64>> {
        (self.0)(path, Step::Size)?;
        LocalStorage.size(path)
    }
}

/// A file that is being read or written.
struct HookedFile<F> {
    path: PathBuf,
    file: F,
    hook: Arc<Hook>,
}

impl<F> fmt::Debug for HookedFile<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HookedFile").field("path", &self.path).finish_non_exhaustive()
    }
}

impl ReadFile for HookedFile<Arc<dyn ReadFile>> {
    fn size(&self) -> io::Result<u64> {
        (self.hook)(&self.path, Step::Size)?;
        self.file.size()
    }

    fn read_exact_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<()> {
        (self.hook)(&self.path, Step::Read(bytes.len()))?;
        self.file.read_exact_at(bytes, offset)
    }
}

impl Write for HookedFile<Box<dyn StoredFile>> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        (self.hook)(&self.path, Step::Write(bytes.len()))?;
        self.file.write_all(bytes)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl StoredFile for HookedFile<Box<dyn StoredFile>> {
    fn sync_all(&mut self) -> io::Result<()> {
        Ok(())
    }
}
