//! Captures of NetFlow and IPFIX: messages are followed by one thread, their records are read by the others.

use std::{
    io::BufRead,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use super::{
    ImportOptions,
    chunk::{Chunk, ChunkBuilder, Failure},
    in_order::InOrder,
};
use crate::{
    error::Result,
    import::{Unit, netflow::Collector},
    resources::input_error,
};

/// The flows of a capture, decompressed, of which `bytes` tells how much has been read.
///
/// # Errors
/// [`ErrorKind::InvalidInput`](crate::ErrorKind::InvalidInput) where the input does not begin as a capture does;
/// [`ErrorKind::Busy`](crate::ErrorKind::Busy) and [`ErrorKind::Io`](crate::ErrorKind::Io) where the system cannot read it.
pub(super) fn chunks(
    input: Box<dyn BufRead + Send>,
    bytes: Arc<AtomicU64>,
    options: ImportOptions,
) -> Result<InOrder<Result<Chunk, Failure>>> {
    let collector = Collector::open(input).map_err(input_error("the input is no capture of NetFlow or IPFIX"))?;
    let batches = collector.map(move |batch| (batch, bytes.load(Ordering::Relaxed)));
    InOrder::start(batches, move |(batch, bytes)| {
        let batch = batch.map_err(Failure::Unreadable)?;
        let mut chunk = ChunkBuilder::new(Unit::Record, &options);
        batch.read(&mut chunk);
        Ok(chunk.finish(bytes)?)
    })
}
