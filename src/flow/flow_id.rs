//! The number of a flow.

use std::{fmt, num::ParseIntError, str::FromStr};

use serde::Serialize;

/// The number of a flow: unique in its archive, and the same for ever.
///
/// ```
/// use flowseek::FlowId;
///
/// let id: FlowId = "7".parse()?;
/// assert_eq!(id, FlowId::new(7));
/// assert_eq!(id.to_string(), "7");
/// assert!(id < FlowId::new(10));
/// # Ok::<(), std::num::ParseIntError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct FlowId(u64);

impl FlowId {
    /// The ID with this number.
    pub const fn new(number: u64) -> Self {
        Self(number)
    }

    /// Its number.
    pub const fn get(self) -> u64 {
        self.0
    }
}

impl fmt::Display for FlowId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for FlowId {
    type Err = ParseIntError;

    fn from_str(text: &str) -> Result<Self, ParseIntError> {
        text.parse().map(Self)
    }
}
