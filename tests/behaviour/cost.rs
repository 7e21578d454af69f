//! What a page costs, told by counters: no clock.

use flowseek::{
    Archive, Filter, Flow, Order, Settings, filter,
    flow::{Field, Timestamp},
    order::{Direction, SortKey},
    query::{Budget, Count, Explain, Page, Query, Start},
    segment::SegmentOptions,
};

use crate::support::{append, block_on};

/// 4 segments of 250 flows, in blocks of 10: flow n starts at second n, port n % 1000, and one node in the midst.
fn with_archive(test: impl Fn(&Archive)) {
    let directory = tempfile::tempdir().unwrap();
    let segment = SegmentOptions { block_rows: 10, row_group_blocks: 5 };
    let settings = Settings { segment, segment_rows: 250, ..Settings::default() };
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
        let budget = Budget { rows: 100, ..Budget::default() };
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
        let budget = Budget { rows: 50, ..Budget::default() };
        let query = query(archive, bytes, Order::newest_first()).budget(budget).count(Count::Exact);
        let error = block_on(query.page()).unwrap_err();
        assert!(error.problems()[0].contains("`count`"), "{error}");
    });
}
