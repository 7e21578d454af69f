//! A record of a `conn.log`, in either form, and the flow that it is.

use super::history;
use crate::{
    flow::{Flow, Protocol, Timestamp},
    import::scalar::Scalar,
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

    /// Whether the record says that it is of the log of connections, or does not say of which.
    pub(super) fn is_connection(&self) -> bool {
        match &self.path {
            Scalar::Absent => true,
            Scalar::Text(path) => path == "conn",
            _ => false,
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
        let protocol = self.protocol()?;
        let (mut src_port, mut dst_port) = (None, None);
        if protocol != Protocol::ICMP && protocol != ICMP6 {
            src_port = self.orig_port.port().map_err(of("id.orig_p"))?;
            dst_port = self.resp_port.port().map_err(of("id.resp_p"))?;
        }
        Ok(Flow {
            end_time: self.end_time(start_time)?,
            protocol,
            src_ip: self.orig_host.address().map_err(of("id.orig_h"))?,
            dst_ip: self.resp_host.address().map_err(of("id.resp_h"))?,
            src_port,
            dst_port,
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

    fn protocol(&self) -> Result<Protocol, String> {
        match (&self.ip_proto, &self.proto) {
            // Zeek names what it cannot analyse, too: `unknown_transport`.
            (Scalar::Absent, name @ Scalar::Text(_)) => Ok(name.protocol().unwrap_or(Protocol::UNKNOWN)),
            (Scalar::Absent, proto) => proto.protocol().map_err(of("proto")),
            (ip_proto, _) => ip_proto.protocol().map_err(of("ip_proto")),
        }
    }

    fn end_time(&self, start_time: Timestamp) -> Result<Option<Timestamp>, String> {
        let Some(duration) = self.duration.duration_millis().map_err(of("duration"))? else { return Ok(None) };
        let end_time = start_time.as_millis().checked_add(duration).and_then(Timestamp::from_millis);
        end_time.map(Some).ok_or_else(|| "duration: the end lies outside the years 0 to 9999".to_owned())
    }
}

fn of(name: &'static str) -> impl FnOnce(String) -> String {
    move |reason| format!("{name}: {reason}")
}
