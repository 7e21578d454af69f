//! A mapping from the text of its file.

use super::{
    document::{self, Table, Value},
    plan::{Alternative, Condition, End, Fields, Form, MOST_PATHS, Origin, Plan, Separated, Test, keys},
    time::{Pattern, TimeForm, UNITS, offset_seconds},
};
use crate::{
    error::ParseError,
    flow::{Protocol, protocol_named},
};

/// The keys of a file.
const KEYS: [&str; 14] = [
    "input",
    "separator",
    "quote",
    "comment",
    "columns",
    "ends",
    "records",
    "each",
    "detect",
    "only",
    "swap",
    "absent",
    "offset",
    "flow",
];

/// What an input is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Input {
    Json,
    Separated,
    Parquet,
}

const INPUTS: [(&str, Input); 3] =
    [("json", Input::Json), ("separated", Input::Separated), ("parquet", Input::Parquet)];

/// What kind of value a field takes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Time,
    Duration,
    Protocol,
    Flags,
    Count,
    Other,
}

/// Reads a file.
pub(super) fn read(text: &str) -> Result<Plan, ParseError> {
    let file = document::parse(text)?;
    let root = Table::root(text, &file);
    root.allow(&KEYS)?;
    let mut reader = Reader { plan: Plan::default(), offset_seconds: 0 };
    reader.input(&root)?;
    if let Some(offset) = root.get("offset") {
        let wrong = || offset.fault("the offset is none such as \"+02:00\"");
        reader.offset_seconds = offset_seconds(offset.text()?).ok_or_else(wrong)?;
    }
    reader.plan.absent = texts(root.get("absent"))?;
    for each in root.get("each").iter().flat_map(Value::list) {
        if !reader.plan.is_json || reader.plan.is_parquet || reader.plan.separated.is_some() {
            return Err(each.fault("only records of JSON have lists: the input is not \"json\" alone"));
        }
        let slot = reader.slot(&each, each.text()?)?;
        reader.plan.each.push(slot);
    }
    for only in root.get("only").iter().flat_map(Value::list) {
        let condition = reader.condition(&only)?;
        reader.plan.only.push(condition);
    }
    reader.plan.swap = root.get("swap").map(|swap| reader.condition(&swap)).transpose()?;
    let flow =
        root.get("flow").ok_or_else(|| root.fault("the table [flow] is missing: it says where fields come from"))?;
    reader.plan.fields = reader.fields(&flow.table()?)?;
    reader.detect(&root)?;
    Ok(reader.plan)
}

/// The texts of a list, or the one that stands for a list of it.
fn texts(value: Option<Value<'_>>) -> Result<Vec<String>, ParseError> {
    value.iter().flat_map(Value::list).map(|text| text.text().map(str::to_owned)).collect()
}

struct Reader {
    plan: Plan,
    offset_seconds: i64,
}

impl Reader {
    fn input(&mut self, root: &Table<'_>) -> Result<(), ParseError> {
        let input = root.get("input").ok_or_else(|| {
            root.fault("the key input is missing: it is \"json\", \"separated\" or \"parquet\", or a list of these")
        })?;
        for kind in input.list() {
            match kind.one_of(&INPUTS)? {
                Input::Json => self.plan.is_json = true,
                Input::Parquet => self.plan.is_parquet = true,
                Input::Separated => self.plan.separated = Some(separated(root)?),
            }
        }
        if self.plan.separated.is_some() && (self.plan.is_json || self.plan.is_parquet) {
            return Err(input.fault("\"separated\" stands alone: its columns have names, and the others have paths"));
        }
        for key in ["separator", "quote", "comment", "columns", "ends"] {
            if let Some(value) = root.get(key).filter(|_| self.plan.separated.is_none()) {
                return Err(value.fault("only an input that is \"separated\" has it"));
            }
        }
        if let Some(records) = root.get("records") {
            if !self.plan.is_json {
                return Err(records.fault("only an input that is \"json\" has it"));
            }
            self.plan.records = Some(records.text()?.to_owned());
        }
        Ok(())
    }

    /// The slot of a path.
    fn slot(&mut self, value: &Value<'_>, path: &str) -> Result<usize, ParseError> {
        if path.is_empty() {
            return Err(value.fault("a path is empty"));
        }
        if let Some(slot) = self.plan.paths.names.iter().position(|known| known == path) {
            return Ok(slot);
        }
        let slot = self.plan.paths.names.len();
        if slot == MOST_PATHS {
            return Err(value.fault(format!("a mapping has at most {MOST_PATHS} paths")));
        }
        let paths = &mut self.plan.paths;
        if self.plan.separated.is_some() {
            paths.record.insert([path].into_iter(), slot);
        } else if let Some(inner) = path.strip_prefix("[].") {
            if self.plan.each.is_empty() {
                return Err(
                    value.fault(format!("{path:?} is a path from an element on, and the key each names no list"))
                );
            }
            let keys = keys(inner);
            paths.element.insert(keys.iter().map(String::as_str), slot);
            paths.of_elements.push(slot);
        } else {
            let keys = keys(path);
            paths.record.insert(keys.iter().map(String::as_str), slot);
        }
        paths.names.push(path.to_owned());
        Ok(slot)
    }

    fn condition(&mut self, value: &Value<'_>) -> Result<Condition, ParseError> {
        let table = value.table()?;
        table.allow(&["path", "values", "not", "contains", "absent"])?;
        let path = table.get("path").ok_or_else(|| table.fault("the key path is missing"))?;
        let slot = self.slot(&path, path.text()?)?;
        let words = |value: &Value<'_>| -> Result<Vec<String>, ParseError> {
            value.list().iter().map(|word| Ok(word.word()?.into_owned())).collect()
        };
        let given = [table.get("values"), table.get("not"), table.get("contains")];
        let absent = table.get("absent").map(|absent| absent.flag()).transpose()?;
        let test = match &given {
            [None, None, None] if absent == Some(true) => Test::Never,
            [None, None, None] => Test::Present,
            [Some(values), None, None] => Test::OneOf(words(values)?),
            [None, Some(values), None] => Test::NoneOf(words(values)?),
            [None, None, Some(part)] => Test::Contains(part.text()?.to_owned()),
            _ => return Err(table.fault("only one of values, not and contains is allowed")),
        };
        // A value that is absent is none of some values.
        let absent = absent.unwrap_or(matches!(test, Test::NoneOf(_)));
        Ok(Condition { slot, test, absent })
    }

    fn fields(&mut self, flow: &Table<'_>) -> Result<Fields, ParseError> {
        const FIELDS: [&str; 22] = [
            "startTime",
            "endTime",
            "duration",
            "protocol",
            "source",
            "dest",
            "sourceIP",
            "destIP",
            "sourcePort",
            "destPort",
            "sourceBytes",
            "destBytes",
            "sourcePackets",
            "destPackets",
            "sourceNode",
            "destNode",
            "tcpFlags",
            "sampling",
            "nodeId",
            "activityID",
            "flags",
            "meta",
        ];
        flow.allow(&FIELDS)?;
        let mut fields = Fields::default();
        if flow.get("startTime").is_none() {
            return Err(flow.fault("the key startTime is missing: every flow has a start"));
        }
        for (key, value) in flow.members() {
            let Fields { source, dest, .. } = &mut fields;
            let (place, kind) = match key {
                "startTime" => (&mut fields.start, Kind::Time),
                "endTime" => (&mut fields.end, Kind::Time),
                "duration" => (&mut fields.duration, Kind::Duration),
                "protocol" => (&mut fields.protocol, Kind::Protocol),
                "tcpFlags" => (&mut fields.tcp_flags, Kind::Flags),
                "sampling" => (&mut fields.sampling, Kind::Other),
                "nodeId" => (&mut fields.node_id, Kind::Other),
                "activityID" => (&mut fields.activity_id, Kind::Other),
                "flags" => (&mut fields.flow_flags, Kind::Other),
                "meta" => {
                    (fields.meta, fields.members) = self.meta(&value)?;
                    continue;
                }
                key => match key.strip_prefix("source") {
                    Some(part) => end(source, part),
                    None => end(dest, key.strip_prefix("dest").unwrap_or_default()),
                },
            };
            *place = self.alternatives(&value, kind)?;
        }
        Ok(fields)
    }

    /// A whole object, or the members of one.
    #[expect(clippy::type_complexity, reason = "the two are told apart by the caller alone")]
    fn meta(&mut self, value: &Value<'_>) -> Result<(Vec<Alternative>, Vec<(String, Vec<Alternative>)>), ParseError> {
        if !value.is_table() {
            return Ok((self.alternatives(value, Kind::Other)?, Vec::new()));
        }
        let mut members = Vec::new();
        for (key, value) in value.table()?.members() {
            members.push((key.to_owned(), self.alternatives(&value, Kind::Other)?));
        }
        Ok((Vec::new(), members))
    }

    fn alternatives(&mut self, value: &Value<'_>, kind: Kind) -> Result<Vec<Alternative>, ParseError> {
        value.list().iter().map(|value| self.alternative(value, kind)).collect()
    }

    fn alternative(&mut self, value: &Value<'_>, kind: Kind) -> Result<Alternative, ParseError> {
        if !value.is_table() {
            let name = value.text()?.to_owned();
            let origin = Origin::Slot(self.slot(value, &name)?);
            return Ok(Alternative { name, origin, when: None, form: plain(kind) });
        }
        let table = value.table()?;
        let more: &[&str] = match kind {
            Kind::Time => &["time"],
            Kind::Duration => &["unit"],
            Kind::Protocol => &["names", "otherwise"],
            Kind::Flags => &["hexadecimal"],
            Kind::Count => &["minus"],
            Kind::Other => &[],
        };
        table.allow(&[&["path", "constant", "join", "with", "when"], more].concat())?;
        let (name, origin) = self.origin(&table)?;
        let when = table.get("when").map(|when| self.condition(&when)).transpose()?;
        Ok(Alternative { name, origin, when, form: self.form(&table, kind)? })
    }

    fn origin(&mut self, table: &Table<'_>) -> Result<(String, Origin), ParseError> {
        if let Some(with) = table.get("with").filter(|_| table.get("join").is_none()) {
            return Err(with.fault("only paths that are joined have a text between"));
        }
        match (table.get("path"), table.get("constant"), table.get("join")) {
            (Some(path), None, None) => {
                let name = path.text()?.to_owned();
                let slot = self.slot(&path, &name)?;
                Ok((name, Origin::Slot(slot)))
            }
            (None, Some(constant), None) => {
                let text = constant.word()?.into_owned();
                Ok((text.clone(), Origin::Constant(text)))
            }
            (None, None, Some(paths)) => {
                let names =
                    paths.list().iter().map(|path| path.text().map(str::to_owned)).collect::<Result<Vec<_>, _>>()?;
                let slots = names.iter().map(|name| self.slot(&paths, name)).collect::<Result<_, _>>()?;
                let with = table.get("with").map(|with| with.text()).transpose()?.unwrap_or_default();
                Ok((names.join(" and "), Origin::Join(slots, with.to_owned())))
            }
            _ => Err(table.fault("one of path, constant and join is wanted")),
        }
    }

    fn form(&mut self, table: &Table<'_>, kind: Kind) -> Result<Form, ParseError> {
        let form = match kind {
            Kind::Time => table.get("time").map(|forms| {
                let forms = forms.list().into_iter().map(|form| self.time(&form)).collect::<Result<_, _>>()?;
                Ok::<_, ParseError>(Form::Time(forms))
            }),
            Kind::Duration => table.get("unit").map(|unit| Ok(Form::Duration(unit.one_of(&UNITS)?))),
            Kind::Protocol => return protocol(table),
            Kind::Flags => {
                table.get("hexadecimal").map(|is| Ok(if is.flag()? { Form::Hexadecimal } else { Form::Plain }))
            }
            Kind::Count => table.get("minus").map(|path| Ok(Form::Minus(self.slot(&path, path.text()?)?))),
            Kind::Other => None,
        };
        form.transpose().map(|form| form.unwrap_or_else(|| plain(kind)))
    }

    fn time(&self, form: &Value<'_>) -> Result<TimeForm, ParseError> {
        let text = form.text()?;
        if let Some((_, nanos)) = UNITS.iter().find(|(unit, _)| *unit == text) {
            return Ok(TimeForm::Unix(*nanos));
        }
        if text == "rfc3339" {
            return Ok(TimeForm::Rfc3339);
        }
        if !text.contains('%') {
            let allowed = "\"s\", \"ms\", \"us\", \"ns\", \"rfc3339\" or a pattern such as \"%Y-%m-%d %H:%M:%S%.f\"";
            return Err(form.fault(format!("{text:?} is no form of a time: allowed are {allowed}")));
        }
        let pattern = Pattern::parse(text, self.offset_seconds).map_err(|reason| form.fault(reason))?;
        Ok(TimeForm::Pattern(pattern))
    }

    /// Lists of paths, or one list of them. A path that only tells the format takes no slot.
    fn detect(&mut self, root: &Table<'_>) -> Result<(), ParseError> {
        let Some(detect) = root.get("detect") else { return Ok(()) };
        for choice in detect.list() {
            self.plan.detect.push(texts(Some(choice))?);
        }
        Ok(())
    }
}

/// The place and the kind of a field of an end, by what follows `source` or `dest` in its name.
fn end<'e>(end: &'e mut End, part: &str) -> (&'e mut Vec<Alternative>, Kind) {
    match part {
        "IP" => (&mut end.address, Kind::Other),
        "Port" => (&mut end.port, Kind::Other),
        "Node" => (&mut end.node, Kind::Other),
        "Bytes" => (&mut end.bytes, Kind::Count),
        "Packets" => (&mut end.packets, Kind::Count),
        _ => (&mut end.both, Kind::Other),
    }
}

fn plain(kind: Kind) -> Form {
    match kind {
        Kind::Time => Form::Time(vec![TimeForm::Usual]),
        Kind::Duration => Form::Duration(1_000_000_000),
        _ => Form::Plain,
    }
}

fn protocol(table: &Table<'_>) -> Result<Form, ParseError> {
    let named = |value: &Value<'_>| {
        let name = value.word()?;
        let number = || name.parse().ok().map(Protocol::new);
        protocol_named(&name).or_else(number).ok_or_else(|| {
            value.fault(format!("{name:?} is not a protocol: a name such as TCP or an IANA number from 0 to 255"))
        })
    };
    let mut names = Vec::new();
    if let Some(table) = table.get("names") {
        for (name, value) in table.table()?.members() {
            names.push((name.to_owned(), named(&value)?));
        }
    }
    let otherwise = table.get("otherwise").map(|value| named(&value)).transpose()?;
    Ok(Form::Protocol(names, otherwise))
}

fn separated(root: &Table<'_>) -> Result<Separated, ParseError> {
    let separators = match root.get("separator") {
        Some(value) => value.list().iter().map(Value::letter).collect::<Result<Vec<_>, _>>()?,
        None => vec![b','],
    };
    let quote = match root.get("quote") {
        Some(quote) if quote.text()?.is_empty() => None,
        Some(quote) => Some(quote.letter()?),
        None => Some(b'"'),
    };
    let comment = root.get("comment").map(|comment| comment.text().map(str::to_owned)).transpose()?;
    Ok(Separated { separators, quote, comment, columns: texts(root.get("columns"))?, ends: texts(root.get("ends"))? })
}
