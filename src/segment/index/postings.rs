//! For each value of a column the blocks that hold it, and how often.
//!
//! The values are sorted and cut into chunks of a few kilobytes, each a run of entries. A directory of the chunks stays
//! in memory; of the chunks only those are read that a question touches.

use std::{collections::BTreeSet, ops::RangeInclusive, sync::LazyLock};

use twox_hash::XxHash64;

use super::{
    built::Built,
    chunk::{Chunk, pack},
    input::{Input, damaged, too_large},
    list::List,
    rows::RowLists,
};
use crate::{
    error::Result,
    filter::{Filter, Test},
    flow::{Field, columns::Listing},
};

/// The lists: of columns whose values are in some blocks and not in others. Columns with few values that are asked for
/// together share one, which comes at the place of the first of them.
pub(in super::super) fn lists() -> &'static [Vec<Field>] {
    static LISTS: LazyLock<Vec<Vec<Field>>> = LazyLock::new(|| {
        let jointly: Vec<Field> = Field::all().filter(|field| field.column().listing == Listing::Jointly).collect();
        let list = |field: Field| match field.column().listing {
            Listing::No => None,
            Listing::Alone => Some(vec![field]),
            Listing::Jointly => (jointly.first() == Some(&field)).then(|| jointly.clone()),
        };
        Field::all().filter_map(list).collect()
    });
    LISTS.as_slice()
}

/// The chunks of each list, in the order of their values.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in super::super) struct Directory(Vec<Listed>);

/// A list, and where its parts lie.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in super::super) struct Listed {
    pub(in super::super) list: List,
    pub(in super::super) chunks: Vec<Chunk>,
    /// The rows of its values, where these are listed.
    pub(in super::super) rows: Option<RowLists>,
}

/// What a question touches of a list.
pub(in super::super) struct Touched<'a> {
    pub(in super::super) listed: &'a Listed,
    pub(in super::super) chunks: Vec<TouchedChunk<'a>>,
}

/// A chunk of a list, and the least and the greatest value in it that can pass.
pub(in super::super) struct TouchedChunk<'a> {
    pub(in super::super) number: usize,
    pub(in super::super) chunk: &'a Chunk,
    pub(in super::super) low: Vec<u8>,
    pub(in super::super) high: Vec<u8>,
}

impl Touched<'_> {
    /// About how many bytes must be gone through: of a single value few.
    pub(in super::super) fn bytes(&self) -> u64 {
        let ranges = self.chunks.iter().filter(|touched| touched.low != touched.high);
        ranges.map(|touched| touched.chunk.bytes()).sum()
    }
}

impl Directory {
    /// The directory of built lists whose chunks follow on one another from byte `start` of the file; and those bytes.
    pub(in super::super) fn place(built: &[Built], start: u64) -> Result<(Self, Vec<u8>)> {
        let mut bytes = Vec::new();
        let mut directory = Vec::with_capacity(built.len());
        for Built { list, chunks } in built {
            let mut placed = Vec::with_capacity(chunks.len());
            for chunk in chunks {
                let length = u32::try_from(chunk.bytes.len()).map_err(|_| too_large())?;
                let packed = pack(&chunk.bytes)?;
                let from = start + bytes.len() as u64;
                let checksum = XxHash64::oneshot(0, &packed);
                bytes.extend(&packed);
                let place = from..start + bytes.len() as u64;
                placed.push(Chunk { first: chunk.first.clone(), place, length, checksum });
            }
            directory.push(Listed { list: list.clone(), chunks: placed, rows: None });
        }
        Ok((Self(directory), bytes))
    }

    /// Puts the rows of these values to the lists, where so many flows have them; and their bytes, which lie in the file
    /// from byte `start` on.
    pub(in super::super) fn place_rows(
        &mut self,
        built: &[Built],
        totals: &[RangeInclusive<u32>],
        start: u64,
    ) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        for ((listed, built), totals) in self.0.iter_mut().zip(built).zip(totals) {
            let totals = built.occurring(totals);
            let chunks = built.chunks.iter().map(|chunk| chunk.rows.select(&totals)).collect::<Result<Vec<_>>>()?;
            listed.rows = Some(RowLists::place(totals, &chunks, start, &mut bytes)?);
        }
        Ok(bytes)
    }

    /// Whether one list tells of filters that look at these columns, and pass flows without a value in them or do not.
    pub(in super::super) fn tells(&self, fields: &BTreeSet<Field>, passes_absent: bool) -> bool {
        self.list(fields, passes_absent).is_some()
    }

    fn list(&self, fields: &BTreeSet<Field>, passes_absent: bool) -> Option<&Listed> {
        // A list of one column does not tell of the flows without a value.
        let tells = |List(columns): &List| columns.len() > 1 || !passes_absent;
        let is_of = |List(columns): &List| !fields.is_empty() && fields.iter().all(|field| columns.contains(field));
        self.0.iter().find(|listed| tells(&listed.list) && is_of(&listed.list))
    }

    /// The list of just these columns, and its chunks.
    pub(in super::super) fn list_of(&self, columns: &[Field]) -> Option<(&List, &[Chunk])> {
        let listed = self.0.iter().find(|listed| listed.fields() == columns)?;
        Some((&listed.list, &listed.chunks))
    }

    /// What tells how many flows pass `part`; `None` where no list does, or it would be more than `most` chunks, or more
    /// than `most_inside` of which every value passes.
    pub(in super::super) fn touched(&self, part: &Filter, most: usize, most_inside: usize) -> Option<Touched<'_>> {
        let fields = part.tests().flat_map(Test::fields).collect();
        let listed = self.list(&fields, part.holds(&|_| None))?;
        let chunks = listed.chunks.as_slice();
        let mut touched: Vec<TouchedChunk<'_>> = Vec::new();
        let (mut next, mut inside) = (0, 0);
        for (low, high) in listed.list.ranges(part) {
            // A value can lie in the last chunk that begins at or before it.
            let from = chunks.partition_point(|chunk| chunk.first <= low).saturating_sub(1);
            let to = chunks.partition_point(|chunk| chunk.first <= high);
            if from < next
                && let Some(last) = touched.last_mut()
            {
                last.high.clone_from(&high);
            }
            let more = from.max(next)..to;
            inside += more.len().saturating_sub(2);
            if touched.len() + more.len() > most || inside > most_inside {
                return None;
            }
            touched.extend(chunks.iter().enumerate().take(to).skip(more.start).map(|(number, chunk)| TouchedChunk {
                number,
                chunk,
                low: low.clone(),
                high: high.clone(),
            }));
            next = next.max(to);
        }
        Some(Touched { listed, chunks: touched })
    }

    pub(super) fn encode(&self) -> Result<Vec<u8>> {
        let mut out = vec![u8::try_from(self.0.len()).map_err(|_| too_large())?];
        for Listed { list, chunks, .. } in &self.0 {
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
            lists.push(Listed { list: List(fields), chunks, rows: None });
        }
        Ok(Self(lists))
    }

    /// The section of the rows; `None` where no rows are listed.
    pub(super) fn encode_rows(&self) -> Result<Option<Vec<u8>>> {
        let rows: Option<Vec<&RowLists>> = self.0.iter().map(|listed| listed.rows.as_ref()).collect();
        let Some(rows) = rows.filter(|rows| !rows.is_empty()) else { return Ok(None) };
        let first = rows.iter().find_map(|rows| rows.pieces.first());
        let mut out = first.map_or(0, |piece| piece.place.start).to_le_bytes().to_vec();
        rows.iter().try_for_each(|rows| rows.encode(&mut out))?;
        Ok(Some(out))
    }

    /// Takes in the section of the rows.
    pub(super) fn decode_rows(&mut self, input: &mut Input<'_>) -> Result<()> {
        let mut start = u64::from_le_bytes(input.array()?);
        for listed in &mut self.0 {
            let rows = RowLists::decode(input, listed.chunks.len(), start)?;
            start = rows.end(start);
            listed.rows = Some(rows);
        }
        Ok(())
    }

    /// About how many bytes of memory it takes.
    pub(in super::super) fn memory(&self) -> usize {
        let chunk = |chunk: &Chunk| size_of::<Chunk>() + chunk.first.len();
        let listed = |listed: &Listed| {
            listed.chunks.iter().map(chunk).sum::<usize>() + listed.rows.as_ref().map_or(0, RowLists::memory)
        };
        self.0.iter().map(listed).sum()
    }

    /// The lists.
    pub(in super::super) fn lists(&self) -> &[Listed] {
        &self.0
    }

    /// For each list its columns, and how many bytes of the file it takes.
    pub(in super::super) fn sizes(&self) -> impl Iterator<Item = (&[Field], u64)> {
        let bytes = |listed: &Listed| listed.parts().map(|chunk| chunk.place.end - chunk.place.start).sum();
        self.0.iter().map(move |listed| (listed.list.0.as_slice(), bytes(listed)))
    }
}

impl Listed {
    /// The columns that it is of.
    pub(in super::super) fn fields(&self) -> &[Field] {
        &self.list.0
    }

    /// All its parts that lie in the file: chunks, and pieces of the rows.
    pub(in super::super) fn parts(&self) -> impl Iterator<Item = &Chunk> {
        self.chunks.iter().chain(self.rows.iter().flat_map(|rows| &rows.pieces))
    }
}

fn decode_chunk(input: &mut Input<'_>) -> Result<Chunk> {
    let length = u16::from_le_bytes(input.array()?);
    let first = input.take(length.into())?.to_vec();
    let start = u64::from_le_bytes(input.array()?);
    let end = start.checked_add(input.number()?.into()).ok_or_else(damaged)?;
    Ok(Chunk { first, place: start..end, length: input.number()?, checksum: u64::from_le_bytes(input.array()?) })
}
