//! A process that gets no more threads from the system.

use std::{
    env, io,
    num::NonZero,
    process::Command,
    sync::{Arc, Condvar, Mutex},
    thread,
    time::{Duration, Instant},
};

use flowseek::{
    Archive, ErrorKind, Filter, Settings, archive::Effort, filter, flow::Field, query::Count, resources::Workers,
};

use crate::{
    child,
    folder::Folder,
    kept::{Place, commit, flow},
    live::never,
    support::block_on,
};

#[test]
#[ignore = "a process that the tests here start"]
fn single_threaded_process() {
    let Some(task) = child::task() else { return };
    assert!(thread::Builder::new().spawn(|| ()).is_err(), "there is a thread");
    let settings = Settings::default().segment_rows(10);
    let archive = Archive::open_or_create_with(&task[0], settings).unwrap();
    commit(&archive, 0..35);
    for compaction in [None, Some(Effort::Background)] {
        let error = archive.live_appender(never().compaction(compaction)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Io);
        assert!(error.to_string().contains("a thread cannot be started"), "{error}");
    }
    // What could not be started holds nothing.
    let mut appender = archive.appender().unwrap();
    appender.push(&flow(35)).unwrap();
    let _ = appender.commit().unwrap();
    drop(appender);
    while archive.writer().unwrap().compactor().run_once(Effort::Full).unwrap().is_some() {}
    // A page needs a thread that waits for the disk.
    let archive = Archive::open(archive.path()).unwrap();
    let error = block_on(archive.snapshot().unwrap().query(Filter::all()).page()).unwrap_err();
    assert!(error.is_retryable() && error.to_string().contains("no thread can be started"), "{error}");
    child::say(archive.snapshot().unwrap().manifest().rows());
}

/// A thread for each piece of work.
#[derive(Debug)]
struct Threads;

impl Workers for Threads {
    fn run(&self, work: Box<dyn FnOnce() + Send>) -> io::Result<()> {
        thread::Builder::new().spawn(work).map(drop)
    }
}

#[test]
fn outside_a_runtime_a_query_is_an_error_that_says_so_unless_the_host_gives_threads() {
    let place = Place::new();
    let archive = place.archive(100);
    commit(&archive, 0..250);
    let page = |archive: &Archive| {
        let query = archive.snapshot().unwrap().query(filter::dst_port().within(10..)).count(Count::Exact);
        futures::executor::block_on(query.page())
    };
    let error = page(&archive).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    assert!(error.to_string().contains("outside a tokio runtime"), "{error}");
    let settings = place.settings(100).workers(Arc::new(Threads));
    let archive = Archive::open_with(&place.path, settings).unwrap();
    assert_eq!(page(&archive).unwrap().total, Some(240));
}

#[test]
fn without_further_threads_flows_are_appended_and_a_live_appender_is_an_error() {
    let directory = Folder::new();
    let mut command = Command::new(env::current_exe().unwrap());
    command.args(child::arguments("threads::single_threaded_process"));
    // No thread can have a stack of so many bytes.
    command.env("RUST_MIN_STACK", (1u64 << 50).to_string());
    child::give_task(&mut command, &[directory.path().join("flows").to_str().unwrap()]);
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(child::said(&said).collect::<Vec<_>>(), ["36"], "{output:?}");
}

#[test]
fn a_command_without_further_threads_says_so_in_one_line() {
    let place = Place::new();
    commit(&place.archive(100), 0..250);
    let archive = place.path.to_str().unwrap();
    let query: &[&str] = &["query", archive, "limit=3"];
    for arguments in
        [query, &["summary", archive, ""], &["sql", archive, "SELECT 1"], &["generate", archive, "--flows", "9"]]
    {
        let mut command = Command::new(env!("CARGO_BIN_EXE_flowseek"));
        let output = command.args(arguments).env("RUST_MIN_STACK", (1u64 << 50).to_string()).output().unwrap();
        let error = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{arguments:?}: {error}");
        assert!(error.starts_with("flowseek: a thread cannot be started: ") && error.lines().count() == 1, "{error}");
    }
    place.assert_clean(&place.archive(100));
}

/// Threads of which each waits until so many pieces of work have been begun, at most 20 seconds.
#[derive(Clone, Debug)]
struct Together(Arc<Begun>);

#[derive(Debug)]
struct Begun {
    begun: Mutex<usize>,
    more: Condvar,
    least: usize,
}

impl Workers for Together {
    fn run(&self, work: Box<dyn FnOnce() + Send>) -> io::Result<()> {
        *self.0.begun.lock().unwrap() += 1;
        self.0.more.notify_all();
        let together = Arc::clone(&self.0);
        let run = move || {
            let begun = together.begun.lock().unwrap();
            let wait = |begun: &mut usize| *begun < together.least;
            drop(together.more.wait_timeout_while(begun, Duration::from_secs(20), wait).unwrap());
            work();
        };
        thread::Builder::new().spawn(run).map(drop)
    }
}

#[test]
fn a_count_opens_segments_side_by_side_and_wakes_no_thread_once_all_is_read() {
    let place = Place::new();
    commit(&place.archive(100), 0..1000);
    let workers = Together(Arc::new(Begun { begun: Mutex::default(), more: Condvar::new(), least: 8 }));
    let settings = place.settings(100).workers(Arc::new(workers.clone())).count_cache_bytes(0);
    let archive = Archive::open_with(&place.path, settings).unwrap();
    let count = || {
        // No Bloom filter tells of it.
        let others = !filter::src_node().eq("node-3");
        let query = archive.snapshot().unwrap().query(others).limit(0).count(Count::Exact);
        let page = futures::executor::block_on(query.page()).unwrap();
        (page.total, page.explain.segments_opened)
    };
    let before = Instant::now();
    let counted = count();
    assert!(before.elapsed() < Duration::from_secs(20), "one segment waited for another");
    assert_eq!(
        counted,
        (Some((0..1000).filter(|n| flow(*n).src_node.as_deref() != Some("node-3")).count() as u64), 10)
    );
    let begun = *workers.0.begun.lock().unwrap();
    // Ten segments were opened, and one list of each was read.
    assert_eq!(begun, 20);
    assert_eq!(count(), counted);
    assert_eq!(*workers.0.begun.lock().unwrap(), begun);
}

#[test]
fn the_columns_of_the_flows_of_a_page_are_read_by_a_thread_for_each_core() {
    let place = Place::new();
    commit(&place.archive(100), 0..100);
    let workers = Together(Arc::new(Begun { begun: Mutex::default(), more: Condvar::new(), least: 0 }));
    let settings = place.settings(100).workers(Arc::new(workers.clone()));
    let archive = Archive::open_with(&place.path, settings).unwrap();
    let cores = thread::available_parallelism().map_or(1, NonZero::get).min(Field::ALL.len() - 2);
    // The first time the segment is opened by a thread, and the two columns of the order are read by another one.
    for begun in [2 + cores, 2 + cores] {
        let query = archive.snapshot().unwrap().query(Filter::all()).limit(1);
        let flows = futures::executor::block_on(query.page()).unwrap().flows().unwrap();
        assert_eq!(flows.iter().map(|flow| &flow.flow).collect::<Vec<_>>(), [&flow(0)]);
        assert_eq!(*workers.0.begun.lock().unwrap(), begun);
    }
}
