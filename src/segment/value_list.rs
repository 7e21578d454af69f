//! How many flows of a segment have each value of a field, by its lists: no row is read.

use std::sync::Arc;

use super::{
    RowReader, SegmentReader,
    index::{Chunk, List, ListValue, Valued, lists},
};
use crate::{
    error::{Error, Result},
    flow::Field,
    order::Direction,
};

/// So many chunks are held at a time: about a megabyte.
const CHUNKS_AT_ONCE: usize = 64;
/// An entry of a list has its head, a byte of its value, and a block at the least.
const LEAST_ENTRY: u64 = 3;
/// No more chunks are read to learn the first values.
const FIRST_CHUNKS: usize = 8;

/// The columns of the list that tells of these fields together, where segments have one.
pub(crate) fn listed_together(fields: &[Field]) -> Option<&'static [Field]> {
    let has_all = |columns: &&[Field]| !fields.is_empty() && fields.iter().all(|field| columns.contains(field));
    lists().iter().map(Vec::as_slice).find(has_all)
}

/// A list of a segment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ValueList<'a> {
    segment: &'a Arc<SegmentReader>,
    list: &'a List,
    chunks: &'a [Chunk],
}

impl SegmentReader {
    /// The list of these columns, if there is one.
    pub(crate) fn value_list(self: &Arc<Self>, columns: &[Field]) -> Option<ValueList<'_>> {
        let (list, chunks) = self.directory().list_of(columns)?;
        Some(ValueList { segment: self, list, chunks })
    }
}

impl ValueList<'_> {
    /// Bytes that it has, decompressed: that is how much work it is to go through it.
    pub(crate) fn bytes(&self) -> u64 {
        self.chunks.iter().map(Chunk::bytes).sum()
    }

    /// It has no more values than this.
    pub(crate) fn most_values(&self) -> u64 {
        self.bytes() / LEAST_ENTRY + 1
    }

    /// How many flows of the chosen blocks have a number, in a list of numbers.
    ///
    /// # Errors
    /// As [`count`](Self::count).
    pub(crate) async fn count_value(&self, reader: &RowReader, number: u128, chosen: &[bool]) -> Result<u64> {
        let behind = self.chunks.partition_point(|chunk| chunk.begins_at_or_before(self.list, number));
        let Some(chunk) = behind.checked_sub(1).and_then(|place| self.chunks.get(place)) else { return Ok(0) };
        let lists = reader.cache().lists(self.segment, &[chunk], reader.counters()).await?;
        let bytes = lists.first().ok_or_else(|| Error::internal("a list was not read"))?;
        chunk.count_value(bytes, self.list, number, chosen).map_err(|error| self.segment.named(error))
    }

    /// The first values of a list of numbers in a direction, behind the value `behind` where there is one, and how many flows
    /// have each: until `want` flows have them, or no more is to be read.
    ///
    /// # Errors
    /// As [`count`](Self::count).
    pub(crate) async fn first(
        &self,
        reader: &RowReader,
        direction: Direction,
        behind: Option<u128>,
        want: u64,
    ) -> Result<Vec<(u128, u64)>> {
        let is_ascending = direction == Direction::Ascending;
        let up_to = |number| self.chunks.partition_point(|chunk| chunk.begins_at_or_before(self.list, number));
        // The chunk in which `behind` lies has values on both sides of it.
        let chunks = match (behind.map(up_to), is_ascending) {
            (None, _) => self.chunks,
            (Some(place), true) => self.chunks.get(place.saturating_sub(1)..).unwrap_or_default(),
            (Some(place), false) => self.chunks.get(..place).unwrap_or_default(),
        };
        let is_ahead =
            |number: u128| behind.is_none_or(|behind| if is_ascending { number > behind } else { number < behind });
        let (mut values, mut flows) = (Vec::new(), 0u64);
        for place in 0..chunks.len().min(FIRST_CHUNKS) {
            let chunk = if is_ascending { chunks.get(place) } else { chunks.iter().rev().nth(place) };
            let Some(chunk) = chunk else { break };
            let lists = reader.cache().lists(self.segment, &[chunk], reader.counters()).await?;
            let bytes = lists.first().ok_or_else(|| Error::internal("a list was not read"))?;
            let mut numbers = chunk.numbers(bytes, self.list).map_err(|error| self.segment.named(error))?;
            if !is_ascending {
                numbers.reverse();
            }
            for (number, count) in numbers.into_iter().filter(|(number, _)| is_ahead(*number)) {
                values.push((number, count));
                flows = flows.saturating_add(count);
                if flows >= want {
                    return Ok(values);
                }
            }
        }
        Ok(values)
    }

    /// Goes through the list, and calls `each` with every value that passes and that flows of the chosen blocks have, and
    /// with how many these are. For each block how many flows have a value, if it is chosen.
    ///
    /// # Errors
    /// [`ErrorKind::Damaged`](crate::ErrorKind::Damaged) where the list is not what was written,
    /// [`ErrorKind::Io`](crate::ErrorKind::Io) where it cannot be read.
    pub(crate) async fn count(
        &self,
        reader: &RowReader,
        chosen: &[bool],
        passes: impl Fn(&ListValue<'_>) -> bool,
        mut each: impl FnMut(&ListValue<'_>, u64),
    ) -> Result<Vec<Valued>> {
        let mut valued = vec![Valued::default(); chosen.len()];
        for chunks in self.chunks.chunks(CHUNKS_AT_ONCE) {
            let wanted: Vec<&Chunk> = chunks.iter().collect();
            let lists = reader.cache().lists(self.segment, &wanted, reader.counters()).await?;
            for (chunk, bytes) in chunks.iter().zip(lists) {
                let counted = chunk.count_values(&bytes, self.list, (chosen, &mut valued), &passes, &mut each);
                counted.map_err(|error| self.segment.named(error))?;
            }
            tokio::task::coop::consume_budget().await;
        }
        let rows = |block: usize| self.segment.block_rows(block).len() as u64;
        let is_more = |(block, valued): (usize, &Valued)| valued.passing + valued.others > rows(block);
        if valued.iter().enumerate().any(is_more) {
            return Err(self.segment.named(Error::damaged("a list names more flows of a block than it has")));
        }
        Ok(valued)
    }
}
