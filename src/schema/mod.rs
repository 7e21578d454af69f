//! Flows in columns: the columns of an archive, flows to batches and back, and filters as DataFusion expressions.

mod batch;
mod builder;
mod columns;
mod expr;
mod sorted;
mod stored;

pub use batch::Flows;
pub(crate) use batch::Values;
pub use builder::FlowBuilder;
pub(crate) use builder::{UnsortedFlows, check_text};
pub(crate) use columns::column_type;
pub use columns::schema;
pub(crate) use expr::{after_expr, filter_expr, lead_expr};
pub(crate) use sorted::check_sorted;

#[cfg(test)]
pub(crate) mod sample;
