//! nfdump's files: read block by block on one thread, decompressed and decoded on the others.
//!
//! A block needs what the blocks before it define, and what it defines shows only once it is decompressed. So the threads hand
//! the definitions on, from block to block. Block 3, say, is decompressed while blocks 1 and 2 still are; then its thread waits
//! for the definitions after block 2, gives those after block 3 to the thread of block 4, and decodes the flows.

use std::{
    io::{self, BufRead},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
        mpsc::{Receiver, Sender, channel},
    },
};

use super::{
    ImportOptions,
    chunk::{Chunk, ChunkBuilder, Failure},
};
use crate::{
    error::Error,
    import::{
        Unit,
        nfcapd::{Block, Blocks, Definitions},
    },
};

/// What the reading thread gives to the others.
#[derive(Debug)]
pub(super) struct Cut {
    block: io::Result<Block>,
    /// What the blocks before this one define; `None` where there is none.
    before: Option<Receiver<Definitions>>,
    /// Takes what is defined after it.
    after: Sender<Definitions>,
    /// Bytes of the input that were read.
    bytes: u64,
}

/// Cuts an input into blocks.
pub(super) struct Cutter {
    blocks: Blocks<Box<dyn BufRead + Send>>,
    before: Option<Receiver<Definitions>>,
    bytes: Arc<AtomicU64>,
}

impl Cutter {
    /// A cutter of an input, decompressed, of which `bytes` tells how much has been read.
    pub(super) fn new(input: Box<dyn BufRead + Send>, bytes: Arc<AtomicU64>) -> Self {
        Self { blocks: Blocks::new(input), before: None, bytes }
    }
}

impl Iterator for Cutter {
    type Item = Cut;

    fn next(&mut self) -> Option<Cut> {
        let block = self.blocks.next()?;
        let (after, next) = channel();
        let before = self.before.replace(next);
        Some(Cut { block, before, after, bytes: self.bytes.load(Ordering::Relaxed) })
    }
}

/// Reads the records of a block. All blocks before it must have been begun by other threads, or be done.
pub(super) fn parse(cut: Cut, options: &ImportOptions) -> Result<Chunk, Failure> {
    let block = cut.block.map_err(Failure::Unreadable)?;
    let before = cut.before.filter(|_| !block.is_first());
    let records = block.open();
    let before = match before {
        None => Definitions::default(),
        Some(before) => before.recv().map_err(|_| Error::internal("the block before was not read to its end"))?,
    };
    // Where nobody waits for it, this is the last block.
    let _ = cut.after.send(records.define(&before));
    let mut chunk = ChunkBuilder::new(Unit::Record, options);
    records.read(before, &mut chunk);
    Ok(chunk.finish(cut.bytes)?)
}
