//! What a grant lets its holder see.

use axum::http::request::Parts;
use flowseek::{
    Filter, filter,
    flow::AddressRange,
    http::{EndpointSettings, Grant, Loopback, PERMISSION, Refusal},
};

use super::{Running, golden_archive, shown};
use crate::golden_queries;

/// `x-tenant` names the node whose flows its holder sees.
fn tenants(request: &Parts) -> Result<Grant, Refusal> {
    let tenant = request.headers.get("x-tenant").and_then(|tenant| tenant.to_str().ok());
    match tenant {
        Some("all") => Ok(Grant::new([PERMISSION])),
        Some("forbidden") => Err(Refusal::Forbidden("the account is closed".to_owned())),
        Some("unknown") => Err(Refusal::Unavailable("the directory does not answer".to_owned())),
        Some("other") => Ok(Grant::new(["audits::read:events", "audits::read"])),
        Some(node) => Ok(Grant::new([PERMISSION]).only(filter::node_id().eq(node))),
        None => Err(Refusal::unauthorized("who are you?").challenge("Tenant realm=\"flows\"")),
    }
}

/// The IDs of nodes that logged golden flows, the busiest first.
fn nodes() -> Vec<String> {
    let mut nodes: Vec<String> = golden_queries::flows().into_iter().filter_map(|stored| stored.flow.node_id).collect();
    nodes.sort();
    let count = |node: &String| nodes.iter().filter(|other| *other == node).count();
    let mut unique = nodes.clone();
    unique.dedup();
    unique.sort_by_key(|node| std::cmp::Reverse(count(node)));
    unique
}

#[test]
fn refusals_have_their_status_and_challenge() {
    let running = Running::with(golden_archive(), tenants, EndpointSettings::default());
    let get = |headers: &[(&str, &str)]| running.get("/v2/audit/flow-logs?limt=1", headers);
    let nobody = get(&[]);
    assert_eq!(nobody.problems(401), ["who are you?"]);
    assert_eq!(nobody.header("www-authenticate"), Some("Tenant realm=\"flows\""));
    assert_eq!(get(&[("x-tenant", "forbidden")]).problems(403), ["the account is closed"]);
    let other = get(&[("x-tenant", "other")]);
    assert!(other.problems(403)[0].contains(PERMISSION));
    let unknown = get(&[("x-tenant", "unknown")]);
    assert_eq!(unknown.problems(503), ["the directory does not answer"]);
    assert_eq!(unknown.header("retry-after"), Some("1"));
    // Only who may ask is told what is wrong with the question.
    get(&[("x-tenant", "all")]).problems(422);
}

#[test]
fn no_parameter_widens_what_a_grant_shows() {
    let running = Running::with(golden_archive(), tenants, EndpointSettings::default());
    let nodes = nodes();
    let (mine, other) = (&nodes[0], &nodes[1]);
    let flows = golden_queries::flows();
    let visible = |filter: Filter| -> Vec<_> {
        let filter = filter.and(filter::node_id().eq(mine));
        flows.iter().filter(|flow| filter.matches(flow)).map(shown).collect()
    };
    let ask = |query: &str| running.get(&format!("/v2/audit/flow-logs?{query}"), &[("x-tenant", mine)]);
    let everything = ask("sort=startTime");
    assert_eq!(everything.flows().len(), visible(Filter::all()).len());
    assert!(everything.flows().len() < flows.len());
    for (query, filter) in [
        (format!("node={other}"), filter::node_id().eq(other)),
        (format!("node={mine},{other}"), Filter::all()),
        (format!("node={mine}&nodeOp=ne"), Filter::nothing()),
        ("protocol=ALL&protocolOp=ne".to_owned(), Filter::all()),
        ("ip=::/0".to_owned(), filter::ip().within("::/0".parse::<AddressRange>().unwrap())),
    ] {
        let answer = ask(&format!("{query}&count=exact"));
        let mut shown: Vec<String> = answer.flows().iter().map(ToString::to_string).collect();
        let mut expected: Vec<String> = visible(filter).iter().map(ToString::to_string).collect();
        shown.sort();
        expected.sort();
        assert_eq!(shown, expected, "{query}");
        // Not even the number of the others is told.
        assert_eq!(answer.header("x-total-count"), Some(expected.len().to_string().as_str()), "{query}");
    }
    assert_eq!(ask("limit=0").header("x-total-count"), None);
}

#[test]
fn a_cursor_of_one_grant_is_refused_under_another() {
    let running = Running::with(golden_archive(), tenants, EndpointSettings::default());
    let nodes = nodes();
    let ask = |tenant: &str, query: &str| {
        running.get(&format!("/v2/audit/flow-logs?limit=1&{query}"), &[("x-tenant", tenant)])
    };
    let next = |tenant: &str| ask(tenant, "").header("x-next-page").unwrap().to_owned();
    for (from, to) in [("all", nodes[0].as_str()), (&nodes[0], "all"), (&nodes[0], &nodes[1]), (&nodes[1], &nodes[0])] {
        let problems = ask(to, &format!("page={}", next(from))).problems(422);
        assert!(problems[0].contains("belongs to a query with other filters"), "{problems:?}");
        assert_eq!(ask(from, &format!("page={}", next(from))).flows().len(), 1);
    }
}

#[test]
fn without_authorization_only_names_of_this_machine_are_answered() {
    let running = Running::with(golden_archive(), Loopback, EndpointSettings::default());
    let port = running.address.port();
    for host in ["localhost", "127.0.0.1", "[::1]", &format!("localhost:{port}")] {
        running.get("/v2/audit/flow-logs?limit=1", &[("host", host)]).flows();
    }
    for host in ["attacker.example", "127.0.0.1.attacker.example", "192.0.2.1"] {
        running.get("/v2/audit/flow-logs?limit=1", &[("host", host)]).problems(403);
    }
}

/// `x-scope` names the scope, and `x-nodes` the nodes that belong to it at the moment.
fn scoped(request: &Parts) -> Result<Grant, Refusal> {
    let text = |name| request.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let grant = Grant::new([PERMISSION]).only(filter::node_id().any_of(text("x-nodes").split(',')));
    Ok(if text("x-scope").is_empty() { grant } else { grant.scope(text("x-scope")) })
}

#[test]
fn a_cursor_goes_on_when_a_node_joins_its_scope_and_in_no_other_scope() {
    let running = Running::with(golden_archive(), scoped, EndpointSettings::default());
    let nodes = nodes();
    let (few, many) = (nodes[0].clone(), format!("{},{}", nodes[0], nodes[1]));
    let ask = |query: &str, scope: &str, nodes: &str| {
        running.get(&format!("/v2/audit/flow-logs?{query}"), &[("x-scope", scope), ("x-nodes", nodes)])
    };
    let first = ask("limit=3", "tenant-7", &few);
    assert_eq!(first.flows().len(), 3);
    let cursor = first.header("x-next-page").unwrap().to_owned();
    let next = format!("limit=10000&page={cursor}");
    for (scope, nodes) in [("tenant-8", &few), ("tenant-8", &many), ("", &few), ("", &many)] {
        let refused = ask(&next, scope, nodes);
        assert!(refused.problems(422)[0].contains("cursor"), "{scope} {nodes}");
    }
    ask(&format!("dstPort=443&{next}"), "tenant-7", &few).problems(422);
    // Behind the cursor are the flows of all nodes that the scope has by now.
    let mut flows = golden_queries::flows();
    flows.sort_by_key(|stored| (stored.flow.start_time, stored.id));
    let last = flows.iter().filter(|stored| stored.flow.node_id.as_ref() == Some(&few)).nth(2).unwrap().clone();
    for nodes in [&few, &many] {
        let visible = |stored: &&flowseek::StoredFlow| {
            let node = stored.flow.node_id.as_deref();
            node.is_some_and(|node| nodes.split(',').any(|name| name == node))
        };
        let behind = flows.iter().filter(visible);
        let behind = behind.filter(|stored| (stored.flow.start_time, stored.id) > (last.flow.start_time, last.id));
        assert_eq!(ask(&next, "tenant-7", nodes).flows().len(), behind.count(), "{nodes}");
    }
}
