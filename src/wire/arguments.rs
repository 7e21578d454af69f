//! The values that a query string gives, by parameter.

use super::{
    decode::{Plus, decode, pairs},
    parameter::{PARAMETERS, Parameter},
    problem::{Problems, nearest, quote},
};

/// The values of each parameter, decoded and never empty, in the order given.
#[derive(Debug, Default)]
pub(super) struct Arguments(Vec<(&'static Parameter, Vec<String>)>);

impl Arguments {
    /// Reads a query string; what is unknown, repeated or badly encoded is a problem.
    pub(super) fn read(query: &str, problems: &mut Problems) -> Self {
        let mut arguments = Self(PARAMETERS.iter().map(|parameter| (parameter, Vec::new())).collect());
        for (name, value) in pairs(query) {
            let name = decode(name, Plus::Space).unwrap_or_else(|_| name.to_owned());
            let Some((parameter, values)) = arguments.0.iter_mut().find(|(parameter, _)| parameter.name == name) else {
                problems.push(|| unknown(&name));
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

    /// The values of the parameter of this name; none where it is absent or empty.
    pub(super) fn values(&self, name: &str) -> &[String] {
        let found = self.0.iter().find(|(parameter, _)| parameter.name == name);
        found.map_or(&[], |(_, values)| values.as_slice())
    }
}

fn unknown(name: &str) -> String {
    let shown = quote(name);
    let shown = shown.trim_matches('"');
    match nearest(name, PARAMETERS.iter().map(|parameter| parameter.name)) {
        Some(meant) => format!("`{shown}` is not a parameter; did you mean `{meant}`?"),
        None => {
            let known: Vec<&str> = PARAMETERS.iter().map(|parameter| parameter.name).collect();
            format!("`{shown}` is not a parameter; allowed: {}", known.join(", "))
        }
    }
}
