//! Pages out: the first flows of an order, after a position, that pass a filter.
//!
//! One search answers every such question, for every sort key and both directions, over segments that overlap and
//! rows that came late. Filter and bounds give each block a verdict; position and bounds give it the first key that a
//! flow in it can have. The blocks that are left are visited best key first, and the search ends when the worst flow
//! of a full page comes before the best key of the next block.
//!
//! In an order by a port or an address the lists name the first values, and so the blocks that hold them.
//!
//! # What is read of a block
//! 1. The rows that the lists name, joined by what is AND, OR and NOT in the filter; or else its pages of 2,048 rows that
//!    they name, or in which the start time can be. In an order by time, page after page from the one end, until the page
//!    of the answer is full.
//! 2. Each part of the filter that the lists do not decide is a DataFusion predicate over the columns that it names. Parts
//!    are evaluated one after the other, those first that turn most flows away for the least decoding, and each only on the
//!    rows that are left. A predicate on names is asked once for each name of a dictionary. Addresses are compared where
//!    they lie in theirs: DataFusion would have them put together for each row.
//! 3. Of the rows that are left the keys of the order; and of the flows of the answer, at the end, all columns.
//!
//! # As a plan
//! The same search is a node of DataFusion's plans, `FlowScanExec`: [`Query::plan`] gives it to a host, and a [`FlowTable`]
//! puts it where SQL or a data frame names the table. Filters and orders that a page could have are part of the node; what
//! is left, as aggregates and joins, DataFusion does with the rows.
//!
//! - In an order, the node asks the search of a page, and has its lists, its cache, its checksums, and its cost.
//! - In no order, all threads that the plan has share the blocks which zone maps and lists leave, and the filters that become
//!   known while the plan runs leave fewer: the threshold of a top-k, the keys that a join has found on its other side. They
//!   are looked up in the lists. Pages of which nothing is to be kept are decoded in runs.
//!
//! [`Query::page`] makes that node and runs it, which costs a few microseconds. What a page has and a plan has not lies beside
//! the flows that come out: a budget, after which it is answered in part with a cursor that goes on, a count, and gaps.
//!
//! # Memory and threads
//! Pages are held decoded, at most [`Settings::page_cache_bytes`](crate::archive::Settings::page_cache_bytes) of them. A
//! sixteenth of that is for what lists have told running queries of rows; a query for which none is left reads pages
//! instead. What is not held is read, checked and decoded where the host's runtime lets threads wait. From 65,536 rows on a round of
//! blocks is shared between the threads of the runtime; a short page wakes none of them.

mod addresses;
mod answer;
mod best_first;
mod block_reader;
mod budget;
mod builder;
mod checkpoint;
mod complete;
mod condition;
mod count;
mod date_trunc;
mod exact;
mod explain;
mod fetch;
mod flow_groups;
mod flow_scan;
mod frontier;
mod functions;
mod gaps;
mod goal;
mod keyed;
mod lead;
mod leave_out;
mod made;
mod page;
mod pages;
mod provider;
mod pruner;
mod recognise;
mod round;
mod run;
mod scan;
mod search;
mod seek;
mod segments;
mod session;
mod start;
mod stop;
mod summary;
mod sweep;
mod threshold;
mod top_k;
mod version;

pub use budget::Budget;
pub use builder::{Pruning, Query};
pub use explain::{Dropped, Explain};
pub use functions::functions;
pub use gaps::{Gap, Gaps};
pub use page::Page;
pub use pages::Pages;
pub use provider::FlowTable;
pub use session::{archive_session, limited_memory, session};
pub use start::{Count, Start};
pub use summary::{Bucket, Every, Group, LARGEST_TOP, MOST_BUCKETS, Measure, Summary, SummaryQuery, Totals};
