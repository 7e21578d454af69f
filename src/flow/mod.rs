//! The domain: what a flow is, and the values it is made of. Nothing here knows of files or queries.

mod address;
pub(crate) mod columns;
mod field;
mod flow_flags;
mod flow_id;
mod meta;
mod protocol;
mod protocol_names;
mod record;
mod tcp_flags;
mod time;
mod value;

pub use address::{Address, AddressRange};
pub use field::{Field, Kind};
pub use flow_flags::FlowFlags;
pub use flow_id::FlowId;
pub use meta::{MAX_META_BYTES, Meta};
pub use protocol::Protocol;
pub(crate) use protocol_names::{has_ports, protocol_named};
pub use record::{Flow, MAX_TEXT_BYTES, StoredFlow};
pub use tcp_flags::TcpFlags;
pub use time::{Instant, Timestamp};
pub use value::{Span, Value, ValueRef};

#[cfg(test)]
pub(crate) mod sample;
