//! A case, asked of an archive: at its page, and with its answer.

use std::time::Duration;

use flowseek::{
    Snapshot,
    query::{Budget, Count, Page, Query, Start},
    wire::Request,
};

use super::{
    case::{Answer, Case, LIMIT},
    dialect::{Dialect, Term},
};

/// No search may end early: what is timed is the whole answer.
const BUDGET: Budget = Budget::new(u64::MAX, Duration::from_secs(600));

/// A case that is ready to be timed.
pub struct Asked {
    pub query: Query,
    /// The answer.
    pub page: Page,
    /// Flows on the pages before.
    pub before: u64,
    start: Start,
    terms: Vec<Term>,
    answer: Answer,
}

impl Asked {
    pub async fn new(snapshot: &Snapshot, case: &Case) -> Self {
        let mut query = Request::parse(&case.query).unwrap().query(snapshot).budget(BUDGET);
        let mut terms = case.terms.clone();
        let mut before = 0;
        let mut start = Start::First;
        if let Answer::Page(sorting, number @ 2..) = case.answer {
            let counted = query.clone().limit(0).count(Count::Exact).page().await.unwrap();
            let pages = counted.total.unwrap().div_ceil(LIMIT as u64);
            let number = number.min(pages);
            if number > 1 {
                let previous = query.clone().start(Start::Number(number - 1)).page().await.unwrap();
                let last = previous.flows().unwrap().pop().expect("a full page");
                terms.push(Term::Behind(Box::new(last), sorting));
                start = Start::At(previous.next.expect("a cursor to the next page"));
                query = query.start(start.clone());
                before = (number - 1) * LIMIT as u64;
            }
        }
        let page = query.page().await.unwrap();
        Self { query, page, before, start, terms, answer: case.answer }
    }

    /// The same question to another snapshot of the same flows.
    pub fn query_of(&self, snapshot: &Snapshot, case: &Case) -> Query {
        let query = Request::parse(&case.query).unwrap().query(snapshot).budget(BUDGET);
        query.start(self.start.clone())
    }

    /// The same question in SQL. A deep page begins behind the last flow of the page before, as it does here.
    pub fn sql(&self, dialect: Dialect) -> String {
        match self.answer {
            Answer::Page(sorting, _) => dialect.page(&self.terms, sorting, LIMIT),
            Answer::Count => dialect.count(&self.terms),
        }
    }

    /// The statement for the number of flows on the pages up from this one; `None` where this is the first.
    pub fn rest_sql(&self, dialect: Dialect) -> Option<String> {
        (self.before > 0).then(|| dialect.count(&self.terms))
    }

    /// The IDs of the page's flows, or the count.
    pub fn found(&self) -> Vec<u64> {
        match self.answer {
            Answer::Page(..) => self.page.flows().unwrap().iter().map(|flow| flow.id.get()).collect(),
            Answer::Count => vec![self.page.total.unwrap()],
        }
    }
}
