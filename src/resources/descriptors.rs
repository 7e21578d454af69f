//! File descriptors.

use std::{
    collections::HashMap,
    io,
    ops::Deref,
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use rustix::process::{Resource, getrlimit};

use super::{ReadFile, Storage, failure::lacks_descriptors};

/// More descriptors than this gain nothing.
const MOST: u64 = 1024;
/// How often, and how long each time, it is waited where the process has no descriptor left.
const WAITS: (usize, Duration) = (20, Duration::from_millis(50));

static NEXT_NUMBER: AtomicU64 = AtomicU64::new(0);

/// How many segments an archive has open at a time where [`Settings::open_files`](crate::Settings::open_files) does not
/// say: a quarter of what the process may open, at least 8 and at most 1,024.
pub fn default_open_files() -> usize {
    let limit = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    usize::try_from((limit / 4).clamp(8, MOST)).unwrap_or(usize::MAX)
}

/// The open files of an archive, in a table that others may share.
#[derive(Debug)]
pub(crate) struct Descriptors {
    storage: Arc<dyn Storage>,
    /// What its files are known by in the table.
    owner: u64,
    table: Arc<DescriptorTable>,
}

/// Open files, at most so many. A file is opened when it is read; the file that was not read for the longest time is
/// closed for it. A file that is being read stays open.
#[derive(Debug)]
pub(crate) struct DescriptorTable {
    limit: usize,
    table: Mutex<Table>,
    /// A file is no longer being read.
    freed: Condvar,
}

#[derive(Debug, Default)]
struct Table {
    open: HashMap<u64, Open>,
    /// Files that are being opened.
    opening: usize,
    /// Counts the uses.
    clock: u64,
}

#[derive(Debug)]
struct Open {
    owner: u64,
    file: Arc<dyn ReadFile>,
    /// How many are reading it.
    readers: usize,
    /// The last use.
    used: u64,
}

/// A file that is open for as long as this lives.
pub(super) struct InUse<'a> {
    table: &'a DescriptorTable,
    number: u64,
    file: Arc<dyn ReadFile>,
}

impl Descriptors {
    /// Files of `storage`, in a table.
    pub(crate) fn new(storage: Arc<dyn Storage>, table: Arc<DescriptorTable>) -> Self {
        Self { storage, owner: Self::next_number(), table }
    }

    pub(crate) fn storage(&self) -> &dyn Storage {
        self.storage.as_ref()
    }

    /// A number for a file, which no other file of this process has.
    pub(super) fn next_number() -> u64 {
        NEXT_NUMBER.fetch_add(1, Ordering::Relaxed)
    }

    /// The file with this number, opened by `open` where it is not open.
    pub(super) fn file(&self, number: u64, open: impl Fn() -> io::Result<Arc<dyn ReadFile>>) -> io::Result<InUse<'_>> {
        self.table.file(self.owner, number, open)
    }

    /// Closes all its files that nobody is reading.
    pub(crate) fn close_idle(&self) {
        self.table.close_idle(|open| open.owner == self.owner);
    }

    /// Closes a file that is not needed any more.
    pub(super) fn close(&self, number: u64) {
        self.table.close(number);
    }
}

impl DescriptorTable {
    /// A table of at most `limit` files.
    pub(crate) fn new(limit: usize) -> Self {
        Self { limit: limit.max(1), table: Mutex::default(), freed: Condvar::new() }
    }

    /// How many files are open.
    pub(crate) fn open_files(&self) -> usize {
        let table = self.table();
        table.open.len() + table.opening
    }

    /// The file with this number, of an owner, opened by `open` where it is not open.
    fn file(&self, owner: u64, number: u64, open: impl Fn() -> io::Result<Arc<dyn ReadFile>>) -> io::Result<InUse<'_>> {
        if let Some(file) = self.reserve(number) {
            return Ok(self.in_use(number, file));
        }
        let opened = self.open(&open);
        let mut table = self.table();
        table.opening -= 1;
        let file = match opened {
            Ok(file) => {
                table.clock += 1;
                let used = table.clock;
                // Another reader may have opened it meanwhile: then one of the two descriptors is closed.
                let open = table.open.entry(number).or_insert(Open { owner, file, readers: 0, used });
                open.readers += 1;
                Ok(Arc::clone(&open.file))
            }
            Err(error) => Err(error),
        };
        drop(table);
        self.freed.notify_all();
        file.map(|file| self.in_use(number, file))
    }

    /// The file, if it is open. Otherwise there is room for it now, and `opening` counts it.
    fn reserve(&self, number: u64) -> Option<Arc<dyn ReadFile>> {
        let mut table = self.table();
        loop {
            table.clock += 1;
            let used = table.clock;
            if let Some(open) = table.open.get_mut(&number) {
                open.readers += 1;
                open.used = used;
                return Some(Arc::clone(&open.file));
            }
            if table.open.len() + table.opening < self.limit {
                table.opening += 1;
                return None;
            }
            let idle = table.open.iter().filter(|(_, open)| open.readers == 0);
            match idle.min_by_key(|(_, open)| open.used).map(|(number, _)| *number) {
                Some(oldest) => drop(table.open.remove(&oldest)),
                None => table = self.freed.wait(table).unwrap_or_else(PoisonError::into_inner),
            }
        }
    }

    /// Opens a file. Where the process has no descriptor left, the idle ones are closed, and it is waited a little: the
    /// descriptors of a host come and go. They do so by the clock of the system, whatever clock the archive has.
    fn open(&self, open: &impl Fn() -> io::Result<Arc<dyn ReadFile>>) -> io::Result<Arc<dyn ReadFile>> {
        let (waits, pause) = WAITS;
        for _ in 0..waits {
            match open() {
                Err(error) if lacks_descriptors(&error) => {
                    if !self.close_idle(|_| true) {
                        std::thread::sleep(pause);
                    }
                }
                opened => return opened,
            }
        }
        open()
    }

    /// Closes those of some files that nobody is reading. Whether there were any.
    fn close_idle(&self, is_one: impl Fn(&Open) -> bool) -> bool {
        let mut table = self.table();
        let before = table.open.len();
        table.open.retain(|_, open| open.readers > 0 || !is_one(open));
        before > table.open.len()
    }

    fn close(&self, number: u64) {
        self.table().open.remove(&number);
        self.freed.notify_all();
    }

    fn in_use(&self, number: u64, file: Arc<dyn ReadFile>) -> InUse<'_> {
        InUse { table: self, number, file }
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Deref for InUse<'_> {
    type Target = dyn ReadFile;

    fn deref(&self) -> &Self::Target {
        self.file.as_ref()
    }
}

impl Drop for InUse<'_> {
    fn drop(&mut self) {
        if let Some(open) = self.table.table().open.get_mut(&self.number) {
            open.readers -= 1;
        }
        self.table.freed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, path::PathBuf, thread};

    use super::{super::LocalStorage, *};

    fn files(count: usize) -> (tempfile::TempDir, Vec<PathBuf>) {
        let directory = tempfile::tempdir().unwrap();
        let paths: Vec<PathBuf> = (0..count).map(|n| directory.path().join(n.to_string())).collect();
        paths.iter().enumerate().for_each(|(n, path)| fs::write(path, [n as u8]).unwrap());
        (directory, paths)
    }

    fn byte(table: &Descriptors, paths: &[PathBuf], number: usize) -> u8 {
        let file = table.file(number as u64, || table.storage().open(&paths[number])).unwrap();
        assert!(table.table.open_files() <= table.table.limit);
        let mut byte = [0];
        file.read_exact_at(&mut byte, 0).unwrap();
        byte[0]
    }

    #[test]
    fn more_files_are_read_than_may_be_open_by_more_threads_than_may_have_one() {
        let (_directory, paths) = files(50);
        let table = Descriptors::new(Arc::new(LocalStorage), Arc::new(DescriptorTable::new(3)));
        thread::scope(|scope| {
            for offset in 0..8 {
                let (table, paths) = (&table, &paths);
                scope.spawn(move || {
                    for step in 0..500 {
                        let number = (offset * 7 + step * 11) % 50;
                        assert_eq!(byte(table, paths, number), number as u8);
                    }
                });
            }
        });
        assert_eq!(table.table.open_files(), 3);
        table.close_idle();
        assert_eq!(table.table.open_files(), 0);
    }

    #[test]
    fn the_file_that_was_not_read_for_the_longest_time_is_closed() {
        let (_directory, paths) = files(3);
        let table = Descriptors::new(Arc::new(LocalStorage), Arc::new(DescriptorTable::new(2)));
        for number in [0, 1, 0, 2] {
            byte(&table, &paths, number);
        }
        let open = table.table.table();
        assert!(open.open.contains_key(&0) && !open.open.contains_key(&1));
    }

    #[test]
    fn who_closes_its_files_closes_none_of_others() {
        let (_directory, paths) = files(4);
        let table = Arc::new(DescriptorTable::new(4));
        let one = Descriptors::new(Arc::new(LocalStorage), Arc::clone(&table));
        let other = Descriptors::new(Arc::new(LocalStorage), Arc::clone(&table));
        for number in [0, 1] {
            byte(&one, &paths, number);
            byte(&other, &paths, number + 2);
        }
        one.close_idle();
        assert_eq!(table.open_files(), 2);
        assert!(table.table().open.keys().all(|number| [2, 3].contains(number)));
    }
}
