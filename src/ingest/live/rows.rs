//! The flows of one call, in columns.

use std::{borrow::Borrow, collections::VecDeque};

use arrow::array::{ArrayRef, AsArray};

use crate::{
    error::{Error, Result},
    flow::Flow,
    schema::{FlowBuilder, UnsortedFlows},
};

/// Bytes of a flow without its texts: its columns, the ends of its texts, and what says which values are there.
const FLOW_BYTES: u64 = 88;
/// Flows of a part, at most: the texts of a column stay far below the limit of their 32-bit offsets.
const PART_ROWS: usize = 1 << 16;

/// Flows that are appended together or not at all.
#[derive(Debug, Default)]
pub(super) struct Rows {
    /// The flows, in their order.
    pub(super) parts: VecDeque<UnsortedFlows>,
    /// How many flows there are.
    pub(super) count: u64,
    /// About how many bytes of memory they take.
    pub(super) bytes: u64,
}

impl Rows {
    /// These flows; the first that cannot be stored is an error.
    pub(super) fn of(flows: impl IntoIterator<Item: Borrow<Flow>>) -> Result<Self> {
        let mut rows = RowsBuilder::default();
        for flow in flows {
            rows.push(flow.borrow())?;
        }
        rows.finish()
    }

    /// Flows in the columns of an archive, without that of the IDs. Their values can be stored.
    pub(super) fn of_columns(columns: Vec<ArrayRef>) -> Result<Self> {
        let texts = columns.iter().filter_map(|column| column.as_string_opt::<i32>());
        let lengths = texts.map(|texts| texts.offsets().lengths().sum::<usize>());
        let texts: usize = lengths.sum();
        let flows = UnsortedFlows::of(columns)?;
        let count = flows.len() as u64;
        let parts = if count > 0 { [flows].into() } else { VecDeque::new() };
        Ok(Self { parts, count, bytes: count.saturating_mul(FLOW_BYTES).saturating_add(texts as u64) })
    }
}

/// Gathers the flows of a call.
#[derive(Debug, Default)]
struct RowsBuilder {
    rows: Rows,
    part: FlowBuilder,
}

impl RowsBuilder {
    fn push(&mut self, flow: &Flow) -> Result<()> {
        if self.part.len() >= PART_ROWS {
            self.rows.parts.push_back(self.part.unsorted()?);
        }
        self.part.push(flow).map_err(|error| refused(self.rows.count, error))?;
        let texts = [&flow.src_node, &flow.dst_node, &flow.node_id, &flow.activity_id];
        let texts: usize = texts.into_iter().flatten().map(String::len).sum();
        self.rows.count += 1;
        self.rows.bytes += FLOW_BYTES + texts as u64;
        Ok(())
    }

    fn finish(mut self) -> Result<Rows> {
        if !self.part.is_empty() {
            self.rows.parts.push_back(self.part.unsorted()?);
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
    use crate::{error::ErrorKind, flow::Timestamp};

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
    fn a_flow_that_cannot_be_stored_is_named_by_its_place() {
        let good = Flow::starting(Timestamp::MIN);
        let bad = Flow { node_id: Some(String::new()), ..good.clone() };
        let error = Rows::of([good.clone(), good, bad]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        assert!(error.to_string().starts_with("flow 3 of those handed in cannot be appended: node_id "), "{error}");
    }
}
