//! The threads that queries run on.

use tokio::runtime::{Builder, Runtime};

use super::failure::Failure;

/// A runtime on all cores.
pub fn runtime() -> Result<Runtime, Failure> {
    let runtime = Builder::new_multi_thread().enable_all().build();
    runtime.map_err(|error| Failure::Failed(format!("the threads of a query cannot be started: {error}")))
}
