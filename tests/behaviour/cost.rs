//! What a page costs, told by counters: no clock.

use std::{
    future::{Future, poll_fn},
    path::Path,
    sync::Arc,
    task::Poll,
    time::Duration,
};

use datafusion::{
    arrow::{
        array::{AsArray, RecordBatch},
        compute::concat_batches,
        datatypes::Int64Type,
    },
    common::ScalarValue,
    functions_aggregate::expr_fn::count,
    logical_expr::Expr,
    physical_plan::{ExecutionPlan, collect, displayable},
    prelude::{SessionConfig, SessionContext, col, lit},
};
use flowseek::{
    Archive, Filter, Flow, Order, Settings,
    archive::SegmentOptions,
    filter,
    flow::{Address, AddressRange, Field, Protocol, TcpFlags, Timestamp},
    order::{Direction, SortKey},
    query::{Budget, Count, Explain, FlowTable, Page, Pruning, Query, Start},
    schema::schema,
};

use crate::{
    folder::Folder,
    support::{append, assert_sound, block_on, counted, edit_manifest},
};

/// 4 segments of 250 flows, in blocks of 10: flow n starts at second n, port n % 1000, and one node in the midst.
fn with_archive(test: impl Fn(&Archive)) {
    let directory = Folder::new();
    let segment = SegmentOptions::default().block_rows(10).row_group_blocks(5);
    let settings = Settings::default().segment(segment).segment_rows(250);
    let archive = Archive::open_or_create_with(directory.path(), settings).unwrap();
    let flow = |n: u16| Flow {
        dst_port: Some(n),
        src_bytes: Some(scattered(n)),
        src_node: (n == 505).then(|| "rare".to_owned()),
        ..Flow::starting(Timestamp::from_millis(i64::from(n) * 1000).unwrap())
    };
    append(&archive, &[(0..1000).map(flow).collect()]);
    test(&archive);
}

/// Each number below 1000 once, in no order.
fn scattered(n: u16) -> u64 {
    u64::from(n) * 7919 % 1000
}

fn query(archive: &Archive, filter: Filter, order: Order) -> Query {
    archive.snapshot().unwrap().query(filter).order(order).limit(5)
}

fn page(query: &Query) -> Page {
    block_on(query.page()).unwrap()
}

/// Segments opened, blocks read, rows scanned.
fn cost(explain: &Explain) -> (u64, u64, u64) {
    (explain.segments_opened, explain.blocks_read, explain.rows_scanned)
}

#[test]
fn the_first_page_reads_one_block_of_one_segment_in_both_directions() {
    with_archive(|archive| {
        for order in [Order::newest_first(), Order::oldest_first()] {
            let explain = page(&query(archive, Filter::all(), order)).explain;
            // Of a block that is wanted whole, no row is read but those of the page and the one that shows there is more.
            assert_eq!(cost(&explain), (1, 1, 6));
            assert_eq!((explain.segments, explain.blocks, explain.rows_returned), (4, 25, 5));
        }
    });
}

#[test]
fn every_page_costs_what_the_second_costs() {
    with_archive(|archive| {
        let query = query(archive, Filter::all(), Order::newest_first());
        let mut next = page(&query).next;
        let mut pages = 1;
        while let Some(cursor) = next {
            let page = page(&query.clone().after(cursor));
            pages += 1;
            assert!(page.explain.segments_opened <= 2 && page.explain.blocks_read <= 3, "{}", page.explain);
            next = page.next;
        }
        assert_eq!(pages, 200);
    });
}

#[test]
fn what_the_bounds_exclude_is_not_read() {
    with_archive(|archive| {
        let rare = page(&query(archive, filter::src_node().eq("rare"), Order::newest_first()));
        assert_eq!(rare.flows().unwrap().len(), 1);
        assert_eq!((rare.explain.blocks_read, rare.explain.segments_never), (1, 3));
        let absent = page(&query(archive, filter::src_node().eq("nobody"), Order::newest_first()));
        assert_eq!((absent.explain.blocks_read, absent.explain.bytes_read), (0, 0));
        let port = page(&query(archive, filter::dst_port().eq(333), Order::oldest_first()));
        assert_eq!(port.explain.blocks_read, 1);
    });
}

#[test]
fn a_time_window_opens_only_the_segments_it_touches() {
    with_archive(|archive| {
        let second = |n: i64| Timestamp::from_millis(n * 1000).unwrap();
        let window = filter::start_time().gte(second(300)).and(filter::start_time().lt(second(310)));
        let explain = page(&query(archive, window, Order::oldest_first())).explain;
        assert_eq!((explain.segments_opened, explain.segments_never, explain.blocks_read), (1, 3, 1));
    });
}

#[test]
fn another_sort_key_reads_the_blocks_that_can_hold_its_best() {
    with_archive(|archive| {
        let largest = SortKey { field: Field::DstPort, direction: Direction::Descending };
        let answer = page(&query(archive, Filter::all(), Order::new([largest], Direction::Ascending)));
        let ports: Vec<_> = answer.flows().unwrap().iter().filter_map(|flow| flow.flow.dst_port).collect();
        assert_eq!(ports, [999, 998, 997, 996, 995]);
        assert_eq!(answer.explain.blocks_read, 1);
    });
}

#[test]
fn a_page_by_a_port_reads_the_pages_that_hold_the_first_ports() {
    let directory = Folder::new();
    let segment = SegmentOptions::default().block_rows(1000).row_group_blocks(4);
    let settings = Settings::default().segment(segment).segment_rows(5000);
    let archive = Archive::open_or_create_with(directory.path(), settings).unwrap();
    // Of each block one flow has the greatest port: bounds do not tell blocks apart, nor pages.
    let flow = |n: u16| Flow {
        dst_port: Some(if n % 1000 == 600 { 65535 } else { n % 1000 }),
        src_ip: Some(Address::from_bits(0xffff_0a00_0000 + u128::from(n % 4001))),
        ..Flow::starting(Timestamp::from_millis(i64::from(n) * 1000).unwrap())
    };
    append(&archive, &[(0..20_000).map(flow).collect()]);
    for key in [
        SortKey { field: Field::DstPort, direction: Direction::Descending },
        SortKey { field: Field::SrcIp, direction: Direction::Ascending },
    ] {
        for time in [Direction::Ascending, Direction::Descending] {
            let all = || query(&archive, Filter::all(), Order::new([key], time)).limit(5);
            let first = page(&all());
            let second = page(&all().after(first.next.clone().unwrap()));
            for page in [&first, &second] {
                // Pages have 250 rows.
                assert!(page.explain.rows_scanned <= 6 * 250, "{key:?} {time:?}: {}", page.explain);
            }
            let unpruned = page(&all().limit(10).pruning(Pruning::Off));
            assert_eq!([first.flows().unwrap(), second.flows().unwrap()].concat(), unpruned.flows().unwrap());
        }
    }
}

#[test]
fn pages_that_were_read_before_are_not_read_again() {
    with_archive(|archive| {
        let query = query(archive, filter::dst_port().within(..500), Order::newest_first());
        assert!(page(&query).explain.bytes_read > 0);
        let again = page(&query).explain;
        assert_eq!(again.bytes_read, 0);
        assert!(again.bytes_cached > 0);
    });
}

#[test]
fn a_spent_budget_gives_a_short_page_that_says_so_and_goes_on() {
    with_archive(|archive| {
        // Every block has small and large byte counts: its bounds exclude few.
        let wanted = filter::src_bytes().eq(scattered(998));
        let budget = Budget::default().rows(100);
        let mut start = Start::First;
        let mut found = 0;
        let mut pages = 0;
        loop {
            let query = query(archive, wanted.clone(), Order::oldest_first()).budget(budget).start(start);
            let page = page(&query);
            assert!(page.explain.rows_scanned <= 200, "{}", page.explain);
            found += page.batch.num_rows();
            pages += 1;
            match page.next {
                Some(next) => {
                    assert!(page.explain.budget_spent);
                    start = Start::At(next);
                }
                None => break,
            }
        }
        assert_eq!(found, 1);
        assert!((4..=10).contains(&pages), "{pages}");
    });
}

#[test]
fn totals_are_free_where_the_manifest_or_the_first_page_tells_them() {
    with_archive(|archive| {
        let all = page(&query(archive, Filter::all(), Order::newest_first()));
        assert_eq!(all.total, Some(1000));
        let few = page(&query(archive, filter::dst_port().within(..3), Order::newest_first()));
        assert_eq!(few.total, Some(3));
        let many = query(archive, filter::dst_port().within(..300), Order::newest_first());
        assert_eq!(page(&many).total, None);
        let counted = page(&many.clone().count(Count::Exact));
        assert_eq!(counted.total, Some(300));
        // Whole blocks are counted by their bounds, and the others by the list of ports: nothing but the page is read.
        assert_eq!(counted.explain.rows_scanned, page(&many).explain.rows_scanned);
        assert_eq!(page(&many.count(Count::None)).total, None);
    });
}

#[test]
fn a_count_beyond_the_budget_is_an_error_not_a_guess() {
    with_archive(|archive| {
        let bytes = filter::src_bytes().within(..500);
        let budget = Budget::default().rows(50);
        let query = query(archive, bytes, Order::newest_first()).budget(budget).count(Count::Exact);
        let error = block_on(query.page()).unwrap_err();
        assert!(error.problems()[0].contains("`count`"), "{error}");
    });
}

#[test]
fn of_a_block_only_the_flows_are_read_that_a_list_names_or_the_pages_of_a_time() {
    let directory = Folder::new();
    let segment = SegmentOptions::default().block_rows(40).row_group_blocks(2);
    let settings = Settings::default().segment(segment);
    let archive = Archive::open_or_create_with(directory.path(), settings).unwrap();
    let flow = |n: u16| Flow {
        dst_port: Some(n / 2),
        src_bytes: Some(scattered(n)),
        ..Flow::starting(Timestamp::from_millis(i64::from(n) * 1000).unwrap())
    };
    append(&archive, &[(0..1000).map(flow).collect()]);
    // A port is listed with its rows.
    let answer = page(&query(&archive, filter::dst_port().eq(200), Order::newest_first()));
    assert_eq!((answer.batch.num_rows(), cost(&answer.explain)), (2, (1, 1, 2)));
    // Of a time only the pages are looked at in which it can lie; the last page here holds no such flow.
    let early = filter::start_time().lt(Timestamp::from_millis(5000).unwrap()).and(filter::src_bytes().within(1..));
    let answer = page(&query(&archive, early, Order::newest_first()));
    assert_eq!((answer.batch.num_rows(), cost(&answer.explain)), (4, (1, 1, 10)));
}

/// 20,000 flows in blocks of 1,000: flow n has one of 37 nodes, 29 ports and 4 protocols.
fn with_mixed_archive(test: impl Fn(&Archive)) {
    let directory = Folder::new();
    let segment = SegmentOptions::default().block_rows(1000).row_group_blocks(4);
    let settings = Settings::default().segment(segment).segment_rows(5000);
    let archive = Archive::open_or_create_with(directory.path(), settings).unwrap();
    let flow = |n: u16| Flow {
        src_node: Some(format!("node-{}", n % 37)),
        dst_port: Some(n % 29),
        protocol: Protocol::new((n % 4) as u8),
        src_bytes: Some(u64::from(n) * 7919 % 20_011),
        ..Flow::starting(Timestamp::from_millis(i64::from(n) * 1000).unwrap())
    };
    append(&archive, &[(0..20_000).map(flow).collect()]);
    test(&archive);
}

#[test]
fn flows_of_more_blocks_than_are_remembered_are_all_found() {
    let directory = Folder::new();
    let segment = SegmentOptions::default().block_rows(2).row_group_blocks(1 << 14);
    let settings = Settings::default().segment(segment);
    let archive = Archive::open_or_create_with(directory.path(), settings).unwrap();
    // A flow of each of 70,000 blocks has the port.
    let flow = |n: u32| Flow {
        dst_port: Some(443 + (n % 2) as u16),
        ..Flow::starting(Timestamp::from_millis(n.into()).unwrap())
    };
    let _ = append(&archive, &[(0..140_000).map(flow).collect()]);
    let newest = query(&archive, filter::dst_port().eq(443), Order::newest_first()).limit(5).count(Count::Exact);
    let answer = page(&newest.budget(Budget::default().time(Duration::from_secs(600))));
    let times: Vec<i64> = answer.flows().unwrap().iter().map(|flow| flow.flow.start_time.as_millis()).collect();
    assert_eq!(times, [139_998, 139_996, 139_994, 139_992, 139_990]);
}

#[test]
fn a_conjunction_of_listed_values_reads_the_flows_that_match_and_no_others() {
    with_mixed_archive(|archive| {
        // Each of the values is in every page.
        let node = || filter::src_node().eq("node-5");
        let port = || filter::dst_port().eq(16);
        let protocol = || filter::protocol().eq(Protocol::new(3));
        let matching: Vec<u16> = (0..20_000).filter(|n| n % 37 == 5 && n % 29 == 16 && n % 4 == 3).collect();
        assert_eq!(matching.len(), 5);
        let seconds = |page: &Page| -> Vec<u16> {
            let millis = page.flows().unwrap().into_iter().map(|flow| flow.flow.start_time.as_millis() / 1000);
            millis.map(|second| u16::try_from(second).unwrap()).collect()
        };
        for order in [Order::oldest_first(), Order::newest_first()] {
            let first = page(&query(archive, node().and(port()).and(protocol()), order.clone()).limit(3));
            let second = page(
                &query(archive, node().and(port()).and(protocol()), order.clone()).after(first.next.clone().unwrap()),
            );
            let mut found = [seconds(&first), seconds(&second)].concat();
            found.sort_unstable();
            assert_eq!(found, matching);
            // A round reads some blocks at a time, but of each only the flows that match.
            assert!(first.explain.rows_scanned <= 5 && second.explain.rows_scanned <= 5, "{}", first.explain);
            assert!(first.explain.blocks_read <= 5 && first.explain.blocks_never >= 5, "{}", first.explain);
        }
        // In another order the flows that match are the candidates, of which the first keys are read.
        let largest = SortKey { field: Field::SrcBytes, direction: Direction::Descending };
        let order = Order::new([largest], Direction::Ascending);
        let answer = page(&query(archive, node().and(port()).and(protocol()), order));
        assert_eq!((answer.batch.num_rows(), answer.explain.rows_scanned), (5, 5));
        // What is not listed is read of the rows alone that pass the rest.
        let few = node().and(port()).and(filter::src_bytes().within(..5000));
        let answer = page(&query(archive, few.clone(), Order::oldest_first()).limit(100));
        assert!(answer.explain.rows_scanned <= 19, "{}", answer.explain);
        let counted = page(&query(archive, few, Order::oldest_first()).limit(0).count(Count::Exact));
        assert!(counted.explain.rows_counted <= 19, "{}", counted.explain);
    });
}

#[test]
fn and_or_and_not_of_listed_values_are_counted_without_reading_a_flow() {
    with_mixed_archive(|archive| {
        let node = |n: u16| filter::src_node().eq(format!("node-{n}"));
        let port = |n: u16| filter::dst_port().eq(n);
        let protocol = |n: u8| filter::protocol().eq(Protocol::new(n));
        let filters = [
            node(5).and(port(16)),
            node(5).and(port(16)).and(protocol(3)),
            node(5).or(port(16)),
            node(5).or(port(16)).and(protocol(1)),
            node(1).and(!(port(3).and(protocol(1)))),
            !(node(1).or(port(3))),
            filter::dst_port().any_of([1, 2, 3]).and(filter::src_node().any_of(["node-1", "node-2", "node-30"])),
            (0..1300)
                .map(|n| node(n % 40).and(port(n % 31)).and(protocol((n % 3) as u8)))
                .fold(Filter::nothing(), Filter::or),
        ];
        let flows: Vec<_> =
            block_on(archive.snapshot().unwrap().query(Filter::all()).limit(20_000).page()).unwrap().flows().unwrap();
        for filter in filters {
            let counted = page(&query(archive, filter.clone(), Order::newest_first()).limit(0).count(Count::Exact));
            let matching = flows.iter().filter(|flow| filter.matches(flow)).count() as u64;
            assert_eq!(counted.total, Some(matching), "{filter}");
            assert_eq!(counted.explain.rows_counted, 0, "{filter}");
        }
    });
}

#[test]
fn what_lists_tell_of_rows_is_held_within_the_memory_of_pages_or_not_at_all() {
    with_mixed_archive(|archive| {
        let filter = || filter::src_node().eq("node-5").and(filter::dst_port().eq(16));
        let counted = |page_cache_bytes| {
            let settings = archive.settings().clone().page_cache_bytes(page_cache_bytes);
            let archive = Archive::open_with(archive.path(), settings).unwrap();
            let counted = page(&query(&archive, filter(), Order::newest_first()).limit(0).count(Count::Exact));
            let found = page(&query(&archive, filter(), Order::newest_first()).limit(100));
            assert!(archive.memory().page_bytes <= page_cache_bytes, "{:?}", archive.memory());
            (counted.total, found.flows().unwrap(), (counted.explain.rows_counted, found.explain.rows_scanned))
        };
        // A sixteenth of it is for what lists tell: 16 kilobytes for each part of a filter, and some more.
        let (total, flows, read) = counted(1 << 22);
        assert_eq!((total, read), (Some(flows.len() as u64), (0, flows.len() as u64)));
        let (same_total, same_flows, read_without) = counted(1 << 17);
        assert!(total == same_total && flows == same_flows);
        assert!(read_without.0 >= 5000 && read_without.1 >= 5000, "{read_without:?}");
    });
}

#[test]
fn an_explanation_tells_which_part_of_the_filter_has_dropped_what() {
    with_archive(|archive| {
        let late = filter::start_time().gte(Timestamp::from_millis(250_000).unwrap());
        let explain = page(&query(archive, late.and(filter::dst_port().eq(255)), Order::newest_first())).explain;
        let told: Vec<_> = explain.dropped.iter().map(|part| (&*part.predicate, part.segments, part.blocks)).collect();
        // The segment of the first 250 seconds; then of the other three those without the port, and of one 24 blocks.
        let time = "start_time = 1970-01-01T00:04:10.000Z..the end of time";
        let (times, ports): (Vec<_>, Vec<_>) = told.into_iter().partition(|(predicate, _, _)| *predicate == time);
        assert_eq!(times, [(time, 1, 0)]);
        assert_eq!(ports, [("dst_port = 255", 2, 24)]);
        assert!(explain.to_string().contains("2 segments and 24 blocks by dst_port = 255"), "{explain}");
    });
}

#[test]
fn what_was_counted_is_not_counted_again() {
    let rows_counted = |archive: &Archive| {
        let bytes = filter::src_bytes().within(..500);
        let counted = page(&query(archive, bytes, Order::newest_first()).count(Count::Exact));
        assert_eq!(counted.total, Some(500));
        counted.explain.rows_counted
    };
    with_archive(|archive| {
        assert!(rows_counted(archive) > 0);
        assert_eq!(rows_counted(archive), 0);
        // What came later is counted, and nothing else.
        append(archive, &[vec![Flow { src_bytes: Some(700), ..Flow::starting(Timestamp::from_millis(0).unwrap()) }]]);
        assert_eq!(rows_counted(archive), 0);
        let settings = Settings::default().count_cache_bytes(0);
        let forgetful = Archive::open_with(archive.path(), settings).unwrap();
        assert!(rows_counted(&forgetful) > 0 && rows_counted(&forgetful) > 0);
        assert_eq!(forgetful.memory().count_bytes, 0);
    });
}

#[test]
fn caches_stay_within_their_bounds_and_answers_stay_what_they_are() {
    with_archive(|archive| {
        let bounds = Settings::default().index_cache_bytes(60_000).page_cache_bytes(20_000).count_cache_bytes(500);
        let small = Archive::open_with(archive.path(), bounds.clone()).unwrap();
        for n in 1..40u16 {
            let filter = filter::dst_port().within(n * 20..).and(filter::src_bytes().within(..u64::from(n) * 25));
            let ask = |archive| page(&query(archive, filter.clone(), Order::newest_first()).count(Count::Exact));
            let (answer, expected) = (ask(&small), ask(archive));
            assert_eq!((answer.flows().unwrap(), answer.total), (expected.flows().unwrap(), expected.total));
            let memory = small.memory();
            assert!(memory.index_bytes <= bounds.index_cache_bytes, "{memory:?}");
            assert!(memory.page_bytes <= bounds.page_cache_bytes && memory.page_bytes > 0, "{memory:?}");
            assert!(memory.count_bytes <= bounds.count_cache_bytes, "{memory:?}");
        }
        assert!(archive.memory().page_bytes > bounds.page_cache_bytes, "the bound was never reached");
    });
}

#[test]
fn a_page_that_is_dropped_reads_no_further() {
    with_archive(|archive| {
        let open = || Archive::open(archive.path()).unwrap();
        let (dropped, finished) = (open(), open());
        // Nearly every block can hold it by its bounds, and one of the last does.
        let oldest = |archive: &Archive| query(archive, filter::src_bytes().eq(scattered(3)), Order::newest_first());
        block_on(async {
            let query = oldest(&dropped);
            let mut page = Box::pin(query.page());
            poll_fn(|context| match page.as_mut().poll(context) {
                Poll::Pending if dropped.memory().page_bytes > 0 => Poll::Ready(()),
                Poll::Pending => Poll::Pending,
                Poll::Ready(_) => panic!("the page came at once"),
            })
            .await;
            drop(page);
            // What could go on by itself gets the time to.
            tokio::time::sleep(Duration::from_millis(20)).await;
        });
        page(&oldest(&finished));
        let (dropped, finished) = (dropped.memory().page_bytes, finished.memory().page_bytes);
        assert!(dropped * 10 < finished, "{dropped} of {finished}");
    });
}

/// The place of a number below 100 in an order of its own for each field.
fn shuffled(n: u64, field: Field) -> u64 {
    let steps = [1, 3, 7, 9, 11, 13, 17, 19, 21, 23, 27, 29, 31, 33, 37];
    (n * steps[field as usize % steps.len()] + field as u64) % 100
}

/// Flow `row`, from 0 to 3, of segment `segment`. Of every field each segment has values that lie together and that no
/// other segment has, and by every field the segments lie in another order.
fn told_apart(segment: u64, row: u64) -> Flow {
    let value = |field| shuffled(segment, field) * 10 + row;
    let small = |field| u8::try_from(shuffled(segment, field)).unwrap();
    let port = |field| Some(u16::try_from(value(field)).unwrap());
    let time = |field| Timestamp::from_millis(i64::try_from(value(field)).unwrap()).unwrap();
    let name = |field| Some(format!("name-{:05}", value(field)));
    Flow {
        end_time: Some(time(Field::EndTime)),
        protocol: Protocol::new(small(Field::Protocol)),
        src_ip: Some(Address::from_bits(0xffff_0a00_0000 + u128::from(value(Field::SrcIp)))),
        dst_ip: Some(Address::from_bits(0x2001_0db8 << 96 | u128::from(value(Field::DstIp)))),
        src_port: port(Field::SrcPort),
        dst_port: port(Field::DstPort),
        src_bytes: Some(value(Field::SrcBytes) << 40),
        dst_bytes: Some(value(Field::DstBytes)),
        tcp_flags: Some(TcpFlags::new(small(Field::TcpFlags))),
        src_node: name(Field::SrcNode),
        dst_node: name(Field::DstNode),
        // Longer than a bound in the manifest.
        node_id: Some(format!("{:08}-0000-4000-8000-000000000000", value(Field::NodeId))),
        activity_id: name(Field::ActivityId),
        ..Flow::starting(time(Field::StartTime))
    }
}

fn hundred_segments(directory: &Path) -> Archive {
    let archive = Archive::open_or_create(directory).unwrap();
    let commits: Vec<Vec<Flow>> =
        (0..100).map(|segment| (0..4).map(|row| told_apart(segment, row)).collect()).collect();
    append(&archive, &commits);
    archive
}

/// A filter for just the flows of a segment, by each field that there are filters for.
fn only(segment: u64) -> Vec<(Field, Filter)> {
    let (first, last) = (told_apart(segment, 0), told_apart(segment, 3));
    let names = |name: fn(&Flow) -> Option<String>| (0..4).filter_map(move |row| name(&told_apart(segment, row)));
    let addresses = |address: fn(&Flow) -> Option<Address>| {
        (0..4).filter_map(move |row| address(&told_apart(segment, row))).map(AddressRange::from)
    };
    let start = filter::start_time().gte(first.start_time).and(filter::start_time().lte(last.start_time));
    let end = filter::end_time().gte(first.end_time.unwrap()).and(filter::end_time().lte(last.end_time.unwrap()));
    vec![
        (Field::StartTime, start),
        (Field::EndTime, end),
        (Field::Protocol, filter::protocol().eq(first.protocol)),
        (Field::SrcIp, filter::src_ip().any_of(addresses(|flow| flow.src_ip))),
        (Field::DstIp, filter::dst_ip().any_of(addresses(|flow| flow.dst_ip))),
        (Field::SrcPort, filter::src_port().within(first.src_port.unwrap()..=last.src_port.unwrap())),
        (Field::DstPort, filter::dst_port().within(first.dst_port.unwrap()..=last.dst_port.unwrap())),
        (Field::SrcBytes, filter::src_bytes().within(first.src_bytes.unwrap()..=last.src_bytes.unwrap())),
        (Field::DstBytes, filter::dst_bytes().within(first.dst_bytes.unwrap()..=last.dst_bytes.unwrap())),
        (Field::SrcNode, filter::src_node().any_of(names(|flow| flow.src_node.clone()))),
        (Field::DstNode, filter::dst_node().any_of(names(|flow| flow.dst_node.clone()))),
        (Field::NodeId, filter::node_id().any_of(names(|flow| flow.node_id.clone()))),
        (Field::ActivityId, filter::activity_id().any_of(names(|flow| flow.activity_id.clone()))),
    ]
}

#[test]
fn a_segment_that_cannot_contribute_is_not_opened_whatever_is_sorted_or_filtered_by() {
    let directory = Folder::new();
    let archive = hundred_segments(directory.path());
    for field in Field::all() {
        for direction in [Direction::Ascending, Direction::Descending] {
            let order = Order::new([SortKey { field, direction }], direction);
            let first = page(&query(&archive, Filter::all(), order.clone()).limit(3));
            let told = format!("{} {direction:?}: {}", field.name(), first.explain);
            assert_eq!((first.explain.segments_opened, first.batch.num_rows()), (1, 3), "{told}");
            let unpruned = query(&archive, Filter::all(), order.clone()).limit(3).pruning(Pruning::Off);
            assert_eq!(first.flows().unwrap(), page(&unpruned).flows().unwrap(), "{told}");
            // What lies behind is not opened either: one flow is left of the first segment.
            let next = page(&query(&archive, Filter::all(), order).limit(3).after(first.next.unwrap()));
            assert!(next.explain.segments_opened <= 2, "{told}: {}", next.explain);
        }
    }
    for (field, filter) in only(42) {
        for order in [
            Order::newest_first(),
            Order::new([SortKey { field: Field::DstBytes, direction: Direction::Descending }], Direction::Ascending),
        ] {
            let answer = page(&query(&archive, filter.clone(), order));
            let told = format!("{}: {}", field.name(), answer.explain);
            assert_eq!(answer.batch.num_rows(), 4, "{told}");
            assert_eq!((answer.explain.segments_opened, answer.explain.segments_never), (1, 99), "{told}");
        }
    }
    let carried =
        page(&query(&archive, filter::tcp_flags().carries_any([TcpFlags::new(64)]), Order::newest_first()).limit(1000));
    assert_eq!((carried.batch.num_rows(), carried.explain.segments_opened), (36 * 4, 36));
}

#[test]
fn a_table_leaves_out_the_segments_whose_columns_exclude_what_is_asked_for() {
    let directory = Folder::new();
    let archive = hundred_segments(directory.path());
    let context = SessionContext::new();
    context.register_table("flows", Arc::new(FlowTable::new(archive.snapshot().unwrap()))).unwrap();
    let flow = told_apart(42, 2);
    let address = |address: Option<Address>| {
        lit(ScalarValue::FixedSizeBinary(16, Some(address.unwrap().to_bits().to_be_bytes().to_vec())))
    };
    let time = flow.end_time.unwrap().as_millis();
    for (column, value, matching) in [
        ("end_time", lit(ScalarValue::TimestampMillisecond(Some(time), Some("UTC".into()))), 1),
        ("protocol", lit(flow.protocol.number()), 4),
        ("src_ip", address(flow.src_ip), 1),
        ("dst_ip", address(flow.dst_ip), 1),
        ("src_port", lit(flow.src_port.unwrap()), 1),
        ("dst_port", lit(flow.dst_port.unwrap()), 1),
        ("src_bytes", lit(flow.src_bytes.unwrap()), 1),
        ("dst_bytes", lit(flow.dst_bytes.unwrap()), 1),
        ("tcp_flags", lit(flow.tcp_flags.unwrap().bits()), 4),
        ("src_node", lit(flow.src_node.unwrap()), 1),
        ("dst_node", lit(flow.dst_node.unwrap()), 1),
        ("node_id", lit(flow.node_id.unwrap()), 1),
        ("activity_id", lit(flow.activity_id.unwrap()), 1),
    ] {
        block_on(async {
            let table = context.table("flows").await.unwrap();
            let table = table.filter(col(column).eq(value)).unwrap();
            let plan = table.clone().create_physical_plan().await.unwrap();
            let plan = displayable(plan.as_ref()).indent(true).to_string();
            assert!(plan.contains("segments=1 of 100"), "{column}: {plan}");
            assert_eq!(table.count().await.unwrap(), matching, "{column}");
        });
    }
    block_on(async {
        let table = context.table("flows").await.unwrap();
        assert_eq!(table.clone().filter(col("src_node").is_null()).unwrap().count().await.unwrap(), 0);
        assert_eq!(table.filter(col("node_id").not_eq(lit("nobody"))).unwrap().count().await.unwrap(), 400);
    });
}

/// The rows of a table by the first key of an order, as many as a page has.
async fn by_table(archive: &Archive, filter: Expr, order: &Order) -> (RecordBatch, Arc<dyn ExecutionPlan>) {
    let context = SessionContext::new_with_config(SessionConfig::new().with_target_partitions(3).with_batch_size(16));
    context.register_table("flows", Arc::new(FlowTable::new(archive.snapshot().unwrap()))).unwrap();
    let key = order.keys()[0];
    // Absent values would come first, and there are none.
    let sort = col(key.field.name()).sort(key.direction == Direction::Ascending, true);
    let table = context.table("flows").await.unwrap().filter(filter).unwrap();
    let plan = table.sort(vec![sort]).unwrap().limit(0, Some(5)).unwrap().create_physical_plan().await.unwrap();
    let batches = collect(Arc::clone(&plan), context.task_ctx()).await.unwrap();
    (concat_batches(&schema(), &batches).unwrap(), plan)
}

#[test]
fn a_table_asked_for_the_first_rows_of_an_order_reads_no_more_than_the_page() {
    with_archive(|archive| {
        let ports = filter::dst_port().within(300..600);
        let by_bytes = SortKey { field: Field::SrcBytes, direction: Direction::Descending };
        let most_bytes = Order::new([by_bytes], Direction::Descending);
        for (filter, expr, order) in [
            (filter::dst_port().eq(443), col("dst_port").eq(lit(443u16)), Order::newest_first()),
            (ports.clone(), col("dst_port").between(lit(300u16), lit(599u16)), Order::newest_first()),
            (ports.clone(), col("dst_port").between(lit(300u16), lit(599u16)), Order::oldest_first()),
            (ports, col("dst_port").between(lit(300u16), lit(599u16)), most_bytes.clone()),
            (Filter::all(), lit(true), Order::newest_first()),
            (Filter::all(), lit(true), most_bytes.clone()),
            (filter::src_node().eq("rare"), col("src_node").eq(lit("rare")), most_bytes),
        ] {
            let page = page(&query(archive, filter, order.clone()));
            let (found, plan) = block_on(by_table(archive, expr, &order));
            assert_eq!(found, page.batch);
            let (segments, blocks, rows) = cost(&page.explain);
            // A page looks for one flow more.
            let read = counted(plan.as_ref(), "blocks_read");
            assert!(read > 0 && read <= blocks, "{read} blocks: {}", page.explain);
            assert!(counted(plan.as_ref(), "segments_opened") <= segments, "{}", page.explain);
            assert!(counted(plan.as_ref(), "rows_scanned") <= rows, "{}", page.explain);
        }
    });
}

#[test]
fn a_table_counts_by_the_lists_what_matches_and_needs_no_scan() {
    with_archive(|archive| {
        let context = SessionContext::new();
        context.register_table("flows", Arc::new(FlowTable::new(archive.snapshot().unwrap()))).unwrap();
        block_on(async {
            for (filter, matching) in [
                (col("dst_port").eq(lit(443u16)), 1),
                (col("dst_port").eq(lit(443u16)), 1),
                (col("dst_port").not_eq(lit(443u16)), 999),
                (col("src_node").eq(lit("rare")), 1),
            ] {
                let table = context.table("flows").await.unwrap().filter(filter.clone()).unwrap();
                let table = table.aggregate(vec![], vec![count(lit(1i64))]).unwrap();
                let plan = table.create_physical_plan().await.unwrap();
                let shown = displayable(plan.as_ref()).indent(true).to_string();
                assert!(!shown.contains("FlowScanExec"), "{filter}: {shown}");
                let batches = collect(Arc::clone(&plan), context.task_ctx()).await.unwrap();
                assert_eq!(batches[0].column(0).as_primitive::<Int64Type>().value(0), matching, "{filter}");
            }
        });
    });
}

#[test]
fn what_the_manifest_decides_is_counted_without_a_segment_being_opened() {
    let directory = Folder::new();
    let archive = hundred_segments(directory.path());
    let count = |filter: Filter| {
        let counted = page(&query(&archive, filter, Order::newest_first()).limit(0).count(Count::Exact));
        (counted.total.unwrap(), counted.explain.segments_opened)
    };
    assert_eq!(count(filter::dst_port().within(..500)), (200, 0));
    assert_eq!(count(!filter::src_node().eq("nobody")), (400, 0));
    assert_eq!(count(filter::src_bytes().within(..(100 << 40)).and(filter::protocol().eq(Protocol::new(200)))), (0, 0));
    // Half of a segment.
    assert_eq!(count(filter::dst_port().within(..502)), (202, 1));
    // Bounds that were rounded decide only what they can: all names but those of one segment.
    let (_, one) = only(7).into_iter().find(|(field, _)| *field == Field::NodeId).unwrap();
    assert_eq!(count(!one), (396, 1));
}

#[test]
fn segments_without_zone_maps_are_opened_once_and_a_commit_writes_down_what_was_seen() {
    let directory = Folder::new();
    drop(hundred_segments(directory.path()));
    edit_manifest(directory.path(), |manifest| {
        let segments = manifest["segments"].as_array_mut().unwrap().iter_mut();
        segments.for_each(|segment| assert!(segment.as_object_mut().unwrap().remove("zones").is_some()));
    });
    let archive = Archive::open(directory.path()).unwrap();
    let known = |archive: &Archive| {
        archive.snapshot().unwrap().manifest().segments.iter().filter(|segment| segment.zones.is_some()).count()
    };
    let opened = |archive: &Archive, filter: Filter, order: Order| {
        let answer = page(&query(archive, filter, order));
        assert_eq!(answer.batch.num_rows(), 4);
        answer.explain.segments_opened
    };
    let mut filters = only(3);
    let (_, port) = filters.swap_remove(6);
    assert_eq!(known(&archive), 0);
    let window = filters.swap_remove(0).1;
    assert_eq!(opened(&archive, window, Order::newest_first()), 1);
    append(&archive, &[vec![told_apart(3, 0)]]);
    // The new segment, and the one that was open.
    assert_eq!(known(&archive), 2);
    let by_port =
        Order::new([SortKey { field: Field::SrcBytes, direction: Direction::Ascending }], Direction::Ascending);
    let answer = page(&query(&archive, port.clone(), by_port.clone()));
    assert_eq!((answer.batch.num_rows(), answer.explain.segments_opened), (5, 101), "{}", answer.explain);
    append(&archive, &[vec![told_apart(4, 0)]]);
    assert_eq!(known(&archive), 102);
    let again = Archive::open(directory.path()).unwrap();
    assert_eq!(page(&query(&again, port, by_port)).explain.segments_opened, 2);
    assert_sound(directory.path());
}
