//! What a user can see, in one binary.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod archive;
mod child;
mod command_line;
mod compaction;
mod cost;
mod crash;
mod cursors;
mod faults;
mod format;
mod fuzz;
mod golden_queries;
mod hooked;
mod http;
mod import_formats;
mod ingest;
mod kept;
mod layers;
mod live;
mod live_memory;
mod mutate;
mod negations;
mod oracle;
mod parquet_import;
mod processes;
mod retention;
mod simulation;
mod sql;
mod state_machine;
mod storage;
mod support;
mod threads;
mod upkeep;
mod verdicts;
mod verify;
