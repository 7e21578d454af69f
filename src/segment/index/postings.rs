//! For each value of a column the blocks that hold it, and how often.
//!
//! The values are sorted and cut into chunks of a few kilobytes, each a run of entries. A directory of the chunks stays
//! in memory; of the chunks only those are read that a question touches.

use std::{
    collections::BTreeSet,
    hash::{Hash, Hasher},
};

use bytes::Bytes;
use twox_hash::XxHash64;

use super::{
    chunk::Chunk,
    entries::Entries,
    input::{Input, damaged, too_large},
    list::List,
};
use crate::{
    error::{Error, ErrorKind, Result},
    filter::{Filter, Test},
    flow::Field,
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

/// How hard chunks are compressed.
const ZSTD_LEVEL: i32 = 3;

/// The chunks of each list, in the order of their values.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in super::super) struct Directory(Vec<(List, Vec<Chunk>)>);

/// A list as it is built.
pub(in super::super) struct Built {
    pub(super) list: List,
    /// For each chunk its first value and its bytes.
    pub(super) chunks: Vec<(Vec<u8>, Vec<u8>)>,
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

    /// Whether one list tells of filters that look at these columns, and pass flows without a value in them or do not.
    pub(in super::super) fn lists(&self, fields: &BTreeSet<Field>, passes_absent: bool) -> bool {
        self.list(fields, passes_absent).is_some()
    }

    fn list(&self, fields: &BTreeSet<Field>, passes_absent: bool) -> Option<&(List, Vec<Chunk>)> {
        // A list of one column does not tell of the flows without a value.
        let tells = |List(columns): &List| columns.len() > 1 || !passes_absent;
        let is_of = |List(columns): &List| !fields.is_empty() && fields.iter().all(|field| columns.contains(field));
        self.0.iter().find(|(list, _)| tells(list) && is_of(list))
    }

    /// The list of just these columns, and its chunks.
    pub(in super::super) fn list_of(&self, columns: &[Field]) -> Option<(&List, &[Chunk])> {
        let (list, chunks) = self.0.iter().find(|(List(listed), _)| listed == columns)?;
        Some((list, chunks))
    }

    /// What tells how many flows pass `part`; `None` where no list does, or it would be more than `most` chunks, or more
    /// than `most_inside` of which every value passes.
    pub(in super::super) fn touched(&self, part: &Filter, most: usize, most_inside: usize) -> Option<Touched<'_>> {
        let fields = part.tests().map(Test::field).collect();
        let (list, chunks) = self.list(&fields, part.holds(&|_| None))?;
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
