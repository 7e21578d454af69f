//! The header of a file.

use std::io;

use super::{
    codec::Codec,
    fields::{u8_at, u16_at, u32_at, u64_at},
};

/// The first two bytes of every file, as a little-endian machine writes them.
const MAGIC: [u8; 2] = [0x0c, 0xa5];

/// Bytes of the header of layout 1, and of the counts that follow it: [`Header::read`] needs as many.
const LAYOUT_1_BYTES: usize = 140 + 136;
/// Bytes of the header of layout 2.
const LAYOUT_2_BYTES: usize = 40;

/// Whether an input begins as a file of nfdump does, of a machine of any byte order.
pub(crate) fn is_nfcapd(head: &[u8]) -> bool {
    let mut swapped = MAGIC;
    swapped.reverse();
    head.starts_with(&MAGIC) || head.starts_with(&swapped)
}

/// Whether the first four bytes are those of a file that can be read.
pub(super) fn begins_file(head: &[u8]) -> bool {
    head.starts_with(&MAGIC) && matches!(u16_at(head, 2), Some(1..=2))
}

/// What the header of a file says of its blocks.
#[derive(Clone, Copy, Debug)]
pub(super) struct Header {
    pub(super) codec: Codec,
    /// How many blocks there are; none where the collector has not closed the file.
    pub(super) blocks: u32,
    /// Where the blocks end, and how many follow that hold no flows.
    pub(super) appendix: Option<Appendix>,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Appendix {
    pub(super) offset: u64,
    pub(super) blocks: u16,
}

impl Header {
    /// The length of a header by its first four bytes.
    pub(super) fn length(head: &[u8]) -> io::Result<usize> {
        match (head.starts_with(&MAGIC), u16_at(head, 2)) {
            (true, Some(1)) => Ok(LAYOUT_1_BYTES),
            (true, Some(2)) => Ok(LAYOUT_2_BYTES),
            (true, Some(3)) => Err(invalid(
                "has layout 3, which nfdump 1.8 writes; allowed are layouts 1 and 2: send its flows with `nfreplay -r FILE` to \
                 a collector of nfdump 1.7, and import what that writes",
            )),
            (true, Some(layout)) => Err(invalid(format!("has layout {layout}; allowed are 1 and 2"))),
            _ if is_nfcapd(head) => Err(invalid(
                "is of a big-endian machine; allowed are those of little-endian ones: send its flows with `nfreplay -r FILE`, \
                 on a machine like that one, to a collector on another one, and import what that writes",
            )),
            _ => Err(invalid("does not begin with 0xA50C, as every file of nfdump does")),
        }
    }

    /// Reads a header of that length.
    pub(super) fn read(head: &[u8]) -> io::Result<Self> {
        let cut_off = || invalid("is cut off in its header");
        if u16_at(head, 2) == Some(1) {
            let flags = u32_at(head, 4).ok_or_else(cut_off)?;
            let codec = match flags & 0x19 {
                0 => Codec::None,
                flags if flags & 1 != 0 => Codec::Lzo,
                flags if flags & 8 != 0 => Codec::Bzip2,
                _ => Codec::Lz4,
            };
            return Ok(Self { codec, blocks: u32_at(head, 8).ok_or_else(cut_off)?, appendix: None });
        }
        let codec = match u8_at(head, 16).ok_or_else(cut_off)? {
            0 => Codec::None,
            1 => Codec::Lzo,
            2 => Codec::Bzip2,
            3 => Codec::Lz4,
            4 => Codec::Zstd,
            other => {
                let allowed = "0 (none), 1 (LZO), 2 (bzip2), 3 (LZ4) and 4 (zstd)";
                return Err(invalid(format!("has blocks compressed by method {other}; allowed are {allowed}")));
            }
        };
        if u8_at(head, 17) != Some(0) {
            return Err(invalid("is encrypted; allowed are files that are not"));
        }
        let blocks = u16_at(head, 18).filter(|blocks| *blocks > 0);
        let appendix = blocks.zip(u64_at(head, 24)).map(|(blocks, offset)| Appendix { offset, blocks });
        Ok(Self { codec, blocks: u32_at(head, 36).ok_or_else(cut_off)?, appendix })
    }
}

/// An error of a file that is not what it should be: what it is or has instead, and what is allowed.
pub(super) fn invalid(what: impl std::fmt::Display) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("the nfcapd file {what}"))
}
