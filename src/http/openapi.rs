//! The endpoint's OpenAPI 3.1 document, made from the tables that the endpoint itself is made from.

use serde_json::{Map, Value, json};

use super::{
    accept::Form,
    authorizer::PERMISSION,
    shared::{PATH, SUMMARY_PATH},
};
use crate::{
    flow::{Field, MAX_TEXT_BYTES, TcpFlags, columns::ValueType},
    order::MAX_CURSOR_BYTES,
    query::{LARGEST_TOP, MOST_BUCKETS},
    wire::{Exports, Limits, PARAMETERS, Parameter, ParameterKind, Profile, TextForm, all_fields, sortable},
};

/// The version of the endpoint, not of this crate.
const VERSION: &str = "1.0.0";

const COMPARISONS: [&str; 6] = ["eq", "ne", "gt", "gte", "lt", "lte"];

/// The document of an endpoint with these limits.
///
/// ```
/// use flowseek::{http::openapi, wire::Limits};
///
/// let document = openapi::document(&Limits::default());
/// assert_eq!(document["openapi"], "3.1.0");
/// assert!(document["paths"]["/v2/audit/flow-logs"]["get"]["parameters"].is_array());
/// ```
pub fn document(limits: &Limits) -> Value {
    let parameters: Vec<Value> = PARAMETERS.iter().map(|parameter| described(parameter, limits)).collect();
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Flow logs",
            "version": VERSION,
            "description": "Network traffic flow logs, filtered, sorted and page by page.",
        },
        "paths": {PATH: {"get": {
            "operationId": "getFlowLogs",
            "summary": "Retrieve network traffic flow logs with filtering and pagination",
            "description": format!(
                "Needs the permission `{PERMISSION}`. Values that a flow does not have are left out of its object, and never \
                 match a filter, not even `ne`. Every order is total: after the keys of `sort` come the start time and the \
                 ID of the flow."
            ),
            "tags": ["audit"],
            "security": [{"bearer": [PERMISSION]}],
            "parameters": parameters,
            "responses": responses(page_answer()),
        }}, SUMMARY_PATH: {"get": {
            "operationId": "getFlowLogSummary",
            "summary": "What the flow logs that match add up to, by the values of fields and by time",
            "description": format!(
                "Needs the permission `{PERMISSION}`. Where the budget of a request ends it, `complete` is false, and \
                 `searchedFrom` and `searchedTo` say which start times it covers: it is exact for these."
            ),
            "tags": ["audit"],
            "security": [{"bearer": [PERMISSION]}],
            "parameters": Parameter::of_summaries().map(|parameter| described(parameter, limits)).collect::<Vec<_>>(),
            "responses": responses(summary_answer()),
        }}},
        "components": {
            "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}},
            "schemas": {"Flow": flow(), "Problems": problems(), "Summary": summary()},
        },
    })
}

/// The document as it is served and committed.
pub fn text(document: &Value) -> String {
    format!("{document:#}\n")
}

fn described(parameter: &Parameter, limits: &Limits) -> Value {
    let schema = schema(parameter.name, parameter.kind, limits);
    // A list is repeated: that is the default of a query.
    json!({
        "name": parameter.name,
        "in": "query",
        "required": false,
        "allowEmptyValue": true,
        "description": format!("{} Allowed: {}.", parameter.about, parameter.kind.allowed()),
        "schema": schema,
    })
}

/// A comma list of what `item` matches.
fn list(item: &str) -> String {
    format!("^(?:{item})(?:,(?:{item}))*$")
}

fn schema(name: &str, kind: ParameterKind, limits: &Limits) -> Value {
    let comparison = |default: Option<&str>| match default {
        Some(default) => json!({"type": "string", "enum": COMPARISONS, "default": default}),
        None => json!({"type": "string", "enum": COMPARISONS}),
    };
    match kind {
        ParameterKind::Time => json!({"anyOf": [
            {"type": "number", "minimum": -62_167_219_200_i64, "exclusiveMaximum": 100_000_000_000_i64},
            {"type": "string", "format": "date-time"},
        ]}),
        ParameterKind::Comparison => comparison(Some(match name {
            "sTimeOp" => "gte",
            "eTimeOp" => "lte",
            _ => "eq",
        })),
        ParameterKind::Equality => json!({"type": "string", "enum": ["eq", "ne"], "default": "eq"}),
        ParameterKind::Protocols => {
            let number = "25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9]";
            let names = "[Tt][Cc][Pp]|[Uu][Dd][Pp]|[Ii][Cc][Mm][Pp]|[Uu][Nn][Kk][Nn][Oo][Ww][Nn]|[Aa][Ll][Ll]";
            json!({"type": "string", "pattern": list(&format!("{names}|{number}")), "examples": ["TCP"]})
        }
        ParameterKind::Addresses => {
            let byte = "(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])";
            let v4 = format!("{byte}(?:\\.{byte}){{3}}(?:/(?:3[0-2]|[12]?[0-9]))?");
            let v6 = "[0-9A-Fa-f:]*:[0-9A-Fa-f:.]*(?:/[0-9]{1,3})?";
            json!({"type": "string", "pattern": list(&format!("{v4}|{v6}")), "examples": ["10.0.0.0/8"]})
        }
        ParameterKind::Ports => {
            let port = "6553[0-5]|655[0-2][0-9]|65[0-4][0-9]{2}|6[0-4][0-9]{3}|[1-5][0-9]{4}|[1-9]?[0-9]{1,3}";
            let item = format!("(?:{port})(?:\\.0+)?(?:-(?:{port}))?");
            json!({"anyOf": [
                {"type": "integer", "minimum": 0, "maximum": u16::MAX},
                {"type": "string", "pattern": list(&item)},
            ], "examples": [443]})
        }
        ParameterKind::Names => json!({"type": "string", "pattern": list("(?:\\\\,|[^,])+"), "examples": ["node-7"]}),
        ParameterKind::Flags => {
            let names = TcpFlags::NAMES.join("|");
            let number = "25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9][0-9]?|0[xX](?:0?[1-9A-Fa-f]|[1-9A-Fa-f][0-9A-Fa-f])";
            let term = format!("(?:{names}|{number})");
            let item = format!("{term}(?:\\+{term})*");
            json!({"type": "array", "items": {"anyOf": [
                {"type": "integer", "minimum": 1, "maximum": 255},
                {"type": "string", "pattern": list(&item)},
            ]}, "examples": [[2, 16]]})
        }
        ParameterKind::FlowFlags => json!({"type": "array", "items": {"anyOf": [
            {"type": "integer", "minimum": 1, "maximum": u64::MAX},
            {"type": "string", "pattern": list("[1-9][0-9]{0,18}")},
        ]}, "examples": [[65536]]}),
        ParameterKind::During => {
            json!({"type": "string", "enum": ["starts", "overlaps", "within"], "default": "starts"})
        }
        ParameterKind::Filter => json!({"type": "string", "examples": ["proto tcp and not dst port in [80, 443]"]}),
        ParameterKind::Fields => {
            let names: Vec<&str> = all_fields().iter().map(|(name, _)| *name).collect();
            // Each field once, which no pattern says.
            json!({"type": "string", "pattern": format!("^(?:\\*|{})$", names.join("|")), "examples": ["destPort"]})
        }
        ParameterKind::Limit => {
            let number = json!({"type": "integer", "minimum": 0, "maximum": limits.largest_rows, "default": limits.default_rows});
            match limits.exports {
                Exports::Allowed => json!({"anyOf": [number, {"const": "all"}]}),
                Exports::Refused => number,
            }
        }
        ParameterKind::Page => json!({"anyOf": [
            {"type": "integer", "minimum": 1},
            {"type": "string", "pattern": "^[A-Za-z0-9_-]+$", "maxLength": MAX_CURSOR_BYTES},
        ]}),
        ParameterKind::Sort => {
            let item = format!("(?:{})(?::(?:asc|desc))?", field_names());
            json!({"type": "string", "pattern": list(&item), "examples": ["destBytes:desc"]})
        }
        ParameterKind::Switch => json!({"type": "boolean", "default": false}),
        ParameterKind::Count => json!({"type": "string", "enum": ["auto", "exact", "none"], "default": "auto"}),
        ParameterKind::By => {
            let field = field_names();
            json!({"type": "string", "pattern": format!("^(?:{field})(?:,(?:{field}))?$"), "examples": ["destPort"]})
        }
        ParameterKind::Measure => json!({"type": "string", "enum": ["flows", "bytes", "sourceBytes", "destBytes"]}),
        ParameterKind::Top => json!({"type": "integer", "minimum": 1, "maximum": LARGEST_TOP}),
        ParameterKind::Every => {
            json!({"type": "string", "pattern": "^(?:auto|[1-9][0-9]*(?:ms|s|m|h|d))$", "examples": ["5m", "auto"]})
        }
        ParameterKind::Sums => {
            let item = "flows|sourceBytes|destBytes|\\*";
            json!({"type": "string", "pattern": list(item), "default": "*", "examples": ["flows"]})
        }
    }
}

/// The names of fields that one can sort and group by.
fn field_names() -> String {
    sortable().map(|(name, _)| name).collect::<Vec<_>>().join("|")
}

/// A value of a field in an answer.
fn shown(field: Field) -> Value {
    match field.column().values {
        ValueType::Protocol => json!({"type": "string", "enum": ["TCP", "UDP", "ICMP", "UNKNOWN"]}),
        ValueType::TcpFlags => json!({
            "type": "string",
            "description": "Eight binary digits, bit 7 first: CWR ECE URG ACK PSH RST SYN FIN; or as the server is set up, \
                            a decimal or hexadecimal number.",
            "pattern": "^(?:[01]{8}|[0-9]{1,3}|0x[0-9a-f]{2})$",
        }),
        ValueType::Port => json!({"type": "integer", "minimum": 0, "maximum": u16::MAX}),
        ValueType::Id | ValueType::Bytes | ValueType::Packets => {
            json!({"type": "integer", "minimum": 0, "maximum": u64::MAX})
        }
        ValueType::Time => time(),
        ValueType::Address => json!({"type": "string", "anyOf": [{"format": "ipv4"}, {"format": "ipv6"}]}),
        ValueType::FlowFlags => json!({
            "type": "string",
            "description": "Flow flags, as a decimal number.",
            "pattern": "^(?:0|[1-9][0-9]{0,19})$",
        }),
        ValueType::Meta => json!({"type": "object"}),
        ValueType::Name => json!({"type": "string", "maxLength": MAX_TEXT_BYTES}),
    }
}

fn time() -> Value {
    json!({
        "type": "string",
        "format": "date-time",
        "pattern": "^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\\.[0-9]{3}Z$",
    })
}

fn flow() -> Value {
    let properties: Map<String, Value> =
        all_fields().iter().map(|(name, field)| ((*name).to_owned(), shown(*field))).collect();
    let names = |fields: &[(&str, Field)]| fields.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ");
    let usual = Profile::Seed.fields();
    let added: Vec<_> = Profile::Current.fields().iter().filter(|shown| !usual.contains(shown)).copied().collect();
    let about = format!(
        "With `fields` a flow has these. Without, it has {}; and, as the server is set up, {}.",
        names(usual),
        names(&added)
    );
    json!({"type": "object", "description": about, "properties": properties, "additionalProperties": false})
}

/// A summary: some sums, and those of groups and buckets.
fn summary() -> Value {
    let object = |more: Map<String, Value>, required: &[&str]| {
        let sums = ["flows", "sourceBytes", "destBytes"];
        let sums = sums.map(|name| (name.to_owned(), json!({"type": "integer", "minimum": 0})));
        let properties: Map<String, Value> = more.into_iter().chain(sums).collect();
        json!({"type": "object", "properties": properties, "required": required, "additionalProperties": false})
    };
    let keys = Field::all().filter_map(|field| Some((field.key()?.to_owned(), shown(field))));
    let keys: Map<String, Value> = keys.collect();
    let group = object(keys, &[]);
    let about = "Of a value that the flows of a group have not there is no key.";
    let buckets = object(Map::from_iter([("time".to_owned(), time())]), &["time"]);
    let more = [
        ("complete", json!({"type": "boolean", "description": "Whether all flows that match are told of."})),
        ("searchedFrom", time()),
        ("searchedTo", time()),
        ("groups", json!({"type": "array", "description": about, "maxItems": LARGEST_TOP, "items": group})),
        ("buckets", json!({"type": "array", "maxItems": MOST_BUCKETS, "items": buckets})),
    ];
    object(more.into_iter().map(|(name, value)| (name.to_owned(), value)).collect(), &["complete"])
}

/// The answer with a summary.
fn summary_answer() -> Value {
    let schema = json!({"$ref": "#/components/schemas/Summary"});
    json!({"description": "The summary.", "content": {"application/json": {"schema": schema}}})
}

fn problems() -> Value {
    json!({
        "type": "array",
        "items": {"type": "string"},
        "minItems": 1,
        "description": "What is wrong, a sentence each.",
    })
}

/// The answer with a page.
fn page_answer() -> Value {
    let mut content = Map::new();
    for form in Form::ALL {
        let media_type = form.media_type().split(';').next().unwrap_or_default();
        let schema = match form {
            Form::Text(TextForm::Json) => json!({"type": "array", "items": {"$ref": "#/components/schemas/Flow"}}),
            _ => json!({"type": "string"}),
        };
        content.insert(media_type.to_owned(), json!({"schema": schema}));
    }
    json!({
        "description": "The flows of the page, in order.",
        "headers": {
            "x-next-page": {
                "description": "The cursor to hand in as `page`. Absent only where nothing more can match.",
                "schema": {"type": "string", "pattern": "^[A-Za-z0-9_-]+$", "maxLength": MAX_CURSOR_BYTES},
            },
            "x-cursor": {
                "description": "The same as `x-next-page`, as the server is set up.",
                "schema": {"type": "string", "pattern": "^[A-Za-z0-9_-]+$", "maxLength": MAX_CURSOR_BYTES},
            },
            "Link": {
                "description": "The query of the next page, with `rel=\"next\"`, where there may be one; left out where it is long.",
                "schema": {"type": "string"},
            },
            "x-total-count": {
                "description": "How many flows match on all pages, where that is known.",
                "schema": {"type": "integer", "minimum": 0},
            },
        },
        "content": content,
    })
}

/// The answers to a request; `right` is that to one that is right.
fn responses(right: Value) -> Value {
    let problem = |about: &str, headers: Value| {
        let schema = json!({"$ref": "#/components/schemas/Problems"});
        json!({"description": about, "headers": headers, "content": {"application/json": {"schema": schema}}})
    };
    let challenge = json!({"WWW-Authenticate": {
        "description": "Which credential is wanted.",
        "required": true,
        "schema": {"type": "string"},
    }});
    let retry = json!({"Retry-After": {
        "description": "Seconds after which to ask again.",
        "required": true,
        "schema": {"type": "integer", "minimum": 0},
    }});
    json!({
        "200": right,
        "401": problem("No credential, or a bad one.", challenge),
        "403": problem(&format!("The credential does not come with the permission `{PERMISSION}`."), json!({})),
        "405": problem("Another method than GET and HEAD.", json!({"Allow": {
            "description": "The methods that there are.",
            "required": true,
            "schema": {"type": "string"},
        }})),
        "414": problem("The URL is too long.", json!({})),
        "422": problem("Everything that is wrong with the parameters, at once.", json!({})),
        "500": problem("An error in the server.", json!({})),
        "503": problem("Too much to do at the moment.", retry),
    })
}
