//! What else a logging node says of a flow.

use std::{fmt, str::FromStr};

use serde_json::{Map, Value};

use crate::error::ParseError;

/// The longest object, in bytes of its text: a segment of two million of them still has 32-bit offsets.
pub const MAX_META_BYTES: usize = 1023;

/// A JSON object: what else the logging node says of a flow. It is kept as it is written, numbers and the order of the
/// members included, but for white space between its parts; its text has at most [`MAX_META_BYTES`].
///
/// ```
/// use flowseek::flow::Meta;
///
/// let meta: Meta = r#"{"rule": 17, "cost": 0.10}"#.parse()?;
/// assert_eq!(meta.as_str(), r#"{"rule":17,"cost":0.10}"#);
/// assert!("[17]".parse::<Meta>().is_err());
/// # Ok::<(), flowseek::error::ParseError>(())
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Meta(String);

impl Meta {
    /// Its text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The object with a text that one had before.
    pub(crate) fn from_stored(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl FromStr for Meta {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let object = serde_json::from_str::<Map<String, Value>>(text);
        object.map_err(|error| ParseError::new(format!("not a JSON object: {error}")))?;
        let compact = without_space(text);
        if compact.len() > MAX_META_BYTES {
            let reason = format!("an object of {} bytes is too long: {MAX_META_BYTES} are allowed", compact.len());
            return Err(ParseError::new(reason));
        }
        Ok(Self(compact))
    }
}

/// JSON without the white space that is not within a text.
fn without_space(json: &str) -> String {
    let (mut is_text, mut is_escaped) = (false, false);
    let keep = |letter: &char| {
        let keep = is_text || !letter.is_ascii_whitespace();
        match letter {
            '"' if !is_escaped => is_text = !is_text,
            _ => {}
        }
        is_escaped = is_text && *letter == '\\' && !is_escaped;
        keep
    };
    json.chars().filter(keep).collect()
}

impl fmt::Display for Meta {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Meta {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_is_kept_as_it_is_written_but_for_white_space() {
        for (text, kept) in [
            ("{}", "{}"),
            (" { } \n", "{}"),
            ("{\"b\" : 1.10 ,\n\t\"a\":[ 1e2, \" x \\\" \\\\\" ] }", "{\"b\":1.10,\"a\":[1e2,\" x \\\" \\\\\"]}"),
            ("{\"n\": 18446744073709551616}", "{\"n\":18446744073709551616}"),
        ] {
            assert_eq!(text.parse::<Meta>().unwrap().as_str(), kept);
        }
        for text in ["", "null", "[]", "1", "\"{}\"", "{", "{}{}", "{\"a\":}", "{\"a\":\"\\ud800\"}"] {
            assert!(text.parse::<Meta>().unwrap_err().to_string().starts_with("not a JSON object"), "{text}");
        }
    }

    #[test]
    fn an_object_may_have_1023_bytes() {
        let of = |bytes: usize| format!("{{\"a\" : \"{}\"}}", "x".repeat(bytes - 8)).parse::<Meta>();
        assert_eq!(of(1023).unwrap().as_str().len(), 1023);
        assert_eq!(of(1024).unwrap_err().to_string(), "an object of 1024 bytes is too long: 1023 are allowed");
    }
}
