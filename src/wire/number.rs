//! Whole numbers, however they are written.

/// Reads `443`, `443.0`, `4.43e2` or `+443` exactly; `None` for what is negative, not whole, or above 2^64 - 1.
pub(super) fn whole_number(text: &str) -> Option<u64> {
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().ok()?),
        None => (text, 0),
    };
    let mantissa = mantissa.strip_prefix('+').unwrap_or(mantissa);
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = || whole.bytes().chain(fraction.bytes());
    let written = i64::try_from(whole.len() + fraction.len()).ok()?;
    if written == 0 || !digits().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    // How many of the digits stand before the point.
    let point = i64::try_from(whole.len()).ok()? + i64::from(exponent);
    let mut number: u64 = 0;
    for (index, digit) in (0i64..).zip(digits()) {
        if index < point {
            number = number.checked_mul(10)?.checked_add(u64::from(digit - b'0'))?;
        } else if digit != b'0' {
            return None;
        }
    }
    if number != 0 {
        for _ in written..point {
            number = number.checked_mul(10)?;
        }
    }
    Some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_numbers_are_read_in_every_spelling() {
        for text in ["443", "443.0", "4.43e2", "4.43E+2", "44300e-2", "000443.000", "+443", "443."] {
            assert_eq!(whole_number(text), Some(443), "{text}");
        }
        assert_eq!(whole_number("0e2147483647"), Some(0));
        assert_eq!(whole_number("18446744073709551615"), Some(u64::MAX));
    }

    #[test]
    fn what_is_not_a_whole_number_is_refused() {
        let wrong = ["", ".", "-1", "-0", "443.5", "4.435e2", "1e", "e1", "1e2147483647", "18446744073709551616"];
        for text in wrong.into_iter().chain(["0x10", "1_000", " 1", "NaN", "inf", "\u{661}", "1e99999999999"]) {
            assert_eq!(whole_number(text), None, "{text}");
        }
    }
}
