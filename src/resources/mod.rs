//! What a process has a limited amount of, and what comes from outside of it: the file system, file descriptors, threads
//! that may block, time and randomness.
//!
//! This module owns these. The modules above ask it and never the system, with two exceptions: the lock of the writing
//! process and the shared locks of readers go to the file system directly. So a host sets the limits in one place
//! ([`Settings`](crate::Settings)), and a test can make every access fail.
//!
//! A failure has one of few kinds ([`Failure`]). A failure that passes by itself, such as a lack of file descriptors,
//! is never taken for damage of a file.

mod clock;
mod crew;
mod deadline;
mod descriptors;
mod failure;
mod guard;
mod memory;
mod random;
mod shared_file;
mod shares;
mod storage;
mod timer;
mod workers;

pub use clock::{Clock, SystemClock};
pub(crate) use crew::{Crew, Hands, Task};
pub(crate) use deadline::Deadline;
pub use descriptors::default_open_files;
pub(crate) use descriptors::{DescriptorTable, Descriptors};
pub use failure::Failure;
pub(crate) use failure::{input_error, io_error, read_error, undamaged};
pub(crate) use guard::guarded;
pub use guard::is_guarded;
pub(crate) use memory::{Counted, MemoryPool, Pin};
pub use random::{Random, SystemRandom};
pub(crate) use shared_file::SharedFile;
pub(crate) use shares::shared_out;
pub use storage::{LocalStorage, ReadFile, Storage, StoredFile};
pub(crate) use workers::blocking;
pub use workers::{RuntimeWorkers, Workers};
