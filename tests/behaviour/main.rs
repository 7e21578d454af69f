//! What a user can see, in one binary.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod archive;
mod child;
mod command_line;
mod cost;
mod cursors;
mod fuzz;
mod golden_queries;
mod import_formats;
mod ingest;
mod layers;
mod live;
mod mutate;
mod oracle;
mod processes;
mod sql;
mod support;
