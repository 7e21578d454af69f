//! The program, run as people and scripts run it.
#![cfg(feature = "cli")]

use std::{
    fs,
    io::{BufRead, BufReader, Write},
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    sync::Arc,
};

use arrow::array::{ArrayRef, FixedSizeBinaryArray, Int64Array, RecordBatch};
use parquet::{
    arrow::ArrowWriter,
    file::properties::{WriterProperties, WriterVersion},
};
use serde_json::Value;

use crate::{folder::Folder, mutate::Mutator};

/// What the program has said, and its exit status.
#[derive(Debug, PartialEq, Eq)]
struct Said {
    out: String,
    err: String,
    status: i32,
}

impl From<Output> for Said {
    fn from(output: Output) -> Self {
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Self { out: text(output.stdout), err: text(output.stderr), status: output.status.code().unwrap() }
    }
}

impl Said {
    fn done(self) -> String {
        assert_eq!(self.status, 0, "{self:?}");
        self.out
    }

    /// The cursor in the last line of standard error.
    fn next(&self) -> Option<&str> {
        self.err.lines().last().and_then(|line| line.strip_prefix("next: "))
    }
}

struct Place {
    directory: Folder,
}

impl Place {
    fn new() -> Self {
        Self { directory: Folder::new() }
    }

    /// An archive of the flows of the golden queries.
    fn with_flows() -> (Self, String) {
        let place = Self::new();
        let archive = place.path("flows");
        flowseek(&["import", &archive, &testdata("queries/flows.ndjson")]).done();
        (place, archive)
    }

    fn path(&self, name: &str) -> String {
        self.directory.path().join(name).to_str().unwrap().to_owned()
    }

    fn file(&self, name: &str, text: &str) -> String {
        fs::write(self.path(name), text).unwrap();
        self.path(name)
    }
}

fn testdata(name: &str) -> String {
    let path: PathBuf = [env!("CARGO_MANIFEST_DIR"), "testdata", name].iter().collect();
    path.to_str().unwrap().to_owned()
}

fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_flowseek"));
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn flowseek(arguments: &[&str]) -> Said {
    command(arguments).output().unwrap().into()
}

fn flowseek_reading(arguments: &[&str], input: &[u8]) -> Said {
    let mut child = command(arguments).stdin(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(input).unwrap();
    child.wait_with_output().unwrap().into()
}

fn flows(archive: &str) -> u64 {
    let stats: Value = serde_json::from_str(&flowseek(&["stats", archive, "--json"]).done()).unwrap();
    stats["flows"].as_u64().unwrap()
}

const GOOD: &str = r#"{"startTime":1666012671,"destPort":443}"#;

#[test]
fn import_reads_every_sample_and_says_what_became_of_its_lines() {
    let skipped = ["57 records of the log \"dce_rpc\" were skipped", "4 records of the log \"dns\" were skipped"];
    for (sample, line, remarks) in [
        ("westermo.ndjson", "imported=250 rejected=0\n", &[][..]),
        ("argus-zeek.ndjson", "imported=100 rejected=0\n", &[]),
        ("m57-conn.log.gz", "imported=200 rejected=0\n", &[]),
        ("m57-conn.log.json.gz", "imported=200 rejected=0\n", &[]),
        ("apt29-zeek.log.gz", "imported=39 rejected=0 skipped=61\n", &skipped),
    ] {
        let place = Place::new();
        let file = testdata(&format!("import/{sample}"));
        let said = flowseek(&["import", &place.path("flows"), &file]);
        let err = remarks.iter().map(|remark| format!("{file}: {remark}\n")).collect();
        assert_eq!(said, Said { out: line.to_owned(), err, status: 0 }, "{sample}");
        let all = flowseek(&["query", &place.path("flows"), "limit=70", "--all"]).done();
        assert!(line.starts_with(&format!("imported={} ", all.lines().count())), "{sample}");
    }
}

/// A Parquet file of flows with two addresses, damaged anywhere among the pages of the addresses.
fn damaged_parquet(place: &Place) -> Vec<String> {
    let addresses: Vec<[u8; 16]> = (0..200).map(|row| [row % 2; 16]).collect();
    let rows = RecordBatch::try_from_iter([
        ("startTime", Arc::new(Int64Array::from_iter_values(0..200)) as ArrayRef),
        ("sourceIP", Arc::new(FixedSizeBinaryArray::try_from_iter(addresses.iter()).unwrap())),
    ])
    .unwrap();
    // Addresses have a dictionary in this version of the format alone, and what refers to it is what the reader trusts.
    let properties = WriterProperties::builder().set_writer_version(WriterVersion::PARQUET_2_0).build();
    let mut whole = Vec::new();
    let mut writer = ArrowWriter::try_new(&mut whole, rows.schema(), Some(properties)).unwrap();
    writer.write(&rows).unwrap();
    let footer = writer.close().unwrap();
    let (start, length) = footer.row_group(0).column(1).byte_range();
    (start..start + length)
        .map(|at| {
            let mut damaged = whole.clone();
            damaged[at as usize] ^= 0x0f;
            let file = place.path(&format!("{at}.parquet"));
            fs::write(&file, damaged).unwrap();
            file
        })
        .collect()
}

#[test]
fn damaged_parquet_prints_errors_and_no_panic() {
    let place = Place::new();
    let mut files = damaged_parquet(&place);
    let sample = fs::read(testdata("import/westermo.parquet")).unwrap();
    for seed in 0..300 {
        let file = place.path(&format!("sample-{seed}.parquet"));
        fs::write(&file, Mutator::new(seed).damaged_tail(&sample)).unwrap();
        files.push(file);
    }
    let archive = place.path("flows");
    let arguments: Vec<&str> = ["import", &archive].into_iter().chain(files.iter().map(String::as_str)).collect();
    let said = flowseek(&arguments);
    assert_eq!(said.status, 1);
    // The reader has panicked, and only its error is told.
    assert!(said.err.contains("it cannot be decoded: "), "{}", said.err);
    assert!(!said.err.contains("panicked"), "{}", said.err);
}

#[test]
fn keys_that_no_flow_has_are_said_once_a_file() {
    let place = Place::new();
    let line = r#"{"startTime":1700000000,"sourceIp":"10.0.0.1","srcPort":40000}"#;
    let files = [1, 30].map(|count| {
        let file = place.path(&format!("{count}.ndjson"));
        fs::write(&file, format!("{line}\n").repeat(count)).unwrap();
        file
    });
    let said = flowseek(&["import", &place.path("flows"), &files[0], &files[1]]);
    assert_eq!((said.out.as_str(), said.status), ("imported=31 rejected=0\n", 0));
    let told = |file: &str, records: &str| {
        [("sourceIp", "sourceIP"), ("srcPort", "sourcePort")].map(|(key, meant)| {
            format!("{file}: {key:?} is unknown and was ignored in {records}; did you mean {meant:?}?")
        })
    };
    let expected = [told(&files[0], "1 record"), told(&files[1], "30 records")].concat();
    assert_eq!(said.err.lines().collect::<Vec<_>>(), expected);

    let many: String = (0..30).map(|key| format!(",\"k{key}\":1")).collect();
    fs::write(&files[0], format!("{{\"startTime\":1{many}}}\n")).unwrap();
    let said = flowseek(&["import", &place.path("flows"), &files[0]]);
    assert_eq!(said.err.lines().count(), 21);
    assert!(said.err.ends_with(": 10 more remarks are left out\n"), "{}", said.err);
}

#[test]
fn files_are_imported_together() {
    let place = Place::new();
    let samples = ["import/westermo.ndjson", "import/m57-conn.log.gz"].map(testdata);
    let url = format!("file://{}", place.path("flows%20here"));
    let said = flowseek(&["import", &url, &samples[0], &samples[1]]);
    assert_eq!(said.done(), "imported=450 rejected=0\n");
    assert_eq!(flows(&place.path("flows here")), 450);
}

#[test]
fn bad_lines_are_reported_and_lose_no_good_ones() {
    let place = Place::new();
    let bad = r#"{"startTime":1666012671,"destPort":70000}"#;
    let file = place.file("lines", &[GOOD, bad, GOOD].join("\n"));
    let said = flowseek(&["import", &place.path("flows"), &file]);
    assert_eq!(said.out, "imported=2 rejected=1\n");
    assert_eq!(said.err, format!("{file}: line 2: destPort: 70000 is not a port from 0 to 65535\n"));
    assert_eq!(said.status, 0);

    let many = place.file("many", &[&[bad; 25][..], &[GOOD]].concat().join("\n"));
    let said = flowseek(&["import", &place.path("flows"), &many]);
    assert_eq!(said.out, "imported=1 rejected=25\n");
    assert_eq!(said.err.lines().count(), 21);
    assert!(said.err.ends_with(&format!("{many}: 5 more lines were rejected\n")));
    assert_eq!(flows(&place.path("flows")), 3);
}

#[test]
fn a_file_of_another_format_is_told_from_a_file_with_bad_lines() {
    let place = Place::new();
    let csv = place.file("table.csv", "ts,uid\n1,2\n");
    let said = flowseek(&["import", &place.path("flows"), &csv, "--format", "json"]);
    assert_eq!((said.status, said.out.as_str()), (0, "imported=0 rejected=2\n"));
    assert!(said.err.contains("every line was rejected; it may be of another format"));

    let good = place.file("good", GOOD);
    let said = flowseek(&["import", &place.path("flows"), &csv, &good]);
    assert_eq!((said.status, said.out.as_str()), (1, "imported=1 rejected=0\n"));
    assert!(said.err.contains("in none of the formats azure, binetflow, "), "{}", said.err);
}

#[test]
fn a_mapping_file_describes_a_format() {
    let place = Place::new();
    let good = place.file(
        "good.toml",
        "input = \"separated\"\n[flow]\nstartTime = \"when\"\ndestPort = \"to\"\nsourceIP = \"from\"\n",
    );
    let csv = place.file("table.csv", "when,to\n1666012671,443\n1666012672,70000\n");
    let import = |mapping: &str| {
        let said = flowseek(&["import", &place.path("flows"), &csv, "--format", mapping]);
        (said.status, said.out, said.err)
    };
    let (status, out, err) = import(&format!("map:{good}"));
    assert_eq!((status, out.as_str()), (0, "imported=1 rejected=1\n"));
    let remark = format!("{csv}: \"from\" of the mapping occurs in no record\n");
    assert_eq!(err, format!("{csv}: line 3: to: \"70000\" is not a port from 0 to 65535\n{remark}"));
    let bad = place.file("bad.toml", "input = \"separated\"\n[flow]\nstartTme = \"when\"\n");
    for (mapping, reason) in [
        (format!("map:{bad}"), "bad.toml: line 3: flow.startTme: the key is unknown; did you mean \"startTime\"?"),
        ("map:there/is/none".to_owned(), "there/is/none: No such file"),
        ("csv".to_owned(), "\"csv\" is not a format: allowed are azure, binetflow, "),
    ] {
        let (status, out, err) = import(&mapping);
        assert_eq!((status, out.as_str()), (2, ""), "{err}");
        assert!(err.contains(reason), "{err}");
    }
}

#[test]
fn strict_import_takes_all_or_nothing() {
    let place = Place::new();
    let (good, bad) = (place.file("good", GOOD), place.file("bad", &format!("{GOOD}\nnonsense\n{GOOD}\n")));
    let said = flowseek(&["import", &place.path("flows"), &good, &bad, "--strict"]);
    assert_eq!((said.status, said.out.as_str()), (1, ""));
    assert!(said.err.starts_with(&format!("flowseek: {bad}: line 2: ")), "{}", said.err);
    assert_eq!(said.err.lines().count(), 1);
    assert_eq!(flows(&place.path("flows")), 0);
    assert_eq!(flowseek(&["import", &place.path("flows"), &good, "--strict"]).done(), "imported=1 rejected=0\n");
}

#[test]
fn a_missing_file_fails_before_anything_is_imported() {
    let place = Place::new();
    let good = place.file("good", GOOD);
    let wrong = place.path("missing");
    for options in [&[][..], &["--follow"]] {
        let said = flowseek(&[&["import", &place.path("flows"), &good, &wrong], options].concat());
        assert_eq!((said.status, said.out.as_str()), (1, ""));
        assert!(said.err.starts_with(&format!("flowseek: {wrong}: ")), "{}", said.err);
        assert!(!Path::new(&place.path("flows")).exists());
    }
}

#[test]
fn a_directory_stands_for_the_files_in_it_but_for_archives() {
    let place = Place::new();
    let logs = Path::new(&place.path("logs")).to_owned();
    fs::create_dir_all(logs.join("2022")).unwrap();
    for name in ["a.log", "2022/b.log", ".c.log"] {
        fs::write(logs.join(name), GOOD).unwrap();
    }
    let logs = logs.to_str().unwrap();
    let archive = format!("{logs}/flows");
    for round in 1..=2 {
        let said = flowseek(&["import", &archive, logs]);
        assert_eq!((said.status, said.out), (0, "imported=2 rejected=0\n".to_owned()), "{}", said.err);
        assert_eq!(flows(&archive), round * 2);
    }
}

#[test]
fn a_file_that_was_cut_off_is_imported_as_far_as_it_goes() {
    let place = Place::new();
    let whole = fs::read(testdata("import/m57-conn.log.gz")).unwrap();
    fs::write(place.path("cut.gz"), &whole[..whole.len() * 2 / 3]).unwrap();
    let said = flowseek(&["import", &place.path("flows"), &place.path("cut.gz"), &place.file("good", GOOD)]);
    assert_eq!(said.status, 1);
    let imported = flows(&place.path("flows"));
    assert!((2..200).contains(&imported));
    assert_eq!(said.out, format!("imported={imported} rejected=0\n"));
    assert_eq!(said.err.lines().count(), 2, "{}", said.err);
}

#[test]
fn import_reads_standard_input_plain_or_compressed() {
    let place = Place::new();
    let compressed = fs::read(testdata("import/m57-conn.log.gz")).unwrap();
    let archive = place.path("flows");
    assert_eq!(flowseek_reading(&["import", &archive, "-"], &compressed).done(), "imported=200 rejected=0\n");
    assert_eq!(flowseek_reading(&["import", &archive, "-"], GOOD.as_bytes()).done(), "imported=1 rejected=0\n");
    assert_eq!(flowseek_reading(&["import", &archive, "-"], b"").done(), "imported=0 rejected=0\n");
    let said = flowseek_reading(&["import", &archive, "-"], b"{\"startTime\":1}\n?\n");
    assert!(said.err.starts_with("-: line 2: "), "{}", said.err);
}

#[test]
fn the_answer_of_one_archive_can_be_imported_into_another() {
    let (place, archive) = Place::with_flows();
    let query = |archive: &str| flowseek(&["query", archive, "sort=sourcePort,destBytes"]).done();
    let answer = flowseek(&["query", &archive]).done();
    let copy = place.path("copy");
    assert_eq!(flowseek_reading(&["import", &copy, "-"], answer.as_bytes()).done(), "imported=31 rejected=0\n");
    assert_eq!(flows(&copy), 31);
    let sorted = |text: String| {
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        lines.sort();
        lines
    };
    // The wire knows three protocols by name; the others come back as unknown, and look the same.
    assert_eq!(sorted(query(&copy)), sorted(query(&archive)));
}

#[test]
fn a_pipe_gets_lines_and_every_format_shows_the_same_flows() {
    let (_place, archive) = Place::with_flows();
    let query = |format: &str| flowseek(&["query", &archive, "limit=7&reverse=true", "--format", format]).done();
    let lines = flowseek(&["query", &archive, "limit=7&reverse=true"]).done();
    assert_eq!(lines, query("ndjson"));
    let objects: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(objects.len(), 7);
    assert_eq!(serde_json::from_str::<Vec<Value>>(&query("json")).unwrap(), objects);

    let csv = query("csv");
    let header: Vec<&str> = csv.lines().next().unwrap().split(',').collect();
    let at = header.iter().position(|name| *name == "startTime").unwrap();
    let table = query("table");
    assert_eq!(table.lines().next().unwrap().split_whitespace().collect::<Vec<_>>(), header);
    assert_eq!((csv.matches("\r\n").count(), table.lines().count()), (8, 8));
    let mut csv = csv::Reader::from_reader(csv.as_bytes());
    for ((object, record), table) in objects.iter().zip(csv.records()).zip(table.lines().skip(1)) {
        let start = object["startTime"].as_str().unwrap();
        assert_eq!(record.unwrap().get(at), Some(start));
        assert!(table.contains(start));
    }
}

#[test]
fn next_leads_to_the_last_page_and_all_is_the_pages_joined() {
    let (_place, archive) = Place::with_flows();
    let query = "limit=7&sort=destPort:desc";
    let mut said = flowseek(&["query", &archive, query]);
    let mut pages = vec![];
    while let Some(next) = said.next() {
        let following = flowseek(&["query", &archive, &format!("{query}&page={next}")]);
        pages.push(said.done());
        said = following;
    }
    assert_eq!(said.err, "");
    pages.push(said.done());
    assert_eq!(pages.len(), 5);
    let all = flowseek(&["query", &archive, query, "--all"]);
    assert_eq!(all, Said { out: pages.concat(), err: String::new(), status: 0 });
    let json = flowseek(&["query", &archive, query, "--all", "--format", "json"]).done();
    let objects: Vec<Value> = pages.concat().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(serde_json::from_str::<Vec<Value>>(&json).unwrap(), objects);
    let some = format!("{query}&fields=destPort,startTime");
    for format in ["csv", "table", "ndjson"] {
        let shown = flowseek(&["query", &archive, &some, "--all", "--format", format]).done();
        assert!(shown.contains("startTime") && !shown.contains("sourceIP"), "{shown}");
    }
    let csv = flowseek(&["query", &archive, query, "--all", "--format", "csv"]).done();
    assert_eq!(csv.lines().filter(|line| line.starts_with("activityID,")).count(), 1);
    assert_eq!(csv.lines().count(), objects.len() + 1);
}

#[test]
fn all_that_ends_at_a_damage_says_so_and_how_to_go_on() {
    let place = Place::new();
    let archive = place.path("flows");
    for day in 1..3 {
        let lines: String = (0..9).map(|n| format!("{{\"startTime\":{}}}\n", day * 86_400 + n)).collect();
        flowseek(&["import", &archive, &place.file("day", &lines)]).done();
    }
    let sound = flowseek(&["query", &archive, "", "--all"]).done();
    let data = fs::read_dir(place.path("flows/data")).unwrap().map(|file| file.unwrap().path());
    let second = data.max().unwrap();
    let bytes = fs::read(&second).unwrap();
    fs::write(&second, &bytes[..bytes.len() / 2]).unwrap();
    for format in ["ndjson", "json", "csv", "table"] {
        let said = flowseek(&["query", &archive, "limit=5", "--all", "--format", format]);
        assert_eq!(said.status, 1, "{format}");
        let lines: Vec<&str> = said.err.lines().collect();
        assert!(lines.len() == 2 && lines[0].contains(second.file_name().unwrap().to_str().unwrap()), "{lines:?}");
        assert!(serde_json::from_str::<Value>(&said.out).is_err(), "{format} looks whole");
    }
    let said = flowseek(&["query", &archive, "limit=5", "--all"]);
    fs::write(&second, &bytes).unwrap();
    let rest = flowseek(&["query", &archive, &format!("page={}", said.next().unwrap()), "--all"]).done();
    assert_eq!(said.out + &rest, sound);
}

#[test]
fn no_rows_are_an_end_even_of_all() {
    let (_place, archive) = Place::with_flows();
    assert_eq!(flowseek(&["query", &archive, "limit=0", "--all"]).done(), "");
    assert_eq!(flowseek(&["query", &archive, "limit=0", "--all", "--format", "json"]).done(), "[]\n");
    assert_eq!(flowseek(&["query", &archive, "dstPort=1&srcPort=1", "--all"]).done(), "");
}

#[test]
fn totals_and_costs_go_to_standard_error_before_the_cursor() {
    let (_place, archive) = Place::with_flows();
    let said = flowseek(&["query", &archive, "limit=7&count=exact", "--explain"]);
    let lines: Vec<&str> = said.err.lines().collect();
    assert!(lines.iter().any(|line| line.starts_with("rows:")), "{lines:?}");
    assert!(lines.contains(&"total: 31"), "{lines:?}");
    assert!(said.next().is_some());
    assert_eq!(said.out.lines().count(), 7);
    assert!(!flowseek(&["query", &archive, "limit=7"]).err.contains("total"));
}

#[test]
fn every_problem_of_a_query_has_a_line() {
    let (_place, archive) = Place::with_flows();
    let said = flowseek(&["query", &archive, "dstPrt=443&limit=many&reverse=perhaps"]);
    assert_eq!((said.status, said.out.as_str()), (2, ""));
    let lines: Vec<&str> = said.err.lines().collect();
    assert_eq!(lines.len(), 3, "{lines:?}");
    assert!(lines.iter().all(|line| line.starts_with("flowseek: `")));
    assert!(lines.iter().any(|line| line.contains("did you mean `dstPort`")));
}

#[test]
fn a_damaged_cursor_and_one_of_another_query_are_wrong_queries() {
    let (_place, archive) = Place::with_flows();
    let said = flowseek(&["query", &archive, "limit=7"]);
    let next = said.next().unwrap();
    for query in ["page=AQaaaa".to_owned(), format!("dstPort=443&page={next}"), format!("page={next}x")] {
        let said = flowseek(&["query", &archive, &query]);
        assert_eq!((said.status, said.out.as_str(), said.err.lines().count()), (2, "", 1), "{said:?}");
    }
}

#[test]
fn wrong_usage_and_missing_archives_have_their_exit_status() {
    let place = Place::new();
    let missing = place.path("missing");
    for (arguments, status) in [
        (&["query", &missing, ""][..], 1),
        (&["stats", &missing], 1),
        (&["stats", "s3://bucket/flows"], 2),
        (&["query"], 2),
        (&["import", &missing], 2),
        (&["query", &missing, "limit=x"], 2),
        (&["generate", &missing, "--flows", "many"], 2),
        (&["frobnicate"], 2),
        (&[], 2),
    ] {
        let said = flowseek(arguments);
        assert_eq!((said.status, said.out.as_str()), (status, ""), "{arguments:?}");
        assert!(!said.err.is_empty());
    }
    assert!(flowseek(&["stats", &missing]).err.starts_with("flowseek: there is no flow archive at "));
    assert!(!Path::new(&missing).exists());
}

#[test]
fn help_lists_every_parameter() {
    let help = flowseek(&["query", "--help"]).done();
    for parameter in flowseek::wire::PARAMETERS {
        assert!(help.contains(&format!("  {} ", parameter.name)), "{}", parameter.name);
    }
    for arguments in [&["--help"][..], &["--version"], &["import", "--help"]] {
        assert!(!flowseek(arguments).done().is_empty());
    }
}

/// The names of the commands that the help lists.
fn commands() -> Vec<String> {
    let help = flowseek(&["--help"]).done();
    let lines = help.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
    lines.map(|line| line.split_whitespace().next().unwrap().to_owned()).filter(|name| name != "help").collect()
}

#[test]
fn shells_complete_commands_flags_and_values() {
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let script = flowseek(&["completions", shell]).done();
        for command in commands() {
            assert!(script.contains(&command), "{shell}: {command}");
        }
    }
    let script = flowseek(&["completions", "bash"]).done();
    for (words, last, before, completed) in [
        ("flowseek summ", "summ", "flowseek", "summary\n"),
        ("flowseek query --exp", "--exp", "query", "--explain\n"),
        ("flowseek query --format ''", "''", "--format", "table\nndjson\njson\ncsv\n"),
    ] {
        let words = format!("COMP_WORDS=({words}); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1))");
        let complete =
            format!("{script}\n{words}\n_flowseek flowseek {last} {before}\nprintf '%s\\n' \"${{COMPREPLY[@]}}\"");
        let said = Command::new("bash").args(["--norc", "-c", &complete]).output().unwrap();
        assert_eq!(Said::from(said).done(), completed);
    }
    let said = flowseek(&["completions", "tcsh"]);
    assert!(said.status == 2 && said.err.contains("bash, elvish, fish, powershell, zsh"), "{said:?}");
}

#[test]
fn each_command_has_a_page_in_the_manual() {
    let place = Place::new();
    let missing = place.path("missing");
    let said = flowseek(&["man", &missing]);
    assert!(said.status == 1 && said.err.contains(&missing), "{said:?}");
    let pages = place.directory.path();
    assert_eq!(flowseek(&["man", pages.to_str().unwrap()]).done(), "");
    let main = fs::read_to_string(pages.join("flowseek.1")).unwrap();
    assert_eq!(flowseek(&["man"]).done(), main);
    let commands = commands();
    assert_eq!(fs::read_dir(pages).unwrap().count(), commands.len() + 1);
    for command in commands {
        assert!(main.contains(&format!("flowseek\\-{command}(1)")), "{command}");
        let page = fs::read_to_string(pages.join(format!("flowseek-{command}.1"))).unwrap();
        assert!(page.contains(&format!("\nflowseek\\-{command} \\- ")), "{command}");
    }
    let query = fs::read_to_string(pages.join("flowseek-query.1")).unwrap();
    for parameter in flowseek::wire::PARAMETERS {
        assert!(query.contains(&format!("  {} ", parameter.name)), "{}", parameter.name);
    }
}

#[test]
fn a_closed_pipe_ends_quietly() {
    let place = Place::new();
    let archive = place.path("flows");
    flowseek(&["generate", &archive, "--flows", "20000"]).done();
    for format in ["ndjson", "json", "csv", "table"] {
        let mut child = command(&["query", &archive, "--all", "--format", format]).spawn().unwrap();
        let mut out = BufReader::new(child.stdout.take().unwrap());
        let mut first = vec![0; 10];
        std::io::Read::read_exact(&mut out, &mut first).unwrap();
        drop(out);
        let said = Said::from(child.wait_with_output().unwrap());
        assert_eq!((said.status, said.err.as_str()), (0, ""), "{format}");
    }
    let mut child = command(&["stats", &archive]).spawn().unwrap();
    drop(child.stdout.take());
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn limit_bounds_the_pages_of_all_and_not_its_answer() {
    let place = Place::new();
    let archive = place.path("flows");
    flowseek(&["generate", &archive, "--flows", "20000"]).done();
    let mut child = command(&["query", &archive, "limit=1", "--all"]).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let first = lines.next().unwrap().unwrap();
    assert!(serde_json::from_str::<Value>(&first).is_ok());
    assert_eq!(lines.count(), 19_999);
    assert!(child.wait().unwrap().success());
}

#[test]
fn one_seed_generates_one_archive() {
    let place = Place::new();
    let answer = |name: &str, arguments: &[&str]| {
        let archive = place.path(name);
        let said = flowseek(&[&["generate", &archive, "--flows", "70000"], arguments].concat()).done();
        assert!(said.starts_with("generated=70000 "), "{said}");
        assert_eq!(flows(&archive), 70_000);
        flowseek(&["query", &archive, "sort=sourceBytes:desc&limit=500"]).done()
    };
    let seven = answer("default", &[]);
    assert_eq!(seven, answer("seven", &["--seed", "7"]));
    assert_ne!(seven, answer("eight", &["--seed", "8"]));
    assert_eq!(seven, answer("more", &["--all-columns"]));
    let packets = |name: &str| {
        let query =
            ["query", &place.path(name), "sort=sourceBytes:desc&limit=500&fields=sourcePackets,destPackets,flags,meta"];
        flowseek(&query).done().matches("sourcePackets").count()
    };
    assert_eq!((packets("seven"), packets("more")), (0, 500));
}

#[test]
fn stats_tell_what_is_there() {
    let place = Place::new();
    let archive = place.path("flows");
    assert!(flowseek(&["generate", &archive, "--flows", "0"]).done().starts_with("generated=0 "));
    let empty: Value = serde_json::from_str(&flowseek(&["stats", &archive, "--json"]).done()).unwrap();
    assert_eq!((&empty["flows"], &empty["oldestStartTime"]), (&Value::from(0), &Value::Null));
    flowseek(&["import", &archive, &place.file("good", GOOD)]).done();
    let stats: Value = serde_json::from_str(&flowseek(&["stats", &archive, "--json"]).done()).unwrap();
    for key in ["oldestStartTime", "newestStartTime"] {
        assert_eq!(stats[key], "2022-10-17T13:17:51.000Z");
    }
    assert_eq!((&stats["flows"], &stats["segments"], &stats["version"]), (&1.into(), &1.into(), &2.into()));
    assert!(stats["bytes"].as_u64() > Some(0));
    let text = flowseek(&["stats", &archive]).done();
    assert!(text.contains("oldest start time: 2022-10-17T13:17:51.000Z\n"), "{text}");
}

#[test]
fn compact_makes_few_segments_of_many_and_a_second_run_does_nothing() {
    let place = Place::new();
    let archive = place.path("flows");
    let good = place.file("good", GOOD);
    for _ in 0..3 {
        flowseek(&["import", &archive, &good]).done();
    }
    let before = flowseek(&["query", &archive, "--all"]).done();
    assert_eq!(flowseek(&["compact", &archive]).done(), "compacted=3 segments=1\n");
    assert_eq!(flowseek(&["compact", &archive, "--full"]).done(), "compacted=0 segments=1\n");
    assert_eq!(flowseek(&["query", &archive, "--all"]).done(), before);
    let data = fs::read_dir(Path::new(&archive).join("data")).unwrap();
    assert_eq!(data.count(), 1);
    // Too few flows to be divided stay together.
    assert_eq!(
        flowseek(&["compact", &archive, "--groups", "4", "--tenant-up-to", "/"]).done(),
        "compacted=0 segments=1\n"
    );
    assert_eq!(flowseek(&["query", &archive, "--all"]).done(), before);
    let divided = "divided into:      4 groups of nodes by their IDs up to \"/\"\n";
    assert!(flowseek(&["stats", &archive]).done().ends_with(divided));
    let stats: Value = serde_json::from_str(&flowseek(&["stats", &archive, "--json"]).done()).unwrap();
    assert_eq!(stats["partition"], serde_json::json!({"groups": 4, "upTo": "/"}));
    flowseek(&["compact", &archive, "--groups", "0"]).done();
    assert!(!flowseek(&["stats", &archive]).done().contains("divided"));
    assert_eq!(flowseek(&["compact", &archive, "--groups", "65"]).status, 2);
    assert_eq!(flowseek(&["compact", &archive, "--tenant-up-to", "/"]).status, 2);
    let missing = flowseek(&["compact", &place.path("nothing")]);
    assert_eq!(missing.status, 1, "{missing:?}");
}

#[test]
fn retain_removes_by_age_and_by_size_and_says_what_is_allowed() {
    let place = Place::new();
    let archive = place.path("flows");
    flowseek(&["import", &archive, &place.file("good", GOOD)]).done();
    let stats = || -> Value { serde_json::from_str(&flowseek(&["stats", &archive, "--json"]).done()).unwrap() };
    let (rows, bytes) = (stats()["flows"].as_u64().unwrap(), stats()["bytes"].as_u64().unwrap());
    // The flows are of 2022, and a hundred years are kept.
    assert_eq!(flowseek(&["retain", &archive, "--keep", "36500d"]).done(), "removed=0 segments=0 bytes=0\n");
    assert_eq!(flowseek(&["retain", &archive, "--max-bytes", "1GB"]).done(), "removed=0 segments=0 bytes=0\n");
    // Beside the newest flow none is too old, whatever the clock says.
    let done = flowseek(&["retain", &archive, "--keep", "1d", "--max-bytes", "10GB", "--exact"]).done();
    assert_eq!(done, "removed=0 segments=0 bytes=0\n");
    let remove = ["retain", &archive, "--keep", "36500d", "--max-bytes", "1"];
    let done = flowseek(&[&remove[..], &["--grace", "1d"]].concat()).done();
    assert_eq!(done, format!("removed={rows} segments=1 bytes={bytes}\n"));
    assert_eq!(stats()["flows"], 0);
    assert_eq!(flowseek(&["retain", &archive, "--restore"]).done(), format!("restored={rows} segments=1\n"));
    assert_eq!(stats()["flows"], rows);
    flowseek(&remove).done();
    assert_eq!(flowseek(&["retain", &archive, "--restore"]).done(), "restored=0 segments=0\n");
    assert_eq!(stats()["flows"], 0);
    for (arguments, told) in [
        (&["--keep", "90"][..], "90d"),
        (&["--max-bytes", "many"], "10GB"),
        (&[], "--keep"),
        (&["--max-bytes", "1GB", "--exact"], "--keep"),
        (&["--restore", "--keep", "1d"], "--keep"),
    ] {
        let wrong = flowseek(&[&["retain", &archive], arguments].concat());
        assert_eq!(wrong.status, 2, "{wrong:?}");
        assert!(wrong.err.contains(told), "{wrong:?}");
    }
}

#[test]
fn remove_takes_out_what_matches_and_refuses_what_does_not_filter() {
    let (_place, archive) = Place::with_flows();
    let count =
        |query: &str| flowseek(&["query", &archive, query, "--all", "--format", "ndjson"]).done().lines().count();
    let (all, web) = (count(""), count("dstPort=443"));
    assert!(web > 0 && web < all);
    let done = flowseek(&["remove", &archive, "dstPort=443"]).done();
    assert_eq!(done, format!("removed={web} segments=0 rewritten=1\n"));
    assert_eq!((count(""), count("dstPort=443")), (all - web, 0));
    assert_eq!(flowseek(&["remove", &archive, "dstPort=443"]).done(), "removed=0 segments=0 rewritten=0\n");
    for (query, told) in [
        ("dstPort=22&limit=5", "limit: all flows that match are removed"),
        ("", "matches every flow"),
        ("dstPrt=443", "did you mean `dstPort`"),
    ] {
        let wrong = flowseek(&["remove", &archive, query]);
        assert_eq!(wrong.status, 2, "{wrong:?}");
        assert!(wrong.err.contains(told), "{wrong:?}");
    }
    assert_eq!(count(""), all - web);
}

#[test]
fn a_summary_is_printed_in_every_format() {
    let (_place, archive) = Place::with_flows();
    let said = |arguments: &[&str]| flowseek(&[&["summary", &archive], arguments].concat());
    let total: Value = serde_json::from_str(&said(&["--format", "json"]).done()).unwrap();
    let flows: Vec<Value> = {
        let all = flowseek(&["query", &archive, "--format", "json"]).done();
        serde_json::from_str(&all).unwrap()
    };
    assert_eq!((&total["complete"], &total["flows"]), (&Value::Bool(true), &Value::from(flows.len())));
    // To a pipe: a line for each group, and then for each bucket.
    let lines = said(&["dstPort=22,443", "--by", "dstPort", "--every", "28d", "--fields", "flows"]).done();
    let lines: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let https = flows.iter().filter(|flow| flow["destPort"] == 443).count();
    let ssh = flows.iter().filter(|flow| flow["destPort"] == 22).count();
    let expected = serde_json::json!([{"destPort": 22, "flows": ssh}, {"destPort": 443, "flows": https}]);
    assert_eq!(Value::from(lines[..2].to_vec()), expected);
    assert!(lines.len() > 2 && lines[2..].iter().all(|line| line["time"].is_string()), "{lines:?}");
    let csv = said(&["dstPort=22", "--by", "dstPort", "--fields", "flows", "--format", "csv"]).done();
    assert_eq!(csv, format!("destPort,flows\r\n22,{ssh}\r\n"));
    let table = said(&["dstPort=22&by=dstPort", "--fields", "flows", "--format", "table"]).done();
    assert_eq!(table, format!("flows\n{ssh:>5}\n\ndestPort  flows\n{:>8}  {ssh:>5}\n", 22));
}

#[test]
fn a_wrong_summary_is_wrong_usage_and_says_all_of_it() {
    let (_place, archive) = Place::with_flows();
    let said = |arguments: &[&str]| flowseek(&[&["summary", &archive], arguments].concat());
    let wrong = said(&["dstPrt=22", "--by", "dstPort,port", "--top", "0"]);
    assert_eq!((wrong.status, wrong.err.lines().count(), wrong.out.as_str()), (2, 3, ""));
    let twice = said(&["by=srcIp", "--by", "dstIp"]);
    assert_eq!((twice.status, twice.err.as_str()), (2, "flowseek: `by`: is given 2 times; allowed: once\n"));
    let both = said(&["--by", "dstIp", "--every", "1d", "--format", "csv"]);
    assert_eq!((both.status, both.err.lines().count()), (2, 1));
    assert_eq!(flowseek(&["summary", "there/is/none"]).status, 1);
    let help = flowseek(&["summary", "--help"]).done();
    for name in ["--by", "--measure", "--top", "--every", "--fields", "--format", "dstPort", "every "] {
        assert!(help.contains(name), "{name}");
    }
}

#[test]
fn nodes_are_named_by_options_where_records_name_none() {
    let place = Place::new();
    let flows = [
        r#"{"startTime":1,"sourceIP":"10.7.1.2","destIP":"192.0.2.1"}"#,
        r#"{"startTime":2,"sourceIP":"10.8.1.2","destIP":"2001:db8::7","sourceNode":"given","nodeId":"own"}"#,
    ];
    let flows = place.file("flows", &flows.join("\n"));
    let map = place
        .file("nodes", "# sites\n10.0.0.0/8 head office\n10.7.0.0/16,edge-7 # the seventh\n2001:db8::/32\tedge-9\n");
    let archive = place.path("flows-archive");
    let options = ["import", &archive, &flows, "--node-id", "collector", "--nodes", &map];
    assert_eq!(flowseek(&options).done(), "imported=2 rejected=0\n");
    let found = flowseek(&["query", &archive, "fields=sourceNode,destNode,nodeId"]).done();
    assert_eq!(
        found,
        "{\"sourceNode\":\"edge-7\",\"nodeId\":\"collector\"}\n\
         {\"sourceNode\":\"given\",\"destNode\":\"edge-9\",\"nodeId\":\"own\"}\n"
    );
    for (text, told) in [
        ("10.0.0.0/8", "line 1: a block and a name are wanted"),
        ("\n10.0.0.0/33 a", "line 2: "),
        ("10.0.0.0/8 a\n10.0.0.0/8 b", "line 2: the block has the name \"a\" already"),
    ] {
        let map = place.file("wrong", text);
        let said = flowseek(&["import", &archive, &flows, "--nodes", &map]);
        assert!(said.status == 2 && said.err.contains(told), "{said:?}");
    }
    let said = flowseek(&["import", &archive, &flows, "--nodes", &place.path("nothing")]);
    assert!(said.status == 2 && said.err.contains("--nodes"), "{said:?}");
}

#[test]
fn a_filter_as_text_is_an_option_and_what_is_wrong_with_it_is_pointed_at() {
    let place = Place::new();
    let archive = place.path("flows");
    let lines: Vec<String> = (0..9).map(|port| format!(r#"{{"startTime":{port},"destPort":{port}}}"#)).collect();
    flowseek(&["import", &archive, &place.file("lines", &lines.join("\n"))]).done();
    let text = ["query", &archive, "destPort=9", "--filter", "dst port > 3"];
    assert_eq!(flowseek(&text).status, 2, "the parameter is dstPort");
    let text = ["query", &archive, "dstPort=2-7", "--filter", "dst port > 3 and not dst port 5", "--format", "csv"];
    assert_eq!(flowseek(&text).done().lines().count(), 1 + 3);
    let summary = flowseek(&["summary", &archive, "--filter", "dst port >= 5"]).done();
    assert!(summary.contains("\"flows\":4"), "{summary}");
    let wrong = flowseek(&["query", &archive, "--filter", "dst port 5 and\nsrc prt 7"]);
    assert_eq!(wrong.status, 2);
    let lines: Vec<&str> = wrong.err.lines().collect();
    assert_eq!(lines[1..], ["  src prt 7", "      ^^^"], "{wrong:?}");
    let help = flowseek(&["query", "--help-filter"]).done();
    assert!(help.contains("| `dst port 443` |"));
}
