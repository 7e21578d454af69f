//! The groups of the rows that a thread adds up.
//!
//! Where the values of the rows have few codes, there are sums for each code, or for each pair of codes: these are added to
//! the groups of all threads when the part is through, for which each value is hashed once and not for each of its rows.
//! Where there are about as many codes as rows, the rows themselves are.

use arrow::array::ArrayRef;

use super::{
    accumulator::Sums,
    codes::{Coded, Codes},
    entries::Entry,
    shared::SharedGroups,
};
use crate::{
    error::Result,
    flow::{Field, ValueRef},
    segment::RowRanges,
};

/// So many entries are handed over in one go: more would not lie in the cache of a processor.
const HANDED: usize = 1 << 14;
/// Sums of so many rows fit into 64 bits, whose bytes are below [`NARROW`].
const NARROW_ROWS: usize = 1 << 16;
/// See [`NARROW_ROWS`].
const NARROW: u64 = 1 << 48;
/// So many sums are few for any number of rows.
const FEW: usize = 1 << 10;

/// Groups of a part, on their way to those of all threads.
#[derive(Debug)]
pub(in crate::query) struct PartGroups<'a> {
    shared: &'a SharedGroups,
    /// Of each field that flows are grouped by.
    codes: Vec<Codes>,
    /// How many rows the part has.
    rows: usize,
    /// The sums of each code of the only field; or of each pair of codes, those with the same first one side by side.
    sums: Vec<Narrow>,
    /// How many sums lie side by side.
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
}

impl<'a> PartGroups<'a> {
    /// Groups of a part of `rows` rows.
    pub(in crate::query) fn new(shared: &'a SharedGroups, rows: usize) -> Self {
        let (codes, entries) = (codes(shared), Vec::with_capacity(HANDED.min(rows)));
        Self { shared, codes, rows, sums: Vec::new(), width: 1, summed: 0, entries }
    }

    /// Adds some rows of a page, of which `keys` are the columns. `source` and `dest` are the bytes of each of the rows;
    /// they are empty where bytes are not added up.
    pub(in crate::query) fn add(
        &mut self,
        keys: &[&ArrayRef],
        rows: &RowRanges,
        (source, dest): (&[u64], &[u64]),
    ) -> Result<()> {
        if !self.codes.iter().zip(keys).all(|(codes, page)| codes.knows(page)) {
            self.hand_sums()?;
            self.codes = codes(self.shared);
        }
        let most = self.codes.iter().zip(keys).map(|(codes, page)| codes.most(page));
        let most = most.collect::<Option<Vec<_>>>();
        let coded = self.codes.iter_mut().zip(keys).zip(self.shared.words());
        let coded = coded.map(|((codes, page), words)| codes.of(page, rows, words)).collect::<Result<Vec<_>>>()?;
        let are_few = rows.len() <= NARROW_ROWS;
        let is_narrow =
            are_few && [source, dest].iter().all(|bytes| bytes.iter().fold(0, |all, bytes| all | bytes) < NARROW);
        let sums = most.as_ref().and_then(|most| most.iter().copied().reduce(usize::saturating_mul));
        if !is_narrow || !sums.is_some_and(|sums| self.is_worth(sums)) {
            return self.list(&coded, rows.len(), (source, dest));
        }
        match coded.as_slice() {
            [Coded::Places(first)] => {
                self.sum(first.iter().map(|place| usize::from(*place)), rows.len(), 1, (source, dest))
            }
            [Coded::Codes(first)] => self.sum(first.iter().map(|code| *code as usize), rows.len(), 1, (source, dest)),
            [first, second] if let (Some(first), Some(second)) = (first.codes(), second.codes()) => {
                let width = most.and_then(|most| most.last().copied()).unwrap_or(1);
                let pairs = first.iter().zip(second.iter());
                let pairs = pairs.map(|(first, second)| *first as usize * width + *second as usize);
                self.sum(pairs, rows.len(), width, (source, dest))
            }
            coded => self.list(coded, rows.len(), (source, dest)),
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
        let Sums { mut flows, mut source, mut dest } = *sums;
        // Large sums are added in several turns.
        loop {
            let [first, second] = [source, dest].map(|bytes| u64::try_from(bytes).unwrap_or(u64::MAX));
            self.entries.push(Entry { key, flows, source: first, dest: second });
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

    /// Whether so many sums are few for the rows of the part.
    fn is_worth(&self, sums: usize) -> bool {
        sums <= FEW.max(2 * self.rows)
    }

    /// Adds rows to the sums of their codes.
    fn sum(
        &mut self,
        codes: impl Iterator<Item = usize>,
        rows: usize,
        width: usize,
        (source, dest): (&[u64], &[u64]),
    ) -> Result<()> {
        if self.summed + rows > NARROW_ROWS {
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
        for (code, (source, dest)) in codes.zip(source.iter().zip(dest)) {
            if let Some(sums) = sums.get_mut(code) {
                sums.flows += 1;
                sums.source += source;
                sums.dest += dest;
            }
        }
        Ok(())
    }

    /// Lists rows one by one.
    fn list(&mut self, coded: &[Coded<'_>], rows: usize, (source, dest): (&[u64], &[u64])) -> Result<()> {
        let start = self.entries.len();
        let bytes = |bytes: &[u64], row: usize| bytes.get(row).copied().unwrap_or(0);
        let entry = |row| Entry { key: [0; 2], flows: 1, source: bytes(source, row), dest: bytes(dest, row) };
        self.entries.extend((0..rows).map(entry));
        for (place, ((coded, codes), words)) in coded.iter().zip(&mut self.codes).zip(self.shared.words()).enumerate() {
            let keys = self.entries.iter_mut().skip(start).filter_map(|entry| entry.key.get_mut(place));
            match coded {
                Coded::Words(words) => keys.zip(words).for_each(|(key, word)| *key = *word),
                coded => {
                    for (key, code) in keys.zip(coded.codes().unwrap_or_default().iter()) {
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
            let Narrow { source, dest, flows } = *sums;
            self.entries.push(Entry { key, flows: flows.into(), source, dest });
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

fn codes(shared: &SharedGroups) -> Vec<Codes> {
    shared.words().iter().map(|words| Codes::new(words.field())).collect()
}
