//! Which words may come next in a filter's text.

use std::ops::Range;

use super::parser::Parser;
use crate::flow::Timestamp;

/// The words that may stand at a place of a filter's text.
///
/// ```
/// use flowseek::filter::complete;
///
/// let completion = complete("tcp and dst po", 14);
/// assert_eq!((completion.span, completion.words), (12..14, vec!["port", "portrange"]));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Completion {
    /// What a word takes the place of: the letters before the place, in bytes of the text.
    pub span: Range<usize>,
    /// Words and signs. Values that are not words of the language, such as ports, are not among
    /// them.
    pub words: Vec<&'static str>,
}

/// The words that may stand at `position`, in bytes of the text, and that begin with the letters before it. What follows it is not
/// looked at; nor is what is wrong before it. A position that is none of the text is its end.
pub fn complete(text: &str, position: usize) -> Completion {
    let before = text.get(..position).unwrap_or(text);
    let begun = before.trim_end_matches(|char: char| char.is_ascii_alphanumeric());
    let typed = before.get(begun.len()..).unwrap_or_default();
    let mut parser = Parser::new(begun, Timestamp::MIN);
    let _ = parser.filter();
    let mut words: Vec<&'static str> = Vec::new();
    for word in parser.offers {
        let begins = word.get(..typed.len()).is_some_and(|start| start.eq_ignore_ascii_case(typed));
        if begins && !words.contains(&word) {
            words.push(word);
        }
    }
    Completion { span: begun.len()..before.len(), words }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_those_that_may_come_next() {
        for (text, words) in [
            ("not du", vec!["duration"]),
            ("tcp ", vec!["and", "or"]),
            ("(tcp ", vec!["and", "or", ")"]),
            ("tcp an", vec!["and"]),
            ("TCP A", vec!["and"]),
            ("src n", vec!["net", "node"]),
            ("src or dst por", vec!["port", "portrange"]),
            ("proto t", vec!["tcp"]),
            ("proto in [tcp, u", vec!["udp", "unknown"]),
            ("flags n", vec!["none", "not in"]),
            ("dst port in [80] or s", vec!["src", "start"]),
            ("dst port > ", vec![]),
            ("prt 80 and la", vec!["last"]),
            ("last 24h a", vec!["and"]),
        ] {
            let completion = complete(text, text.len());
            assert_eq!(completion.words, words, "{text}");
            assert_eq!(completion.span.end, text.len());
        }
        assert!(complete("", 0).words.len() > 20);
        assert_eq!(complete("dst po and tcp", 6), complete("dst po", 6));
        assert_eq!(complete("dst port ", 9).words[..3], ["=", "!=", "in"]);
        // A place within a letter of several bytes is none of the text.
        assert_eq!(complete("ü", 1).span, 2..2);
    }
}
