//! Suricata's EVE: the events `flow` and `netflow` of its JSON lines. The mapping is in the documentation of
//! [`import`](super).

use std::borrow::Cow;

use super::{
    Parsed,
    object::{self, Token},
    remarks::Remarks,
    scalar::{Scalar, of},
};
use crate::flow::{Flow, TcpFlags, has_ports};

/// Reads an event.
pub(super) fn parse(line: &str, remarks: &mut Remarks) -> Parsed {
    let mut event = Event::default();
    match object::read(line, |name, token| event.member(&name, token)) {
        Ok(()) => match event.into_flow() {
            Ok(flow) => Parsed::Flow(flow),
            Err(reason) => Parsed::Rejected(reason),
        },
        Err(Left::Refused(reason)) => Parsed::Rejected(reason),
        Err(Left::Other(kind)) => {
            remarks.skipped.add(&kind, 1, || None);
            Parsed::Skipped
        }
    }
}

/// Why the rest of a line is not read.
enum Left {
    /// It is no flow, for this reason.
    Refused(String),
    /// It is an event of this other type.
    Other(String),
}

impl From<String> for Left {
    fn from(reason: String) -> Self {
        Self::Refused(reason)
    }
}

/// What is kept of an event.
#[derive(Debug, Default)]
struct Event<'a> {
    has_type: bool,
    src_ip: Scalar<'a>,
    dest_ip: Scalar<'a>,
    src_port: Scalar<'a>,
    dest_port: Scalar<'a>,
    proto: Scalar<'a>,
    host: Scalar<'a>,
    tcp_flags: Scalar<'a>,
    start: Scalar<'a>,
    end: Scalar<'a>,
    /// Bytes and packets of the client, or of the one direction that there is.
    sent: [Scalar<'a>; 2],
    received: [Scalar<'a>; 2],
}

impl<'a> Event<'a> {
    fn member(&mut self, name: &str, token: Token<'a>) -> Result<(), Left> {
        let place = match name {
            "event_type" => {
                self.has_type = true;
                return match token.scalar()? {
                    Scalar::Text(kind) if kind == "flow" || kind == "netflow" => Ok(()),
                    Scalar::Text(kind) => Err(Left::Other(kind.into_owned())),
                    other => Err(Left::Refused(format!("event_type: {} is not text", other.shown()))),
                };
            }
            "flow" | "netflow" | "tcp" => {
                let Some(nested) = token.object() else { return Ok(()) };
                return object::read(nested, |name, token| self.nested(&name, token)).map_err(Left::Refused);
            }
            "src_ip" => &mut self.src_ip,
            "dest_ip" => &mut self.dest_ip,
            "src_port" => &mut self.src_port,
            "dest_port" => &mut self.dest_port,
            "proto" => &mut self.proto,
            "host" => &mut self.host,
            _ => return Ok(()),
        };
        *place = token.scalar()?;
        Ok(())
    }

    fn nested(&mut self, name: &str, token: Token<'a>) -> Result<(), String> {
        let place = match name {
            "start" => &mut self.start,
            "end" => &mut self.end,
            "bytes_toserver" | "bytes" => &mut self.sent[0],
            "pkts_toserver" | "pkts" => &mut self.sent[1],
            "bytes_toclient" => &mut self.received[0],
            "pkts_toclient" => &mut self.received[1],
            "tcp_flags" => &mut self.tcp_flags,
            _ => return Ok(()),
        };
        *place = token.scalar()?;
        Ok(())
    }

    fn into_flow(self) -> Result<Flow, String> {
        if !self.has_type {
            return Err("event_type: it is missing".to_owned());
        }
        let start = rfc3339(self.start).time().map_err(of("start"))?;
        let protocol = self.proto.protocol().map_err(of("proto"))?;
        let port = |port: Scalar<'_>, name| {
            if has_ports(protocol) { port.port().map_err(of(name)) } else { Ok(None) }
        };
        let [src_bytes, src_packets] = self.sent;
        let [dst_bytes, dst_packets] = self.received;
        Ok(Flow {
            end_time: rfc3339(self.end).time().map_err(of("end"))?,
            protocol,
            src_ip: self.src_ip.address().map_err(of("src_ip"))?,
            dst_ip: self.dest_ip.address().map_err(of("dest_ip"))?,
            src_port: port(self.src_port, "src_port")?,
            dst_port: port(self.dest_port, "dest_port")?,
            src_bytes: src_bytes.bytes().map_err(of("bytes"))?,
            src_packets: src_packets.packets().map_err(of("pkts"))?,
            dst_bytes: dst_bytes.bytes().map_err(of("bytes_toclient"))?,
            dst_packets: dst_packets.packets().map_err(of("pkts_toclient"))?,
            tcp_flags: flags(&self.tcp_flags)?,
            node_id: self.host.name().map_err(of("host"))?,
            ..Flow::starting(start.ok_or("start: it is missing, and every flow has a start")?)
        })
    }
}

/// A time whose offset may lack its colon, as in `2011-08-12T14:53:47.928539+0200`.
fn rfc3339(time: Scalar<'_>) -> Scalar<'_> {
    let Scalar::Text(text) = &time else { return time };
    let offset = text.len().checked_sub(5).and_then(|place| text.split_at_checked(place));
    let Some((before, offset)) = offset.filter(|(_, offset)| offset.starts_with(['+', '-'])) else { return time };
    let Some((hours, minutes)) = offset.split_at_checked(3) else { return time };
    match offset.bytes().skip(1).all(|byte| byte.is_ascii_digit()) {
        true => Scalar::Text(Cow::Owned(format!("{before}{hours}:{minutes}"))),
        false => time,
    }
}

/// TCP flags, which Suricata writes as two hexadecimal digits.
fn flags(flags: &Scalar<'_>) -> Result<Option<TcpFlags>, String> {
    match flags {
        Scalar::Absent => Ok(None),
        Scalar::Text(digits) if (1..=2).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_hexdigit()) => {
            Ok(u8::from_str_radix(digits, 16).ok().map(TcpFlags::new))
        }
        other => Err(format!("tcp_flags: {} is not one or two hexadecimal digits", other.shown())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flow::Protocol;

    fn parsed(line: &str) -> (Parsed, String) {
        let mut remarks = Remarks::default();
        let parsed = parse(line, &mut remarks);
        (parsed, remarks.to_string())
    }

    #[test]
    fn a_flow_and_a_netflow_map_field_by_field() {
        let line = r#"{"timestamp":"2011-08-14T07:38:53.914038+0200","flow_id":92,"host":"ids-1","event_type":"flow",
            "src_ip":"147.32.84.165","src_port":1181,"dest_ip":"78.40.125.4","dest_port":6667,"proto":"TCP",
            "flow":{"pkts_toserver":27,"pkts_toclient":35,"bytes_toserver":2302,"bytes_toclient":4520,
            "start":"2011-08-12T14:47:24.357711+0200","end":"2011-08-12T14:52:57.9Z","state":"closed"},
            "tcp":{"tcp_flags":"1b","tcp_flags_ts":"1a","syn":true}}"#;
        let expected = Flow {
            end_time: "2011-08-12T14:52:57.900Z".parse().ok(),
            protocol: Protocol::TCP,
            src_ip: "147.32.84.165".parse().ok(),
            dst_ip: "78.40.125.4".parse().ok(),
            src_port: Some(1181),
            dst_port: Some(6667),
            src_bytes: Some(2302),
            dst_bytes: Some(4520),
            src_packets: Some(27),
            dst_packets: Some(35),
            tcp_flags: Some(TcpFlags::new(0x1b)),
            node_id: Some("ids-1".to_owned()),
            ..Flow::starting("2011-08-12T12:47:24.357Z".parse().unwrap())
        };
        assert_eq!(parsed(line), (Parsed::Flow(expected), String::new()));
        let one_way = r#"{"event_type":"netflow","src_ip":"fe80::1","dest_ip":"fe80::2","proto":"IPv6-ICMP","src_port":1,
            "netflow":{"pkts":2,"bytes":486,"start":"2011-08-12T14:53:47.928539-0330"}}"#;
        let (Parsed::Flow(flow), _) = parsed(one_way) else { panic!() };
        assert_eq!((flow.src_bytes, flow.dst_bytes, flow.src_port), (Some(486), None, None));
        assert_eq!((flow.protocol.number(), flow.start_time.to_string().as_str()), (58, "2011-08-12T18:23:47.928Z"));
    }

    #[test]
    fn other_events_are_counted_and_what_is_wrong_is_named() {
        let (other, remarks) = parsed(r#"{"event_type":"dns","src_port":"no port"}"#);
        assert_eq!((other, remarks.as_str()), (Parsed::Skipped, r#"1 record of the log "dns" was skipped"#));
        for (line, reason) in [
            (r#"{"src_ip":"10.0.0.1"}"#, "event_type: it is missing"),
            (r#"{"event_type":"flow","flow":{}}"#, "start: it is missing, and every flow has a start"),
            (
                r#"{"event_type":"flow","src_ip":"x","flow":{"start":1}}"#,
                "src_ip: \"x\" is not an IPv4 or IPv6 address",
            ),
            (
                r#"{"event_type":"flow","tcp":{"tcp_flags":"xyz"},"flow":{"start":1}}"#,
                "tcp_flags: \"xyz\" is not one or two hexadecimal digits",
            ),
            ("[]", "not a JSON object"),
        ] {
            assert_eq!(parsed(line).0, Parsed::Rejected(reason.to_owned()), "{line}");
        }
    }
}
