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

/// A description of a format: which of its values are the fields of a flow, and how they are written. It is read from TOML.
///
/// An example of each part, with what it means:
///
/// ```toml
/// input = "json"               # lines, an array, or an object with an array; "separated" is text with a header, "parquet" its columns
/// records = "logs"             # the key of that array
/// absent = ["-", "N/A"]        # texts that stand for no value, beside the empty one
/// offset = "+02:00"            # of times by patterns that have no offset themselves; without it they are UTC
/// each = ["conns", "more"]     # each element of these lists is a flow; [].src is a path from an element on
/// only = [{ path = "kind", values = ["flow"], absent = true }]  # other records are skipped, and counted by this value
/// swap = { path = "dir", values = ["in"] }                      # then source and destination change places
///
/// [flow]
/// startTime = { path = "when.begin", time = ["ms", "%Y/%m/%d %H:%M:%S%.f"] }  # the first form that fits
/// endTime = "when.end"         # a path: points are between keys, and \. is a point within one
/// duration = { path = "took", unit = "us" }                    # gives the end where it is absent
/// protocol = { path = "proto", names = { web = "TCP" }, otherwise = "UNKNOWN" }
/// source = "[].src"            # address and port: 10.0.0.1:443 or [::1]:443
/// destIP = ["[].dst", "peer.ip"]                               # the first that is there
/// destPort = { path = "peer.port", when = { path = "peer.kind", not = ["unix"] } }
/// sourceBytes = "[].sent"
/// destBytes = { path = "[].total", minus = "[].sent" }         # a format of one direction has no destBytes
/// tcpFlags = "[].flags"        # a number, .A..S., SYN,ACK or { "SYN": true }; hexadecimal = true for 1b
/// sampling = "rate"            # bytes and packets are multiplied by it
/// sourceNode = { join = ["site", "host"], with = "/" }         # absent where one of them is
/// nodeId = { constant = "gw-1" }
///
/// [flow.meta]
/// rule = "policy.id"           # a member of meta
/// ```
///
/// - The fields are those of [JSON](crate::import#json), and `source`, `dest`, `duration`, `sampling`; only `startTime` must be there.
/// - A time is Unix seconds or RFC 3339, or of the forms in `time`: `s`, `ms`, `us`, `ns`, `rfc3339`, or a pattern of `%Y`, `%m`, `%b`,
///   `%d`, `%H`, `%M`, `%S`, `%.f` (a fraction or none) and `%z` (an offset or `Z`). What is finer than a millisecond is cut.
/// - A condition is a path with `values`, `not` or `contains`; with none of these it holds where the path is there. `absent` says
///   whether it holds where there is no value; with `absent = true` alone it holds only there.
/// - Ports of protocols without them, and TCP flags of other protocols, are passed over.
/// - `separated` has a `separator` (`","`, or a list of which the first that divides the header counts), a `quote` (`"\""`, or `""`
///   for none), a `comment` that begins lines to pass over, `columns` for an input without a header, and `ends`, the beginnings of
///   lines after which there are only sums. A line that names the column of `startTime` is a header. Blanks around fields are
///   ignored, and a field in quotes does not go beyond its line.
/// - A value that is refused costs its record, and the reason names its path. A path that occurs in no record is
///   [remarked](super::Remarks::absent_paths).
/// - `detect` has lists of paths: a mapping of this crate is taken where the first record has all of one list.
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
