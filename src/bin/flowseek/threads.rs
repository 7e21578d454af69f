//! The threads that commands run on.

use std::{
    io,
    thread::{self, Scope},
};

use tokio::runtime::{Builder, Runtime};

use super::failure::Failure;

/// A runtime on all cores.
pub fn runtime() -> Result<Runtime, Failure> {
    // Tokio panics where the system has no thread for it.
    thread::Builder::new().spawn(|| ()).map_err(refused)?;
    Builder::new_multi_thread().enable_all().build().map_err(refused)
}

/// Starts a thread of a scope.
pub fn start<'scope>(
    name: &str,
    scope: &'scope Scope<'scope, '_>,
    body: impl FnOnce() + Send + 'scope,
) -> Result<(), Failure> {
    thread::Builder::new().name(name.to_owned()).spawn_scoped(scope, body).map(drop).map_err(refused)
}

fn refused(error: io::Error) -> Failure {
    Failure::Failed(format!("a thread cannot be started: {error}"))
}
