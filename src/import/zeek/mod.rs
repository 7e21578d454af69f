//! Zeek's `conn.log`: its text form and its JSON lines. The mapping is in the documentation of [`import`](super).

mod history;
mod record;
mod tsv;

use std::borrow::Cow;

use record::{Column, Record};
use tsv::Header;

use super::{
    Parsed,
    object::{self, Token},
    remarks::Remarks,
};

/// Reads lines of both forms: one that begins with `{` is JSON, and so is no line of the text form.
#[derive(Clone, Debug, Default)]
pub(super) struct Parser {
    header: Header,
}

impl Parser {
    /// Reads a line; `ended` is whether its end is there.
    pub(super) fn parse(&mut self, line: &str, ended: bool, remarks: &mut Remarks) -> Parsed {
        let parsed = if let Some(header) = line.strip_prefix('#') {
            self.header.read(header);
            return Parsed::Blank;
        } else if line.trim_start().starts_with('{') {
            parse_json(line, remarks)
        } else {
            self.header.parse(line, ended, remarks)
        };
        parsed.unwrap_or_else(Parsed::Rejected)
    }
}

fn parse_json(line: &str, remarks: &mut Remarks) -> Result<Parsed, String> {
    let mut members = Members::default();
    match object::read(line, |name, token| members.member(name, token)) {
        Ok(()) => {}
        Err(Left::Refused(reason)) => return Err(reason),
        Err(Left::OtherLog(log)) => {
            remarks.skipped.add(&log, 1, || None);
            return Ok(Parsed::Skipped);
        }
    }
    let Members { record, unknown, .. } = members;
    record.require_evidence()?;
    for name in unknown {
        remarks.unknown.add(&name, 1, || record::meant(&name));
    }
    record.into_flow().map(Parsed::Flow)
}

/// Why the rest of a line is not read.
enum Left {
    /// It is no connection, for this reason.
    Refused(String),
    /// It is of the log with this name.
    OtherLog(String),
}

impl From<String> for Left {
    fn from(reason: String) -> Self {
        Self::Refused(reason)
    }
}

/// The members of an object that have been read so far.
#[derive(Default)]
struct Members<'a> {
    record: Record<'a>,
    seen: u32,
    /// The keys that are of no column. Those of another log do not matter, so they are not counted yet.
    unknown: Vec<Cow<'a, str>>,
}

impl<'a> Members<'a> {
    /// Takes a member of the line.
    fn member(&mut self, name: Cow<'a, str>, token: Token<'a>) -> Result<(), Left> {
        match token.object() {
            // `id` is a record of Zeek's, which most writers flatten: `id.orig_h`.
            Some(nested) if name == "id" => {
                object::read(nested, |inner, token| self.take(Cow::Owned(format!("id.{inner}")), token))?;
            }
            _ => self.take(name, token)?,
        }
        self.record.other_log().map_or(Ok(()), |log| Err(Left::OtherLog(log)))
    }

    fn take(&mut self, name: Cow<'a, str>, token: Token<'a>) -> Result<(), String> {
        let Some(column) = Column::from_name(&name) else {
            if !record::is_unused(&name) {
                self.unknown.push(name);
            }
            return Ok(());
        };
        let bit = 1 << column as u32;
        if self.seen & bit != 0 {
            return Err(format!("{name}: the key, or another of the same meaning, is given twice"));
        }
        self.seen |= bit;
        self.record.set(column, token.scalar()?);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flow::{Flow, Protocol, TcpFlags};

    /// The members that make a record of the log a connection.
    const ENDS: &str = r#""id.orig_h":"10.0.0.1","id.resp_h":"10.0.0.2""#;

    fn parse(line: &str) -> Parsed {
        Parser::default().parse(line, true, &mut Remarks::default())
    }

    fn flow(line: &str) -> Flow {
        match parse(line) {
            Parsed::Flow(flow) => flow,
            other => panic!("{other:?}"),
        }
    }

    /// The flow of a record with these members more.
    fn with(members: &str) -> Flow {
        flow(&format!(r#"{{"_path":"conn","ts":1,{ENDS},{members}}}"#))
    }

    fn reason(line: &str) -> String {
        match parse(line) {
            Parsed::Rejected(reason) => reason,
            other => panic!("{other:?}"),
        }
    }

    fn remarks(line: &str) -> String {
        let mut remarks = Remarks::default();
        Parser::default().parse(line, true, &mut remarks);
        remarks.to_string()
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
        assert_eq!(remarks(line), "");
        let dotted = line.replace("id_", "id.").replace("@stream", "_path").replace("@system", "_system_name");
        assert_eq!(flow(&dotted), expected);
        let ends = r#""id_orig_h":"10.0.1.6",
            "id_orig_p":56880,"id_resp_h":"10.0.0.4","id_resp_p":445"#;
        let nested = line.replace(ends, &format!(r#""id":{{{}}}"#, ends.replace("id_", "")));
        assert_ne!(nested, line);
        assert_eq!(flow(&nested), expected);
        assert_eq!(remarks(&nested), "");
    }

    #[test]
    fn a_nested_key_counts_as_the_dotted_one() {
        let nested = r#""id":{"orig_h":"10.0.0.1","resp_h":"10.0.0.2","orig_p":1,"resp_p":2,"ctx":"a"},"proto":"tcp""#;
        assert_eq!(
            remarks(&format!(r#"{{"_path":"conn","ts":1,{nested}}}"#)),
            r#""id.ctx" is unknown and was ignored in 1 record"#
        );
        let twice = reason(&format!(r#"{{"_path":"conn","ts":1,{nested},"id.resp_p":2}}"#));
        assert_eq!(twice, "id.resp_p: the key, or another of the same meaning, is given twice");
        for no_object in ["null", "[]", "{}", "7"] {
            let line = format!(r#"{{"_path":"conn","ts":1,"proto":"tcp","id":{no_object}}}"#);
            assert!(reason(&line).starts_with("id.orig_h: it is missing"), "{line}");
        }
    }

    #[test]
    fn a_record_without_what_defines_a_connection_is_rejected() {
        let whole = [
            (r#""ts":1"#, "ts: it is missing, and every flow has a start"),
            (r#""id.orig_h":"10.0.0.1""#, "id.orig_h: it is missing, and a connection has two ends"),
            (r#""id.resp_h":"10.0.0.2""#, "id.resp_h: it is missing, and a connection has two ends"),
            (r#""proto":"udp""#, "proto: it is missing, and a connection has a protocol"),
            (r#""id.orig_p":68"#, "id.orig_p: it is missing, and UDP has ports"),
            (r#""id.resp_p":67"#, "id.resp_p: it is missing, and UDP has ports"),
        ];
        let line = |left_out: usize| {
            let members = whole.iter().enumerate().filter(|(at, _)| *at != left_out).map(|(_, (member, _))| *member);
            format!(r#"{{"_path":"conn",{}}}"#, members.collect::<Vec<_>>().join(","))
        };
        assert!(matches!(parse(&line(whole.len())), Parsed::Flow(_)));
        for (left_out, (_, expected)) in whole.iter().enumerate() {
            assert_eq!(reason(&line(left_out)), *expected);
        }
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
    fn icmp_between_ipv6_addresses_is_that_of_ipv6_and_has_no_ports() {
        for (address, protocol, expected) in [
            ("fe80::1", r#""proto":"icmp""#, 58),
            ("fe80::1", r#""proto":"icmp","ip_proto":58"#, 58),
            ("fe80::1", r#""proto":"icmp","ip_proto":1"#, 58),
            ("fe80::1", r#""ip_proto":58"#, 58),
            ("fe80::1", r#""proto":"icmp6""#, 58),
            ("10.0.0.1", r#""proto":"icmp""#, 1),
            ("::ffff:10.0.0.1", r#""proto":"icmp""#, 1),
        ] {
            let line = format!(
                r#"{{"_path":"conn","ts":1,"id.orig_h":"{address}","id.orig_p":135,"id.resp_h":"{address}","id.resp_p":136,{protocol}}}"#
            );
            let flow = flow(&line);
            assert_eq!((flow.protocol.number(), flow.src_port, flow.dst_port), (expected, None, None), "{line}");
        }
    }

    #[test]
    fn only_protocols_with_ports_have_ports() {
        for (protocol, ports) in [(6, true), (17, true), (33, true), (132, true), (136, true), (47, false), (50, false)]
        {
            let flow =
                with(&format!(r#""proto":"unknown_transport","ip_proto":{protocol},"id.orig_p":0,"id.resp_p":0"#));
            let expected = ports.then_some(0);
            assert_eq!((flow.src_port, flow.dst_port), (expected, expected), "{protocol}");
        }
    }

    #[test]
    fn payload_bytes_stand_in_where_packet_bytes_are_missing() {
        let flow = with(r#""proto":"icmp","orig_bytes":5,"resp_bytes":"6","resp_ip_bytes":60"#);
        assert_eq!((flow.src_bytes, flow.dst_bytes), (Some(5), Some(60)));
    }

    #[test]
    fn the_number_of_a_protocol_is_better_than_its_name() {
        let number = |members: &str| with(members).protocol.number();
        assert_eq!(number(r#""proto":"unknown_transport","ip_proto":47"#), 47);
        assert_eq!(number(r#""proto":"icmp6""#), 58);
        assert_eq!(number(r#""proto":"unknown_transport""#), 255);
    }

    #[test]
    fn records_of_other_logs_are_skipped_and_named() {
        for path in ["_path", "@path", "@stream"] {
            let line = format!(r#"{{"{path}":"dns","ts":1,"query":"example.org","id.orig_h":"10.0.0.1"}}"#);
            assert_eq!(parse(&line), Parsed::Skipped);
            assert_eq!(remarks(&line), r#"1 record of the log "dns" was skipped"#);
        }
    }

    #[test]
    fn other_logs_of_connections_are_read() {
        for (path, is_connection) in [
            ("conn", true),
            ("conn_long", true),
            ("conn-red", true),
            ("connection", false),
            ("known_conn", false),
            ("Conn", false),
        ] {
            let line = format!(r#"{{"_path":"{path}","ts":1,{ENDS},"proto":"icmp"}}"#);
            assert_eq!(matches!(parse(&line), Parsed::Flow(_)), is_connection, "{path}");
        }
    }

    #[test]
    fn what_nothing_shows_to_be_a_connection_is_rejected() {
        let reason = reason(r#"{"ts":1,"id.orig_h":"10.0.0.1","proto":"udp","query":"example.org"}"#);
        assert!(reason.starts_with("conn_state: it is missing"), "{reason}");
    }

    #[test]
    fn keys_that_are_no_column_are_counted_and_those_of_zeek_are_not() {
        let line = format!(
            r#"{{"_path":"conn","ts":1,{ENDS},"proto":"icmp","uid":"C1","service":"dns","missed_bytes":0,"origbytes":5}}"#
        );
        assert_eq!(remarks(&line), r#""origbytes" is unknown and was ignored in 1 record; did you mean "orig_bytes"?"#);
    }

    #[test]
    fn a_refused_value_is_named_as_zeek_names_it() {
        for (members, expected) in [
            (r#""id_orig_p":65536"#, "id.orig_p: 65536 is not a port from 0 to 65535"),
            (r#""id_orig_p":1,"duration":"long""#, "duration: \"long\" is not a number of seconds"),
            (r#""id_orig_p":1,"duration":2"#, "duration: the end lies outside the years 0 to 9999"),
            (r#""id_orig_p":1,"duration":1e12"#, "duration: the end lies outside the years 0 to 9999"),
            (r#""_path":"conn""#, "_path: the key, or another of the same meaning, is given twice"),
        ] {
            let line = format!(
                r#"{{"@stream":"conn","ts":"9999-12-31T23:59:59Z",{ENDS},"id_resp_p":1,"proto":"tcp",{members}}}"#
            );
            assert_eq!(reason(&line), expected);
        }
    }
}
