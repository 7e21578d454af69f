//! Filters as text: the words and the precedence of nfdump.
//!
//! ```
//! use flowseek::{Filter, filter};
//!
//! let text = r#"proto tcp and (src net 10.0.0.0/8 or dst ip in [1.1.1.1, 2001:db8::/32]) and not dst port 443"#;
//! let filter: Filter = text.parse()?;
//! assert_eq!(filter.to_string().parse::<Filter>()?.normal(), filter.normal());
//! # Ok::<(), flowseek::filter::FilterError>(())
//! ```

mod complete;
mod error;
mod lexer;
mod parser;
mod print;
mod values;

use std::{str::FromStr, time::SystemTime};

use self::parser::Parser;
pub(crate) use self::print::word;
pub use self::{
    complete::{Completion, complete},
    error::{FilterError, FilterProblem},
};
use super::Filter;
use crate::flow::Timestamp;

/// The words of filters as text, as a table of examples.
///
/// ```
/// assert!(flowseek::filter::REFERENCE.contains("| `dst port 443` |"));
/// ```
pub const REFERENCE: &str = include_str!("reference.md");

/// The longest text, in bytes.
const MOST_BYTES: usize = 64 << 10;

/// A filter that was read from text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Parsed {
    pub(crate) filter: Filter,
    /// Whether it looks at the time at which it was read, as `last 24h` does.
    pub(crate) is_relative: bool,
}

/// Reads a filter; `last` is before `now`.
pub(crate) fn parse_at(text: &str, now: Timestamp) -> Result<Parsed, FilterError> {
    if text.len() > MOST_BYTES {
        let message = format!("the filter has {} bytes; allowed: at most {MOST_BYTES}", text.len());
        return Err(FilterError::new("", vec![FilterProblem { span: 0..0, message }]));
    }
    let mut parser = Parser::new(text, now);
    let filter = parser.filter();
    if parser.problems.is_empty() {
        Ok(Parsed { filter, is_relative: parser.is_relative })
    } else {
        Err(FilterError::new(text, parser.problems))
    }
}

impl FromStr for Filter {
    type Err = FilterError;

    /// Reads the text of a filter: see [the words](crate::filter#as-text). `last` is before the time of the system's clock.
    fn from_str(text: &str) -> Result<Self, FilterError> {
        parse_at(text, Timestamp::of_clock(SystemTime::now())).map(|parsed| parsed.filter)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_example_of_the_reference_is_a_filter() {
        let rows = REFERENCE.lines().filter_map(|line| line.strip_prefix("| `"));
        let examples: Vec<&str> = rows.filter_map(|row| row.split_once("` |")).map(|(example, _)| example).collect();
        assert!(examples.len() > 25);
        for example in examples {
            let filter: Filter = example.parse().unwrap_or_else(|error| panic!("{example}\n{error}"));
            assert_eq!(filter.to_string().parse::<Filter>().unwrap().normal(), filter.normal(), "{example}");
        }
    }
}
