//! What a mapping says, with its paths as slots.

use super::{time::TimeForm, trie::Trie};
use crate::flow::Protocol;

/// The most paths of a mapping.
pub(super) const MOST_PATHS: usize = 128;

/// A mapping, ready to be applied.
#[derive(Debug, Default)]
pub(in crate::import) struct Plan {
    pub(super) is_json: bool,
    pub(super) separated: Option<Separated>,
    pub(super) is_parquet: bool,
    /// The key of the list of records, where a document has one.
    pub(super) records: Option<String>,
    pub(super) paths: Paths,
    /// The slots of the lists whose elements are flows.
    pub(super) each: Vec<usize>,
    /// Lists of paths: an input is of this mapping where its first record has all of one list.
    pub(super) detect: Vec<Vec<String>>,
    pub(super) only: Vec<Condition>,
    /// Where it holds, the ends are the other way round.
    pub(super) swap: Option<Condition>,
    pub(super) absent: Vec<String>,
    pub(super) fields: Fields,
}

impl Plan {
    /// The name of a path.
    pub(super) fn path(&self, slot: usize) -> &str {
        self.paths.names.get(slot).map_or("", String::as_str)
    }

    /// The columns that hold the start of a flow: a line that names one is a header.
    pub(super) fn header_names(&self) -> impl Iterator<Item = &str> {
        self.fields.start.iter().filter_map(|start| match start.origin {
            Origin::Slot(slot) => Some(self.path(slot)),
            Origin::Constant(_) | Origin::Join(..) => None,
        })
    }
}

/// How separated text is written.
#[derive(Clone, Debug)]
pub(super) struct Separated {
    /// The first that divides a header is the one that counts.
    pub(super) separators: Vec<u8>,
    pub(super) quote: Option<u8>,
    pub(super) comment: Option<String>,
    /// The columns of an input without a header.
    pub(super) columns: Vec<String>,
    /// A line that begins with one of these ends the records.
    pub(super) ends: Vec<String>,
}

/// The paths that a mapping names.
#[derive(Clone, Debug, Default)]
pub(super) struct Paths {
    /// As they are written, by slot.
    pub(super) names: Vec<String>,
    /// Those from a record on.
    pub(super) record: Trie,
    /// Those from an element of a list on, and their slots.
    pub(super) element: Trie,
    pub(super) of_elements: Vec<usize>,
}

/// Where the fields of a flow come from: of each the alternatives, of which the first that is there counts.
#[derive(Debug, Default)]
pub(super) struct Fields {
    pub(super) start: Vec<Alternative>,
    pub(super) end: Vec<Alternative>,
    pub(super) duration: Vec<Alternative>,
    pub(super) protocol: Vec<Alternative>,
    pub(super) source: End,
    pub(super) dest: End,
    pub(super) tcp_flags: Vec<Alternative>,
    pub(super) sampling: Vec<Alternative>,
    pub(super) node_id: Vec<Alternative>,
    pub(super) activity_id: Vec<Alternative>,
    pub(super) flow_flags: Vec<Alternative>,
    /// Whole objects.
    pub(super) meta: Vec<Alternative>,
    /// Members of one, by key.
    pub(super) members: Vec<(String, Vec<Alternative>)>,
}

/// The fields of one end.
#[derive(Debug, Default)]
pub(super) struct End {
    /// Address and port in one text.
    pub(super) both: Vec<Alternative>,
    pub(super) address: Vec<Alternative>,
    pub(super) port: Vec<Alternative>,
    pub(super) node: Vec<Alternative>,
    pub(super) bytes: Vec<Alternative>,
    pub(super) packets: Vec<Alternative>,
}

/// One place that a field may come from.
#[derive(Debug)]
pub(super) struct Alternative {
    /// What a reason calls it.
    pub(super) name: String,
    pub(super) origin: Origin,
    pub(super) when: Option<Condition>,
    pub(super) form: Form,
}

#[derive(Debug)]
pub(super) enum Origin {
    Slot(usize),
    Constant(String),
    /// The texts of some slots, with a text between.
    Join(Vec<usize>, String),
}

/// What is to be known of a value to read it.
#[derive(Debug, Default)]
pub(super) enum Form {
    #[default]
    Plain,
    /// The forms of a time, of which the first that fits counts.
    Time(Vec<TimeForm>),
    /// A number of so many nanoseconds each.
    Duration(u64),
    /// Names of protocols beside those of the registry, and what stands for all others.
    Protocol(Vec<(String, Protocol)>, Option<Protocol>),
    /// Hexadecimal digits without a prefix.
    Hexadecimal,
    /// Less the number in a slot.
    Minus(usize),
}

/// A test of a value.
#[derive(Debug)]
pub(super) struct Condition {
    pub(super) slot: usize,
    pub(super) test: Test,
    /// Whether it holds where the value is absent.
    pub(super) absent: bool,
}

#[derive(Debug)]
pub(super) enum Test {
    /// It is there.
    Present,
    /// It is none, whatever it is.
    Never,
    OneOf(Vec<String>),
    NoneOf(Vec<String>),
    Contains(String),
}

/// The keys of a path: points are between them, and `\.` is a point within one.
pub(super) fn keys(path: &str) -> Vec<String> {
    let mut keys = vec![String::new()];
    let mut letters = path.chars();
    while let Some(letter) = letters.next() {
        match (letter, keys.last_mut()) {
            ('.', _) => keys.push(String::new()),
            ('\\', Some(key)) => key.extend(letters.next()),
            (_, Some(key)) => key.push(letter),
            (_, None) => {}
        }
    }
    keys
}
