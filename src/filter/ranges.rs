//! Sets of numbers.

/// A set of numbers as inclusive ranges: sorted, disjoint, and never adjacent, so that equal sets are equal values.
///
/// ```
/// use flowseek::filter::Ranges;
///
/// let ports = Ranges::from_iter([(443, 443), (80, 88), (89, 90)]);
/// assert_eq!(ports.as_slice(), [(80, 90), (443, 443)]);
/// assert!(ports.contains(85) && !ports.contains(91));
/// assert!(ports.complement().contains(91));
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ranges(Vec<(u128, u128)>);

/// From inclusive pairs in any order; a pair whose first is above its last is empty.
impl FromIterator<(u128, u128)> for Ranges {
    fn from_iter<I: IntoIterator<Item = (u128, u128)>>(pairs: I) -> Self {
        let mut pairs: Vec<_> = pairs.into_iter().filter(|(first, last)| first <= last).collect();
        pairs.sort_unstable();
        let mut joined: Vec<(u128, u128)> = Vec::with_capacity(pairs.len());
        for (first, last) in pairs {
            match joined.last_mut() {
                Some((_, end)) if first <= end.saturating_add(1) => *end = last.max(*end),
                _ => joined.push((first, last)),
            }
        }
        Self(joined)
    }
}

impl Ranges {
    /// Every number.
    pub fn full() -> Self {
        Self(vec![(0, u128::MAX)])
    }

    /// The ranges, ascending.
    pub fn as_slice(&self) -> &[(u128, u128)] {
        &self.0
    }

    /// Whether the set is empty.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether it holds every number.
    pub fn is_full(&self) -> bool {
        self.0 == [(0, u128::MAX)]
    }

    /// Whether it holds `number`.
    pub fn contains(&self, number: u128) -> bool {
        self.overlaps(number, number)
    }

    /// Whether it holds any number from `first` to `last`.
    pub fn overlaps(&self, first: u128, last: u128) -> bool {
        self.at(first).is_some_and(|(start, _)| start <= last)
    }

    /// Whether it holds every number from `first` to `last`.
    pub fn covers(&self, first: u128, last: u128) -> bool {
        self.at(first).is_some_and(|(start, end)| start <= first && last <= end)
    }

    /// Every number that it does not hold.
    pub fn complement(&self) -> Self {
        let mut gaps = Vec::with_capacity(self.0.len() + 1);
        let mut next = Some(0);
        for &(first, last) in &self.0 {
            if let (Some(start), Some(end)) = (next, first.checked_sub(1))
                && start <= end
            {
                gaps.push((start, end));
            }
            next = last.checked_add(1);
        }
        gaps.extend(next.map(|start| (start, u128::MAX)));
        Self(gaps)
    }

    /// What either of the two holds.
    pub fn union(&self, other: &Self) -> Self {
        self.0.iter().chain(&other.0).copied().collect()
    }

    /// What both hold.
    pub fn intersection(&self, other: &Self) -> Self {
        self.complement().union(&other.complement()).complement()
    }

    /// What it holds up to `greatest`.
    pub(super) fn up_to(mut self, greatest: u128) -> Self {
        self.0.truncate(self.0.partition_point(|(first, _)| *first <= greatest));
        if let Some((_, last)) = self.0.last_mut() {
            *last = (*last).min(greatest);
        }
        self
    }

    /// The first range that does not end before `number`.
    fn at(&self, number: u128) -> Option<(u128, u128)> {
        self.0.get(self.0.partition_point(|(_, end)| *end < number)).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_obey_the_laws_of_sets() {
        let ends = [0, 1, 2, 5, u128::MAX - 1, u128::MAX];
        let pairs: Vec<_> = ends.iter().flat_map(|first| ends.map(|last| (*first, last))).collect();
        let sets: Vec<Ranges> = pairs.iter().flat_map(|a| pairs.iter().map(|b| Ranges::from_iter([*a, *b]))).collect();
        for set in &sets {
            assert_eq!(&set.complement().complement(), set);
            assert!(set.union(&set.complement()).is_full());
            assert!(set.intersection(&set.complement()).is_empty());
            for number in ends {
                assert_ne!(set.contains(number), set.complement().contains(number));
            }
            for &(first, last) in &pairs {
                if first <= last {
                    assert_eq!(set.covers(first, last), !set.complement().overlaps(first, last));
                }
            }
        }
    }
}
