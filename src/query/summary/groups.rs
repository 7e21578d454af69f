//! Groups of flows that have the same values.

use std::cmp::Ordering;

use arrow::array::ArrayRef;
use hashbrown::HashMap;

use super::{accumulator::Sums, builder::Measure, codes::Codes, result::Group};
use crate::{
    error::{Error, Result},
    flow::{Field, ValueRef},
    segment::RowRanges,
};

/// What the flows of each group add up to.
#[derive(Debug)]
pub(super) struct Groups {
    /// Of each field that flows are grouped by.
    codes: Vec<Codes>,
    /// By two fields, the place of the sums of a pair of codes. By one, the code is the place.
    pairs: HashMap<(u32, u32), u32>,
    sums: Vec<Sums>,
}

/// The codes of a group, and the place of its sums.
pub(super) type GroupPlace = ((u32, Option<u32>), usize);

impl Groups {
    pub(super) fn new(by: &[Field]) -> Self {
        Self::with(by.iter().map(|field| Codes::new(*field)).collect())
    }

    /// Groups that are soon added to others: several may have the same values.
    pub(super) fn passing(by: &[Field]) -> Self {
        Self::with(by.iter().map(|field| Codes::passing(*field)).collect())
    }

    fn with(codes: Vec<Codes>) -> Self {
        Self { codes, pairs: HashMap::new(), sums: Vec::new() }
    }

    /// About how many bytes of memory they take.
    pub(super) fn memory(&self) -> u64 {
        let codes: usize = self.codes.iter().map(Codes::memory).sum();
        (codes + self.pairs.allocation_size() + self.sums.capacity() * size_of::<Sums>()) as u64
    }

    /// Adds some rows of a page, of which `keys` are the columns. `source` and `dest` are the bytes of each of the rows;
    /// they are empty where bytes are not added up.
    pub(super) fn add(&mut self, keys: &[&ArrayRef], rows: &RowRanges, (source, dest): (&[u64], &[u64])) -> Result<()> {
        let codes = self.codes.iter_mut().zip(keys).map(|(codes, key)| codes.of(key, rows));
        let codes = codes.collect::<Result<Vec<_>>>()?;
        let bytes = |bytes: &[u64], place: usize| u128::from(bytes.get(place).copied().unwrap_or(0));
        let [first, others @ ..] = codes.as_slice() else { return Err(Error::internal("groups have no field")) };
        for (place, first) in first.iter().enumerate() {
            let second = others.first().and_then(|second| second.get(place)).copied();
            let sums = self.sums(*first, second);
            sums.flows += 1;
            sums.source += bytes(source, place);
            sums.dest += bytes(dest, place);
        }
        Ok(())
    }

    /// Adds flows whose values are those of `value`.
    pub(super) fn count<'v>(&mut self, value: impl Fn(Field) -> Option<ValueRef<'v>>, flows: u64) {
        let mut codes = self.codes.iter_mut().map(|codes| codes.code(value(codes.field())));
        if let Some(first) = codes.next() {
            let second = codes.next();
            self.sums(first, second).flows += flows;
        }
    }

    /// The sums of a group, by its codes.
    fn sums(&mut self, first: u32, second: Option<u32>) -> &mut Sums {
        let place = match second {
            None => first as usize,
            Some(second) => {
                let next = self.pairs.len() as u32;
                *self.pairs.entry((first, second)).or_insert(next) as usize
            }
        };
        if place >= self.sums.len() {
            self.sums.resize(place + 1, Sums::default());
        }
        #[expect(clippy::indexing_slicing, reason = "it was made so long that it has the place")]
        &mut self.sums[place]
    }

    /// Adds groups of others, by the same fields.
    pub(super) fn add_places(&mut self, others: &Self, places: &[GroupPlace]) {
        // By two fields, each value is looked up once.
        let mut renamed: Vec<Vec<u32>> = match others.codes.as_slice() {
            [_] => Vec::new(),
            codes => codes.iter().map(|codes| vec![u32::MAX; codes.len()]).collect(),
        };
        for (codes, place) in places {
            let mut own = [codes.0, codes.1.unwrap_or(0)];
            for (key, (code, (mine, theirs))) in
                own.iter_mut().zip(self.codes.iter_mut().zip(&others.codes)).enumerate()
            {
                match renamed.get_mut(key).and_then(|renamed| renamed.get_mut(*code as usize)) {
                    Some(known) if *known != u32::MAX => *code = *known,
                    Some(known) => {
                        *known = mine.code(theirs.value(*code));
                        *code = *known;
                    }
                    None => *code = mine.code(theirs.value(*code)),
                }
            }
            let sums = others.sums.get(*place).copied().unwrap_or_default();
            let [first, second] = own;
            self.sums(first, codes.1.map(|_| second)).add(&sums);
        }
    }

    /// The first value of a group.
    pub(super) fn first_value(&self, ((first, _), _): GroupPlace) -> Option<ValueRef<'_>> {
        self.codes.first().and_then(|codes| codes.value(first))
    }

    /// How many flows a group has.
    pub(super) fn flows(&self, (_, place): GroupPlace) -> u64 {
        self.sums.get(place).map_or(0, |sums| sums.flows)
    }

    /// The codes of each group, and the place of its sums.
    pub(super) fn places(&self) -> impl Iterator<Item = GroupPlace> {
        let is_pairs = self.codes.len() > 1;
        let pairs = self.pairs.iter().map(|((first, second), place)| ((*first, Some(*second)), *place as usize));
        let single = (0..if is_pairs { 0 } else { self.sums.len() }).map(|place| ((place as u32, None), place));
        pairs.chain(single)
    }

    /// The `top` groups that have most of `measure`, in their order.
    pub(super) fn top(&self, top: usize, measure: Measure, adds_bytes: bool) -> Vec<Group> {
        let amount = |sums: &Sums| match measure {
            Measure::Flows => sums.flows.into(),
            Measure::Bytes => sums.source.saturating_add(sums.dest),
            Measure::SourceBytes => sums.source,
            Measure::DestBytes => sums.dest,
        };
        let value = |key: usize, code: u32| self.codes.get(key).and_then(|codes| codes.value(code));
        let key = |codes: (u32, Option<u32>)| [value(0, codes.0), codes.1.and_then(|second| value(1, second))];
        let sums = |place: usize| self.sums.get(place).copied().unwrap_or_default();
        let mut found: Vec<(u128, (u32, Option<u32>), usize)> =
            self.places().map(|(codes, place)| (amount(&sums(place)), codes, place)).collect();
        let compare = |left: &(u128, (u32, Option<u32>), usize), right: &(u128, (u32, Option<u32>), usize)| {
            right.0.cmp(&left.0).then_with(|| compare_keys(&key(left.1), &key(right.1)))
        };
        if found.len() > top {
            found.select_nth_unstable_by(top, compare);
            found.truncate(top);
        }
        found.sort_unstable_by(compare);
        let group = |(_, codes, place): (u128, (u32, Option<u32>), usize)| Group {
            key: key(codes).into_iter().take(self.codes.len()).map(|value| value.map(ValueRef::to_owned)).collect(),
            totals: sums(place).totals(adds_bytes),
        };
        found.into_iter().map(group).collect()
    }
}

/// Ascending by value, absent ones last.
pub(super) fn compare_keys(left: &[Option<ValueRef<'_>>], right: &[Option<ValueRef<'_>>]) -> Ordering {
    let pairs = left.iter().zip(right).map(|(left, right)| match (left, right) {
        (Some(left), Some(right)) => left.cmp(right),
        (left, right) => right.is_some().cmp(&left.is_some()),
    });
    pairs.into_iter().find(|ordering| ordering.is_ne()).unwrap_or(Ordering::Equal)
}
