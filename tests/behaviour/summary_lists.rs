//! Groups that lists of values tell of: the same as those of rows, and no row is read for them.

use std::{collections::BTreeSet, fs, net::IpAddr, path::Path};

use flowseek::{
    Archive, ErrorKind, Filter, Flow, Settings, StoredFlow, filter,
    flow::{AddressRange, Field, Protocol, TcpFlags, Timestamp},
    generate::Generator,
    query::{Explain, Measure, Pruning},
};
use parquet::file::reader::{FileReader, SerializedFileReader};
use proptest::{collection::vec, prelude::*, sample::select};
use twox_hash::XxHash64;

use crate::{
    folder::Folder,
    summaries::{Asked, UNLIMITED, archive, asked, generated},
    support::{block_on, filter as any_filter, flow, settings},
};

/// Fields, and pairs of fields, of which there is a list.
fn listed() -> impl Strategy<Value = Vec<Field>> {
    let single = [
        Field::Protocol,
        Field::TcpFlags,
        Field::SrcIp,
        Field::DstIp,
        Field::DstPort,
        Field::SrcNode,
        Field::DstNode,
        Field::NodeId,
        Field::ActivityId,
    ];
    let pairs = [vec![Field::Protocol, Field::TcpFlags], vec![Field::TcpFlags, Field::Protocol]];
    select(single.iter().map(|field| vec![*field]).chain(pairs).collect::<Vec<_>>())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, max_shrink_iters: 60, ..ProptestConfig::default() })]

    #[test]
    fn groups_of_lists_are_those_of_rows(
        commits in vec(vec(flow(), 0..60), 1..4),
        settings in settings(),
        questions in vec((prop_oneof![Just(Filter::all()), any_filter()], listed(), asked(), any::<bool>(), 0u64..30), 12),
    ) {
        let (_directory, archive, flows) = archive(&commits, settings);
        for (filter, by, asked, is_tight, groups) in questions {
            let asked = Asked { by, measure: Measure::Flows, flows_only: true, ..asked };
            let query = asked.query(&archive, &filter).budget(UNLIMITED);
            let query = if is_tight { query.group_bytes(groups * 256) } else { query };
            let summary = block_on(query.clone().summary()).unwrap();
            let mut matching: Vec<&StoredFlow> = flows.iter().filter(|flow| filter.matches(flow)).collect();
            if let Some((oldest, _)) = summary.searched {
                prop_assert!(is_tight);
                matching.retain(|stored| stored.flow.start_time >= oldest);
            } else {
                let read = block_on(query.group_bytes(u64::MAX).pruning(Pruning::Off).summary()).unwrap();
                prop_assert_eq!(&read.groups, &summary.groups);
                prop_assert_eq!((&read.buckets, read.totals), (&summary.buckets, summary.totals));
            }
            asked.check(&summary, &matching);
        }
    }
}

/// The most frequent values of fields, among the flows that match, which are checked; and what they cost.
fn top(archive: &Archive, flows: &[StoredFlow], filter: &Filter, by: &[Field]) -> Explain {
    let asked = Asked { by: by.to_vec(), measure: Measure::Flows, top: 20, every: None, flows_only: true };
    let summary = block_on(asked.query(archive, filter).summary()).unwrap();
    assert!(summary.is_complete());
    asked.check(&summary, &flows.iter().filter(|flow| filter.matches(flow)).collect::<Vec<_>>());
    summary.explain
}

#[test]
fn no_row_is_read_where_lists_tell_of_groups() {
    let (_directory, archive, flows) = generated(60_000);
    let cost = |filter: Filter, by: &[Field]| {
        let explain = top(&archive, &flows, &filter, by);
        (explain.blocks_read, explain.rows_scanned)
    };
    for field in [Field::DstPort, Field::SrcIp, Field::DstIp, Field::NodeId, Field::Protocol, Field::TcpFlags] {
        assert_eq!(cost(Filter::all(), &[field]), (0, 0), "{}", field.name());
    }
    // A filter on the same list, flows without a value among them.
    assert_eq!(cost(filter::dst_port().within(..1024), &[Field::DstPort]), (0, 0));
    assert_eq!(cost(!filter::dst_port().eq(443), &[Field::DstPort]), (0, 0));
    assert_eq!(cost(filter::protocol().eq(Protocol::TCP), &[Field::TcpFlags, Field::Protocol]), (0, 0));
    assert_eq!(cost(!filter::tcp_flags().carries_any([TcpFlags::new(2)]), &[Field::Protocol]), (0, 0));
    // From a time on: the two blocks are read in which it lies.
    let times: BTreeSet<_> = flows.iter().map(|flow| flow.flow.start_time).collect();
    let middle = *times.iter().nth(times.len() / 3).unwrap();
    let (blocks, rows) = cost(filter::start_time().gte(middle), &[Field::DstPort]);
    assert!(blocks <= 2 && rows <= 2000, "{blocks} {rows}");
    // A filter on another list does not say which flows it is.
    let (blocks, _) = cost(filter::dst_port().eq(443), &[Field::Protocol]);
    assert_eq!(blocks, 60);
    // Bytes are in no list.
    let with_bytes = archive.snapshot().unwrap().summarize(Filter::all()).by([Field::DstPort]);
    assert_eq!(block_on(with_bytes.summary()).unwrap().explain.rows_scanned, 60_000);
    let unpruned = archive.snapshot().unwrap().summarize(Filter::all()).by([Field::DstPort]).flows_only();
    assert_eq!(block_on(unpruned.pruning(Pruning::Off).summary()).unwrap().explain.rows_scanned, 60_000);
}

fn segments(directory: &Path) -> Vec<std::path::PathBuf> {
    fs::read_dir(directory.join("data")).unwrap().map(|entry| entry.unwrap().path()).collect()
}

#[test]
fn segments_without_lists_are_read() {
    let (directory, archive, flows) = generated(60_000);
    directory.expect_damage();
    drop(archive);
    for path in segments(directory.path()) {
        // The directory of the lists gets a tag that no version knows.
        let mut bytes = fs::read(&path).unwrap();
        let start = bytes.windows(8).rposition(|window| window == b"flowseek").unwrap();
        let start = (0..=start).rev().find(|at| bytes[*at..].starts_with(b"flowseek\x01\x00")).unwrap();
        let sections = usize::from(u16::from_le_bytes([bytes[start + 10], bytes[start + 11]]));
        let mut end = start + 12 + sections * 8;
        for section in 0..sections {
            let head = start + 12 + section * 8;
            if bytes[head..head + 4] == 2u32.to_le_bytes() {
                bytes[head..head + 4].copy_from_slice(&4711u32.to_le_bytes());
            }
            end += u32::from_le_bytes(bytes[head + 4..head + 8].try_into().unwrap()) as usize;
        }
        let sum = XxHash64::oneshot(0, &bytes[start..end]);
        bytes[end..end + 8].copy_from_slice(&sum.to_le_bytes());
        fs::write(&path, bytes).unwrap();
    }
    let archive = Archive::open(directory.path()).unwrap();
    let explain = top(&archive, &flows, &Filter::all(), &[Field::DstPort]);
    assert_eq!((explain.blocks_read, explain.rows_scanned), (60, 60_000));
}

#[test]
fn a_damaged_list_is_an_error_that_names_the_file() {
    let (directory, archive, _) = generated(30_000);
    directory.expect_damage();
    drop(archive);
    let path = segments(directory.path()).remove(0);
    let reader = SerializedFileReader::new(fs::File::open(&path).unwrap()).unwrap();
    let columns = reader.metadata().row_groups().iter().flat_map(|group| group.columns());
    let lists = columns.map(|column| column.byte_range()).map(|(start, length)| start + length).max().unwrap();
    let mut bytes = fs::read(&path).unwrap();
    bytes[lists as usize + 5] ^= 1;
    fs::write(&path, bytes).unwrap();
    let archive = Archive::open(directory.path()).unwrap();
    let query = archive.snapshot().unwrap().summarize(Filter::all()).by([Field::Protocol]).flows_only();
    let error = block_on(query.summary()).unwrap_err();
    assert_eq!((error.kind(), error.file()), (ErrorKind::Damaged, Some(path.as_path())));
}

/// An archive of these flows in segments of so many rows.
fn in_segments(flows: Vec<Flow>, segment_rows: usize) -> (Folder, Archive, Vec<StoredFlow>) {
    archive(&[flows], Settings::default().segment_rows(segment_rows))
}

#[test]
fn the_most_frequent_of_many_addresses_are_known_without_keeping_all() {
    let (_directory, archive, flows) = in_segments(Generator::new(7).flows(160_000).collect(), 80_000);
    for (filter, by) in [
        (Filter::all(), Field::DstIp),
        (Filter::all(), Field::SrcIp),
        (!filter::dst_ip().within("10.0.0.0/8".parse::<AddressRange>().unwrap()), Field::DstIp),
    ] {
        let asked = Asked { by: vec![by], measure: Measure::Flows, top: 10, every: None, flows_only: true };
        // All addresses would take more.
        let summary = block_on(asked.query(&archive, &filter).group_bytes(8 << 20).summary()).unwrap();
        assert!(summary.is_complete());
        assert_eq!((summary.explain.blocks_read, summary.explain.rows_scanned), (0, 0));
        asked.check(&summary, &flows.iter().filter(|flow| filter.matches(flow)).collect::<Vec<_>>());
    }
    // From a time on: a part is read, and counts in, too.
    let times: BTreeSet<_> = flows.iter().map(|flow| flow.flow.start_time).collect();
    let middle = *times.iter().nth(times.len() / 3).unwrap();
    let explain = top(&archive, &flows, &filter::start_time().gte(middle), &[Field::DstIp]);
    assert!(explain.rows_scanned > 0 && explain.blocks_read <= 2, "{explain}");
}

#[test]
fn addresses_that_are_all_as_frequent_are_told_in_their_order() {
    let flow = |n: u32| Flow {
        dst_ip: Some(IpAddr::from((0x0a00_0000 + n * 7).to_be_bytes()).into()),
        ..Flow::starting(Timestamp::from_millis(i64::from(n % 10)).unwrap())
    };
    let (_directory, archive, flows) = in_segments((0..20_000).map(flow).collect(), 20_000);
    top(&archive, &flows, &Filter::all(), &[Field::DstIp]);
}
