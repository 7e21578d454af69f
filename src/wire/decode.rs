//! Percent-encoding (RFC 3986, section 2.1), and the plus sign of the form encoding.

use percent_encoding::percent_decode_str;

/// What an unescaped plus sign stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Plus {
    /// A space, as in the form encoding.
    Space,
    /// A plus sign.
    Itself,
}

/// The names and values of a query string, still encoded; a name without `=` has an empty value.
pub(super) fn pairs(query: &str) -> impl Iterator<Item = (&str, &str)> {
    let query = query.strip_prefix('?').unwrap_or(query);
    query.split('&').filter(|pair| !pair.is_empty()).map(|pair| pair.split_once('=').unwrap_or((pair, "")))
}

/// The text that `encoded` stands for. Strict, unlike the form encoding's standard: what cannot be decoded would be
/// another filter than the one meant.
pub(super) fn decode(encoded: &str, plus: Plus) -> Result<String, &'static str> {
    let decoded: Vec<u8> = match plus {
        Plus::Space => percent_decode_str(&encoded.replace('+', " ")).collect(),
        Plus::Itself => percent_decode_str(encoded).collect(),
    };
    // The decoder leaves a broken escape as it is. Each good one is shorter by two.
    let escapes = encoded.bytes().filter(|byte| *byte == b'%').count();
    if decoded.len() + 2 * escapes != encoded.len() {
        return Err("holds a % without two hexadecimal digits; write % as %25");
    }
    String::from_utf8(decoded).map_err(|_| "is not UTF-8 once it is decoded")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_are_decoded_and_broken_ones_refused() {
        assert_eq!(decode("a%20b+c%2Bd", Plus::Space).unwrap(), "a b c+d");
        assert_eq!(decode("SYN+ACK%2bFIN", Plus::Itself).unwrap(), "SYN+ACK+FIN");
        assert_eq!(decode("%C3%BC\u{fc}", Plus::Space).unwrap(), "\u{fc}\u{fc}");
        for broken in ["%", "%4", "%zz", "%+1", "100%&", "%C3", "%ff", "%\u{fc}"] {
            assert!(decode(broken, Plus::Space).is_err(), "{broken}");
        }
    }

    #[test]
    fn a_query_string_is_split_into_pairs() {
        let read: Vec<_> = pairs("?a=1&&b=&c&d=x=y&").collect();
        assert_eq!(read, [("a", "1"), ("b", ""), ("c", ""), ("d", "x=y")]);
    }
}
