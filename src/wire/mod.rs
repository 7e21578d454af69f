//! The endpoint's words: a query string becomes a [`Request`], a flow becomes JSON, an error a list of problems.

mod arguments;
mod cell;
mod decode;
mod field_name;
mod fields;
mod filters;
mod limits;
mod list;
mod number;
mod operator;
mod parameter;
mod problem;
mod reader;
mod request;
mod response;
mod sort;
mod summary_request;
mod summary_view;
mod table;
mod values;
mod view;
mod writer;

pub use cell::{Cell, FlagsFormat};
pub use filters::Moving;
pub use limits::{Exports, Limits, Wanted};
pub use parameter::{PARAMETERS, Parameter, ParameterKind};
pub use problem::problem_list;
pub use request::{MAX_QUERY_BYTES, Request};
pub use response::{FlowView, write_array, write_line};
#[cfg(feature = "http")]
pub(crate) use sort::sortable;
pub use summary_request::SummaryRequest;
pub use summary_view::{Row, RowView, Shown, SummaryView};
pub use table::{table, table_schema};
pub use view::{Profile, View, all_fields};
pub use writer::{FlowWriter, TextForm};
