//! Decimal numbers, read digit by digit: nothing is rounded.

/// A number as it is written, such as `-4.43e2`: a sign or none, digits with a point among them or none, an exponent or
/// none.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Decimal<'a> {
    is_negative: bool,
    whole: &'a str,
    fraction: &'a str,
    exponent: i64,
}

impl<'a> Decimal<'a> {
    /// `None` where a text is no such number, or its exponent is none of 64 bits.
    pub(crate) fn parse(text: &'a str) -> Option<Self> {
        let (mantissa, exponent) = match text.split_once(['e', 'E']) {
            Some((mantissa, exponent)) => (mantissa, exponent.parse().ok()?),
            None => (text, 0),
        };
        let (is_negative, digits) = match mantissa.strip_prefix('-') {
            Some(digits) => (true, digits),
            None => (false, mantissa.strip_prefix('+').unwrap_or(mantissa)),
        };
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
        let number = Self { is_negative, whole, fraction, exponent };
        let is_number =
            !(whole.is_empty() && fraction.is_empty()) && number.digits().all(|digit| digit.is_ascii_digit());
        is_number.then_some(number)
    }

    /// Whether it has a minus sign.
    pub(crate) fn is_negative(self) -> bool {
        self.is_negative
    }

    /// The power of ten behind its `e`; 0 without one.
    pub(crate) fn exponent(self) -> i64 {
        self.exponent
    }

    /// How many digits stand before its point, written without an exponent and without leading zeros; of 0.01, -1.
    pub(crate) fn magnitude(self) -> i64 {
        let zeros = self.digits().take_while(|digit| *digit == b'0').count();
        self.exponent.saturating_add(self.whole.len() as i64 - zeros as i64)
    }

    /// The whole number that it is, without its sign; `None` where it is none, or above 2^64 - 1.
    pub(crate) fn whole(self) -> Option<u64> {
        self.cut(0).filter(|(_, is_exact)| *is_exact).map(|(number, _)| number)
    }

    /// It without its sign, times this power of ten, cut to a whole number, and whether that cut nothing off; `None` where
    /// it is above 2^64 - 1. For example, 1.0019 is (1001, false) with the power 3, and 1e-1 is (100, true).
    pub(crate) fn cut(self, power: u8) -> Option<(u64, bool)> {
        // How many of the digits stand before the point.
        let point = self.exponent.checked_add(i64::from(power) + self.whole.len() as i64)?;
        let (mut number, mut is_exact) = (0u64, true);
        for (place, digit) in (0..).zip(self.digits()) {
            match place < point {
                true => number = number.checked_mul(10)?.checked_add(u64::from(digit - b'0'))?,
                false => is_exact &= digit == b'0',
            }
        }
        if number != 0 {
            // Twenty of these are too many for any number.
            for _ in (self.whole.len() + self.fraction.len()) as i64..point {
                number = number.checked_mul(10)?;
            }
        }
        Some((number, is_exact))
    }

    fn digits(self) -> impl Iterator<Item = u8> {
        self.whole.bytes().chain(self.fraction.bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_cut_after_any_power_of_ten() {
        for (text, power, expected) in [
            ("443", 0, (443, true)),
            ("-4.43E+2", 0, (443, true)),
            ("+.5e1", 0, (5, true)),
            ("5.", 0, (5, true)),
            ("0.999", 0, (0, false)),
            ("1.0019", 3, (1001, false)),
            ("1e-1", 3, (100, true)),
            ("1250e-2", 0, (12, false)),
            ("0e999999999999", 3, (0, true)),
            ("18446744073709551615", 0, (u64::MAX, true)),
            ("1e-999999999999", 0, (0, false)),
        ] {
            assert_eq!(Decimal::parse(text).unwrap().cut(power), Some(expected), "{text}");
        }
        for text in ["18446744073709551616", "1e20", "1e999999999999", "1e9223372036854775807"] {
            assert_eq!(Decimal::parse(text).unwrap().cut(0), None, "{text}");
        }
    }

    #[test]
    fn other_texts_are_no_numbers() {
        for text in [
            "",
            "+",
            ".",
            "1e",
            "e1",
            "--1",
            "0x10",
            "1_000",
            " 1",
            "NaN",
            "1.2.3",
            "\u{661}",
            "1e99999999999999999999",
        ] {
            assert!(Decimal::parse(text).is_none(), "{text}");
        }
    }

    #[test]
    fn the_magnitude_counts_the_digits_before_the_point() {
        for (text, magnitude) in [("1", 1), ("0012.5", 2), ("1e11", 12), ("0.01", -1), ("120e-1", 2)] {
            assert_eq!(Decimal::parse(text).unwrap().magnitude(), magnitude, "{text}");
        }
    }
}
