//! What has become of what was appended.

use std::ops::Range;

use crate::flow::FlowId;

/// What has become of the flows of a call.
///
/// ```
/// use flowseek::{Archive, Flow, LiveOptions, ingest::Outcome};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let directory = tempfile::tempdir()?;
/// let archive = Archive::open_or_create(directory.path().join("flows"))?;
/// let appender = archive.live_appender(LiveOptions::default().flush_age(std::time::Duration::MAX))?;
/// let receipt = appender.append([Flow::starting("2022-11-01T22:46:01Z".parse()?)]).await?;
/// assert_eq!(receipt.outcome(), Outcome::Waiting);
/// let _ = appender.commit().await?;
/// assert!(matches!(receipt.outcome(), Outcome::Stored(_)));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Outcome {
    /// They are durable and every reader sees them: their IDs, from the first to the one after the last. None where the
    /// flows were [repeated](super::Receipt::is_repeated) and were durable before.
    Stored(Range<FlowId>),
    /// The next commit holds them, or, while that fails, the one that succeeds.
    Waiting,
    /// They are no part of the archive: the appender was shut down before a commit succeeded.
    NotStored,
    /// They may be part of the archive or not: the appender was shut down after the last step of a commit had failed. Who
    /// opens the archive anew finds out: by [`LiveAppender::last`](super::LiveAppender::last) where the flows were appended
    /// with a number, or else by a query.
    Unknown,
}
