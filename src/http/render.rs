//! Pages as the bytes of an answer: in a form, and compressed.

use std::io::{self, Write};

use arrow::ipc::writer::StreamWriter;
use flate2::{Compression, write::GzEncoder};

use super::accept::{Coding, Form};
use crate::{
    error::{Error, ErrorKind, Result},
    query::Page,
    wire::{FlowWriter, View, table, table_schema},
};

/// Writes pages of one answer; its bytes are taken out as they come.
pub(super) struct Renderer {
    view: View,
    forming: Forming,
}

enum Forming {
    Text(FlowWriter, Compressor),
    Arrow(Box<StreamWriter<Compressor>>),
}

impl Renderer {
    /// Nothing is written yet.
    pub(super) fn new(form: Form, coding: Coding, view: View) -> Result<Self> {
        let compressor = Compressor::new(coding).map_err(unwritable)?;
        let forming = match form {
            Form::Text(form) => Forming::Text(FlowWriter::new(form, view.clone()), compressor),
            Form::Arrow => {
                let writer = StreamWriter::try_new(compressor, &table_schema(&view)).map_err(unwritable)?;
                Forming::Arrow(Box::new(writer))
            }
        };
        Ok(Self { view, forming })
    }

    /// Writes a page; what of it is ready.
    pub(super) fn page(&mut self, page: &Page) -> Result<Vec<u8>> {
        match &mut self.forming {
            Forming::Text(writer, compressor) => {
                writer.write(compressor, &page.flows()?).map_err(unwritable)?;
                Ok(compressor.take())
            }
            Forming::Arrow(writer) => {
                writer.write(&table(&page.batch, &self.view)?).map_err(unwritable)?;
                Ok(writer.get_mut().take())
            }
        }
    }

    /// What is left, the end included.
    pub(super) fn finish(self) -> Result<Vec<u8>> {
        let compressor = match self.forming {
            Forming::Text(writer, mut compressor) => {
                writer.finish(&mut compressor).map_err(unwritable)?;
                compressor
            }
            Forming::Arrow(writer) => writer.into_inner().map_err(unwritable)?,
        };
        compressor.finish().map_err(unwritable)
    }
}

/// The bytes of an answer, compressed.
pub(super) fn compress(bytes: &[u8], coding: Coding) -> Result<Vec<u8>> {
    let mut compressor = Compressor::new(coding).map_err(unwritable)?;
    compressor.write_all(bytes).map_err(unwritable)?;
    compressor.finish().map_err(unwritable)
}

fn unwritable<E: Into<Box<dyn std::error::Error + Send + Sync>>>(error: E) -> Error {
    Error::with(ErrorKind::Internal, "an answer cannot be written")(error)
}

/// Compresses into memory.
enum Compressor {
    Identity(Vec<u8>),
    Gzip(Box<GzEncoder<Vec<u8>>>),
    Zstd(zstd::stream::write::Encoder<'static, Vec<u8>>),
}

impl Compressor {
    /// Clients wait for every answer, so compression is the fastest that there is.
    fn new(coding: Coding) -> io::Result<Self> {
        Ok(match coding {
            Coding::Identity => Self::Identity(Vec::new()),
            Coding::Gzip => Self::Gzip(Box::new(GzEncoder::new(Vec::new(), Compression::fast()))),
            Coding::Zstd => Self::Zstd(zstd::stream::write::Encoder::new(Vec::new(), 1)?),
        })
    }

    fn take(&mut self) -> Vec<u8> {
        std::mem::take(match self {
            Self::Identity(bytes) => bytes,
            Self::Gzip(encoder) => encoder.get_mut(),
            Self::Zstd(encoder) => encoder.get_mut(),
        })
    }

    fn finish(self) -> io::Result<Vec<u8>> {
        match self {
            Self::Identity(bytes) => Ok(bytes),
            Self::Gzip(encoder) => encoder.finish(),
            Self::Zstd(encoder) => encoder.finish(),
        }
    }
}

impl Write for Compressor {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Identity(written) => written.write(bytes),
            Self::Gzip(encoder) => encoder.write(bytes),
            Self::Zstd(encoder) => encoder.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        // To cut a block short at the end of a page would only make the answer longer.
        Ok(())
    }
}
