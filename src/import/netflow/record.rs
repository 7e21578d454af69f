//! Records as flows.

use super::{
    clock::{Clock, times},
    context::Context,
    element::{Host, Number},
    rate::Rate,
    values::Values,
};
use crate::flow::{Flow, Protocol, TcpFlags, has_ports};

/// What a record is.
#[expect(clippy::large_enum_variant, reason = "nearly every record is a flow, and a box would cost each an allocation")]
pub(super) enum Record {
    Flow(Flow),
    /// Something that happened to a flow, by its name.
    Event(&'static str),
    /// A flow that it should be and is not, for this reason.
    Rejected(String),
}

/// Reads the values of a record.
pub(super) fn read(values: &Values, clock: Clock, context: &Context, rate: Rate) -> Record {
    match event(values) {
        Some(name) => Record::Event(name),
        None => flow(values, clock, context, rate).map_or_else(Record::Rejected, Record::Flow),
    }
}

/// The name of the event that a record tells of. Firewalls tell of a flow when it begins, in between and when it ends, and count
/// since they told last; that it began is the event alone.
fn event(values: &Values) -> Option<&'static str> {
    if values.get(Number::NatEvent).is_some_and(|event| event > 0) {
        return Some("NAT events");
    }
    match values.get(Number::FirewallEvent)? {
        1 => Some("firewall events (a flow began)"),
        3 => Some("firewall events (a flow was denied)"),
        4 => Some("firewall events (an alert)"),
        _ => None,
    }
}

fn flow(values: &Values, clock: Clock, context: &Context, rate: Rate) -> Result<Flow, String> {
    let (start, end_time) = times(values, clock, context.init)?;
    let protocol = match values.get(Number::Protocol) {
        None => Protocol::UNKNOWN,
        Some(number) => Protocol::new(
            u8::try_from(number).map_err(|_| format!("protocolIdentifier: {number} is not a number from 0 to 255"))?,
        ),
    };
    let port = |number, name| match values.get(number) {
        // Of ICMP, exporters write type and code there.
        Some(port) if has_ports(protocol) || protocol == Protocol::UNKNOWN => {
            u16::try_from(port).map(Some).map_err(|_| format!("{name}: {port} is not a port from 0 to 65535"))
        }
        _ => Ok(None),
    };
    let scaled = |numbers: &[Number]| values.first(numbers).map(|count| rate.scale(count));
    Ok(Flow {
        end_time,
        protocol,
        src_ip: values.address(Host::SourceV4, Host::SourceV6),
        dst_ip: values.address(Host::DestinationV4, Host::DestinationV6),
        src_port: port(Number::SourcePort, "sourceTransportPort")?,
        dst_port: port(Number::DestinationPort, "destinationTransportPort")?,
        src_bytes: scaled(&[
            Number::Bytes,
            Number::TotalBytes,
            Number::InitiatorBytes,
            Number::PostBytes,
            Number::Layer2Bytes,
        ]),
        dst_bytes: scaled(&[Number::ReverseBytes, Number::ReverseTotalBytes, Number::ResponderBytes]),
        src_packets: scaled(&[Number::Packets, Number::TotalPackets, Number::InitiatorPackets, Number::PostPackets]),
        dst_packets: scaled(&[Number::ReversePackets, Number::ReverseTotalPackets, Number::ResponderPackets]),
        tcp_flags: tcp_flags(values, protocol),
        node_id: Some(node(values, context)),
        ..Flow::starting(start)
    })
}

/// The flags of both directions. Of 16 bits the upper ones are no flags of a flow here.
fn tcp_flags(values: &Values, protocol: Protocol) -> Option<TcpFlags> {
    let flags = values.get(Number::TcpFlags).filter(|_| protocol == Protocol::TCP)?;
    let reverse = values.get(Number::ReverseTcpFlags).unwrap_or(0);
    Some(TcpFlags::new(((flags | reverse) & 0xff) as u8))
}

/// The exporter that the record names, where another passed it on; else the one that sent the message.
fn node(values: &Values, context: &Context) -> String {
    match values.address(Host::ExporterV4, Host::ExporterV6) {
        Some(exporter) if !exporter.to_ip().is_unspecified() => exporter.to_string(),
        _ => context.exporter.clone(),
    }
}
