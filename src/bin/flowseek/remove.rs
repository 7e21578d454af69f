//! Flows that match a query go.

use std::path::PathBuf;

use clap::{
    Args,
    builder::{OsStringValueParser, TypedValueParser},
};
use flowseek::{Archive, wire::Request};

use super::{
    archive_path,
    failure::{Failure, answer, say, unreadable},
};

/// The parameters that choose which flows match begin none of these words.
const OTHERS: [&str; 7] = ["sort", "reverse", "limit", "page", "cursor", "count", "fields"];

/// Removes all flows that match a query from every file of an archive.
///
/// The query has parameters that filter, at least one, as of `flowseek query`: 'node=ID', 'srcIp=10.0.0.0/8&eTime=1700000000'.
/// Segments that have such flows are written anew without them; nothing else changes. It prints
/// `removed=ROWS segments=N rewritten=N`: the flows that are gone, the segments that are gone whole, and those that were
/// written anew. Queries that are under way still see them, and keep the files until they end. Segments that cannot be read are
/// left as they are, and named; so are files that were put aside (`quarantine`), of which it is not known what they have.
#[derive(Debug, Args)]
pub struct Remove {
    /// The archive.
    #[arg(value_parser = OsStringValueParser::new().try_map(archive_path::parse))]
    archive: PathBuf,
    /// Which flows: parameters of the endpoint, as in a URL.
    query: String,
}

impl Remove {
    /// Removes them.
    pub fn run(&self) -> Result<(), Failure> {
        let names = self.query.split('&').map(|part| part.split('=').next().unwrap_or_default());
        if let Some(other) = names.into_iter().find(|name| OTHERS.contains(name)) {
            return Err(Failure::Usage(format!(
                "{other}: all flows that match are removed; allowed are parameters that filter"
            )));
        }
        let request = Request::parse(&self.query)?;
        if request.filter.is_all() {
            return Err(Failure::Usage(
                "the query matches every flow; to remove those, delete the directory".to_owned(),
            ));
        }
        let archive = Archive::open(&self.archive)?;
        let removed = archive.writer()?.remove(&request.filter)?;
        answer(format_args!("removed={} segments={} rewritten={}", removed.rows, removed.segments, removed.rewritten))?;
        removed.quarantined.iter().for_each(|file| say(format_args!("{file} may have such flows; delete it by hand")));
        unreadable(removed.unreadable)
    }
}
