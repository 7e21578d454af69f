//! Whole inputs, from the first byte to the last.

use std::{
    fs::File,
    io::{self, BufRead, Read},
    os::unix::fs::FileExt,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use ::parquet::file::reader::ChunkReader;
use bytes::Bytes;

use super::{
    Appender, ImportEvent, ImportFormat, ImportOptions, ImportReport, Strictness,
    chunk::{Chunk, Failure},
    in_order::InOrder,
    lines::{self, Cutter},
    netflow, nfcapd, parquet,
};
use crate::{
    error::{Error, ErrorKind, Result},
    import::{LineParser, Mapping, Records, Unit, decompress},
    resources::{SharedFile, input_error, io_error},
    segment::{FileBytes, PARQUET_MAGIC},
};

/// The largest Parquet file that is read from a stream, in bytes.
const MAX_STREAMED_BYTES: u64 = 1 << 30;

type Chunks = InOrder<Result<Chunk, Failure>>;

impl Appender {
    /// Appends the flows of an input, plain or compressed as [`decompress`] reads it, in their order. `observer` hears of the
    /// lines that are none, and of the progress.
    ///
    /// The input is read on a thread of its own, and its lines on all cores. As Parquet is read from its end, it is
    /// held in memory here, up to 1 GiB of it; [`import_file`](Self::import_file) has no such limit.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] where the format cannot be told or is not what it should be, where the input is
    /// damaged or cut off, or at the first bad line if the import is [strict](Strictness::Strict);
    /// [`ErrorKind::Busy`] and [`ErrorKind::Io`] where the input cannot be read or a segment not be written. The flows before that are
    /// appended, to be committed or to be dropped with the appender.
    pub fn import(
        &mut self,
        input: impl Read + Send + 'static,
        options: ImportOptions,
        observer: &mut dyn FnMut(ImportEvent),
    ) -> Result<ImportReport> {
        let bytes = Arc::new(AtomicU64::new(0));
        let mut input = decompress(Counted { input, bytes: Arc::clone(&bytes) })?;
        let head = input.fill_buf().map_err(input_error("the input cannot be read"))?;
        let is_parquet = head.starts_with(PARQUET_MAGIC);
        let format = match (&options.mapping, options.format) {
            (Some(mapping), _) => {
                return self.import_mapped(mapping.clone(), is_parquet, input, bytes, options, observer);
            }
            (None, Some(format)) => format,
            (None, None) => ImportFormat::detect(head)?,
        };
        match format {
            ImportFormat::Lines(format) => match format.parquet_mapping().filter(|_| is_parquet) {
                Some(mapping) => self.import_mapped(mapping.clone(), is_parquet, input, bytes, options, observer),
                None => self.import_lines(format.records(input), LineParser::new(format), bytes, options, observer),
            },
            ImportFormat::NetFlow => {
                let strictness = options.strictness;
                let chunks = netflow::chunks(input, bytes, options)?;
                Import::new(self, Unit::Record, strictness, observer).run(chunks)
            }
            ImportFormat::Nfcapd => {
                let strictness = options.strictness;
                let cutter = nfcapd::Cutter::new(input, bytes);
                let chunks = InOrder::start(cutter, move |cut| nfcapd::parse(cut, &options))?;
                Import::new(self, Unit::Record, strictness, observer).run(chunks)
            }
            ImportFormat::Parquet => self.import_parquet(hold(input)?, None, options, observer),
        }
    }

    fn import_mapped(
        &mut self,
        mapping: Mapping,
        is_parquet: bool,
        input: Box<dyn BufRead + Send>,
        bytes: Arc<AtomicU64>,
        options: ImportOptions,
        observer: &mut dyn FnMut(ImportEvent),
    ) -> Result<ImportReport> {
        if is_parquet && mapping.reads_parquet() {
            return self.import_parquet(hold(input)?, Some(mapping), options, observer);
        }
        if !mapping.reads_lines() {
            return Err(Error::new(ErrorKind::InvalidInput, "the mapping is of Parquet, and the input is none"));
        }
        let parser = LineParser::mapped(&mapping);
        self.import_lines(Records::of_mapping(&mapping, input), parser, bytes, options, observer)
    }

    fn import_lines(
        &mut self,
        records: Records<Box<dyn BufRead + Send>>,
        parser: LineParser,
        bytes: Arc<AtomicU64>,
        options: ImportOptions,
        observer: &mut dyn FnMut(ImportEvent),
    ) -> Result<ImportReport> {
        let cutter = Cutter::new(records, parser, bytes).map_err(input_error("the input cannot be read"))?;
        let (unit, strictness) = (cutter.unit(), options.strictness);
        let chunks = InOrder::start(cutter, move |cut| lines::parse(cut, &options))?;
        Import::new(self, unit, strictness, observer).run(chunks)
    }

    fn import_parquet(
        &mut self,
        input: impl ChunkReader + Clone + 'static,
        mapping: Option<Mapping>,
        options: ImportOptions,
        observer: &mut dyn FnMut(ImportEvent),
    ) -> Result<ImportReport> {
        let strictness = options.strictness;
        let chunks = parquet::chunks(input, mapping, options)?;
        Import::new(self, Unit::Row, strictness, observer).run(chunks)
    }

    /// [`import`](Self::import) of the file at a path. Only the parts of a Parquet file that are needed are read.
    ///
    /// # Errors
    /// As [`import`](Self::import), and [`ErrorKind::Io`] where the file cannot be opened.
    pub fn import_file(
        &mut self,
        path: impl AsRef<Path>,
        options: ImportOptions,
        observer: &mut dyn FnMut(ImportEvent),
    ) -> Result<ImportReport> {
        let cannot = || format!("{} cannot be opened", path.as_ref().display());
        let file = File::open(&path).map_err(|error| io_error(cannot())(error))?;
        let mapping = match (&options.mapping, options.format) {
            (Some(mapping), _) => Some(mapping.clone()).filter(Mapping::reads_parquet),
            (None, Some(ImportFormat::Lines(format))) => format.parquet_mapping().cloned(),
            (None, _) => None,
        };
        let may_be = mapping.is_some()
            || options.mapping.is_none() && matches!(options.format, None | Some(ImportFormat::Parquet));
        if !may_be || !begins_as_parquet(&file) {
            return self.import(file, options, observer);
        }
        let file = SharedFile::alone(path.as_ref()).map_err(|error| io_error(cannot())(error))?;
        self.import_parquet(FileBytes::new(Arc::new(file)), mapping, options, observer)
    }
}

/// An import on its way.
struct Import<'a> {
    appender: &'a mut Appender,
    strictness: Strictness,
    observer: &'a mut dyn FnMut(ImportEvent),
    unit: Unit,
    read: u64,
    report: ImportReport,
}

impl<'a> Import<'a> {
    fn new(
        appender: &'a mut Appender,
        unit: Unit,
        strictness: Strictness,
        observer: &'a mut dyn FnMut(ImportEvent),
    ) -> Self {
        Self { appender, strictness, observer, unit, read: 0, report: ImportReport::default() }
    }

    fn run(mut self, chunks: Chunks) -> Result<ImportReport> {
        for chunk in chunks {
            match chunk? {
                Ok(chunk) => self.take(chunk)?,
                Err(Failure::Unreadable(error)) => {
                    let message = format!("the input cannot be read at {} {}", self.unit, self.read + 1);
                    return Err(input_error(message)(error));
                }
                Err(Failure::Other(error)) => return Err(error),
            }
        }
        Ok(self.report)
    }

    fn take(&mut self, mut chunk: Chunk) -> Result<()> {
        for mut rejected in chunk.rejected {
            rejected.number += self.read;
            if self.strictness == Strictness::Strict {
                return Err(Error::new(ErrorKind::InvalidInput, rejected.to_string()));
            }
            self.report.rejected += 1;
            (self.observer)(ImportEvent::Rejected(rejected));
        }
        self.read += chunk.read;
        self.report.skipped += chunk.skipped;
        self.report.remarks.merge(chunk.remarks);
        let flows = chunk.flows.len() as u64;
        self.appender.append(&mut chunk.flows)?;
        self.report.imported += flows;
        (self.observer)(ImportEvent::Progress { bytes: chunk.bytes, flows: self.report.imported });
        Ok(())
    }
}

/// An input that counts what was read of it.
struct Counted<R> {
    input: R,
    bytes: Arc<AtomicU64>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.input.read(buffer)?;
        self.bytes.fetch_add(length as u64, Ordering::Relaxed);
        Ok(length)
    }
}

/// Whether a file can be read at any place and begins as Parquet does.
fn begins_as_parquet(file: &File) -> bool {
    let mut head = [0; PARQUET_MAGIC.len()];
    file.read_exact_at(&mut head, 0).is_ok() && head == *PARQUET_MAGIC
}

fn hold(input: impl Read) -> Result<Bytes> {
    let mut bytes = Vec::new();
    let read = input.take(MAX_STREAMED_BYTES + 1).read_to_end(&mut bytes);
    read.map_err(input_error("the input cannot be read"))?;
    if bytes.len() as u64 > MAX_STREAMED_BYTES {
        let message = format!(
            "the stream holds more than {MAX_STREAMED_BYTES} bytes of Parquet, which is read from its end: import it as a file"
        );
        return Err(Error::new(ErrorKind::InvalidInput, message));
    }
    Ok(bytes.into())
}
