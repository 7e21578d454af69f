//! A server for routes: connections by HTTP/1.1 and HTTP/2, how many and how slow they may be, TLS, and an orderly end.

mod activity;
mod connection;
mod limits;
mod preface;
mod response;
mod slots;
mod stream;
mod tls;

use std::{
    io,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use axum::Router;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinSet,
    time::{sleep, timeout},
};

pub use self::{activity::Answering, limits::Connections, tls::Tls};
use self::{connection::Connection, slots::Slots};
use crate::failure::Failure;

/// How long to wait before connections are accepted again where the system has no descriptor for one more.
const PAUSE: Duration = Duration::from_millis(20);

/// Serves routes on one address.
///
/// A request's head has at most 96 KiB and 100 fields, and a URL 65,534 bytes. What is no request of HTTP/1.1 is refused with a
/// JSON array of sentences where it is the first of its connection, and with a bare status behind another.
///
/// A client of HTTP/1.1 may shut down its sending side and is answered all the same. Where the answer takes longer than a
/// second, it is sent `100 Continue` meanwhile, once a second: that tells it from a client that is gone, whose request ends.
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
    connections: Connections,
    tls: Option<Arc<Tls>>,
}

impl Server {
    /// Listens on an address; port 0 picks one. Clients can connect from now on, and are answered once the server runs.
    pub async fn bind(address: SocketAddr, connections: Connections) -> Result<Self, Failure> {
        let failed = |error: io::Error| Failure::Failed(format!("cannot listen on {address}: {error}"));
        let listener = TcpListener::bind(address).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        Ok(Self { listener, address, connections, tls: None })
    }

    /// Over TLS.
    #[must_use]
    pub fn tls(self, tls: Tls) -> Self {
        Self { tls: Some(Arc::new(tls)), ..self }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves `router` until `stop` is ready. Then no more connections are accepted, idle ones are closed, begun requests
    /// end within the time of grace, and what is left is cut off.
    pub async fn run(self, router: Router, stop: impl Future<Output = ()>) {
        let (stopping, stopped) = watch::channel(());
        let slots = Arc::new(Slots::new(self.connections));
        let mut tasks = JoinSet::new();
        tokio::pin!(stop);
        loop {
            let (stream, address) = tokio::select! {
                biased;
                () = &mut stop => break,
                Some(_) = tasks.join_next() => continue,
                accepted = self.accept(&slots) => accepted,
            };
            tokio::select! {
                biased;
                () = &mut stop => break,
                () = slots.free_one() => {}
            }
            let connection = Connection {
                slot: slots.take(address),
                connections: self.connections,
                tls: self.tls.clone(),
                stopped: stopped.clone(),
            };
            tasks.spawn(connection.serve(stream, router.clone()));
        }
        drop(self.listener);
        drop(stopped);
        drop(stopping);
        let all_ended = async { while tasks.join_next().await.is_some() {} };
        if timeout(self.connections.grace, all_ended).await.is_err() {
            tracing::warn!("requests were cut off: they took longer than the time of grace");
        }
        tasks.shutdown().await;
    }

    /// The next connection, and who it is from.
    async fn accept(&self, slots: &Slots) -> (TcpStream, IpAddr) {
        loop {
            match self.listener.accept().await {
                Ok((stream, address)) => return (stream, address.ip()),
                Err(error) if is_of_client(&error) => {}
                Err(error) => {
                    // Most likely there are too many open files.
                    tracing::warn!(%error, "no connection can be accepted");
                    slots.evict();
                    sleep(PAUSE).await;
                }
            }
        }
    }
}

/// Whether a client has left before it was accepted.
fn is_of_client(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted)
}

#[cfg(test)]
mod tests;
