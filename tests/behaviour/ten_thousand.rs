//! An archive of ten thousand segments: budgets and times hold in it as in one of few.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant, SystemTime},
};

use flowseek::{
    Archive, ErrorKind, Filter, Flow, FlowId, Order, Settings, StoredFlow, filter,
    flow::{Field, Timestamp},
    order::{Direction, SortKey},
    query::{Budget, Count, Start, Summary},
    resources::Clock,
};

use crate::{
    budgets::{self, filters, orders, scattered},
    hooked::{Hooked, Step},
    kept::Place,
    support::{append, block_on},
};

pub const SEGMENTS: u64 = 10_000;
const SEGMENT_ROWS: usize = 2;
const FLOWS: u64 = SEGMENTS * SEGMENT_ROWS as u64;
/// No flow has it, though the bounds of half of the segments let it be.
const ABSENT_PORT: u16 = 30_000;

/// The flows come roughly in the order of their start: each segment overlaps with some 200.
fn flow(n: u64) -> Flow {
    let start = n * 10 + scattered(n, 2_000);
    let flow = budgets::flow(n);
    let dst_port = flow.dst_port.filter(|port| *port != ABSENT_PORT);
    Flow { dst_port, start_time: Timestamp::from_millis(i64::try_from(start).unwrap()).unwrap(), ..flow }
}

/// All flows, by their IDs.
pub fn flows() -> impl Iterator<Item = StoredFlow> {
    (0..FLOWS).map(|n| StoredFlow { id: FlowId::new(n + 1), flow: flow(n) })
}

/// The archive and its flows.
pub struct Fixture {
    pub path: PathBuf,
    pub stored: Vec<StoredFlow>,
    /// No other run of the tests makes it anew meanwhile.
    _lock: File,
}

/// The archive is made once for each build of the tests, as that takes a while, and none of them changes it.
pub fn fixture() -> &'static Fixture {
    static FIXTURE: OnceLock<Fixture> = OnceLock::new();
    FIXTURE.get_or_init(|| {
        let root = Path::new(env!("CARGO_TARGET_TMPDIR")).join("ten-thousand-segments");
        fs::create_dir_all(&root).unwrap();
        let lock = File::create(root.join("lock")).unwrap();
        lock.lock().unwrap();
        let (path, made_by) = (root.join("flows"), root.join("made-by"));
        let program = std::env::current_exe().unwrap();
        let build = format!("{program:?} {:?}", program.metadata().unwrap().modified().unwrap());
        if !fs::read_to_string(&made_by).is_ok_and(|made_by| made_by == build) {
            let _ = fs::remove_file(&made_by);
            let _ = fs::remove_dir_all(&path);
            let archive = Archive::open_or_create_with(&path, Place::new().settings(SEGMENT_ROWS)).unwrap();
            append(&archive, &[(0..FLOWS).map(flow).collect()]);
            fs::write(made_by, build).unwrap();
        }
        Fixture { path, stored: flows().collect(), _lock: lock }
    })
}

/// The archive with caches that hold a small part of it.
fn archive(settings: Settings) -> Archive {
    let settings = settings.index_cache_bytes(8 << 20).page_cache_bytes(1 << 20);
    Archive::open_with(&fixture().path, settings).unwrap()
}

fn matching(filter: &Filter) -> impl Iterator<Item = &'static StoredFlow> {
    fixture().stored.iter().filter(move |flow| filter.matches(flow))
}

/// Of 2,900 segments the bounds let a flow match, and some 670 flows do.
pub fn some() -> Filter {
    filter::dst_bytes().within(10..=12)
}

fn by(field: Field, direction: Direction) -> Order {
    Order::new([SortKey { field, direction }], Direction::Ascending)
}

const ROWS: u64 = 100;
const FEW: Budget = Budget::new(ROWS, Duration::MAX);
/// What may be read beyond the rows of a budget: a round of blocks.
const ROUND_ROWS: u64 = 64 * SEGMENT_ROWS as u64;
/// The most segments that are opened for so many rows: a block of each is read, or turned away by its lists.
const OPENED: u64 = 2 * ROWS;

#[test]
fn a_page_of_few_rows_reads_few_and_opens_few_segments_whatever_is_asked_for() {
    let snapshot = archive(Settings::default()).snapshot().unwrap();
    assert_eq!(snapshot.manifest().segments.len() as u64, SEGMENTS);
    let filters = filters();
    for (number, order) in orders().into_iter().enumerate() {
        // Each order meets two filters, and each filter many orders of both directions.
        for filter in [number, number / 2 + 3].map(|number| &filters[number % filters.len()]) {
            let query = snapshot.query(filter.clone()).order(order.clone()).limit(50).count(Count::None);
            let page = block_on(query.budget(FEW).page()).unwrap();
            let explain = &page.explain;
            let is_within = explain.rows_scanned <= ROWS + ROUND_ROWS && explain.segments_opened <= OPENED;
            assert!(is_within, "{filter:?} {order:?}: {explain}");
            // What it has found are the first flows of all.
            let found = page.flows().unwrap();
            let keys: Vec<_> = found.iter().map(|flow| order.key(flow)).collect();
            assert!(keys.is_sorted_by(|left, right| order.compare(left, right).is_lt()));
            if let Some(last) = keys.last() {
                let first = matching(filter).filter(|flow| order.compare(&order.key(flow), last).is_le());
                assert_eq!(found.len(), first.count(), "{filter:?} {order:?}");
            }
            let is_last = || found.len() == matching(filter).count();
            assert!(page.next.is_some() || is_last(), "{filter:?} {order:?}");
        }
    }
}

#[test]
fn pages_of_few_rows_join_to_the_plain_sort() {
    let snapshot = archive(Settings::default()).snapshot().unwrap();
    // In the last two bounds tell the segments apart, and do not.
    let orders = [
        Order::newest_first(),
        by(Field::DstBytes, Direction::Descending),
        by(Field::ActivityId, Direction::Ascending),
    ];
    for order in orders {
        let mut expected: Vec<_> = matching(&some()).map(|flow| (order.key(flow), flow)).collect();
        expected.sort_by(|(left, _), (right, _)| order.compare(left, right));
        let query = snapshot.query(some()).order(order.clone()).limit(300).count(Count::None);
        let query = query.budget(FEW.rows(500));
        let (mut found, mut start) = (Vec::new(), Start::First);
        for pages in 1.. {
            assert!(pages < 200, "the pages do not end: {order:?}");
            let page = block_on(query.clone().start(start.clone()).page()).unwrap();
            assert!(page.explain.rows_scanned <= 500 + ROUND_ROWS, "{order:?}: {}", page.explain);
            found.extend(page.flows().unwrap());
            let Some(next) = page.next.map(Start::At) else { break };
            assert_ne!(next, start, "{order:?}");
            start = next;
        }
        assert!(found.iter().eq(expected.into_iter().map(|(_, flow)| flow)), "{order:?}");
    }
}

#[test]
fn a_count_of_few_rows_is_asked_for_again_until_it_is_right() {
    let filter = some().and(filter::src_port().within(..25));
    let snapshot = archive(Settings::default()).snapshot().unwrap();
    let query = snapshot.query(filter.clone()).limit(0).count(Count::Exact).budget(FEW.rows(200));
    let mut tries = 1;
    let page = loop {
        match block_on(query.page()) {
            Ok(page) => break page,
            Err(error) => assert_eq!(error.kind(), ErrorKind::Busy, "{error}"),
        }
        tries += 1;
    };
    assert_eq!(page.total, Some(matching(&filter).count() as u64));
    assert!(page.explain.rows_counted <= 200 + ROUND_ROWS, "{}", page.explain);
    // Some 3,800 rows are counted, and each try gets on by 200 at least and by a round more at most.
    assert!((8..40).contains(&tries), "{tries}");
}

/// The flows that a summary says it tells of.
fn covered(summary: &Summary, filter: &Filter) -> u64 {
    let (oldest, newest) = summary.searched.unwrap_or((Timestamp::MIN, Timestamp::MAX));
    matching(filter).filter(|flow| (oldest..=newest).contains(&flow.flow.start_time)).count() as u64
}

#[test]
fn summaries_of_few_rows_read_few_and_join_to_the_whole() {
    let snapshot = archive(Settings::default()).snapshot().unwrap();
    for filter in filters().into_iter().chain([some()]) {
        for fields in [vec![], vec![Field::Protocol], vec![Field::SrcIp, Field::DstPort]] {
            let summary = snapshot.summarize(filter.clone()).by(fields).budget(FEW);
            let summary = block_on(summary.summary()).unwrap();
            let explain = &summary.explain;
            let is_within = explain.rows_scanned <= ROWS + ROUND_ROWS && explain.segments_opened <= OPENED;
            assert!(is_within, "{filter:?}: {explain}");
            assert_eq!(summary.totals.flows, covered(&summary, &filter));
        }
    }
    let (mut left, mut told) = (some(), 0);
    loop {
        let summary = block_on(snapshot.summarize(left).budget(FEW.rows(500)).summary()).unwrap();
        assert!(summary.explain.rows_scanned <= 500 + ROUND_ROWS, "{}", summary.explain);
        told += summary.totals.flows;
        let Some((oldest, _)) = summary.searched else { break };
        left = some().and(filter::start_time().lt(oldest));
    }
    assert_eq!(told, matching(&some()).count() as u64);
}

/// A clock that goes on by a millisecond with each read of a file.
#[derive(Debug)]
struct OfReads {
    started: Instant,
    reads: Arc<AtomicU64>,
}

impl Clock for OfReads {
    fn now(&self) -> SystemTime {
        SystemTime::now()
    }

    fn instant(&self) -> Instant {
        self.started + Duration::from_millis(self.reads.load(Ordering::Relaxed))
    }
}

#[test]
fn the_time_ends_whatever_is_done_though_every_segment_is_still_to_be_opened() {
    let reads = Arc::new(AtomicU64::new(0));
    let hook = {
        let reads = Arc::clone(&reads);
        move |_: &Path, step| {
            reads.fetch_add(u64::from(matches!(step, Step::Read(_))), Ordering::Relaxed);
            Ok(())
        }
    };
    let settings = Settings::default()
        .storage(Arc::new(Hooked::new(hook)))
        .clock(Arc::new(OfReads { started: Instant::now(), reads: Arc::clone(&reads) }));
    let snapshot = archive(settings).snapshot().unwrap();
    let budget = Budget::new(u64::MAX, Duration::from_millis(200));
    // To open a segment takes four reads and to look into its lists one. A fetch of eight pages of 19 columns may begin
    // 20 milliseconds late, and a summary has begun a round of 64 blocks, for each of which it is read where its pages lie.
    let within = |most: u64, step: &dyn Fn()| {
        let before = reads.load(Ordering::Relaxed);
        step();
        let took = reads.load(Ordering::Relaxed) - before;
        assert!(took <= 200 + most, "{took} ms");
    };
    let absent = filter::dst_port().eq(ABSENT_PORT);
    for (filter, fetch, round) in [(Filter::all(), 250, 320), (filter::src_port().eq(7), 250, 320), (absent, 50, 50)] {
        let orders = [
            Order::newest_first(),
            by(Field::DstBytes, Direction::Descending),
            by(Field::ActivityId, Direction::Descending),
        ];
        for order in orders {
            let query = snapshot.query(filter.clone()).order(order).limit(1000).count(Count::None).budget(budget);
            let start = std::cell::RefCell::new(Start::First);
            for _ in 0..3 {
                within(fetch, &|| {
                    let query = query.clone().start(start.borrow().clone());
                    *start.borrow_mut() = Start::At(block_on(query.page()).unwrap().next.unwrap());
                });
            }
        }
        within(50, &|| {
            let query = snapshot.query(filter.clone()).limit(0).count(Count::Exact).budget(budget);
            // All flows are counted without a look at any.
            assert!(filter.is_all() || block_on(query.page()).is_err_and(|error| error.is_retryable()));
        });
        for by in [vec![], vec![Field::SrcIp]] {
            within(round, &|| {
                let summary = block_on(snapshot.summarize(filter.clone()).by(by.clone()).budget(budget).summary());
                let summary = summary.unwrap();
                assert_eq!(summary.totals.flows, covered(&summary, &filter));
                assert!(!summary.is_complete());
            });
        }
    }
}
