//! What keeps the files of a version while somebody reads it.

use std::{fs::File, sync::Arc};

use crate::resources::Descriptors;

/// A reader's hold on a version: a shared lock of its manifest's file, in whichever process.
///
/// A writer deletes a segment only when it can lock the manifests of all older versions for itself alone. The lock is
/// the system's, so it ends with the last snapshot that has it, and with a process that is killed.
#[derive(Debug)]
pub(super) struct Lease {
    manifest: File,
    descriptors: Arc<Descriptors>,
}

impl Lease {
    /// The lease that this file, locked, is.
    pub(super) fn new(manifest: File, descriptors: Arc<Descriptors>) -> Self {
        Self { manifest, descriptors }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        // A process that this one is just starting has the file open too: closing it alone would not free the lock.
        let _ = self.manifest.unlock();
        // Whoever deletes a segment now is to have its room on the disk at once.
        self.descriptors.close_idle();
    }
}
