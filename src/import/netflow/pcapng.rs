//! The blocks of a pcapng capture (draft-ietf-opsawg-pcapng).

use std::io;

use super::source::{ByteOrder, Source, check_length, cut_off, damaged};

/// The most interfaces of a section. More are damage.
const MAX_INTERFACES: usize = 65_536;
/// The length of a block without its body: its type, its length, and its length again.
const FRAME_BYTES: u32 = 12;

const INTERFACE: u32 = 1;
const OBSOLETE_PACKET: u32 = 2;
const SIMPLE_PACKET: u32 = 3;
const ENHANCED_PACKET: u32 = 6;
const SECTION: u32 = 0x0a0d_0d0a;

/// What a block is.
pub(super) enum Block {
    /// A packet of this link type.
    Packet(u16),
    /// Something else.
    Other,
    /// There is no other block.
    End,
}

/// The section that is being read: interfaces are numbered within it.
pub(super) struct Section {
    order: ByteOrder,
    interfaces: Vec<Interface>,
}

struct Interface {
    link: u16,
    /// The most bytes of a packet that were captured; 0 where there is no limit.
    most: u32,
}

impl Section {
    /// Reads the rest of a section header, whose type has been read.
    pub(super) fn begin(input: &mut Source) -> io::Result<Self> {
        let length: [u8; 4] = input.array()?;
        let order = match input.array::<4>()? {
            [0x1a, 0x2b, 0x3c, 0x4d] => ByteOrder::Big,
            [0x4d, 0x3c, 0x2b, 0x1a] => ByteOrder::Little,
            other => return Err(damaged(format!("a section of the capture has the byte order {other:02x?}"))),
        };
        let length = order.u32(length);
        let rest =
            length.checked_sub(FRAME_BYTES + 4).filter(|_| length.is_multiple_of(4)).ok_or_else(|| wrong(length))?;
        input.skip(rest.into())?;
        end(input, order, length)?;
        Ok(Self { order, interfaces: Vec::new() })
    }

    /// Reads a block. The bytes of a packet are in `buffer` then.
    pub(super) fn next(&mut self, input: &mut Source, buffer: &mut Vec<u8>) -> io::Result<Block> {
        let mut kind = [0; 4];
        match input.fill(&mut kind)? {
            0 => return Ok(Block::End),
            4 => {}
            _ => return Err(cut_off()),
        }
        let kind = self.order.u32(kind);
        if kind == SECTION {
            *self = Self::begin(input)?;
            return Ok(Block::Other);
        }
        let length = self.order.u32(input.array()?);
        let body = length.checked_sub(FRAME_BYTES).filter(|_| length.is_multiple_of(4)).ok_or_else(|| wrong(length))?;
        let header = match kind {
            INTERFACE => 8,
            SIMPLE_PACKET => 4,
            OBSOLETE_PACKET | ENHANCED_PACKET => 20,
            _ => {
                input.skip(body.into())?;
                end(input, self.order, length)?;
                return Ok(Block::Other);
            }
        };
        let rest = body.checked_sub(header).ok_or_else(|| wrong(length))?;
        let block = match kind {
            INTERFACE => self.interface(input, rest)?,
            SIMPLE_PACKET => self.simple(input, rest, buffer)?,
            _ => self.packet(input, kind, rest, buffer)?,
        };
        end(input, self.order, length)?;
        Ok(block)
    }

    fn interface(&mut self, input: &mut Source, rest: u32) -> io::Result<Block> {
        let [a, b, _, _, e, f, g, h] = input.array::<8>()?;
        if self.interfaces.len() == MAX_INTERFACES {
            return Err(damaged(format!("a section of the capture has more than {MAX_INTERFACES} interfaces")));
        }
        self.interfaces.push(Interface { link: self.order.u16([a, b]), most: self.order.u32([e, f, g, h]) });
        input.skip(rest.into())?;
        Ok(Block::Other)
    }

    /// A packet of the first interface, without a length of what was captured of it.
    fn simple(&self, input: &mut Source, rest: u32, buffer: &mut Vec<u8>) -> io::Result<Block> {
        let original = self.order.u32(input.array()?);
        let interface = self.interfaces.first().ok_or_else(|| unknown(0))?;
        let most = if interface.most == 0 { original } else { interface.most };
        read(input, original.min(most), rest, buffer)?;
        Ok(Block::Packet(interface.link))
    }

    fn packet(&self, input: &mut Source, kind: u32, rest: u32, buffer: &mut Vec<u8>) -> io::Result<Block> {
        // The interface, two halves of a time, the length of what was captured, and that of the packet.
        let [a, b, c, d, _, _, _, _, _, _, _, _, m, n, o, p, ..] = input.array::<20>()?;
        let interface =
            if kind == ENHANCED_PACKET { self.order.u32([a, b, c, d]) } else { self.order.u16([a, b]).into() };
        let link = self.interfaces.get(interface as usize).ok_or_else(|| unknown(interface))?.link;
        read(input, self.order.u32([m, n, o, p]), rest, buffer)?;
        Ok(Block::Packet(link))
    }
}

/// Reads the bytes of a packet, and passes over the rest of its block.
fn read(input: &mut Source, length: u32, rest: u32, buffer: &mut Vec<u8>) -> io::Result<()> {
    check_length(length)?;
    let behind = rest
        .checked_sub(length)
        .ok_or_else(|| damaged(format!("it says that it has {length} bytes, and its block has room for {rest}")))?;
    input.read(length as usize, buffer)?;
    input.skip(behind.into())
}

/// Reads the end of a block, which says its length once more.
fn end(input: &mut Source, order: ByteOrder, length: u32) -> io::Result<()> {
    let again = order.u32(input.array()?);
    if again == length { Ok(()) } else { Err(damaged(format!("a block has {length} bytes, and {again} at its end"))) }
}

fn wrong(length: u32) -> io::Error {
    damaged(format!("{length} is not the length of a block"))
}

fn unknown(interface: u32) -> io::Error {
    damaged(format!("its section has no interface {interface}"))
}
