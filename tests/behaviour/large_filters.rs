//! Filters of 100,000 tests, joined and nested in any way, on the stack of a worker thread: they are built, put in normal
//! form, printed, copied, compared, asked and dropped in about the time that their tests take one by one.

use std::{
    collections::hash_map::DefaultHasher,
    hash::{Hash, Hasher},
    mem, thread,
};

use flowseek::{
    Archive, Filter, StoredFlow, filter,
    flow::{Flow, TcpFlags, Timestamp},
    query::Count,
};

use crate::{
    folder::Folder,
    support::{append, block_on},
};

/// The stack of a thread that Rust or tokio starts.
const STACK: usize = 2 << 20;

fn flows() -> Vec<Flow> {
    let flow = |n: u64| Flow {
        dst_port: (!n.is_multiple_of(4)).then_some(n as u16 * 3),
        src_bytes: (!n.is_multiple_of(5)).then_some(n * 7919),
        dst_bytes: (!n.is_multiple_of(3)).then_some(n * 1000),
        src_node: (!n.is_multiple_of(2)).then(|| format!("node-{}", n * 401)),
        node_id: Some(format!("id-{n}")),
        tcp_flags: (n % 3 != 1).then(|| TcpFlags::new(n as u8)),
        ..Flow::starting(Timestamp::from_millis(n as i64).unwrap())
    };
    (0..24).map(flow).collect()
}

/// A filter, and which of the flows match, a bit each: told of its tests one by one while it was built.
struct Built {
    filter: Filter,
    matching: u32,
}

impl Built {
    fn of(filter: Filter, flows: &[StoredFlow]) -> Self {
        let bits = flows.iter().enumerate().map(|(place, flow)| u32::from(filter.matches(flow)) << place);
        Self { matching: bits.sum(), filter }
    }

    fn and(self, other: Self) -> Self {
        Self { filter: self.filter.and(other.filter), matching: self.matching & other.matching }
    }

    fn or(self, other: Self) -> Self {
        Self { filter: self.filter.or(other.filter), matching: self.matching | other.matching }
    }

    fn in_turn(self, n: u64, other: Self) -> Self {
        if n.is_multiple_of(2) { self.or(other) } else { self.and(other) }
    }

    /// The negation of a disjunction with a conjunction in it, as a host can write it down.
    fn not_or_and(self, one: Self, other: Self) -> Self {
        let both = Filter::And(vec![self.filter, one.filter]);
        let either = Filter::Or(vec![both, other.filter]);
        Self {
            filter: Filter::Not(Box::new(either)),
            matching: !(self.matching & one.matching | other.matching) & 0xff_ffff,
        }
    }

    /// The same, as the only part of another.
    fn alone(self, n: u64) -> Self {
        let only = vec![self.filter];
        Self { filter: if n.is_multiple_of(2) { Filter::And(only) } else { Filter::Or(only) }, ..self }
    }
}

/// A test of its own for each number, on one field or another.
fn any_test(n: u64) -> Filter {
    match n % 6 {
        0 => filter::src_bytes().eq(n * 31),
        1 => filter::src_node().ne(format!("node-{n}")),
        2 => filter::dst_port().ne(n as u16),
        3 => !filter::dst_bytes().within(n..n + 1000),
        4 => filter::tcp_flags().carries_none([TcpFlags::new(n as u8)]),
        _ => filter::node_id().eq(format!("id-{}", n % 100)),
    }
}

/// Builds filters of so many tests in a way in which one becomes wide, or deep, or both.
type Shape = fn(u64, &[StoredFlow]) -> Built;

const SHAPES: [(&str, Shape); 10] = [
    ("one after the other, any of a name", |tests, flows| {
        let name = |n: u64| Built::of(filter::node_id().eq(format!("id-{}", n * 2)), flows);
        (0..tests).map(name).fold(Built::of(Filter::nothing(), flows), Built::or)
    }),
    ("from the other end", |tests, flows| {
        let bytes = |n: u64| Built::of(filter::src_bytes().ne(n * 3), flows);
        (0..tests).map(bytes).fold(Built::of(Filter::all(), flows), |filter, test| test.and(filter))
    }),
    ("pairs, from the other end", |tests, flows| {
        let pair = |n| Built::of(any_test(n), flows).and(Built::of(any_test(n + 1), flows));
        (0..tests / 2).map(pair).fold(Built::of(Filter::all(), flows), |filter, pair| pair.and(filter))
    }),
    ("tests on one number in turn", |tests, flows| {
        let test = |n: u64| match n % 2 {
            0 => Built::of(filter::src_bytes().eq(n * 7919 / 2), flows),
            _ => Built::of(filter::src_bytes().ne(n * 3959), flows),
        };
        (0..tests).fold(Built::of(Filter::all(), flows), |filter, n| filter.in_turn(n, test(n)))
    }),
    ("any tests in turn", |tests, flows| {
        (0..tests)
            .fold(Built::of(Filter::all(), flows), |filter, n| filter.in_turn(n * 7 / 3, Built::of(any_test(n), flows)))
    }),
    ("in turn, from the other end", |tests, flows| {
        let test = |n| Built::of(any_test(n), flows);
        (0..tests).fold(Built::of(Filter::all(), flows), |filter, n| test(n).in_turn(n, filter))
    }),
    ("not (or (and", |tests, flows| {
        let test = |n| Built::of(any_test(n), flows);
        (0..tests / 2).fold(Built::of(Filter::all(), flows), |filter, n| filter.not_or_and(test(n), test(n + 3)))
    }),
    ("alone in each other", |tests, flows| (0..tests).fold(Built::of(any_test(3), flows), |filter, n| filter.alone(n))),
    ("chains on a chain", |tests, flows| {
        let chain = |chain: u64| {
            let tests = (0..300).map(|n| (n, Built::of(any_test(chain * 300 + n), flows)));
            tests.fold(Built::of(Filter::all(), flows), |filter, (n, test)| filter.in_turn(n, test))
        };
        (0..tests / 300).fold(Built::of(Filter::nothing(), flows), |chains, n| chains.in_turn(n, chain(n)))
    }),
    ("a tree", |tests, flows| {
        let mut layer: Vec<Built> = (0..tests).map(|n| Built::of(any_test(n), flows)).collect();
        let mut level = 0;
        while layer.len() > 1 {
            let mut parts = mem::take(&mut layer).into_iter();
            while let Some(left) = parts.next() {
                layer.push(match parts.next() {
                    Some(right) => left.in_turn(level, right),
                    None => left,
                });
            }
            level += 1;
        }
        layer.pop().unwrap()
    }),
];

fn hash(filter: &Filter) -> u64 {
    let mut hasher = DefaultHasher::new();
    filter.hash(&mut hasher);
    hasher.finish()
}

/// Runs a test for each shape on a thread with a small stack, with the flows of an archive.
fn on_a_small_stack(tests: u64, test: fn(&Archive, &[StoredFlow], &str, Built)) {
    let run = move || {
        let directory = Folder::new();
        let archive = Archive::open_or_create(directory.path()).unwrap();
        let stored = append(&archive, &[flows()]);
        for (name, shape) in SHAPES {
            test(&archive, &stored, name, shape(tests, &stored));
        }
    };
    thread::Builder::new().stack_size(STACK).spawn(run).unwrap().join().unwrap();
}

#[test]
fn of_100_000_tests_all_is_done_that_needs_no_archive() {
    on_a_small_stack(100_000, |_, flows, name, built| {
        let Built { filter, matching } = built;
        let normal = filter.normal();
        for (place, flow) in flows.iter().enumerate() {
            let expected = matching & 1 << place != 0;
            assert_eq!((filter.matches(flow), normal.matches(flow)), (expected, expected), "{name}: flow {place}");
        }
        assert_eq!(normal.normal(), normal, "{name}");
        let copy = filter.clone();
        assert!(copy == filter && copy.cmp(&filter).is_eq() && hash(&copy) == hash(&filter), "{name}");
        assert!(filter.to_string().len() > 10 && format!("{filter:?}").len() > 10, "{name}");
        assert!(normal.to_string().len() < 100_000 * 100, "{name}");
        let negated = !filter;
        assert!(flows.iter().enumerate().all(|(place, flow)| negated.matches(flow) == (matching & 1 << place == 0)));
        drop((copy, normal, negated));
    });
}

#[test]
fn of_50_000_tests_a_query_runs() {
    // Nested so deep, a recursion that takes 48 bytes a level is too much.
    on_a_small_stack(50_000, |archive, flows, name, Built { filter, matching }| {
        let query = archive.snapshot().unwrap().query(filter).count(Count::Exact);
        let page = block_on(query.page()).unwrap();
        let expected = flows.iter().enumerate().filter(|(place, _)| matching & 1 << place != 0);
        assert_eq!(page.flows().unwrap(), expected.map(|(_, flow)| flow.clone()).collect::<Vec<_>>(), "{name}");
        let next = block_on(query.limit(0).page()).unwrap();
        assert_eq!(next.total, Some(u64::from(matching.count_ones())), "{name}");
    });
}
