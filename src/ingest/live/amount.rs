//! How much is not committed yet.

use std::time::Instant;

use super::{LiveOptions, rows::Rows};

/// How much is not committed yet, and since when.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Amount {
    flows: u64,
    bytes: u64,
    /// When the first of it was appended.
    oldest: Option<Instant>,
}

impl Amount {
    /// What is appended now.
    pub(super) fn of(rows: &Rows, now: Instant) -> Self {
        Self { flows: rows.count, bytes: rows.bytes, oldest: Some(now) }
    }

    /// Adds what was appended later.
    pub(super) fn add(&mut self, later: Self) {
        self.flows = self.flows.saturating_add(later.flows);
        self.bytes = self.bytes.saturating_add(later.bytes);
        self.oldest = self.oldest.or(later.oldest);
    }

    /// When the first of it was appended.
    pub(super) fn oldest(&self) -> Option<Instant> {
        self.oldest
    }

    /// When it is to be committed because of its age; `None` where there is nothing.
    pub(super) fn deadline(&self, options: &LiveOptions) -> Option<Instant> {
        self.oldest?.checked_add(options.flush_age)
    }

    /// Whether it is to be committed though nobody asks.
    pub(super) fn is_due(&self, options: &LiveOptions, now: Instant) -> bool {
        let is_much = self.flows >= options.flush_rows || self.bytes >= options.flush_bytes;
        self.oldest.is_some() && (is_much || self.deadline(options).is_some_and(|deadline| deadline <= now))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn the_age_is_that_of_the_oldest_flow_however_many_come_later() {
        let options = LiveOptions { flush_age: Duration::from_secs(1), ..LiveOptions::default() };
        let begin = Instant::now();
        let mut amount = Amount::default();
        assert_eq!((amount.deadline(&options), amount.is_due(&options, begin)), (None, false));
        for millis in (0..5000).step_by(40) {
            let now = begin + Duration::from_millis(millis);
            amount.add(Amount { flows: 1, bytes: 88, oldest: Some(now) });
            assert_eq!(amount.deadline(&options), Some(begin + options.flush_age));
            assert_eq!(amount.is_due(&options, now), millis >= 1000);
        }
    }

    #[test]
    fn many_flows_or_bytes_are_due_at_once_and_nothing_never_is() {
        let now = Instant::now();
        let never = LiveOptions { flush_age: Duration::MAX, ..LiveOptions::default() };
        let mut amount = Amount::default();
        amount.add(Amount { flows: 2, bytes: 200, oldest: Some(now) });
        for (flush_rows, flush_bytes, is_due) in [(2, 201, true), (3, 200, true), (3, 201, false)] {
            let options = LiveOptions { flush_rows, flush_bytes, ..never };
            assert_eq!(amount.is_due(&options, now), is_due, "{options:?}");
            assert!(!Amount::default().is_due(&LiveOptions { flush_rows: 0, flush_bytes: 0, ..options }, now));
        }
    }
}
