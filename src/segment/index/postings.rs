//! For each value of a column the blocks that hold it, and how often.
//!
//! The values of a column are sorted and cut into chunks of a few kilobytes, each a run of entries. A directory of the
//! chunks stays in memory; of the chunks only those are read that a question touches.

use std::{collections::HashMap, ops::Range};

use arrow::array::RecordBatch;
use twox_hash::XxHash64;

use super::{
    super::writer::block_range,
    input::{Input, damaged},
};
use crate::{
    error::{Error, Result},
    filter::{Set, Test},
    flow::{Field, Kind, ValueRef},
    schema::Values,
};

/// The columns whose values are listed. Of the others nearly every value is in nearly every block, or in just one.
pub(in super::super) const LISTED: [Field; 9] = [
    Field::Protocol,
    Field::SrcIp,
    Field::DstIp,
    Field::DstPort,
    Field::TcpFlags,
    Field::SrcNode,
    Field::DstNode,
    Field::NodeId,
    Field::ActivityId,
];

/// A chunk is closed once it has so many bytes.
const CHUNK_BYTES: usize = 4096;
/// A question that touches more chunks than this is answered by the bounds alone: it matches much, and is soon full.
const MOST_CHUNKS: usize = 96;

/// A run of entries of one column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in super::super) struct Chunk {
    /// The value of its first entry: a name's bytes, or a number's, big endian.
    pub(super) first: Vec<u8>,
    /// Where its bytes lie in the file.
    pub(super) place: Range<u64>,
    /// The XXH64 of its bytes.
    pub(super) checksum: u64,
}

/// The chunks of each column that is listed, in the order of their values.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in super::super) struct Directory(pub(super) HashMap<Field, Vec<Chunk>>);

/// The entries of one column, as they are built.
pub(in super::super) struct Built {
    field: Field,
    /// For each chunk its first value and its bytes.
    chunks: Vec<(Vec<u8>, Vec<u8>)>,
}

/// Lists the values of a column of `flows`, block by block.
pub(in super::super) fn build(flows: &RecordBatch, field: Field, block_rows: usize) -> Result<Built> {
    let values = Values::of(flows, field)?;
    let rows = flows.num_rows();
    let number = |row| match values.get(row) {
        Some(ValueRef::Number(number)) => Some(number),
        _ => None,
    };
    let text = |row| match values.get(row) {
        Some(ValueRef::Text(text)) => Some(text),
        _ => None,
    };
    // Numbers are sorted as numbers of their own width: that is most of the work.
    let chunks = match field.kind() {
        Kind::Text => chunks(entries(rows, block_rows, text)?, |text| text.as_bytes().to_vec()),
        Kind::Address => chunks(entries(rows, block_rows, number)?, |number| key(field, ValueRef::Number(number))),
        Kind::Time | Kind::Number => {
            let narrow = |row| number(row).and_then(|number| u64::try_from(number).ok());
            chunks(entries(rows, block_rows, narrow)?, |number| key(field, ValueRef::Number(number.into())))
        }
    };
    Ok(Built { field, chunks })
}

/// Each value with each of its blocks, and how often it is there; sorted.
fn entries<V: Ord + Copy>(
    rows: usize,
    block_rows: usize,
    value: impl Fn(usize) -> Option<V>,
) -> Result<Vec<(V, u32, u32)>> {
    let mut entries = Vec::new();
    let mut held = Vec::with_capacity(block_rows.min(rows));
    for block in 0..rows.div_ceil(block_rows) {
        held.clear();
        held.extend(block_range(block, block_rows, rows).filter_map(&value));
        held.sort_unstable();
        let number = u32::try_from(block).map_err(|_| Error::internal("a segment has too many blocks"))?;
        for run in held.chunk_by(|left, right| left == right) {
            if let Some(value) = run.first() {
                entries.push((*value, number, u32::try_from(run.len()).unwrap_or(u32::MAX)));
            }
        }
    }
    entries.sort_unstable();
    Ok(entries)
}

/// The chunks of sorted entries: the first value of each, and its bytes.
fn chunks<V: PartialEq + Copy>(entries: Vec<(V, u32, u32)>, key: impl Fn(V) -> Vec<u8>) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut chunks: Vec<(Vec<u8>, Vec<u8>)> = Vec::new();
    let mut last = Vec::new();
    for run in entries.chunk_by(|left, right| left.0 == right.0) {
        let Some((value, _, _)) = run.first() else { continue };
        let key = key(*value);
        if chunks.last().is_none_or(|(_, bytes)| bytes.len() >= CHUNK_BYTES) {
            chunks.push((key.clone(), Vec::new()));
            last.clear();
        }
        if let Some((_, bytes)) = chunks.last_mut() {
            write_entry(bytes, &last, &key, run);
        }
        last = key;
    }
    chunks
}

impl Directory {
    /// The directory of built columns whose chunks follow on one another from byte `start` of the file; and those bytes.
    pub(in super::super) fn place(built: Vec<Built>, start: u64) -> (Self, Vec<u8>) {
        let mut bytes = Vec::new();
        let mut directory = HashMap::new();
        for column in built {
            let mut chunks = Vec::with_capacity(column.chunks.len());
            for (first, chunk) in column.chunks {
                let from = start + bytes.len() as u64;
                let checksum = XxHash64::oneshot(0, &chunk);
                bytes.extend(&chunk);
                chunks.push(Chunk { first, place: from..start + bytes.len() as u64, checksum });
            }
            directory.insert(column.field, chunks);
        }
        (Self(directory), bytes)
    }

    /// The chunks that tell how often values that pass `test` occur; `None` where they do not tell, or are too many.
    pub(in super::super) fn chunks(&self, test: &Test) -> Option<Vec<&Chunk>> {
        let chunks = self.0.get(&test.field()).filter(|_| !test.passes_absent())?;
        let mut touched: Vec<usize> = Vec::new();
        let mut touch = |first: &[u8], last: &[u8]| {
            // A value can lie in the last chunk that begins at or before it.
            let from = chunks.partition_point(|chunk| chunk.first.as_slice() <= first).saturating_sub(1);
            let to = chunks.partition_point(|chunk| chunk.first.as_slice() <= last);
            let from = from.max(touched.last().map_or(0, |last| last + 1));
            touched.extend((from..to).take(MOST_CHUNKS + 1));
            touched.len() <= MOST_CHUNKS
        };
        let few = match test.set() {
            Set::Numbers(ranges) => {
                let bytes = |number: u128| key(test.field(), ValueRef::Number(number));
                ranges.as_slice().iter().all(|(first, last)| touch(&bytes(*first), &bytes(*last)))
            }
            Set::Texts { texts, listed: true } => texts.iter().all(|text| touch(text.as_bytes(), text.as_bytes())),
            Set::Texts { listed: false, .. } => false,
            Set::Flags { .. } => touch(&[], &[u8::MAX; 2]),
        };
        few.then(|| touched.into_iter().filter_map(|at| chunks.get(at)).collect())
    }

    /// About how many bytes of memory it takes.
    pub(in super::super) fn memory(&self) -> usize {
        let chunk = |chunk: &Chunk| size_of::<Chunk>() + chunk.first.len();
        self.0.values().flatten().map(chunk).sum()
    }
}

impl Chunk {
    /// Where its bytes lie in the file.
    pub(in super::super) fn place(&self) -> Range<u64> {
        self.place.clone()
    }

    /// Adds to `counts`, block by block, how many flows pass `test`.
    ///
    /// # Errors
    /// [`ErrorKind::Damaged`](crate::ErrorKind::Damaged) where `bytes` are not those that were written.
    pub(in super::super) fn count(&self, bytes: &[u8], test: &Test, counts: &mut [u32]) -> Result<()> {
        if XxHash64::oneshot(0, bytes) != self.checksum {
            return Err(damaged());
        }
        let mut input = Input::new(bytes);
        let mut key = Vec::new();
        while input.left() > 0 {
            let shared = input.leb128()?;
            let length = input.leb128()?;
            key.truncate(shared);
            key.extend(input.take(length)?);
            let passes = value(test.field(), &key).is_some_and(|value| test.set().contains(value));
            let mut block = 0;
            for _ in 0..input.leb128()? {
                let step = input.leb128()?;
                block += step >> 1;
                let count = if step & 1 == 0 { 1 } else { input.leb128()? };
                if passes && let Some(sum) = counts.get_mut(block) {
                    *sum = sum.saturating_add(u32::try_from(count).unwrap_or(u32::MAX));
                }
            }
        }
        Ok(())
    }
}

/// One value: how many bytes it shares with the one before, the others, the number of blocks; for each block the step
/// from the one before, doubled, plus one where it holds the value more than once, and then how often.
fn write_entry<V>(out: &mut Vec<u8>, last: &[u8], key: &[u8], blocks: &[(V, u32, u32)]) {
    let shared = last.iter().zip(key).take_while(|(left, right)| left == right).count();
    let rest = key.get(shared..).unwrap_or_default();
    write_number(out, shared as u64);
    write_number(out, rest.len() as u64);
    out.extend(rest);
    write_number(out, blocks.len() as u64);
    let mut before = 0;
    for (_, block, count) in blocks {
        write_number(out, u64::from(block - before) << 1 | u64::from(*count != 1));
        if *count != 1 {
            write_number(out, u64::from(*count));
        }
        before = *block;
    }
}

/// A value's bytes, in the order of the values.
fn key(field: Field, value: ValueRef<'_>) -> Vec<u8> {
    let number = match value {
        ValueRef::Text(text) => return text.as_bytes().to_vec(),
        ValueRef::Number(number) => number.min(field.greatest()),
    };
    let bytes = number.to_be_bytes();
    bytes.get(field.greatest().leading_zeros() as usize / 8..).unwrap_or_default().to_vec()
}

fn value(field: Field, key: &[u8]) -> Option<ValueRef<'_>> {
    if field.kind() == Kind::Text {
        return std::str::from_utf8(key).ok().map(ValueRef::Text);
    }
    Some(ValueRef::Number(key.iter().fold(0, |sum: u128, byte| sum << 8 | u128::from(*byte))))
}

/// Seven bits a byte, the lowest first; the high bit says that there are more (LEB128).
fn write_number(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push((number & 0x7f) as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}
