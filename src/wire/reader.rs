//! Typed values out of arguments, with a problem for each that is wrong.

use std::time::SystemTime;

use super::{
    arguments::Arguments,
    list::items,
    operator::{Operator, comparison, equality},
    parameter::{Parameter, ParameterKind},
    problem::{Problems, Wrong},
};
use crate::{
    filter::{Parsed, parse_at},
    flow::Timestamp,
};

/// Reads the arguments of one query.
#[derive(Debug)]
pub(super) struct Reader {
    arguments: Arguments,
    pub(super) problems: Problems,
}

impl Reader {
    /// A reader of those of `known`; all others are problems.
    pub(super) fn new(query: &str, known: Vec<&'static Parameter>) -> Self {
        let mut problems = Problems::default();
        Self { arguments: Arguments::read(query, known, &mut problems), problems }
    }

    /// Whether a parameter has a value, be it right or wrong.
    pub(super) fn is_given(&self, name: &str) -> bool {
        !self.arguments.values(name).is_empty()
    }

    /// The value of a parameter; `None` where it is absent or wrong.
    pub(super) fn one<T>(&mut self, name: &str, parse: impl FnOnce(&str) -> Result<T, Wrong>) -> Option<T> {
        let value = self.arguments.values(name).first()?;
        let parsed = parse(self.arguments.parameter(name)?.kind.trim(value));
        self.keep(name, parsed)
    }

    /// The items of a comma list; `None` where it is absent or any item is wrong.
    pub(super) fn list<T>(&mut self, name: &str, parse: impl Fn(&str) -> Result<T, Wrong>) -> Option<Vec<T>> {
        let parameter = self.arguments.parameter(name)?;
        let given = self.arguments.values(name);
        let given = if parameter.is_repeatable() { given } else { given.get(..1).unwrap_or_default() };
        let items = given.iter().flat_map(|value| items(parameter.kind, value));
        let parsed: Vec<Result<T, Wrong>> = items
            .map(|item| {
                let item = parameter.kind.trim(&item);
                if item.is_empty() { Err(Wrong::because("an item of the list is empty")) } else { parse(item) }
            })
            .collect();
        let items: Vec<Option<T>> = parsed.into_iter().map(|item| self.keep(name, item)).collect();
        let items: Option<Vec<T>> = items.into_iter().collect();
        items.filter(|items| !items.is_empty())
    }

    /// The filter that is the text of a parameter, and the text; `None` where it is absent or wrong.
    pub(super) fn filter(&mut self, name: &str) -> Option<(String, Parsed)> {
        let text = self.arguments.values(name).first()?.trim().to_owned();
        match parse_at(&text, Timestamp::of_clock(SystemTime::now())) {
            Ok(parsed) => Some((text, parsed)),
            Err(error) => {
                error.told().for_each(|told| self.problems.push(|| format!("`{name}`: {told}")));
                None
            }
        }
    }

    /// The operator that a parameter holds, wrong or not the operand's: `default` where it is absent or wrong.
    pub(super) fn operator(&mut self, name: &str, default: Operator) -> Operator {
        let equal_only =
            self.arguments.parameter(name).is_some_and(|parameter| parameter.kind == ParameterKind::Equality);
        self.one(name, if equal_only { equality } else { comparison }).unwrap_or(default)
    }

    /// Notes what is wrong with the value of a parameter.
    pub(super) fn refuse(&mut self, name: &str, wrong: &Wrong) {
        let allowed = self.arguments.parameter(name).map_or("", |parameter| parameter.kind.allowed());
        self.problems.push(|| wrong.sentence(name, allowed));
    }

    fn keep<T>(&mut self, name: &str, parsed: Result<T, Wrong>) -> Option<T> {
        parsed.map_err(|wrong| self.refuse(name, &wrong)).ok()
    }
}
