//! The bytes of a connection: what was read ahead of them, whether they move, and how they end.

use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use axum::body::Bytes;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Sleep, sleep},
};

use super::activity::Activity;

/// How long what a client still sends is read after the last answer. To close at once would have the system reset the
/// connection, and the client not see why it was refused.
pub const LINGER: Duration = Duration::from_secs(2);

/// How long a client that sends no more may wait for an answer before it is looked whether it is still there, and how long
/// until the next look.
const LOOK: Duration = Duration::from_secs(1);
/// A provisional answer, which means nothing to a client that sends no more: who is gone resets the connection on it.
const PROVISIONAL: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// A stream that tells of its activity, and whose client may shut down its sending side.
///
/// A client of HTTP/1 that closes its connection and one that only sends no more look alike, until something is written: the
/// first answers with a reset. So the end of what a client sends is not told while its request is worked on, and once a second
/// it is sent a provisional answer. The request of one that is gone ends with the second of these at the latest. (A client of
/// HTTP/2 that sends no more is gone: it could not take its answer without telling so.)
pub struct ClientStream<S> {
    stream: S,
    activity: Arc<Activity>,
    /// What was read of the stream already.
    ahead: Bytes,
    /// Whether the client sends no more.
    has_ended: bool,
    next_look: Option<Pin<Box<Sleep>>>,
    /// What is left to write of a provisional answer.
    provisional: &'static [u8],
    /// How many requests that know provisional answers had come when an answer was last written.
    answered: u64,
    /// Whether everything that was written has left HTTP's buffers.
    is_flushed: bool,
    linger: Option<Pin<Box<Sleep>>>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> ClientStream<S> {
    /// A stream of which `ahead` was read.
    pub fn new(stream: S, ahead: Bytes, activity: Arc<Activity>) -> Self {
        Self {
            stream,
            activity,
            ahead,
            has_ended: false,
            next_look: None,
            provisional: &[],
            answered: 0,
            is_flushed: true,
            linger: None,
        }
    }

    /// Notes what came of writing.
    fn note<T>(&self, written: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        match &written {
            Poll::Ready(Ok(_)) => self.activity.wrote(),
            Poll::Ready(Err(_)) => {}
            Poll::Pending => self.activity.is_blocked(),
        }
        written
    }

    /// What comes before an answer is written.
    fn begin_write(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.provisional.is_empty() {
            let written = self.write_provisional(context);
            ready!(self.note(written))?;
        }
        self.answered = self.activity.provisional();
        self.is_flushed = false;
        Poll::Ready(Ok(()))
    }

    /// Waits, once the client sends no more, until its request is answered or it is gone.
    fn hold(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        // An answer has ended for HTTP once it is in its buffer.
        while self.activity.is_answering_http1() || !self.is_flushed {
            let look = self.next_look.get_or_insert_with(|| Box::pin(sleep(LOOK)));
            ready!(look.as_mut().poll(context));
            self.next_look = None;
            // Nothing may come between the parts of an answer.
            if self.is_flushed && self.provisional.is_empty() && self.answered != self.activity.provisional() {
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
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for ClientStream<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if !self.ahead.is_empty() {
            let length = self.ahead.len().min(buffer.remaining());
            buffer.put_slice(&self.ahead.split_to(length));
            return Poll::Ready(Ok(()));
        }
        if self.has_ended {
            return self.hold(context);
        }
        let before = buffer.filled().len();
        let has_room = buffer.remaining() > 0;
        ready!(Pin::new(&mut self.stream).poll_read(context, buffer))?;
        if buffer.filled().len() > before {
            self.activity.read();
        } else if has_room {
            self.has_ended = true;
            return self.hold(context);
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for ClientStream<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        ready!(self.begin_write(context))?;
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.note(written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        ready!(self.begin_write(context))?;
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, pieces);
        self.note(written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(context);
        if self.is_flushed {
            return flushed;
        }
        self.is_flushed = flushed.is_ready();
        self.note(flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.linger.is_none() {
            let shut = Pin::new(&mut self.stream).poll_shutdown(context);
            ready!(self.note(shut))?;
            if !self.activity.lingers() {
                return Poll::Ready(Ok(()));
            }
            self.linger = Some(Box::pin(sleep(LINGER)));
        }
        let mut scratch = [0; 4096];
        loop {
            if self.linger.as_mut().is_none_or(|linger| linger.as_mut().poll(context).is_ready()) {
                return Poll::Ready(Ok(()));
            }
            let mut buffer = ReadBuf::new(&mut scratch);
            ready!(Pin::new(&mut self.stream).poll_read(context, &mut buffer))?;
            if buffer.filled().is_empty() {
                return Poll::Ready(Ok(()));
            }
        }
    }
}
