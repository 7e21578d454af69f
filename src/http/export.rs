//! All matches as one answer, which is made while its client reads it.

use std::{io, sync::Arc, time::Duration};

use axum::body::Bytes;
use futures::{Stream, stream};
use tokio::time::Instant;

use super::{answer::aside, gate::Pass, render::Renderer, service::Shared};
use crate::{
    error::{Error, ErrorKind, Result},
    query::{Count, Page, Query},
};

/// The matches that are still to come. One page of them is in memory at a time.
pub(super) struct Export {
    query: Query,
    /// The page that was searched for and not yet written.
    page: Option<Page>,
    renderer: Renderer,
    deadline: Option<Instant>,
    watch: Watch,
    _pass: Pass,
}

/// Counts an export that ends before its last match, be it that its client went away.
struct Watch {
    shared: Arc<Shared>,
    complete: bool,
}

impl Drop for Watch {
    fn drop(&mut self) {
        if !self.complete {
            self.shared.metrics.broken_off();
        }
    }
}

impl Export {
    /// The export that begins with `page`; it may take so much `time`.
    pub(super) fn new(
        query: Query,
        page: Page,
        renderer: Renderer,
        pass: Pass,
        shared: Arc<Shared>,
        time: Duration,
    ) -> Self {
        let deadline = Instant::now().checked_add(time);
        let watch = Watch { shared, complete: false };
        Self { query: query.count(Count::None), page: Some(page), renderer, deadline, watch, _pass: pass }
    }

    /// The bytes of the answer. An error breaks it off.
    pub(super) fn stream(self) -> impl Stream<Item = io::Result<Bytes>> {
        stream::try_unfold(Some(self), |export| async move {
            let Some(export) = export else { return Ok(None) };
            let step = export.step().await;
            step.map(Some).map_err(|error| {
                tracing::error!(%error, "an export was broken off");
                io::Error::other("an export was broken off")
            })
        })
    }

    /// Writes one page, and searches for the next where there is one.
    async fn step(mut self) -> Result<(Bytes, Option<Self>)> {
        if self.deadline.is_some_and(|deadline| deadline <= Instant::now()) {
            return Err(Error::new(ErrorKind::Io, "the time of the export has run out"));
        }
        let page = match self.page.take() {
            Some(page) => page,
            None => {
                let page = self.query.page().await?;
                self.watch.shared.metrics.paid(&page.explain);
                page
            }
        };
        aside(move || self.write(page)).await
    }

    fn write(mut self, page: Page) -> Result<(Bytes, Option<Self>)> {
        let mut bytes = self.renderer.page(&page)?;
        let Some(next) = page.next else {
            bytes.extend(self.renderer.finish()?);
            self.watch.complete = true;
            return Ok((bytes.into(), None));
        };
        self.query = self.query.after(next);
        Ok((bytes.into(), Some(self)))
    }
}
