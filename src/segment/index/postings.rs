//! For each value of a column the blocks that hold it, and how often.
//!
//! The values are sorted and cut into chunks of a few kilobytes, each a run of entries. A directory of the chunks stays
//! in memory; of the chunks only those are read that a question touches.

use std::hash::{Hash, Hasher};

use arrow::array::RecordBatch;
use bytes::Bytes;
use twox_hash::XxHash64;

use super::{
    super::{names::AllRanks, writer::block_range},
    chunk::Chunk,
    entries::{Entries, EntryWriter, Holder},
    format::too_large,
    input::{Input, damaged},
};
use crate::{
    error::{Error, ErrorKind, Result},
    filter::{Filter, Set, Test},
    flow::{Field, Kind, ValueRef},
    schema::Values,
};

/// The lists: of columns whose values are in some blocks and not in others. Columns with few values that are asked for
/// together share one.
pub(in super::super) const LISTS: [&[Field]; 8] = [
    &[Field::Protocol, Field::TcpFlags],
    &[Field::SrcIp],
    &[Field::DstIp],
    &[Field::DstPort],
    &[Field::SrcNode],
    &[Field::DstNode],
    &[Field::NodeId],
    &[Field::ActivityId],
];

/// A chunk is closed once it has so many bytes, before they are compressed.
const CHUNK_BYTES: usize = 16_384;
/// How hard chunks are compressed.
const ZSTD_LEVEL: i32 = 3;
/// The greatest value of all.
const GREATEST: &[u8] = &[u8::MAX; 16];

/// The columns that a list is of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in super::super) struct List(Vec<Field>);

/// The chunks of each list, in the order of their values.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in super::super) struct Directory(Vec<(List, Vec<Chunk>)>);

/// A list as it is built.
pub(in super::super) struct Built {
    list: List,
    /// For each chunk its first value and its bytes.
    chunks: Vec<(Vec<u8>, Vec<u8>)>,
}

impl Built {
    /// Whether it has the same entries as `chunks`, which `read` reads, however these are cut, and whether each of these
    /// begins with the value by which a question finds it.
    pub(in super::super) fn has_entries_of(
        &self,
        chunks: &[Chunk],
        mut read: impl FnMut(&Chunk) -> Result<Bytes>,
    ) -> Result<bool> {
        let (mut built, mut stored) = (XxHash64::with_seed(0), XxHash64::with_seed(0));
        let width = self.list.width();
        self.chunks.iter().try_for_each(|(first, bytes)| digest(bytes, first, width, &mut built))?;
        let mut begins = true;
        for chunk in chunks {
            let bytes = read(chunk)?;
            let mut entries = Entries::from(&bytes, &chunk.first, width, &[])?;
            begins &= entries.next()?.is_some_and(|(value, _)| value == chunk.first.as_slice());
            digest(&bytes, &chunk.first, width, &mut stored)?;
        }
        Ok(begins && built.finish() == stored.finish())
    }
}

/// Takes the entries of a chunk into a checksum.
fn digest(bytes: &[u8], first: &[u8], width: Option<usize>, sum: &mut XxHash64) -> Result<()> {
    let mut entries = Entries::from(bytes, first, width, &[])?;
    while let Some((value, blocks)) = entries.next()? {
        (value, blocks).hash(sum);
        entries.holders(blocks, |holder| (holder.block, holder.pages, holder.count).hash(sum))?;
    }
    Ok(())
}

/// What a question touches of a list.
pub(in super::super) struct Touched<'a> {
    pub(in super::super) list: &'a List,
    /// For each chunk the least and the greatest value that can pass.
    pub(in super::super) chunks: Vec<(&'a Chunk, Vec<u8>, Vec<u8>)>,
}

impl List {
    /// How many bytes each value has; `None` of names.
    pub(super) fn width(&self) -> Option<usize> {
        let several = self.0.len() > 1;
        let width = |field: &Field| match field.kind() {
            Kind::Text => None,
            _ => Some(bytes_of(*field) + usize::from(several && !field.always_present())),
        };
        self.0.iter().map(width).sum()
    }

    /// The value of `field` within a value of the list.
    pub(super) fn value<'v>(&self, mut value: &'v [u8], field: Field) -> Option<ValueRef<'v>> {
        let several = self.0.len() > 1;
        for each in &self.0 {
            if each.kind() == Kind::Text {
                return std::str::from_utf8(value).ok().map(ValueRef::Text);
            }
            let present = if several && !each.always_present() {
                let (present, rest) = value.split_first()?;
                value = rest;
                *present != 0
            } else {
                true
            };
            let (own, rest) = value.split_at_checked(bytes_of(*each))?;
            value = rest;
            if *each == field {
                let number = own.iter().fold(0, |sum: u128, byte| sum << 8 | u128::from(*byte));
                return present.then_some(ValueRef::Number(number));
            }
        }
        None
    }

    /// The values that can pass `part`, as ranges in ascending order.
    fn ranges(&self, part: &Filter) -> Vec<(Vec<u8>, Vec<u8>)> {
        let everything = || vec![(Vec::new(), GREATEST.to_vec())];
        let (Filter::Test(test), [field]) = (part, self.0.as_slice()) else { return everything() };
        match test.set() {
            Set::Numbers(ranges) => {
                let bytes = |number: u128| key(number, bytes_of(*field));
                let greatest = field.greatest();
                ranges.as_slice().iter().map(|(low, high)| (bytes(*low), bytes(*high.min(&greatest)))).collect()
            }
            Set::Texts { texts, listed: true } => {
                texts.iter().map(|text| (text.as_bytes().to_vec(), text.as_bytes().to_vec())).collect()
            }
            Set::Texts { listed: false, .. } | Set::Flags { .. } => everything(),
        }
    }
}

/// Lists the values of columns of `flows`, block by block.
pub(in super::super) fn build(
    flows: &RecordBatch,
    names: &AllRanks<'_>,
    fields: &[Field],
    block_rows: usize,
    page_rows: usize,
) -> Result<Built> {
    let list = List(fields.to_vec());
    let cut = Cut { rows: flows.num_rows(), block_rows, page_rows };
    if let [field] = fields
        && let Some(names) = names.get(field)
    {
        let entries = cut.entries(|row| names.rows().get(row).copied().flatten())?;
        return Ok(Built { list, chunks: chunks(entries, None, |rank| names.name(rank).as_bytes().to_vec()) });
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
            chunks(cut.entries(|row| number(column, row))?, Some(width), |n| key(n, width))
        }
        ([column], Some(width)) => {
            let narrow = |row| number(column, row).and_then(|number| u64::try_from(number).ok());
            chunks(cut.entries(narrow)?, Some(width), |n| key(n.into(), width))
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
            chunks(cut.entries(joined)?, width, |n| key(n.into(), width.unwrap_or(0)))
        }
    };
    Ok(Built { list, chunks })
}

/// How rows are cut into blocks and pages.
struct Cut {
    rows: usize,
    block_rows: usize,
    page_rows: usize,
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
}

/// The chunks of sorted entries: the first value of each, and its bytes.
fn chunks<V: PartialEq + Copy>(
    entries: Vec<(V, Holder)>,
    width: Option<usize>,
    key: impl Fn(V) -> Vec<u8>,
) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut chunks = Vec::new();
    let mut writer = EntryWriter::default();
    for run in entries.chunk_by(|left, right| left.0 == right.0) {
        let Some((value, _)) = run.first() else { continue };
        if writer.len() >= CHUNK_BYTES {
            chunks.push(std::mem::take(&mut writer).finish());
        }
        writer.push(&key(*value), width, run.iter().map(|(_, holder)| *holder));
    }
    if writer.len() > 0 {
        chunks.push(writer.finish());
    }
    chunks
}

impl Directory {
    /// The directory of built lists whose chunks follow on one another from byte `start` of the file; and those bytes.
    pub(in super::super) fn place(built: Vec<Built>, start: u64) -> Result<(Self, Vec<u8>)> {
        let mut bytes = Vec::new();
        let mut directory = Vec::with_capacity(built.len());
        for Built { list, chunks } in built {
            let mut placed = Vec::with_capacity(chunks.len());
            for (first, chunk) in chunks {
                let length = u32::try_from(chunk.len()).map_err(|_| too_large())?;
                let packed = zstd::bulk::compress(&chunk, ZSTD_LEVEL);
                let packed = packed.map_err(Error::with(ErrorKind::Internal, "a list cannot be compressed"))?;
                let from = start + bytes.len() as u64;
                let checksum = XxHash64::oneshot(0, &packed);
                bytes.extend(&packed);
                placed.push(Chunk { first, place: from..start + bytes.len() as u64, length, checksum });
            }
            directory.push((list, placed));
        }
        Ok((Self(directory), bytes))
    }

    /// Whether one list is of all columns that `part` looks at.
    pub(in super::super) fn lists(&self, part: &Filter) -> bool {
        self.list(part).is_some()
    }

    fn list(&self, part: &Filter) -> Option<&(List, Vec<Chunk>)> {
        let mut tests: Vec<&Test> = Vec::new();
        part.tests(&mut tests);
        let is_of = |(list, _): &&(List, Vec<Chunk>)| {
            // A list of one column does not tell of the flows without a value.
            let told = |test: &&Test| list.0.contains(&test.field()) && (list.0.len() > 1 || !test.passes_absent());
            !tests.is_empty() && tests.iter().all(told)
        };
        self.0.iter().find(is_of)
    }

    /// What tells how many flows pass `part`; `None` where no list does, or it would be more than `most` chunks, or more
    /// than `most_inside` of which every value passes.
    pub(in super::super) fn touched(&self, part: &Filter, most: usize, most_inside: usize) -> Option<Touched<'_>> {
        let (list, chunks) = self.list(part)?;
        let mut touched: Vec<(&Chunk, Vec<u8>, Vec<u8>)> = Vec::new();
        let (mut next, mut inside) = (0, 0);
        for (low, high) in list.ranges(part) {
            // A value can lie in the last chunk that begins at or before it.
            let from = chunks.partition_point(|chunk| chunk.first <= low).saturating_sub(1);
            let to = chunks.partition_point(|chunk| chunk.first <= high);
            if from < next
                && let Some((_, _, greatest)) = touched.last_mut()
            {
                greatest.clone_from(&high);
            }
            let more = chunks.get(from.max(next)..to).unwrap_or_default();
            inside += more.len().saturating_sub(2);
            if touched.len() + more.len() > most || inside > most_inside {
                return None;
            }
            touched.extend(more.iter().map(|chunk| (chunk, low.clone(), high.clone())));
            next = next.max(to);
        }
        Some(Touched { list, chunks: touched })
    }

    pub(super) fn encode(&self) -> Result<Vec<u8>> {
        let mut out = vec![u8::try_from(self.0.len()).map_err(|_| too_large())?];
        for (list, chunks) in &self.0 {
            out.push(u8::try_from(list.0.len()).map_err(|_| too_large())?);
            out.extend(list.0.iter().map(|field| *field as u8));
            out.extend(u32::try_from(chunks.len()).map_err(|_| too_large())?.to_le_bytes());
            for chunk in chunks {
                let length = u32::try_from(chunk.place.end - chunk.place.start).map_err(|_| too_large())?;
                out.extend(u16::try_from(chunk.first.len()).map_err(|_| too_large())?.to_le_bytes());
                out.extend(&chunk.first);
                out.extend(chunk.place.start.to_le_bytes());
                out.extend(length.to_le_bytes());
                out.extend(chunk.length.to_le_bytes());
                out.extend(chunk.checksum.to_le_bytes());
            }
        }
        Ok(out)
    }

    pub(super) fn decode(input: &mut Input<'_>) -> Result<Self> {
        let mut lists = Vec::new();
        let [count] = input.array()?;
        for _ in 0..count {
            let [fields] = input.array()?;
            let field = |place: &u8| Field::ALL.get(usize::from(*place)).copied().ok_or_else(damaged);
            let fields = input.take(fields.into())?.iter().map(field).collect::<Result<_>>()?;
            let chunks = (0..input.number()?).map(|_| decode_chunk(input)).collect::<Result<_>>()?;
            lists.push((List(fields), chunks));
        }
        Ok(Self(lists))
    }

    /// About how many bytes of memory it takes.
    pub(in super::super) fn memory(&self) -> usize {
        let chunk = |chunk: &Chunk| size_of::<Chunk>() + chunk.first.len();
        self.0.iter().flat_map(|(_, chunks)| chunks).map(chunk).sum()
    }

    /// For each list its columns and its chunks.
    pub(in super::super) fn chunks(&self) -> impl Iterator<Item = (&[Field], &[Chunk])> {
        self.0.iter().map(|(list, chunks)| (list.0.as_slice(), chunks.as_slice()))
    }

    /// For each list its columns, and how many bytes of the file it takes.
    pub(in super::super) fn sizes(&self) -> impl Iterator<Item = (&[Field], u64)> {
        let bytes = |chunks: &[Chunk]| chunks.iter().map(|chunk| chunk.place.end - chunk.place.start).sum();
        self.0.iter().map(move |(list, chunks)| (list.0.as_slice(), bytes(chunks)))
    }
}

fn decode_chunk(input: &mut Input<'_>) -> Result<Chunk> {
    let length = u16::from_le_bytes(input.array()?);
    let first = input.take(length.into())?.to_vec();
    let start = u64::from_le_bytes(input.array()?);
    let end = start.checked_add(input.number()?.into()).ok_or_else(damaged)?;
    Ok(Chunk { first, place: start..end, length: input.number()?, checksum: u64::from_le_bytes(input.array()?) })
}

/// How many bytes a value of a field that is no name has.
fn bytes_of(field: Field) -> usize {
    (u128::BITS - field.greatest().leading_zeros()) as usize / 8
}

/// A number in `width` bytes, in the order of the numbers.
fn key(number: u128, width: usize) -> Vec<u8> {
    let bytes = number.to_be_bytes();
    bytes.get(bytes.len().saturating_sub(width)..).unwrap_or_default().to_vec()
}
