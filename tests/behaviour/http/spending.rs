//! What is not spent on too many requests at once.

use std::{
    io::{Read, Write},
    net::TcpStream,
    thread,
    time::{Duration, Instant},
};

use flowseek::{http::Settings, query::Budget};

use super::{Answer, PATIENCE, Running, archive_of, golden_archive, many, open};

#[test]
fn of_many_at_once_some_are_answered_and_the_rest_told_to_come_again() {
    let settings = Settings { queries: 1, queue: 1, patience: PATIENCE, ..Settings::default() };
    let running = Running::with(archive_of(&many(20_000)), open, settings);
    let answers: Vec<Answer> = thread::scope(|scope| {
        let clients: Vec<_> =
            (0..32).map(|_| scope.spawn(|| running.ask("sort=sourceNode:desc&limit=1&count=exact"))).collect();
        clients.into_iter().map(|client| client.join().unwrap()).collect()
    });
    let busy = answers.iter().filter(|answer| answer.status == 503);
    for answer in busy.clone() {
        assert_eq!(answer.header("retry-after"), Some("1"));
        answer.problems(503);
    }
    let served = answers.iter().filter(|answer| answer.status == 200).count();
    assert!(served > 0 && busy.count() + served == 32);
    assert_eq!(running.ask("limit=1").flows().len(), 1);
}

#[test]
fn a_queue_that_is_long_enough_sends_nobody_away() {
    let settings = Settings { queries: 1, queue: 64, patience: PATIENCE, ..Settings::default() };
    let running = Running::with(golden_archive(), open, settings);
    thread::scope(|scope| {
        for _ in 0..32 {
            scope.spawn(|| assert_eq!(running.ask("sort=destBytes").status, 200));
        }
    });
}

#[test]
fn answers_that_nobody_reads_are_bounded_in_memory() {
    let settings = Settings { answer_bytes: 1 << 20, patience: Duration::ZERO, ..Settings::default() };
    let running = Running::with(archive_of(&many(10_000)), open, settings);
    // An answer is larger than what may be held, and than what the sockets take.
    let mut unread = TcpStream::connect(running.address).unwrap();
    unread.set_read_timeout(Some(PATIENCE)).unwrap();
    write!(unread, "GET /v2/audit/flow-logs?limit=10000 HTTP/1.1\r\nhost: localhost\r\n\r\n").unwrap();
    let mut head = [0; 12];
    unread.read_exact(&mut head).unwrap();
    assert_eq!(&head, b"HTTP/1.1 200");
    let other = running.ask("limit=10000");
    if other.status == 200 {
        // The sockets have taken all of it.
        assert!(other.flows().len() == 10_000);
        return;
    }
    other.problems(503);
    drop(unread);
    let since = Instant::now();
    while running.ask("limit=10000").status != 200 {
        assert!(since.elapsed() < PATIENCE);
    }
}

#[test]
fn a_request_whose_time_has_run_out_is_told_so() {
    let budget = Budget { time: Duration::ZERO, rows: u64::MAX };
    let settings = Settings { budget, overtime: Duration::ZERO, ..Settings::default() };
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
