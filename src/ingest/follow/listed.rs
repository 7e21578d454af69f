//! What lies at the paths that are followed.

use std::{
    fs::{self, Metadata},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    time::SystemTime,
};

use crate::{error::Result, ingest::files};

/// A file whatever its name is: of which device it is, and its number there.
pub(super) type Key = (u64, u64);

/// What changes when a file is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stamp {
    pub(super) length: u64,
    modified: Option<SystemTime>,
}

/// A file at one of the paths.
#[derive(Debug)]
pub(super) struct Listed {
    pub(super) path: PathBuf,
    pub(super) key: Key,
    pub(super) stamp: Stamp,
}

impl Listed {
    fn new(path: PathBuf, metadata: &Metadata) -> Self {
        let stamp = Stamp { length: metadata.len(), modified: metadata.modified().ok() };
        Self { path, key: (metadata.dev(), metadata.ino()), stamp }
    }
}

/// The files at a path, those first that were written first. There may be none yet, or none at the moment.
pub(super) fn listed(path: &Path) -> Result<Vec<Listed>> {
    if !path.try_exists().unwrap_or(true) {
        return Ok(Vec::new());
    }
    let files = files(path)?.into_iter();
    // A file may vanish between the two.
    let mut listed: Vec<Listed> =
        files.filter_map(|path| fs::metadata(&path).ok().map(|metadata| Listed::new(path, &metadata))).collect();
    listed.sort_by_key(|listed| listed.stamp.modified);
    Ok(listed)
}
