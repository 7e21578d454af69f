//! Threads for what goes on by itself and blocks now and then.

use std::{
    future::Future,
    panic::AssertUnwindSafe,
    sync::{
        Arc, Mutex, PoisonError, Weak,
        mpsc::{Receiver, sync_channel},
    },
};

use futures::{
    FutureExt,
    executor::{ThreadPool, ThreadPoolBuilder},
};

use crate::error::{Error, ErrorKind, Result};

/// So many threads, as long as there are [`Hands`]: tasks take turns on them wherever they wait for a future, and may
/// block meanwhile.
#[derive(Debug)]
pub(crate) struct Crew {
    name: &'static str,
    threads: usize,
    pool: Mutex<Weak<ThreadPool>>,
}

/// What keeps the threads of a crew.
#[derive(Clone, Debug)]
pub(crate) struct Hands(Arc<ThreadPool>);

/// A task that was begun.
#[derive(Debug)]
pub(crate) struct Task(Receiver<()>);

impl Crew {
    /// Threads of this name. None is started yet.
    pub(crate) fn new(name: &'static str, threads: usize) -> Self {
        Self { name, threads: threads.max(1), pool: Mutex::default() }
    }

    /// Starts the threads, where they are not running.
    ///
    /// # Errors
    /// [`ErrorKind::Io`] where the system starts none.
    pub(crate) fn hands(&self) -> Result<Hands> {
        let mut pool = self.pool.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(pool) = pool.upgrade() {
            return Ok(Hands(pool));
        }
        let started = ThreadPoolBuilder::new().pool_size(self.threads).name_prefix(self.name).create();
        let started = Arc::new(started.map_err(Error::with(ErrorKind::Io, "a thread cannot be started"))?);
        *pool = Arc::downgrade(&started);
        Ok(Hands(started))
    }
}

impl Hands {
    /// Begins a task. A panic ends it, and no other.
    pub(crate) fn begin(&self, task: impl Future<Output = ()> + Send + 'static) -> Task {
        let (done, end) = sync_channel(1);
        self.0.spawn_ok(async move {
            let _ = AssertUnwindSafe(task).catch_unwind().await;
            drop(done);
        });
        Task(end)
    }
}

impl Task {
    /// Blocks until it has ended, and everything that it held is dropped.
    pub(crate) fn join(self) {
        // Nothing is sent: the other end goes.
        let _ = self.0.recv();
    }
}

#[cfg(test)]
mod tests {
    use std::{
        thread,
        time::{Duration, Instant},
    };

    use super::*;

    fn threads(name: &str) -> usize {
        let tasks = std::fs::read_dir("/proc/self/task").unwrap();
        let names = tasks.filter_map(|task| std::fs::read_to_string(task.unwrap().path().join("comm")).ok());
        names.filter(|found| found.starts_with(name)).count()
    }

    #[test]
    fn tasks_share_threads_which_end_with_the_last_hands() {
        let crew = Crew::new("crew-a", 2);
        let hands: Vec<Hands> = (0..10).map(|_| crew.hands().unwrap()).collect();
        let (sender, receiver) = tokio::sync::watch::channel(0);
        let wait = |wanted: u32| {
            let mut receiver = receiver.clone();
            async move { drop(receiver.wait_for(|seen| *seen >= wanted).await) }
        };
        let tasks: Vec<Task> = hands.iter().zip(0..).map(|(hands, wanted)| hands.begin(wait(wanted))).collect();
        assert!(threads("crew-a") <= 2);
        sender.send(10).unwrap();
        tasks.into_iter().for_each(Task::join);
        hands[3].begin(async { panic!("of a task") }).join();
        hands[4].begin(async {}).join();
        drop(hands);
        let begin = Instant::now();
        while threads("crew-a") > 0 && begin.elapsed() < Duration::from_secs(10) {
            thread::sleep(Duration::from_millis(1));
        }
        assert_eq!(threads("crew-a"), 0);
        crew.hands().unwrap().begin(async {}).join();
    }
}
