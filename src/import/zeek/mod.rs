//! Zeek's `conn.log`: its text form and its JSON lines. The mapping is in the documentation of [`import`](super).

mod history;
mod record;
mod tsv;

use record::{Column, Record};
use tsv::Header;

use super::{Parsed, object::Object};

/// Reads lines of both forms: one that begins with `{` is JSON, and so is no line of the text form.
#[derive(Clone, Debug, Default)]
pub(super) struct Parser {
    header: Header,
}

impl Parser {
    pub(super) fn parse(&mut self, line: &str) -> Parsed {
        let parsed = if let Some(header) = line.strip_prefix('#') {
            self.header.read(header);
            return Parsed::Blank;
        } else if line.trim_start().starts_with('{') {
            parse_json(line)
        } else {
            self.header.parse(line)
        };
        parsed.unwrap_or_else(Parsed::Rejected)
    }
}

fn parse_json(line: &str) -> Result<Parsed, String> {
    let mut object = Object::open(line)?;
    let mut record = Record::default();
    let mut seen: u32 = 0;
    while let Some((name, token)) = object.next()? {
        let Some(column) = Column::from_name(&name) else { continue };
        let bit = 1 << column as u32;
        if seen & bit != 0 {
            return Err(format!("{name}: the key, or another of the same meaning, is given twice"));
        }
        seen |= bit;
        record.set(column, token.scalar()?);
        if column == Column::Path && !record.is_connection() {
            return Ok(Parsed::Skipped);
        }
    }
    record.require_evidence()?;
    record.into_flow().map(Parsed::Flow)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flow::{Flow, Protocol, TcpFlags};

    fn flow(line: &str) -> Flow {
        match Parser::default().parse(line) {
            Parsed::Flow(flow) => flow,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_connection_maps_field_by_field() {
        let line = r#"{"@stream":"conn","@system":"bob","ts":1588205199.827696,"uid":"C1","id_orig_h":"10.0.1.6",
            "id_orig_p":56880,"id_resp_h":"10.0.0.4","id_resp_p":445,"proto":"tcp","duration":10.761076927185059,
            "orig_bytes":4020,"resp_bytes":1681,"conn_state":"RSTO","history":"ShADdaR","orig_ip_bytes":1307,
            "resp_ip_bytes":2133}"#;
        let expected = Flow {
            end_time: "2020-04-30T00:06:50.588Z".parse().ok(),
            protocol: Protocol::TCP,
            src_ip: "10.0.1.6".parse().ok(),
            dst_ip: "10.0.0.4".parse().ok(),
            src_port: Some(56_880),
            dst_port: Some(445),
            src_bytes: Some(1307),
            dst_bytes: Some(2133),
            tcp_flags: Some(TcpFlags::new(0x16)),
            node_id: Some("bob".to_owned()),
            ..Flow::starting("2020-04-30T00:06:39.827Z".parse().unwrap())
        };
        assert_eq!(flow(line), expected);
        let dotted = line.replace("id_", "id.").replace("@stream", "_path").replace("@system", "_system_name");
        assert_eq!(flow(&dotted), expected);
    }

    #[test]
    fn icmp_has_no_ports_and_no_flags() {
        let line = r#"{"ts":"2011-08-15T03:36:16.748830Z","id.orig_h":"210.87.254.81","id.orig_p":3,
            "id.resp_h":"147.32.84.165","id.resp_p":1,"proto":"icmp","conn_state":"OTH","history":"S"}"#;
        let flow = flow(line);
        assert_eq!((flow.protocol, flow.src_port, flow.dst_port), (Protocol::ICMP, None, None));
        assert_eq!((flow.tcp_flags, flow.end_time), (None, None));
        assert_eq!(flow.start_time.to_string(), "2011-08-15T03:36:16.748Z");
    }

    #[test]
    fn payload_bytes_stand_in_where_packet_bytes_are_missing() {
        let line = r#"{"_path":"conn","ts":1,"orig_bytes":5,"resp_bytes":"6","resp_ip_bytes":60}"#;
        assert_eq!((flow(line).src_bytes, flow(line).dst_bytes), (Some(5), Some(60)));
    }

    #[test]
    fn the_number_of_a_protocol_is_better_than_its_name() {
        let number = |members: &str| flow(&format!(r#"{{"_path":"conn","ts":1,{members}}}"#)).protocol.number();
        assert_eq!(number(r#""proto":"unknown_transport","ip_proto":47"#), 47);
        assert_eq!(number(r#""proto":"icmp","ip_proto":58"#), 58);
        assert_eq!(number(r#""proto":"icmp6""#), 58);
        assert_eq!(number(r#""proto":"unknown_transport""#), 255);
        assert_eq!(number(r#""uid":"C1""#), 255);
    }

    #[test]
    fn records_of_other_logs_are_skipped() {
        for path in ["_path", "@path", "@stream"] {
            let line = format!(r#"{{"{path}":"dns","ts":1,"id.orig_h":"10.0.0.1"}}"#);
            assert_eq!(Parser::default().parse(&line), Parsed::Skipped);
        }
    }

    #[test]
    fn what_nothing_shows_to_be_a_connection_is_rejected() {
        let line = r#"{"ts":1,"id.orig_h":"10.0.0.1","proto":"udp","query":"example.org"}"#;
        let Parsed::Rejected(reason) = Parser::default().parse(line) else { panic!() };
        assert!(reason.starts_with("conn_state: it is missing"), "{reason}");
    }

    #[test]
    fn a_refused_value_is_named_as_zeek_names_it() {
        for (members, reason) in [
            (r#""id_orig_p":65536"#, "id.orig_p: 65536 is not a port from 0 to 65535"),
            (r#""duration":"long""#, "duration: \"long\" is not a number of seconds"),
            (r#""duration":2"#, "duration: the end lies outside the years 0 to 9999"),
            (r#""_path":"conn""#, "_path: the key, or another of the same meaning, is given twice"),
        ] {
            let line = format!(r#"{{"@stream":"conn","ts":"9999-12-31T23:59:59Z",{members}}}"#);
            assert_eq!(Parser::default().parse(&line), Parsed::Rejected(reason.to_owned()));
        }
        let endless = Parser::default().parse(r#"{"@stream":"conn"}"#);
        assert_eq!(endless, Parsed::Rejected("ts: it is missing, and every flow has a start".to_owned()));
    }
}
