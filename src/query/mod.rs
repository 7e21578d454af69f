//! Pages out: the first flows of an order, after a position, that pass a filter.
//!
//! One search answers every such question, for every sort key and both directions, over segments that overlap and
//! rows that came late. Filter and bounds give each block a verdict; position and bounds give it the first key that a
//! flow in it can have. The blocks that are left are visited best key first, and the search ends when the worst flow
//! of a full page comes before the best key of the next block.

mod address_functions;
mod answer;
mod budget;
mod builder;
mod condition;
mod count;
mod exec;
mod explain;
mod fetch;
mod gaps;
mod kept;
mod page;
mod plan;
mod provider;
mod read;
mod search;
mod start;

pub use address_functions::address_functions;
pub use budget::Budget;
pub use builder::{Pruning, Query};
pub use explain::{Dropped, Explain};
pub use gaps::{Gap, Gaps};
pub use page::Page;
pub use provider::FlowTable;
pub use start::{Count, Start};
