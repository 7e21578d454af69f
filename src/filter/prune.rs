//! The meaning of a filter for the bounds of many flows.

use std::ops::Bound::Included;

use super::{Filter, Ranges, Set, Test};
use crate::flow::{Field, Span, ValueRef};

/// Which flows of a block match, as far as its bounds tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Verdict {
    /// None.
    Never,
    /// Some may.
    Maybe,
    /// All.
    Always,
}

/// Bounds of the flows of a block. Wider than the truth is sound; narrower is not.
pub trait Bounds {
    /// The bounds of a field; `None` where nothing is known of it, which prunes nothing.
    fn field(&self, field: Field) -> Option<Span<'_>>;

    /// The OR and the AND of the TCP flags that are not absent.
    fn flag_masks(&self) -> (u8, u8);

    /// How many flows there are, where that is known.
    fn rows(&self) -> Option<u64> {
        None
    }

    /// How many flows pass a part of a filter, where that is known exactly.
    fn passing(&self, _part: &Filter) -> Option<u64> {
        None
    }
}

impl Filter {
    /// Which flows within `bounds` match.
    pub fn verdict(&self, bounds: &impl Bounds) -> Verdict {
        match (bounds.passing(self), bounds.rows()) {
            (Some(0), _) => return Verdict::Never,
            (Some(passing), Some(rows)) if passing == rows => return Verdict::Always,
            (Some(_), _) => return Verdict::Maybe,
            (None, _) => {}
        }
        match self {
            Self::Test(test) => test.verdict(bounds),
            Self::And(filters) => filters.iter().map(|filter| filter.verdict(bounds)).min().unwrap_or(Verdict::Always),
            Self::Or(filters) => filters.iter().map(|filter| filter.verdict(bounds)).max().unwrap_or(Verdict::Never),
            Self::Not(filter) => filter.verdict(bounds).signed(false),
        }
    }

    /// How many flows within `bounds` match, where that is known exactly.
    pub fn count(&self, bounds: &impl Bounds) -> Option<u64> {
        let rows = bounds.rows()?;
        if let Some(passing) = bounds.passing(self) {
            return Some(passing);
        }
        let counts = |filters: &[Self]| filters.iter().map(|filter| filter.count(bounds)).collect::<Vec<_>>();
        // Two counts do not tell how many flows pass both tests, nor how many pass either: at most one may be open.
        let only = |counts: Vec<Option<u64>>, neutral: u64, decisive: u64| {
            if counts.contains(&Some(decisive)) {
                return Some(decisive);
            }
            let mut open = counts.into_iter().filter(|count| *count != Some(neutral));
            match (open.next(), open.next()) {
                (None, _) => Some(neutral),
                (Some(count), None) => count,
                (Some(_), Some(_)) => None,
            }
        };
        match self {
            Self::Test(test) => match test.verdict(bounds) {
                Verdict::Never => Some(0),
                Verdict::Maybe => None,
                Verdict::Always => Some(rows),
            },
            Self::And(filters) => only(counts(filters), rows, 0),
            Self::Or(filters) => only(counts(filters), 0, rows),
            Self::Not(filter) => filter.count(bounds).map(|count| rows.saturating_sub(count)),
        }
    }
}

impl Test {
    fn verdict(&self, bounds: &impl Bounds) -> Verdict {
        let Some(field) = bounds.field(self.field) else {
            return Verdict::Maybe;
        };
        let present = field.values.map(|(least, greatest)| match &self.set {
            Set::Numbers(ranges) => numbers(ranges, least, greatest),
            Set::Texts { texts, listed } => {
                let (ValueRef::Text(least), ValueRef::Text(greatest)) = (least, greatest) else {
                    return Verdict::Maybe;
                };
                if least > greatest {
                    return Verdict::Maybe;
                }
                let mut within = texts.range::<str, _>((Included(least), Included(greatest)));
                let verdict = match within.next() {
                    None => Verdict::Never,
                    Some(_) if least == greatest => Verdict::Always,
                    Some(_) => Verdict::Maybe,
                };
                verdict.signed(*listed)
            }
            Set::Flags { masks, carried } => {
                let (any, all) = bounds.flag_masks();
                let verdict = masks.iter().map(|mask| match (all & mask == *mask, any & mask == *mask) {
                    (true, _) => Verdict::Always,
                    (false, true) => Verdict::Maybe,
                    (false, false) => Verdict::Never,
                });
                verdict.max().unwrap_or(Verdict::Never).signed(*carried)
            }
        });
        let absent = field.absent.then(|| exactly(self.absent));
        match (present, absent) {
            (Some(present), Some(absent)) if present != absent => Verdict::Maybe,
            (Some(verdict), _) | (None, Some(verdict)) => verdict,
            // No flow at all.
            (None, None) => Verdict::Never,
        }
    }
}

impl Verdict {
    fn signed(self, sign: bool) -> Self {
        match (self, sign) {
            (Self::Never, false) => Self::Always,
            (Self::Always, false) => Self::Never,
            (verdict, _) => verdict,
        }
    }
}

fn exactly(matches: bool) -> Verdict {
    if matches { Verdict::Always } else { Verdict::Never }
}

fn numbers(ranges: &Ranges, least: ValueRef<'_>, greatest: ValueRef<'_>) -> Verdict {
    let (ValueRef::Number(least), ValueRef::Number(greatest)) = (least, greatest) else {
        return Verdict::Maybe;
    };
    if ranges.covers(least, greatest) {
        Verdict::Always
    } else if ranges.overlaps(least, greatest) {
        Verdict::Maybe
    } else {
        Verdict::Never
    }
}
