//! Whether a segment is what was written: its bytes, and what its index says of its rows.

use std::ops::Range;

use arrow::array::RecordBatch;

use super::{
    SegmentReader, Shape,
    bounds::BoundsTable,
    cores::on_all_cores,
    index::{self, Chunk, PageTable, checksum},
    names::{AllRanks, Ranks, named},
    reader::PagePlace,
    writer::page_table,
};
use crate::{error::Result, flow::Field, resources::undamaged};

/// What a Parquet file begins with.
pub(super) const PARQUET_MAGIC: &[u8] = b"PAR1";

/// A part of a segment that is not what was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Flaw {
    /// The part.
    pub(crate) part: String,
    /// The pages whose rows cannot be read without it; none for a part that can be made anew from the rows.
    pub(crate) pages: Range<usize>,
}

impl SegmentReader {
    /// Reads every byte that has a checksum: pages, dictionaries and lists; the index was read when it was opened. And
    /// whether they lie side by side, so that no byte of the file is left out but the footer. This blocks on the file
    /// system.
    ///
    /// # Errors
    /// [`ErrorKind::Damaged`](crate::ErrorKind::Damaged) where footer and index do not say where the parts lie,
    /// [`ErrorKind::Io`](crate::ErrorKind::Io) where the system cannot read the file.
    pub(crate) fn check(&self) -> Result<Vec<Flaw>> {
        let mut flaws = Vec::new();
        let mut places = vec![self.index().clone(), self.index().end..self.file_bytes()];
        for group in 0..self.metadata().num_row_groups() {
            let pages = self.pages_of(group);
            for field in Field::ALL {
                if let Some(place) = self.dictionary(field, group)? {
                    places.push(place.range());
                    if !self.is_sound(&place)? {
                        flaws.push(Flaw { part: format!("a dictionary of {}", field.name()), pages: pages.clone() });
                    }
                }
                for page in pages.clone() {
                    let place = self.page(field, page)?;
                    places.push(place.range());
                    if !self.is_sound(&place)? {
                        flaws.push(Flaw { part: format!("a page of {}", field.name()), pages: page..page + 1 });
                    }
                }
            }
        }
        let mut other = |part: String| flaws.push(Flaw { part, pages: 0..0 });
        for (fields, chunks) in self.directory().chunks() {
            for chunk in chunks {
                places.push(chunk.place.clone());
                if !undamaged(self.packed(chunk))?.is_some_and(|bytes| chunk.is_of(&bytes)) {
                    other(format!("the list of {}", names_of(fields)));
                }
            }
        }
        if undamaged(self.read_exact(0, PARQUET_MAGIC.len()))?.is_none_or(|bytes| bytes != PARQUET_MAGIC) {
            other("the first bytes of the file".to_owned());
        }
        places.sort_unstable_by_key(|place| (place.start, place.end));
        let end = places.into_iter().try_fold(PARQUET_MAGIC.len() as u64, |end, place| {
            if place.start == end { Ok(place.end) } else { Err(end) }
        });
        if let Err(end) = end {
            other(format!("byte {end} of the file, which is of no part,"));
        }
        Ok(flaws)
    }

    /// The table of its pages, with the checksums of the bytes as they are.
    pub(super) fn actual_pages(&self) -> Result<PageTable> {
        let sum = |place: &PagePlace| {
            let bytes = undamaged(self.read_exact(place.offset, place.length))?;
            Ok(bytes.map_or(0, |bytes| checksum(&bytes)))
        };
        let mut table = self.pages().clone();
        for (column, field) in Field::ALL.into_iter().enumerate() {
            if let Some(sums) = table.checksums.get_mut(column) {
                for (page, known) in sums.iter_mut().enumerate() {
                    *known = sum(&self.page(field, page)?)?;
                }
            }
            if let Some(sums) = table.dictionaries.get_mut(column) {
                for (group, known) in sums.iter_mut().enumerate() {
                    *known = self.dictionary(field, group)?.map_or(Ok(0), |place| sum(&place))?;
                }
            }
        }
        Ok(table)
    }

    /// What of the index is not true of `flows`, which are all rows of the segment.
    ///
    /// # Errors
    /// [`ErrorKind::Internal`](crate::ErrorKind::Internal) where these are not columns of a segment.
    pub(crate) fn contradictions(&self, flows: &RecordBatch) -> Result<Vec<String>> {
        let Shape { block_rows, page_rows, .. } = self.shape();
        let names: AllRanks<'_> =
            on_all_cores(named(), |field| Ok((field, Ranks::of(flows, field)?)))?.into_iter().collect();
        let mut found = Vec::new();
        if BoundsTable::build(flows, block_rows, &names)? != *self.blocks() {
            found.push("the bounds of its blocks".to_owned());
        }
        if page_table(flows, page_rows)?.times != self.pages().times {
            found.push("the times of its pages".to_owned());
        }
        for (fields, chunks) in self.directory().chunks() {
            let built = index::build(flows, &names, fields, block_rows, page_rows)?;
            let agrees = built.has_entries_of(chunks, |chunk| chunk.unpack(&self.packed(chunk)?));
            if !undamaged(agrees)?.unwrap_or(false) {
                found.push(format!("the list of {}", names_of(fields)));
            }
        }
        Ok(found)
    }

    /// The pages of a row group.
    pub(super) fn pages_of(&self, group: usize) -> Range<usize> {
        let Shape { rows, group_rows, page_rows, .. } = self.shape();
        let end = rows.min((group + 1) * group_rows);
        group * group_rows / page_rows..end.div_ceil(page_rows)
    }

    fn is_sound(&self, place: &PagePlace) -> Result<bool> {
        let bytes = undamaged(self.read_exact(place.offset, place.length))?;
        Ok(bytes.is_some_and(|bytes| checksum(&bytes) == place.checksum))
    }

    fn packed(&self, chunk: &Chunk) -> Result<bytes::Bytes> {
        let length = usize::try_from(chunk.place.end - chunk.place.start).unwrap_or(usize::MAX);
        self.read_exact(chunk.place.start, length)
    }
}

impl PagePlace {
    fn range(&self) -> Range<u64> {
        self.offset..self.offset + self.length as u64
    }
}

fn names_of(fields: &[Field]) -> String {
    fields.iter().map(|field| field.name()).collect::<Vec<_>>().join("+")
}
