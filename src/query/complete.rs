//! Values of an archive for the text of a filter.

use std::{collections::HashMap, time::Duration};

use super::Budget;
use crate::{
    archive::Snapshot,
    error::Result,
    filter::{self, Completion, Filter, Operand, Set, Test},
    flow::{Address, Field, Kind, Value},
};

/// Values, at most.
const MOST_VALUES: usize = 20;
/// What finding them may cost for each field, before those that were found so far are good enough.
const BUDGET: Budget = Budget::new(4_000_000, Duration::from_millis(100));

impl Snapshot {
    /// [`complete`](filter::complete), with values that occur: the ports, addresses, nodes or activity IDs that begin with what is
    /// there of one, at most 20, those first that most flows have. Where that takes longer than about 100 milliseconds, the
    /// values are those of the newest flows.
    ///
    /// # Errors
    /// As those of [`SummaryQuery::summary`](super::SummaryQuery::summary).
    ///
    /// ```
    /// use flowseek::Archive;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> flowseek::Result<()> {
    /// let snapshot = Archive::open("testdata/archive")?.snapshot()?;
    /// let text = "udp and dst port 5";
    /// let completion = snapshot.complete(text, text.len()).await?;
    /// assert_eq!(completion.values[..4], ["53", "5353", "547", "5355"]);
    /// let text = "tcp and dst ip 192.168.1";
    /// let completion = snapshot.complete(text, text.len()).await?;
    /// assert!(completion.values.iter().all(|address| address.starts_with("192.168.1")));
    /// # Ok(())
    /// # }
    /// ```
    pub async fn complete(&self, text: &str, position: usize) -> Result<Completion> {
        let mut completion = filter::complete(text, position);
        let typed = text.get(completion.span.clone()).unwrap_or_default().trim_start_matches(['"', '\'']);
        let mut counts: HashMap<String, u64> = HashMap::new();
        for field in &completion.fields {
            let Some(filter) = beginning_with(*field, typed) else { continue };
            let summary = self.summarize(filter).by([*field]).top(MOST_VALUES).flows_only().budget(BUDGET);
            for group in summary.summary().await?.groups {
                if let Some(Some(value)) = group.key.first() {
                    *counts.entry(word(*field, value)).or_default() += group.totals.flows;
                }
            }
        }
        let begins = |word: &str| {
            let word = word.trim_start_matches('"');
            word.get(..typed.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(typed))
        };
        let mut values: Vec<(String, u64)> = counts.into_iter().filter(|(value, _)| begins(value)).collect();
        values.sort_by(|(one, flows), (other, more)| more.cmp(flows).then_with(|| one.cmp(other)));
        completion.values = values.into_iter().map(|(value, _)| value).take(MOST_VALUES).collect();
        Ok(completion)
    }
}

/// A value as it is written in a filter.
fn word(field: Field, value: &Value) -> String {
    match value {
        Value::Text(name) => filter::word(name),
        Value::Number(bits) if field.kind() == Kind::Address => Address::from_bits(*bits).to_string(),
        Value::Number(number) => number.to_string(),
    }
}

/// The flows of which a value of a field may begin with this; `None` where none can.
fn beginning_with(field: Field, typed: &str) -> Option<Filter> {
    let names = match field {
        Field::SrcNode => filter::src_node(),
        Field::DstNode => filter::dst_node(),
        Field::NodeId => filter::node_id(),
        Field::ActivityId => filter::activity_id(),
        Field::SrcPort | Field::DstPort => return ports(typed).map(|ranges| within(field, ranges)),
        Field::SrcIp | Field::DstIp => return addresses(typed).map(|ranges| within(field, ranges)),
        _ => return None,
    };
    match typed {
        "" => Some(Filter::all()),
        // A pattern stands for names of its own.
        typed if typed.contains(['*', '?', '\\']) => None,
        typed => Some(names.starts_with(typed)),
    }
}

fn within(field: Field, ranges: Vec<(u128, u128)>) -> Filter {
    Filter::Test(Test::new(Operand::Field(field), Set::Numbers(ranges.into_iter().collect())))
}

fn ports(typed: &str) -> Option<Vec<(u128, u128)>> {
    let ranges = beginnings(typed, 10, u16::MAX.into())?;
    Some(ranges.into_iter().map(|(first, last)| (first.into(), last.into())).collect())
}

/// The numbers whose digits begin with these, written without leading zeros, as ranges: of `25` up to 255, these are 25 and 250 to
/// 255.
fn beginnings(digits: &str, base: u32, greatest: u32) -> Option<Vec<(u32, u32)>> {
    if digits.is_empty() {
        return Some(vec![(0, greatest)]);
    }
    if !digits.chars().all(|char| char.is_digit(base)) || digits.len() > 5 {
        return None;
    }
    let number = u32::from_str_radix(digits, base).ok()?;
    let (mut first, mut last) = (number, number);
    let mut ranges = Vec::new();
    while first <= greatest {
        ranges.push((first, last.min(greatest)));
        if number == 0 {
            break;
        }
        (first, last) = (first * base, last * base + base - 1);
    }
    // With a leading zero no number is written.
    (digits.len() == 1 || !digits.starts_with('0')).then_some(ranges)
}

/// The addresses whose text begins with this, and maybe others.
fn addresses(typed: &str) -> Option<Vec<(u128, u128)>> {
    if matches!(typed, "" | ":") {
        return Some(vec![(0, u128::MAX)]);
    }
    let four = parted(typed, '.', 10, 8, 4).unwrap_or_default();
    let mapped = four.into_iter().map(|(first, last)| (first | V4, last | V4));
    // Behind `::` it is not known which groups follow.
    let six = match typed.split_once("::") {
        Some(("", _)) => vec![(0, u128::MAX)],
        Some((head, _)) => parted(&format!("{head}:"), ':', 16, 16, 8).unwrap_or_default(),
        None => parted(typed, ':', 16, 16, 8).unwrap_or_default(),
    };
    let ranges: Vec<(u128, u128)> = mapped.chain(six).collect();
    (!ranges.is_empty()).then_some(ranges)
}

/// The first bits of an IPv4 address that is mapped to one of IPv6.
const V4: u128 = 0xffff_0000_0000;

/// The numbers of `count` parts of so many bits whose text, with `sign` between the parts, begins with this, as ranges. For
/// example, `10.2` are the addresses from 10.2.0.0 to 10.2.255.255, from 10.20.0.0 to 10.29.255.255, and from 10.200.0.0 to
/// 10.255.255.255.
fn parted(typed: &str, sign: char, base: u32, bits: u32, count: u32) -> Option<Vec<(u128, u128)>> {
    let greatest = (1u32 << bits) - 1;
    let parts: Vec<&str> = typed.split(sign).collect();
    let (last, whole) = parts.split_last()?;
    let mut left = count.checked_sub(u32::try_from(whole.len()).ok()?)?;
    let mut before = 0u128;
    for part in whole {
        let number = u32::from_str_radix(part, base).ok().filter(|number| *number <= greatest)?;
        before = before << bits | u128::from(number);
    }
    left = left.checked_sub(1)?;
    let rest = left * bits;
    let range = |(first, last): (u32, u32)| {
        let begin = |number: u32| (before << bits | u128::from(number)) << rest;
        (begin(first), begin(last) | ((1u128 << rest) - 1))
    };
    Some(beginnings(last, base, greatest)?.into_iter().map(range).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_hold_the_numbers_that_begin_with_these_digits() {
        for (base, greatest) in [(10, 255), (10, 65_535), (16, 65_535)] {
            let text = |number: u32| if base == 10 { number.to_string() } else { format!("{number:x}") };
            for digits in ["", "0", "1", "25", "6", "655", "65536", "00", "9"] {
                let ranges = beginnings(digits, base, greatest).unwrap_or_default();
                let expected = |number: &u32| text(*number).starts_with(digits);
                let found = |number: &u32| ranges.iter().any(|(first, last)| (first..=last).contains(&number));
                let wrong = (0..=greatest).find(|number| expected(number) != found(number));
                assert_eq!(wrong, None, "{digits} in base {base} up to {greatest}");
            }
        }
        assert_eq!(beginnings("x", 10, 255), None);
    }

    #[test]
    fn ranges_hold_the_addresses_that_begin_with_a_text() {
        let holds = |typed: &str, address: &str| {
            let bits = address.parse::<Address>().unwrap().to_bits();
            addresses(typed).unwrap_or_default().iter().any(|(first, last)| (*first..=*last).contains(&bits))
        };
        for address in ["10.2.3.4", "10.25.0.255", "255.255.255.255", "2001:db8::1", "fe80::1:2:3:4", "::1"] {
            for end in 0..=address.len() {
                assert!(holds(&address[..end], address), "{}", &address[..end]);
            }
        }
        for (typed, address) in
            [("10.2", "10.3.0.0"), ("10.2.", "10.20.0.0"), ("2001:d", "2001:e00::1"), ("1", "20.0.0.1")]
        {
            assert!(!holds(typed, address), "{typed}");
        }
        for typed in ["x", "10.0.0.0/8", "1.2.3.4.5", "300.1"] {
            assert_eq!(addresses(typed), None, "{typed}");
        }
    }
}
