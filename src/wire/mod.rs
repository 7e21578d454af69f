//! The endpoint's words: a query string becomes a [`Request`], a flow becomes JSON, an error a list of problems.

mod arguments;
mod cell;
mod decode;
mod filters;
mod number;
mod operator;
mod parameter;
mod problem;
mod reader;
mod request;
mod response;
mod sort;
mod values;

pub use cell::{Cell, FlagsFormat};
pub use parameter::{PARAMETERS, Parameter, ParameterKind};
pub use problem::problem_list;
pub use request::{Limits, MAX_QUERY_BYTES, Request};
pub use response::{FIELDS, FlowView, write_array, write_line};
