//! The document of the endpoint against the endpoint.

use std::{fs, path::Path};

use flowseek::{
    http::{EndpointSettings, openapi},
    wire::{Limits, PARAMETERS, Profile, all_fields},
};
use serde_json::Value;

use super::{Running, golden_archive, open};

fn document() -> Value {
    openapi::document(&Limits::default())
}

/// Written anew where `FLOWSEEK_BLESS` is set.
#[test]
fn the_committed_document_is_the_one_that_is_served() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("openapi.json");
    let text = openapi::text(&document());
    if std::env::var_os("FLOWSEEK_BLESS").is_some() {
        fs::write(&path, &text).unwrap();
    }
    assert_eq!(fs::read_to_string(&path).unwrap_or_default(), text);
    let served = Running::golden().get("/openapi.json", &[]);
    assert_eq!((served.status, served.header("content-type")), (200, Some("application/json")));
    assert_eq!(served.text(), text);
}

#[test]
fn every_parameter_field_and_header_is_described() {
    let document = document();
    let operation = &document["paths"]["/v2/audit/flow-logs"]["get"];
    let names = |value: &Value| -> Vec<String> {
        value.as_array().unwrap().iter().map(|item| item["name"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(
        names(&operation["parameters"]),
        PARAMETERS.iter().map(|parameter| parameter.name.to_owned()).collect::<Vec<_>>()
    );
    let shown: Vec<&String> =
        document["components"]["schemas"]["Flow"]["properties"].as_object().unwrap().keys().collect();
    assert_eq!(shown, all_fields().iter().map(|(name, _)| *name).collect::<Vec<_>>());
    let settings = EndpointSettings::default().profile(Profile::Current);
    let running = Running::with(golden_archive(), open, settings);
    let answer = running.ask("limit=1");
    let described = operation["responses"]["200"]["headers"].as_object().unwrap();
    for name in described.keys() {
        assert!(answer.header(name).is_some(), "{name}");
    }
    for status in ["200", "401", "403", "405", "414", "422", "500", "503"] {
        assert!(operation["responses"][status].is_object(), "{status}");
    }
}

/// The words of an `enum`, and those that `operators` has as its default.
#[test]
fn every_word_that_is_described_is_accepted_and_the_defaults_are_the_defaults() {
    let document = document();
    let running = Running::golden();
    let bound = |name: &str| match name {
        "sTimeOp" => "sTime=1666012671",
        "eTimeOp" => "eTime=1666012671",
        "srcPortOp" => "srcPort=443",
        "dstPortOp" => "dstPort=443",
        "portOp" => "port=443",
        "srcIpOp" => "srcIp=10.0.0.0/8",
        "dstIpOp" => "dstIp=10.0.0.0/8",
        "ipOp" => "ip=10.0.0.0/8",
        "anyNodeOp" => "anyNode=alpha",
        "protocolOp" => "protocol=TCP",
        _ => "",
    };
    for parameter in document["paths"]["/v2/audit/flow-logs"]["get"]["parameters"].as_array().unwrap() {
        let name = parameter["name"].as_str().unwrap();
        for word in parameter["schema"]["enum"].as_array().into_iter().flatten() {
            running.ask(&format!("{}&{name}={}", bound(name), word.as_str().unwrap())).flows();
        }
        for example in parameter["schema"]["examples"].as_array().into_iter().flatten() {
            let example = match example {
                Value::Array(items) => items.iter().map(Value::to_string).collect::<Vec<_>>().join(","),
                other => other.as_str().map_or_else(|| other.to_string(), str::to_owned),
            };
            running.ask(&format!("{name}={example}")).flows();
        }
        if let Some(default) = parameter["schema"].get("default") {
            let default = default.as_str().map_or_else(|| default.to_string(), str::to_owned);
            let with = running.ask(&format!("{}&{name}={default}", bound(name)));
            assert_eq!(with.flows(), running.ask(bound(name)).flows(), "{name}");
        }
    }
}
