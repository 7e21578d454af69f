//! A file system that fails where a test wants it to, and forgets what was not synced when it crashes.

use std::{
    collections::HashSet,
    fmt,
    fs::{self, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard},
};

use flowseek::resources::{LocalStorage, ReadFile, Storage, StoredFile};

use crate::folder::Folder;

/// What happens at a step.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Fault {
    #[default]
    Never,
    /// The step fails, once.
    At(usize),
    /// The step is done, and yet an error comes back, once.
    AfterAll(usize),
    /// The step fails, and so does everything after it.
    CrashAt(usize),
    /// What is written fails with this error, until further notice.
    NoWrites(io::ErrorKind),
}

/// What a crash takes with it of what was not synced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// Nothing: the process was killed.
    Nothing,
    /// The bytes of files.
    Bytes,
    /// These and the names: the power has failed.
    All,
}

impl Loss {
    pub const EACH: [Self; 3] = [Self::Nothing, Self::Bytes, Self::All];
}

/// A directory of the local file system, with faults. Nothing is synced in truth.
#[derive(Clone)]
pub struct Faulty(Arc<Mutex<State>>);

struct State {
    fault: Fault,
    steps: usize,
    has_struck: bool,
    is_down: bool,
    /// How to take back what was done to names and not synced, in the order it was done.
    undo: Vec<Undo>,
    /// The inodes of files with bytes that are not synced.
    unsynced: HashSet<u64>,
    /// What was removed.
    removed: Folder,
}

struct Undo {
    /// The step is durable as soon as one of these directories is synced.
    directories: Vec<PathBuf>,
    change: Change,
}

enum Change {
    Made(PathBuf),
    Renamed { from: PathBuf, to: PathBuf },
    Removed { path: PathBuf, kept: PathBuf },
}

impl fmt::Debug for Faulty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Faulty")
    }
}

impl Faulty {
    pub fn new() -> Self {
        Self(Arc::new(Mutex::new(State {
            fault: Fault::Never,
            steps: 0,
            has_struck: false,
            is_down: false,
            undo: Vec::new(),
            unsynced: HashSet::new(),
            removed: Folder::new(),
        })))
    }

    /// From now on steps are counted from 1 on, and this happens.
    pub fn set(&self, fault: Fault) {
        let mut state = self.state();
        (state.fault, state.steps, state.has_struck) = (fault, 0, false);
    }

    /// Whether the fault has happened.
    pub fn has_struck(&self) -> bool {
        self.state().has_struck
    }

    /// What is left in `root` when the machine comes up again.
    pub fn restart(&self, loss: Loss, root: &Path) {
        let mut state = self.state();
        let undo = std::mem::take(&mut state.undo);
        if loss == Loss::All {
            undo.into_iter().rev().for_each(|undo| undo.change.take_back());
        }
        if matches!(loss, Loss::Bytes | Loss::All) {
            truncate(root, &state.unsynced);
        }
        state.unsynced.clear();
        (state.fault, state.is_down) = (Fault::Never, false);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    /// Does a step, or what a fault makes of it.
    fn step<T>(&self, is_write: bool, step: impl FnOnce(&mut State) -> io::Result<T>) -> io::Result<T> {
        let mut state = self.state();
        let failed = || io::Error::other("injected");
        if state.is_down {
            return Err(failed());
        }
        state.steps += 1;
        let at = state.steps;
        match state.fault {
            Fault::At(n) if n == at => {}
            Fault::CrashAt(n) if n == at => state.is_down = true,
            Fault::AfterAll(n) if n == at => {
                state.has_struck = true;
                return step(&mut state).and_then(|_| Err(failed()));
            }
            Fault::NoWrites(kind) if is_write => {
                state.has_struck = true;
                return Err(kind.into());
            }
            _ => return step(&mut state),
        }
        state.has_struck = true;
        Err(failed())
    }
}

impl Change {
    fn take_back(self) {
        match self {
            Self::Made(path) if path.is_dir() => fs::remove_dir_all(path).unwrap(),
            Self::Made(path) => fs::remove_file(path).unwrap(),
            Self::Renamed { from, to } => fs::rename(to, from).unwrap(),
            Self::Removed { path, kept } => fs::rename(kept, path).unwrap(),
        }
    }
}

fn truncate(folder: &Path, inodes: &HashSet<u64>) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries {
        let path = entry.unwrap().path();
        let metadata = fs::metadata(&path).unwrap();
        if metadata.is_dir() {
            truncate(&path, inodes);
        } else if inodes.contains(&metadata.ino()) {
            OpenOptions::new().write(true).truncate(true).open(&path).unwrap();
        }
    }
}

fn folder(path: &Path) -> PathBuf {
    path.parent().unwrap().to_owned()
}

impl State {
    fn remember(&mut self, directories: Vec<PathBuf>, change: Change) {
        self.undo.push(Undo { directories, change });
    }
}

impl Storage for Faulty {
    fn create(&self, path: &Path) -> io::Result<Box<dyn StoredFile>> {
        self.step(true, |state| {
            let file = OpenOptions::new().create_new(true).write(true).open(path)?;
            let inode = file.metadata()?.ino();
            state.unsynced.insert(inode);
            state.remember(vec![folder(path)], Change::Made(path.to_owned()));
            let storage = self.clone();
            Ok(Box::new(FaultyFile { file, inode, storage }) as Box<dyn StoredFile>)
        })
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.step(false, |state| {
            assert!(!from.exists() || !to.exists(), "{} is replaced", to.display());
            fs::rename(from, to)?;
            let change = Change::Renamed { from: from.to_owned(), to: to.to_owned() };
            state.remember(vec![folder(from), folder(to)], change);
            Ok(())
        })
    }

    fn hard_link(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.step(false, |state| {
            fs::hard_link(from, to)?;
            state.remember(vec![folder(to)], Change::Made(to.to_owned()));
            Ok(())
        })
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.step(false, |state| {
            let kept = state.removed.path().join(state.undo.len().to_string() + "-" + &state.steps.to_string());
            fs::rename(path, &kept)?;
            state.remember(vec![folder(path)], Change::Removed { path: path.to_owned(), kept });
            Ok(())
        })
    }

    fn create_directory(&self, path: &Path) -> io::Result<()> {
        self.step(false, |state| {
            if !path.is_dir() {
                fs::create_dir(path)?;
                state.remember(vec![folder(path)], Change::Made(path.to_owned()));
            }
            Ok(())
        })
    }

    fn sync_directory(&self, path: &Path) -> io::Result<()> {
        self.step(false, |state| {
            File::open(path)?;
            state.undo.retain(|undo| !undo.directories.iter().any(|directory| directory == path));
            Ok(())
        })
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn ReadFile>> {
        LocalStorage.open(path)
    }

    fn list(&self, path: &Path) -> io::Result<Vec<PathBuf>> {
        LocalStorage.list(path)
    }

    fn size(&self, path: &Path) -> io::Result<Option<u64>> {
        LocalStorage.size(path)
    }
}

struct FaultyFile {
    file: File,
    inode: u64,
    storage: Faulty,
}

impl Write for FaultyFile {
    /// A write that fails has come half way.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let Self { file, storage, .. } = self;
        let written = storage.step(true, |_| file.write_all(bytes).map(|()| bytes.len()));
        if written.is_err() && !storage.state().is_down {
            let _ = file.write_all(&bytes[..bytes.len() / 2]);
        }
        written
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl StoredFile for FaultyFile {
    fn sync_all(&mut self) -> io::Result<()> {
        let inode = self.inode;
        self.storage.step(true, |state| {
            state.unsynced.remove(&inode);
            Ok(())
        })
    }
}
