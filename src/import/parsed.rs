//! What a line is found to be.

use crate::flow::Flow;

/// What a line is.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::large_enum_variant, reason = "nearly every line is a flow, and a box would cost each an allocation")]
pub enum Parsed {
    /// A flow.
    Flow(Flow),
    /// A record of something else than a flow, such as a line of another log in a mixed stream.
    Skipped,
    /// Neither: the reason, with the key, what was given and what is allowed.
    Rejected(String),
    /// Nothing to count: a blank line or a header.
    Blank,
}
