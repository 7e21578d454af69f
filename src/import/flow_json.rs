//! A flow as one JSON object, with the keys of the endpoint's response.

use super::{near, object::Object, remarks::Tally, scalar::Scalar};
use crate::flow::{Flow, Timestamp};

/// A key that means something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Key {
    ActivityId,
    DestBytes,
    DestIp,
    DestNode,
    DestPort,
    EndTime,
    Node,
    NodeId,
    Protocol,
    SourceBytes,
    SourceIp,
    SourceNode,
    SourcePort,
    StartTime,
    TcpFlags,
}

impl Key {
    /// The names of all keys.
    pub(crate) const NAMES: [&'static str; 15] = [
        "activityID",
        "destBytes",
        "destIP",
        "destNode",
        "destPort",
        "endTime",
        "node",
        "nodeId",
        "protocol",
        "sourceBytes",
        "sourceIP",
        "sourceNode",
        "sourcePort",
        "startTime",
        "tcpFlags",
    ];

    /// The key with this name.
    pub(crate) fn from_name(name: &str) -> Option<Self> {
        Some(match name {
            "activityID" => Self::ActivityId,
            "destBytes" => Self::DestBytes,
            "destIP" => Self::DestIp,
            "destNode" => Self::DestNode,
            "destPort" => Self::DestPort,
            "endTime" => Self::EndTime,
            "node" => Self::Node,
            "nodeId" => Self::NodeId,
            "protocol" => Self::Protocol,
            "sourceBytes" => Self::SourceBytes,
            "sourceIP" => Self::SourceIp,
            "sourceNode" => Self::SourceNode,
            "sourcePort" => Self::SourcePort,
            "startTime" => Self::StartTime,
            "tcpFlags" => Self::TcpFlags,
            _ => return None,
        })
    }
}

/// A flow of which the start may still be missing.
pub(crate) struct Draft {
    flow: Flow,
    start_time: Option<Timestamp>,
}

/// The flow that a line is, or the reason why it is none. The keys that no flow has are counted in `unknown`.
pub(super) fn parse(line: &str, unknown: &mut Tally) -> Result<Flow, String> {
    let mut object = Object::open(line)?;
    let mut draft = Draft::new();
    let mut seen: u16 = 0;
    while let Some((name, token)) = object.next()? {
        let Some(key) = Key::from_name(&name) else {
            unknown.add(&name, 1, || near::meant(&name, &Key::NAMES));
            continue;
        };
        let bit = 1 << key as u16;
        if seen & bit != 0 {
            return Err(format!("{name}: the key is given twice"));
        }
        seen |= bit;
        draft.set(key, token.scalar()?).map_err(|reason| format!("{name}: {reason}"))?;
    }
    draft.finish()
}

impl Draft {
    /// A flow of which nothing is known.
    pub(crate) fn new() -> Self {
        Self { flow: Flow::starting(Timestamp::MIN), start_time: None }
    }

    /// Takes the value of a key; the reason why it is refused is without the key.
    pub(crate) fn set(&mut self, key: Key, value: Scalar<'_>) -> Result<(), String> {
        let flow = &mut self.flow;
        match key {
            Key::ActivityId => flow.activity_id = value.name()?,
            Key::DestBytes => flow.dst_bytes = value.bytes()?,
            Key::DestIp => flow.dst_ip = value.address()?,
            Key::DestNode => flow.dst_node = value.name()?,
            Key::DestPort => flow.dst_port = value.port()?,
            Key::EndTime => flow.end_time = value.time()?,
            Key::Node | Key::NodeId => self.set_node_id(value)?,
            Key::Protocol => flow.protocol = value.protocol()?,
            Key::SourceBytes => flow.src_bytes = value.bytes()?,
            Key::SourceIp => flow.src_ip = value.address()?,
            Key::SourceNode => flow.src_node = value.name()?,
            Key::SourcePort => flow.src_port = value.port()?,
            Key::StartTime => self.start_time = value.time()?,
            Key::TcpFlags => flow.tcp_flags = value.tcp_flags()?,
        }
        Ok(())
    }

    /// The logging node has two keys, which may not contradict each other.
    fn set_node_id(&mut self, value: Scalar<'_>) -> Result<(), String> {
        match (&self.flow.node_id, value.name()?) {
            (Some(known), Some(other)) if *known != other => Err("node and nodeId differ".to_owned()),
            (_, None) => Ok(()),
            (_, given) => {
                self.flow.node_id = given;
                Ok(())
            }
        }
    }

    /// The flow, if it has a start.
    pub(crate) fn finish(mut self) -> Result<Flow, String> {
        self.flow.start_time = self.start_time.ok_or("startTime: it is missing, and every flow has a start")?;
        Ok(self.flow)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flow::{Protocol, TcpFlags};

    const FULL: &str = r#"{"activityID":"A-1","destBytes":18446744073709551615,"destIP":"::ffff:192.0.2.1",
        "destNode":"db","destPort":443,"endTime":1666012672,"protocol":"tcp","sourceBytes":"12","sourceIP":"2001:DB8::1",
        "sourceNode":"caf\u00e9","sourcePort":40000.0,"startTime":1666012671.001,"tcpFlags":"00100001","nodeId":"n1",
        "extra":{"startTime":[1,2]}}"#;

    fn parse(line: &str) -> Result<Flow, String> {
        super::parse(line, &mut Tally::default())
    }

    fn with(member: &str) -> Result<Flow, String> {
        parse(&format!(r#"{{"startTime":"2022-11-01T22:46:01.765Z",{member}}}"#))
    }

    #[test]
    fn every_key_lands_in_its_field() {
        let flow = parse(FULL).unwrap();
        let expected = Flow {
            end_time: Timestamp::from_millis(1_666_012_672_000),
            protocol: Protocol::TCP,
            src_ip: Some("2001:db8::1".parse().unwrap()),
            dst_ip: Some("192.0.2.1".parse().unwrap()),
            src_port: Some(40_000),
            dst_port: Some(443),
            src_bytes: Some(12),
            dst_bytes: Some(u64::MAX),
            tcp_flags: Some(TcpFlags::new(0x21)),
            src_node: Some("café".to_owned()),
            dst_node: Some("db".to_owned()),
            node_id: Some("n1".to_owned()),
            activity_id: Some("A-1".to_owned()),
            ..Flow::starting(Timestamp::from_millis(1_666_012_671_001).unwrap())
        };
        assert_eq!(flow, expected);
    }

    #[test]
    fn every_name_is_that_of_a_key() {
        assert!(Key::NAMES.iter().all(|name| Key::from_name(name).is_some()));
    }

    #[test]
    fn null_and_empty_text_are_absent_values() {
        let keys = ["activityID", "destBytes", "destIP", "destNode", "destPort", "endTime", "nodeId", "node"];
        let more = ["protocol", "sourceBytes", "sourceIP", "sourceNode", "sourcePort", "tcpFlags"];
        let bare = with(r#""x":1"#).unwrap();
        for key in keys.iter().chain(&more) {
            assert_eq!(with(&format!(r#""{key}":"""#)).unwrap(), bare, "{key}");
            assert_eq!(with(&format!(r#""{key}":null"#)).unwrap(), bare, "{key}");
        }
        assert_eq!(bare.protocol, Protocol::UNKNOWN);
    }

    #[test]
    fn a_line_without_a_start_is_rejected() {
        for line in ["{}", r#"{"startTime":null}"#, r#"{"startTime":""}"#] {
            assert_eq!(parse(line).unwrap_err(), "startTime: it is missing, and every flow has a start");
        }
    }

    #[test]
    fn a_time_loses_nothing_but_what_is_finer_than_a_millisecond() {
        for (time, millis) in [
            ("1666012671.001000000", 1_666_012_671_001),
            ("1666012671.0010000000000000001", 1_666_012_671_001),
            ("\"1666012671.0019\"", 1_666_012_671_001),
            ("1.666012671001e9", 1_666_012_671_001),
            ("\"2022-11-01T22:46:01.765999Z\"", 1_667_342_761_765),
            ("-0.5", -500),
        ] {
            let flow = parse(&format!(r#"{{"startTime":{time}}}"#)).unwrap();
            assert_eq!(flow.start_time.as_millis(), millis, "{time}");
        }
    }

    #[test]
    fn an_end_before_the_start_is_kept_as_it_is() {
        assert_eq!(with(r#""endTime":0"#).unwrap().end_time, Timestamp::from_millis(0));
    }

    #[test]
    fn a_refused_value_is_named_with_its_key_and_what_is_allowed() {
        for (member, reason) in [
            (r#""destPort":70000"#, "destPort: 70000 is not a port from 0 to 65535"),
            (r#""destPort":-1"#, "destPort: -1 is not a port from 0 to 65535"),
            (r#""sourcePort":"http""#, r#"sourcePort: "http" is not a port from 0 to 65535"#),
            (r#""sourcePort":443.5"#, "sourcePort: 443.5 is not a port from 0 to 65535"),
            (r#""sourcePort":[443]"#, "sourcePort: an array is not a port from 0 to 65535"),
            (r#""destBytes":-1"#, "destBytes: -1 is not a number of bytes from 0 to 18446744073709551615"),
            (
                r#""destBytes":18446744073709551616"#,
                "destBytes: 18446744073709551616 is not a number of bytes from 0 to 18446744073709551615",
            ),
            (r#""destIP":"10.0.0""#, r#"destIP: "10.0.0" is not an IPv4 or IPv6 address"#),
            (r#""destIP":167772160"#, "destIP: 167772160 is not an IPv4 or IPv6 address"),
            (
                r#""endTime":1666012671001"#,
                "endTime: 1666012671001 is too large for Unix seconds: it looks like milliseconds",
            ),
            (r#""endTime":true"#, "endTime: true is neither a number of Unix seconds nor an RFC 3339 time"),
            (r#""nodeId":7"#, "nodeId: 7 is not text"),
            (r#""destPort":1,"destPort":1"#, "destPort: the key is given twice"),
            (r#""node":"a","nodeId":"b""#, "nodeId: node and nodeId differ"),
        ] {
            assert_eq!(with(member).unwrap_err(), reason);
        }
        assert_eq!(with(r#""node":"a","nodeId":"a""#).unwrap().node_id.as_deref(), Some("a"));
    }

    #[test]
    fn a_name_may_have_255_bytes() {
        let name = "n".repeat(255);
        assert_eq!(with(&format!(r#""sourceNode":"{name}""#)).unwrap().src_node, Some(name.clone()));
        let reason = with(&format!(r#""sourceNode":"{name}n""#)).unwrap_err();
        assert_eq!(reason, "sourceNode: a text of 256 bytes is too long: 255 are allowed");
    }
}
