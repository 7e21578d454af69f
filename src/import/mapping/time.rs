//! Times as other formats write them.

use chrono::NaiveDate;

use crate::{decimal::Decimal, flow::Timestamp, import::scalar::Scalar};

/// How a time is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum TimeForm {
    /// Unix seconds or RFC 3339.
    Usual,
    Rfc3339,
    /// A number of Unix time of so many nanoseconds each.
    Unix(u64),
    Pattern(Pattern),
}

/// The units of times, and how many nanoseconds they have.
pub(super) const UNITS: [(&str, u64); 4] = [("s", 1_000_000_000), ("ms", 1_000_000), ("us", 1000), ("ns", 1)];

impl TimeForm {
    /// The time that a value is; `None` where it is not of this form.
    pub(super) fn read(&self, value: &Scalar<'_>) -> Option<Timestamp> {
        match (self, value) {
            (_, Scalar::Time(time)) => Some(*time),
            (Self::Usual, _) => value.time().ok().flatten(),
            (Self::Rfc3339, Scalar::Text(text)) => text.parse().ok(),
            (Self::Unix(nanos), _) => unix(&value.digits()?, *nanos),
            (Self::Pattern(pattern), _) => pattern.read(&value.digits()?),
            (Self::Rfc3339, _) => None,
        }
    }

    /// It, described.
    pub(super) fn shown(&self) -> String {
        match self {
            Self::Usual => "a number of Unix seconds or an RFC 3339 time".to_owned(),
            Self::Rfc3339 => "an RFC 3339 time".to_owned(),
            Self::Unix(nanos) => {
                let unit = UNITS.iter().find(|(_, known)| known == nanos).map_or("", |(unit, _)| unit);
                format!("a number of Unix time in {unit}")
            }
            Self::Pattern(pattern) => format!("a time like {}", pattern.text),
        }
    }
}

/// A number of units as milliseconds, cut; `None` where it is no number or too large.
pub(super) fn millis(text: &str, nanos: u64) -> Option<i64> {
    let number = Decimal::parse(text)?;
    // With three more digits a second is in milliseconds; of the others the whole part is enough.
    let is_seconds = nanos == 1_000_000_000;
    let (units, is_exact) = number.cut(if is_seconds { 3 } else { 0 })?;
    let per_milli = if is_seconds { 1 } else { 1_000_000 / nanos };
    let (millis, rest) = (units / per_milli, units % per_milli);
    let millis = i64::try_from(millis).ok()?;
    Some(if number.is_negative() { -millis - i64::from(rest > 0 || !is_exact) } else { millis })
}

fn unix(text: &str, nanos: u64) -> Option<Timestamp> {
    Timestamp::from_millis(millis(text, nanos)?)
}

/// A time written with the parts of a date, such as `%Y/%m/%d %H:%M:%S%.f`; without an offset of its own it is of the
/// offset of its mapping.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Pattern {
    text: String,
    parts: Vec<Part>,
    offset_seconds: i64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Byte(u8),
    Year,
    Month,
    /// `Jan` to `Dec`.
    MonthName,
    Day,
    Hour,
    Minute,
    Second,
    /// A point or comma and digits, or nothing.
    Fraction,
    /// `Z`, or an offset such as `+02:00` or `+0200`.
    Offset,
}

const PARTS: [(&str, Part); 9] = [
    ("%Y", Part::Year),
    ("%m", Part::Month),
    ("%b", Part::MonthName),
    ("%d", Part::Day),
    ("%H", Part::Hour),
    ("%M", Part::Minute),
    ("%S", Part::Second),
    ("%.f", Part::Fraction),
    ("%z", Part::Offset),
];

const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

impl Pattern {
    /// A pattern; else the reason why it is none.
    pub(super) fn parse(text: &str, offset_seconds: i64) -> Result<Self, String> {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some(first) = rest.as_bytes().first() {
            if let Some((name, part)) = PARTS.iter().find(|(name, _)| rest.starts_with(name)) {
                parts.push(*part);
                rest = rest.get(name.len()..).unwrap_or_default();
            } else if *first == b'%' {
                let known = PARTS.map(|(name, _)| name).join(", ");
                return Err(format!("{text:?} has a % that begins none of {known}"));
            } else {
                parts.push(Part::Byte(*first));
                rest = rest.split_at_checked(1).map_or("", |(_, rest)| rest);
            }
            if !text.is_ascii() {
                return Err(format!("{text:?} is not ASCII"));
            }
        }
        let has = |part: Part| parts.contains(&part);
        if !(has(Part::Year) && (has(Part::Month) || has(Part::MonthName)) && has(Part::Day)) {
            return Err(format!("{text:?} lacks a year %Y, a month %m or a day %d"));
        }
        Ok(Self { text: text.to_owned(), parts, offset_seconds })
    }

    fn read(&self, text: &str) -> Option<Timestamp> {
        let mut rest = text.as_bytes();
        let (mut year, mut month, mut day, mut seconds, mut millis) = (0, 0, 0, 0i64, 0i64);
        let mut offset = self.offset_seconds;
        for part in &self.parts {
            match part {
                Part::Byte(byte) => rest = rest.strip_prefix(&[*byte])?,
                Part::Year => year = i32::try_from(number(&mut rest, 4)?).ok()?,
                Part::Month => month = u32::try_from(number(&mut rest, 2)?).ok()?,
                Part::MonthName => {
                    let (name, after) = rest.split_at_checked(3)?;
                    let place = MONTHS.iter().position(|known| known.as_bytes().eq_ignore_ascii_case(name))?;
                    (month, rest) = (u32::try_from(place).ok()? + 1, after);
                }
                Part::Day => day = u32::try_from(number(&mut rest, 2)?).ok()?,
                Part::Hour => seconds += 3600 * number(&mut rest, 2).filter(|hour| *hour < 24)?,
                Part::Minute => seconds += 60 * number(&mut rest, 2).filter(|minute| *minute < 60)?,
                // A leap second is the second after it.
                Part::Second => seconds += number(&mut rest, 2).filter(|second| *second <= 60)?,
                Part::Fraction => millis = fraction(&mut rest)?,
                Part::Offset => offset = read_offset(&mut rest)?,
            }
        }
        let days = NaiveDate::from_ymd_opt(year, month, day)?.to_epoch_days();
        let seconds = i64::from(days) * 86_400 + seconds - offset;
        Timestamp::from_millis(seconds * 1000 + millis).filter(|_| rest.is_empty())
    }
}

/// A number of so many digits.
fn number(rest: &mut &[u8], digits: usize) -> Option<i64> {
    let (number, after) = rest.split_at_checked(digits)?;
    *rest = after;
    number.iter().try_fold(0, |number, digit| digit.is_ascii_digit().then(|| number * 10 + i64::from(digit - b'0')))
}

/// The milliseconds of a fraction, 0 without one.
fn fraction(rest: &mut &[u8]) -> Option<i64> {
    let Some((b'.' | b',', digits)) = rest.split_first() else { return Some(0) };
    let length = digits.iter().take_while(|digit| digit.is_ascii_digit()).count();
    let (digits, after) = digits.split_at_checked(length).filter(|(digits, _)| !digits.is_empty())?;
    *rest = after;
    let digit = |place: usize| digits.get(place).map_or(0, |digit| i64::from(digit - b'0'));
    Some(digit(0) * 100 + digit(1) * 10 + digit(2))
}

/// The seconds by which an offset is ahead of UTC.
fn read_offset(rest: &mut &[u8]) -> Option<i64> {
    let (sign, after) = rest.split_first()?;
    *rest = after;
    let sign = match sign {
        b'Z' => return Some(0),
        b'+' => 1,
        b'-' => -1,
        _ => return None,
    };
    let hours = number(rest, 2).filter(|hours| *hours < 24)?;
    *rest = rest.strip_prefix(b":").unwrap_or(rest);
    let minutes = number(rest, 2).filter(|minutes| *minutes < 60)?;
    Some(sign * (hours * 3600 + minutes * 60))
}

/// The seconds of an offset such as `+02:00`, which is all of a text.
pub(super) fn offset_seconds(text: &str) -> Option<i64> {
    let mut rest = text.as_bytes();
    read_offset(&mut rest).filter(|_| rest.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pattern: &str, offset: i64, text: &str) -> Option<String> {
        Pattern::parse(pattern, offset).unwrap().read(text).map(|time| time.to_string())
    }

    #[test]
    fn patterns_are_read_whole_or_not_at_all() {
        let usual = "%Y/%m/%d %H:%M:%S%.f";
        for (pattern, offset, text, time) in [
            (usual, 0, "2023/01/02 10:00:00.123", Some("2023-01-02T10:00:00.123Z")),
            (usual, 0, "2023/01/02 10:00:00.123999", Some("2023-01-02T10:00:00.123Z")),
            (usual, 0, "2023/01/02 10:00:00", Some("2023-01-02T10:00:00.000Z")),
            (usual, 7200, "2023/01/02 10:00:00", Some("2023-01-02T08:00:00.000Z")),
            (usual, 0, "1969/12/31 23:59:59.5", Some("1969-12-31T23:59:59.500Z")),
            (usual, 0, "2023/01/02 10:00:00.", None),
            (usual, 0, "2023/02/29 10:00:00", None),
            (usual, 0, "2023/01/02 24:00:00", None),
            (usual, 0, "2023/01/02 10:00:00 ", None),
            (usual, 0, "2023/1/2 10:00:00", None),
            ("%d/%b/%Y:%H:%M:%S %z", 7200, "02/Jan/2023:10:00:00 +0130", Some("2023-01-02T08:30:00.000Z")),
            ("%Y%m%d%z", 0, "20230102-05:00", Some("2023-01-02T05:00:00.000Z")),
            ("%Y-%m-%d", 0, "9999-12-31", Some("9999-12-31T00:00:00.000Z")),
        ] {
            assert_eq!(read(pattern, offset, text).as_deref(), time, "{pattern} {text}");
        }
        for pattern in ["%Y", "%Y-%m-%d %q", "%Y-%m-%d é", "%H:%M"] {
            assert!(Pattern::parse(pattern, 0).is_err(), "{pattern}");
        }
    }

    #[test]
    fn units_are_cut_to_milliseconds_before_1970_too() {
        for (text, unit, expected) in [
            ("1.0019", "s", Some(1001)),
            ("-0.0005", "s", Some(-1)),
            ("1999", "us", Some(1)),
            ("-1", "us", Some(-1)),
            ("-2000000", "ns", Some(-2)),
            ("1681583295157626000", "ns", Some(1_681_583_295_157)),
            ("1700000000123.9", "ms", Some(1_700_000_000_123)),
            ("18446744073709551615", "s", None),
            ("x", "ms", None),
        ] {
            let nanos = UNITS.iter().find(|(name, _)| *name == unit).unwrap().1;
            assert_eq!(millis(text, nanos), expected, "{text} {unit}");
        }
    }
}
