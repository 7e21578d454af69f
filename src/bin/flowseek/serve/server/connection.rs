//! One connection, from its first byte to its last.

use std::{convert::Infallible, pin::pin, sync::Arc, time::Duration};

use axum::{Router, body::Body, extract::Request};
use hyper::{
    body::Incoming,
    service::{Service, service_fn},
};
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto::Builder,
    service::TowerToHyperService,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    sync::watch,
    time::timeout,
};

use super::{
    limits::Connections,
    preface::{self, HEAD_BYTES, HEAD_FIELDS, Preface},
    response::Answer,
    slots::Slot,
    stream::ClientStream,
    tls::Tls,
};

/// The requests that a connection of HTTP/2 may have begun.
const MOST_REQUESTS: u32 = 100;
/// The bytes of bodies of requests that a client of HTTP/2 may send unasked, of each and of all.
const BODY_WINDOWS: (u32, u32) = (64 << 10, 1 << 20);

/// How long the end of an idle connection may take.
const FAREWELL: Duration = Duration::from_millis(500);

/// A connection that was accepted.
pub struct Connection {
    pub slot: Slot,
    pub connections: Connections,
    pub tls: Option<Arc<Tls>>,
    /// Closed once the server is to stop.
    pub stopped: watch::Receiver<()>,
}

impl Connection {
    /// Answers its requests.
    pub async fn serve(self, stream: TcpStream, router: Router) {
        // Answers are written whole; what waits for more to come only waits.
        let _ = stream.set_nodelay(true);
        let Some(tls) = self.tls.clone() else { return self.begin(stream, router).await };
        if let Some(Ok(stream)) = self.in_time(tls.accept(stream)).await {
            self.begin(stream, router).await;
        }
    }

    /// What comes of a step that the client has to take before its first request; `None` where the connection is to end.
    async fn in_time<T>(&self, step: impl Future<Output = T>) -> Option<T> {
        let mut stopped = self.stopped.clone();
        tokio::select! {
            done = timeout(self.connections.head_time, step) => done.ok(),
            () = self.slot.evicted() => None,
            _ = stopped.changed() => None,
        }
    }

    async fn begin(self, mut stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static, router: Router) {
        match self.in_time(preface::read(&mut stream, self.slot.activity())).await {
            Some(Ok(Preface::Http(ahead))) => {
                let stream = ClientStream::new(stream, ahead, Arc::clone(self.slot.activity()));
                self.answer(stream, router).await;
            }
            Some(Ok(Preface::Refused(refused))) => preface::refuse(stream, refused, self.connections.stall_time).await,
            // What is wrong with a connection is its client's affair.
            Some(Ok(Preface::Ended) | Err(_)) | None => {}
        }
    }

    async fn answer(
        mut self,
        stream: ClientStream<impl AsyncRead + AsyncWrite + Send + Unpin + 'static>,
        router: Router,
    ) {
        let activity = Arc::clone(self.slot.activity());
        let of_requests = Arc::clone(&activity);
        let router = TowerToHyperService::new(router);
        let service = service_fn(move |request: Request<Incoming>| {
            let version = request.version();
            let answering = of_requests.begin(version);
            let (activity, router) = (Arc::clone(&of_requests), router.clone());
            async move {
                let mut request = request.map(Body::new);
                request.extensions_mut().insert(Arc::clone(&answering));
                let response = router.call(request).await?;
                Ok::<_, Infallible>(response.map(|body| Answer::new(body, version, &activity, answering)))
            }
        });
        let mut builder = Builder::new(TokioExecutor::new());
        builder.http1().max_buf_size(HEAD_BYTES).max_headers(HEAD_FIELDS);
        builder
            .http2()
            .max_header_list_size(HEAD_BYTES as u32)
            .max_concurrent_streams(MOST_REQUESTS)
            .initial_stream_window_size(BODY_WINDOWS.0)
            .initial_connection_window_size(BODY_WINDOWS.1);
        let mut serving = pin!(builder.serve_connection(TokioIo::new(stream), service));
        let mut too_slow = pin!(activity.too_slow());
        tokio::select! {
            // First it is seen what the client has taken meanwhile, then whether that is too little.
            biased;
            _ = serving.as_mut() => return,
            () = too_slow.as_mut() => {}
            () = self.slot.evicted() => {}
            _ = self.stopped.changed() => {
                activity.stop();
                serving.as_mut().graceful_shutdown();
                tokio::select! {
                    biased;
                    _ = serving.as_mut() => return,
                    () = too_slow => {}
                }
            }
        }
        if activity.stop() {
            // A client of HTTP/2 is told that what it may have asked for just now was not worked on.
            serving.as_mut().graceful_shutdown();
            let _ = timeout(FAREWELL, serving).await;
        }
    }
}
