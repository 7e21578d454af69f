//! The blocks of a file, one after the other.

use std::io::{self, BufRead, Read};

use super::{
    codec::{Codec, MAX_BLOCK_BYTES},
    fields::{u16_at, u32_at},
    header::{Header, begins_file, invalid},
    records::Records,
};

/// Bytes of the header of a block.
const HEAD_BYTES: usize = 12;
/// Bytes that tell what a file is: those that all layouts begin with.
const FILE_BYTES: usize = 4;

/// A block as it lies in the file.
#[derive(Debug)]
pub(crate) struct Block {
    head: Head,
    codec: Codec,
    /// Its number in the file, from 1 on.
    number: u32,
    bytes: Vec<u8>,
}

/// The header of a block.
#[derive(Clone, Copy, Debug)]
struct Head {
    records: u32,
    size: usize,
    kind: u16,
}

impl Head {
    /// Reads the header of a block that follows `before` others.
    fn read(bytes: &[u8], before: u32) -> io::Result<Self> {
        let number = u64::from(before) + 1;
        let fields = u32_at(bytes, 0).zip(u32_at(bytes, 4)).zip(u16_at(bytes, 8)).filter(|_| bytes.len() == HEAD_BYTES);
        let Some(((records, size), kind)) = fields else {
            return Err(invalid(format_args!("is cut off in the header of block {number}")));
        };
        match usize::try_from(size) {
            Ok(size @ 1..=MAX_BLOCK_BYTES) => Ok(Self { records, size, kind }),
            _ => {
                let what = format_args!("has a block {number} of {size} bytes; allowed are 1 to {MAX_BLOCK_BYTES}");
                Err(invalid(what))
            }
        }
    }
}

impl Block {
    /// Whether it is the first one of a file: what came before defines nothing for it.
    pub(crate) fn is_first(&self) -> bool {
        self.number == 1
    }

    /// Decompresses it.
    pub(crate) fn open(self) -> Records {
        let Self { head, codec, number, bytes } = self;
        let bytes = match head.kind {
            2 | 3 => codec.decompress(bytes),
            // Names of interfaces and applications.
            4 => return Records::none(),
            1 => Err("it is of type 1, which nfdump 1.5 wrote; allowed are types 2 to 4".to_owned()),
            other => Err(format!("it is of type {other}; allowed are types 2 to 4")),
        };
        Records::new(number, head.records, bytes)
    }
}

/// Reads the blocks of a file; and where another file follows it, as where files were concatenated, those of that one too.
///
/// A file says how many blocks it has, which tells that some are missing. A collector writes the number when it closes the
/// file, so where there is none, all blocks are read that there are.
pub(crate) struct Blocks<R> {
    input: R,
    /// That of the file that is being read; `None` before the first one.
    header: Option<Header>,
    /// Bytes of the file that were read.
    read: u64,
    /// Blocks of the file that were read.
    blocks: u32,
    ended: bool,
}

/// What comes next in an input.
enum Next {
    Block(Head, Codec),
    /// Another file, of which these bytes were read.
    File(Vec<u8>),
    End,
}

impl<R: BufRead> Blocks<R> {
    /// Those of an input, decompressed.
    pub(crate) fn new(input: R) -> Self {
        Self { input, header: None, read: 0, blocks: 0, ended: false }
    }

    /// The next block; `None` at the end.
    fn read(&mut self) -> io::Result<Option<Block>> {
        loop {
            let (head, codec) = match self.next_head()? {
                Next::Block(head, codec) => (head, codec),
                Next::File(bytes) => {
                    self.begin(bytes)?;
                    continue;
                }
                Next::End => return Ok(None),
            };
            let bytes = self.take(head.size)?;
            self.blocks = self.blocks.saturating_add(1);
            let (number, length) = (self.blocks, bytes.len());
            if length < head.size {
                let what = format_args!("is cut off in block {number}, after {length} of its {} bytes", head.size);
                return Err(invalid(what));
            }
            return Ok(Some(Block { head, codec, number, bytes }));
        }
    }

    /// Begins a file, of which some bytes were read.
    fn begin(&mut self, mut bytes: Vec<u8>) -> io::Result<()> {
        let more = Header::length(&bytes)?.saturating_sub(bytes.len());
        self.blocks = 0;
        self.read = bytes.len() as u64;
        bytes.append(&mut self.take(more)?);
        self.header = Some(Header::read(&bytes)?);
        Ok(())
    }

    fn next_head(&mut self) -> io::Result<Next> {
        let Some(Header { codec, blocks, appendix }) = self.header else {
            let bytes = self.take(FILE_BYTES)?;
            return Ok(if bytes.is_empty() { Next::End } else { Next::File(bytes) });
        };
        let appendix = appendix.filter(|appendix| self.read >= appendix.offset);
        for _ in 0..appendix.map_or(0, |appendix| appendix.blocks) {
            self.pass_over()?;
        }
        let bytes = self.take(HEAD_BYTES)?;
        let next = if begins_file(&bytes) {
            Next::File(bytes)
        } else if bytes.is_empty() || appendix.is_some() {
            Next::End
        } else {
            match Head::read(&bytes, self.blocks) {
                Ok(head) => return Ok(Next::Block(head, codec)),
                // What follows all blocks that there should be is no part of the file, such as the padding of a tape.
                Err(_) if blocks > 0 && self.blocks >= blocks => Next::End,
                Err(error) => return Err(error),
            }
        };
        if self.blocks < blocks {
            let found = self.blocks;
            return Err(invalid(format_args!("ends after {found} of the {blocks} blocks that its header counts")));
        }
        Ok(next)
    }

    /// Passes over a block of an appendix, which counts flows and names the file.
    fn pass_over(&mut self) -> io::Result<()> {
        let head = self.take(HEAD_BYTES)?;
        let size = u32_at(&head, 4).unwrap_or(0);
        io::copy(&mut self.input.by_ref().take(size.into()), &mut io::sink()).map(|_| ())
    }

    /// The next bytes; fewer at the end of the input.
    fn take(&mut self, count: usize) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::with_capacity(count);
        self.input.by_ref().take(count as u64).read_to_end(&mut bytes)?;
        self.read += bytes.len() as u64;
        Ok(bytes)
    }
}

impl<R: BufRead> Iterator for Blocks<R> {
    type Item = io::Result<Block>;

    /// The next block; nothing follows an error.
    fn next(&mut self) -> Option<io::Result<Block>> {
        if self.ended {
            return None;
        }
        let block = self.read();
        self.ended = !matches!(block, Ok(Some(_)));
        block.transpose()
    }
}
