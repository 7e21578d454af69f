//! A mapping file as TOML whose errors name the line, the key and what is allowed.

use std::{borrow::Cow, ops::Range};

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use crate::{error::ParseError, spelling::nearest};

/// A value of a file, and where it stands.
#[derive(Clone, Debug)]
pub(super) struct Value<'f> {
    text: &'f str,
    /// The keys that lead to it, with points between.
    key: String,
    value: &'f Spanned<DeValue<'f>>,
}

/// A table of a file.
#[derive(Debug)]
pub(super) struct Table<'f> {
    text: &'f str,
    key: String,
    table: &'f DeTable<'f>,
    span: Range<usize>,
}

/// Parses a file.
pub(super) fn parse(text: &str) -> Result<Spanned<DeTable<'_>>, ParseError> {
    DeTable::parse(text).map_err(|error| {
        let line = error.span().map_or(1, |span| line_of(text, span.start));
        ParseError::new(format!("line {line}: not TOML: {}", error.message()))
    })
}

fn line_of(text: &str, offset: usize) -> usize {
    text.bytes().take(offset).filter(|byte| *byte == b'\n').count() + 1
}

impl<'f> Table<'f> {
    /// The table that a file is.
    pub(super) fn root(text: &'f str, table: &'f Spanned<DeTable<'f>>) -> Self {
        Self { text, key: String::new(), table: table.get_ref(), span: 0..0 }
    }

    /// The value of a key.
    pub(super) fn get(&self, key: &str) -> Option<Value<'f>> {
        let value = self.table.get(key)?;
        Some(Value { text: self.text, key: self.path(key), value })
    }

    /// The keys and values, in the order of the keys.
    pub(super) fn members(&self) -> impl Iterator<Item = (&'f str, Value<'f>)> {
        self.table.iter().map(|(key, value)| {
            let key = key.get_ref().as_ref();
            (key, Value { text: self.text, key: self.path(key), value })
        })
    }

    /// An error if there are other keys than these.
    pub(super) fn allow(&self, allowed: &[&str]) -> Result<(), ParseError> {
        for (key, _) in self.table {
            let name = key.get_ref().as_ref();
            if !allowed.contains(&name) {
                let near = nearest(name, 2, allowed.iter().map(|known| (*known, *known)));
                let meant = near.map(|near| format!("; did you mean {near:?}?")).unwrap_or_default();
                let allowed = allowed.join(", ");
                let reason = format!("the key is unknown{meant} (allowed are {allowed})");
                return Err(fault(self.text, &key.span(), &self.path(name), &reason));
            }
        }
        Ok(())
    }

    /// An error about the table.
    pub(super) fn fault(&self, reason: impl Into<String>) -> ParseError {
        fault(self.text, &self.span, &self.key, &reason.into())
    }

    fn path(&self, key: &str) -> String {
        if self.key.is_empty() { key.to_owned() } else { format!("{}.{key}", self.key) }
    }
}

fn fault(text: &str, span: &Range<usize>, key: &str, reason: &str) -> ParseError {
    let key = if key.is_empty() { String::new() } else { format!("{key}: ") };
    ParseError::new(format!("line {}: {key}{reason}", line_of(text, span.start)))
}

impl<'f> Value<'f> {
    /// An error about the value.
    pub(super) fn fault(&self, reason: impl Into<String>) -> ParseError {
        fault(self.text, &self.value.span(), &self.key, &reason.into())
    }

    fn is_not(&self, what: &str) -> ParseError {
        let given = match self.value.get_ref() {
            DeValue::String(text) => format!("{text:?}"),
            DeValue::Integer(number) => number.to_string(),
            DeValue::Float(number) => number.to_string(),
            DeValue::Boolean(is) => is.to_string(),
            DeValue::Datetime(_) => "a date".to_owned(),
            DeValue::Array(_) => "a list".to_owned(),
            DeValue::Table(_) => "a table".to_owned(),
        };
        self.fault(format!("{given} is not {what}"))
    }

    pub(super) fn text(&self) -> Result<&'f str, ParseError> {
        match self.value.get_ref() {
            DeValue::String(text) => Ok(text),
            _ => Err(self.is_not("a text")),
        }
    }

    /// Text, or a number as it is written.
    pub(super) fn word(&self) -> Result<Cow<'f, str>, ParseError> {
        match self.value.get_ref() {
            DeValue::Integer(number) => Ok(Cow::Owned(number.to_string())),
            DeValue::Boolean(is) => Ok(Cow::Owned(is.to_string())),
            DeValue::String(text) => Ok(Cow::Borrowed(text)),
            _ => Err(self.is_not("a text or a whole number")),
        }
    }

    pub(super) fn flag(&self) -> Result<bool, ParseError> {
        match self.value.get_ref() {
            DeValue::Boolean(is) => Ok(*is),
            _ => Err(self.is_not("true or false")),
        }
    }

    /// One of these texts, and what stands for it.
    pub(super) fn one_of<T: Copy>(&self, choices: &[(&str, T)]) -> Result<T, ParseError> {
        let text = self.text()?;
        let found = choices.iter().find(|(name, _)| *name == text).map(|(_, choice)| *choice);
        found.ok_or_else(|| {
            let names: Vec<String> = choices.iter().map(|(name, _)| format!("{name:?}")).collect();
            self.fault(format!("{text:?} is none of {}", names.join(", ")))
        })
    }

    /// One character of ASCII.
    pub(super) fn letter(&self) -> Result<u8, ParseError> {
        match self.text()?.as_bytes() {
            [letter] if letter.is_ascii() => Ok(*letter),
            _ => Err(self.is_not("one character of ASCII")),
        }
    }

    /// The elements of a list, or the value itself where it is none.
    pub(super) fn list(&self) -> Vec<Self> {
        match self.value.get_ref() {
            DeValue::Array(values) => {
                values.iter().map(|value| Self { text: self.text, key: self.key.clone(), value }).collect()
            }
            _ => vec![self.clone()],
        }
    }

    pub(super) fn is_table(&self) -> bool {
        matches!(self.value.get_ref(), DeValue::Table(_))
    }

    pub(super) fn table(&self) -> Result<Table<'f>, ParseError> {
        match self.value.get_ref() {
            DeValue::Table(table) => {
                Ok(Table { text: self.text, key: self.key.clone(), table, span: self.value.span() })
            }
            _ => Err(self.is_not("a table")),
        }
    }
}
