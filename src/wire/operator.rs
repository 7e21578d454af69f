//! The comparisons of the endpoint.

use super::problem::Wrong;

/// How a value compares with an operand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operator {
    Eq,
    Ne,
    Gt,
    Gte,
    Lt,
    Lte,
}

const COMPARISONS: [(&str, Operator); 6] = [
    ("eq", Operator::Eq),
    ("ne", Operator::Ne),
    ("gt", Operator::Gt),
    ("gte", Operator::Gte),
    ("lt", Operator::Lt),
    ("lte", Operator::Lte),
];

/// Reads one of the six comparisons.
pub(super) fn comparison(text: &str) -> Result<Operator, Wrong> {
    word(text, "is not a comparison", &COMPARISONS)
}

/// Reads `eq` or `ne`.
pub(super) fn equality(text: &str) -> Result<Operator, Wrong> {
    let (equalities, _) = COMPARISONS.split_at(2);
    word(text, "is not an operator of this parameter", equalities)
}

/// Reads one of a few words, exactly.
pub(super) fn word<T: Copy>(text: &str, wrong: &str, words: &[(&'static str, T)]) -> Result<T, Wrong> {
    let found = words.iter().find(|(word, _)| *word == text).map(|(_, meaning)| *meaning);
    found.ok_or_else(|| Wrong::value(text, wrong).meant(text, words.iter().map(|(word, _)| *word)))
}
