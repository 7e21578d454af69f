//! A record of a `conn.log`, in either form, and the flow that it is.

use super::history;
use std::net::IpAddr;

use crate::{
    flow::{Address, Flow, Protocol, Timestamp, has_ports},
    import::{
        near,
        scalar::{Scalar, of},
    },
};

/// ICMP for IPv6 by its IANA number.
const ICMP6: Protocol = Protocol::new(58);

/// A column that means something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Column {
    ConnState,
    Duration,
    History,
    IpProto,
    OrigBytes,
    OrigHost,
    OrigIpBytes,
    OrigPort,
    Path,
    Proto,
    RespBytes,
    RespHost,
    RespIpBytes,
    RespPort,
    System,
    Ts,
}

impl Column {
    /// The column with this name, also where the dots were flattened.
    pub(super) fn from_name(name: &str) -> Option<Self> {
        Some(match name {
            "conn_state" => Self::ConnState,
            "duration" => Self::Duration,
            "history" => Self::History,
            "ip_proto" => Self::IpProto,
            "orig_bytes" => Self::OrigBytes,
            "id.orig_h" | "id_orig_h" => Self::OrigHost,
            "orig_ip_bytes" => Self::OrigIpBytes,
            "id.orig_p" | "id_orig_p" => Self::OrigPort,
            "_path" | "@path" | "@stream" => Self::Path,
            "proto" => Self::Proto,
            "resp_bytes" => Self::RespBytes,
            "id.resp_h" | "id_resp_h" => Self::RespHost,
            "resp_ip_bytes" => Self::RespIpBytes,
            "id.resp_p" | "id_resp_p" => Self::RespPort,
            "_system_name" | "@system" => Self::System,
            "ts" => Self::Ts,
            _ => return None,
        })
    }
}

/// The names of the columns that mean something, as Zeek writes them.
const NAMES: [&str; 15] = [
    "conn_state",
    "duration",
    "history",
    "id.orig_h",
    "id.orig_p",
    "id.resp_h",
    "id.resp_p",
    "ip_proto",
    "orig_bytes",
    "orig_ip_bytes",
    "proto",
    "resp_bytes",
    "resp_ip_bytes",
    "_system_name",
    "ts",
];

/// The columns that Zeek's own scripts and its usual collectors write and no flow has: there is nothing to be said of them.
const UNUSED: [&str; 25] = [
    "@proc",
    "@timestamp",
    "_node_name",
    "_write_ts",
    "community_id",
    "failed_service",
    "inner_vlan",
    "local_orig",
    "local_resp",
    "missed_bytes",
    "orig_cc",
    "orig_l2_addr",
    "orig_pkts",
    "pcr",
    "resp_cc",
    "resp_l2_addr",
    "resp_pkts",
    "service",
    "service_violation",
    "speculative_service",
    "suri_ids",
    "tunnel_parents",
    "uid",
    "vlan",
    "write_ts",
];

/// Whether a column of this name is one of Zeek's that no flow has.
pub(super) fn is_unused(name: &str) -> bool {
    UNUSED.contains(&name)
}

/// The column that is meant by a name that is none.
pub(super) fn meant(name: &str) -> Option<&'static str> {
    near::meant(name, &NAMES)
}

/// Whether the log with this name is one of connections: `conn`, or one that is written beside it, as `conn_long`.
pub(super) fn is_connection_log(path: &str) -> bool {
    path.strip_prefix("conn").is_some_and(|rest| rest.is_empty() || rest.starts_with(['_', '-']))
}

/// The values of one record.
#[derive(Debug, Default)]
pub(super) struct Record<'a> {
    conn_state: Scalar<'a>,
    duration: Scalar<'a>,
    history: Scalar<'a>,
    ip_proto: Scalar<'a>,
    orig_bytes: Scalar<'a>,
    orig_host: Scalar<'a>,
    orig_ip_bytes: Scalar<'a>,
    orig_port: Scalar<'a>,
    path: Scalar<'a>,
    proto: Scalar<'a>,
    resp_bytes: Scalar<'a>,
    resp_host: Scalar<'a>,
    resp_ip_bytes: Scalar<'a>,
    resp_port: Scalar<'a>,
    system: Scalar<'a>,
    ts: Scalar<'a>,
}

impl<'a> Record<'a> {
    pub(super) fn set(&mut self, column: Column, value: Scalar<'a>) {
        *match column {
            Column::ConnState => &mut self.conn_state,
            Column::Duration => &mut self.duration,
            Column::History => &mut self.history,
            Column::IpProto => &mut self.ip_proto,
            Column::OrigBytes => &mut self.orig_bytes,
            Column::OrigHost => &mut self.orig_host,
            Column::OrigIpBytes => &mut self.orig_ip_bytes,
            Column::OrigPort => &mut self.orig_port,
            Column::Path => &mut self.path,
            Column::Proto => &mut self.proto,
            Column::RespBytes => &mut self.resp_bytes,
            Column::RespHost => &mut self.resp_host,
            Column::RespIpBytes => &mut self.resp_ip_bytes,
            Column::RespPort => &mut self.resp_port,
            Column::System => &mut self.system,
            Column::Ts => &mut self.ts,
        } = value;
    }

    /// The log that the record is of, where it says that this is none of connections.
    pub(super) fn other_log(&self) -> Option<String> {
        match &self.path {
            Scalar::Absent => None,
            Scalar::Text(path) => (!is_connection_log(path)).then(|| path.clone().into_owned()),
            other => Some(other.shown()),
        }
    }

    /// Refuses a record that may be of any log: other logs have addresses too, and would pass for connections.
    pub(super) fn require_evidence(&self) -> Result<(), String> {
        if self.path == Scalar::Absent && self.conn_state == Scalar::Absent {
            return Err("conn_state: it is missing, and no _path says that this is a connection".to_owned());
        }
        Ok(())
    }

    /// The flow, by the mapping in the documentation of `import`.
    pub(super) fn into_flow(self) -> Result<Flow, String> {
        let start_time = self.ts.time().map_err(of("ts"))?.ok_or("ts: it is missing, and every flow has a start")?;
        let src_ip = end(&self.orig_host, "id.orig_h")?;
        let dst_ip = end(&self.resp_host, "id.resp_h")?;
        let protocol = self.protocol([src_ip, dst_ip])?;
        Ok(Flow {
            end_time: self.end_time(start_time)?,
            protocol,
            src_ip: Some(src_ip),
            dst_ip: Some(dst_ip),
            src_port: port(&self.orig_port, protocol, "id.orig_p")?,
            dst_port: port(&self.resp_port, protocol, "id.resp_p")?,
            src_bytes: match self.orig_ip_bytes.bytes().map_err(of("orig_ip_bytes"))? {
                None => self.orig_bytes.bytes().map_err(of("orig_bytes"))?,
                bytes => bytes,
            },
            dst_bytes: match self.resp_ip_bytes.bytes().map_err(of("resp_ip_bytes"))? {
                None => self.resp_bytes.bytes().map_err(of("resp_bytes"))?,
                bytes => bytes,
            },
            tcp_flags: match &self.history {
                Scalar::Text(letters) if protocol == Protocol::TCP => history::tcp_flags(letters),
                _ => None,
            },
            node_id: self.system.name().map_err(of("_system_name"))?,
            ..Flow::starting(start_time)
        })
    }

    fn protocol(&self, ends: [Address; 2]) -> Result<Protocol, String> {
        let protocol = match (&self.ip_proto, &self.proto) {
            (Scalar::Absent, Scalar::Absent) => {
                return Err("proto: it is missing, and a connection has a protocol".to_owned());
            }
            // Zeek names what it cannot analyse, too: `unknown_transport`.
            (Scalar::Absent, name @ Scalar::Text(_)) => name.protocol().unwrap_or(Protocol::UNKNOWN),
            (Scalar::Absent, proto) => proto.protocol().map_err(of("proto"))?,
            (ip_proto, _) => ip_proto.protocol().map_err(of("ip_proto"))?,
        };
        // Zeek calls both `icmp`.
        let is_ipv6 = ends.iter().all(|end| matches!(end.to_ip(), IpAddr::V6(_)));
        Ok(if protocol == Protocol::ICMP && is_ipv6 { ICMP6 } else { protocol })
    }

    fn end_time(&self, start_time: Timestamp) -> Result<Option<Timestamp>, String> {
        let Some(duration) = self.duration.duration_millis().map_err(of("duration"))? else { return Ok(None) };
        let end_time = start_time.as_millis().checked_add(duration).and_then(Timestamp::from_millis);
        end_time.map(Some).ok_or_else(|| "duration: the end lies outside the years 0 to 9999".to_owned())
    }
}

/// The address of one of the ends.
fn end(host: &Scalar<'_>, name: &'static str) -> Result<Address, String> {
    let address = host.address().map_err(of(name))?;
    address.ok_or_else(|| format!("{name}: it is missing, and a connection has two ends"))
}

/// The port of one of the ends, where the protocol has ports.
fn port(port: &Scalar<'_>, protocol: Protocol, name: &'static str) -> Result<Option<u16>, String> {
    if !has_ports(protocol) {
        return Ok(None);
    }
    match port.port().map_err(of(name))? {
        None if protocol == Protocol::TCP || protocol == Protocol::UDP => {
            Err(format!("{name}: it is missing, and {protocol} has ports"))
        }
        port => Ok(port),
    }
}
