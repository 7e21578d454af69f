//! What a repair has done.

use serde::Serialize;

use crate::archive::{Extent, Finding, Report};

/// Flows that are gone.
///
/// ```
/// use flowseek::{Archive, Flow, Settings};
///
/// # let directory = tempfile::tempdir()?;
/// let path = directory.path().join("flows");
/// let archive = Archive::open_or_create(&path)?;
/// # let mut appender = archive.appender()?;
/// # appender.push(&Flow::starting("2022-11-01T22:46:01Z".parse()?))?;
/// # appender.commit()?;
/// # drop(appender);
/// // One flow is committed, and its segment is removed.
/// let segment = archive.snapshot()?.manifest().segments[0].path.clone();
/// std::fs::remove_file(path.join(&segment))?;
/// let repaired = Archive::repair(&path, Settings::default(), &mut |_| {})?;
/// assert_eq!((&repaired.lost[0].path, repaired.lost[0].flows.rows), (&segment, 1));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Loss {
    /// The segment that had them.
    pub path: String,
    /// Which flows.
    pub flows: Extent,
}

/// Flows of a segment that were written anew.
///
/// ```
/// use flowseek::{Archive, Flow, Settings};
///
/// # let directory = tempfile::tempdir()?;
/// let path = directory.path().join("flows");
/// let archive = Archive::open_or_create(&path)?;
/// # let mut appender = archive.appender()?;
/// # appender.push(&Flow::starting("2022-11-01T22:46:01Z".parse()?))?;
/// # appender.commit()?;
/// # drop(appender);
/// // One flow is committed, and the first bytes of its segment are damaged, which hold no flow.
/// let segment = archive.snapshot()?.manifest().segments[0].path.clone();
/// let mut bytes = std::fs::read(path.join(&segment))?;
/// bytes[..4].fill(0);
/// std::fs::write(path.join(&segment), bytes)?;
/// let repaired = Archive::repair(&path, Settings::default(), &mut |_| {})?;
/// assert_eq!((&repaired.rebuilt[0].from, repaired.rebuilt[0].rows), (&segment, 1));
/// assert!(repaired.lost.is_empty());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Rebuilt {
    /// The damaged segment, or the one in `quarantine`.
    pub from: String,
    /// The new one.
    pub path: String,
    /// How many flows it has.
    pub rows: u64,
}

/// What a repair has done.
///
/// ```
/// use flowseek::{Archive, Flow, Settings};
///
/// # let directory = tempfile::tempdir()?;
/// let path = directory.path().join("flows");
/// let archive = Archive::open_or_create(&path)?;
/// # let mut appender = archive.appender()?;
/// # appender.push(&Flow::starting("2022-11-01T22:46:01Z".parse()?))?;
/// # appender.commit()?;
/// # drop(appender);
/// // A sound archive is left alone.
/// let repaired = Archive::repair(&path, Settings::default(), &mut |_| {})?;
/// assert!(repaired.found.is_sound() && repaired.lost.is_empty());
/// assert_eq!(repaired.version, archive.snapshot()?.manifest().version);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
#[must_use]
pub struct Repaired {
    /// The version of the archive since.
    pub version: u64,
    /// What was found before.
    pub found: Report,
    /// The segments that were written anew. Their flows keep their IDs.
    pub rebuilt: Vec<Rebuilt>,
    /// Segments in `quarantine` with flows that have been taken back, with their IDs, and the segments that have them
    /// now. The files in quarantine stay there.
    pub restored: Vec<Rebuilt>,
    /// The flows that are gone: exactly these, and no others.
    pub lost: Vec<Loss>,
    /// The files that were put into `quarantine`, by their paths before.
    pub quarantined: Vec<String>,
    /// What was left as it is.
    pub left: Vec<Finding>,
}
