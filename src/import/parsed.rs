//! What a line is found to be.

use crate::flow::Flow;

/// What a line is.
///
/// ```
/// use flowseek::import::{Format, LineParser, Parsed};
///
/// let mut parser = LineParser::new(Format::Json);
/// assert!(matches!(parser.parse(br#"{"startTime":1666012671}"#), Parsed::Flow(_)));
/// let reason = "startTime: it is missing, and every flow has a start";
/// assert_eq!(parser.parse(b"{}"), Parsed::Rejected(reason.to_owned()));
/// assert_eq!(parser.parse(b""), Parsed::Blank);
/// let mut parser = LineParser::new(Format::Zeek);
/// assert_eq!(parser.parse(br#"{"_path":"dns","ts":1.5}"#), Parsed::Skipped);
/// ```
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
    /// A line with several records, each of which is a flow or rejected.
    Several(Vec<Parsed>),
}
