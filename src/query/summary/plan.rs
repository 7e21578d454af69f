//! What is still to be counted of a segment.

use std::{collections::VecDeque, ops::Range, sync::Arc};

use super::{
    listing::{ListCost, Listing},
    matching::Matching,
};
use crate::{
    error::Result,
    filter::{Bounds, Verdict},
    flow::{Field, Timestamp, ValueRef},
    query::{
        Explain, Pruning,
        condition::Conditions,
        goal::Goal,
        pruner::{pages_in_time, unbounded},
    },
    segment::{Effort, Probes, RowReader, SegmentReader},
};

/// The blocks of a segment that may hold a flow that matches and was not counted yet, the newest first.
#[derive(Debug, Default)]
pub(super) struct Plan {
    pub(super) blocks: VecDeque<Block>,
    /// The rows before this one were counted.
    pub(super) row: usize,
    /// What it costs to go through the list that tells of the groups, where there is one.
    pub(super) list: Option<ListCost>,
    /// What blocks must pass of which not all flows match; `None` where there are none.
    pub(super) matching: Option<Arc<Matching>>,
}

/// A block, and what bounds and lists tell of it.
#[derive(Clone, Debug)]
pub(super) struct Block {
    pub(super) rows: Range<usize>,
    /// The oldest and the newest start time of what is still to be counted, in milliseconds.
    pub(super) times: (i64, i64),
    /// Whether all its flows match.
    pub(super) always: bool,
    /// How many flows match, where that is known.
    pub(super) count: Option<u64>,
    /// Whether the list of the groups tells which of its flows match.
    pub(super) listed: bool,
    /// The pages that may hold a flow that matches: bit 0 is the first.
    pub(super) pages: u8,
}

/// What plans are made by.
#[derive(Debug)]
pub(super) struct Planner<'a> {
    pub(super) goal: &'a Goal,
    pub(super) rows: &'a RowReader,
    pub(super) effort: Effort,
    pub(super) listing: Option<&'a Listing>,
    pub(super) pruning: Pruning,
}

impl Planner<'_> {
    /// The blocks of a segment in which flows may match. Makes `conditions`, and puts them in order, where bounds and
    /// lists do not decide all blocks.
    pub(super) async fn plan(
        &self,
        segment: &Arc<SegmentReader>,
        conditions: &mut Option<Conditions>,
        explain: &mut Explain,
    ) -> Result<Plan> {
        let filter = &self.goal.filter;
        if self.pruning == Pruning::Off {
            let conditions = conditions.get_or_insert_with(|| Conditions::new(self.goal)).clone();
            let matching = Matching { conditions, probes: None };
            return Ok(Plan { matching: Some(Arc::new(matching)), ..all_blocks(segment, explain)? });
        }
        if filter.verdict(&segment.whole()) == Verdict::Never {
            explain.segments_never += 1;
            return Ok(Plan::default());
        }
        let probes = Probes::ask(filter, segment, self.rows, self.effort).await?;
        let list = self.listing.and_then(|listing| ListCost::of(listing, segment));
        let mut plan = Plan { list, ..Plan::default() };
        for block in 0..segment.blocks().len() {
            explain.blocks += 1;
            let bounds = probes.block(segment, block);
            let verdict = filter.verdict(&bounds);
            if verdict == Verdict::Never {
                explain.blocks_never += 1;
                continue;
            }
            let always = verdict == Verdict::Always;
            let pages =
                if always { u8::MAX } else { probes.pages(filter, block) & pages_in_time(filter, segment, block) };
            let (rows, count) = (segment.block_rows(block), filter.count(&bounds));
            let listed = list.is_some() && self.listing.is_some_and(|listing| listing.decides(filter, &bounds));
            plan.blocks.push_back(Block { rows, times: times(&bounds)?, always, count, listed, pages });
        }
        if conditions.is_none() && plan.blocks.iter().any(|block| !block.always) {
            *conditions = Some(Conditions::new(self.goal));
        }
        if let Some(conditions) = conditions {
            conditions.order(filter, segment, &probes);
            let probes = probes.tells_rows().then(|| Arc::new(probes));
            plan.matching = Some(Arc::new(Matching { conditions: conditions.clone(), probes }));
        }
        Ok(plan)
    }
}

/// All blocks of a segment, as if nothing were known of them but their times.
fn all_blocks(segment: &SegmentReader, explain: &mut Explain) -> Result<Plan> {
    let block = |block: usize| {
        let (rows, times) = (segment.block_rows(block), times(&segment.blocks().block(block))?);
        Ok(Block { rows, times, always: false, count: None, listed: false, pages: u8::MAX })
    };
    let blocks: VecDeque<Block> = (0..segment.blocks().len()).map(block).collect::<Result<_>>()?;
    explain.blocks += blocks.len() as u64;
    Ok(Plan { blocks, ..Plan::default() })
}

/// The oldest and the newest start time within bounds, in milliseconds.
fn times(bounds: &impl Bounds) -> Result<(i64, i64)> {
    let millis = |value: ValueRef<'_>| match value {
        ValueRef::Number(time) => u64::try_from(time).ok().map(Timestamp::ordinal_millis),
        ValueRef::Text(_) => None,
    };
    let span = bounds.field(Field::StartTime).and_then(|span| span.values);
    span.and_then(|(oldest, newest)| millis(oldest).zip(millis(newest))).ok_or_else(unbounded)
}
