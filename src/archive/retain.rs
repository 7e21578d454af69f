//! Retention: flows that are too old, or too many.

use std::{
    collections::HashSet,
    sync::{Arc, atomic::AtomicBool},
};

use super::{
    SegmentEntry,
    compact::{Merge, merge},
    exclusive::{Change, Exclusive},
    manifest::Edit,
};
use crate::{error::Result, flow::Timestamp};

/// Which flows of an archive go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Retention {
    /// Flows that started before this time. Of a segment that has others too, they stay, unless `exact`.
    pub before: Option<Timestamp>,
    /// The segments with the oldest flows, until the rest has no more bytes than this. A segment is as old as its
    /// newest flow.
    pub bytes: Option<u64>,
    /// Whether segments with flows from before and after `before` are written anew, without those from before.
    pub exact: bool,
}

/// What retention has removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[must_use]
pub struct Retained {
    /// Flows that are gone.
    pub rows: u64,
    /// Segments that are gone whole.
    pub segments: u64,
    /// Segments that were written anew, without some of their flows.
    pub rewritten: u64,
    /// Bytes by which the archive has become smaller; they are free as soon as no query needs them.
    pub bytes: u64,
    /// The version of the archive without them.
    pub version: u64,
}

/// Removes what `retention` says, as one version.
pub(super) fn retain(exclusive: &Arc<Exclusive>, retention: Retention) -> Result<Retained> {
    loop {
        exclusive.hold()?;
        let snapshot = exclusive.archive().snapshot()?;
        let manifest = snapshot.manifest();
        let plan = Plan::new(&manifest.segments, retention);
        if plan.removed.is_empty() && plan.cut.is_empty() {
            return Ok(Retained { version: manifest.version, ..Retained::default() });
        }
        let mut staged = Vec::new();
        for entry in &plan.cut {
            let merge_one = Merge { inputs: vec![*entry], from: retention.before, cuts: &[] };
            let merged =
                snapshot.check(entry).and_then(|()| merge(&snapshot, merge_one, &AtomicBool::new(false), &mut |_| {}));
            match merged {
                Ok(segments) => staged.extend(segments.unwrap_or_default()),
                Err(error) => {
                    exclusive.abandon(&staged);
                    return Err(error);
                }
            }
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
        };
        let removed: HashSet<String> = plan.removed.iter().chain(&plan.cut).map(|entry| entry.path.clone()).collect();
        drop(snapshot);
        let finished = if staged.is_empty() { Ok(()) } else { exclusive.finish(&staged) };
        match finished.and_then(|()| exclusive.publish(Edit::Replace { removed, segments: staged.clone() })) {
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
