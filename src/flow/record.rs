//! A flow, and a flow as an archive holds it.

use std::{fmt, num::ParseIntError, str::FromStr};

use super::{Address, Protocol, TcpFlags, Timestamp};

/// The longest name or ID, in bytes: a DNS name's largest length (RFC 1035), so that a cursor over names stays small.
pub const MAX_TEXT_BYTES: usize = 255;

/// A finished flow: who talked to whom, when and how much. `None` is an absent value.
///
/// ```
/// use flowseek::flow::{Flow, Protocol, Timestamp};
///
/// let flow = Flow {
///     protocol: Protocol::TCP,
///     src_ip: Some("192.0.2.7".parse()?),
///     dst_port: Some(443),
///     ..Flow::starting("2022-11-01T22:46:01.765Z".parse()?)
/// };
/// assert_eq!(Some(flow.start_time), Timestamp::from_millis(1_667_342_761_765));
/// # Ok::<(), String>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Flow {
    /// When the flow began.
    pub start_time: Timestamp,
    /// When it ended; absent where that is unknown.
    pub end_time: Option<Timestamp>,
    /// Its protocol; [`Protocol::UNKNOWN`] where it is unknown.
    pub protocol: Protocol,
    /// The address that opened it.
    pub src_ip: Option<Address>,
    /// The address it was opened to.
    pub dst_ip: Option<Address>,
    /// The port that opened it.
    pub src_port: Option<u16>,
    /// The port it was opened to.
    pub dst_port: Option<u16>,
    /// Bytes sent by the source.
    pub src_bytes: Option<u64>,
    /// Bytes sent back.
    pub dst_bytes: Option<u64>,
    /// The OR of the TCP flags of its packets.
    pub tcp_flags: Option<TcpFlags>,
    /// Name of the source's node, at most [`MAX_TEXT_BYTES`] bytes, never empty.
    pub src_node: Option<String>,
    /// Name of the destination's node, likewise.
    pub dst_node: Option<String>,
    /// ID of the node that logged the flow, likewise.
    pub node_id: Option<String>,
    /// Threat-intelligence activity ID, likewise.
    pub activity_id: Option<String>,
}

impl Flow {
    /// A flow of which nothing but its start is known.
    pub const fn starting(start_time: Timestamp) -> Self {
        Self {
            start_time,
            end_time: None,
            protocol: Protocol::UNKNOWN,
            src_ip: None,
            dst_ip: None,
            src_port: None,
            dst_port: None,
            src_bytes: None,
            dst_bytes: None,
            tcp_flags: None,
            src_node: None,
            dst_node: None,
            node_id: None,
            activity_id: None,
        }
    }
}

/// The number of a flow: unique in its archive, and the same for ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FlowId(u64);

impl FlowId {
    /// The ID with this number.
    pub const fn new(number: u64) -> Self {
        Self(number)
    }

    /// Its number.
    pub const fn get(self) -> u64 {
        self.0
    }
}

impl fmt::Display for FlowId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for FlowId {
    type Err = ParseIntError;

    fn from_str(text: &str) -> Result<Self, ParseIntError> {
        text.parse().map(Self)
    }
}

/// A flow in an archive: its ID and what was appended.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct StoredFlow {
    /// The flow's number in its archive.
    pub id: FlowId,
    /// The flow.
    pub flow: Flow,
}
