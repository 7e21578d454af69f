//! The packets of a capture, pcap or pcapng.
//!
//! A packet is held, and nothing else of the capture, so its size bounds the memory. Times are passed over: exporters tell
//! their own.

use std::io::{self, BufRead};

use super::{
    pcapng::{Block, Section},
    source::{ByteOrder, Source, check_length, cut_off, damaged},
};

/// The first bytes of captures: pcap of both byte orders, with microseconds and with nanoseconds, and pcapng.
const MAGICS: [[u8; 4]; 5] = [
    [0xa1, 0xb2, 0xc3, 0xd4],
    [0xd4, 0xc3, 0xb2, 0xa1],
    [0xa1, 0xb2, 0x3c, 0x4d],
    [0x4d, 0x3c, 0xb2, 0xa1],
    SECTION_HEADER,
];
/// The type of the block that begins each section of a pcapng capture, the same in both byte orders.
const SECTION_HEADER: [u8; 4] = [0x0a, 0x0d, 0x0d, 0x0a];

/// Whether an input that begins with these bytes is a capture.
pub(crate) fn is_capture(head: &[u8]) -> bool {
    MAGICS.iter().any(|magic| head.starts_with(magic))
}

/// A packet as it was captured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Packet<'a> {
    /// What its first header is: one of the numbers that begin with `LINKTYPE_`.
    pub(super) link: u16,
    pub(super) bytes: &'a [u8],
}

/// Reads packets one by one.
pub(super) struct Capture {
    input: Source,
    form: Form,
    /// Of packets that were read.
    number: u64,
    buffer: Vec<u8>,
}

enum Form {
    Pcap { order: ByteOrder, link: u16 },
    PcapNg(Section),
}

impl Capture {
    /// A reader of an input, decompressed, that begins with the header of a capture.
    pub(super) fn open(input: Box<dyn BufRead + Send>) -> io::Result<Self> {
        let mut input = Source::new(input);
        let mut magic = [0; 4];
        let length = input.fill(&mut magic)?;
        let order = match magic {
            _ if length < 4 => return Err(damaged("the capture is shorter than its header".to_owned())),
            [0xa1, 0xb2, ..] => ByteOrder::Big,
            [_, _, 0xb2, 0xa1] => ByteOrder::Little,
            SECTION_HEADER => {
                let section = Section::begin(&mut input)?;
                return Ok(Self { input, form: Form::PcapNg(section), number: 0, buffer: Vec::new() });
            }
            _ => return Err(damaged(format!("the input begins with {magic:02x?}, as neither pcap nor pcapng does"))),
        };
        if !is_capture(&magic) {
            return Err(damaged(format!("the input begins with {magic:02x?}, as neither pcap nor pcapng does")));
        }
        // Version, time zone, accuracy of the times, longest packet; then the link type, with other things in its upper bits.
        let [.., a, b, c, d] = input.array::<20>()?;
        let link = (order.u32([a, b, c, d]) & 0xffff) as u16;
        Ok(Self { input, form: Form::Pcap { order, link }, number: 0, buffer: Vec::new() })
    }

    /// The next packet; `None` at the end.
    pub(super) fn next(&mut self) -> io::Result<Option<Packet<'_>>> {
        let number = self.number + 1;
        let read = match &mut self.form {
            Form::Pcap { order, link } => {
                let (order, link) = (*order, *link);
                pcap_packet(&mut self.input, order, &mut self.buffer).map(|read| read.then_some(link))
            }
            Form::PcapNg(section) => loop {
                match section.next(&mut self.input, &mut self.buffer) {
                    Ok(Block::Packet(link)) => break Ok(Some(link)),
                    Ok(Block::Other) => {}
                    Ok(Block::End) => break Ok(None),
                    Err(error) => break Err(error),
                }
            },
        };
        let link = read.map_err(|error| match error.kind() {
            io::ErrorKind::InvalidData => damaged(format!("packet {number} of the capture: {error}")),
            _ => error,
        })?;
        self.number += u64::from(link.is_some());
        Ok(link.map(|link| Packet { link, bytes: &self.buffer }))
    }
}

/// Reads a packet into `buffer`; whether there is one.
fn pcap_packet(input: &mut Source, order: ByteOrder, buffer: &mut Vec<u8>) -> io::Result<bool> {
    let mut header = [0; 16];
    match input.fill(&mut header)? {
        0 => return Ok(false),
        16 => {}
        _ => return Err(cut_off()),
    }
    // Seconds and their fraction, the length of what was captured, and that of the packet.
    let [_, _, _, _, _, _, _, _, a, b, c, d, ..] = header;
    let length = order.u32([a, b, c, d]);
    check_length(length)?;
    input.read(length as usize, buffer)?;
    Ok(true)
}
