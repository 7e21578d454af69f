//! The right to change an archive, shared by those parts of one process that do.

use std::{
    collections::{HashMap, HashSet},
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use super::{
    Archive, Manifest, Retired, SegmentEntry,
    files::{Files, Publication},
    id_ranges::IdRanges,
    lock::WriterLock,
    manifest::Edit,
    quarantine::Quarantine,
};
use crate::{
    error::{Error, ErrorKind, Result},
    flow::Timestamp,
};

/// The lock of an archive, and the newest version, which nobody else can change.
#[derive(Debug)]
pub(super) struct Exclusive {
    archive: Archive,
    /// Locked only while a version is published.
    state: Mutex<State>,
}

/// What has become of a change.
#[derive(Clone, Debug)]
#[must_use]
pub(super) enum Change {
    /// It is made: this is the version with it.
    Published(Arc<Manifest>),
    /// It does not apply any more: a segment that it replaces is no part of the newest version.
    Outdated,
}

#[derive(Debug)]
struct State {
    lock: WriterLock,
    newest: Arc<Manifest>,
    /// Retired files of it that are deleted.
    gone: HashSet<String>,
    /// Until when this process keeps files that it has removed, by a clock that does not jump.
    kept: HashMap<String, Instant>,
    /// The version whose publication has failed: it may be there or not.
    attempt: Option<Manifest>,
    /// The segments of such a version that was there after all. Whoever commits them again has committed them already.
    settled: HashSet<String>,
    /// Whether another process has written in spite of the lock. What is known of the archive is wrong from then on.
    is_lost: bool,
}

impl Exclusive {
    /// Takes the lock, and clears up what a crash of the last one who had it may have left.
    pub(super) fn take(archive: &Archive) -> Result<Arc<Self>> {
        Self::with_lock(archive, archive.files().lock()?)
    }

    /// The same, with the lock that was taken already.
    pub(super) fn with_lock(archive: &Archive, lock: WriterLock) -> Result<Arc<Self>> {
        let newest = Arc::clone(archive.snapshot()?.manifest());
        archive.files().sweep(&newest)?;
        let (gone, kept, settled) = (HashSet::new(), HashMap::new(), HashSet::new());
        let state = Mutex::new(State { lock, newest, gone, kept, attempt: None, settled, is_lost: false });
        let exclusive = Self { archive: archive.clone(), state };
        exclusive.put_strays_aside()?;
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

    /// Moves segments that no manifest names to where no reader of the directory finds them. Their IDs are not given
    /// again, so that a repair can take them back.
    fn put_strays_aside(&self) -> Result<()> {
        let files = self.files();
        let newest = self.newest();
        let strays = files.strays(&newest);
        let strays = strays.map_err(|error| files.failed("the segments cannot be listed", error))?;
        let mut ids = IdRanges::default();
        for path in &strays {
            if let Some((first, last)) = files.stray_ids(path)? {
                ids.insert(first.max(newest.next_flow_id), last);
            }
        }
        if !ids.is_empty() {
            // Before they are moved: whoever finds them where they are finds out again.
            match self.publish(Edit::SetAside(ids))? {
                Change::Published(_) => {}
                Change::Outdated => return Err(Error::internal("IDs could not be put aside")),
            }
        }
        let mut quarantine = Quarantine::new(files);
        strays.iter().try_for_each(|path| quarantine.take_away(path))?;
        quarantine.sync()
    }

    /// Makes sure that nobody else can write.
    ///
    /// # Errors
    /// [`ErrorKind::Locked`] where another process has, and for ever from then on.
    pub(super) fn hold(&self) -> Result<()> {
        self.hold_on(&mut self.state())
    }

    /// Gives staged segments their names, durably.
    pub(super) fn finish(&self, segments: &[SegmentEntry]) -> Result<()> {
        self.hold()?;
        self.files().finish(segments)
    }

    /// Makes a change the newest version.
    ///
    /// # Errors
    /// [`ErrorKind::Locked`] where another process has written in spite of the lock: nothing can be changed by this
    /// one any more. Else the archive is as it was, or, where the very last step has failed, changed already; a further
    /// change finds out.
    pub(super) fn publish(&self, edit: Edit) -> Result<Change> {
        let files = self.files();
        let mut state = self.state();
        self.hold_on(&mut state)?;
        self.settle(&mut state)?;
        let edit = match edit {
            Edit::Append { segments, next_flow_id, sources } => {
                // An earlier attempt may have come further than it knew.
                let is_new = |segment: &SegmentEntry| !state.settled.contains(&segment.path);
                let segments: Vec<SegmentEntry> = segments.into_iter().filter(is_new).collect();
                let is_known =
                    |(source, sequence)| state.newest.sources.get(source).is_some_and(|last| last >= sequence);
                if segments.is_empty() && sources.iter().all(is_known) {
                    state.settled.clear();
                    return Ok(Change::Published(Arc::clone(&state.newest)));
                }
                Edit::Append { segments, next_flow_id, sources }
            }
            other => other,
        };
        let is_append = matches!(edit, Edit::Append { .. });
        let Some(manifest) = state.newest.with(edit, &state.gone) else { return Ok(Change::Outdated) };
        let manifest = manifest.identified(files.random())?.with_zones(|path| self.archive.zones(path));
        // A manifest that is left behind its successors would be taken for the newest one.
        let retired = files.retire_manifests(state.newest.version);
        retired.map_err(|error| files.failed("an old manifest cannot be moved away", error))?;
        state.attempt = Some(manifest.clone());
        match files.publish(&manifest)? {
            Publication::Published => self.check_whole(&mut state, &manifest)?,
            Publication::Taken => {
                state.attempt = None;
                return Err(self.lose(&mut state));
            }
        }
        state.attempt = None;
        if is_append {
            state.settled.clear();
        }
        self.adopt(&mut state, manifest);
        // The change is made, whatever becomes of this: the next change tries again.
        let _ = self.clear(&mut state);
        Ok(Change::Published(Arc::clone(&state.newest)))
    }

    /// Gives up segments that were staged for a change that has failed, unless it has not.
    pub(super) fn abandon(&self, segments: &[SegmentEntry]) {
        let mut state = self.state();
        let known = self.hold_on(&mut state).and_then(|()| self.settle(&mut state));
        // What another process names, it has written itself; but a version of ours may be there that names these.
        if known.is_err() && (!state.is_lost || state.attempt.is_some()) {
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

    /// Whether a version whose publication has failed may be there all the same.
    pub(super) fn is_unsure(&self) -> bool {
        self.state().attempt.is_some()
    }

    /// Keeps the files of removed segments for so long, whatever the clock says meanwhile.
    pub(super) fn keep_for(&self, paths: &HashSet<String>, time: Duration) {
        let Some(end) = self.archive.settings().clock.instant().checked_add(time) else { return };
        self.state().kept.extend(paths.iter().map(|path| (path.clone(), end)));
    }

    /// Deletes what nobody needs any more, as far as that can be done now.
    pub(super) fn delete_retired(&self) {
        let _ = self.clear(&mut self.state());
    }

    /// [`hold`](Self::hold), with the state.
    fn hold_on(&self, state: &mut State) -> Result<()> {
        let files = self.files();
        if state.is_lost {
            return Err(overtaken(files));
        }
        let is_in_place = state.lock.is_in_place();
        if is_in_place.map_err(|error| files.failed("the lock cannot be looked at", error))? {
            return Ok(());
        }
        // Somebody has removed the file of the lock, or the whole directory. If nobody has made use of that, the lock
        // is taken again, and all goes on.
        let retaken = files.lock().and_then(|lock| Ok((lock, files.newest_manifest()?)));
        match retaken {
            Ok((lock, Some(newest))) if newest == *state.newest || Some(&newest) == state.attempt.as_ref() => {
                state.lock = lock;
                Ok(())
            }
            Err(error) if !matches!(error.kind(), ErrorKind::Locked | ErrorKind::NotFound) => Err(error),
            _ => Err(self.lose(state)),
        }
    }

    /// Makes sure that a version that is published is what it says. A writer that has taken a lock that was removed puts
    /// the new segments aside as nobody's; but they may be out of reach for a while, too, as the disk is.
    ///
    /// # Errors
    /// [`ErrorKind::Locked`] in the first case, [`ErrorKind::Io`] in the second; whoever asks again may find them.
    fn check_whole(&self, state: &mut State, manifest: &Manifest) -> Result<()> {
        let files = self.files();
        let failed = |error| files.failed("what was published cannot be looked at", error);
        let mut missing = None;
        for entry in manifest.segments.iter().filter(|entry| entry.added == manifest.version) {
            if files.storage.size(&files.segment_paths(&entry.path).0).map_err(failed)?.is_none() {
                missing = Some(entry.path.clone());
            }
        }
        if !state.lock.is_in_place().map_err(failed)? {
            return Err(self.lose(state));
        }
        let Some(path) = missing else { return Ok(()) };
        let error = io::Error::new(io::ErrorKind::NotFound, path);
        Err(files.failed("a segment that was just written is not there", error))
    }

    /// Notes that another process writes.
    fn lose(&self, state: &mut State) -> Error {
        state.is_lost = true;
        overtaken(self.files())
    }

    /// Finds out what has become of a publication that failed.
    fn settle(&self, state: &mut State) -> Result<()> {
        let Some(attempt) = state.attempt.clone() else { return Ok(()) };
        let files = self.files();
        match files.manifest(attempt.version)? {
            Some(found) if found == attempt => {
                self.check_whole(state, &attempt)?;
                let synced = files.sync_manifests();
                synced.map_err(|error| files.failed("a manifest cannot be made durable", error))?;
                let new = attempt.segments.iter().filter(|entry| entry.added == attempt.version);
                state.settled.extend(new.map(|entry| entry.path.clone()));
                self.adopt(state, attempt);
            }
            Some(_) => return Err(self.lose(state)),
            None => {}
        }
        state.attempt = None;
        Ok(())
    }

    fn adopt(&self, state: &mut State, manifest: Manifest) {
        state.newest = Arc::new(manifest);
        let named: HashSet<&str> = state.newest.retired.iter().map(|retired| retired.path.as_str()).collect();
        state.gone.retain(|path| named.contains(path.as_str()));
        state.kept.retain(|path, _| named.contains(path.as_str()));
        self.archive.adopt(&state.newest);
    }

    /// Moves away what is no part of the newest version, and deletes what nobody needs.
    fn clear(&self, state: &mut State) -> Result<()> {
        // In the directory of another archive nothing is known of what is needed.
        self.hold_on(state)?;
        let files = self.files();
        let clock = &self.archive.settings().clock;
        let (now, instant) = (Timestamp::of_clock(clock.now()).as_millis(), clock.instant());
        let State { newest, gone, kept, .. } = state;
        let is_kept = |retired: &Retired| {
            let is_new = || kept.get(&retired.path).is_some_and(|end| instant < *end);
            retired.until.is_some_and(|until| now < until || is_new())
        };
        let mut clear = || {
            files.retire_manifests(newest.version)?;
            files.retire_segments(newest)?;
            files.delete_retired(newest, is_kept, gone)
        };
        clear().map_err(|error| files.failed("what is retired cannot be removed", error))
    }

    /// After a panic the state is that of the last version published, or unsure.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What every change comes to once another process has written.
pub(super) fn overtaken(files: &Files) -> Error {
    let message = format!(
        "another process has written to the archive {}, or replaced it, in spite of the lock: nothing more can be \
         written by this one until it opens the archive for writing anew",
        files.root().display()
    );
    Error::new(ErrorKind::Locked, message)
}
