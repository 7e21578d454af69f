//! What the benchmarks share.
#![allow(dead_code, clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

pub mod asked;
pub mod case;
pub mod decode;
pub mod dialect;
pub mod fixture;
pub mod measure;
pub mod report;
#[cfg(feature = "sql")]
pub mod rows;
pub mod sample;
#[cfg(feature = "sql")]
pub mod sql;
#[cfg(feature = "sql")]
pub mod statement;
#[cfg(feature = "sql")]
pub mod statements;
pub mod suites;
