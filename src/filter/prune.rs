//! The meaning of a filter for the bounds of many flows.

use std::ops::Bound::Included;

use super::{
    Filter, Operand, Pattern, Ranges, Set, Test,
    walk::{Meaning, evaluate},
};
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
        evaluate(self, &Verdicts(bounds))
    }

    /// How many flows within `bounds` match, where that is known exactly.
    pub fn count(&self, bounds: &impl Bounds) -> Option<u64> {
        evaluate(self, &Counts { bounds, rows: bounds.rows()? })
    }

    /// No flow matches that began before the first of these times or after the second, as far as the parts tell of which
    /// it must pass all: in milliseconds, as [ordinals](crate::flow::Timestamp::millis_ordinal).
    pub(crate) fn start_times(&self) -> (u64, u64) {
        let times = self.conjuncts().iter().filter_map(|part| match part {
            Self::Test(Test { operand: Operand::Field(Field::StartTime), set: Set::Numbers(times), .. }) => {
                Some(times.as_slice())
            }
            _ => None,
        });
        times.fold((0, u64::MAX), |(first, last), times| {
            let time = |time: u128| u64::try_from(time).unwrap_or(u64::MAX);
            let ends = times.first().zip(times.last()).map(|((begin, _), (_, end))| (time(*begin), time(*end)));
            let (begin, end) = ends.unwrap_or((u64::MAX, 0));
            (first.max(begin), last.min(end))
        })
    }
}

/// The verdicts of filters on flows within bounds.
struct Verdicts<'a, B>(&'a B);

impl<B: Bounds> Meaning for Verdicts<'_, B> {
    type Value = Verdict;

    fn test(&self, test: &Test) -> Verdict {
        test.verdict(self.0)
    }

    fn neutral(&self, all: bool) -> Verdict {
        exactly(all)
    }

    fn join(&self, all: bool, left: Verdict, right: Verdict) -> Verdict {
        if all { left.min(right) } else { left.max(right) }
    }

    fn not(&self, value: Verdict) -> Verdict {
        value.signed(false)
    }

    fn known(&self, part: &Filter) -> Option<Verdict> {
        let passing = self.0.passing(part)?;
        Some(match self.0.rows() {
            _ if passing == 0 => Verdict::Never,
            Some(rows) if passing == rows => Verdict::Always,
            _ => Verdict::Maybe,
        })
    }
}

/// How many of the flows within bounds match filters, where that is known.
struct Counts<'a, B> {
    bounds: &'a B,
    rows: u64,
}

impl<B: Bounds> Meaning for Counts<'_, B> {
    type Value = Option<u64>;

    fn test(&self, test: &Test) -> Option<u64> {
        match test.verdict(self.bounds) {
            Verdict::Never => Some(0),
            Verdict::Maybe => None,
            Verdict::Always => Some(self.rows),
        }
    }

    fn neutral(&self, all: bool) -> Option<u64> {
        Some(if all { self.rows } else { 0 })
    }

    fn join(&self, all: bool, left: Option<u64>, right: Option<u64>) -> Option<u64> {
        // Two counts do not tell how many flows pass both tests, nor how many pass either: at most one may be open.
        match (self.neutral(all), self.neutral(!all)) {
            (_, decisive) if left == decisive || right == decisive => decisive,
            (neutral, _) if left == neutral => right,
            (neutral, _) if right == neutral => left,
            _ => None,
        }
    }

    fn not(&self, value: Option<u64>) -> Option<u64> {
        value.map(|count| self.rows.saturating_sub(count))
    }

    fn known(&self, part: &Filter) -> Option<Option<u64>> {
        self.bounds.passing(part).map(Some)
    }
}

impl Test {
    fn verdict(&self, bounds: &impl Bounds) -> Verdict {
        let Some(field) = self.operand.span(bounds) else {
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
                let (any, all) = match self.field() {
                    Some(Field::TcpFlags) => {
                        let (any, all) = bounds.flag_masks();
                        (any.into(), all.into())
                    }
                    _ => flags_between(least, greatest),
                };
                let verdict = masks.iter().map(|mask| match (all & mask == *mask, any & mask == *mask) {
                    (true, _) => Verdict::Always,
                    (false, true) => Verdict::Maybe,
                    (false, false) => Verdict::Never,
                });
                verdict.max().unwrap_or(Verdict::Never).signed(*carried)
            }
            Set::Patterns { patterns, matched } => {
                let (ValueRef::Text(least), ValueRef::Text(greatest)) = (least, greatest) else {
                    return Verdict::Maybe;
                };
                if least > greatest {
                    return Verdict::Maybe;
                }
                let verdict = patterns.iter().map(|pattern| pattern_between(pattern, least, greatest));
                verdict.max().unwrap_or(Verdict::Never).signed(*matched)
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

impl Operand {
    /// Its bounds, of flows within these; `None` where nothing is known of them.
    fn span<'b>(self, bounds: &'b impl Bounds) -> Option<Span<'b>> {
        match self {
            Self::Field(field) => bounds.field(field),
            Self::Bytes => sum(bounds.field(Field::SrcBytes)?, bounds.field(Field::DstBytes)?),
            Self::Packets => sum(bounds.field(Field::SrcPackets)?, bounds.field(Field::DstPackets)?),
            Self::Duration => {
                let (start, end) = (bounds.field(Field::StartTime)?, bounds.field(Field::EndTime)?);
                let values = match (extent(start)?, extent(end)?) {
                    (Some((first, last)), Some((soonest, latest))) => {
                        Some((soonest.saturating_sub(last), latest.saturating_sub(first)))
                    }
                    _ => None,
                };
                Some(span(values, end.absent))
            }
        }
    }
}

type Extent = (u128, u128);

/// The least and the greatest number, where there are some; `None` of texts.
fn extent(span: Span<'_>) -> Option<Option<Extent>> {
    match span.values {
        Some((ValueRef::Number(least), ValueRef::Number(greatest))) => Some(Some((least, greatest))),
        Some(_) => None,
        None => Some(None),
    }
}

fn span<'b>(values: Option<Extent>, absent: bool) -> Span<'b> {
    Span { values: values.map(|(least, greatest)| (ValueRef::Number(least), ValueRef::Number(greatest))), absent }
}

/// The bounds of a sum. For example, of 5 to 9 or absent and 1 to 2: 1 to 11, as either may be alone where the other is absent.
fn sum<'b>(one: Span<'_>, other: Span<'_>) -> Option<Span<'b>> {
    let values = match (extent(one)?, extent(other)?) {
        (Some(first), Some(second)) => {
            let mut least = first.0.saturating_add(second.0);
            if one.absent {
                least = least.min(second.0);
            }
            if other.absent {
                least = least.min(first.0);
            }
            Some((least, first.1.saturating_add(second.1)))
        }
        (first, second) => first.or(second),
    };
    Some(span(values, (one.absent || one.values.is_none()) && (other.absent || other.values.is_none())))
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

/// Which names match from `least` to `greatest`. What begins with `edge-` is not less than that, and what is greater than all of
/// it does not begin with it.
fn pattern_between(pattern: &Pattern, least: &str, greatest: &str) -> Verdict {
    let prefix = pattern.prefix();
    if least == greatest {
        exactly(pattern.matches(least))
    } else if greatest < prefix || (least > prefix && !least.starts_with(prefix)) {
        Verdict::Never
    } else {
        Verdict::Maybe
    }
}

/// The OR and the AND of all numbers from `least` to `greatest`: they agree in the bits before the first in which these two
/// differ, and have all values of the others. From 0b1010 to 0b1011 these are 0b1011 and 0b1010.
fn flags_between(least: ValueRef<'_>, greatest: ValueRef<'_>) -> (u64, u64) {
    let (ValueRef::Number(least), ValueRef::Number(greatest)) = (least, greatest) else { return (u64::MAX, 0) };
    let bits = |number: u128| u64::try_from(number).unwrap_or(u64::MAX);
    let (least, greatest) = (bits(least), bits(greatest));
    let open = u64::MAX.checked_shr((least ^ greatest).leading_zeros()).unwrap_or(0);
    (greatest | open, least & !open)
}
