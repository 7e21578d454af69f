//! What both kinds of records say of a flow.

use super::definitions::Definitions;
use crate::flow::{Address, Flow, Protocol, TcpFlags, Timestamp, has_ports};

/// The fields of a flow, as a record has them.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Draft {
    /// Milliseconds of Unix time; 0 where they are not known.
    pub(super) first: u64,
    pub(super) last: u64,
    pub(super) received: u64,
    pub(super) event: u64,
    pub(super) protocol: u8,
    pub(super) tcp_flags: u8,
    pub(super) src_port: u16,
    pub(super) dst_port: u16,
    pub(super) addresses: Option<(Address, Address)>,
    pub(super) packets: u64,
    pub(super) bytes: u64,
    pub(super) out_packets: Option<u64>,
    pub(super) out_bytes: Option<u64>,
    /// The address of the exporter, in the record itself.
    pub(super) router: Option<Address>,
    /// The number of the exporter.
    pub(super) exporter: u16,
}

impl Draft {
    /// The flow, or why there is none.
    pub(super) fn flow(self, definitions: &Definitions, routers: &mut Routers) -> Result<Flow, String> {
        let start = [self.first, self.event, self.received].into_iter().find(|millis| *millis > 0).unwrap_or(0);
        let protocol = Protocol::new(self.protocol);
        let ports = has_ports(protocol);
        let router = self.router.filter(|router| !router.to_ip().is_unspecified());
        let router = router.or_else(|| definitions.exporter(self.exporter));
        Ok(Flow {
            end_time: if self.last > 0 { Some(time("end", self.last)?) } else { None },
            protocol,
            src_ip: self.addresses.map(|(source, _)| source),
            dst_ip: self.addresses.map(|(_, destination)| destination),
            src_port: ports.then_some(self.src_port),
            dst_port: ports.then_some(self.dst_port),
            src_bytes: Some(self.bytes),
            dst_bytes: self.out_bytes,
            src_packets: Some(self.packets),
            dst_packets: self.out_packets,
            tcp_flags: (protocol == Protocol::TCP).then_some(TcpFlags::new(self.tcp_flags)),
            node_id: router.map(|router| routers.text(router)),
            ..Flow::starting(time("start", start)?)
        })
    }
}

fn time(which: &str, millis: u64) -> Result<Timestamp, String> {
    let time = i64::try_from(millis).ok().and_then(Timestamp::from_millis);
    time.ok_or_else(|| format!("{which}: {millis} ms after 1970 is beyond the year 9999"))
}

/// Writes the addresses of exporters. Most flows are of the one before them.
#[derive(Debug, Default)]
pub(super) struct Routers {
    last: Option<(Address, String)>,
}

impl Routers {
    fn text(&mut self, router: Address) -> String {
        match &self.last {
            Some((last, text)) if *last == router => text.clone(),
            _ => {
                let text = router.to_string();
                self.last = Some((router, text.clone()));
                text
            }
        }
    }
}
