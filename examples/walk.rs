//! A client that walks all pages of an endpoint: `cargo run --example walk -- http://127.0.0.1:8080 'dstPort=443'`, with
//! a bearer token in `TOKEN` where one is needed.

use std::{env, error::Error};

use serde_json::Value;

/// One page, and the cursor of the next.
fn page(endpoint: &str, query: &str, cursor: Option<&str>) -> Result<(Vec<Value>, Option<String>), Box<dyn Error>> {
    let cursor = cursor.map(|cursor| format!("&page={cursor}")).unwrap_or_default();
    let mut request = ureq::get(format!("{endpoint}/v2/audit/flow-logs?{query}{cursor}"));
    if let Ok(token) = env::var("TOKEN") {
        request = request.header("authorization", format!("Bearer {token}"));
    }
    let mut response = request.config().http_status_as_error(false).build().call()?;
    let body = response.body_mut().with_config().limit(u64::MAX).read_to_string()?;
    if response.status() != 200 {
        return Err(format!("{}: {body}", response.status()).into());
    }
    let next = response.headers().get("x-next-page").map(|next| next.to_str().map(str::to_owned)).transpose()?;
    Ok((serde_json::from_str(&body)?, next))
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = env::args().skip(1);
    let endpoint = arguments.next().unwrap_or_else(|| "http://127.0.0.1:8080".to_owned());
    let query = arguments.next().unwrap_or_default();
    let (mut flows, mut next) = page(&endpoint, &query, None)?;
    loop {
        flows.iter().for_each(|flow| println!("{flow}"));
        // A page may be short, even empty: only a missing cursor is the end.
        let Some(cursor) = next else { return Ok(()) };
        (flows, next) = page(&endpoint, &query, Some(&cursor))?;
    }
}
