//! Percent-encoding (RFC 3986, section 2.1), and the plus sign of the form encoding.

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
    let mut decoded = Vec::with_capacity(encoded.len());
    let mut rest = encoded.bytes();
    while let Some(byte) = rest.next() {
        decoded.push(match byte {
            b'%' => {
                let digits = hex_digit(rest.next()).zip(hex_digit(rest.next()));
                let (high, low) = digits.ok_or("holds a % without two hexadecimal digits; write % as %25")?;
                high << 4 | low
            }
            b'+' if plus == Plus::Space => b' ',
            byte => byte,
        });
    }
    String::from_utf8(decoded).map_err(|_| "is not UTF-8 once it is decoded")
}

fn hex_digit(byte: Option<u8>) -> Option<u8> {
    let digit = char::from(byte?).to_digit(16)?;
    u8::try_from(digit).ok()
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
