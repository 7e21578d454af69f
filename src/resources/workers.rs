//! Threads that may wait for a disk.

use std::{
    any::Any,
    fmt, io,
    panic::{AssertUnwindSafe, catch_unwind},
};

use futures::channel::oneshot;
use tokio::runtime::Handle;

use super::{
    guard::{caught, text},
    io_error,
};
use crate::error::{Error, ErrorKind, Result};

/// Runs work that blocks on the file system, in threads that may wait. A host that has such threads gives them in
/// [`Settings::workers`](crate::Settings::workers); queries can then be polled by any executor.
///
/// ```
/// use std::io;
/// use flowseek::resources::Workers;
///
/// /// A thread for each piece of work.
/// #[derive(Debug)]
/// struct Threads;
///
/// impl Workers for Threads {
///     fn run(&self, work: Box<dyn FnOnce() + Send>) -> io::Result<()> {
///         std::thread::Builder::new().spawn(work).map(drop)
///     }
/// }
/// # let directory = tempfile::tempdir()?;
/// # use std::sync::Arc;
/// # use flowseek::{Archive, Filter, Settings};
/// let settings = Settings::default().workers(Arc::new(Threads));
/// let archive = Archive::open_or_create_with(directory.path().join("flows"), settings)?;
/// let page = futures::executor::block_on(archive.snapshot()?.query(Filter::all()).page())?; // no tokio
/// # assert_eq!(page.batch.num_rows(), 0);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub trait Workers: fmt::Debug + Send + Sync {
    /// Begins `work` in a thread that may block, now or as soon as one is free.
    ///
    /// # Errors
    /// Where there is no thread for it. `work` is then dropped.
    fn run(&self, work: Box<dyn FnOnce() + Send>) -> io::Result<()>;
}

/// The blocking threads of the tokio runtime in which a query is polled.
///
/// ```
/// use flowseek::resources::{RuntimeWorkers, Workers};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let (sender, receiver) = tokio::sync::oneshot::channel();
/// RuntimeWorkers.run(Box::new(move || {
///     let _ = sender.send(7);
/// }))?;
/// assert_eq!(receiver.await?, 7);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RuntimeWorkers;

impl Workers for RuntimeWorkers {
    fn run(&self, work: Box<dyn FnOnce() + Send>) -> io::Result<()> {
        let Ok(runtime) = Handle::try_current() else {
            let message = "it is polled outside a tokio runtime; enter one, or set `Settings::workers`";
            return Err(io::Error::new(io::ErrorKind::Unsupported, message));
        };
        // Tokio panics where the system refuses the first thread of its pool.
        let spawned = caught(|| drop(runtime.spawn_blocking(work)));
        spawned.map_err(|_| io::Error::new(io::ErrorKind::WouldBlock, "no thread can be started"))
    }
}

/// Does work that blocks in one of `workers`.
///
/// # Errors
/// Those of `work`; [`ErrorKind::InvalidInput`] where a query is polled outside a runtime; [`ErrorKind::Io`] where there
/// is no thread; [`ErrorKind::Internal`] where the work panics.
pub(crate) async fn blocking<T: Send + 'static>(
    workers: &dyn Workers,
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    let (answer, done) = oneshot::channel();
    let run = move || {
        let result = catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| Err(panicked(panic.as_ref())));
        // Whoever asked may have gone.
        let _ = answer.send(result);
    };
    workers.run(Box::new(run)).map_err(|error| match error.kind() {
        io::ErrorKind::Unsupported => Error::with(ErrorKind::InvalidInput, "the query cannot run")(error),
        _ => io_error("the file system cannot be asked")(error),
    })?;
    done.await.map_err(Error::with(ErrorKind::Internal, "reading was interrupted"))?
}

fn panicked(panic: &(dyn Any + Send)) -> Error {
    Error::internal(format!("reading panicked: {}", text(panic).unwrap_or("for an unknown reason")))
}
