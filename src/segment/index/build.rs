//! The lists of flows that are written.

use arrow::array::RecordBatch;

use super::{
    super::{names::AllRanks, writer::block_range},
    entries::{EntryWriter, Holder},
    list::{List, bytes_of, key},
    postings::Built,
};
use crate::{
    error::{Error, Result},
    flow::{Field, ValueRef},
    schema::Values,
};

/// A chunk is closed once it has so many bytes, before they are compressed.
const CHUNK_BYTES: usize = 16_384;

/// Lists the values of columns of `flows`, block by block.
pub(in super::super) fn build(
    flows: &RecordBatch,
    names: &AllRanks<'_>,
    fields: &[Field],
    block_rows: usize,
    page_rows: usize,
) -> Result<Built> {
    build_cut(names, fields, flows, &Cut { rows: flows.num_rows(), block_rows, page_rows, chunk_bytes: CHUNK_BYTES })
}

pub(super) fn build_cut(names: &AllRanks<'_>, fields: &[Field], flows: &RecordBatch, cut: &Cut) -> Result<Built> {
    let list = List(fields.to_vec());
    if let [field] = fields
        && let Some(names) = names.get(field)
    {
        let entries = cut.entries(|row| names.rows().get(row).copied().flatten())?;
        return Ok(Built { list, chunks: cut.chunks(entries, None, |rank| names.name(rank).as_bytes().to_vec()) });
    }
    let columns = fields.iter().map(|field| Values::of(flows, *field)).collect::<Result<Vec<_>>>()?;
    let number = |column: &Values<'_>, row| match column.get(row) {
        Some(ValueRef::Number(number)) => Some(number),
        _ => None,
    };
    let width = list.width();
    let chunks = match (columns.as_slice(), width) {
        // Numbers are sorted as numbers of their own width: that is most of the work.
        ([column], Some(width @ 9..)) => {
            cut.chunks(cut.entries(|row| number(column, row))?, Some(width), |n| key(n, width))
        }
        ([column], Some(width)) => {
            let narrow = |row| number(column, row).and_then(|number| u64::try_from(number).ok());
            cut.chunks(cut.entries(narrow)?, Some(width), |n| key(n.into(), width))
        }
        (columns, width) => {
            let joined = |row| {
                let joined = fields.iter().zip(columns).fold(0u64, |joined, (field, column)| {
                    let value = number(column, row);
                    let presence =
                        if field.always_present() { joined } else { joined << 8 | u64::from(value.is_some()) };
                    presence << (8 * bytes_of(*field)) | value.and_then(|value| u64::try_from(value).ok()).unwrap_or(0)
                });
                Some(joined)
            };
            cut.chunks(cut.entries(joined)?, width, |n| key(n.into(), width.unwrap_or(0)))
        }
    };
    Ok(Built { list, chunks })
}

/// How rows are cut into blocks and pages, and their values into chunks.
pub(super) struct Cut {
    pub(super) rows: usize,
    pub(super) block_rows: usize,
    pub(super) page_rows: usize,
    /// A chunk is closed once it has so many bytes, before they are compressed.
    pub(super) chunk_bytes: usize,
}

impl Cut {
    /// Each value with each of its blocks; sorted.
    fn entries<V: Ord + Copy>(&self, value: impl Fn(usize) -> Option<V>) -> Result<Vec<(V, Holder)>> {
        let mut entries = Vec::new();
        let mut held = Vec::with_capacity(self.block_rows.min(self.rows));
        for block in 0..self.rows.div_ceil(self.block_rows) {
            held.clear();
            let rows = block_range(block, self.block_rows, self.rows);
            let start = rows.start;
            let page = |row: usize| 1u8 << ((row - start) / self.page_rows).min(7);
            held.extend(rows.filter_map(|row| Some((value(row)?, page(row)))));
            held.sort_unstable();
            let block = u32::try_from(block).map_err(|_| Error::internal("a segment has too many blocks"))?;
            for run in held.chunk_by(|left, right| left.0 == right.0) {
                if let Some((value, _)) = run.first() {
                    let pages = run.iter().fold(0, |pages, (_, page)| pages | page);
                    let count = u32::try_from(run.len()).unwrap_or(u32::MAX);
                    entries.push((*value, Holder { block, pages, count }));
                }
            }
        }
        entries.sort_unstable_by_key(|(value, holder)| (*value, holder.block));
        Ok(entries)
    }

    /// The chunks of sorted entries: the first value of each, and its bytes.
    fn chunks<V: PartialEq + Copy>(
        &self,
        entries: Vec<(V, Holder)>,
        width: Option<usize>,
        key: impl Fn(V) -> Vec<u8>,
    ) -> Vec<(Vec<u8>, Vec<u8>)> {
        let mut chunks = Vec::new();
        let mut writer = EntryWriter::default();
        for run in entries.chunk_by(|left, right| left.0 == right.0) {
            let Some((value, _)) = run.first() else { continue };
            if writer.len() >= self.chunk_bytes {
                chunks.push(std::mem::take(&mut writer).finish());
            }
            writer.push(&key(*value), width, run.iter().map(|(_, holder)| *holder));
        }
        if writer.len() > 0 {
            chunks.push(writer.finish());
        }
        chunks
    }
}
