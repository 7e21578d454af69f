//! Many archives in one process, with one set of limits.

use std::{env, fs, process::Command, time::Duration};

use flowseek::{
    Archive, Filter, LiveAppender, LiveOptions, Order, Settings,
    archive::SegmentOptions,
    filter,
    query::{Budget, Count},
};
use rustix::process::{Resource, Rlimit, setrlimit};

use crate::{
    child,
    folder::Folder,
    kept::{Place, commit, flow, now},
};

const ARCHIVES: i64 = 50;
/// Commits of each archive, of 4 flows.
const COMMITS: i64 = 30;
const DESCRIPTORS: u64 = 256;

fn numbered(folder: &str) -> usize {
    fs::read_dir(folder).unwrap().count()
}

#[test]
fn fifty_archives_with_live_appenders_take_few_descriptors_and_threads() {
    let directory = Folder::new();
    let mut command = Command::new(env::current_exe().unwrap());
    command.args(child::arguments("shared_limits::fifty_archives"));
    child::give_task(&mut command, &[directory.path().to_str().unwrap()]);
    let output = command.output().unwrap();
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{told}{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(child::said(&told).collect::<Vec<_>>(), ["done"]);
    fs::read_dir(directory.path()).unwrap().for_each(|archive| crate::support::assert_sound(&archive.unwrap().path()));
}

#[test]
#[ignore = "run by fifty_archives_with_live_appenders_take_few_descriptors_and_threads"]
fn fifty_archives() {
    let Some(task) = child::task() else { return };
    setrlimit(Resource::Nofile, Rlimit { current: Some(DESCRIPTORS), maximum: Some(DESCRIPTORS) }).unwrap();
    let settings = Settings::default()
        .segment(SegmentOptions::default().block_rows(16).row_group_blocks(1))
        .segment_rows(100)
        .page_cache_bytes(8 << 20)
        .shared();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .max_blocking_threads(8)
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let open = |tenant: i64| {
            let path = format!("{}/tenant-{tenant}", task[0]);
            Archive::open_or_create_with(path, settings.clone()).unwrap()
        };
        let archives: Vec<Archive> = (0..ARCHIVES).map(open).collect();
        let options = LiveOptions::default().flush_age(Duration::from_millis(50)).keep(Duration::from_secs(1 << 40));
        let appenders: Vec<LiveAppender> =
            archives.iter().map(|archive| archive.live_appender(options).unwrap()).collect();
        let (mut threads, mut descriptors) = (0, 0);
        for nth in 0..COMMITS {
            for (tenant, appender) in (0..).zip(&appenders) {
                let starts = (0..4).map(|flow| nth * 4 + flow + tenant * 1000);
                let _ = appender.append(starts.map(flow)).await.unwrap();
            }
            // All at once, and each tenant is asked for what it has.
            let commits = appenders.iter().map(LiveAppender::commit);
            futures::future::try_join_all(commits).await.unwrap();
            let pages = archives.iter().map(|archive| {
                let query = archive.snapshot().unwrap().query(Filter::all()).order(Order::newest_first());
                let query = query.limit(7).count(Count::Exact).budget(Budget::new(u64::MAX, Duration::MAX));
                async move { query.page().await }
            });
            let pages = futures::future::try_join_all(pages).await.unwrap();
            assert!(pages.iter().all(|page| page.total == Some(4 * (nth as u64 + 1))));
            for (tenant, page) in (0..).zip(&pages) {
                assert_eq!(page.flows().unwrap()[0].flow, flow(nth * 4 + 3 + tenant * 1000));
            }
            threads = threads.max(numbered("/proc/self/task"));
            descriptors = descriptors.max(numbered("/proc/self/fd"));
            assert!(archives[0].memory().open_files <= DESCRIPTORS as usize / 4);
        }
        // 40 where there are two cores, two of the test harness among them: segments are written with the help of all cores.
        let most = 20 + 10 * std::thread::available_parallelism().map_or(1, usize::from);
        assert!(threads <= most, "{threads} threads");
        assert!(descriptors < DESCRIPTORS as usize, "{descriptors} descriptors");
        // Each is merged, though few threads do that for all.
        for (archive, appender) in archives.iter().zip(&appenders) {
            while appender.status().is_busy {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            let segments = archive.snapshot().unwrap().manifest().segments.len();
            assert!(segments < COMMITS as usize / 2, "{segments} segments");
        }
        for appender in appenders {
            let shutdown = appender.shutdown(Duration::from_secs(20)).await;
            assert!(shutdown.is_free && shutdown.uncommitted == 0);
        }
        assert_eq!(archives.iter().map(now_of).sum::<u64>(), (ARCHIVES * COMMITS * 4) as u64);
    });
    child::say("done");
}

fn now_of(archive: &Archive) -> u64 {
    archive.snapshot().unwrap().manifest().rows()
}

/// Copies of an archive have segments of the same names.
#[test]
fn archives_that_share_memory_do_not_answer_for_one_another() {
    let place = Place::new();
    commit(&place.archive(100), 0..40);
    let other = place.copy();
    let settings = place.settings(100).shared();
    let open = |place: &Place| Archive::open_with(&place.path, settings.clone()).unwrap();
    let (one, other) = (open(&place), open(&other));
    let gone = filter::src_node().eq("node-3");
    let count = |archive: &Archive| {
        let query = archive.snapshot().unwrap().query(gone.clone()).count(Count::Exact).limit(10);
        crate::support::block_on(query.page()).unwrap().total.unwrap()
    };
    let before = (now(&one), count(&one));
    assert!(before.1 > 0 && count(&other) == before.1);
    assert_eq!(other.writer().unwrap().remove(&gone).unwrap().rows, before.1);
    assert_eq!((count(&one), count(&other)), (before.1, 0));
    assert_eq!(now(&one), before.0);
    assert!(now(&other).iter().all(|flow| !gone.matches(flow)));
    assert_eq!(one.memory(), other.memory());
    assert!(one.memory().index_bytes > 0 && one.memory().page_bytes > 0);
}
