//! Work for all cores.

use std::{
    sync::{Mutex, PoisonError},
    thread,
};

use crate::error::Result;

/// The results of jobs, in their order; the last job is begun first. Where the system gives no more threads, those that
/// there are do all.
pub(super) fn on_all_cores<J: Send, T: Send>(jobs: Vec<J>, work: impl Fn(J) -> Result<T> + Sync) -> Result<Vec<T>> {
    let jobs = Mutex::new(jobs.into_iter().enumerate().collect::<Vec<_>>());
    let done = Mutex::new(Vec::new());
    let run = || {
        loop {
            let job = jobs.lock().unwrap_or_else(PoisonError::into_inner).pop();
            let Some((place, job)) = job else { break };
            let result = work(job);
            done.lock().unwrap_or_else(PoisonError::into_inner).push((place, result));
        }
    };
    thread::scope(|scope| {
        let others = thread::available_parallelism().map_or(0, |cores| cores.get() - 1);
        let spawn = |_| thread::Builder::new().name("flowseek-segment".to_owned()).spawn_scoped(scope, run).is_ok();
        let _ = (0..others).all(spawn);
        run();
    });
    let mut done = done.into_inner().unwrap_or_else(PoisonError::into_inner);
    done.sort_by_key(|(place, _)| *place);
    done.into_iter().map(|(_, result)| result).collect()
}
