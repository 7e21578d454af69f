//! Buckets of time.

use std::{collections::BTreeMap, time::Duration};

use super::{
    builder::{Every, MOST_BUCKETS},
    result::Bucket,
    sums::{Added, Sums},
};
use crate::{
    error::{Error, Result},
    flow::Timestamp,
};

/// The lengths that [`Every::Auto`] chooses from, in milliseconds. Each is a multiple of the one before, so that buckets of
/// one are put together to buckets of the next.
const LADDER: [i64; 18] = [
    1,
    10,
    100,
    SECOND,
    5 * SECOND,
    15 * SECOND,
    60 * SECOND,
    300 * SECOND,
    900 * SECOND,
    3600 * SECOND,
    10_800 * SECOND,
    43_200 * SECOND,
    DAY,
    7 * DAY,
    28 * DAY,
    364 * DAY,
    3640 * DAY,
    36_400 * DAY,
];
const SECOND: i64 = 1000;
const DAY: i64 = 86_400 * SECOND;
/// With [`Every::Auto`] there are at most so many.
const MOST_AUTO: i64 = 120;

/// What the flows of each bucket add up to.
#[derive(Clone, Debug)]
pub(super) struct Buckets {
    /// In milliseconds.
    length: i64,
    is_auto: bool,
    /// By their numbers: bucket 0 begins with 1970.
    sums: BTreeMap<i64, Sums>,
    /// The oldest and the newest start time of flows that match, as far as that was known before they were read.
    known: Option<(i64, i64)>,
}

impl Buckets {
    pub(super) fn new(every: Every) -> Self {
        let (length, is_auto) = match every {
            Every::Auto => (1, true),
            Every::Length(length) => (i64::try_from(length.as_millis()).unwrap_or(i64::MAX).max(1), false),
        };
        Self { length, is_auto, sums: BTreeMap::new(), known: None }
    }

    /// Others of the same length, in which there is nothing yet.
    pub(super) fn empty(&self) -> Self {
        Self { length: self.length, is_auto: self.is_auto, sums: BTreeMap::new(), known: None }
    }

    /// The bucket of a time.
    pub(super) fn number(&self, millis: i64) -> i64 {
        millis.div_euclid(self.length)
    }

    /// Whether all times from `oldest` to `newest` are in one bucket.
    pub(super) fn are_one(&self, (oldest, newest): (i64, i64)) -> bool {
        self.number(oldest) == self.number(newest)
    }

    /// When the bucket of a time begins, in milliseconds.
    pub(super) fn start(&self, millis: i64) -> i64 {
        self.number(millis).saturating_mul(self.length)
    }

    /// The starts of the buckets of some times, newest first, and how many of the times each has.
    pub(super) fn divide(&self, mut times: &[i64]) -> Vec<(i64, usize)> {
        let mut runs = Vec::new();
        while let Some(first) = times.first().copied() {
            // Those of a bucket lie together.
            let length = times.partition_point(|time| self.are_one((*time, first)));
            runs.push((self.start(first), length));
            times = times.get(length..).unwrap_or_default();
        }
        runs
    }

    /// Adds flows that began in the bucket of a time.
    pub(super) fn add(&mut self, millis: i64, sums: &Sums) {
        if sums.flows > 0 {
            self.sums.entry(self.number(millis)).or_default().add(sums);
            self.lengthen_where_many();
        }
    }

    /// There are flows that match and began at these times, the oldest and the newest of some that are still to be added.
    pub(super) fn expect(&mut self, (oldest, newest): (i64, i64)) {
        let (least, greatest) = self.known.unwrap_or((oldest, newest));
        self.known = Some((least.min(oldest), greatest.max(newest)));
        self.lengthen_where_many();
    }

    /// Adds others, maybe of another length.
    pub(super) fn merge(&mut self, mut others: Self) {
        let length = self.length.max(others.length);
        others.lengthen(length);
        self.lengthen(length);
        for (number, sums) in others.sums {
            self.sums.entry(number).or_default().add(&sums);
        }
        self.lengthen_where_many();
    }

    /// Whether they are not too many. Those of [`Every::Auto`] never are.
    pub(super) fn check(&self) -> Result<()> {
        let first_and_last = self.sums.first_key_value().zip(self.sums.last_key_value());
        let many = first_and_last.is_some_and(|((first, _), (last, _))| last - first >= MOST_BUCKETS as i64);
        if !many {
            return Ok(());
        }
        let length = Duration::from_millis(self.length.unsigned_abs());
        let problem = format!(
            "`every`: the flows that match begin in more than {MOST_BUCKETS} buckets of {length:?}; allowed: a longer one, \
             auto, or a shorter time between sTime and eTime"
        );
        Err(Error::invalid_query(vec![problem]))
    }

    pub(super) fn length(&self) -> Duration {
        Duration::from_millis(self.length.unsigned_abs())
    }

    /// All from the first to the last, those without flows, too.
    pub(super) fn finish(self, added: Added) -> Vec<Bucket> {
        let (Some((first, _)), Some((last, _))) = (self.sums.first_key_value(), self.sums.last_key_value()) else {
            return Vec::new();
        };
        let bucket = |number: i64| {
            let start = Timestamp::from_millis(number.saturating_mul(self.length)).unwrap_or(Timestamp::MIN);
            Bucket { start, totals: self.sums.get(&number).copied().unwrap_or_default().totals(added) }
        };
        (*first..=*last).map(bucket).collect()
    }

    /// Chooses the shortest length of the ladder with which the flows known of are in few buckets.
    fn lengthen_where_many(&mut self) {
        if !self.is_auto {
            return;
        }
        // A bucket begins in the same bucket of a greater length as each of its flows.
        let added = self.sums.first_key_value().zip(self.sums.last_key_value());
        let added = added.map(|((first, _), (last, _))| (first * self.length, last * self.length));
        let extents = || added.into_iter().chain(self.known);
        let (Some(oldest), Some(newest)) = (extents().map(|each| each.0).min(), extents().map(|each| each.1).max())
        else {
            return;
        };
        let are_few = |length: &i64| newest.div_euclid(*length) - oldest.div_euclid(*length) < MOST_AUTO;
        let length = LADDER.into_iter().filter(|length| *length >= self.length).find(are_few);
        self.lengthen(length.unwrap_or(self.length));
    }

    /// Puts buckets together to longer ones: `length` is a multiple of theirs.
    fn lengthen(&mut self, length: i64) {
        let times = length / self.length;
        if times > 1 {
            for (number, sums) in std::mem::take(&mut self.sums) {
                self.sums.entry(number.div_euclid(times)).or_default().add(&sums);
            }
            self.length = length;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;

    #[test]
    fn each_length_of_the_ladder_is_a_multiple_of_the_one_before_and_the_last_suffices() {
        assert!(LADDER.windows(2).all(|pair| pair[1] > pair[0] && pair[1] % pair[0] == 0));
        let all = (Timestamp::MIN.as_millis(), Timestamp::MAX.as_millis());
        let mut buckets = Buckets::new(Every::Auto);
        buckets.expect(all);
        assert!(buckets.number(all.1) - buckets.number(all.0) < MOST_AUTO);
    }

    proptest! {
        #[test]
        fn however_flows_are_shared_out_the_buckets_are_the_same(
            times in vec((-1i64 << 45..1 << 45, 0u32..40), 1..30),
            cut in any::<prop::sample::Index>(),
        ) {
            let one = Sums { flows: 1, ..Sums::default() };
            let times: Vec<i64> = times.iter().map(|(time, shift)| time >> shift).collect();
            let all = |times: &[i64]| {
                let mut buckets = Buckets::new(Every::Auto);
                times.iter().for_each(|time| buckets.add(*time, &one));
                buckets
            };
            let (left, right) = times.split_at(cut.index(times.len()));
            let mut merged = all(left);
            merged.merge(all(right));
            let whole = all(&times);
            let (oldest, newest) = (times.iter().min().unwrap(), times.iter().max().unwrap());
            let shortest = LADDER.into_iter().find(|length| newest.div_euclid(*length) - oldest.div_euclid(*length) < 120);
            prop_assert_eq!(Some(whole.length), shortest);
            prop_assert_eq!(merged.length(), whole.length());
            let added = Added { source: true, dest: true };
            prop_assert_eq!(merged.finish(added), whole.finish(added));
        }
    }
}
