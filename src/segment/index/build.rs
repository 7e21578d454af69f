//! The lists of flows that are written.

use arrow::array::RecordBatch;

use super::{
    super::names::AllRanks,
    blocks::Blocks,
    built::{Built, BuiltChunk, PackedRows},
    entries::{EntryWriter, Holder},
    list::{List, bytes_of, key},
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
    blocks: Blocks,
) -> Result<Built> {
    build_cut(names, fields, flows, &Cut { blocks, chunk_bytes: CHUNK_BYTES })
}

pub(super) fn build_cut(names: &AllRanks<'_>, fields: &[Field], flows: &RecordBatch, cut: &Cut) -> Result<Built> {
    let list = List(fields.to_vec());
    if let [field] = fields
        && let Some(names) = names.get(field)
    {
        let entries = cut.entries(|row| names.rows().get(row).copied().flatten())?;
        return Ok(Built { list, chunks: cut.chunks(&entries, None, |rank| names.name(rank).as_bytes().to_vec()) });
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
            cut.chunks(&cut.entries(|row| number(column, row))?, Some(width), |n| key(n, width))
        }
        ([column], Some(width)) => {
            let narrow = |row| number(column, row).and_then(|number| u64::try_from(number).ok());
            cut.chunks(&cut.entries(narrow)?, Some(width), |n| key(n.into(), width))
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
            cut.chunks(&cut.entries(joined)?, width, |n| key(n.into(), width.unwrap_or(0)))
        }
    };
    Ok(Built { list, chunks })
}

/// How rows are cut into blocks and pages, and their values into chunks.
pub(super) struct Cut {
    pub(super) blocks: Blocks,
    /// A chunk is closed once it has so many bytes, before they are compressed.
    pub(super) chunk_bytes: usize,
}

/// Values with the blocks that hold them, sorted, and all their rows.
struct Sorted<V> {
    /// Each value with a block that holds it, and the place of its first row there among the rows.
    entries: Vec<(V, Holder, usize)>,
    /// Rows, numbered within their blocks.
    rows: Vec<u32>,
}

impl Cut {
    /// Each value with each of its blocks; sorted.
    fn entries<V: Ord + Copy>(&self, value: impl Fn(usize) -> Option<V>) -> Result<Sorted<V>> {
        let mut sorted = Sorted { entries: Vec::new(), rows: Vec::with_capacity(self.blocks.rows) };
        let mut held: Vec<(V, u32)> = Vec::with_capacity(self.blocks.block_rows.min(self.blocks.rows));
        for block in 0..self.blocks.len() {
            held.clear();
            held.extend(self.blocks.block(block).zip(0..).filter_map(|(row, place)| Some((value(row)?, place))));
            held.sort_unstable();
            let block = u32::try_from(block).map_err(|_| Error::internal("a segment has too many blocks"))?;
            for run in held.chunk_by(|left, right| left.0 == right.0) {
                if let Some((value, _)) = run.first() {
                    let pages = run.iter().fold(0, |pages, (_, row)| pages | self.blocks.page(*row as usize));
                    let count = u32::try_from(run.len()).unwrap_or(u32::MAX);
                    sorted.entries.push((*value, Holder { block, pages, count }, sorted.rows.len()));
                    sorted.rows.extend(run.iter().map(|(_, row)| row));
                }
            }
        }
        sorted.entries.sort_unstable_by_key(|(value, holder, _)| (*value, holder.block));
        Ok(sorted)
    }

    /// The chunks of sorted entries.
    fn chunks<V: PartialEq + Copy>(
        &self,
        sorted: &Sorted<V>,
        width: Option<usize>,
        key: impl Fn(V) -> Vec<u8>,
    ) -> Vec<BuiltChunk> {
        let mut chunks = Vec::new();
        let (mut writer, mut rows) = (EntryWriter::default(), PackedRows::default());
        for run in sorted.entries.chunk_by(|left, right| left.0 == right.0) {
            let Some((value, ..)) = run.first() else { continue };
            if writer.len() >= self.chunk_bytes {
                let (first, bytes) = std::mem::take(&mut writer).finish();
                chunks.push(BuiltChunk { first, bytes, rows: std::mem::take(&mut rows) });
            }
            writer.push(&key(*value), width, run.iter().map(|(_, holder, _)| *holder));
            rows.push(
                &self.blocks,
                run.iter().map(|(_, holder, first)| {
                    let rows = sorted.rows.get(*first..first + holder.count as usize).unwrap_or_default();
                    (*holder, rows)
                }),
            );
        }
        if writer.len() > 0 {
            let (first, bytes) = writer.finish();
            chunks.push(BuiltChunk { first, bytes, rows });
        }
        chunks
    }
}
