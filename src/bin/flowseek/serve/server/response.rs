//! The body of an answer, on its way to its client.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use axum::{
    body::{Body, Bytes, HttpBody},
    http::Version,
};
use hyper::body::{Frame, SizeHint};

use super::activity::{Activity, Answering, Untaken};

/// The bytes of an answer that are handed to HTTP/2 at a time: a frame. The next are asked for once the client has room for
/// them, which tells it from one that takes nothing.
const PIECE: usize = 16 << 10;

/// An answer whose request has begun until the last byte of it was taken.
pub struct Answer {
    body: Body,
    pieces: Option<Pieces>,
    _answering: Arc<Answering>,
}

struct Pieces {
    activity: Arc<Activity>,
    rest: Bytes,
    untaken: Option<Untaken>,
}

impl Answer {
    /// The body of an answer by HTTP/1, where the socket tells of a client that takes nothing; or by HTTP/2, where it may take
    /// some answers and not others.
    pub fn new(body: Body, version: Version, activity: &Arc<Activity>, answering: Arc<Answering>) -> Self {
        let pieces = (version >= Version::HTTP_2).then(|| Pieces {
            activity: Arc::clone(activity),
            rest: Bytes::new(),
            untaken: None,
        });
        Self { body, pieces, _answering: answering }
    }
}

impl HttpBody for Answer {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let answer = &mut *self;
        let Some(pieces) = &mut answer.pieces else { return Pin::new(&mut answer.body).poll_frame(context) };
        pieces.untaken = None;
        if pieces.rest.is_empty() {
            match ready!(Pin::new(&mut answer.body).poll_frame(context)) {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => pieces.rest = data,
                    Err(trailers) => return Poll::Ready(Some(Ok(trailers))),
                },
                end => return Poll::Ready(end),
            }
        }
        let piece = pieces.rest.split_to(pieces.rest.len().min(PIECE));
        pieces.untaken = Some(pieces.activity.hand_on());
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.pieces.as_ref().is_none_or(|pieces| pieces.rest.is_empty()) && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let mut hint = self.body.size_hint();
        let rest = self.pieces.as_ref().map_or(0, |pieces| pieces.rest.len() as u64);
        if let Some(upper) = hint.upper() {
            hint.set_upper(upper.saturating_add(rest));
        }
        hint.set_lower(hint.lower().saturating_add(rest));
        hint
    }
}
