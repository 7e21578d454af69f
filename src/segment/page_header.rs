//! How long a page is and what its checksum is, by its header: a struct of Thrift's compact protocol, of which only two
//! fields matter.

use crate::encoding::Input;

/// The field of a page header that says how many bytes follow on it.
const COMPRESSED_SIZE: i16 = 3;
/// The field that holds the checksum of those bytes.
const CRC: i16 = 4;
/// No header nests deeper.
const MOST_DEPTH: usize = 4;

/// The lengths and the checksum of a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PageHeader {
    /// Bytes of the header.
    pub(crate) header: usize,
    /// Bytes that follow on it.
    pub(crate) data: usize,
    /// The CRC-32 of those, where the writer has noted it.
    pub(crate) crc: Option<u32>,
}

impl PageHeader {
    /// Bytes of the page, its header included.
    pub(crate) fn length(self) -> Option<usize> {
        self.header.checked_add(self.data)
    }
}

/// The header of the page that `bytes` begin with. `None` where there is none.
pub(crate) fn page_header(bytes: &[u8]) -> Option<PageHeader> {
    let mut input = Input::new(bytes);
    let Known { size, crc } = structure(&mut input, 0)?;
    let header = bytes.len() - input.left();
    // Thrift has no unsigned numbers: the checksum is written as if it were signed.
    let crc = match crc {
        Some(crc) => Some(i32::try_from(crc).ok()?.cast_unsigned()),
        None => None,
    };
    Some(PageHeader { header, data: usize::try_from(size?).ok()?, crc })
}

/// The fields that matter, as far as a struct has them.
#[derive(Default)]
struct Known {
    size: Option<i64>,
    crc: Option<i64>,
}

/// Passes a struct, and gives the numbers of its fields that matter.
fn structure(input: &mut Input<'_>, depth: usize) -> Option<Known> {
    let (mut field, mut known) = (0i16, Known::default());
    loop {
        let head = input.byte()?;
        if head == 0 {
            return Some(known);
        }
        field = match head >> 4 {
            0 => i16::try_from(signed(input)?).ok()?,
            step => field.checked_add(i16::from(step))?,
        };
        match head & 15 {
            // A truth value lies in its type.
            1 | 2 => {}
            5 if field == COMPRESSED_SIZE => known.size = Some(signed(input)?),
            5 if field == CRC => known.crc = Some(signed(input)?),
            other => pass(input, other, depth)?,
        }
    }
}

/// Passes a value of this kind.
fn pass(input: &mut Input<'_>, kind: u8, depth: usize) -> Option<()> {
    match kind {
        3 => input.byte().map(drop),
        4..=6 => signed(input).map(drop),
        7 => input.array::<8>().map(drop),
        8 => {
            let length = usize::try_from(input.leb128()?).ok()?;
            input.take(length).map(drop)
        }
        12 if depth < MOST_DEPTH => structure(input, depth + 1).map(drop),
        // Headers have no lists, sets or maps.
        _ => None,
    }
}

/// The sign is in the lowest bit.
fn signed(input: &mut Input<'_>) -> Option<i64> {
    input.leb128().map(|number| (number >> 1).cast_signed() ^ -((number & 1).cast_signed()))
}
