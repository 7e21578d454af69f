//! Memory that is in use.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// What memory is counted in.
const UNIT: u64 = 1 << 10;

/// Memory of one kind, of which there is only so much: a cache holds three quarters of it, and what queries hold at a
/// moment is the rest. A query that needs more than is free waits until others have let go of theirs, first come, first
/// served.
///
/// A query holds one [`Pin`] of a kind at a time, so that no two can wait for one another.
#[derive(Debug)]
pub(crate) struct MemoryPool {
    free: Arc<Semaphore>,
    /// In units, all of it.
    units: u32,
    cache_bytes: u64,
    taken: Arc<AtomicU64>,
}

/// Bytes that are taken until this is dropped.
#[derive(Debug)]
pub(crate) struct Counted {
    taken: Arc<AtomicU64>,
    bytes: u64,
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.taken.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// Memory that a query holds, until this is dropped.
#[derive(Debug)]
pub(crate) struct Pin(#[expect(dead_code, reason = "it is held for what its end does")] Option<OwnedSemaphorePermit>);

impl MemoryPool {
    /// So many bytes.
    pub(crate) fn new(bytes: u64) -> Self {
        let cache_bytes = bytes - bytes / 4;
        let units = u32::try_from((bytes / 4 / UNIT).min(Semaphore::MAX_PERMITS as u64)).unwrap_or(u32::MAX).max(1);
        Self { free: Arc::new(Semaphore::new(units as usize)), units, cache_bytes, taken: Arc::default() }
    }

    /// The part of it that a cache holds.
    pub(crate) fn cache_bytes(&self) -> u64 {
        self.cache_bytes
    }

    /// The most that queries hold at a moment.
    pub(crate) fn pin_bytes(&self) -> u64 {
        u64::from(self.units) * UNIT
    }

    /// A count of bytes that are taken, whoever has them.
    pub(crate) fn count(&self, bytes: u64) -> Counted {
        self.taken.fetch_add(bytes, Ordering::Relaxed);
        Counted { taken: Arc::clone(&self.taken), bytes }
    }

    /// Bytes that were [counted](Self::count) and are not let go of.
    pub(crate) fn taken_bytes(&self) -> u64 {
        self.taken.load(Ordering::Relaxed)
    }

    /// Bytes that queries hold.
    pub(crate) fn pinned_bytes(&self) -> u64 {
        self.pin_bytes() - self.free.available_permits() as u64 * UNIT
    }

    /// So many bytes for a query, as soon as they are free; all there are, where it asks for more.
    pub(crate) async fn pin(&self, bytes: u64) -> Pin {
        let units = u32::try_from(bytes.div_ceil(UNIT)).unwrap_or(u32::MAX).min(self.units);
        // Nobody closes it.
        Pin(Arc::clone(&self.free).acquire_many_owned(units).await.ok())
    }
}

#[cfg(test)]
mod tests {
    use std::{pin::pin, task::Poll};

    use super::*;

    #[test]
    fn who_needs_more_than_is_free_waits_and_is_not_passed_by() {
        let memory = MemoryPool::new(400 << 10);
        assert_eq!((memory.cache_bytes(), memory.pin_bytes()), (300 << 10, 100 << 10));
        futures::executor::block_on(async {
            let first = memory.pin(60 << 10).await;
            let mut large = pin!(memory.pin(1 << 30));
            assert!(matches!(futures::poll!(&mut large), Poll::Pending));
            let mut small = pin!(memory.pin(1));
            assert!(matches!(futures::poll!(&mut small), Poll::Pending));
            drop(first);
            let Poll::Ready(large) = futures::poll!(&mut large) else { panic!("there is room") };
            assert_eq!(memory.pinned_bytes(), 100 << 10);
            drop(large);
            assert!(matches!(futures::poll!(&mut small), Poll::Ready(_)));
        });
        assert_eq!(memory.pinned_bytes(), 0);
    }
}
