//! Patterns of names.

use std::{
    fmt::{self, Display, Formatter},
    str::FromStr,
};

use crate::error::ParseError;

/// The longest pattern, in bytes: each byte of the longest name escaped.
const MOST_BYTES: usize = 2 * crate::flow::MAX_TEXT_BYTES;

/// A pattern of whole names: `*` stands for any characters or none, `?` for one, and a backslash takes what follows as it is.
///
/// ```
/// use flowseek::filter::Pattern;
///
/// let pattern: Pattern = "edge-?/*".parse()?;
/// assert!(pattern.matches("edge-7/eth0") && !pattern.matches("edge-17/eth0"));
/// assert_eq!(Pattern::starting_with("50*/").to_string(), r"50\*/*");
/// assert!(r"trailing\".parse::<Pattern>().is_err());
/// # Ok::<(), flowseek::error::ParseError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Pattern(Vec<Part>);

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Part {
    /// These characters, at least one.
    Text(String),
    /// One character.
    One,
    /// Any characters.
    Any,
}

impl Pattern {
    /// Of names that begin with a text.
    pub fn starting_with(text: impl Into<String>) -> Self {
        let text = text.into();
        let text = if text.is_empty() { None } else { Some(Part::Text(text)) };
        Self(text.into_iter().chain([Part::Any]).collect())
    }

    /// Whether a name is one of those.
    pub fn matches(&self, name: &str) -> bool {
        // Where the last `*` was, and how much of the name it has taken: another try takes one character more.
        let mut retry: Option<(usize, &str)> = None;
        let (mut place, mut rest) = (0, name);
        loop {
            let step = match self.0.get(place) {
                None => rest.is_empty().then_some(rest),
                Some(Part::Any) => {
                    retry = Some((place, rest));
                    Some(rest)
                }
                Some(Part::One) => skip_char(rest),
                Some(Part::Text(text)) => rest.strip_prefix(text.as_str()),
            };
            match step {
                Some(_) if place >= self.0.len() => return true,
                Some(left) => (place, rest) = (place + 1, left),
                None => {
                    let Some((any, taken)) = retry else { return false };
                    let Some(left) = skip_char(taken) else { return false };
                    retry = Some((any, left));
                    (place, rest) = (any + 1, left);
                }
            }
        }
    }

    /// What every such name begins with.
    pub(crate) fn prefix(&self) -> &str {
        match self.0.first() {
            Some(Part::Text(text)) => text,
            _ => "",
        }
    }

    /// The name that it is, where it is one.
    pub(crate) fn literal(&self) -> Option<&str> {
        match self.0.as_slice() {
            [Part::Text(text)] => Some(text),
            _ => None,
        }
    }

    /// As a pattern of SQL's `LIKE`, whose escape is a backslash.
    pub(crate) fn like(&self) -> String {
        let escaped = |text: &String| {
            text.chars().fold(String::new(), |mut out, char| {
                if matches!(char, '%' | '_' | '\\') {
                    out.push('\\');
                }
                out.push(char);
                out
            })
        };
        let part = |part: &Part| match part {
            Part::Text(text) => escaped(text),
            Part::One => "_".to_owned(),
            Part::Any => "%".to_owned(),
        };
        self.0.iter().map(part).collect()
    }

    /// About how many bytes of memory it takes.
    pub(super) fn memory(&self) -> usize {
        self.0.iter().map(|part| size_of::<Part>() + if let Part::Text(text) = part { text.len() } else { 0 }).sum()
    }
}

fn skip_char(text: &str) -> Option<&str> {
    let mut chars = text.chars();
    chars.next().map(|_| chars.as_str())
}

impl FromStr for Pattern {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        if text.is_empty() || text.len() > MOST_BYTES {
            return Err(ParseError::new(format!("a pattern of 1 to {MOST_BYTES} bytes is wanted")));
        }
        let mut parts = Vec::new();
        let mut literal = String::new();
        let mut chars = text.chars();
        while let Some(char) = chars.next() {
            let part = match char {
                '*' => Part::Any,
                '?' => Part::One,
                '\\' => {
                    literal.push(
                        chars.next().ok_or_else(|| ParseError::new("a backslash has nothing behind it".to_owned()))?,
                    );
                    continue;
                }
                char => {
                    literal.push(char);
                    continue;
                }
            };
            if !literal.is_empty() {
                parts.push(Part::Text(std::mem::take(&mut literal)));
            }
            // `**` is `*`.
            if part != Part::Any || parts.last() != Some(&Part::Any) {
                parts.push(part);
            }
        }
        if !literal.is_empty() {
            parts.push(Part::Text(literal));
        }
        Ok(Self(parts))
    }
}

/// As it is parsed.
impl Display for Pattern {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        for part in &self.0 {
            match part {
                Part::One => f.write_str("?")?,
                Part::Any => f.write_str("*")?,
                Part::Text(text) => {
                    for char in text.chars() {
                        if matches!(char, '*' | '?' | '\\') {
                            f.write_str("\\")?;
                        }
                        write!(f, "{char}")?;
                    }
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The meaning, by trying everything.
    fn matches(parts: &[Part], name: &str) -> bool {
        match parts.split_first() {
            None => name.is_empty(),
            Some((Part::Text(text), rest)) => name.strip_prefix(text.as_str()).is_some_and(|name| matches(rest, name)),
            Some((Part::One, rest)) => skip_char(name).is_some_and(|name| matches(rest, name)),
            Some((Part::Any, rest)) => matches(rest, name) || skip_char(name).is_some_and(|left| matches(parts, left)),
        }
    }

    proptest! {
        #[test]
        fn a_pattern_matches_what_trying_everything_finds(text in "[ab*?ü]{1,7}", name in "[abü]{0,7}") {
            let pattern: Pattern = text.parse().unwrap();
            prop_assert_eq!(pattern.matches(&name), matches(&pattern.0, &name));
            prop_assert!(!pattern.matches(&name) || name.starts_with(pattern.prefix()));
        }

        #[test]
        fn a_pattern_that_is_displayed_is_the_same(text in r"[ab*?\\%_ü]{1,9}") {
            if let Ok(pattern) = text.parse::<Pattern>() {
                prop_assert_eq!(&pattern.to_string().parse::<Pattern>().unwrap(), &pattern);
            }
        }
    }
}
