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
//! the lists, tag 3 the table of the pages, tag 4 the rows of the lists, tag 5 the place of the Bloom filter. Older segments do
//! not have the last two.
//!
//! Bounds: the number of blocks (4), the rows of each (4), the OR and the AND of the TCP flags of each (1 and 1), then
//! for each column of the segment: a byte for each block (bit 0: some flow has a value, bit 1: some flow
//! has none), and the least and the greatest value of each, zero where there is none. A value has 8 bytes, an address
//! 16. A time is its milliseconds plus 2^63. For a name the values are places (4) in a list of names, which comes
//! first: its length (4), and each name as its length (2) and its bytes, in byte order. Of a text of more than 255 bytes the
//! least value is a prefix, and the greatest a text after all that begin with its prefix.
//!
//! Directory: the number of lists (1); for each the number of its columns (1) and their places in the schema (1 each),
//! the number of its chunks (4), and for each chunk its first value as its length (2) and its bytes, the byte of the file
//! where it begins (8), its length (4), and its XXH64 with seed 0 (8). The chunks lie right before the index, list by
//! list in the order of the values.
//!
//! The value of a list of one column is a name's bytes, or a number, big endian, in the bytes of its column's type; flows
//! without it are not listed. In a list of several columns the values follow on one another, where a column may be absent
//! each after a byte: 1, or 0 and then zeros.
//!
//! A chunk is a Zstandard frame, of one entry after the other. It ends with the bytes (2 each) where every 16th entry
//! begins, but the first, and the number of these (2). An entry is its value and the blocks that hold it:
//!
//! - A byte. Its low 5 bits are the number of the value's own bytes; 31 says that the number follows in LEB128. Its high 3
//!   bits are the number of blocks; 0 says that the number follows, after the own bytes, in LEB128.
//! - In a list of names, in LEB128, how many bytes the value shares with the one before, or for every 16th entry with
//!   the first of the chunk. Numbers have one width, so what is not their own is shared.
//! - The own bytes.
//! - For each block a number in LEB128: where it holds the value once, the step from the block before (at first, from
//!   block 0) times 8, plus twice the page of the block; else the step times 32, plus twice the set of pages that hold it
//!   (bit 0 is the first page), plus 1, and then in LEB128 how often it holds it. A block has at most 4 pages.
//!
//! Rows: the byte of the file where the first piece begins (8); then for each list how many flows a value must have at
//! least (4) and at most (4) for its rows to be listed, just as some have, or 0 and 0 where no rows are; for each chunk the byte where its rows begin in the string of the
//! list's rows (4), the length of the string (4), and for each piece its length in the file (4) and its XXH64 with seed 0
//! (8). A piece is a Zstandard frame of 16,384 bytes of the string, the last one of what is left. The pieces lie between the
//! chunks and the index, list by list.
//!
//! The rows of a chunk begin with a number of 4 bytes for every 16th entry but the first: how many bits of rows lie before
//! those of the entry. Then come the bits, entry by entry and block by block, the lowest of a byte first, for the entries
//! whose rows are listed. A chunk without any has no bytes. In a block, the rows of the pages that hold the value are
//! numbered from 0 on, N of them. If the value is on K of them, and `k` is the lesser of K and N - K, these are
//! - for `k` = 0: nothing;
//! - for `k` = 1: the number of the row, in as many bits as N - 1 has;
//! - else, with `l` the logarithm of N / `k`, both rounded down: the low `l` bits of each of the `k` numbers, and the rest of
//!   each, ascending, in unary: a 0 for each step from the one before, from 0 at first, and a 1; and then zeros up to
//!   `k` + (N >> `l`) bits. Where all that were not less than N bits: a bit for each row.
//!
//! The numbers are of the rows that have the value where K is at most N - K, else of those that have not.
//!
//! Which rows are listed is chosen so that index and lists take no more than 15 % of the file, or 16 KiB where that is more.
//! Measured: the rows of all values take 1.1 bytes of the 13.2 of a flow of a university's servers, and 6.3 of the 24.8 of a
//! made-up flow, where the lists of blocks take 2.5 and 1.2 are left. No other code would change that: the entropy of the
//! columns is 5.9. So of these the commonest values are left out, of which a page holds many, and the
//! rarest, of which hardly a page holds two. Source ports are not listed: the blocks alone would take 0.9.
//!
//! Bloom filter: the byte of the file where it begins (8), its length (4), and its XXH64 with seed 0 (8). It lies between the
//! chunks and the pieces of rows, and has 12 bits for each different value of the lists of addresses and names, in as few pages
//! of equally many blocks of 32 bytes as there can be, at most 127 in a page. A page is the bits of a split block Bloom filter
//! of the Parquet format, and the XXH64 (8) of these with the number of the page as its seed. A value, hashed as it is in its
//! list, is in the page whose number is its XXH64 with seed 1, modulo the number of pages. There is no filter where it would take more than a twentieth of the columns and than
//! 8 KiB.
//!
//! Pages: the rows of a page (4), the number of pages (4), the oldest and the newest start time of each (8 and 8, as in
//! the bounds), the number of row groups (4); then for each column of the segment the checksum (4) of each page, and the
//! checksum (4) of the dictionary of each row group, 0 where there is none. A checksum is the low half of the XXH64 with seed 0 of the
//! bytes of the page in the file, with its header.

use twox_hash::XxHash64;

use super::{
    super::{
        bounds::{BoundsTable, Extents, Lane},
        revision::fields_with,
    },
    bloom::BloomPlace,
    input::{Input, damaged, too_large},
    pages::PageTable,
    postings::Directory,
};
use crate::{
    error::{Error, ErrorKind, Result},
    flow::{Field, Kind},
};

pub(in super::super) const MAGIC: &[u8; 8] = b"flowseek";
const VERSION: u16 = 1;
const BOUNDS: u32 = 1;
const DIRECTORY: u32 = 2;
pub(super) const PAGES: u32 = 3;
const ROWS: u32 = 4;
const BLOOM: u32 = 5;
pub(super) const CHECKSUM_BYTES: usize = 8;
/// Before the heads of the sections.
pub(super) const HEAD_BYTES: usize = 12;

/// What the index of a segment tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in super::super) struct Index {
    /// The bounds of its blocks.
    pub(in super::super) bounds: BoundsTable,
    /// Where the blocks that hold a value are listed.
    pub(in super::super) directory: Directory,
    /// How it is cut into pages.
    pub(in super::super) pages: PageTable,
    /// Where its Bloom filter lies, where it has one.
    pub(in super::super) bloom: Option<BloomPlace>,
}

/// The index as bytes.
pub(in super::super) fn encode(index: &Index) -> Result<Vec<u8>> {
    let mut sections = vec![
        (BOUNDS, encode_bounds(&index.bounds)?),
        (DIRECTORY, index.directory.encode()?),
        (PAGES, index.pages.encode()?),
    ];
    sections.extend(index.directory.encode_rows()?.map(|rows| (ROWS, rows)));
    sections.extend(index.bloom.map(|place| (BLOOM, encode_bloom(&place))));
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
    let (mut bounds, mut pages, mut rows, mut bloom) = (None, None, None, None);
    let mut directory = Directory::default();
    for (tag, length) in heads {
        let mut section = Input::new(input.take(length as usize)?);
        match tag {
            BOUNDS => bounds = Some(decode_bounds(&mut section)?),
            DIRECTORY => directory = Directory::decode(&mut section)?,
            PAGES => pages = Some(PageTable::decode(&mut section)?),
            ROWS => rows = Some(section),
            BLOOM => bloom = Some(decode_bloom(&mut section)?),
            _ => {}
        }
    }
    if let Some(mut rows) = rows {
        directory.decode_rows(&mut rows)?;
    }
    Ok(Index { bounds: bounds.ok_or_else(damaged)?, directory, pages: pages.ok_or_else(damaged)?, bloom })
}

/// The bytes of the index that `bytes` begin with, if they do.
pub(in super::super) fn prefix(bytes: &[u8]) -> Result<&[u8]> {
    let heads = heads(bytes)?;
    let sections = heads.iter().map(|(_, length)| *length as usize).fold(0, usize::saturating_add);
    let length = sections.saturating_add(HEAD_BYTES + heads.len() * 8 + CHECKSUM_BYTES);
    bytes.get(..length).ok_or_else(damaged)
}

/// The tags and lengths of the sections of an index.
pub(super) fn heads(bytes: &[u8]) -> Result<Vec<(u32, u32)>> {
    let mut input = Input::new(bytes);
    if input.array::<8>()? != *MAGIC || u16::from_le_bytes(input.array()?) != VERSION {
        return Err(damaged());
    }
    let sections = u16::from_le_bytes(input.array()?);
    (0..sections).map(|_| Ok((input.number()?, input.number()?))).collect()
}

fn encode_bloom(BloomPlace { offset, length, checksum }: &BloomPlace) -> Vec<u8> {
    [&offset.to_le_bytes()[..], &length.to_le_bytes(), &checksum.to_le_bytes()].concat()
}

fn decode_bloom(input: &mut Input<'_>) -> Result<BloomPlace> {
    let offset = u64::from_le_bytes(input.array()?);
    Ok(BloomPlace { offset, length: input.number()?, checksum: u64::from_le_bytes(input.array()?) })
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
    let mut lanes = Vec::new();
    // A segment has the columns of its revision.
    let mut fields = Field::all();
    while let Some(field) = fields.next().filter(|_| input.left() > 0) {
        lanes.push(decode_lane(input, field, blocks)?);
    }
    fields_with(lanes.len()).ok_or_else(damaged)?;
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

#[cfg(test)]
mod tests {
    use super::{super::sample::index, *};

    #[test]
    fn a_section_of_a_later_version_is_passed_over() {
        let index = index();
        let bytes = encode(&index).unwrap();
        assert_eq!(decode(&bytes).unwrap(), index);

        let (head, rest) = bytes[..bytes.len() - CHECKSUM_BYTES].split_at(HEAD_BYTES);
        let (heads, sections) = rest.split_at(3 * 8);
        let later = [&4711u32.to_le_bytes()[..], &5u32.to_le_bytes()].concat();
        let mut more = [&head[..10], &4u16.to_le_bytes(), &heads[..8], &later, &heads[8..]].concat();
        let (first, others) = sections.split_at(u32::from_le_bytes(heads[4..8].try_into().unwrap()) as usize);
        more.extend([first, b"later", others].concat());
        more.extend(XxHash64::oneshot(0, &more).to_le_bytes());
        assert_eq!(decode(&more).unwrap(), index);
    }

    #[test]
    fn an_index_is_known_to_its_end_whatever_follows() {
        let bytes = encode(&index()).unwrap();
        let followed = [&bytes[..], b"PAR1"].concat();
        assert_eq!(prefix(&followed).unwrap(), bytes);
        assert_eq!(prefix(&bytes).unwrap(), bytes);
        for length in 0..bytes.len() {
            assert!(prefix(&bytes[..length]).is_err(), "{length}");
        }
        assert!(prefix(&followed[1..]).is_err());
    }
}
