//! Random numbers of a few distributions, by whole numbers, sums, products and quotients alone.

use rand::{RngCore, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// The random numbers of one chunk.
#[derive(Debug)]
pub(super) struct Draw {
    rng: ChaCha8Rng,
}

impl Draw {
    /// The seed is the key of the cipher and the chunk its stream, so no two chunks share numbers.
    pub(super) fn new(seed: u64, chunk: u64) -> Self {
        Self::with(seed, 0, chunk)
    }

    /// Other random numbers of the same chunk.
    pub(super) fn beside(seed: u64, chunk: u64) -> Self {
        Self::with(seed, 1, chunk)
    }

    fn with(seed: u64, series: u8, chunk: u64) -> Self {
        let mut key = [0; 32];
        for (byte, of_seed) in key.iter_mut().zip(seed.to_le_bytes().into_iter().chain([series])) {
            *byte = of_seed;
        }
        let mut rng = ChaCha8Rng::from_seed(key);
        rng.set_stream(chunk);
        Self { rng }
    }

    /// From 0 to 1, without 1.
    pub(super) fn fraction(&mut self) -> f64 {
        f64::from(self.rng.next_u32()) / 4_294_967_296.0
    }

    /// From 0 to `end`, without it.
    pub(super) fn below(&mut self, end: u32) -> u32 {
        // The high half of the product; the bias is that of 32 bits.
        let product = u64::from(self.rng.next_u32()) * u64::from(end);
        u32::try_from(product >> 32).unwrap_or_default()
    }

    /// True in so many cases of a thousand.
    pub(super) fn per_mille(&mut self, cases: u32) -> bool {
        self.below(1000) < cases
    }

    /// One of the items, by their weights; `T::default()` where there are none.
    pub(super) fn weighted<T: Copy + Default>(&mut self, items: &[(u32, T)]) -> T {
        let mut rest = self.below(items.iter().map(|(weight, _)| weight).sum());
        for (weight, item) in items {
            match rest.checked_sub(*weight) {
                Some(left) => rest = left,
                None => return *item,
            }
        }
        T::default()
    }

    /// A rank below `2^bits` by Zipf's law: each doubling of the rank is as likely as the one before.
    pub(super) fn rank(&mut self, bits: u8) -> u32 {
        let rank = exp2(self.fraction() * f64::from(bits)) - 1.0;
        (rank as u32).min((1 << bits) - 1)
    }

    /// About log-normal: a power of two whose exponent lies around `median`, at most `spread` from it.
    pub(super) fn log_normal(&mut self, median: f64, spread: f64) -> u64 {
        // The mean of four uniform numbers is nearly normal: a quarter of `spread` or so is one standard deviation.
        let mean = (self.fraction() + self.fraction() + self.fraction() + self.fraction()) / 4.0;
        exp2(median + (2.0 * mean - 1.0) * spread) as u64
    }
}

/// Nearly a power of two: right at whole exponents, straight between them. A logarithm of a system's library may
/// differ from another's in the last bit; this does not.
fn exp2(exponent: f64) -> f64 {
    let whole = exponent.floor().clamp(0.0, 62.0);
    let power = 1_u64 << whole as u32;
    power as f64 * (1.0 + (exponent - whole).clamp(0.0, 1.0))
}

/// A number scrambled: what differs in one bit differs in half of them (the finalizer of SplitMix64).
pub(super) const fn scramble(number: u64) -> u64 {
    let number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn powers_of_two_are_right_at_whole_exponents_and_rise_between() {
        assert_eq!([0.0, 1.0, 10.0, 21.0].map(exp2), [1.0, 2.0, 1024.0, 2_097_152.0]);
        let powers: Vec<f64> = (0..1000).map(|step| exp2(f64::from(step) / 50.0)).collect();
        assert!(powers.is_sorted_by(|a, b| a < b));
        assert_eq!(exp2(-5.0), 1.0);
    }

    #[test]
    fn numbers_keep_to_their_bounds() {
        let mut draw = Draw::new(1, 2);
        for _ in 0..10_000 {
            assert!(draw.below(3) < 3);
            assert!(draw.rank(4) < 16);
            assert!((1 << 5..1 << 11).contains(&draw.log_normal(8.0, 3.0)));
            assert_ne!(draw.weighted(&[(1, 5), (0, 6), (3, 7)]), 6);
        }
    }
}
