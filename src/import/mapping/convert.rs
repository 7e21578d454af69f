//! Values as the fields of a flow take them, where other formats write them in other ways.

use std::{borrow::Cow, net::SocketAddr};

use super::{
    plan::{Form, Origin},
    slots::Slots,
    time::{TimeForm, millis},
};
use crate::{
    flow::{Address, Protocol, TcpFlags, Timestamp},
    import::{object, scalar::Scalar},
};

/// The value that comes from an origin.
pub(super) fn value<'a, 'p: 'a>(origin: &'p Origin, slots: &Slots<'a>) -> Scalar<'a> {
    match origin {
        Origin::Slot(slot) => slots.get(*slot).clone(),
        Origin::Constant(text) => Scalar::text(text.as_str()),
        Origin::Join(parts, between) => {
            let mut joined = String::new();
            for (number, slot) in parts.iter().enumerate() {
                let Some(part) = text(slots.get(*slot)) else { return Scalar::Absent };
                if number > 0 {
                    joined.push_str(between);
                }
                joined.push_str(&part);
            }
            Scalar::text(joined)
        }
    }
}

/// A value as text; `None` where it is absent, or no text, number, `true` or `false`.
pub(super) fn text<'s>(value: &'s Scalar<'_>) -> Option<Cow<'s, str>> {
    match value {
        Scalar::Other(word @ ("true" | "false")) => Some(Cow::Borrowed(word)),
        other => other.digits(),
    }
}

/// The time that a value is in the first of some forms that fits.
pub(super) fn time(value: &Scalar<'_>, form: &Form) -> Result<Option<Timestamp>, String> {
    let Form::Time(forms) = form else { return value.time() };
    if *value == Scalar::Absent {
        return Ok(None);
    }
    if let Some(time) = forms.iter().find_map(|form| form.read(value)) {
        return Ok(Some(time));
    }
    // The usual form says more of what is wrong.
    if let [TimeForm::Usual] = forms.as_slice() {
        return value.time();
    }
    let forms: Vec<String> = forms.iter().map(TimeForm::shown).collect();
    Err(format!("{} is not {}", value.shown(), forms.join(" or ")))
}

/// A duration in milliseconds.
pub(super) fn duration(value: &Scalar<'_>, form: &Form) -> Result<Option<i64>, String> {
    let (Form::Duration(nanos), false) = (form, *value == Scalar::Absent) else { return Ok(None) };
    let millis = value.digits().and_then(|digits| millis(&digits, *nanos));
    millis.map(Some).ok_or_else(|| format!("{} is not a duration", value.shown()))
}

/// A protocol, also by names that only its format has.
pub(super) fn protocol(value: &Scalar<'_>, form: &Form) -> Result<Protocol, String> {
    let Form::Protocol(names, otherwise) = form else { return value.protocol() };
    if let Some(text) = text(value)
        && let Some((_, protocol)) = names.iter().find(|(name, _)| name.eq_ignore_ascii_case(&text))
    {
        return Ok(*protocol);
    }
    value.protocol().or_else(|reason| otherwise.ok_or(reason))
}

/// An address with a port behind it, such as `10.0.0.1:443` or `[::1]:443`, or an address alone.
pub(super) fn endpoint(value: &Scalar<'_>) -> Result<Option<(Address, Option<u16>)>, String> {
    let Scalar::Text(text) = value else {
        return value.address().map(|address| address.map(|address| (address, None)));
    };
    if let Ok(both) = text.parse::<SocketAddr>() {
        return Ok(Some((both.ip().into(), Some(both.port()))));
    }
    let alone = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    match alone.parse::<Address>() {
        Ok(address) => Ok(Some((address, None))),
        Err(_) => Err(format!("{} is not an address and a port such as 10.0.0.1:443 or [::1]:443", value.shown())),
    }
}

/// TCP flags: a number, binary or hexadecimal digits, names or letters in any order, or an object of booleans.
pub(super) fn tcp_flags(value: &Scalar<'_>, form: &Form) -> Result<Option<TcpFlags>, String> {
    let refused = || {
        let allowed = "letters such as .A..S. or names such as SYN, a number from 0 to 255, 8 binary digits, or 0x and \
                       hexadecimal digits";
        Err(format!("{} does not give TCP flags: {allowed}", value.shown()))
    };
    match (value, form) {
        (Scalar::Text(text), Form::Hexadecimal) => {
            let is_hex = (1..=2).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_hexdigit());
            match u8::from_str_radix(text, 16) {
                Ok(bits) if is_hex => Ok(Some(TcpFlags::new(bits))),
                _ => Err(format!("{} is not one or two hexadecimal digits", value.shown())),
            }
        }
        (Scalar::Text(text), _) => match value.tcp_flags() {
            Ok(flags) => Ok(flags),
            Err(_) => letters(text).map_or_else(refused, |flags| Ok(Some(flags))),
        },
        (Scalar::Object(text), _) => {
            let mut bits = 0;
            let read = object::read(text, |name, token| {
                match (word(&name), token.scalar()?) {
                    (Some(flag), Scalar::Other("true")) => bits |= flag,
                    (Some(_), Scalar::Other("false")) => {}
                    _ => return Err(String::new()),
                }
                Ok::<(), String>(())
            });
            read.map_or_else(|_| refused(), |()| Ok(Some(TcpFlags::new(bits))))
        }
        _ => value.tcp_flags(),
    }
}

/// The letters of the flags, from bit 0 on; `W` is CWR too.
const LETTERS: [(u8, u8); 9] =
    [(b'F', 1), (b'S', 2), (b'R', 4), (b'P', 8), (b'A', 16), (b'U', 32), (b'E', 64), (b'C', 128), (b'W', 128)];

/// Names or letters, with anything but letters and digits between: `S`, `.AP.SF`, `SYN,ACK`, `FSPA_FSPA`.
fn letters(text: &str) -> Option<TcpFlags> {
    let words = text.split(|letter: char| !letter.is_alphanumeric()).filter(|word| !word.is_empty());
    words.map(word).try_fold(0, |bits, flag| flag.map(|flag| bits | flag)).map(TcpFlags::new)
}

/// The bits of a name, or of letters.
fn word(word: &str) -> Option<u8> {
    if let Some(flag) = TcpFlags::from_name(word) {
        return Some(flag.bits());
    }
    word.bytes().try_fold(0, |bits, letter| {
        let letter = letter.to_ascii_uppercase();
        LETTERS.iter().find(|(known, _)| *known == letter).map(|(_, bit)| bits | bit)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_are_read_in_every_common_notation() {
        let bits = |text: &str| tcp_flags(&Scalar::text(text), &Form::Plain).map(|flags| flags.map(TcpFlags::bits));
        for (text, expected) in [
            ("....A..F", 0x11),
            (".AP.SF", 0x1b),
            ("SA", 0x12),
            ("FS PA", 0x1b),
            ("FSPA_FSPA", 0x1b),
            ("S_", 2),
            ("SYN,ACK", 0x12),
            ("syn|psh", 0x0a),
            ("CEUAPRSF", 0xff),
            ("EW", 0xc0),
            ("........", 0),
            ("0x12", 0x12),
            ("18", 18),
            ("00010010", 18),
        ] {
            assert_eq!(bits(text), Ok(Some(expected)), "{text}");
        }
        for text in ["CON", "REQ", "SX", "256", "é"] {
            assert!(bits(text).unwrap_err().contains("does not give TCP flags"), "{text}");
        }
        let object = |text| tcp_flags(&Scalar::Object(text), &Form::Plain);
        assert_eq!(object(r#"{"SYN":true,"ACK":true,"RST":false}"#), Ok(Some(TcpFlags::new(0x12))));
        assert_eq!(object("{}"), Ok(Some(TcpFlags::new(0))));
        assert!(object(r#"{"SYN":1}"#).is_err() && object(r#"{"XYZ":true}"#).is_err());
        let hexadecimal = |text| tcp_flags(&Scalar::text(text), &Form::Hexadecimal);
        assert_eq!(hexadecimal("12"), Ok(Some(TcpFlags::new(0x12))));
        assert!(hexadecimal("+1").is_err() && hexadecimal("123").is_err());
    }

    #[test]
    fn an_endpoint_is_an_address_with_or_without_a_port() {
        let read = |text: &str| endpoint(&Scalar::text(text));
        let of = |address: &str, port| Ok(Some((address.parse().unwrap(), port)));
        assert_eq!(read("10.0.0.1:443"), of("10.0.0.1", Some(443)));
        assert_eq!(read("[fd7a::1]:0"), of("fd7a::1", Some(0)));
        assert_eq!(read("[fd7a::1]"), of("fd7a::1", None));
        assert_eq!(read("fd7a::1"), of("fd7a::1", None));
        assert_eq!(read(""), Ok(None));
        for text in ["10.0.0.1:70000", "10.0.0:1", "host:443", ":443", "[10.0.0.1"] {
            assert!(read(text).unwrap_err().contains("is not an address and a port"), "{text}");
        }
    }
}
