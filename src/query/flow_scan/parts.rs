//! A scan in no order: its partitions share the blocks that are left of each segment.

use std::{collections::VecDeque, sync::Arc};

use arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions};
use datafusion::common::Result as DataFusionResult;

use super::{
    Source,
    lists::Lists,
    metrics::{ScanMetrics, taken},
    narrowing::Narrowing,
    source::failed,
    survey::{Looked, Survey},
};
use crate::{
    archive::{Counted, Known},
    error::{Error, ErrorKind, Result},
    filter::{Test, Verdict},
    flow::Field,
    query::{
        Explain, Pruning,
        block_reader::BlockReader,
        budget::Spending,
        condition::Condition,
        frontier::Block,
        scan::{Scan, Scanner},
        segments::{OpenSegment, Segments},
    },
    resources::Deadline,
    segment::{PagedRows, ReadCounters, RowReader},
};

/// About how many rows lie side by side in one partition.
const UNIT_ROWS: usize = 1 << 16;

/// One partition of a scan.
pub(in crate::query) struct PartScan {
    survey: Arc<Survey>,
    /// Its number, and how many there are.
    part: (usize, usize),
    /// How many segments it has looked at.
    visited: usize,
    pub(super) steps: VecDeque<Step>,
    /// How many rows are still wanted.
    left: Option<usize>,
    narrowing: Option<Narrowing>,
    /// The lists that tell of the groups that its flows are counted in, if some do.
    pub(super) lists: Option<Arc<Lists>>,
    pub(super) scanner: Scanner,
    /// The columns that it reads, and of how many rows.
    touched: (Vec<Field>, u64),
    metrics: ScanMetrics,
}

/// What is done in one go.
pub(super) enum Step {
    /// So many flows match; no column of them is wanted.
    Count(u64),
    /// Blocks of a segment, in all of which all flows match, or in none of which this is known.
    Read { segment: usize, blocks: Vec<Block>, looked: Arc<Looked> },
    /// Rows of a segment that are few enough to be read in one go.
    Scan { segment: usize, rows: PagedRows, conditions: Vec<Arc<Condition>> },
    /// Blocks of a segment whose groups its list tells.
    List { segment: usize, chosen: Vec<bool> },
}

impl PartScan {
    /// The part number `part.0` of `part.1`, and of it `fetch` rows at most.
    pub(super) fn new(
        survey: Arc<Survey>,
        part: (usize, usize),
        fetch: Option<usize>,
        (narrowing, lists): (Option<Narrowing>, Option<Arc<Lists>>),
        mut metrics: ScanMetrics,
    ) -> Self {
        let archive = survey.source.query.snapshot.archive();
        let reader = RowReader::new(Arc::clone(archive.pages()), Arc::new(ReadCounters::default()));
        let scanner = Scanner { reader };
        if part.0 == 0 {
            metrics.add(&survey.planned);
        }
        let narrowing = narrowing.filter(|_| survey.source.query.pruning == Pruning::On);
        let touched = (touched(&survey.source), 0);
        Self {
            survey,
            part,
            visited: 0,
            steps: VecDeque::new(),
            left: fetch,
            narrowing,
            lists,
            scanner,
            touched,
            metrics,
        }
    }

    /// The same that reads the rows of all flows that match.
    pub(in crate::query) fn reading_all(mut self) -> Self {
        if self.survey.target.goal.filter.is_all() && self.left.is_none() && self.narrowing.is_none() {
            // It is known from the beginning that every row is read.
            self.touch(self.survey.rows() / self.part.1 as u64);
        }
        self
    }

    /// Takes note that so many rows more are read.
    pub(super) fn note_rows(&mut self, rows: usize) {
        self.add(Explain { rows_scanned: rows as u64, ..Explain::default() });
        self.touch(rows as u64);
    }

    /// Reads so many rows more. Once its pages would take more of the cache than it may, they are not kept: others
    /// would lose theirs.
    fn touch(&mut self, rows: u64) {
        let (fields, sum) = &mut self.touched;
        *sum = sum.saturating_add(rows);
        if self.scanner.reader.is_large(fields, sum.saturating_mul(self.part.1 as u64)) {
            self.scanner.reader = self.scanner.reader.clone().passing();
        }
    }

    /// The next rows.
    pub(super) async fn next(&mut self) -> DataFusionResult<Option<RecordBatch>> {
        loop {
            if self.left == Some(0) {
                return Ok(None);
            }
            let batch = match self.steps.pop_front() {
                Some(step) => self.take(step).await.map_err(failed)?,
                None if self.look().await.map_err(failed)? => None,
                None => return Ok(None),
            };
            if let Some(batch) = batch.filter(|batch| batch.num_rows() > 0) {
                let rows = self.left.map_or(batch.num_rows(), |left| left.min(batch.num_rows()));
                self.left = self.left.map(|left| left - rows);
                return Ok(Some(batch.slice(0, rows)));
            }
        }
    }

    pub(super) async fn open(&self, segment: usize) -> Result<OpenSegment> {
        Segments::new(&self.survey.source.query.snapshot, Deadline::never()).open(segment).await
    }

    /// Looks into the next segment; whether there was one.
    pub(super) async fn look(&mut self) -> Result<bool> {
        let survey = Arc::clone(&self.survey);
        let count = survey.segments.len();
        if self.visited == count {
            return Ok(false);
        }
        let place = place(self.visited, self.part, count);
        self.visited += 1;
        let Some((segment, entry)) = survey.segments.get(place).and_then(|at| Some((*at, survey.entry(*at)?))) else {
            return Ok(true);
        };
        let target = match &mut self.narrowing {
            None => Arc::clone(&survey.target),
            Some(narrowing) => {
                let target = survey.narrowed(narrowing.implied());
                let known = Known::of(entry, &survey.source.query.snapshot);
                let is_dropped = target.goal.filter.verdict(&known) == Verdict::Never;
                if is_dropped || narrowing.keeps(std::slice::from_ref(entry)) == [false] {
                    self.metrics.narrow(usize::from(self.owns(place)), 0);
                    return Ok(true);
                }
                target
            }
        };
        let is_count = survey.source.fields.is_empty();
        if let Some(known) = survey.known(place).filter(|_| is_count) {
            if self.owns(place) {
                self.steps.push_back(Step::Count(known));
            }
            return Ok(true);
        }
        let Some((looked, explain)) = survey.look(place, &target, &self.scanner.reader).await? else { return Ok(true) };
        self.add(explain);
        let is_unpositioned = survey.source.position.is_none();
        let matches = |block: &Block| block.matches.filter(|_| is_count && is_unpositioned);
        if is_count && Arc::ptr_eq(&target, &survey.target) {
            let known: Option<Vec<u64>> = looked.blocks.iter().map(matches).collect();
            if let Some(known) = known {
                let counts = survey.source.query.snapshot.archive().counts();
                counts.insert(&entry.path, &target.goal.filter, Counted::Whole(known.iter().sum()));
            }
        }
        let unit = (UNIT_ROWS / looked.block_rows.max(1)).max(1);
        // By their numbers: which blocks are left may differ between partitions that know more or less of the nodes above.
        let listed = self.listed(segment, &looked).await?.unwrap_or_default();
        let is_read = |block: &&Block| listed.get(block.block) != Some(&true);
        let owned = looked.blocks.iter().filter(is_read).filter(|block| self.owns(block.block / unit + place));
        let (counted, read): (Vec<_>, Vec<_>) = owned.partition(|block| matches(block).is_some());
        self.steps.push_back(Step::Count(counted.into_iter().filter_map(matches).sum()));
        self.steps.extend(steps(segment, &read, &looked));
        if !listed.is_empty() && self.lists.as_ref().is_some_and(|lists| lists.take(place)) {
            self.steps.push_back(Step::List { segment, chosen: listed });
        }
        Ok(true)
    }

    /// Whether a piece of work is this partition's.
    fn owns(&self, piece: usize) -> bool {
        piece % self.part.1 == self.part.0
    }

    pub(super) async fn take(&mut self, step: Step) -> Result<Option<RecordBatch>> {
        match step {
            Step::Count(flows) => self.batch(Vec::new(), usize::try_from(flows).unwrap_or(usize::MAX)).map(Some),
            Step::Read { segment, blocks, looked } => {
                self.choose(segment, blocks, &looked).await?;
                Ok(None)
            }
            Step::Scan { segment, rows, conditions } => self.scan(segment, rows, conditions).await.map(Some),
            Step::List { .. } => Err(Error::internal("a list has no rows")),
        }
    }

    /// Chooses the rows of some blocks that are read: those first that are chosen here.
    pub(super) async fn choose(&mut self, segment: usize, mut blocks: Vec<Block>, looked: &Looked) -> Result<()> {
        let opened = self.open(segment).await?;
        if let Some(narrowing) = &mut self.narrowing {
            let bounds: Vec<_> = blocks.iter().map(|block| opened.blocks().block(block.block)).collect();
            let before = blocks.len();
            let mut kept = narrowing.keeps(&bounds).into_iter();
            blocks.retain(|_| kept.next().unwrap_or(true));
            self.metrics.narrow(0, before - blocks.len());
        }
        let spending = Spending::unlimited();
        let (goal, conditions, scanner) = (&looked.target.goal, &looked.conditions, &self.scanner);
        let reader = BlockReader { goal, conditions, scanner, pruner: &looked.pruner, spending: &spending };
        // Rows side by side that must pass the same are read together.
        let mut chosen: Vec<(PagedRows, Vec<Arc<Condition>>)> = Vec::new();
        let mut wanted = self.left;
        for block in &blocks {
            let (mut rows, conditions) = reader.paged_rows(block, &opened).await?;
            if let Some(left) = wanted.as_mut().filter(|_| conditions.is_empty()) {
                // Of rows that match as they are, no more is read than is wanted.
                rows.keep_first(*left);
                *left -= rows.len();
            }
            match chosen.last_mut().filter(|(_, before)| are_same(before, &conditions)) {
                Some((before, _)) => before.append(rows),
                None => chosen.push((rows, conditions)),
            }
        }
        self.add(Explain { blocks_read: blocks.len() as u64, ..Explain::default() });
        let steps = chosen.into_iter().flat_map(|(rows, conditions)| {
            let parts = rows.split(looked.step_rows).into_iter();
            parts.map(move |rows| Step::Scan { segment, rows, conditions: conditions.clone() })
        });
        let steps: Vec<Step> = steps.collect();
        steps.into_iter().rev().for_each(|step| self.steps.push_front(step));
        Ok(())
    }

    /// The flows of some rows. What it holds of the archive's memory is free again when it ends: whoever has asked may wait
    /// for others before asking again.
    async fn scan(&mut self, segment: usize, rows: PagedRows, conditions: Vec<Arc<Condition>>) -> Result<RecordBatch> {
        let source = Arc::clone(&self.survey.source);
        let opened = self.open(segment).await?;
        self.note_rows(rows.len());
        let rows = rows.ranges(opened.shape().page_rows);
        let scan = Scan { segment: Arc::clone(&opened), rows, conditions, columns: source.fields.clone() };
        let hits = self.scanner.scan(&scan).await?;
        self.add(Explain::default());
        self.batch(hits.columns, hits.rows.len())
    }

    fn batch(&self, columns: Vec<ArrayRef>, rows: usize) -> Result<RecordBatch> {
        let schema = Arc::clone(&self.survey.source.schema);
        if rows == 0 {
            return Ok(RecordBatch::new_empty(schema));
        }
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        let batch = RecordBatch::try_new_with_options(schema, columns, &options);
        batch.map_err(Error::with(ErrorKind::Damaged, "a segment holds other flows than it should"))
    }

    pub(super) fn add(&mut self, explain: Explain) {
        let (bytes_read, bytes_cached) = taken(self.scanner.reader.counters());
        self.metrics.add(&Explain { bytes_read, bytes_cached, ..explain });
    }
}

/// The place among `count` segments that a partition visits after `visited` others.
///
/// All of them go from the first segments to the last, but begin at different ones, so that they seldom ask an index for the
/// same. For example, two partitions visit five segments in the orders 0, 1, 2, 3, 4 and 1, 0, 3, 2, 4.
fn place(visited: usize, (part, parts): (usize, usize), count: usize) -> usize {
    let first = visited - visited % parts;
    let together = parts.min(count.saturating_sub(first)).max(1);
    first + (visited - first + part) % together
}

/// Whether these are the very same conditions.
fn are_same(left: &[Arc<Condition>], right: &[Arc<Condition>]) -> bool {
    left.len() == right.len() && left.iter().zip(right).all(|(left, right)| Arc::ptr_eq(left, right))
}

/// Blocks in steps, in each of which all are whole or none is.
fn steps(segment: usize, blocks: &[&Block], looked: &Arc<Looked>) -> Vec<Step> {
    let mut steps: Vec<Vec<Block>> = Vec::new();
    let mut rows = 0;
    for block in blocks {
        rows += block.rows;
        match steps.last_mut() {
            Some(step) if rows <= looked.step_rows && step.last().is_some_and(|last| last.whole == block.whole) => {
                step.push(**block);
            }
            _ => {
                steps.push(vec![**block]);
                rows = block.rows;
            }
        }
    }
    steps.into_iter().map(|blocks| Step::Read { segment, blocks, looked: Arc::clone(looked) }).collect()
}

/// The columns that a scan reads of the blocks in which flows may match.
fn touched(source: &Source) -> Vec<Field> {
    let mut fields: Vec<Field> =
        source.query.filter.tests().flat_map(Test::fields).chain(source.fields.clone()).collect();
    fields.sort_unstable();
    fields.dedup();
    fields
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_partition_visits_each_segment_once_and_they_go_together() {
        for parts in 1..5 {
            for count in 0..12 {
                let of_part = |part| (0..count).map(move |visited| place(visited, (part, parts), count));
                for part in 0..parts {
                    let mut places: Vec<usize> = of_part(part).collect();
                    assert!(places.iter().enumerate().all(|(visited, place)| visited.abs_diff(*place) < parts));
                    places.sort_unstable();
                    assert!(places.into_iter().eq(0..count));
                }
            }
        }
    }
}
