//! A cursor is either the one that was given, or one clear error.

use std::{collections::BTreeSet, fs, path::Path};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use flowseek::{
    Archive, Cursor, Error, ErrorKind, Filter, Order, Settings,
    archive::Effort,
    archive::SegmentOptions,
    filter,
    flow::{Field, Flow, Timestamp},
    order::{CursorKey, Direction, MAX_CURSOR_BYTES, SortKey},
    query::{Budget, Page, Query, Start},
};
use proptest::prelude::*;

use crate::{
    folder::Folder,
    support::{append, assert_sound, block_on, edit_manifest, newest_manifest},
};

fn flows() -> Vec<Flow> {
    let start = |n| Timestamp::from_millis(1_666_000_000_000 + n).unwrap();
    let flow = |n: i64| Flow {
        dst_port: Some(u16::try_from(n % 3).unwrap()),
        src_node: (n % 2 == 0).then(|| format!("node-{n}")),
        ..Flow::starting(start(n))
    };
    (0..10).map(flow).collect()
}

fn by(field: Field) -> Order {
    Order::new([SortKey { field, direction: Direction::Ascending }], Direction::Descending)
}

fn with_archive(test: impl Fn(&Archive)) {
    let directory = Folder::new();
    let archive = Archive::open_or_create(directory.path()).unwrap();
    append(&archive, &[flows()]);
    test(&archive);
}

fn query(archive: &Archive, filter: Filter, order: Order) -> Query {
    archive.snapshot().unwrap().query(filter).order(order).limit(3)
}

fn refused(result: Result<impl std::fmt::Debug, Error>) {
    assert_eq!(result.unwrap_err().kind(), ErrorKind::InvalidCursor);
}

/// The text of the cursor after the first page.
fn first_cursor(archive: &Archive, order: Order) -> String {
    block_on(query(archive, Filter::all(), order).page()).unwrap().next.unwrap().to_string()
}

/// The page to which the text of a cursor leads.
fn page_at(archive: &Archive, order: Order, text: &str) -> Result<Page, Error> {
    block_on(query(archive, Filter::all(), order).after(text.parse()?).page())
}

/// The archive in a copy of a directory.
pub fn copied(from: &Path, to: &Path) -> Archive {
    for folder in ["data", "manifests", "retired"] {
        fs::create_dir_all(to.join(folder)).unwrap();
        // Where nothing was removed yet, git knows no such folder.
        for file in fs::read_dir(from.join(folder)).into_iter().flatten() {
            let file = file.unwrap().path();
            fs::copy(&file, to.join(folder).join(file.file_name().unwrap())).unwrap();
        }
    }
    Archive::open(to).unwrap()
}

/// Makes the newest manifest one of the time before archives had an identity.
fn forget_identity(directory: &Path) {
    edit_manifest(directory, |manifest| {
        assert!(manifest.as_object_mut().unwrap().remove("identity").is_some());
    });
}

#[test]
fn every_byte_changed_removed_or_added_is_one_kind_of_error() {
    with_archive(|archive| {
        for order in [Order::newest_first(), by(Field::SrcNode), by(Field::DstPort)] {
            let text = first_cursor(archive, order.clone());
            assert!(text.len() <= MAX_CURSOR_BYTES);
            assert!(text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_'));
            assert_eq!(page_at(archive, order.clone(), &text).unwrap().batch.num_rows(), 3);
            let at_bytes = |bytes: &[u8]| page_at(archive, order.clone(), &URL_SAFE_NO_PAD.encode(bytes));
            let bytes = URL_SAFE_NO_PAD.decode(&text).unwrap();
            for at in 0..bytes.len() {
                for change in [1, 1 << (at % 8), 0xff] {
                    let mut bytes = bytes.clone();
                    bytes[at] ^= change;
                    refused(at_bytes(&bytes));
                }
                refused(at_bytes(&bytes[..at]));
                refused(at_bytes(&[&bytes[..at], &bytes[at + 1..]].concat()));
                refused(at_bytes(&[&bytes[..at], &[0], &bytes[at..]].concat()));
            }
            refused(at_bytes(&[bytes.as_slice(), &[0]].concat()));
            for at in 0..text.len() {
                for other in ["A", "z", "0", "-", "=", " ", "+", "\u{e9}"] {
                    let changed = format!("{}{other}{}", &text[..at], &text[at + 1..]);
                    assert!(changed == text || page_at(archive, order.clone(), &changed).is_err());
                }
            }
            refused("A".repeat(MAX_CURSOR_BYTES + 1).parse::<Cursor>());
        }
    });
}

#[test]
fn a_cursor_serves_the_query_that_gave_it_whatever_the_limit_and_no_other() {
    with_archive(|archive| {
        let https = || filter::dst_port().within(0..2);
        let first = block_on(query(archive, https(), by(Field::DstPort)).page()).unwrap();
        let cursor = first.next.unwrap();
        let go_on = |filter, order| block_on(query(archive, filter, order).limit(2).after(cursor.clone()).page());
        assert_eq!(go_on(https(), by(Field::DstPort)).unwrap().flows().unwrap().len(), 2);
        // Another spelling of the same filter is the same query.
        assert!(go_on(filter::dst_port().any_of([1, 0]), by(Field::DstPort)).is_ok());
        refused(go_on(Filter::all(), by(Field::DstPort)));
        refused(go_on(filter::src_port().within(0..2), by(Field::DstPort)));
        refused(go_on(https(), by(Field::SrcPort)));
        refused(go_on(https(), Order::newest_first()));
    });
}

#[test]
fn a_cursor_outlives_commits_compactions_and_the_process_that_gave_it() {
    let directory = Folder::new();
    let path = directory.path().join("archive");
    let archive = Archive::open_or_create(&path).unwrap();
    let stored = append(&archive, &[flows()]);
    let text = first_cursor(&archive, Order::oldest_first());
    let goes_on = |archive: &Archive| {
        let page = page_at(archive, Order::oldest_first(), &text).unwrap();
        assert_eq!(page.flows().unwrap(), stored[3..6]);
    };
    goes_on(&archive);
    append(&archive, &[vec![Flow::starting(Timestamp::from_millis(1_777_000_000_000).unwrap())]]);
    goes_on(&archive);
    let compactor = archive.writer().unwrap().compactor();
    while compactor.run_once(Effort::Full).unwrap().is_some() {}
    drop(compactor);
    assert_eq!(archive.snapshot().unwrap().manifest().segments.len(), 1);
    assert_sound(&path);
    goes_on(&archive);
    drop(archive);
    goes_on(&Archive::open(&path).unwrap());
    // Nor does a repair of the manifest change the identity of the archive.
    let file = newest_manifest(&path);
    let mut bytes = fs::read(&file).unwrap();
    bytes[20] ^= 4;
    fs::write(&file, bytes).unwrap();
    assert_eq!(Archive::open(&path).unwrap_err().kind(), ErrorKind::Damaged);
    let repaired = Archive::repair(&path, Settings::default(), &mut |_| {}).unwrap();
    assert!(!repaired.found.is_sound());
    assert_sound(&path);
    goes_on(&Archive::open(&path).unwrap());
}

#[test]
fn a_cursor_belongs_to_one_archive_and_its_copies() {
    let directory = Folder::new();
    let path = |name: &str| directory.path().join(name);
    let one = Archive::open_or_create(path("one")).unwrap();
    let other = Archive::open_or_create(path("other")).unwrap();
    // The same flows with the same IDs.
    assert_eq!(append(&one, &[flows()]), append(&other, &[flows()]));
    let copy = copied(&path("one"), &path("copy"));
    for order in [Order::newest_first(), by(Field::SrcNode)] {
        let text = first_cursor(&one, order.clone());
        let page = page_at(&one, order.clone(), &text).unwrap().flows().unwrap();
        refused(page_at(&other, order.clone(), &text));
        assert_eq!(page_at(&copy, order.clone(), &text).unwrap().flows().unwrap(), page);
        // A page is reproducible, cursor and all.
        assert_eq!(first_cursor(&copy, order.clone()), text);
        assert_ne!(first_cursor(&other, order), text);
    }
    // Copies that go ways of their own stay copies.
    append(&copy, &[vec![flows()[0].clone()]]);
    assert!(page_at(&one, Order::newest_first(), &first_cursor(&copy, Order::newest_first())).is_ok());
}

#[test]
fn a_manifest_that_a_host_shows_has_no_key() {
    with_archive(|archive| {
        let file = fs::read_to_string(newest_manifest(archive.path())).unwrap();
        let written: serde_json::Value = serde_json::from_str(file.lines().next().unwrap()).unwrap();
        let identity = written["identity"].as_str().unwrap();
        let manifest = archive.snapshot().unwrap().manifest().clone();
        let shown = [serde_json::to_string(&manifest).unwrap(), format!("{manifest:?} {:?}", archive.settings())];
        // The identity is 16 bytes, and the key follows: 64 characters in all.
        assert_eq!(identity.len(), 64);
        assert!(
            shown.iter().all(|shown| shown.contains("next_flow_id") && !shown.contains(&identity[22..])),
            "{shown:?}"
        );
    });
}

#[test]
fn a_key_of_the_host_seals_in_place_of_the_archives_own() {
    let directory = Folder::new();
    let path = |name: &str| directory.path().join(name);
    let open = |name: &str, key: Option<u8>| {
        let settings = Settings::default().cursor_key(key.map(|byte| CursorKey::new([byte; 32])));
        Archive::open_or_create_with(path(name), settings).unwrap()
    };
    append(&open("one", None), &[flows()]);
    append(&open("other", None), &[flows()]);
    let text = first_cursor(&open("one", Some(1)), Order::newest_first());
    assert!(page_at(&open("one", Some(1)), Order::newest_first(), &text).is_ok());
    refused(page_at(&open("one", Some(2)), Order::newest_first(), &text));
    refused(page_at(&open("one", None), Order::newest_first(), &text));
    refused(page_at(&open("other", Some(1)), Order::newest_first(), &text));
}

#[test]
fn an_archive_from_before_identities_gets_the_one_that_its_readers_have_derived() {
    let directory = Folder::new();
    let path = |name: &str| directory.path().join(name);
    let created = Archive::open_or_create(path("one")).unwrap();
    append(&created, &[flows()]);
    drop(created);
    forget_identity(&path("one"));
    let reader = Archive::open(path("one")).unwrap();
    let copy = copied(&path("one"), &path("copy"));
    let text = first_cursor(&reader, Order::newest_first());
    assert_eq!(first_cursor(&copy, Order::newest_first()), text);
    // The first commit of a writer, and all that follow.
    for _ in 0..2 {
        append(&reader, &[vec![Flow::starting(Timestamp::from_millis(0).unwrap())]]);
        for archive in [&reader, &Archive::open(path("one")).unwrap(), &copy] {
            assert!(page_at(archive, Order::newest_first(), &text).is_ok());
        }
    }
    assert!(fs::read_to_string(newest_manifest(&path("one"))).unwrap().contains("\"identity\""));
    // An archive without flows has given no cursor, and nothing in its manifest tells it from others.
    let empty = |name: &str| {
        drop(Archive::open_or_create(path(name)).unwrap());
        forget_identity(&path(name));
        let archive = Archive::open(path(name)).unwrap();
        append(&archive, &[flows()]);
        archive
    };
    let (one, other) = (empty("empty"), empty("void"));
    let text = first_cursor(&one, Order::newest_first());
    assert!(page_at(&one, Order::newest_first(), &text).is_ok());
    refused(page_at(&other, Order::newest_first(), &text));
}

#[test]
fn a_cursor_where_a_budget_ended_tells_nothing_of_flows_that_its_holder_may_not_see() {
    let directory = Folder::new();
    let segment = SegmentOptions::default().block_rows(4).row_group_blocks(4);
    let archive = Archive::open_or_create_with(directory.path(), Settings::default().segment(segment)).unwrap();
    // Every block has one flow of the reader, and three of others whose values come first.
    let flow = |n: u64| {
        let (block, is_mine) = (n / 4, n.is_multiple_of(4));
        let name = if is_mine { String::new() } else { format!("-secret-{}", "x".repeat(block as usize % 40)) };
        let (address, bytes) = if is_mine { ("", 0) } else { ("bad:cafe:bad:cafe", 0x0bad_cafe_0bad) };
        Flow {
            node_id: Some(if is_mine { "mine" } else { "theirs" }.to_owned()),
            src_node: Some(format!("m-{block:03}{name}")),
            src_ip: Some(format!("2001:{block:x}:{address}::1").replace(":::", "::").parse().unwrap()),
            src_bytes: Some(block << 48 | bytes),
            ..Flow::starting(Timestamp::from_millis(n as i64).unwrap())
        }
    };
    append(&archive, &[(0..400).map(flow).collect()]);
    for field in [Field::SrcNode, Field::SrcIp, Field::SrcBytes] {
        let order = Order::new([SortKey { field, direction: Direction::Descending }], Direction::Ascending);
        let query = || query(&archive, filter::node_id().eq("mine"), order.clone());
        let budget = Budget::default().rows(1);
        let (mut start, mut found, mut short, mut lengths) = (Start::First, 0, 0, BTreeSet::new());
        loop {
            let page = block_on(query().start(start).budget(budget).page()).unwrap();
            found += page.batch.num_rows();
            short += u32::from(page.explain.budget_spent);
            let Some(next) = page.next else { break };
            let text = next.to_string();
            let bytes = URL_SAFE_NO_PAD.decode(&text).unwrap();
            let holds = |needle: &[u8]| bytes.windows(needle.len()).any(|window| window == needle);
            assert!(!holds(b"secret") && !holds(&[0x0b, 0xad, 0xca, 0xfe, 0x0b, 0xad]));
            lengths.insert(text.len());
            start = Start::At(next);
        }
        assert_eq!(found, 100);
        assert!(short > 0, "no page by {} has ended on its budget", field.name());
        assert_eq!(lengths.len(), 1, "a cursor tells the length of a value");
    }
}

#[test]
fn a_cursor_that_names_would_make_too_long_is_a_clear_error() {
    let directory = Folder::new();
    let archive = Archive::open_or_create(directory.path()).unwrap();
    let long = |letter: &str| Some(letter.repeat(flowseek::flow::MAX_TEXT_BYTES));
    let flow = Flow { src_node: long("s"), dst_node: long("d"), ..flows()[0].clone() };
    append(&archive, &[vec![flow.clone(), flow]]);
    let keys = |fields: &[Field]| {
        let keys = fields.iter().map(|field| SortKey { field: *field, direction: Direction::Ascending });
        Order::new(keys, Direction::Ascending)
    };
    let one = query(&archive, Filter::all(), keys(&[Field::SrcNode, Field::SrcIp, Field::DstIp])).limit(1);
    assert!(block_on(one.page()).unwrap().next.unwrap().to_string().len() <= MAX_CURSOR_BYTES);
    let two = query(&archive, Filter::all(), keys(&[Field::SrcNode, Field::DstNode])).limit(1);
    let error = block_on(two.page()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidQuery);
    assert!(error.problems()[0].contains("sort by fewer names"), "{error}");
}

proptest! {
    #[test]
    fn no_text_makes_a_cursor_panic(text in ".{0,600}") {
        let _ = text.parse::<Cursor>();
    }
}
