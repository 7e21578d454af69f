//! The flows of a page, of which so far only the keys were read.

use std::{collections::BTreeMap, sync::Arc};

use arrow::{array::RecordBatch, compute::interleave_record_batch};

use super::{
    scan::{Scan, Scanner},
    segments::Segments,
    top_k::Found,
};
use crate::{
    error::{Error, ErrorKind, Result},
    flow::Field,
    schema::schema,
};

/// The found flows as one batch, in their order.
pub(super) async fn fetch(found: &[Found], open: &mut Segments<'_>, scanner: &Scanner) -> Result<RecordBatch> {
    let mut segments: BTreeMap<usize, Vec<(usize, usize)>> = BTreeMap::new();
    for (place, found) in found.iter().enumerate() {
        segments.entry(found.item.segment).or_default().push((found.item.row, place));
    }
    // Where each flow is: a batch, and its row there.
    let mut places = vec![(0, 0); found.len()];
    let mut batches = Vec::with_capacity(segments.len());
    for (segment, mut rows) in segments {
        let segment = open.open(segment).await?;
        rows.sort_unstable();
        for rows in by_pages(&rows, segment.shape().page_rows, scanner.reader.pages_at_once(&segment)) {
            for (row, (_, place)) in rows.iter().enumerate() {
                if let Some(at) = places.get_mut(*place) {
                    *at = (batches.len(), row);
                }
            }
            let scan = Scan {
                segment: Arc::clone(&segment),
                rows: rows.iter().map(|(row, _)| *row..row + 1).collect(),
                conditions: Vec::new(),
                columns: Field::ALL.to_vec(),
            };
            let batch = RecordBatch::try_new(schema(), scanner.scan(&scan).await?.columns);
            let damaged = Error::with(ErrorKind::Damaged, "a segment holds other flows than it should");
            batches.push(batch.map_err(damaged)?);
        }
    }
    let in_order = places.iter().enumerate().all(|(place, at)| *at == (0, place));
    match batches.as_slice() {
        [] => Ok(RecordBatch::new_empty(schema())),
        [batch] if in_order => Ok(batch.clone()),
        batches => {
            let batches: Vec<&RecordBatch> = batches.iter().collect();
            let batch = interleave_record_batch(&batches, &places);
            batch.map_err(Error::with(ErrorKind::Internal, "the flows of a page could not be put together"))
        }
    }
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
