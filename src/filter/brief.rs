//! A filter as a short text, for explanations and errors.

use std::fmt::{self, Display, Formatter, Write as _};

use super::{Filter, Operand, Set, Test};
use crate::flow::{Address, Kind, Timestamp};

/// So many values of a list are written out.
const SHOWN: usize = 5;

impl Filter {
    /// Such as `protocol = 6 and (src_ip = 10.0.0.0..10.255.255.255 or dst_port = 22)`. Of long lists only the beginning is
    /// written: it is no language that could be read back.
    pub(crate) fn brief(&self) -> String {
        let mut text = String::new();
        // Memory takes every character.
        let _ = self.write_brief(&mut text);
        text
    }

    fn write_brief(&self, f: &mut String) -> fmt::Result {
        let mut left = vec![Piece::Filter(self)];
        while let Some(piece) = left.pop() {
            let (filter, is_part) = match piece {
                Piece::Word(word) => {
                    f.write_str(word)?;
                    continue;
                }
                Piece::Filter(filter) => (filter, false),
                Piece::Part(filter) => (filter, true),
            };
            let (parts, word, none) = match filter {
                Self::Test(test) => {
                    write!(f, "{test}")?;
                    continue;
                }
                Self::Not(part) => {
                    f.write_str("not (")?;
                    left.extend([Piece::Word(")"), Piece::Filter(part)]);
                    continue;
                }
                Self::And(parts) => (parts, " and ", "everything"),
                Self::Or(parts) => (parts, " or ", "nothing"),
            };
            if is_part {
                f.write_str("(")?;
                left.push(Piece::Word(")"));
            }
            if parts.is_empty() {
                f.write_str(none)?;
            }
            // What is pushed last is written first.
            for (place, part) in parts.iter().enumerate().rev() {
                left.push(Piece::Part(part));
                left.extend((place > 0).then_some(Piece::Word(word)));
            }
        }
        Ok(())
    }
}

/// Something that is still to be written.
enum Piece<'f> {
    Word(&'static str),
    Filter(&'f Filter),
    /// A filter among others: in parentheses where it has parts itself.
    Part(&'f Filter),
}

impl Display for Test {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(self.operand.name())?;
        match (self.set.constant(self.operand), self.absent) {
            (Some(false), true) => return f.write_str(" is absent"),
            (Some(true), false) => return f.write_str(" is present"),
            _ => {}
        }
        match &self.set {
            Set::Numbers(ranges) => {
                let ranges = ranges.as_slice();
                let range = |(first, last): &(u128, u128)| {
                    let last = (*last).min(self.operand.greatest());
                    if *first == last {
                        number(self.operand, last)
                    } else {
                        number(self.operand, *first) + ".." + &number(self.operand, last)
                    }
                };
                list(f, " = ", ranges.iter().map(range), ranges.len())?;
            }
            Set::Texts { texts, listed } => {
                list(
                    f,
                    if *listed { " = " } else { " != " },
                    texts.iter().map(|text| format!("{text:?}")),
                    texts.len(),
                )?;
            }
            Set::Flags { masks, carried } => {
                let word = if *carried { " has " } else { " lacks " };
                list(f, word, masks.iter().map(|mask| format!("{mask:#04x}")), masks.len())?;
            }
            Set::Patterns { patterns, matched } => {
                let word = if *matched { " like " } else { " not like " };
                list(f, word, patterns.iter().map(|pattern| format!("{:?}", pattern.to_string())), patterns.len())?;
            }
        }
        f.write_str(if self.absent { " or absent" } else { "" })
    }
}

fn number(operand: Operand, number: u128) -> String {
    match operand.kind() {
        Kind::Address => Address::from_bits(number).to_string(),
        Kind::Time => {
            let ordinal = u64::try_from(number).unwrap_or(u64::MAX);
            let time = Timestamp::from_millis(Timestamp::ordinal_millis(ordinal));
            let beyond = if ordinal < Timestamp::MIN.ordinal() { "the beginning of time" } else { "the end of time" };
            time.map_or_else(|| beyond.to_owned(), |time| time.to_string())
        }
        Kind::Number | Kind::Text => number.to_string(),
    }
}

fn list(f: &mut Formatter<'_>, word: &str, items: impl Iterator<Item = String>, length: usize) -> fmt::Result {
    f.write_str(word)?;
    for (place, item) in items.take(SHOWN).enumerate() {
        write!(f, "{}{item}", if place == 0 { "" } else { ", " })?;
    }
    match length.checked_sub(SHOWN) {
        Some(more @ 1..) => write!(f, " and {more} more"),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use crate::{
        filter,
        flow::{TcpFlags, Timestamp},
    };

    #[test]
    fn a_filter_is_told_in_words_that_stay_short() {
        let filter = filter::dst_port().eq(22).and(filter::src_node().ne("a"));
        assert_eq!(filter.brief(), "dst_port = 22 and src_node != \"a\"");
        let many = filter::dst_port().any_of((0..50).map(|port| port * 2));
        assert_eq!(many.brief(), "dst_port = 0, 2, 4, 6, 8 and 45 more");
        let neither = !filter::tcp_flags().carries_any([TcpFlags::new(2), TcpFlags::new(16)]);
        assert_eq!(neither.normal().brief(), "tcp_flags lacks 0x02, 0x10 or absent");
        let ended = filter::end_time().lte(Timestamp::MAX).or(filter::end_time().gt(Timestamp::MAX));
        assert_eq!(ended.normal().brief(), "end_time is present");
        assert_eq!((!ended).normal().brief(), "end_time is absent");
        let old = filter::start_time().lt(Timestamp::from_millis(0).unwrap());
        assert_eq!(old.brief(), "start_time = the beginning of time..1969-12-31T23:59:59.999Z");
    }
}
