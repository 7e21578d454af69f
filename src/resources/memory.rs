//! Memory that is in use.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::Deadline;
use crate::error::{Error, ErrorKind, Result};

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

    /// So many bytes, all of them for queries that do without where none are free.
    pub(crate) fn without_cache(bytes: u64) -> Self {
        Self { cache_bytes: 0, ..Self::new(bytes.saturating_mul(4)) }
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

    /// So many bytes for a query that does without where they are not free. Who holds them never waits for more, so that he
    /// may hold several.
    pub(crate) fn try_pin(&self, bytes: u64) -> Option<Pin> {
        let units = u32::try_from(bytes.div_ceil(UNIT)).ok()?;
        let permit = Arc::clone(&self.free).try_acquire_many_owned(units).ok()?;
        Some(Pin(Some(permit)))
    }

    /// So many bytes for a query, as soon as they are free; all there are, where it asks for more.
    ///
    /// # Errors
    /// [`ErrorKind::Busy`] where they are not free before the deadline is over.
    pub(crate) async fn pin(&self, bytes: u64, deadline: &Deadline) -> Result<Pin> {
        let units = u32::try_from(bytes.div_ceil(UNIT)).unwrap_or(u32::MAX).min(self.units);
        // Nobody passes by those who wait: they have taken what was free. A future of the semaphore may also want to be
        // polled again only for the sake of other tasks, which is no reason to give up.
        if let Ok(permit) = Arc::clone(&self.free).try_acquire_many_owned(units) {
            return Ok(Pin(Some(permit)));
        }
        let pinned = deadline.wait(Arc::clone(&self.free).acquire_many_owned(units)).await;
        let message = "other queries held the memory until the time of this one was over";
        // Nobody closes the semaphore.
        pinned.map(|permit| Pin(permit.ok())).ok_or_else(|| Error::new(ErrorKind::Busy, message))
    }
}

#[cfg(test)]
mod tests {
    use std::{pin::pin, task::Poll, time::Duration};

    use super::*;
    use crate::resources::SystemClock;

    #[test]
    fn who_needs_more_than_is_free_waits_and_is_not_passed_by() {
        let memory = MemoryPool::new(400 << 10);
        assert_eq!((memory.cache_bytes(), memory.pin_bytes()), (300 << 10, 100 << 10));
        futures::executor::block_on(async {
            let never = Deadline::never();
            let first = memory.pin(60 << 10, &never).await.unwrap();
            let mut large = pin!(memory.pin(1 << 30, &never));
            assert!(matches!(futures::poll!(&mut large), Poll::Pending));
            let mut small = pin!(memory.pin(1, &never));
            assert!(matches!(futures::poll!(&mut small), Poll::Pending));
            drop(first);
            let Poll::Ready(Ok(large)) = futures::poll!(&mut large) else { panic!("there is room") };
            assert_eq!(memory.pinned_bytes(), 100 << 10);
            drop(large);
            assert!(matches!(futures::poll!(&mut small), Poll::Ready(Ok(_))));
        });
        assert_eq!(memory.pinned_bytes(), 0);
    }

    #[test]
    fn who_can_do_without_gets_what_is_free_or_nothing() {
        let memory = MemoryPool::without_cache(100 << 10);
        assert_eq!((memory.cache_bytes(), memory.pin_bytes()), (0, 100 << 10));
        let first = memory.try_pin(60 << 10).unwrap();
        assert!(memory.try_pin(41 << 10).is_none());
        let second = memory.try_pin(40 << 10).unwrap();
        assert_eq!(memory.pinned_bytes(), 100 << 10);
        drop(first);
        assert!(memory.try_pin(60 << 10).is_some() && memory.try_pin(u64::MAX).is_none());
        drop(second);
        assert_eq!(memory.pinned_bytes(), 0);
    }

    #[test]
    fn who_waits_until_his_time_is_over_gets_an_error_and_keeps_nothing() {
        let memory = MemoryPool::new(400 << 10);
        let over = Deadline::after(Duration::ZERO, Arc::new(SystemClock));
        futures::executor::block_on(async {
            let held = memory.pin(60 << 10, &over).await.unwrap();
            let error = memory.pin(60 << 10, &over).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Busy);
            // What it had got of it is free for others.
            let small = memory.pin(40 << 10, &over).await.unwrap();
            drop((held, small));
        });
        assert_eq!(memory.pinned_bytes(), 0);
    }
}
