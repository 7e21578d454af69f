//! Summaries as the endpoint's JSON object, and as rows.

use serde::{Serialize, Serializer, ser::SerializeMap};

use super::{Cell, FlagsFormat};
use crate::{
    flow::{Field, Value},
    query::{Bucket, Group, Summary, Totals},
};

/// Which sums are told.
///
/// ```
/// use flowseek::wire::{Shown, SummaryRequest};
///
/// let request = SummaryRequest::parse("by=protocol&fields=flows")?;
/// assert_eq!(request.shown, Shown { flows: true, ..Shown::NONE });
/// assert!(!request.shown.has_bytes());
/// # Ok::<(), flowseek::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Shown {
    /// How many flows.
    pub flows: bool,
    /// Bytes of the sources.
    pub source_bytes: bool,
    /// Bytes of the destinations.
    pub dest_bytes: bool,
}

impl Shown {
    /// All of them.
    pub const ALL: Self = Self { flows: true, source_bytes: true, dest_bytes: true };
    /// None of them.
    pub const NONE: Self = Self { flows: false, source_bytes: false, dest_bytes: false };

    /// The fields that are summed.
    pub(super) fn fields(self) -> impl Iterator<Item = Field> {
        let fields = [(Field::SrcBytes, self.source_bytes), (Field::DstBytes, self.dest_bytes)];
        fields.into_iter().filter_map(|(field, is_shown)| is_shown.then_some(field))
    }

    /// Whether bytes are among them.
    pub fn has_bytes(self) -> bool {
        self.source_bytes || self.dest_bytes
    }

    /// Those of both.
    pub(super) fn or(self, other: Self) -> Self {
        Self {
            flows: self.flows || other.flows,
            source_bytes: self.source_bytes || other.source_bytes,
            dest_bytes: self.dest_bytes || other.dest_bytes,
        }
    }

    /// The sums that are told, with their names.
    fn of(self, totals: Totals) -> impl Iterator<Item = (&'static str, u128)> {
        let sums = [
            ("flows", self.flows.then_some(totals.flows.into())),
            ("sourceBytes", totals.source_bytes.filter(|_| self.source_bytes)),
            ("destBytes", totals.dest_bytes.filter(|_| self.dest_bytes)),
        ];
        sums.into_iter().filter_map(|(name, sum)| Some((name, sum?)))
    }
}

/// A summary as the object that the endpoint answers. Numbers of any size are written exactly.
///
/// ```
/// use flowseek::{Archive, wire::{FlagsFormat, SummaryRequest, SummaryView}};
///
/// # #[tokio::main]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let request = SummaryRequest::parse("dstPort=22&by=protocol&fields=flows")?;
/// let summary = request.query(&Archive::open("testdata/archive")?.snapshot()?).summary().await?;
/// let json = serde_json::to_string(&SummaryView::new(&summary, request.shown, FlagsFormat::Binary))?;
/// assert_eq!(json, r#"{"complete":true,"flows":0,"groups":[]}"#);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug)]
pub struct SummaryView<'a> {
    summary: &'a Summary,
    shown: Shown,
    flags: FlagsFormat,
}

/// A line of a table: names and values, those that are absent included.
///
/// ```
/// use flowseek::{Archive, Filter, wire::{Cell, FlagsFormat, Row, Shown, SummaryView}};
///
/// # #[tokio::main]
/// # async fn main() -> flowseek::Result<()> {
/// let snapshot = Archive::open("testdata/archive")?.snapshot()?;
/// let summary = snapshot.summarize(Filter::all()).summary().await?;
/// let shown = Shown { flows: true, ..Shown::NONE };
/// let total: Row = SummaryView::new(&summary, shown, FlagsFormat::Binary).total();
/// assert_eq!(total, [("flows", Some(Cell::Sum(2592)))]);
/// # Ok(())
/// # }
/// ```
pub type Row<'a> = Vec<(&'static str, Option<Cell<'a>>)>;

impl<'a> SummaryView<'a> {
    /// A view of a summary with some of its sums, its TCP flags written in a format.
    pub fn new(summary: &'a Summary, shown: Shown, flags: FlagsFormat) -> Self {
        Self { summary, shown, flags }
    }

    /// The row of all flows.
    pub fn total(&self) -> Row<'a> {
        self.sums(self.summary.totals).collect()
    }

    /// The rows of the groups. A name is there once: in groups by `destBytes` it is the bytes that each flow has, and not
    /// their sum.
    pub fn groups(&self) -> impl Iterator<Item = Row<'a>> {
        let is_key = |name: &str| self.summary.by.iter().any(|field| self::name(*field) == name);
        self.summary.groups.iter().map(move |group| {
            let sums = self.sums(group.totals).filter(|(name, _)| !is_key(name));
            self.key(group).chain(sums).collect()
        })
    }

    /// The rows of the buckets.
    pub fn buckets(&self) -> impl Iterator<Item = Row<'a>> {
        self.summary.buckets.iter().map(|bucket| Self::time(bucket).chain(self.sums(bucket.totals)).collect())
    }

    /// The names of the columns of groups.
    pub fn group_columns(&self) -> Vec<&'static str> {
        let mut columns: Vec<&'static str> = self.summary.by.iter().map(|field| name(*field)).collect();
        for (name, _) in self.total() {
            if !columns.contains(&name) {
                columns.push(name);
            }
        }
        columns
    }

    /// The names of the columns of buckets.
    pub fn bucket_columns(&self) -> Vec<&'static str> {
        std::iter::once("time").chain(self.total().into_iter().map(|(name, _)| name)).collect()
    }

    fn sums(&self, totals: Totals) -> impl Iterator<Item = (&'static str, Option<Cell<'a>>)> + use<'a> {
        self.shown.of(totals).map(|(name, sum)| (name, Some(Cell::Sum(sum))))
    }

    fn key(&self, group: &'a Group) -> impl Iterator<Item = (&'static str, Option<Cell<'a>>)> + use<'a> {
        let flags = self.flags;
        let cell = move |field: Field, value: &'a Option<Value>| Cell::of_value(value.as_ref()?, field, flags);
        let keys = self.summary.by.iter().zip(&group.key);
        keys.map(move |(field, value)| (name(*field), cell(*field, value)))
    }

    fn time(bucket: &Bucket) -> std::iter::Once<(&'static str, Option<Cell<'a>>)> {
        std::iter::once(("time", Some(Cell::Time(bucket.start))))
    }
}

/// The name of a field in an answer.
fn name(field: Field) -> &'static str {
    field.key().unwrap_or(field.name())
}

impl Serialize for SummaryView<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut object = serializer.serialize_map(None)?;
        object.serialize_entry("complete", &self.summary.is_complete())?;
        if let Some((oldest, newest)) = self.summary.searched {
            object.serialize_entry("searchedFrom", &Cell::Time(oldest))?;
            object.serialize_entry("searchedTo", &Cell::Time(newest))?;
        }
        for (name, cell) in self.total() {
            object.serialize_entry(name, &cell)?;
        }
        if !self.summary.by.is_empty() {
            object.serialize_entry("groups", &self.groups().map(RowView).collect::<Vec<_>>())?;
        }
        if self.summary.every.is_some() {
            object.serialize_entry("buckets", &self.buckets().map(RowView).collect::<Vec<_>>())?;
        }
        object.end()
    }
}

/// A row as a JSON object; values that are absent are left out.
///
/// ```
/// use flowseek::wire::{Cell, RowView};
///
/// let row = RowView(vec![("destPort", None), ("flows", Some(Cell::Sum(7)))]);
/// assert_eq!(serde_json::to_string(&row)?, r#"{"flows":7}"#);
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug)]
pub struct RowView<'a>(pub Row<'a>);

impl Serialize for RowView<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut object = serializer.serialize_map(None)?;
        for (name, cell) in &self.0 {
            if let Some(cell) = cell {
                object.serialize_entry(name, cell)?;
            }
        }
        object.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    #[test]
    fn sums_beyond_all_numbers_of_machines_are_written_exactly() {
        let (source_bytes, dest_bytes) = (Some(u128::from(u64::MAX) * 1000), Some((1 << 53) + 1));
        let totals = Totals { flows: 7, source_bytes, dest_bytes };
        let row: Row<'_> = Shown::ALL.of(totals).map(|(name, sum)| (name, Some(Cell::Sum(sum)))).collect();
        let written = serde_json::to_string(&RowView(row)).unwrap();
        let expected = r#"{"flows":7,"sourceBytes":18446744073709551615000,"destBytes":9007199254740993}"#;
        assert_eq!(written, expected);
    }
}
