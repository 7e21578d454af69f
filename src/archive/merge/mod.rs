//! Segments to segments: sorted inputs to sorted outputs, in bounded memory.

pub(super) mod cutter;

use std::{
    collections::BinaryHeap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use self::cutter::Cutter;
use super::{
    Archive, SegmentEntry, Snapshot,
    partition::{Group, Partition},
};
use crate::{
    error::{Error, ErrorKind, Result},
    filter::Filter,
    flow::{Field, Timestamp},
    schema::{Flows, schema},
    segment::{PageCache, ReadCounters, RowReader, SegmentReader},
};
use arrow::{
    array::{Array, ArrayRef, AsArray, BooleanArray, RecordBatch, TimestampMillisecondArray, UInt32Array, UInt64Array},
    compute::{concat, filter_record_batch, interleave_record_batch, take_record_batch},
    datatypes::{TimestampMillisecondType, UInt64Type},
    error::ArrowError,
};

/// Rows that are put together in one go.
const CHUNK_ROWS: usize = 8192;
/// Bytes of dictionaries and pages of all inputs that are held.
const CACHE_BYTES: u64 = 32 << 20;

/// What is merged.
pub(super) struct Merge<'a> {
    pub(super) inputs: Vec<&'a SegmentEntry>,
    /// Flows that started before are left out.
    pub(super) from: Option<Timestamp>,
    /// Flows that match are left out.
    pub(super) without: Option<&'a Filter>,
    /// Times, descending, where an output may end early.
    pub(super) cuts: &'a [i64],
    /// How the flows are divided. `None` where they stay together, and outputs are of the group of the inputs.
    pub(super) partition: Option<&'a Partition>,
}

impl<'a> Merge<'a> {
    /// All flows of these, together.
    pub(super) fn of(inputs: Vec<&'a SegmentEntry>) -> Self {
        Self { inputs, from: None, without: None, cuts: &[], partition: None }
    }

    /// The group of all inputs; `None` where they are not of one.
    fn group(&self) -> Option<Group> {
        let (first, others) = self.inputs.split_first()?;
        first.group.clone().filter(|_| others.iter().all(|other| other.group == first.group))
    }
}

/// Merges segments of a snapshot into staged ones of about the same size, in the order of time, newest first. `None`
/// where it was stopped; then, and after an error, nothing is left.
///
/// The inputs are read page by page, and each page is held against its checksum, so that no damage is copied as truth.
///
/// # Errors
/// [`ErrorKind::Io`] or [`ErrorKind::Damaged`].
pub(super) fn merge(
    snapshot: &Snapshot,
    merge: Merge<'_>,
    is_stopped: &AtomicBool,
    observe: &mut dyn FnMut(u64),
) -> Result<Option<Vec<SegmentEntry>>> {
    let mut outputs = Outputs::new(snapshot.archive(), &merge);
    let mut fill = || {
        let mut sources = Sources::open(snapshot, &merge)?;
        while let Some(chunk) = sources.next()? {
            if is_stopped.load(Ordering::Relaxed) {
                return Ok(false);
            }
            let chunk = match merge.without {
                Some(filter) => without(&chunk, filter)?,
                None => chunk,
            };
            observe(chunk.num_rows() as u64);
            outputs.push(&chunk)?;
        }
        outputs.finish()?;
        Ok(true)
    };
    let filled = fill();
    if !matches!(filled, Ok(true)) {
        outputs.staged.iter().for_each(|segment| snapshot.archive().files().discard(&segment.path));
    }
    filled.map(|done| done.then_some(outputs.staged))
}

/// Whether a flow of a segment matches a filter.
///
/// # Errors
/// As of [`merge`].
pub(super) fn has(snapshot: &Snapshot, entry: &SegmentEntry, filter: &Filter) -> Result<bool> {
    let mut sources = Sources::open(snapshot, &Merge::of(vec![entry]))?;
    while let Some(chunk) = sources.next()? {
        if Flows::new(&chunk)?.iter().any(|flow| filter.matches(&flow)) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The inputs, read in step.
struct Sources<'a> {
    inputs: Vec<Source<'a>>,
    rows: RowReader,
    /// The next row of each input that has one: start, ID, input.
    heads: BinaryHeap<(i64, u64, usize)>,
    from: i64,
}

/// An input, one page of which is held, from its next row on.
struct Source<'a> {
    entry: &'a SegmentEntry,
    segment: SegmentReader,
    /// The page that `batch` holds is the one before this.
    page: usize,
    batch: RecordBatch,
    starts: TimestampMillisecondArray,
    ids: UInt64Array,
    row: usize,
    last: Option<(i64, u64)>,
}

impl<'a> Sources<'a> {
    fn open(snapshot: &Snapshot, merge: &Merge<'a>) -> Result<Self> {
        let from = merge.from.map_or(i64::MIN, Timestamp::as_millis);
        let rows = RowReader::new(Arc::new(PageCache::new(CACHE_BYTES)), Arc::new(ReadCounters::default()));
        let mut sources = Self { inputs: Vec::new(), rows, heads: BinaryHeap::new(), from };
        for entry in &merge.inputs {
            let mut source = Source::open(snapshot, entry)?;
            if source.advance(&sources.rows)? {
                sources.heads.extend(source.head()?.map(|(start, id)| (start, id, sources.inputs.len())));
            }
            sources.inputs.push(source);
        }
        Ok(sources)
    }

    /// The next rows, newest first; `None` where there are no more.
    fn next(&mut self) -> Result<Option<RecordBatch>> {
        let mut batches: Vec<RecordBatch> = self.inputs.iter().map(|input| input.batch.clone()).collect();
        // Where the batch of each input is among them.
        let mut places: Vec<usize> = (0..batches.len()).collect();
        let mut rows = Vec::with_capacity(CHUNK_ROWS);
        while let Some((start, id, at)) = self.heads.pop() {
            if start < self.from {
                // All others are older still.
                self.heads.clear();
                break;
            }
            let next = self.heads.peek().copied();
            let lost = || Error::internal("an input of a merge was let go");
            let (source, place) = self.inputs.get_mut(at).zip(places.get_mut(at)).ok_or_else(lost)?;
            let mut head = Some((start, id));
            // As long as no other input comes first, this one goes on.
            while let Some((start, id)) = head.filter(|(start, id)| next.is_none_or(|next| (*start, *id, at) >= next)) {
                if rows.len() >= CHUNK_ROWS || start < self.from {
                    break;
                }
                rows.push((*place, source.row));
                source.pass((start, id))?;
                if source.row >= source.batch.num_rows() && source.advance(&self.rows)? {
                    *place = batches.len();
                    batches.push(source.batch.clone());
                }
                head = source.head()?;
            }
            self.heads.extend(head.map(|(start, id)| (start, id, at)));
            if rows.len() >= CHUNK_ROWS {
                break;
            }
        }
        if rows.is_empty() {
            return Ok(None);
        }
        let batches: Vec<&RecordBatch> = batches.iter().collect();
        interleave_record_batch(&batches, &rows).map(Some).map_err(internal)
    }
}

impl<'a> Source<'a> {
    fn open(snapshot: &Snapshot, entry: &'a SegmentEntry) -> Result<Self> {
        let path = snapshot.archive().path().join(&entry.path);
        let segment = entry.open(snapshot.archive().files()).map_err(|error| error.of_file(&path))?;
        let batch = RecordBatch::new_empty(schema());
        let (starts, ids) = keys(&batch)?;
        Ok(Self { entry, segment, batch, starts, ids, row: 0, page: 0, last: None })
    }

    /// Goes on to the next page; `false` where there is none.
    fn advance(&mut self, rows: &RowReader) -> Result<bool> {
        self.row = 0;
        let is_more = self.page < self.segment.page_count();
        self.batch = match is_more {
            true => {
                let columns = rows.page(&self.segment, Field::ALL, self.page)?;
                RecordBatch::try_new(schema(), columns).map_err(|error| {
                    let message = format!("segment {} has a page with other flows than it should", self.entry.path);
                    Error::with(ErrorKind::Damaged, message)(error)
                })?
            }
            false => RecordBatch::new_empty(schema()),
        };
        self.page += 1;
        (self.starts, self.ids) = keys(&self.batch)?;
        Ok(is_more)
    }

    fn damaged(&self, message: &str) -> Error {
        Error::damaged(format!("segment {}: {message}", self.entry.path)).of_file(self.segment.path())
    }

    /// The key of the next row; `None` behind the last.
    fn head(&self) -> Result<Option<(i64, u64)>> {
        if self.row >= self.batch.num_rows() {
            return Ok(None);
        }
        let start = self.starts.values().get(self.row).copied();
        let head = start.zip(self.ids.values().get(self.row).copied());
        head.map(Some).ok_or_else(|| Error::internal("a batch has fewer rows than it says"))
    }

    /// Passes the next row, whose key is `head`.
    fn pass(&mut self, head: (i64, u64)) -> Result<()> {
        if self.last.is_some_and(|last| last <= head) {
            return Err(self.damaged("its flows are not in order"));
        }
        self.last = Some(head);
        self.row += 1;
        Ok(())
    }
}

/// The flows of a batch that do not match a filter.
fn without(batch: &RecordBatch, filter: &Filter) -> Result<RecordBatch> {
    let kept: BooleanArray = Flows::new(batch)?.iter().map(|flow| Some(!filter.matches(&flow))).collect();
    if kept.true_count() == batch.num_rows() {
        return Ok(batch.clone());
    }
    filter_record_batch(batch, &kept).map_err(internal)
}

fn keys(batch: &RecordBatch) -> Result<(TimestampMillisecondArray, UInt64Array)> {
    let column = |field: Field| batch.column_by_name(field.name());
    let starts = column(Field::StartTime).and_then(|column| column.as_primitive_opt::<TimestampMillisecondType>());
    let ids = column(Field::FlowId).and_then(|column| column.as_primitive_opt::<UInt64Type>());
    let keys = starts.cloned().zip(ids.cloned());
    keys.ok_or_else(|| Error::internal("a batch has no start times or no IDs"))
}

/// Segments that are written from flows that come in order.
struct Outputs<'a> {
    archive: &'a Archive,
    staged: Vec<SegmentEntry>,
    partition: Option<&'a Partition>,
    /// The next one, or the next one of each group.
    open: Vec<Output>,
}

/// A segment that is to be written.
struct Output {
    /// Its flows, column by column.
    columns: Vec<Vec<ArrayRef>>,
    cutter: Cutter,
    group: Option<Group>,
}

impl<'a> Outputs<'a> {
    fn new(archive: &'a Archive, merge: &Merge<'a>) -> Self {
        let segment_rows = archive.settings().most_rows() as u64;
        let open = match merge.partition {
            None => {
                let rows = merge.inputs.iter().map(|input| input.rows).sum();
                vec![Output::new(Cutter::new(rows, segment_rows, merge.cuts), merge.group())]
            }
            Some(partition) => {
                // Those of all groups are gathered at once: together they are no larger than one segment.
                let rows = (segment_rows / u64::from(partition.groups())).max(1);
                let group = |number| Some(Group { of: partition.clone(), number });
                let output = |number| Output::new(Cutter::new(rows, rows, &[]), group(number));
                (0..partition.groups()).map(output).collect()
            }
        };
        Self { archive, staged: Vec::new(), partition: merge.partition, open }
    }

    fn push(&mut self, chunk: &RecordBatch) -> Result<()> {
        let Some(partition) = self.partition else { return self.push_to(0, chunk) };
        for (number, rows) in rows_of_groups(chunk, partition)?.into_iter().enumerate() {
            if !rows.is_empty() {
                self.push_to(number, &take_record_batch(chunk, &UInt32Array::from(rows)).map_err(internal)?)?;
            }
        }
        Ok(())
    }

    fn push_to(&mut self, number: usize, chunk: &RecordBatch) -> Result<()> {
        let Some(output) = self.open.get_mut(number) else { return Err(Error::internal("a group has no output")) };
        let (starts, _) = keys(chunk)?;
        let mut begin = 0;
        for (row, start) in starts.values().iter().enumerate() {
            if output.cutter.is_cut_before(*start) {
                output.gather(&chunk.slice(begin, row - begin));
                self.staged.extend(output.write(self.archive)?);
                begin = row;
            }
        }
        output.gather(&chunk.slice(begin, chunk.num_rows() - begin));
        Ok(())
    }

    /// Writes what was gathered.
    fn finish(&mut self) -> Result<()> {
        for output in &mut self.open {
            self.staged.extend(output.write(self.archive)?);
        }
        Ok(())
    }
}

impl Output {
    fn new(cutter: Cutter, group: Option<Group>) -> Self {
        Self { columns: Vec::new(), cutter, group }
    }

    fn gather(&mut self, flows: &RecordBatch) {
        if flows.num_rows() > 0 {
            self.columns.resize_with(flows.num_columns(), Vec::new);
            self.columns.iter_mut().zip(flows.columns()).for_each(|(column, values)| column.push(values.clone()));
        }
    }

    /// Writes what was gathered as a segment; `None` where that is nothing.
    fn write(&mut self, archive: &Archive) -> Result<Option<SegmentEntry>> {
        if self.columns.is_empty() {
            return Ok(None);
        }
        let join = |parts: Vec<ArrayRef>| concat(&parts.iter().map(AsRef::as_ref).collect::<Vec<&dyn Array>>());
        let columns = std::mem::take(&mut self.columns).into_iter().map(join).collect::<Result<_, _>>();
        let flows = columns.and_then(|columns| RecordBatch::try_new(schema(), columns)).map_err(internal)?;
        let staged = archive.files().stage(&flows, archive.settings().segment)?;
        Ok(Some(SegmentEntry { group: self.group.clone(), ..staged }))
    }
}

/// The rows of each group.
fn rows_of_groups(chunk: &RecordBatch, partition: &Partition) -> Result<Vec<Vec<u32>>> {
    let mut rows = vec![Vec::new(); partition.groups().into()];
    for (row, group) in (0..).zip(partition.groups_of(chunk)?) {
        let group = rows.get_mut(usize::from(group));
        group.ok_or_else(|| Error::internal("there are fewer groups"))?.push(row);
    }
    Ok(rows)
}

fn internal(error: ArrowError) -> Error {
    Error::with(ErrorKind::Internal, "segments could not be merged")(error)
}
