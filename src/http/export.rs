//! All matches as one answer, which is made while its client reads it.

use std::{io, sync::Arc, time::Duration};

use axum::body::Bytes;
use futures::{Stream, stream};

use super::{
    gate::Pass,
    render::Renderer,
    shared::{Shared, aside},
};
use crate::{
    error::{Error, ErrorKind, Result},
    query::{Page, Pages, Query},
    resources::{Clock, Deadline},
};

/// The matches that are still to come. One page of them is in memory at a time.
pub(super) struct Export {
    pages: Pages,
    /// The page that was searched for and not yet written.
    page: Option<Page>,
    renderer: Renderer,
    deadline: Deadline,
    watch: Watch,
    _pass: Pass,
}

/// Counts an export that ends before its last match, be it that its client went away.
struct Watch {
    shared: Arc<Shared>,
    label: String,
    complete: bool,
}

impl Drop for Watch {
    fn drop(&mut self) {
        if !self.complete {
            self.shared.metrics.broken_off(&self.label);
        }
    }
}

impl Export {
    /// The export that begins with `page` of `query`, and may take so much `time` by a clock. A page that is busy is asked for
    /// again for as long.
    pub(super) fn new(
        query: Query,
        page: Page,
        renderer: Renderer,
        pass: Pass,
        (shared, label): (Arc<Shared>, String),
        (time, clock): (Duration, Arc<dyn Clock>),
    ) -> Self {
        let watch = Watch { shared, label, complete: false };
        let pages = query.pages().patience(time).behind(&page);
        Self { pages, page: Some(page), renderer, deadline: Deadline::after(time, clock), watch, _pass: pass }
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
        let late = || Error::new(ErrorKind::Io, "the time of the export has run out");
        if self.deadline.is_over() {
            return Err(late());
        }
        let page = match self.page.take() {
            Some(page) => Some(page),
            None => {
                let page = self.deadline.wait(self.pages.next()).await.ok_or_else(late)??;
                page.iter().for_each(|page| self.watch.shared.metrics.paid(&page.explain, &self.watch.label));
                page
            }
        };
        aside(move || self.write(page)).await
    }

    fn write(mut self, page: Option<Page>) -> Result<(Bytes, Option<Self>)> {
        let mut bytes = page.map(|page| self.renderer.page(&page)).transpose()?.unwrap_or_default();
        if self.pages.start().is_none() {
            bytes.extend(self.renderer.finish()?);
            self.watch.complete = true;
            return Ok((bytes.into(), None));
        }
        Ok((bytes.into(), Some(self)))
    }
}
