//! The flows of a page, of which so far only the keys were read.

use std::collections::BTreeMap;

use arrow::{array::RecordBatch, compute::interleave_record_batch};

use super::{exec::Scan, kept::Found, search::Search};
use crate::{
    error::{Error, ErrorKind, Result},
    flow::Field,
    schema::schema,
};

impl Search<'_> {
    /// The found flows as one batch, in their order.
    pub(super) async fn fetch(&mut self, found: &[Found]) -> Result<RecordBatch> {
        let mut segments: BTreeMap<usize, Vec<(usize, usize)>> = BTreeMap::new();
        for (place, found) in found.iter().enumerate() {
            segments.entry(found.segment).or_default().push((found.row, place));
        }
        let mut scans = Vec::with_capacity(segments.len());
        for (segment, rows) in &mut segments {
            rows.sort_unstable();
            scans.push(Scan {
                segment: self.reader(*segment).await?,
                rows: rows.iter().map(|(row, _)| *row..row + 1).collect(),
                conditions: Vec::new(),
                columns: Field::ALL.to_vec(),
            });
        }
        // Where each flow is: the batch of its segment, and its row there.
        let mut places = vec![(0, 0); found.len()];
        let mut batches = Vec::with_capacity(segments.len());
        for (scan, rows) in scans.iter().zip(segments.values()) {
            for (row, (_, place)) in rows.iter().enumerate() {
                if let Some(at) = places.get_mut(*place) {
                    *at = (batches.len(), row);
                }
            }
            let hits = self.scanner.scan(scan).await?;
            let batch = RecordBatch::try_new(schema(), hits.columns);
            batches.push(batch.map_err(Error::with(ErrorKind::Damaged, "a segment holds other flows than it should"))?);
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
}
