//! Work that blocks, taken on by several threads.

use std::sync::{Arc, Mutex, PoisonError};

use futures::future::join_all;

use super::{Workers, workers::blocking};
use crate::error::Result;

/// The results of jobs, in their order. So many of `workers` at most take one job after the other, until none is left. Where
/// fewer threads can be had than that, those that there are do all.
///
/// # Errors
/// That of the first job that fails, and those of [`blocking`].
pub(crate) async fn shared_out<J: Send + 'static, T: Send + 'static>(
    workers: &dyn Workers,
    threads: usize,
    jobs: Vec<J>,
    work: impl Fn(J) -> Result<T> + Send + Sync + 'static,
) -> Result<Vec<T>> {
    let count = jobs.len();
    let shared = Arc::new((Mutex::new(jobs.into_iter().enumerate()), work));
    let share = |_| {
        let shared = Arc::clone(&shared);
        blocking(workers, move || {
            let (jobs, work) = &*shared;
            let mut done = Vec::new();
            while let Some((place, job)) = next(jobs) {
                let result = work(job);
                let has_failed = result.is_err();
                done.push((place, result));
                if has_failed {
                    // Jobs behind it are not needed any more.
                    while next(jobs).is_some() {}
                }
            }
            Ok(done)
        })
    };
    let shares = join_all((0..threads.min(count)).map(share)).await;
    let (mut done, mut failed) = (Vec::with_capacity(count), None);
    for share in shares {
        match share {
            Ok(share) => done.extend(share),
            Err(error) => failed = failed.or(Some(error)),
        }
    }
    done.sort_by_key(|(place, _)| *place);
    let results = done.into_iter().map(|(_, result)| result).collect::<Result<Vec<_>>>()?;
    match failed.filter(|_| results.len() < count) {
        Some(error) => Err(error),
        None => Ok(results),
    }
}

fn next<J>(jobs: &Mutex<impl Iterator<Item = J>>) -> Option<J> {
    jobs.lock().unwrap_or_else(PoisonError::into_inner).next()
}

#[cfg(test)]
mod tests {
    use std::{
        io,
        sync::{Barrier, atomic::AtomicUsize, atomic::Ordering},
        thread,
    };

    use futures::executor::block_on;

    use super::*;
    use crate::error::Error;

    /// So many threads.
    #[derive(Debug)]
    struct Threads(AtomicUsize);

    impl Threads {
        fn new(count: usize) -> Self {
            Self(AtomicUsize::new(count))
        }
    }

    impl Workers for Threads {
        fn run(&self, work: Box<dyn FnOnce() + Send>) -> io::Result<()> {
            let is_free = |free: usize| free.checked_sub(1);
            self.0
                .fetch_update(Ordering::Relaxed, Ordering::Relaxed, is_free)
                .map_err(|_| io::Error::other("no thread is left"))?;
            thread::Builder::new().spawn(work).map(drop)
        }
    }

    #[test]
    fn jobs_are_done_side_by_side_and_answered_in_their_order() {
        // Each job waits for two others.
        let (barrier, threads) = (Barrier::new(3), Threads::new(3));
        let done = shared_out(&threads, 3, (0..9).collect(), move |job: usize| {
            barrier.wait();
            Ok(job * 2)
        });
        assert_eq!(block_on(done).unwrap(), (0..9).map(|job| job * 2).collect::<Vec<_>>());
    }

    #[test]
    fn what_fails_first_is_told_and_fewer_threads_do_all() {
        let work = |job: usize| if job % 4 == 3 { Err(Error::damaged(format!("job {job}"))) } else { Ok(job) };
        let error = block_on(shared_out(&Threads::new(3), 3, (0..9).collect(), work)).unwrap_err();
        assert!(error.to_string().contains("job 3"), "{error}");
        assert_eq!(block_on(shared_out(&Threads::new(1), 3, vec![0, 1, 2], work)).unwrap(), [0, 1, 2]);
        let error = block_on(shared_out(&Threads::new(0), 3, vec![0, 1], work)).unwrap_err();
        assert!(error.to_string().contains("the file system cannot be asked"), "{error}");
        assert!(block_on(shared_out(&Threads::new(0), 3, vec![], work)).unwrap().is_empty());
    }
}
