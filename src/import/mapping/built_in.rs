//! The mappings that come with the crate: each is a file.

use std::sync::{Arc, OnceLock};

use super::{
    Mapping, json,
    plan::{Plan, keys},
    read, separated,
    slots::Slots,
    trie::Trie,
};

/// A mapping file of this crate.
pub(in crate::import) struct BuiltIn {
    pub(in crate::import) name: &'static str,
    text: &'static str,
    mapping: OnceLock<Mapping>,
}

macro_rules! built_in {
    ($name:literal) => {
        BuiltIn { name: $name, text: include_str!(concat!("../mappings/", $name, ".toml")), mapping: OnceLock::new() }
    };
}

/// Every mapping file, in the order in which they are tried.
static ALL: [BuiltIn; 10] = [
    built_in!("binetflow"),
    built_in!("gcp"),
    built_in!("goflow2"),
    built_in!("hubble"),
    built_in!("nfdump-csv"),
    built_in!("ocsf"),
    built_in!("pmacct"),
    built_in!("rwcut"),
    built_in!("tailscale"),
    built_in!("vpc-parquet"),
];

impl BuiltIn {
    pub(in crate::import) fn mapping(&self) -> &Mapping {
        self.mapping.get_or_init(|| {
            // That each of them is a mapping is tested.
            let plan = read::read(self.text).unwrap_or_else(|_| Plan::default());
            Mapping { text: self.text.into(), plan: Arc::new(plan), is_built_in: true }
        })
    }
}

/// Every mapping.
pub(in crate::import) fn all() -> impl Iterator<Item = &'static BuiltIn> {
    ALL.iter()
}

/// Those of Parquet.
pub(crate) fn parquet() -> impl Iterator<Item = &'static Mapping> {
    all().map(BuiltIn::mapping).filter(|mapping| mapping.reads_parquet())
}

/// The mappings of the crate whose first record, or header, a line is.
pub(in crate::import) fn of_header(line: &str) -> Option<&'static str> {
    let is_of = |built_in: &&BuiltIn| {
        let plan = built_in.mapping().plan();
        separated::names(line, plan).is_some_and(|names| {
            plan.detect.iter().any(|paths| paths.iter().all(|path| names.iter().any(|name| name == path)))
        })
    };
    all().find(is_of).map(|built_in| built_in.name)
}

/// What tells the mappings of JSON.
struct Signs {
    paths: Trie,
    /// Of each mapping, the bits of the paths that tell it.
    lists: Vec<(&'static str, u128)>,
    count: usize,
}

/// The mapping of a record of JSON, as far as it can be read.
pub(in crate::import) fn of_record(text: &str) -> Option<&'static str> {
    static SIGNS: OnceLock<Signs> = OnceLock::new();
    let signs = SIGNS.get_or_init(Signs::new);
    let mut slots = Slots::new(signs.count);
    // Of a record that is cut off, what there is of it counts.
    let _ = json::read(text, &signs.paths, &mut slots);
    let seen = slots.seen();
    signs.lists.iter().find(|(_, bits)| seen & bits == *bits).map(|(name, _)| *name)
}

impl Signs {
    fn new() -> Self {
        let mut signs = Self { paths: Trie::default(), lists: Vec::new(), count: 0 };
        let mut known: Vec<&str> = Vec::new();
        for built_in in all() {
            let plan = built_in.mapping().plan();
            for paths in plan.detect.iter().filter(|_| plan.is_json) {
                let mut bits = 0;
                for path in paths {
                    let slot = known.iter().position(|other| other == path).unwrap_or(known.len());
                    if slot == known.len() {
                        known.push(path);
                        signs.paths.insert(keys(path).iter().map(String::as_str), slot);
                    }
                    bits |= 1u128.checked_shl(slot as u32).unwrap_or(0);
                }
                signs.lists.push((built_in.name, bits));
            }
        }
        signs.count = known.len();
        signs
    }
}

/// The mapping with this name.
pub(in crate::import) fn named(name: &str) -> Option<&'static Mapping> {
    all().find(|built_in| built_in.name == name).map(BuiltIn::mapping)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_is_a_mapping() {
        for built_in in all() {
            if let Err(error) = read::read(built_in.text) {
                panic!("{}: {error}", built_in.name);
            }
            assert!(!built_in.mapping().plan().detect.is_empty(), "{} cannot be told", built_in.name);
        }
    }

    #[test]
    fn a_damaged_file_is_a_mapping_or_an_error_with_its_line() {
        for built_in in all() {
            for (at, _) in built_in.text.char_indices().step_by(17) {
                let (before, after) = built_in.text.split_at(at);
                let damaged = ["\"", "[", "}"].map(|letter| format!("{before}{letter}{}", &after[1..]));
                for text in damaged.iter().map(String::as_str).chain([before]) {
                    if let Err(error) = read::read(text) {
                        assert!(error.to_string().starts_with("line "), "{error}");
                    }
                }
            }
        }
    }

    #[test]
    fn the_first_bytes_of_a_record_tell_its_mapping() {
        for (text, name) in [
            (r#"{"start":"x","virtualTraffic":["#, Some("tailscale")),
            (r#"{"flow":{"time":"x","uuid":"y","verd"#, Some("hubble")),
            (r#"{"flow":{"pkts_toserver":1}}"#, None),
            (r#"{"class_uid":4001"#, Some("ocsf")),
            ("{", None),
        ] {
            assert_eq!(of_record(text), name, "{text}");
        }
        assert_eq!(of_header(" sIP| dIP|sTime|"), Some("rwcut"));
        assert_eq!(of_header("a,b,c"), None);
    }
}
