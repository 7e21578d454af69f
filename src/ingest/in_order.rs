//! Work on all cores, results in order.

use std::{
    io,
    sync::{
        Arc, Mutex, PoisonError,
        mpsc::{Receiver, Sender, channel, sync_channel},
    },
    thread,
};

use crate::{
    error::{Error, Result},
    resources::io_error,
};

/// What `work` makes of the items of a source, in the order of the items.
///
/// A thread of its own reads the source, one a core does the work. No more than some four items a core are between
/// the source and whoever takes the results. When this is dropped, the threads end with their next item; one that
/// waits for its input ends with it.
#[derive(Debug)]
pub(super) struct InOrder<U> {
    results: Receiver<Receiver<U>>,
    source: Option<thread::JoinHandle<()>>,
}

impl<U: Send + 'static> InOrder<U> {
    /// Starts to read and to work.
    ///
    /// # Errors
    /// [`ErrorKind::Busy`](crate::ErrorKind::Busy) where the system gives no thread.
    pub(super) fn start<T: Send + 'static>(
        source: impl Iterator<Item = T> + Send + 'static,
        work: impl Fn(T) -> U + Clone + Send + 'static,
    ) -> Result<Self> {
        let cores = thread::available_parallelism().map_or(1, usize::from);
        let (queue, jobs) = sync_channel::<(T, Sender<U>)>(cores);
        let jobs = Arc::new(Mutex::new(jobs));
        for _ in 0..cores {
            let (jobs, work) = (Arc::clone(&jobs), work.clone());
            spawn("flowseek-parse", move || {
                loop {
                    let job = jobs.lock().unwrap_or_else(PoisonError::into_inner).recv();
                    let Ok((item, result)) = job else { break };
                    // Nobody may be waiting any more; then there is no next job either.
                    let _ = result.send(work(item));
                }
            })?;
        }
        let (order, results) = sync_channel(2 * cores);
        let read = move || {
            for item in source {
                let (sender, receiver) = channel();
                if queue.send((item, sender)).is_err() || order.send(receiver).is_err() {
                    break;
                }
            }
        };
        Ok(Self { results, source: Some(spawn("flowseek-read", read)?) })
    }
}

impl<U> Iterator for InOrder<U> {
    type Item = Result<U>;

    fn next(&mut self) -> Option<Result<U>> {
        let panicked = || Error::internal("a thread that read the input has panicked");
        match self.results.recv() {
            Ok(result) => Some(result.recv().map_err(|_| panicked())),
            // The source has come to its end, or to a bad one.
            Err(_) => self.source.take()?.join().err().map(|_| Err(panicked())),
        }
    }
}

fn spawn(name: &str, body: impl FnOnce() + Send + 'static) -> Result<thread::JoinHandle<()>> {
    let spawned: io::Result<_> = thread::Builder::new().name(name.to_owned()).spawn(body);
    spawned.map_err(io_error("a thread cannot be started"))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn results_come_in_the_order_of_the_items_however_long_each_takes() {
        let work = |item: u64| {
            thread::sleep(Duration::from_micros(item * 7919 % 300));
            item * 2
        };
        let results: Vec<u64> = InOrder::start(0..500, work).unwrap().map(Result::unwrap).collect();
        assert_eq!(results, (0..500).map(|item| item * 2).collect::<Vec<_>>());
    }

    #[test]
    fn an_endless_source_is_read_only_as_far_as_results_are_taken() {
        let cores = thread::available_parallelism().map_or(1, usize::from);
        let (sender, read) = channel();
        let source = (0usize..).inspect(move |item| sender.send(*item).unwrap_or_default());
        let mut results = InOrder::start(source, |item| item).unwrap();
        assert_eq!(results.next().unwrap().unwrap(), 0);
        drop(results);
        // The sender goes with the source, so this ends.
        assert!(read.iter().count() <= 6 * cores + 4);
    }

    #[test]
    fn a_panic_is_an_error_and_never_a_silent_end() {
        let mut results = InOrder::start(0..9, |item| assert_ne!(item, 4)).unwrap();
        assert_eq!(results.by_ref().position(|result| result.is_err()), Some(4));
        let source = (0..9).inspect(|item| assert_ne!(*item, 4));
        let results: Vec<Result<i32>> = InOrder::start(source, |item| item).unwrap().collect();
        assert_eq!(results.iter().map(Result::is_ok).collect::<Vec<_>>(), [true, true, true, true, false]);
    }
}
