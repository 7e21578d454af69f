//! What is said once of a whole input.

use std::{collections::HashMap, fmt};

use serde::{Serialize, Serializer, ser::SerializeStruct};

use super::{
    mapping::Mapping,
    notes::{Note, Notes},
};

/// The most names that are counted one by one.
const MOST_NAMES: usize = 64;
/// The most characters of a name that are kept.
const MOST_CHARS: usize = 64;

/// What a reader noticed that no single line shows: what it ignored or skipped, by name and with its count, and an end
/// that may be missing. It is told once for an input, however many lines it has.
///
/// ```
/// use flowseek::import::{Format, LineParser};
///
/// let mut parser = LineParser::new(Format::Json);
/// parser.parse(br#"{"startTime":1700000000,"sourceIp":"10.0.0.1"}"#);
/// let remarks = parser.take_remarks();
/// assert_eq!(remarks.to_string(), r#""sourceIp" is unknown and was ignored in 1 record; did you mean "sourceIP"?"#);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Remarks {
    pub(crate) unknown: Tally,
    pub(crate) skipped: Tally,
    pub(crate) unended: bool,
    pub(crate) notes: Notes,
    /// The mapping of a file, and one bit for each of its paths that occurs.
    paths: Option<(Mapping, u128)>,
}

/// A key of an object, or a column, that is none of a flow.
///
/// ```
/// use flowseek::import::{Format, LineParser};
///
/// let mut parser = LineParser::new(Format::Json);
/// parser.parse(br#"{"startTime":1700000000,"sourceIp":"10.0.0.1"}"#);
/// let key = &parser.take_remarks().unknown_keys()[0];
/// assert_eq!((key.name.as_str(), key.count, key.meant), ("sourceIp", 1, Some("sourceIP")));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct UnknownKey {
    /// The key, or the first 64 characters of it.
    pub name: String,
    /// In how many records it was ignored.
    pub count: u64,
    /// The key that is probably meant.
    pub meant: Option<&'static str>,
}

/// Records that are no flows and were not meant to be.
///
/// ```
/// use flowseek::import::{Format, LineParser};
///
/// let mut parser = LineParser::new(Format::Zeek);
/// parser.parse(br#"{"_path":"dns","ts":1.5}"#);
/// let log = &parser.take_remarks().skipped_logs()[0];
/// assert_eq!((log.name.as_str(), log.count), ("dns", 1));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct SkippedLog {
    /// The log that they are of, as they say it themselves.
    pub name: String,
    /// How many there are.
    pub count: u64,
}

impl Serialize for Remarks {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut remarks = serializer.serialize_struct("Remarks", 5)?;
        remarks.serialize_field("unknownKeys", &self.unknown_keys())?;
        remarks.serialize_field("skippedLogs", &self.skipped_logs())?;
        remarks.serialize_field("absentPaths", &self.absent_paths())?;
        remarks.serialize_field("lastLineUnended", &self.unended)?;
        remarks.serialize_field("notes", &self.notes())?;
        remarks.end()
    }
}

impl Remarks {
    /// The keys or columns that were ignored because no flow has them, the most frequent first. The first 64 different
    /// ones are counted one by one.
    pub fn unknown_keys(&self) -> Vec<UnknownKey> {
        let key =
            |(name, (count, meant)): (&String, &Count)| UnknownKey { name: name.clone(), count: *count, meant: *meant };
        sorted(self.unknown.names.iter().map(key).collect(), |key| (key.count, key.name.clone()))
    }

    /// The logs whose records were skipped, the most frequent first. The first 64 different ones are counted one by one.
    pub fn skipped_logs(&self) -> Vec<SkippedLog> {
        let log = |(name, (count, _)): (&String, &Count)| SkippedLog { name: name.clone(), count: *count };
        sorted(self.skipped.names.iter().map(log).collect(), |log| (log.count, log.name.clone()))
    }

    /// The paths or columns of a mapping that occur in no record.
    pub fn absent_paths(&self) -> Vec<&str> {
        self.paths.iter().flat_map(|(mapping, seen)| mapping.absent_paths(*seen)).collect()
    }

    /// Whether the last line lacks its end, so that the input may have been cut off in it.
    pub fn is_last_line_unended(&self) -> bool {
        self.unended
    }

    /// What else there is to say of the input, one sentence each: what was lost on the way to it, what was skipped, and what
    /// its flows were multiplied by.
    pub fn notes(&self) -> Vec<String> {
        self.notes.sentences()
    }

    /// Something was noticed `count` times of what it is about, such as an exporter.
    pub(crate) fn note(&mut self, note: Note, about: &str, count: u64) {
        self.notes.add(note, about, count);
    }

    /// A key or column that no flow has was ignored in so many records.
    pub(crate) fn ignored(&mut self, name: &str, count: u64, meant: Option<&'static str>) {
        self.unknown.add(name, count, || meant);
    }

    /// The paths of a mapping with these bits occur. Those of a mapping that comes with the crate need not all occur.
    pub(super) fn occurred(&mut self, mapping: &Mapping, seen: u128) {
        match &mut self.paths {
            Some((_, known)) => *known |= seen,
            None if mapping.is_built_in() => {}
            None => self.paths = Some((mapping.clone(), seen)),
        }
    }

    /// Adds what was noticed of the lines that follow.
    pub(crate) fn merge(&mut self, later: Self) {
        self.unknown.merge(later.unknown);
        self.skipped.merge(later.skipped);
        self.unended |= later.unended;
        self.notes.merge(later.notes);
        if let Some((mapping, seen)) = later.paths {
            self.occurred(&mapping, seen);
        }
    }
}

/// One sentence a line; nothing where there is nothing to say.
impl fmt::Display for Remarks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut sentences = Vec::new();
        for UnknownKey { name, count, meant } in self.unknown_keys() {
            let meant = meant.map(|meant| format!("; did you mean {meant:?}?")).unwrap_or_default();
            sentences.push(format!("{name:?} is unknown and was ignored in {}{meant}", records(count)));
        }
        if self.unknown.more > 0 {
            sentences.push(format!("other unknown keys were ignored {} times", self.unknown.more));
        }
        for SkippedLog { name, count } in self.skipped_logs() {
            sentences.push(format!(
                "{} of the log {name:?} {} skipped",
                records(count),
                if count == 1 { "was" } else { "were" }
            ));
        }
        if self.skipped.more > 0 {
            sentences.push(format!("{} of other logs were skipped", records(self.skipped.more)));
        }
        for path in self.absent_paths() {
            sentences.push(format!("{path:?} of the mapping occurs in no record"));
        }
        if self.unended {
            sentences.push("the last line has no end: the input may have been cut off there".to_owned());
        }
        sentences.extend(self.notes());
        f.write_str(&sentences.join("\n"))
    }
}

fn records(count: u64) -> String {
    if count == 1 { "1 record".to_owned() } else { format!("{count} records") }
}

/// The most frequent first, and by name among equals.
fn sorted<T>(mut items: Vec<T>, by: impl Fn(&T) -> (u64, String)) -> Vec<T> {
    items.sort_by_cached_key(|item| {
        let (count, name) = by(item);
        (std::cmp::Reverse(count), name)
    });
    items
}

/// How often a name was met, and the name that is meant by it.
type Count = (u64, Option<&'static str>);

/// How often each of some names was met. Its size is bounded: an input may hold data where a name is expected.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    names: HashMap<String, Count>,
    /// How often names were met beyond the first [`MOST_NAMES`].
    more: u64,
}

impl Tally {
    /// Counts a name `count` times; `meant` gives the known name that it stands for.
    pub(crate) fn add(&mut self, name: &str, count: u64, meant: impl FnOnce() -> Option<&'static str>) {
        let name = match name.char_indices().nth(MOST_CHARS) {
            Some((end, _)) => name.get(..end).unwrap_or_default(),
            None => name,
        };
        if let Some((known, _)) = self.names.get_mut(name) {
            *known += count;
        } else if self.names.len() < MOST_NAMES {
            self.names.insert(name.to_owned(), (count, meant()));
        } else {
            self.more += count;
        }
    }

    fn merge(&mut self, later: Self) {
        for (name, (count, meant)) in later.names {
            self.add(&name, count, || meant);
        }
        self.more += later.more;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_counted_and_told_the_most_frequent_first() {
        let mut remarks = Remarks::default();
        assert_eq!(remarks.to_string(), "");
        remarks.unknown.add("srcPort", 1, || Some("sourcePort"));
        remarks.skipped.add("dns", 1, || None);
        let mut later = Remarks { unended: true, ..Remarks::default() };
        later.unknown.add("a", 1, || None);
        later.unknown.add("srcPort", 2, || Some("sourcePort"));
        later.skipped.add("dns", 1, || None);
        later.skipped.add("", 1, || None);
        remarks.merge(later);
        let expected = [
            r#""srcPort" is unknown and was ignored in 3 records; did you mean "sourcePort"?"#,
            r#""a" is unknown and was ignored in 1 record"#,
            r#"2 records of the log "dns" were skipped"#,
            r#"1 record of the log "" was skipped"#,
            "the last line has no end: the input may have been cut off there",
        ];
        assert_eq!(remarks.to_string().lines().collect::<Vec<_>>(), expected);
    }

    #[test]
    fn however_many_names_there_are_few_are_kept() {
        let mut remarks = Remarks::default();
        for number in 0..100_000 {
            remarks.unknown.add(&format!("{number} {}", "n".repeat(1000)), 1, || None);
        }
        assert_eq!(remarks.unknown_keys().len(), MOST_NAMES);
        assert!(remarks.unknown_keys().iter().all(|key| key.name.len() == MOST_CHARS && key.count == 1));
        let last = remarks.to_string().lines().last().map(str::to_owned);
        assert_eq!(last.as_deref(), Some("other unknown keys were ignored 99936 times"));
    }
}
