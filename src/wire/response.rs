//! Flows as the endpoint's JSON objects.

use std::{io, sync::LazyLock};

use serde::{Serialize, Serializer, ser::SerializeMap};

use super::{Cell, FlagsFormat};
use crate::flow::{Field, Flow, StoredFlow, columns::Answers};

/// The fields of an answer in its order, with the fields of a flow that they show: what JSON, CSV and tables hold.
pub fn fields() -> &'static [(&'static str, Field)] {
    static FIELDS: LazyLock<Vec<(&str, Field)>> = LazyLock::new(|| {
        let shown = Field::all().filter(|field| field.column().answers == Answers::All);
        let mut fields: Vec<_> = shown.filter_map(|field| Some((field.key()?, field))).collect();
        fields.sort_unstable();
        fields
    });
    FIELDS.as_slice()
}

/// A flow as an object with the [`fields`] of an answer; those without a value are left out.
///
/// ```
/// use flowseek::{flow::Flow, wire::{FlagsFormat, FlowView}};
///
/// let flow = Flow { dst_port: Some(443), ..Flow::starting("2022-11-01T22:46:01Z".parse()?) };
/// let json = serde_json::to_string(&FlowView::new(&flow, FlagsFormat::Binary))?;
/// assert_eq!(json, r#"{"destPort":443,"protocol":"UNKNOWN","startTime":"2022-11-01T22:46:01.000Z"}"#);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct FlowView<'a> {
    flow: &'a Flow,
    flags: FlagsFormat,
}

impl<'a> FlowView<'a> {
    /// A view of a flow, its TCP flags written in a format.
    pub fn new(flow: &'a Flow, flags: FlagsFormat) -> Self {
        Self { flow, flags }
    }
}

impl Serialize for FlowView<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut object = serializer.serialize_map(None)?;
        for (name, field) in fields() {
            if let Some(cell) = Cell::of(self.flow, *field, self.flags) {
                object.serialize_entry(name, &cell)?;
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
    flags: FlagsFormat,
) -> io::Result<()> {
    out.write_all(b"[")?;
    for (index, stored) in flows.into_iter().enumerate() {
        if index > 0 {
            out.write_all(b",")?;
        }
        serde_json::to_writer(&mut *out, &FlowView::new(&stored.flow, flags))?;
    }
    out.write_all(b"]")
}

/// Writes a flow as one JSON object and a line feed: a line of NDJSON.
///
/// # Errors
/// What `out` fails with; writing into a `Vec` never fails.
pub fn write_line(out: &mut impl io::Write, flow: &Flow, flags: FlagsFormat) -> io::Result<()> {
    serde_json::to_writer(&mut *out, &FlowView::new(flow, flags))?;
    out.write_all(b"\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flow::{FlowFlags, FlowId, Protocol, TcpFlags, Timestamp};

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
        let names: Vec<&str> = fields().iter().map(|(name, _)| *name).collect();
        let contract = "activityID destBytes destIP destNode destPort endTime protocol sourceBytes sourceIP sourceNode \
                        sourcePort startTime tcpFlags";
        assert_eq!(names, contract.split(' ').collect::<Vec<_>>());
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
