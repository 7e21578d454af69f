//! The values of filters, one item of a list each.

use super::{number::whole_number, parameter::ParameterKind, problem::Wrong};
use crate::{
    filter::Ranges,
    flow::{AddressRange, FlowFlags, Instant, Protocol, TcpFlags},
};

/// The longest text of an address, a block or a time that is looked at, in bytes.
const MAX_ITEM_BYTES: usize = 64;

/// Reads Unix seconds or RFC 3339.
pub(super) fn instant(text: &str) -> Result<Instant, Wrong> {
    if text.len() > MAX_ITEM_BYTES {
        return Err(Wrong::value(text, "is not a time"));
    }
    unescaped(text).parse().map_err(Wrong::because)
}

/// Undoes what the form encoding makes of RFC 3339: a space before the time of day becomes `+`, and the `+` before an
/// offset, where it was decoded once too often, a space.
fn unescaped(text: &str) -> String {
    match (text.split_at_checked(10), text.rsplit_once(' ')) {
        (Some((date, time)), _) if date.contains('-') && time.starts_with('+') => text.replacen('+', "T", 1),
        (_, Some((time, offset))) if time.len() > 10 => format!("{time}+{offset}"),
        _ => text.to_owned(),
    }
}

/// Reads an address or a CIDR block.
pub(super) fn addresses(text: &str) -> Result<AddressRange, Wrong> {
    if text.len() > MAX_ITEM_BYTES {
        return Err(Wrong::value(text, "is not an IPv4 or IPv6 address"));
    }
    text.parse().map_err(Wrong::because)
}

/// Reads a port or a range of ports, as its first and last.
pub(super) fn ports(text: &str) -> Result<(u16, u16), Wrong> {
    let port = |text: &str| whole_number(ParameterKind::Ports.trim(text)).and_then(|number| u16::try_from(number).ok());
    if let Some(port) = port(text) {
        return Ok((port, port));
    }
    let Some((first, last)) = text.split_once('-').filter(|(first, _)| !first.is_empty()) else {
        return Err(Wrong::value(text, "is not a port"));
    };
    match (port(first), port(last)) {
        (Some(first), Some(last)) if first <= last => Ok((first, last)),
        (Some(_), Some(_)) => Err(Wrong::value(text, "ends before it begins")),
        _ => Err(Wrong::value(text, "is not a range of ports")),
    }
}

/// Reads a protocol's name or number, as the numbers that it stands for; `None` is all of them.
pub(super) fn protocol(text: &str) -> Result<Option<Ranges>, Wrong> {
    let numbers = |protocols: &[Protocol]| -> Ranges {
        protocols.iter().map(|protocol| (protocol.number().into(), protocol.number().into())).collect()
    };
    if text.eq_ignore_ascii_case("ALL") {
        return Ok(None);
    }
    if let Some(number) = whole_number(text).and_then(|number| u8::try_from(number).ok()) {
        return Ok(Some(numbers(&[Protocol::new(number)])));
    }
    match Protocol::from_name(text) {
        Some(Protocol::UNKNOWN) => Ok(Some(numbers(&Protocol::NAMED).complement())),
        Some(protocol) => Ok(Some(numbers(&[protocol]))),
        None => {
            let names = Protocol::NAMED.into_iter().chain([Protocol::UNKNOWN]).map(Protocol::name);
            Err(Wrong::value(text, "is not a protocol").meant(text, names))
        }
    }
}

/// Reads flags: names and numbers, a `+` or spaces between those of a sum.
pub(super) fn flags(text: &str) -> Result<TcpFlags, Wrong> {
    // An answer shows flags so. As a decimal number it would be another, valid set: 00000010 is SYN, not 10.
    if text.len() == 8 && text.bytes().all(|digit| matches!(digit, b'0' | b'1')) {
        return Err(Wrong::value(text, "looks like binary digits"));
    }
    let mut bits = 0;
    for term in text.split(|separator: char| separator == '+' || separator.is_whitespace()) {
        if !term.is_empty() {
            bits |= flag_term(term).ok_or_else(|| {
                Wrong::value(term, "is neither flags nor the name of one").meant(term, TcpFlags::NAMES.into_iter())
            })?;
        }
    }
    if bits == 0 { Err(Wrong::value(text, "holds no flag")) } else { Ok(TcpFlags::new(bits)) }
}

/// Reads a sum of flow flags.
pub(super) fn flow_flags(text: &str) -> Result<FlowFlags, Wrong> {
    match whole_number(text) {
        Some(0) => Err(Wrong::value(text, "holds no flag")),
        Some(bits) => Ok(FlowFlags::new(bits)),
        None => Err(Wrong::value(text, "is not a sum of flow flags")),
    }
}

fn flag_term(term: &str) -> Option<u8> {
    let number = match term.strip_prefix("0x").or_else(|| term.strip_prefix("0X")) {
        Some(digits) => u8::from_str_radix(digits, 16).ok(),
        None => whole_number(term).and_then(|number| u8::try_from(number).ok()),
    };
    number.or_else(|| TcpFlags::from_name(term).map(TcpFlags::bits)).filter(|bits| *bits != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_are_names_numbers_and_sums() {
        for text in ["18", "0x12", "0X12", "SYN+ACK", "syn ack", "SYN + 16", "0x2+0x10", "1.8e1", "SYN+SYN+ACK"] {
            assert_eq!(flags(text), Ok(TcpFlags::new(18)), "{text}");
        }
        for text in ["0", "256", "-2", "2.5", "00000010", "0x", "0x100", "SYNACK", "+", "SYN+0", "0b10"] {
            assert!(flags(text).is_err(), "{text}");
        }
    }

    #[test]
    fn ports_are_single_or_ranges() {
        assert_eq!(ports("0-65535"), Ok((0, 65535)));
        assert_eq!(ports("80 - 80.0"), Ok((80, 80)));
        assert_eq!(ports("44300e-2"), Ok((443, 443)));
        for text in ["-1", "70000", "80-", "-", "80-70000", "90-80", "1-2-3", "http", "0x50"] {
            assert!(ports(text).is_err(), "{text}");
        }
    }

    #[test]
    fn times_survive_the_form_encoding() {
        let time = instant("2022-10-17T15:17:51+02:00").unwrap();
        for text in ["1666012671", "2022-10-17T13:17:51Z", "2022-10-17T15:17:51 02:00", "2022-10-17+13:17:51Z"] {
            assert_eq!(instant(text).unwrap(), time, "{text}");
        }
        for text in ["yesterday", "1666012671000", "2022-10-17", "+", "\u{fc}\u{fc}\u{fc}\u{fc}\u{fc}+1"] {
            assert!(instant(text).is_err(), "{text}");
        }
    }
}
