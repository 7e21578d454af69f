//! Which segments are merged next: a function of the manifest alone.
//!
//! What is aimed at is few segments, of about [`PickOptions::segment_rows`] rows, that do not overlap in time. Every
//! job brings the archive nearer to it in the first of these numbers that it changes, and none of them can fall for
//! ever, so compaction comes to an end:
//!
//! 1. flows that are not divided into groups, where they are to be,
//! 2. segments with more rows than a segment should have,
//! 3. segments,
//! 4. the sum of the times that the segments span, which is least where they do not overlap.
//!
//! Where flows are divided by a [`Partition`], segments are merged only with others of their group. Those that are of none
//! are merged with one another, like all segments where flows are not divided, and divided as soon as a job has about a block of
//! flows for each group: 8 commits of 5,000 flows come to 40,000, and 8 of these to 16 segments of 20,000 for 16 groups. A
//! segment that is that large from the outset is divided by itself.
//!
//! But for that, no moment comes to be covered by more segments than before, except by such as are no larger than a block, and but for
//! gaps of a minute: over a longer one segments are merged only where nothing lies in it and it is shorter than both of
//! them. Without that minute, flows that come an hour late would leave slivers beside the large segments of that hour.

use std::collections::{BTreeMap, BTreeSet};

use super::job::{Effort, Job};
use crate::archive::{Partition, SegmentEntry};

/// Neighbours that are merged at the least by [`Effort::Background`].
const FEW: usize = 8;
/// Segments that are merged in one go, at most.
const MOST: usize = 64;
/// The same for [`Effort::Background`], whose jobs should be short.
const MANY: usize = 32;
/// A gap of so many milliseconds is none.
pub(super) const GAP: i64 = 60_000;

/// What [`pick`] aims at.
#[derive(Clone, Copy, Debug)]
pub(super) struct PickOptions<'a> {
    /// Rows of a segment.
    pub(super) segment_rows: u64,
    /// So many rows may cover any time.
    pub(super) tiny_rows: u64,
    /// Rows of a block.
    pub(super) block_rows: u64,
    pub(super) effort: Effort,
    /// How flows are to be divided.
    pub(super) partition: Option<&'a Partition>,
}

/// What is to be merged next; `None` where nothing is left to be done.
pub(super) fn pick(segments: &[&SegmentEntry], options: PickOptions<'_>) -> Option<Job> {
    let mut groups: BTreeMap<Option<u16>, Vec<&SegmentEntry>> = BTreeMap::new();
    for segment in segments {
        groups.entry(options.group_of(segment)).or_default().push(segment);
    }
    let mut groups: Vec<(Option<u16>, Vec<&SegmentEntry>)> = groups.into_iter().collect();
    // What was just committed is merged first; then the group with the most segments.
    groups.sort_by_key(|(group, segments)| (group.is_some(), std::cmp::Reverse(segments.len())));
    groups.into_iter().find_map(|(group, mut sorted)| {
        sorted.sort_unstable_by_key(|segment| (segment.start_time.1, segment.start_time.0, segment.flow_id));
        let partition = options.partition.filter(|_| group.is_none());
        let pick = Pick { sorted, options, partition };
        pick.neighbours().or_else(|| pick.undivided()).or_else(|| pick.overlapping())
    })
}

impl PickOptions<'_> {
    /// The group of a segment; `None` where it is none of those into which flows are divided now.
    fn group_of(&self, segment: &SegmentEntry) -> Option<u16> {
        let group = segment.group.as_ref()?;
        (self.partition? == &group.of).then_some(group.number)
    }
}

struct Pick<'a> {
    /// By their newest flow.
    sorted: Vec<&'a SegmentEntry>,
    options: PickOptions<'a>,
    /// How they are to be divided, if they are.
    partition: Option<&'a Partition>,
}

impl<'a> Pick<'a> {
    /// Small segments that follow on one another in time, the smallest first.
    fn neighbours(&self) -> Option<Job> {
        let small = || self.sorted.iter().copied().filter(|segment| !self.is_large(segment));
        let coverage = Coverage::new(self.sorted.iter().filter(|segment| segment.rows > self.options.tiny_rows));
        let levels: BTreeSet<u32> = small().map(|segment| level(segment.rows)).collect();
        levels.into_iter().find_map(|most| {
            let mut run = Run::default();
            for segment in small().filter(|segment| level(segment.rows) <= most) {
                if !run.takes(segment, &coverage, self.options.tiny_rows) {
                    if let Some(job) = self.of_run(&run) {
                        return Some(job);
                    }
                    run = Run::default();
                    run.push(segment);
                }
            }
            self.of_run(&run)
        })
    }

    /// The oldest part of a run that is worth a job.
    fn of_run(&self, run: &Run<'a>) -> Option<Job> {
        let (few, many) = match self.options.effort {
            Effort::Background => (FEW, MANY),
            Effort::Thorough | Effort::Full => (2, MOST),
        };
        let parts = (0..run.segments.len()).map(|start| run.segments.iter().copied().skip(start).take(many));
        let part = parts.map(Iterator::collect::<Vec<_>>).find(|part| {
            // A segment that is much larger than all others would be written anew for too little.
            let largest = part.iter().map(|segment| segment.rows).max().unwrap_or(0);
            let is_even = self.options.effort != Effort::Background || largest.saturating_mul(4) <= rows(part);
            part.len() >= few && is_even && (self.divides(part) || self.outputs(part) < part.len() as u64)
        })?;
        let cuts = if self.options.effort == Effort::Background { self.cuts(&part) } else { Vec::new() };
        Some(self.job(&part, cuts))
    }

    /// The newest segment that is to be divided.
    fn undivided(&self) -> Option<Job> {
        let segment = self.sorted.iter().rev().find(|segment| self.divides(&[segment]))?;
        Some(self.job(&[segment], Vec::new()))
    }

    /// Whether so many flows are divided when they are merged.
    fn divides(&self, part: &[&SegmentEntry]) -> bool {
        let (most, block) = (self.options.segment_rows / 2, self.options.block_rows);
        let enough = |partition: &Partition| block.saturating_mul(partition.groups().into()).min(most).max(1);
        self.partition.is_some_and(|partition| rows(part) >= enough(partition))
    }

    fn job(&self, part: &[&SegmentEntry], cuts: Vec<i64>) -> Job {
        let partition = self.partition.filter(|_| self.divides(part)).cloned();
        Job { inputs: part.iter().copied().cloned().collect(), cuts, partition }
    }

    /// A large segment and what overlaps it, where that pays.
    fn overlapping(&self) -> Option<Job> {
        let is_full = self.options.effort == Effort::Full;
        self.sorted.iter().copied().filter(|segment| is_full || self.is_large(segment)).find_map(|large| {
            let is_late = |other: &&SegmentEntry| {
                let shared = overlap(large, other);
                other.path != large.path && shared >= 0 && (is_full || shared.saturating_mul(2) >= span(other))
            };
            let mut late: Vec<&SegmentEntry> = self.sorted.iter().copied().filter(is_late).collect();
            late.sort_by_key(|other| std::cmp::Reverse((overlap(large, other) > 0, other.rows)));
            late.truncate(MOST - 1);
            let (weight, rewritten) = (rows(&late).min(large.rows), rows(&late).saturating_add(large.rows));
            let pays = is_full || weight.saturating_mul(4) >= rewritten;
            let overlaps = late.iter().any(|other| overlap(large, other) > 0);
            late.push(large);
            // Where they only touch, in one millisecond, merging may leave everything as it is.
            let gains = overlaps || self.outputs(&late) < late.len() as u64;
            (late.len() > 1 && pays && gains).then(|| self.job(&late, Vec::new()))
        })
    }

    /// Where large segments begin and end: what is merged is cut there, so that a few late flows do not make a segment
    /// overlap all that lies between.
    fn cuts(&self, part: &[&SegmentEntry]) -> Vec<i64> {
        let (oldest, newest) = extent(part);
        let large = self.sorted.iter().filter(|segment| self.is_large(segment));
        let ends = large.flat_map(|segment| [segment.start_time.1, segment.start_time.0.saturating_sub(1)]);
        let cuts: BTreeSet<i64> = ends.filter(|end| (oldest..newest).contains(end)).collect();
        cuts.into_iter().rev().collect()
    }

    fn is_large(&self, segment: &SegmentEntry) -> bool {
        segment.rows.saturating_mul(2) >= self.options.segment_rows
    }

    /// Into how many segments these are merged, without cuts.
    fn outputs(&self, part: &[&SegmentEntry]) -> u64 {
        rows(part).div_ceil(self.options.segment_rows.max(1))
    }
}

/// Segments that follow on one another in time.
#[derive(Default)]
struct Run<'a> {
    segments: Vec<&'a SegmentEntry>,
    rows: u64,
    start_time: (i64, i64),
    /// Whether it bridges a gap that only so few rows may.
    is_bridge: bool,
}

impl<'a> Run<'a> {
    /// Takes a segment, whose newest flow is no older than that of the run, where it follows on it.
    fn takes(&mut self, segment: &'a SegmentEntry, coverage: &Coverage, tiny_rows: u64) -> bool {
        let end = self.start_time.1;
        let gap = segment.start_time.0.saturating_sub(end);
        let shorter = end.saturating_sub(self.start_time.0).min(span(segment));
        let is_near = gap <= GAP || (gap <= shorter && !coverage.meets(end, segment.start_time.0));
        let is_bridge = self.is_bridge || !is_near;
        if !self.segments.is_empty() && is_bridge {
            if self.rows.saturating_add(segment.rows) > tiny_rows {
                return false;
            }
            self.is_bridge = true;
        }
        self.push(segment);
        true
    }

    fn push(&mut self, segment: &'a SegmentEntry) {
        let (oldest, newest) = segment.start_time;
        self.start_time = match self.segments.is_empty() {
            true => (oldest, newest),
            false => (self.start_time.0.min(oldest), self.start_time.1.max(newest)),
        };
        self.rows = self.rows.saturating_add(segment.rows);
        self.segments.push(segment);
    }
}

/// Which times segments cover.
struct Coverage {
    /// The beginnings of the segments, ascending, each with the latest end of those up to it.
    ends: Vec<(i64, i64)>,
}

impl Coverage {
    fn new<'a>(segments: impl Iterator<Item = &'a &'a SegmentEntry>) -> Self {
        let mut ends: Vec<(i64, i64)> = segments.map(|segment| segment.start_time).collect();
        ends.sort_unstable();
        let mut latest = i64::MIN;
        for (_, end) in &mut ends {
            latest = latest.max(*end);
            *end = latest;
        }
        Self { ends }
    }

    /// Whether some segment has a part between two times, the times themselves apart.
    fn meets(&self, after: i64, before: i64) -> bool {
        let begun = self.ends.partition_point(|(start, _)| *start < before);
        begun.checked_sub(1).and_then(|last| self.ends.get(last)).is_some_and(|(_, end)| *end > after)
    }
}

fn level(rows: u64) -> u32 {
    rows.max(1).ilog(8)
}

fn rows(part: &[&SegmentEntry]) -> u64 {
    part.iter().fold(0, |sum, segment| sum.saturating_add(segment.rows))
}

fn span(segment: &SegmentEntry) -> i64 {
    segment.start_time.1.saturating_sub(segment.start_time.0)
}

/// Milliseconds that two segments share; 0 where they only touch, negative where something lies between them.
fn overlap(one: &SegmentEntry, other: &SegmentEntry) -> i64 {
    one.start_time.1.min(other.start_time.1).saturating_sub(one.start_time.0.max(other.start_time.0))
}

fn extent(part: &[&SegmentEntry]) -> (i64, i64) {
    let oldest = part.iter().map(|segment| segment.start_time.0).min().unwrap_or(0);
    (oldest, part.iter().map(|segment| segment.start_time.1).max().unwrap_or(0))
}
