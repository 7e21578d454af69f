//! Which words may come next in a filter's text.

use std::ops::Range;

use super::{
    lexer::{Kind, tokens},
    parser::Parser,
};
use crate::flow::{Field, Timestamp};

/// The words that may stand at a place of a filter's text, and of which fields values may.
///
/// ```
/// use flowseek::filter::complete;
///
/// let completion = complete("tcp and dst po", 14);
/// assert_eq!((completion.span, completion.words), (12..14, vec!["port", "portrange"]));
/// assert_eq!(complete("dst port 4", 10).fields, [flowseek::Field::DstPort]);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Completion {
    /// What a word or value takes the place of: the beginning of one before the place, in bytes of the text.
    pub span: Range<usize>,
    /// Words and signs of the language.
    pub words: Vec<&'static str>,
    /// The fields of which a value may stand there: ports, addresses, nodes, or activity IDs, of one end or of either.
    pub fields: Vec<Field>,
    /// Values of these fields that occur in an archive, as they are written here, those first that most flows have. Only
    /// [`Snapshot::complete`](crate::Snapshot::complete) knows them.
    pub values: Vec<String>,
}

/// The words that may stand at `position`, in bytes of the text, and that begin with the letters before it. What follows it is not
/// looked at; nor is what is wrong before it. A position that is none of the text is its end.
pub fn complete(text: &str, position: usize) -> Completion {
    let before = text.get(..position).unwrap_or(text);
    let begin = match tokens(before).iter().rev().nth(1) {
        Some(last) if last.span.end == before.len() && may_go_on(last.kind, last.text) => last.span.start,
        _ => before.len(),
    };
    let (begun, typed) = before.split_at_checked(begin).unwrap_or((before, ""));
    let mut parser = Parser::new(begun, Timestamp::MIN);
    let _ = parser.filter();
    let mut words: Vec<&'static str> = Vec::new();
    for word in parser.offers {
        let begins = word.get(..typed.len()).is_some_and(|start| start.eq_ignore_ascii_case(typed));
        if begins && !words.contains(&word) {
            words.push(word);
        }
    }
    Completion { span: begin..before.len(), words, fields: parser.wanted, values: Vec::new() }
}

/// Whether a word may be the beginning of a longer one: `an` or `and`, also where that is a sign.
fn may_go_on(kind: Kind, text: &str) -> bool {
    matches!(kind, Kind::Word | Kind::Unclosed) || text.bytes().all(|byte| byte.is_ascii_alphabetic())
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
        for (text, fields) in [
            ("port ", vec![Field::SrcPort, Field::DstPort]),
            ("src port 4", vec![Field::SrcPort]),
            ("dst ip in [10.0.0.1, 10.", vec![Field::DstIp]),
            ("not net 10.0", vec![Field::SrcIp, Field::DstIp]),
            ("node \"tenant 7/", vec![Field::SrcNode, Field::DstNode]),
            ("nodeid edge-7/a", vec![Field::NodeId]),
            ("port 443 and ", vec![]),
            ("proto ", vec![]),
        ] {
            assert_eq!(complete(text, text.len()).fields, fields, "{text}");
        }
        assert_eq!(complete("nodeid edge-7/a", 15).span, 7..15);
        // A place within a letter of several bytes is none of the text.
        assert_eq!(complete("ü", 1).span, 0..2);
    }
}
