//! Damage is found and named, and what can be repaired is.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    ops::Range,
    path::{Path, PathBuf},
    sync::Arc,
};

use arrow::array::RecordBatch;
use datafusion::prelude::{SessionContext, col};
use flowseek::{
    Archive, ErrorKind, Filter, Order, StoredFlow,
    archive::{Depth, Effort, FindingKind, Repaired, Report, Retention},
    filter,
    flow::Field,
    order::{Direction, SortKey},
    query::{Count, FlowTable, Gaps, Pruning},
};
use parquet::file::metadata::{PageIndexPolicy, ParquetMetaData, ParquetMetaDataReader};
use twox_hash::XxHash64;

use crate::{
    faults::{Fault, Loss},
    kept::{Place, all, commit, flow, ids, now},
    mutate::Mutator,
    support::{block_on, edit_manifest},
};

/// An archive of three segments, whose flows overlap in time.
fn three_segments() -> (Place, Archive) {
    let place = Place::new();
    let archive = place.archive(64);
    for first in 0..3 {
        commit(&archive, (0..60).map(|flow| first + flow * 5));
    }
    (place, archive)
}

fn verify(place: &Place) -> Report {
    Archive::verify(&place.path, Depth::Rows, &mut |_| {}).unwrap()
}

fn repair(place: &Place) -> Repaired {
    Archive::repair(&place.path, place.settings(64), &mut |_| {}).unwrap()
}

fn kinds(report: &Report) -> Vec<FindingKind> {
    report.findings.iter().map(|finding| finding.kind).collect()
}

/// The path of a segment within the archive, and of its file.
fn segment(place: &Place, number: usize) -> (String, PathBuf) {
    let archive = Archive::open(&place.path).unwrap();
    let path = archive.snapshot().unwrap().manifest().segments[number].path.clone();
    let file = place.path.join(&path);
    (path, file)
}

fn change(file: &Path, change: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = fs::read(file).unwrap();
    change(&mut bytes);
    fs::write(file, bytes).unwrap();
}

fn metadata(file: &Path) -> ParquetMetaData {
    let file = fs::File::open(file).unwrap();
    ParquetMetaDataReader::new().with_offset_index_policy(PageIndexPolicy::Required).parse_and_finish(&file).unwrap()
}

/// Where a page of a column lies: all pages are of 4 rows, and all row groups of 16.
fn page(file: &Path, field: Field, page: usize) -> Range<usize> {
    let metadata = metadata(file);
    let place = metadata.offset_index().unwrap()[page / 4][field as usize].page_locations()[page % 4].clone();
    let start = usize::try_from(place.offset).unwrap();
    start..start + usize::try_from(place.compressed_page_size).unwrap()
}

/// Where the index lies.
fn index(file: &Path) -> Range<usize> {
    let metadata = metadata(file);
    let pairs = metadata.file_metadata().key_value_metadata().unwrap();
    let place = pairs.iter().find(|pair| pair.key == "flowseek.index").unwrap().value.clone().unwrap();
    let (start, length) = place.split_once(':').unwrap();
    let start: usize = start.parse().unwrap();
    start..start + length.parse::<usize>().unwrap()
}

/// The name and the bytes of each file of the archive, but the lock.
fn files(place: &Place) -> BTreeMap<String, Vec<u8>> {
    let mut files = BTreeMap::new();
    for folder in ["data", "manifests", "retired", "quarantine"] {
        for name in place.names(folder) {
            let bytes = fs::read(place.path.join(folder).join(&name)).unwrap();
            files.insert(format!("{folder}/{name}"), bytes);
        }
    }
    files
}

/// Asserts that after a repair the archive is sound, has just the flows that were not lost, and that what was reported
/// lost is just what is missing.
fn assert_repaired(place: &Place, before: &[StoredFlow], repaired: &Repaired) {
    assert_eq!(verify(place).findings, []);
    let archive = Archive::open(&place.path).unwrap();
    let after = now(&archive);
    let kept: BTreeSet<u64> = ids(&after).into_iter().collect();
    let (same, gone): (Vec<_>, Vec<_>) = before.iter().cloned().partition(|flow| kept.contains(&flow.id.get()));
    assert_eq!(after, same, "what is left is what was there");
    assert_eq!(ids(&after), place.globbed());
    let told: u64 = repaired.lost.iter().map(|loss| loss.flows.rows).sum();
    assert_eq!(told, gone.len() as u64, "{:?}", repaired.lost);
    for flow in &gone {
        let is_told = repaired.lost.iter().any(|loss| {
            let ((oldest, newest), (first, last)) = (loss.flows.start_time, loss.flows.flow_id);
            (oldest..=newest).contains(&flow.flow.start_time) && (first..=last).contains(&flow.id)
        });
        assert!(is_told, "{flow:?} is gone and nobody has said so");
    }
    let second = repair(place);
    assert_eq!((second.found.findings.len(), second.lost.len()), (0, 0));
    assert_eq!(second.version, repaired.version, "a sound archive is left alone");
}

#[test]
fn a_sound_archive_has_no_findings_and_nothing_of_it_changes() {
    let (place, archive) = three_segments();
    let compactor = archive.writer().unwrap().compactor();
    let held = archive.snapshot().unwrap();
    while compactor.run_once(Effort::Full).unwrap().is_some() {}
    commit_through(compactor, &archive);
    let before = files(&place);
    for depth in [Depth::Bytes, Depth::Rows] {
        let mut rows = 0;
        let report = Archive::verify(&place.path, depth, &mut |more| rows += more).unwrap();
        assert!(report.is_sound(), "{:?}", report.findings);
        assert_eq!(
            (report.segments, report.damaged),
            (archive.snapshot().unwrap().manifest().segments.len() as u64, 0)
        );
        assert_eq!(rows, archive.snapshot().unwrap().manifest().rows());
    }
    assert_eq!(files(&place), before);
    let repaired = repair(&place);
    assert!(repaired.found.is_sound() && repaired.quarantined.is_empty());
    assert_eq!(files(&place), before);
    drop(held);
}

/// Commits once more, after a compaction.
fn commit_through(compactor: flowseek::archive::Compactor, archive: &Archive) {
    drop(compactor);
    commit(archive, [7, 8, 9]);
}

#[test]
fn every_byte_of_a_segment_is_watched_and_a_repair_loses_no_more_than_the_pages_it_is_in() {
    let (place, archive) = three_segments();
    let before = now(&archive);
    let (path, file) = segment(&place, 1);
    let whole = fs::read(&file).unwrap();
    let metadata = metadata(&file);
    let data_end = metadata.row_groups().iter().flat_map(|group| group.columns()).map(|chunk| {
        let (start, length) = chunk.byte_range();
        (start + length) as usize
    });
    let data_end = data_end.max().unwrap();
    // As many places as there is time for, another bit in each.
    for at in (0..whole.len()).step_by(149) {
        change(&file, |bytes| bytes[at] ^= 1 << (at % 8));
        let report = Archive::verify(&place.path, Depth::Bytes, &mut |_| {}).unwrap();
        assert!(!report.is_sound() && report.damaged == 1, "byte {at} of {}", whole.len());
        assert!(report.findings.iter().all(|finding| finding.path == path), "{:?}", report.findings);
        if at / 149 % 5 == 0 {
            let copy = place.copy();
            let repaired = repair(&copy);
            assert_repaired(&copy, &before, &repaired);
            assert_eq!(repaired.quarantined, std::slice::from_ref(&path));
            let lost: u64 = repaired.lost.iter().map(|loss| loss.flows.rows).sum();
            let most = if at < 4 || at >= data_end { 0 } else { 16 };
            assert!(lost <= most, "byte {at} of {}, data to {data_end}: {:?}", whole.len(), repaired.lost);
        }
        fs::write(&file, &whole).unwrap();
    }
    assert!(verify(&place).is_sound());
}

#[test]
fn whatever_is_damaged_a_repair_keeps_only_flows_that_were_there_and_tells_all_others_gone() {
    let (origin, archive) = three_segments();
    let before = now(&archive);
    drop(archive);
    for case in 1..=20 {
        let place = origin.copy();
        let mut mutator = Mutator::new(case);
        for number in 0..2 {
            let (_, file) = segment(&place, number);
            change(&file, |bytes| {
                for _ in 0..=mutator.below(3) {
                    let start = mutator.below(bytes.len());
                    let most = 1 << (1 + mutator.below(12));
                    let end = (start + 1 + mutator.below(most)).min(bytes.len());
                    let with = mutator.below(256) as u8;
                    bytes[start..end].iter_mut().for_each(|byte| *byte = byte.wrapping_mul(31) ^ with);
                }
            });
        }
        assert!(!verify(&place).is_sound());
        let repaired = repair(&place);
        assert_repaired(&place, &before, &repaired);
    }
}

#[test]
fn a_damaged_page_costs_its_rows_and_is_told_by_times_and_ids() {
    let (place, archive) = three_segments();
    let before = now(&archive);
    let (path, file) = segment(&place, 1);
    let manifest = archive.snapshot().unwrap().manifest().clone();
    for field in [Field::DstPort, Field::SrcNode] {
        for number in [2, 3] {
            let place = page(&file, field, number);
            change(&file, |bytes| bytes[place.end - 1] ^= 0x10);
        }
    }
    let report = verify(&place);
    assert_eq!(kinds(&report), [FindingKind::Pages]);
    let finding = &report.findings[0];
    assert_eq!(finding.path, path);
    assert_eq!(finding.message, "of rows 8 to 16, a page of dst_port, a page of src_node is not what was written");
    // The segment has the flows 61 to 120, every 5 ms from the first on; rows are newest first.
    let affected = finding.affected.unwrap();
    assert_eq!((affected.rows, affected.flow_id.0.get(), affected.flow_id.1.get()), (8, 105, 112));
    assert_eq!((affected.start_time.0.as_millis(), affected.start_time.1.as_millis()), (1 + 44 * 5, 1 + 51 * 5));
    let repaired = repair(&place);
    assert_repaired(&place, &before, &repaired);
    assert_eq!((repaired.lost.len(), repaired.lost[0].flows), (1, affected));
    assert_eq!((repaired.rebuilt.len(), repaired.rebuilt[0].rows), (1, 52));
    assert_eq!(repaired.rebuilt[0].from, path);
    assert_eq!(
        fs::read(place.path.join("quarantine").join(file.file_name().unwrap())).unwrap().len(),
        manifest.segments[1].bytes as usize
    );
    // The others are what they were.
    let after = archive.snapshot().unwrap().manifest().clone();
    assert_eq!([&after.segments[0], &after.segments[1]], [&manifest.segments[0], &manifest.segments[2]]);
    assert_eq!(after.next_flow_id, manifest.next_flow_id);
}

#[test]
fn a_damaged_list_index_or_footer_costs_no_flow() {
    type Damage = fn(&Path);
    let lists: Damage = |file| {
        let start = index(file).start;
        change(file, |bytes| bytes[start - 3] ^= 1);
    };
    let whole_bounds: Damage = |file| {
        let index = index(file);
        change(file, |bytes| bytes[index.start + 40..index.start + 400].fill(0));
    };
    let index_end: Damage = |file| {
        let index = index(file);
        change(file, |bytes| bytes[index.end - 8..index.end].fill(0));
    };
    let heads: Damage = |file| {
        let index = index(file);
        change(file, |bytes| bytes[index.start + 13] ^= 4);
    };
    let footer: Damage = |file| {
        let index = index(file);
        change(file, |bytes| bytes[index.end..].fill(0));
    };
    let magic: Damage = |file| change(file, |bytes| bytes[..4].fill(0));
    for (damage, kind) in [
        (lists, FindingKind::Index),
        (whole_bounds, FindingKind::Index),
        (index_end, FindingKind::Index),
        (heads, FindingKind::Index),
        (footer, FindingKind::Footer),
        (magic, FindingKind::Index),
    ] {
        let (place, archive) = three_segments();
        let before = now(&archive);
        let (_, file) = segment(&place, 2);
        damage(&file);
        let report = verify(&place);
        assert_eq!(kinds(&report), [kind], "{:?}", report.findings);
        let repaired = repair(&place);
        assert_eq!(repaired.lost, []);
        assert_repaired(&place, &before, &repaired);
    }
}

#[test]
fn a_flipped_bit_in_an_index_costs_no_flow() {
    let (origin, archive) = three_segments();
    let before = now(&archive);
    drop(archive);
    let whole = index(&segment(&origin, 2).1);
    // The letters, the version and the number of the sections, and the head of each; and some of all else.
    for at in (0..12 + 5 * 8).step_by(3).chain((0..whole.len()).step_by(67)) {
        let place = origin.copy();
        let (_, file) = segment(&place, 2);
        change(&file, |bytes| bytes[whole.start + at] ^= 1 << (at % 8));
        let repaired = repair(&place);
        assert_eq!(repaired.lost, [], "byte {at}");
        assert_repaired(&place, &before, &repaired);
    }
}

#[test]
fn missing_truncated_and_exchanged_files_are_named_and_their_flows_told_gone() {
    type Damage = fn(&Path, &Path);
    let missing: Damage = |file, _| fs::remove_file(file).unwrap();
    let truncated: Damage = |file, _| change(file, |bytes| bytes.truncate(bytes.len() / 2));
    let emptied: Damage = |file, _| fs::write(file, "").unwrap();
    let longer: Damage = |file, _| change(file, |bytes| bytes.extend([0; 9]));
    let exchanged: Damage = |file, other| fs::write(file, fs::read(other).unwrap()).unwrap();
    for (damage, kind, lost) in [
        (missing, FindingKind::Missing, 60),
        (truncated, FindingKind::Truncated, 60),
        (emptied, FindingKind::Truncated, 60),
        (longer, FindingKind::Mismatch, 0),
        (exchanged, FindingKind::Mismatch, 60),
    ] {
        let (place, archive) = three_segments();
        let before = now(&archive);
        let ((path, file), (_, other)) = (segment(&place, 1), segment(&place, 2));
        damage(&file, &other);
        let report = verify(&place);
        assert_eq!(kinds(&report)[0], kind, "{:?}", report.findings);
        assert!(report.findings.iter().all(|finding| finding.path == path));
        assert_eq!(report.findings[0].affected.unwrap().rows, 60);
        let repaired = repair(&place);
        assert_repaired(&place, &before, &repaired);
        assert_eq!(repaired.lost.iter().map(|loss| loss.flows.rows).sum::<u64>(), lost, "{kind:?}");
        assert_eq!(repaired.quarantined.len(), usize::from(kind != FindingKind::Missing));
        assert_eq!(place.names("quarantine").len(), repaired.quarantined.len());
    }
}

#[test]
fn foreign_files_are_named_and_put_aside_and_unfinished_ones_are_the_writers() {
    let (place, archive) = three_segments();
    let before = now(&archive);
    let (_, file) = segment(&place, 0);
    let data = place.path.join("data");
    let ours = "2022-11-01-0123456789abcdef0123456789abcdef.parquet";
    fs::copy(&file, data.join("copy.parquet")).unwrap();
    fs::copy(&file, data.join(ours)).unwrap();
    fs::write(data.join(format!("{ours}.tmp")), "half").unwrap();
    let report = verify(&place);
    let found: Vec<_> = report.findings.iter().map(|finding| (finding.kind, finding.path.as_str())).collect();
    let expected = [format!("data/{ours}"), "data/copy.parquet".to_owned()];
    assert_eq!(found, expected.each_ref().map(|path| (FindingKind::Foreign, path.as_str())));
    assert_eq!((report.segments, report.damaged), (3, 0));
    let repaired = repair(&place);
    assert_eq!(repaired.quarantined, expected);
    assert_eq!(place.names("quarantine"), [ours.to_owned(), "copy.parquet".to_owned()].into());
    assert_repaired(&place, &before, &repaired);
}

/// Puts back an older manifest by hand, in place of the newest one.
fn put_back(place: &Place, name: &str, bytes: &[u8]) {
    for newer in place.names("manifests") {
        fs::remove_file(place.path.join("manifests").join(newer)).unwrap();
    }
    fs::write(place.path.join("manifests").join(name), bytes).unwrap();
}

#[test]
fn an_older_manifest_that_is_put_back_loses_nothing() {
    type Change = fn(&Archive);
    let committed: Change = |_| {};
    let compacted: Change = |archive| {
        let compactor = archive.writer().unwrap().compactor();
        while compactor.run_once(Effort::Full).unwrap().is_some() {}
    };
    let compacted_between: Change = |archive| {
        let compactor = archive.writer().unwrap().compactor();
        while compactor.run_once(Effort::Full).unwrap().is_some() {}
        drop(compactor);
        commit(archive, 400..430);
    };
    for change in [committed, compacted, compacted_between] {
        // At once, after a writer has come and gone, and after one has written.
        for (writers, is_read) in [(0, false), (1, true), (2, false), (2, true)] {
            let (place, archive) = three_segments();
            let held = is_read.then(|| archive.snapshot().unwrap());
            let name = place.names("manifests").pop_last().unwrap();
            let old = fs::read(place.path.join("manifests").join(&name)).unwrap();
            commit(&archive, 200..250);
            commit(&archive, [3, 250]);
            change(&archive);
            let mut expected = now(&archive);
            drop(archive);
            put_back(&place, &name, &old);
            let archive = Archive::open_with(&place.path, place.settings(64)).unwrap();
            if writers > 0 {
                drop(archive.writer().unwrap());
                assert!(!place.names("quarantine").is_empty(), "nothing is deleted");
            }
            if writers > 1 {
                commit(&archive, 1000..1020);
                let query = archive.snapshot().unwrap().query(filter::start_time().gte(flow(1000).start_time));
                let page = block_on(query.page()).unwrap();
                expected.extend(page.flows().unwrap());
            }
            drop((archive, held));
            let repaired = repair(&place);
            assert_eq!(repaired.lost, []);
            assert!(!repaired.restored.is_empty());
            assert_repaired(&place, &expected, &repaired);
            let archive = place.archive(64);
            commit(&archive, [2000]);
            assert_eq!(now(&archive).len(), expected.len() + 1);
            assert!(verify(&place).is_sound());
        }
    }
}

#[test]
fn flows_that_were_removed_on_purpose_do_not_come_back_from_quarantine() {
    let (place, archive) = three_segments();
    let (path, file) = segment(&place, 1);
    let before = now(&archive);
    let start = index(&file).start;
    change(&file, |bytes| bytes[start - 3] ^= 1);
    let whole = fs::read(&file).unwrap();
    assert_eq!(repair(&place).quarantined, std::slice::from_ref(&path));
    // By chance it is sound again.
    let kept = place.path.join("quarantine").join(file.file_name().unwrap());
    let mut sound = whole;
    sound[start - 3] ^= 1;
    fs::write(kept, sound).unwrap();
    assert_eq!(repair(&place).restored, [], "its flows are there");
    let all = Retention::default().bytes(0);
    assert_eq!(archive.writer().unwrap().retain(all).unwrap().rows, before.len() as u64);
    let repaired = repair(&place);
    assert_eq!((repaired.restored.len(), repaired.lost.len()), (0, 0));
    assert!(now(&archive).is_empty());
}

#[test]
fn what_a_compaction_has_made_and_not_published_doubles_no_flow() {
    let (place, archive) = three_segments();
    let before = now(&archive);
    let other = place.copy();
    let compactor = Archive::open_with(&other.path, other.settings(400)).unwrap().writer().unwrap().compactor();
    assert!(compactor.run_once(Effort::Full).unwrap().is_some());
    drop(compactor);
    let (path, file) = segment(&other, 0);
    fs::copy(file, place.path.join(&path)).unwrap();
    let version = archive.snapshot().unwrap().manifest().version;
    drop(archive.writer().unwrap());
    assert_eq!(place.names("quarantine").len(), 1);
    assert_eq!(archive.snapshot().unwrap().manifest().version, version, "all its IDs are known");
    assert_eq!(place.globbed(), ids(&before));
    let repaired = repair(&place);
    assert_eq!(repaired.restored, []);
    assert_repaired(&place, &before, &repaired);
    // Where one of what it was made of is missing, it has the flows.
    fs::remove_file(segment(&place, 1).1).unwrap();
    let repaired = repair(&place);
    assert_eq!((repaired.lost.len(), repaired.restored.len(), repaired.restored[0].rows), (0, 1, 60));
    assert_repaired(&place, &before, &repaired);
}

#[test]
fn an_archive_whose_manifests_are_gone_is_not_made_anew_over_its_segments() {
    let (place, _) = three_segments();
    let segments = place.names("data");
    fs::remove_dir_all(place.path.join("manifests")).unwrap();
    let error = Archive::open_or_create_with(&place.path, place.settings(64)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Damaged);
    assert!(error.to_string().contains("backup"), "{error}");
    assert_eq!(place.names("data"), segments);
}

#[test]
fn a_manifest_with_a_flipped_bit_is_put_right() {
    let (place, archive) = three_segments();
    let before = now(&archive);
    let name = place.names("manifests").pop_first().unwrap();
    let file = place.path.join("manifests").join(&name);
    let whole = fs::read(&file).unwrap();
    drop(archive);
    for at in (0..whole.len() - 1).step_by(61).chain(whole.len() - 17..whole.len() - 1) {
        let copy = place.copy();
        change(&copy.path.join("manifests").join(&name), |bytes| bytes[at] ^= 1 << (at % 7));
        let report = verify(&copy);
        assert_eq!(kinds(&report), [FindingKind::Manifest]);
        assert_eq!(report.findings[0].path, format!("manifests/{name}"));
        let repaired = repair(&copy);
        assert_repaired(&copy, &before, &repaired);
        assert_eq!(repaired.quarantined, [format!("manifests/{name}")]);
    }
}

/// Leaves of the newest manifest what comes before its segments.
fn cut_manifest(place: &Place) {
    let name = place.names("manifests").pop_last().unwrap();
    change(&place.path.join("manifests").join(name), |bytes| {
        let end = bytes.windows(10).position(|window| window == b"\"segments\"").unwrap();
        bytes.truncate(end);
    });
}

#[test]
fn no_segment_of_a_lost_manifest_is_lost_silently() {
    // Commits of one, two and three segments of up to 8 flows, and which of these is missing.
    for (flows, lost) in [(8, 0), (12, 0), (12, 1), (20, 0), (20, 1), (20, 2)] {
        for is_empty in [false, true] {
            let place = Place::new();
            place.expect_damage();
            let archive = place.archive(8);
            commit(&archive, 0..4);
            let held = archive.snapshot().unwrap();
            commit(&archive, 10..10 + flows);
            let manifest = archive.snapshot().unwrap().manifest().clone();
            let mut added: Vec<_> = manifest.segments.iter().filter(|segment| segment.flow_id.0 > 4).collect();
            added.sort_by_key(|segment| segment.flow_id);
            fs::remove_file(place.path.join(&added[lost].path)).unwrap();
            let name = place.names("manifests").pop_last().unwrap();
            match is_empty {
                true => fs::write(place.path.join("manifests").join(&name), "").unwrap(),
                false => cut_manifest(&place),
            }
            let before = files(&place);
            let error = Archive::repair(&place.path, place.settings(8), &mut |_| {}).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Damaged, "{flows} flows, {lost} lost: {error}");
            assert!(error.to_string().contains(&name), "{error}");
            assert_eq!(files(&place), before);
            drop(held);
        }
    }
}

#[test]
fn a_lost_manifest_is_made_anew_from_the_one_before_and_the_segments_or_it_is_said_what_to_do() {
    let (place, archive) = three_segments();
    place.expect_damage();
    let held = archive.snapshot().unwrap();
    // What an appended, a compacted and a reduced version leave behind while a reader has the one before.
    type Change = fn(&Archive);
    let appended: Change = |archive| commit(archive, (0..150).map(|start| start * 3));
    let compacted: Change = |archive| {
        let compactor = archive.writer().unwrap().compactor();
        assert!(compactor.run_once(Effort::Full).unwrap().is_some());
    };
    let reduced: Change = |archive| {
        let bytes = Some(archive.snapshot().unwrap().manifest().bytes() / 2);
        let _ = archive.writer().unwrap().retain(Retention::default().bytes(bytes)).unwrap();
    };
    for (change, may_come_back) in [(appended, false), (compacted, false), (reduced, true)] {
        let copy = place.copy();
        let archive = copy.archive(64);
        let before_change = now(&archive);
        let held = archive.snapshot().unwrap();
        change(&archive);
        let expected = if may_come_back { before_change } else { now(&archive) };
        let crashed = copy.copy();
        // A manifest of which only the beginning is left still says where the IDs end.
        cut_manifest(&crashed);
        let repaired = repair(&crashed);
        assert_repaired(&crashed, &expected, &repaired);
        assert_eq!(repaired.lost, []);
        let archive = crashed.archive(64);
        commit(&archive, [1]);
        assert_eq!(now(&archive).len(), expected.len() + 1, "no ID was given twice");
        drop(held);
    }
    drop(held);
    // Without the one before, nothing is proven.
    commit(&archive, [1]);
    let newest = place.names("manifests").pop_first().unwrap();
    fs::write(place.path.join("manifests").join(&newest), "{}\n").unwrap();
    let before = files(&place);
    let error = Archive::repair(&place.path, place.settings(64), &mut |_| {}).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Damaged);
    assert!(error.to_string().contains(&newest) && error.to_string().contains("backup"), "{error}");
    assert_eq!(files(&place), before);
}

#[test]
fn a_repair_that_fails_or_crashes_at_any_step_loses_nothing_and_is_done_by_the_next() {
    let (origin, archive) = three_segments();
    origin.expect_damage();
    let before = now(&archive);
    let (_, file) = segment(&origin, 1);
    let sound: BTreeSet<u64> = ids(&before).into_iter().filter(|id| !(105..=112).contains(id)).collect();
    let damaged = page(&file, Field::DstIp, 2);
    change(&file, |bytes| bytes[damaged.start + 1..damaged.end].fill(0xee));
    let damaged = page(&file, Field::DstIp, 3);
    change(&file, |bytes| bytes[damaged.end - 2] ^= 1);
    let (_, missing) = segment(&origin, 2);
    fs::remove_file(missing).unwrap();
    let sound: BTreeSet<u64> = sound.into_iter().filter(|id| *id <= 120).collect();
    drop(archive);
    for loss in Loss::EACH {
        for step in 1.. {
            let place = origin.copy();
            place.storage.set(Fault::CrashAt(step));
            let repaired = Archive::repair(&place.path, place.settings(64), &mut |_| {});
            let has_struck = place.storage.has_struck();
            place.storage.restart(loss, &place.path);
            if !has_struck {
                assert!(repaired.is_ok());
                break;
            }
            let _ = repair(&place);
            assert!(verify(&place).is_sound(), "step {step}, {loss:?}: {:?}", verify(&place).findings);
            let kept: BTreeSet<u64> = ids(&now(&Archive::open(&place.path).unwrap())).into_iter().collect();
            assert_eq!(kept, sound, "step {step}, {loss:?}");
            assert!(!place.names("quarantine").is_empty(), "step {step}, {loss:?}");
        }
    }
}

#[test]
fn a_query_over_a_damaged_segment_is_an_error_or_names_the_gap() {
    let (place, archive) = three_segments();
    place.expect_damage();
    let before = now(&archive);
    let (path, file) = segment(&place, 1);
    let (_, missing) = segment(&place, 2);
    let damaged = page(&file, Field::DstPort, 5);
    change(&file, |bytes| bytes[damaged.end - 1] ^= 1);
    fs::remove_file(&missing).unwrap();
    drop(archive);
    let archive = Archive::open(&place.path).unwrap();
    let query = archive.snapshot().unwrap().query(Filter::all()).order(Order::newest_first()).limit(1000);
    assert!([ErrorKind::Damaged, ErrorKind::Io].contains(&block_on(query.page()).unwrap_err().kind()));
    let page = block_on(query.clone().gaps(Gaps::Skip).page()).unwrap();
    let first: Vec<StoredFlow> = before.iter().filter(|flow| flow.id.get() <= 60).rev().cloned().collect();
    assert_eq!(page.flows().unwrap(), first);
    assert_eq!(page.total, None, "how many match is not known");
    let mut gaps: Vec<_> = page.gaps.iter().map(|gap| (gap.flow_id.0.get(), gap.flow_id.1.get(), gap.rows)).collect();
    gaps.sort_unstable();
    assert_eq!(gaps, [(61, 120, 60), (121, 180, 60)]);
    let gap = page.gaps.iter().find(|gap| gap.path == path).unwrap();
    assert_eq!((gap.start_time.0.as_millis(), gap.start_time.1.as_millis()), (1, 296));
    assert!(gap.reason.contains("damaged"), "{}", gap.reason);
    // What cannot matter to the page is no gap.
    let early = filter::start_time().lt(flow(1).start_time);
    let page = block_on(archive.snapshot().unwrap().query(early).gaps(Gaps::Skip).count(Count::Exact).page()).unwrap();
    assert_eq!((page.gaps.len(), page.flows().unwrap().len(), page.total), (0, 1, Some(1)));
}

#[test]
fn every_bit_of_a_page_that_a_table_reads_is_watched() {
    let (place, archive) = three_segments();
    let (_, file) = segment(&place, 1);
    let watched = page(&file, Field::DstPort, 5);
    drop(archive);
    let ports = |archive: &Archive, order: Option<&str>| {
        let context = SessionContext::new();
        let flows = FlowTable::new(archive.snapshot().unwrap());
        context.register_table("flows", Arc::new(flows)).unwrap();
        block_on(async {
            let table = context.table("flows").await?;
            let table = match order {
                Some(order) => table.sort(vec![col(order).sort(true, false)])?,
                None => table,
            };
            table.select_columns(&["dst_port"])?.collect().await
        })
    };
    for bit in watched.start * 8..watched.end * 8 {
        change(&file, |bytes| bytes[bit / 8] ^= 1 << (bit % 8));
        let archive = Archive::open(&place.path).unwrap();
        for order in [None, Some("start_time"), Some("dst_port")] {
            let error = ports(&archive, order).unwrap_err();
            assert!(error.to_string().contains("damaged"), "bit {bit}, {order:?}: {error}");
        }
        change(&file, |bytes| bytes[bit / 8] ^= 1 << (bit % 8));
    }
    let rows: usize =
        ports(&Archive::open(&place.path).unwrap(), None).unwrap().iter().map(RecordBatch::num_rows).sum();
    assert_eq!(rows, 180);
}

#[test]
fn a_walk_over_gaps_answers_each_flow_once_and_in_order_and_all_flows_of_sound_segments() {
    let (place, archive) = three_segments();
    place.expect_damage();
    let before = now(&archive);
    let (_, file) = segment(&place, 1);
    let damaged = page(&file, Field::DstPort, 9);
    change(&file, |bytes| bytes[damaged.end - 1] ^= 1);
    drop(archive);
    let by_port =
        Order::new([SortKey { field: Field::DstPort, direction: Direction::Descending }], Direction::Ascending);
    for order in [Order::oldest_first(), Order::newest_first(), by_port] {
        for pruning in [Pruning::On, Pruning::Off] {
            let archive = Archive::open(&place.path).unwrap();
            let query = archive.snapshot().unwrap().query(Filter::all()).order(order.clone()).limit(7);
            let mut query = query.gaps(Gaps::Skip).pruning(pruning);
            let (mut walked, mut gaps) = (Vec::new(), 0);
            loop {
                let page = block_on(query.page()).unwrap();
                gaps += page.gaps.len();
                walked.extend(page.flows().unwrap());
                let Some(next) = page.next else { break };
                query = query.after(next);
            }
            let mut expected = before.clone();
            expected.sort_by(|left, right| order.compare(&order.key(left), &order.key(right)));
            let found: BTreeSet<u64> = ids(&walked).into_iter().collect();
            assert_eq!(found.len(), walked.len(), "no flow comes twice");
            expected.retain(|flow| found.contains(&flow.id.get()));
            assert_eq!(walked, expected);
            assert!((1..=60).chain(121..=180).all(|id| found.contains(&id)));
            assert!(gaps > 0);
        }
    }
}

#[test]
fn a_compaction_passes_over_a_damaged_segment_and_names_it() {
    let (place, archive) = three_segments();
    place.expect_damage();
    let before = now(&archive);
    let (path, file) = segment(&place, 1);
    let damaged = page(&file, Field::DstIp, 1);
    change(&file, |bytes| bytes[damaged.end - 1] ^= 1);
    let compactor = archive.writer().unwrap().compactor();
    let mut errors = Vec::new();
    loop {
        match compactor.run_once(Effort::Full) {
            Ok(None) => break,
            Ok(Some(_)) => {}
            Err(error) => errors.push(error),
        }
    }
    assert_eq!(errors.len(), 1);
    assert!(errors[0].kind() == ErrorKind::Damaged && errors[0].to_string().contains(&path), "{}", errors[0]);
    let manifest = archive.snapshot().unwrap().manifest().clone();
    assert!(manifest.segments.iter().any(|segment| segment.path == path));
    assert!(manifest.version > 4, "the others were merged");
    drop(compactor);
    let retention = Retention::default().before(flow(100).start_time).exact(true);
    let copy = place.copy();
    copy.expect_damage();
    let retained = copy.archive(64).writer().unwrap().retain(retention).unwrap();
    assert!(retained.unreadable.iter().any(|error| error.to_string().contains(&path)));
    let repaired = repair(&place);
    assert_repaired(&place, &before, &repaired);
    assert_eq!(repaired.lost.iter().map(|loss| loss.flows.rows).sum::<u64>(), 4);
}

#[test]
fn a_writer_that_works_is_not_repaired_under() {
    let (place, archive) = three_segments();
    let writer = archive.writer().unwrap();
    let error = Archive::repair(&place.path, place.settings(64), &mut |_| {}).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Locked);
    assert!(verify(&place).is_sound());
    drop(writer);
    let nothing = place.path.join("nothing");
    assert_eq!(Archive::verify(&nothing, Depth::Rows, &mut |_| {}).unwrap_err().kind(), ErrorKind::NotFound);
    let settings = flowseek::Settings::default().storage(Arc::new(place.storage.clone()));
    assert_eq!(Archive::repair(nothing, settings, &mut |_| {}).unwrap_err().kind(), ErrorKind::NotFound);
    let _ = all(&archive.snapshot().unwrap());
}

/// Three segments, in the first of which the index has other TCP flags than the rows.
fn segments_with_a_wrong_index() -> (Place, Vec<StoredFlow>) {
    let (place, archive) = three_segments();
    let before = now(&archive);
    let (_, file) = segment(&place, 0);
    let index = index(&file);
    change(&file, |bytes| {
        // The head, the heads of five sections, the number of blocks and the rows of each: then the TCP flags.
        bytes[index.start + 12 + 5 * 8 + 4 + 4 * 4] ^= 2;
        let sum = XxHash64::oneshot(0, &bytes[index.start..index.end - 8]);
        bytes[index.end - 8..index.end].copy_from_slice(&sum.to_le_bytes());
    });
    (place, before)
}

#[test]
fn an_index_that_is_not_that_of_its_rows_is_found_and_made_anew() {
    let (place, before) = segments_with_a_wrong_index();
    // With its zone map the index would be found out without a look at the rows.
    edit_manifest(&place.path, |manifest| drop(manifest["segments"][0].as_object_mut().unwrap().remove("zones")));
    assert!(Archive::verify(&place.path, Depth::Bytes, &mut |_| {}).unwrap().is_sound());
    let report = verify(&place);
    assert_eq!(kinds(&report), [FindingKind::Contradiction], "{:?}", report.findings);
    assert!(report.findings[0].message.starts_with("the bounds of its blocks"));
    let repaired = repair(&place);
    assert_eq!(repaired.lost, []);
    assert_repaired(&place, &before, &repaired);
}

#[test]
fn a_segment_with_values_outside_its_zone_map_is_found_and_made_anew() {
    let (place, before) = segments_with_a_wrong_index();
    let report = Archive::verify(&place.path, Depth::Bytes, &mut |_| {}).unwrap();
    assert_eq!(kinds(&report), [FindingKind::Contradiction], "{:?}", report.findings);
    assert_eq!(report.findings[0].message, "its index has other bounds of tcp_flags than its manifest");
    let query = Archive::open(&place.path).unwrap().snapshot().unwrap().query(Filter::all());
    let error = block_on(query.page()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Damaged);
    let repaired = repair(&place);
    assert_eq!(repaired.lost, []);
    assert_repaired(&place, &before, &repaired);
}

/// How many flows have each port, each node, and a value in columns where none has one.
fn counts(place: &Place) -> Vec<Option<u64>> {
    let archive = Archive::open(&place.path).unwrap();
    let ports = (0..300u16).step_by(3).map(|port| filter::dst_port().eq(port));
    let nodes = (0..7).map(|node| filter::src_node().eq(format!("node-{node}")));
    let none = ["0.0.0.0/0".parse::<flowseek::flow::AddressRange>().unwrap()];
    let others = [filter::src_port().within(..), filter::ip().any_of(none), filter::dst_node().eq("x")];
    let count = |filter: Filter| {
        let query = archive.snapshot().unwrap().query(filter).limit(0).count(Count::Exact);
        block_on(query.page()).unwrap().total
    };
    ports.chain(nodes).chain(others).map(count).collect()
}

#[test]
fn whatever_an_index_says_that_is_not_true_of_its_rows_is_found() {
    let (place, archive) = three_segments();
    let before = now(&archive);
    let (path, file) = segment(&place, 1);
    let whole = fs::read(&file).unwrap();
    let sound = index(&file);
    // The bounds, where lists lie, the times and the checksums of pages, and the checksum of the whole that goes with it.
    let (mut parts, mut harmless) = (BTreeSet::new(), 0);
    let answers = counts(&place);
    for at in (sound.start + 12..sound.end - 8).step_by(31) {
        change(&file, |bytes| {
            bytes[at] ^= 1;
            let sum = XxHash64::oneshot(0, &bytes[sound.start..sound.end - 8]);
            bytes[sound.end - 8..sound.end].copy_from_slice(&sum.to_le_bytes());
        });
        let report = verify(&place);
        assert!(report.findings.iter().all(|finding| finding.path == path), "{:?}", report.findings);
        // A list of a column without values may be called that of another such column: that is true.
        if report.is_sound() {
            assert_eq!(counts(&place), answers, "byte {at} of {sound:?}");
            harmless += 1;
        }
        let contradictions = report.findings.iter().filter(|finding| finding.kind == FindingKind::Contradiction);
        parts.extend(contradictions.map(|finding| finding.message.clone()));
        fs::write(&file, &whole).unwrap();
    }
    // Nor is the checksum of a dictionary read of a column that has none.
    assert!(harmless < 8, "{harmless}");
    let told = |part: &str| parts.iter().any(|message| message.starts_with(part));
    assert!(told("the bounds of its blocks") && told("the times of its pages"), "{parts:?}");
    assert_eq!(now(&archive), before);
}

#[test]
fn no_flipped_bit_of_the_rows_of_lists_gives_another_answer_and_each_is_found() {
    let (place, archive) = three_segments();
    let before = now(&archive);
    let (path, file) = segment(&place, 1);
    let whole = fs::read(&file).unwrap();
    let index = index(&file);
    let number = |at: usize| u32::from_le_bytes(whole[at..at + 4].try_into().unwrap()) as usize;
    let lengths: Vec<usize> = (0..5).map(|section| number(index.start + 12 + 8 * section + 4)).collect();
    let section = index.start + 12 + 5 * 8 + lengths[..3].iter().sum::<usize>();
    let pieces = number(section);
    assert!(number(index.start + 12 + 3 * 8) == 4 && pieces < index.start);
    assert_eq!(section + lengths[3] + lengths[4], index.end - 8);
    let answer = |filter: &Filter| {
        let archive = Archive::open(&place.path)?;
        let page = block_on(archive.snapshot()?.query(filter.clone()).count(Count::Exact).page())?;
        Ok::<_, flowseek::Error>((page.total, page.flows()?))
    };
    let node = |n: usize| filter::src_node().eq(format!("node-{n}"));
    let filters = [node(1).and(filter::dst_port().within(..200)), !(node(2).or(filter::dst_port().within(..100)))];
    let sound: Vec<_> = filters.iter().map(|filter| answer(filter).unwrap()).collect();
    let mut errors = 0;
    for at in (pieces..index.start).chain(section..index.end) {
        change(&file, |bytes| bytes[at] ^= 1 << (at % 8));
        for (filter, sound) in filters.iter().zip(&sound) {
            match answer(filter) {
                Ok(answer) => assert!(answer == *sound, "byte {at} gives another answer"),
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::Damaged, "byte {at}: {error}");
                    errors += 1;
                }
            }
        }
        let report = Archive::verify(&place.path, Depth::Bytes, &mut |_| {}).unwrap();
        assert!(report.findings.iter().all(|finding| finding.path == path) && !report.is_sound(), "byte {at}");
        fs::write(&file, &whole).unwrap();
    }
    assert!(errors >= lengths[3], "{errors}");
    // The rows are listed again from the flows.
    change(&file, |bytes| bytes[pieces] ^= 1);
    let repaired = repair(&place);
    assert_eq!(repaired.lost, []);
    assert_repaired(&place, &before, &repaired);
    let again: Vec<_> = filters.iter().map(|filter| answer(filter).unwrap()).collect();
    assert!(again == sound);
}

#[test]
fn an_id_beyond_the_last_one_given_is_found_and_not_given_again() {
    let (place, archive) = three_segments();
    let before = now(&archive);
    edit_manifest(&place.path, |manifest| manifest["next_flow_id"] = 100.into());
    let report = verify(&place);
    assert_eq!(kinds(&report), [FindingKind::Mismatch, FindingKind::Mismatch], "{:?}", report.findings);
    assert!(report.findings[0].message.starts_with("21 flow IDs"), "{}", report.findings[0].message);
    let repaired = repair(&place);
    assert_eq!(repaired.lost, []);
    assert_repaired(&place, &before, &repaired);
    let archive = place.archive(64);
    commit(&archive, [1]);
    assert_eq!(ids(&now(&archive)), (1..=181).collect::<Vec<_>>());
}

#[test]
fn what_the_system_refuses_to_read_is_named_and_left_and_the_others_are_repaired() {
    let (place, archive) = three_segments();
    let before = now(&archive);
    let ((path, file), (_, missing)) = (segment(&place, 0), segment(&place, 2));
    let whole = fs::read(&file).unwrap();
    fs::remove_file(&file).unwrap();
    std::os::unix::fs::symlink(&file, &file).unwrap();
    fs::remove_file(missing).unwrap();
    let report = verify(&place);
    assert_eq!(kinds(&report), [FindingKind::Unreadable, FindingKind::Missing], "{:?}", report.findings);
    assert_eq!((report.findings[0].path.as_str(), report.findings[0].affected.unwrap().rows), (path.as_str(), 60));
    let repaired = repair(&place);
    assert_eq!((repaired.left.len(), repaired.left[0].kind), (1, FindingKind::Unreadable));
    assert_eq!(repaired.lost.iter().map(|loss| loss.flows.rows).sum::<u64>(), 60);
    // As soon as it can be read, it is there.
    fs::remove_file(&file).unwrap();
    fs::write(&file, whole).unwrap();
    assert!(verify(&place).is_sound());
    let kept: Vec<StoredFlow> = before.into_iter().filter(|flow| flow.id.get() <= 120).collect();
    assert_eq!(now(&Archive::open(&place.path).unwrap()), kept);
}

#[test]
fn ids_that_are_there_twice_are_found_and_left_to_a_person() {
    let (place, _) = three_segments();
    place.expect_damage();
    let (_, file) = segment(&place, 0);
    let twin = "data/1970-01-01-0123456789abcdef0123456789abcdef.parquet".to_owned();
    fs::copy(&file, place.path.join(&twin)).unwrap();
    edit_manifest(&place.path, |manifest| {
        let segments = manifest["segments"].as_array_mut().unwrap();
        let mut entry = segments[0].clone();
        entry["path"] = twin.clone().into();
        segments.push(entry);
    });
    let report = verify(&place);
    assert_eq!((kinds(&report), report.segments), (vec![FindingKind::Doubled], 4));
    assert_eq!(report.findings[0].path, twin);
    assert_eq!(report.findings[0].message, "60 flow IDs are there already");
    let before = files(&place);
    let repaired = repair(&place);
    assert_eq!((repaired.left.len(), repaired.lost.len()), (1, 0));
    assert_eq!(files(&place), before);
}

#[test]
fn a_footer_with_any_byte_changed_is_not_answered_from() {
    let (place, _) = three_segments();
    let (_, file) = segment(&place, 1);
    let whole = fs::read(&file).unwrap();
    for at in (index(&file).end..whole.len()).step_by(23) {
        change(&file, |bytes| bytes[at] ^= 1 << (at % 8));
        let archive = Archive::open(&place.path).unwrap();
        let query = archive.snapshot().unwrap().query(Filter::all());
        let error = block_on(query.page()).unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::Damaged | ErrorKind::Unsupported), "byte {at}: {error}");
        assert_eq!(error.file(), Some(file.as_path()));
        fs::write(&file, &whole).unwrap();
    }
}

#[cfg(feature = "cli")]
fn flowseek(arguments: &[&str]) -> (i32, String, String) {
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_flowseek")).args(arguments).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

#[cfg(feature = "cli")]
#[test]
fn the_program_names_each_damage_in_a_line_and_tells_by_its_status_whether_all_is_sound() {
    let (place, _) = three_segments();
    let path = place.path.to_str().unwrap();
    let sound = (0, "verified=3 damaged=0\n".to_owned(), String::new());
    assert_eq!(flowseek(&["verify", path]), sound);
    assert_eq!(flowseek(&["verify", path, "--bytes"]), sound);
    let (name, file) = segment(&place, 1);
    let damaged = page(&file, Field::DstPort, 1);
    change(&file, |bytes| bytes[damaged.end - 1] ^= 1);
    let flows = "4 flows from 1970-01-01T00:00:00.261Z to 1970-01-01T00:00:00.276Z with IDs from 113 to 116";
    let finding = format!("pages: {name}: of rows 4 to 8, a page of dst_port is not what was written ({flows})\n");
    let told = format!("flowseek: the archive {path} is damaged: `flowseek verify --repair` repairs it\n");
    assert_eq!(flowseek(&["verify", path]), (1, format!("{finding}verified=3 damaged=1\n"), told));
    let (status, json, _) = flowseek(&["verify", path, "--json"]);
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!((status, &json["damaged"]), (1, &1.into()));
    assert_eq!(json["findings"][0]["affected"]["flowId"], serde_json::json!([113, 116]));
    let (status, out, err) = flowseek(&["verify", path, "--repair"]);
    assert_eq!((status, err.as_str()), (0, ""));
    let lines: Vec<&str> = out.lines().collect();
    assert_eq!(lines[0], finding.trim_end());
    assert!(lines[1].starts_with(&format!("rebuilt: {name}: 56 flows, now in data/")), "{out}");
    let rest = [format!("lost: {name}: {flows}"), format!("quarantined: {name}"), "verified=3 damaged=1".to_owned()];
    assert_eq!(lines[2..], rest);
    assert_eq!(flowseek(&["verify", path]), sound);
}
