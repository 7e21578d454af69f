//! The server as its clients see it: over sockets.

mod http1;
mod http2;

use std::{
    net::{SocketAddr, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
        mpsc::channel,
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use axum::{Router, body::Bytes, http::request::Parts};
use flowseek::{
    Archive,
    http::{Authorizer, FlowLogs, Grant, PERMISSION, Refusal, not_found},
};
use tokio::{
    runtime::{Builder, Runtime},
    sync::{Semaphore, oneshot},
};

use super::{Connections, Server};
use crate::serve::layers;

/// Longer than anything here takes, so that a test that hangs fails.
const PATIENCE: Duration = Duration::from_secs(20);
const SHORT: Duration = Duration::from_millis(200);
/// Limits that none of the tests comes near to.
const AMPLE: Connections = Connections { most: 512, head_time: PATIENCE, stall_time: PATIENCE, grace: PATIENCE };

fn runtime() -> Runtime {
    Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

/// A server on a thread of its own. It stops where this is dropped.
struct Running {
    address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Running {
    /// The endpoint over the sample archive, for everybody.
    fn open(connections: Connections) -> Self {
        let open = |_: &Parts| -> Result<Grant, Refusal> { Ok(Grant::new([PERMISSION])) };
        Self::routes(FlowLogs::new(archive(), open).router(), connections)
    }

    /// The endpoint for those that an authorizer lets in, and its operations.
    fn by(authorizer: impl Authorizer, connections: Connections) -> Self {
        let logs = FlowLogs::new(archive(), authorizer);
        Self::routes(logs.router().merge(logs.operations()), connections)
    }

    /// Any routes.
    fn routes(routes: Router, connections: Connections) -> Self {
        let app = layers::around(routes.fallback(not_found), &[], connections.stall_time);
        let (stop, stopped) = oneshot::channel();
        let (address, addressed) = channel();
        let thread = thread::spawn(move || {
            runtime().block_on(async {
                let server = Server::bind("127.0.0.1:0".parse().unwrap(), connections).await.unwrap();
                address.send(server.address()).unwrap();
                server.run(app, async { drop(stopped.await) }).await;
            });
        });
        Self { address: addressed.recv().unwrap(), stop: Some(stop), thread: Some(thread) }
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
    }

    /// The body of an answer with the status 200.
    fn get(&self, path: &str) -> String {
        let url = format!("http://{}{path}", self.address);
        ureq::get(url).call().unwrap().body_mut().read_to_string().unwrap()
    }

    /// Tells the server to stop.
    fn tell_to_stop(&mut self) {
        drop(self.stop.take());
    }

    /// Waits for its end.
    fn has_ended(&self, within: Duration) -> bool {
        let since = Instant::now();
        let has_ended = || self.thread.as_ref().unwrap().is_finished();
        while !has_ended() && since.elapsed() < within {
            thread::sleep(Duration::from_millis(5));
        }
        has_ended()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.tell_to_stop();
        let ended = self.thread.take().unwrap().join();
        assert!(ended.is_ok() || thread::panicking());
    }
}

fn archive() -> Archive {
    Archive::open(concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/archive")).unwrap()
}

fn until(what: impl Fn() -> bool) {
    let since = Instant::now();
    while !what() {
        assert!(since.elapsed() < PATIENCE);
        thread::sleep(Duration::from_millis(5));
    }
}

/// Authorizes once it is let to, and knows how many wait for that.
#[derive(Clone)]
struct Slow {
    waiting: Arc<AtomicUsize>,
    let_in: Arc<Semaphore>,
}

/// Something that is counted while it is there.
struct Counted(Arc<AtomicUsize>);

impl Counted {
    fn new(number: &Arc<AtomicUsize>) -> Self {
        number.fetch_add(1, Ordering::SeqCst);
        Self(Arc::clone(number))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Slow {
    fn new() -> Self {
        Self { waiting: Arc::default(), let_in: Arc::new(Semaphore::new(0)) }
    }

    fn waiting(&self) -> usize {
        self.waiting.load(Ordering::SeqCst)
    }
}

impl Authorizer for Slow {
    async fn authorize(&self, _: &Parts) -> Result<Grant, Refusal> {
        let _waits = Counted::new(&self.waiting);
        self.let_in.acquire().await.unwrap().forget();
        Ok(Grant::new([PERMISSION]))
    }
}

/// The bytes of an answer, which are counted while they are held.
struct Large(Vec<u8>, #[expect(dead_code, reason = "it counts where it is dropped")] Counted);

impl AsRef<[u8]> for Large {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl Large {
    /// As much as no socket takes.
    fn bytes(held: &Arc<AtomicUsize>) -> Bytes {
        let counted = Counted::new(held);
        Bytes::from_owner(Self(vec![b'x'; 50_000_000], counted))
    }
}
