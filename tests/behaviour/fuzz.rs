//! Real input, damaged at random: an error or an answer, and never a panic, an end that does not come, or memory that an
//! input asks for and does not fill.
//!
//! Each target runs in a process of its own, whose address space is bounded. The cases are the same each time;
//! `FLOWSEEK_FUZZ_CASES` multiplies them.

use std::{
    collections::HashMap,
    env, fs,
    io::{Cursor as Bytes, Read, Write},
    path::{Path, PathBuf},
    process::Command,
    sync::atomic::{AtomicU64, Ordering},
    thread,
    time::Duration,
};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use flowseek::{
    Archive, Cursor, Error, ErrorKind, Filter, Order, Settings, StoredFlow,
    archive::SegmentOptions,
    filter,
    flow::{Address, Field, Protocol, TcpFlags},
    import::{Item, Reader, Rejected, decompress},
    ingest::{Appender, ImportEvent, ImportFormat, ImportOptions, ImportReport},
    order::{Direction, SortKey},
    query::{Count, Query},
    wire::Request,
};
use parquet::file::reader::{FileReader, SerializedFileReader};
use twox_hash::XxHash64;

use crate::{
    child,
    folder::Folder,
    golden_queries::{cases, flows},
    mutate::Mutator,
    nfcapd,
    support::{CAPTURES, SAMPLES, append, block_on},
};

/// Kilobytes of address space of a process that damages: room for its threads, and for no length that damage has made.
const ADDRESS_SPACE: u64 = 6_000_000;
/// The most memory that it may fill.
const MOST_BYTES: u64 = 1 << 30;
/// The longest that one case may take.
const LONGEST: Duration = Duration::from_secs(30);

/// The case that is being run, from 1 on.
static CASE: AtomicU64 = AtomicU64::new(0);

/// Runs the cases of a target in another process.
fn fuzz(target: &str, cases: u64) {
    let factor = env::var("FLOWSEEK_FUZZ_CASES").ok().map_or(1, |text| text.parse().expect("a number"));
    // The heaps of threads would take up the address space.
    let script = format!("ulimit -v {ADDRESS_SPACE} 2>/dev/null; MALLOC_ARENA_MAX=2 exec \"$0\" \"$@\"");
    let mut command = Command::new("sh");
    command.arg("-c").arg(script).arg(env::current_exe().unwrap()).args(child::arguments("fuzz::fuzzing_process"));
    child::give_task(&mut command, &[target, &(cases * factor).to_string()]);
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let last = child::said(&said).last().unwrap_or("nothing");
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && last == "done", "{target}: {}, at {last}\n{told}", output.status);
}

#[test]
#[ignore = "a process that the tests here start"]
fn fuzzing_process() {
    let Some(task) = child::task() else { return };
    thread::spawn(watch);
    let cases: u64 = task[1].parse().unwrap();
    let mut run: Box<dyn FnMut(&mut Mutator)> = match task[0].as_str() {
        "lines" => lines(),
        "compressed" => compressed(),
        "captures" => captures(),
        "nfcapd" => nfcapd_files(),
        "parquet" => foreign_parquet(),
        "cursors" => cursors(),
        "queries" => queries(),
        "manifests" => manifests(),
        "segments" => segments(),
        "indexes" => indexes(),
        "lists" => lists(),
        other => panic!("{other} is no target"),
    };
    for case in 1..=cases {
        child::say(format!("case {case}"));
        CASE.store(case, Ordering::Relaxed);
        run(&mut Mutator::new(case));
    }
    if let Some(bytes) = peak_memory() {
        assert!(bytes < MOST_BYTES, "{bytes} bytes of memory");
    }
    child::say("done");
}

/// Ends the process when one case takes too long.
fn watch() {
    loop {
        let case = CASE.load(Ordering::Relaxed);
        thread::sleep(LONGEST);
        if CASE.load(Ordering::Relaxed) == case {
            eprintln!("case {case} does not end");
            std::process::exit(9);
        }
    }
}

/// The most memory that this process has held so far; `None` where the system does not tell.
fn peak_memory() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix(" kB")?.parse::<u64>().ok().map(|kilobytes| kilobytes * 1024)
}

#[test]
fn damaged_lines_are_imported_as_a_reader_reads_them() {
    fuzz("lines", 120);
}

#[test]
fn damaged_compressed_inputs_are_an_error_or_lines() {
    fuzz("compressed", 150);
}

#[test]
fn damaged_captures_are_an_error_or_flows() {
    fuzz("captures", 300);
}

#[test]
fn damaged_files_of_nfdump_are_an_error_or_records() {
    fuzz("nfcapd", 1000);
}

#[test]
fn damaged_parquet_of_others_is_an_error_or_rows() {
    fuzz("parquet", 150);
}

#[test]
fn a_damaged_cursor_is_one_kind_of_error() {
    fuzz("cursors", 900);
}

#[test]
fn a_damaged_query_is_problems_or_a_question() {
    fuzz("queries", 600);
}

#[test]
fn a_damaged_manifest_is_an_error_and_never_other_flows() {
    fuzz("manifests", 400);
}

#[test]
fn a_damaged_segment_is_an_error_or_an_answer() {
    fuzz("segments", 80);
}

#[test]
fn a_flipped_bit_of_a_list_is_an_error_or_nothing_that_was_asked_for() {
    fuzz("lists", 60);
}

#[test]
fn a_damaged_index_is_an_error_even_where_its_checksum_is_right() {
    fuzz("indexes", 60);
}

fn sample(name: &str) -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "testdata", "import", name].iter().collect()
}

/// The text of a sample.
fn text(name: &str) -> Vec<u8> {
    let mut text = Vec::new();
    decompress(fs::File::open(sample(name)).unwrap()).unwrap().read_to_end(&mut text).unwrap();
    text
}

fn texts() -> Vec<Vec<u8>> {
    SAMPLES.iter().map(|(name, _)| text(name)).collect()
}

/// An archive of real flows in small segments and blocks.
struct Scratch {
    archive: Archive,
    directory: Folder,
}

impl Scratch {
    fn empty() -> Self {
        let directory = Folder::new();
        let segment = SegmentOptions::default().block_rows(32).row_group_blocks(2);
        let settings = Settings::default().segment(segment).segment_rows(130);
        let archive = Archive::open_or_create_with(directory.path().join("flows"), settings).unwrap();
        Self { archive, directory }
    }

    fn with_flows() -> Self {
        let scratch = Self::empty();
        let mut appender = scratch.archive.appender().unwrap();
        appender.import_file(sample("westermo.ndjson"), ImportOptions::default(), &mut |_| {}).unwrap();
        let _ = appender.commit().unwrap();
        scratch
    }

    /// A copy of the archive of the test data: the same names each time.
    fn copied() -> Self {
        let directory = Folder::new();
        let from: PathBuf = [env!("CARGO_MANIFEST_DIR"), "testdata", "archive"].iter().collect();
        for folder in ["data", "manifests"] {
            fs::create_dir(directory.path().join(folder)).unwrap();
            for file in fs::read_dir(from.join(folder)).unwrap() {
                let file = file.unwrap();
                fs::copy(file.path(), directory.path().join(folder).join(file.file_name())).unwrap();
            }
        }
        Self { archive: Archive::open(directory.path()).unwrap(), directory }
    }

    fn path(&self) -> &Path {
        self.archive.path()
    }

    fn segment(&self) -> PathBuf {
        let snapshot = self.archive.snapshot().unwrap();
        self.path().join(&snapshot.manifest().segments[0].path)
    }
}

/// All pages of a query, joined.
fn walk(mut query: Query) -> Result<Vec<StoredFlow>, Error> {
    let mut flows = Vec::new();
    block_on(async {
        for _ in 0..1000 {
            let page = query.page().await?;
            flows.extend(page.flows()?);
            let Some(next) = page.next else { return Ok(flows) };
            query = query.after(next);
        }
        panic!("the pages do not end")
    })
}

/// What an archive answers to a question.
#[derive(Debug, PartialEq)]
enum Answer {
    Flows(Vec<StoredFlow>),
    Total(Option<u64>),
    /// Nothing, for a reason that damage has.
    Failed,
}

impl Answer {
    fn of<T>(result: Result<T, Error>, answer: impl Fn(T) -> Self) -> Self {
        result.map_or_else(
            |error| {
                expect(&error, STORED);
                Self::Failed
            },
            answer,
        )
    }
}

/// Asks an archive, opened anew, for everything that a damage can spoil. Everything is asked, whatever of it fails; and what
/// fails, fails as it should.
fn ask(path: &Path) -> Result<Vec<Answer>, Error> {
    let archive = Archive::open(path)?;
    let snapshot = archive.snapshot()?;
    let _ = (snapshot.manifest().rows(), snapshot.manifest().bytes());
    let addresses = ["198.18.134.12", "198.18.134.7", "198.18.134.21"].map(|text| text.parse::<Address>().unwrap());
    let mut answers = Vec::new();
    for filter in [
        filter::ip().any_of([addresses[0]]),
        filter::src_ip().any_of(addresses),
        filter::dst_ip().none_of(addresses),
        filter::dst_port().any_of([80u16, 443]),
        filter::dst_port().within(1..1024),
        filter::node_id().eq("n1").or(filter::src_node().ne("x")),
        filter::tcp_flags().carries_any([TcpFlags::new(2)]).and(filter::protocol().eq(Protocol::TCP)),
        filter::src_bytes().within(100..),
    ] {
        let query = snapshot.query(filter).order(Order::newest_first()).limit(5);
        let flows = block_on(query.page()).and_then(|page| page.flows());
        answers.push(Answer::of(flows, Answer::Flows));
        let total = block_on(query.limit(0).count(Count::Exact).page());
        answers.push(Answer::of(total, |page| Answer::Total(page.total)));
    }
    let key = SortKey { field: Field::DstBytes, direction: Direction::Descending };
    let by_bytes = snapshot.query(Filter::all()).order(Order::new([key], Direction::Ascending)).limit(600);
    answers.push(Answer::of(walk(by_bytes), Answer::Flows));
    answers.push(Answer::of(walk(snapshot.query(Filter::all()).limit(100)), Answer::Flows));
    Ok(answers)
}

/// Asks an archive that is damaged: it answers what it answered when it was `sound`, or nothing. Says whether it answered
/// everything.
fn ask_damaged(path: &Path, sound: &[Answer]) -> bool {
    match ask(path) {
        Ok(answers) => {
            assert!(!sound.contains(&Answer::Failed) && answers.len() == sound.len());
            for (answer, sound) in answers.iter().zip(sound) {
                assert!(*answer == Answer::Failed || answer == sound, "{answer:?} in place of {sound:?}");
            }
            answers == sound
        }
        Err(error) => {
            expect(&error, STORED);
            false
        }
    }
}

/// The errors of an archive that is not as it was written.
const STORED: &[ErrorKind] = &[ErrorKind::Damaged, ErrorKind::Unsupported, ErrorKind::Io, ErrorKind::NotFound];

fn expect(error: &Error, kinds: &[ErrorKind]) {
    assert!(kinds.contains(&error.kind()), "{:?}: {error}", error.kind());
}

/// An import that ends with a commit, so that what was taken can be stored.
struct Imports {
    scratch: Scratch,
    appender: Option<Appender>,
}

impl Imports {
    fn new() -> Self {
        Self { scratch: Scratch::empty(), appender: None }
    }

    /// Imports; the answer is the report and what was rejected. What is imported is what is committed.
    fn run(
        &mut self,
        import: impl FnOnce(&mut Appender, &mut dyn FnMut(ImportEvent)) -> Result<ImportReport, Error>,
    ) -> (Result<ImportReport, Error>, Vec<Rejected>) {
        let appender = self.appender.get_or_insert_with(|| self.scratch.archive.appender().unwrap());
        let (mut rejected, mut flows) = (Vec::new(), 0);
        let report = import(appender, &mut |event| match event {
            ImportEvent::Rejected(line) => rejected.push(line),
            ImportEvent::Progress { flows: so_far, .. } => flows = so_far,
            other => panic!("{other:?}"),
        });
        assert_eq!(appender.commit().unwrap().flows, flows);
        if let Err(error) = &report {
            expect(error, &[ErrorKind::InvalidInput]);
            assert!(error.to_string().len() < 2000);
        }
        assert!(rejected.iter().all(|line| line.reason.len() < 1000), "a reason stays short");
        (report, rejected)
    }
}

fn lines() -> Box<dyn FnMut(&mut Mutator)> {
    let texts = texts();
    let mut imports = Imports::new();
    Box::new(move |mutator| {
        let (text, format) = (mutator.damaged_lines(&texts), SAMPLES[mutator.below(SAMPLES.len())].1);
        let options = ImportOptions::default().format(ImportFormat::Lines(format));
        let input = Bytes::new(text.clone());
        let (report, rejected) = imports.run(|appender, observer| appender.import(input, options, observer));
        if !text.starts_with(&[0x1f, 0x8b]) {
            let mut reader = Reader::new(format, text.as_slice());
            let mut flows = 0;
            let mut expected = Vec::new();
            for item in reader.by_ref() {
                match item.unwrap() {
                    Item::Flow(_) => flows += 1,
                    Item::Rejected(line) => expected.push(line),
                }
            }
            let report = report.unwrap();
            assert_eq!((report.imported, report.skipped), (flows, reader.skipped()));
            assert_eq!(report.remarks, reader.take_remarks());
            assert_eq!(rejected, expected);
        }
        // And once more with its format to be found out.
        let input = Bytes::new(text);
        let _ = imports.run(|appender, observer| appender.import(input, ImportOptions::default(), observer));
    })
}

fn compressed() -> Box<dyn FnMut(&mut Mutator)> {
    let inputs: Vec<Vec<u8>> = texts()
        .iter()
        .flat_map(|text| {
            let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
            encoder.write_all(text).unwrap();
            [encoder.finish().unwrap(), zstd::encode_all(text.as_slice(), 3).unwrap()]
        })
        .collect();
    let mut imports = Imports::new();
    Box::new(move |mutator| {
        let input = Bytes::new(mutator.damaged(&inputs));
        let _ = imports.run(|appender, observer| appender.import(input, ImportOptions::default(), observer));
    })
}

fn captures() -> Box<dyn FnMut(&mut Mutator)> {
    let inputs = CAPTURES.map(text);
    let mut imports = Imports::new();
    Box::new(move |mutator| {
        let input = Bytes::new(mutator.damaged(&inputs));
        let options = ImportOptions::default().format(ImportFormat::NetFlow);
        let _ = imports.run(|appender, observer| appender.import(input, options, observer));
    })
}

/// Each of nfdump's files, damaged, in every case. What is imported is dropped: a thousand commits would be slow.
fn nfcapd_files() -> Box<dyn FnMut(&mut Mutator)> {
    let names = ["nfcapd-1", "nfcapd-1-lzo", "nfcapd-1-empty", "nfcapd-2-bzip2", "nfcapd-2-lz4", "nfcapd-2-lzo"];
    let samples: Vec<Vec<u8>> =
        names.iter().map(|name| fs::read(sample(name)).unwrap()).chain([nfcapd::plain()]).collect();
    let scratch = Scratch::empty();
    Box::new(move |mutator| {
        let scratch = &scratch;
        for whole in &samples {
            let input = match mutator.below(3) {
                0 => mutator.damaged_lengths(whole),
                _ => mutator.damaged(std::slice::from_ref(whole)),
            };
            let mut appender = scratch.archive.appender().unwrap();
            let options = ImportOptions::default().format(ImportFormat::Nfcapd);
            let (mut rejected, mut flows) = (0, 0);
            let report = appender.import(Bytes::new(input), options, &mut |event| match event {
                ImportEvent::Rejected(record) => {
                    assert!(record.reason.len() < 1000);
                    rejected += 1;
                }
                ImportEvent::Progress { flows: so_far, .. } => flows = so_far,
                other => panic!("{other:?}"),
            });
            match report {
                Ok(report) => assert_eq!((report.imported, report.rejected), (flows, rejected)),
                Err(error) => expect(&error, &[ErrorKind::InvalidInput]),
            }
        }
    })
}

fn foreign_parquet() -> Box<dyn FnMut(&mut Mutator)> {
    let own = Scratch::with_flows();
    let inputs = [fs::read(sample("westermo.parquet")).unwrap(), fs::read(own.segment()).unwrap()];
    let directory = Folder::new();
    let file = directory.path().join("foreign");
    let mut imports = Imports::new();
    Box::new(move |mutator| {
        let _directory = &directory;
        let input = &inputs[mutator.below(inputs.len())];
        let bytes = if mutator.below(2) == 0 { mutator.damaged(&inputs) } else { mutator.damaged_tail(input) };
        fs::write(&file, &bytes).unwrap();
        let options = ImportOptions::default().format(ImportFormat::Parquet);
        let (path, input) = (file.clone(), Bytes::new(bytes));
        let (streamed, rejected) = imports.run(|appender, observer| appender.import(input, options.clone(), observer));
        let (read, others) = imports.run(|appender, observer| appender.import_file(path, options, observer));
        assert_eq!((streamed.ok(), rejected), (read.ok(), others), "a stream and a file are read alike");
    })
}

fn cursors() -> Box<dyn FnMut(&mut Mutator)> {
    let scratch = Scratch::with_flows();
    append(&scratch.archive, &[flows().into_iter().map(|named| named.flow).collect()]);
    let snapshot = scratch.archive.snapshot().unwrap();
    let by = |field, direction| Order::new([SortKey { field, direction }], Direction::Ascending);
    let queries: Vec<Query> = [
        Order::oldest_first(),
        Order::newest_first(),
        by(Field::SrcIp, Direction::Descending),
        by(Field::SrcNode, Direction::Ascending),
        by(Field::DstNode, Direction::Descending),
    ]
    .into_iter()
    .map(|order| snapshot.query(Filter::all()).order(order).limit(20))
    .collect();
    let answers: Vec<Vec<StoredFlow>> = queries.iter().map(|query| walk(query.clone()).unwrap()).collect();
    let cursors: Vec<String> =
        queries.iter().map(|query| block_on(query.page()).unwrap().next.unwrap().to_string()).collect();
    let encoded: Vec<Vec<u8>> = cursors.iter().map(|cursor| cursor.clone().into_bytes()).collect();
    let bodies: Vec<Vec<u8>> = cursors.iter().map(|cursor| URL_SAFE_NO_PAD.decode(cursor).unwrap()).collect();
    Box::new(move |mutator| {
        let _scratch = &scratch;
        let text = match mutator.below(3) {
            0 => String::from_utf8_lossy(&mutator.damaged(&encoded)).into_owned(),
            _ => URL_SAFE_NO_PAD.encode(mutator.damaged(&bodies)),
        };
        let cursor: Cursor = match text.parse() {
            Ok(cursor) => cursor,
            Err(error) => return expect(&error, &[ErrorKind::InvalidCursor]),
        };
        for ((query, answer), own) in queries.iter().zip(&answers).zip(&cursors) {
            match block_on(query.clone().after(cursor.clone()).page()) {
                Ok(page) => {
                    assert_eq!(&text, own, "a cursor that was not given is taken");
                    assert!(answer[20..].iter().take(20).eq(&page.flows().unwrap()));
                }
                Err(error) => {
                    assert_ne!(&text, own, "{error}");
                    expect(&error, &[ErrorKind::InvalidCursor]);
                }
            }
        }
    })
}

fn queries() -> Box<dyn FnMut(&mut Mutator)> {
    let scratch = Scratch::with_flows();
    let snapshot = scratch.archive.snapshot().unwrap();
    let queries: Vec<Vec<u8>> = cases().into_iter().map(|case| case.query.into_bytes()).collect();
    Box::new(move |mutator| {
        let _scratch = &scratch;
        let mut query = mutator.damaged(&queries);
        if mutator.below(8) == 0 {
            // Long, and with many problems or items.
            let separator = [b"&".as_slice(), b",", b"&sort=", b"%"][mutator.below(4)];
            query = vec![query; 1 + mutator.below(200)].join(separator);
        }
        let text = String::from_utf8_lossy(&query).into_owned();
        match Request::parse(&text) {
            Ok(request) => {
                let page = block_on(request.query(&snapshot).page());
                page.map_or_else(|error| expect(&error, &[ErrorKind::InvalidCursor]), |_| ());
            }
            Err(error) => {
                expect(&error, &[ErrorKind::InvalidQuery, ErrorKind::InvalidCursor]);
                assert!(error.problems().len() <= 101);
                assert!(error.problems().iter().all(|problem| problem.len() < 2000), "{error}");
            }
        }
    })
}

fn manifests() -> Box<dyn FnMut(&mut Mutator)> {
    let scratch = Scratch::copied();
    scratch.directory.expect_damage();
    let sound = ask(scratch.path()).unwrap();
    let manifest = scratch.archive.snapshot().unwrap().manifest().clone();
    let names = ["manifests/00000000000000000002.json", "manifests/00000000000000000001.json"];
    let inputs = names.map(|name| fs::read(scratch.path().join(name)).unwrap());
    let path = scratch.path().join(names[0]);
    let bodies: Vec<Vec<u8>> =
        inputs.iter().map(|input| input.split(|byte| *byte == b'\n').next().unwrap().to_vec()).collect();
    Box::new(move |mutator| {
        let resealed = mutator.below(2) == 0;
        let bytes = if resealed {
            let body = mutator.damaged_text(&bodies);
            let sum = XxHash64::oneshot(0, &body);
            [&body[..], format!("\n{sum:016x}\n").as_bytes()].concat()
        } else {
            mutator.damaged(&inputs)
        };
        fs::write(&path, &bytes).unwrap();
        let opened = Archive::open(scratch.path());
        if !resealed && let Ok(opened) = &opened {
            assert_eq!(*opened.snapshot().unwrap().manifest(), manifest);
            assert_eq!(ask(scratch.path()).unwrap(), sound);
        }
        if let Err(error) = opened.and_then(|_| ask(scratch.path())) {
            expect(&error, STORED);
        }
    })
}

fn segments() -> Box<dyn FnMut(&mut Mutator)> {
    let scratch = Scratch::with_flows();
    scratch.directory.expect_damage();
    let sound = ask(scratch.path()).unwrap();
    let path = scratch.segment();
    let whole = fs::read(&path).unwrap();
    Box::new(move |mutator| {
        fs::write(&path, mutator.damaged_tail(&whole)).unwrap();
        ask_damaged(scratch.path(), &sound);
    })
}

/// One bit of the lists, which lie between the columns and the index.
fn lists() -> Box<dyn FnMut(&mut Mutator)> {
    let scratch = Scratch::with_flows();
    scratch.directory.expect_damage();
    let sound = ask(scratch.path()).unwrap();
    let path = scratch.segment();
    let whole = fs::read(&path).unwrap();
    let file = SerializedFileReader::new(bytes::Bytes::from(whole.clone())).unwrap();
    let groups = file.metadata().row_groups().iter();
    let ends = groups.flat_map(|group| group.columns()).map(|column| {
        let (start, length) = column.byte_range();
        usize::try_from(start + length).unwrap()
    });
    let lists = ends.max().unwrap()..index_of(&whole).start;
    assert!(lists.len() > 100);
    let (mut cases, mut noticed) = (0, 0);
    Box::new(move |mutator| {
        let mut bytes = whole.clone();
        bytes[lists.start + mutator.below(lists.len())] ^= 1 << mutator.below(8);
        fs::write(&path, bytes).unwrap();
        cases += 1;
        noticed += u32::from(!ask_damaged(scratch.path(), &sound));
        // Not every list is asked; but were none of them checked, nothing would be noticed.
        assert!(cases < 20 || noticed > cases / 8, "{noticed} of {cases} flipped bits were noticed");
    })
}

/// Where the index of a segment lies.
fn index_of(segment: &[u8]) -> std::ops::Range<usize> {
    let file = SerializedFileReader::new(bytes::Bytes::from(segment.to_vec())).unwrap();
    let pairs = file.metadata().file_metadata().key_value_metadata().unwrap();
    let pairs: HashMap<_, _> = pairs.iter().map(|pair| (pair.key.as_str(), pair.value.clone().unwrap())).collect();
    let (offset, length) = pairs["flowseek.index"].split_once(':').unwrap();
    let offset: usize = offset.parse().unwrap();
    offset..offset + length.parse::<usize>().unwrap()
}

fn indexes() -> Box<dyn FnMut(&mut Mutator)> {
    let scratch = Scratch::with_flows();
    scratch.directory.expect_damage();
    let sound = ask(scratch.path()).unwrap();
    let path = scratch.segment();
    let whole = fs::read(&path).unwrap();
    let place = index_of(&whole);
    Box::new(move |mutator| {
        let resealed = mutator.below(4) > 0;
        let mut index = whole[place.clone()].to_vec();
        let length = index.len() - if resealed { 8 } else { 0 };
        // Its length stands elsewhere: it stays.
        let mut body = mutator.damaged(&[index[..length].to_vec()]);
        body.resize(length, 0);
        if resealed {
            body.extend(XxHash64::oneshot(0, &body).to_le_bytes());
        }
        index.copy_from_slice(&body);
        let changed = index != whole[place.clone()];
        fs::write(&path, [&whole[..place.start], &index, &whole[place.end..]].concat()).unwrap();
        if !resealed {
            // It is read whole before anything is asked of it, so that nothing is answered where it is another.
            assert_eq!(ask_damaged(scratch.path(), &sound), !changed, "a damaged index is answered from");
        } else if let Err(error) = ask(scratch.path()) {
            expect(&error, STORED);
        }
    })
}
