//! Whatever limits a filter meets in the lists of a segment, what they tell of it is what the flows tell.

use std::{fs::File, sync::Arc};

use proptest::{
    collection::vec,
    prelude::*,
    sample::{select, subsequence},
};

use super::{
    PageCache, Probes, ReadCounters, RowReader, SegmentOptions, SegmentReader, Selection, grouped, limits::Limits,
    write_segment,
};
use crate::{
    filter::{self, Filter, Verdict, sample::narrow},
    flow::{Address, Flow, FlowId, StoredFlow, Timestamp, sample},
    schema::sample::batch,
};

/// A segment in blocks of 8 rows and pages of 2, and its flows in order.
struct Segment {
    reader: Arc<SegmentReader>,
    rows: RowReader,
    flows: Vec<StoredFlow>,
    _directory: tempfile::TempDir,
}

impl Segment {
    fn new(flows: &[StoredFlow]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("segment.parquet");
        let (batch, flows) = batch(flows);
        let options = SegmentOptions { block_rows: 8, row_group_blocks: 2 };
        let _ = write_segment(&batch, File::create(&path).unwrap(), options).unwrap();
        let rows = RowReader::new(Arc::new(PageCache::new(1 << 22)), Arc::new(ReadCounters::default()));
        Self { reader: Arc::new(SegmentReader::open(&path).unwrap()), rows, flows, _directory: directory }
    }

    fn ask(&self, filter: &Filter, limits: Limits) -> Asked<'_> {
        let filter = Arc::new(grouped(filter));
        let probes = block_on(Probes::ask_within(&filter, &self.reader, &self.rows, limits)).unwrap();
        Asked { segment: self, filter, probes }
    }
}

/// What the lists of a segment tell of a filter.
struct Asked<'a> {
    segment: &'a Segment,
    filter: Arc<Filter>,
    probes: Probes,
}

impl Asked<'_> {
    fn selection(&self, block: usize) -> Option<Selection> {
        block_on(self.probes.rows(&self.segment.reader, &self.segment.rows, block)).unwrap()
    }

    /// Holds all that is told against the flows, before blocks are joined and after some are.
    fn check(&mut self, joined: &[usize]) -> Result<(), TestCaseError> {
        self.check_told()?;
        let Segment { reader, rows, flows, .. } = self.segment;
        let none = block_on(self.probes.join(reader, rows, joined)).unwrap();
        for block in none {
            prop_assert!(joined.contains(&block));
            let mut held = reader.block_rows(block).map(|row| &flows[row]);
            prop_assert!(held.all(|flow| !self.filter.matches(flow)), "{block} {:?}", self.filter);
        }
        self.check_told()
    }

    fn check_told(&self) -> Result<(), TestCaseError> {
        let Self { segment: Segment { reader, flows, .. }, filter, probes } = self;
        let mut holding = Vec::new();
        let mut total = 0;
        for number in 0..reader.blocks().len() {
            let rows = reader.block_rows(number);
            let matching: Vec<usize> = (0..rows.len()).filter(|row| filter.matches(&flows[rows.start + row])).collect();
            let block = probes.block(reader, number);
            match filter.verdict(&block) {
                Verdict::Never => prop_assert!(matching.is_empty(), "{filter:?}"),
                Verdict::Maybe => {}
                Verdict::Always => prop_assert_eq!(matching.len(), rows.len(), "{:?}", filter),
            }
            let count = filter.count(&block);
            prop_assert!(count.is_none_or(|count| count == matching.len() as u64), "{count:?} {filter:?}");
            let pages = probes.pages(filter, number);
            prop_assert!(matching.iter().all(|row| pages & 1 << (row / 2) != 0), "{pages:b} {filter:?}");
            if let Some(selection) = self.selection(number) {
                let selected: Vec<usize> = selection.rows.iter().collect();
                prop_assert!(matching.iter().all(|row| selection.rows.contains(*row)), "{selected:?} {filter:?}");
                prop_assert!(!selection.open.is_empty() || selected == matching, "{selected:?} {filter:?}");
            }
            if !matching.is_empty() {
                holding.push(number);
                total += matching.len() as u64;
            }
        }
        let whole = filter.count(&probes.whole(reader));
        prop_assert!(whole.is_none_or(|count| count == total), "{whole:?} {filter:?}");
        if let Some((_, named)) = probes.rarest() {
            prop_assert!(holding.iter().all(|block| named.contains(block)), "{named:?} {filter:?}");
        }
        let timed = reader.blocks_in(filter.start_times());
        prop_assert!(holding.iter().all(|block| timed.contains(block)), "{timed:?} {filter:?}");
        Ok(())
    }
}

/// Limits that a filter on few flows meets.
fn limits() -> impl Strategy<Value = Limits> {
    let few = || select(vec![0, 1, 2, 3, 5, 8, usize::MAX]);
    (few(), few(), few(), few(), few()).prop_map(|(parts, chunks, chunks_inside, places, values)| Limits {
        parts,
        chunks,
        chunks_inside,
        places,
        places_of_whole: places,
        values,
        bytes_of_thousand_rows: (chunks as u64).saturating_mul(1000),
    })
}

const UNLIMITED: Limits = Limits {
    parts: usize::MAX,
    chunks: usize::MAX,
    chunks_inside: usize::MAX,
    places: usize::MAX,
    places_of_whole: usize::MAX,
    values: usize::MAX,
    bytes_of_thousand_rows: u64::MAX,
};

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, ..ProptestConfig::default() })]

    #[test]
    fn whatever_limits_a_filter_meets_the_lists_tell_what_the_flows_tell(
        flows in sample::flows(60).prop_filter("no segment is empty", |flows| !flows.is_empty()),
        asked in vec((narrow(), narrow(), limits()), 6),
        joined in subsequence((0..8).collect::<Vec<usize>>(), 0..=8),
    ) {
        let segment = Segment::new(&flows);
        let joined: Vec<usize> = joined.into_iter().filter(|block| *block < flows.len().div_ceil(8)).collect();
        for (one, other, limits) in &asked {
            for filter in [one.clone(), one.clone().and(other.clone()), one.clone().or(other.clone())] {
                segment.ask(&filter.normal(), *limits).check(&joined)?;
            }
        }
    }
}

#[test]
fn each_limit_is_met_where_it_says() {
    // A port of four in each row, and one of two hosts.
    let flow = |n: u16| Flow {
        dst_port: Some(n % 4),
        src_ip: Some(format!("10.0.0.{}", n % 3 / 2).parse().unwrap()),
        ..Flow::starting(Timestamp::from_millis(i64::from(n)).unwrap())
    };
    let flows: Vec<StoredFlow> =
        (0..64).map(|n| StoredFlow { id: FlowId::new(u64::from(n) + 1), flow: flow(n) }).collect();
    let segment = Segment::new(&flows);
    let host = filter::src_ip().any_of(["10.0.0.1".parse::<Address>().unwrap()]);
    let filter = filter::dst_port().any_of([1, 3]).and(host);
    let told = |limits: Limits| {
        let mut asked = segment.ask(&filter, limits);
        asked.check(&[1, 2]).unwrap();
        (asked.probes.tells_rows(), asked.selection(0).map(|selection| selection.open))
    };
    assert_eq!(told(UNLIMITED), (true, Some(vec![])));
    assert_eq!(told(Limits { parts: 0, ..UNLIMITED }), (false, None));
    assert_eq!(told(Limits { parts: 1, ..UNLIMITED }), (true, Some(vec![1])));
    assert_eq!(told(Limits { chunks: 0, ..UNLIMITED }), (false, None));
    // Two ports are in each of eight blocks: of the host, which is one value, eight places are remembered.
    assert_eq!(told(Limits { places: 15, ..UNLIMITED }), (true, Some(vec![0])));
    assert_eq!(told(Limits { places: 16, ..UNLIMITED }), (true, Some(vec![])));
    assert_eq!(told(Limits { places: 7, ..UNLIMITED }), (false, None));
    assert_eq!(told(Limits { values: 1, ..UNLIMITED }), (true, Some(vec![0])));
    assert_eq!(told(Limits { values: 0, ..UNLIMITED }), (true, Some(vec![0, 1])));
    assert_eq!(told(Limits { values: 2, ..UNLIMITED }), (true, Some(vec![])));
}

#[test]
fn of_a_joined_block_it_is_known_which_flows_match() {
    let name = |n: u16| match n {
        3 | 19 | 20 | 44 | 45 => Some("rare".to_owned()),
        9 => Some("other".to_owned()),
        _ => None,
    };
    let flow = |n: u16| Flow {
        dst_port: Some(n % 2),
        src_node: name(n),
        src_bytes: Some(n.into()),
        ..Flow::starting(Timestamp::from_millis(i64::from(64 - n)).unwrap())
    };
    let flows: Vec<StoredFlow> =
        (0..64).map(|n| StoredFlow { id: FlowId::new(u64::from(n) + 1), flow: flow(n) }).collect();
    let segment = Segment::new(&flows);
    let rare = || filter::src_node().eq("rare").and(filter::dst_port().eq(1));
    let joined = |filter: Filter, blocks: &[usize]| {
        let mut asked = segment.ask(&filter.normal(), UNLIMITED);
        asked.check(blocks).unwrap();
        let none = block_on(asked.probes.join(&segment.reader, &segment.rows, blocks)).unwrap();
        let selected = |block: &usize| {
            let selection = asked.selection(*block).unwrap();
            (*block, selection.rows.iter().collect::<Vec<_>>(), selection.open)
        };
        (none.clone(), blocks.iter().filter(|block| !none.contains(block)).map(selected).collect::<Vec<_>>())
    };
    assert_eq!(
        joined(rare(), &[0, 2, 5]),
        (vec![], vec![(0, vec![3], vec![]), (2, vec![3], vec![]), (5, vec![5], vec![])])
    );
    // A block without the node, and one without the port where the node is.
    let even = filter::src_node().eq("rare").and(filter::dst_port().eq(0));
    assert_eq!(joined(even.clone(), &[0, 1, 2, 5]), (vec![0, 1], vec![(2, vec![4], vec![]), (5, vec![4], vec![])]));
    // All but those of a value.
    let odd = filter::src_node().eq("rare").and(filter::dst_port().ne(0));
    assert_eq!(joined(odd, &[2, 5]), (vec![], vec![(2, vec![3], vec![]), (5, vec![5], vec![])]));
    // What no list tells is left open, and what lists tell of the flows that pass any of some parts is looked up in the end.
    let open = rare().and(filter::src_bytes().within(3..=20));
    assert_eq!(joined(open, &[0, 2]), (vec![], vec![(0, vec![3], vec![1]), (2, vec![3], vec![1])]));
    let either = |name| rare().and(filter::dst_port().eq(0).or(filter::src_node().eq(name)));
    assert_eq!(joined(either("rare"), &[0, 1]), (vec![1], vec![(0, vec![3], vec![])]));
    assert_eq!(joined(either("other"), &[0, 1]), (vec![0, 1], vec![]));
}

pub(super) fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}
