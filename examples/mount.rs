//! The endpoint in a server of your own, with an authorization of your own: `cargo run --features http --example mount`,
//! then `curl -H 'x-api-key: operator-7' '127.0.0.1:8080/v2/audit/flow-logs?limit=2'`.

use std::{collections::BTreeMap, error::Error};

use axum::{Router, http::request::Parts, routing::get};
use flowseek::{
    Archive, filter,
    http::{Authorizer, FlowLogs, Grant, PERMISSION, Refusal},
};
use tokio::net::TcpListener;

/// What the holders of keys may see.
struct ApiKeys(BTreeMap<&'static str, Grant>);

impl Authorizer for ApiKeys {
    // It could ask a database: other requests go on meanwhile.
    async fn authorize(&self, request: &Parts) -> Result<Grant, Refusal> {
        let key = request.headers.get("x-api-key").and_then(|key| key.to_str().ok());
        let grant = key.and_then(|key| self.0.get(key)).cloned();
        grant.ok_or_else(|| Refusal::unauthorized("an API key is needed, in x-api-key").challenge("ApiKey"))
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let everything = Grant::new([PERMISSION]).subject("admin");
    // An operator sees the web traffic alone, whatever is asked.
    let web = Grant::new([PERMISSION]).subject("operator 7").only(filter::dst_port().any_of([80, 443]));
    let keys = ApiKeys(BTreeMap::from([("admin-1", everything), ("operator-7", web)]));

    let logs = FlowLogs::new(Archive::open("testdata/archive")?, keys);
    let app = Router::new().route("/", get(async || "a server of your own")).merge(logs.router());
    let listener = TcpListener::bind("127.0.0.1:8080").await?;
    axum::serve(listener, app).await?;
    Ok(())
}
