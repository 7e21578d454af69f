//! The lists of any flows, cut into chunks of any size, tell of every value, gap and range what the flows tell.

use std::{
    collections::BTreeMap,
    ops::{Range, RangeInclusive},
};

use bytes::Bytes;
use proptest::{collection::vec, prelude::*, sample::select};

use super::{
    super::{
        RowSet,
        names::{AllRanks, Ranks, named},
    },
    Blocks, Built, Directory, Found, PlaceRows, Tally,
    build::{Cut, build_cut},
    input::Input,
    postings::Listed,
};
use crate::{
    error::{ErrorKind, Result},
    filter::{self, Filter, Test, sample::narrow},
    flow::{Address, AddressRange, Field, Flow, FlowId, StoredFlow, Timestamp, sample},
    schema::{FlowBuilder, Flows},
};

/// The lists of some flows, in the order of a segment, and the bytes of the file that they lie in.
struct Indexed {
    flows: Vec<StoredFlow>,
    cut: Cut,
    directory: Directory,
    file: Vec<u8>,
}

/// Before the lists lie other bytes.
const START: u64 = 7;

fn built(
    flows: &[Flow],
    block_rows: usize,
    page_rows: usize,
    chunk_bytes: usize,
) -> (Vec<Built>, Cut, Vec<StoredFlow>) {
    let mut builder = FlowBuilder::default();
    flows.iter().for_each(|flow| builder.push(flow).unwrap());
    let batch = builder.finish(FlowId::new(1)).unwrap();
    let names: AllRanks<'_> =
        named(Field::ALL).into_iter().map(|field| (field, Ranks::of(&batch, field).unwrap())).collect();
    let cut = Cut { blocks: Blocks { rows: flows.len(), block_rows, page_rows }, chunk_bytes };
    let lists = super::lists().iter().map(|fields| build_cut(&names, fields, &batch, &cut).unwrap()).collect();
    let flows = Flows::new(&batch).unwrap().iter().collect();
    (lists, cut, flows)
}

impl Indexed {
    fn new(flows: &[Flow], block_rows: usize, page_rows: usize, chunk_bytes: usize) -> Self {
        let (lists, cut, flows) = built(flows, block_rows, page_rows, chunk_bytes);
        Self::of(lists, cut, flows, None)
    }

    /// With the rows of the values that so many flows have.
    fn with_rows(
        flows: &[Flow],
        (block_rows, page_rows): (usize, usize),
        chunk_bytes: usize,
        totals: &RangeInclusive<u32>,
    ) -> Self {
        let (lists, cut, flows) = built(flows, block_rows, page_rows, chunk_bytes);
        Self::of(lists, cut, flows, Some(totals))
    }

    fn of(lists: Vec<Built>, cut: Cut, flows: Vec<StoredFlow>, totals: Option<&RangeInclusive<u32>>) -> Self {
        let (mut directory, mut bytes) = Directory::place(&lists, START).unwrap();
        // What is written is what is read.
        let mut read = Directory::decode(&mut Input::new(&directory.encode().unwrap())).unwrap();
        if let Some(totals) = totals {
            let start = START + bytes.len() as u64;
            bytes.extend(directory.place_rows(&lists, &vec![totals.clone(); lists.len()], start).unwrap());
            let encoded = directory.encode_rows().unwrap().unwrap();
            read.decode_rows(&mut Input::new(&encoded)).unwrap();
        }
        assert_eq!(read, directory);
        Self { flows, cut, directory, file: [&[0; START as usize][..], &bytes].concat() }
    }

    /// How many chunks the list of a column has.
    fn chunks(&self, field: Field) -> usize {
        self.directory.lists().iter().find(|listed| listed.fields() == [field]).map_or(0, |listed| listed.chunks.len())
    }

    fn packed(&self, place: &std::ops::Range<u64>) -> &[u8] {
        &self.file[place.start as usize..place.end as usize]
    }

    /// What the lists tell of a part of a filter; `None` where they tell nothing.
    fn find(&self, part: &Filter) -> Result<Option<(&Listed, Found)>> {
        let Some(touched) = self.directory.touched(part, usize::MAX, usize::MAX) else { return Ok(None) };
        let mut found = Found::new(self.cut.blocks, 0..usize::MAX, usize::MAX);
        for chunk in &touched.chunks {
            let bytes: Bytes = chunk.chunk.unpack(self.packed(&chunk.chunk.place))?;
            found.take(touched.listed, chunk, &bytes, part)?;
        }
        Ok(Some((touched.listed, found.sorted())))
    }

    fn ask(&self, part: &Filter) -> Result<Option<Vec<Tally>>> {
        Ok(self.find(part)?.map(|(_, found)| (0..self.cut.blocks.len()).map(|block| found.tally(block)).collect()))
    }

    /// Bytes of the string of rows of a list.
    fn string(&self, listed: &Listed, bytes: &Range<u64>) -> Vec<u8> {
        let rows = listed.rows.as_ref().unwrap();
        let (pieces, from) = rows.pieces(bytes);
        let read = pieces.map(|piece| {
            let piece = rows.piece(piece).unwrap();
            piece.unpack(self.packed(&piece.place)).unwrap()
        });
        read.flatten().skip(from).take((bytes.end - bytes.start) as usize).collect()
    }

    /// The rows of each block that pass, as the lists tell: those that do, and those that may.
    fn rows(&self, part: &Filter) -> Option<Vec<(RowSet, RowSet)>> {
        let (listed, found) = self.find(part).unwrap()?;
        let block = |block| {
            let size = self.cut.blocks.block(block).len();
            let (mut exact, mut most) = (RowSet::none(size), RowSet::none(size));
            for place in found.places(block) {
                loop {
                    match found.rows(place).unwrap() {
                        PlaceRows::Exact(pages) => exact.unite(&found.pages(block, pages)),
                        PlaceRows::AtMost(pages) => most.unite(&found.pages(block, pages)),
                        PlaceRows::Untold(run, bytes) => {
                            found.tell(run, &self.string(listed, &bytes)).unwrap();
                            continue;
                        }
                        PlaceRows::Listed(packed) => {
                            let bytes = self.string(listed, &packed.bytes());
                            let rows = found.unpack(&packed, &bytes).unwrap();
                            let mut appended = Vec::new();
                            found.append(&packed, &bytes, &mut appended).unwrap();
                            assert!(rows.iter().eq(appended.into_iter().map(|row| row as usize)));
                            let asked: Vec<u32> = (0..size as u32).filter(|row| row % 3 != 1).collect();
                            let mut held = RowSet::none(size);
                            found.find(&packed, &bytes, &asked, |place| held.insert(asked[place] as usize)).unwrap();
                            assert!(held.iter().eq(rows.iter().filter(|row| row % 3 != 1)));
                            exact.unite(&rows);
                        }
                    }
                    break;
                }
            }
            (exact, most)
        };
        Some((0..self.cut.blocks.len()).map(block).collect())
    }

    /// Holds the rows that the lists tell against the flows. How many rows are told, and how many may be among others.
    fn check_rows(&self, part: &Filter) -> (usize, usize) {
        let mut sums = (0, 0);
        for (block, (exact, most)) in self.rows(part).into_iter().flatten().enumerate() {
            for (place, row) in self.cut.blocks.block(block).enumerate() {
                let passes = part.matches(&self.flows[row]);
                assert!(passes || !exact.contains(place), "{part:?}: row {row} does not pass");
                assert!(!passes || exact.contains(place) || most.contains(place), "{part:?}: row {row} passes");
            }
            sums = (sums.0 + exact.len(), sums.1 + most.len());
        }
        sums
    }

    /// What the flows tell.
    fn expected(&self, part: &Filter) -> Vec<Tally> {
        let Blocks { block_rows, page_rows, .. } = self.cut.blocks;
        let mut tallies = vec![Tally::default(); self.cut.blocks.len()];
        let matching = self.flows.iter().enumerate().filter(|(_, flow)| part.matches(flow));
        for (row, _) in matching {
            let tally = &mut tallies[row / block_rows];
            tally.count += 1;
            tally.pages |= 1 << (row % block_rows / page_rows);
        }
        tallies
    }

    /// Holds what the lists tell against the flows; says whether they tell anything.
    fn check(&self, part: &Filter) -> bool {
        let told = self.ask(part).unwrap();
        if let Some(told) = &told {
            assert_eq!(*told, self.expected(part), "{part:?} in chunks of {} bytes", self.cut.chunk_bytes);
        }
        told.is_some()
    }
}

/// Flows of many ports, addresses and names, with gaps between them, some of them often.
fn scattered(count: u16) -> Vec<Flow> {
    let flow = |n: u16| {
        let host = |n: u16| Address::from_bits(0xffff_0a00_0000 + u128::from(n) * 256);
        let often = n.is_multiple_of(17);
        Flow {
            dst_port: (!n.is_multiple_of(5)).then(|| if often { 40 } else { n.wrapping_mul(2) }),
            dst_ip: (!n.is_multiple_of(7)).then(|| host(if often { 3 } else { n })),
            src_node: (!n.is_multiple_of(3)).then(|| "ab".repeat(usize::from(n % 5)) + &format!("x{}", n / 3 * 2)),
            ..Flow::starting(Timestamp::from_millis(i64::from(n)).unwrap())
        }
    };
    (0..count).map(flow).collect()
}

#[test]
fn every_value_gap_and_range_of_lists_of_many_chunks_is_told() {
    let flows = scattered(160);
    for chunk_bytes in [1, 2, 3, 5, 8, 13, 21, 34, 89, 233, 1000] {
        let listed = Indexed::new(&flows, 16, 4, chunk_bytes);
        assert!(listed.chunks(Field::DstPort) > 100 / chunk_bytes);
        assert_eq!(listed.chunks(Field::DstPort) > 1, chunk_bytes < 1000);
        for port in 0..325u16 {
            assert!(listed.check(&filter::dst_port().eq(port)));
            assert!(listed.check(&filter::dst_port().ne(port)));
            for width in [1, 2, 9, 100] {
                assert!(listed.check(&filter::dst_port().within(port..=port.saturating_add(width))));
            }
            assert!(listed.check(&filter::dst_port().any_of([port, port.wrapping_mul(7), 40, u16::MAX])));
        }
        for host in 0..170u128 {
            for bits in [0, 1, 128, 255] {
                let address = Address::from_bits(0xffff_0a00_0000 + host * 256 + bits);
                assert!(listed.check(&filter::dst_ip().any_of([address])));
            }
            let network: AddressRange = format!("10.0.{host}.0/{}", 18 + host % 14).parse().unwrap();
            assert!(listed.check(&filter::dst_ip().any_of([network])));
            assert!(listed.check(&filter::dst_ip().none_of([network])));
        }
        let names: Vec<String> = flows.iter().filter_map(|flow| flow.src_node.clone()).collect();
        for name in &names {
            for name in [name.clone(), format!("{name}\0"), name[..name.len() - 1].to_owned(), format!("{name}zz")] {
                assert!(listed.check(&filter::src_node().eq(name.clone())));
                assert!(listed.check(&filter::src_node().ne(name)));
            }
        }
        assert!(listed.check(&filter::src_node().any_of(names)));
    }
}

#[test]
fn the_rows_of_every_value_are_told_and_of_the_others_the_pages() {
    let flows = scattered(160);
    for chunk_bytes in [1, 8, 34, 233, 10_000] {
        let all = Indexed::with_rows(&flows, (16, 4), chunk_bytes, &(1..=u32::MAX));
        let some = Indexed::with_rows(&flows, (16, 4), chunk_bytes, &(2..=9));
        let mut open = 0;
        for port in 0..325u16 {
            for part in [filter::dst_port().eq(port), filter::dst_port().ne(port), filter::dst_port().within(..=port)] {
                assert_eq!(all.check_rows(&part).1, 0);
                open += some.check_rows(&part).1;
            }
        }
        assert!(open > 0);
        for name in flows.iter().filter_map(|flow| flow.src_node.clone()) {
            assert_eq!(all.check_rows(&filter::src_node().eq(name)), (1, 0));
        }
    }
}

#[test]
fn lists_of_the_largest_chunks_are_asked_for_every_value() {
    let flows: Vec<Flow> = (0..30_000u16)
        .map(|n| Flow { dst_port: Some(n * 2), ..Flow::starting(Timestamp::from_millis(0).unwrap()) })
        .collect();
    let listed = Indexed::new(&flows, 8192, 2048, 16_384);
    assert!(listed.chunks(Field::DstPort) > 2);
    for port in 0..60_000u16 {
        let told = listed.ask(&filter::dst_port().eq(port)).unwrap().unwrap();
        let count: u32 = told.iter().map(|tally| tally.count).sum();
        assert_eq!(count, u32::from(port % 2 == 0), "{port}");
    }
}

#[test]
fn no_flipped_bit_of_a_list_is_read() {
    let listed = Indexed::with_rows(&scattered(60), (16, 4), 50, &(1..=u32::MAX));
    for list in listed.directory.lists() {
        for chunk in list.parts() {
            let packed = listed.packed(&chunk.place);
            assert!(chunk.is_of(packed) && chunk.unpack(packed).is_ok());
            for at in 0..packed.len() {
                for bit in 0..8 {
                    let mut changed = packed.to_vec();
                    changed[at] ^= 1 << bit;
                    assert!(!chunk.is_of(&changed));
                    assert_eq!(chunk.unpack(&changed).unwrap_err().kind(), ErrorKind::Damaged);
                }
                assert!(chunk.unpack(&packed[..at]).is_err());
            }
        }
    }
}

#[test]
fn lists_are_compared_entry_by_entry_however_they_are_cut() {
    let flows = scattered(60);
    let read = |listed: &Indexed| {
        let file = listed.file.clone();
        move |chunk: &super::Chunk| chunk.unpack(&file[chunk.place.start as usize..chunk.place.end as usize])
    };
    let same = |lists: &[Built], other: &Indexed| -> usize {
        let stored = other.directory.lists();
        let same = |(list, stored): &(&Built, &Listed)| list.is_of(stored, &other.cut.blocks, read(other));
        lists.iter().zip(stored).filter(|pair| same(pair).unwrap_or(false)).count()
    };
    let (lists, ..) = built(&flows, 16, 4, 300);
    for totals in [None, Some(1..=u32::MAX), Some(2..=5), Some(0..=0)] {
        let other = match &totals {
            None => Indexed::new(&flows, 16, 4, 20),
            Some(totals) => Indexed::with_rows(&flows, (16, 4), 20, totals),
        };
        assert_eq!(same(&lists, &other), lists.len());
        // One value, one count, one page or one block that is another is seen, in the list that has it; of two rows of
        // one page only the lists of rows tell which is which.
        for change in 0..5 {
            let mut flows = flows.clone();
            match change {
                0 => flows[1].dst_port = Some(3),
                1 => flows[20].dst_ip = flows[21].dst_ip,
                2 => flows.swap(1, 6),
                3 => flows[40].src_node = None,
                _ => flows.swap(1, 2),
            }
            let starts = flows.iter_mut().zip(0..);
            starts.for_each(|(flow, millis)| flow.start_time = Timestamp::from_millis(millis).unwrap());
            let (lists, ..) = built(&flows, 16, 4, 300);
            let is_seen = change < 4 || totals == Some(1..=u32::MAX);
            assert!(!is_seen || same(&lists, &other) < lists.len(), "change {change} with the rows of {totals:?}");
        }
    }
}

#[test]
fn a_page_asks_no_more_chunks_than_it_may() {
    let listed = Indexed::new(&scattered(160), 16, 4, 10);
    let chunks = listed.chunks(Field::DstPort);
    let all = filter::dst_port().within(..);
    let touched =
        |part: &Filter, most, inside| listed.directory.touched(part, most, inside).map(|touched| touched.chunks.len());
    assert_eq!(touched(&all, chunks, chunks - 2), Some(chunks));
    assert_eq!(touched(&all, chunks - 1, usize::MAX), None);
    assert_eq!(touched(&all, usize::MAX, chunks - 3), None);
    // Of one value no chunk lies inside, and two ranges within one chunk are one look at it.
    assert_eq!(touched(&filter::dst_port().eq(62), 1, 0), Some(1));
    assert_eq!(touched(&filter::dst_port().any_of([62, 62]), 1, 0), Some(1));
    assert_eq!(touched(&filter::dst_port().any_of([2, u16::MAX]), 2, 0), Some(2));
}

/// The parts of a filter, with their parts.
fn parts(filter: &Filter) -> Vec<&Filter> {
    std::iter::once(filter).chain(filter.parts().iter().flat_map(parts)).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, ..ProptestConfig::default() })]

    #[test]
    fn whatever_a_list_tells_is_what_the_flows_tell(
        flows in sample::flows(60),
        filters in vec(narrow(), 8),
        (block_rows, page_rows) in select(vec![(1usize, 1usize), (4, 1), (7, 2), (16, 4)]),
        chunk_bytes in 1usize..80,
    ) {
        let flows: Vec<Flow> = flows.into_iter().map(|stored| stored.flow).collect();
        let listed = Indexed::new(&flows, block_rows, page_rows, chunk_bytes);
        for filter in &filters {
            // Of any part of any filter, be it normal or not.
            let normal = filter.normal();
            for part in parts(filter).into_iter().chain(parts(&normal)) {
                listed.check(part);
            }
        }
    }

    #[test]
    fn the_rows_that_a_list_tells_are_those_of_the_flows(
        flows in sample::flows(60),
        filters in vec(narrow(), 8),
        blocks in select(vec![(1usize, 1usize), (4, 1), (7, 2), (16, 4), (50, 50), (64, 16)]),
        chunk_bytes in 1usize..80,
        totals in select(vec![1..=u32::MAX, 2..=u32::MAX, 1..=3, 2..=4, 0..=0]),
    ) {
        let flows: Vec<Flow> = flows.into_iter().map(|stored| stored.flow).collect();
        let listed = Indexed::with_rows(&flows, blocks, chunk_bytes, &totals);
        for filter in &filters {
            let normal = filter.normal();
            for part in parts(filter).into_iter().chain(parts(&normal)) {
                listed.check(part);
                let (_, open) = listed.check_rows(part);
                prop_assert!(open == 0 || totals != (1..=u32::MAX), "{part:?}");
            }
        }
    }
}

#[test]
fn a_list_of_one_column_does_not_tell_of_flows_without_a_value() {
    let listed = Indexed::new(&scattered(60), 16, 4, 50);
    let tells = |part: &Filter| {
        let is_touched = listed.directory.touched(part, usize::MAX, usize::MAX).is_some();
        let fields = part.tests().flat_map(Test::fields).collect();
        assert_eq!(listed.directory.tells(&fields, part.holds(&|_| None)), is_touched, "{part:?}");
        is_touched
    };
    let ports = filter::dst_port().eq(62);
    assert!(tells(&ports) && !tells(&!ports.clone()));
    assert!(!tells(&Filter::all()) && !tells(&ports.clone().and(filter::src_port().eq(1))));
    let flags = filter::tcp_flags().carries_any([crate::flow::TcpFlags::new(2)]);
    assert!(tells(&flags) && tells(&!flags.clone()));
    assert!(tells(&flags.and(filter::protocol().eq(crate::flow::Protocol::TCP))));
    let sizes: BTreeMap<_, _> = listed.directory.sizes().collect();
    assert_eq!(sizes.values().sum::<u64>() + START, listed.file.len() as u64);
    let chunks: usize = listed.directory.lists().iter().map(|listed| listed.chunks.len()).sum();
    assert!(listed.directory.memory() > chunks * size_of::<super::Chunk>());
}
