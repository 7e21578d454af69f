//! The bytes of a connection, watched.

use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Instant, Sleep, sleep},
};

use super::{
    crowd::Place,
    refused::{FirstLine, replaced},
};

/// How long what a client still sends is read after it was refused, or its body was not read. To close at once would have the system reset the
/// connection, and the client not see why.
const LINGER: Duration = Duration::from_secs(2);

/// How long a client that sends no more may wait for an answer before it is looked whether it is still there, and how long
/// until the next look.
const LOOK: Duration = Duration::from_secs(1);
/// A provisional answer, which means nothing to a client that sends no more: who is gone resets the connection on it.
const PROVISIONAL: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// A stream whose client may not stall, is told why its request is refused, and may shut down its sending side.
///
/// A client that closes its connection and one that only sends no more look alike, until something is written: the first
/// answers with a reset. So the end of what a client sends is not told while its request is worked on, and once a second it
/// is sent a provisional answer. The request of one that is gone ends with the second of these at the latest.
pub(super) struct Guard<S> {
    stream: S,
    place: Arc<Place>,
    stall_time: Duration,
    /// Runs while the client takes nothing.
    stalled: Option<Pin<Box<Sleep>>>,
    line: FirstLine,
    /// An answer in place of the library's, and how much of it is written.
    refusal: Option<(Vec<u8>, usize)>,
    linger: Option<Pin<Box<Sleep>>>,
    /// Whether the client sends no more.
    has_ended: bool,
    next_look: Option<Pin<Box<Sleep>>>,
    /// What is left to write of a provisional answer.
    provisional: &'static [u8],
    /// How many requests had come when an answer was last written.
    asked_then: u64,
    /// Whether everything that was written has left the library.
    is_flushed: bool,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Guard<S> {
    pub(super) fn new(stream: S, place: Arc<Place>, stall_time: Duration) -> Self {
        Self {
            stream,
            place,
            stall_time,
            stalled: None,
            line: FirstLine::default(),
            refusal: None,
            linger: None,
            has_ended: false,
            next_look: None,
            provisional: &[],
            asked_then: 0,
            is_flushed: true,
        }
    }

    /// What came of writing, or an error where that has waited too long.
    fn unless_stalled<T>(&mut self, context: &mut Context<'_>, written: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.stalled = None;
            return written;
        }
        let stall_time = self.stall_time;
        let stalled = self.stalled.get_or_insert_with(|| Box::pin(sleep(stall_time)));
        ready!(stalled.as_mut().poll(context));
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the client takes nothing of its answer")))
    }

    /// Notes that the library writes.
    fn answers(&mut self) {
        // What is written answers a request that was read; the next line is another's.
        self.line = FirstLine::default();
        self.asked_then = self.place.asked();
        self.is_flushed = false;
        self.place.moved();
    }

    /// Waits, once the client sends no more, until its request is answered or it is gone.
    fn hold(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        // An answer has ended for the library once it is in its buffer.
        while self.place.has_begun() || !self.is_flushed {
            let look = self.next_look.get_or_insert_with(|| Box::pin(sleep(LOOK)));
            ready!(look.as_mut().poll(context));
            self.next_look = None;
            // Nothing may come between the parts of an answer.
            if self.is_flushed && self.provisional.is_empty() && self.asked_then != self.place.asked() {
                self.provisional = PROVISIONAL;
                // Where the client takes nothing at the moment it is there.
                if let Poll::Ready(Err(error)) = self.write_provisional(context) {
                    return Poll::Ready(Err(error));
                }
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Writes what is left of a provisional answer.
    fn write_provisional(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.provisional.is_empty() {
            match ready!(Pin::new(&mut self.stream).poll_write(context, self.provisional))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                written => self.provisional = self.provisional.get(written..).unwrap_or_default(),
            }
        }
        Pin::new(&mut self.stream).poll_flush(context)
    }

    /// Writes the answer in place of `given` bytes of the library's.
    fn refuse(&mut self, context: &mut Context<'_>, given: usize) -> Poll<io::Result<usize>> {
        while let Some((answer, done)) = &mut self.refusal {
            let rest = answer.get(*done..).unwrap_or_default();
            if rest.is_empty() {
                break;
            }
            let written = Pin::new(&mut self.stream).poll_write(context, rest);
            if let Poll::Ready(Ok(bytes)) = &written {
                *done += *bytes;
            }
            if ready!(self.unless_stalled(context, written))? == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
        }
        Poll::Ready(Ok(given))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Guard<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.has_ended {
            return self.hold(context);
        }
        let before = buffer.filled().len();
        let has_room = buffer.remaining() > 0;
        ready!(Pin::new(&mut self.stream).poll_read(context, buffer))?;
        let read = buffer.filled().get(before..).unwrap_or_default();
        if !read.is_empty() {
            self.place.moved();
            self.line.read(read);
        } else if has_room {
            self.has_ended = true;
            return self.hold(context);
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Guard<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if !self.provisional.is_empty() {
            let written = self.write_provisional(context);
            ready!(self.unless_stalled(context, written))?;
        }
        if self.refusal.is_none() {
            self.refusal = replaced(bytes, self.line).map(|answer| (answer, 0));
        }
        if self.refusal.is_some() {
            return self.refuse(context, bytes.len());
        }
        self.answers();
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.unless_stalled(context, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let mut filled = pieces.iter().filter(|piece| !piece.is_empty());
        if let (Some(first), None) = (filled.next(), filled.next()) {
            return self.poll_write(context, first);
        }
        if !self.provisional.is_empty() {
            let written = self.write_provisional(context);
            ready!(self.unless_stalled(context, written))?;
        }
        self.answers();
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, pieces);
        self.unless_stalled(context, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(context);
        self.is_flushed |= flushed.is_ready();
        self.unless_stalled(context, flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.linger.is_none() {
            let shut = Pin::new(&mut self.stream).poll_shutdown(context);
            ready!(self.unless_stalled(context, shut))?;
        }
        if self.refusal.is_none() && !self.place.leaves_unread() {
            return Poll::Ready(Ok(()));
        }
        let mut linger = self.linger.take().unwrap_or_else(|| Box::pin(sleep(LINGER)));
        let mut scratch = [0; 4096];
        loop {
            if linger.deadline() <= Instant::now() || linger.as_mut().poll(context).is_ready() {
                return Poll::Ready(Ok(()));
            }
            let mut buffer = ReadBuf::new(&mut scratch);
            match Pin::new(&mut self.stream).poll_read(context, &mut buffer) {
                Poll::Ready(Ok(())) if !buffer.filled().is_empty() => {}
                Poll::Ready(_) => return Poll::Ready(Ok(())),
                Poll::Pending => {
                    self.linger = Some(linger);
                    return Poll::Pending;
                }
            }
        }
    }
}
