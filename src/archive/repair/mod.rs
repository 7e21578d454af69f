//! What can be made good again is; what cannot is put aside and named.

mod manifest;
mod report;
mod rescue;
mod restore;

use std::{collections::HashSet, path::Path};

use arrow::array::RecordBatch;

pub use self::report::{Loss, Rebuilt, Repaired};
use self::{rescue::rescue, restore::Restorer};
use super::{
    Archive, Depth, Finding, FindingKind, SegmentEntry, Settings,
    exclusive::{Change, Exclusive},
    files::is_segment,
    manifest::Edit,
    nothing_at,
    quarantine::Quarantine,
    verify::{Damage, Examined, foreign_files},
};
use crate::error::{Error, ErrorKind, Result};

impl Archive {
    /// Looks for damage as [`verify`](Self::verify) does to the depth of [`Depth::Rows`], and repairs it.
    ///
    /// A damaged segment is written anew from those of its flows whose bytes are proven by their checksums, with the
    /// same IDs. So a damaged list, index or footer costs no flow, and a damaged page those of its rows. What was found
    /// damaged, and what is none of the archive's, lies in the folder `quarantine` afterwards: nothing is deleted.
    ///
    /// Segments that lie in `quarantine` because no manifest names them are taken back, if every byte of them is proven:
    /// each flow that is not there, was not removed on purpose, and so is missing. This is how an older manifest that was
    /// put back loses nothing. Among them may be flows of a commit that a crash has cut short of being acknowledged.
    ///
    /// A damaged manifest is put right where its checksum tells what it was, or made anew from the one before and the
    /// segments, where these and what can still be read of it prove that no flow is missing.
    ///
    /// All is published as one version: queries that are under way go on as before, and whatever fails, or crashes, the
    /// archive is as it was and can be repaired again. A sound archive is left alone.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] where there is no archive; [`ErrorKind::Locked`] where a writer has it;
    /// [`ErrorKind::Unsupported`] where a newer version wrote a part of it; [`ErrorKind::Damaged`] where the newest
    /// manifest is beyond help, with what can be done; [`ErrorKind::Io`].
    ///
    /// ```
    /// use flowseek::{Archive, Flow, Settings};
    ///
    /// # let directory = tempfile::tempdir()?;
    /// # let path = directory.path().join("flows");
    /// let archive = Archive::open_or_create(&path)?;
    /// let mut appender = archive.appender()?;
    /// appender.push(&Flow::starting("2022-11-01T22:46:01Z".parse()?))?;
    /// appender.commit()?;
    /// drop(appender);
    /// std::fs::remove_file(path.join(&archive.snapshot()?.manifest().segments[0].path))?;
    ///
    /// let repaired = Archive::repair(&path, Settings::default(), &mut |_| {})?;
    /// assert_eq!(repaired.lost[0].flows.rows, 1);
    /// assert!(archive.snapshot()?.manifest().segments.is_empty());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn repair(path: impl AsRef<Path>, settings: Settings, observe: &mut dyn FnMut(u64)) -> Result<Repaired> {
        let path = path.as_ref();
        let files = settings.files(path, &settings.resources());
        let version = files.newest_version()?.ok_or_else(|| nothing_at(path))?;
        let lock = files.lock()?;
        let mut repaired = Repaired::default();
        let mut quarantine = Quarantine::new(&files);
        let manifest = manifest::mend(&files, version, &mut quarantine)?;
        let archive = Self::open_with(path, settings)?;
        let strangers = foreign_files(&files, archive.snapshot()?.manifest())?;
        let exclusive = Exclusive::with_lock(&archive, lock)?;
        for stranger in &strangers {
            // As any writer, this one has moved away segments that no manifest names.
            match is_segment(stranger.path.as_ref()) {
                true => quarantine.note(&stranger.path),
                false => quarantine.take_away(&stranger.path)?,
            }
        }
        quarantine.sync()?;
        let Examined { mut report, damages, seen } = archive.examine(Depth::Rows, observe)?;
        if let Some(newer) = report.findings.iter().find(|finding| finding.kind == FindingKind::Unsupported) {
            return Err(Error::new(ErrorKind::Unsupported, newer.to_string()));
        }
        let newest = exclusive.newest();
        let restorer = Restorer::new(&files, seen, newest.next_flow_id, newest.aside.clone());
        let (removed, staged) = (HashSet::new(), Vec::new());
        let (quarantined, done) = (&mut quarantine, &mut repaired);
        let repair = Repair { exclusive: &exclusive, quarantine: quarantined, restorer, removed, staged, done };
        repair.run(&damages)?;
        report.findings = manifest.into_iter().chain(report.findings).chain(strangers).collect();
        repaired.found = report;
        repaired.version = exclusive.newest().version;
        repaired.quarantined = quarantine.taken();
        Ok(repaired)
    }
}

/// Segments written anew, which become part of the archive as one version.
struct Repair<'a, 'q> {
    exclusive: &'a Exclusive,
    quarantine: &'q mut Quarantine<'a>,
    restorer: Restorer<'a>,
    removed: HashSet<String>,
    staged: Vec<SegmentEntry>,
    done: &'q mut Repaired,
}

impl Repair<'_, '_> {
    fn run(mut self, damages: &[Damage]) -> Result<()> {
        let repaired = self.repair(damages);
        if repaired.is_err() {
            self.exclusive.abandon(&self.staged);
        }
        repaired
    }

    fn repair(&mut self, damages: &[Damage]) -> Result<()> {
        damages.iter().try_for_each(|damage| self.rebuild(damage))?;
        for path in self.restorer.candidates()? {
            if let Some(flows) = self.restorer.restore(&path, &mut self.done.lost)? {
                let restored = self.stage(path, &flows)?;
                self.done.restored.push(restored);
            }
        }
        if self.removed.is_empty() && self.staged.is_empty() {
            return Ok(());
        }
        self.quarantine.sync()?;
        self.exclusive.finish(&self.staged)?;
        let (removed, segments) = (self.removed.clone(), self.staged.clone());
        let aside = self.restorer.aside().clone();
        match self.exclusive.publish(Edit::Restore { removed, segments, aside })? {
            Change::Published(_) => Ok(()),
            Change::Outdated => Err(Error::internal("the archive has changed while it was repaired")),
        }
    }

    /// Writes what is sound of a damaged segment.
    fn rebuild(&mut self, damage: &Damage) -> Result<()> {
        let Damage { entry, findings } = damage;
        // What the system cannot read may be sound. And which of the two flows with one ID is the right one, nobody
        // knows.
        let is_unreadable = findings.iter().any(|finding| finding.kind == FindingKind::Unreadable);
        let is_left = |finding: &Finding| is_unreadable || finding.kind == FindingKind::Doubled;
        let (left, others): (Vec<_>, Vec<_>) = findings.iter().cloned().partition(is_left);
        self.done.left.extend(left);
        if others.is_empty() {
            return Ok(());
        }
        let rescued = rescue(self.exclusive.files(), entry, &others)?;
        self.quarantine.link(&entry.path)?;
        self.removed.insert(entry.path.clone());
        let lost = rescued.lost.into_iter().map(|flows| Loss { path: entry.path.clone(), flows });
        self.done.lost.extend(lost);
        if let Some(flows) = rescued.flows {
            self.restorer.keep(&flows)?;
            let rebuilt = self.stage(entry.path.clone(), &flows)?;
            self.done.rebuilt.push(rebuilt);
        }
        Ok(())
    }

    fn stage(&mut self, from: String, flows: &RecordBatch) -> Result<Rebuilt> {
        let archive = self.exclusive.archive();
        let segment = archive.files().stage(flows, archive.settings().segment)?;
        let rebuilt = Rebuilt { from, path: segment.path.clone(), rows: segment.rows };
        self.staged.push(segment);
        Ok(rebuilt)
    }
}
