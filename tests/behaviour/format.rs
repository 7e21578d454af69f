//! Files of version 1 are read for ever.

use std::{
    fs,
    path::{Path, PathBuf},
};

use arrow::util::pretty::pretty_format_batches;
use datafusion::prelude::SessionConfig;
use flowseek::{
    Archive, Cursor, ErrorKind, Flow, FlowId, Order, Settings,
    archive::{Depth, Effort, FindingKind},
    filter,
    flow::{AddressRange, Field, FlowFlags, Protocol, TcpFlags, Timestamp},
    order::{Direction, SortKey},
    query::{Count, Pruning, Start, archive_session, limited_memory},
    wire::{Request, View, write_line},
};
use parquet::file::reader::{FileReader, SerializedFileReader};
use proptest::{collection::vec, prelude::*};
use twox_hash::XxHash64;

use crate::{
    folder::Folder,
    kept::{flow, now},
    support::{self, append, block_on, edit_manifest, oracle},
};

fn frozen() -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "testdata", "format", "v1"].iter().collect()
}

/// A copy of the frozen archive.
fn copied() -> Folder {
    copy_of(&frozen())
}

fn copy_of(archive: &Path) -> Folder {
    let directory = Folder::new();
    for folder in ["data", "manifests", "retired"].into_iter().filter(|folder| archive.join(folder).exists()) {
        fs::create_dir(directory.path().join(folder)).unwrap();
        for file in fs::read_dir(archive.join(folder)).unwrap() {
            let file = file.unwrap();
            fs::copy(file.path(), directory.path().join(folder).join(file.file_name())).unwrap();
        }
    }
    directory
}

/// All flows of a query, page by page, as the endpoint answers them, with their IDs and the nodes that logged them.
fn answer(archive: &Archive, query: &str) -> String {
    let snapshot = archive.snapshot().unwrap();
    let view = View::default().with(Request::parse(query).unwrap().fields);
    let mut text = String::new();
    let mut cursor: Option<Cursor> = None;
    loop {
        let mut query = Request::parse(query).unwrap().query(&snapshot);
        if let Some(cursor) = cursor.take() {
            query = query.after(cursor);
        }
        let page = block_on(query.page()).unwrap();
        for stored in page.flows().unwrap() {
            let mut line = Vec::new();
            write_line(&mut line, &stored.flow, view.clone()).unwrap();
            let node = stored.flow.node_id.as_deref().unwrap_or("-");
            text += &format!("{} {node} {}", stored.id.get(), String::from_utf8(line).unwrap());
        }
        match page.next {
            Some(next) => cursor = Some(next),
            None => return text,
        }
    }
}

fn count(archive: &Archive, filter: flowseek::Filter) -> u64 {
    let query = archive.snapshot().unwrap().query(filter).limit(0).count(Count::Exact);
    block_on(query.page()).unwrap().total.unwrap()
}

fn sum(text: &str) -> u64 {
    XxHash64::oneshot(0, text.as_bytes())
}

#[test]
fn an_archive_of_version_1_gives_the_answers_that_it_gave_when_it_was_written() {
    let directory = copied();
    let archive = Archive::open(directory.path()).unwrap();
    let by_time = answer(&archive, "limit=47");
    assert_eq!((by_time.lines().count(), sum(&by_time)), (300, 17_253_736_142_821_058_528));
    let by_bytes = answer(&archive, "limit=31&sort=destBytes:desc,srcIp,sourceNode:desc");
    assert_eq!((by_bytes.lines().count(), sum(&by_bytes)), (300, 380_974_244_167_908_417));
    let counts = [
        filter::dst_port().eq(443),
        filter::protocol().eq(Protocol::UDP),
        filter::src_ip().any_of(["10.0.0.0/8".parse::<AddressRange>().unwrap()]),
        filter::tcp_flags().carries_any([TcpFlags::new(2)]),
        !filter::end_time().lte("9999-01-01T00:00:00Z".parse::<Timestamp>().unwrap()),
    ]
    .map(|filter| {
        let matching = now(&archive).iter().filter(|flow| filter.matches(flow)).count() as u64;
        assert_eq!(count(&archive, filter), matching);
        matching
    });
    assert_eq!(counts, [104, 71, 230, 174, 26]);
}

#[test]
fn an_archive_of_version_1_that_nobody_may_change_gives_cursors_which_outlive_its_first_change() {
    let first = |archive: &Archive| {
        let query = archive.snapshot().unwrap().query(filter::Filter::all()).limit(7);
        block_on(query.page()).unwrap().next.unwrap()
    };
    let frozen = Archive::open(frozen()).unwrap();
    let directory = copied();
    let copy = Archive::open(directory.path()).unwrap();
    let cursor = first(&frozen);
    // Whatever changes in this version, it derives the same identity and key.
    let text = "AsGAhAg1HuXvqRIBfAPzRJhBHhrMNUC1tMjk8qWI9AM9GB9n-B45jj_0ajhiNOY92j6O-c9miuu8JNvYg0E";
    assert_eq!(cursor.to_string(), text);
    assert_eq!(first(&copy), cursor);
    let second = |archive: &Archive| {
        let query = archive.snapshot().unwrap().query(filter::Filter::all()).limit(7);
        block_on(query.after(cursor.clone()).page()).unwrap().flows().unwrap()
    };
    let flows = second(&frozen);
    append(&copy, &[vec![flow(1), flow(2)]]);
    assert!(second(&Archive::open(directory.path()).unwrap()) == flows);
    let compactor = copy.writer().unwrap().compactor();
    while compactor.run_once(Effort::Full).unwrap().is_some() {}
    drop(compactor);
    assert!(second(&copy) == flows);
}

/// The frozen archive, as it was compacted when segments got lists of rows.
fn with_rows() -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "testdata", "format", "v1-rows"].iter().collect()
}

#[test]
fn segments_with_lists_of_rows_answer_what_those_without_answer_and_count_without_reading() {
    let (without, with) = (Archive::open(frozen()).unwrap(), Archive::open(with_rows()).unwrap());
    assert!(now(&with) == now(&without), "other flows");
    let tcp = || filter::protocol().eq(Protocol::TCP);
    let ports = || filter::dst_port().within(..1024);
    let nodes = || filter::src_node().any_of(["node-000", "node-001", "node-002"]);
    let mut read = (0, 0);
    for filter in
        [tcp().and(ports()), tcp().and(nodes()), nodes().or(ports()), nodes().and(!ports()), !(tcp().and(nodes()))]
    {
        let counted = [&without, &with].map(|archive| {
            let query = archive.snapshot().unwrap().query(filter.clone()).limit(0).count(Count::Exact);
            block_on(query.page()).unwrap()
        });
        assert!(counted[0].total.is_some() && counted[0].total == counted[1].total, "{filter}");
        read = (read.0 + counted[0].explain.rows_counted, read.1 + counted[1].explain.rows_counted);
    }
    assert!(read.1 < read.0 / 2, "{read:?}");
    let report = Archive::verify(with_rows(), Depth::Rows, &mut |_| {}).unwrap();
    assert_eq!((report.findings, report.segments), (Vec::new(), 1));
}

#[test]
fn an_archive_of_segments_with_and_without_lists_of_rows_answers_right() {
    let directory = copied();
    let archive = Archive::open(directory.path()).unwrap();
    let mut flows = now(&archive);
    flows.extend(append(&archive, &[flowseek::generate::Generator::new(7).flows(400).skip(100).collect()]));
    for query in [
        "dstPort=443&protocol=TCP",
        "srcNode=node-000,node-001&dstPort=0-1024",
        "tcpFlags=SYN&srcIp=10.0.0.0/8&reverse=true",
        "protocolOp=ne&protocol=TCP&port=443",
        "anyNode=node-003&port=53&sort=destBytes:desc",
        "dstPortOp=ne&dstPort=443&protocol=UDP",
    ] {
        let request = Request::parse(query).unwrap();
        let snapshot = archive.snapshot().unwrap();
        let page = block_on(request.query(&snapshot).limit(10_000).count(Count::Exact).page()).unwrap();
        let all = block_on(request.query(&snapshot).limit(10_000).pruning(Pruning::Off).page()).unwrap();
        assert!(page.flows().unwrap() == all.flows().unwrap(), "{query}");
        assert_eq!(page.total, Some(all.batch.num_rows() as u64), "{query}");
    }
}

#[test]
fn an_archive_of_version_1_is_sound_and_can_be_written_on() {
    let directory = copied();
    let report = Archive::verify(directory.path(), Depth::Rows, &mut |_| {}).unwrap();
    assert_eq!((report.findings, report.segments), (Vec::new(), 2));
    let archive = Archive::open(directory.path()).unwrap();
    let before = now(&archive);
    let added = append(&archive, &[vec![flow(1), flow(2)]]);
    assert_eq!(added[0].id, FlowId::new(301));
    let compactor = archive.writer().unwrap().compactor();
    while compactor.run_once(Effort::Full).unwrap().is_some() {}
    drop(compactor);
    assert_eq!(archive.snapshot().unwrap().manifest().segments.len(), 1);
    let mut after = now(&archive);
    after.retain(|flow| !added.contains(flow));
    assert!(after == before, "other flows than before");
    assert_eq!(fs::read_dir(directory.path().join("retired")).unwrap().count(), 0);
    assert!(Archive::verify(directory.path(), Depth::Rows, &mut |_| {}).unwrap().is_sound());
}

/// Flows of which every other has values in the columns that segments of version 1 did not have at first.
fn newer() -> Vec<Flow> {
    let newer = |at: i64| Flow {
        src_packets: Some(at as u64),
        flow_flags: Some(FlowFlags::new((1 << 16) | (at as u64 % 2))),
        meta: Some(format!("{{\"at\":{at}}}").parse().unwrap()),
        ..flow(at)
    };
    (0..40).map(|at| if at % 2 == 0 { flow(at) } else { newer(at) }).collect()
}

/// The names of the columns of each segment.
fn columns(archive: &Archive) -> Vec<Vec<String>> {
    let snapshot = archive.snapshot().unwrap();
    let files = snapshot.manifest().segments.iter().map(|segment| archive.path().join(&segment.path));
    let columns = files.map(|file| {
        let footer = SerializedFileReader::new(fs::File::open(file).unwrap()).unwrap();
        let columns = footer.metadata().file_metadata().schema_descr().columns().iter();
        columns.map(|column| column.name().to_owned()).collect()
    });
    columns.collect()
}

#[test]
fn an_archive_of_segments_with_and_without_the_newer_columns_answers_right_and_is_compacted() {
    let directory = copied();
    let archive = Archive::open(directory.path()).unwrap();
    let mut flows = now(&archive);
    flows.extend(append(&archive, &[newer(), vec![flow(50)]]));
    let known = |flags: u64| filter::flow_flags().carries_any([FlowFlags::new(flags)]);
    let filters = [
        known(1 << 16),
        known(1 << 16 | 1).or(filter::dst_port().eq(443)),
        !known(1),
        filter::src_packets().within(10..),
        filter::dst_packets().ne(1),
        filter::protocol().eq(Protocol::TCP).and(!filter::src_packets().within(..)),
    ];
    let by = |field: Field| Order::new([SortKey { field, direction: Direction::Descending }], Direction::Ascending);
    let orders = [Order::newest_first(), by(Field::SrcPackets), by(Field::FlowFlags), by(Field::Meta)];
    let check = || {
        for filter in &filters {
            for order in &orders {
                let expected = oracle(&flows, filter, order);
                let query = archive.snapshot().unwrap().query(filter.clone()).order(order.clone()).limit(10_000);
                let page = block_on(query.clone().count(Count::Exact).page()).unwrap();
                assert!(page.flows().unwrap() == expected, "{filter}");
                assert_eq!(page.total, Some(expected.len() as u64), "{filter}");
                let all = block_on(query.pruning(Pruning::Off).page()).unwrap();
                assert!(all.flows().unwrap() == expected, "{filter}");
            }
        }
        let sum: u64 = flows.iter().filter_map(|flow| flow.flow.src_packets).sum();
        let sql = "SELECT count(meta) AS metas, count(*) AS flows, sum(src_packets) AS packets FROM flows";
        let rows = block_on(async {
            let context =
                archive_session(archive.clone(), SessionConfig::new(), limited_memory(1 << 30).unwrap()).unwrap();
            context.sql(sql).await.unwrap().collect().await.unwrap()
        });
        let shown = pretty_format_batches(&rows).unwrap().to_string();
        let row = shown.lines().nth(3).unwrap().replace(' ', "");
        assert_eq!(row, format!("|20|{}|{sum}|", flows.len()));
    };
    check();
    let counts = |archive: &Archive| columns(archive).iter().map(Vec::len).collect::<Vec<_>>();
    assert_eq!(counts(&archive).iter().filter(|count| **count == 19).count(), 1);
    assert!(counts(&archive).contains(&15));
    let compactor = archive.writer().unwrap().compactor();
    while compactor.run_once(Effort::Full).unwrap().is_some() {}
    drop(compactor);
    assert_eq!(counts(&archive), [19]);
    assert!(
        now(&archive) == {
            flows.sort_by_key(|flow| (flow.flow.start_time, flow.id));
            flows.clone()
        }
    );
    assert!(Archive::verify(directory.path(), Depth::Rows, &mut |_| {}).unwrap().is_sound());
}

/// An archive of revision 1: a segment without the columns that this revision added, one with made-up values in all of
/// them, and one with handmade ones.
fn frozen_with_newer_columns() -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "testdata", "format", "v1-revision-1"].iter().collect()
}

#[test]
fn an_archive_of_revision_1_gives_the_answers_that_it_gave_when_it_was_written() {
    let directory = copy_of(&frozen_with_newer_columns());
    let archive = Archive::open(directory.path()).unwrap();
    let check = |segments: &[usize]| {
        let answers = [
            "limit=47&fields=*",
            "limit=31&sort=sourcePackets:desc,flags&fields=meta,flags,destPackets",
            "defunct=true&sort=destPackets&fields=sourcePackets,flags",
        ]
        .map(|query| {
            let answer = answer(&archive, query);
            (answer.lines().count(), sum(&answer))
        });
        let counts = [
            filter::flow_flags().carries_any([FlowFlags::new(1 << 16)]),
            filter::src_packets().within(10..),
            !filter::dst_packets().within(..),
            filter::flow_flags().carries_any([FlowFlags::new(1)]).and(filter::protocol().eq(Protocol::TCP)),
        ]
        .map(|filter| {
            let matching = now(&archive).iter().filter(|flow| filter.matches(flow)).count() as u64;
            assert_eq!(count(&archive, filter), matching);
            matching
        });
        let sums = [1_874_173_821_484_212_824, 3_186_485_463_395_250_202, 7_100_339_510_622_777_358];
        assert_eq!(answers, [(240, sums[0]), (240, sums[1]), (32, sums[2])]);
        assert_eq!(counts, [28, 37, 78, 2]);
        let mut counts = columns(&archive).iter().map(Vec::len).collect::<Vec<_>>();
        counts.sort_unstable();
        assert_eq!(counts, segments);
        let report = Archive::verify(directory.path(), Depth::Rows, &mut |_| {}).unwrap();
        assert_eq!((report.findings, report.segments), (Vec::new(), segments.len() as u64));
    };
    check(&[15, 19, 19]);
    let compactor = archive.writer().unwrap().compactor();
    while compactor.run_once(Effort::Full).unwrap().is_some() {}
    drop(compactor);
    check(&[19]);
    let added = append(&archive, &[newer()]);
    assert_eq!(added[0].id, FlowId::new(241));
}

#[test]
fn a_segment_without_values_in_the_newer_columns_is_as_it_was_before_there_were_these() {
    let directory = Folder::new();
    let archive = Archive::open_or_create(directory.path()).unwrap();
    append(&archive, &[(0..40).map(flow).collect(), newer()]);
    let mut columns = columns(&archive);
    columns.sort_by_key(Vec::len);
    let first = "flow_id start_time end_time protocol src_ip dst_ip src_port dst_port src_bytes dst_bytes tcp_flags \
                 src_node dst_node node_id activity_id";
    let newer = "src_packets dst_packets flow_flags meta";
    let expected = [first.to_owned(), format!("{first} {newer}")];
    assert_eq!(columns.iter().map(|columns| columns.join(" ")).collect::<Vec<_>>(), expected);
}

#[test]
fn a_damaged_segment_with_the_newer_columns_is_repaired_like_any_other() {
    let directory = Folder::new();
    directory.expect_damage();
    let archive = Archive::open_or_create(directory.path()).unwrap();
    let stored = append(&archive, &[newer()]);
    let file = directory.path().join(&archive.snapshot().unwrap().manifest().segments[0].path);
    drop(archive);
    // Its footer is lost.
    let mut bytes = fs::read(&file).unwrap();
    let end = bytes.len();
    bytes[end - 40..].fill(0);
    fs::write(&file, bytes).unwrap();
    assert!(!Archive::verify(directory.path(), Depth::Rows, &mut |_| {}).unwrap().is_sound());
    let _ = Archive::repair(directory.path(), Settings::default(), &mut |_| {}).unwrap();
    let archive = Archive::open(directory.path()).unwrap();
    assert_eq!(now(&archive), stored);
    assert_eq!(columns(&archive)[0].len(), 19);
}

#[test]
fn a_segment_of_version_1_that_is_alone_is_compacted_once_to_list_its_rows() {
    let directory = copied();
    edit_manifest(directory.path(), |manifest| manifest["segments"].as_array_mut().unwrap().truncate(1));
    let archive = Archive::open(directory.path()).unwrap();
    let before = now(&archive);
    let tcp = || filter::protocol().eq(Protocol::TCP).and(filter::dst_port().within(..1024));
    let counted = |archive: &Archive| {
        let query = archive.snapshot().unwrap().query(tcp()).limit(0).count(Count::Exact);
        let page = block_on(query.page()).unwrap();
        (page.total, page.explain.rows_counted)
    };
    let (total, read) = counted(&archive);
    assert!(read > 0);
    let compactor = archive.writer().unwrap().compactor();
    // In the background there is nothing to be done for an archive of one segment.
    assert!(compactor.next_job(Effort::Background).is_none());
    let job = compactor.next_job(Effort::Thorough).unwrap();
    assert_eq!((job.segments(), job.rows()), (1, before.len() as u64));
    let compaction = compactor.run_once(Effort::Thorough).unwrap().unwrap();
    assert_eq!((compaction.merged, compaction.written), (1, 1));
    assert!(compactor.next_job(Effort::Full).is_none());
    drop(compactor);
    assert!(archive.writer().unwrap().compactor().next_job(Effort::Full).is_none());
    assert!(now(&archive) == before, "other flows than before");
    assert_eq!(counted(&archive), (total, 0));
    assert!(Archive::verify(directory.path(), Depth::Rows, &mut |_| {}).unwrap().is_sound());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, max_shrink_iters: 60, ..ProptestConfig::default() })]

    #[test]
    fn segments_of_which_a_manifest_has_no_zone_map_or_one_of_a_later_form_answer_all_the_same(
        commits in vec(vec(support::flow(), 0..25), 1..4),
        settings in support::settings(),
        forms in vec(0usize..4, 1..8),
        queries in vec((support::filter(), support::order(), 1usize..9), 6),
    ) {
        let directory = Folder::new();
        let stored = append(&Archive::open_or_create_with(directory.path(), settings.clone()).unwrap(), &commits);
        edit_manifest(directory.path(), |manifest| {
            for (segment, form) in manifest["segments"].as_array_mut().unwrap().iter_mut().zip(forms.iter().cycle()) {
                match form {
                    0 => drop(segment.as_object_mut().unwrap().remove("zones")),
                    1 => segment["zones"] = "Ag".into(),
                    2 => segment["zones"] = "in words".into(),
                    _ => {}
                }
            }
        });
        let report = Archive::verify(directory.path(), Depth::Rows, &mut |_| {}).unwrap();
        prop_assert_eq!(report.findings, []);
        let archive = Archive::open_with(directory.path(), settings).unwrap();
        for (filter, order, limit) in queries {
            let expected = oracle(&stored, &filter, &order);
            let query = archive.snapshot().unwrap().query(filter).order(order).limit(limit);
            let counted = block_on(query.clone().limit(0).count(Count::Exact).page()).unwrap();
            prop_assert_eq!(counted.total, Some(expected.len() as u64));
            let (mut found, mut start) = (Vec::new(), Start::First);
            loop {
                let page = block_on(query.clone().start(start).page()).unwrap();
                found.extend(page.flows().unwrap());
                match page.next {
                    Some(next) => start = Start::At(next),
                    None => break,
                }
            }
            prop_assert_eq!(&found, &expected);
        }
        // What a writer makes of it is whole.
        append(&archive, &[vec![flow(1)]]);
        let report = Archive::verify(directory.path(), Depth::Rows, &mut |_| {}).unwrap();
        prop_assert_eq!(report.findings, []);
    }
}

/// The one file in a folder.
fn only(folder: &Path) -> PathBuf {
    fs::read_dir(folder).unwrap().next().unwrap().unwrap().path()
}

#[test]
fn a_manifest_of_a_later_format_is_a_clear_error_that_names_both() {
    let directory = copied();
    directory.expect_damage();
    let file = only(&directory.path().join("manifests"));
    let text = fs::read_to_string(&file).unwrap();
    let line = text.lines().next().unwrap().replacen("\"format\":1", "\"format\":2,\"unheard\":[{}]", 1);
    fs::write(&file, format!("{line}\n{:016x}\n", XxHash64::oneshot(0, line.as_bytes()))).unwrap();
    let errors = [
        Archive::open(directory.path()).unwrap_err(),
        Archive::verify(directory.path(), Depth::Rows, &mut |_| {}).unwrap_err(),
        Archive::repair(directory.path(), Settings::default(), &mut |_| {}).unwrap_err(),
    ];
    for error in errors {
        assert_eq!(error.kind(), ErrorKind::Unsupported);
        assert!(error.to_string().contains("format 2; this version of flowseek reads 1"), "{error}");
    }
}

#[test]
fn a_segment_of_a_later_format_is_a_clear_error_that_names_both_and_no_repair_touches_it() {
    let directory = copied();
    directory.expect_damage();
    let archive = Archive::open(directory.path()).unwrap();
    let file = directory.path().join(&archive.snapshot().unwrap().manifest().segments[0].path);
    let mut bytes = fs::read(&file).unwrap();
    // In the footer the key comes first, then a byte for the field, one for the length, and the value.
    let key = b"flowseek.format";
    let at = bytes.windows(key.len()).rposition(|window| window == key).unwrap() + key.len();
    assert_eq!(&bytes[at + 1..at + 3], b"\x011");
    bytes[at + 2] = b'2';
    fs::write(&file, &bytes).unwrap();
    let told = "format 2; this version of flowseek reads 1";
    let query = archive.snapshot().unwrap().query(filter::Filter::all());
    let error = block_on(query.page()).unwrap_err();
    assert!(error.kind() == ErrorKind::Unsupported && error.to_string().contains(told), "{error}");
    let report = Archive::verify(directory.path(), Depth::Rows, &mut |_| {}).unwrap();
    assert_eq!(report.findings[0].kind, FindingKind::Unsupported);
    assert!(report.findings[0].message.contains(told), "{}", report.findings[0].message);
    let error = Archive::repair(directory.path(), Settings::default(), &mut |_| {}).unwrap_err();
    assert!(error.kind() == ErrorKind::Unsupported && error.to_string().contains(told), "{error}");
    assert_eq!(fs::read(&file).unwrap(), bytes);
}
