//! Batches that are sent again, appenders that are shut down, and writers that wait for one another.

use std::{
    collections::BTreeMap,
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use flowseek::{
    Archive, ErrorKind, Filter, Flow, FlowId, Settings,
    archive::Effort,
    filter,
    flow::Timestamp,
    ingest::{Defaults, LiveAppender, LiveOptions, Outcome, Receipt},
    schema::FlowBuilder,
};
use futures::future::join_all;
use proptest::{collection::vec, prelude::*};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tokio::time::{sleep, timeout};

use crate::{
    child::{self, Child},
    clock::ManualClock,
    folder::Folder,
    hooked::{Hooked, Step},
    live::never,
    support::{assert_sound, block_on},
};

const LONG: Duration = Duration::from_secs(60);

/// A disk that can be filled: from then on nothing can be created, or the last step of a commit fails.
#[derive(Clone, Debug, Default)]
struct Disk {
    is_full: Arc<AtomicBool>,
    syncs_no_manifest: Arc<AtomicBool>,
}

impl Disk {
    fn fill(&self) {
        self.is_full.store(true, Ordering::Relaxed);
    }

    fn break_last_step(&self) {
        self.syncs_no_manifest.store(true, Ordering::Relaxed);
    }

    fn mend(&self) {
        self.is_full.store(false, Ordering::Relaxed);
        self.syncs_no_manifest.store(false, Ordering::Relaxed);
    }

    fn settings(&self) -> Settings {
        let disk = self.clone();
        let storage = Hooked::new(move |path, step| match step {
            Step::Create if disk.is_full.load(Ordering::Relaxed) => Err(io::ErrorKind::StorageFull.into()),
            Step::SyncDirectory if path.ends_with("manifests") && disk.syncs_no_manifest.load(Ordering::Relaxed) => {
                Err(io::Error::other("the disk has failed"))
            }
            _ => Ok(()),
        });
        Settings::default().storage(Arc::new(storage)).segment_rows(100)
    }
}

/// A batch that tells its number and that of its source.
fn batch(source: u64, sequence: u64) -> Vec<Flow> {
    let flow = |flow: u64| {
        let millis = i64::try_from(sequence * 10 + flow).unwrap();
        Flow { src_bytes: Some(source), ..Flow::starting(Timestamp::from_millis(millis).unwrap()) }
    };
    // Some batches have no flows.
    (0..sequence % 4).map(flow).collect()
}

async fn send(appender: &LiveAppender, source: u64, sequence: u64) -> flowseek::Result<Receipt> {
    appender.append_once(&format!("agent-{source}"), sequence, batch(source, sequence)).await
}

/// The batches that are in an archive, and how often each of their flows is.
async fn stored(archive: &Archive) -> BTreeMap<(u64, u64), Vec<u64>> {
    let mut pages = archive.snapshot().unwrap().query(Filter::all()).limit(10_000).pages();
    let mut stored: BTreeMap<(u64, u64), Vec<u64>> = BTreeMap::new();
    while let Some(page) = pages.next().await.unwrap() {
        for flow in page.flows().unwrap() {
            let millis = flow.flow.start_time.as_millis() as u64;
            stored.entry((flow.flow.src_bytes.unwrap(), millis / 10)).or_default().push(millis % 10);
        }
    }
    stored.values_mut().for_each(|flows| flows.sort_unstable());
    stored
}

fn once(batches: impl IntoIterator<Item = (u64, u64)>) -> BTreeMap<(u64, u64), Vec<u64>> {
    let flows = |sequence: u64| (0..sequence % 4).collect::<Vec<_>>();
    let batches = batches.into_iter().map(|(source, sequence)| ((source, sequence), flows(sequence)));
    batches.filter(|(_, flows)| !flows.is_empty()).collect()
}

#[test]
fn a_batch_that_is_sent_again_adds_nothing_and_has_the_same_receipt() {
    let directory = Folder::new();
    let path = directory.path().join("flows");
    block_on(async {
        let archive = Archive::open_or_create(&path).unwrap();
        let appender = archive.live_appender(never()).unwrap();
        assert_eq!(appender.last("agent-1"), None);
        let first = send(&appender, 1, 3).await.unwrap();
        let other = send(&appender, 2, 3).await.unwrap();
        let again = send(&appender.clone(), 1, 3).await.unwrap();
        let older = send(&appender, 1, 2).await.unwrap();
        let newer = send(&appender, 1, 7).await.unwrap();
        assert_eq!([&first, &other, &newer].map(Receipt::is_repeated), [false; 3]);
        assert_eq!([&again, &older].map(Receipt::is_repeated), [true; 2]);
        // Nothing is durable yet.
        assert_eq!((appender.last("agent-1"), first.outcome()), (None, Outcome::Waiting));
        assert_eq!(again.outcome(), Outcome::Waiting);

        assert_eq!(appender.commit().await.unwrap().flows, 9);
        let ids = |first: u64, end: u64| Outcome::Stored(FlowId::new(first)..FlowId::new(end));
        assert_eq!((first.outcome(), again.outcome(), newer.outcome()), (ids(1, 4), ids(1, 4), ids(7, 10)));
        assert!(older.durable().await.unwrap().is_empty());
        assert_eq!(["agent-1", "agent-2", "agent-3"].map(|source| appender.last(source)), [Some(7), Some(3), None]);
        let late = send(&appender, 1, 7).await.unwrap();
        assert!(late.is_repeated() && late.flows() == 0 && late.durable().await.unwrap().is_empty());
        // A batch without flows has a number, too.
        assert!(!send(&appender, 1, 8).await.unwrap().is_repeated());
        let _ = appender.commit().await.unwrap();
        assert_eq!(appender.last("agent-1"), Some(8));
        drop((first, other, again, older, newer, late));
        let _ = appender.close().await.unwrap();

        // A new process knows them, also after segments were merged.
        let archive = Archive::open(&path).unwrap();
        let _ = archive.writer().unwrap().compactor().run_once(Effort::Full).unwrap();
        assert_eq!(
            archive.snapshot().unwrap().manifest().sources,
            BTreeMap::from([("agent-1".into(), 8), ("agent-2".into(), 3)])
        );
        let appender = archive.live_appender(never()).unwrap();
        assert_eq!(appender.last("agent-1"), Some(8));
        for (source, sequence, is_repeated) in [(1, 7, true), (1, 8, true), (2, 3, true), (2, 5, false), (1, 9, false)]
        {
            assert_eq!(send(&appender, source, sequence).await.unwrap().is_repeated(), is_repeated);
        }
        let _ = appender.close().await.unwrap();
        assert_eq!(stored(&archive).await, once([(1, 3), (2, 3), (1, 7), (2, 5), (1, 9)]));
    });
    assert_sound(&path);
}

#[test]
fn a_batch_of_columns_is_appended_once_and_a_name_must_be_one() {
    let directory = Folder::new();
    let archive = Archive::open_or_create(directory.path().join("flows")).unwrap();
    block_on(async {
        let appender = archive.live_appender(never()).unwrap();
        let mut flows = FlowBuilder::default();
        batch(1, 3).iter().for_each(|flow| flows.push(flow).unwrap());
        let columns = flows.finish(FlowId::new(1)).unwrap();
        for is_repeated in [false, true, true] {
            let receipt = appender.append_batch_once("agent-1", 3, &columns).await.unwrap();
            assert_eq!(receipt.is_repeated(), is_repeated);
        }
        assert!(send(&appender, 1, 3).await.unwrap().is_repeated());
        for name in [String::new(), "n".repeat(256)] {
            let error = appender.append_once(&name, 1, batch(1, 1)).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidInput);
            assert!(error.to_string().contains("allowed are 1 to 255"), "{error}");
        }
        // A batch that cannot be stored has no number.
        let wrong = Flow { node_id: Some(String::new()), ..Flow::starting(Timestamp::MIN) };
        assert_eq!(appender.append_once("agent-1", 4, [wrong]).await.unwrap_err().kind(), ErrorKind::InvalidInput);
        assert!(!appender.append_once("agent-1", 4, batch(1, 5)).await.unwrap().is_repeated());
        assert_eq!(appender.close().await.unwrap().flows, 4);
    });
}

#[test]
fn many_senders_that_all_send_twice_at_once_add_each_batch_once() {
    let directory = Folder::new();
    let archive = Archive::open_or_create(directory.path().join("flows")).unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(4).enable_time().build().unwrap();
    runtime.block_on(async {
        let appender = archive.live_appender(LiveOptions::default().queue_bytes(4 * 116)).unwrap();
        let sender = |source: u64| {
            let appender = appender.clone();
            tokio::spawn(async move {
                for sequence in 1..40 {
                    let both = join_all([send(&appender, source, sequence), send(&appender, source, sequence)]).await;
                    assert_eq!(both.iter().filter(|receipt| !receipt.as_ref().unwrap().is_repeated()).count(), 1);
                }
            })
        };
        for joined in join_all((0..8).map(sender)).await {
            joined.unwrap();
        }
        let _ = appender.close().await.unwrap();
        assert_eq!(stored(&archive).await, once((0..8).flat_map(|source| (1..40).map(move |n| (source, n)))));
    });
}

#[test]
fn a_shutdown_stops_every_clone_commits_and_frees_the_archive() {
    let directory = Folder::new();
    let archive = Archive::open_or_create(directory.path().join("flows")).unwrap();
    block_on(async {
        let appender = archive.live_appender(never()).unwrap();
        let clone = appender.clone();
        let receipt = send(&appender, 1, 3).await.unwrap();
        let shutdown = timeout(LONG, clone.shutdown(LONG)).await.unwrap();
        assert!(shutdown.is_free && shutdown.failure.is_none(), "{shutdown:?}");
        assert_eq!((shutdown.uncommitted, shutdown.unknown), (0, 0));
        assert!(matches!(receipt.outcome(), Outcome::Stored(_)));
        assert_eq!(receipt.durable().await.unwrap().start, FlowId::new(1));
        // A clone and a receipt are left, and the archive is free.
        let next = archive.live_appender(never()).unwrap();
        for error in [
            appender.append(batch(1, 5)).await.unwrap_err(),
            send(&appender, 1, 5).await.unwrap_err(),
            appender.commit().await.unwrap_err(),
        ] {
            assert_eq!(error.kind(), ErrorKind::Closed, "{error}");
        }
        let again = timeout(LONG, appender.shutdown(LONG)).await.unwrap();
        assert_eq!((again.is_free, again.uncommitted), (true, 0));
        assert!(!send(&next, 1, 5).await.unwrap().is_repeated());
        let _ = next.close().await.unwrap();
        assert_eq!(stored(&archive).await, once([(1, 3), (1, 5)]));
    });
}

#[test]
fn who_waits_for_room_is_told_that_the_appender_was_shut_down() {
    let directory = Folder::new();
    let disk = Disk::default();
    let archive = Archive::open_or_create_with(directory.path().join("flows"), disk.settings()).unwrap();
    block_on(async {
        let appender = archive.live_appender(never().queue_bytes(116)).unwrap();
        disk.fill();
        send(&appender, 1, 1).await.unwrap();
        // What was taken in cannot be written, and so there is no room.
        let commit = appender.commit().await.unwrap_err();
        assert!(commit.is_disk_full(), "{commit}");
        let mut sequence = 5;
        let error = loop {
            let waiting = send(&appender, 1, sequence);
            let stopping = async {
                sleep(Duration::from_millis(20)).await;
                appender.shutdown(Duration::ZERO).await
            };
            match futures::future::join(waiting, stopping).await {
                (Ok(_), _) => sequence += 4,
                (Err(error), _) => break error,
            }
            assert!(sequence < 100);
        };
        assert!(matches!(error.kind(), ErrorKind::Closed | ErrorKind::Io), "{error}");
    });
}

#[test]
fn what_a_full_disk_keeps_from_being_committed_is_told_and_can_be_sent_again() {
    let directory = Folder::new();
    let disk = Disk::default();
    let clock = ManualClock::new();
    let settings = disk.settings().clock(Arc::new(clock.clone()));
    let archive = Archive::open_or_create_with(directory.path().join("flows"), settings).unwrap();
    block_on(async {
        let appender = archive.live_appender(never()).unwrap();
        send(&appender, 1, 1).await.unwrap();
        let _ = appender.commit().await.unwrap();
        disk.fill();
        let receipt = send(&appender, 1, 3).await.unwrap();
        let handle = appender.clone();
        let stopped = tokio::spawn(async move { handle.shutdown(Duration::from_secs(10)).await });
        // It tries again as long as it may.
        for _ in 0..200 {
            if stopped.is_finished() {
                break;
            }
            clock.advance(Duration::from_millis(200));
            sleep(Duration::from_millis(2)).await;
        }
        let shutdown = timeout(LONG, stopped).await.unwrap().unwrap();
        assert_eq!((shutdown.is_free, shutdown.uncommitted, shutdown.unknown), (true, 3, 0), "{shutdown:?}");
        assert!(shutdown.failure.unwrap().is_disk_full());
        assert!(appender.status().commit_failures > 2);
        assert_eq!(receipt.outcome(), Outcome::NotStored);
        assert_eq!(receipt.durable().await.unwrap_err().kind(), ErrorKind::Closed);
        disk.mend();
        let next = archive.live_appender(never()).unwrap();
        assert_eq!(next.last("agent-1"), Some(1));
        assert!(!send(&next, 1, 3).await.unwrap().is_repeated());
        let _ = next.close().await.unwrap();
        assert_eq!(stored(&archive).await, once([(1, 1), (1, 3)]));
    });
}

#[test]
fn after_the_last_step_has_failed_it_is_said_what_is_known_and_a_new_appender_finds_out() {
    let directory = Folder::new();
    let disk = Disk::default();
    let path = directory.path().join("flows");
    let archive = Archive::open_or_create_with(&path, disk.settings()).unwrap();
    block_on(async {
        let appender = archive.live_appender(never()).unwrap();
        disk.break_last_step();
        let receipt = send(&appender, 1, 3).await.unwrap();
        assert_eq!(appender.commit().await.unwrap_err().kind(), ErrorKind::Io);
        // The version is there, though maybe not for ever.
        let shutdown = timeout(LONG, appender.shutdown(Duration::ZERO)).await.unwrap();
        assert_eq!((shutdown.is_free, shutdown.uncommitted, shutdown.unknown), (true, 0, 3), "{shutdown:?}");
        assert_eq!(receipt.outcome(), Outcome::Unknown);
        disk.mend();
        let reopened = Archive::open(&path).unwrap();
        let next = reopened.live_appender(never()).unwrap();
        assert_eq!(next.last("agent-1"), Some(3));
        assert!(send(&next, 1, 3).await.unwrap().is_repeated());
        let _ = next.close().await.unwrap();
        assert_eq!(stored(&reopened).await, once([(1, 3)]));
    });
}

#[test]
fn a_new_appender_waits_for_the_one_before_and_says_which_process_has_it() {
    let directory = Folder::new();
    let archive = Archive::open_or_create(directory.path().join("flows")).unwrap();
    block_on(async {
        let before = archive.live_appender(never()).unwrap();
        let error = archive.live_appender_when_free(never(), Duration::from_millis(10)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Locked);
        assert!(error.to_string().contains(&format!("another writer (process {})", std::process::id())), "{error}");
        send(&before, 1, 3).await.unwrap();
        let stop = async {
            sleep(Duration::from_millis(100)).await;
            before.shutdown(LONG).await
        };
        let (next, stopped) = futures::future::join(archive.live_appender_when_free(never(), LONG), stop).await;
        assert!(stopped.is_free);
        assert_eq!(next.unwrap().last("agent-1"), Some(3));
        // Who wrote nothing into the lock is not named.
        std::fs::write(archive.path().join("lock"), "").unwrap();
        let _writer = archive.live_appender_when_free(never(), LONG).await.unwrap();
        std::fs::write(archive.path().join("lock"), "nobody").unwrap();
        let error = archive.writer().unwrap_err();
        assert!(error.to_string().starts_with("another writer has the archive "), "{error}");
    });
}

#[test]
fn the_status_tells_what_waits_how_long_and_why() {
    let directory = Folder::new();
    let disk = Disk::default();
    let clock = ManualClock::new();
    let settings = disk.settings().clock(Arc::new(clock.clone()));
    let archive = Archive::open_or_create_with(directory.path().join("flows"), settings).unwrap();
    block_on(async {
        let appender = archive.live_appender(never()).unwrap();
        let status = appender.status();
        assert_eq!((status.uncommitted, status.commits, status.oldest_uncommitted), (0, 0, None));
        send(&appender, 1, 3).await.unwrap();
        clock.advance(Duration::from_secs(7));
        let status = appender.status();
        assert_eq!((status.uncommitted, status.oldest_uncommitted), (3, Some(Duration::from_secs(7))));
        disk.fill();
        let _ = appender.commit().await.unwrap_err();
        let status = appender.status();
        assert_eq!((status.uncommitted, status.commits, status.commit_failures), (3, 0, 1));
        assert!(status.commit_failure.as_ref().unwrap().is_disk_full() && status.failing_since.is_some());
        let json = serde_json::to_value(&status).unwrap();
        assert_eq!((&json["uncommitted"], &json["oldestUncommitted"]), (&3.into(), &7.0.into()));
        disk.mend();
        let _ = appender.commit().await.unwrap();
        let status = appender.status();
        assert_eq!((status.uncommitted, status.commits, status.queued_bytes), (0, 1, 0));
        assert!(
            status.oldest_uncommitted.is_none() && status.commit_failure.is_none() && status.failing_since.is_none()
        );
    });
}

/// What happens to the senders of batches and to their host.
#[derive(Clone, Debug)]
enum Event {
    /// The next batch of a source.
    Next(u64),
    /// The last batch of a source again, whether it was answered or not.
    Again(u64),
    Commit,
    Fill,
    BreakLastStep,
    Mend,
    /// The host ends, in time for this or not, and another one begins.
    Restart {
        in_order: bool,
    },
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        5 => (0u64..3).prop_map(Event::Next),
        3 => (0u64..3).prop_map(Event::Again),
        3 => Just(Event::Commit),
        1 => Just(Event::Fill),
        1 => Just(Event::BreakLastStep),
        2 => Just(Event::Mend),
        2 => any::<bool>().prop_map(|in_order| Event::Restart { in_order }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, max_shrink_iters: 100, ..ProptestConfig::default() })]

    #[test]
    fn each_batch_is_there_once_through_resends_full_disks_and_restarts(events in vec(event(), 1..40), flush in any::<bool>()) {
        let directory = Folder::new();
        let disk = Disk::default();
        let path = directory.path().join("flows");
        let options = never().flush_rows(if flush { 4 } else { u64::MAX });
        let open = || Archive::open_or_create_with(&path, disk.settings()).unwrap().live_appender(options).unwrap();
        let outcome = block_on(async {
            let mut appender = open();
            let (mut last, mut acknowledged) = ([0u64; 3], [0u64; 3]);
            for event in events {
                match event {
                    Event::Next(source) => {
                        let next = last[source as usize] + 1;
                        if send(&appender, source, next).await.is_ok_and(|receipt| { assert!(!receipt.is_repeated()); true }) {
                            last[source as usize] = next;
                        }
                    }
                    Event::Again(source) if last[source as usize] > 0 => {
                        if let Ok(receipt) = send(&appender, source, last[source as usize]).await {
                            // Only a host that has lost it takes it anew.
                            let durable = appender.last(&format!("agent-{source}")).unwrap_or(0);
                            prop_assert!(receipt.is_repeated() || durable < last[source as usize]);
                        }
                    }
                    Event::Again(_) => {}
                    Event::Commit => {
                        if appender.commit().await.is_ok() {
                            acknowledged = last;
                        }
                    }
                    Event::Fill => disk.fill(),
                    Event::BreakLastStep => disk.break_last_step(),
                    Event::Mend => disk.mend(),
                    Event::Restart { in_order } => {
                        if in_order {
                            let _ = appender.shutdown(Duration::ZERO).await;
                        }
                        drop(appender);
                        // To begin it must write, or rather it waits for that.
                        disk.mend();
                        appender = open();
                        for (source, last) in last.iter_mut().enumerate() {
                            let durable = appender.last(&format!("agent-{source}")).unwrap_or(0);
                            prop_assert!(durable <= *last && durable >= acknowledged[source]);
                            // The agents begin where the host tells them to.
                            *last = durable;
                        }
                    }
                }
            }
            disk.mend();
            let _ = appender.commit().await.unwrap();
            let stored = stored(&Archive::open(&path).unwrap()).await;
            let all = (0..3u64).flat_map(|source| (1..=last[source as usize]).map(move |sequence| (source, sequence)));
            prop_assert_eq!(stored, once(all));
            Ok(())
        });
        outcome?;
        assert_sound(&path);
    }
}

#[test]
fn json_is_appended_once_with_the_node_that_the_host_trusts_and_what_is_no_flow_is_told() {
    let directory = Folder::new();
    let archive = Archive::open_or_create(directory.path().join("flows")).unwrap();
    block_on(async {
        let appender = archive.live_appender(never()).unwrap();
        let defaults = Defaults::default().node_id("node-7".to_owned());
        let lines = b"{\"startTime\":1,\"nodeId\":\"forged\"}\n{\"startTime\":\"never\"}\n{\"startTime\":2}\n";
        let first = appender.append_json_once("agent-1", 1, lines, &defaults).await.unwrap();
        assert_eq!((first.receipt.flows(), first.rejected.len(), first.rejected[0].number), (2, 1, 2));
        let again = appender.append_json_once("agent-1", 1, lines, &defaults).await.unwrap();
        assert!(again.receipt.is_repeated() && again.rejected.is_empty());
        let array = appender.append_json(br#"[{"startTime":3,"nodeId":"own"}]"#, &Defaults::default()).await.unwrap();
        assert_eq!(array.receipt.flows(), 1);
        // A body that is cut off is refused as a whole, and its number is still to come.
        let error = appender.append_json_once("agent-1", 2, br#"[{"startTime":4},"#, &defaults).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        let whole = appender.append_json_once("agent-1", 2, br#"[{"startTime":4}]"#, &defaults).await.unwrap();
        assert!(!whole.receipt.is_repeated());
        let _ = appender.close().await.unwrap();
        drop((first, again, array, whole));
        let page = archive.snapshot().unwrap().query(Filter::all()).page().await.unwrap();
        let nodes: Vec<_> = page.flows().unwrap().into_iter().map(|flow| flow.flow.node_id.unwrap()).collect();
        assert_eq!(nodes, ["node-7", "node-7", "own", "node-7"]);
    });
}

#[test]
fn flows_behind_an_id_are_those_that_were_committed_since_and_older_segments_are_not_opened() {
    let directory = Folder::new();
    let archive = Archive::open_or_create(directory.path().join("flows")).unwrap();
    for commit in 0..5 {
        crate::support::append(&archive, &[batch(commit, 3)]);
    }
    let snapshot = archive.snapshot().unwrap();
    for (last, found) in [(0, 15), (3, 12), (12, 3), (14, 1), (15, 0)] {
        let newer = filter::flow_id().within(FlowId::new(last + 1)..);
        for query in [snapshot.query(newer.clone()), snapshot.query(!!newer.clone())] {
            let page = block_on(query.page()).unwrap();
            assert_eq!(page.batch.num_rows(), found);
            assert!(page.flows().unwrap().iter().all(|flow| flow.id.get() > last));
            assert_eq!(page.explain.segments_never, last / 3);
        }
    }
    assert_eq!(filter::flow_id().eq(FlowId::new(7)).to_string(), "id 7");
}

/// Agents that send batch after batch, each twice, from where the archive says that they have come.
#[test]
#[ignore = "a process that the tests here start"]
fn host_of_agents() {
    let Some(task) = child::task() else { return };
    let archive = Archive::open_or_create_with(&task[0], Settings::default().segment_rows(200)).unwrap();
    let options = LiveOptions::default().flush_rows(8).flush_age(Duration::from_millis(2));
    let appender = archive.live_appender(options).unwrap();
    let agent = async |source: u64| {
        let last = appender.last(&format!("agent-{source}")).unwrap_or(0);
        for sequence in last.saturating_sub(1).max(1)..=last {
            assert!(send(&appender, source, sequence).await.unwrap().is_repeated());
        }
        for sequence in last + 1.. {
            let first = send(&appender, source, sequence).await.unwrap();
            let second = send(&appender, source, sequence).await.unwrap();
            assert!(!first.is_repeated() && second.is_repeated());
            let _ = second.durable().await.unwrap();
            child::say(format!("{source} {sequence}"));
        }
    };
    block_on(join_all((0..3).map(agent)));
}

#[test]
fn each_batch_is_there_once_however_often_the_host_is_killed() {
    let directory = Folder::new();
    let path = directory.path().join("flows");
    drop(Archive::open_or_create(&path).unwrap());
    let mut random = ChaCha8Rng::seed_from_u64(7);
    let mut acknowledged = [0u64; 3];
    for _ in 0..40 {
        let host = Child::start("once::host_of_agents", &path, "");
        let mut lines: Vec<String> = host.line().into_iter().collect();
        std::thread::sleep(Duration::from_micros(random.random_range(0..20_000)));
        lines.extend(host.kill());
        for line in lines {
            let (source, sequence) = line.split_once(' ').unwrap();
            let last = &mut acknowledged[source.parse::<usize>().unwrap()];
            *last = sequence.parse::<u64>().unwrap().max(*last);
        }
        let sources = Archive::open(&path).unwrap().snapshot().unwrap().manifest().sources.clone();
        for (source, last) in acknowledged.iter().enumerate() {
            assert!(sources.get(&format!("agent-{source}")).is_none_or(|durable| durable >= last));
        }
    }
    assert!(acknowledged.iter().sum::<u64>() > 100, "{acknowledged:?}");
    let archive = Archive::open(&path).unwrap();
    let sources = archive.snapshot().unwrap().manifest().sources.clone();
    let all = (0..3u64).flat_map(|source| (1..=sources[&format!("agent-{source}")]).map(move |n| (source, n)));
    assert_eq!(block_on(stored(&archive)), once(all));
    // What the last kill has left is put aside.
    drop(archive.writer().unwrap());
    assert_sound(&path);
}
