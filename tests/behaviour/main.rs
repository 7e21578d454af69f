//! What a user can see, in one binary.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod archive;
mod command_line;
mod cost;
mod cursors;
mod golden_queries;
mod http;
mod import_formats;
mod ingest;
mod layers;
mod oracle;
mod sql;
mod support;
