//! A flow as one JSON object, with the keys of the endpoint's response.

use serde::{Deserialize, Deserializer, de::Error as _};
use serde_json::{Map, Value};

use super::{near, object, remarks::Tally, scalar::Scalar};
use crate::flow::{
    Field, Flow, Timestamp,
    columns::{Key, columns},
};

/// The names of all keys.
pub(crate) fn key_names() -> Vec<&'static str> {
    let mut names: Vec<&str> = Field::all().flat_map(|field| field.column().keys).copied().collect();
    names.sort_unstable();
    names
}

/// A flow of which the start may still be missing.
pub(crate) struct Draft {
    flow: Flow,
    start_time: Option<Timestamp>,
}

/// The flow that a line is, or the reason why it is none. The keys that no flow has are counted in `unknown`.
pub(super) fn parse(line: &str, unknown: &mut Tally) -> Result<Flow, String> {
    let mut draft = Draft::new();
    let mut seen: u64 = 0;
    object::read(line, |name, token| {
        let Some(key) = Key::named(&name) else {
            unknown.add(&name, 1, || near::meant(&name, &key_names()));
            return Ok(());
        };
        let bit = 1 << key.number;
        if seen & bit != 0 {
            return Err(format!("{name}: the key is given twice"));
        }
        seen |= bit;
        draft.set(key.field, token.scalar()?).map_err(|reason| format!("{name}: {reason}"))
    })?;
    draft.finish()
}

/// From an object as [`import`](crate::import) describes it: with the keys of the endpoint's JSON, times as text or seconds,
/// protocols by name or number. Keys that no flow has are passed over.
///
/// ```
/// use flowseek::Flow;
///
/// let text = r#"{"startTime": 1666012671.25, "destPort": 443, "protocol": "tcp", "nodeId": "edge-7"}"#;
/// let flow: Flow = serde_json::from_str(text)?;
/// assert_eq!((flow.start_time.to_string(), flow.dst_port), ("2022-10-17T13:17:51.250Z".to_owned(), Some(443)));
/// # Ok::<(), serde_json::Error>(())
/// ```
impl<'de> Deserialize<'de> for Flow {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let object = Map::<String, Value>::deserialize(deserializer)?;
        let text = serde_json::to_string(&object).map_err(D::Error::custom)?;
        parse(&text, &mut Tally::default()).map_err(D::Error::custom)
    }
}

impl Draft {
    /// A flow of which nothing is known.
    pub(crate) fn new() -> Self {
        Self { flow: Flow::starting(Timestamp::MIN), start_time: None }
    }

    /// The flow, if it has a start.
    pub(crate) fn finish(mut self) -> Result<Flow, String> {
        self.flow.start_time = self.start_time.ok_or("startTime: it is missing, and every flow has a start")?;
        Ok(self.flow)
    }
}

/// Reads what a member of a flow is from a value.
macro_rules! read {
    (Time $value:ident) => {
        $value.time()
    };
    (Protocol $value:ident) => {
        $value.protocol()
    };
    (Address $value:ident) => {
        $value.address()
    };
    (Port $value:ident) => {
        $value.port()
    };
    (Bytes $value:ident) => {
        $value.bytes()
    };
    (TcpFlags $value:ident) => {
        $value.tcp_flags()
    };
    (Name $value:ident) => {
        $value.name()
    };
    (Packets $value:ident) => {
        $value.packets()
    };
    (FlowFlags $value:ident) => {
        $value.flow_flags()
    };
    (Meta $value:ident) => {
        $value.meta()
    };
}

/// Sets a member of a draft.
macro_rules! set {
    (required Time $draft:ident.$column:ident = $value:expr, $field:expr) => {
        $draft.start_time = $value
    };
    (required Protocol $draft:ident.$column:ident = $value:expr, $field:expr) => {
        $draft.flow.$column = $value
    };
    (nullable $values:ident $draft:ident.$column:ident = $value:expr, $field:expr) => {
        merge(&mut $draft.flow.$column, $value, $field)?
    };
}

macro_rules! draft {
    ({ $($id:tt)* } $($(#[$doc:meta])* $number:literal $since:literal $field:ident $column:ident: $values:ident $presence:ident
        $encoding:ident $listing:ident $answers:ident [$($key:literal)*] [$($alias:literal)*] $parameter:tt)*) => {
        impl Draft {
            /// Takes the value of a field; the reason why it is refused is without the key.
            pub(crate) fn set(&mut self, field: Field, value: Scalar<'_>) -> Result<(), String> {
                match field {
                    // Every flow gets a number from the archive.
                    Field::FlowId => {}
                    $(Field::$field => set!($presence $values self.$column = read!($values value)?, field),)*
                }
                Ok(())
            }
        }
    };
}

columns!(draft);

/// Sets a value, which is told by each of the keys of its field: they may not contradict each other.
fn merge<T: PartialEq>(known: &mut Option<T>, given: Option<T>, field: Field) -> Result<(), String> {
    match (&known, given) {
        (Some(known), Some(other)) if *known != other => {
            let mut keys = field.column().keys.to_vec();
            keys.sort_unstable();
            Err(format!("{} differ", keys.join(" and ")))
        }
        (_, None) => Ok(()),
        (_, given) => {
            *known = given;
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flow::{FlowFlags, Protocol, TcpFlags};

    const FULL: &str = r#"{"activityID":"A-1","destBytes":18446744073709551615,"destIP":"::ffff:192.0.2.1",
        "destNode":"db","destPort":443,"endTime":1666012672,"protocol":"tcp","sourceBytes":"12","sourceIP":"2001:DB8::1",
        "sourceNode":"caf\u00e9","sourcePort":40000.0,"startTime":1666012671.001,"tcpFlags":"00100001","nodeId":"n1",
        "sourcePackets":3,"destPackets":"4","flags":"65537","meta":{"rule": 17},"extra":{"startTime":[1,2]}}"#;

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
            src_packets: Some(3),
            dst_packets: Some(4),
            flow_flags: Some(FlowFlags::new(65_537)),
            meta: Some(r#"{"rule":17}"#.parse().unwrap()),
            ..Flow::starting(Timestamp::from_millis(1_666_012_671_001).unwrap())
        };
        assert_eq!(flow, expected);
    }

    #[test]
    fn every_name_is_that_of_a_key() {
        let keys: Vec<Key> = key_names().into_iter().map(|name| Key::named(name).unwrap()).collect();
        let numbers: std::collections::BTreeSet<u8> = keys.iter().map(|key| key.number).collect();
        assert_eq!(numbers.len(), keys.len());
        assert!(numbers.iter().all(|number| u32::from(*number) < u64::BITS));
        assert_eq!((Key::named("node").unwrap().field, Key::named("flowId")), (Field::NodeId, None));
    }

    #[test]
    fn null_and_empty_text_are_absent_values() {
        let keys = ["activityID", "destBytes", "destIP", "destNode", "destPort", "endTime", "nodeId", "node"];
        let more = ["protocol", "sourceBytes", "sourceIP", "sourceNode", "sourcePort", "tcpFlags", "flags", "meta"];
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
            (r#""flags":-1"#, "flags: -1 is not a sum of flow flags from 0 to 18446744073709551615"),
            (r#""sourcePackets":0.5"#, "sourcePackets: 0.5 is not a number of packets from 0 to 18446744073709551615"),
            (r#""meta":7"#, "meta: 7 is not a JSON object"),
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
