//! What can be made good again is; what cannot is put aside and named.

mod manifest;
mod quarantine;
mod rescue;

use std::{collections::HashSet, path::Path, sync::Arc};

use self::{quarantine::Quarantine, rescue::rescue};
use super::{
    Archive, Depth, Extent, Finding, FindingKind, Report, SegmentEntry, Settings,
    exclusive::{Change, Exclusive},
    files::Files,
    manifest::Edit,
    nothing_at,
    verify::{Damage, foreign_files},
};
use crate::error::{Error, ErrorKind, Result};

/// Flows that are gone.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Loss {
    /// The segment that had them.
    pub path: String,
    /// Which flows.
    pub flows: Extent,
}

/// A segment that was written anew.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Rebuilt {
    /// The damaged segment.
    pub from: String,
    /// The new one.
    pub path: String,
    /// How many flows it has.
    pub rows: u64,
}

/// What a repair has done.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
#[must_use]
pub struct Repaired {
    /// The version of the archive since.
    pub version: u64,
    /// What was found before.
    pub found: Report,
    /// The segments that were written anew. Their flows keep their IDs.
    pub rebuilt: Vec<Rebuilt>,
    /// The flows that are gone: exactly these, and no others.
    pub lost: Vec<Loss>,
    /// The files that were put into `quarantine`, by their paths before.
    pub quarantined: Vec<String>,
    /// What was left as it is.
    pub left: Vec<Finding>,
}

impl Archive {
    /// Looks for damage as [`verify`](Self::verify) does to the depth of [`Depth::Rows`], and repairs it.
    ///
    /// A damaged segment is written anew from those of its flows whose bytes are proven by their checksums, with the
    /// same IDs. So a damaged list, index or footer costs no flow, and a damaged page those of its rows. What was found
    /// damaged, and what is none of the archive's, lies in the folder `quarantine` afterwards: nothing is deleted. A
    /// damaged manifest is put right where its checksum tells what it was, or made anew from the one before and the
    /// segments, where these prove that no flow is missing.
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
        let files = Files::new(path.to_owned(), &settings);
        let version = files.newest_version()?.ok_or_else(|| nothing_at(path))?;
        let lock = files.lock()?;
        let mut repaired = Repaired::default();
        let mut quarantine = Quarantine::new(&files);
        let manifest = manifest::mend(&files, version, &mut quarantine)?;
        let archive = Self::open_with(path, settings)?;
        // A writer deletes segments of no version. Here, who knows what they are.
        let strangers = foreign_files(&files, archive.snapshot()?.manifest())?;
        strangers.iter().try_for_each(|stranger| quarantine.take_away(&stranger.path))?;
        let exclusive = Exclusive::with_lock(&archive, lock)?;
        let (mut report, damages) = archive.examine(Depth::Rows, observe)?;
        if let Some(newer) = report.findings.iter().find(|finding| finding.kind == FindingKind::Unsupported) {
            return Err(Error::new(ErrorKind::Unsupported, newer.to_string()));
        }
        repair_segments(&exclusive, &damages, &mut quarantine, &mut repaired)?;
        report.findings = manifest.into_iter().chain(report.findings).chain(strangers).collect();
        repaired.found = report;
        repaired.version = exclusive.newest().version;
        repaired.quarantined = quarantine.taken();
        Ok(repaired)
    }
}

/// Writes damaged segments anew, as one version.
fn repair_segments(
    exclusive: &Arc<Exclusive>,
    damages: &[Damage],
    quarantine: &mut Quarantine<'_>,
    repaired: &mut Repaired,
) -> Result<()> {
    let archive = exclusive.archive();
    let mut staged: Vec<SegmentEntry> = Vec::new();
    let mut removed = HashSet::new();
    let mut repair = || {
        for damage in damages {
            let entry = &damage.entry;
            // Which of the two flows with one ID is the right one, nobody knows.
            let (doubled, others): (Vec<_>, Vec<_>) =
                damage.findings.iter().cloned().partition(|finding| finding.kind == FindingKind::Doubled);
            repaired.left.extend(doubled);
            if others.is_empty() {
                continue;
            }
            let rescued = rescue(archive.files(), entry, &others)?;
            quarantine.link(&entry.path)?;
            removed.insert(entry.path.clone());
            repaired.lost.extend(rescued.lost.into_iter().map(|flows| Loss { path: entry.path.clone(), flows }));
            if let Some(flows) = rescued.flows {
                let segment = archive.files().stage(&flows, archive.settings().segment)?;
                let (from, path) = (entry.path.clone(), segment.path.clone());
                repaired.rebuilt.push(Rebuilt { from, path, rows: segment.rows });
                staged.push(segment);
            }
        }
        if removed.is_empty() {
            return Ok(());
        }
        quarantine.sync()?;
        if !staged.is_empty() {
            exclusive.finish(&staged)?;
        }
        match exclusive.publish(Edit::Replace { removed: removed.clone(), segments: staged.clone() })? {
            Change::Published(_) => Ok(()),
            Change::Outdated => Err(Error::internal("the archive has changed while it was repaired")),
        }
    };
    let done = repair();
    if done.is_err() {
        exclusive.abandon(&staged);
    }
    done
}
