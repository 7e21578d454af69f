//! Pieces of the rows of a list, that were read.

use std::{borrow::Cow, collections::BTreeSet, ops::Range, sync::Arc};

use bytes::Bytes;

use super::{RowReader, SegmentReader, index::RowLists};
use crate::{
    error::{Error, Result},
    flow::Field,
};

/// Pieces of the rows of a list.
#[derive(Debug)]
pub(super) struct RowPieces<'s> {
    segment: &'s SegmentReader,
    rows: &'s RowLists,
    /// With their numbers, which ascend.
    pieces: Vec<(usize, Bytes)>,
}

impl<'s> RowPieces<'s> {
    /// Reads the pieces of these numbers of the list of some columns.
    pub(super) async fn read(
        (segment, reader): (&'s Arc<SegmentReader>, &RowReader),
        fields: &[Field],
        numbers: &BTreeSet<usize>,
    ) -> Result<Self> {
        let rows = row_lists(segment, fields)?;
        let chunks = numbers.iter().map(|number| rows.piece(*number));
        let chunks = chunks.collect::<Option<Vec<_>>>().ok_or_else(|| too_short(segment))?;
        let read = reader.cache().lists(segment, &chunks, reader.counters()).await?;
        Ok(Self { segment, rows, pieces: numbers.iter().copied().zip(read).collect() })
    }

    /// Some bytes of the rows, of which all pieces were read.
    pub(super) fn bytes(&self, bytes: &Range<u64>) -> Result<Cow<'_, [u8]>> {
        let (numbers, mut from) = self.rows.pieces(bytes);
        let length = usize::try_from(bytes.end - bytes.start).unwrap_or(usize::MAX);
        let first = self.pieces.partition_point(|(number, _)| *number < numbers.start);
        let pieces = self.pieces.get(first..).unwrap_or_default();
        let within = pieces.first().and_then(|(_, piece)| piece.get(from..from.saturating_add(length)));
        if let Some(within) = within {
            return Ok(Cow::Borrowed(within));
        }
        let mut joined = Vec::new();
        for (_, piece) in pieces.iter().take(numbers.len()) {
            let piece = piece.get(from..).unwrap_or_default();
            joined.extend_from_slice(piece.get(..length - joined.len()).unwrap_or(piece));
            from = 0;
        }
        if joined.len() == length { Ok(Cow::Owned(joined)) } else { Err(too_short(self.segment)) }
    }
}

/// Where the rows of the list of some columns lie.
pub(super) fn row_lists<'s>(segment: &'s SegmentReader, fields: &[Field]) -> Result<&'s RowLists> {
    let listed = segment.directory().lists().iter().find(|listed| listed.fields() == fields);
    listed.and_then(|listed| listed.rows.as_ref()).ok_or_else(|| Error::internal("a list has no rows"))
}

fn too_short(segment: &SegmentReader) -> Error {
    segment.named(Error::damaged("the rows of a list are shorter than its entries say"))
}
