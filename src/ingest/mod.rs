//! Flows in: one by one through [`Appender::push`], whole inputs through [`Appender::import`], from the tasks of a
//! server through a [`LiveAppender`], or from [streams](LiveAppender::follow) and [files](Follower) while they are written.
//!
//! ```
//! use flowseek::{Archive, ingest::ImportOptions};
//!
//! # let directory = tempfile::tempdir()?;
//! let archive = Archive::open_or_create(directory.path().join("flows"))?;
//! let mut appender = archive.appender()?;
//! let input = &b"{\"startTime\":1666012671,\"destPort\":443}\n{\"startTime\":\"yesterday\"}\n"[..];
//! let report = appender.import(input, ImportOptions::default(), &mut |_| {})?;
//! assert_eq!((report.imported, report.rejected), (1, 1));
//! assert_eq!(appender.commit()?.flows, 1);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Parquet
//! The columns are named as the keys of [JSON](crate::import#json), or as the columns of an archive: a file that has
//! `startTime` is read in the first way, one that has `start_time` in the second. `flow_id` is ignored, as every flow that
//! is imported gets a new ID; so are other columns, and the report [remarks](crate::import::Remarks) them. Only the start
//! is required.
//!
//! | column | types |
//! |---|---|
//! | `startTime`, `endTime` | timestamps of any unit, INT96 among them, with or without a time zone (then UTC); text or numbers as in JSON |
//! | `sourceIP`, `destIP` | text; binary of a fixed length of 16 bytes, IPv4 mapped |
//! | `sourceNode`, `destNode`, `nodeId` or `node`, `activityID` | text |
//! | `sourcePort`, `destPort`, `sourceBytes`, `destBytes`, `protocol`, `tcpFlags` | integers, floating point and decimals of any width; text as in JSON |
//!
//! What a value means and which values are refused is as in JSON. Byte arrays are text, annotated or not. A number is taken
//! exactly, whatever its type, and refused where a flow cannot have it; NaN is an absent value. A value that is refused, or
//! text that is not UTF-8, costs its row and nothing else.
//!
//! A file that has neither start is read by the [mapping](crate::import::Mapping) of the crate whose columns it has: flow logs of AWS
//! VPC, and network activity of OCSF, whose columns lie in structs.
//!
//! Where the writer has noted the checksums of its pages, they are compared before a row group is read. What is damaged
//! ends the import with an error, after the row groups before it. Some damage that no checksum covers makes the Parquet
//! reader panic: the panic becomes that error too, and the panic hook of the process hears of it:
//! [`is_guarded`](crate::resources::is_guarded) tells a hook to keep silent.

mod appender;
mod chunk;
mod files;
mod follow;
mod format;
mod importer;
mod in_order;
mod lines;
mod live;
mod netflow;
mod nfcapd;
mod nodes;
mod parquet;
mod report;

pub use appender::Appender;
pub use files::files;
pub use follow::{FollowEvent, Follower};
pub use format::ImportFormat;
#[cfg(feature = "http")]
pub(crate) use live::WeakAppender;
pub use live::{
    AppendedJson, Defaults, LiveAppender, LiveOptions, LiveStatus, Outcome, Receipt, RejectedRecord, Shutdown,
};
pub use nodes::NodeMap;
pub use report::{ImportEvent, ImportOptions, ImportReport, Strictness};
