//! Whole numbers, however they are written.

use crate::decimal::Decimal;

/// Reads `443`, `443.0`, `4.43e2` or `+443` exactly; `None` for what is negative, not whole, or above 2^64 - 1.
pub(super) fn whole_number(text: &str) -> Option<u64> {
    Decimal::parse(text).filter(|number| !number.is_negative())?.whole()
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
