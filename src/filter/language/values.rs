//! What words are as values; the reason why one is none says what is expected.

use std::{net::IpAddr, time::Duration};

use crate::{
    decimal::Decimal,
    filter::{Pattern, Ranges},
    flow::{Address, AddressRange, Instant, MAX_TEXT_BYTES, Protocol, TcpFlags, protocol_named},
};

/// A range of numbers: the first and the last.
pub(super) type Range = (u128, u128);

pub(super) const PORT: &str = "a port from 0 to 65535, or a range such as 8000-8999";
pub(super) const ADDRESS: &str = "an address, or a block such as 10.0.0.0/8";
pub(super) const PROTOCOL: &str = "a protocol: its name, or a number from 0 to 255";
pub(super) const SIZE: &str = "a whole number, such as 1500, 1.5M (k, M, G, T: powers of 1000) or 64Ki (of 1024)";
pub(super) const LENGTH: &str = "a length of time with its unit, such as 500ms, 10s, 1.5m, 1h30m or 7d";
pub(super) const TIME: &str = "a time, such as 2026-01-01T00:00:00Z or Unix seconds";
pub(super) const FLAGS: &str = "TCP flags: letters of UAPRSF, E and C, or X for all but these two, SYN+ACK, 18 or 0x12";
pub(super) const NAME: &str =
    "a name of 1 to 255 bytes, in quotes where it has blanks; * and ? stand for any characters";
pub(super) const NUMBER: &str = "a whole number";

/// Numbers, or a range of two of them with a hyphen between.
fn range(text: &str, number: impl Fn(&str) -> Option<u128>) -> Option<Range> {
    if let Some(number) = number(text) {
        return Some((number, number));
    }
    let (first, last) = text.split_once('-')?;
    let (first, last) = (number(first)?, number(last)?);
    (first <= last).then_some((first, last))
}

fn up_to(text: &str, greatest: u128) -> Option<u128> {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|number| is_number && *number <= greatest)
}

pub(super) fn ports(text: &str) -> Option<Range> {
    range(text, |text| up_to(text, u16::MAX.into()))
}

pub(super) fn numbers(text: &str) -> Option<Range> {
    range(text, |text| up_to(text, u64::MAX.into()))
}

/// The protocols that a name or a number means: `unknown` is every one but TCP, UDP and ICMP, as in the endpoint's parameter.
pub(super) fn protocols(text: &str) -> Option<Vec<Range>> {
    if text.eq_ignore_ascii_case(Protocol::UNKNOWN.name()) {
        let named = Protocol::NAMED.map(|protocol| u128::from(protocol.number()));
        let named: Ranges = named.into_iter().map(|number| (number, number)).collect();
        let all: Ranges = [(0, u128::from(u8::MAX))].into_iter().collect();
        return Some(named.complement().intersection(&all).as_slice().to_vec());
    }
    if let Some(range) = range(text, |text| up_to(text, u8::MAX.into())) {
        return Some(vec![range]);
    }
    let number = u128::from(protocol_named(text)?.number());
    Some(vec![(number, number)])
}

/// An address, a block, or two addresses with a hyphen between.
pub(super) fn addresses(text: &str) -> Result<Range, String> {
    let bits = |range: AddressRange| (range.first().to_bits(), range.last().to_bits());
    if let Some((first, last)) = text.split_once('-') {
        let ends = first.parse::<Address>().ok().zip(last.parse::<Address>().ok());
        let range = ends.map(|(first, last)| (first.to_bits(), last.to_bits()));
        return range.filter(|(first, last)| first <= last).ok_or_else(|| ADDRESS.to_owned());
    }
    text.parse::<AddressRange>().map(bits).map_err(|reason| match text.contains('/') {
        // Of a block it says which part is wrong.
        true => format!("{ADDRESS} ({reason})"),
        false => ADDRESS.to_owned(),
    })
}

/// A block that is told by its first address and a mask, as nfdump writes it: `10.0.0.0 255.0.0.0`.
pub(super) fn masked(address: &str, mask: &str) -> Option<Range> {
    let (Ok(IpAddr::V4(address)), Ok(IpAddr::V4(mask))) = (address.parse(), mask.parse()) else { return None };
    let bits = mask.to_bits();
    let prefix = bits.leading_ones();
    (bits.checked_shl(prefix).unwrap_or(0) == 0).then(|| addresses(&format!("{address}/{prefix}")).ok()).flatten()
}

const UNITS: [(&str, u64); 8] = [
    ("Ki", 1 << 10),
    ("Mi", 1 << 20),
    ("Gi", 1 << 30),
    ("Ti", 1 << 40),
    ("k", 1_000),
    ("M", 1_000_000),
    ("G", 1_000_000_000),
    ("T", 1_000_000_000_000),
];

/// A number with a unit or none, or a range of two.
pub(super) fn sizes(text: &str) -> Option<Range> {
    range(text, size)
}

fn size(text: &str) -> Option<u128> {
    let unit = UNITS.iter().find_map(|(unit, size)| {
        let (number, suffix) = text.split_at_checked(text.len().checked_sub(unit.len())?)?;
        suffix.eq_ignore_ascii_case(unit).then_some((number, *size))
    });
    let (number, unit) = unit.unwrap_or((text, 1));
    if unit == 1 && number.bytes().all(|byte| byte.is_ascii_digit()) {
        return number.parse().ok().filter(|number| *number <= 2 * u128::from(u64::MAX));
    }
    scaled(number, unit.into())
}

/// A decimal number times a unit, where that is whole and no more than the largest sum of two counters.
fn scaled(text: &str, unit: u128) -> Option<u128> {
    const DIGITS: u8 = 12;
    let is_plain = text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    let number = Decimal::parse(text).filter(|_| is_plain)?;
    let scale = 10u128.pow(DIGITS.into());
    let product = match number.cut(DIGITS) {
        Some((parts, true)) => u128::from(parts).checked_mul(unit)?,
        Some((_, false)) => return None,
        // Too large for so many digits after the point.
        None => u128::from(number.whole()?).checked_mul(unit)?.checked_mul(scale)?,
    };
    let size = product / scale;
    (product % scale == 0 && size <= 2 * u128::from(u64::MAX)).then_some(size)
}

const SPANS: [(&str, u64); 5] = [("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];

/// Lengths of time in milliseconds, or a range of two.
pub(super) fn lengths(text: &str) -> Option<Range> {
    range(text, |text| length(text).map(|length| length.as_millis()))
}

/// A length of time, such as `1h30m`: each unit after a larger one.
pub(super) fn length(text: &str) -> Option<Duration> {
    let (mut rest, mut sum, mut before) = (text, 0u128, u64::MAX);
    while !rest.is_empty() {
        let (number, tail) = rest.split_at_checked(rest.find(|char: char| char.is_ascii_alphabetic())?)?;
        let end = tail.find(|char: char| !char.is_ascii_alphabetic()).unwrap_or(tail.len());
        let (unit, next) = tail.split_at_checked(end)?;
        let (_, millis) = SPANS.iter().find(|(name, _)| name.eq_ignore_ascii_case(unit))?;
        if *millis >= before {
            return None;
        }
        sum = sum.checked_add(scaled(number, u128::from(*millis))?)?;
        (before, rest) = (*millis, next);
    }
    let millis = u64::try_from(sum).ok().filter(|_| !text.is_empty())?;
    Some(Duration::from_millis(millis))
}

pub(super) fn time(text: &str) -> Result<Instant, String> {
    text.parse().map_err(|reason| format!("{TIME} ({reason})"))
}

/// Sets of TCP flags: letters, sums of names, or a number.
pub(super) fn flags(text: &str) -> Option<u8> {
    const LETTERS: [(char, u8); 9] = [
        ('F', 0x01),
        ('S', 0x02),
        ('R', 0x04),
        ('P', 0x08),
        ('A', 0x10),
        ('U', 0x20),
        ('E', 0x40),
        ('C', 0x80),
        ('X', 0x3f),
    ];
    if let Some(digits) = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        return u8::from_str_radix(digits, 16).ok();
    }
    if let Some(number) = up_to(text, u8::MAX.into()) {
        return u8::try_from(number).ok();
    }
    let named = text.split('+').map(TcpFlags::from_name).collect::<Option<Vec<_>>>();
    if let Some(named) = named {
        return Some(named.into_iter().fold(0, |sum, flag| sum | flag.bits()));
    }
    let letter = |char: char| LETTERS.iter().find(|(known, _)| char.eq_ignore_ascii_case(known)).map(|(_, bit)| *bit);
    text.chars().map(letter).try_fold(0, |sum, bit| Some(sum | bit?)).filter(|_| !text.is_empty())
}

/// A pattern of names, or a name where it has no `*` and no `?` without a backslash before it.
pub(super) fn name(text: &str) -> Option<Pattern> {
    let pattern: Pattern = text.parse().ok()?;
    pattern.literal().is_none_or(|name| name.len() <= MAX_TEXT_BYTES).then_some(pattern)
}
