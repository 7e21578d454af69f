//! What importers of messages notice, each with its count.

use std::collections::BTreeMap;

/// The most things that one kind of note is about. What is noticed of others is counted together.
const MOST_ABOUT: usize = 64;

/// What was noticed. Those that are lost come first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Note {
    /// Flows of an exporter, by its sequence numbers.
    LostFlows,
    /// Messages of an exporter, likewise.
    LostMessages,
    /// An exporter counts from 0 again.
    Restarts,
    /// Sets of data of an exporter whose template never came.
    Unexplained,
    /// Templates of an exporter for which there was no room, or which describe no record.
    RefusedTemplates,
    /// Exporters that gave way to others.
    Forgotten,
    /// Flows of an exporter, and their sampling.
    Sampled,
    /// Records of something else than a flow.
    Skipped,
    /// Packets that hold no message.
    Foreign,
    /// Packets of a link type.
    UnknownLink,
    /// Datagrams of which fragments are missing.
    Fragmented,
    /// Messages whose end was not captured.
    CutOff,
}

impl Note {
    fn sentence(self, about: &str, count: u64) -> String {
        let of = if about.is_empty() { String::new() } else { format!(" of {about}") };
        let (name, were) = (self.name(count), if count == 1 { "was" } else { "were" });
        let it = if count == 1 { "its" } else { "their" };
        match self {
            Self::LostFlows | Self::LostMessages => {
                format!("{count} {name}{of} {were} lost on the way, by the sequence numbers")
            }
            Self::Restarts => format!("{count} {name}{of} {were} noticed"),
            Self::Unexplained => format!("{count} {name}{of} {were} not read, as {it} template never came"),
            Self::RefusedTemplates => {
                format!("{count} {name}{of} {were} not taken: each describes no record, or there was no room")
            }
            Self::Forgotten => format!("{count} {name} {were} forgotten with {it} templates, as there were too many"),
            Self::Sampled => format!("the bytes and packets of {count} {name}{of} were multiplied by {it} sampling"),
            Self::Skipped if about.is_empty() => format!("{count} {name} {were} skipped"),
            Self::Skipped => format!("{count} {name} of {about} {were} skipped"),
            Self::Foreign => format!("{count} {name} without NetFlow or IPFIX {were} skipped"),
            Self::UnknownLink => format!("{count} {name}{of} {were} skipped, as it is not known here"),
            Self::Fragmented => format!("{count} {name} {were} skipped, as fragments are missing"),
            Self::CutOff => format!("{count} {name}{of} {were} not captured to the end"),
        }
    }

    const fn name(self, count: u64) -> &'static str {
        let (one, more) = match self {
            Self::LostFlows | Self::Sampled => ("flow", "flows"),
            Self::LostMessages | Self::CutOff => ("message", "messages"),
            Self::Restarts => ("restart", "restarts"),
            Self::Unexplained => ("data set", "data sets"),
            Self::RefusedTemplates => ("template", "templates"),
            Self::Forgotten => ("exporter", "exporters"),
            Self::Skipped => ("record", "records"),
            Self::Foreign | Self::UnknownLink => ("packet", "packets"),
            Self::Fragmented => ("datagram", "datagrams"),
        };
        if count == 1 { one } else { more }
    }
}

/// How often each was noticed. Its size is bounded: an input may have any number of exporters.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Notes(BTreeMap<Note, About>);

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct About {
    counts: BTreeMap<String, u64>,
    others: u64,
}

impl Notes {
    /// Counts a note `count` times; 0 is no note.
    pub(super) fn add(&mut self, note: Note, about: &str, count: u64) {
        if count == 0 {
            return;
        }
        let noted = self.0.entry(note).or_default();
        if let Some(known) = noted.counts.get_mut(about) {
            *known = known.saturating_add(count);
        } else if noted.counts.len() < MOST_ABOUT {
            noted.counts.insert(about.to_owned(), count);
        } else {
            noted.others = noted.others.saturating_add(count);
        }
    }

    pub(super) fn merge(&mut self, later: Self) {
        for (note, About { counts, others }) in later.0 {
            for (about, count) in counts {
                self.add(note, &about, count);
            }
            if others > 0 {
                let noted = self.0.entry(note).or_default();
                noted.others = noted.others.saturating_add(others);
            }
        }
    }

    /// One sentence for each.
    pub(super) fn sentences(&self) -> Vec<String> {
        let mut sentences = Vec::new();
        for (note, noted) in &self.0 {
            sentences.extend(noted.counts.iter().map(|(about, count)| note.sentence(about, *count)));
            if noted.others > 0 {
                sentences.push(note.sentence("others", noted.others));
            }
        }
        sentences
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notes_are_counted_by_what_they_are_about() {
        let mut notes = Notes::default();
        notes.add(Note::Skipped, "options", 2);
        notes.add(Note::LostFlows, "192.0.2.1", 1);
        notes.add(Note::LostFlows, "192.0.2.2", 0);
        let mut later = Notes::default();
        later.add(Note::Sampled, "192.0.2.1 (1 in 100)", 3);
        later.add(Note::LostFlows, "192.0.2.1", 4);
        notes.merge(later);
        let expected = [
            "5 flows of 192.0.2.1 were lost on the way, by the sequence numbers",
            "the bytes and packets of 3 flows of 192.0.2.1 (1 in 100) were multiplied by their sampling",
            "2 records of options were skipped",
        ];
        assert_eq!(notes.sentences(), expected);
    }

    #[test]
    fn however_many_exporters_there_are_few_are_kept() {
        let mut notes = Notes::default();
        for number in 0..1000 {
            notes.add(Note::LostMessages, &number.to_string(), 2);
        }
        let sentences = notes.sentences();
        assert_eq!(sentences.len(), MOST_ABOUT + 1);
        let last = "1872 messages of others were lost on the way, by the sequence numbers";
        assert_eq!(sentences.last().map(String::as_str), Some(last));
    }
}
