//! What a search costs for a value that few segments have, where zone maps do not tell them apart.

use std::{
    fs,
    net::{IpAddr, Ipv4Addr},
    path::Path,
    sync::Arc,
};

use datafusion::{
    arrow::array::RecordBatch,
    physical_plan::collect,
    prelude::{SessionContext, col, lit},
};
use flowseek::{
    Archive, ErrorKind, Filter, Flow, Order, Settings,
    archive::{Depth, Effort, FindingKind, SegmentOptions},
    filter,
    flow::{Address, AddressRange, Field, Timestamp},
    order::{Direction, SortKey},
    query::{Count, FlowTable, Gaps, Page, Pruning},
};
use serde_json::json;

use crate::{
    folder::Folder,
    support::{append, assert_sound, block_on, counted, edit_manifest, newest_manifest},
};

const SEGMENTS: u64 = 60;
const FLOWS: u64 = 200;

fn address(number: u64) -> Address {
    IpAddr::from(Ipv4Addr::from(0x0a00_0000 + u32::try_from(number).unwrap())).into()
}

/// An address that segment 7 has as a source and segment 41 as a destination, and no other has.
fn rare() -> Filter {
    filter::ip().any_of([AddressRange::from(address(0x07_0707))])
}

fn source(address: Address) -> Filter {
    filter::src_ip().any_of([AddressRange::from(address)])
}

/// Sixty segments: the addresses of each are scattered between the same two, and so are the names.
fn scattered(path: &Path) -> Archive {
    let segment = SegmentOptions::default().block_rows(64).row_group_blocks(2);
    let archive = Archive::open_or_create_with(path, Settings::default().segment(segment)).unwrap();
    let flow = |segment: u64, row: u64| {
        // Even numbers, of which each segment has others, each about six times.
        let number = match row {
            0 => 2,
            1 => 0xff_fffe,
            _ => (segment * FLOWS + row / 6) * 0x9e37 % 0x7f_ffff * 2,
        };
        let rare = |has: bool| if has { address(0x07_0707) } else { address(number) };
        Flow {
            src_ip: Some(rare(segment == 7 && row == 77)),
            dst_ip: Some(rare(segment == 41 && row == 140)),
            dst_bytes: Some(number),
            src_node: Some(format!("{number:08}")),
            ..Flow::starting(Timestamp::from_millis(i64::try_from(row * SEGMENTS + segment).unwrap()).unwrap())
        }
    };
    let commits: Vec<Vec<Flow>> =
        (0..SEGMENTS).map(|segment| (0..FLOWS).map(|row| flow(segment, row)).collect()).collect();
    append(&archive, &commits);
    archive
}

fn page(archive: &Archive, filter: Filter, order: Order) -> Page {
    block_on(archive.snapshot().unwrap().query(filter).order(order).limit(9).count(Count::Exact).page()).unwrap()
}

fn by_bytes() -> Order {
    Order::new([SortKey { field: Field::DstBytes, direction: Direction::Descending }], Direction::Descending)
}

#[test]
fn a_value_is_looked_for_in_the_segments_alone_that_have_it() {
    let directory = Folder::new();
    let archive = scattered(directory.path());
    let absent = address(0x07_0709);
    let others = (0..8).map(|n| AddressRange::from(address(0x07_0709 + 2 * n)));
    // Each filter, how many flows match, and in how many segments they are.
    let cases = [
        (rare(), 2, 2),
        (source(address(0x07_0707)), 1, 1),
        (source(absent), 0, 0),
        (filter::ip().any_of(others), 0, 0),
        (filter::src_node().eq("00462600"), 0, 0),
        (filter::src_node().any_of(["00462600", "00462602"]), 0, 0),
        (rare().and(filter::dst_bytes().within(1..)), 2, 2),
        (source(absent).or(filter::dst_node().eq("nobody")), 0, 0),
    ];
    // A new process, and one that has looked before.
    for archive in [&Archive::open(directory.path()).unwrap(), &archive, &archive] {
        for (filter, matching, segments) in &cases {
            for order in [Order::newest_first(), Order::oldest_first(), by_bytes()] {
                let found = page(archive, filter.clone(), order.clone());
                let opened = found.explain.segments_opened;
                assert_eq!((found.batch.num_rows(), found.total), (*matching, Some(*matching as u64)), "{filter}");
                // Of sixty segments one may seem to have what it has not.
                assert!(opened >= *segments && opened <= segments + 1, "{filter}: {}", found.explain);
                assert_eq!(found.explain.segments_never, SEGMENTS - segments, "{filter}: {}", found.explain);
                let all = archive.snapshot().unwrap().query(filter.clone()).order(order).limit(9);
                let all = block_on(all.pruning(Pruning::Off).page()).unwrap();
                assert_eq!(all.batch, found.batch, "{filter}");
            }
            let summary = block_on(archive.snapshot().unwrap().summarize(filter.clone()).summary()).unwrap();
            assert_eq!(summary.totals.flows, *matching as u64, "{filter}");
            assert!(summary.explain.segments_opened <= segments + 1, "{filter}: {}", summary.explain);
        }
    }
    // What is not one value, or what other flows pass, is not decided by it.
    for (filter, matching) in [(!source(absent), 12_000), (source(address(2)), 60)] {
        assert_eq!(page(&archive, filter.clone(), Order::newest_first()).total, Some(matching), "{filter}");
    }
    assert_sound(directory.path());
}

#[test]
fn a_table_opens_the_segments_alone_that_have_a_value() {
    let directory = Folder::new();
    drop(scattered(directory.path()));
    let archive = Archive::open(directory.path()).unwrap();
    let context = SessionContext::new();
    context.register_table("flows", Arc::new(FlowTable::new(archive.snapshot().unwrap()))).unwrap();
    block_on(async {
        // Each name, how many flows have it, and the most segments that are opened.
        for (name, matching, most) in [("00462600", 0, 1), ("00000002", 60, u64::MAX)] {
            let table = context.table("flows").await.unwrap().filter(col("src_node").eq(lit(name))).unwrap();
            let plan = table.create_physical_plan().await.unwrap();
            let batches = collect(Arc::clone(&plan), context.task_ctx()).await.unwrap();
            assert_eq!(batches.iter().map(RecordBatch::num_rows).sum::<usize>(), matching, "{name}");
            let opened = counted(plan.as_ref(), "segments_opened");
            assert!(opened <= most, "{name}: {opened}");
        }
    });
}

#[test]
fn merged_segments_have_filters_and_segments_without_one_are_opened() {
    let directory = Folder::new();
    let archive = scattered(directory.path());
    let has_filter = |archive: &Archive| {
        let manifest = serde_json::to_value(&**archive.snapshot().unwrap().manifest()).unwrap();
        let segments = manifest["segments"].as_array().unwrap().clone();
        (segments.iter().filter(|segment| segment.get("bloom").is_some()).count(), segments.len())
    };
    assert_eq!(has_filter(&archive), (60, 60));
    drop(archive);
    // As earlier versions have left them.
    edit_manifest(directory.path(), |manifest| {
        let segments = manifest["segments"].as_array_mut().unwrap().iter_mut();
        segments.for_each(|segment| assert!(segment.as_object_mut().unwrap().remove("bloom").is_some()));
    });
    let archive = Archive::open(directory.path()).unwrap();
    let found = page(&archive, rare(), Order::newest_first());
    assert_eq!((found.total, found.explain.segments_opened), (Some(2), SEGMENTS), "{}", found.explain);
    let compactor = archive.writer().unwrap().compactor();
    while compactor.run_once(Effort::Full).unwrap().is_some() {}
    drop(compactor);
    let (with, all) = has_filter(&archive);
    assert!(with == all && all < 60, "{with} of {all}");
    assert_eq!(page(&archive, source(address(0x07_0709)), Order::newest_first()).explain.segments_opened, 0);
    assert_eq!(page(&archive, rare(), by_bytes()).total, Some(2));
    assert_sound(directory.path());
}

#[test]
fn a_damaged_filter_is_an_error_that_names_its_segment_and_is_made_anew() {
    let directory = Folder::new();
    directory.expect_damage();
    let archive = scattered(directory.path());
    let manifest = fs::read_to_string(newest_manifest(directory.path())).unwrap();
    let manifest: serde_json::Value = serde_json::from_str(manifest.lines().next().unwrap()).unwrap();
    let segment = &manifest["segments"][30];
    let path = segment["path"].as_str().unwrap();
    let offset = usize::try_from(segment["bloom"]["offset"].as_u64().unwrap()).unwrap();
    let file = directory.path().join(path);
    let mut bytes = fs::read(&file).unwrap();
    bytes[offset + 5] ^= 4;
    fs::write(&file, bytes).unwrap();
    let before = page(&archive, Filter::all(), Order::newest_first()).flows().unwrap();
    let query = archive.snapshot().unwrap().query(rare());
    let error = block_on(query.clone().page()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Damaged);
    assert!(error.to_string().contains(path), "{error}");
    let gaps = block_on(query.gaps(Gaps::Skip).page()).unwrap();
    assert_eq!((gaps.batch.num_rows(), gaps.gaps.len(), gaps.gaps[0].path.as_str()), (2, 1, path));
    drop(archive);
    for depth in [Depth::Bytes, Depth::Rows] {
        let report = Archive::verify(directory.path(), depth, &mut |_| {}).unwrap();
        let found: Vec<_> = report.findings.iter().map(|finding| (finding.kind, finding.path.as_str())).collect();
        assert_eq!(found, [(FindingKind::Index, path)], "{:?}", report.findings);
        assert!(report.findings[0].message.starts_with("the Bloom filter"), "{:?}", report.findings);
    }
    let repaired = Archive::repair(directory.path(), Settings::default(), &mut |_| {}).unwrap();
    assert_eq!(repaired.lost, []);
    let archive = Archive::open(directory.path()).unwrap();
    assert_eq!(page(&archive, rare(), Order::newest_first()).total, Some(2));
    assert_eq!(page(&archive, Filter::all(), Order::newest_first()).flows().unwrap(), before);
    assert_sound(directory.path());
}

#[test]
fn a_manifest_that_leads_to_another_filter_is_an_error() {
    for (key, value) in
        [("offset", json!(4)), ("length", json!(32)), ("length", json!(u32::MAX)), ("checksum", json!(7))]
    {
        let directory = Folder::new();
        directory.expect_damage();
        drop(scattered(directory.path()));
        edit_manifest(directory.path(), |manifest| manifest["segments"][3]["bloom"][key] = value.clone());
        let archive = Archive::open(directory.path()).unwrap();
        // The pages have checksums of their own: what they tell is true.
        let filters = [filter::dst_bytes().eq(2), rare()];
        for filter in filters.into_iter().take(if key == "checksum" { 1 } else { 2 }) {
            let query = archive.snapshot().unwrap().query(filter.clone()).order(by_bytes());
            let error = block_on(query.page()).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Damaged, "{key} {value}: {filter}");
        }
        let report = Archive::verify(directory.path(), Depth::Bytes, &mut |_| {}).unwrap();
        assert_eq!(report.findings[0].kind, FindingKind::Mismatch, "{key} {value}");
    }
}
