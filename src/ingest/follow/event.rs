//! What happens while an input is followed.

use std::path::Path;

use crate::{error::Error, import::Rejected, ingest::ImportReport};

/// What happens while an input is followed. The path is that of the file; a stream has none.
///
/// ```
/// use flowseek::ingest::FollowEvent;
///
/// fn observe(event: FollowEvent<'_>) {
///     match event {
///         FollowEvent::Rejected { rejected, .. } => eprintln!("{rejected}"),
///         FollowEvent::Unreadable { path, error } => eprintln!("{}: {error}", path.display()),
///         FollowEvent::Delayed(error) => eprintln!("{error}"),
///         _ => {}
///     }
/// }
/// # observe(FollowEvent::Delayed(&flowseek::Archive::open("there/is/none").unwrap_err()));
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub enum FollowEvent<'a> {
    /// A line is no flow.
    Rejected {
        /// The file that it is in.
        path: Option<&'a Path>,
        /// Its number in the file, from 1 on, and the reason.
        rejected: Rejected,
    },
    /// A file cannot be read, or is of no format that can be followed. It is tried again when it has changed.
    Unreadable {
        /// The file.
        path: &'a Path,
        /// Why.
        error: Error,
    },
    /// Flows cannot be appended for now, as earlier ones could not be committed. They wait, and it is tried again every second.
    Delayed(&'a Error),
    /// What has been read so far, after each piece of at most a megabyte that has flows.
    Progress(&'a ImportReport),
}
