//! A query that is timed, in the endpoint's words and in SQL.

use super::dialect::{Sorting, Term};

/// Flows of a page.
pub const LIMIT: usize = 100;

/// A query in both languages.
#[derive(Clone)]
pub struct Case {
    pub suite: &'static str,
    pub name: String,
    /// The query string.
    pub query: String,
    /// What the flows must be, in SQL.
    pub terms: Vec<Term>,
    pub answer: Answer,
    /// How many milliseconds it should take at most, over 20 million flows.
    pub target: Option<f64>,
}

/// What is asked for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// The page with this number, from 1 on, or the last where there are fewer.
    Page(Sorting, u64),
    /// How many flows match.
    Count,
}

impl Case {
    /// The first page of flows, newest first.
    pub fn newest(suite: &'static str, name: impl Into<String>, query: &str, terms: Vec<Term>) -> Self {
        Self {
            suite,
            name: name.into(),
            query: joined(query, &format!("reverse=true&limit={LIMIT}")),
            terms,
            answer: Answer::Page(Sorting::Newest, 1),
            target: None,
        }
    }

    /// The first page of all flows, in another order.
    pub fn sorted(suite: &'static str, name: &str, query: &str, sorting: Sorting) -> Self {
        let answer = Answer::Page(sorting, 1);
        let query = joined(query, &format!("limit={LIMIT}"));
        Self { suite, name: name.into(), query, terms: Vec::new(), answer, target: None }
    }

    /// How many flows there are.
    pub fn count(name: &str, query: &str, terms: Vec<Term>) -> Self {
        let query = joined(query, "count=exact&limit=0");
        Self { suite: "counts", name: format!("count: {name}"), query, terms, answer: Answer::Count, target: None }
    }

    /// Of the same flows, the page with this number.
    pub fn at_page(self, number: u64) -> Self {
        let Answer::Page(sorting, _) = self.answer else { panic!("a count has no pages") };
        Self { name: format!("{}, page {number}", self.name), answer: Answer::Page(sorting, number), ..self }
    }

    pub fn target(self, millis: f64) -> Self {
        Self { target: Some(millis), ..self }
    }

    /// Whether one of the words names the case or its suite; without a word all cases are meant.
    pub fn is_named_by(&self, words: &[String]) -> bool {
        are_named(words, self.suite, &self.name)
    }
}

/// Whether one of the words names a suite or is part of a name; without a word everything is meant.
pub fn are_named(words: &[String], suite: &str, name: &str) -> bool {
    words.is_empty() || words.iter().any(|word| suite == word || name.contains(word))
}

/// The words of the command line.
pub fn words() -> Vec<String> {
    std::env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect()
}

fn joined(query: &str, more: &str) -> String {
    if query.is_empty() { more.to_owned() } else { format!("{query}&{more}") }
}
