//! A cursor is either the one that was given, or one clear error.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use flowseek::{
    Archive, Cursor, Error, ErrorKind, Filter, Order, filter,
    flow::{Field, Flow, Timestamp},
    order::{Direction, MAX_CURSOR_BYTES, SortKey},
    query::{Query, Start},
};
use proptest::prelude::*;

use crate::support::{append, block_on};

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
    let directory = tempfile::tempdir().unwrap();
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

#[test]
fn every_byte_changed_and_every_truncation_is_one_kind_of_error() {
    with_archive(|archive| {
        for order in [Order::newest_first(), by(Field::SrcNode), by(Field::DstPort)] {
            let page = block_on(query(archive, Filter::all(), order).page()).unwrap();
            let text = page.next.unwrap().to_string();
            assert!(text.len() <= MAX_CURSOR_BYTES);
            assert!(text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_'));
            let bytes = URL_SAFE_NO_PAD.decode(&text).unwrap();
            for at in 0..bytes.len() {
                for change in 1..=255u8 {
                    let mut bytes = bytes.clone();
                    bytes[at] ^= change;
                    refused(URL_SAFE_NO_PAD.encode(bytes).parse::<Cursor>());
                }
                refused(URL_SAFE_NO_PAD.encode(&bytes[..at]).parse::<Cursor>());
            }
            for at in 0..text.len() {
                refused(text[..at].parse::<Cursor>());
                for other in ["A", "z", "0", "-", "=", " ", "+", "\u{e9}"] {
                    let changed = format!("{}{other}{}", &text[..at], &text[at + 1..]);
                    assert!(changed == text || changed.parse::<Cursor>().is_err());
                }
            }
            refused(format!("{text}A").parse::<Cursor>());
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
fn a_cursor_outlives_the_process_that_gave_it() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("archive");
    let archive = Archive::open_or_create(&path).unwrap();
    let stored = append(&archive, &[flows()]);
    let text =
        block_on(query(&archive, Filter::all(), Order::oldest_first()).page()).unwrap().next.unwrap().to_string();
    drop(archive);
    let archive = Archive::open(&path).unwrap();
    let again = query(&archive, Filter::all(), Order::oldest_first()).start(Start::At(text.parse().unwrap()));
    assert_eq!(block_on(again.page()).unwrap().flows().unwrap(), stored[3..6]);
}

#[test]
fn a_cursor_that_names_would_make_too_long_is_a_clear_error() {
    let directory = tempfile::tempdir().unwrap();
    let archive = Archive::open_or_create(directory.path()).unwrap();
    let long = |letter: &str| Some(letter.repeat(flowseek::flow::MAX_TEXT_BYTES));
    let flow = Flow { src_node: long("s"), dst_node: long("d"), ..flows()[0].clone() };
    append(&archive, &[vec![flow.clone(), flow]]);
    let keys = |fields: &[Field]| {
        let keys = fields.iter().map(|field| SortKey { field: *field, direction: Direction::Ascending });
        Order::new(keys, Direction::Ascending)
    };
    let one = query(&archive, Filter::all(), keys(&[Field::SrcNode])).limit(1);
    assert!(block_on(one.page()).unwrap().next.is_some());
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
