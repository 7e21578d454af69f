//! What came of one call.

use std::{ops::Range, sync::Arc};

use super::shared::Shared;
use crate::{error::Result, flow::FlowId};

/// Flows that were appended by one call, and when they are part of the archive.
///
/// They become so all at once, whether it is waited for or not. A receipt that is kept keeps the appender open.
///
/// ```
/// use flowseek::{Archive, Flow, ingest::LiveOptions};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let directory = tempfile::tempdir()?;
/// let archive = Archive::open_or_create(directory.path().join("flows"))?;
/// let options = LiveOptions::default().flush_age(std::time::Duration::from_millis(10));
/// let appender = archive.live_appender(options)?;
///
/// let receipt = appender.append([Flow::starting("2022-11-01T22:46:01.765Z".parse()?)]).await?;
/// let ids = receipt.durable().await?; // after some 10 ms, with whatever others appended meanwhile
/// assert_eq!(ids.end.get() - ids.start.get(), 1);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Receipt {
    shared: Arc<Shared>,
    place: Range<u64>,
}

impl Receipt {
    pub(super) fn new(shared: Arc<Shared>, place: Range<u64>) -> Self {
        Self { shared, place }
    }

    /// How many flows there are.
    pub fn flows(&self) -> u64 {
        self.place.end - self.place.start
    }

    /// Waits until the flows are durable and every reader sees them; the answer is their IDs, in the order of the call,
    /// from the first to the one after the last. It asks for no commit: that comes by itself, or by
    /// [`commit`](super::LiveAppender::commit). Dropping the future drops nothing.
    ///
    /// # Errors
    /// [`ErrorKind::Io`](crate::ErrorKind::Io) where a commit fails meanwhile. The flows are kept, the appender tries
    /// again, and so can be waited for again.
    pub async fn durable(&self) -> Result<Range<FlowId>> {
        let origin = self.shared.durable(self.place.end).await?;
        Ok(FlowId::new(origin + self.place.start)..FlowId::new(origin + self.place.end))
    }
}
