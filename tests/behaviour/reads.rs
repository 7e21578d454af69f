//! Reads fail, at every step, once or until further notice: no wrong answer, nothing sound is told damaged, and all is
//! well again as soon as reads succeed.

use std::{
    error::Error as StdError,
    fmt, io,
    path::Path,
    pin::Pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::{Duration, Instant, SystemTime},
};

use arrow::util::pretty::pretty_format_batches;
use datafusion::prelude::SessionConfig;

use flowseek::{
    Archive, Error, ErrorKind, Filter, FlowId, Order, Result, Settings, StoredFlow,
    archive::{Depth, Effort, Finding, FindingKind, Retention},
    filter,
    flow::{Field, Timestamp},
    ingest::LiveOptions,
    order::{Direction, SortKey},
    query::{Budget, Count, Every, Gaps, Pages, archive_session},
    resources::Clock,
};
use rustix::io::Errno;

use crate::{
    hooked::Hooked,
    kept::{Place, commit, flow, now},
    support::{block_on, oracle},
};

/// When reads fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    Never,
    /// The n-th read, once.
    At(usize, Errno),
    /// The n-th read and all after it.
    From(usize, Errno),
}

/// Lets reads fail, and counts them.
#[derive(Clone)]
struct Reads(Arc<State>);

struct State {
    fault: Mutex<Fault>,
    steps: AtomicUsize,
}

impl Reads {
    fn new() -> Self {
        Self(Arc::new(State { fault: Mutex::new(Fault::Never), steps: AtomicUsize::new(0) }))
    }

    /// The local file system, where they do.
    fn storage(&self) -> Arc<Hooked> {
        let reads = self.clone();
        Arc::new(Hooked::new(move |_, step| if step.is_read() { reads.step() } else { Ok(()) }))
    }

    /// From now on reads are counted from 1 on, and fail like this. How many there were before.
    fn set(&self, fault: Fault) -> usize {
        *self.0.fault.lock().unwrap() = fault;
        self.0.steps.swap(0, Ordering::SeqCst)
    }

    fn step(&self) -> io::Result<()> {
        let at = self.0.steps.fetch_add(1, Ordering::SeqCst) + 1;
        match *self.0.fault.lock().unwrap() {
            Fault::At(step, errno) if step == at => Err(io::Error::from_raw_os_error(errno.raw_os_error())),
            Fault::From(step, errno) if step <= at => Err(io::Error::from_raw_os_error(errno.raw_os_error())),
            _ => Ok(()),
        }
    }
}

/// An archive of several segments that overlap.
fn prepared() -> Place {
    let place = Place::new();
    let archive = place.archive(40);
    for first in 0..3 {
        commit(&archive, (0..24).map(|flow| first * 7 + flow * 3));
    }
    place
}

/// Runs `operation` on copies of an archive, with each kind of fault at each of its reads. It succeeds, or gives an error
/// of the system; the flows are then those of before or what `change` makes of them. It succeeds as soon as reads do.
fn at_each_read<T: fmt::Debug + PartialEq>(
    operation: impl Fn(&Path, Settings) -> Result<T, Box<dyn StdError>>,
    change: impl Fn(&mut Vec<StoredFlow>),
) {
    at_each_read_in_parts(operation, change, |flows, before, _| flows == before);
}

/// [`at_each_read`], where an operation that has failed may have left what `is_left` says, of the flows, those of before
/// and those that `change` makes of them.
fn at_each_read_in_parts<T: fmt::Debug + PartialEq>(
    operation: impl Fn(&Path, Settings) -> Result<T, Box<dyn StdError>>,
    change: impl Fn(&mut Vec<StoredFlow>),
    is_left: impl Fn(&[StoredFlow], &[StoredFlow], &[StoredFlow]) -> bool,
) {
    let prepared = prepared();
    let before = now(&prepared.archive(40));
    let mut after = before.clone();
    change(&mut after);
    let copy = prepared.copy();
    let reads = Reads::new();
    let settings = copy.settings(40).storage(reads.storage());
    let expected = operation(&copy.path, settings).unwrap();
    let last = reads.set(Fault::Never);
    assert!(last > 5, "hardly anything is read");
    // A step of many: an operation reads some hundred times.
    for step in (1..=last).step_by(1 + last / 24) {
        for fault in [Fault::At(step, Errno::MFILE), Fault::At(step, Errno::IO), Fault::From(step, Errno::NOMEM)] {
            let copy = prepared.copy();
            let reads = Reads::new();
            let settings = || copy.settings(40).storage(reads.storage());
            reads.set(fault);
            let result = operation(&copy.path, settings());
            reads.set(Fault::Never);
            let is_done = result.is_ok();
            match result {
                Ok(answer) => assert_eq!(answer, expected, "{fault:?}"),
                Err(error) => is_of_the_system(cause(error.as_ref()), fault),
            }
            let flows = sound(&copy, fault);
            assert!(flows == after || !is_done && is_left(&flows, &before, &after), "{fault:?}: {flows:?}");
            if flows == before || flows != after {
                let again = operation(&copy.path, settings()).unwrap_or_else(|error| panic!("{fault:?}: {error}"));
                assert_eq!(again, expected, "{fault:?}");
                assert_eq!(sound(&copy, fault), after, "{fault:?}");
            }
        }
    }
}

/// The error of this crate that an error is, or comes from.
fn cause<'a>(mut error: &'a (dyn StdError + 'static)) -> &'a Error {
    loop {
        match error.downcast_ref() {
            Some(error) => break error,
            None => error = error.source().unwrap_or_else(|| panic!("it has another cause: {error:?}")),
        }
    }
}

/// Asserts that an error says what to do: ask again where the system lacked something, and else look at the system.
fn is_of_the_system(error: &Error, fault: Fault) {
    let is_allowed = match fault {
        Fault::At(_, Errno::IO) | Fault::From(_, Errno::IO) => {
            matches!(error.kind(), ErrorKind::Io | ErrorKind::Busy)
        }
        _ => error.is_retryable(),
    };
    assert!(is_allowed, "{fault:?}: {:?}: {error}", error.kind());
}

/// The flows of an archive of which nothing is damaged, or taken for it.
fn sound(place: &Place, fault: Fault) -> Vec<StoredFlow> {
    let report = Archive::verify(&place.path, Depth::Rows, &mut |_| {}).unwrap();
    assert!(report.is_sound(), "{fault:?}: {report:?}");
    assert!(place.names("quarantine").is_empty(), "{fault:?}");
    now(&Archive::open(&place.path).unwrap())
}

fn queries() -> Vec<(Filter, Order)> {
    let by_port = SortKey { field: Field::DstPort, direction: Direction::Descending };
    vec![
        (Filter::all(), Order::newest_first()),
        (filter::dst_port().eq(21), Order::oldest_first()),
        (
            filter::src_node().eq("node-3").and(filter::dst_port().within(5..)),
            Order::new([by_port], Direction::Descending),
        ),
    ]
}

#[test]
fn a_query_answers_right_or_with_an_error_of_the_system_and_leaves_nothing_out() {
    for (filter, order) in queries() {
        let ask = |path: &Path, settings: Settings| {
            let query = Archive::open_with(path, settings)?.snapshot()?.query(filter.clone()).order(order.clone());
            let page = block_on(query.limit(20).count(Count::Exact).gaps(Gaps::Error).page())?;
            Ok((page.flows()?, page.total))
        };
        at_each_read(ask, |_| {});
    }
}

/// A clock that nobody waits for: it goes on to any time that is waited for.
#[derive(Debug)]
struct Skipping {
    started: Instant,
    skipped: AtomicU64,
}

impl Skipping {
    fn new() -> Arc<Self> {
        Arc::new(Self { started: Instant::now(), skipped: AtomicU64::new(0) })
    }
}

impl Clock for Skipping {
    fn now(&self) -> SystemTime {
        SystemTime::now()
    }

    fn instant(&self) -> Instant {
        self.started + Duration::from_millis(self.skipped.load(Ordering::SeqCst))
    }

    fn sleep_until(&self, time: Instant) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        let skipped = time.saturating_duration_since(self.started).as_millis();
        self.skipped.fetch_max(u64::try_from(skipped).unwrap(), Ordering::SeqCst);
        Box::pin(std::future::ready(()))
    }
}

/// All flows of pages of which a budget reaches to few; those before are there already.
fn rest(pages: &mut Pages, flows: &mut Vec<StoredFlow>) -> Result<()> {
    while let Some(page) = block_on(pages.next())? {
        assert!(page.explain.rows_scanned <= 20 + 16, "{}", page.explain);
        flows.extend(page.flows()?);
    }
    Ok(())
}

#[test]
fn all_pages_outlast_a_lack_that_passes_and_one_that_does_not_ends_them_where_they_go_on_later() {
    let prepared = prepared();
    let stored = now(&prepared.archive(40));
    for (filter, order) in queries() {
        let expected = oracle(&stored, &filter, &order);
        let mut step = 1;
        loop {
            let (mut steps, clock) = (0, Skipping::new());
            for fault in [Fault::At(step, Errno::NOMEM), Fault::From(step, Errno::NOMEM)] {
                let reads = Reads::new();
                let settings = prepared.settings(40).storage(reads.storage()).clock(clock.clone());
                let archive = Archive::open_with(&prepared.path, settings).unwrap();
                let query = archive.snapshot().unwrap().query(filter.clone()).order(order.clone()).limit(7);
                let query = query.budget(Budget::new(20, Duration::MAX)).count(Count::None);
                let mut pages = query.pages().patience(Duration::from_secs(3));
                reads.set(fault);
                let (mut flows, before) = (Vec::new(), clock.instant());
                let outcome = rest(&mut pages, &mut flows);
                steps = reads.set(Fault::Never).max(steps);
                if let Err(error) = outcome {
                    assert!(error.is_retryable() && fault == Fault::From(step, Errno::NOMEM), "{fault:?}: {error}");
                    assert!(clock.instant() - before >= Duration::from_secs(3), "{fault:?}");
                    rest(&mut pages, &mut flows).unwrap();
                }
                assert_eq!(flows, expected, "{fault:?}");
            }
            if step > steps {
                break;
            }
            // Among some hundred reads, every one of the first pages, and then some.
            step += 1 + step / 24;
        }
        assert!(step > 5);
    }
}

#[test]
fn a_summary_is_right_or_an_error_of_the_system() {
    for (filter, by) in [(Filter::all(), vec![]), (queries().swap_remove(2).0, vec![Field::SrcNode])] {
        let ask = |path: &Path, settings: Settings| {
            let query = Archive::open_with(path, settings)?.snapshot()?.summarize(filter.clone()).by(by.clone());
            let summary = block_on(query.every(Every::Length(Duration::from_millis(10))).summary())?;
            Ok((summary.totals, summary.groups, summary.buckets, summary.searched))
        };
        at_each_read(ask, |_| {});
    }
}

#[test]
fn sql_answers_right_or_with_an_error_of_the_system() {
    let sql =
        "SELECT src_node, count(*), sum(dst_port) FROM flows WHERE dst_port >= 5 GROUP BY src_node ORDER BY src_node";
    let ask = |path: &Path, settings: Settings| {
        let context = archive_session(Archive::open_with(path, settings)?, SessionConfig::new(), Arc::default())?;
        let answer = block_on(async { context.sql(sql).await?.collect().await })?;
        Ok(pretty_format_batches(&answer)?.to_string())
    };
    at_each_read(ask, |_| {});
}

#[test]
fn what_is_appended_live_is_there_once_it_is_acknowledged() {
    let append = |path: &Path, settings: Settings| {
        let archive = Archive::open_with(path, settings)?;
        block_on(async {
            let options = LiveOptions::default().flush_age(Duration::MAX);
            let appender = archive.live_appender(options)?;
            let receipt = appender.append([flow(500)]).await?;
            let _ = appender.commit().await?;
            let ids = receipt.durable().await?;
            drop(receipt);
            let _ = appender.close().await?;
            Ok(ids.start)
        })
    };
    let add = |flows: &mut Vec<StoredFlow>| flows.push(StoredFlow { id: FlowId::new(73), flow: flow(500) });
    at_each_read(append, add);
}

#[test]
fn a_page_that_skips_gaps_leaves_no_segment_out_for_a_lack_that_passes() {
    let prepared = prepared();
    let (filter, order) = queries().swap_remove(2);
    let mut step = 1;
    loop {
        let reads = Reads::new();
        let settings = prepared.settings(40).storage(reads.storage());
        let archive = Archive::open_with(&prepared.path, settings).unwrap();
        let query = archive.snapshot().unwrap().query(filter.clone()).order(order.clone()).gaps(Gaps::Skip);
        reads.set(Fault::At(step, Errno::NOMEM));
        let page = block_on(query.page());
        let steps = reads.set(Fault::Never);
        let expected = block_on(query.page()).unwrap();
        match page {
            Ok(page) => assert_eq!((page.flows().unwrap(), page.gaps.len()), (expected.flows().unwrap(), 0)),
            Err(error) => is_of_the_system(&error, Fault::At(step, Errno::NOMEM)),
        }
        if step > steps {
            break;
        }
        step += 1;
    }
    assert!(step > 5);
}

#[test]
fn segments_are_merged_or_stay_and_none_is_set_aside() {
    let merge = |path: &Path, settings: Settings| {
        let archive = Archive::open_with(path, settings)?;
        let compactor = archive.writer()?.compactor();
        while compactor.run_once(Effort::Full)?.is_some() {}
        Ok(archive.snapshot()?.manifest().segments.len())
    };
    at_each_read(merge, |_| {});
}

#[test]
fn flows_that_are_too_old_go_and_no_others() {
    let before = Timestamp::from_millis(30).unwrap();
    let retain = |path: &Path, settings: Settings| {
        let archive = Archive::open_with(path, settings)?;
        let retention = Retention::default().before(before).exact(true);
        let mut retained = archive.writer()?.retain(retention)?;
        if let Some(error) = retained.unreadable.pop() {
            return Err(error.into());
        }
        Ok(archive.snapshot()?.manifest().rows())
    };
    // A segment that cannot be read keeps no other from being cut.
    let is_left = |flows: &[StoredFlow], before: &[StoredFlow], after: &[StoredFlow]| {
        flows.iter().all(|flow| before.contains(flow)) && after.iter().all(|flow| flows.contains(flow))
    };
    at_each_read_in_parts(retain, |flows| flows.retain(|stored| stored.flow.start_time >= before), is_left);
}

#[test]
fn a_commit_is_there_or_not() {
    let append = |path: &Path, settings: Settings| {
        let archive = Archive::open_with(path, settings)?;
        let mut appender = archive.appender()?;
        appender.push(&flow(500))?;
        Ok(appender.commit()?.first)
    };
    let add = |flows: &mut Vec<StoredFlow>| flows.push(StoredFlow { id: FlowId::new(73), flow: flow(500) });
    at_each_read(append, add);
}

#[test]
fn a_repair_of_what_is_sound_changes_nothing_or_says_that_it_cannot_read() {
    let repair = |path: &Path, settings: Settings| {
        let repaired = Archive::repair(path, settings, &mut |_| {})?;
        Ok((repaired.lost.len(), repaired.rebuilt.len(), repaired.quarantined.len()))
    };
    at_each_read(repair, |_| {});
}

#[test]
fn what_cannot_be_read_is_verified_as_unreadable_and_not_as_damaged() {
    let prepared = prepared();
    let mut step = 1;
    loop {
        let mut steps = 0;
        for fault in [Fault::At(step, Errno::INTR), Fault::From(step, Errno::IO)] {
            let reads = Reads::new();
            let settings = prepared.settings(40).storage(reads.storage());
            reads.set(fault);
            let report = Archive::verify_with(&prepared.path, settings, Depth::Rows, &mut |_| {});
            steps = reads.set(Fault::Never).max(steps);
            match report {
                Ok(report) => {
                    let is_unreadable = |finding: &Finding| finding.kind == FindingKind::Unreadable;
                    assert!(report.findings.iter().all(is_unreadable), "{fault:?}: {report:?}");
                }
                Err(error) => is_of_the_system(&error, fault),
            }
        }
        if step > steps {
            break;
        }
        step += 1;
    }
    assert!(step > 5);
}
