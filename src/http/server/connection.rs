//! One connection, from its first byte to its last.

use std::{
    convert::Infallible,
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll},
};

use axum::{
    Router,
    body::{Body, Bytes, HttpBody},
    http::{HeaderValue, Request, Version, header},
};
use hyper::{
    body::{Frame, Incoming, SizeHint},
    server::conn::http1,
    service::{Service, service_fn},
};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    sync::watch,
    time::timeout,
};

use super::{
    crowd::{Begun, Busy, Place},
    guard::Guard,
    limits::Connections,
    request::{Rest, read},
    tls::Tls,
};

/// The longest head of a request, in bytes.
const HEAD_BYTES: usize = 96 << 10;
/// The most fields in the head of a request.
const HEAD_FIELDS: usize = 100;

/// A connection that was accepted.
pub(super) struct Connection {
    pub(super) place: Place,
    pub(super) connections: Connections,
    pub(super) tls: Option<Arc<Tls>>,
    /// Closed once the server is to stop.
    pub(super) stopped: watch::Receiver<()>,
}

impl Connection {
    /// Answers its requests.
    pub(super) async fn serve(self, stream: TcpStream, router: Router) {
        // Answers are written whole; what waits for more to come only waits.
        let _ = stream.set_nodelay(true);
        let Some(tls) = self.tls.clone() else { return self.serve_on(stream, router).await };
        let mut stopped = self.stopped.clone();
        let shaken = tokio::select! {
            shaken = timeout(self.connections.head_time, tls.accept(stream)) => shaken,
            () = self.place.evicted() => return,
            _ = stopped.changed() => return,
        };
        if let Ok(Ok(stream)) = shaken {
            self.serve_on(stream, router).await;
        }
    }

    async fn serve_on(self, stream: impl AsyncRead + AsyncWrite + Unpin, router: Router) {
        let Self { place, connections, mut stopped, .. } = self;
        let place = Arc::new(place);
        let answering = Arc::clone(&place);
        let router = TowerToHyperService::new(router);
        let service = service_fn(move |request: Request<Incoming>| {
            let begun = answering.begin(request.version() >= Version::HTTP_11);
            let (place, router) = (Arc::clone(&answering), router.clone());
            async move {
                let (response, busy) = match read(request, connections.stall_time).await {
                    Ok((request, rest)) => {
                        let busy = place.busy();
                        let mut response = router.call(request).await?;
                        if rest == Rest::Unread {
                            response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
                            place.leave_unread();
                        }
                        (response, busy)
                    }
                    Err(problem) => {
                        place.leave_unread();
                        (problem.closing().into_response(), place.busy())
                    }
                };
                Ok::<_, Infallible>(response.map(|body| Body::new(Answer { body, _busy: busy, _begun: begun })))
            }
        });
        let guard = Guard::new(stream, Arc::clone(&place), connections.stall_time);
        let mut serving = pin!(
            http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(connections.head_time)
                .max_buf_size(HEAD_BYTES)
                .max_header_size(HEAD_BYTES)
                .max_headers(HEAD_FIELDS)
                .serve_connection(TokioIo::new(guard), service)
        );
        tokio::select! {
            // What is wrong with a connection is its client's affair.
            _ = serving.as_mut() => return,
            () = place.evicted() => return,
            _ = stopped.changed() => {}
        }
        serving.as_mut().graceful_shutdown();
        let _ = serving.await;
    }
}

/// An answer that keeps its connection from being idle.
struct Answer {
    body: Body,
    _busy: Busy,
    _begun: Begun,
}

impl HttpBody for Answer {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
