//! Clients that are slow, many, rude or gone.

use std::{
    io::{Read, Write},
    net::{Shutdown, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use axum::{Router, http::request::Parts, routing::get};
use flowseek::http::{Authorizer, Connections, FlowLogs, Grant, PERMISSION, Refusal, not_found};
use tokio::sync::Semaphore;

use super::{PATIENCE, Running, golden_archive, open};

const SHORT: Duration = Duration::from_millis(200);

fn connect(running: &Running) -> TcpStream {
    let stream = TcpStream::connect(running.address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

fn send(stream: &mut TcpStream, text: &str) {
    stream.write_all(text.as_bytes()).unwrap();
}

/// What comes until the connection ends, in whichever way it does.
fn rest(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    let _ = stream.read_to_end(&mut bytes);
    String::from_utf8_lossy(&bytes).into_owned()
}

fn golden(connections: Connections) -> (tempfile::TempDir, Running) {
    let (directory, archive) = golden_archive();
    let app = FlowLogs::new(archive, open).router().fallback(not_found);
    (directory, Running::routes(app, connections))
}

fn until(what: impl Fn() -> bool) {
    let since = Instant::now();
    while !what() {
        assert!(since.elapsed() < PATIENCE);
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Authorizes once it is let to, and knows how many wait for that.
#[derive(Clone)]
struct Slow {
    waiting: Arc<AtomicUsize>,
    let_in: Arc<Semaphore>,
}

struct Waits(Arc<AtomicUsize>);

impl Drop for Waits {
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
        self.waiting.fetch_add(1, Ordering::SeqCst);
        let _waits = Waits(Arc::clone(&self.waiting));
        self.let_in.acquire().await.unwrap().forget();
        Ok(Grant::new([PERMISSION]))
    }
}

fn slow(slow: &Slow, connections: Connections) -> (tempfile::TempDir, Running) {
    let (directory, archive) = golden_archive();
    let logs = FlowLogs::new(archive, slow.clone());
    (directory, Running::routes(logs.router().merge(logs.operations()), connections))
}

const REQUEST: &str = "GET /v2/audit/flow-logs?limit=1 HTTP/1.1\r\nhost: localhost\r\n\r\n";

#[test]
fn a_client_that_never_ends_its_request_is_cut_off_and_others_are_served() {
    let (_directory, running) = golden(Connections { head_time: SHORT, ..Connections::default() });
    let mut slow = connect(&running);
    send(&mut slow, "GET /v2/audit/flow-logs HTTP/1.1\r\nhost: localhost\r\nx-slow: ");
    let mut silent = connect(&running);
    assert_eq!(running.ask("limit=1").flows().len(), 1);
    let mut idle = connect(&running);
    send(&mut idle, REQUEST);
    for stream in [&mut slow, &mut silent] {
        assert_eq!(rest(stream), "");
    }
    // An answered connection stays for the next request, but not for ever.
    assert!(rest(&mut idle).starts_with("HTTP/1.1 200 OK\r\n"));
}

#[test]
fn a_client_that_sends_a_byte_at_a_time_is_no_exception() {
    let (_directory, running) = golden(Connections { head_time: SHORT, ..Connections::default() });
    let mut slow = connect(&running);
    let since = Instant::now();
    let sent = REQUEST.trim_end().bytes().cycle().take_while(|byte| {
        std::thread::sleep(Duration::from_millis(10));
        slow.write_all(&[*byte]).is_ok()
    });
    let sent = sent.take(1000).count();
    assert!(sent < 1000 && since.elapsed() < PATIENCE, "{sent} bytes");
}

#[test]
fn idle_connections_make_place_for_others() {
    let (_directory, running) = golden(Connections { most: 4, ..Connections::default() });
    let idle: Vec<TcpStream> = (0..50).map(|_| connect(&running)).collect();
    for _ in 0..3 {
        assert_eq!(running.ask("limit=1").flows().len(), 1);
    }
    drop(idle);
    let mut kept = connect(&running);
    for _ in 0..2 {
        send(&mut kept, REQUEST);
        let mut answer = Vec::new();
        while !answer.ends_with(b"}]") {
            let mut piece = [0; 1024];
            let read = kept.read(&mut piece).unwrap();
            assert!(read > 0);
            answer.extend(&piece[..read]);
        }
        assert!(answer.starts_with(b"HTTP/1.1 200 OK"));
    }
}

#[test]
fn requests_in_work_do_not_make_place() {
    let authorizer = Slow::new();
    let (_directory, running) = slow(&authorizer, Connections { most: 2, ..Connections::default() });
    let mut busy = [connect(&running), connect(&running)];
    busy.iter_mut().for_each(|stream| send(stream, REQUEST));
    until(|| authorizer.waiting() == 2);
    let mut third = connect(&running);
    send(&mut third, REQUEST);
    std::thread::sleep(SHORT);
    assert_eq!(authorizer.waiting(), 2);
    authorizer.let_in.add_permits(3);
    for mut stream in busy.into_iter().chain([third]) {
        let mut head = [0; 15];
        stream.read_exact(&mut head).unwrap();
        assert_eq!(&head, b"HTTP/1.1 200 OK");
    }
}

#[test]
fn a_client_that_takes_nothing_of_its_answer_is_cut_off() {
    let large = || async { "x".repeat(50_000_000) };
    let app = Router::new().route("/large", get(large)).route("/small", get(async || "small"));
    let running = Running::routes(app, Connections { stall_time: SHORT, ..Connections::default() });
    let mut stalled = connect(&running);
    send(&mut stalled, "GET /large HTTP/1.1\r\nhost: localhost\r\n\r\n");
    std::thread::sleep(SHORT * 4);
    assert_eq!(running.get("/small", &[]).text(), "small");
    assert!(rest(&mut stalled).len() < 50_000_000);
    // One that only is slow is not.
    let mut slow = connect(&running);
    send(&mut slow, "GET /large HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
    let mut bytes = 0;
    let mut piece = vec![0; 5_000_000];
    while let Ok(read) = slow.read(&mut piece) {
        if read == 0 {
            break;
        }
        bytes += read;
        std::thread::sleep(Duration::from_millis(2));
    }
    assert!(bytes > 50_000_000, "{bytes}");
}

#[test]
fn a_client_that_goes_away_ends_its_work() {
    let authorizer = Slow::new();
    let (_directory, running) = slow(&authorizer, Connections::default());
    let mut streams = [connect(&running), connect(&running)];
    streams.iter_mut().for_each(|stream| send(stream, REQUEST));
    until(|| authorizer.waiting() == 2);
    let [gone, half] = streams;
    drop(gone);
    until(|| authorizer.waiting() == 1);
    half.shutdown(Shutdown::Both).unwrap();
    until(|| authorizer.waiting() == 0);
    let metrics = running.get("/metrics", &[]);
    assert!(metrics.text().contains("flowseek_requests_total{status=\"499\"} 2\n"), "{}", metrics.text());
}

#[test]
fn a_server_that_stops_ends_what_was_begun() {
    let authorizer = Slow::new();
    let (_directory, mut running) = slow(&authorizer, Connections::default());
    let mut begun = connect(&running);
    send(&mut begun, REQUEST);
    let mut idle = connect(&running);
    until(|| authorizer.waiting() == 1);
    running.tell_to_stop();
    assert_eq!(rest(&mut idle), "");
    until(|| TcpStream::connect(running.address).is_err());
    assert!(!running.has_ended(SHORT));
    authorizer.let_in.add_permits(1);
    let answer = rest(&mut begun);
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.contains("connection: close"), "{answer}");
    assert!(running.has_ended(PATIENCE));
}

#[test]
fn what_takes_longer_than_the_time_of_grace_is_cut_off() {
    let authorizer = Slow::new();
    let (_directory, mut running) = slow(&authorizer, Connections { grace: SHORT, ..Connections::default() });
    let mut begun = connect(&running);
    send(&mut begun, REQUEST);
    until(|| authorizer.waiting() == 1);
    running.tell_to_stop();
    assert!(running.has_ended(PATIENCE));
    assert_eq!(rest(&mut begun), "");
}

#[test]
fn what_is_no_request_is_told_so() {
    let (_directory, running) = golden(Connections::default());
    let long = "a".repeat(100_000);
    for (text, status) in [
        ("hello\r\n\r\n".to_owned(), "400 Bad Request"),
        ("GET / HTTP/9.9\r\n\r\n".to_owned(), "400 Bad Request"),
        (format!("GET / HTTP/1.1\r\nx: {long}\r\n\r\n"), "431 Request Header Fields Too Large"),
        (format!("GET / HTTP/1.1\r\n{}\r\n", "x: y\r\n".repeat(200)), "431 Request Header Fields Too Large"),
        (format!("GET /{long} HTTP/1.1\r\n\r\n"), "414 URI Too Long"),
        // After a request that was well it is the same.
        (format!("{REQUEST}hello\r\n\r\n"), "400 Bad Request"),
        (format!("{REQUEST}GET /{long}"), "414 URI Too Long"),
    ] {
        let mut stream = connect(&running);
        send(&mut stream, &text);
        let answer = rest(&mut stream);
        let (head, body) = answer.rsplit_once("\r\n\r\n").unwrap_or_else(|| panic!("{answer} to {text:.80}"));
        assert!(
            head.contains(&format!("HTTP/1.1 {status}\r\ncontent-type: application/json\r\n")),
            "{head} to {text:.80}"
        );
        assert_eq!(serde_json::from_str::<Vec<String>>(body).unwrap().len(), 1);
    }
}

#[test]
fn requests_may_come_without_waiting_for_answers() {
    let (_directory, running) = golden(Connections::default());
    let mut stream = connect(&running);
    send(&mut stream, &REQUEST.repeat(5));
    send(&mut stream, "GET /v2 HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
    let answers = rest(&mut stream);
    assert_eq!(answers.matches("HTTP/1.1 200 OK\r\n").count(), 5);
    assert_eq!(answers.matches("HTTP/1.1 404 Not Found\r\n").count(), 1);
}
