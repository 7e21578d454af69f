//! Where files are kept that are damaged, or that no manifest names.

use std::{io, path::PathBuf};

use super::files::{Files, QUARANTINE};
use crate::error::Result;

/// The folder. It is made when the first file comes.
pub(super) struct Quarantine<'a> {
    files: &'a Files,
    taken: Vec<String>,
}

impl<'a> Quarantine<'a> {
    pub(super) fn new(files: &'a Files) -> Self {
        Self { files, taken: Vec::new() }
    }

    /// Keeps a file of the archive, which stays where it is until the next version retires it.
    ///
    /// # Errors
    /// [`ErrorKind::Io`](crate::ErrorKind::Io).
    pub(super) fn link(&mut self, path: &str) -> Result<()> {
        let failed = |error| self.files.failed(&format!("{path} cannot be looked for"), error);
        match self.files.place_of(path).map_err(failed)? {
            Some(from) => self.keep(path, |to| self.files.storage.hard_link(&from, to)),
            None => Ok(()),
        }
    }

    /// Moves a file away that is none of the archive's. Its new name is durable with [`sync`](Self::sync): without that, a
    /// power failure leaves the file under one of the two names.
    ///
    /// # Errors
    /// [`ErrorKind::Io`](crate::ErrorKind::Io).
    pub(super) fn take_away(&mut self, path: &str) -> Result<()> {
        let from = self.files.root().join(path);
        self.keep(path, |to| self.files.storage.rename(&from, to))
    }

    /// Takes note of a file that was moved away already.
    pub(super) fn note(&mut self, path: &str) {
        self.taken.push(path.to_owned());
    }

    /// Makes durable what was kept.
    ///
    /// # Errors
    /// [`ErrorKind::Io`](crate::ErrorKind::Io).
    pub(super) fn sync(&self) -> Result<()> {
        if self.taken.is_empty() {
            return Ok(());
        }
        let synced = self.files.storage.sync_directory(&self.files.folder(QUARANTINE));
        synced.map_err(|error| self.files.failed("the quarantine cannot be made durable", error))
    }

    /// The paths of the files that were kept, where they were.
    pub(super) fn taken(self) -> Vec<String> {
        self.taken
    }

    fn keep(&mut self, path: &str, put: impl FnOnce(&PathBuf) -> io::Result<()>) -> Result<()> {
        let kept = self.make_folder().and_then(|()| put(&self.free_name(path)?));
        kept.map_err(|error| self.files.failed(&format!("{path} cannot be put into quarantine"), error))?;
        self.taken.push(path.to_owned());
        Ok(())
    }

    fn make_folder(&self) -> io::Result<()> {
        let folder = self.files.folder(QUARANTINE);
        if self.files.storage.size(&folder)?.is_some() {
            return Ok(());
        }
        self.files.storage.create_directory(&folder)?;
        self.files.storage.sync_directory(self.files.root())
    }

    /// A name in the folder that no file has: an earlier repair may have kept one of the same name.
    fn free_name(&self, path: &str) -> io::Result<PathBuf> {
        let name = path.rsplit('/').next().unwrap_or(path);
        let folder = self.files.folder(QUARANTINE);
        let numbered = |number: u32| folder.join(format!("{name}.{number}"));
        for path in std::iter::once(folder.join(name)).chain((2..10_000).map(numbered)) {
            if self.files.storage.size(&path)?.is_none() {
                return Ok(path);
            }
        }
        Err(io::ErrorKind::AlreadyExists.into())
    }
}
