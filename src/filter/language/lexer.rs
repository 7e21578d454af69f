//! The words of a filter.

use std::ops::Range;

/// What a word is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Open,
    Close,
    ListOpen,
    ListClose,
    Comma,
    Compare(Compare),
    Not,
    And,
    Or,
    /// Letters, digits and what else names, numbers, addresses and times are made of.
    Word,
    /// What stands between quotes.
    Quoted,
    /// A quote that nothing closes, and what follows it.
    Unclosed,
    /// A character that means nothing.
    Stray,
    End,
}

/// How a value is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Compare {
    Eq,
    Ne,
    Lt,
    Le,
    Gt,
    Ge,
}

/// A word, and where it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Token<'t> {
    pub(super) kind: Kind,
    /// Without the quotes.
    pub(super) text: &'t str,
    pub(super) span: Range<usize>,
}

/// Signs, the longest first.
const SIGNS: [(&str, Kind); 18] = [
    ("==", Kind::Compare(Compare::Eq)),
    ("!=", Kind::Compare(Compare::Ne)),
    ("<>", Kind::Compare(Compare::Ne)),
    ("<=", Kind::Compare(Compare::Le)),
    (">=", Kind::Compare(Compare::Ge)),
    ("&&", Kind::And),
    ("||", Kind::Or),
    ("=", Kind::Compare(Compare::Eq)),
    ("<", Kind::Compare(Compare::Lt)),
    (">", Kind::Compare(Compare::Gt)),
    ("!", Kind::Not),
    ("&", Kind::And),
    ("|", Kind::Or),
    ("(", Kind::Open),
    (")", Kind::Close),
    ("[", Kind::ListOpen),
    ("]", Kind::ListClose),
    (",", Kind::Comma),
];

/// Words that stand for signs, in any case.
const WORDS: [(&str, Kind); 11] = [
    ("and", Kind::And),
    ("or", Kind::Or),
    ("not", Kind::Not),
    ("eq", Kind::Compare(Compare::Eq)),
    ("ne", Kind::Compare(Compare::Ne)),
    ("lt", Kind::Compare(Compare::Lt)),
    ("le", Kind::Compare(Compare::Le)),
    ("lte", Kind::Compare(Compare::Le)),
    ("gt", Kind::Compare(Compare::Gt)),
    ("ge", Kind::Compare(Compare::Ge)),
    ("gte", Kind::Compare(Compare::Ge)),
];

/// The words of a text, the last of which is its end. A `#` and what follows it in its line is passed over.
pub(super) fn tokens(text: &str) -> Vec<Token<'_>> {
    let mut tokens = Vec::new();
    let mut place = 0;
    while let Some(rest) = text.get(place..).filter(|rest| !rest.is_empty()) {
        let (kind, length, trimmed) = next(rest);
        if let Some(kind) = kind {
            let (before, after) = trimmed;
            let (begin, end) = (place + before, place + length - after);
            tokens.push(Token { kind, text: text.get(begin..end).unwrap_or_default(), span: place..place + length });
        }
        place += length;
    }
    tokens.push(Token { kind: Kind::End, text: "", span: text.len()..text.len() });
    tokens
}

/// What comes first in a text that is not empty: its kind, or `None` of what is passed over; how many bytes it has; and how
/// many of these before and after are quotes.
fn next(text: &str) -> (Option<Kind>, usize, (usize, usize)) {
    let first = text.chars().next().unwrap_or_default();
    let while_ = |is: fn(char) -> bool| text.find(|char| !is(char)).unwrap_or(text.len());
    if first.is_whitespace() {
        return (None, while_(char::is_whitespace), (0, 0));
    }
    if first == '#' {
        return (None, while_(|char| char != '\n'), (0, 0));
    }
    if first == '"' || first == '\'' {
        return quoted(text, first);
    }
    if let Some((sign, kind)) = SIGNS.iter().find(|(sign, _)| text.starts_with(sign)) {
        return (Some(*kind), sign.len(), (0, 0));
    }
    let length = while_(is_of_word);
    if length == 0 {
        return (Some(Kind::Stray), first.len_utf8(), (0, 0));
    }
    let word = text.get(..length).unwrap_or_default();
    let known = WORDS.iter().find(|(known, _)| known.eq_ignore_ascii_case(word));
    (Some(known.map_or(Kind::Word, |(_, kind)| *kind)), length, (0, 0))
}

/// A text in quotes, in which a backslash takes what follows as it is.
fn quoted(text: &str, quote: char) -> (Option<Kind>, usize, (usize, usize)) {
    let mut is_escaped = false;
    for (place, char) in text.char_indices().skip(1) {
        match char {
            _ if is_escaped => is_escaped = false,
            '\\' => is_escaped = true,
            char if char == quote => return (Some(Kind::Quoted), place + 1, (1, 1)),
            _ => {}
        }
    }
    (Some(Kind::Unclosed), text.len(), (1, 0))
}

fn is_of_word(char: char) -> bool {
    char.is_alphanumeric()
        || matches!(char, '.' | ':' | '-' | '_' | '/' | '*' | '?' | '+' | '@' | '%' | '\\' | '~' | '$')
}
