//! The Bloom filter of a segment: which addresses and names no flow of it has.
//!
//! It is over the bytes of each value that a list of addresses or of names has, whatever the list, and has no false negative.
//! The manifest says where it lies, so that a search for an address asks it without opening the segment.
//!
//! It is cut into pages of 4 kilobytes, of which each is a split block Bloom filter of the Parquet format by itself, so that a
//! value is looked for in one page: what a search reads and remembers of a segment is that page. For example, a filter of
//! 400,000 addresses has 148 pages. The XXH64 with seed 1 of an address, modulo 148, is the number of the page that has its
//! bits, and tells of the address without the other 147.

use std::{collections::BTreeSet, ops::Range, sync::Arc};

use parquet::bloom_filter::Sbbf;
use serde::{Deserialize, Serialize};
use twox_hash::XxHash64;

use super::{built::Built, entries::Entries, input::damaged, list::number};
use crate::{
    error::{Error, ErrorKind, Result},
    filter::{Filter, Set, Test},
    flow::{Field, Kind, columns::Listing},
};

/// Bits for each value: of those that a segment has not, one in about 150 passes.
const VALUE_BITS: usize = 12;
/// Bytes of a block of the filter.
const BLOCK_BYTES: usize = 32;
/// Blocks of a page, at most.
const PAGE_BLOCKS: usize = 127;
/// Behind the blocks of a page, their XXH64 with the number of the page as its seed.
const CHECKSUM_BYTES: usize = 8;
/// It takes at most this part of what the columns take, or [`SMALLEST`] where that is more. Else there is none: hardly a
/// value recurs then, and the lists alone take what the index may.
const LARGEST_PART: usize = 20;
const SMALLEST: usize = 8 << 10;
/// No more values of a test are looked up.
const MOST_VALUES: usize = 64;

/// Where the Bloom filter of a segment lies in its file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct BloomPlace {
    /// Its first byte.
    pub(crate) offset: u64,
    /// How many bytes it has.
    pub(crate) length: u32,
    /// Their XXH64 with seed 0.
    pub(crate) checksum: u64,
}

/// A page of a Bloom filter.
#[derive(Debug)]
pub(crate) struct BloomPage(Sbbf);

impl BloomPlace {
    /// That of these bytes, which lie in the file from `offset` on.
    pub(in super::super) fn of(bytes: &[u8], offset: u64) -> Self {
        Self { offset, length: u32::try_from(bytes.len()).unwrap_or(u32::MAX), checksum: XxHash64::oneshot(0, bytes) }
    }

    /// The bytes of the file that it takes.
    pub(in super::super) fn range(&self) -> Range<u64> {
        self.offset..self.offset.saturating_add(self.length.into())
    }

    /// Its pages, if these, in the file, are the bytes that were written.
    ///
    /// # Errors
    /// [`ErrorKind::Damaged`] where they are not.
    pub(in super::super) fn all_pages(&self, bytes: &[u8]) -> Result<Vec<BloomPage>> {
        if bytes.len() != self.length as usize || XxHash64::oneshot(0, bytes) != self.checksum {
            return Err(damaged());
        }
        let pages = bytes.chunks(self.page_bytes()?).enumerate();
        pages.map(|(page, bytes)| BloomPage::decode(page, bytes)).collect()
    }

    /// Where a page lies in the file.
    ///
    /// # Errors
    /// [`ErrorKind::Damaged`] where no filter has so many bytes.
    pub(crate) fn page(&self, page: usize) -> Result<Range<u64>> {
        let length = self.page_bytes()? as u64;
        let start = (page as u64).checked_mul(length).and_then(|start| start.checked_add(self.offset));
        let range = start.and_then(|start| Some(start..start.checked_add(length)?));
        range.filter(|_| page < self.pages()).ok_or_else(damaged)
    }

    /// The pages that tell of a filter.
    pub(crate) fn pages_for(&self, filter: &Filter) -> BTreeSet<usize> {
        let mut pages = BTreeSet::new();
        filter.tests().filter_map(asked).for_each(|asked| {
            asked.all(|value| {
                pages.insert(self.page_of(value));
                true
            });
        });
        pages
    }

    /// Whether no flow passes a part of a filter, as it is a test that only values pass which no flow has. `held` gives the
    /// pages of the filter that are in memory.
    pub(crate) fn excludes(&self, part: &Filter, held: impl Fn(usize) -> Option<Arc<BloomPage>>) -> bool {
        let Filter::Test(test) = part else { return false };
        let is_absent = |value: &[u8]| held(self.page_of(value)).is_some_and(|page| !page.0.check(value));
        asked(test).is_some_and(|asked| asked.all(is_absent))
    }

    /// How many pages there are. There are as few as hold all blocks, so that this follows from the bytes.
    fn pages(&self) -> usize {
        (self.length as usize).div_ceil(PAGE_BLOCKS * BLOCK_BYTES + CHECKSUM_BYTES)
    }

    fn page_bytes(&self) -> Result<usize> {
        let (length, pages) = (self.length as usize, self.pages());
        let page = length.checked_div(pages).filter(|page| page * pages == length);
        page.filter(|page| *page > CHECKSUM_BYTES && (page - CHECKSUM_BYTES).is_multiple_of(BLOCK_BYTES))
            .ok_or_else(damaged)
    }

    /// The number of the page with the bits of a value.
    fn page_of(&self, value: &[u8]) -> usize {
        page_of(value, self.pages())
    }
}

impl BloomPage {
    /// The page of this number.
    ///
    /// # Errors
    /// [`ErrorKind::Damaged`] where the bytes are not those that were written.
    pub(crate) fn decode(page: usize, bytes: &[u8]) -> Result<Self> {
        match bytes.split_last_chunk::<CHECKSUM_BYTES>() {
            Some((blocks, sum)) if checksum(page, blocks).to_le_bytes() == *sum => Ok(Self(Sbbf::new(blocks))),
            _ => Err(damaged()),
        }
    }

    /// Bytes of memory that it takes.
    pub(crate) fn memory(&self) -> usize {
        size_of::<Self>() + self.0.num_blocks() * BLOCK_BYTES
    }
}

/// The bytes of the filter of these lists, beside columns of so many bytes; none where it would take too many, or has no value.
pub(in super::super) fn build(lists: &[Built], columns: usize) -> Result<Vec<u8>> {
    let values = Values::of(lists)?;
    let blocks = (values.len() * VALUE_BITS / 8).div_ceil(BLOCK_BYTES);
    let pages = blocks.div_ceil(PAGE_BLOCKS);
    if blocks == 0 || blocks * BLOCK_BYTES > (columns / LARGEST_PART).max(SMALLEST) {
        return Ok(Vec::new());
    }
    let empty = Sbbf::new(&vec![0; blocks.div_ceil(pages) * BLOCK_BYTES]);
    let mut filters = vec![empty; pages];
    values.for_each(|value| {
        filters.iter_mut().skip(page_of(value, pages)).take(1).for_each(|filter| filter.insert(value));
    });
    let mut bytes = Vec::new();
    for (page, filter) in filters.iter().enumerate() {
        let start = bytes.len();
        let written = filter.write_bitset(&mut bytes);
        written.map_err(Error::with(ErrorKind::Internal, "a Bloom filter cannot be written"))?;
        let sum = checksum(page, bytes.get(start..).unwrap_or_default());
        bytes.extend(sum.to_le_bytes());
    }
    Ok(bytes)
}

/// Whether the filter with these pages may have all values of these lists, as that of a segment with them has.
pub(in super::super) fn has(pages: &[BloomPage], lists: &[Built]) -> Result<bool> {
    let mut has = true;
    Values::of(lists)?.for_each(|value| {
        has &= pages.get(page_of(value, pages.len())).is_some_and(|page| page.0.check(value));
    });
    Ok(has)
}

/// Whether the Bloom filter of a segment may exclude a filter.
pub(crate) fn is_asked(filter: &Filter) -> bool {
    filter.tests().any(|test| asked(test).is_some())
}

fn page_of(value: &[u8], pages: usize) -> usize {
    (XxHash64::oneshot(1, value) % (pages as u64).max(1)) as usize
}

fn checksum(page: usize, blocks: &[u8]) -> u64 {
    XxHash64::oneshot(page as u64, blocks)
}

/// The values that pass a test: one at a time, and not many.
enum Asked<'t, N> {
    Addresses(&'t [(u128, u128)]),
    Names(N),
}

impl<'t, N: Iterator<Item = &'t String>> Asked<'t, N> {
    /// Whether something holds for all of them, as they are hashed.
    fn all(self, mut holds: impl FnMut(&[u8]) -> bool) -> bool {
        match self {
            Self::Addresses(addresses) => addresses.iter().all(|(address, _)| holds(&hashed(*address))),
            Self::Names(mut names) => names.all(|name| holds(name.as_bytes())),
        }
    }
}

fn asked(test: &Test) -> Option<Asked<'_, impl Iterator<Item = &String>>> {
    if !test.field().is_some_and(is_kept) || test.passes_absent() {
        return None;
    }
    match test.set() {
        Set::Numbers(ranges) => {
            let ranges = ranges.as_slice();
            let is_single = ranges.len() <= MOST_VALUES && ranges.iter().all(|(first, last)| first == last);
            is_single.then_some(Asked::Addresses(ranges))
        }
        Set::Texts { texts, listed } => (*listed && texts.len() <= MOST_VALUES).then(|| Asked::Names(texts.iter())),
        Set::Flags { .. } | Set::Patterns { .. } => None,
    }
}

/// Whether it keeps the values of a field.
fn is_kept(field: Field) -> bool {
    field.column().listing == Listing::Alone && matches!(field.kind(), Kind::Address | Kind::Text)
}

/// The values of the lists of addresses and names, each once.
struct Values {
    addresses: Vec<u128>,
    names: Vec<Vec<u8>>,
}

impl Values {
    fn of(lists: &[Built]) -> Result<Self> {
        let (mut addresses, mut names) = (Vec::new(), Vec::new());
        for Built { list, chunks } in lists {
            let [field] = list.0.as_slice() else { continue };
            if !is_kept(*field) {
                continue;
            }
            for chunk in chunks {
                let mut entries = Entries::from(&chunk.bytes, &chunk.first, list.width(), &[])?;
                while let Some((value, blocks)) = entries.next()? {
                    match field.kind() {
                        Kind::Address => addresses.push(number(value)),
                        _ => names.push(value.to_vec()),
                    }
                    entries.skip(blocks)?;
                }
            }
        }
        addresses.sort_unstable();
        addresses.dedup();
        names.sort_unstable();
        names.dedup();
        Ok(Self { addresses, names })
    }

    fn len(&self) -> usize {
        self.addresses.len() + self.names.len()
    }

    /// Each of them, as it is hashed.
    fn for_each(&self, mut each: impl FnMut(&[u8])) {
        self.addresses.iter().for_each(|address| each(&hashed(*address)));
        self.names.iter().for_each(|name| each(name));
    }
}

/// An address as it is hashed.
fn hashed(address: u128) -> [u8; 16] {
    address.to_be_bytes()
}

#[cfg(test)]
mod tests {
    use super::super::blocks::Blocks;
    use super::*;
    use crate::{
        filter::{self, sample::narrow},
        flow::{Address, AddressRange, Flow, FlowId, StoredFlow, Timestamp},
        schema::FlowBuilder,
        segment::{
            index,
            names::{AllRanks, Ranks},
        },
    };
    use std::net::IpAddr;

    fn address(n: u32) -> Address {
        IpAddr::from(n.to_be_bytes()).into()
    }

    /// A flow whose addresses, names and port tell its number.
    fn flow(n: u16) -> Flow {
        Flow {
            src_ip: Some(address(u32::from(n) * 65_537)),
            dst_ip: n.is_multiple_of(2).then(|| address(u32::from(n) * 65_539)),
            dst_port: Some(n),
            src_node: Some(format!("node-{}", n % 100)),
            ..Flow::starting(Timestamp::from_millis(n.into()).unwrap())
        }
    }

    /// A filter, all in memory.
    struct Whole {
        place: BloomPlace,
        pages: Vec<Arc<BloomPage>>,
    }

    impl Whole {
        fn of(lists: &[Built]) -> Self {
            let bytes = build(lists, 1 << 30).unwrap();
            let place = BloomPlace::of(&bytes, 100);
            let pages = place.all_pages(&bytes).unwrap().into_iter().map(Arc::new).collect();
            Self { place, pages }
        }

        fn excludes(&self, part: &Filter) -> bool {
            self.place.excludes(part, |page| self.pages.get(page).cloned())
        }
    }

    fn lists(flows: u16) -> Vec<Built> {
        let mut builder = FlowBuilder::default();
        (0..flows).for_each(|n| builder.push(&flow(n)).unwrap());
        let batch = builder.finish(FlowId::new(1)).unwrap();
        let names: AllRanks<'_> =
            [Field::SrcNode].into_iter().map(|field| (field, Ranks::of(&batch, field).unwrap())).collect();
        let blocks = Blocks { rows: flows.into(), block_rows: 64, page_rows: 16 };
        let fields = [[Field::SrcIp], [Field::DstIp], [Field::DstPort], [Field::SrcNode]];
        fields.iter().map(|fields| index::build(&batch, &names, fields, blocks).unwrap()).collect()
    }

    #[test]
    fn no_flow_passes_what_is_excluded_and_few_values_that_no_flow_has_are_not() {
        let bloom = Whole::of(&lists(3000));
        // 3,000 sources, 1,500 destinations but for 0.0.0.0, and 100 names: 216 blocks, in two pages.
        assert_eq!((4599 * 12usize / 8).div_ceil(32), 216);
        assert_eq!((bloom.pages.len(), bloom.place.length), (2, 2 * (108 * 32 + 8)));
        let source = |n: u32| filter::src_ip().any_of([AddressRange::from(address(n))]);
        let either = |n: u32| filter::ip().any_of([AddressRange::from(address(n))]);
        for n in 0..3000u16 {
            let name = filter::src_node().eq(format!("node-{}", n % 100));
            for part in [source(u32::from(n) * 65_537), name] {
                assert!(is_asked(&part) && !bloom.excludes(&part), "{part}");
                assert_eq!(bloom.place.pages_for(&part).len(), 1);
            }
        }
        let excluded = |filters: Vec<Filter>| filters.iter().filter(|part| bloom.excludes(part)).count();
        let others = excluded((0..3000u32).map(|n| source(n * 65_537 + 7)).collect());
        assert!((2950..=3000).contains(&others), "{others}");
        let names = excluded((100..1100).map(|n| filter::src_node().eq(format!("node-{n}"))).collect());
        assert!((970..=1000).contains(&names), "{names}");
        // Parts of several tests are put together by whoever asks.
        assert!(is_asked(&either(7)) && !bloom.excludes(&either(7)));
    }

    #[test]
    fn only_tests_of_few_single_values_are_told() {
        let bloom = Whole::of(&lists(300));
        let range = |text: &str| filter::src_ip().any_of([text.parse::<AddressRange>().unwrap()]);
        let many =
            |count: u32| filter::src_ip().any_of((0..count).map(|n| AddressRange::from(address((3 + 2 * n) << 20))));
        for told in [range("9.9.9.9"), range("2001:db8::1"), filter::src_node().any_of(["x", "y"]), many(64)] {
            assert!(is_asked(&told) && bloom.excludes(&told), "{told}");
        }
        for untold in [
            range("9.9.9.8/31"),
            many(65),
            (!range("9.9.9.9")).normal(),
            (!filter::src_node().eq("x")).normal(),
            filter::dst_port().eq(9999),
            Filter::all(),
        ] {
            assert!(!is_asked(&untold) && !bloom.excludes(&untold), "{untold}");
        }
    }

    #[test]
    fn whatever_a_filter_is_it_excludes_no_flow_that_passes() {
        use proptest::prelude::*;
        let bloom = Whole::of(&lists(60));
        proptest!(|(part in narrow())| {
            let passing = (0..60).find(|n| part.matches(&StoredFlow { id: FlowId::new(1), flow: flow(*n) }));
            prop_assert!(passing.is_none() || !bloom.excludes(&part), "{part} passes {passing:?}");
        });
    }

    #[test]
    fn there_is_none_without_values_and_none_that_takes_too_much() {
        assert!(build(&[], 1 << 30).unwrap().is_empty());
        let many = lists(6000);
        // 6,000 sources, 3,000 destinations but for one, and 100 names.
        let blocks = (9099 * 12usize / 8).div_ceil(32);
        assert!(blocks * 32 > SMALLEST);
        assert!(build(&many, blocks * 32 * LARGEST_PART - 1).unwrap().is_empty());
        assert!(!build(&many, blocks * 32 * LARGEST_PART).unwrap().is_empty());
        assert!(!build(&lists(3000), 0).unwrap().is_empty());
    }

    #[test]
    fn how_it_is_cut_follows_from_its_bytes() {
        for blocks in (1..300).chain([1269, 1270, 1271, 18_750]) {
            let pages = usize::div_ceil(blocks, PAGE_BLOCKS);
            let page = usize::div_ceil(blocks, pages) * BLOCK_BYTES + CHECKSUM_BYTES;
            let place = BloomPlace { offset: 100, length: u32::try_from(pages * page).unwrap(), checksum: 0 };
            assert_eq!((place.pages(), place.page_bytes().unwrap()), (pages, page), "{blocks}");
            let last = place.page(pages - 1).unwrap();
            assert_eq!((last.end, last.end - last.start), (place.range().end, page as u64), "{blocks}");
            assert!(place.page(pages).is_err(), "{blocks}");
        }
    }

    #[test]
    fn it_is_read_as_it_was_written_and_not_where_it_is_damaged_or_lies_nowhere() {
        let all = lists(3000);
        let bytes = build(&all, 1 << 30).unwrap();
        let place = BloomPlace::of(&bytes, 100);
        let pages = place.all_pages(&bytes).unwrap();
        assert!(has(&pages, &all).unwrap());
        assert!(!has(&pages, &lists(6000)).unwrap());
        let page = |number: usize| {
            let range = place.page(number).unwrap();
            usize::try_from(range.start).unwrap() - 100..usize::try_from(range.end).unwrap() - 100
        };
        assert!(BloomPage::decode(1, &bytes[page(1)]).is_ok());
        // Another page, or bytes that have changed.
        assert!(BloomPage::decode(0, &bytes[page(1)]).is_err());
        for at in [0, bytes.len() / 2 - 1, bytes.len() / 2, bytes.len() - 1] {
            let mut changed = bytes.clone();
            changed[at] ^= 1;
            assert!(place.all_pages(&changed).is_err());
            let number = usize::from(at >= bytes.len() / 2);
            assert!(BloomPage::decode(number, &changed[page(number)]).is_err());
        }
        assert!(BloomPage::decode(0, &bytes[..7]).is_err());
        assert!(place.all_pages(&bytes[1..]).is_err());
        for (offset, length) in [(100, 0), (100, 7), (100, 9), (100, u32::MAX), (u64::MAX, place.length)] {
            let elsewhere = BloomPlace { offset, length, ..place };
            assert!(elsewhere.page(0).is_err(), "{offset} {length}");
            assert!(length == place.length || elsewhere.all_pages(&bytes).is_err(), "{offset} {length}");
            assert!(!elsewhere.excludes(&filter::src_node().eq("x"), |_| None));
        }
    }
}
