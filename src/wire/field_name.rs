//! The names under which a field is known outside of a query: in answers and in the archive.

use super::response::FIELDS;
use crate::flow::Field;

/// The names of fields in answers and as columns.
pub(super) fn field_names() -> impl Iterator<Item = (&'static str, Field)> {
    let columns = Field::ALL.into_iter().map(|field| (field.name(), field));
    FIELDS.into_iter().chain([("nodeId", Field::NodeId)]).chain(columns)
}

/// The parameter that filters by a field.
pub(super) const fn parameter_of(field: Field) -> Option<&'static str> {
    Some(match field {
        Field::StartTime => "sTime",
        // There is no filter by the end of a flow. Who asks for it finds out what `eTime` is.
        Field::EndTime => "eTime",
        Field::Protocol => "protocol",
        Field::SrcIp => "srcIp",
        Field::DstIp => "dstIp",
        Field::SrcPort => "srcPort",
        Field::DstPort => "dstPort",
        Field::TcpFlags => "tcpFlags",
        Field::SrcNode => "srcNode",
        Field::DstNode => "dstNode",
        Field::NodeId => "node",
        Field::FlowId | Field::SrcBytes | Field::DstBytes | Field::ActivityId => return None,
    })
}
