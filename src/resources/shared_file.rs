//! A file that need not stay open.

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{Descriptors, LocalStorage, ReadFile, descriptors::DescriptorTable};

/// A file that is read now and then. It is open while it is read, and for as long as its table of descriptors has room.
#[derive(Debug)]
pub(crate) struct SharedFile {
    /// Unique in this process.
    number: u64,
    /// Where it lies, or lies later.
    places: Vec<PathBuf>,
    size: u64,
    table: Arc<Descriptors>,
}

impl SharedFile {
    /// The file at the first of `places` where there is one. It may be moved to a later one.
    ///
    /// # Errors
    /// [`io::ErrorKind::NotFound`] where there is none; whatever the system says.
    pub(crate) fn open(table: &Arc<Descriptors>, places: Vec<PathBuf>) -> io::Result<Self> {
        let mut file = Self { number: Descriptors::next_number(), places, size: 0, table: Arc::clone(table) };
        file.size = file.table.file(file.number, || file.find())?.size()?;
        Ok(file)
    }

    /// A file of the local file system that shares its descriptor with nobody.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub(crate) fn alone(path: &Path) -> io::Result<Self> {
        let table = Arc::new(DescriptorTable::new(1));
        Self::open(&Arc::new(Descriptors::new(Arc::new(LocalStorage), table)), vec![path.to_owned()])
    }

    /// Where it was at first.
    pub(crate) fn path(&self) -> &Path {
        self.places.first().map_or(Path::new(""), PathBuf::as_path)
    }

    /// Its bytes.
    pub(crate) fn size(&self) -> u64 {
        self.size
    }

    /// Reads the bytes from `offset` on. This blocks on the file system.
    ///
    /// # Errors
    /// [`io::ErrorKind::UnexpectedEof`] where the file ends before; whatever the system says.
    pub(crate) fn read_exact_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<()> {
        self.table.file(self.number, || self.find())?.read_exact_at(bytes, offset)
    }

    fn find(&self) -> io::Result<Arc<dyn ReadFile>> {
        let mut found = Err(io::ErrorKind::NotFound.into());
        // It may be moved between two looks, from one place to the next, and never back.
        for place in &self.places {
            found = self.table.storage().open(place);
            if !matches!(&found, Err(error) if error.kind() == io::ErrorKind::NotFound) {
                break;
            }
        }
        found
    }
}

impl Drop for SharedFile {
    fn drop(&mut self) {
        self.table.close(self.number);
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_file_that_is_moved_while_it_is_closed_is_found_again() {
        let directory = tempfile::tempdir().unwrap();
        let places: Vec<PathBuf> = ["data", "retired"].iter().map(|name| directory.path().join(name)).collect();
        fs::write(&places[0], "flow").unwrap();
        let open = Arc::new(DescriptorTable::new(1));
        let table = Arc::new(Descriptors::new(Arc::new(LocalStorage), Arc::clone(&open)));
        let file = SharedFile::open(&table, places.clone()).unwrap();
        table.close_idle();
        fs::rename(&places[0], &places[1]).unwrap();
        let mut bytes = [0; 2];
        file.read_exact_at(&mut bytes, 2).unwrap();
        assert_eq!((&bytes, file.size()), (b"ow", 4));
        assert_eq!(file.read_exact_at(&mut bytes, 3).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
        assert_eq!(open.open_files(), 1);
        drop(file);
        assert_eq!(open.open_files(), 0);
    }
}
