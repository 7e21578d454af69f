//! Inputs that are written while they are read.

use std::{
    fs::{self, File, OpenOptions},
    io::{BufRead, BufReader, Read, Write},
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use flate2::{Compression, write::GzEncoder};
use flowseek::{
    Archive, ErrorKind, LiveAppender, LiveOptions, Order,
    ingest::{FollowEvent, Follower, ImportOptions},
};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::{
    clock::ManualClock,
    folder::Folder,
    support::{assert_sound, block_on},
};

/// Longer than a follower waits for anything but to forget.
const LONG: Duration = Duration::from_secs(90);

/// A line of a flow that is told from others by its number.
fn line(number: u64) -> String {
    format!("{{\"startTime\":{},\"sourceBytes\":{number}}}\n", 1_600_000_000 + number)
}

fn lines(numbers: std::ops::Range<u64>) -> String {
    numbers.map(line).collect()
}

fn gzip(text: &str) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(text.as_bytes()).unwrap();
    encoder.finish().unwrap()
}

fn add(path: &Path, text: &str) {
    let mut file = OpenOptions::new().create(true).append(true).open(path).unwrap();
    file.write_all(text.as_bytes()).unwrap();
}

/// The numbers of all flows of an archive, in their order.
fn numbers(archive: &Archive) -> Vec<u64> {
    let mut query = archive.snapshot().unwrap().query(flowseek::Filter::all()).order(Order::oldest_first()).limit(1000);
    let mut numbers = Vec::new();
    loop {
        let page = block_on(query.clone().page()).unwrap();
        numbers.extend(page.flows().unwrap().iter().map(|stored| stored.flow.src_bytes.unwrap()));
        match page.next {
            Some(next) => query = query.after(next),
            None => return numbers,
        }
    }
}

/// A directory that is followed into an archive, with a clock that is set by hand.
struct Followed {
    folder: Folder,
    clock: ManualClock,
    archive: Archive,
    appender: LiveAppender,
    follower: Follower,
    told: Vec<String>,
}

impl Followed {
    fn new() -> Self {
        let folder = Folder::new();
        fs::create_dir(folder.path().join("logs")).unwrap();
        let clock = ManualClock::new();
        let settings = flowseek::Settings::default().clock(Arc::new(clock.clone()));
        let archive = Archive::open_or_create_with(folder.path().join("flows"), settings).unwrap();
        let (appender, follower) = Self::start(&archive, folder.path());
        Self { folder, clock, archive, appender, follower, told: Vec::new() }
    }

    fn start(archive: &Archive, folder: &Path) -> (LiveAppender, Follower) {
        let appender = archive.live_appender(LiveOptions::default()).unwrap();
        let follower = Follower::new(appender.clone(), [folder.join("logs")], ImportOptions::default());
        (appender, follower)
    }

    fn log(&self, name: &str) -> PathBuf {
        self.folder.path().join("logs").join(name)
    }

    /// Looks at the files, and whether there was something new.
    fn poll(&mut self) -> bool {
        let told = &mut self.told;
        let mut observe = |event: FollowEvent<'_>| match event {
            FollowEvent::Rejected { rejected, .. } => told.push(rejected.to_string()),
            FollowEvent::Unreadable { path, error } => {
                told.push(format!("{}: {error}", path.file_name().unwrap().display()));
            }
            _ => {}
        };
        self.follower.poll(&mut observe).unwrap()
    }

    /// Looks at the files until nothing more comes, however long it takes.
    fn settle(&mut self) {
        for _ in 0..3 {
            self.poll();
            self.clock.advance(LONG);
        }
    }

    /// Commits, ends, and begins anew.
    fn restart(&mut self) {
        let _ = block_on(self.appender.commit()).unwrap();
        self.crash();
    }

    /// Begins anew without a commit.
    fn crash(&mut self) {
        // The follower holds an appender, too.
        self.follower = Follower::new(self.appender.clone(), [] as [&Path; 0], ImportOptions::default());
        let _ = block_on(self.appender.shutdown(Duration::ZERO));
        (self.appender, self.follower) = Self::start(&self.archive, self.folder.path());
    }

    fn numbers(&self) -> Vec<u64> {
        let _ = block_on(self.appender.commit()).unwrap();
        numbers(&self.archive)
    }

    fn sources(&self) -> usize {
        let _ = block_on(self.appender.commit()).unwrap();
        self.archive.snapshot().unwrap().manifest().sources.len()
    }
}

fn all(numbers: std::ops::Range<u64>) -> Vec<u64> {
    numbers.collect()
}

#[test]
fn what_is_written_is_read_once_it_has_the_end_of_its_line() {
    let mut followed = Followed::new();
    assert!(!followed.poll());
    let log = followed.log("a.log");
    let text = lines(0..5);
    for part in text.as_bytes().chunks(17) {
        add(&log, str::from_utf8(part).unwrap());
        followed.poll();
    }
    add(&log, "nonsense\n");
    assert!(followed.poll());
    assert!(!followed.poll());
    add(&log, line(5).trim_end());
    followed.settle();
    assert_eq!(followed.numbers(), all(0..5));
    assert_eq!(followed.told, ["line 6: not a JSON object"]);
    assert_eq!(followed.follower.report().rejected, 1);
    add(&log, "\n");
    followed.poll();
    assert_eq!(followed.numbers(), all(0..6));
}

#[test]
fn a_log_that_is_rotated_loses_no_line_and_repeats_none() {
    let mut followed = Followed::new();
    let log = followed.log("a.log");
    let mut next = 0;
    for round in 0..6 {
        add(&log, &lines(next..next + 10));
        followed.poll();
        let mut open = OpenOptions::new().append(true).open(&log).unwrap();
        let old = followed.log(&format!("a.log.{round}"));
        let text = lines(next..next + 20);
        match round {
            // Renamed; whoever writes it goes on for a while.
            0 | 1 => {
                fs::rename(&log, &old).unwrap();
                followed.poll();
                open.write_all(lines(next + 10..next + 20).as_bytes()).unwrap();
            }
            // Renamed and compressed before it was read to its end.
            2 => {
                open.write_all(lines(next + 10..next + 20).as_bytes()).unwrap();
                fs::write(old.with_extension("gz"), gzip(&text)).unwrap();
                fs::remove_file(&log).unwrap();
            }
            // Copied, then cut off.
            3 => {
                open.write_all(lines(next + 10..next + 20).as_bytes()).unwrap();
                fs::copy(&log, &old).unwrap();
                open.set_len(0).unwrap();
            }
            // Read to its end, then compressed.
            4 => {
                open.write_all(lines(next + 10..next + 20).as_bytes()).unwrap();
                followed.settle();
                fs::write(old.with_extension("gz"), gzip(&text)).unwrap();
                fs::remove_file(&log).unwrap();
            }
            // Moved away, with a last line that has no end.
            _ => {
                let text = lines(next + 10..next + 20);
                open.write_all(text.trim_end().as_bytes()).unwrap();
                fs::rename(&log, followed.folder.path().join("elsewhere")).unwrap();
            }
        }
        next += 20;
        if round % 2 == 1 {
            followed.settle();
        }
        assert_eq!(followed.told, [""; 0], "{round}");
    }
    followed.settle();
    assert_eq!(followed.numbers(), all(0..next));
    followed.restart();
    followed.settle();
    assert_eq!(followed.numbers(), all(0..next));
}

#[test]
fn a_new_process_goes_on_behind_what_was_committed() {
    let mut followed = Followed::new();
    let zeek = followed.log("conn.log");
    let header = "#separator \\x09\n#fields\tts\tid.orig_h\tid.resp_h\tproto\torig_bytes\n";
    let record = |number: u64| format!("{}.5\t10.0.0.1\t10.0.0.2\tgre\t{number}\n", 1_600_000_000 + number);
    add(&zeek, header);
    (0..3).for_each(|number| add(&zeek, &record(number)));
    followed.poll();
    followed.restart();
    assert!(!followed.poll());
    (3..5).for_each(|number| add(&zeek, &record(number)));
    // What is not committed is read again.
    followed.poll();
    followed.crash();
    add(&zeek, "1600000009.5\t10.0.0.1\n");
    assert!(followed.poll());
    assert_eq!(followed.numbers(), all(0..5));
    assert!(followed.told.iter().all(|told| told.starts_with("line 8: ")), "{:?}", followed.told);
}

#[test]
fn a_compressed_file_is_read_once_it_is_whole() {
    let mut followed = Followed::new();
    let log = followed.log("a.gz");
    let bytes = gzip(&lines(0..1000));
    let (first, rest) = bytes.split_at(bytes.len() / 2);
    fs::write(&log, first).unwrap();
    followed.poll();
    followed.clock.advance(Duration::from_secs(1));
    assert!(!followed.poll());
    let length = first.len() as u64;
    OpenOptions::new().write(true).open(&log).unwrap().write_all_at(rest, length).unwrap();
    assert!(!followed.poll());
    followed.clock.advance(Duration::from_secs(5));
    assert!(followed.poll());
    assert_eq!((followed.numbers(), followed.told.len()), (all(0..1000), 0));
    followed.restart();
    followed.settle();
    assert_eq!(followed.numbers(), all(0..1000));

    // One that was cut off says so, and gives what there is of it.
    fs::write(followed.log("b.gz"), &gzip(&lines(1000..9000))[..9000]).unwrap();
    followed.settle();
    let numbers = followed.numbers();
    assert!(numbers.len() > 1100 && numbers.len() < 9000, "{}", numbers.len());
    assert_eq!(numbers, all(0..numbers.len() as u64));
    assert!(followed.told[0].starts_with("b.gz: the file cannot be read: "), "{:?}", followed.told);
    // As long as it is there, it is known how far it was read.
    followed.clock.advance(Duration::from_secs(7200));
    followed.settle();
    followed.restart();
    followed.settle();
    assert_eq!(followed.numbers(), all(0..numbers.len() as u64));
}

#[test]
fn what_cannot_be_followed_is_told_and_costs_nothing_else() {
    let mut followed = Followed::new();
    fs::write(followed.log("a.csv"), "a,b\n1,2\n").unwrap();
    fs::write(followed.log("b.parquet"), "PAR1....\n").unwrap();
    fs::write(followed.log("c.log"), lines(0..2)).unwrap();
    fs::write(followed.log(".hidden"), lines(7..9)).unwrap();
    followed.settle();
    assert_eq!(followed.numbers(), all(0..2));
    let told = [
        "a.csv: the input is in none of the formats ",
        "b.parquet: the format parquet is not one of lines and cannot be followed",
    ];
    followed.told.sort();
    assert_eq!(followed.told.len(), 2, "{:?}", followed.told);
    assert!(followed.told.iter().zip(told).all(|(told, begin)| told.starts_with(begin)), "{:?}", followed.told);
    // Another file is there now, under the name of one that was refused.
    fs::write(followed.log("a.csv"), lines(2..3)).unwrap();
    followed.settle();
    assert_eq!(followed.numbers(), all(0..3));
}

#[test]
fn the_archive_forgets_a_log_an_hour_after_it_is_gone() {
    let mut followed = Followed::new();
    fs::write(followed.log("a.log"), lines(0..2)).unwrap();
    fs::write(followed.log("b.gz"), gzip(&lines(2..4))).unwrap();
    followed.settle();
    assert_eq!((followed.numbers(), followed.sources()), (all(0..4), 3));
    fs::remove_file(followed.log("a.log")).unwrap();
    fs::remove_file(followed.log("b.gz")).unwrap();
    followed.settle();
    assert_eq!(followed.sources(), 3);
    followed.clock.advance(Duration::from_secs(3600));
    followed.poll();
    assert_eq!((followed.numbers(), followed.sources()), (all(0..4), 0));
}

#[test]
fn a_directory_may_have_more_files_than_a_process_may_open() {
    let folder = Folder::new();
    fs::create_dir(folder.path().join("logs")).unwrap();
    for number in 0..300 {
        fs::write(folder.path().join(format!("logs/{number}.log")), line(number)).unwrap();
    }
    let mut command = Command::new("sh");
    command.args(["-c", "ulimit -n 128 && exec \"$0\" import flows logs --follow", env!("CARGO_BIN_EXE_flowseek")]);
    let program = command.current_dir(folder.path()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let flows = folder.path().join("flows");
    wait_for(&flows, 300);
    assert_eq!(Program(program).stop(), "imported=300 rejected=0\n");
    assert_eq!(numbers(&Archive::open(&flows).unwrap()), all(0..300));
}

#[test]
fn a_follower_ends_with_its_appender() {
    let mut followed = Followed::new();
    fs::write(followed.log("a.log"), lines(0..2)).unwrap();
    let _ = block_on(followed.appender.shutdown(Duration::from_secs(60)));
    let error = followed.follower.poll(&mut |_| {}).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Closed);
}

/// The program, following something; killed when it is dropped.
struct Program(Child);

impl Program {
    fn start(folder: &Path, input: &str) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_flowseek"));
        command.args(["import", "flows", input, "--follow"]).current_dir(folder);
        Self(command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap())
    }

    /// Asks it to stop; what it says in the end.
    fn stop(mut self) -> String {
        let pid = rustix::process::Pid::from_child(&self.0);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        let mut said = String::new();
        self.0.stdout.take().unwrap().read_to_string(&mut said).unwrap();
        assert!(self.0.wait().unwrap().success());
        said
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Waits until an archive has so many flows.
fn wait_for(path: &Path, flows: u64) {
    let begin = Instant::now();
    let count = || Archive::open(path).and_then(|archive| archive.snapshot()).map(|s| s.manifest().rows());
    while count().unwrap_or(0) < flows {
        assert!(begin.elapsed() < Duration::from_secs(120), "{:?} of {flows} flows are there", count());
        thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn the_output_of_a_program_is_there_while_it_runs() {
    let folder = Folder::new();
    let mut program = Program::start(folder.path(), "-");
    let mut input = program.0.stdin.take().unwrap();
    let flows = folder.path().join("flows");
    input.write_all(lines(0..3).as_bytes()).unwrap();
    input.write_all(b"nonsense\n{\"startTi").unwrap();
    wait_for(&flows, 3);
    input.write_all(b"me\":1600000003,\"sourceBytes\":3}\n").unwrap();
    wait_for(&flows, 4);
    assert_eq!(program.stop(), "imported=4 rejected=1\n");
    drop(input);

    // And one that ends.
    let mut program = Program::start(folder.path(), "-");
    program.0.stdin.take().unwrap().write_all(line(4).trim_end().as_bytes()).unwrap();
    let said = BufReader::new(program.0.stdout.take().unwrap()).lines().next().unwrap().unwrap();
    assert_eq!(said, "imported=1 rejected=0");
    assert!(program.0.wait().unwrap().success());
    assert_eq!(numbers(&Archive::open(&flows).unwrap()), all(0..5));
}

#[test]
fn a_program_that_is_killed_a_hundred_times_has_every_line_once() {
    let folder = Folder::new();
    let logs = folder.path().join("logs");
    fs::create_dir(&logs).unwrap();
    let stopped = Arc::new(AtomicBool::new(false));
    // Writes lines, and begins another file now and then: the old one is renamed, and compressed the next time.
    let writer = {
        let (logs, stopped) = (logs.clone(), Arc::clone(&stopped));
        thread::spawn(move || {
            let (mut next, mut random) = (0, ChaCha8Rng::seed_from_u64(3));
            let (log, old) = (logs.join("a.log"), logs.join("a.log.1"));
            let (mut first, mut before) = (0, 0);
            let mut file = File::create(&log).unwrap();
            while !stopped.load(Ordering::Relaxed) {
                let count = random.random_range(1..200);
                let text = lines(next..next + count);
                let (now, later) = text.split_at(random.random_range(0..text.len()));
                file.write_all(now.as_bytes()).unwrap();
                thread::sleep(Duration::from_millis(1));
                file.write_all(later.as_bytes()).unwrap();
                next += count;
                thread::sleep(Duration::from_millis(10));
                if next > first + 10_000 {
                    if old.exists() {
                        fs::write(logs.join(format!("a.{before}.gz")), gzip(&lines(before..first))).unwrap();
                        fs::remove_file(&old).unwrap();
                    }
                    fs::rename(&log, &old).unwrap();
                    (before, first) = (first, next);
                    file = File::create(&log).unwrap();
                }
            }
            next
        })
    };
    let mut random = ChaCha8Rng::seed_from_u64(4);
    for _ in 0..100 {
        let program = Program::start(folder.path(), "logs");
        thread::sleep(Duration::from_millis(random.random_range(30..1500) / 6));
        drop(program);
    }
    stopped.store(true, Ordering::Relaxed);
    let written = writer.join().unwrap();
    let program = Program::start(folder.path(), "logs");
    let flows = folder.path().join("flows");
    wait_for(&flows, written);
    program.stop();
    assert_eq!(numbers(&Archive::open(&flows).unwrap()), all(0..written));
    assert_sound(&flows);
}
