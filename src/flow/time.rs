//! Points in time.

use std::{
    fmt,
    str::FromStr,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use chrono::{DateTime, Datelike, NaiveDate, SecondsFormat, Utc};
use serde::{Serialize, Serializer};

use crate::{decimal::Decimal, error::ParseError};

/// The number of 1970-01-01 among the days from 0001-01-01 on, which is 1.
const UNIX_EPOCH_DAY: i32 = 719_163;
/// A number of Unix seconds from here on is refused: the year 5138. It is the year 1973 in milliseconds.
const TOO_LARGE: i64 = 100_000_000_000;

/// A point in time: UTC, in whole milliseconds, in the years 0 to 9999.
///
/// It is read and written as in RFC 3339; what is finer than a millisecond is cut.
///
/// ```
/// use flowseek::flow::Timestamp;
///
/// let time: Timestamp = "2022-11-02T00:46:01.7659+02:00".parse()?;
/// assert_eq!(time.to_string(), "2022-11-01T22:46:01.765Z");
/// assert_eq!(Timestamp::from_millis(1_667_342_761_765), Some(time));
/// # Ok::<(), String>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

impl Timestamp {
    /// The first millisecond of the year 0.
    pub const MIN: Self = Self(-62_167_219_200_000);
    /// The last millisecond of the year 9999.
    pub const MAX: Self = Self(253_402_300_799_999);

    /// The point this many milliseconds after 1970 began; `None` outside the years 0 to 9999.
    pub const fn from_millis(millis: i64) -> Option<Self> {
        if millis < Self::MIN.0 || millis > Self::MAX.0 { None } else { Some(Self(millis)) }
    }

    /// The time of a clock, to the millisecond; the nearest that can be, where it is none of the years 0 to 9999.
    pub(crate) fn of_clock(time: SystemTime) -> Self {
        let millis = |time: Duration| i64::try_from(time.as_millis()).unwrap_or(i64::MAX);
        let millis = match time.duration_since(UNIX_EPOCH) {
            Ok(after) => millis(after),
            Err(before) => -millis(before.duration()),
        };
        Self(millis.clamp(Self::MIN.0, Self::MAX.0))
    }

    /// Milliseconds since 1970 began.
    pub const fn as_millis(self) -> i64 {
        self.0
    }

    /// The time as a number whose order is that of time.
    pub(crate) const fn ordinal(self) -> u64 {
        Self::millis_ordinal(self.0)
    }

    /// The [`ordinal`](Self::ordinal) of so many milliseconds since 1970, be it in the years 0 to 9999 or beyond.
    pub(crate) const fn millis_ordinal(millis: i64) -> u64 {
        millis.cast_unsigned() ^ (1 << 63)
    }

    /// The milliseconds of an [`ordinal`](Self::ordinal), be it of a time in the years 0 to 9999 or beyond.
    pub(crate) const fn ordinal_millis(ordinal: u64) -> i64 {
        (ordinal ^ (1 << 63)).cast_signed()
    }
}

impl FromStr for Timestamp {
    type Err = ParseError;

    /// Reads RFC 3339.
    fn from_str(text: &str) -> Result<Self, ParseError> {
        parse_rfc3339(text).map(|instant| instant.floor).map_err(ParseError::new)
    }
}

/// As it is displayed.
impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let time: DateTime<Utc> = DateTime::from_timestamp_millis(self.0).unwrap_or_default();
        f.write_str(&time.to_rfc3339_opts(SecondsFormat::Millis, true))
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A point in time as somebody wrote it, which may lie between two milliseconds.
///
/// Flows have whole milliseconds; a bound between two of them must neither take in the one before it nor drop the
/// one after it, so what was cut is remembered.
///
/// ```
/// use flowseek::flow::Instant;
///
/// let bound: Instant = "1666012671.0005".parse()?;
/// assert_eq!(bound.floor().as_millis(), 1_666_012_671_000);
/// assert!(!bound.is_exact());
/// # Ok::<(), String>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Instant {
    floor: Timestamp,
    exact: bool,
}

impl Instant {
    /// The millisecond it lies in.
    pub fn floor(self) -> Timestamp {
        self.floor
    }

    /// Whether it is the beginning of that millisecond.
    pub fn is_exact(self) -> bool {
        self.exact
    }
}

impl From<Timestamp> for Instant {
    fn from(time: Timestamp) -> Self {
        Self { floor: time, exact: true }
    }
}

impl FromStr for Instant {
    type Err = ParseError;

    /// Reads a number of Unix seconds (fractions and exponents allowed, nothing is rounded) or RFC 3339.
    fn from_str(text: &str) -> Result<Self, ParseError> {
        if let Some(instant) = parse_usual(text) {
            return Ok(instant);
        }
        parse_seconds(text).unwrap_or_else(|| parse_rfc3339(text)).map_err(ParseError::new)
    }
}

/// RFC 3339 as nearly all programs write it, in UTC: `2022-11-01T22:46:01.765Z`, with any number of digits behind the point or
/// none. `None` of all else, and of what is no time. An import reads most times here, in a fifth of the instructions.
fn parse_usual(text: &str) -> Option<Instant> {
    let (time, fraction) = text.as_bytes().split_first_chunk::<19>()?;
    let number = |digits: &[u8]| {
        digits
            .iter()
            .try_fold(0u32, |number, digit| digit.is_ascii_digit().then(|| number * 10 + u32::from(digit - b'0')))
    };
    let [year @ .., b'-', m, o, b'-', d, a, b'T', h, u, b':', i, n, b':', s, e] = time else { return None };
    let date = NaiveDate::from_ymd_opt(number(year)?.try_into().ok()?, number(&[*m, *o])?, number(&[*d, *a])?)?;
    let (hour, minute, second) = (number(&[*h, *u])?, number(&[*i, *n])?, number(&[*s, *e])?);
    if hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let digits = match fraction {
        b"Z" => &[],
        [b'.', digits @ .., b'Z'] if !digits.is_empty() && digits.iter().all(u8::is_ascii_digit) => digits,
        _ => return None,
    };
    let thousandths =
        (0..3).fold(0, |sum, place| sum * 10 + digits.get(place).map_or(0, |digit| i64::from(digit - b'0')));
    let days = i64::from(date.num_days_from_ce() - UNIX_EPOCH_DAY);
    let millis = ((days * 24 + i64::from(hour)) * 60 + i64::from(minute)) * 60 + i64::from(second);
    let floor = Timestamp::from_millis(millis * 1000 + thousandths)?;
    Some(Instant { floor, exact: digits.iter().skip(3).all(|digit| *digit == b'0') })
}

fn parse_rfc3339(text: &str) -> Result<Instant, String> {
    let time = DateTime::parse_from_rfc3339(text)
        .map_err(|_| format!("{text:?} is neither a number of Unix seconds nor an RFC 3339 time"))?;
    let floor = Timestamp::from_millis(time.timestamp_millis())
        .ok_or_else(|| format!("{text:?} lies outside the years 0 to 9999"))?;
    // Of the text, and not of `time`, which knows no digit behind the ninth.
    let fraction = text.split_once('.').map_or("", |(_, fraction)| fraction);
    let mut finer = fraction.bytes().take_while(u8::is_ascii_digit).skip(3);
    Ok(Instant { floor, exact: finer.all(|digit| digit == b'0') })
}

/// `None` where the text is not a decimal number, or its exponent is none of 32 bits.
fn parse_seconds(text: &str) -> Option<Result<Instant, String>> {
    let number = Decimal::parse(text).filter(|number| i32::try_from(number.exponent()).is_ok())?;
    let millis = number.cut(3).and_then(|(millis, exact)| Some((i64::try_from(millis).ok()?, exact)));
    let Some((millis, exact)) = millis.filter(|(millis, _)| *millis < TOO_LARGE * 1000) else {
        let unit = finer_unit(number.magnitude()).map(|unit| format!(": it looks like {unit}")).unwrap_or_default();
        return Some(Err(format!("{text} is too large for Unix seconds{unit}")));
    };
    let floor = if number.is_negative() { -millis - i64::from(!exact) } else { millis };
    Some(match Timestamp::from_millis(floor) {
        Some(floor) => Ok(Instant { floor, exact }),
        None => Err(format!("{text} lies outside the years 0 to 9999")),
    })
}

/// The unit in which a number with so many digits before its point lies in the years 1973 to 2286.
///
/// 1666012671000 is the year 2022 in milliseconds; 20221101224601 would be the year 2610, and is more likely a date.
const fn finer_unit(digits: i64) -> Option<&'static str> {
    match digits {
        12 | 13 => Some("milliseconds"),
        15 | 16 => Some("microseconds"),
        18 | 19 => Some("nanoseconds"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn millis(text: &str) -> (i64, bool) {
        let instant: Instant = text.parse().unwrap();
        (instant.floor().as_millis(), instant.is_exact())
    }

    #[test]
    fn what_is_usual_is_read_as_all_else_is() {
        let times = ["2022-11-01T22:46:01", "0000-01-01T00:00:00", "9999-12-31T23:59:59", "1969-12-31T23:59:59"];
        let wrong = [
            "2022-02-29T00:00:00",
            "2022-13-01T00:00:00",
            "2022-11-01T24:00:00",
            "2022-11-01T22:60:01",
            "2o22-11-01T22:46:01",
        ];
        for time in times.iter().chain(&wrong) {
            for fraction in ["", ".7", ".76", ".765", ".7650", ".7651", ".000000000000000000001", ".", ".x"] {
                let text = format!("{time}{fraction}Z");
                assert_eq!(parse_usual(&text).is_some(), parse_rfc3339(&text).is_ok(), "{text}");
                assert_eq!(parse_usual(&text), parse_rfc3339(&text).ok(), "{text}");
            }
        }
        for other in ["2022-11-01T22:46:01+00:00", "2022-11-01 22:46:01Z", "2022-11-01T23:59:60Z", "2022-11-01", "1.5"]
        {
            assert_eq!(parse_usual(other), None, "{other}");
        }
    }

    #[test]
    fn seconds_are_read_without_rounding() {
        assert_eq!(millis("1666012671"), (1_666_012_671_000, true));
        assert_eq!(millis("1666012671.001"), (1_666_012_671_001, true));
        assert_eq!(millis("1666012671.0019999999999999999999999"), (1_666_012_671_001, false));
        assert_eq!(millis("1.666012671e9"), (1_666_012_671_000, true));
        assert_eq!(millis("16660126710000e-4"), (1_666_012_671_000, true));
        assert_eq!(millis("0.0e99"), (0, true));
        assert_eq!(millis("-0.0005"), (-1, false));
        assert_eq!(millis("-1"), (-1000, true));
    }

    #[test]
    fn milliseconds_and_nonsense_are_refused() {
        let reason = |text: &str| text.parse::<Instant>().unwrap_err().to_string();
        for (number, unit) in [
            ("100000000000", ": it looks like milliseconds"),
            ("1666012671000", ": it looks like milliseconds"),
            ("1e11", ": it looks like milliseconds"),
            ("20221101224601", ""),
            ("1666012671000000", ": it looks like microseconds"),
            ("1666012671000000000", ": it looks like nanoseconds"),
            ("1e999999999", ""),
        ] {
            assert_eq!(reason(number), format!("{number} is too large for Unix seconds{unit}"));
        }
        for text in ["", ".", "-", "1e", "NaN", "inf", "0x10", "1_000", " 1", "2022-11-01", "1e-99999999999"] {
            assert!(text.parse::<Instant>().is_err(), "{text}");
        }
        assert!("99999999999".parse::<Instant>().is_ok());
    }

    #[test]
    fn ordinals_keep_the_order_of_time() {
        let times = [Timestamp::MIN, Timestamp(-1), Timestamp(0), Timestamp(1), Timestamp::MAX];
        assert!(times.is_sorted_by(|a, b| a.ordinal() < b.ordinal()));
        assert!(times.iter().all(|time| Timestamp::ordinal_millis(time.ordinal()) == time.0));
    }
}
