//! The local file system, with a say in some of what is done to it.

use std::{
    fmt, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use flowseek::resources::{LocalStorage, ReadFile, Storage, StoredFile};

type Hook = Arc<dyn Fn(&Path) -> io::Result<()> + Send + Sync>;

/// The local file system, where a hook is asked before a file is created, and before bytes of one are read.
#[derive(Clone)]
pub struct Hooked {
    create: Hook,
    read: Hook,
}

impl Hooked {
    pub fn new(
        create: impl Fn(&Path) -> io::Result<()> + Send + Sync + 'static,
        read: impl Fn(&Path) -> io::Result<()> + Send + Sync + 'static,
    ) -> Self {
        Self { create: Arc::new(create), read: Arc::new(read) }
    }
}

impl fmt::Debug for Hooked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hooked").finish_non_exhaustive()
    }
}

impl Storage for Hooked {
    fn create(&self, path: &Path) -> io::Result<Box<dyn StoredFile>> {
        (self.create)(path)?;
        LocalStorage.create(path)
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
        LocalStorage.sync_directory(path)
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn ReadFile>> {
        let file = LocalStorage.open(path)?;
        Ok(Arc::new(HookedFile { path: path.to_owned(), file, read: Arc::clone(&self.read) }))
    }

    fn list(&self, path: &Path) -> io::Result<Vec<PathBuf>> {
        LocalStorage.list(path)
    }

    fn size(&self, path: &Path) -> io::Result<Option<u64>> {
        LocalStorage.size(path)
    }
}

struct HookedFile {
    path: PathBuf,
    file: Arc<dyn ReadFile>,
    read: Hook,
}

impl fmt::Debug for HookedFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HookedFile").field("path", &self.path).finish_non_exhaustive()
    }
}

impl ReadFile for HookedFile {
    fn size(&self) -> io::Result<u64> {
        self.file.size()
    }

    fn read_exact_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<()> {
        (self.read)(&self.path)?;
        self.file.read_exact_at(bytes, offset)
    }
}
