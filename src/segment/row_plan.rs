//! How the rows that pass a part of a filter are made of those that lists tell.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    RowSet,
    listed_rows::{At, ListedRows},
    selection::{Rows, inverted},
};
use crate::{
    error::{Error, Result},
    filter::Filter,
};

/// How the rows that pass a part of a filter are made of those that lists tell.
#[derive(Clone, Debug)]
pub(super) enum Plan {
    /// What a list tells: the number of the answer.
    Answer(usize),
    /// The rows that pass all of some parts. Others there are may turn rows away, where it is not of all parts.
    All(Vec<Self>, bool),
    /// The rows that pass any of some parts.
    Any(Vec<Self>),
    /// The rows that do not pass.
    Not(Box<Self>),
}

/// No plan is nested deeper.
const DEEPEST: usize = 32;

impl Plan {
    /// The plan for a part; `None` where the answers tell no rows of it.
    pub(super) fn new(
        part: &Filter,
        answer: &impl Fn(&Filter) -> Option<usize>,
        answers: &[ListedRows],
    ) -> Option<Self> {
        let made = part.fold(|part, parts: Vec<Option<(Self, usize)>>| {
            if let Some(number) = answer(part) {
                let is_named = answers.get(number).is_some_and(ListedRows::tells_rows);
                return is_named.then_some((Self::Answer(number), 1));
            }
            let depth = parts.iter().flatten().map(|(_, depth)| depth + 1).max().filter(|depth| *depth <= DEEPEST)?;
            let count = parts.len();
            let known: Vec<Self> = parts.into_iter().flatten().map(|(plan, _)| plan).collect();
            let is_all = known.len() == count;
            let plan = match part {
                Filter::And(_) => Self::All(known, is_all),
                Filter::Or(_) if is_all => Self::Any(known),
                Filter::Not(_) if is_all => Self::Not(Box::new(known.into_iter().next()?)),
                _ => return None,
            };
            Some((plan, depth))
        });
        made.map(|(plan, _)| plan)
    }

    /// The rows of a block.
    pub(super) async fn rows(&self, answers: &[ListedRows], at: At<'_>, block: usize) -> Result<Rows> {
        if let Self::Answer(number) = self {
            let answer = answers.get(*number).ok_or_else(|| Error::internal("a plan has no answer"))?;
            return answer.rows(at, block).await;
        }
        let mut numbers = BTreeSet::new();
        self.numbers(&mut numbers);
        let mut told = BTreeMap::new();
        for number in numbers {
            let answer = answers.get(number).ok_or_else(|| Error::internal("a plan has no answer"))?;
            told.insert(number, answer.rows(at, block).await?);
        }
        Ok(self.join(&told, at.0.block_rows(block).len()))
    }

    /// Adds the numbers of its answers, each once however often it is part of the plan.
    fn numbers(&self, numbers: &mut BTreeSet<usize>) {
        match self {
            Self::Answer(number) => {
                numbers.insert(*number);
            }
            Self::All(parts, _) | Self::Any(parts) => parts.iter().for_each(|part| part.numbers(numbers)),
            Self::Not(part) => part.numbers(numbers),
        }
    }

    /// The rows, out of `size`, made of those of its answers.
    fn join(&self, told: &BTreeMap<usize, Rows>, size: usize) -> Rows {
        match self {
            Self::Answer(number) => told.get(number).cloned().unwrap_or_else(|| (RowSet::all(size), false)),
            Self::All(parts, is_all) => {
                let mut joined = (RowSet::all(size), *is_all);
                for part in parts {
                    let (rows, is_exact) = part.join(told, size);
                    joined.0.intersect(&rows);
                    joined.1 &= is_exact;
                }
                let is_empty = joined.0.is_empty();
                (joined.0, joined.1 || is_empty)
            }
            Self::Any(parts) => {
                let mut joined = (RowSet::none(size), true);
                for part in parts {
                    let (rows, is_exact) = part.join(told, size);
                    joined.0.unite(&rows);
                    joined.1 &= is_exact;
                }
                joined
            }
            Self::Not(part) => inverted(part.join(told, size)),
        }
    }
}
