//! Clients that are slow, many, rude or gone.

use std::{
    convert::Infallible,
    future::ready,
    io::{Read, Write},
    net::{Shutdown, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use axum::{
    Router,
    body::{Body, Bytes},
    http::request::Parts,
    routing::{get, post},
};
use flowseek::http::{Authorizer, Connections, FlowLogs, Grant, Loopback, PERMISSION, Refusal, not_found};
use futures::{StreamExt, stream};
use tokio::sync::Semaphore;

use super::{PATIENCE, Running, golden_archive, open};

use crate::folder::Folder;

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

fn golden(connections: Connections) -> (Folder, Running) {
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

/// An answer that is counted while it is held.
struct Large(Vec<u8>, #[expect(dead_code, reason = "it counts where it is dropped")] Waits);

impl AsRef<[u8]> for Large {
    fn as_ref(&self) -> &[u8] {
        &self.0
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

fn slow(slow: &Slow, connections: Connections) -> (Folder, Running) {
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
    let (made, held) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let counters = (Arc::clone(&made), Arc::clone(&held));
    let large = move || {
        counters.0.fetch_add(1, Ordering::SeqCst);
        counters.1.fetch_add(1, Ordering::SeqCst);
        let held = Waits(Arc::clone(&counters.1));
        async move { Body::from(Bytes::from_owner(Large(vec![b'x'; 50_000_000], held))) }
    };
    let app = Router::new().route("/large", get(large)).route("/small", get(async || "small"));
    let running = Running::routes(app, Connections { stall_time: SHORT, ..Connections::default() });
    let mut stalled = connect(&running);
    send(&mut stalled, "GET /large HTTP/1.1\r\nhost: localhost\r\n\r\n");
    // The answer is let go of although nobody has read it.
    until(|| made.load(Ordering::SeqCst) == 1 && held.load(Ordering::SeqCst) == 0);
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
        ("GET / HTTP/1.1\r\n\r\n".to_owned(), "400 Bad Request"),
        ("GET http://localhost/ HTTP/1.1\r\n\r\n".to_owned(), "400 Bad Request"),
        ("GET / HTTP/1.1\r\nhost: localhost\r\nhost: localhost\r\n\r\n".to_owned(), "400 Bad Request"),
        ("GET / HTTP/1.1\r\nhost: a b\r\n\r\n".to_owned(), "400 Bad Request"),
        (format!("{REQUEST}GET / HTTP/1.1\r\n\r\n"), "400 Bad Request"),
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

#[test]
fn a_request_of_http_1_0_need_not_name_its_host() {
    let (_directory, archive) = golden_archive();
    for app in [FlowLogs::new(archive.clone(), open).router(), FlowLogs::new(archive.clone(), Loopback).router()] {
        let running = Running::routes(app, Connections::default());
        for (text, status) in [
            ("GET /v2/audit/flow-logs?limit=1 HTTP/1.0\r\n\r\n", "200 OK"),
            ("GET /v2/audit/flow-logs?limit=1 HTTP/1.0\r\nhost: localhost\r\n\r\n", "200 OK"),
            ("GET /v2/audit/flow-logs?limit=1 HTTP/1.1\r\n\r\n", "400 Bad Request"),
            ("GET / HTTP/1.0\r\nhost: localhost\r\nHost: evil.example\r\n\r\n", "400 Bad Request"),
        ] {
            let mut stream = connect(&running);
            send(&mut stream, text);
            let answer = rest(&mut stream);
            assert!(answer.get(9..).unwrap().starts_with(status), "{answer} to {text}");
        }
    }
}

/// The next answer, to its end.
fn answer(stream: &mut TcpStream) -> String {
    let mut answer = Vec::new();
    let mut byte = [0];
    while !answer.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte).unwrap();
        answer.push(byte[0]);
    }
    let head = String::from_utf8(answer).unwrap();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    let mut body = vec![0; length.map_or(0, |length| length.parse().unwrap())];
    stream.read_exact(&mut body).unwrap();
    head + &String::from_utf8(body).unwrap()
}

const CHUNKED: &str = "transfer-encoding: chunked\r\n\r\n";

#[test]
fn the_short_body_of_a_request_is_read_and_its_connection_goes_on() {
    let (_directory, running) = golden(Connections::default());
    let mut stream = connect(&running);
    let long = "x".repeat(60_000);
    for (method, status) in [("GET", "200 OK"), ("POST", "405 Method Not Allowed"), ("BREW", "405 Method Not Allowed")]
    {
        for body in [
            "content-length: 0\r\n\r\n".to_owned(),
            "content-length: 3\r\n\r\nGET".to_owned(),
            format!("content-length: {}\r\n\r\n{long}", long.len()),
            format!("{CHUNKED}3\r\nGET\r\nea60\r\n{long}\r\n0\r\n\r\n"),
            format!("{CHUNKED}0\r\ntrailer: x\r\n\r\n"),
        ] {
            send(&mut stream, &format!("{method} /v2/audit/flow-logs?limit=1 HTTP/1.1\r\nhost: localhost\r\n{body}"));
            let answer = answer(&mut stream);
            assert!(answer.starts_with(&format!("HTTP/1.1 {status}\r\n")), "{answer} to {method} {body:.80}");
            assert!(!answer.contains("connection: close"), "{answer} to {method} {body:.80}");
        }
    }
    // Who asks first whether to send it is told so.
    send(&mut stream, "POST / HTTP/1.1\r\nhost: localhost\r\nexpect: 100-continue\r\ncontent-length: 3\r\n\r\n");
    assert_eq!(answer(&mut stream), "HTTP/1.1 100 Continue\r\n\r\n");
    send(&mut stream, "abc");
    assert!(answer(&mut stream).starts_with("HTTP/1.1 404 Not Found\r\n"));
}

#[test]
fn after_a_long_body_the_connection_is_closed_and_the_answer_arrives() {
    let (_directory, running) = golden(Connections::default());
    let long = "x".repeat(1_000_000);
    for body in [
        format!("content-length: {}\r\n\r\n{long}", long.len()),
        format!("{CHUNKED}f4240\r\n{long}\r\n0\r\n\r\n"),
        // Of which most is never sent.
        "content-length: 1000000\r\n\r\nx".to_owned(),
        "expect: 100-continue\r\ncontent-length: 1000000\r\n\r\n".to_owned(),
    ] {
        let mut stream = connect(&running);
        send(&mut stream, &format!("POST /v2/audit/flow-logs HTTP/1.1\r\nhost: localhost\r\n{body}"));
        let answer = rest(&mut stream);
        let (head, text) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("{answer:?} to {body:.80}"));
        assert!(head.starts_with("HTTP/1.1 405 Method Not Allowed\r\n"), "{head} to {body:.80}");
        assert!(head.contains("connection: close"), "{head} to {body:.80}");
        assert_eq!(text, "[\"allowed: GET, HEAD\"]", "{body:.80}");
    }
}

#[test]
fn a_route_of_ones_own_reads_bodies_of_any_length() {
    let app = Router::new().route("/", post(async |body: Bytes| body));
    let running = Running::routes(app.layer(axum::extract::DefaultBodyLimit::disable()), Connections::default());
    for length in [0, 3, 65_536, 65_537, 3_000_000] {
        let body: String = ('a'..='z').cycle().take(length).collect();
        let mut chunks = String::new();
        for chunk in body.as_bytes().chunks(10_000) {
            chunks += &format!("{:x}\r\n{}\r\n", chunk.len(), std::str::from_utf8(chunk).unwrap());
        }
        for request in [format!("content-length: {length}\r\n\r\n{body}"), format!("{CHUNKED}{chunks}0\r\n\r\n")] {
            let mut stream = connect(&running);
            send(&mut stream, &format!("POST / HTTP/1.1\r\nhost: localhost\r\n{request}"));
            let answer = answer(&mut stream);
            assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with(&body), "{length}: {answer:.200}");
        }
    }
}

#[test]
fn a_body_that_never_comes_or_is_none_ends_its_request() {
    let connections = Connections { stall_time: SHORT, head_time: PATIENCE * 10, ..Connections::default() };
    let (_directory, running) = golden(connections);
    for (body, status) in [
        ("content-length: 3\r\n\r\nab", "408 Request Timeout"),
        ("transfer-encoding: chunked\r\n\r\n", "408 Request Timeout"),
        ("transfer-encoding: chunked\r\n\r\n3\r\nab", "408 Request Timeout"),
        ("transfer-encoding: chunked\r\n\r\nnonsense\r\n", "400 Bad Request"),
    ] {
        let mut stream = connect(&running);
        send(&mut stream, &format!("GET /v2/audit/flow-logs HTTP/1.1\r\nhost: localhost\r\n{body}"));
        let answer = rest(&mut stream);
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}\r\n")), "{answer:?} to {body:?}");
        assert!(answer.contains("connection: close"), "{answer} to {body:?}");
        let (_, problems) = answer.split_once("\r\n\r\n").unwrap();
        assert_eq!(serde_json::from_str::<Vec<String>>(problems).unwrap().len(), 1);
    }
}

#[test]
fn a_client_that_sends_no_more_is_answered() {
    let large = || async { "x".repeat(5_000_000) };
    let (_directory, archive) = golden_archive();
    let app = FlowLogs::new(archive, open).router().route("/large", get(large));
    let running = Running::routes(app, Connections::default());
    for (request, answers, bytes) in [
        (REQUEST.to_owned(), 1, 100),
        (REQUEST.replace("1.1", "1.0"), 1, 100),
        (REQUEST.repeat(5), 5, 500),
        (REQUEST.replace("\r\n\r\n", "\r\ncontent-length: 3\r\n\r\nabc"), 1, 100),
        ("GET /large HTTP/1.1\r\nhost: localhost\r\n\r\n".repeat(2), 2, 10_000_000),
    ] {
        let mut stream = connect(&running);
        send(&mut stream, &request);
        stream.shutdown(Shutdown::Write).unwrap();
        let answer = rest(&mut stream);
        assert_eq!(answer.matches("HTTP/1.").count(), answers, "{answer:.500} to {request}");
        assert_eq!(answer.matches(" 200 OK\r\n").count(), answers, "{answer:.500} to {request}");
        assert!(answer.len() >= bytes, "{} bytes to {request}", answer.len());
    }
}

const PROVISIONAL: &str = "HTTP/1.1 100 Continue\r\n\r\n";

#[test]
fn a_client_that_sends_no_more_may_wait_long_for_its_answer() {
    let authorizer = Slow::new();
    let (_directory, running) = slow(&authorizer, Connections::default());
    let patient = |request: &str| {
        let mut stream = connect(&running);
        send(&mut stream, request);
        stream.shutdown(Shutdown::Write).unwrap();
        stream
    };
    let mut old = patient(&REQUEST.replace("1.1", "1.0"));
    let mut new = patient(REQUEST);
    until(|| authorizer.waiting() == 2);
    // It is asked whether it is still there by what means nothing to it.
    for _ in 0..3 {
        assert_eq!(answer(&mut new), PROVISIONAL);
    }
    assert_eq!(authorizer.waiting(), 2);
    authorizer.let_in.add_permits(2);
    let answer = rest(&mut new).replace(PROVISIONAL, "");
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with("}]"), "{answer}");
    // HTTP/1.0 knows no provisional answers.
    let answer = rest(&mut old);
    assert!(answer.starts_with("HTTP/1.0 200 OK\r\n") && answer.ends_with("}]"), "{answer}");
}

#[test]
fn nothing_comes_between_the_parts_of_an_answer() {
    let authorizer = Slow::new();
    let (_directory, archive) = golden_archive();
    let second = Arc::new(Semaphore::new(0));
    let waits = Arc::clone(&second);
    let parts = move || {
        let waits = Arc::clone(&waits);
        let first = stream::once(ready(Ok::<_, Infallible>("first ")));
        let second = stream::once(async move {
            waits.acquire().await.unwrap().forget();
            Ok("second")
        });
        ready(Body::from_stream(first.chain(second)))
    };
    let app = FlowLogs::new(archive, authorizer.clone()).router().route("/parts", get(parts));
    let running = Running::routes(app, Connections::default());
    let mut halved = connect(&running);
    send(&mut halved, "GET /parts HTTP/1.1\r\nhost: localhost\r\n\r\n");
    halved.shutdown(Shutdown::Write).unwrap();
    // Meanwhile another is asked several times whether it is there.
    let mut clock = connect(&running);
    send(&mut clock, REQUEST);
    clock.shutdown(Shutdown::Write).unwrap();
    for _ in 0..3 {
        assert_eq!(answer(&mut clock), PROVISIONAL);
    }
    second.add_permits(1);
    let answer = rest(&mut halved);
    assert!(answer.ends_with("\r\n\r\n6\r\nfirst \r\n6\r\nsecond\r\n0\r\n\r\n"), "{answer}");
}
