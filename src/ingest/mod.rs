//! Flows in.

mod appender;

pub use appender::Appender;
