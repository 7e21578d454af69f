//! Sampling: of how many packets an exporter has looked at how many.

use std::fmt;

use super::{element::Number, values::Values};

/// Of `of` packets the exporter has seen `seen`, and its counts are of these.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Rate {
    seen: u64,
    of: u64,
}

impl Rate {
    /// Every packet was seen.
    pub(super) const ALL: Self = Self { seen: 1, of: 1 };

    /// Of so many packets one; all of them where the number is 0.
    pub(super) fn one_in(of: u64) -> Self {
        Self { seen: 1, of: of.max(1) }
    }

    /// What a record says; `None` where it says nothing that makes sense.
    pub(super) fn told(values: &Values) -> Option<Self> {
        let get = |number| values.get(number).filter(|value| *value > 0);
        if let Some(of) = get(Number::SamplingInterval).or(get(Number::SamplerInterval)) {
            return Some(Self::one_in(of));
        }
        if let (Some(seen), Some(skipped)) = (get(Number::SampledPackets), values.get(Number::SkippedPackets)) {
            return Some(Self { seen, of: seen.saturating_add(skipped) });
        }
        if let (Some(seen), Some(of)) = (get(Number::SampleSize), get(Number::Population)) {
            return Some(Self { seen, of }).filter(|_| seen <= of);
        }
        let probability = f64::from_bits(get(Number::Probability)?);
        (probability > 0.0 && probability <= 1.0).then(|| Self::one_in((1.0 / probability).round() as u64))
    }

    pub(super) fn is_all(self) -> bool {
        self.seen == self.of
    }

    /// How many there were in all, where so many were seen.
    pub(super) fn scale(self, count: u64) -> u64 {
        if self.is_all() {
            return count;
        }
        let scaled = u128::from(count) * u128::from(self.of) / u128::from(self.seen.max(1));
        u64::try_from(scaled).unwrap_or(u64::MAX)
    }
}

/// As `1 in 100`.
impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} in {}", self.seen, self.of)
    }
}
