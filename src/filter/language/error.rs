//! What is wrong with a filter's text, and where.

use std::{
    error::Error,
    fmt::{self, Display, Formatter},
    ops::Range,
};

/// Characters of a long line that are shown on either side of a problem.
const AROUND: usize = 48;
/// Problems that are told one by one, at most.
const MOST: usize = 20;

/// A text that is no filter: everything that is wrong with it, and where.
///
/// ```
/// use flowseek::Filter;
///
/// let error = "dst port 70000 and src ip 10.0.0".parse::<Filter>().unwrap_err();
/// assert_eq!(error.problems().len(), 2);
/// assert_eq!(
///     error.to_string().lines().take(3).collect::<Vec<_>>(),
///     [
///         "expected a port from 0 to 65535, or a range such as 8000-8999; found `70000`",
///         "  dst port 70000 and src ip 10.0.0",
///         "           ^^^^^",
///     ],
/// );
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FilterError {
    text: String,
    problems: Vec<FilterProblem>,
    more: usize,
}

/// Something that is wrong with a filter's text.
///
/// ```
/// use flowseek::Filter;
///
/// let error = "tcp and port 80000".parse::<Filter>().unwrap_err();
/// assert_eq!(error.problems()[0].span, 13..18);
/// assert!(error.problems()[0].message.ends_with("; found `80000`"));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct FilterProblem {
    /// Where: bytes of the text.
    pub span: Range<usize>,
    /// What, in a sentence: what was expected there, and what was found.
    pub message: String,
}

impl FilterError {
    pub(super) fn new(text: &str, mut problems: Vec<FilterProblem>) -> Self {
        problems.sort_by_key(|problem| problem.span.start);
        let more = problems.len().saturating_sub(MOST);
        problems.truncate(MOST);
        Self { text: text.to_owned(), problems, more }
    }

    /// What is wrong, in the order of the text; the first 20.
    pub fn problems(&self) -> &[FilterProblem] {
        &self.problems
    }

    /// Each problem as it is displayed: what, the line of the text, and a line that points at the place.
    pub fn told(&self) -> impl Iterator<Item = String> {
        let more = (self.more > 0).then(|| format!("{} more problems are not told", self.more));
        self.problems.iter().map(|problem| problem.pointing_at(&self.text)).chain(more)
    }
}

impl FilterProblem {
    fn pointing_at(&self, text: &str) -> String {
        let line_start = text.get(..self.span.start).and_then(|before| before.rfind('\n')).map_or(0, |end| end + 1);
        let line = text.get(line_start..).and_then(|rest| rest.lines().next()).unwrap_or_default();
        let before = text.get(line_start..self.span.start).unwrap_or_default();
        let inside = text.get(self.span.clone()).unwrap_or_default().lines().next().unwrap_or_default();
        // Of a long line the part around the place.
        let skipped = before.chars().count().saturating_sub(AROUND);
        let column = before.chars().count() - skipped;
        let width = inside.chars().count().clamp(1, AROUND);
        let shown: String = line.chars().skip(skipped).take(column + width + AROUND).map(visible).collect();
        format!("{}\n  {shown}\n  {}{}", self.message, " ".repeat(column), "^".repeat(width))
    }
}

/// Tabs and the like would put the pointer elsewhere.
fn visible(char: char) -> char {
    if char.is_control() { ' ' } else { char }
}

impl Display for FilterError {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        for (number, told) in self.told().enumerate() {
            if number > 0 {
                f.write_str("\n")?;
            }
            f.write_str(&told)?;
        }
        Ok(())
    }
}

impl Error for FilterError {}
