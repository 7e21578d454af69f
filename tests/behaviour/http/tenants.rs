//! Archives of tenants behind one endpoint.

use std::collections::HashMap;

use axum::{Router, http::request::Parts};
use flowseek::{
    Archive, Flow, Settings,
    http::{EndpointSettings, FlowLogs, Grant, PERMISSION, Refusal},
};

use super::Running;
use crate::{folder::Folder, support::append};

const TENANTS: [&str; 2] = ["blue", "green"];

fn flows(tenant: &str) -> Vec<Flow> {
    let flow = |second: i64| Flow {
        src_node: Some(format!("{tenant}-{second}")),
        dst_bytes: Some(10),
        ..Flow::starting(flowseek::Timestamp::from_millis(second * 1000).unwrap())
    };
    (0..20).map(flow).collect()
}

/// An endpoint at `/flows` of both tenants, whose grants name their archives.
fn running() -> (Running, Folder) {
    let directory = Folder::new();
    let settings = Settings::default().shared();
    let open = |tenant: &'static str| {
        let archive = Archive::open_or_create_with(directory.path().join(tenant), settings.clone()).unwrap();
        append(&archive, &[flows(tenant)]);
        (tenant, archive)
    };
    let archives: HashMap<&str, Archive> = TENANTS.into_iter().map(open).collect();
    let authorizer = move |request: &Parts| {
        let tenant = request.headers.get("x-tenant").and_then(|tenant| tenant.to_str().ok());
        match tenant {
            Some("nobody") => Ok(Grant::new([PERMISSION])),
            Some(tenant) if archives.contains_key(tenant) => {
                Ok(Grant::new([PERMISSION]).archive(archives[tenant].clone()).counted_as(tenant))
            }
            _ => Err(Refusal::unauthorized("x-tenant names no tenant")),
        }
    };
    let logs = FlowLogs::by_grant(authorizer, EndpointSettings::default());
    let app: Router = Router::new()
        .nest_service("/flows", logs.clone())
        .route_service("/of/{tenant}/summary", logs.clone())
        .merge(logs.operations());
    (Running::routes(app), directory)
}

#[test]
fn each_tenant_is_answered_from_its_archive_and_its_cursors_are_good_for_no_other() {
    let (running, _directory) = running();
    let mut nexts = Vec::new();
    for tenant in TENANTS {
        let answer = running.get("/flows?limit=7", &[("x-tenant", tenant)]);
        let names: Vec<String> =
            answer.flows().iter().map(|flow| flow["sourceNode"].as_str().unwrap().into()).collect();
        assert_eq!(names, (0..7).map(|second| format!("{tenant}-{second}")).collect::<Vec<_>>());
        nexts.push(answer.header("link").unwrap().split_once("; ").unwrap().0.replace(['<', '>'], ""));
    }
    for (tenant, next) in TENANTS.into_iter().zip(&nexts) {
        let answer = running.get(&format!("/flows{next}"), &[("x-tenant", tenant)]);
        assert_eq!(answer.flows()[0]["sourceNode"], format!("{tenant}-7"));
    }
    running.get(&format!("/flows{}", nexts[0]), &[("x-tenant", "green")]).problems(422);
    running.get("/flows?limit=7", &[("x-tenant", "red")]).problems(401);
    // A mistake of the host is told to its log alone.
    running.get("/flows", &[("x-tenant", "nobody")]).problems(500);
}

#[test]
fn summaries_are_answered_wherever_the_service_is_mounted() {
    let (running, _directory) = running();
    for path in ["/flows/summary", "/flows/summary/", "/of/blue/summary"] {
        let answer = running.get(&format!("{path}?srcNode=blue-3"), &[("x-tenant", "blue")]);
        assert_eq!((answer.status, &answer.json()["flows"]), (200, &1.into()), "{path}: {}", answer.text());
    }
    let post = ureq::Agent::config_builder().http_status_as_error(false).build().new_agent();
    let answer = post.post(format!("http://{}/flows", running.address)).header("x-tenant", "blue").send("").unwrap();
    assert_eq!(answer.status(), 405);
}

#[test]
fn metrics_tell_tenants_apart_and_the_server_is_ready() {
    let (running, _directory) = running();
    for (tenant, times) in [("blue", 3), ("green", 1)] {
        (0..times).for_each(|_| drop(running.get("/flows?limit=5", &[("x-tenant", tenant)])));
    }
    running.get("/flows/summary", &[("x-tenant", "green")]);
    running.get("/flows?limit=5", &[("x-tenant", "red")]);
    assert_eq!(running.get("/readyz", &[]).status, 200);
    let answer = running.get("/metrics", &[]);
    for line in [
        "flowseek_requests_total{status=\"200\",grant=\"blue\"} 3",
        "flowseek_requests_total{status=\"200\",grant=\"green\"} 2",
        "flowseek_requests_total{status=\"401\"} 1",
        "flowseek_pages_total{grant=\"blue\"} 3",
        "flowseek_pages_total 0",
        "flowseek_rows_returned_total{grant=\"blue\"} 15",
        "flowseek_summaries_total{grant=\"green\"} 1",
    ] {
        assert!(answer.text().lines().any(|written| written == line), "{line} in {}", answer.text());
    }
    assert!(!answer.text().contains("flowseek_archive_flows"));
}
