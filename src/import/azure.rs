//! Flow logs of Azure: flows as tuples of text, in lists within lists. The mapping is in the documentation of
//! [`import`](super).

use std::collections::HashMap;

use serde::Deserialize;

use super::{
    Parsed, object,
    remarks::Remarks,
    scalar::{Scalar, of},
};
use crate::flow::{Flow, Protocol, Timestamp, has_ports};

/// The key of the array that holds the records of a log.
pub(super) const RECORDS: &str = "records";

/// Whether an object, as far as it can be read, is a record of such a log.
pub(super) fn is_record(text: &str) -> bool {
    let (mut is_network, mut is_group) = (false, [false; 2]);
    // Of a record that is cut off, what there is of it counts.
    let _: Result<(), String> = object::read(text, |key, _| {
        is_network |= key == "flowLogVersion";
        is_group[0] |= key == "systemId";
        is_group[1] |= key == "macAddress";
        Ok(())
    });
    is_network || is_group == [true; 2]
}

/// A record: the flows of one interface in one minute.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Record<'a> {
    #[serde(borrow, default)]
    mac_address: Option<&'a str>,
    /// Of virtual networks.
    #[serde(borrow, default)]
    flow_records: Option<Flows<Network<'a>>>,
    /// Of network security groups.
    #[serde(borrow, default)]
    properties: Option<Flows<Group<'a>>>,
}

#[derive(Deserialize)]
struct Flows<T> {
    #[serde(default = "Vec::new")]
    flows: Vec<T>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Network<'a> {
    #[serde(borrow, default)]
    flow_groups: Vec<Rule<'a>>,
}

#[derive(Deserialize)]
struct Group<'a> {
    #[serde(borrow)]
    rule: std::borrow::Cow<'a, str>,
    #[serde(borrow, default)]
    flows: Vec<Interface<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Interface<'a> {
    #[serde(borrow, default)]
    mac: Option<&'a str>,
    #[serde(borrow, default)]
    flow_tuples: Vec<&'a str>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Rule<'a> {
    #[serde(borrow)]
    rule: std::borrow::Cow<'a, str>,
    #[serde(borrow, default)]
    flow_tuples: Vec<&'a str>,
}

/// How the tuples of a log are written.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Layout {
    /// `ms,src,dst,sport,dport,proto,direction,state,encryption,packets>,bytes>,packets<,bytes<`
    Network,
    /// `s,src,dst,sport,dport,T|U,direction,A|D[,state,packets>,bytes>,packets<,bytes<]`
    Group,
}

/// Reads a record.
pub(super) fn parse(line: &str, remarks: &mut Remarks) -> Parsed {
    let record: Record<'_> = match serde_json::from_str(line) {
        Ok(record) => record,
        Err(error) => return Parsed::Rejected(object::fault(&error)),
    };
    let mut parts = Vec::new();
    let node = record.mac_address;
    for network in record.flow_records.iter().flat_map(|records| &records.flows) {
        for group in &network.flow_groups {
            tuples(&group.flow_tuples, Layout::Network, &group.rule, node, &mut parts, remarks);
        }
    }
    for group in record.properties.iter().flat_map(|properties| &properties.flows) {
        for interface in &group.flows {
            tuples(&interface.flow_tuples, Layout::Group, &group.rule, interface.mac.or(node), &mut parts, remarks);
        }
    }
    if parts.is_empty() {
        if record.flow_records.is_none() && record.properties.is_none() {
            return Parsed::Rejected("flowRecords: it is missing, and so is properties".to_owned());
        }
        remarks.skipped.add("no flows in the record", 1, || None);
        return Parsed::Skipped;
    }
    Parsed::Several(parts)
}

/// The flows of a list of tuples. Those of one flow follow on one another: one that begins it, which has no counts, and others
/// with what was counted since the one before. Together they are one flow. For example
///
/// ```text
/// 1663146003599,10.0.0.6,192.0.2.180,23956,443,6,O,B,NX,0,0,0,0
/// 1663146003606,10.0.0.6,192.0.2.180,23956,443,6,O,E,NX,3,767,2,1580
/// ```
///
/// is a flow of 7 milliseconds, of which 767 bytes were sent.
fn tuples<'a>(
    tuples: &[&'a str],
    layout: Layout,
    rule: &str,
    node: Option<&str>,
    parts: &mut Vec<Parsed>,
    remarks: &mut Remarks,
) {
    let mut flows: Vec<(Tuple<'a>, usize)> = Vec::new();
    let mut places: HashMap<&'a str, usize> = HashMap::new();
    for (number, text) in (1..).zip(tuples) {
        let tuple = match Tuple::parse(text, layout) {
            Ok(tuple) => tuple,
            Err(reason) => {
                parts.push(Parsed::Rejected(format!("rule {}, tuple {number}: {reason}", Scalar::text(rule).shown())));
                continue;
            }
        };
        let known = places.get(tuple.key).copied().and_then(|place| flows.get_mut(place));
        match known.filter(|(known, _)| !tuple.is_begin && !known.is_whole) {
            Some((known, _)) => known.add(&tuple),
            None => {
                places.insert(tuple.key, flows.len());
                flows.push((tuple, number));
            }
        }
    }
    for (tuple, number) in flows {
        if tuple.is_begin && tuple.counts == [None; 4] {
            // What is counted of it comes with the next record.
            remarks.skipped.add("flows that only begin", 1, || None);
            parts.push(Parsed::Skipped);
            continue;
        }
        parts.push(match tuple.into_flow(rule, node) {
            Ok(flow) => Parsed::Flow(flow),
            Err(reason) => Parsed::Rejected(format!("rule {}, tuple {number}: {reason}", Scalar::text(rule).shown())),
        });
    }
}

/// One tuple, or several of one flow.
struct Tuple<'a> {
    /// What all tuples of a flow have in common: from the source to the direction.
    key: &'a str,
    start: Timestamp,
    end: Option<Timestamp>,
    decision: &'a str,
    /// Whether it begins a flow.
    is_begin: bool,
    /// Whether it was the last of its flow.
    is_whole: bool,
    /// Packets and bytes of the source, and of the destination.
    counts: [Option<u64>; 4],
}

impl<'a> Tuple<'a> {
    fn parse(text: &'a str, layout: Layout) -> Result<Self, String> {
        let (time, rest) = text.split_once(',').ok_or("it is no tuple")?;
        let commas = rest.match_indices(',').map(|(place, _)| place);
        let end = commas.clone().nth(5).ok_or("it has fewer than 8 fields")?;
        let key = rest.get(..end).unwrap_or_default();
        let mut fields = rest.get(end + 1..).unwrap_or_default().split(',');
        let first = fields.next().unwrap_or_default();
        let (decision, state) = match layout {
            Layout::Network => {
                // Whether the network encrypts it.
                fields.next();
                (if first == "D" { "D" } else { "A" }, first)
            }
            // Version 1 has no states: each of its tuples is a flow without counts.
            Layout::Group => (first, fields.next().unwrap_or("D")),
        };
        if !["B", "C", "E", "D"].contains(&state) {
            return Err(format!("state: {} is none of B, C, E and D", Scalar::text(state).shown()));
        }
        let mut counts = [None; 4];
        for (place, name) in counts.iter_mut().zip(["packets sent", "bytes sent", "packets received", "bytes received"])
        {
            let value = fields.next().map_or(Scalar::Absent, Scalar::text);
            *place = value.bytes().map_err(of(name))?;
        }
        if layout == Layout::Network && state != "C" && state != "E" {
            // A flow that begins, or is denied, has zeros for what was not counted.
            counts = [None; 4];
        }
        let start = time_of(time, layout)?;
        Ok(Self {
            key,
            start,
            end: None,
            decision,
            is_begin: state == "B",
            is_whole: state == "E" || state == "D",
            counts,
        })
    }

    /// Takes in the next tuple of the same flow.
    fn add(&mut self, next: &Self) {
        self.end = Some(next.start);
        self.is_whole = next.is_whole;
        for (count, more) in self.counts.iter_mut().zip(next.counts) {
            *count = match (*count, more) {
                (Some(count), Some(more)) => Some(count.saturating_add(more)),
                (count, more) => count.or(more),
            };
        }
    }

    fn into_flow(self, rule: &str, node: Option<&str>) -> Result<Flow, String> {
        let mut fields = self.key.split(',').map(Scalar::text);
        let mut next = || fields.next().unwrap_or_default();
        let (source, dest, source_port, dest_port) = (next(), next(), next(), next());
        let protocol = match next() {
            Scalar::Text(letter) if letter == "T" => Protocol::TCP,
            Scalar::Text(letter) if letter == "U" => Protocol::UDP,
            other => other.protocol().map_err(of("protocol"))?,
        };
        let port = |port: Scalar<'_>, name| {
            if has_ports(protocol) { port.port().map_err(of(name)) } else { Ok(None) }
        };
        let [src_packets, src_bytes, dst_packets, dst_bytes] = self.counts;
        let direction = match next() {
            Scalar::Text(direction) => direction.into_owned(),
            _ => String::new(),
        };
        let meta = serde_json::json!({ "rule": rule, "direction": direction, "decision": self.decision });
        Ok(Flow {
            end_time: self.end,
            protocol,
            src_ip: source.address().map_err(of("source"))?,
            dst_ip: dest.address().map_err(of("destination"))?,
            src_port: port(source_port, "source port")?,
            dst_port: port(dest_port, "destination port")?,
            src_bytes,
            dst_bytes,
            src_packets,
            dst_packets,
            node_id: node.map_or(Scalar::Absent, Scalar::text).name().map_err(of("macAddress"))?,
            meta: meta.to_string().parse().map(Some).map_err(|reason| format!("rule: {reason}"))?,
            ..Flow::starting(self.start)
        })
    }
}

/// Milliseconds or seconds of Unix time.
fn time_of(text: &str, layout: Layout) -> Result<Timestamp, String> {
    let number = text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse::<i64>().ok()).flatten();
    let millis =
        number.and_then(|number| if layout == Layout::Network { Some(number) } else { number.checked_mul(1000) });
    let unit = if layout == Layout::Network { "milliseconds" } else { "seconds" };
    millis
        .and_then(Timestamp::from_millis)
        .ok_or_else(|| format!("time: {} is not a number of Unix {unit}", Scalar::text(text).shown()))
}
