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

use super::frequent::Frequent;
use crate::{
    error::{Error, Result},
    filter::{Bounds, Filter, Verdict},
    flow::{Field, Kind},
    segment::{ListValue, RowReader, SegmentReader, listed_together},
};

/// Of a segment a list is gone through so many times at most: then its blocks are read.
const MOST_WALKS: usize = 4;
/// Of a long list so many values are kept at least, and twice as many at most.
const KEPT: usize = 4096;
/// To read a row takes about as long as to go through so many bytes of a list.
const ROW: u64 = 8;

/// How a list tells of groups of which flows are counted and nothing else.
#[derive(Debug)]
pub(in crate::query) struct Listing {
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
pub(in crate::query) enum LongLists {
    /// The most frequent values.
    Frequent,
    /// All.
    Whole,
}

impl Listing {
    /// How a list tells of groups by the values of some fields, with this filter; `None` where no list has these.
    pub(in crate::query) fn of(by: &[Field], filter: &Filter, long: LongLists) -> Option<Self> {
        let columns = listed_together(by)?;
        let is_own = |part: &Filter| part.tests().flat_map(|test| test.fields()).all(|field| columns.contains(&field));
        let own = filter.conjuncts().iter().filter(|part| is_own(part)).cloned().collect();
        let others = filter.conjuncts().iter().enumerate().filter(|(_, part)| !is_own(part)).map(|(place, _)| place);
        let values = |field: &Field| u64::try_from(field.greatest()).unwrap_or(u64::MAX).saturating_add(2);
        let most_groups = by.iter().map(values).fold(1, u64::saturating_mul);
        let is_long = long == LongLists::Frequent && columns.iter().all(|field| field.kind() == Kind::Address);
        Some(Self { columns, own, others: others.collect(), most_groups, is_long })
    }

    /// The columns of the list.
    pub(in crate::query) fn columns(&self) -> &'static [Field] {
        self.columns
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
    pub(in crate::query) fn decides(&self, filter: &Filter, bounds: &impl Bounds) -> bool {
        let is_passed = |place: &usize| filter.conjuncts().get(*place).map(|part| part.verdict(bounds));
        self.others.iter().all(|place| is_passed(place) == Some(Verdict::Always))
    }

    /// Goes through the list of a segment. Calls `each` with every value that passes and that flows of the chosen blocks have,
    /// and with how many these are; and, for each block, with none where flows pass that have no value. For each block of the
    /// segment how many flows pass, if it is chosen.
    ///
    /// # Errors
    /// [`ErrorKind::Damaged`](crate::ErrorKind::Damaged) where the list is not what was written,
    /// [`ErrorKind::Io`](crate::ErrorKind::Io) where it cannot be read.
    pub(in crate::query) async fn count(
        &self,
        reader: &RowReader,
        segment: &Arc<SegmentReader>,
        chosen: &[bool],
        mut each: impl FnMut(Option<&ListValue<'_>>, u64),
    ) -> Result<Vec<u64>> {
        let list = segment.value_list(self.columns);
        let list = list.ok_or_else(|| Error::internal("a segment lacks a list that it had"))?;
        let valued =
            list.count(reader, chosen, |value| self.passes(value), |value, flows| each(Some(value), flows)).await?;
        let mut counted = vec![0; chosen.len()];
        for (block, counted) in counted.iter_mut().enumerate().filter(|(block, _)| chosen.get(*block) == Some(&true)) {
            let valued = valued.get(block).copied().unwrap_or_default();
            let absent = segment.block_rows(block).len() as u64 - (valued.passing + valued.others);
            let absent = if self.passes_absent() { absent } else { 0 };
            if absent > 0 {
                each(None, absent);
            }
            *counted = valued.passing + absent;
        }
        Ok(counted)
    }

    /// Whether a value passes.
    fn passes(&self, value: &ListValue<'_>) -> bool {
        self.own.iter().all(|part| part.holds(&|field| value.get(field)))
    }

    /// Whether flows pass that are not in the list: those without a value, where it has one column.
    fn passes_absent(&self) -> bool {
        self.columns.len() == 1 && self.own.iter().all(|part| part.holds(&|_| None))
    }
}

/// What it costs to go through the list of a segment.
#[derive(Clone, Copy, Debug)]
pub(in crate::query) struct ListCost {
    bytes: u64,
    /// No more groups come of it.
    groups: u64,
    /// How often that was done.
    walks: usize,
}

impl ListCost {
    /// `None` where the segment does not have the list.
    pub(in crate::query) fn of(listing: &Listing, segment: &Arc<SegmentReader>) -> Option<Self> {
        let list = segment.value_list(listing.columns)?;
        let most = if listing.is_long { 2 * KEPT as u64 } else { listing.most_groups };
        Some(Self { bytes: list.bytes(), groups: list.most_values().min(most), walks: 0 })
    }

    /// How many groups come of it at most, where it costs less than to read `rows` rows.
    pub(in crate::query) fn groups(self, rows: u64) -> Option<u64> {
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
    /// Whether the round is through that has kept it.
    pub(super) is_settled: bool,
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
