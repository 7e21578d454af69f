//! Which segments and blocks a scan reads: known to all its partitions.

use std::{
    cmp::Reverse,
    fmt,
    sync::{Arc, Mutex, OnceLock, PoisonError},
};

use datafusion::common::Statistics;

use super::Source;
use crate::{
    archive::{Counted, Known, SegmentEntry},
    error::Result,
    filter::Filter,
    flow::Field,
    order::Order,
    query::{
        Dropped, Explain, Pruning,
        condition::Conditions,
        frontier::Block,
        goal::{Candidacy, Goal},
        pruner::{Pruner, all_blocks},
        segments::Segments,
    },
    resources::Deadline,
    segment::{Effort, Probes, RowReader, grouped},
};

/// About how many rows are read in one go, where the memory of the archive allows it.
const STEP_ROWS: usize = 1 << 15;

/// What the zone maps of segments tell when a query is planned, and what their indexes tell when it runs.
#[derive(Debug)]
pub(super) struct Survey {
    pub(super) source: Arc<Source>,
    pub(super) target: Arc<Target>,
    /// The segments that may hold flows of the scan, the newest first.
    pub(super) segments: Vec<usize>,
    /// What was dropped by the zone maps alone.
    pub(super) planned: Explain,
    pub(super) statistics: OnceLock<Arc<Statistics>>,
    /// Of each of the segments, how many flows match.
    known: OnceLock<Vec<Option<u64>>>,
    /// The target that filters of the nodes above have left, as the partition knew it that looked last.
    narrowed: Mutex<Option<Arc<Target>>>,
    /// Of each of the segments, what its index tells, once it was asked. Two partitions may ask for the same at the same
    /// time: to wait for one another, both would have to be polled.
    looked: Mutex<Vec<Option<Arc<Looked>>>>,
}

/// Which flows are looked for.
#[derive(Debug)]
pub(super) struct Target {
    pub(super) goal: Goal,
    conditions: OnceLock<Conditions>,
}

impl Target {
    fn new(goal: Goal) -> Arc<Self> {
        Arc::new(Self { goal, conditions: OnceLock::new() })
    }
}

/// What the index of a segment tells.
#[derive(Debug)]
pub(super) struct Looked {
    pub(super) target: Arc<Target>,
    /// The blocks that may hold flows of the scan.
    pub(super) blocks: Vec<Block>,
    /// What flows must pass, in the order that suits the segment.
    pub(super) conditions: Arc<Conditions>,
    /// It knows of the rows of the blocks.
    pub(super) pruner: Pruner,
    /// Rows of a block.
    pub(super) block_rows: usize,
    /// So many rows are read in one go.
    pub(super) step_rows: usize,
}

impl Survey {
    pub(super) fn new(source: Arc<Source>) -> Self {
        let query = &source.query;
        // Without a position any order does: all have the same flows.
        let order = source.position.as_ref().map_or_else(Order::newest_first, |_| query.order.clone());
        let filter = Arc::new(grouped(&query.filter));
        let goal = Goal { filter, order: Arc::new(order), position: source.position.clone() };
        let mut pruner = Pruner::new(effort(&source.fields));
        let entries = &query.snapshot.manifest().segments;
        let mut planned = Explain { segments: entries.len() as u64, ..Explain::default() };
        let mut segments = Vec::new();
        for (segment, entry) in entries.iter().enumerate() {
            let known = Known::of(entry, &query.snapshot);
            match goal.candidacy(&known) {
                _ if query.pruning == Pruning::Off => segments.push(segment),
                Candidacy::Never => pruner.drop_segment(&goal, &known, &mut planned),
                Candidacy::Passed => planned.segments_done += 1,
                Candidacy::Candidate { .. } | Candidacy::Unknown => segments.push(segment),
            }
        }
        planned.dropped = pruner.dropped(&goal.filter);
        // Who wants few flows, by whatever, mostly wants new ones: a threshold of times rises at once then.
        segments.sort_by_key(|segment| Reverse(entries.get(*segment).map(|entry| entry.start_time.1)));
        let looked = Mutex::new(vec![None; segments.len()]);
        let (target, narrowed) = (Target::new(goal), Mutex::default());
        let (statistics, known) = (OnceLock::new(), OnceLock::new());
        Self { target, segments, planned, statistics, known, narrowed, looked, source }
    }

    /// What is left to look for where only flows matter that pass `implied` as well.
    pub(super) fn narrowed(&self, implied: &Filter) -> Arc<Target> {
        if implied.is_all() {
            return Arc::clone(&self.target);
        }
        let filter = grouped(&self.source.query.filter.clone().and(implied.clone()).normal());
        let mut last = self.narrowed.lock().unwrap_or_else(PoisonError::into_inner);
        match last.as_ref().filter(|last| *last.goal.filter == filter) {
            Some(last) => Arc::clone(last),
            None => {
                let goal = Goal { filter: Arc::new(filter), ..self.target.goal.clone() };
                Arc::clone(last.insert(Target::new(goal)))
            }
        }
    }

    /// The entry of one of the segments.
    pub(super) fn entry(&self, segment: usize) -> Option<&SegmentEntry> {
        self.source.query.snapshot.manifest().segments.get(segment)
    }

    /// The entries of the segments.
    pub(super) fn entries(&self) -> impl Iterator<Item = &SegmentEntry> {
        self.segments.iter().filter_map(|segment| self.entry(*segment))
    }

    /// The segments behind a place, so many at most.
    fn next_segments(&self, place: usize, most: usize) -> Vec<usize> {
        self.segments.iter().skip(place + 1).take(most).copied().collect()
    }

    /// Rows of the segments.
    pub(super) fn rows(&self) -> u64 {
        self.entries().map(|entry| entry.rows).sum()
    }

    /// How many flows match of the segment at a place among the segments, where that was known before it was opened: all
    /// partitions must agree on it.
    pub(super) fn known(&self, place: usize) -> Option<u64> {
        self.known
            .get_or_init(|| self.entries().map(|entry| self.counted(entry)).collect())
            .get(place)
            .copied()
            .flatten()
    }

    /// How many flows of a segment match, where the zone maps or a count before tell.
    fn counted(&self, entry: &SegmentEntry) -> Option<u64> {
        let filter = &self.target.goal.filter;
        let counts = self.source.query.snapshot.archive().counts();
        let is_whole = self.target.goal.position.is_none();
        let counted = || match counts.get(&entry.path, filter) {
            Some(Counted::Whole(flows)) => Some(flows),
            Some(Counted::Part { .. }) | None => None,
        };
        let known = Known::of(entry, &self.source.query.snapshot);
        is_whole.then(|| filter.count(&known).or_else(counted)).flatten()
    }

    /// Asks the lists how many flows of each segment match, up to the first segment of which they do not tell.
    pub(super) async fn count(&self) -> Result<()> {
        let (query, goal) = (&self.source.query, &self.target.goal);
        if goal.position.is_some() || query.pruning == Pruning::Off {
            return Ok(());
        }
        let archive = query.snapshot.archive();
        let reader = RowReader::new(Arc::clone(archive.pages()), Arc::default());
        let mut known = vec![None; self.segments.len()];
        for (place, ((segment, entry), known)) in self.segments.iter().zip(self.entries()).zip(&mut known).enumerate() {
            *known = self.counted(entry);
            if known.is_none() {
                let mut segments = Segments::new(&query.snapshot, Deadline::never());
                let next = |most| self.next_segments(place, most);
                if segments.excluded(*segment, &goal.filter, reader.counters(), next).await?.is_some() {
                    *known = Some(0);
                    continue;
                }
                let opened = segments.open(*segment).await?;
                let probes = Probes::ask(&goal.filter, &opened, &reader, Effort::Count).await?;
                *known = goal.filter.count(&probes.whole(&opened));
            }
            let Some(flows) = *known else { break };
            archive.counts().insert(&entry.path, &goal.filter, Counted::Whole(flows));
        }
        self.known.get_or_init(|| known);
        Ok(())
    }

    /// What the index of the segment at a place among the segments tells of a target, and what it has cost to ask: of
    /// whoever asks first.
    pub(super) async fn look(
        &self,
        place: usize,
        target: &Arc<Target>,
        reader: &RowReader,
    ) -> Result<Option<(Arc<Looked>, Explain)>> {
        let Some(segment) = self.segments.get(place).copied() else { return Ok(None) };
        let known = self.looked.lock().unwrap_or_else(PoisonError::into_inner).get(place).cloned().flatten();
        let is_first = known.is_none();
        if let Some(known) = known.filter(|known| Arc::ptr_eq(&known.target, target)) {
            return Ok(Some((known, Explain::default())));
        }
        let (query, goal) = (&self.source.query, &target.goal);
        let mut conditions = target.conditions.get_or_init(|| Conditions::new(goal)).clone();
        let mut pruner = Pruner::new(effort(&self.source.fields));
        let mut segments = Segments::new(&query.snapshot, Deadline::never());
        let next = |most| self.next_segments(place, most);
        if query.pruning == Pruning::On
            && let Some(known) = segments.excluded(segment, &goal.filter, reader.counters(), next).await?
        {
            let mut explain = Explain::default();
            pruner.drop_segment(goal, &known, &mut explain);
            explain.dropped = pruner.dropped(&goal.filter);
            let target = Arc::clone(target);
            let nothing = Looked {
                target,
                blocks: Vec::new(),
                conditions: Arc::new(conditions),
                pruner,
                block_rows: 1,
                step_rows: 1,
            };
            return Ok(Some(self.keep(place, nothing, is_first, explain)));
        }
        let mut explain = Explain { segments_opened: 1, ..Explain::default() };
        let opened = segments.open(segment).await?;
        let blocks = match query.pruning {
            Pruning::On => {
                let found = pruner.blocks(goal, (segment, &*opened), reader, &mut conditions, &mut explain).await?;
                explain.dropped = pruner.dropped(&goal.filter);
                found.into_iter().map(|(_, block)| block).collect()
            }
            Pruning::Off => {
                explain.blocks += opened.blocks().len() as u64;
                all_blocks(segment, &opened).collect::<Vec<_>>()
            }
        };
        let shape = opened.shape();
        let step_rows = reader.pages_at_once(&opened).saturating_mul(shape.page_rows).min(STEP_ROWS);
        let conditions = Arc::new(conditions);
        let target = Arc::clone(target);
        let found = Looked { target, blocks, conditions, pruner, block_rows: shape.block_rows, step_rows };
        Ok(Some(self.keep(place, found, is_first, explain)))
    }

    /// Remembers what the index of a segment tells. Who was not the first to ask has cost nothing that counts.
    fn keep(&self, place: usize, found: Looked, is_first: bool, explain: Explain) -> (Arc<Looked>, Explain) {
        let found = Arc::new(found);
        let mut looked = self.looked.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = looked.get_mut(place) {
            *known = Some(Arc::clone(&found));
        }
        (found, if is_first { explain } else { Explain::default() })
    }
}

/// How much is read of the lists: where no column is wanted, only the number of flows is.
fn effort(fields: &[Field]) -> Effort {
    if fields.is_empty() { Effort::Count } else { Effort::Page }
}

impl fmt::Display for Survey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "segments={} of {}", self.segments.len(), self.planned.segments)?;
        for Dropped { predicate, segments, .. } in &self.planned.dropped {
            write!(f, ", {segments} dropped by {predicate}")?;
        }
        Ok(())
    }
}
