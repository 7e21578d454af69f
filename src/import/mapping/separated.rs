//! Lines of separated text.

use std::borrow::Cow;

use super::{plan::Plan, slots::Slots};
use crate::import::scalar::Scalar;

/// The columns of an input, as its header or its mapping names them.
#[derive(Clone, Debug)]
pub(super) struct Columns {
    separator: char,
    /// Of each column the slot that takes its values.
    slots: Vec<Option<usize>>,
}

impl Columns {
    /// The columns that a line names, if it names the start of a flow.
    pub(super) fn of_header(line: &str, plan: &Plan) -> Option<Self> {
        let separated = plan.separated.as_ref()?;
        // Most lines are records, which begin with a number or hold none of the names.
        let first = line.trim_ascii_start().trim_start_matches('"').as_bytes().first();
        if first.is_some_and(u8::is_ascii_digit) || !plan.header_names().any(|name| line.contains(name)) {
            return None;
        }
        separated.separators.iter().find_map(|separator| {
            let separator = char::from(*separator);
            let names: Result<Vec<_>, _> = Fields::new(line, separator, separated.quote).collect();
            let names = names.ok()?;
            let is_header = plan.header_names().any(|start| names.iter().any(|name| name == start));
            is_header.then(|| Self::named(names.iter().map(AsRef::as_ref), separator, plan))
        })
    }

    /// Those of an input without a header; none where its mapping names none.
    pub(super) fn of_plan(plan: &Plan) -> Option<Self> {
        let separated = plan.separated.as_ref().filter(|separated| !separated.columns.is_empty())?;
        let separator = char::from(*separated.separators.first()?);
        Some(Self::named(separated.columns.iter().map(String::as_str), separator, plan))
    }

    fn named<'n>(names: impl Iterator<Item = &'n str>, separator: char, plan: &Plan) -> Self {
        let mut slots: Vec<Option<usize>> = Vec::new();
        for name in names {
            let slot = plan.paths.names.iter().position(|known| known == name);
            // Of two columns with one name the first counts.
            let is_taken = slot.is_some() && slots.contains(&slot);
            slots.push(slot.filter(|_| !is_taken));
        }
        Self { separator, slots }
    }

    /// Whether the last column is one that the mapping names.
    pub(super) fn is_last_named(&self) -> bool {
        self.slots.last().is_some_and(Option::is_some)
    }

    /// Puts the fields of a line into their slots.
    pub(super) fn read<'a>(&self, line: &'a str, plan: &Plan, slots: &mut Slots<'a>) -> Result<(), String> {
        let quote = plan.separated.as_ref().and_then(|separated| separated.quote);
        let mut fields = Fields::new(line, self.separator, quote);
        for slot in &self.slots {
            let field = fields.next().ok_or_else(|| self.miscounted(line, quote))??;
            if let Some(slot) = slot {
                slots.set(*slot, Scalar::text(field));
            }
        }
        if fields.next().is_some() { Err(self.miscounted(line, quote)) } else { Ok(()) }
    }

    fn miscounted(&self, line: &str, quote: Option<u8>) -> String {
        let (found, named) = (Fields::new(line, self.separator, quote).count(), self.slots.len());
        format!("the line has {found} fields, and its header names {named}")
    }
}

/// The names in a line, where it is a header of a mapping.
pub(super) fn names<'l>(line: &'l str, plan: &Plan) -> Option<Vec<Cow<'l, str>>> {
    let separated = plan.separated.as_ref()?;
    let names = separated.separators.iter().filter_map(|separator| {
        Fields::new(line, char::from(*separator), separated.quote).collect::<Result<Vec<_>, _>>().ok()
    });
    names.max_by_key(Vec::len)
}

/// The fields of a line, without the blanks around them.
struct Fields<'l> {
    rest: Option<&'l str>,
    separator: char,
    quote: Option<char>,
}

impl<'l> Fields<'l> {
    fn new(line: &'l str, separator: char, quote: Option<u8>) -> Self {
        let quote = quote.map(char::from).filter(|quote| line.contains(*quote));
        Self { rest: Some(line), separator, quote }
    }

    /// A field in quotes, in which a quote is written twice: `"a ""b"", c"` is `a "b", c`.
    fn quoted(&mut self, text: &'l str, quote: char) -> Result<Cow<'l, str>, String> {
        let mut field = String::new();
        let mut rest = text;
        loop {
            let Some((part, after)) = rest.split_once(quote) else {
                self.rest = None;
                return Err(format!("a {quote} is not closed in the line"));
            };
            if let Some(more) = after.strip_prefix(quote) {
                field.push_str(part);
                field.push(quote);
                rest = more;
                continue;
            }
            let (between, after) = match after.split_once(self.separator) {
                Some((between, after)) => (between, Some(after)),
                None => (after, None),
            };
            self.rest = after;
            if !between.trim_ascii().is_empty() {
                return Err(format!("there is more behind the {quote} that closes a field"));
            }
            return Ok(if field.is_empty() {
                Cow::Borrowed(part.trim_ascii())
            } else {
                field.push_str(part);
                Cow::Owned(field.trim_ascii().to_owned())
            });
        }
    }
}

impl<'l> Iterator for Fields<'l> {
    type Item = Result<Cow<'l, str>, String>;

    fn next(&mut self) -> Option<Self::Item> {
        let rest = self.rest?;
        if let Some(quote) = self.quote
            && let Some(text) = rest.trim_ascii_start().strip_prefix(quote)
        {
            return Some(self.quoted(text, quote));
        }
        let (field, after) = match rest.split_once(self.separator) {
            Some((field, after)) => (field, Some(after)),
            None => (rest, None),
        };
        self.rest = after;
        Some(Ok(Cow::Borrowed(field.trim_ascii())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(line: &str) -> Result<Vec<String>, String> {
        Fields::new(line, ',', Some(b'"')).map(|field| field.map(Cow::into_owned)).collect()
    }

    #[test]
    fn quotes_hold_separators_and_quotes() {
        for (line, expected) in [
            ("a,b,", vec!["a", "b", ""]),
            (" a , b", vec!["a", "b"]),
            (r#""a,b","c ""d"" e", "f" ,g"#, vec!["a,b", "c \"d\" e", "f", "g"]),
            (r#""","""""#, vec!["", "\""]),
            (r#"a"b,c"#, vec!["a\"b", "c"]),
        ] {
            assert_eq!(fields(line).unwrap(), expected, "{line}");
        }
        assert_eq!(fields(r#"a,"b"#).unwrap_err(), "a \" is not closed in the line");
        assert_eq!(fields(r#""a"b,c"#).unwrap_err(), "there is more behind the \" that closes a field");
    }
}
