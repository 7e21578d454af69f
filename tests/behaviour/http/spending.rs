//! What is not spent on too many requests at once.

use std::{
    io::{Read, Write},
    net::TcpStream,
    thread,
    time::{Duration, Instant},
};

use flowseek::{http::EndpointSettings, query::Budget, wire::Limits};

use super::{PATIENCE, Running, archive_of, golden_archive, many, open};

#[test]
fn a_queue_that_is_long_enough_sends_nobody_away() {
    let settings = EndpointSettings::default().queries(1).queue(64).patience(PATIENCE);
    let running = Running::with(golden_archive(), open, settings);
    thread::scope(|scope| {
        for _ in 0..32 {
            scope.spawn(|| assert_eq!(running.ask("sort=destBytes").status, 200));
        }
    });
}

/// A client whose sockets hold little.
fn unread(running: &Running, request: &str) -> TcpStream {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().unwrap();
    let stream = runtime.block_on(async {
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(4096).unwrap();
        socket.connect(running.address).await.unwrap().into_std().unwrap()
    });
    stream.set_nonblocking(false).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    write!(&stream, "GET {request} HTTP/1.1\r\nhost: localhost\r\n\r\n").unwrap();
    let mut head = [0; 12];
    (&stream).read_exact(&mut head).unwrap();
    assert_eq!(&head, b"HTTP/1.1 200");
    stream
}

#[test]
fn answers_that_nobody_reads_are_bounded_in_memory() {
    // An answer is larger than what may be held, and than what the sockets take.
    let limits = Limits::default().largest_rows(60_000);
    let settings = EndpointSettings::default().answer_bytes(1 << 20).patience(Duration::ZERO).limits(limits);
    let running = Running::with(archive_of(&many(60_000)), open, settings);
    let unread = unread(&running, "/v2/audit/flow-logs?limit=60000");
    let busy = running.ask("limit=1");
    busy.problems(503);
    assert_eq!(busy.header("retry-after"), Some("1"));
    drop(unread);
    let since = Instant::now();
    while running.ask("limit=1").status != 200 {
        assert!(since.elapsed() < PATIENCE);
    }
}

#[test]
fn a_request_whose_time_has_run_out_is_told_so() {
    let budget = Budget::default().time(Duration::ZERO).rows(u64::MAX);
    let settings = EndpointSettings::default().budget(budget).overtime(Duration::ZERO);
    let running = Running::with(archive_of(&many(20_000)), open, settings);
    let since = Instant::now();
    loop {
        let answer = running.ask("sort=sourceNode:desc&limit=10000");
        if answer.status == 503 {
            assert!(answer.problems(503)[0].contains("time"));
            assert_eq!(answer.header("retry-after"), Some("1"));
            break;
        }
        assert!(since.elapsed() < PATIENCE);
    }
}
