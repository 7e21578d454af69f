//! Flow logs of AWS VPC as text: fields with blanks between, in the order of a header. The mapping is in the documentation
//! of [`import`](super).

use super::{
    Parsed,
    remarks::Remarks,
    scalar::{Scalar, of},
};
use crate::flow::{Flow, has_ports};

/// The fields of a line without a header: those of version 2.
const VERSION_2: &str = "version account-id interface-id srcaddr dstaddr srcport dstport protocol packets bytes start end action \
                         log-status";

/// The fields that mean something here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Column {
    Interface,
    Source,
    Destination,
    SourcePort,
    DestinationPort,
    Protocol,
    Packets,
    Bytes,
    Start,
    End,
    TcpFlags,
    Status,
}

/// Their names.
const COLUMNS: [(&str, Column); 12] = [
    ("interface-id", Column::Interface),
    ("srcaddr", Column::Source),
    ("dstaddr", Column::Destination),
    ("srcport", Column::SourcePort),
    ("dstport", Column::DestinationPort),
    ("protocol", Column::Protocol),
    ("packets", Column::Packets),
    ("bytes", Column::Bytes),
    ("start", Column::Start),
    ("end", Column::End),
    ("tcp-flags", Column::TcpFlags),
    ("log-status", Column::Status),
];

/// Reads lines, in the order of the last header.
#[derive(Clone, Debug)]
pub(super) struct Parser {
    columns: Vec<Option<Column>>,
}

impl Default for Parser {
    fn default() -> Self {
        Self { columns: columns(VERSION_2) }
    }
}

/// Whether a line names fields.
pub(super) fn is_header(line: &str) -> bool {
    line.split_ascii_whitespace().any(|name| name == "srcaddr" || name == "pkt-srcaddr")
}

/// Whether a line is a record in the order of version 2.
pub(super) fn is_record(line: &str) -> bool {
    let mut fields = line.split_ascii_whitespace();
    let is_number = |field: Option<&str>| field.is_some_and(|field| field.bytes().all(|byte| byte.is_ascii_digit()));
    is_number(fields.next()) && is_number(fields.next()) && fields.next().is_some_and(|id| id.starts_with("eni-"))
}

fn columns(header: &str) -> Vec<Option<Column>> {
    let column = |name: &str| COLUMNS.iter().find(|(known, _)| *known == name).map(|(_, column)| *column);
    header.split_ascii_whitespace().map(column).collect()
}

impl Parser {
    /// Reads a line; `ended` is whether its end is there.
    pub(super) fn parse(&mut self, line: &str, ended: bool, remarks: &mut Remarks) -> Parsed {
        if is_header(line) {
            self.columns = columns(line);
            return Parsed::Blank;
        }
        self.record(line, ended, remarks).unwrap_or_else(Parsed::Rejected)
    }

    fn record(&self, line: &str, ended: bool, remarks: &mut Remarks) -> Result<Parsed, String> {
        let mut values: [Scalar<'_>; COLUMNS.len()] = Default::default();
        let mut fields = line.split_ascii_whitespace();
        let miscounted = || {
            let (found, named) = (line.split_ascii_whitespace().count(), self.columns.len());
            format!("the line has {found} fields, and its header names {named}")
        };
        for column in &self.columns {
            let field = fields.next().ok_or_else(miscounted)?;
            if let Some(place) = column.and_then(|column| values.get_mut(column as usize)) {
                // AWS writes a hyphen for what is not known.
                *place = if field == "-" { Scalar::Absent } else { Scalar::text(field) };
            }
        }
        if fields.next().is_some() {
            return Err(miscounted());
        }
        let value = |column: Column| values.get(column as usize).cloned().unwrap_or_default();
        match value(Column::Status) {
            Scalar::Text(status) if status == "NODATA" || status == "SKIPDATA" => {
                remarks.skipped.add(&status, 1, || None);
                return Ok(Parsed::Skipped);
            }
            Scalar::Absent => {}
            Scalar::Text(status) if status == "OK" => {}
            other => return Err(format!("log-status: {} is neither OK nor NODATA nor SKIPDATA", other.shown())),
        }
        if !ended {
            match self.columns.last() {
                // Nothing is cut off a status that is whole.
                Some(Some(Column::Status)) => {}
                Some(Some(_)) => return Err("the line has no end, so its last field may have been cut off".to_owned()),
                Some(None) | None => remarks.unended = true,
            }
        }
        let protocol = value(Column::Protocol).protocol().map_err(of("protocol"))?;
        let port = |column, name| {
            if has_ports(protocol) { value(column).port().map_err(of(name)) } else { Ok(None) }
        };
        let start = value(Column::Start).time().map_err(of("start"))?;
        Ok(Parsed::Flow(Flow {
            end_time: value(Column::End).time().map_err(of("end"))?,
            protocol,
            src_ip: value(Column::Source).address().map_err(of("srcaddr"))?,
            dst_ip: value(Column::Destination).address().map_err(of("dstaddr"))?,
            src_port: port(Column::SourcePort, "srcport")?,
            dst_port: port(Column::DestinationPort, "dstport")?,
            src_bytes: value(Column::Bytes).bytes().map_err(of("bytes"))?,
            src_packets: value(Column::Packets).packets().map_err(of("packets"))?,
            tcp_flags: match value(Column::TcpFlags) {
                // 0 is what AWS writes where it has seen none of the flags that it notes.
                flags if protocol.number() == 6 => flags.tcp_flags().map_err(of("tcp-flags"))?,
                _ => None,
            },
            node_id: value(Column::Interface).name().map_err(of("interface-id"))?,
            ..Flow::starting(start.ok_or("start: it is missing, and every flow has a start")?)
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flow::{Protocol, TcpFlags};

    fn parse_with(parser: &mut Parser, line: &str, ended: bool) -> Result<Flow, String> {
        let mut remarks = Remarks::default();
        match parser.parse(line, ended, &mut remarks) {
            Parsed::Flow(flow) => Ok(flow),
            Parsed::Rejected(reason) => Err(reason),
            Parsed::Skipped => Err(remarks.to_string()),
            Parsed::Blank | Parsed::Several(_) => Err("blank".to_owned()),
        }
    }

    #[test]
    fn fields_are_taken_in_the_order_of_the_header() {
        let line =
            "2 123456789012 eni-0a1 172.31.16.139 172.31.16.21 20641 22 6 20 4249 1418530010 1418530070 ACCEPT OK";
        let expected = Flow {
            end_time: "2014-12-14T04:07:50Z".parse().ok(),
            protocol: Protocol::TCP,
            src_ip: "172.31.16.139".parse().ok(),
            dst_ip: "172.31.16.21".parse().ok(),
            src_port: Some(20_641),
            dst_port: Some(22),
            src_bytes: Some(4249),
            src_packets: Some(20),
            node_id: Some("eni-0a1".to_owned()),
            ..Flow::starting("2014-12-14T04:06:50Z".parse().unwrap())
        };
        let mut parser = Parser::default();
        assert_eq!(parse_with(&mut parser, line, true), Ok(expected.clone()));
        assert_eq!(parse_with(&mut parser, line, false), Ok(expected));
        assert_eq!(
            parse_with(&mut parser, "vpc-id tcp-flags srcaddr start protocol bytes", true),
            Err("blank".to_owned())
        );
        let flow = parse_with(&mut parser, "vpc-1 19 2001:db8::1 1418530010 6 -", true).unwrap();
        assert_eq!((flow.tcp_flags, flow.src_bytes, flow.dst_ip), (Some(TcpFlags::new(19)), None, None));
        let cut = parse_with(&mut parser, "vpc-1 19 2001:db8::1 1418530010 6 12", false);
        assert_eq!(cut, Err("the line has no end, so its last field may have been cut off".to_owned()));
    }

    #[test]
    fn records_without_flows_are_counted_and_wrong_ones_named() {
        let rest = "eni-0a1 - - - - - - - 1431280876 1431280934 -";
        let mut parser = Parser::default();
        for status in ["NODATA", "SKIPDATA"] {
            let said = parse_with(&mut parser, &format!("2 123456789012 {rest} {status}"), true).unwrap_err();
            assert_eq!(said, format!("1 record of the log \"{status}\" was skipped"));
        }
        for (line, reason) in [
            ("2 1 eni-1", "the line has 3 fields, and its header names 14"),
            ("2 1 eni-1 a b 1 2 6 1 1 1 2 ACCEPT OK", "srcaddr: \"a\" is not an IPv4 or IPv6 address"),
            ("2 1 eni-1 - - 70000 2 6 1 1 1 2 ACCEPT OK", "srcport: \"70000\" is not a port from 0 to 65535"),
            ("2 1 eni-1 - - 1 2 6 1 1 1 2 ACCEPT O", "log-status: \"O\" is neither OK nor NODATA nor SKIPDATA"),
            ("2 1 eni-1 - - 1 2 6 1 1 - 2 ACCEPT OK", "start: it is missing, and every flow has a start"),
        ] {
            assert_eq!(parse_with(&mut parser, line, true), Err(reason.to_owned()), "{line}");
        }
    }
}
