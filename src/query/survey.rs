//! Which blocks of a segment can matter, and what has dropped the others.

use std::sync::Arc;

use super::{
    Dropped, Pruning,
    condition::{Conditions, parts},
    plan::{Block, Frontier, Outlook, Place},
    search::{Search, unbounded},
};
use crate::{
    error::Result,
    filter::{Bounds, Filter, Verdict},
    flow::{Field, Span, ValueRef},
    order::Key,
    segment::{Effort, Probes, SegmentReader},
};

impl Search<'_> {
    /// Puts the blocks of a segment to the candidates.
    pub(super) async fn look_into(
        &mut self,
        segment: usize,
        frontier: &mut Frontier,
        conditions: &mut Conditions,
    ) -> Result<()> {
        let reader = self.reader(segment).await?;
        let blocks = reader.blocks().len();
        if self.pruning == Pruning::Off {
            self.explain.blocks += blocks as u64;
            for block in 0..blocks {
                let block = Block { segment, block, whole: false, matches: None, pages: u8::MAX };
                frontier.push(Key::new(), Place::Block(block));
            }
            return Ok(());
        }
        let filter = Arc::clone(&self.goal.filter);
        if filter.verdict(&reader.whole()) == Verdict::Never {
            self.drop_segment(&reader.whole());
            return Ok(());
        }
        let probes = Probes::ask(&filter, &reader, &self.scanner.reader, Effort::Page).await?;
        if filter.verdict(&probes.whole(&reader)) == Verdict::Never {
            self.drop_segment(&probes.whole(&reader));
            return Ok(());
        }
        conditions.order(&filter, &reader, &probes);
        self.look_at_blocks(segment, &reader, &probes, frontier)
    }

    fn look_at_blocks(
        &mut self,
        segment: usize,
        reader: &SegmentReader,
        probes: &Probes<'_>,
        frontier: &mut Frontier,
    ) -> Result<()> {
        let filter = Arc::clone(&self.goal.filter);
        for block in 0..reader.blocks().len() {
            self.explain.blocks += 1;
            let bounds = probes.block(reader, block);
            match self.goal.outlook(&bounds) {
                Outlook::Never => {
                    self.explain.blocks_never += 1;
                    self.blame(to_blame(&filter, &bounds), 0, 1);
                }
                Outlook::Done => self.explain.blocks_done += 1,
                Outlook::Ahead { key, whole } => {
                    let matches = filter.count(&bounds);
                    let pages =
                        if whole { u8::MAX } else { probes.pages(&filter, block) & in_time(&filter, reader, block) };
                    frontier.push(key, Place::Block(Block { segment, block, whole, matches, pages }));
                }
                Outlook::Unknown => return Err(unbounded()),
            }
        }
        Ok(())
    }

    /// Counts a segment in which no flow matches, by its `bounds`.
    pub(super) fn drop_segment(&mut self, bounds: &impl Bounds) {
        self.explain.segments_never += 1;
        self.blame(to_blame(&self.goal.filter, bounds), 1, 0);
    }

    /// Counts what was passed over because of a part of the filter.
    fn blame(&mut self, part: Option<usize>, segments: u64, blocks: u64) {
        let Some(part) = part else { return };
        let sum = self.blamed.entry(part).or_default();
        *sum = (sum.0 + segments, sum.1 + blocks);
    }

    /// What was passed over because of one part of the filter.
    pub(super) fn dropped(&self) -> Vec<Dropped> {
        let told = |(part, (segments, blocks)): (&usize, &(u64, u64))| {
            let predicate = parts(&self.goal.filter).get(*part)?.to_string();
            Some(Dropped { predicate, segments: *segments, blocks: *blocks })
        };
        self.blamed.iter().filter_map(told).collect()
    }
}

/// The part of a filter by which no flow within `bounds` matches, where there is one: its place among the parts.
fn to_blame(filter: &Filter, bounds: &impl Bounds) -> Option<usize> {
    parts(filter).iter().position(|part| part.verdict(bounds) == Verdict::Never)
}

/// The pages of a block in which a flow can match by its start time: bit 0 is the first.
fn in_time(filter: &Filter, reader: &SegmentReader, block: usize) -> u8 {
    let shape = reader.shape();
    let rows = reader.block_rows(block);
    let first = rows.start / shape.page_rows;
    let never = |page: &usize| {
        let times = reader.page_times(*page);
        times.is_some_and(|times| filter.verdict(&PageTimes(times)) == Verdict::Never)
    };
    let excluded = (first..rows.end.div_ceil(shape.page_rows)).filter(never);
    excluded.fold(u8::MAX, |pages, page| pages & !(1 << (page - first).min(7)))
}

/// The oldest and the newest start time of a page, as its bounds.
struct PageTimes((u64, u64));

impl Bounds for PageTimes {
    fn field(&self, field: Field) -> Option<Span<'_>> {
        let (oldest, newest) = self.0;
        let time = |ordinal: u64| ValueRef::Number(ordinal.into());
        (field == Field::StartTime).then(|| Span { values: Some((time(oldest), time(newest))), absent: false })
    }

    fn flag_masks(&self) -> (u8, u8) {
        (u8::MAX, 0)
    }
}
