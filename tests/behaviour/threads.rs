//! A process that gets no more threads from the system.

use std::{env, process::Command, thread};

use flowseek::{Archive, ErrorKind, Settings, archive::Effort, ingest::LiveOptions};

use crate::{
    child,
    kept::{commit, flow},
    live::NEVER,
};

#[test]
#[ignore = "a process that the tests here start"]
fn single_threaded_process() {
    let Some(task) = child::task() else { return };
    assert!(thread::Builder::new().spawn(|| ()).is_err(), "there is a thread");
    let settings = Settings { segment_rows: 10, ..Settings::default() };
    let archive = Archive::open_or_create_with(&task[0], settings).unwrap();
    commit(&archive, 0..35);
    for compaction in [None, Some(Effort::Background)] {
        let error = archive.live_appender(LiveOptions { compaction, ..NEVER }).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Io);
        assert!(error.to_string().contains("a thread cannot be started"), "{error}");
    }
    // What could not be started holds nothing.
    let mut appender = archive.appender().unwrap();
    appender.push(&flow(35)).unwrap();
    let _ = appender.commit().unwrap();
    drop(appender);
    while archive.writer().unwrap().compactor().run_once(Effort::Full).unwrap().is_some() {}
    child::say(archive.snapshot().unwrap().manifest().rows());
}

#[test]
fn without_further_threads_flows_are_appended_and_a_live_appender_is_an_error() {
    let directory = tempfile::tempdir().unwrap();
    let mut command = Command::new(env::current_exe().unwrap());
    command.args(child::arguments("threads::single_threaded_process"));
    // No thread can have a stack of so many bytes.
    command.env("RUST_MIN_STACK", (1u64 << 50).to_string());
    child::give_task(&mut command, &[directory.path().join("flows").to_str().unwrap()]);
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(child::said(&said).collect::<Vec<_>>(), ["36"], "{output:?}");
}
