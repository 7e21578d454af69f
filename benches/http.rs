//! What HTTP adds to a page, and how many pages a second clients get over connections that stay open.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

mod common;

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    sync::{
        atomic::{AtomicBool, Ordering},
        mpsc::channel,
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use axum::{http::request::Parts, serve::ListenerExt};
use common::{fixture, measure, report::Report};
use flowseek::{
    Archive,
    generate::Generator,
    http::{FlowLogs, Grant, PERMISSION},
    ingest::LiveOptions,
    wire::{FlagsFormat, Request, write_array},
};
use serde_json::json;
use tokio::{net::TcpListener, runtime::Runtime};

const QUERIES: [&str; 4] = ["limit=1", "limit=100&reverse=true", "limit=1000", "dstPort=443&limit=100&reverse=true"];
const CLIENTS: [usize; 4] = [1, 16, 64, 256];

fn main() {
    let archive = fixture::written_to(&fixture::archive(fixture::flows()));
    let address = serve(&archive);
    let mut report = Report::new();
    let runtime = Runtime::new().unwrap();
    for query in QUERIES {
        let request = Request::parse(query).unwrap();
        let mut client = Client::new(address);
        let alone = || {
            let page = runtime.block_on(request.query(&archive.snapshot().unwrap()).page()).unwrap();
            let mut body = Vec::new();
            write_array(&mut body, &page.flows().unwrap(), FlagsFormat::Binary).unwrap();
            body
        };
        assert_eq!(client.ask(query), alone(), "{query}");
        let (mut by_library, mut over_http) = (|| drop(alone()), || drop(client.ask(query)));
        let times = measure::in_turn::<&mut dyn FnMut()>(&mut [&mut by_library, &mut over_http]);
        let [library_ms, http_ms] = [times[0], times[1]].map(|time| time.as_secs_f64() * 1e3);
        println!("{query}: {library_ms:.3} ms by the library with its JSON, {http_ms:.3} ms over HTTP");
        report.line(&json!({"suite": "http", "name": query, "library_ms": library_ms, "http_ms": http_ms}));
    }
    // From here on somebody writes as well.
    let writer = write(&archive);
    let pages = if measure::is_bench() { 20_000 } else { 8 };
    for clients in CLIENTS {
        let begun = Instant::now();
        let times = load(address, clients, pages);
        let rate = times.len() as f64 / begun.elapsed().as_secs_f64();
        let [p50, p99] = [0.5, 0.99].map(|share| measure::quantile(times.clone(), share).as_secs_f64() * 1e3);
        println!(
            "{clients} clients, 100 of the newest flows each: {rate:.0} pages/s, p50 {p50:.2} ms, p99 {p99:.2} ms"
        );
        report.line(&json!({"suite": "http", "name": format!("{clients} clients"), "p50_ms": p50, "p99_ms": p99}));
        let handles = std::fs::read_dir("/proc/self/fd").map_or(0, Iterator::count);
        let peak = measure::peak_memory().map_or(0, |bytes| bytes >> 20);
        println!("    {handles} open files, {peak} MiB of memory at most so far");
    }
    STOP.store(true, Ordering::Relaxed);
    println!("{} flows were appended and committed meanwhile", writer.join().unwrap());
}

static STOP: AtomicBool = AtomicBool::new(false);

/// Appends 5,000 flows a second, commits each second, and lets small segments be merged, until it is told to stop.
fn write(archive: &Archive) -> JoinHandle<u64> {
    let archive = archive.clone();
    thread::spawn(move || {
        let appender = archive.live_appender(LiveOptions::default()).unwrap();
        let runtime = Runtime::new().unwrap();
        let mut flows = Generator::new(11).flows(u64::MAX);
        let mut written = 0;
        while !STOP.load(Ordering::Relaxed) {
            let begun = Instant::now();
            let some: Vec<_> = flows.by_ref().take(5000).collect();
            runtime.block_on(async {
                drop(appender.append(some).await.unwrap());
                written += appender.commit().await.unwrap().flows;
            });
            thread::sleep(Duration::from_secs(1).saturating_sub(begun.elapsed()));
        }
        written
    })
}

/// Serves the endpoint, for as long as the process lives.
fn serve(archive: &Archive) -> SocketAddr {
    let open = |_: &Parts| Ok(Grant::new([PERMISSION]));
    let logs = FlowLogs::new(archive.clone(), open);
    let (address, addressed) = channel();
    thread::spawn(move || {
        Runtime::new().unwrap().block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            address.send(listener.local_addr().unwrap()).unwrap();
            let listener = listener.tap_io(|stream| stream.set_nodelay(true).unwrap());
            axum::serve(listener, logs.router()).await.unwrap();
        });
    });
    addressed.recv().unwrap()
}

/// How long each of `pages` took that `clients` have asked for at once.
fn load(address: SocketAddr, clients: usize, pages: usize) -> Vec<Duration> {
    thread::scope(|scope| {
        let client = || {
            let mut client = Client::new(address);
            let timed = |_| {
                let begun = Instant::now();
                client.ask(QUERIES[1]);
                begun.elapsed()
            };
            (0..pages.div_ceil(clients)).map(timed).collect::<Vec<_>>()
        };
        let clients: Vec<_> = (0..clients).map(|_| scope.spawn(client)).collect();
        clients.into_iter().flat_map(|client| client.join().unwrap()).collect()
    })
}

/// A client with no more to it than a connection.
struct Client {
    stream: TcpStream,
    read: Vec<u8>,
}

impl Client {
    fn new(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_nodelay(true).unwrap();
        Self { stream, read: vec![0; 1 << 20] }
    }

    /// The body of an answer.
    fn ask(&mut self, query: &str) -> Vec<u8> {
        let request = format!("GET /v2/audit/flow-logs?{query} HTTP/1.1\r\nhost: localhost\r\n\r\n");
        self.stream.write_all(request.as_bytes()).unwrap();
        let mut answer = Vec::new();
        // Where the body begins and ends.
        let mut body = None;
        while body.is_none_or(|(_, end)| answer.len() < end) {
            let read = self.stream.read(&mut self.read).unwrap();
            assert!(read > 0);
            answer.extend(&self.read[..read]);
            if let (None, Some(head)) = (body, answer.windows(4).position(|window| window == b"\r\n\r\n")) {
                let text = std::str::from_utf8(&answer[..head]).unwrap();
                assert!(text.starts_with("HTTP/1.1 200 OK"), "{text}");
                let length = text.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
                body = Some((head + 4, head + 4 + length.parse::<usize>().unwrap()));
            }
        }
        answer.split_off(body.unwrap().0)
    }
}
