//! What a manifest says of retention by age.

use serde::{Deserialize, Serialize};

/// How far retention by age has come, as a manifest has it: whoever goes on with it knows what is left for the day.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Aged {
    /// Flows from before this time are gone, in milliseconds since 1970.
    pub(super) before: i64,
    /// So many flows may go besides those that have grown old since.
    pub(super) allowed: u64,
    /// When that was, by the clock: milliseconds since 1970.
    pub(super) at: i64,
}
