//! Removal: the flows that match a filter go, from every segment.

use std::{
    collections::HashSet,
    path::PathBuf,
    sync::{Arc, atomic::AtomicBool},
};

use serde::Serialize;

use super::{
    Known, SegmentEntry, Snapshot,
    exclusive::{Change, Exclusive},
    files::QUARANTINE,
    manifest::Edit,
    merge::{Merge, has, merge},
};
use crate::{
    error::{Error, Result},
    filter::{Filter, Verdict},
};

/// What a removal has done.
///
/// ```
/// use flowseek::{Archive, Flow, filter};
///
/// # let directory = tempfile::tempdir()?;
/// let archive = Archive::open_or_create(directory.path().join("flows"))?;
/// let mut appender = archive.appender()?;
/// for port in [22, 443, 443] {
///     let start = "2022-11-01T00:00:00Z".parse()?;
///     appender.push(&Flow { dst_port: Some(port), ..Flow::starting(start) })?;
/// }
/// appender.commit()?;
/// drop(appender);
/// let removed = archive.writer()?.remove(&filter::dst_port().eq(443))?;
/// assert_eq!((removed.rows, removed.segments, removed.rewritten), (2, 0, 1));
/// assert!(removed.unreadable.is_empty() && removed.quarantined.is_empty());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
#[must_use]
pub struct Removed {
    /// Flows that are gone.
    pub rows: u64,
    /// Segments that are gone whole.
    pub segments: u64,
    /// Segments that were written anew, without some of their flows.
    pub rewritten: u64,
    /// The version of the archive without them.
    pub version: u64,
    /// Why segments stay as they were that may have such flows: an error names each.
    pub unreadable: Vec<Error>,
    /// Files that were put aside, from the archive's directory on. It is not known which flows they have.
    pub quarantined: Vec<String>,
}

/// What becomes of a segment.
enum Found {
    /// No flow matches.
    Nothing,
    /// So many do; these are the others.
    Some { rows: u64, rest: Vec<SegmentEntry> },
}

/// Removes all flows that match, a version for each segment.
pub(super) fn remove(exclusive: &Arc<Exclusive>, filter: &Filter) -> Result<Removed> {
    let filter = filter.clone().normal();
    let mut removed = Removed::default();
    end_grace(exclusive)?;
    // Merging goes on beside this: what has come of it is looked through like any other segment.
    let newest = exclusive.newest();
    let (version, last) = (newest.version, newest.next_flow_id);
    removed.version = version;
    let mut done = HashSet::new();
    loop {
        exclusive.hold()?;
        let snapshot = exclusive.archive().snapshot()?;
        let next = snapshot.manifest().segments.iter();
        let next = next.filter(|entry| entry.flow_id.0 < last && !done.contains(&entry.path));
        let Some(entry) = next.min_by_key(|entry| entry.flow_id.0).cloned() else { break };
        match without(&snapshot, &entry, &filter) {
            Ok(Found::Nothing) => {
                done.insert(entry.path);
            }
            Ok(Found::Some { rows, rest }) => {
                drop(snapshot);
                let finished = if rest.is_empty() { Ok(()) } else { exclusive.finish(&rest) };
                let edit = Edit::Remove { path: entry.path.clone(), segments: rest.clone() };
                match finished.and_then(|()| exclusive.publish(edit)) {
                    Ok(Change::Published(published)) => {
                        removed.rows += rows;
                        removed.segments += u64::from(rest.is_empty());
                        removed.rewritten += u64::from(!rest.is_empty());
                        removed.version = published.version;
                        done.extend(rest.into_iter().map(|segment| segment.path));
                    }
                    Ok(Change::Outdated) => exclusive.abandon(&rest),
                    Err(error) => {
                        exclusive.abandon(&rest);
                        return Err(error);
                    }
                }
            }
            Err(error) if error.file().is_some() && !error.is_retryable() => {
                removed.unreadable.push(error);
                done.insert(entry.path);
            }
            Err(error) => return Err(error),
        }
    }
    // Retention goes on beside this, too.
    end_grace(exclusive)?;
    let quarantined = exclusive.files().storage.list(&exclusive.files().folder(QUARANTINE)).unwrap_or_default();
    let name = |path: &PathBuf| path.file_name().map(|name| format!("{QUARANTINE}/{}", name.display()));
    removed.quarantined = quarantined.iter().filter_map(name).collect();
    removed.quarantined.sort_unstable();
    Ok(removed)
}

/// Lets those files go that retention has removed and that stay for a time: they may have flows that match.
fn end_grace(exclusive: &Exclusive) -> Result<()> {
    if exclusive.newest().retired.iter().any(|retired| retired.until.is_some()) {
        match exclusive.publish(Edit::EndGrace)? {
            Change::Published(_) | Change::Outdated => {}
        }
    }
    exclusive.delete_retired();
    Ok(())
}

/// A segment without the flows that match, staged.
fn without(snapshot: &Snapshot, entry: &SegmentEntry, filter: &Filter) -> Result<Found> {
    match filter.verdict(entry) {
        Verdict::Never => return Ok(Found::Nothing),
        Verdict::Always => return Ok(Found::Some { rows: entry.rows, rest: Vec::new() }),
        Verdict::Maybe => {}
    }
    snapshot.read_bloom(entry, filter)?;
    let known = Known::of(entry, snapshot);
    if filter.verdict(&known) == Verdict::Never || !has(snapshot, entry, filter)? {
        return Ok(Found::Nothing);
    }
    snapshot.check(entry)?;
    let job = Merge { without: Some(filter), ..Merge::of(vec![entry]) };
    let rest = merge(snapshot, job, &AtomicBool::new(false), &mut |_| {})?.unwrap_or_default();
    let rows = entry.rows - rest.iter().map(|segment| segment.rows).sum::<u64>();
    Ok(Found::Some { rows, rest })
}
