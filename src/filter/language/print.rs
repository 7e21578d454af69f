//! A filter as text that reads back as the same.

use std::fmt::{self, Display, Formatter, Write as _};

use super::lexer::{self, tokens};
use crate::{
    filter::{Filter, Operand, Pattern, Ranges, Set, Test},
    flow::{Address, Field, Kind, TcpFlags, Timestamp},
};

/// How tight a text holds together: what is looser than its surroundings stands in parentheses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Tightness {
    Or,
    And,
    Not,
}

/// As text that [`FromStr`](std::str::FromStr) reads back: another filter at times, but of the same
/// [normal form](Filter::normal).
///
/// ```
/// use flowseek::filter::{dst_port, src_ip};
///
/// let filter = dst_port().any_of([80, 443]).and(!src_ip().within("10.0.0.0/8".parse::<flowseek::flow::AddressRange>()?));
/// assert_eq!(filter.to_string(), "dst port in [80, 443] and not src ip 10.0.0.0-10.255.255.255");
/// # Ok::<(), flowseek::error::ParseError>(())
/// ```
impl Display for Filter {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let mut left = vec![Piece::Filter(self, Tightness::Or)];
        while let Some(piece) = left.pop() {
            let (filter, around) = match piece {
                Piece::Word(word) => {
                    f.write_str(word)?;
                    continue;
                }
                Piece::Filter(filter, around) => (filter, around),
            };
            let (parts, word, own) = match filter {
                Self::Test(test) => {
                    let (text, own) = test_text(test);
                    match own < around {
                        true => write!(f, "({text})")?,
                        false => f.write_str(&text)?,
                    }
                    continue;
                }
                Self::Not(part) => {
                    left.extend([Piece::Filter(part, Tightness::Not), Piece::Word("not ")]);
                    continue;
                }
                Self::And(parts) => (parts, " and ", Tightness::And),
                Self::Or(parts) => (parts, " or ", Tightness::Or),
            };
            match parts.as_slice() {
                [] => f.write_str(if own == Tightness::And { "any" } else { "not any" })?,
                [only] => left.push(Piece::Filter(only, around)),
                parts => {
                    let is_inside = own < around;
                    if is_inside {
                        f.write_str("(")?;
                        left.push(Piece::Word(")"));
                    }
                    // What is pushed last is written first.
                    for (place, part) in parts.iter().enumerate().rev() {
                        left.push(Piece::Filter(part, own));
                        left.extend((place > 0).then_some(Piece::Word(word)));
                    }
                }
            }
        }
        Ok(())
    }
}

/// Something that is still to be written.
enum Piece<'f> {
    Word(&'static str),
    Filter(&'f Filter, Tightness),
}

/// A test, and how tight its text is.
fn test_text(test: &Test) -> (String, Tightness) {
    if test.passes_absent() {
        let (text, own) = present_text(&test.negated());
        let text = if own < Tightness::Not { format!("not ({text})") } else { format!("not {text}") };
        return (text, Tightness::Not);
    }
    present_text(test)
}

/// A test that no absent value passes.
fn present_text(test: &Test) -> (String, Tightness) {
    let subject = subject(test.operand());
    match test.set() {
        Set::Numbers(ranges) if test.operand().kind() == Kind::Time => times(subject, ranges),
        Set::Numbers(ranges) => (list(subject, &ranges_of(test.operand(), ranges), true), Tightness::Not),
        Set::Texts { texts, listed } => {
            let quoted = texts.iter().map(|text| quoted(&escaped(text))).collect::<Vec<_>>();
            (list(subject, &quoted, *listed), Tightness::Not)
        }
        Set::Patterns { patterns, matched } => {
            let quoted = patterns.iter().map(|pattern: &Pattern| quoted(&pattern.to_string())).collect::<Vec<_>>();
            (list(subject, &quoted, *matched), Tightness::Not)
        }
        Set::Flags { masks, carried } => {
            let greatest = test.operand().greatest();
            let present = format!("{subject} in [0-{greatest}]");
            let masks: Vec<String> =
                masks.iter().map(|mask| format!("{subject} {}", flags(test.operand(), *mask))).collect();
            match (masks.as_slice(), carried) {
                ([], true) => (format!("{subject} in []"), Tightness::Not),
                ([], false) => (present, Tightness::Not),
                ([one], true) => (one.clone(), Tightness::Not),
                ([one], false) => (format!("{present} and not {one}"), Tightness::And),
                (several, true) => (several.join(" or "), Tightness::Or),
                (several, false) => (format!("{present} and not ({})", several.join(" or ")), Tightness::And),
            }
        }
    }
}

fn subject(operand: Operand) -> &'static str {
    let field = match operand {
        Operand::Bytes => return "bytes",
        Operand::Packets => return "packets",
        Operand::Duration => return "duration",
        Operand::Field(field) => field,
    };
    match field {
        Field::FlowId => "id",
        Field::StartTime => "start",
        Field::EndTime => "end",
        Field::Protocol => "proto",
        Field::SrcIp => "src ip",
        Field::DstIp => "dst ip",
        Field::SrcPort => "src port",
        Field::DstPort => "dst port",
        Field::SrcBytes => "src bytes",
        Field::DstBytes => "dst bytes",
        Field::TcpFlags => "flags",
        Field::SrcNode => "src node",
        Field::DstNode => "dst node",
        Field::NodeId => "nodeid",
        Field::ActivityId => "activity",
        Field::SrcPackets => "src packets",
        Field::DstPackets => "dst packets",
        Field::FlowFlags => "flowflags",
        Field::Meta => "meta",
    }
}

/// One value behind the subject, or several in a list.
fn list(subject: &str, values: &[String], listed: bool) -> String {
    match (values, listed, subject) {
        // `flags SA` would be all of these flags.
        ([one], true, "flags" | "flowflags") => format!("{subject} = {one}"),
        ([one], true, _) => format!("{subject} {one}"),
        ([one], false, _) => format!("{subject} != {one}"),
        (values, true, _) => format!("{subject} in [{}]", values.join(", ")),
        (values, false, _) => format!("{subject} not in [{}]", values.join(", ")),
    }
}

fn ranges_of(operand: Operand, ranges: &Ranges) -> Vec<String> {
    let greatest = operand.greatest();
    let value = |number: u128| match operand {
        Operand::Duration => format!("{number}ms"),
        _ if operand.kind() == Kind::Address => Address::from_bits(number).to_string(),
        _ => number.to_string(),
    };
    let within = ranges.as_slice().iter().filter(|(first, _)| *first <= greatest);
    let text = |(first, last): &(u128, u128)| match (*last).min(greatest) {
        last if last == *first => value(last),
        last => format!("{}-{}", value(*first), value(last)),
    };
    within.map(text).collect()
}

/// Times, of which there are no ranges in lists.
fn times(subject: &str, ranges: &Ranges) -> (String, Tightness) {
    let greatest = Field::StartTime.greatest();
    let (earliest, latest) = (u128::from(Timestamp::MIN.ordinal()), u128::from(Timestamp::MAX.ordinal()));
    let time = |ordinal: u128| {
        let ordinal = u64::try_from(ordinal.clamp(earliest, latest)).unwrap_or(u64::MAX);
        Timestamp::from_millis(Timestamp::ordinal_millis(ordinal)).unwrap_or(Timestamp::MIN)
    };
    // No time lies before the earliest or after the latest, but a range may end there: `start < ` the earliest.
    let from = |first: u128| match first > latest {
        true => format!("{subject} > {}", time(latest)),
        false => format!("{subject} >= {}", time(first)),
    };
    let to = |last: u128| match last < earliest {
        true => format!("{subject} < {}", time(earliest)),
        false => format!("{subject} <= {}", time(last)),
    };
    let part = |(first, last): &(u128, u128)| match (*first == 0, *last >= greatest) {
        // Any time there is: no bound of one side says that.
        (true, true) => format!("{} or {subject} > {}", to(earliest), time(earliest)),
        (true, false) => to(*last),
        (false, true) => from(*first),
        (false, false) if first == last => format!("{subject} = {}", time(*first)),
        (false, false) => format!("{} and {}", from(*first), to(*last)),
    };
    let within: Vec<(u128, u128)> = ranges.as_slice().iter().filter(|(first, _)| *first <= greatest).copied().collect();
    match within.as_slice() {
        [] => ("not any".to_owned(), Tightness::Not),
        [one @ (first, last)] => {
            let tightness = match (*first == 0, *last >= greatest) {
                (true, true) => Tightness::Or,
                (false, false) if first != last => Tightness::And,
                _ => Tightness::Not,
            };
            (part(one), tightness)
        }
        several => (several.iter().map(part).collect::<Vec<_>>().join(" or "), Tightness::Or),
    }
}

fn flags(operand: Operand, mask: u64) -> String {
    let Some(mask) = u8::try_from(mask).ok().filter(|mask| *mask > 0 && operand == Operand::Field(Field::TcpFlags))
    else {
        return mask.to_string();
    };
    let names = TcpFlags::NAMES.iter().enumerate().filter(|(bit, _)| mask >> bit & 1 != 0);
    names.map(|(_, name)| *name).collect::<Vec<_>>().join("+")
}

/// A name as a word of the language, in quotes where it has to be.
pub(crate) fn word(name: &str) -> String {
    let escaped = escaped(name);
    match tokens(&escaped).as_slice() {
        [one, _] if one.kind == lexer::Kind::Word && one.span == (0..escaped.len()) => escaped,
        _ => quoted(&escaped),
    }
}

/// A name of which no character is a wildcard.
fn escaped(name: &str) -> String {
    name.chars().fold(String::with_capacity(name.len()), |mut out, char| {
        if matches!(char, '*' | '?' | '\\') {
            out.push('\\');
        }
        out.push(char);
        out
    })
}

/// A pattern in quotes.
fn quoted(pattern: &str) -> String {
    let mut out = String::with_capacity(pattern.len() + 2);
    out.push('"');
    let mut is_escaped = false;
    for char in pattern.chars() {
        if char == '"' && !is_escaped {
            out.push('\\');
        }
        is_escaped = char == '\\' && !is_escaped;
        // Memory takes every character.
        let _ = out.write_char(char);
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::filter::{
        self,
        sample::{narrow, wide},
    };

    proptest! {
        #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

        #[test]
        fn a_filter_that_is_displayed_reads_back_as_the_same(filter in prop_oneof![3 => narrow(), 1 => wide()]) {
            let normal = filter.normal();
            for written in [&filter, &normal] {
                let text = written.to_string();
                let read: Filter = text.parse().map_err(|error| TestCaseError::fail(format!("{text}\n{error}")))?;
                prop_assert_eq!(read.normal(), normal.clone(), "{}", text);
                // The text of what was read is the same once more.
                prop_assert_eq!(read.normal().to_string(), normal.to_string());
            }
        }

        #[test]
        fn every_name_is_written_so_that_it_is_read(name in r#"[a"'\\*?# ()\[\],=!ü\n]{1,8}"#) {
            let filter = filter::src_node().eq(name.clone());
            prop_assert_eq!(filter.to_string().parse::<Filter>().unwrap().normal(), filter.normal());
        }
    }
}
