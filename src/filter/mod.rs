//! What a query asks for: one tree of tests on fields, and two of its meanings, a flow's and a block's bounds'.
//!
//! A filter is two-valued: a flow matches or it does not. A test on an absent value fails, whatever the operator;
//! its negation by [`!`](std::ops::Not) therefore holds. The endpoint's `ne` is not that negation but a test of its own.
//!
//! A filter has three notations, which prune alike: the functions here, the [parameters](crate::wire::PARAMETERS) of a query, and text.
//!
//! # As text
//!
//! ```
//! use flowseek::Filter;
//!
//! let filter: Filter = "proto tcp and src net 10.0.0.0/8 and not dst port in [80, 443]".parse()?;
//! # Ok::<(), flowseek::filter::FilterError>(())
//! ```
//!
#![doc = include_str!("language/reference.md")]

mod brief;
mod builder;
mod encode;
mod growing;
mod language;
mod matches;
mod merge;
mod normal;
mod operand;
mod pattern;
mod prune;
mod ranges;
mod structure;
mod tree;
mod walk;

pub use builder::{
    Addresses, FlagSet, Flags, Names, Number, Numbers, Times, activity_id, any_node, bytes, dst_bytes, dst_ip,
    dst_node, dst_packets, dst_port, duration, end_time, flow_flags, flow_id, ip, node_id, packets, port, protocol,
    src_bytes, src_ip, src_node, src_packets, src_port, start_time, tcp_flags,
};
pub use language::{Completion, FilterError, FilterProblem, REFERENCE, complete};
pub(crate) use language::{Parsed, parse_at, word};
pub use operand::Operand;
pub use pattern::Pattern;
pub(crate) use prune::{Bounds, Verdict};
pub use ranges::Ranges;
pub use tree::{Filter, Set, Test};
pub(crate) use walk::{Meaning, evaluate};

#[cfg(test)]
mod laws;
#[cfg(test)]
pub(crate) mod sample;
