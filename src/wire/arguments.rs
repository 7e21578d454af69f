//! The values that a query string gives, by parameter.

use super::{
    decode::{Plus, decode, pairs},
    field_name::field_names,
    parameter::Parameter,
    problem::{Problems, nearest, quote},
};

/// The values of each parameter, decoded and never empty, in the order given.
#[derive(Debug, Default)]
pub(super) struct Arguments(Vec<(&'static Parameter, Vec<String>)>);

impl Arguments {
    /// Reads a query string; what is unknown, repeated or badly encoded is a problem.
    pub(super) fn read(query: &str, known: Vec<&'static Parameter>, problems: &mut Problems) -> Self {
        let mut arguments = Self(known.iter().map(|parameter| (*parameter, Vec::new())).collect());
        for (name, value) in pairs(query) {
            let name = decode(name, Plus::Space).unwrap_or_else(|_| name.to_owned());
            let Some((parameter, values)) = arguments.0.iter_mut().find(|(parameter, _)| parameter.name == name) else {
                problems.push(|| unknown(&name, &known));
                continue;
            };
            let plus = if parameter.kind.keeps_plus() { Plus::Itself } else { Plus::Space };
            match decode(value, plus) {
                Ok(value) if value.is_empty() => (),
                Ok(value) => values.push(value),
                Err(why) => problems.push(|| format!("`{name}`: {} {why}", quote(value))),
            }
        }
        for (parameter, values) in &arguments.0 {
            if values.len() > 1 && !parameter.is_repeatable() {
                problems.push(|| format!("`{}`: is given {} times; allowed: once", parameter.name, values.len()));
            }
        }
        arguments
    }

    /// The parameter of this name, if it is known here.
    pub(super) fn parameter(&self, name: &str) -> Option<&'static Parameter> {
        self.0.iter().find(|(parameter, _)| parameter.name == name).map(|(parameter, _)| *parameter)
    }

    /// The values of the parameter of this name; none where it is absent or empty.
    pub(super) fn values(&self, name: &str) -> &[String] {
        let found = self.0.iter().find(|(parameter, _)| parameter.name == name);
        found.map_or(&[], |(_, values)| values.as_slice())
    }
}

fn unknown(name: &str, known: &[&'static Parameter]) -> String {
    let shown = quote(name);
    let shown = shown.trim_matches('"');
    match meant(name, known) {
        Some(meant) => format!("`{shown}` is not a parameter; did you mean `{meant}`?"),
        None => {
            let names: Vec<&str> = known.iter().map(|parameter| parameter.name).collect();
            format!("`{shown}` is not a parameter; allowed: {}", names.join(", "))
        }
    }
}

/// What others call parameters of a summary, or a page has for them.
const OTHER_NAMES: [(&str, &str); 7] = [
    ("limit", "top"),
    ("sort", "measure"),
    ("groupBy", "by"),
    ("group_by", "by"),
    ("interval", "every"),
    ("bucket", "every"),
    ("step", "every"),
];

/// The parameter that a near miss means: one that is spelt alike, or the one that filters by a field of that name.
fn meant(name: &str, known: &[&'static Parameter]) -> Option<&'static str> {
    let is_known = |name: &str| known.iter().any(|parameter| parameter.name == name);
    let itself = |parameter: &&'static Parameter| (parameter.name.to_owned(), parameter.name);
    let others = OTHER_NAMES.into_iter().filter(|(_, meant)| is_known(meant));
    let others = others.map(|(name, meant)| (name.to_owned(), meant));
    let filters = field_names().filter_map(|(name, field)| Some((name, field.column().parameter?)));
    let of_fields = filters.flat_map(|(name, parameter)| {
        let operator = Parameter::named(&format!("{parameter}Op"));
        let operators = operator.map(|operator| ["Op", "_op"].map(|end| (format!("{name}{end}"), operator.name)));
        operators.into_iter().flatten().chain([(name.to_owned(), parameter)])
    });
    nearest(name, known.iter().map(itself).chain(of_fields).chain(others))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        flow::Field,
        wire::{PARAMETERS, all_fields},
    };

    fn suggestion(name: &str) -> Option<String> {
        let sentence = unknown(name, &PARAMETERS.iter().collect::<Vec<_>>());
        let (_, meant) = sentence.split_once("did you mean `")?;
        Some(meant.trim_end_matches("`?").to_owned())
    }

    #[test]
    fn a_field_s_name_suggests_its_parameter() {
        for (column, parameter) in [
            ("start_time", "sTime"),
            ("end_time", "eTime"),
            ("src_ip", "srcIp"),
            ("dst_ip", "dstIp"),
            ("src_port", "srcPort"),
            ("dst_port", "dstPort"),
            ("tcp_flags", "tcpFlags"),
            ("src_node", "srcNode"),
            ("dst_node", "dstNode"),
            ("node_id", "node"),
        ] {
            let field = Field::named(column).unwrap();
            let shown = all_fields().iter().filter(|(_, shown)| *shown == field).map(|(name, _)| *name);
            for name in shown.chain([column]).filter(|name| Parameter::named(name).is_none()) {
                assert_eq!(suggestion(name).as_deref(), Some(parameter), "{name}");
                assert_eq!(suggestion(&name.to_uppercase()).as_deref(), Some(parameter), "{name}");
                let operator = format!("{parameter}Op");
                if Parameter::named(&operator).is_some() {
                    assert_eq!(suggestion(&format!("{name}Op")), Some(operator), "{name}");
                }
            }
        }
        for (name, parameter) in [("nodeId", "node"), ("nodeID", "node"), ("sourceIp", "srcIp"), ("destIp", "dstIp")] {
            assert_eq!(suggestion(name).as_deref(), Some(parameter), "{name}");
        }
        for name in ["flow_id", "src_bytes", "destBytes", "activityID", "activity_id"] {
            assert_eq!(suggestion(name), None, "{name}");
        }
    }
}
