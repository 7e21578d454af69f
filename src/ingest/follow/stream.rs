//! Streams: lines that another program writes.

use std::io::{self, BufRead, Read};

use super::{FollowEvent, delivery::Delivery, feed::Feed};
use crate::{
    error::Result,
    import::decompress,
    ingest::{ImportOptions, ImportReport, LiveAppender, lines::CHUNK_BYTES},
    resources::input_error,
};

impl LiveAppender {
    /// Appends the flows of a stream, such as the output of another program, as its lines come in, until it ends. This blocks. What
    /// was read becomes part of the archive as [`LiveOptions`](super::super::LiveOptions) say, not with the end of the stream.
    ///
    /// While the archive cannot be written, the stream is not read, and its writer waits. Lines that are no flows are
    /// reported and left out, whatever the options say of the strictness. The stream may be compressed.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`](crate::ErrorKind::InvalidInput) where the format cannot be told, or is none of lines, or the
    /// stream is damaged; [`ErrorKind::Io`](crate::ErrorKind::Io) where it cannot be read;
    /// [`ErrorKind::Closed`](crate::ErrorKind::Closed) once the appender is [shut down](Self::shutdown). What was read before is
    /// appended.
    ///
    /// ```
    /// use flowseek::{Archive, LiveOptions, ingest::ImportOptions};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let directory = tempfile::tempdir()?;
    /// let archive = Archive::open_or_create(directory.path().join("flows"))?;
    /// let appender = archive.live_appender(LiveOptions::default())?;
    /// let lines = "{\"startTime\":1666012671,\"destPort\":443}\n{\"startTime\":\"yesterday\"}\n";
    /// let report = appender.follow(lines.as_bytes(), &ImportOptions::default(), &mut |_| {})?;
    /// assert_eq!((report.imported, report.rejected), (1, 1));
    /// assert_eq!(appender.close().await?.flows, 1);
    /// # Ok(())
    /// # }
    /// ```
    pub fn follow(
        &self,
        input: impl Read + Send + 'static,
        options: &ImportOptions,
        observer: &mut dyn FnMut(FollowEvent<'_>),
    ) -> Result<ImportReport> {
        let unreadable = |error| input_error("the stream cannot be read")(error);
        let mut input = decompress(input)?;
        let mut feed = Feed::new(options.line_parser(input.fill_buf().map_err(unreadable)?)?);
        let mut report = ImportReport::default();
        let mut delivery = Delivery { appender: self, report: &mut report, observer };
        let mut piece = Vec::with_capacity(CHUNK_BYTES);
        loop {
            let read = match input.fill_buf() {
                Ok(bytes) => {
                    let length = bytes.len().min(CHUNK_BYTES.saturating_sub(piece.len()));
                    piece.extend_from_slice(bytes.get(..length).unwrap_or_default());
                    length
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(unreadable(error)),
            };
            input.consume(read);
            let taken = feed.take(&piece, read == 0, options)?;
            piece.drain(..taken.bytes);
            delivery.deliver(None, taken.chunk, None)?;
            if read == 0 {
                return Ok(report);
            }
        }
    }
}
