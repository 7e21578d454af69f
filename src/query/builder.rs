//! A question to a snapshot.

use twox_hash::XxHash64;

use super::{Budget, Count, Gaps, Start};
use crate::{
    archive::Snapshot,
    filter::Filter,
    order::{Cursor, Order},
};

/// Whether blocks are passed over that cannot matter. The answer is the same; only tests turn it off. Then no budget
/// ends the search.
///
/// ```
/// use flowseek::{Archive, filter, query::Pruning};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> flowseek::Result<()> {
/// let snapshot = Archive::open("testdata/archive")?.snapshot()?;
/// let query = snapshot.query(filter::dst_port().eq(443)).limit(10);
/// assert_eq!(Pruning::default(), Pruning::On);
/// let (pruned, whole) = (query.clone().page().await?, query.pruning(Pruning::Off).page().await?);
/// assert_eq!(pruned.flows()?, whole.flows()?);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Pruning {
    /// Only what can matter is read.
    #[default]
    On,
    /// Everything is read.
    Off,
}

/// A question to a snapshot, and how much of the answer makes a page.
///
/// ```no_run
/// # async fn example(archive: flowseek::Archive) -> flowseek::Result<()> {
/// use flowseek::{Order, filter};
///
/// let query = archive.snapshot()?.query(filter::dst_port().eq(22)).order(Order::newest_first()).limit(100);
/// let page = query.page().await?;
/// if let Some(next) = page.next {
///     let second = query.after(next).page().await?;
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct Query {
    pub(super) snapshot: Snapshot,
    pub(super) filter: Filter,
    /// What a cursor is bound to in place of the filter: a part of it, and the name of a scope.
    pub(super) scope: Option<(Filter, Vec<String>)>,
    pub(super) order: Order,
    pub(super) limit: usize,
    pub(super) start: Start,
    pub(super) count: Count,
    pub(super) budget: Budget,
    pub(super) pruning: Pruning,
    pub(super) gaps: Gaps,
}

impl Snapshot {
    /// Asks for the flows that match `filter`: oldest first, 1,000 a page, unless said otherwise.
    pub fn query(&self, filter: Filter) -> Query {
        Query {
            snapshot: self.clone(),
            filter: filter.normal(),
            scope: None,
            order: Order::oldest_first(),
            limit: 1000,
            start: Start::First,
            count: Count::Auto,
            budget: Budget::default(),
            pruning: Pruning::On,
            gaps: Gaps::Error,
        }
    }
}

impl Query {
    /// In this order.
    pub fn order(mut self, order: Order) -> Self {
        self.order = order;
        self
    }

    /// At most so many flows a page. The limit applies after the order.
    pub fn limit(mut self, limit: usize) -> Self {
        self.limit = limit;
        self
    }

    /// From here on.
    pub fn start(mut self, start: Start) -> Self {
        self.start = start;
        self
    }

    /// From where the page ended that gave this cursor.
    pub fn after(self, cursor: Cursor) -> Self {
        self.start(Start::At(cursor))
    }

    /// Whether to count all matches.
    pub fn count(mut self, count: Count) -> Self {
        self.count = count;
        self
    }

    /// What the page may cost.
    pub fn budget(mut self, budget: Budget) -> Self {
        self.budget = budget;
        self
    }

    /// Whether to pass over blocks that cannot matter.
    pub fn pruning(mut self, pruning: Pruning) -> Self {
        self.pruning = pruning;
        self
    }

    /// What to do about a segment that cannot be read.
    pub fn gaps(mut self, gaps: Gaps) -> Self {
        self.gaps = gaps;
        self
    }

    /// Over no flows but those that match `filter`, too. A cursor is bound to both filters.
    pub fn only(mut self, filter: &Filter) -> Self {
        self.filter = self.filter.and(filter.clone()).normal();
        self
    }

    /// The same, for a scope, such as a tenant: a cursor is bound to the name of the scope in place of `filter`, which may
    /// change between two pages. What has come to it behind the cursor is answered, and nothing that has left it. Of several
    /// scopes it is bound to all names.
    ///
    /// ```
    /// use flowseek::{Archive, Filter, filter};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> flowseek::Result<()> {
    /// let snapshot = Archive::open("testdata/archive")?.snapshot()?;
    /// let web = |ports: &[u16]| filter::dst_port().any_of(ports.iter().copied());
    /// let query = |ports: &[u16]| snapshot.query(Filter::all()).within("web", &web(ports)).limit(10);
    /// let first = query(&[80]).page().await?;
    /// let second = query(&[80, 443]).after(first.next.unwrap()).page().await?;
    /// assert_eq!(second.flows()?.len(), 10);
    /// # Ok(())
    /// # }
    /// ```
    pub fn within(mut self, scope: &str, filter: &Filter) -> Self {
        let (own, mut scopes) = self.scope.take().unwrap_or_else(|| (self.filter.clone(), Vec::new()));
        scopes.push(scope.to_owned());
        self.scope = Some((own, scopes));
        self.only(filter)
    }

    /// What tells the query from others, whatever its limit: a cursor holds it.
    pub(super) fn fingerprint(&self) -> u64 {
        let mut bytes = Vec::new();
        let (filter, scopes) =
            self.scope.as_ref().map_or((&self.filter, [].as_slice()), |(own, scopes)| (own, scopes.as_slice()));
        filter.encode(&mut bytes);
        self.order.encode(&mut bytes);
        for scope in scopes {
            // No encoding of an order goes on with such a byte, and no text has it.
            bytes.push(u8::MAX);
            bytes.extend(scope.as_bytes());
        }
        XxHash64::oneshot(0, &bytes)
    }
}
