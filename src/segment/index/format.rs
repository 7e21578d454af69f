//! The bytes of the index.
//!
//! All numbers are little endian.
//!
//! | bytes | what |
//! |---|---|
//! | 8 | the letters `flowseek` |
//! | 2 | version of the format: 1 |
//! | 2 | number of sections |
//! | 8 for each section | its tag (4) and its length (4) |
//! | the sections | one after the other |
//! | 8 | XXH64 with seed 0 of all bytes before |
//!
//! A reader passes over a section whose tag it does not know. Tag 1 is the bounds of the blocks, tag 2 the directory of
//! the lists.
//!
//! Bounds: the number of blocks (4), the rows of each (4), the OR and the AND of the TCP flags of each (1 and 1), then
//! for each column, in the order of the schema: a byte for each block (bit 0: some flow has a value, bit 1: some flow
//! has none), and the least and the greatest value of each, zero where there is none. A value has 8 bytes, an address
//! 16. A time is its milliseconds plus 2^63. For a name the values are places (4) in a list of names, which comes
//! first: its length (4), and each name as its length (2) and its bytes, in byte order.
//!
//! Directory: the number of columns that are listed (1); for each its place in the schema (1), the number of its chunks
//! (4), and for each chunk its first value as its length (2) and its bytes, the byte of the file where it begins (8),
//! its length (4), and its XXH64 with seed 0 (8). The chunks lie right before the index, column by column in the order of
//! the values. A value is a name's bytes, or a number, big endian, in the bytes of its column's type.
//!
//! A chunk is one entry after the other, made of numbers in LEB128: how many bytes the value shares with the one before
//! (none, in a chunk's first), how many others it has, those bytes, and the number of blocks that hold it; for each of these
//! the step from the one before (at first, from block 0), doubled, plus 1 where it holds the value more than once, and
//! then how often.

use twox_hash::XxHash64;

use std::{collections::HashMap, ops::Range};

use super::{
    super::bounds::{BoundsTable, Extents, Lane},
    input::{Input, damaged},
    postings::{Chunk, Directory},
};
use crate::{
    error::{Error, ErrorKind, Result},
    flow::{Field, Kind},
};

const MAGIC: &[u8; 8] = b"flowseek";
const VERSION: u16 = 1;
const BOUNDS: u32 = 1;
const DIRECTORY: u32 = 2;
const CHECKSUM_BYTES: usize = 8;

/// What the index of a segment tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in super::super) struct Index {
    /// The bounds of its blocks.
    pub(in super::super) bounds: BoundsTable,
    /// Where the blocks that hold a value are listed.
    pub(in super::super) directory: Directory,
}

/// The index as bytes.
pub(in super::super) fn encode(index: &Index) -> Result<Vec<u8>> {
    let sections = [(BOUNDS, encode_bounds(&index.bounds)?), (DIRECTORY, encode_directory(&index.directory)?)];
    let mut out = Vec::new();
    out.extend(MAGIC);
    out.extend(VERSION.to_le_bytes());
    out.extend(u16::try_from(sections.len()).map_err(|_| too_large())?.to_le_bytes());
    for (tag, section) in &sections {
        out.extend(tag.to_le_bytes());
        out.extend(u32::try_from(section.len()).map_err(|_| too_large())?.to_le_bytes());
    }
    sections.iter().for_each(|(_, section)| out.extend(section));
    out.extend(XxHash64::oneshot(0, &out).to_le_bytes());
    Ok(out)
}

/// The index in `bytes`.
///
/// # Errors
/// [`ErrorKind::Damaged`] where the bytes are not what was written, [`ErrorKind::Unsupported`] for a newer version.
pub(in super::super) fn decode(bytes: &[u8]) -> Result<Index> {
    let (body, sum) = bytes.split_last_chunk::<CHECKSUM_BYTES>().ok_or_else(damaged)?;
    if XxHash64::oneshot(0, body) != u64::from_le_bytes(*sum) {
        return Err(damaged());
    }
    let mut input = Input::new(body);
    if input.array::<8>()? != *MAGIC {
        return Err(damaged());
    }
    let version = u16::from_le_bytes(input.array()?);
    if version != VERSION {
        let message = format!("its index has version {version}; this version of flowseek reads {VERSION}");
        return Err(Error::new(ErrorKind::Unsupported, message));
    }
    let sections = u16::from_le_bytes(input.array()?);
    let heads = (0..sections).map(|_| Ok((input.number()?, input.number()?))).collect::<Result<Vec<(u32, u32)>>>()?;
    let mut bounds = None;
    let mut directory = Directory::default();
    for (tag, length) in heads {
        let section = input.take(length as usize)?;
        match tag {
            BOUNDS => bounds = Some(decode_bounds(&mut Input::new(section))?),
            DIRECTORY => directory = decode_directory(&mut Input::new(section))?,
            _ => {}
        }
    }
    Ok(Index { bounds: bounds.ok_or_else(damaged)?, directory })
}

fn encode_directory(directory: &Directory) -> Result<Vec<u8>> {
    let mut columns: Vec<_> = directory.0.iter().collect();
    columns.sort_by_key(|(field, _)| **field);
    let mut out = vec![u8::try_from(columns.len()).map_err(|_| too_large())?];
    for (field, chunks) in columns {
        out.push(*field as u8);
        out.extend(u32::try_from(chunks.len()).map_err(|_| too_large())?.to_le_bytes());
        for chunk in chunks {
            let length = u32::try_from(chunk.place.end - chunk.place.start).map_err(|_| too_large())?;
            out.extend(u16::try_from(chunk.first.len()).map_err(|_| too_large())?.to_le_bytes());
            out.extend(&chunk.first);
            out.extend(chunk.place.start.to_le_bytes());
            out.extend(length.to_le_bytes());
            out.extend(chunk.checksum.to_le_bytes());
        }
    }
    Ok(out)
}

fn decode_directory(input: &mut Input<'_>) -> Result<Directory> {
    let mut columns = HashMap::new();
    let [count] = input.array()?;
    for _ in 0..count {
        let [place] = input.array()?;
        let field = *Field::ALL.get(usize::from(place)).ok_or_else(damaged)?;
        let chunks = (0..input.number()?).map(|_| decode_chunk(input)).collect::<Result<_>>()?;
        columns.insert(field, chunks);
    }
    Ok(Directory(columns))
}

fn decode_chunk(input: &mut Input<'_>) -> Result<Chunk> {
    let length = u16::from_le_bytes(input.array()?);
    let first = input.take(usize::from(length))?.to_vec();
    let start = u64::from_le_bytes(input.array()?);
    let place: Range<u64> = start..start.checked_add(input.number()?.into()).ok_or_else(damaged)?;
    Ok(Chunk { first, place, checksum: u64::from_le_bytes(input.array()?) })
}

fn encode_bounds(bounds: &BoundsTable) -> Result<Vec<u8>> {
    let mut out = Vec::new();
    out.extend(u32::try_from(bounds.len()).map_err(|_| too_large())?.to_le_bytes());
    out.extend(bounds.rows.iter().flat_map(|rows| rows.to_le_bytes()));
    out.extend(bounds.flags.iter().flat_map(|(any, all)| [*any, *all]));
    for lane in &bounds.lanes {
        if let Extents::Texts { names, .. } = &lane.extents {
            out.extend(u32::try_from(names.len()).map_err(|_| too_large())?.to_le_bytes());
            for name in names {
                out.extend(u16::try_from(name.len()).map_err(|_| too_large())?.to_le_bytes());
                out.extend(name.bytes());
            }
        }
        out.extend(lane.presence.iter().map(|(present, absent)| u8::from(*present) | u8::from(*absent) << 1));
        match &lane.extents {
            Extents::Numbers(extents) => {
                out.extend(extents.iter().flat_map(|(low, high)| [low.to_le_bytes(), high.to_le_bytes()]).flatten());
            }
            Extents::Addresses(extents) => {
                out.extend(extents.iter().flat_map(|(low, high)| [low.to_le_bytes(), high.to_le_bytes()]).flatten());
            }
            Extents::Texts { places, .. } => {
                out.extend(places.iter().flat_map(|(low, high)| [low.to_le_bytes(), high.to_le_bytes()]).flatten());
            }
        }
    }
    Ok(out)
}

fn decode_bounds(input: &mut Input<'_>) -> Result<BoundsTable> {
    let blocks = input.number()? as usize;
    // Checked before anything of that size is made.
    if input.left() < blocks.saturating_mul(6) {
        return Err(damaged());
    }
    let rows = (0..blocks).map(|_| input.number()).collect::<Result<_>>()?;
    let flags = (0..blocks).map(|_| input.array::<2>().map(|[any, all]| (any, all))).collect::<Result<_>>()?;
    let lanes = Field::ALL.into_iter().map(|field| decode_lane(input, field, blocks)).collect::<Result<_>>()?;
    Ok(BoundsTable { rows, lanes, flags })
}

fn decode_lane(input: &mut Input<'_>, field: Field, blocks: usize) -> Result<Lane> {
    let mut names = Vec::new();
    if field.kind() == Kind::Text {
        for _ in 0..input.number()? {
            let length = u16::from_le_bytes(input.array()?);
            let name = std::str::from_utf8(input.take(usize::from(length))?).map_err(|_| damaged())?;
            names.push(name.to_owned());
        }
    }
    let bits = |[byte]: [u8; 1]| (byte & 1 != 0, byte & 2 != 0);
    let presence = (0..blocks).map(|_| input.array().map(bits)).collect::<Result<_>>()?;
    let extents = match field.kind() {
        Kind::Time | Kind::Number => {
            let pair =
                |input: &mut Input<'_>| Ok((u64::from_le_bytes(input.array()?), u64::from_le_bytes(input.array()?)));
            Extents::Numbers((0..blocks).map(|_| pair(input)).collect::<Result<_>>()?)
        }
        Kind::Address => {
            let pair =
                |input: &mut Input<'_>| Ok((u128::from_le_bytes(input.array()?), u128::from_le_bytes(input.array()?)));
            Extents::Addresses((0..blocks).map(|_| pair(input)).collect::<Result<_>>()?)
        }
        Kind::Text => {
            let places = (0..blocks).map(|_| Ok((input.number()?, input.number()?))).collect::<Result<_>>()?;
            Extents::Texts { names, places }
        }
    };
    Ok(Lane { extents, presence })
}

fn too_large() -> Error {
    Error::internal("an index is larger than its format allows")
}
