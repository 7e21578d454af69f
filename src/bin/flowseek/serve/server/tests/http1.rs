//! Clients of HTTP/1.1 that are slow, many, rude or gone.

use std::{
    convert::Infallible,
    future::ready,
    io::{Read, Write},
    net::{Shutdown, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use axum::{Router, body::Body, routing::get};
use flowseek::http::{FlowLogs, Loopback};
use futures::{StreamExt, stream};
use tokio::sync::Semaphore;

use super::{AMPLE, Connections, Large, PATIENCE, Running, SHORT, Slow, archive, until};

fn send(stream: &mut TcpStream, text: &str) {
    stream.write_all(text.as_bytes()).unwrap();
}

/// What comes until the connection ends, in whichever way it does.
fn rest(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    let _ = stream.read_to_end(&mut bytes);
    String::from_utf8_lossy(&bytes).into_owned()
}

const ONE: &str = "/v2/audit/flow-logs?limit=1";
const REQUEST: &str = "GET /v2/audit/flow-logs?limit=1 HTTP/1.1\r\nhost: localhost\r\n\r\n";

#[test]
fn a_client_that_never_ends_its_request_is_cut_off_and_others_are_served() {
    let running = Running::open(Connections { head_time: SHORT, ..AMPLE });
    let mut slow = running.connect();
    send(&mut slow, "GET /v2/audit/flow-logs HTTP/1.1\r\nhost: localhost\r\nx-slow: ");
    let mut silent = running.connect();
    assert!(running.get(ONE).ends_with("}]"));
    let mut idle = running.connect();
    send(&mut idle, REQUEST);
    for stream in [&mut slow, &mut silent] {
        assert_eq!(rest(stream), "");
    }
    // An answered connection stays for the next request, but not for ever.
    assert!(rest(&mut idle).starts_with("HTTP/1.1 200 OK\r\n"));
}

#[test]
fn a_client_that_sends_a_byte_at_a_time_is_no_exception() {
    let running = Running::open(Connections { head_time: SHORT, ..AMPLE });
    let mut slow = running.connect();
    let since = Instant::now();
    let sent = REQUEST.trim_end().bytes().cycle().take_while(|byte| {
        thread::sleep(Duration::from_millis(10));
        slow.write_all(&[*byte]).is_ok()
    });
    let sent = sent.take(1000).count();
    assert!(sent < 1000 && since.elapsed() < PATIENCE, "{sent} bytes");
}

#[test]
fn idle_connections_make_place_for_others() {
    let running = Running::open(Connections { most: 4, ..AMPLE });
    let idle: Vec<TcpStream> = (0..50).map(|_| running.connect()).collect();
    for _ in 0..3 {
        assert!(running.get(ONE).ends_with("}]"));
    }
    drop(idle);
    let mut kept = running.connect();
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
    let running = Running::by(authorizer.clone(), Connections { most: 2, ..AMPLE });
    let mut busy = [running.connect(), running.connect()];
    busy.iter_mut().for_each(|stream| send(stream, REQUEST));
    until(|| authorizer.waiting() == 2);
    let mut third = running.connect();
    send(&mut third, REQUEST);
    thread::sleep(SHORT);
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
        let large = Large::bytes(&counters.1);
        counters.0.fetch_add(1, Ordering::SeqCst);
        ready(large)
    };
    let app = Router::new().route("/large", get(large)).route("/small", get(async || "small"));
    let running = Running::routes(app, Connections { stall_time: SHORT, ..AMPLE });
    let mut stalled = running.connect();
    send(&mut stalled, "GET /large HTTP/1.1\r\nhost: localhost\r\n\r\n");
    // The answer is let go of although nobody has read it.
    until(|| made.load(Ordering::SeqCst) == 1 && held.load(Ordering::SeqCst) == 0);
    assert_eq!(running.get("/small"), "small");
    assert!(rest(&mut stalled).len() < 50_000_000);
    // One that only is slow is not.
    let mut slow = running.connect();
    send(&mut slow, "GET /large HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
    let mut bytes = 0;
    let mut piece = vec![0; 5_000_000];
    while let Ok(read) = slow.read(&mut piece) {
        if read == 0 {
            break;
        }
        bytes += read;
        thread::sleep(Duration::from_millis(2));
    }
    assert!(bytes > 50_000_000, "{bytes}");
}

#[test]
fn a_client_that_goes_away_ends_its_work() {
    let authorizer = Slow::new();
    let running = Running::by(authorizer.clone(), AMPLE);
    let mut streams = [running.connect(), running.connect()];
    streams.iter_mut().for_each(|stream| send(stream, REQUEST));
    until(|| authorizer.waiting() == 2);
    let [gone, half] = streams;
    drop(gone);
    until(|| authorizer.waiting() == 1);
    half.shutdown(Shutdown::Both).unwrap();
    until(|| authorizer.waiting() == 0);
    let metrics = running.get("/metrics");
    assert!(metrics.contains("flowseek_requests_total{status=\"499\"} 2\n"), "{metrics}");
}

#[test]
fn a_server_that_stops_ends_what_was_begun() {
    let authorizer = Slow::new();
    let mut running = Running::by(authorizer.clone(), AMPLE);
    let mut begun = running.connect();
    send(&mut begun, REQUEST);
    let mut idle = running.connect();
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
    let mut running = Running::by(authorizer.clone(), Connections { grace: SHORT, ..AMPLE });
    let mut begun = running.connect();
    send(&mut begun, REQUEST);
    until(|| authorizer.waiting() == 1);
    running.tell_to_stop();
    assert!(running.has_ended(PATIENCE));
    assert_eq!(rest(&mut begun), "");
}

#[test]
fn what_is_no_request_is_told_so() {
    let running = Running::open(AMPLE);
    let long = "a".repeat(100_000);
    let host = "host: localhost\r\n";
    for (text, status) in [
        ("hello\r\n\r\n".to_owned(), "400 Bad Request"),
        ("GET / HTTP/9.9\r\n\r\n".to_owned(), "400 Bad Request"),
        ("GET / HTTP/1.1\r\n\r\n".to_owned(), "400 Bad Request"),
        ("GET http://localhost/ HTTP/1.1\r\n\r\n".to_owned(), "400 Bad Request"),
        (format!("GET / HTTP/1.1\r\n{host}{host}\r\n"), "400 Bad Request"),
        ("GET / HTTP/1.1\r\nhost: a b\r\n\r\n".to_owned(), "400 Bad Request"),
        (format!("{REQUEST}GET / HTTP/1.1\r\n\r\n"), "400 Bad Request"),
        (format!("GET / HTTP/1.1\r\nx: {long}\r\n\r\n"), "431 Request Header Fields Too Large"),
        (format!("GET / HTTP/1.1\r\n{}\r\n", "x: y\r\n".repeat(200)), "431 Request Header Fields Too Large"),
        (format!("GET /{} HTTP/1.1\r\n{host}\r\n", "a".repeat(66_000)), "414 URI Too Long"),
        (format!("GET /{long} HTTP/1.1\r\n{host}\r\n"), "414 URI Too Long"),
        (format!("GET /{} HTTP/1.1\r\n{host}\r\n", long.repeat(50)), "414 URI Too Long"),
        (format!("GET /{long}"), "414 URI Too Long"),
    ] {
        let mut stream = running.connect();
        // It may be refused before all of it is sent.
        let _ = stream.write_all(text.as_bytes());
        let answer = rest(&mut stream);
        let (head, body) = answer.rsplit_once("\r\n\r\n").unwrap_or_else(|| panic!("{answer} to {text:.80}"));
        let last = head.rsplit_once("HTTP/1.1 ").unwrap().1;
        assert!(
            last.starts_with(status) && last.contains("\r\ncontent-type: application/json\r\n"),
            "{head} to {text:.80}"
        );
        assert!(last.contains("\r\nconnection: close\r\n"), "{head} to {text:.80}");
        assert_eq!(serde_json::from_str::<Vec<String>>(body).unwrap().len(), 1);
    }
}

#[test]
fn what_is_no_request_behind_another_is_told_by_a_status() {
    let running = Running::open(AMPLE);
    let long = "a".repeat(70_000);
    for (text, status) in [
        ("hello\r\n\r\n".to_owned(), "400 Bad Request"),
        (format!("GET /{long} HTTP/1.1\r\n\r\n"), "414 URI Too Long"),
        (format!("GET / HTTP/1.1\r\nx: {long}{long}\r\n\r\n"), "431 Request Header Fields Too Large"),
    ] {
        let mut stream = running.connect();
        send(&mut stream, REQUEST);
        assert!(answer(&mut stream).starts_with("HTTP/1.1 200 OK\r\n"));
        send(&mut stream, &text);
        let answer = rest(&mut stream);
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}\r\n")), "{answer} to {text:.80}");
    }
}

#[test]
fn requests_may_come_without_waiting_for_answers() {
    let running = Running::open(AMPLE);
    let mut stream = running.connect();
    send(&mut stream, &REQUEST.repeat(5));
    send(&mut stream, "GET /v2 HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
    let answers = rest(&mut stream);
    assert_eq!(answers.matches("HTTP/1.1 200 OK\r\n").count(), 5);
    assert_eq!(answers.matches("HTTP/1.1 404 Not Found\r\n").count(), 1);
}

#[test]
fn a_request_of_http_1_0_need_not_name_its_host() {
    let open = Running::open(AMPLE);
    let loopback = Running::routes(FlowLogs::new(archive(), Loopback).router(), AMPLE);
    for running in [open, loopback] {
        for (text, status) in [
            ("GET /v2/audit/flow-logs?limit=1 HTTP/1.0\r\n\r\n", "200 OK"),
            ("GET /v2/audit/flow-logs?limit=1 HTTP/1.0\r\nhost: localhost\r\n\r\n", "200 OK"),
            ("GET /v2/audit/flow-logs?limit=1 HTTP/1.1\r\n\r\n", "400 Bad Request"),
            ("GET / HTTP/1.0\r\nhost: localhost\r\nHost: evil.example\r\n\r\n", "400 Bad Request"),
        ] {
            let mut stream = running.connect();
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
    let running = Running::open(AMPLE);
    let mut stream = running.connect();
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
fn a_long_body_is_refused_and_the_answer_arrives() {
    let running = Running::open(AMPLE);
    let long = "x".repeat(1_000_000);
    for body in [
        format!("content-length: {}\r\n\r\n{long}", long.len()),
        format!("{CHUNKED}f4240\r\n{long}\r\n0\r\n\r\n"),
        // Of which most is never sent.
        "content-length: 1000000\r\n\r\nx".to_owned(),
        "expect: 100-continue\r\ncontent-length: 1000000\r\n\r\n".to_owned(),
    ] {
        let mut stream = running.connect();
        send(&mut stream, &format!("POST /v2/audit/flow-logs HTTP/1.1\r\nhost: localhost\r\n{body}"));
        let answer = rest(&mut stream);
        let (head, text) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("{answer:?} to {body:.80}"));
        assert!(head.starts_with("HTTP/1.1 413 Payload Too Large\r\n"), "{head} to {body:.80}");
        assert!(head.contains("connection: close"), "{head} to {body:.80}");
        assert_eq!(text, "[\"the body of the request is too long; allowed: at most 65536 bytes\"]", "{body:.80}");
    }
}

#[test]
fn a_body_that_never_comes_or_is_none_ends_its_request() {
    let connections = Connections { stall_time: SHORT, head_time: PATIENCE * 10, ..AMPLE };
    let running = Running::open(connections);
    for (body, status) in [
        ("content-length: 3\r\n\r\nab", "408 Request Timeout"),
        ("transfer-encoding: chunked\r\n\r\n", "408 Request Timeout"),
        ("transfer-encoding: chunked\r\n\r\n3\r\nab", "408 Request Timeout"),
        ("transfer-encoding: chunked\r\n\r\nnonsense\r\n", "400 Bad Request"),
    ] {
        let mut stream = running.connect();
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
    let app = FlowLogs::new(archive(), Loopback).router().route("/large", get(large));
    let running = Running::routes(app, AMPLE);
    for (request, answers, bytes) in [
        (REQUEST.to_owned(), 1, 100),
        (REQUEST.replace("1.1", "1.0"), 1, 100),
        (REQUEST.repeat(5), 5, 500),
        (REQUEST.replace("\r\n\r\n", "\r\ncontent-length: 3\r\n\r\nabc"), 1, 100),
        ("GET /large HTTP/1.1\r\nhost: localhost\r\n\r\n".repeat(2), 2, 10_000_000),
    ] {
        let mut stream = running.connect();
        send(&mut stream, &request);
        stream.shutdown(Shutdown::Write).unwrap();
        // It may be asked meanwhile whether it is still there.
        let answer = rest(&mut stream).replace(PROVISIONAL, "");
        assert_eq!(answer.matches("HTTP/1.").count(), answers, "{answer:.500} to {request}");
        assert_eq!(answer.matches(" 200 OK\r\n").count(), answers, "{answer:.500} to {request}");
        assert!(answer.len() >= bytes, "{} bytes to {request}", answer.len());
    }
}

const PROVISIONAL: &str = "HTTP/1.1 100 Continue\r\n\r\n";

#[test]
fn a_client_that_sends_no_more_may_wait_long_for_its_answer() {
    let authorizer = Slow::new();
    let running = Running::by(authorizer.clone(), AMPLE);
    let patient = |request: &str| {
        let mut stream = running.connect();
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
    let app = FlowLogs::new(archive(), authorizer.clone()).router().route("/parts", get(parts));
    let running = Running::routes(app, AMPLE);
    let mut halved = running.connect();
    send(&mut halved, "GET /parts HTTP/1.1\r\nhost: localhost\r\n\r\n");
    halved.shutdown(Shutdown::Write).unwrap();
    // Meanwhile another is asked several times whether it is there.
    let mut clock = running.connect();
    send(&mut clock, REQUEST);
    clock.shutdown(Shutdown::Write).unwrap();
    for _ in 0..3 {
        assert_eq!(answer(&mut clock), PROVISIONAL);
    }
    second.add_permits(1);
    let answer = rest(&mut halved);
    assert!(answer.ends_with("\r\n\r\n6\r\nfirst \r\n6\r\nsecond\r\n0\r\n\r\n"), "{answer}");
}
