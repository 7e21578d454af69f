//! Durations and sizes, as people write them.

/// Milliseconds in `90d`, `36h`, `2w`.
///
/// # Errors
/// What is allowed.
pub fn duration(text: &str) -> Result<i64, String> {
    const UNITS: [(&str, i64); 6] =
        [("ms", 1), ("s", 1000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000), ("w", 604_800_000)];
    let allowed =
        || format!("{text:?} is no duration; it is a whole number and one of ms, s, m, h, d (days), w (weeks): 90d");
    let (number, unit) = split(text).ok_or_else(allowed)?;
    let (_, millis) = UNITS.into_iter().find(|(name, _)| *name == unit).ok_or_else(allowed)?;
    i64::try_from(number).ok().and_then(|number| number.checked_mul(millis)).ok_or_else(allowed)
}

/// Bytes in `10GB` (powers of 1000), `512MiB` (powers of 1024) or `1000000`.
///
/// # Errors
/// What is allowed.
pub fn size(text: &str) -> Result<u64, String> {
    const UNITS: [(&str, u64); 10] = [
        ("", 1),
        ("B", 1),
        ("KB", 1000),
        ("MB", 1_000_000),
        ("GB", 1_000_000_000),
        ("TB", 1_000_000_000_000),
        ("KIB", 1 << 10),
        ("MIB", 1 << 20),
        ("GIB", 1 << 30),
        ("TIB", 1 << 40),
    ];
    let allowed =
        || format!("{text:?} is no size; it is a whole number and one of B, KB, MB, GB, TB, KiB, MiB, GiB, TiB: 10GB");
    let (number, unit) = split(text).ok_or_else(allowed)?;
    let unit = unit.to_ascii_uppercase();
    let (_, bytes) = UNITS.into_iter().find(|(name, _)| *name == unit).ok_or_else(allowed)?;
    number.checked_mul(bytes).ok_or_else(allowed)
}

/// A number and what follows it.
fn split(text: &str) -> Option<(u64, &str)> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at_checked(digits)?;
    Some((number.parse().ok()?, unit.strip_prefix(' ').unwrap_or(unit)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_units() {
        assert_eq!(duration("90d"), Ok(90 * 86_400_000));
        assert_eq!(duration("0s"), Ok(0));
        assert_eq!(duration("250 ms"), Ok(250));
        for text in ["", "90", "d", "-1d", "1.5h", "90D", "90 days", "9999999999999999d", "99999999999999999999s"] {
            assert!(duration(text).unwrap_err().contains("90d"), "{text}");
        }
    }

    #[test]
    fn sizes_have_units_of_both_kinds() {
        assert_eq!(size("10GB"), Ok(10_000_000_000));
        assert_eq!(size("1 gib"), Ok(1 << 30));
        assert_eq!(size("17"), Ok(17));
        for text in ["", "GB", "1.5GB", "-1", "1XB", "99999999999TB"] {
            assert!(size(text).unwrap_err().contains("10GB"), "{text}");
        }
    }
}
