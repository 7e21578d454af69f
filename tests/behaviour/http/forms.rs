//! The same flows in other forms, compressed, and all of them at once.

use std::{
    io::{self, Read, Write},
    net::TcpStream,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use arrow::{
    array::{Array, AsArray},
    datatypes::UInt64Type,
    ipc::reader::StreamReader,
};
use flate2::read::MultiGzDecoder;
use flowseek::{Archive, Settings as ArchiveSettings, http::EndpointSettings, wire::Limits};
use rustix::io::Errno;
use serde_json::Value;

use super::{PATIENCE, Running, archive_of, golden_archive, many, open};
use crate::hooked::Hooked;

const PATH: &str = "/v2/audit/flow-logs";

fn lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn the_same_page_comes_as_json_lines_csv_or_arrow() {
    let running = Running::golden();
    let path = format!("{PATH}?sort=destBytes:desc&limit=20");
    let json = running.get(&path, &[]);
    let get = |accept: &str, media_type: &str| {
        let answer = running.get(&path, &[("accept", accept)]);
        assert_eq!((answer.status, answer.header("content-type")), (200, Some(media_type)), "{accept}");
        for name in ["x-next-page", "link", "x-total-count"] {
            assert_eq!(answer.header(name), json.header(name), "{accept}: {name}");
        }
        assert_eq!(answer.header("vary"), Some("accept, accept-encoding, authorization"));
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        answer
    };
    let flows = json.flows();
    assert_eq!(lines(get("application/x-ndjson", "application/x-ndjson").text()), flows);
    let csv = get("text/csv, */*;q=0.1", "text/csv; charset=utf-8; header=present");
    let mut records = csv::Reader::from_reader(csv.body.as_slice());
    let header = records.headers().unwrap().clone();
    for (record, flow) in records.records().map(Result::unwrap).zip(&flows) {
        for (name, text) in header.iter().zip(&record) {
            let expected = match &flow[name] {
                Value::Null => String::new(),
                Value::String(text) => text.clone(),
                number => number.to_string(),
            };
            assert_eq!(text, expected, "{name}");
        }
    }
    assert_eq!(csv.text().lines().count(), flows.len() + 1);

    let media_type = "application/vnd.apache.arrow.stream";
    let arrow = get(media_type, media_type);
    let batches: Vec<_> = StreamReader::try_new(arrow.body.as_slice(), None).unwrap().map(Result::unwrap).collect();
    let [batch] = batches.as_slice() else { panic!("{} batches", batches.len()) };
    assert_eq!(batch.num_rows(), flows.len());
    for (row, flow) in flows.iter().enumerate() {
        let text = |name: &str| {
            let column = batch.column_by_name(name).unwrap().as_string::<i32>();
            if column.is_valid(row) { Value::from(column.value(row)) } else { Value::Null }
        };
        for name in ["destIP", "sourceIP", "destNode", "sourceNode", "protocol", "tcpFlags", "activityID"] {
            assert_eq!(text(name), flow[name], "{name}");
        }
        let bytes = batch.column_by_name("destBytes").unwrap().as_primitive::<UInt64Type>();
        assert_eq!(bytes.is_valid(row).then(|| bytes.value(row)), flow["destBytes"].as_u64());
    }
}

#[test]
fn a_page_without_flows_is_whole_in_every_form() {
    let running = Running::golden();
    let get = |accept| running.get(&format!("{PATH}?limit=0"), &[("accept", accept)]).body;
    assert_eq!(get("application/json"), b"[]");
    assert_eq!(get("application/x-ndjson"), b"");
    assert!(get("text/csv").starts_with(b"activityID,"));
    let arrow = get("application/vnd.apache.arrow.stream");
    let rows: usize =
        StreamReader::try_new(arrow.as_slice(), None).unwrap().map(|batch| batch.unwrap().num_rows()).sum();
    assert_eq!(rows, 0);
}

#[test]
fn an_answer_is_compressed_where_that_is_asked_for() {
    let running = Running::golden();
    let plain = running.get(PATH, &[]);
    assert_eq!(plain.header("content-encoding"), None);
    let gzip = running.get(PATH, &[("accept-encoding", "gzip")]);
    assert_eq!(gzip.header("content-encoding"), Some("gzip"));
    let mut text = Vec::new();
    MultiGzDecoder::new(gzip.body.as_slice()).read_to_end(&mut text).unwrap();
    assert_eq!(text, plain.body);
    let zstd = running.get(PATH, &[("accept-encoding", "gzip;q=0.5, zstd")]);
    assert_eq!(zstd.header("content-encoding"), Some("zstd"));
    assert_eq!(zstd::decode_all(zstd.body.as_slice()).unwrap(), plain.body);
    assert!(gzip.body.len() < plain.body.len() / 2 && zstd.body.len() < plain.body.len() / 2);
}

fn exporting(exports: usize) -> EndpointSettings {
    EndpointSettings::default().exports(exports).limits(Limits::default().largest_rows(7).default_rows(7))
}

#[test]
fn an_export_is_every_match_in_order_in_every_form() {
    let running = Running::with(golden_archive(), open, exporting(1));
    let mut walked = Vec::new();
    let mut next = String::new();
    loop {
        let page = running.ask(&format!("sort=sourcePort&protocol=TCP,UDP&page={next}"));
        walked.extend(page.flows());
        match page.header("x-next-page") {
            Some(cursor) => next = cursor.to_owned(),
            None => break,
        }
    }
    assert!(walked.len() > 14);
    let export = |headers: &[(&str, &str)]| {
        let answer = running.get(&format!("{PATH}?sort=sourcePort&protocol=TCP,UDP&limit=all&count=exact"), headers);
        assert_eq!((answer.status, answer.header("x-next-page")), (200, None));
        assert_eq!(answer.header("vary"), Some("accept, accept-encoding, authorization"));
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        assert_eq!(answer.header("x-total-count"), Some(walked.len().to_string().as_str()));
        answer
    };
    assert_eq!(export(&[]).flows(), walked);
    assert_eq!(lines(export(&[("accept", "application/x-ndjson")]).text()), walked);
    assert_eq!(export(&[("accept", "text/csv")]).text().lines().count(), walked.len() + 1);
    let zstd = export(&[("accept-encoding", "zstd")]);
    assert_eq!(serde_json::from_slice::<Vec<Value>>(&zstd::decode_all(zstd.body.as_slice()).unwrap()).unwrap(), walked);
    let arrow = export(&[("accept", "application/vnd.apache.arrow.stream"), ("accept-encoding", "gzip")]);
    let reader = StreamReader::try_new(MultiGzDecoder::new(arrow.body.as_slice()), None).unwrap();
    assert_eq!(reader.map(|batch| batch.unwrap().num_rows()).sum::<usize>(), walked.len());
    // From a page on it goes on from there.
    let first = running.ask("sort=sourcePort&protocol=TCP,UDP");
    let rest = running
        .ask(&format!("sort=sourcePort&protocol=TCP,UDP&limit=all&page={}", first.header("x-next-page").unwrap()));
    assert_eq!([first.flows(), rest.flows()].concat(), walked);
}

#[test]
fn an_export_has_to_be_allowed() {
    let running = Running::with(golden_archive(), open, exporting(0));
    assert_eq!(running.ask("limit=all").problems(422), [r#"`limit`: "all" is not a limit; allowed: 0 to 7"#]);
}

/// Begins an export and reads no more than its head.
fn begin(running: &Running) -> TcpStream {
    let mut stream = TcpStream::connect(running.address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    write!(stream, "GET {PATH}?limit=all HTTP/1.1\r\nhost: localhost\r\n\r\n").unwrap();
    let mut head = [0; 12];
    stream.read_exact(&mut head).unwrap();
    assert_eq!(&head, b"HTTP/1.1 200");
    stream
}

#[test]
fn exports_are_few_and_a_client_that_leaves_gives_its_place_up() {
    // More than the buffers of a socket hold.
    let limits = Limits::default().largest_rows(1000);
    let settings = EndpointSettings::default().exports(1).limits(limits);
    let running = Running::with(archive_of(&many(60_000)), open, settings);
    let unread = begin(&running);
    let busy = running.ask("limit=all");
    busy.problems(503);
    assert_eq!(busy.header("retry-after"), Some("1"));
    assert_eq!(running.ask("limit=5").flows().len(), 5);
    drop(unread);
    let since = Instant::now();
    while running.ask("limit=all&sTime=59990").status != 200 {
        assert!(since.elapsed() < PATIENCE);
    }
    let metrics = running.get("/metrics", &[]);
    assert!(metrics.text().contains("flowseek_exports_broken_off_total 1\n"), "{}", metrics.text());
}

#[test]
fn an_export_that_cannot_be_finished_does_not_look_whole() {
    let limits = Limits::default().largest_rows(10);
    let settings = EndpointSettings::default().exports(1).limits(limits).export_time(Duration::from_millis(200));
    let running = Running::with(archive_of(&many(20_000)), open, settings);
    let mut stream = begin(&running);
    let mut rest = Vec::new();
    // The end of the connection may be an error, too.
    let _ = stream.read_to_end(&mut rest);
    assert!(!rest.ends_with(b"0\r\n\r\n"), "the last chunk was sent");
    let text = String::from_utf8_lossy(&rest);
    assert!(text.contains("transfer-encoding: chunked") && !text.trim_end().ends_with(']'));
}

#[test]
fn an_export_waits_for_what_the_system_lacks_for_a_while_and_is_whole() {
    let (directory, archive) = archive_of(&many(20_000));
    drop(archive);
    // So many reads fail.
    let lacking = Arc::new(AtomicUsize::new(0));
    let hook = {
        let lacking = Arc::clone(&lacking);
        move |_: &Path, _| match lacking.fetch_update(Relaxed, Relaxed, |left| left.checked_sub(1)) {
            Ok(_) => Err(io::Error::from_raw_os_error(Errno::NOMEM.raw_os_error())),
            Err(_) => Ok(()),
        }
    };
    let settings = ArchiveSettings::default().storage(Arc::new(Hooked::new(hook)));
    let archive = Archive::open_with(directory.path(), settings).unwrap();
    let limits = Limits::default().largest_rows(100);
    let settings = EndpointSettings::default().exports(1).limits(limits);
    let running = Running::with((directory, archive), open, settings);
    let mut stream = begin(&running);
    lacking.store(3, Relaxed);
    let mut rest = Vec::new();
    let end = b"]\r\n0\r\n\r\n";
    while !rest.ends_with(end) {
        let mut part = [0; 1 << 16];
        let length = stream.read(&mut part).unwrap();
        assert!(length > 0, "the export was broken off");
        rest.extend(&part[..length]);
    }
    assert_eq!(lacking.load(Relaxed), 0);
    let flows = rest.windows(b"\"startTime\"".len()).filter(|part| part == b"\"startTime\"").count();
    assert!((19_900..=20_000).contains(&flows), "{flows}, but for those that a chunk cuts in two");
}
