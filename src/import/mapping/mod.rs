//! Mappings: formats that a small file describes.

mod assemble;
pub(super) mod built_in;
mod convert;
mod document;
mod json;
mod parser;
mod plan;
mod read;
mod separated;
mod slots;
mod time;
mod trie;

use std::{fmt, str::FromStr, sync::Arc};

pub(super) use self::parser::Parser;
use self::plan::Plan;
pub(crate) use self::slots::Slots;
use crate::error::ParseError;

/// A description of a format.
///
/// ```
/// use flowseek::import::{Item, Mapping, Reader};
///
/// let mapping: Mapping = r#"
///     input = "json"
///     [flow]
///     startTime = { path = "when", time = "ms" }
///     source = "client"
///     sourceBytes = "sent"
/// "#.parse()?;
/// let line = r#"{"when":1666012671001,"client":"10.0.0.1:443","sent":12}"#;
/// let Some(Ok(Item::Flow(flow))) = Reader::mapped(&mapping, line.as_bytes()).next() else { panic!() };
/// assert_eq!((flow.src_port, flow.src_bytes), (Some(443), Some(12)));
/// # Ok::<(), flowseek::error::ParseError>(())
/// ```
#[derive(Clone)]
pub struct Mapping {
    text: Arc<str>,
    plan: Arc<Plan>,
    /// Whether it comes with the crate.
    is_built_in: bool,
}

impl Mapping {
    pub(super) fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Whether it comes with the crate; then its paths need not all occur.
    pub(super) fn is_built_in(&self) -> bool {
        self.is_built_in
    }

    /// Whether it reads lines: of JSON, or of separated text.
    pub(crate) fn reads_lines(&self) -> bool {
        self.plan.is_json || self.plan.separated.is_some()
    }

    /// Whether it reads Parquet.
    pub(crate) fn reads_parquet(&self) -> bool {
        self.plan.is_parquet
    }

    /// The keys of every path, by slot.
    pub(crate) fn keys(&self) -> impl Iterator<Item = Vec<String>> {
        self.plan.paths.names.iter().map(|name| plan::keys(name))
    }

    /// Whether a Parquet file with these columns is of this mapping.
    pub(crate) fn is_of_columns(&self, has: impl Fn(&[String]) -> bool) -> bool {
        let has = |path: &String| has(&plan::keys(path));
        self.plan.detect.iter().any(|paths| paths.iter().all(has))
    }

    /// Whether an input may hold its records in an array of JSON, and the key of that array where it is in an object.
    pub(super) fn array(&self) -> Option<Option<&str>> {
        self.plan.is_json.then_some(self.plan.records.as_deref())
    }

    /// The names of the paths that occur in no record, by the bits of those that do.
    pub(super) fn absent_paths(&self, seen: u128) -> impl Iterator<Item = &str> {
        let is_absent = move |slot: &usize| 1u128.checked_shl(*slot as u32).is_some_and(|bit| seen & bit == 0);
        (0..self.plan.paths.names.len()).filter(is_absent).map(|slot| self.plan.path(slot))
    }
}

impl FromStr for Mapping {
    type Err = ParseError;

    /// Reads a mapping file.
    fn from_str(text: &str) -> Result<Self, ParseError> {
        Ok(Self { plan: Arc::new(read::read(text)?), text: text.into(), is_built_in: false })
    }
}

/// Mappings are equal where their texts are.
impl PartialEq for Mapping {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Mapping {}

impl fmt::Debug for Mapping {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Mapping").field(&self.text).finish()
    }
}
