//! What is still to be counted of a segment.

use std::{collections::VecDeque, ops::Range, sync::Arc};

use crate::{
    error::Result,
    filter::{Bounds, Filter, Verdict},
    flow::{Field, Timestamp, ValueRef},
    query::{
        Explain,
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
    /// The pages that may hold a flow that matches: bit 0 is the first.
    pub(super) pages: u8,
}

impl Plan {
    /// The blocks of a segment in which flows may match. Makes `conditions`, and puts them in order, where bounds and
    /// lists do not decide all blocks.
    pub(super) async fn of(
        goal: &Goal,
        segment: &Arc<SegmentReader>,
        rows: &RowReader,
        effort: Effort,
        conditions: &mut Option<Conditions>,
        explain: &mut Explain,
    ) -> Result<Self> {
        let filter: &Filter = &goal.filter;
        if filter.verdict(&segment.whole()) == Verdict::Never {
            explain.segments_never += 1;
            return Ok(Self::default());
        }
        let probes = Probes::ask(filter, segment, rows, effort).await?;
        let mut plan = Self::default();
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
            plan.blocks.push_back(Block { rows, times: times(&bounds)?, always, count, pages });
        }
        if conditions.is_none() && plan.blocks.iter().any(|block| !block.always) {
            *conditions = Some(Conditions::new(goal));
        }
        if let Some(conditions) = conditions {
            conditions.order(filter, segment, &probes);
        }
        Ok(plan)
    }
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
