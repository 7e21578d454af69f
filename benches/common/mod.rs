//! What the benchmarks share.
#![allow(dead_code, clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

pub mod cases;
pub mod fixture;
pub mod measure;
