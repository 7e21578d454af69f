//! What can be made of an index whose bytes are not what was written.

use std::ops::Range;

use twox_hash::XxHash64;

use super::{
    super::bounds::BoundsTable,
    format::{CHECKSUM_BYTES, HEAD_BYTES, Index, PAGES, decode, heads},
    input::{Input, damaged},
    pages::PageTable,
    postings::Directory,
};
use crate::error::Result;

/// Bytes at the beginning of an index, and of the table of its pages, that say where its parts lie.
const LAYOUT_BYTES: usize = HEAD_BYTES + 64;

/// The table of the pages in a damaged index, for so many rows, with blocks as large as pages of which nothing is known.
/// What it says is only to be believed as far as the bytes of the pages bear it out.
///
/// # Errors
/// [`ErrorKind::Damaged`](crate::ErrorKind::Damaged) where there is no such table.
pub(in super::super) fn decode_pages(bytes: &[u8], rows: usize) -> Result<Index> {
    let section = bytes.get(pages_section(bytes)?).ok_or_else(damaged)?;
    let pages = PageTable::decode(&mut Input::new(section))?;
    if pages.times.len() != rows.div_ceil(pages.rows) {
        return Err(damaged());
    }
    Ok(Index { bounds: BoundsTable::unknown(rows, pages.rows), directory: Directory::default(), pages, bloom: None })
}

/// The index with these checksums of the pages in the place of its own, if its own checksum proves that it was so.
///
/// # Errors
/// [`ErrorKind::Damaged`](crate::ErrorKind::Damaged) where it was not.
pub(in super::super) fn decode_with(bytes: &[u8], pages: &PageTable) -> Result<Index> {
    let mut bytes = bytes.to_vec();
    let sums = pages.encode()?;
    let section = pages_section(&bytes)?;
    let section = bytes.get_mut(section).filter(|section| section.len() == sums.len());
    section.ok_or_else(damaged)?.copy_from_slice(&sums);
    decode(&bytes)
}

/// The index with one bit put right of those that say where its parts lie, if its checksum proves that it was so. Nothing
/// else says where the table of the pages is: without this, one flipped bit of these few bytes costs all flows of the
/// segment, as no other checksum proves a page.
///
/// # Errors
/// [`ErrorKind::Damaged`](crate::ErrorKind::Damaged) where it was not.
pub(in super::super) fn decode_corrected(bytes: &[u8]) -> Result<Index> {
    let (body, sum) = bytes.split_last_chunk::<CHECKSUM_BYTES>().ok_or_else(damaged)?;
    let sum = u64::from_le_bytes(*sum);
    let mut body = body.to_vec();
    let pages = pages_section(bytes).map_or(0..0, |section| section.start..section.start.saturating_add(LAYOUT_BYTES));
    let groups = groups_number(bytes).unwrap_or(0..0);
    for place in (0..LAYOUT_BYTES).chain(pages).chain(groups) {
        for bit in 0..8 {
            let Some(byte) = body.get_mut(place) else { break };
            *byte ^= 1 << bit;
            if XxHash64::oneshot(0, &body) == sum {
                body.extend(sum.to_le_bytes());
                return decode(&body);
            }
            body.get_mut(place).into_iter().for_each(|byte| *byte ^= 1 << bit);
        }
    }
    Err(damaged())
}

/// Where the table of the pages says how many row groups there are: behind the times of the pages.
fn groups_number(bytes: &[u8]) -> Result<Range<usize>> {
    let section = pages_section(bytes)?;
    let mut input = Input::new(bytes.get(section.clone()).ok_or_else(damaged)?);
    let (_, pages) = (input.number()?, input.number()?);
    let start = section.start.saturating_add(8).saturating_add((pages as usize).saturating_mul(16));
    Ok(start..start.saturating_add(4))
}

/// Where the table of the pages lies in an index.
fn pages_section(bytes: &[u8]) -> Result<Range<usize>> {
    let heads = heads(bytes)?;
    let before = heads.iter().take_while(|(tag, _)| *tag != PAGES).map(|(_, length)| *length as usize);
    let start = before.fold(HEAD_BYTES + heads.len() * 8, usize::saturating_add);
    let (_, length) = heads.iter().find(|(tag, _)| *tag == PAGES).ok_or_else(damaged)?;
    Ok(start..start.saturating_add(*length as usize))
}

#[cfg(test)]
mod tests {
    use super::{
        super::{encode, sample::index},
        *,
    };
    use crate::error::ErrorKind;

    fn refused(result: Result<Index>) {
        assert_eq!(result.unwrap_err().kind(), ErrorKind::Damaged);
    }

    #[test]
    fn a_damaged_index_gives_its_pages_where_they_are_of_the_rows() {
        let index = index();
        let mut bytes = encode(&index).unwrap();
        let section = pages_section(&bytes).unwrap();
        assert_eq!(bytes[section.clone()], index.pages.encode().unwrap());
        bytes[section.start - 1] ^= 1;
        refused(decode(&bytes));
        let bounds = BoundsTable::unknown(7, 4);
        assert_eq!(decode_pages(&bytes, 7).unwrap(), Index { bounds, ..index });
        // 4 rows are one page, and 9 are three.
        refused(decode_pages(&bytes, 4));
        refused(decode_pages(&bytes, 9));
        refused(decode_pages(&bytes[..section.end - 1], 7));
    }

    #[test]
    fn the_right_checksums_of_pages_make_an_index_whole_and_no_others_do() {
        let index = index();
        let whole = encode(&index).unwrap();
        let section = pages_section(&whole).unwrap();
        for at in section.clone() {
            let mut bytes = whole.clone();
            bytes[at] ^= 0x55;
            refused(decode(&bytes));
            assert_eq!(decode_with(&bytes, &index.pages).unwrap(), index);
            bytes[section.start - 1] ^= 1;
            refused(decode_with(&bytes, &index.pages));
        }
        let others = vec![vec![7, 9]; index.pages.checksums.len()];
        refused(decode_with(&whole, &PageTable { checksums: others, ..index.pages.clone() }));
        refused(decode_with(&whole, &PageTable { times: vec![(1, 2)], ..index.pages }));
    }

    #[test]
    fn one_bit_of_what_says_where_the_parts_lie_is_put_right() {
        let index = index();
        let whole = encode(&index).unwrap();
        let start = pages_section(&whole).unwrap().start;
        let groups = groups_number(&whole).unwrap();
        assert_eq!(whole[groups.clone()], [1, 0, 0, 0]);
        for at in (0..LAYOUT_BYTES).chain(start..start + LAYOUT_BYTES).chain(groups) {
            let mut bytes = whole.clone();
            bytes[at] ^= 1 << (at % 8);
            assert_eq!(decode_corrected(&bytes).unwrap(), index, "{at}");
        }
        // Two bits, or the checksum itself.
        let mut bytes = whole.clone();
        bytes[20] ^= 3;
        refused(decode_corrected(&bytes));
        let mut bytes = whole;
        *bytes.last_mut().unwrap() ^= 1;
        refused(decode_corrected(&bytes));
    }
}
