#![doc = include_str!("../README.md")]

pub mod archive;
mod decimal;
mod encoding;
pub mod error;
pub mod filter;
pub mod flow;
#[cfg(feature = "generate")]
pub mod generate;
#[cfg(feature = "http")]
pub mod http;
pub mod import;
pub mod ingest;
pub mod order;
pub mod query;
pub mod resources;
pub mod schema;
mod segment;
mod setters;
mod spelling;
pub mod wire;

pub use archive::{Archive, Compactor, Retention, Settings, Snapshot};
// The crates whose types are part of this one's: a host needs the same versions.
pub use arrow;
pub use datafusion;
pub use error::{Error, ErrorKind, Result};
pub use filter::Filter;
pub use flow::{Address, Field, Flow, FlowId, Protocol, StoredFlow, Timestamp};
pub use ingest::{Appender, LiveAppender, LiveOptions};
pub use order::{Cursor, Order};
pub use query::{Budget, FlowTable, Page, Query, Summary, SummaryQuery};
