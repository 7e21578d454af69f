//! Retention: flows that are too old, or too many.

use std::{
    collections::HashSet,
    sync::{Arc, atomic::AtomicBool},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use serde::Serialize;

use super::{
    Manifest, SegmentEntry, Snapshot,
    aged::Aged,
    exclusive::{Change, Exclusive},
    manifest::Edit,
    merge::{Merge, merge},
};
use crate::{
    error::{Error, Result},
    flow::Timestamp,
    setters::setters,
};

/// Which flows of an archive go.
///
/// ```
/// use flowseek::{Retention, Timestamp};
///
/// let retention = Retention::default().before("2022-11-02T00:00:00Z".parse::<Timestamp>()?).exact(true);
/// assert_eq!(retention.bytes, None);
/// # Ok::<(), flowseek::error::ParseError>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Retention {
    /// Flows that started before this time. Of a segment that has others too, they stay, unless `exact`.
    pub before: Option<Timestamp>,
    /// The segments with the oldest flows, until the rest has no more bytes than this. A segment is as old as its
    /// newest flow.
    pub bytes: Option<u64>,
    /// Whether segments with flows from before and after `before` are written anew, without those from before.
    pub exact: bool,
    /// How long the files of segments stay that go whole, so that [`Writer::restore`](super::Writer::restore) can put them
    /// back. Zero, as by default, deletes them as soon as no query needs them. Files that were written anew do not stay.
    pub grace: Duration,
}

setters! {
    Retention { exact: bool, grace: Duration }
    optional { before: Timestamp, bytes: u64 }
}

impl Retention {
    /// The flows that started longer than `keep` before `now`, or before the newest flow of the archive, whichever is
    /// earlier. So a clock that jumps ahead removes nothing that is not too old beside the newest flow, and flows with
    /// times that are yet to come remove none of those of today. Where that is before all times, no flow goes.
    ///
    /// ```
    /// use std::time::{Duration, UNIX_EPOCH};
    ///
    /// use flowseek::{Archive, archive::Retention};
    ///
    /// let archive = Archive::open("testdata/archive")?;
    /// let day = Duration::from_secs(86_400);
    /// // By a clock that stands in the year 2100, all flows would be too old.
    /// let retention = Retention::keeping(90 * day, UNIX_EPOCH + 47_482 * day, archive.snapshot()?.manifest());
    /// let newest = archive.snapshot()?.manifest().segments[0].start_times().1;
    /// assert_eq!(retention.before.map(|before| newest.as_millis() - before.as_millis()), Some(90 * 86_400_000));
    /// # Ok::<(), flowseek::Error>(())
    /// ```
    pub fn keeping(keep: Duration, now: SystemTime, manifest: &Manifest) -> Self {
        let millis = |time: Duration| i64::try_from(time.as_millis()).ok();
        let newest = manifest.segments.iter().map(|segment| segment.start_time.1).max();
        let before = || {
            let now = millis(now.duration_since(UNIX_EPOCH).ok()?)?;
            let latest = newest.map_or(now, |newest| newest.min(now));
            Timestamp::from_millis(latest.checked_sub(millis(keep)?)?)
        };
        Self { before: before(), ..Self::default() }
    }
}

/// What retention has removed.
///
/// ```
/// use flowseek::{Archive, Flow, Retention, Timestamp};
///
/// # let directory = tempfile::tempdir()?;
/// let archive = Archive::open_or_create(directory.path().join("flows"))?;
/// # for start in ["2022-11-01T22:46:01Z", "2022-11-01T22:46:02Z"] {
/// #     let mut appender = archive.appender()?;
/// #     appender.push(&Flow::starting(start.parse()?))?;
/// #     appender.commit()?;
/// # }
/// // Two commits have made two segments, of a flow at 22:46:01 and one at 22:46:02.
/// let before: Timestamp = "2022-11-01T22:46:02Z".parse()?;
/// let retained = archive.writer()?.retain(Retention::default().before(before))?;
/// assert_eq!((retained.rows, retained.segments, retained.rewritten), (1, 1, 0));
/// assert!(retained.bytes > 0 && retained.unreadable.is_empty());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
#[must_use]
pub struct Retained {
    /// Flows that are gone.
    pub rows: u64,
    /// Segments that are gone whole.
    pub segments: u64,
    /// Segments that were written anew, without some of their flows.
    pub rewritten: u64,
    /// Bytes by which the archive has become smaller; they are free as soon as no query needs them, and the
    /// [grace period](Retention::grace) is over.
    pub bytes: u64,
    /// The version of the archive without them.
    pub version: u64,
    /// Why segments stay as they were that have flows from before the time and could not be written anew: an error names
    /// each.
    pub unreadable: Vec<Error>,
}

/// Removes what `retention` says, as one version, which says how far retention by age has come where that goes on by itself.
pub(super) fn retain(exclusive: &Arc<Exclusive>, retention: Retention, aged: Option<Aged>) -> Result<Retained> {
    loop {
        exclusive.hold()?;
        let snapshot = exclusive.archive().snapshot()?;
        let manifest = snapshot.manifest();
        let mut plan = Plan::new(&manifest.segments, retention);
        let Trimmed { staged, unreadable } = match trim(&snapshot, &mut plan.cut, retention.before) {
            Ok(trimmed) => trimmed,
            Err((staged, error)) => {
                exclusive.abandon(&staged);
                return Err(error);
            }
        };
        if plan.removed.is_empty() && plan.cut.is_empty() {
            return Ok(Retained { version: manifest.version, unreadable, ..Retained::default() });
        }
        let sum = |entries: &[&SegmentEntry], of: fn(&SegmentEntry) -> u64| -> u64 {
            entries.iter().map(|entry| of(entry)).sum()
        };
        let old = |of| sum(&plan.removed, of) + sum(&plan.cut, of);
        let new = |of: fn(&SegmentEntry) -> u64| staged.iter().map(of).sum::<u64>();
        let mut retained = Retained {
            rows: old(|entry| entry.rows) - new(|entry| entry.rows),
            segments: plan.removed.len() as u64,
            rewritten: plan.cut.len() as u64,
            bytes: old(|entry| entry.bytes).saturating_sub(new(|entry| entry.bytes)),
            version: 0,
            unreadable,
        };
        let paths = |entries: &[&SegmentEntry]| entries.iter().map(|entry| entry.path.clone()).collect::<HashSet<_>>();
        let (removed, cut) = (paths(&plan.removed), paths(&plan.cut));
        drop(snapshot);
        let finished = if staged.is_empty() { Ok(()) } else { exclusive.finish(&staged) };
        let until = (!retention.grace.is_zero()).then(|| {
            exclusive.keep_for(&removed, retention.grace);
            let now = exclusive.archive().settings().clock.now();
            Timestamp::of_clock(now.checked_add(retention.grace).unwrap_or(now)).as_millis()
        });
        let edit = Edit::Retain { removed, until, cut, segments: staged.clone(), aged };
        match finished.and_then(|()| exclusive.publish(edit)) {
            Ok(Change::Published(published)) => {
                retained.version = published.version;
                return Ok(retained);
            }
            // A compaction has taken some of the segments meanwhile: once more, with what it has made of them.
            Ok(Change::Outdated) => exclusive.abandon(&staged),
            Err(error) => {
                exclusive.abandon(&staged);
                return Err(error);
            }
        }
    }
}

/// Puts back what retention has removed, as far as the files are still there, as one version.
pub(super) fn restore(exclusive: &Arc<Exclusive>) -> Result<Restored> {
    loop {
        exclusive.hold()?;
        let (files, newest) = (exclusive.files(), exclusive.newest());
        let mut restored = Restored { version: newest.version, ..Restored::default() };
        let mut segments = Vec::new();
        for retired in newest.retired.iter().filter(|retired| retired.until.is_some()) {
            match files.entry(&retired.path) {
                Ok(Some(entry)) => segments.push(entry),
                Ok(None) => {}
                Err(error) => restored.unreadable.push(error),
            }
        }
        if segments.is_empty() {
            return Ok(restored);
        }
        restored.segments = segments.len() as u64;
        restored.rows = segments.iter().map(|segment| segment.rows).sum();
        // Until the version is published the manifest lists them as retired: the next change moves them away again.
        let moved = files.bring_back(&segments);
        moved.map_err(|error| files.failed("a segment cannot be put back", error))?;
        match exclusive.publish(Edit::PutBack(segments))? {
            Change::Published(published) => {
                restored.version = published.version;
                return Ok(restored);
            }
            // An attempt before was made after all.
            Change::Outdated => {}
        }
    }
}

/// What was put back that retention had removed.
///
/// ```
/// use std::time::Duration;
///
/// use flowseek::{Archive, Flow, Retention, Timestamp};
///
/// # let directory = tempfile::tempdir()?;
/// let archive = Archive::open_or_create(directory.path().join("flows"))?;
/// # let mut appender = archive.appender()?;
/// # appender.push(&Flow::starting("2022-11-01T22:46:01Z".parse()?))?;
/// # appender.commit()?;
/// # drop(appender);
/// let before: Timestamp = "2023-01-01T00:00:00Z".parse()?;
/// let writer = archive.writer()?;
/// let retained = writer.retain(Retention::default().before(before).grace(Duration::from_secs(86_400)))?;
/// assert_eq!((retained.rows, archive.snapshot()?.manifest().rows()), (1, 0));
/// let restored = writer.restore()?;
/// assert_eq!((restored.rows, archive.snapshot()?.manifest().rows()), (1, 1));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
#[must_use]
pub struct Restored {
    /// Flows that are back.
    pub rows: u64,
    /// Their segments.
    pub segments: u64,
    /// The version of the archive with them.
    pub version: u64,
    /// Why others are not: an error names each file.
    pub unreadable: Vec<Error>,
}

/// Segments that were written anew.
struct Trimmed {
    staged: Vec<SegmentEntry>,
    unreadable: Vec<Error>,
}

/// Writes segments anew without the flows from before a time. One that cannot be read keeps no other from it, and is
/// taken out of `cut`. With an error comes what was staged.
fn trim(
    snapshot: &Snapshot,
    cut: &mut Vec<&SegmentEntry>,
    from: Option<Timestamp>,
) -> Result<Trimmed, (Vec<SegmentEntry>, Error)> {
    let mut trimmed = Trimmed { staged: Vec::new(), unreadable: Vec::new() };
    let mut readable = Vec::with_capacity(cut.len());
    for entry in cut.drain(..) {
        let job = Merge { from, ..Merge::of(vec![entry]) };
        let merged = snapshot.check(entry).and_then(|()| merge(snapshot, job, &AtomicBool::new(false), &mut |_| {}));
        match merged {
            Ok(segments) => {
                trimmed.staged.extend(segments.unwrap_or_default());
                readable.push(entry);
            }
            Err(error) if error.file().is_some() && !error.is_retryable() => trimmed.unreadable.push(error),
            Err(error) => return Err((trimmed.staged, error)),
        }
    }
    *cut = readable;
    Ok(trimmed)
}

/// What becomes of the segments.
#[derive(Debug, Default)]
struct Plan<'a> {
    removed: Vec<&'a SegmentEntry>,
    /// Those that have flows from before and after the time.
    cut: Vec<&'a SegmentEntry>,
}

impl<'a> Plan<'a> {
    fn new(segments: &'a [SegmentEntry], retention: Retention) -> Self {
        let mut plan = Self::default();
        let mut kept = Vec::new();
        let before = retention.before.map_or(i64::MIN, Timestamp::as_millis);
        for segment in segments {
            match segment.start_time {
                (_, newest) if newest < before => plan.removed.push(segment),
                (oldest, _) if oldest < before && retention.exact => plan.cut.push(segment),
                _ => kept.push(segment),
            }
        }
        if let Some(most) = retention.bytes {
            kept.append(&mut plan.cut);
            kept.sort_by_key(|segment| (segment.start_time.1, segment.start_time.0, segment.flow_id));
            let mut bytes: u64 = kept.iter().map(|segment| segment.bytes).sum();
            let too_many = kept.iter().take_while(|segment| {
                let goes = bytes > most;
                bytes -= segment.bytes;
                goes
            });
            let too_many = too_many.count();
            plan.removed.extend(kept.drain(..too_many));
            if retention.exact {
                plan.cut = kept.into_iter().filter(|segment| segment.start_time.0 < before).collect();
            }
        }
        plan
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn before(keep: u64, now: u64, newest: &[i64]) -> Option<i64> {
        let segment = |newest: &i64| SegmentEntry {
            path: String::new(),
            rows: 1,
            bytes: 1,
            start_time: (0, *newest),
            flow_id: (1, 1),
            added: 0,
            footer: None,
            zones: None,
            bloom: None,
            group: None,
        };
        let manifest = Manifest::of_segments(newest.iter().map(segment).collect());
        let retention =
            Retention::keeping(Duration::from_millis(keep), UNIX_EPOCH + Duration::from_millis(now), &manifest);
        assert_eq!(retention, Retention { before: retention.before, ..Retention::default() });
        retention.before.map(Timestamp::as_millis)
    }

    #[test]
    fn the_clock_and_the_newest_flow_both_have_to_say_that_a_flow_is_old() {
        assert_eq!(before(100, 1_000, &[500, 990, 20]), Some(890), "a clock that runs ahead");
        assert_eq!(before(100, 1_000, &[500, 5_000]), Some(900), "a flow of tomorrow");
        assert_eq!(before(100, 1_000, &[]), Some(900));
        assert_eq!(before(2_000, 1_000, &[990]), Some(-1_010));
        assert_eq!(before(u64::MAX, 1_000, &[990]), None, "before all times");
        assert_eq!(before(0, 1_000, &[-5]), Some(-5));
    }
}
