//! A query that waits for what other queries hold gives up when its time is over, wherever it stands.

use std::{
    future::Future,
    io,
    pin::pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
    time::Duration,
};

use flowseek::{
    Archive, ErrorKind, Filter, Order, Result, Settings, StoredFlow,
    archive::SegmentOptions,
    filter,
    flow::{Field, Timestamp},
    order::{Direction, SortKey},
    query::{Budget, Count, Every, Page, Query, Start, Totals},
    resources::Workers,
};

use crate::{
    budgets::flow,
    clock::ManualClock,
    folder::Folder,
    support::{append, oracle},
};

type Work = Box<dyn FnOnce() + Send>;

/// A thread that does what it is given at once, or when it is told to.
#[derive(Default)]
struct Thread {
    is_held: AtomicBool,
    work: Mutex<Vec<Work>>,
}

impl std::fmt::Debug for Thread {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Thread").finish_non_exhaustive()
    }
}

impl Thread {
    fn take(&self) -> Vec<Work> {
        std::mem::take(&mut *self.work.lock().unwrap())
    }
}

#[derive(Debug)]
struct Only(Arc<Thread>);

impl Workers for Only {
    fn run(&self, work: Work) -> io::Result<()> {
        if self.0.is_held.load(Ordering::Relaxed) {
            self.0.work.lock().unwrap().push(work);
        } else {
            work();
        }
        Ok(())
    }
}

#[derive(Default)]
struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Small segments of which a query holds all the memory of one kind at a time.
struct Place {
    _directory: Folder,
    clock: ManualClock,
    thread: Arc<Thread>,
    archive: Archive,
    stored: Vec<StoredFlow>,
}

const TIME: Duration = Duration::from_secs(10);

impl Place {
    fn new(index_cache_bytes: u64, page_cache_bytes: u64) -> Self {
        Self::of((32, 8), index_cache_bytes, page_cache_bytes)
    }

    /// So many flows in blocks of so many rows.
    fn of((flows, block_rows): (usize, usize), index_cache_bytes: u64, page_cache_bytes: u64) -> Self {
        let directory = Folder::new();
        let (clock, thread) = (ManualClock::new(), Arc::new(Thread::default()));
        let settings = Settings::default()
            .segment(SegmentOptions::default().block_rows(block_rows).row_group_blocks(2))
            .segment_rows(flows / 2)
            .index_cache_bytes(index_cache_bytes)
            .page_cache_bytes(page_cache_bytes)
            // What was counted before would not be waited for.
            .count_cache_bytes(0)
            .clock(Arc::new(clock.clone()))
            .workers(Arc::new(Only(Arc::clone(&thread))));
        let archive = Archive::open_or_create_with(directory.path(), settings).unwrap();
        let stored = append(&archive, &[(0..flows as u64).map(flow).collect()]);
        // Footers and indexes are there for whoever has the memory for them.
        let opened = futures::executor::block_on(archive.snapshot().unwrap().query(Filter::all()).page());
        assert_eq!(opened.unwrap().explain.segments_opened, 2);
        Self { _directory: directory, clock, thread, archive, stored }
    }

    /// A page that is [interrupted](Self::interrupted).
    fn interrupted_page(&self, query: &Query, work: usize) -> Option<Result<Page>> {
        let query = query.clone().budget(Budget::default().time(TIME).rows(u64::MAX));
        self.interrupted(query.page(), work)
    }

    /// A query is polled until it has done so many pieces of work, then another one takes the memory, and the time passes.
    /// The outcome; `None` where the query was through before.
    fn interrupted<T>(&self, query: impl Future<Output = Result<T>>, work: usize) -> Option<Result<T>> {
        let woken = Arc::new(Woken::default());
        let waker = Waker::from(Arc::clone(&woken));
        let mut context = Context::from_waker(&waker);
        self.thread.is_held.store(true, Ordering::Relaxed);
        let mut query = pin!(query);
        for turn in 0..=work {
            if query.as_mut().poll(&mut context).is_ready() {
                return None;
            }
            if turn < work {
                self.thread.take().into_iter().for_each(|work| work());
            }
        }
        let mut its_work = self.thread.take();
        let all = self.archive.snapshot().unwrap().query(Filter::all()).order(by_bytes());
        let mut other = pin!(all.page());
        assert!(other.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        // What the other one has begun is never done.
        let _others_work = self.thread.take();
        loop {
            its_work.into_iter().for_each(|work| work());
            if let Poll::Ready(outcome) = query.as_mut().poll(&mut context) {
                return Some(outcome);
            }
            its_work = self.thread.take();
            if its_work.is_empty() {
                break;
            }
        }
        woken.0.store(false, Ordering::Relaxed);
        // A summary waits a second longer.
        self.clock.advance(TIME + Duration::from_secs(1));
        assert!(woken.0.load(Ordering::Relaxed), "nobody wakes it");
        match query.as_mut().poll(&mut context) {
            Poll::Ready(outcome) => Some(outcome),
            Poll::Pending => panic!("it waits on"),
        }
    }

    /// All pages from a start on.
    fn walk(&self, query: &Query, mut start: Start) -> Vec<StoredFlow> {
        self.thread.is_held.store(false, Ordering::Relaxed);
        let mut flows = Vec::new();
        loop {
            let page = futures::executor::block_on(query.clone().start(start).page()).unwrap();
            flows.extend(page.flows().unwrap());
            match page.next {
                Some(next) => start = Start::At(next),
                None => return flows,
            }
        }
    }
}

fn by_bytes() -> Order {
    Order::new([SortKey { field: Field::DstBytes, direction: Direction::Descending }], Direction::Ascending)
}

#[test]
fn a_page_whose_time_ends_while_it_waits_is_what_was_found_and_a_cursor_or_says_to_ask_again() {
    let roomy = 1 << 26;
    let (mut partial, mut busy) = (0, 0);
    for (index, pages) in [(1 << 12, roomy), (roomy, 1 << 12)] {
        let place = Place::new(index, pages);
        let snapshot = place.archive.snapshot().unwrap();
        for (order, filter) in [
            (Order::newest_first(), filter::src_port().within(..25)),
            (by_bytes(), Filter::all()),
            (by_bytes(), filter::dst_bytes().within(10..80)),
        ] {
            let query = snapshot.query(filter.clone()).order(order.clone()).limit(20).count(Count::None);
            let expected = oracle(&place.stored, &filter, &order);
            // From the first flow, and from where a budget of few rows has interrupted a search.
            let few = query.clone().budget(Budget::new(1, TIME));
            let cut = futures::executor::block_on(few.page()).unwrap();
            let found = cut.flows().unwrap();
            for (start, before) in [(Start::First, vec![]), (Start::At(cut.next.unwrap()), found)] {
                let query = query.clone().start(start.clone());
                for work in 0.. {
                    let Some(outcome) = place.interrupted_page(&query, work) else { break };
                    let (mut found, mut next) = (before.clone(), Some(start.clone()));
                    match outcome {
                        Ok(page) => {
                            partial += u64::from(page.explain.budget_spent);
                            found.extend(page.flows().unwrap());
                            next = page.next.map(Start::At);
                        }
                        Err(error) => {
                            assert_eq!(error.kind(), ErrorKind::Busy, "{error}");
                            busy += 1;
                        }
                    }
                    found.extend(next.into_iter().flat_map(|next| place.walk(&query, next)));
                    assert_eq!(found, expected, "{query:?} after {work} pieces of work");
                }
                place.thread.is_held.store(false, Ordering::Relaxed);
            }
        }
    }
    assert!(partial > 10 && busy > 10, "{partial} pages, {busy} errors");
}

#[test]
fn a_count_whose_time_ends_while_it_waits_says_to_ask_again() {
    let place = Place::new(1 << 26, 1 << 12);
    let filter = filter::dst_bytes().within(10..80);
    let query = place.archive.snapshot().unwrap().query(filter.clone()).limit(0).count(Count::Exact);
    let mut busy = 0;
    for work in 0.. {
        match place.interrupted_page(&query, work) {
            Some(Err(error)) => {
                assert!(error.is_retryable(), "{error}");
                busy += 1;
            }
            Some(Ok(page)) => assert!(page.total.is_some()),
            None => break,
        }
    }
    assert!(busy > 0);
    place.thread.is_held.store(false, Ordering::Relaxed);
    let counted = futures::executor::block_on(query.page()).unwrap().total;
    assert_eq!(counted, Some(oracle(&place.stored, &filter.clone(), &by_bytes()).len() as u64));
}

#[test]
fn a_summary_whose_time_ends_while_it_waits_is_exact_for_what_it_covers_or_says_to_ask_again() {
    let roomy = 1 << 26;
    let (mut partial, mut busy) = (0, 0);
    for (index, pages) in [(1 << 12, roomy), (roomy, 1 << 12)] {
        // As many blocks as two rounds read.
        let place = Place::of((160, 1), index, pages);
        let query = place.archive.snapshot().unwrap().summarize(filter::src_port().within(..25)).by([Field::DstPort]);
        let query = query.every(Every::Length(Duration::from_millis(1))).top(1000);
        let query = query.budget(Budget::default().time(TIME).rows(u64::MAX));
        for work in 0.. {
            let Some(outcome) = place.interrupted(query.summary(), work) else { break };
            let summary = match outcome {
                Ok(summary) => summary,
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::Busy, "{error}");
                    busy += 1;
                    continue;
                }
            };
            partial += u64::from(!summary.is_complete());
            let (oldest, newest) = summary.searched.unwrap_or((Timestamp::MIN, Timestamp::MAX));
            let is_covered = |flow: &&StoredFlow| (oldest..=newest).contains(&flow.flow.start_time);
            let matches = |flow: &&StoredFlow| flow.flow.src_port.is_some_and(|port| port < 25);
            let covered = place.stored.iter().filter(matches).filter(is_covered);
            let bytes = |flow: &StoredFlow| u128::from(flow.flow.dst_bytes.unwrap_or(0));
            let (flows, bytes) = covered.fold((0, 0), |(flows, sum), flow| (flows + 1, sum + bytes(flow)));
            let sum = |totals: &mut dyn Iterator<Item = Totals>| {
                totals.fold((0, 0), |(flows, sum), totals| (flows + totals.flows, sum + totals.dest_bytes.unwrap()))
            };
            assert_eq!(sum(&mut [summary.totals].into_iter()), (flows, bytes), "after {work} pieces of work");
            assert_eq!(sum(&mut summary.groups.iter().map(|group| group.totals)), (flows, bytes));
            assert_eq!(sum(&mut summary.buckets.iter().map(|bucket| bucket.totals)), (flows, bytes));
        }
        place.thread.is_held.store(false, Ordering::Relaxed);
    }
    assert!(partial > 10 && busy > 10, "{partial} summaries, {busy} errors");
}
