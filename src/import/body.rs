//! A body of JSON: lines, or one array.

use std::fmt;

use serde::{
    Deserializer,
    de::{SeqAccess, Visitor},
};
use serde_json::value::RawValue;

use super::{flow_json, format::Format, head::BYTE_ORDER_MARK, parsed::Parsed, parser::LineParser, remarks::Remarks};
use crate::{
    error::{Error, ErrorKind, Result},
    flow::Flow,
};

/// Reads a body of JSON, in memory: an array of objects, or an object a line, as the [module](super) describes them. `each` gets
/// the number of each record, from 1 on, and the flow that it is or the reason why it is none. Of lines, blank ones count.
///
/// # Errors
/// [`ErrorKind::InvalidInput`] where what begins as an array is none: which byte is wrong. What `each` was given before is not to
/// be used then, as the rest of the body is lost.
///
/// ```
/// use flowseek::import::read_json;
///
/// let mut ports = Vec::new();
/// let body = br#"[{"startTime":1666012671,"destPort":443}, {"startTime":1666012672,"destPort":70000}]"#;
/// let remarks = read_json(body, |number, record| match record {
///     Ok(flow) => ports.push(flow.dst_port),
///     Err(reason) => assert_eq!((number, reason.as_str()), (2, "destPort: 70000 is not a port from 0 to 65535")),
/// })?;
/// assert_eq!(ports, [Some(443)]);
/// assert!(remarks.unknown_keys().is_empty());
/// # Ok::<(), flowseek::Error>(())
/// ```
pub fn read_json(body: &[u8], mut each: impl FnMut(u64, Result<Flow, String>)) -> Result<Remarks> {
    let text = body.strip_prefix(BYTE_ORDER_MARK).unwrap_or(body).trim_ascii_start();
    if text.first() == Some(&b'[') {
        let mut remarks = Remarks::default();
        let mut json = serde_json::Deserializer::from_slice(text);
        let read = json.deserialize_seq(Elements { each, remarks: &mut remarks }).and_then(|()| json.end());
        return match read {
            Ok(()) => Ok(remarks),
            Err(error) => Err(Error::with(ErrorKind::InvalidInput, "the body is no JSON array of objects")(error)),
        };
    }
    let mut parser = LineParser::new(Format::Json);
    for (number, line) in (1..).zip(body.split_inclusive(|byte| *byte == b'\n')) {
        let parsed = if line.ends_with(b"\n") { parser.parse(line) } else { parser.parse_unended(line) };
        match parsed {
            Parsed::Flow(flow) => each(number, Ok(flow)),
            Parsed::Rejected(reason) => each(number, Err(reason)),
            Parsed::Blank | Parsed::Skipped | Parsed::Several(_) => {}
        }
    }
    Ok(parser.take_remarks())
}

struct Elements<'r, F> {
    each: F,
    remarks: &'r mut Remarks,
}

impl<'de, F: FnMut(u64, Result<Flow, String>)> Visitor<'de> for Elements<'_, F> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of objects")
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut elements: A) -> Result<(), A::Error> {
        let mut number = 1;
        while let Some(element) = elements.next_element::<&RawValue>()? {
            (self.each)(number, flow_json::parse(element.get(), &mut self.remarks.unknown));
            number += 1;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flow::{Timestamp, sample};
    use proptest::prelude::*;

    fn read(body: &[u8]) -> Result<Vec<(u64, Result<i64, String>)>> {
        let mut records = Vec::new();
        let millis = |flow: Flow| flow.start_time.as_millis();
        read_json(body, |number, record| records.push((number, record.map(millis))))?;
        Ok(records)
    }

    #[test]
    fn arrays_and_lines_are_told_apart_and_every_record_has_its_number() {
        let one = || r#"{"startTime":1}"#;
        let missing = || Err("startTime: it is missing, and every flow has a start".to_owned());
        for (body, records) in [
            (String::new(), vec![]),
            (" \n".to_owned(), vec![]),
            ("[]".to_owned(), vec![]),
            (" [ ] \n".to_owned(), vec![]),
            (format!("[{},{{}},{}]", one(), one()), vec![(1, Ok(1000)), (2, missing()), (3, Ok(1000))]),
            (format!("\u{feff}[\n{}\n]\n", one()), vec![(1, Ok(1000))]),
            (format!("{}\n\n{{}}\n{}", one(), one()), vec![(1, Ok(1000)), (3, missing()), (4, Ok(1000))]),
            ("[7]".to_owned(), vec![(1, Err("not a JSON object".to_owned()))]),
        ] {
            assert_eq!(read(body.as_bytes()).unwrap(), records, "{body}");
        }
    }

    #[test]
    fn an_array_that_is_broken_off_is_refused_as_a_whole() {
        for body in ["[", "[{\"startTime\":1}", "[{\"startTime\":1},", "[{\"startTime\":1}]]", "[1 2]", "[\"\u{fffd}"] {
            let error = read(body.as_bytes()).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidInput);
            assert!(error.to_string().starts_with("the body is no JSON array of objects: "), "{error}");
        }
        assert!(read(b"[\"\xff\"]").is_err());
    }

    proptest! {
        #[test]
        fn no_body_panics_and_both_forms_give_the_same_flows(flows in sample::flows(8), cut in any::<prop::sample::Index>()) {
            let millis = |stored: &crate::flow::StoredFlow| stored.flow.start_time;
            let object = |time: Timestamp| format!(r#"{{"startTime":"{time}"}}"#);
            let objects: Vec<String> = flows.iter().map(|stored| object(millis(stored))).collect();
            let (lines, array) = (objects.join("\n"), format!("[{}]", objects.join(", ")));
            prop_assert_eq!(read(lines.as_bytes()).unwrap(), read(array.as_bytes()).unwrap());
            let _ = read(&array.as_bytes()[..cut.index(array.len())]);
            let _ = read(&lines.as_bytes()[..cut.index(lines.len() + 1)]);
        }
    }
}
