//! How long a page is and what its checksum is, by its header: a struct of Thrift's compact protocol, of which only two
//! fields matter.

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
    let mut input = Input(bytes);
    let Known { size, crc } = input.structure(0)?;
    let header = bytes.len() - input.0.len();
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

struct Input<'a>(&'a [u8]);

impl Input<'_> {
    /// Passes a struct, and gives the numbers of its fields that matter.
    fn structure(&mut self, depth: usize) -> Option<Known> {
        let (mut field, mut known) = (0i16, Known::default());
        loop {
            let head = self.byte()?;
            if head == 0 {
                return Some(known);
            }
            field = match head >> 4 {
                0 => i16::try_from(self.signed()?).ok()?,
                step => field.checked_add(i16::from(step))?,
            };
            match head & 15 {
                // A truth value lies in its type.
                1 | 2 => {}
                5 if field == COMPRESSED_SIZE => known.size = Some(self.signed()?),
                5 if field == CRC => known.crc = Some(self.signed()?),
                other => self.value(other, depth)?,
            }
        }
    }

    fn value(&mut self, kind: u8, depth: usize) -> Option<()> {
        match kind {
            3 => self.pass(1),
            4..=6 => self.signed().map(drop),
            7 => self.pass(8),
            8 => {
                let length = usize::try_from(self.unsigned()?).ok()?;
                self.pass(length)
            }
            12 if depth < MOST_DEPTH => self.structure(depth + 1).map(drop),
            // Headers have no lists, sets or maps.
            _ => None,
        }
    }

    fn pass(&mut self, length: usize) -> Option<()> {
        self.0 = self.0.get(length..)?;
        Some(())
    }

    fn byte(&mut self) -> Option<u8> {
        let (byte, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*byte)
    }

    /// Seven bits a byte, the lowest first; the high bit says that there are more.
    fn unsigned(&mut self) -> Option<u64> {
        let mut number = 0;
        for shift in (0..63).step_by(7) {
            let byte = self.byte()?;
            number |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Some(number);
            }
        }
        None
    }

    /// The sign is in the lowest bit.
    fn signed(&mut self) -> Option<i64> {
        self.unsigned().map(|number| (number >> 1).cast_signed() ^ -((number & 1).cast_signed()))
    }
}
