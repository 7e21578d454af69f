//! The names of a column as numbers: names are long to compare, and few.

use std::collections::{BTreeMap, HashMap};

use arrow::array::{Array, AsArray, RecordBatch, StringArray};

use crate::{
    error::{Error, Result},
    flow::{Field, Kind},
};

/// Each name of a column has a rank, in byte order.
#[derive(Debug)]
pub(super) struct Ranks<'a> {
    /// The names, in order.
    names: Vec<&'a str>,
    /// For each row the rank of its name; `None` where it has none.
    rows: Vec<Option<u32>>,
}

/// The ranks of all columns of names.
pub(super) type AllRanks<'a> = BTreeMap<Field, Ranks<'a>>;

impl<'a> Ranks<'a> {
    /// The ranks of a column of names.
    pub(super) fn of(flows: &'a RecordBatch, field: Field) -> Result<Self> {
        let column = flows.column_by_name(field.name()).and_then(|column| column.as_string_opt::<i32>());
        let column: &'a StringArray = column.ok_or_else(|| Error::internal("a column of names is not text"))?;
        let mut found: HashMap<&'a str, u32> = HashMap::new();
        let mut rows = Vec::with_capacity(column.len());
        for name in column {
            rows.push(name.map(|name| {
                let next = found.len() as u32;
                *found.entry(name).or_insert(next)
            }));
        }
        let mut names: Vec<(&str, u32)> = found.into_iter().collect();
        names.sort_unstable();
        let mut ranks = vec![0; names.len()];
        for (rank, (_, number)) in names.iter().enumerate() {
            if let Some(place) = ranks.get_mut(*number as usize) {
                *place = rank as u32;
            }
        }
        rows.iter_mut().flatten().for_each(|number| *number = ranks.get(*number as usize).copied().unwrap_or(0));
        Ok(Self { names: names.into_iter().map(|(name, _)| name).collect(), rows })
    }

    /// The names, in order.
    pub(super) fn names(&self) -> &[&'a str] {
        &self.names
    }

    /// The name of a rank.
    pub(super) fn name(&self, rank: u32) -> &'a str {
        self.names.get(rank as usize).copied().unwrap_or_default()
    }

    /// For each row the rank of its name.
    pub(super) fn rows(&self) -> &[Option<u32>] {
        &self.rows
    }
}

/// Those of some fields that are names.
pub(super) fn named(fields: &[Field]) -> Vec<Field> {
    fields.iter().copied().filter(|field| field.kind() == Kind::Text).collect()
}
