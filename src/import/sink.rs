//! Where the records of an input go.

use super::Remarks;
use crate::flow::Flow;

/// Takes the records of a part of an input, one after the other.
pub(crate) trait Sink {
    /// A record that is a flow.
    fn flow(&mut self, flow: Flow);

    /// A record that should be a flow and is none, with the reason: the field, what was given and what is allowed.
    fn rejected(&mut self, reason: String);

    /// A record of something else.
    fn skipped(&mut self);

    /// What is to be remarked of the input, once for all of it.
    fn remarks(&mut self) -> &mut Remarks;
}
