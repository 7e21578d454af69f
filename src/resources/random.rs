//! Randomness.

use std::{fmt, io};

/// Gives random bytes. A test may give a source with a seed, in [`Settings::random`](crate::Settings::random): then
/// the same input makes the same files.
///
/// ```
/// use flowseek::resources::{Random, SystemRandom};
///
/// let (mut one, mut other) = ([0; 16], [0; 16]);
/// SystemRandom.fill(&mut one)?;
/// SystemRandom.fill(&mut other)?;
/// assert_ne!(one, other);
/// # Ok::<(), std::io::Error>(())
/// ```
pub trait Random: fmt::Debug + Send + Sync {
    /// Fills `bytes`. Keys are made of them, so nobody may be able to guess them.
    ///
    /// # Errors
    /// Whatever the system says.
    fn fill(&self, bytes: &mut [u8]) -> io::Result<()>;
}

/// The random numbers of the system.
///
/// ```
/// use flowseek::resources::{Random, SystemRandom};
///
/// let mut key = [0; 32];
/// SystemRandom.fill(&mut key)?;
/// assert_ne!(key, [0; 32]);
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SystemRandom;

impl Random for SystemRandom {
    fn fill(&self, bytes: &mut [u8]) -> io::Result<()> {
        getrandom::fill(bytes).map_err(io::Error::other)
    }
}
