//! The fields of a flow: the vocabulary that filters, orders and columns share.

/// A field of a flow, named as its column in the archive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Field {
    /// The unique number of the flow in its archive.
    FlowId,
    /// When the flow began.
    StartTime,
    /// When it ended; absent where that is unknown.
    EndTime,
    /// The IANA protocol number; 255 where it is unknown.
    Protocol,
    /// The address that opened the flow.
    SrcIp,
    /// The address it was opened to.
    DstIp,
    /// The port that opened the flow.
    SrcPort,
    /// The port it was opened to.
    DstPort,
    /// Bytes sent by the source.
    SrcBytes,
    /// Bytes sent back.
    DstBytes,
    /// The OR of the TCP flags of the flow's packets.
    TcpFlags,
    /// Name of the source's node.
    SrcNode,
    /// Name of the destination's node.
    DstNode,
    /// ID of the node that logged the flow.
    NodeId,
    /// Threat-intelligence activity ID.
    ActivityId,
}

/// What the values of a field are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A point in time, in milliseconds.
    Time,
    /// An unsigned number.
    Number,
    /// An IP address.
    Address,
    /// A name, compared as bytes.
    Text,
}

impl Field {
    /// Every field, in the order of the columns.
    pub const ALL: [Self; 15] = [
        Self::FlowId,
        Self::StartTime,
        Self::EndTime,
        Self::Protocol,
        Self::SrcIp,
        Self::DstIp,
        Self::SrcPort,
        Self::DstPort,
        Self::SrcBytes,
        Self::DstBytes,
        Self::TcpFlags,
        Self::SrcNode,
        Self::DstNode,
        Self::NodeId,
        Self::ActivityId,
    ];

    /// The name of the column.
    pub const fn name(self) -> &'static str {
        match self {
            Self::FlowId => "flow_id",
            Self::StartTime => "start_time",
            Self::EndTime => "end_time",
            Self::Protocol => "protocol",
            Self::SrcIp => "src_ip",
            Self::DstIp => "dst_ip",
            Self::SrcPort => "src_port",
            Self::DstPort => "dst_port",
            Self::SrcBytes => "src_bytes",
            Self::DstBytes => "dst_bytes",
            Self::TcpFlags => "tcp_flags",
            Self::SrcNode => "src_node",
            Self::DstNode => "dst_node",
            Self::NodeId => "node_id",
            Self::ActivityId => "activity_id",
        }
    }

    /// What its values are.
    pub const fn kind(self) -> Kind {
        match self {
            Self::StartTime | Self::EndTime => Kind::Time,
            Self::SrcIp | Self::DstIp => Kind::Address,
            Self::SrcNode | Self::DstNode | Self::NodeId | Self::ActivityId => Kind::Text,
            Self::FlowId
            | Self::Protocol
            | Self::SrcPort
            | Self::DstPort
            | Self::SrcBytes
            | Self::DstBytes
            | Self::TcpFlags => Kind::Number,
        }
    }

    /// Whether every flow has a value here.
    pub const fn always_present(self) -> bool {
        matches!(self, Self::FlowId | Self::StartTime | Self::Protocol)
    }

    /// The greatest number (see [`ValueRef::Number`](super::ValueRef::Number)) that a value of the field can have.
    pub const fn greatest(self) -> u128 {
        match self {
            Self::Protocol | Self::TcpFlags => u8::MAX as u128,
            Self::SrcPort | Self::DstPort => u16::MAX as u128,
            Self::FlowId | Self::StartTime | Self::EndTime | Self::SrcBytes | Self::DstBytes => u64::MAX as u128,
            Self::SrcIp | Self::DstIp | Self::SrcNode | Self::DstNode | Self::NodeId | Self::ActivityId => u128::MAX,
        }
    }
}
