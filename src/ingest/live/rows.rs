//! The flows of one call, in columns.

use std::borrow::Borrow;

use arrow::array::{ArrayRef, AsArray};

use crate::{
    error::{Error, Result},
    flow::{Field, Flow, Kind, ValueRef},
    schema::{FlowBuilder, UnsortedFlows},
};

/// Bytes of a flow without its texts: its columns, the ends of its texts, and what says which values are there.
const FLOW_BYTES: u64 = 116;
/// Flows of a part, at most: the texts of a column stay far below the limit of their 32-bit offsets.
const PART_ROWS: usize = 1 << 16;

/// Flows that are appended together or not at all.
#[derive(Debug, Default)]
pub(super) struct Rows {
    /// The flows, in their order.
    pub(super) parts: Vec<UnsortedFlows>,
    /// How many flows there are.
    pub(super) count: u64,
    /// About how many bytes of memory they take: of many flows hardly more, of a few the columns take more.
    pub(super) bytes: u64,
}

impl Rows {
    /// These flows; the first that cannot be stored is an error.
    pub(super) fn of(flows: impl IntoIterator<Item: Borrow<Flow>>) -> Result<Self> {
        let mut rows = RowsBuilder::default();
        for flow in flows {
            rows.push(flow.borrow()).map_err(|error| refused(rows.rows.count, error))?;
        }
        rows.finish()
    }

    /// Flows in the columns of an archive, without that of the IDs. Their values can be stored.
    pub(super) fn of_columns(columns: Vec<ArrayRef>) -> Result<Self> {
        Self::of_unsorted(UnsortedFlows::of(columns)?)
    }

    /// Flows in columns.
    pub(super) fn of_unsorted(flows: UnsortedFlows) -> Result<Self> {
        let texts = flows.columns().iter().filter_map(|column| column.as_string_opt::<i32>());
        let texts: usize = texts.map(|texts| texts.offsets().lengths().sum::<usize>()).sum();
        let count = flows.len() as u64;
        let bytes = count.saturating_mul(FLOW_BYTES).saturating_add(texts as u64);
        // Slices keep all the memory of what they are slices of.
        let parts = if flows.memory() as u64 <= bytes.saturating_add(bytes / 4) { vec![flows] } else { copies(flows)? };
        Ok(Self { parts, count, bytes })
    }
}

/// The same flows in memory of their own.
fn copies(mut flows: UnsortedFlows) -> Result<Vec<UnsortedFlows>> {
    let mut parts = Vec::new();
    while flows.len() > 0 {
        let (part, rest) = flows.split(PART_ROWS);
        let mut copy = FlowBuilder::default();
        copy.append(&part)?;
        parts.push(copy.unsorted()?.shrunk()?);
        flows = rest;
    }
    Ok(parts)
}

/// Gathers the flows of a call.
#[derive(Debug, Default)]
pub(super) struct RowsBuilder {
    rows: Rows,
    part: FlowBuilder,
}

impl RowsBuilder {
    /// Takes a flow in, unless it cannot be stored: then nothing of it is.
    pub(super) fn push(&mut self, flow: &Flow) -> Result<()> {
        if self.part.len() >= PART_ROWS {
            self.rows.parts.push(self.part.unsorted()?.shrunk()?);
        }
        self.part.push(flow)?;
        let texts = Field::all().filter(|field| field.kind() == Kind::Text).filter_map(|field| flow.value(field));
        let texts: usize = texts.map(|text| if let ValueRef::Text(text) = text { text.len() } else { 0 }).sum();
        self.rows.count += 1;
        self.rows.bytes += FLOW_BYTES + texts as u64;
        Ok(())
    }

    pub(super) fn finish(mut self) -> Result<Rows> {
        if !self.part.is_empty() {
            self.rows.parts.push(self.part.unsorted()?.shrunk()?);
        }
        Ok(self.rows)
    }
}

/// The error of the flow in a row.
pub(super) fn refused(row: u64, error: Error) -> Error {
    Error::with(error.kind(), format!("flow {} of those handed in cannot be appended", row + 1))(error)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        error::ErrorKind,
        flow::{FlowId, Timestamp},
    };

    #[test]
    fn many_flows_are_cut_into_parts_and_none_is_lost() {
        let flow = Flow { src_node: Some("node".to_owned()), ..Flow::starting(Timestamp::MIN) };
        let count = 2 * PART_ROWS + 1;
        let rows = Rows::of(std::iter::repeat_n(&flow, count)).unwrap();
        assert_eq!(rows.parts.iter().map(UnsortedFlows::len).collect::<Vec<_>>(), [PART_ROWS, PART_ROWS, 1]);
        assert_eq!((rows.count, rows.bytes), (count as u64, count as u64 * (FLOW_BYTES + 4)));
        assert_eq!(Rows::of([] as [Flow; 0]).unwrap().parts.len(), 0);
    }

    #[test]
    fn a_slice_of_a_large_batch_does_not_keep_the_batch() {
        let flow = Flow { src_node: Some("node".to_owned()), ..Flow::starting(Timestamp::MIN) };
        let mut builder = FlowBuilder::default();
        (0..10_000).for_each(|_| builder.push(&flow).unwrap());
        let batch = builder.finish(FlowId::new(1)).unwrap();
        for (start, length) in [(0, 1), (7, 100), (5000, 5000), (0, 10_000)] {
            let rows = Rows::of_columns(batch.slice(start, length).columns()[1..].to_vec()).unwrap();
            let memory: usize = rows.parts.iter().map(UnsortedFlows::memory).sum();
            assert_eq!((rows.count, rows.bytes), (length as u64, length as u64 * (FLOW_BYTES + 4)));
            // The columns themselves take some kilobytes.
            assert!(memory as u64 <= rows.bytes * 5 / 4 + 8192, "{length} flows keep {memory} bytes");
        }
    }

    #[test]
    fn a_flow_that_cannot_be_stored_is_named_by_its_place() {
        let good = Flow::starting(Timestamp::MIN);
        let bad = Flow { node_id: Some(String::new()), ..good.clone() };
        let error = Rows::of([good.clone(), good, bad]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        assert!(error.to_string().starts_with("flow 3 of those handed in cannot be appended: node_id "), "{error}");
    }
}
