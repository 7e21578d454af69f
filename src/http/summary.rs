//! A request for a summary to its answer.

use axum::{
    body::Body,
    http::{Response, request::Parts},
};

use super::{
    accept::{Coding, Form},
    answer::{enter, is_of_files, note, snapshot, timed},
    authorizer::{Authorizer, Grant},
    problem::Problem,
    render::compress,
    shared::{Inner, aside},
};
use crate::{
    archive::Archive,
    error::{Error, ErrorKind, Result},
    query::Summary,
    wire::{SummaryRequest, SummaryView, TextForm},
};

impl<A: Authorizer> Inner<A> {
    /// Answers a summary of those flows that the grant lets be seen.
    pub(super) async fn summary(&self, parts: &Parts, query: &str, grant: &Grant) -> Result<Response<Body>, Problem> {
        let mut request = SummaryRequest::parse(query)?;
        request.filter = request.filter.and(grant.filter.clone());
        let archive = self.archive_of(grant)?;
        let turn = enter(&self.shared.queries, 1).await?;
        let coding = Coding::accepted(&parts.headers);
        let flags = self.settings.view().flags();
        let body = timed(self, async {
            let summary = self.summarize(&request, archive, grant).await?;
            // Thousands of buckets would keep other requests of the thread waiting.
            aside(move || {
                let json = serde_json::to_vec(&SummaryView::new(&summary, request.shown, flags));
                let json = json.map_err(Error::with(ErrorKind::Internal, "an answer cannot be written"))?;
                compress(&json, coding)
            })
            .await
        });
        let body = body.await?;
        drop(turn);
        let mut response = self.held(body).await?;
        self.head(&mut response, Form::Text(TextForm::Json), coding);
        Ok(response)
    }

    async fn summarize(&self, request: &SummaryRequest, archive: &Archive, grant: &Grant) -> Result<Summary> {
        let ask = async |snapshot| {
            let query = request.query(&snapshot).budget(self.settings.budget);
            query.group_bytes(self.settings.group_bytes).summary().await
        };
        let newest = snapshot(archive).await?;
        let version = newest.manifest().version;
        let mut summary = ask(newest).await;
        if summary.as_ref().is_err_and(is_of_files) {
            // A file that was retired while it was looked for is not in the newest version.
            let newest = snapshot(archive).await?;
            if newest.manifest().version != version {
                summary = ask(newest).await;
            }
        }
        let summary = summary?;
        self.shared.metrics.summarized(&summary.explain, grant.label());
        note(&summary.explain);
        Ok(summary)
    }
}
