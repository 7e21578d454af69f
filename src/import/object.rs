//! The members of one JSON object, read in place.
//!
//! A number is handed out as it is written: through a floating-point number, as serde_json reads one with a fraction,
//! `1666012671.001000000` may come out a millisecond early. Nothing is allocated but for text with escapes.

use std::borrow::Cow;

use serde::de::IgnoredAny;

use super::scalar::{Scalar, is_number};

const WHITESPACE: [char; 4] = [' ', '\t', '\n', '\r'];

/// An object whose members are read one after the other.
pub(super) struct Object<'a> {
    text: &'a str,
    rest: &'a str,
    begun: bool,
}

/// A value as it stands in the text.
#[derive(Clone, Copy, Debug)]
pub(super) enum Token<'a> {
    Null,
    Boolean(bool),
    Number(&'a str),
    Text(Quoted<'a>),
    Array,
    /// An object within, as it stands in the text.
    Object(&'a str),
}

/// What stands between two quotes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Quoted<'a> {
    raw: &'a str,
    escaped: bool,
}

impl<'a> Object<'a> {
    /// Opens the object that a text is.
    pub(super) fn open(text: &'a str) -> Result<Self, String> {
        let rest = text.trim_start_matches(WHITESPACE).strip_prefix('{').ok_or("not a JSON object")?;
        Ok(Self { text, rest, begun: false })
    }

    /// The next member; `None` once the object is closed and nothing follows it.
    pub(super) fn next(&mut self) -> Result<Option<(Cow<'a, str>, Token<'a>)>, String> {
        if self.take('}') {
            self.skip_whitespace();
            return if self.rest.is_empty() { Ok(None) } else { Err(self.fault("something follows the object")) };
        }
        if self.begun && !self.take(',') {
            return Err(self.fault("`,` or `}` is expected"));
        }
        self.begun = true;
        if !self.take('"') {
            return Err(self.fault("a key in quotes is expected"));
        }
        let key = self.quoted()?.unescape()?;
        if !self.take(':') {
            return Err(self.fault("`:` is expected"));
        }
        self.skip_whitespace();
        Ok(Some((key, self.value()?)))
    }

    fn value(&mut self) -> Result<Token<'a>, String> {
        match self.rest.as_bytes().first() {
            Some(b'"') => {
                self.take('"');
                self.quoted().map(Token::Text)
            }
            Some(b'-' | b'0'..=b'9') => self.number(),
            Some(b'[') => self.nested().map(|_| Token::Array),
            Some(b'{') => self.nested().map(Token::Object),
            _ => self.word(),
        }
    }

    fn word(&mut self) -> Result<Token<'a>, String> {
        let words = [("null", Token::Null), ("true", Token::Boolean(true)), ("false", Token::Boolean(false))];
        for (word, token) in words {
            if let Some(rest) = self.rest.strip_prefix(word) {
                self.rest = rest;
                return Ok(token);
            }
        }
        Err(self.fault("a value is expected"))
    }

    fn number(&mut self) -> Result<Token<'a>, String> {
        let part = |byte: &u8| matches!(byte, b'0'..=b'9' | b'+' | b'-' | b'.' | b'e' | b'E');
        let length = self.rest.bytes().take_while(|byte| part(byte)).count();
        match self.rest.split_at_checked(length) {
            Some((number, rest)) if is_number(number) => {
                self.rest = rest;
                Ok(Token::Number(number))
            }
            _ => Err(self.fault("a number is malformed")),
        }
    }

    /// Reads up to the closing quote; the opening one has been taken.
    fn quoted(&mut self) -> Result<Quoted<'a>, String> {
        let mut escaped = false;
        let mut bytes = self.rest.bytes().enumerate();
        while let Some((at, byte)) = bytes.next() {
            match byte {
                b'"' => {
                    let raw = self.rest.get(..at).unwrap_or_default();
                    self.rest = self.rest.get(at + 1..).unwrap_or_default();
                    return Ok(Quoted { raw, escaped });
                }
                b'\\' => {
                    escaped = true;
                    bytes.next();
                }
                0..=0x1f => return Err(self.fault("the text holds a control character")),
                _ => {}
            }
        }
        Err(self.fault("the text has no end"))
    }

    /// Passes an array or an object, and gives its text.
    fn nested(&mut self) -> Result<&'a str, String> {
        let mut values = serde_json::Deserializer::from_str(self.rest).into_iter::<IgnoredAny>();
        if !matches!(values.next(), Some(Ok(_))) {
            return Err(self.fault("an array or object is malformed"));
        }
        let (nested, rest) = self.rest.split_at_checked(values.byte_offset()).unwrap_or((self.rest, ""));
        self.rest = rest;
        Ok(nested)
    }

    /// Takes a character, if it is the next after white space.
    fn take(&mut self, expected: char) -> bool {
        self.skip_whitespace();
        match self.rest.strip_prefix(expected) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn skip_whitespace(&mut self) {
        self.rest = self.rest.trim_start_matches(WHITESPACE);
    }

    fn fault(&self, what: &str) -> String {
        format!("not JSON at byte {}: {what}", self.text.len() - self.rest.len() + 1)
    }
}

impl<'a> Quoted<'a> {
    /// The text that is meant.
    fn unescape(self) -> Result<Cow<'a, str>, String> {
        if !self.escaped {
            return Ok(Cow::Borrowed(self.raw));
        }
        serde_json::from_str(&format!("\"{}\"", self.raw))
            .map(Cow::Owned)
            .map_err(|_| format!("not JSON: the escapes in {} are malformed", Scalar::Text(self.raw.into()).shown()))
    }
}

impl<'a> Token<'a> {
    /// The value as the fields of a flow take it.
    pub(super) fn scalar(self) -> Result<Scalar<'a>, String> {
        Ok(match self {
            Self::Null => Scalar::Absent,
            Self::Boolean(true) => Scalar::Other("true"),
            Self::Boolean(false) => Scalar::Other("false"),
            Self::Number(text) => Scalar::Number(text),
            Self::Text(text) => Scalar::text(text.unescape()?),
            Self::Array => Scalar::Other("an array"),
            Self::Object(text) => Scalar::Object(text),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Vec<String>, String> {
        let mut object = Object::open(text)?;
        let mut members = Vec::new();
        while let Some((key, token)) = object.next()? {
            members.push(format!("{key}={}", token.scalar()?.shown()));
        }
        Ok(members)
    }

    #[test]
    fn members_come_in_order_with_numbers_as_they_are_written() {
        let text = r#" { "a" : 1.50e+3 , "b":"x\n\u00e9\"", "é":null,"d":[1,{"e":"]"}],"f":{} , "g":true } "#;
        let members = ["a=1.50e+3", "b=\"x\\né\\\"\"", "é=nothing", "d=an array", "f=an object", "g=true"];
        assert_eq!(read(text).unwrap(), members);
        assert_eq!(read("{}").unwrap(), [""; 0]);
    }

    #[test]
    fn what_serde_json_takes_for_an_object_is_taken_and_nothing_else() {
        let cases = [
            r#"{"a":1}"#,
            r#"{"a":-0}"#,
            r#"{"a":-0.0e-0}"#,
            r#"{"a":"\ud83d\ude00"}"#,
            r#"{"a":"\u0000"}"#,
            r#"{"a":[[[]]]}"#,
            r#"{"a":1,}"#,
            r#"{,"a":1}"#,
            r#"{"a":1 "b":2}"#,
            r#"{"a"1}"#,
            r#"{"a":}"#,
            r#"{a:1}"#,
            r#"{"a":01}"#,
            r#"{"a":1.}"#,
            r#"{"a":.5}"#,
            r#"{"a":+1}"#,
            r#"{"a":1e}"#,
            r#"{"a":-}"#,
            r#"{"a":1-2}"#,
            r#"{"a":NaN}"#,
            r#"{"a":nul}"#,
            r#"{"a":trueish}"#,
            r#"{"a":"x}"#,
            r#"{"a":"\x"}"#,
            r#"{"a":"\ud800"}"#,
            r#"{"a":"x\"#,
            "{\"a\":\"\t\"}",
            r#"{"a":[1,]}"#,
            r#"{"a":[}"#,
            r#"{"a":1}}"#,
            r#"{"a":1} x"#,
            "{",
            "}",
            "",
            "[]",
            "null",
            "{\u{a0}}",
        ];
        for text in cases {
            let expected = serde_json::from_str::<serde_json::Map<String, serde_json::Value>>(text);
            assert_eq!(read(text).is_ok(), expected.is_ok(), "{text}");
        }
    }

    #[test]
    fn a_fault_names_its_place() {
        assert_eq!(read(r#"{"a":1 "b":2}"#).unwrap_err(), "not JSON at byte 8: `,` or `}` is expected");
    }

    #[test]
    fn deep_nesting_is_skipped_or_refused_without_harm() {
        let deep = format!("{{\"a\":{}{}}}", "[".repeat(500_000), "]".repeat(500_000));
        let _ = read(&deep);
        assert!(read(&format!("{{\"a\":{}", "[{\"a\":".repeat(100_000))).is_err());
    }
}
