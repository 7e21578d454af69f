#![doc = include_str!("../README.md")]

pub mod archive;
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
pub mod segment;
mod spelling;
pub mod wire;

pub use archive::{Archive, Settings, Snapshot};
pub use error::{Error, ErrorKind, Result};
pub use filter::Filter;
pub use flow::{Flow, FlowId, StoredFlow};
pub use order::{Cursor, Order};
