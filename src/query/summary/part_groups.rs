//! The groups of the rows that a thread adds up.
//!
//! Where the values of the rows have few codes, there are sums for each code, or for each pair of codes: these are added to
//! the groups of all threads when other codes come or the thread is through, for which each value is hashed once and not for
//! each of its rows. Where there are more codes than rows, the rows themselves are.

use arrow::array::ArrayRef;

use super::{
    codes::{Coded, Codes},
    entries::{Counted, Entry},
    shared::SharedGroups,
    sums::{Known, Numbers, Sums},
};
use crate::{
    error::Result,
    flow::{Field, ValueRef},
    segment::PartRows,
};

/// So many entries are handed over in one go: more would not lie in the cache of a processor.
const HANDED: usize = 1 << 14;
/// Sums of so many rows fit into 64 bits, whose bytes are below [`NARROW`].
const NARROW_ROWS: usize = 1 << 24;
/// See [`NARROW_ROWS`].
const NARROW: u64 = 1 << 40;
/// So many sums are few for any number of rows.
const FEW: usize = 1 << 10;

/// Groups of rows, on their way to those of all threads.
#[derive(Debug)]
pub(in crate::query) struct PartGroups<'a> {
    shared: &'a SharedGroups,
    /// Of each field that flows are grouped by.
    codes: Vec<Codes>,
    /// How many rows come of one part.
    rows: usize,
    /// The sums of each code of the only field; or of each pair of codes, those with the same first one side by side.
    sums: Vec<Narrow>,
    /// How many sums lie side by side: one for each code of the second field, and some for others to come.
    width: usize,
    /// How many rows are in the sums.
    summed: usize,
    entries: Vec<Entry>,
}

/// What flows with few bytes add up to.
#[derive(Clone, Copy, Debug, Default)]
struct Narrow {
    source: u64,
    dest: u64,
    flows: u32,
    known: Known,
}

impl<'a> PartGroups<'a> {
    /// None as yet.
    pub(in crate::query) fn new(shared: &'a SharedGroups) -> Self {
        Self {
            shared,
            codes: shared.words().iter().map(|words| Codes::new(words.field())).collect(),
            rows: 0,
            sums: Vec::new(),
            width: 1,
            summed: 0,
            entries: Vec::new(),
        }
    }

    /// A part of so many rows comes next.
    pub(in crate::query) fn expect(&mut self, rows: usize) {
        self.rows = rows;
    }

    /// Adds some rows of a page, of which `keys` are the columns.
    pub(in crate::query) fn add(&mut self, keys: &[&ArrayRef], rows: &PartRows, numbers: &Numbers<'_>) -> Result<()> {
        if !self.codes.iter().zip(keys).all(|(codes, page)| codes.knows(page)) {
            self.hand_sums()?;
            self.width = 1;
            let codes = self.codes.iter_mut().zip(keys).filter(|(codes, page)| !codes.knows(page));
            codes.for_each(|(codes, _)| *codes = codes.renewed());
        }
        let coded = self.codes.iter_mut().zip(keys).zip(self.shared.words());
        let coded = coded.map(|((codes, page), words)| codes.of(page, rows, words)).collect::<Result<Vec<_>>>()?;
        let is_narrow = [&numbers.source, &numbers.dest]
            .iter()
            .all(|numbers| numbers.iter().fold(0, |all, number| all | number) < NARROW);
        let width = self.codes.get(1).map_or(1, |codes| codes.len().next_power_of_two().max(self.width));
        let sums = self.codes.first().map_or(0, Codes::len).saturating_mul(width);
        if !is_narrow || rows.len() > NARROW_ROWS || sums > FEW.max(2 * self.rows).max(self.sums.len()) {
            return self.list(&coded, rows.len(), numbers);
        }
        match coded.as_slice() {
            [Coded::Places(codes)] => {
                self.sum(codes.iter().map(|code| usize::from(*code)), (rows.len(), width), numbers)
            }
            [Coded::Codes(codes)] => self.sum(codes.iter().map(|code| *code as usize), (rows.len(), width), numbers),
            [Coded::Places(first), Coded::Places(second)] => self.sum_pairs(first, second, width, numbers),
            [Coded::Places(first), Coded::Codes(second)] => self.sum_pairs(first, second, width, numbers),
            [Coded::Codes(first), Coded::Places(second)] => self.sum_pairs(first, second, width, numbers),
            [Coded::Codes(first), Coded::Codes(second)] => self.sum_pairs(first, second, width, numbers),
            coded => self.list(coded, rows.len(), numbers),
        }
    }

    /// Adds flows whose values are those of `value`.
    pub(in crate::query) fn count<'v>(&mut self, value: impl Fn(Field) -> Option<ValueRef<'v>>, flows: u64) {
        self.sums_of(value, &Sums { flows, ..Sums::default() });
    }

    /// Adds what flows add up to whose values are those of `value`.
    pub(in crate::query) fn sums_of<'v>(&mut self, value: impl Fn(Field) -> Option<ValueRef<'v>>, sums: &Sums) {
        let mut key = [0; 2];
        let of_fields = self.shared.words().iter().map(|words| words.word(value(words.field())));
        key.iter_mut().zip(of_fields).for_each(|(key, word)| *key = word);
        let Sums { mut flows, known, mut source, mut dest } = *sums;
        // Large sums are added in several turns.
        loop {
            let [first, second] = [source, dest].map(|bytes| u64::try_from(bytes).unwrap_or(u64::MAX));
            self.entries.push(Entry { key, counted: Counted::new(flows, known), source: first, dest: second });
            (flows, source, dest) = (0, source - u128::from(first), dest - u128::from(second));
            if source == 0 && dest == 0 {
                break;
            }
        }
        self.hand_many();
    }

    /// Hands over what was added.
    pub(in crate::query) fn finish(mut self) -> Result<()> {
        self.hand_sums()?;
        self.shared.add(&self.entries);
        Ok(())
    }

    /// Adds rows to the sums of their pairs of codes.
    fn sum_pairs<A: Copy + Into<u32>, B: Copy + Into<u32>>(
        &mut self,
        first: &[A],
        second: &[B],
        width: usize,
        numbers: &Numbers<'_>,
    ) -> Result<()> {
        let pair = |(first, second): (&A, &B)| (*first).into() as usize * width + (*second).into() as usize;
        self.sum(first.iter().zip(second).map(pair), (first.len(), width), numbers)
    }

    /// Adds rows to the sums of their codes, of which `width` lie side by side.
    fn sum(
        &mut self,
        codes: impl Iterator<Item = usize>,
        (rows, width): (usize, usize),
        Numbers { source, dest, known: has }: &Numbers<'_>,
    ) -> Result<()> {
        if self.summed + rows > NARROW_ROWS || width != self.width {
            self.hand_sums()?;
        }
        self.summed += rows;
        self.width = width;
        let Self { sums, codes: known, .. } = self;
        sums.resize(known.first().map_or(0, Codes::len) * width, Narrow::default());
        if source.len() < rows || dest.len() < rows {
            codes.for_each(|code| sums.iter_mut().skip(code).take(1).for_each(|sums| sums.flows += 1));
            return Ok(());
        }
        let mut add = |code: usize, (source, dest): (&u64, &u64), known| {
            if let Some(sums) = sums.get_mut(code) {
                sums.flows += 1;
                sums.known = sums.known.or(known);
                sums.source += source;
                sums.dest += dest;
            }
        };
        let numbered = codes.zip(source.iter().zip(dest.iter()));
        match has {
            None => numbered.for_each(|(code, numbers)| add(code, numbers, Known::BOTH)),
            Some(has) => numbered.zip(has).for_each(|((code, numbers), known)| add(code, numbers, *known)),
        }
        Ok(())
    }

    /// Lists rows one by one.
    fn list(&mut self, coded: &[Coded<'_>], rows: usize, numbers: &Numbers<'_>) -> Result<()> {
        self.codes.iter_mut().zip(self.shared.words()).for_each(|(codes, words)| codes.expect(rows, words));
        let start = self.entries.len();
        let number = |numbers: &[u64], row: usize| numbers.get(row).copied().unwrap_or(0);
        let known = |row: usize| {
            numbers.known.as_ref().map_or(Known::BOTH, |known| known.get(row).copied().unwrap_or_default())
        };
        let entry = |row| Entry {
            key: [0; 2],
            counted: Counted::new(1, known(row)),
            source: number(&numbers.source, row),
            dest: number(&numbers.dest, row),
        };
        self.entries.extend((0..rows).map(entry));
        for (place, ((coded, codes), words)) in coded.iter().zip(&mut self.codes).zip(self.shared.words()).enumerate() {
            let keys = self.entries.iter_mut().skip(start).filter_map(|entry| entry.key.get_mut(place));
            match coded {
                Coded::Words(words) => keys.zip(words).for_each(|(key, word)| *key = *word),
                Coded::Places(places) => {
                    for (key, code) in keys.zip(places.iter()) {
                        *key = codes.word(usize::from(*code), words)?;
                    }
                }
                Coded::Codes(numbers) => {
                    for (key, code) in keys.zip(numbers) {
                        *key = codes.word(*code as usize, words)?;
                    }
                }
            }
        }
        self.hand_many();
        Ok(())
    }

    /// Turns sums into entries.
    fn hand_sums(&mut self) -> Result<()> {
        let summed = self.summed;
        self.codes.iter_mut().zip(self.shared.words()).for_each(|(codes, words)| codes.expect(summed, words));
        let (width, mut sums) = (self.width, std::mem::take(&mut self.sums));
        self.summed = 0;
        for (place, sums) in sums.iter().enumerate().filter(|(_, sums)| sums.flows > 0) {
            let codes = if self.codes.len() > 1 { [place / width, place % width] } else { [place, 0] };
            let mut key = [0; 2];
            for ((key, code), (known, words)) in
                key.iter_mut().zip(codes).zip(self.codes.iter_mut().zip(self.shared.words()))
            {
                *key = known.word(code, words)?;
            }
            let Narrow { source, dest, flows, known } = *sums;
            self.entries.push(Entry { key, counted: Counted::new(flows.into(), known), source, dest });
            self.hand_many();
        }
        sums.clear();
        self.sums = sums;
        Ok(())
    }

    fn hand_many(&mut self) {
        if self.entries.len() >= HANDED {
            self.shared.add(&self.entries);
            self.entries.clear();
        }
    }
}
