//! A budget bounds every page, whatever is asked for and however the archive is cut, and the pages join to the whole.

use std::{
    collections::HashSet,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, Instant, SystemTime},
};

use flowseek::{
    Archive, ErrorKind, Filter, Flow, Order, Settings, StoredFlow,
    archive::Effort,
    archive::SegmentOptions,
    filter,
    flow::{AddressRange, Field, Protocol, TcpFlags, Timestamp},
    order::{Direction, SortKey},
    query::{Budget, Count, Query, Start},
    resources::Clock,
};

use crate::{
    folder::Folder,
    support::{append, assert_sound, block_on, oracle},
};

const BLOCK_ROWS: usize = 4;
const FLOWS: u64 = 200;

/// A number below `below`, in no order.
pub fn scattered(n: u64, below: u64) -> u64 {
    n.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29) % below
}

/// Flow n of many: every block has small and large values of every column, so that bounds tell little.
pub fn flow(n: u64) -> Flow {
    let address = |n: u64| format!("10.0.{}.{}", n % 3, n % 251).parse().unwrap();
    let name = |n: u64| (!n.is_multiple_of(4)).then(|| format!("node-{}", n % 7));
    let port = |n: u64| u16::try_from(n).unwrap();
    Flow {
        end_time: (!n.is_multiple_of(3))
            .then(|| Timestamp::from_millis(i64::try_from(scattered(n, 9_000)).unwrap()).unwrap()),
        protocol: Protocol::new([6, 17, 1, 47][scattered(n, 4) as usize]),
        src_ip: (!n.is_multiple_of(5)).then(|| address(scattered(n, 1000))),
        dst_ip: Some(address(scattered(n + 1, 1000))),
        src_port: (!n.is_multiple_of(11)).then(|| port(scattered(n, 50))),
        dst_port: Some(port(scattered(n + 2, 60_000))),
        src_bytes: (!n.is_multiple_of(4)).then(|| scattered(n, 1 << 40)),
        dst_bytes: Some(scattered(n + 3, 90)),
        tcp_flags: (!n.is_multiple_of(2)).then(|| TcpFlags::new(scattered(n, 256) as u8)),
        src_node: name(scattered(n, 99)),
        dst_node: name(scattered(n + 4, 99)),
        node_id: Some(["a", "b", "c"][scattered(n + 5, 3) as usize].to_owned()),
        activity_id: name(scattered(n + 6, 99)),
        ..Flow::starting(Timestamp::from_millis(i64::try_from(scattered(n + 7, 5_000)).unwrap()).unwrap())
    }
}

/// An archive of such flows, in segments of so many.
fn archive(segment_rows: usize) -> (Folder, Archive, Vec<StoredFlow>) {
    let directory = Folder::new();
    let segment = SegmentOptions::default().block_rows(BLOCK_ROWS).row_group_blocks(8);
    let settings = Settings::default().segment(segment).segment_rows(segment_rows);
    let archive = Archive::open_or_create_with(directory.path(), settings).unwrap();
    let stored = append(&archive, &[(0..FLOWS).map(flow).collect()]);
    (directory, archive, stored)
}

/// Every sort key in both directions, and some of two keys.
pub fn orders() -> Vec<Order> {
    let directions = [Direction::Ascending, Direction::Descending];
    let key = |field, direction| SortKey { field, direction };
    let each =
        Field::all().flat_map(|field| directions.map(|direction| Order::new([key(field, direction)], direction)));
    let pairs = [(Field::SrcNode, Field::DstNode), (Field::DstPort, Field::SrcBytes), (Field::Protocol, Field::SrcIp)];
    let pairs = pairs.into_iter().flat_map(|(one, other)| {
        directions
            .map(|direction| Order::new([key(one, direction), key(other, Direction::Descending)], Direction::Ascending))
    });
    each.chain(pairs).collect()
}

/// A filter of each shape.
pub fn filters() -> Vec<Filter> {
    let block: AddressRange = "10.0.1.0/24".parse().unwrap();
    vec![
        Filter::all(),
        filter::src_port().eq(7),
        filter::src_port().eq(60_000),
        filter::src_bytes().within(1 << 38..),
        filter::src_port().within(..25).and(filter::dst_bytes().within(10..80)),
        filter::dst_ip().any_of([block]),
        !filter::src_node().eq("node-3"),
        filter::node_id().eq("b").and(filter::dst_bytes().eq(14)),
    ]
}

/// A walk through all pages: the flows, and how many pages there were. `between` is called after each page.
fn walk(budget: Budget, query: impl Fn() -> Query, mut between: impl FnMut()) -> (Vec<StoredFlow>, u64) {
    let (mut flows, mut pages, mut start) = (Vec::new(), 0, Start::First);
    loop {
        let query = query().budget(budget).start(start);
        let page = block_on(query.page()).unwrap();
        pages += 1;
        assert!(pages < 20_000, "the pages do not end: {query:?}");
        let rows = page.explain.rows_scanned;
        let most = budget.rows.saturating_add(BLOCK_ROWS as u64);
        assert!(rows <= most, "{rows} rows were read where {most} may be: {query:?}");
        flows.extend(page.flows().unwrap());
        between();
        match page.next {
            Some(next) => start = Start::At(next.to_string().parse().unwrap()),
            None => return (flows, pages),
        }
    }
}

const ROWS: Budget = Budget::new(20, Duration::MAX);
const NO_TIME: Budget = Budget::new(u64::MAX, Duration::ZERO);

/// The largest number of pages of a walk: see `query::sweep`. `visits` is how many candidates a page visits at least.
fn most_pages(flows: usize, candidates: u64, visits: u64) -> u64 {
    (flows as u64 + 2) * (2 * candidates / visits + 3)
}

#[test]
fn pages_within_any_budget_join_to_the_plain_sort_whatever_is_asked_for() {
    let filters = filters();
    for (cut, segment_rows) in [1_000, 12].into_iter().enumerate() {
        let (_directory, archive, stored) = archive(segment_rows);
        let snapshot = archive.snapshot().unwrap();
        let candidates = FLOWS.div_ceil(BLOCK_ROWS as u64) + snapshot.manifest().segments.len() as u64;
        for (number, order) in orders().into_iter().enumerate() {
            // Each order meets every filter, and each of the two every budget and every archive.
            for (shape, filter) in filters.iter().enumerate().filter(|(shape, _)| (number + shape) / 2 % 2 == cut) {
                let (budget, visits) = if (number + shape).is_multiple_of(2) { (ROWS, 5) } else { (NO_TIME, 1) };
                let query = || snapshot.query(filter.clone()).order(order.clone()).limit(100).count(Count::None);
                let (found, pages) = walk(budget, query, || ());
                let expected = oracle(&stored, filter, &order);
                assert_eq!(found, expected, "{filter:?} {order:?} {budget:?}");
                let most = most_pages(found.len(), candidates, visits);
                assert!(pages <= most, "{pages} of at most {most} pages: {filter:?} {order:?} {budget:?}");
            }
        }
    }
}

#[test]
fn a_grant_of_one_tenant_is_walked_within_the_budget_and_page_numbers_too() {
    let (_directory, archive, stored) = archive(30);
    let snapshot = archive.snapshot().unwrap();
    let order =
        Order::new([SortKey { field: Field::DstBytes, direction: Direction::Descending }], Direction::Ascending);
    let filter = filter::node_id().eq("a").and(filter::src_bytes().within(1000..));
    let expected = oracle(&stored, &filter, &order);
    for budget in [ROWS, NO_TIME] {
        let query = || snapshot.query(filter.clone()).order(order.clone()).limit(7).count(Count::None);
        assert_eq!(walk(budget, query, || ()).0, expected);
        // Its first pages pass over what comes before the third.
        let mut page = block_on(query().budget(budget).start(Start::Number(3)).page()).unwrap();
        let mut found = page.flows().unwrap();
        while let Some(next) = page.next {
            page = block_on(query().budget(budget).after(next).page()).unwrap();
            found.extend(page.flows().unwrap());
        }
        assert_eq!(found, expected[14..], "{budget:?}");
    }
}

#[test]
fn rare_matches_among_wide_blocks_cost_one_pass_through_the_archive() {
    let (_directory, archive, stored) = archive(100);
    let snapshot = archive.snapshot().unwrap();
    let order =
        Order::new([SortKey { field: Field::DstBytes, direction: Direction::Descending }], Direction::Ascending);
    let filter = filter::src_port().within(..3);
    let query = || snapshot.query(filter.clone()).order(order.clone()).limit(100);
    let (found, pages) = walk(ROWS, query, || ());
    assert_eq!(found, oracle(&stored, &filter, &order));
    assert!(found.len() > 3, "{}", found.len());
    // A page that finds out that bounds tell nothing, and one for each 20 rows.
    assert!(pages <= 2 + FLOWS / 20, "{pages}");
}

#[test]
fn commits_and_compactions_between_the_pages_of_an_interrupted_search_lose_and_repeat_nothing() {
    for (number, order) in orders().into_iter().enumerate() {
        let (_directory, archive, stored) = archive(12);
        let filters = filters();
        let filter = &filters[number % filters.len()];
        let budget = if number.is_multiple_of(3) { NO_TIME } else { Budget::new(40, Duration::MAX) };
        let mut turns = 0;
        let query = || archive.snapshot().unwrap().query(filter.clone()).order(order.clone()).limit(50);
        let (found, _) = walk(budget, query, || {
            turns += 1;
            match turns % 3 {
                _ if turns > 24 => {}
                1 => drop(append(&archive, &[(0..5).map(|n| flow(10_000 + turns * 10 + n)).collect()])),
                2 => {
                    let compactor = archive.writer().unwrap().compactor();
                    let _ = compactor.run_once(Effort::Thorough).unwrap();
                }
                _ => {}
            }
        });
        let ids: HashSet<_> = found.iter().map(|flow| flow.id).collect();
        assert_eq!(ids.len(), found.len(), "a flow came twice: {filter:?} {order:?}");
        assert!(found.is_sorted_by(|a, b| order.compare(&order.key(a), &order.key(b)).is_lt()), "{filter:?} {order:?}");
        let known: HashSet<_> = stored.iter().map(|flow| flow.id).collect();
        let of_before: Vec<_> = found.into_iter().filter(|flow| known.contains(&flow.id)).collect();
        assert_eq!(of_before, oracle(&stored, filter, &order), "{filter:?} {order:?}");
        assert_sound(archive.path());
    }
}

#[test]
fn a_count_stops_within_its_budget_and_goes_on_when_it_is_asked_for_again() {
    for (segment_rows, filter, most_rows) in [
        (1_000, filter::src_bytes().within(1 << 38..), 20),
        (12, filter::src_bytes().within(1 << 38..).and(filter::dst_port().within(..30_000)), 20),
        // Of the flows that lists name there are fewer.
        (30, filter::node_id().eq("b").and(!filter::dst_bytes().eq(14)), 5),
    ] {
        let expected = oracle(&archive(segment_rows).2, &filter, &Order::oldest_first()).len() as u64;
        for budget in [ROWS.rows(0), ROWS.rows(most_rows), NO_TIME] {
            let (_directory, archive, _) = archive(segment_rows);
            let query = archive.snapshot().unwrap().query(filter.clone()).limit(0).count(Count::Exact).budget(budget);
            let mut tries = 0;
            let total = loop {
                tries += 1;
                match block_on(query.page()) {
                    Ok(page) => {
                        let most = budget.rows.saturating_add(BLOCK_ROWS as u64);
                        assert!(page.explain.rows_counted <= most, "{:?}", page.explain);
                        break page.total;
                    }
                    Err(error) => {
                        assert_eq!(error.kind(), ErrorKind::Busy, "{budget:?}: {error}");
                        assert!(error.is_retryable() && error.problems()[0].contains("`count`"), "{error}");
                    }
                }
                // Each try counts a block at least, or decides a segment.
                assert!(tries <= FLOWS.div_ceil(BLOCK_ROWS as u64) + FLOWS.div_ceil(segment_rows as u64), "{budget:?}");
            };
            assert_eq!(total, Some(expected), "{budget:?}");
            assert!(tries > 3, "{tries} tries: {budget:?} {filter:?}");
        }
    }
}

#[test]
fn the_largest_limit_answers_everything() {
    let (_directory, archive, stored) = archive(12);
    let snapshot = archive.snapshot().unwrap();
    let by_bytes =
        Order::new([SortKey { field: Field::SrcBytes, direction: Direction::Ascending }], Direction::Ascending);
    for order in [Order::newest_first(), Order::oldest_first(), by_bytes] {
        for filter in filters() {
            let page = block_on(snapshot.query(filter.clone()).order(order.clone()).limit(usize::MAX).page()).unwrap();
            assert_eq!(page.flows().unwrap(), oracle(&stored, &filter, &order));
            assert!(page.next.is_none());
        }
    }
}

/// A clock that goes on by a millisecond whenever it is looked at.
#[derive(Debug)]
struct Ticking {
    started: Instant,
    looks: AtomicU32,
}

impl Clock for Ticking {
    fn now(&self) -> SystemTime {
        SystemTime::now()
    }

    fn instant(&self) -> Instant {
        self.started + Duration::from_millis(1) * self.looks.fetch_add(1, Ordering::Relaxed)
    }
}

#[test]
fn the_time_is_looked_at_before_each_step_and_a_page_ends_with_the_step_that_it_ended_in() {
    let directory = Folder::new();
    let clock = Ticking { started: Instant::now(), looks: AtomicU32::new(0) };
    let settings = Settings::default()
        .segment(SegmentOptions::default().block_rows(10).row_group_blocks(4))
        .segment_rows(40)
        .clock(Arc::new(clock));
    let archive = Archive::open_or_create_with(directory.path(), settings).unwrap();
    append(&archive, &[(0..2_000).map(flow).collect()]);
    let by_bytes = SortKey { field: Field::DstBytes, direction: Direction::Descending };
    let order = Order::new([by_bytes], Direction::Descending);
    let blocks = |millis| {
        let budget = Budget::default().time(Duration::from_millis(millis)).rows(u64::MAX);
        let query = archive.snapshot().unwrap().query(filter::src_port().eq(7)).order(order.clone()).budget(budget);
        let page = block_on(query.page()).unwrap();
        (page.explain.blocks_read, page.next.is_some())
    };
    let (all, more) = blocks(1_000_000);
    assert!(all > 100 && !more, "{all}");
    let read: Vec<u64> = [2, 20, 60].map(|millis| blocks(millis).0).to_vec();
    assert!(read.is_sorted() && read[0] < read[2] && read[2] < all, "{read:?} of {all}");
    // At least one look for each step, so no more steps than milliseconds, and none of more than a round.
    assert!(blocks(20).1 && read[1] <= 20 * 64, "{read:?}");
}
