//! The flow that the values of a record make.

use super::{
    convert,
    plan::{Alternative, Condition, End, Form, Plan, Test},
    slots::Slots,
};
use crate::{
    flow::{Address, Flow, Meta, Protocol, Timestamp, has_ports},
    import::scalar::{Scalar, is_number},
};

/// Whether a record is a flow.
pub(in crate::import) enum Verdict {
    Flow,
    /// It is something else, which this word tells.
    Other(String),
}

impl Condition {
    fn holds(&self, slots: &Slots<'_>) -> bool {
        let value = slots.get(self.slot);
        if *value == Scalar::Absent {
            return self.absent;
        }
        let text = convert::text(value);
        let is = |known: &String| text.as_deref() == Some(known.as_str());
        match &self.test {
            Test::Present => true,
            Test::Never => false,
            Test::OneOf(values) => values.iter().any(is),
            Test::NoneOf(values) => !values.iter().any(is),
            Test::Contains(part) => text.as_deref().is_some_and(|text| text.contains(part.as_str())),
        }
    }
}

/// What is known of one end.
#[derive(Default)]
struct Side {
    address: Option<Address>,
    port: Option<u16>,
    node: Option<String>,
    bytes: Option<u64>,
    packets: Option<u64>,
}

impl Plan {
    /// Whether a record is a flow.
    pub(in crate::import) fn verdict(&self, slots: &Slots<'_>) -> Verdict {
        match self.only.iter().find(|only| !only.holds(slots)) {
            None => Verdict::Flow,
            Some(only) => Verdict::Other(match convert::text(slots.get(only.slot)) {
                Some(text) => text.into_owned(),
                None => format!("no {}", self.path(only.slot)),
            }),
        }
    }

    /// The flow that the values of a record make; else the reason why they make none.
    pub(in crate::import) fn flow(&self, slots: &Slots<'_>) -> Result<Flow, String> {
        let fields = &self.fields;
        let start = of(&fields.start, slots, convert::time)?;
        let start = start.flatten().ok_or_else(|| {
            let names: Vec<&str> = fields.start.iter().map(|start| start.name.as_str()).collect();
            format!("{}: it is missing, and every flow has a start", names.join(" or "))
        })?;
        let end = match of(&fields.end, slots, convert::time)?.flatten() {
            None => self.end_by_duration(slots, start)?,
            end => end,
        };
        let protocol = of(&fields.protocol, slots, convert::protocol)?.unwrap_or(Protocol::UNKNOWN);
        let sampling = of(&fields.sampling, slots, |value, _| value.packets())?.flatten().unwrap_or(1).max(1);
        let has_ports = protocol == Protocol::UNKNOWN || has_ports(protocol);
        let mut source = side(&fields.source, slots, has_ports, sampling)?;
        let mut dest = side(&fields.dest, slots, has_ports, sampling)?;
        if self.swap.as_ref().is_some_and(|swap| swap.holds(slots)) {
            std::mem::swap(&mut source, &mut dest);
        }
        let has_flags = matches!(protocol, Protocol::UNKNOWN | Protocol::TCP);
        let tcp_flags = if has_flags { of(&fields.tcp_flags, slots, convert::tcp_flags)?.flatten() } else { None };
        Ok(Flow {
            end_time: end,
            protocol,
            src_ip: source.address,
            dst_ip: dest.address,
            src_port: source.port,
            dst_port: dest.port,
            src_bytes: source.bytes,
            dst_bytes: dest.bytes,
            src_packets: source.packets,
            dst_packets: dest.packets,
            src_node: source.node,
            dst_node: dest.node,
            tcp_flags,
            node_id: name(&fields.node_id, slots)?,
            activity_id: name(&fields.activity_id, slots)?,
            flow_flags: of(&fields.flow_flags, slots, |value, _| value.flow_flags())?.flatten(),
            meta: self.meta(slots)?,
            ..Flow::starting(start)
        })
    }

    fn end_by_duration(&self, slots: &Slots<'_>, start: Timestamp) -> Result<Option<Timestamp>, String> {
        let Some(millis) = of(&self.fields.duration, slots, convert::duration)?.flatten() else { return Ok(None) };
        let end = start.as_millis().checked_add(millis).and_then(Timestamp::from_millis);
        end.map(Some).ok_or_else(|| {
            let name = self.fields.duration.first().map_or("", |duration| duration.name.as_str());
            format!("{name}: the end lies outside the years 0 to 9999")
        })
    }

    fn meta(&self, slots: &Slots<'_>) -> Result<Option<Meta>, String> {
        let fields = &self.fields;
        if let Some(meta) = of(&fields.meta, slots, |value, _| value.meta())?.flatten() {
            return Ok(Some(meta));
        }
        let mut text = String::new();
        for (key, alternatives) in &fields.members {
            let Some((_, value)) = pick(alternatives, slots) else { continue };
            text.push(if text.is_empty() { '{' } else { ',' });
            push_json(&mut text, key);
            text.push(':');
            match &value {
                Scalar::Number(json) | Scalar::Object(json) | Scalar::List(json) => text.push_str(json),
                Scalar::Other(json) => text.push_str(json),
                Scalar::Integer(number) => text.push_str(&number.to_string()),
                Scalar::Float(number) => push_json(&mut text, number),
                // A number in separated text is a number still.
                Scalar::Text(value) if self.separated.is_some() && is_number(value) => text.push_str(value),
                Scalar::Text(value) => push_json(&mut text, value),
                Scalar::Time(time) => push_json(&mut text, time),
                Scalar::Address(address) => push_json(&mut text, &address.to_string()),
                Scalar::Absent => text.push_str("null"),
            }
        }
        if text.is_empty() {
            return Ok(None);
        }
        text.push('}');
        text.parse().map(Some).map_err(|reason| format!("meta: {reason}"))
    }
}

/// The alternative that counts, and its value.
fn pick<'a, 'p: 'a>(alternatives: &'p [Alternative], slots: &Slots<'a>) -> Option<(&'p Alternative, Scalar<'a>)> {
    alternatives.iter().find_map(|alternative| {
        if alternative.when.as_ref().is_some_and(|when| !when.holds(slots)) {
            return None;
        }
        let value = convert::value(&alternative.origin, slots);
        (value != Scalar::Absent).then_some((alternative, value))
    })
}

/// The field that the alternative that counts gives; `None` where none is there.
fn of<T>(
    alternatives: &[Alternative],
    slots: &Slots<'_>,
    convert: impl FnOnce(&Scalar<'_>, &Form) -> Result<T, String>,
) -> Result<Option<T>, String> {
    let Some((alternative, value)) = pick(alternatives, slots) else { return Ok(None) };
    convert(&value, &alternative.form).map(Some).map_err(|reason| format!("{}: {reason}", alternative.name))
}

fn name(alternatives: &[Alternative], slots: &Slots<'_>) -> Result<Option<String>, String> {
    Ok(of(alternatives, slots, |value, _| match value {
        Scalar::Text(_) | Scalar::Absent => value.clone().name(),
        // Numbers are names where others write them so.
        other => convert::text(other).map_or_else(|| other.clone().name(), |text| Scalar::text(text).name()),
    })?
    .flatten())
}

fn side(end: &End, slots: &Slots<'_>, has_ports: bool, sampling: u64) -> Result<Side, String> {
    let both = of(&end.both, slots, |value, _| convert::endpoint(value))?.flatten();
    let port = both.and_then(|both| both.1).filter(|_| has_ports);
    let mut side = Side { address: both.map(|both| both.0), port, ..Side::default() };
    if side.address.is_none() {
        side.address = of(&end.address, slots, |value, _| value.address())?.flatten();
    }
    // What stands for ports of protocols without them is something else, such as type and code of ICMP.
    if side.port.is_none() && has_ports {
        side.port = of(&end.port, slots, |value, _| value.port())?.flatten();
    }
    side.node = name(&end.node, slots)?;
    side.bytes = count(&end.bytes, slots, sampling, |value| value.bytes())?;
    side.packets = count(&end.packets, slots, sampling, |value| value.packets())?;
    Ok(side)
}

/// A number of bytes or packets, as often as it was sampled.
fn count(
    alternatives: &[Alternative],
    slots: &Slots<'_>,
    sampling: u64,
    read: impl Fn(&Scalar<'_>) -> Result<Option<u64>, String>,
) -> Result<Option<u64>, String> {
    let counted = of(alternatives, slots, |value, form| {
        let Some(number) = read(value)? else { return Ok(None) };
        let less = match form {
            Form::Minus(slot) => match read(slots.get(*slot))? {
                Some(less) => less,
                None => return Ok(None),
            },
            _ => 0,
        };
        let number = number.checked_sub(less).ok_or_else(|| format!("{number} is less than {less}"))?;
        let sampled = number.checked_mul(sampling);
        sampled.map(Some).ok_or_else(|| format!("{number}, sampled 1 in {sampling}, is too large"))
    });
    counted.map(Option::flatten)
}

fn push_json(text: &mut String, value: &(impl serde::Serialize + ?Sized)) {
    // Texts and numbers are always JSON.
    text.push_str(&serde_json::to_string(value).unwrap_or_else(|_| "null".to_owned()));
}
