//! What came of one call.

use std::{ops::Range, sync::Arc};

use super::{outcome::Outcome, place::Place, shared::Shared};
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
    place: Place,
    is_repeated: bool,
}

impl Receipt {
    pub(super) fn new(shared: Arc<Shared>, place: Place, is_repeated: bool) -> Self {
        Self { shared, place, is_repeated }
    }

    /// Whether the call has added nothing, as its batch or a later one of the same source was appended before
    /// ([`append_once`](super::LiveAppender::append_once)).
    pub fn is_repeated(&self) -> bool {
        self.is_repeated
    }

    /// What has become of the flows as yet.
    pub fn outcome(&self) -> Outcome {
        self.shared.outcome(&self.place)
    }

    /// How many flows there are; 0 of a batch that was durable when it was repeated.
    pub fn flows(&self) -> u64 {
        self.place.flows.end - self.place.flows.start
    }

    /// Waits until the flows are durable and every reader sees them; the answer is their IDs, in the order of the call,
    /// from the first to the one after the last. It asks for no commit: that comes by itself, or by
    /// [`commit`](super::LiveAppender::commit). Dropping the future drops nothing.
    ///
    /// # Errors
    /// [`ErrorKind::Io`](crate::ErrorKind::Io) where a commit fails meanwhile. The flows are kept, the appender tries
    /// again, and so can be waited for again. [`ErrorKind::Closed`](crate::ErrorKind::Closed) where the appender is
    /// [shut down](super::LiveAppender::shutdown) before: [`outcome`](Self::outcome) then tells whether they are stored.
    pub async fn durable(&self) -> Result<Range<FlowId>> {
        self.shared.durable(&self.place).await
    }
}
