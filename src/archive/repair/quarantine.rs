//! Where damaged files are kept.

use std::{io, path::PathBuf};

use crate::{
    archive::files::{Files, QUARANTINE},
    error::Result,
};

/// The folder of damaged files. It is made when the first one comes.
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
        let (place, retired) = self.files.segment_paths(path);
        let Some(from) = [place, retired].into_iter().find(|path| path.exists()) else { return Ok(()) };
        self.keep(path, |to| self.files.storage.hard_link(&from, to))
    }

    /// Moves a file away that is none of the archive's.
    ///
    /// # Errors
    /// [`ErrorKind::Io`](crate::ErrorKind::Io).
    pub(super) fn take_away(&mut self, path: &str) -> Result<()> {
        let from = self.files.root().join(path);
        self.keep(path, |to| self.files.storage.rename(&from, to))?;
        self.sync()
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
        let kept = self.make_folder().and_then(|()| put(&self.free_name(path)));
        kept.map_err(|error| self.files.failed(&format!("{path} cannot be put into quarantine"), error))?;
        self.taken.push(path.to_owned());
        Ok(())
    }

    fn make_folder(&self) -> io::Result<()> {
        let folder = self.files.folder(QUARANTINE);
        if folder.is_dir() {
            return Ok(());
        }
        self.files.storage.create_directory(&folder)?;
        self.files.storage.sync_directory(self.files.root())
    }

    /// A name in the folder that no file has: an earlier repair may have kept one of the same name.
    fn free_name(&self, path: &str) -> PathBuf {
        let name = path.rsplit('/').next().unwrap_or(path);
        let folder = self.files.folder(QUARANTINE);
        let numbered = |number: u32| folder.join(format!("{name}.{number}"));
        let names = std::iter::once(folder.join(name)).chain((2..).map(numbered));
        names.take(10_000).find(|path| !path.exists()).unwrap_or_else(|| folder.join(name))
    }
}
