//! Whether a segment is what its manifest says.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::ErrorKind as IoErrorKind,
    ops::Range,
    sync::Arc,
};

use arrow::{
    array::{ArrayRef, AsArray, RecordBatch},
    compute::concat_batches,
    datatypes::{TimestampMillisecondType, UInt64Type},
};

use super::{
    ids::IdSet,
    report::{Damage, Depth, Extent, Finding, FindingKind},
};
use crate::{
    archive::{Manifest, SegmentEntry, files::Files},
    error::{Error, ErrorKind, Result},
    filter::Bounds,
    flow::{Field, FlowId, Timestamp, ValueRef},
    resources::{SharedFile, io_error},
    schema::schema,
    segment::{PageCache, ReadCounters, RowReader, SegmentReader},
};

/// Bytes of dictionaries and pages that are held while a segment is read.
const CACHE_BYTES: u64 = 16 << 20;

/// Looks through the segments of a version.
pub(in super::super) struct Examiner<'a> {
    files: &'a Files,
    depth: Depth,
    next_flow_id: u64,
    seen: IdSet,
}

impl<'a> Examiner<'a> {
    pub(super) fn new(files: &'a Files, manifest: &Manifest, depth: Depth) -> Self {
        Self { files, depth, next_flow_id: manifest.next_flow_id, seen: IdSet::default() }
    }

    /// Looks through a segment.
    ///
    /// # Errors
    /// [`ErrorKind::Busy`] where the system cannot read it now: then nothing is known of it.
    pub(super) fn examine(&mut self, entry: &SegmentEntry) -> Result<Damage> {
        Ok(Damage { entry: entry.clone(), findings: self.look_through(entry)? })
    }

    fn look_through(&mut self, entry: &SegmentEntry) -> Result<Vec<Finding>> {
        let whole = |kind, message: String| {
            vec![Finding { affected: Some(all_of(entry)), ..Finding::new(&entry.path, kind, message) }]
        };
        let file = match self.files.segment(entry) {
            Ok(file) => file,
            Err(error) if error.kind() == IoErrorKind::NotFound => {
                return Ok(whole(FindingKind::Missing, "it is not there".to_owned()));
            }
            Err(error) => {
                let error = lasting(entry, io_error("it cannot be opened")(error))?;
                return Ok(whole(FindingKind::Unreadable, error.to_string()));
            }
        };
        let bytes = file.size();
        if bytes != entry.bytes {
            let kind = if bytes < entry.bytes { FindingKind::Truncated } else { FindingKind::Mismatch };
            return Ok(whole(kind, format!("it has {bytes} bytes; {} were written", entry.bytes)));
        }
        let reader = match SegmentReader::read(Arc::clone(&file)) {
            Ok(reader) => reader,
            Err(error) => {
                let error = lasting(entry, error)?;
                return Ok(whole(kind_of(&error, &file), told(&error)));
            }
        };
        if let Err(error) = entry.describes(&reader) {
            return Ok(whole(FindingKind::Mismatch, error.to_string()));
        }
        let mut findings = match entry.has_footer_of(&reader) {
            Ok(true) => Vec::new(),
            Ok(false) => whole(FindingKind::Footer, "its footer is not what was written".to_owned()),
            Err(error) => return Ok(whole(FindingKind::Unreadable, told(&lasting(entry, error)?))),
        };
        if let Err(error) = entry.has_bounds_of(&reader) {
            findings.push(Finding::new(&entry.path, FindingKind::Contradiction, error.to_string()));
        }
        match self.look_at_parts(entry, &Arc::new(reader)) {
            Ok(more) => findings.extend(more),
            Err(error) => {
                let error = lasting(entry, error)?;
                findings.extend(whole(kind_of(&error, &file), told(&error)));
            }
        }
        Ok(findings)
    }

    /// The IDs of all flows that were read.
    pub(super) fn into_seen(self) -> IdSet {
        self.seen
    }

    fn look_at_parts(&mut self, entry: &SegmentEntry, reader: &Arc<SegmentReader>) -> Result<Vec<Finding>> {
        let flaws = reader.check()?;
        let mut findings = Vec::new();
        let mut damaged: BTreeMap<usize, BTreeSet<&str>> = BTreeMap::new();
        let mut lists = BTreeSet::new();
        for flaw in &flaws {
            for page in flaw.pages.clone() {
                damaged.entry(page).or_default().insert(&flaw.part);
            }
            if flaw.pages.is_empty() && lists.insert(&flaw.part) {
                let message = format!("{} is not what was written", flaw.part);
                findings.push(Finding::new(&entry.path, FindingKind::Index, message));
            }
        }
        let pages: Vec<usize> = damaged.keys().copied().collect();
        for run in pages.chunk_by(|page, next| page + 1 == *next) {
            let parts: BTreeSet<&str> = run.iter().filter_map(|page| damaged.get(page)).flatten().copied().collect();
            let rows = rows_of(reader, run);
            let parts = parts.into_iter().collect::<Vec<_>>().join(", ");
            let message = format!("of rows {} to {}, {parts} is not what was written", rows.start, rows.end);
            let affected = Some(extent_of(entry, reader, run));
            findings.push(Finding { affected, ..Finding::new(&entry.path, FindingKind::Pages, message) });
        }
        if self.depth == Depth::Rows && pages.is_empty() {
            let flows = read_pages(reader, 0..reader.page_count())?;
            findings.extend(self.look_at_keys(entry, &flows)?);
            // A list that is no more what was written says nothing of what was.
            let contradictions = if flaws.is_empty() { reader.contradictions(&flows)? } else { Vec::new() };
            findings.extend(contradictions.into_iter().map(|part| {
                let message = format!("{part}: that is not what its rows make of it");
                Finding::new(&entry.path, FindingKind::Contradiction, message)
            }));
        }
        Ok(findings)
    }

    /// Whether flows are in order, and each ID is there once.
    fn look_at_keys(&mut self, entry: &SegmentEntry, flows: &RecordBatch) -> Result<Vec<Finding>> {
        let mut findings = Vec::new();
        let mut find = |kind, message: String| findings.push(Finding::new(&entry.path, kind, message));
        let (starts, ids) = keys(flows)?;
        let keys = || starts.iter().zip(&ids);
        let in_order = keys().zip(keys().skip(1)).position(|(one, next)| one <= next);
        if let Some(row) = in_order {
            find(FindingKind::Disorder, format!("row {} is not in order", row + 1));
        }
        let (first, last) = entry.flow_id;
        let (mut outside, mut doubled) = (0u64, 0u64);
        for id in &ids {
            if *id < first || *id > last || *id >= self.next_flow_id {
                outside += 1;
            } else if !self.seen.insert(*id) {
                doubled += 1;
            }
        }
        if outside > 0 {
            find(FindingKind::Mismatch, format!("{outside} flow IDs are not from {first} to {last}"));
        }
        let strangers = entry.group.as_ref().map_or(Ok(0), |group| group.strangers(flows))?;
        if strangers > 0 {
            find(FindingKind::Mismatch, format!("{strangers} flows are of other nodes than the manifest says"));
        }
        if doubled > 0 {
            find(FindingKind::Doubled, format!("{doubled} flow IDs are there already"));
        }
        Ok(findings)
    }
}

/// All flows of a segment, as the manifest tells of them.
pub(in super::super) fn all_of(entry: &SegmentEntry) -> Extent {
    let flow_id = (FlowId::new(entry.flow_id.0), FlowId::new(entry.flow_id.1));
    Extent { rows: entry.rows, start_time: entry.start_times(), flow_id }
}

/// The flows of some pages, which follow on one another, as far as bounds and what is readable tell.
pub(in super::super) fn extent_of(entry: &SegmentEntry, reader: &Arc<SegmentReader>, pages: &[usize]) -> Extent {
    let mut extent = Extent { rows: rows_of(reader, pages).len() as u64, ..all_of(entry) };
    let times = pages.iter().filter_map(|page| reader.page_times(*page));
    let times = times.reduce(|(low, high), (oldest, newest)| (low.min(oldest), high.max(newest)));
    let time = |ordinal| Timestamp::from_millis(Timestamp::ordinal_millis(ordinal));
    let (all_oldest, all_newest) = extent.start_time;
    if let Some((oldest, newest)) = times.and_then(|(oldest, newest)| time(oldest).zip(time(newest))) {
        extent.start_time = (oldest.clamp(all_oldest, all_newest), newest.clamp(all_oldest, all_newest));
    }
    let ids = |page: &usize| ids_of_page(reader, *page).or_else(|| ids_of_block(reader, *page));
    let ids = pages.iter().map(ids).reduce(|one, other| {
        let ((low, high), (first, last)) = one.zip(other)?;
        Some((low.min(first), high.max(last)))
    });
    if let Some((first, last)) = ids.flatten() {
        let within = |id: u64| FlowId::new(id.clamp(entry.flow_id.0, entry.flow_id.1.max(entry.flow_id.0)));
        extent.flow_id = (within(first), within(last));
    }
    extent
}

/// The least and the greatest ID of a page, where its IDs are sound.
fn ids_of_page(reader: &Arc<SegmentReader>, page: usize) -> Option<(u64, u64)> {
    let columns = row_reader().page(reader, &[Field::FlowId], page).ok()?;
    let ids = columns.first()?.as_primitive_opt::<UInt64Type>()?.values();
    ids.iter().copied().min().zip(ids.iter().copied().max())
}

/// The least and the greatest ID of the block of a page, where its bounds are there.
fn ids_of_block(reader: &SegmentReader, page: usize) -> Option<(u64, u64)> {
    let shape = reader.shape();
    let block = page * shape.page_rows / shape.block_rows;
    let bounds = reader.blocks().block(block);
    match bounds.field(Field::FlowId)?.values? {
        (ValueRef::Number(first), ValueRef::Number(last)) => u64::try_from(first).ok().zip(u64::try_from(last).ok()),
        _ => None,
    }
}

fn rows_of(reader: &SegmentReader, pages: &[usize]) -> Range<usize> {
    let shape = reader.shape();
    let (first, last) = (pages.first().copied().unwrap_or(0), pages.last().map_or(0, |page| page + 1));
    first * shape.page_rows..(last * shape.page_rows).min(shape.rows)
}

fn row_reader() -> RowReader {
    RowReader::new(Arc::new(PageCache::new(CACHE_BYTES)), Arc::new(ReadCounters::default()))
}

/// The flows of some pages of a segment.
pub(in super::super) fn read_pages(
    reader: &Arc<SegmentReader>,
    pages: impl IntoIterator<Item = usize>,
) -> Result<RecordBatch> {
    let rows = row_reader();
    let damaged = || Error::with(ErrorKind::Damaged, "a page has other flows than it should");
    let read = |page: usize| {
        let columns: Vec<ArrayRef> = rows.page(reader, Field::ALL, page)?;
        RecordBatch::try_new(schema(), columns).map_err(damaged())
    };
    let batches = pages.into_iter().map(read).collect::<Result<Vec<_>>>()?;
    concat_batches(&schema(), &batches).map_err(damaged())
}

/// The start times and the IDs of flows.
pub(in super::super) fn keys(flows: &RecordBatch) -> Result<(Vec<i64>, Vec<u64>)> {
    let column = |field: Field| flows.column_by_name(field.name());
    let starts = column(Field::StartTime).and_then(|column| column.as_primitive_opt::<TimestampMillisecondType>());
    let ids = column(Field::FlowId).and_then(|column| column.as_primitive_opt::<UInt64Type>());
    let keys = starts.zip(ids).map(|(starts, ids)| (starts.values().to_vec(), ids.values().to_vec()));
    keys.ok_or_else(|| Error::internal("flows have no start times or no IDs"))
}

/// The same error, of what says something of a segment. What the system may do later says nothing.
fn lasting(entry: &SegmentEntry, error: Error) -> Result<Error> {
    let message = format!("segment {} cannot be read now", entry.path);
    if error.is_retryable() { Err(Error::with(ErrorKind::Busy, message)(error)) } else { Ok(error) }
}

fn kind_of(error: &Error, file: &Arc<SharedFile>) -> FindingKind {
    match error.kind() {
        ErrorKind::Busy | ErrorKind::Io => FindingKind::Unreadable,
        ErrorKind::Unsupported => FindingKind::Unsupported,
        _ if SegmentReader::has_footer(file) => FindingKind::Index,
        _ => FindingKind::Footer,
    }
}

/// Why a segment cannot be read, without its path, which the finding has.
fn told(error: &Error) -> String {
    use std::error::Error as _;
    error.source().map_or_else(|| error.to_string(), ToString::to_string)
}
