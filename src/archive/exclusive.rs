//! The right to change an archive, shared by those parts of one process that do.

use std::{
    collections::HashSet,
    fs::File,
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use super::{Archive, Manifest, SegmentEntry, files::Files, manifest::Edit};
use crate::error::{Error, ErrorKind, Result};

/// The lock of an archive, and the newest version, which nobody else can change.
#[derive(Debug)]
pub(super) struct Exclusive {
    archive: Archive,
    /// Locked only while a version is published.
    state: Mutex<State>,
    lock: File,
}

#[derive(Debug)]
struct State {
    newest: Arc<Manifest>,
    /// Retired files of it that are deleted.
    gone: HashSet<String>,
    /// Whether a publication has failed, so that the next version may be there or not.
    is_unsure: bool,
}

impl Drop for Exclusive {
    fn drop(&mut self) {
        // A process that this one is just starting has the file open too: closing it alone would not free the lock.
        let _ = self.lock.unlock();
    }
}

impl Exclusive {
    /// Takes the lock, and clears up what a crash of the last one who had it may have left.
    pub(super) fn take(archive: &Archive) -> Result<Arc<Self>> {
        Self::with_lock(archive, archive.files().lock()?)
    }

    /// The same, with the lock that was taken already.
    pub(super) fn with_lock(archive: &Archive, lock: File) -> Result<Arc<Self>> {
        let newest = Arc::clone(archive.snapshot()?.manifest());
        archive.files().sweep(&newest)?;
        let state = Mutex::new(State { newest, gone: HashSet::new(), is_unsure: false });
        let exclusive = Self { archive: archive.clone(), state, lock };
        exclusive.delete_retired();
        Ok(Arc::new(exclusive))
    }

    pub(super) fn archive(&self) -> &Archive {
        &self.archive
    }

    pub(super) fn files(&self) -> &Files {
        self.archive.files()
    }

    /// The newest version.
    pub(super) fn newest(&self) -> Arc<Manifest> {
        Arc::clone(&self.state().newest)
    }

    /// Makes a change the newest version. `None` where it does not apply any more.
    ///
    /// # Errors
    /// [`ErrorKind::Io`]: then the archive is as it was, or, where the very last step has failed, changed already. A
    /// further change finds out.
    pub(super) fn publish(&self, edit: Edit) -> Result<Option<Arc<Manifest>>> {
        let files = self.files();
        let mut state = self.state();
        self.settle(&mut state)?;
        let edit = match edit {
            Edit::Append { segments, next_flow_id } => {
                // An earlier attempt may have come further than it knew.
                let is_new = |segment: &SegmentEntry| segment.flow_id.0 >= state.newest.next_flow_id;
                let segments: Vec<SegmentEntry> = segments.into_iter().filter(is_new).collect();
                if segments.is_empty() {
                    return Ok(Some(Arc::clone(&state.newest)));
                }
                Edit::Append { segments, next_flow_id }
            }
            replace => replace,
        };
        let Some(manifest) = state.newest.with(edit, &state.gone) else { return Ok(None) };
        let manifest = manifest.identified(files.random())?;
        // A manifest that is left behind its successors would be taken for the newest one.
        let retired = files.retire_manifests(state.newest.version);
        retired.map_err(|error| files.failed("an old manifest cannot be moved away", error))?;
        state.is_unsure = true;
        if !files.publish(&manifest)? {
            let message = "another process has written to the archive in spite of the lock";
            return Err(Error::new(ErrorKind::Locked, message));
        }
        state.is_unsure = false;
        self.adopt(&mut state, manifest);
        // The change is made, whatever becomes of this: the next change tries again.
        let _ = self.clear(&mut state);
        Ok(Some(Arc::clone(&state.newest)))
    }

    /// Gives up segments that were staged for a change that has failed, unless it has not.
    pub(super) fn abandon(&self, segments: &[SegmentEntry]) {
        let mut state = self.state();
        if self.settle(&mut state).is_err() {
            return;
        }
        let kept: HashSet<&str> = state.newest.segments.iter().map(|segment| segment.path.as_str()).collect();
        let retired: HashSet<&str> = state.newest.retired.iter().map(|retired| retired.path.as_str()).collect();
        for segment in segments {
            if !kept.contains(segment.path.as_str()) && !retired.contains(segment.path.as_str()) {
                self.files().discard(&segment.path);
            }
        }
    }

    /// Deletes what nobody needs any more, as far as that can be done now.
    pub(super) fn delete_retired(&self) {
        let _ = self.clear(&mut self.state());
    }

    /// Finds out what has become of a publication that failed.
    fn settle(&self, state: &mut State) -> Result<()> {
        if !state.is_unsure {
            return Ok(());
        }
        let files = self.files();
        if let Some(manifest) = files.manifest(state.newest.version + 1)? {
            let synced = files.sync_manifests();
            synced.map_err(|error| files.failed("a manifest cannot be made durable", error))?;
            self.adopt(state, manifest);
        }
        state.is_unsure = false;
        Ok(())
    }

    fn adopt(&self, state: &mut State, manifest: Manifest) {
        state.newest = Arc::new(manifest);
        let named: HashSet<&str> = state.newest.retired.iter().map(|retired| retired.path.as_str()).collect();
        state.gone.retain(|path| named.contains(path.as_str()));
        self.archive.adopt(&state.newest);
    }

    /// Moves away what is no part of the newest version, and deletes what nobody needs.
    fn clear(&self, state: &mut State) -> io::Result<()> {
        let files = self.files();
        files.retire_manifests(state.newest.version)?;
        files.retire_segments(&state.newest)?;
        files.delete_retired(&state.newest, &mut state.gone)
    }

    /// After a panic the state is that of the last version published, or unsure.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
