//! The flows of a page, of which so far only the keys were read.

use std::{
    collections::BTreeMap,
    sync::{Arc, LazyLock},
};

use arrow::{
    array::{RecordBatch, new_null_array},
    compute::interleave_record_batch,
    datatypes::SchemaRef,
};

use super::{
    budget::Spending,
    scan::{Scan, Scanner},
    segments::Segments,
    top_k::{Found, Row},
};
use crate::{
    error::{Error, ErrorKind, Result},
    flow::Field,
    schema::{column_type, schema},
    segment::SegmentReader,
};

/// Pages that are fetched between two looks at the time, at first.
const MOST_PAGES: usize = 8;
/// The same where to read so many takes less than an eighth of the time that is left.
const LARGEST_STEP: usize = 128;

/// A batch of no flows. Its empty columns are made once.
static NO_FLOWS: LazyLock<RecordBatch> = LazyLock::new(|| RecordBatch::new_empty(schema()));

/// Columns that are read, and their schema.
type Wanted<'a> = (&'a [Field], SchemaRef);

/// Columns of the found flows as one batch, in their order: all of them, or the first where the time ends before.
///
/// The pages that hold them are read in steps, those first that hold the first flows, and one step is always done. Flows
/// are answered up to the first whose page was not read. For example, of flows 0 to 9 page A holds 0, 3 and 9, page B 1 and
/// 2, and page C the others. Once A and B are read, flows 0 to 3 can be answered.
pub(super) async fn fetch(
    found: &[Found],
    columns: &[Field],
    open: &mut Segments<'_>,
    scanner: &Scanner,
    spending: &Spending,
) -> Result<RecordBatch> {
    // What none of the segments has a column of is absent in all flows, and is put to them at the end.
    let fields = found.iter().map(|found| open.fields(found.item.segment)).max_by_key(|fields| fields.len());
    let has = |field: &Field| fields.is_some_and(|fields| fields.contains(field));
    let stored: Vec<Field> = columns.iter().copied().filter(has).collect();
    let wanted = (stored.as_slice(), projected(&stored)?);
    // Where each flow is: a batch, and its row there.
    let mut places: Vec<Option<(usize, usize)>> = vec![None; found.len()];
    let mut batches = Vec::new();
    let deadline = spending.fetch_deadline();
    let pages = pages(found, open)?;
    let scanner = &scanner.sparing(&stored, pages.iter().map(|page| open.page_rows(page.segment).unwrap_or(0)).sum());
    let mut rest = pages.as_slice();
    let mut most = MOST_PAGES;
    while !rest.is_empty() {
        if !batches.is_empty() && deadline.is_over() {
            break;
        }
        let (pages, later) = rest.split_at(most.min(rest.len()));
        rest = later;
        let (left, read) = (deadline.left(), scanner.reader.bytes_read());
        let done = step(pages, &wanted, open, scanner, &mut batches, &mut places).await;
        // How long it takes to read pages tells nothing of those that were in memory.
        if scanner.reader.bytes_read() > read {
            let is_early =
                left.zip(deadline.left()).is_none_or(|(before, left)| before.saturating_sub(left) * 16 <= left);
            most = if is_early { (2 * most).min(LARGEST_STEP) } else { MOST_PAGES };
        }
        match done {
            // The flows before are answered.
            Err(error) if places.first().is_some_and(Option::is_some) && spending.ends_at(&error) => break,
            step => step?,
        }
    }
    let places: Vec<(usize, usize)> = places.into_iter().map_while(|place| place).collect();
    let in_order = places.iter().enumerate().all(|(place, at)| *at == (0, place));
    let batch = match batches.as_slice() {
        [] if columns == Field::ALL => return Ok(NO_FLOWS.clone()),
        [] => return Ok(RecordBatch::new_empty(projected(columns)?)),
        [batch] if in_order && batch.num_rows() == places.len() => batch.clone(),
        batches => {
            let batches: Vec<&RecordBatch> = batches.iter().collect();
            let batch = interleave_record_batch(&batches, &places);
            batch.map_err(Error::with(ErrorKind::Internal, "the flows of a page could not be put together"))?
        }
    };
    if stored == columns { Ok(batch) } else { with_absent(&batch, &stored, columns) }
}

/// The same flows with all of some columns, of which `batch` has the `stored` ones.
fn with_absent(batch: &RecordBatch, stored: &[Field], columns: &[Field]) -> Result<RecordBatch> {
    let mut read = stored.iter().zip(batch.columns()).peekable();
    let column = |field: &Field| match read.next_if(|(stored, _)| *stored == field) {
        Some((_, column)) => Arc::clone(column),
        None => new_null_array(&column_type(*field), batch.num_rows()),
    };
    let batch = RecordBatch::try_new(projected(columns)?, columns.iter().map(column).collect());
    batch.map_err(Error::with(ErrorKind::Internal, "absent values could not be put to flows"))
}

/// Reads columns of some pages, one segment after the other, and notes where their flows are.
async fn step(
    pages: &[FoundPage],
    wanted: &Wanted<'_>,
    open: &mut Segments<'_>,
    scanner: &Scanner,
    batches: &mut Vec<RecordBatch>,
    places: &mut [Option<(usize, usize)>],
) -> Result<()> {
    let mut segments: BTreeMap<usize, Vec<(usize, usize)>> = BTreeMap::new();
    for page in pages {
        segments.entry(page.segment).or_default().extend(&page.rows);
    }
    for (segment, mut rows) in segments {
        let segment = open.open(segment).await?;
        rows.sort_unstable();
        for rows in by_pages(&rows, segment.shape().page_rows, scanner.reader.pages_at_once(&segment)) {
            let batch = read(&segment, rows, wanted, scanner).await?;
            for (row, (_, place)) in rows.iter().enumerate() {
                if let Some(at) = places.get_mut(*place) {
                    *at = Some((batches.len(), row));
                }
            }
            batches.push(batch);
        }
    }
    Ok(())
}

/// Rows, ascending, in parts that lie in at most `most` pages each.
fn by_pages(rows: &[(usize, usize)], page_rows: usize, most: usize) -> Vec<&[(usize, usize)]> {
    let page = |(row, _): &(usize, usize)| row / page_rows;
    let pages: Vec<_> = rows.chunk_by(|left, right| page(left) == page(right)).collect();
    let mut rest = rows;
    let parts = pages.chunks(most).map(|pages| {
        let length = pages.iter().map(|rows| rows.len()).sum();
        let (part, left) = rest.split_at_checked(length).unwrap_or((rest, &[]));
        rest = left;
        part
    });
    parts.collect()
}

/// Columns of rows of a segment.
async fn read(
    segment: &Arc<SegmentReader>,
    rows: &[(usize, usize)],
    (columns, schema): &Wanted<'_>,
    scanner: &Scanner,
) -> Result<RecordBatch> {
    let scan = Scan {
        segment: Arc::clone(segment),
        rows: rows.iter().map(|(row, _)| *row..row + 1).collect(),
        conditions: Vec::new(),
        columns: columns.to_vec(),
    };
    let batch = RecordBatch::try_new(Arc::clone(schema), scanner.scan(&scan).await?.columns);
    batch.map_err(Error::with(ErrorKind::Damaged, "a segment holds other flows than it should"))
}

/// The schema of some columns.
fn projected(columns: &[Field]) -> Result<SchemaRef> {
    if columns == Field::ALL {
        return Ok(schema());
    }
    let places: Vec<usize> = columns.iter().map(|field| *field as usize).collect();
    schema().project(&places).map(Arc::new).map_err(Error::with(ErrorKind::Internal, "a column is unknown"))
}

/// A page of a segment that holds found flows.
#[derive(Debug)]
struct FoundPage {
    segment: usize,
    /// The row of each flow in the segment, and its place among the found.
    rows: Vec<(usize, usize)>,
}

/// The pages that hold the found flows, whose segments were opened to find them: those first that hold the first.
fn pages(found: &[Found], open: &Segments<'_>) -> Result<Vec<FoundPage>> {
    let mut numbers = BTreeMap::new();
    let mut pages: Vec<FoundPage> = Vec::new();
    for (place, Row { segment, row }) in found.iter().map(|found| found.item).enumerate() {
        let page_rows = open.page_rows(segment);
        let page_rows =
            page_rows.ok_or_else(|| Error::internal("a flow was found in a segment that was not opened"))?;
        let number = *numbers.entry((segment, row / page_rows)).or_insert(pages.len());
        match pages.get_mut(number) {
            Some(page) => page.rows.push((row, place)),
            None => pages.push(FoundPage { segment, rows: vec![(row, place)] }),
        }
    }
    Ok(pages)
}
