//! Groups that a list of values tells of.
//!
//! A list has, for each value of its columns, the number of flows in each block. So where all flows of a block match, or
//! where it depends on the columns of the list alone, the list tells how many flows of the block are in each group:
//!
//! ```text
//! by protocol, protocol = TCP and start >= 12:00      list: (TCP, SYN) block 0: 5, block 1: 7   (UDP, -) block 1: 2
//! block 0   12:00:09 ..= 12:00:02    listed: 5 of TCP
//! block 1   12:00:01 ..= 11:59:58    read: when flows began is not in the list
//! ```

use std::sync::Arc;

use super::{builder::SummaryQuery, frequent::Frequent};
use crate::{
    filter::{Bounds, Filter, Verdict},
    flow::{Field, Kind},
    segment::{ListValue, SegmentReader, listed_together},
};

/// Of a segment a list is gone through so many times at most: then its blocks are read.
const MOST_WALKS: usize = 4;
/// Of a long list so many values are kept at least, and twice as many at most.
const KEPT: usize = 4096;
/// To read a row takes about as long as to go through so many bytes of a list.
const ROW: u64 = 8;

/// How a list tells of the groups of a summary.
#[derive(Debug)]
pub(super) struct Listing {
    /// The columns of the list.
    pub(super) columns: &'static [Field],
    /// Those parts of the filter that look at nothing else.
    own: Vec<Filter>,
    /// The places of the others among the parts.
    others: Vec<usize>,
    /// There are no more groups.
    most_groups: u64,
    /// Whether of each list only the most frequent values are kept.
    is_long: bool,
}

/// What is kept of a list with very many values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LongLists {
    /// The most frequent values.
    Frequent,
    /// All.
    Whole,
}

impl Listing {
    /// How a list tells of the groups that are asked for, with this filter; `None` where lists do not tell what is asked for.
    pub(super) fn of(query: &SummaryQuery, filter: &Filter, long: LongLists) -> Option<Self> {
        let columns = listed_together(&query.by).filter(|_| !query.adds_bytes())?;
        let is_own = |part: &Filter| part.tests().all(|test| columns.contains(&test.field()));
        let own = filter.conjuncts().iter().filter(|part| is_own(part)).cloned().collect();
        let others = filter.conjuncts().iter().enumerate().filter(|(_, part)| !is_own(part)).map(|(place, _)| place);
        let values = |field: &Field| u64::try_from(field.greatest()).unwrap_or(u64::MAX).saturating_add(2);
        let most_groups = query.by.iter().map(values).fold(1, u64::saturating_mul);
        let is_long = long == LongLists::Frequent && columns.iter().all(|field| field.kind() == Kind::Address);
        Some(Self { columns, own, others: others.collect(), most_groups, is_long })
    }

    /// There are no more groups.
    pub(super) fn most_groups(&self) -> u64 {
        self.most_groups
    }

    /// What is kept of a list whose values are not all kept.
    pub(super) fn frequent(&self) -> Option<Frequent> {
        self.is_long.then(|| Frequent::new(KEPT))
    }

    /// Whether, of the flows within `bounds`, those match whose values in the list pass.
    pub(super) fn decides(&self, filter: &Filter, bounds: &impl Bounds) -> bool {
        let is_passed = |place: &usize| filter.conjuncts().get(*place).map(|part| part.verdict(bounds));
        self.others.iter().all(|place| is_passed(place) == Some(Verdict::Always))
    }

    /// Whether a value passes.
    pub(super) fn passes(&self, value: &ListValue<'_>) -> bool {
        self.own.iter().all(|part| part.holds(&|field| value.get(field)))
    }

    /// Whether flows pass that are not in the list: those without a value, where it has one column.
    pub(super) fn passes_absent(&self) -> bool {
        self.columns.len() == 1 && self.own.iter().all(|part| part.holds(&|_| None))
    }
}

/// What it costs to go through the list of a segment.
#[derive(Clone, Copy, Debug)]
pub(super) struct ListCost {
    bytes: u64,
    /// No more groups come of it.
    groups: u64,
    /// How often that was done.
    walks: usize,
}

impl ListCost {
    /// `None` where the segment does not have the list.
    pub(super) fn of(listing: &Listing, segment: &Arc<SegmentReader>) -> Option<Self> {
        let list = segment.value_list(listing.columns)?;
        let most = if listing.is_long { 2 * KEPT as u64 } else { listing.most_groups };
        Some(Self { bytes: list.bytes(), groups: list.most_values().min(most), walks: 0 })
    }

    /// How many groups come of it at most, where it costs less than to read `rows` rows.
    pub(super) fn groups(self, rows: u64) -> Option<u64> {
        (self.walks < MOST_WALKS && self.bytes <= rows.saturating_mul(ROW)).then_some(self.groups)
    }

    /// It is gone through once more: as much work as to read so many rows.
    pub(super) fn walk(&mut self) -> u64 {
        self.walks += 1;
        self.bytes / ROW
    }
}

/// Blocks of a segment that its list tells of.
#[derive(Clone, Debug)]
pub(super) struct ListPart {
    /// The number of the segment.
    pub(super) number: usize,
    pub(super) segment: Arc<SegmentReader>,
    /// The number of each, and a time within its bucket, in milliseconds.
    pub(super) blocks: Vec<(usize, i64)>,
    /// To read so many rows would take about as long.
    pub(super) work: u64,
}

/// The most frequent values of some blocks of a segment.
#[derive(Debug)]
pub(super) struct FrequentPart {
    /// The number of the segment.
    pub(super) segment: usize,
    /// For each block of the segment whether it is one of them.
    pub(super) chosen: Vec<bool>,
    pub(super) frequent: Frequent,
}

impl ListPart {
    /// For each block of the segment whether it is one of them.
    pub(super) fn chosen(&self) -> Vec<bool> {
        let mut chosen = vec![false; self.segment.blocks().len()];
        for (block, _) in &self.blocks {
            chosen.iter_mut().skip(*block).take(1).for_each(|chosen| *chosen = true);
        }
        chosen
    }
}
