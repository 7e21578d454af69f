//! Appending from many tasks: what is acknowledged is there, and what is not acknowledged waits or is gone.

use std::{
    fs::{self, File},
    io,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    task::{Context, Poll, Waker},
    thread,
    time::Duration,
};

use arrow::{
    array::{
        ArrayRef, Int64Array, RecordBatch, StringArray, TimestampMillisecondArray, TimestampSecondArray, UInt16Array,
    },
    compute::concat_batches,
};
use flowseek::{
    Archive, ErrorKind, Filter, Flow, FlowId, Order, Settings, StoredFlow,
    archive::Effort,
    flow::{Field, Timestamp},
    ingest::{LiveAppender, LiveOptions, Receipt},
    order::{Direction, SortKey},
    schema::{FlowBuilder, schema},
};
use futures::future::join_all;
use proptest::{collection::vec, prelude::*};
use tokio::time::{Instant, sleep, timeout};

use crate::{
    clock::ManualClock,
    folder::Folder,
    hooked::{self, Hooked},
    support::{assert_sound, block_on, flow},
};

/// Far longer than anything here takes: only what never ends is ended by it.
const LONG: Duration = Duration::from_secs(60);

/// What commits by itself never.
pub fn never() -> LiveOptions {
    LiveOptions::default()
        .flush_rows(u64::MAX)
        .flush_bytes(u64::MAX)
        .flush_age(Duration::MAX)
        .queue_bytes(1 << 20)
        .compaction(Effort::Background)
}

struct Scratch {
    archive: Archive,
    _directory: Folder,
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if !thread::panicking() {
            assert_sound(self.archive.path());
        }
    }
}

impl Scratch {
    fn new(segment_rows: usize) -> Self {
        let directory = Folder::new();
        let settings = Settings::default().segment_rows(segment_rows);
        let archive = Archive::open_or_create_with(directory.path().join("flows"), settings).unwrap();
        Self { archive, _directory: directory }
    }

    fn appender(&self, options: LiveOptions) -> LiveAppender {
        self.archive.live_appender(options).unwrap()
    }

    /// All flows, in the order of their IDs.
    async fn stored(&self) -> Vec<StoredFlow> {
        let key = SortKey { field: Field::FlowId, direction: Direction::Ascending };
        let order = Order::new([key], Direction::Ascending);
        let query = self.archive.snapshot().unwrap().query(Filter::all()).order(order).limit(10_000);
        let page = query.page().await.unwrap();
        assert!(page.next.is_none());
        page.flows().unwrap()
    }

    /// The numbers of all flows, in the order of their IDs.
    async fn numbers(&self) -> Vec<i64> {
        self.stored().await.into_iter().map(|stored| stored.flow.start_time.as_millis()).collect()
    }

    /// Where a directory must be, there is a file: no segment can be written.
    fn break_disk(&self) {
        let data = self.archive.path().join("data");
        fs::rename(&data, data.with_extension("away")).unwrap();
        File::create(&data).unwrap();
    }

    fn mend_disk(&self) {
        let data = self.archive.path().join("data");
        fs::remove_file(&data).unwrap();
        fs::rename(data.with_extension("away"), &data).unwrap();
    }
}

fn numbered(number: i64) -> Flow {
    Flow::starting(Timestamp::from_millis(number).unwrap())
}

fn several(numbers: std::ops::Range<i64>) -> Vec<Flow> {
    numbers.map(numbered).collect()
}

async fn ids(receipt: &Receipt) -> (u64, u64) {
    let ids = timeout(LONG, receipt.durable()).await.expect("it is committed some time").unwrap();
    (ids.start.get(), ids.end.get())
}

/// Whether a future is done when it is polled once.
fn is_done(future: impl Future) -> bool {
    matches!(pin!(future).poll(&mut Context::from_waker(Waker::noop())), Poll::Ready(_))
}

#[test]
fn a_commit_makes_what_every_clone_appended_visible_and_receipts_say_which_is_whose() {
    let scratch = Scratch::new(1000);
    block_on(async {
        let first = scratch.appender(never());
        let second = first.clone();
        let receipts = [
            first.append(several(5..8)).await.unwrap(),
            second.append([] as [Flow; 0]).await.unwrap(),
            // Late flows are ordinary.
            second.append(&several(0..2)).await.unwrap(),
        ];
        assert!(!is_done(receipts[0].durable()));
        assert!(scratch.numbers().await.is_empty());
        let commit = first.commit().await.unwrap();
        assert_eq!((commit.flows, commit.first), (5, FlowId::new(1)));
        assert_eq!(scratch.numbers().await, [5, 6, 7, 0, 1]);
        assert_eq!((ids(&receipts[0]).await, ids(&receipts[2]).await), ((1, 4), (4, 6)));
        assert!(receipts[1].durable().await.unwrap().is_empty());

        let later = second.append([numbered(9)]).await.unwrap();
        let commit = second.commit().await.unwrap();
        assert_eq!((commit.flows, commit.first), (1, FlowId::new(6)));
        assert_eq!((ids(&later).await, ids(&receipts[2]).await), ((6, 7), (4, 6)));
        let empty = second.commit().await.unwrap();
        assert_eq!((empty.flows, empty.version), (0, commit.version));
    });
}

#[test]
fn flows_become_visible_by_themselves_when_they_are_many_or_large_or_old() {
    for options in [
        never().flush_rows(3),
        never().flush_bytes(3 * 116),
        never().flush_age(Duration::from_millis(20)),
        never().flush_age(Duration::ZERO),
    ] {
        let scratch = Scratch::new(1000);
        block_on(async {
            let appender = scratch.appender(options);
            let first = appender.append(several(0..2)).await.unwrap();
            if options.flush_age == Duration::MAX {
                assert!(!is_done(first.durable()), "{options:?}");
            }
            let second = appender.append(several(2..4)).await.unwrap();
            assert_eq!((ids(&first).await, ids(&second).await), ((1, 3), (3, 5)), "{options:?}");
            assert_eq!(scratch.numbers().await, [0, 1, 2, 3], "{options:?}");
        });
    }
}

#[test]
fn a_flow_is_as_old_as_the_clock_of_the_archive_says() {
    let directory = Folder::new();
    let clock = ManualClock::new();
    let settings = Settings::default().clock(Arc::new(clock.clone()));
    let archive = Archive::open_or_create_with(directory.path().join("flows"), settings).unwrap();
    let hour = Duration::from_secs(3600);
    block_on(async {
        let appender = archive.live_appender(never().flush_age(hour)).unwrap();
        for number in 0..3 {
            let receipt = appender.append([numbered(number)]).await.unwrap();
            clock.advance(hour - Duration::from_millis(1));
            assert!(timeout(Duration::from_millis(20), receipt.durable()).await.is_err());
            clock.advance(Duration::from_millis(1));
            assert_eq!(ids(&receipt).await, (number as u64 + 1, number as u64 + 2));
        }
    });
}

#[test]
fn a_flow_becomes_visible_at_its_age_though_others_keep_coming() {
    let scratch = Scratch::new(1000);
    block_on(async {
        let age = Duration::from_millis(400);
        let appender = scratch.appender(never().flush_age(age));
        let first = appender.append([numbered(0)]).await.unwrap();
        // Long before one flow is as old as that, the next comes.
        for number in 1.. {
            if timeout(age / 10, first.durable()).await.is_ok() {
                break;
            }
            assert!(number < 500, "a trickle of flows keeps the first from being committed");
            appender.append([numbered(number)]).await.unwrap();
        }
    });
}

#[test]
fn commits_that_are_asked_for_together_are_one_commit_and_each_is_told() {
    let scratch = Scratch::new(1000);
    block_on(async {
        let appender = scratch.appender(never());
        let handle = async |number: i64| {
            let receipt = appender.append([numbered(number)]).await.unwrap();
            let commit = appender.commit().await.unwrap();
            let first = receipt.durable().await.unwrap().start.get();
            // The flow is in the commit that was waited for, or in one before.
            assert!(first < commit.first.get() + commit.flows);
            (first, commit.version)
        };
        let answers = join_all((0..200).map(handle)).await;
        let mut ids: Vec<u64> = answers.iter().map(|(id, _)| *id).collect();
        ids.sort_unstable();
        assert_eq!(ids, (1..=200).collect::<Vec<_>>());
        // Each commit takes longer than all the calls.
        let versions = scratch.archive.snapshot().unwrap().manifest().version - 1;
        assert!(versions < 50, "{versions} commits");
        assert_eq!(scratch.numbers().await.len(), 200);
    });
}

#[test]
fn many_tasks_on_many_threads_lose_nothing_though_the_queue_holds_hardly_anything() {
    let scratch = Scratch::new(50);
    let options = never().queue_bytes(300).flush_rows(40);
    let appender = scratch.appender(options);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(4).enable_all().build().unwrap();
    runtime.block_on(async {
        let tasks = (0..8i64).map(|task| {
            let appender = appender.clone();
            tokio::spawn(async move {
                // A call of five flows is larger than the whole queue.
                for call in 0..20 {
                    let from = (task * 20 + call) * 5;
                    appender.append(several(from..from + 5)).await.unwrap();
                }
                let _ = appender.commit().await.unwrap();
            })
        });
        for task in tasks.collect::<Vec<_>>() {
            timeout(LONG, task).await.expect("no call waits for ever").unwrap();
        }
        let mut numbers = scratch.numbers().await;
        // The flows of a call follow on one another.
        assert!(numbers.chunks(5).all(|call| call[0] % 5 == 0 && call.windows(2).all(|pair| pair[1] == pair[0] + 1)));
        numbers.sort_unstable();
        assert_eq!(numbers, (0..800).collect::<Vec<_>>());
    });
}

#[test]
fn an_appender_that_is_dropped_loses_only_what_it_has_not_acknowledged_and_frees_the_archive() {
    let scratch = Scratch::new(4);
    block_on(async {
        for round in 0..5 {
            let appender = scratch.appender(never());
            let clone = appender.clone();
            appender.append([numbered(round)]).await.unwrap();
            let _ = appender.commit().await.unwrap();
            // More than a segment: some of it is being written.
            appender.append(several(100..110)).await.unwrap();
            drop(appender);
            assert_eq!(scratch.archive.appender().unwrap_err().kind(), ErrorKind::Locked);
            drop(clone);
        }
        assert_eq!(scratch.numbers().await, [0, 1, 2, 3, 4]);
    });
    let files = fs::read_dir(scratch.archive.path().join("data")).unwrap();
    assert_eq!(files.count(), 5);
}

#[test]
fn a_receipt_that_is_kept_keeps_the_appender_going() {
    let scratch = Scratch::new(1000);
    block_on(async {
        let appender = scratch.appender(never().flush_age(Duration::from_millis(20)));
        let receipt = appender.append([numbered(1)]).await.unwrap();
        drop(appender);
        assert_eq!(ids(&receipt).await, (1, 2));
        drop(receipt);
        assert!(scratch.archive.appender().is_ok());
    });
}

#[test]
fn to_close_the_last_clone_commits_and_frees_the_archive() {
    let scratch = Scratch::new(1000);
    block_on(async {
        let appender = scratch.appender(never());
        appender.append([numbered(1)]).await.unwrap();
        assert_eq!(appender.clone().close().await.unwrap().flows, 1);
        appender.append([numbered(2)]).await.unwrap();
        assert_eq!(appender.close().await.unwrap().flows, 1);
        assert!(scratch.archive.appender().is_ok());
        assert_eq!(scratch.numbers().await, [1, 2]);
    });
}

#[test]
fn where_nothing_can_be_written_the_queue_fills_every_caller_is_told_and_nothing_is_lost() {
    let scratch = Scratch::new(4);
    block_on(async {
        let appender = scratch.appender(never().queue_bytes(10 * 116));
        appender.append([numbered(0)]).await.unwrap();
        let _ = appender.commit().await.unwrap();
        scratch.break_disk();

        appender.append(several(1..3)).await.unwrap();
        let error = appender.commit().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Io);
        assert!(error.to_string().contains("what was appended could not be committed, and waits: archive"), "{error}");

        // One after the other until there is no room; then a call waits, and hears of the next attempt that fails.
        let mut number = 3;
        let waiting = loop {
            assert!(number < 40, "the queue takes more than it holds");
            let waiting = appender.append([numbered(number)]);
            match timeout(LONG, waiting).await.expect("who waits for room is told what fails") {
                Ok(_) => number += 1,
                Err(error) => break error,
            }
        };
        assert_eq!(waiting.kind(), ErrorKind::Io);
        assert!(number >= 10, "{number}");

        // Whoever waits for what is in it is told as well, and can wait again.
        let receipt = appender.clone();
        let pending = receipt.commit().await.unwrap_err();
        assert_eq!(pending.kind(), ErrorKind::Io);

        scratch.mend_disk();
        let commit = timeout(LONG, appender.commit()).await.unwrap().unwrap();
        assert_eq!((commit.flows, commit.first), (number as u64 - 1, FlowId::new(2)));
        assert_eq!(scratch.numbers().await, (0..number).collect::<Vec<_>>());
        appender.append([numbered(number)]).await.expect("what failed is over");
    });
}

#[test]
fn a_failure_that_nobody_waited_for_is_told_to_one_caller_and_tried_again_by_itself() {
    let scratch = Scratch::new(1000);
    block_on(async {
        let appender = scratch.appender(never().flush_age(Duration::ZERO));
        scratch.break_disk();
        let receipt = appender.append([numbered(1)]).await.unwrap();
        let begin = Instant::now();
        let error = loop {
            assert!(begin.elapsed() < LONG, "no caller is told");
            match appender.append([numbered(2)]).await {
                Ok(_) => sleep(Duration::from_millis(1)).await,
                Err(error) => break error,
            }
        };
        assert_eq!(error.kind(), ErrorKind::Io);
        appender.append([numbered(3)]).await.expect("the failure was told");
        let error = timeout(LONG, receipt.durable()).await.unwrap().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Io);
        scratch.mend_disk();
        assert_eq!(ids(&receipt).await, (1, 2));
        let _ = appender.commit().await.unwrap();
        let numbers = scratch.numbers().await;
        assert_eq!((numbers.first(), numbers.last()), (Some(&1), Some(&3)));
    });
}

#[test]
fn a_failure_that_is_over_before_anyone_could_be_told_is_made_good_and_not_told() {
    let directory = Folder::new();
    let (sender, failed) = mpsc::channel();
    let has_failed = AtomicBool::new(false);
    let storage = Hooked::new(move |path, step| {
        let is_segment = path.parent().is_some_and(|folder| folder.ends_with("data"));
        if step == hooked::Step::Create && is_segment && !has_failed.swap(true, Ordering::Relaxed) {
            sender.send(()).unwrap();
            return Err(io::ErrorKind::StorageFull.into());
        }
        Ok(())
    });
    let settings = Settings::default().segment_rows(4).storage(Arc::new(storage));
    let archive = Archive::open_or_create_with(directory.path().join("flows"), settings).unwrap();
    let mut appender = archive.appender().unwrap();
    // With the fifth flow, a segment of four is written in the background.
    several(0..5).iter().for_each(|flow| appender.push(flow).unwrap());
    failed.recv_timeout(LONG).unwrap();
    assert_eq!(appender.commit().unwrap().flows, 5);
    assert_eq!(archive.snapshot().unwrap().manifest().rows(), 5);
    assert_sound(archive.path());
}

#[test]
fn a_disk_that_is_away_just_after_a_commit_is_not_taken_for_another_writer() {
    let directory = Folder::new();
    let data = directory.path().join("flows/data");
    let away = data.with_extension("away");
    let (is_armed, paths) = (Arc::new(AtomicBool::new(false)), (data.clone(), away.clone()));
    let armed = Arc::clone(&is_armed);
    // Between the segments of a commit and the manifest that names them.
    let storage = Hooked::new(move |path, step| {
        let is_manifest = path.parent().is_some_and(|folder| folder.ends_with("manifests"));
        if step == hooked::Step::Create && is_manifest && armed.swap(false, Ordering::Relaxed) {
            fs::rename(&paths.0, &paths.1)?;
        }
        Ok(())
    });
    let settings = Settings::default().storage(Arc::new(storage));
    let archive = Archive::open_or_create_with(directory.path().join("flows"), settings).unwrap();
    let mut appender = archive.appender().unwrap();
    for round in 0..3 {
        several(round * 5..round * 5 + 5).iter().for_each(|flow| appender.push(flow).unwrap());
        is_armed.store(true, Ordering::Relaxed);
        for _ in 0..2 {
            let error = appender.commit().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Io, "{error}");
        }
        fs::rename(&away, &data).unwrap();
        let commit = appender.commit().unwrap();
        assert_eq!((commit.flows, commit.first.get()), (5, round as u64 * 5 + 1));
        assert_eq!(archive.snapshot().unwrap().manifest().rows(), round as u64 * 5 + 5);
    }
    assert_sound(archive.path());
}

#[test]
fn an_append_that_is_dropped_while_it_waits_has_appended_nothing() {
    let scratch = Scratch::new(2);
    block_on(async {
        let appender = scratch.appender(never().queue_bytes(2 * 116));
        scratch.break_disk();
        let (begin, mut number) = (Instant::now(), 0);
        let refused = loop {
            assert!(number < 40 && begin.elapsed() < LONG, "the queue takes more than it holds, or nothing");
            let flow = [numbered(number)];
            let mut waiting = Box::pin(appender.append(&flow));
            match waiting.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
                Poll::Ready(Ok(_)) => number += 1,
                Poll::Ready(Err(_)) => {}
                // The thread may be about to take something in; where it cannot, this waits until it can.
                Poll::Pending => match timeout(Duration::from_millis(200), &mut waiting).await {
                    Ok(Ok(_)) => number += 1,
                    Ok(Err(_)) => {}
                    Err(_) => break number,
                },
            }
        };
        scratch.mend_disk();
        let _ = appender.commit().await.unwrap();
        appender.append([numbered(1000)]).await.unwrap();
        let _ = appender.commit().await.unwrap();
        assert_eq!(scratch.numbers().await, (0..refused).chain([1000]).collect::<Vec<_>>());
    });
}

#[test]
fn a_flow_that_cannot_be_stored_refuses_its_call_and_no_other() {
    let scratch = Scratch::new(1000);
    block_on(async {
        let appender = scratch.appender(never());
        appender.append([numbered(1)]).await.unwrap();
        let bad = Flow { src_node: Some("n".repeat(256)), ..numbered(3) };
        let error = appender.append([numbered(2), bad]).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        assert!(error.to_string().starts_with("flow 2 of those handed in cannot be appended: src_node"), "{error}");
        assert_eq!(appender.close().await.unwrap().flows, 1);
        assert_eq!(scratch.numbers().await, [1]);
    });
}

#[test]
fn a_batch_may_lack_columns_and_have_them_in_any_order() {
    let scratch = Scratch::new(1000);
    let columns: [(&str, ArrayRef); 3] = [
        ("dst_node", Arc::new(StringArray::from(vec![Some("db"), None]))),
        ("start_time", Arc::new(TimestampMillisecondArray::from(vec![7, 8]).with_timezone("UTC"))),
        ("dst_port", Arc::new(UInt16Array::from(vec![None, Some(443)]))),
    ];
    block_on(async {
        let appender = scratch.appender(never());
        appender.append_batch(&RecordBatch::try_from_iter(columns).unwrap()).await.unwrap();
        appender.append_batch(&RecordBatch::new_empty(schema())).await.unwrap();
        assert_eq!(appender.close().await.unwrap().flows, 2);
        let flows: Vec<Flow> = scratch.stored().await.into_iter().map(|stored| stored.flow).collect();
        let expected =
            [Flow { dst_node: Some("db".to_owned()), ..numbered(7) }, Flow { dst_port: Some(443), ..numbered(8) }];
        assert_eq!(flows, expected);
    });
}

#[test]
fn a_batch_with_a_wrong_column_or_value_is_refused_as_a_whole() {
    let starts = |values: Vec<Option<i64>>| {
        ("start_time", Arc::new(TimestampMillisecondArray::from(values).with_timezone("UTC")) as ArrayRef)
    };
    let good = || starts(vec![Some(1), Some(2)]);
    let ends = Arc::new(TimestampMillisecondArray::from(vec![None, Some(i64::MAX)]).with_timezone("UTC"));
    let names = Arc::new(StringArray::from(vec![Some("a"), Some("")]));
    let all = Field::all().map(Field::name).collect::<Vec<_>>().join(", ");
    let scratch = Scratch::new(1000);
    block_on(async {
        let appender = scratch.appender(never());
        for (columns, reason) in [
            (
                vec![good(), ("dst_prt", Arc::new(UInt16Array::from(vec![1, 2])) as ArrayRef)],
                format!("the batch has a column dst_prt; allowed are {all}"),
            ),
            (vec![good(), good()], "the batch has two columns start_time".to_owned()),
            (
                vec![good(), ("dst_port", Arc::new(Int64Array::from(vec![1, 2])))],
                "column dst_port of the batch has the type Int64; allowed is UInt16".to_owned(),
            ),
            (
                vec![("start_time", Arc::new(TimestampSecondArray::from(vec![1, 2])))],
                "column start_time of the batch has the type Timestamp(s); allowed is Timestamp(ms, \"UTC\")"
                    .to_owned(),
            ),
            (vec![("dst_node", names.clone())], "the batch has no column start_time".to_owned()),
            (
                vec![starts(vec![Some(1), None])],
                "start_time of flow 2 is missing, and every flow has a start".to_owned(),
            ),
            (
                vec![starts(vec![Some(i64::MIN), Some(1)])],
                "start_time of flow 1 lies outside the years 0 to 9999".to_owned(),
            ),
            (vec![good(), ("end_time", ends)], "end_time of flow 2 lies outside the years 0 to 9999".to_owned()),
            (
                vec![good(), ("node_id", names)],
                "flow 2 of those handed in cannot be appended: node_id has 0 bytes; allowed are 1 to 255, or no value \
                 at all"
                    .to_owned(),
            ),
        ] {
            let batch = columns.into_iter().map(|(name, column)| (name, column, true));
            let batch = RecordBatch::try_from_iter_with_nullable(batch).unwrap();
            let error = appender.append_batch(&batch).await.unwrap_err();
            assert_eq!((error.kind(), error.to_string()), (ErrorKind::InvalidInput, reason));
        }
        assert_eq!(appender.close().await.unwrap().flows, 0);
    });
}

/// One thing that happens to an appender.
#[derive(Clone, Debug)]
enum Step {
    Append(Vec<Flow>),
    AppendBatch(Vec<Flow>),
    Commit,
    Break,
    Mend,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => vec(flow(), 0..6).prop_map(Step::Append),
        3 => vec(flow(), 1..6).prop_map(Step::AppendBatch),
        3 => Just(Step::Commit),
        1 => Just(Step::Break),
        2 => Just(Step::Mend),
    ]
}

/// The flows as a batch in the order of the list.
fn batch(flows: &[Flow]) -> RecordBatch {
    let rows = flows.iter().zip(1..).map(|(flow, id)| {
        let mut builder = FlowBuilder::default();
        builder.push(flow).unwrap();
        builder.finish(FlowId::new(id)).unwrap()
    });
    concat_batches(&schema(), &rows.collect::<Vec<_>>()).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, max_shrink_iters: 60, ..ProptestConfig::default() })]

    #[test]
    fn whatever_is_appended_comes_once_and_in_order_through_commits_and_full_disks(
        steps in vec(step(), 1..25),
        segment_rows in 1usize..8,
        flush_rows in prop_oneof![1u64..12, Just(u64::MAX)],
    ) {
        let scratch = Scratch::new(segment_rows);
        let outcome = block_on(async {
            let appender = scratch.appender(never().flush_rows(flush_rows));
            let (mut taken, mut receipts, mut broken): (Vec<Flow>, Vec<(Receipt, usize)>, _) = (vec![], vec![], false);
            for step in steps {
                let appended = match &step {
                    Step::Append(flows) => Some((flows, appender.append(flows).await)),
                    Step::AppendBatch(flows) => Some((flows, appender.append_batch(&batch(flows)).await)),
                    _ => None,
                };
                match (&step, appended) {
                    (_, Some((flows, Ok(receipt)))) => {
                        receipts.push((receipt, taken.len()));
                        taken.extend(flows.iter().cloned());
                    }
                    // A commit by itself has failed, once for each time it was tried.
                    (_, Some((_, Err(error)))) => prop_assert_eq!(error.kind(), ErrorKind::Io),
                    (Step::Commit, None) => {
                        // Where nothing is left to write, a full disk does not matter.
                        match appender.commit().await {
                            Ok(_) => prop_assert_eq!(scratch.archive.snapshot().unwrap().manifest().rows(), taken.len() as u64),
                            Err(error) => prop_assert!(broken && error.kind() == ErrorKind::Io, "{}", error),
                        }
                    }
                    (Step::Break, None) if !broken => {
                        scratch.break_disk();
                        broken = true;
                    }
                    (Step::Mend, None) if broken => {
                        scratch.mend_disk();
                        broken = false;
                    }
                    _ => {}
                }
            }
            if broken {
                scratch.mend_disk();
            }
            let _ = appender.commit().await.unwrap();
            let stored = scratch.stored().await;
            prop_assert_eq!(stored.iter().map(|stored| stored.flow.clone()).collect::<Vec<_>>(), taken);
            for (receipt, place) in receipts {
                let ids = timeout(LONG, receipt.durable()).await.unwrap().unwrap();
                prop_assert_eq!(ids.end.get() - ids.start.get(), receipt.flows());
                prop_assert!(receipt.flows() == 0 || ids.start == stored[place].id);
            }
            Ok(())
        });
        outcome?;
    }
}
