//! One value of a line, and what the fields of a flow make of it.

use std::borrow::Cow;

use crate::{
    decimal::Decimal,
    flow::{Address, FlowFlags, Instant, MAX_TEXT_BYTES, Meta, Protocol, TcpFlags, Timestamp, protocol_named},
};

/// How much of a value a reason shows, in characters.
const SHOWN_CHARS: usize = 64;

/// A value as it was written. The conversions give `None` for an absent one, and the reason why it is refused without
/// the name of the field.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) enum Scalar<'a> {
    #[default]
    Absent,
    /// A number as it is written.
    Number(&'a str),
    /// A whole number as a number.
    Integer(i128),
    /// A floating-point number as a number; never NaN.
    Float(f64),
    /// Text, never empty.
    Text(Cow<'a, str>),
    /// A time as a time.
    Time(Timestamp),
    /// An address as an address.
    Address(Address),
    /// A JSON object, as it is written.
    Object(&'a str),
    /// A JSON array, as it is written.
    List(&'a str),
    /// What no field takes, described.
    Other(&'static str),
}

impl<'a> Scalar<'a> {
    /// A text; absent where it is empty.
    pub(crate) fn text(text: impl Into<Cow<'a, str>>) -> Self {
        let text = text.into();
        if text.is_empty() { Self::Absent } else { Self::Text(text) }
    }

    /// The value as a reason shows it: quoted if it is text, and not at any length.
    pub(super) fn shown(&self) -> String {
        let cut = |text: &str| match text.char_indices().nth(SHOWN_CHARS) {
            Some((end, _)) => (text.get(..end).unwrap_or_default().to_owned(), "..."),
            None => (text.to_owned(), ""),
        };
        match self {
            Self::Absent => "nothing".to_owned(),
            Self::Number(text) => {
                let (text, rest) = cut(text);
                format!("{text}{rest}")
            }
            Self::Text(text) => {
                let (text, rest) = cut(text);
                format!("{text:?}{rest}")
            }
            Self::Integer(number) => number.to_string(),
            Self::Float(number) => format!("{number:?}"),
            Self::Time(time) => time.to_string(),
            Self::Address(address) => address.to_string(),
            Self::Object(_) => "an object".to_owned(),
            Self::List(_) => "an array".to_owned(),
            Self::Other(what) => (*what).to_owned(),
        }
    }

    /// A floating-point number; absent where it is NaN, which stands for a missing number.
    pub(crate) fn float(number: f64) -> Self {
        if number.is_nan() { Self::Absent } else { Self::Float(number) }
    }

    /// The digits, where the value may be a number. Those of a floating-point number are the fewest that tell it from
    /// its neighbours: 0.1 is meant by 0.1, though the nearest number in binary is a little more.
    pub(super) fn digits(&self) -> Option<Cow<'_, str>> {
        match self {
            Self::Number(text) => Some(Cow::Borrowed(text)),
            Self::Text(text) => Some(Cow::Borrowed(text)),
            Self::Integer(number) => Some(Cow::Owned(number.to_string())),
            Self::Float(number) => Some(Cow::Owned(number.to_string())),
            Self::Absent | Self::Time(_) | Self::Address(_) | Self::Object(_) | Self::List(_) | Self::Other(_) => None,
        }
    }

    /// The whole number that the value is, exactly.
    fn whole(&self) -> Option<u64> {
        match self {
            Self::Number(text) => integer(text),
            Self::Text(text) => integer(text),
            Self::Integer(number) => u64::try_from(*number).ok(),
            Self::Float(number) => whole_float(*number),
            Self::Absent | Self::Time(_) | Self::Address(_) | Self::Object(_) | Self::List(_) | Self::Other(_) => None,
        }
    }

    /// A name or an ID.
    pub(super) fn name(self) -> Result<Option<String>, String> {
        match self {
            Self::Absent => Ok(None),
            Self::Text(text) if text.len() > MAX_TEXT_BYTES => {
                Err(format!("a text of {} bytes is too long: {MAX_TEXT_BYTES} are allowed", text.len()))
            }
            Self::Text(text) => Ok(Some(text.into_owned())),
            other => Err(format!("{} is not text", other.shown())),
        }
    }

    pub(super) fn address(&self) -> Result<Option<Address>, String> {
        let refused = || format!("{} is not an IPv4 or IPv6 address", self.shown());
        match self {
            Self::Absent => Ok(None),
            Self::Text(text) => text.parse().map(Some).map_err(|_| refused()),
            Self::Address(address) => Ok(Some(*address)),
            _ => Err(refused()),
        }
    }

    pub(super) fn time(&self) -> Result<Option<Timestamp>, String> {
        let refused = || format!("{} is neither a number of Unix seconds nor an RFC 3339 time", self.shown());
        if let Self::Time(time) = self {
            return Ok(Some(*time));
        }
        match self.digits() {
            Some(text) => match text.parse::<Instant>() {
                Ok(instant) => Ok(Some(instant.floor())),
                Err(reason) if text.len() <= SHOWN_CHARS => Err(reason.into()),
                Err(_) => Err(refused()),
            },
            None if *self == Self::Absent => Ok(None),
            None => Err(refused()),
        }
    }

    /// A number of seconds as milliseconds; the largest number where they are more than the years 0 to 9999 have.
    pub(super) fn duration_millis(&self) -> Result<Option<i64>, String> {
        match self.digits() {
            // A duration is read as the point of time that many seconds after 1970 began.
            Some(text) if is_number(&text) => {
                Ok(Some(text.parse::<Instant>().map_or(i64::MAX, |instant| instant.floor().as_millis())))
            }
            None if *self == Self::Absent => Ok(None),
            _ => Err(format!("{} is not a number of seconds", self.shown())),
        }
    }

    pub(super) fn port(&self) -> Result<Option<u16>, String> {
        self.integer("a port")
    }

    pub(crate) fn bytes(&self) -> Result<Option<u64>, String> {
        self.integer("a number of bytes")
    }

    pub(super) fn packets(&self) -> Result<Option<u64>, String> {
        self.integer("a number of packets")
    }

    pub(super) fn flow_flags(&self) -> Result<Option<FlowFlags>, String> {
        Ok(self.integer("a sum of flow flags")?.map(FlowFlags::new))
    }

    /// A JSON object, or the text of one.
    pub(super) fn meta(&self) -> Result<Option<Meta>, String> {
        match self {
            Self::Absent => Ok(None),
            Self::Object(text) => Ok(Some(text.parse::<Meta>()?)),
            Self::Text(text) => Ok(Some(text.parse::<Meta>()?)),
            _ => Err(format!("{} is not a JSON object", self.shown())),
        }
    }

    /// An IP protocol by name or number; [`Protocol::UNKNOWN`] where it is absent.
    pub(super) fn protocol(&self) -> Result<Protocol, String> {
        let named = match self {
            Self::Absent => Some(Protocol::UNKNOWN),
            Self::Text(name) => protocol_named(name),
            _ => None,
        };
        named.or_else(|| self.protocol_number()).ok_or_else(|| {
            format!("{} is not a protocol: a name such as TCP or an IANA number from 0 to 255", self.shown())
        })
    }

    fn protocol_number(&self) -> Option<Protocol> {
        self.whole().and_then(|number| u8::try_from(number).ok()).map(Protocol::new)
    }

    pub(super) fn tcp_flags(&self) -> Result<Option<TcpFlags>, String> {
        let bits = match self {
            Self::Absent => return Ok(None),
            Self::Text(text) => flag_bits(text),
            other => other.whole().and_then(|number| u8::try_from(number).ok()),
        };
        bits.map(|bits| Some(TcpFlags::new(bits))).ok_or_else(|| {
            let allowed = "8 binary digits, 0x and hexadecimal digits, or a number from 0 to 255";
            format!("{} does not give TCP flags: {allowed}", self.shown())
        })
    }

    fn integer<T: TryFrom<u64> + Bounded>(&self, what: &str) -> Result<Option<T>, String> {
        if *self == Self::Absent {
            return Ok(None);
        }
        let number = self.whole().and_then(|number| T::try_from(number).ok());
        number.map(Some).ok_or_else(|| format!("{} is not {what} from 0 to {}", self.shown(), T::GREATEST))
    }
}

/// The reason why a value is refused, with the name of its field before it.
pub(super) fn of(name: &'static str) -> impl FnOnce(String) -> String {
    move |reason| format!("{name}: {reason}")
}

/// Numbers whose largest value a reason can name.
trait Bounded {
    const GREATEST: u64;
}

impl Bounded for u16 {
    const GREATEST: u64 = Self::MAX as u64;
}

impl Bounded for u64 {
    const GREATEST: u64 = Self::MAX;
}

fn byte(text: &str) -> Option<u8> {
    u8::try_from(integer(text)?).ok()
}

fn flag_bits(text: &str) -> Option<u8> {
    if let Some(digits) = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        // `from_str_radix` alone would take a sign.
        return digits.bytes().all(|b| b.is_ascii_hexdigit()).then(|| u8::from_str_radix(digits, 16).ok())?;
    }
    if text.len() == 8 && text.bytes().all(|b| matches!(b, b'0' | b'1')) {
        return u8::from_str_radix(text, 2).ok();
    }
    byte(text)
}

/// A decimal number without a sign whose fraction, if any, is zero.
fn integer(text: &str) -> Option<u64> {
    let is_unsigned = text.as_bytes().first().is_some_and(u8::is_ascii_digit);
    // Most are digits alone.
    let whole = |text: &str| text.parse().ok().or_else(|| Decimal::parse(text)?.whole());
    whole(text).filter(|_| is_unsigned)
}

/// The whole number that a floating-point number is; `None` where it has a fraction or is no number from 0 to 2^64 - 1.
fn whole_float(number: f64) -> Option<u64> {
    /// 2^64, the least whole number that is too large.
    const END: f64 = 18_446_744_073_709_551_616.0;
    (number.trunc() == number && (0.0..END).contains(&number)).then_some(number as u64)
}

/// Whether a text is a number as RFC 8259, section 6, has it.
pub(super) fn is_number(text: &str) -> bool {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (text, None),
    };
    let (whole, fraction) = match mantissa.split_once('.') {
        Some((whole, fraction)) => (whole, Some(fraction)),
        None => (mantissa, None),
    };
    let whole = whole.strip_prefix('-').unwrap_or(whole);
    digits(whole)
        && (whole.len() == 1 || !whole.starts_with('0'))
        && fraction.is_none_or(digits)
        && exponent.is_none_or(|exponent| digits(exponent.strip_prefix(['+', '-']).unwrap_or(exponent)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floating_point_numbers_are_taken_exactly() {
        let bytes = |number: f64| Scalar::float(number).bytes();
        for (number, whole) in [
            (0.0, 0),
            (-0.0, 0),
            (443.0, 443),
            (9_007_199_254_740_992.0, 1 << 53),
            (1_152_921_504_606_846_976.0, 1 << 60),
            (1_152_921_504_606_847_232.0, (1 << 60) + 256),
            (18_446_744_073_709_549_568.0, u64::MAX - 2047),
        ] {
            assert_eq!(bytes(number), Ok(Some(whole)), "{number}");
        }
        for number in [0.5, -1.0, 443.000_000_1, 1.8446744073709552e19, f64::INFINITY, f64::MIN_POSITIVE] {
            assert!(bytes(number).unwrap_err().contains("is not a number of bytes"), "{number}");
        }
        assert_eq!(bytes(f64::NAN), Ok(None));
        assert_eq!(Scalar::float(1_666_012_671.001).time().unwrap().unwrap().as_millis(), 1_666_012_671_001);
        assert!(Scalar::float(f64::INFINITY).time().is_err());
    }

    #[test]
    fn whole_numbers_are_read_exactly_however_they_are_written() {
        for (text, number) in [
            ("0", 0),
            ("0443", 443),
            ("443.0", 443),
            ("4.43e2", 443),
            ("44300E-2", 443),
            ("0e999999999999", 0),
            ("18446744073709551615", u64::MAX),
            ("18446744073709551615.000", u64::MAX),
            ("9007199254740993", 9_007_199_254_740_993),
        ] {
            assert_eq!(integer(text), Some(number), "{text}");
        }
        for text in ["", ".", ".5", "-1", "+1", "443.5", "1e-1", "1e99999", "18446744073709551616", " 1", "0x10", "1e"]
        {
            assert_eq!(integer(text), None, "{text}");
        }
    }

    #[test]
    fn tcp_flags_are_binary_hexadecimal_or_decimal() {
        let flags = |text: &'static str| Scalar::text(text).tcp_flags().map(|flags| flags.unwrap().bits());
        assert_eq!(flags("00100001"), Ok(0x21));
        assert_eq!(flags("0x12"), Ok(0x12));
        assert_eq!(flags("18"), Ok(18));
        assert_eq!(flags("10"), Ok(10));
        assert_eq!(flags("00000018"), Ok(18));
        assert_eq!(Scalar::Number("16.0").tcp_flags(), Ok(Some(TcpFlags::new(16))));
        for text in ["256", "0x", "0x100", "0x+1", "SYN", "11111111111111111111"] {
            assert!(flags(text).unwrap_err().contains("does not give TCP flags"), "{text}");
        }
    }

    #[test]
    fn a_protocol_is_a_name_or_a_number() {
        for (value, number) in [
            (Scalar::Absent, 255),
            (Scalar::text(""), 255),
            (Scalar::text("unknown"), 255),
            (Scalar::text("tcp"), 6),
            (Scalar::text("GRE"), 47),
            (Scalar::text("17"), 17),
            (Scalar::Number("58"), 58),
        ] {
            assert_eq!(value.protocol(), Ok(Protocol::new(number)), "{value:?}");
        }
        for value in [Scalar::text("TPC"), Scalar::Number("256"), Scalar::Number("-1"), Scalar::Other("true")] {
            assert!(value.protocol().unwrap_err().contains("is not a protocol"), "{value:?}");
        }
    }

    #[test]
    fn a_duration_is_no_date() {
        assert_eq!(Scalar::Number("0.0019").duration_millis(), Ok(Some(1)));
        assert_eq!(Scalar::Number("1.9e-05").duration_millis(), Ok(Some(0)));
        assert!(Scalar::text("2022-11-01T22:46:01Z").duration_millis().is_err());
        assert!(Scalar::Other("true").duration_millis().is_err());
    }

    #[test]
    fn a_reason_stays_short_whatever_the_value() {
        let long = "é".repeat(100_000);
        let value = Scalar::text(long.as_str());
        for reason in [value.address().unwrap_err(), value.time().unwrap_err(), value.port().unwrap_err()] {
            assert!(reason.len() < 300, "{reason}");
        }
        assert!(value.name().unwrap_err().contains("200000 bytes"));
    }
}
