//! A text that is followed, in whatever files it lies.

use std::{
    fs::File,
    io::{self, Read},
    path::Path,
    sync::Arc,
};

use super::{
    delivery::Delivery,
    feed::Feed,
    head::{FileFrom, Head},
};
use crate::{
    error::{Error, Result},
    import::decompress,
    ingest::{ImportOptions, LiveAppender, lines::CHUNK_BYTES},
    resources::input_error,
};

/// A text, as far as it has been read. Its place, in bytes, is the number of the batch that ends there: so the archive knows
/// how far it has come.
#[derive(Debug)]
pub(super) struct Text {
    head: Head,
    /// Bytes that were read and appended.
    place: u64,
    /// What reads on from there; none until there is something to read.
    feed: Option<Feed>,
    /// What the archive keeps for it: the names of sources.
    notes: Vec<String>,
}

/// How the end of a file is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// More may come, and ends the last line.
    Open,
    /// Nothing more comes.
    Closed,
}

impl Text {
    /// A text that begins in this way, from where the archive has come.
    pub(super) fn new(head: Head, appender: &LiveAppender) -> Self {
        let place = appender.last(&head.source).unwrap_or(0);
        Self { place, feed: None, notes: vec![head.source.clone()], head }
    }

    /// The source whose batch tells that a compressed file of so many bytes was read to its end. How long its text is, only who
    /// decompresses it knows.
    pub(super) fn note(&mut self, length: u64) -> String {
        let note = format!("{}/{length}", self.head.source);
        if !self.notes.contains(&note) {
            self.notes.push(note.clone());
        }
        note
    }

    /// The sources that the archive keeps for it.
    pub(super) fn notes(&self) -> &[String] {
        &self.notes
    }

    /// Whether it has been read up to so many bytes.
    pub(super) fn is_read_to(&self, length: u64) -> bool {
        self.place >= length
    }

    /// Reads what a file has beyond what was read, whose beginning is `head`. Whether there was any.
    ///
    /// # Errors
    /// Whatever hinders the reading of the file; what was good is appended. [`ErrorKind::Closed`](crate::ErrorKind::Closed) and
    /// others where nothing can be appended any more, which [`Delivery`] tells apart.
    pub(super) fn read(
        &mut self,
        (path, file, head): (&Path, &Arc<File>, &Head),
        end: End,
        options: &ImportOptions,
        delivery: &mut Delivery<'_>,
    ) -> Result<bool> {
        let begin = self.place;
        let mut input = self.input(file, head)?;
        let mut piece = Vec::with_capacity(CHUNK_BYTES);
        loop {
            let room = CHUNK_BYTES.saturating_sub(piece.len());
            let read = input.by_ref().take(room as u64).read_to_end(&mut piece);
            let is_end = matches!(read, Ok(length) if length < room);
            if piece.is_empty() && read.is_ok() {
                break;
            }
            let feed = match &mut self.feed {
                Some(feed) => feed,
                None => {
                    let feed = feed_from(file, head, self.place)?;
                    self.feed.insert(feed)
                }
            };
            let taken = feed.take(&piece, is_end && end == End::Closed, options)?;
            let place = self.place + taken.bytes as u64;
            delivery.deliver(Some(path), taken.chunk, Some((&self.head.source, place)))?;
            self.place = place;
            piece.drain(..taken.bytes);
            read.map_err(unreadable)?;
            if is_end {
                break;
            }
        }
        Ok(self.place > begin)
    }

    /// What a file has behind what was read.
    fn input(&self, file: &Arc<File>, head: &Head) -> Result<Box<dyn Read>> {
        if !head.is_compressed {
            return Ok(Box::new(FileFrom::new(file, self.place)));
        }
        let mut input = decompress(FileFrom::new(file, 0))?;
        io::copy(&mut input.by_ref().take(self.place), &mut io::sink()).map_err(unreadable)?;
        Ok(input)
    }
}

/// What reads on from a place, and knows the headers before it.
fn feed_from(file: &Arc<File>, head: &Head, place: u64) -> Result<Feed> {
    let mut feed = Feed::new(head.parser.clone());
    let mut before = decompress(FileFrom::new(file, 0))?.take(place);
    let mut lines = Vec::with_capacity(CHUNK_BYTES);
    loop {
        let room = CHUNK_BYTES.saturating_sub(lines.len()) as u64;
        let read = before.by_ref().take(room).read_to_end(&mut lines).map_err(unreadable)?;
        // Of a line that is longer than all of it nothing is a header.
        let whole = lines.iter().rposition(|byte| *byte == b'\n').map_or(lines.len(), |end| end + 1);
        feed.pass_over(lines.get(..whole).unwrap_or_default());
        lines.drain(..whole);
        if (read as u64) < room {
            return Ok(feed);
        }
    }
}

fn unreadable(error: io::Error) -> Error {
    input_error("the file cannot be read")(error)
}
