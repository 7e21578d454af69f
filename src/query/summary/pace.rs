//! How much a round takes.

use std::time::Duration;

use crate::{query::budget::LARGEST_ROUND, resources::Deadline};

/// A first round has about so many rows.
const FIRST_ROWS: u64 = 64 * 8192;
/// The largest round is so many times as large.
const LARGEST: u64 = 32;
/// A round may take this part of the time that is left: an eighth.
const SHARE: u32 = 8;

/// How much a round takes. Between two rounds threads wait for one another, so that large ones are better; but a summary can
/// end only there, and a round whose time is over is lost. How long one took says little of the next, as what is in memory
/// takes no time to read. So one that is larger than the first is given up as soon as the time is over.
///
/// For example, of a budget of 10 seconds the first round takes 20 ms. The next one is twice as large, and should take 40 ms
/// of the 9.98 s that are left.
#[derive(Debug)]
pub(super) struct Pace {
    /// How many times as large as the first.
    size: u64,
    /// The time that was left when the round began; `None` where it never ends.
    left: Option<Duration>,
}

impl Pace {
    pub(super) fn new() -> Self {
        Self { size: 1, left: None }
    }

    /// About how many rows it takes.
    pub(super) fn rows(&self) -> u64 {
        self.size * FIRST_ROWS
    }

    /// When a round is given up: the first is not, and one that is as small is not either.
    pub(super) fn until(&self, deadline: &Deadline) -> Deadline {
        if self.size > 1 { deadline.clone() } else { Deadline::never() }
    }

    /// How many blocks it reads at most.
    pub(super) fn blocks(&self) -> usize {
        LARGEST_ROUND.saturating_mul(self.size as usize)
    }

    /// A round begins.
    pub(super) fn begin(&mut self, deadline: &Deadline) {
        self.left = deadline.left();
    }

    /// It is through: the next one is larger where that takes little of the time that is left.
    pub(super) fn end(&mut self, deadline: &Deadline) {
        let is_early = match (self.left, deadline.left()) {
            (Some(before), Some(left)) => before.saturating_sub(left).saturating_mul(2 * SHARE) <= left,
            _ => true,
        };
        self.size = if is_early { (2 * self.size).min(LARGEST) } else { 1 };
    }
}
