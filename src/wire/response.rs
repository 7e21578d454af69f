//! Flows as the endpoint's JSON objects.

use std::io;

use serde::{Serialize, Serializer, ser::SerializeMap};

use super::{Cell, FlagsFormat, View};
use crate::flow::{Field, Flow, StoredFlow};

/// A flow as an object with the fields of a [`View`]; those without a value are left out.
///
/// A serializer takes no text of JSON, so the numbers of `meta` are those that `serde_json` makes of them, and its members
/// are in the order of their names. [`write_line`] and [`FlowWriter`](super::FlowWriter) write it as it is.
///
/// ```
/// use flowseek::{flow::Flow, wire::{FlagsFormat, FlowView}};
///
/// let flow = Flow { dst_port: Some(443), ..Flow::starting("2022-11-01T22:46:01Z".parse()?) };
/// let json = serde_json::to_string(&FlowView::new(&flow, FlagsFormat::Binary))?;
/// assert_eq!(json, r#"{"destPort":443,"protocol":"UNKNOWN","startTime":"2022-11-01T22:46:01.000Z"}"#);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct FlowView<'a> {
    flow: &'a Flow,
    view: View,
}

impl<'a> FlowView<'a> {
    /// A flow in a view.
    pub fn new(flow: &'a Flow, view: impl Into<View>) -> Self {
        Self { flow, view: view.into() }
    }
}

impl Serialize for FlowView<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut object = serializer.serialize_map(None)?;
        for (name, field) in self.view.fields() {
            if let Some(cell) = Cell::of(self.flow, *field, self.view.flags()) {
                object.serialize_entry(name, &cell)?;
            }
        }
        object.end()
    }
}

/// As an object with the keys of the endpoint's JSON, `protocol` as a number and all times in UTC, milliseconds: what
/// [`import`](crate::import) reads, and what `Deserialize` makes the same flow of. To answer clients there is [`FlowView`].
///
/// ```
/// use flowseek::flow::{Flow, Protocol};
///
/// let flow = Flow { protocol: Protocol::new(47), ..Flow::starting("2022-11-01T22:46:01Z".parse()?) };
/// let json = serde_json::to_string(&flow)?;
/// assert_eq!(json, r#"{"startTime":"2022-11-01T22:46:01.000Z","protocol":47}"#);
/// assert_eq!(serde_json::from_str::<Flow>(&json)?, flow);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
impl Serialize for Flow {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut object = serializer.serialize_map(None)?;
        for field in Field::all() {
            let Some(name) = field.column().keys.first() else { continue };
            match Cell::of(self, field, FlagsFormat::Decimal) {
                Some(_) if field == Field::Protocol => object.serialize_entry(name, &self.protocol.number())?,
                Some(cell) => object.serialize_entry(name, &cell)?,
                None => {}
            }
        }
        object.end()
    }
}

/// Writes flows as one JSON array.
///
/// # Errors
/// What `out` fails with; writing into a `Vec` never fails.
pub fn write_array<'a>(
    out: &mut impl io::Write,
    flows: impl IntoIterator<Item = &'a StoredFlow>,
    view: impl Into<View>,
) -> io::Result<()> {
    let view = view.into();
    out.write_all(b"[")?;
    for (index, stored) in flows.into_iter().enumerate() {
        if index > 0 {
            out.write_all(b",")?;
        }
        write_object(out, &stored.flow, &view)?;
    }
    out.write_all(b"]")
}

/// Writes a flow as one JSON object and a line feed: a line of NDJSON.
///
/// # Errors
/// What `out` fails with; writing into a `Vec` never fails.
pub fn write_line(out: &mut impl io::Write, flow: &Flow, view: impl Into<View>) -> io::Result<()> {
    write_object(out, flow, &view.into())?;
    out.write_all(b"\n")
}

/// Writes a flow as one JSON object.
pub(super) fn write_object(out: &mut (impl io::Write + ?Sized), flow: &Flow, view: &View) -> io::Result<()> {
    let cells = view.fields().iter().filter_map(|(name, field)| Some((name, Cell::of(flow, *field, view.flags())?)));
    let mut before = '{';
    for (name, cell) in cells {
        // No name needs an escape.
        write!(out, "{before}\"{name}\":")?;
        before = ',';
        match cell {
            Cell::Object(text) => out.write_all(text.as_bytes())?,
            cell => serde_json::to_writer(&mut *out, &cell)?,
        }
    }
    out.write_all(if before == '{' { b"{}" } else { b"}" })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flow::{FlowFlags, FlowId, Protocol, TcpFlags, Timestamp};
    use crate::wire::{FlagsFormat, Profile, all_fields};

    fn full() -> Flow {
        Flow {
            start_time: "2022-11-01T22:46:01.765Z".parse().unwrap(),
            end_time: Timestamp::from_millis(-1),
            protocol: Protocol::new(47),
            src_ip: Some("::ffff:192.0.2.1".parse().unwrap()),
            dst_ip: Some("2001:DB8:0::1".parse().unwrap()),
            src_port: Some(0),
            dst_port: Some(65535),
            src_bytes: Some(u64::MAX),
            dst_bytes: Some(0),
            tcp_flags: Some(TcpFlags::new(0b0010_0001)),
            src_node: Some("a\"b\n".to_owned()),
            dst_node: Some("local".to_owned()),
            node_id: Some("never shown".to_owned()),
            activity_id: Some("A1".to_owned()),
            src_packets: Some(1),
            dst_packets: Some(2),
            flow_flags: Some(FlowFlags::new(3)),
            meta: Some("{}".parse().unwrap()),
        }
    }

    fn line(flags: FlagsFormat) -> String {
        let mut out = Vec::new();
        write_line(&mut out, &full(), flags).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn an_object_has_the_fields_of_the_contract_in_their_order() {
        let expected = concat!(
            r#"{"activityID":"A1","destBytes":0,"destIP":"2001:db8::1","destNode":"local","destPort":65535,"#,
            r#""endTime":"1969-12-31T23:59:59.999Z","protocol":"UNKNOWN","sourceBytes":18446744073709551615,"#,
            r#""sourceIP":"192.0.2.1","sourceNode":"a\"b\n","sourcePort":0,"#,
            r#""startTime":"2022-11-01T22:46:01.765Z","tcpFlags":"00100001"}"#,
            "\n"
        );
        assert_eq!(line(FlagsFormat::Binary), expected);
        let names: Vec<&str> = Profile::Seed.fields().iter().map(|(name, _)| *name).collect();
        let contract = "activityID destBytes destIP destNode destPort endTime protocol sourceBytes sourceIP sourceNode \
                        sourcePort startTime tcpFlags";
        assert_eq!(names, contract.split(' ').collect::<Vec<_>>());
    }

    #[test]
    fn other_fields_are_shown_where_they_are_asked_for() {
        let flow = Flow { meta: Some(r#"{"cost":0.10,"a":1}"#.parse().unwrap()), ..full() };
        let shown = |view: View| {
            let mut out = Vec::new();
            write_line(&mut out, &flow, view.clone()).unwrap();
            let line = String::from_utf8(out).unwrap();
            let parsed: serde_json::Value = serde_json::from_str(&line).unwrap();
            assert_eq!(serde_json::to_value(FlowView::new(&flow, view)).unwrap(), parsed);
            line
        };
        let current = shown(View::new(Profile::Current, FlagsFormat::Binary));
        let expected = r#","flags":"3","meta":{"cost":0.10,"a":1},"nodeId":"never shown","protocol":"UNKNOWN","#;
        assert!(current.contains(expected) && current.ends_with("\"tcpFlags\":\"33\"}\n"), "{current}");
        let some = all_fields().iter().copied().filter(|(name, _)| name.ends_with("Packets")).collect();
        assert_eq!(shown(View::default().with(Some(some))), "{\"destPackets\":2,\"sourcePackets\":1}\n");
        assert_eq!(shown(View::default().with(Some(Vec::new()))), "{}\n");
    }

    #[test]
    fn flags_are_text_in_every_format() {
        assert!(line(FlagsFormat::Decimal).contains(r#""tcpFlags":"33"}"#));
        assert!(line(FlagsFormat::Hex).contains(r#""tcpFlags":"0x21"}"#));
    }

    #[test]
    fn an_array_is_bare_and_may_be_empty() {
        let stored = StoredFlow { id: FlowId::new(1), flow: Flow::starting(Timestamp::MIN) };
        let array = |flows: &[StoredFlow]| {
            let mut out = Vec::new();
            write_array(&mut out, flows, FlagsFormat::Binary).unwrap();
            String::from_utf8(out).unwrap()
        };
        assert_eq!(array(&[]), "[]");
        let object = r#"{"protocol":"UNKNOWN","startTime":"0000-01-01T00:00:00.000Z"}"#;
        assert_eq!(array(&[stored.clone(), stored]), format!("[{object},{object}]"));
    }
}
