//! A server for routes: connections, how many and how slow they may be, TLS, and an orderly end.

mod connection;
mod crowd;
mod guard;
mod limits;
mod refused;
mod request;
mod tls;

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use axum::Router;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinSet,
    time::{sleep, timeout},
};

use self::{connection::Connection, crowd::Crowd};
pub use self::{limits::Connections, tls::Tls};
use crate::error::{Error, ErrorKind, Result};

/// How long to wait before connections are accepted again where the system has no more of them to give.
const PAUSE: Duration = Duration::from_millis(20);

/// Serves routes by HTTP/1.1 on one address.
///
/// A request's head has at most 96 KiB and 100 fields, and a URL 64 KiB. A request of HTTP/1.1 names its host once. A body of
/// at most 64 KiB is read before its request is answered; a longer one is left to the route, and the connection closed
/// after the answer. What is refused before it reaches a route is answered as all errors are: a JSON array of sentences.
///
/// A client may shut down its sending side and is answered all the same. Where the answer takes longer than a second, it is
/// sent `100 Continue` meanwhile, once a second: that tells it from a client that is gone, whose request ends.
///
/// ```
/// use std::time::Duration;
/// use axum::Router;
/// use flowseek::{Archive, http::{Connections, FlowLogs, Loopback, Server}};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> flowseek::Result<()> {
/// let logs = FlowLogs::new(Archive::open("testdata/archive")?, Loopback);
/// let server = Server::bind("127.0.0.1:0".parse().unwrap(), Connections::default()).await?;
/// println!("listening on http://{}", server.address());
/// let stop = tokio::time::sleep(Duration::ZERO); // or a signal
/// server.run(logs.router(), stop).await;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
    connections: Connections,
    tls: Option<Arc<Tls>>,
}

impl Server {
    /// Listens on an address; port 0 picks one. Clients can connect from now on, and are answered once the server runs.
    ///
    /// # Errors
    /// [`ErrorKind::Io`] where the address is not to be had.
    pub async fn bind(address: SocketAddr, connections: Connections) -> Result<Self> {
        let failed = || format!("cannot listen on {address}");
        let listener = TcpListener::bind(address).await.map_err(Error::with(ErrorKind::Io, failed()))?;
        let address = listener.local_addr().map_err(Error::with(ErrorKind::Io, failed()))?;
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
        let crowd = Arc::new(Crowd::new(self.connections.most));
        let mut tasks = JoinSet::new();
        tokio::pin!(stop);
        loop {
            let stream = tokio::select! {
                biased;
                () = &mut stop => break,
                Some(_) = tasks.join_next() => continue,
                stream = self.accept(&crowd) => stream,
            };
            tokio::select! {
                biased;
                () = &mut stop => break,
                () = crowd.make_place() => {}
            }
            let connection = Connection {
                place: crowd.enter(),
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

    /// The next connection.
    async fn accept(&self, crowd: &Crowd) -> TcpStream {
        loop {
            match self.listener.accept().await {
                Ok((stream, _)) => return stream,
                Err(error) if is_of_client(&error) => {}
                Err(error) => {
                    // Most likely there are too many open files.
                    tracing::warn!(%error, "no connection can be accepted");
                    crowd.evict();
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
