//! The table of columns: all that differs from one column to another is said here, once.
//!
//! The record, its builder and batches, the keys of JSON, the names to sort by, the columns of an archive and their
//! encodings, the index, the import of Parquet and the endpoint's document follow from it.

use super::Field;

/// Calls a macro with the table. The row in braces is the number that the archive gives; a flow has the others.
///
/// - *no*: the number of the column in files. It is frozen: a column is only ever added at the end.
/// - *since*: the revision of format 1 that introduced it. Older segments do not have the column.
/// - *column*: its name in an archive, and the name of the member of [`Flow`](super::Flow).
/// - *values*: a [`ValueType`].
/// - *presence*: `required` where every flow has a value, else `nullable`.
/// - *encoding*: an [`Encoding`].
/// - *listed*: whether the index lists its values: `alone`, `jointly` with the others that are, or not at all.
/// - *answers*: an [`Answers`]: which answers show it.
/// - *keys*: its name in answers and in JSON, and then others that are read.
/// - *also sorted as*: other names in `sort` and `by`.
/// - *filter*: the parameter that filters by it, or `-`.
macro_rules! columns {
    ($derive:ident) => {
        $derive! {
//  no  since  field       column        values     presence  encoding    listed   answers  keys               also sorted as      filter
{
    /// The unique number of the flow in its archive.
    0   0      FlowId      flow_id:      Id         required  Split       No       Never    []                 []                  -
}
    /// When the flow began.
    1   0      StartTime   start_time:   Time       required  Packed      No       All      ["startTime"]      ["sTime" "eTime"]   "sTime"
    /// When it ended; absent where that is unknown.
    2   0      EndTime     end_time:     Time       nullable  Split       No       All      ["endTime"]        []                  "eTime"
    /// The IANA protocol number; [`Protocol::UNKNOWN`](super::Protocol::UNKNOWN), 255, where it is unknown.
    3   0      Protocol    protocol:     Protocol   required  Dictionary  Jointly  All      ["protocol"]       []                  "protocol"
    /// The address that opened the flow.
    4   0      SrcIp       src_ip:       Address    nullable  Dictionary  Alone    All      ["sourceIP"]       ["srcIp"]           "srcIp"
    /// The address it was opened to.
    5   0      DstIp       dst_ip:       Address    nullable  Dictionary  Alone    All      ["destIP"]         ["dstIp"]           "dstIp"
    /// The port that opened the flow.
    6   0      SrcPort     src_port:     Port       nullable  Split       No       All      ["sourcePort"]     ["srcPort"]         "srcPort"
    /// The port it was opened to.
    7   0      DstPort     dst_port:     Port       nullable  Split       Alone    All      ["destPort"]       ["dstPort" "port"]  "dstPort"
    /// Bytes sent by the source.
    8   0      SrcBytes    src_bytes:    Bytes      nullable  Split       No       All      ["sourceBytes"]    ["srcBytes"]        -
    /// Bytes sent back.
    9   0      DstBytes    dst_bytes:    Bytes      nullable  Split       No       All      ["destBytes"]      ["dstBytes"]        -
    /// The OR of the TCP flags of the flow's packets.
    10  0      TcpFlags    tcp_flags:    TcpFlags   nullable  Dictionary  Jointly  All      ["tcpFlags"]       []                  "tcpFlags"
    /// Name of the source's node, 1 to [`MAX_TEXT_BYTES`](super::MAX_TEXT_BYTES) bytes.
    11  0      SrcNode     src_node:     Name       nullable  Names       Alone    All      ["sourceNode"]     ["srcNode"]         "srcNode"
    /// Name of the destination's node, likewise.
    12  0      DstNode     dst_node:     Name       nullable  Names       Alone    All      ["destNode"]       ["dstNode"]         "dstNode"
    /// ID of the node that logged the flow, likewise.
    13  0      NodeId      node_id:      Name       nullable  Names       Alone    Current  ["nodeId" "node"]  ["node"]            "node"
    /// Threat-intelligence activity ID, likewise.
    14  0      ActivityId  activity_id:  Name       nullable  Names       Alone    All      ["activityID"]     []                  -
    /// Packets sent by the source.
    15  1      SrcPackets  src_packets:  Packets    nullable  Split       No       Asked    ["sourcePackets"]  ["srcPackets"]      -
    /// Packets sent back.
    16  1      DstPackets  dst_packets:  Packets    nullable  Split       No       Asked    ["destPackets"]    ["dstPackets"]      -
    /// What the logging node says of the flow as a whole.
    17  1      FlowFlags   flow_flags:   FlowFlags  nullable  Dictionary  Alone    Current  ["flags"]          []                  "flags"
    /// What else it says of the flow, as a JSON object.
    18  1      Meta        meta:         Meta       nullable  Names       No       Current  ["meta"]           []                  -
        }
    };
}
pub(crate) use columns;

/// The type of Rust that holds the values of a [`ValueType`].
macro_rules! value {
    (Id) => {
        $crate::flow::FlowId
    };
    (Time) => {
        $crate::flow::Timestamp
    };
    (Protocol) => {
        $crate::flow::Protocol
    };
    (Address) => {
        $crate::flow::Address
    };
    (Port) => {
        u16
    };
    (Bytes) => {
        u64
    };
    (TcpFlags) => {
        $crate::flow::TcpFlags
    };
    (Name) => {
        String
    };
    (Packets) => {
        u64
    };
    (FlowFlags) => {
        $crate::flow::FlowFlags
    };
    (Meta) => {
        $crate::flow::Meta
    };
}
pub(crate) use value;

/// The type of a member of a record: an `Option` where it is nullable.
macro_rules! member {
    (required $values:ident) => { $crate::flow::columns::value!($values) };
    (nullable $values:ident) => { Option<$crate::flow::columns::value!($values)> };
}
pub(crate) use member;

/// What the values of a column are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ValueType {
    /// Numbers of flows.
    Id,
    /// Points in time.
    Time,
    /// Protocols.
    Protocol,
    /// IP addresses.
    Address,
    /// Ports.
    Port,
    /// Numbers of bytes.
    Bytes,
    /// Sets of TCP flags.
    TcpFlags,
    /// Names and IDs.
    Name,
    /// Numbers of packets.
    Packets,
    /// Sets of flow flags.
    FlowFlags,
    /// JSON objects.
    Meta,
}

/// How the pages of a column are encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Encoding {
    /// The lowest bytes of all numbers, then the next ones, and so on, compressed: of most numbers the high bytes are the same
    /// as those before. So it is smaller than numbers one after the other, and decompressed in half the time.
    Split,
    /// Differences, packed to the bit, and not compressed: smaller for start times, which are sorted.
    Packed,
    /// Places in a dictionary: addresses and small numbers recur within a row group.
    Dictionary,
    /// Places in a dictionary where a segment has few different names, else plain.
    Names,
}

/// Whether the index lists the values of a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Listing {
    /// It does not.
    No,
    /// In a list of this column.
    Alone,
    /// In one list of all columns that are listed jointly.
    Jointly,
}

/// Which answers show a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answers {
    /// All.
    All,
    /// Those of the profile `current`, and those that are asked for it.
    Current,
    /// Those that are asked for it.
    Asked,
    /// None.
    Never,
}

/// A row of the table.
#[derive(Debug)]
pub(crate) struct Column {
    pub(crate) name: &'static str,
    pub(crate) since: u8,
    pub(crate) values: ValueType,
    pub(crate) is_required: bool,
    pub(crate) encoding: Encoding,
    pub(crate) listing: Listing,
    pub(crate) answers: Answers,
    /// Its name in answers, and then others that JSON may have.
    pub(crate) keys: &'static [&'static str],
    /// Other names in `sort`.
    pub(crate) aliases: &'static [&'static str],
    /// The parameter that filters by it.
    pub(crate) parameter: Option<&'static str>,
}

/// A key of JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Key {
    /// The field whose value it has.
    pub(crate) field: Field,
    /// Its number among all keys.
    pub(crate) number: u8,
}

macro_rules! is_required {
    (required) => {
        true
    };
    (nullable) => {
        false
    };
}

macro_rules! parameter {
    (-) => {
        None
    };
    ($name:literal) => {
        Some($name)
    };
}

macro_rules! rows {
    ({ $($id:tt)* } $($others:tt)*) => { rows! { $($id)* $($others)* } };
    ($($(#[$doc:meta])* $number:literal $since:literal $field:ident $column:ident: $values:ident $presence:ident $encoding:ident
        $listing:ident $answers:ident [$($key:literal)*] [$($alias:literal)*] $parameter:tt)*) => {
        impl Field {
            /// Its row in the table.
            pub(crate) const fn column(self) -> &'static Column {
                match self {
                    $(Self::$field => &Column {
                        name: stringify!($column),
                        since: $since,
                        values: ValueType::$values,
                        is_required: is_required!($presence),
                        encoding: Encoding::$encoding,
                        listing: Listing::$listing,
                        answers: Answers::$answers,
                        keys: &[$($key),*],
                        aliases: &[$($alias),*],
                        parameter: parameter!($parameter),
                    },)*
                }
            }
        }

        impl Key {
            /// The key with this name.
            pub(crate) fn named(name: &str) -> Option<Self> {
                let keys: &[(&str, Field)] = &[$($(($key, Field::$field),)*)*];
                let mut numbered = (0..).zip(keys);
                let found = numbered.find(|(_, (known, _))| *known == name);
                found.map(|(number, (_, field))| Self { field: *field, number })
            }
        }
    };
}

columns!(rows);
