//! What keeps the files of a version while somebody reads it.

use std::fs::File;

/// A reader's hold on a version: a shared lock of its manifest's file, in whichever process.
///
/// A writer deletes a segment only when it can lock the manifests of all older versions for itself alone. The lock is
/// the system's, so it ends with the last snapshot that has it, and with a process that is killed.
#[derive(Debug)]
pub(super) struct Lease {
    /// Open for as long as the lease lives: closing it frees the lock.
    _manifest: File,
}

impl Lease {
    /// The lease that this file, locked, is.
    pub(super) fn new(manifest: File) -> Self {
        Self { _manifest: manifest }
    }
}
