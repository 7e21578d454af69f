//! The flows of a page, of which so far only the keys were read.

use std::{collections::BTreeMap, ops::Range};

use arrow::array::RecordBatch;

use super::{
    exec::{Scan, predicate},
    kept::{Found, interleave},
    search::Search,
};
use crate::{
    error::{Error, Result},
    filter::Bounds as _,
    flow::{Field, FlowId, Value, ValueRef},
    order::{Key, Order},
    schema::{Values, ids_expr, schema},
    segment::SegmentReader,
};

impl Search<'_> {
    /// The found flows as one batch, in their order.
    pub(super) async fn fetch(&mut self, found: &[Found], mut batches: Vec<RecordBatch>) -> Result<RecordBatch> {
        let is_whole =
            |row: &(usize, usize)| batches.get(row.0).is_some_and(|batch| batch.num_columns() == Field::ALL.len());
        // Where each flow is, once all its columns are read; at first under its place among the found.
        let mut places: Vec<(usize, usize)> = found.iter().map(|found| found.row).collect();
        let mut missing: BTreeMap<usize, BTreeMap<FlowId, usize>> = BTreeMap::new();
        let mut rows: BTreeMap<usize, Vec<Range<usize>>> = BTreeMap::new();
        for (place, found) in found.iter().enumerate().filter(|(_, found)| !is_whole(&found.row)) {
            let reader = self.readers.get(&found.segment).ok_or_else(|| Error::internal("a segment was let go"))?;
            let (id, blocks) = locate(reader, &self.goal.order, &found.key);
            missing.entry(found.segment).or_default().insert(id, place);
            rows.entry(found.segment).or_default().extend(blocks);
        }
        // A batch of keys alone cannot be put together with whole ones.
        batches.iter_mut().filter(|batch| batch.num_columns() != Field::ALL.len()).for_each(|batch| {
            *batch = RecordBatch::new_empty(schema());
        });
        for (segment, ids) in missing {
            let reader = self.reader(segment).await?;
            let scan = Scan {
                segment: reader,
                rows: rows.remove(&segment).unwrap_or_default().into_iter().collect(),
                columns: Field::ALL.to_vec(),
                predicate: Some(predicate(ids_expr(ids.keys().copied()))?),
                limit: None,
            };
            for batch in self.scanner.read(scan).await? {
                let column = Values::of(&batch, Field::FlowId)?;
                for row in 0..batch.num_rows() {
                    let place = flow_id(column.get(row)).and_then(|id| ids.get(&id));
                    if let Some(at) = place.and_then(|place| places.get_mut(*place)) {
                        *at = (batches.len(), row);
                    }
                }
                batches.push(batch);
            }
        }
        let batch = interleave(&batches, places.into_iter())?;
        Ok(batch.unwrap_or_else(|| RecordBatch::new_empty(schema())))
    }
}

/// The ID of the flow with this key, and the rows of the blocks that it can be in.
fn locate(reader: &SegmentReader, order: &Order, key: &Key) -> (FlowId, Vec<Range<usize>>) {
    let value = |field: Field| {
        let place = order.keys().iter().position(|key| key.field == field)?;
        key.get(place)?.as_ref().map(Value::as_ref)
    };
    let (start, id) = (value(Field::StartTime), value(Field::FlowId));
    let holds = |block: usize, field: Field, value: Option<ValueRef<'_>>| {
        let bounds = reader.blocks().block(block);
        let span = bounds.field(field).and_then(|span| span.values);
        match (value, span) {
            (Some(value), Some((least, greatest))) => least <= value && value <= greatest,
            _ => true,
        }
    };
    let blocks = 0..reader.blocks().len();
    let blocks = blocks.filter(|block| holds(*block, Field::StartTime, start) && holds(*block, Field::FlowId, id));
    let rows = blocks.map(|block| reader.block_rows(block)).collect();
    (flow_id(id).unwrap_or(FlowId::new(0)), rows)
}

fn flow_id(value: Option<ValueRef<'_>>) -> Option<FlowId> {
    match value {
        Some(ValueRef::Number(number)) => u64::try_from(number).ok().map(FlowId::new),
        _ => None,
    }
}
