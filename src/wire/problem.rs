//! What is wrong with a query, in sentences.

use crate::{error::Error, spelling};

/// The most problems that are listed one by one; how many more there are is said.
const MAX_LISTED: usize = 100;
/// The longest piece of a given value that is repeated in a problem, in characters.
const MAX_QUOTED: usize = 60;

/// The problems of an error as the endpoint answers them: those of a bad query, or else its message.
///
/// ```
/// use flowseek::wire::{Request, problem_list};
///
/// let error = Request::parse("reverse=perhaps&limit=70000").unwrap_err();
/// assert_eq!(problem_list(&error), [
///     r#"`limit`: "70000" is not a limit; allowed: 0 to 10000"#,
///     r#"`reverse`: "perhaps" is neither true nor false; allowed: true, false"#,
/// ]);
/// ```
pub fn problem_list(error: &Error) -> Vec<String> {
    match error.problems() {
        [] => vec![error.to_string()],
        problems => problems.to_vec(),
    }
}

/// The problems found so far.
#[derive(Debug, Default)]
pub(super) struct Problems {
    listed: Vec<String>,
    more: usize,
}

impl Problems {
    /// Adds a problem, which is worded only where it is listed.
    pub(super) fn push(&mut self, problem: impl FnOnce() -> String) {
        if self.listed.len() < MAX_LISTED {
            self.listed.push(problem());
        } else {
            self.more += 1;
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.listed.is_empty()
    }

    pub(super) fn finish(mut self) -> Vec<String> {
        if self.more > 0 {
            self.listed.push(format!("{} more problems are not listed", self.more));
        }
        self.listed
    }
}

/// What is wrong with one value.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Wrong {
    what: String,
    allowed: Option<String>,
    /// The word that was meant, where the given one is a misspelling.
    meant: Option<&'static str>,
}

impl Wrong {
    /// `what` is a predicate of the given text: `is not a port`.
    pub(super) fn value(given: &str, what: &str) -> Self {
        Self::because(format!("{} {what}", quote(given)))
    }

    pub(super) fn because(what: impl Into<String>) -> Self {
        Self { what: what.into(), allowed: None, meant: None }
    }

    /// Other values are allowed here than for the whole parameter.
    pub(super) fn allowed(self, allowed: impl Into<String>) -> Self {
        Self { allowed: Some(allowed.into()), ..self }
    }

    /// The given word may be a misspelling of one of these.
    pub(super) fn meant(self, given: &str, known: impl Iterator<Item = &'static str>) -> Self {
        Self { meant: nearest(given, known.map(|word| (word, word))), ..self }
    }

    /// The given name may be a misspelling of one of these, or of one that stands for the other beside it.
    pub(super) fn meant_among(self, given: &str, known: impl Iterator<Item = (&'static str, &'static str)>) -> Self {
        Self { meant: nearest(given, known), ..self }
    }

    /// The sentence, for a parameter that allows `allowed`.
    pub(super) fn sentence(&self, name: &str, allowed: &str) -> String {
        let allowed = self.allowed.as_deref().unwrap_or(allowed);
        let meant = self.meant.map(|meant| format!("; did you mean `{meant}`?")).unwrap_or_default();
        format!("`{name}`: {}; allowed: {allowed}{meant}", self.what)
    }
}

/// Given text within quotes, escaped and not too long.
pub(super) fn quote(given: &str) -> String {
    match given.char_indices().nth(MAX_QUOTED) {
        Some((end, _)) => format!("{:?}...", given.get(..end).unwrap_or_default()),
        None => format!("{given:?}"),
    }
}

/// What the known name stands for that `given` is a misspelling of: at most one edit in three letters, case aside.
///
/// Each name comes with what it stands for: a parameter for itself, `sourceIP` for `srcIp`.
pub(super) fn nearest<N: AsRef<str>>(
    given: &str,
    known: impl Iterator<Item = (N, &'static str)>,
) -> Option<&'static str> {
    spelling::nearest(given, (given.chars().count() / 3).clamp(1, 3), known)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_near_miss_finds_the_name_that_was_meant() {
        let known = || {
            let names = ["eq", "ne", "gt", "gte", "lt", "lte", "dstPort", "srcPort", "ip"];
            names.into_iter().map(|name| (name, name)).chain([("sourceIP", "srcIp")])
        };
        for (given, meant) in [
            ("dstPrt", "dstPort"),
            ("DSTPORT", "dstPort"),
            ("sourcePort", "srcPort"),
            ("ge", "gte"),
            ("source_ip", "srcIp"),
        ] {
            assert_eq!(nearest(given, known()), Some(meant), "{given}");
        }
        for given in ["", "vlan", "password", "=="] {
            assert_eq!(nearest(given, known()), None, "{given}");
        }
    }

    #[test]
    fn long_values_are_cut_where_they_are_quoted() {
        assert_eq!(quote("a\nb"), r#""a\nb""#);
        assert_eq!(quote(&"\u{fc}".repeat(100)), format!("\"{}\"...", "\u{fc}".repeat(60)));
    }
}
