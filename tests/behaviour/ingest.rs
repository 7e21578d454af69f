//! Whole inputs into an archive: the flows of a reader that takes one line after the other, and no others.

use std::{
    fs::{self, File},
    io::{self, Cursor, Read, Write},
    path::{Path, PathBuf},
    sync::Arc,
    thread,
};

use arrow::{
    array::{
        ArrayRef, DictionaryArray, Float64Array, Int64Array, LargeStringArray, NullArray, RecordBatch, StringArray,
        StringViewArray, TimestampMicrosecondArray, TimestampNanosecondArray, UInt8Array,
    },
    datatypes::Int32Type,
};
use flowseek::{
    Archive, ErrorKind, Filter, Flow, Order, Result, Settings,
    archive::Depth,
    flow::{Field, Timestamp},
    import::{Format, Item, Reader, Rejected, decompress},
    ingest::{Appender, ImportEvent, ImportFormat, ImportOptions, ImportReport, Strictness},
    order::{Direction, SortKey},
};
use parquet::{arrow::ArrowWriter, file::properties::WriterProperties};
use proptest::{collection::vec, prelude::*};

use crate::{
    folder::Folder,
    support::{SAMPLES, append, block_on, flow},
};

pub fn sample(name: &str) -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "testdata", "import", name].iter().collect()
}

/// An archive of small segments, in a directory that lives as long as this.
pub struct Scratch {
    pub archive: Archive,
    _directory: Folder,
}

impl Scratch {
    pub fn new(segment_rows: usize) -> Self {
        let directory = Folder::new();
        let settings = Settings::default().segment_rows(segment_rows);
        let archive = Archive::open_or_create_with(directory.path().join("flows"), settings).unwrap();
        Self { archive, _directory: directory }
    }

    fn appender(&self) -> Appender {
        self.archive.appender().unwrap()
    }

    /// The flows in the archive, in the order they were appended.
    pub fn flows(&self) -> Vec<Flow> {
        block_on(async {
            let key = SortKey { field: Field::FlowId, direction: Direction::Ascending };
            let order = Order::new([key], Direction::Ascending);
            let query = self.archive.snapshot().unwrap().query(Filter::all()).order(order).limit(10_000);
            let mut page = query.clone().page().await.unwrap();
            let mut flows = Vec::new();
            loop {
                flows.extend(page.flows().unwrap().into_iter().map(|stored| stored.flow));
                let Some(next) = page.next else { break flows };
                page = query.clone().after(next).page().await.unwrap();
            }
        })
    }

    /// Imports, commits, and gives the report and what was rejected.
    fn import(
        &self,
        import: impl FnOnce(&mut Appender, &mut dyn FnMut(ImportEvent)) -> Result<ImportReport>,
    ) -> Outcome {
        let mut appender = self.appender();
        let mut outcome = Outcome::default();
        let mut observe = |event| match event {
            ImportEvent::Rejected(rejected) => outcome.rejected.push(rejected),
            ImportEvent::Progress { bytes, flows } => outcome.progress.push((bytes, flows)),
            other => panic!("{other:?}"),
        };
        let report = import(&mut appender, &mut observe);
        let _ = appender.commit().unwrap();
        Outcome { report: Some(report), ..outcome }
    }

    pub fn import_bytes(&self, bytes: impl AsRef<[u8]> + Send + 'static) -> Outcome {
        self.import(|appender, observer| appender.import(Cursor::new(bytes), ImportOptions::default(), observer))
    }

    pub fn import_file(&self, path: impl AsRef<Path>) -> Outcome {
        self.import(|appender, observer| appender.import_file(path, ImportOptions::default(), observer))
    }
}

impl Drop for Scratch {
    /// What an import has left is sound, whatever else a test asks.
    fn drop(&mut self) {
        if !thread::panicking() {
            let report = Archive::verify(self.archive.path(), Depth::Rows, &mut |_| {}).unwrap();
            assert!(report.is_sound(), "{report:?}");
        }
    }
}

#[derive(Default)]
pub struct Outcome {
    report: Option<Result<ImportReport>>,
    pub rejected: Vec<Rejected>,
    progress: Vec<(u64, u64)>,
}

impl Outcome {
    pub fn report(&self) -> ImportReport {
        self.report.as_ref().unwrap().as_ref().unwrap().clone()
    }

    /// What is said once of the input, sentence by sentence.
    pub fn remarks(&self) -> Vec<String> {
        self.report().remarks.to_string().lines().map(str::to_owned).collect()
    }

    pub fn error(&self) -> &flowseek::Error {
        self.report.as_ref().unwrap().as_ref().unwrap_err()
    }

    pub fn reasons(&self) -> Vec<String> {
        self.rejected.iter().map(Rejected::to_string).collect()
    }
}

/// What a reader makes of a text, line by line.
fn read(format: Format, text: &[u8]) -> (Vec<Flow>, Vec<Rejected>, u64) {
    let mut reader = Reader::new(format, text);
    let (mut flows, mut rejected) = (Vec::new(), Vec::new());
    for item in reader.by_ref() {
        match item.unwrap() {
            Item::Flow(flow) => flows.push(flow),
            Item::Rejected(line) => rejected.push(line),
        }
    }
    (flows, rejected, reader.skipped())
}

/// Lines of several chunks of an import, of which every 101st is no flow and every 57th is blank.
fn many_lines(count: usize) -> String {
    let line = |number: usize| match number {
        number if number % 101 == 0 => format!("{{\"startTime\":1,\"destPort\":{}}}\r\n", 70_000 + number),
        number if number % 57 == 0 => "\n".to_owned(),
        number => format!("{{\"startTime\":{number},\"destNode\":\"{}\"}}\n", "n".repeat(200)),
    };
    (1..=count).map(line).collect()
}

fn gzip(text: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(text).unwrap();
    encoder.finish().unwrap()
}

pub fn parquet(columns: Vec<(&str, ArrayRef)>) -> Vec<u8> {
    parquet_with(columns, WriterProperties::default())
}

pub fn parquet_with(columns: Vec<(&str, ArrayRef)>, properties: WriterProperties) -> Vec<u8> {
    let rows = RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, data)| (name, data, true)));
    let (rows, mut bytes) = (rows.unwrap(), Vec::new());
    let mut writer = ArrowWriter::try_new(&mut bytes, rows.schema(), Some(properties)).unwrap();
    writer.write(&rows).unwrap();
    writer.close().unwrap();
    bytes
}

#[test]
fn an_import_is_what_a_reader_makes_of_the_lines() {
    for (name, format) in SAMPLES {
        let mut text = Vec::new();
        decompress(File::open(sample(name)).unwrap()).unwrap().read_to_end(&mut text).unwrap();
        let (flows, rejected, skipped) = read(format, &text);
        let scratch = Scratch::new(64);
        let outcome = scratch.import_file(sample(name));
        let counts = (flows.len() as u64, rejected.len() as u64, skipped);
        let report = outcome.report();
        assert_eq!((report.imported, report.rejected, report.skipped), counts, "{name}");
        assert_eq!(outcome.rejected, rejected, "{name}");
        assert_eq!(scratch.flows(), flows, "{name}");
    }
}

#[test]
fn flows_and_the_numbers_of_rejected_lines_are_right_across_chunks() {
    let text = many_lines(12_000);
    assert!(text.len() > 2 * (1 << 20));
    let (flows, rejected, _) = read(Format::Json, text.as_bytes());
    let scratch = Scratch::new(1000);
    let outcome = scratch.import_bytes(text.clone());
    assert_eq!(outcome.rejected, rejected);
    assert_eq!(rejected.last().unwrap().number, 12_000 / 101 * 101);
    assert_eq!(scratch.flows(), flows);
    assert_eq!(outcome.progress.last(), Some(&(text.len() as u64, flows.len() as u64)));
    assert!(outcome.progress.is_sorted() && outcome.progress.len() > 2);
}

#[test]
fn the_headers_of_a_zeek_log_hold_for_all_its_chunks() {
    let header = "#separator \\x09\n#path\tconn\n#fields\tts\tid.orig_h\tid.resp_h\tproto\tuid\n";
    let rows = |first: u32| {
        (first..first + 20_000).map(|row| format!("{row}.0\t10.0.0.1\t10.0.0.9\tgre\t{}\n", "C".repeat(40)))
    };
    let turned = "#fields\tid.orig_h\tts\tproto\tid.resp_h\tuid\n10.0.0.2\t7.0\tgre\t10.0.0.8\tC\n";
    let text: String =
        [header.to_owned()].into_iter().chain(rows(1)).chain(rows(50_000)).chain([turned.to_owned()]).collect();
    let (flows, ..) = read(Format::Zeek, text.as_bytes());
    let scratch = Scratch::new(1 << 20);
    assert_eq!(scratch.import_bytes(text).report().imported, 40_001);
    assert_eq!(scratch.flows(), flows);
}

#[test]
fn an_overlong_line_and_bytes_that_are_not_utf_8_cost_only_themselves() {
    let good = b"{\"startTime\":1}\n".to_vec();
    let long = [vec![b' '; 3 << 20], b"\n".to_vec()].concat();
    let text = [&good[..], b"\n\xff\n", &long, &good, &long, b"\xff", &good, &good].concat();
    let (_, rejected, _) = read(Format::Json, &text);
    let outcome = Scratch::new(1000).import_bytes(text);
    assert_eq!(outcome.rejected, rejected);
    assert_eq!(rejected.iter().map(|rejected| rejected.number).collect::<Vec<_>>(), [3, 4, 6, 7]);
    assert_eq!(outcome.report(), ImportReport { imported: 3, rejected: 4, ..ImportReport::default() });
}

#[test]
fn a_strict_import_ends_at_the_first_bad_line_and_what_is_dropped_is_not_in_the_archive() {
    let scratch = Scratch::new(100);
    let options = ImportOptions::default().strictness(Strictness::Strict);
    let mut appender = scratch.appender();
    let error = appender.import(Cursor::new(many_lines(12_000)), options, &mut |_| {}).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    assert_eq!(error.to_string(), "line 101: destPort: 70101 is not a port from 0 to 65535");
    drop(appender);
    assert_eq!(scratch.flows(), []);
    assert_eq!(scratch.appender().commit().unwrap().flows, 0);
}

#[test]
fn a_file_that_was_cut_off_is_an_error_after_its_good_lines() {
    let text = many_lines(12_000);
    let whole = gzip(text.as_bytes());
    let half = whole[..whole.len() / 2].to_vec();
    let scratch = Scratch::new(1000);
    let outcome = scratch.import_bytes(half);
    assert_eq!(outcome.error().kind(), ErrorKind::InvalidInput);
    let flows = scratch.flows();
    let (all, ..) = read(Format::Json, text.as_bytes());
    assert!(flows.len() > 1000 && all.starts_with(&flows));
    assert_eq!(outcome.progress.last().unwrap().1, flows.len() as u64);
    let message = outcome.error().to_string();
    let line: usize = message.split([' ', ':']).find_map(|word| word.parse().ok()).unwrap();
    assert!(message.starts_with(&format!("the input cannot be read at line {line}: the gzip data is cut off")));
    let before: String = text.split_inclusive('\n').take(line - 1).collect();
    assert_eq!(read(Format::Json, before.as_bytes()).0, flows);
}

#[test]
fn an_input_that_the_system_cannot_read_is_not_called_damaged() {
    struct Failing(io::ErrorKind);
    impl Read for Failing {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(self.0.into())
        }
    }
    let scratch = Scratch::new(1000);
    for (failure, kind) in [
        (io::ErrorKind::TimedOut, ErrorKind::Busy),
        (io::ErrorKind::OutOfMemory, ErrorKind::Busy),
        (io::ErrorKind::PermissionDenied, ErrorKind::Io),
        (io::ErrorKind::UnexpectedEof, ErrorKind::InvalidInput),
    ] {
        let good = gzip(b"{\"startTime\":1}\n");
        let parquet = parquet(vec![("startTime", Arc::new(Int64Array::from(vec![1])))]);
        for begin in [&b"{\"startTime\":1}\n"[..], &good[..5], &parquet[..20]] {
            let input = Cursor::new(begin.to_vec()).chain(Failing(failure));
            let error = scratch.appender().import(input, ImportOptions::default(), &mut |_| {}).unwrap_err();
            assert_eq!(error.kind(), kind, "{failure:?}: {error}");
        }
    }
}

#[test]
fn an_input_of_no_known_format_is_refused_and_an_empty_one_has_no_flows() {
    let scratch = Scratch::new(1000);
    for text in ["start,end\n1,2\n", "PAR2", "[{\"startTime\":1}]"] {
        let outcome = scratch.import_bytes(text);
        assert_eq!(outcome.error().kind(), ErrorKind::InvalidInput);
        assert_eq!(
            outcome.error().to_string(),
            "the input is in none of the formats azure, binetflow, gcp, goflow2, hubble, json, nfdump-csv, ocsf, pmacct, rwcut, suricata, tailscale, vpc, zeek, parquet"
        );
    }
    for text in ["", "\n \r\n"] {
        assert_eq!(scratch.import_bytes(text).report(), ImportReport::default());
    }
    let missing = scratch.import_file("no such file");
    assert_eq!(missing.error().kind(), ErrorKind::Io);
    assert!(missing.error().to_string().starts_with("no such file cannot be opened"));
}

#[test]
fn a_named_format_is_not_guessed() {
    let scratch = Scratch::new(1000);
    let import = |format, text: &'static str| {
        let options = ImportOptions::default().format(format);
        scratch.appender().import(text.as_bytes(), options, &mut |_| {})
    };
    let zeek = r#"{"_path":"conn","ts":1,"id.orig_h":"10.0.0.1","id.resp_h":"10.0.0.2","proto":"gre"}"#;
    assert_eq!(import(ImportFormat::Lines(Format::Json), zeek).unwrap().rejected, 1);
    assert_eq!(import(ImportFormat::Lines(Format::Zeek), zeek).unwrap().imported, 1);
    let error = import(ImportFormat::Parquet, zeek).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    assert!(error.to_string().starts_with("the input is not Parquet, or it is damaged"), "{error}");
}

#[test]
fn a_full_disk_loses_nothing_and_the_same_appender_goes_on_after_it() {
    let scratch = Scratch::new(4);
    let flow = |number: i64| Flow::starting(Timestamp::from_millis(number).unwrap());
    let data = scratch.archive.path().join("data");
    let mut appender = scratch.appender();
    // No directory can be made where a file is.
    fs::remove_dir(&data).unwrap();
    File::create(&data).unwrap();
    let pushed = (0..).take_while(|number| appender.push(&flow(*number)).is_ok()).count() as i64;
    assert_eq!(pushed, 8);
    assert_eq!(appender.push(&flow(pushed)).unwrap_err().kind(), ErrorKind::Io);
    assert_eq!(appender.commit().unwrap_err().kind(), ErrorKind::Io);
    fs::remove_file(&data).unwrap();
    fs::create_dir(&data).unwrap();
    (pushed..30).for_each(|number| appender.push(&flow(number)).unwrap());
    assert_eq!(appender.commit().unwrap().flows, 30);
    assert_eq!(scratch.flows(), (0..30).map(flow).collect::<Vec<_>>());
}

#[test]
fn an_import_onto_a_full_disk_keeps_what_it_appended() {
    let scratch = Scratch::new(100);
    let text = many_lines(12_000);
    let (all, ..) = read(Format::Json, text.as_bytes());
    let data = scratch.archive.path().join("data");
    let mut appender = scratch.appender();
    fs::remove_dir(&data).unwrap();
    File::create(&data).unwrap();
    let error = appender.import(Cursor::new(text), ImportOptions::default(), &mut |_| {}).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Io);
    fs::remove_file(&data).unwrap();
    fs::create_dir(&data).unwrap();
    assert_eq!(appender.commit().unwrap().flows, 200);
    assert_eq!(scratch.flows(), all[..200]);
}

#[test]
fn an_appender_that_is_dropped_leaves_the_archive_free_at_once() {
    let scratch = Scratch::new(2);
    for _ in 0..20 {
        let mut appender = scratch.appender();
        (0..5).for_each(|_| appender.push(&Flow::starting(Timestamp::MIN)).unwrap());
    }
    assert_eq!(scratch.flows(), []);
    let folders = fs::read_dir(scratch.archive.path().join("data")).unwrap();
    assert_eq!(folders.flat_map(|folder| fs::read_dir(folder.unwrap().path()).unwrap()).count(), 0);
}

#[test]
fn a_segment_of_one_archive_gives_the_same_flows_in_another() {
    let scratch = Scratch::new(1000);
    let outcome = scratch.import_file(sample("argus-zeek.ndjson"));
    assert_eq!(outcome.report().imported, 100);
    let snapshot = scratch.archive.snapshot().unwrap();
    let [segment] = snapshot.manifest().segments.as_slice() else { panic!() };
    let path = scratch.archive.path().join(&segment.path);
    let mut newest_first = scratch.flows();
    newest_first.reverse();
    newest_first.sort_by_key(|flow| std::cmp::Reverse(flow.start_time));
    let (file, stream) = (Scratch::new(30), Scratch::new(30));
    assert_eq!(file.import_file(&path).report().imported, 100);
    assert_eq!(file.flows(), newest_first);
    assert_eq!(stream.import_bytes(fs::read(&path).unwrap()).report().imported, 100);
    assert_eq!(stream.flows(), newest_first);
}

#[test]
fn parquet_of_another_program_gives_the_flows_of_its_lines() {
    let (lines, columns) = (Scratch::new(1000), Scratch::new(1000));
    assert_eq!(lines.import_file(sample("westermo.ndjson")).report().imported, 250);
    let outcome = columns.import_file(sample("westermo.parquet"));
    assert_eq!(outcome.report().imported, 250);
    assert_eq!(outcome.progress.last(), Some(&(fs::metadata(sample("westermo.parquet")).unwrap().len(), 250)));
    assert_eq!(columns.flows(), lines.flows());
}

#[test]
fn foreign_parquet_is_read_as_the_same_values_in_json() {
    let protocols: DictionaryArray<Int32Type> = [Some("TCP"), Some("udp"), None, Some("TPC")].into_iter().collect();
    let nanoseconds = vec![Some(1_666_012_671_001_999_999), Some(-1), Some(0), Some(0)];
    let bytes = parquet(vec![
        ("startTime", Arc::new(TimestampNanosecondArray::from(nanoseconds))),
        ("endTime", Arc::new(Float64Array::from(vec![Some(1_666_012_672.5), None, None, None]))),
        ("sourceIP", Arc::new(StringViewArray::from(vec![Some("10.0.0.1"), Some("::ffff:10.0.0.2"), Some(""), None]))),
        ("destIP", Arc::new(LargeStringArray::from(vec![Some("2001:db8::1"), None, None, None]))),
        ("destPort", Arc::new(Int64Array::from(vec![Some(443), None, Some(70_000), None]))),
        ("sourcePort", Arc::new(Float64Array::from(vec![Some(40_000.0), None, None, None]))),
        ("sourceBytes", Arc::new(StringArray::from(vec![Some("18446744073709551615"), None, None, None]))),
        ("protocol", Arc::new(protocols)),
        ("tcpFlags", Arc::new(StringArray::from(vec![Some("00010010"), Some("0x12"), Some("18"), None]))),
        ("destNode", Arc::new(StringArray::from(vec![Some("db"), Some(""), None, None]))),
        ("activityID", Arc::new(NullArray::new(4))),
        ("packets", Arc::new(UInt8Array::from(vec![1, 2, 3, 4]))),
        ("node", Arc::new(StringArray::from(vec![Some("n1"), None, None, None]))),
    ]);
    let json = concat!(
        r#"{"startTime":1666012671.001,"endTime":1666012672.5,"sourceIP":"10.0.0.1","destIP":"2001:db8::1","#,
        r#""destPort":443,"sourcePort":40000,"sourceBytes":18446744073709551615,"protocol":"TCP","tcpFlags":18,"#,
        r#""destNode":"db","node":"n1"}"#,
        "\n",
        r#"{"startTime":-0.000000001,"sourceIP":"10.0.0.2","protocol":"UDP","tcpFlags":18}"#,
    );
    let (flows, ..) = read(Format::Json, json.as_bytes());
    let scratch = Scratch::new(1000);
    let outcome = scratch.import_bytes(bytes);
    let protocol = "row 4: protocol: \"TPC\" is not a protocol: a name such as TCP or an IANA number from 0 to 255";
    assert_eq!(outcome.reasons(), ["row 3: destPort: 70000 is not a port from 0 to 65535", protocol]);
    assert_eq!(scratch.flows(), flows);
}

#[test]
fn rows_of_parquet_are_numbered_across_chunks_and_zones_do_not_matter() {
    let times = (0..20_000).map(|row| (row % 9_999 != 0).then_some(row * 1_000_000));
    let times = TimestampMicrosecondArray::from_iter(times).with_timezone("+02:00");
    let scratch = Scratch::new(1000);
    let outcome = scratch.import_bytes(parquet(vec![("startTime", Arc::new(times))]));
    assert_eq!(outcome.rejected.iter().map(|rejected| rejected.number).collect::<Vec<_>>(), [1, 10_000, 19_999]);
    assert_eq!(outcome.rejected[0].reason, "startTime: it is missing, and every flow has a start");
    let flows = scratch.flows();
    assert_eq!(flows.len(), 19_997);
    assert_eq!(flows[0].start_time.as_millis(), 1000);
}

#[test]
fn parquet_without_a_start_or_with_a_wrong_column_is_one_error() {
    let numbers = || Arc::new(UInt8Array::from(vec![1])) as ArrayRef;
    let scratch = Scratch::new(1000);
    for (columns, reason) in [
        (vec![("start", numbers())], "the Parquet file has no column startTime (or start_time, as in an archive)"),
        (vec![("startTime", numbers()), ("destIP", numbers())], "column destIP has the type UInt8; allowed are"),
    ] {
        let outcome = scratch.import_bytes(parquet(columns));
        assert_eq!(outcome.error().kind(), ErrorKind::InvalidInput);
        assert!(outcome.error().to_string().starts_with(reason), "{}", outcome.error());
    }
}

#[test]
fn keys_that_no_flow_has_are_said_once_with_their_count_and_the_key_that_is_meant() {
    let line = "{\"startTime\":1700000000,\"sourceIp\":\"10.0.0.1\",\"srcPort\":40000,\"x\":{}}\n";
    let remark = |name: &str, count: u32, meant: &str| {
        format!("{name:?} is unknown and was ignored in {count} records; did you mean {meant:?}?")
    };
    // So many lines are read on several threads.
    let outcome = Scratch::new(100_000).import_bytes(line.repeat(40_000));
    assert_eq!(outcome.report().imported, 40_000);
    let unknown = "\"x\" is unknown and was ignored in 40000 records".to_owned();
    let sentences = [remark("sourceIp", 40_000, "sourceIP"), remark("srcPort", 40_000, "sourcePort"), unknown];
    assert_eq!(outcome.remarks(), sentences);
    let keys = outcome.report().remarks.unknown_keys();
    assert_eq!((keys[0].name.as_str(), keys[0].count, keys[0].meant), ("sourceIp", 40_000, Some("sourceIP")));

    for sample in ["westermo.ndjson", "argus-zeek.ndjson", "m57-conn.log.gz"] {
        assert_eq!(Scratch::new(1000).import_file(self::sample(sample)).remarks(), [""; 0], "{sample}");
    }
}

#[test]
fn logs_that_are_skipped_are_named() {
    let outcome = Scratch::new(1000).import_file(sample("apt29-zeek.log.gz"));
    let logs = outcome.report().remarks.skipped_logs();
    assert_eq!(logs.iter().map(|log| log.count).sum::<u64>(), outcome.report().skipped);
    assert!(logs.iter().any(|log| log.name == "dns"), "{logs:?}");
    assert!(
        outcome.remarks().contains(&format!("{} records of the log {:?} were skipped", logs[0].count, logs[0].name))
    );
}

#[test]
fn a_run_of_nul_bytes_costs_its_row_wherever_it_is() {
    let good = "{\"startTime\":1}\n";
    for length in [1, 100, 70_000, 3 << 20] {
        let hole = "\0".repeat(length);
        for (text, line) in [
            (format!("{hole}{good}{good}{good}"), 1),
            (format!("{good}{hole}{good}{good}"), 2),
            (format!("{good}{good}{hole}"), 3),
            (format!("{good}{good}{hole}\n"), 3),
        ] {
            let outcome = Scratch::new(1000).import_bytes(text);
            assert_eq!(outcome.report().imported, 2, "{length} in line {line}");
            assert_eq!(outcome.rejected.iter().map(|rejected| rejected.number).collect::<Vec<_>>(), [line]);
        }
    }
}

#[test]
fn nul_bytes_after_a_gzip_member_are_padding() {
    let line = |start: u32| format!("{{\"startTime\":{start}}}\n");
    let padding = vec![0; 10_000];
    let bytes = [gzip(line(1).as_bytes()), padding.clone(), gzip(line(2).as_bytes()), padding].concat();
    let scratch = Scratch::new(1000);
    assert_eq!(scratch.import_bytes(bytes).report(), ImportReport { imported: 2, ..ImportReport::default() });
}

#[test]
fn a_first_line_that_is_not_utf_8_does_not_hide_the_format() {
    let text = [&b"\xff\xfe\xfd\n"[..], b"{\"startTime\":1}\n"].concat();
    let report = Scratch::new(1000).import_bytes(text).report();
    assert_eq!((report.imported, report.rejected), (1, 1));
}

#[test]
fn a_file_that_ends_within_its_last_field_is_reported() {
    let header = "#fields\tts\tid.orig_h\tid.resp_h\tproto\tip_proto\n";
    let row = "1.5\t10.0.0.1\t10.0.0.2\tunknown_transport\t47\n";
    let whole = format!("{header}{row}{row}");
    for cut in 1..row.len() {
        let outcome = Scratch::new(1000).import_bytes(whole[..whole.len() - cut].to_owned());
        let report = outcome.report();
        assert_eq!((report.imported, report.rejected), (1, 1), "{cut} bytes are missing");
    }
    assert_eq!(Scratch::new(1000).import_bytes(whole.clone()).report().imported, 2);
    let unused = whole.replace("proto\tip_proto", "ip_proto\tuid").replace("unknown_transport\t47", "47\tCab");
    let outcome = Scratch::new(1000).import_bytes(unused[..unused.len() - 2].to_owned());
    assert_eq!(outcome.report().imported, 2);
    assert_eq!(outcome.remarks(), ["the last line has no end: the input may have been cut off there"]);
}

#[test]
fn damaged_parquet_is_an_error_or_other_rows_and_never_a_panic_that_reaches_the_caller() {
    let names: Vec<String> = (0..50).map(|row| format!("node-{row}")).collect();
    let whole = parquet(vec![
        ("startTime", Arc::new(Int64Array::from_iter_values(0..50))),
        ("destNode", Arc::new(StringArray::from(names))),
    ]);
    let scratch = Scratch::new(1000);
    let mut appender = scratch.appender();
    let mut import = |bytes: Vec<u8>| appender.import(Cursor::new(bytes), ImportOptions::default(), &mut |_| {});
    for length in (4..whole.len()).step_by(7) {
        assert_eq!(import(whole[..length].to_vec()).unwrap_err().kind(), ErrorKind::InvalidInput);
    }
    for at in 4..whole.len() {
        let mut damaged = whole.clone();
        damaged[at] ^= 1 << (at % 8);
        let _ = import(damaged);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn every_flow_comes_through_parquet_as_it_was(flows in vec(flow(), 1..40)) {
        let (first, second) = (Scratch::new(1000), Scratch::new(7));
        let stored = append(&first.archive, std::slice::from_ref(&flows));
        let snapshot = first.archive.snapshot().unwrap();
        let path = first.archive.path().join(&snapshot.manifest().segments[0].path);
        let outcome = second.import_file(path);
        prop_assert_eq!(outcome.reasons(), [""; 0]);
        let mut newest_first = stored;
        newest_first.sort_by_key(|stored| std::cmp::Reverse((stored.flow.start_time, stored.id)));
        let expected: Vec<Flow> = newest_first.into_iter().map(|stored| stored.flow).collect();
        prop_assert_eq!(second.flows(), expected);
    }
}
