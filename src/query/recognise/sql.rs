//! What users write in SQL, and the filter that is recognised behind DataFusion's optimizer.

use std::sync::{Arc, LazyLock};

use arrow::datatypes::SchemaRef;
use datafusion::{
    catalog::{Session, TableProvider},
    common::{
        Result,
        tree_node::{TreeNode, TreeNodeRecursion},
    },
    logical_expr::{Expr, LogicalPlan, TableProviderFilterPushDown, TableType, utils::conjunction},
    physical_plan::{ExecutionPlan, empty::EmptyExec},
    prelude::{SessionConfig, SessionContext},
};
use futures::{
    executor::block_on,
    future::{BoxFuture, FutureExt},
};
use proptest::prelude::*;

use super::recognise;
use crate::{
    flow::sample::flows,
    query::session,
    schema::{
        sample::{batch, passes},
        schema,
    },
};

/// A table that takes every filter, and has no rows.
#[derive(Debug)]
struct Nothing;

impl TableProvider for Nothing {
    fn schema(&self) -> SchemaRef {
        schema()
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn scan<'table, 'session, 'projection, 'filters, 'scan>(
        &'table self,
        _session: &'session dyn Session,
        _projection: Option<&'projection Vec<usize>>,
        _filters: &'filters [Expr],
        _limit: Option<usize>,
    ) -> BoxFuture<'scan, Result<Arc<dyn ExecutionPlan>>>
    where
        'table: 'scan,
        'session: 'scan,
        'projection: 'scan,
        'filters: 'scan,
        Self: 'scan,
    {
        std::future::ready(Ok(Arc::new(EmptyExec::new(schema())) as Arc<dyn ExecutionPlan>)).boxed()
    }

    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> Result<Vec<TableProviderFilterPushDown>> {
        Ok(vec![TableProviderFilterPushDown::Exact; filters.len()])
    }
}

fn context() -> SessionContext {
    let context = session(SessionConfig::new());
    context.register_table("flows", Arc::new(Nothing)).unwrap();
    context
}

/// What the optimizer makes of a condition: `None` where it knows that no row passes, or all.
fn optimized(context: &SessionContext, condition: &str) -> Option<Expr> {
    let sql = format!("SELECT * FROM flows WHERE {condition}");
    let frame = block_on(context.sql(&sql)).unwrap_or_else(|error| panic!("{condition}: {error}"));
    let plan = frame.into_optimized_plan().unwrap_or_else(|error| panic!("{condition}: {error}"));
    let mut found = Vec::new();
    plan.apply(|plan| {
        match plan {
            LogicalPlan::Filter(filter) => found.push(filter.predicate.clone()),
            LogicalPlan::TableScan(scan) => found.extend(scan.filters.clone()),
            _ => {}
        }
        Ok(TreeNodeRecursion::Continue)
    })
    .unwrap();
    conjunction(found)
}

#[test]
fn what_users_write_is_recognised() {
    let context = context();
    let mut wrong = Vec::new();
    for (condition, expected) in CONDITIONS {
        let expr = optimized(&context, condition);
        let filter = expr.as_ref().map(recognise);
        let told = match &filter {
            None => "constant".to_owned(),
            Some(None) => "not recognised".to_owned(),
            Some(Some(filter)) => filter.brief(),
        };
        if told != *expected {
            wrong.push(format!("{condition} is {told}, of {expr:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, ..ProptestConfig::default() })]

    #[test]
    fn what_is_recognised_of_sql_passes_just_the_rows_that_it_is_true_for(flows in flows(30)) {
        static OPTIMIZED: LazyLock<Vec<Expr>> = LazyLock::new(|| {
            let context = context();
            CONDITIONS.iter().filter_map(|(condition, _)| optimized(&context, condition)).collect()
        });
        let (rows, flows) = batch(&flows);
        for expr in OPTIMIZED.iter() {
            let Some(filter) = recognise(expr) else { continue };
            for (flow, passes) in flows.iter().zip(passes(expr, &rows)) {
                prop_assert_eq!(filter.matches(flow), passes, "{} as {} of {:?}", expr, filter, flow);
            }
        }
    }
}

/// Conditions, and what is told of the filter.
const CONDITIONS: &[(&str, &str)] = &[
    ("dst_port = 443", "dst_port = 443"),
    ("443 = dst_port", "dst_port = 443"),
    ("dst_port <> 443", "dst_port = 0..442, 444..65535"),
    ("NOT dst_port = 443", "dst_port = 0..442, 444..65535"),
    ("dst_port > 1024 AND 2000 > dst_port", "dst_port = 1025..1999"),
    ("dst_port IN (80, 443, 8080, 8443)", "dst_port = 80, 443, 8080, 8443"),
    ("dst_port NOT IN (80, 443, 8080, 8443)", "dst_port = 0..79, 81..442, 444..8079, 8081..8442, 8444..65535"),
    ("dst_port NOT IN (80, 443, NULL, 8443, 25)", "nothing"),
    ("dst_port BETWEEN 8000 AND 8999", "dst_port = 8000..8999"),
    ("dst_port NOT BETWEEN 8000 AND 8999", "dst_port = 0..7999, 9000..65535"),
    ("dst_port = 70000", "nothing"),
    ("dst_port < 70000", "dst_port is present"),
    ("dst_port > -1", "dst_port is present"),
    ("dst_port IN (70000, 443, 1, 2, 3)", "dst_port = 1..3, 443"),
    ("dst_port = 443.0", "dst_port = 443"),
    ("dst_port >= 442.5", "dst_port = 443..65535"),
    ("dst_port = '443'", "dst_port = 443"),
    ("dst_port % 2 = 1 AND protocol % 2 = 1", "not recognised"),
    ("protocol % 64 = 1", "protocol = 1, 65, 129, 193"),
    ("dst_port IS NULL", "dst_port is absent"),
    ("dst_port IS NOT NULL", "dst_port is present"),
    ("(dst_port = 443) IS TRUE", "dst_port = 443"),
    ("(dst_port = 443) IS NOT TRUE", "dst_port = 0..442, 444..65535 or absent"),
    ("(dst_port = 443) IS FALSE", "dst_port = 0..442, 444..65535"),
    ("(dst_port = 443) IS UNKNOWN", "dst_port is absent"),
    ("dst_port IS DISTINCT FROM 443", "dst_port = 0..442, 444..65535 or absent"),
    ("coalesce(dst_port, 0) = 0", "dst_port = 0 or absent"),
    (
        "CASE WHEN dst_port = 443 THEN true WHEN src_port = 443 THEN false ELSE protocol = 6 END",
        "dst_port = 443 or (protocol = 6 and src_port = 0..442, 444..65535 or absent and dst_port = 0..442, 444..65535 or absent)",
    ),
    ("src_bytes > 1000000", "src_bytes = 1000001..18446744073709551615"),
    ("src_bytes >= 18446744073709551615", "src_bytes = 18446744073709551615"),
    ("src_bytes > 1e6", "src_bytes = 1000001..18446744073709551615"),
    ("src_bytes = -1", "nothing"),
    ("src_bytes + 1 > 1000", "not recognised"),
    ("CAST(src_bytes AS BIGINT) BETWEEN 10 AND 20", "src_bytes = 10..20"),
    ("tcp_flags & 2 = 2", "tcp_flags has 0x02"),
    ("tcp_flags & 18 = 18", "tcp_flags has 0x12"),
    ("tcp_flags & 18 <> 0", "tcp_flags has 0x02, 0x10"),
    ("(tcp_flags & 18) > 0", "tcp_flags has 0x02, 0x10"),
    ("tcp_flags & 18 = 2", "tcp_flags has 0x02 and tcp_flags lacks 0x10"),
    ("2 & tcp_flags = 2", "tcp_flags has 0x02"),
    ("tcp_flags = 18", "tcp_flags = 18"),
    ("NOT (tcp_flags & 2 = 2 OR tcp_flags & 4 = 4)", "tcp_flags lacks 0x02, 0x04"),
    ("src_ip = ip('10.1.2.3')", "src_ip = 10.1.2.3"),
    ("ip('10.1.2.3') <> src_ip", "src_ip = ::..10.1.2.2, 10.1.2.4..ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
    ("src_ip IN (ip('10.1.2.3'), ip('2001:db8::7'))", "src_ip = 10.1.2.3, 2001:db8::7"),
    ("src_ip BETWEEN ip('10.0.0.0') AND ip('10.255.255.255')", "src_ip = 10.0.0.0..10.255.255.255"),
    (
        "src_ip >= ip('10.0.0.0') OR dst_ip >= ip('10.0.0.0')",
        "src_ip = 10.0.0.0..ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff or dst_ip = 10.0.0.0..ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
    ),
    ("src_ip = x'00000000000000000000ffff0a010203'", "src_ip = 10.1.2.3"),
    ("src_ip >= x'20010db8'", "src_ip = 2001:db8::..ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
    ("cidr_contains(src_ip, '10.0.0.0/8')", "src_ip = 10.0.0.0..10.255.255.255"),
    (
        "NOT cidr_contains(src_ip, '0.0.0.0/0')",
        "src_ip = ::..::fffe:ffff:ffff, ::1:0:0:0..ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
    ),
    ("cidr_contains(dst_ip, '2001:db8::7')", "dst_ip = 2001:db8::7"),
    ("cidr_contains(dst_ip, ip_text(src_ip))", "not recognised"),
    ("protocol_name(protocol) = 'UNKNOWN'", "protocol = 0, 2..5, 7..16, 18..255"),
    ("protocol_name(protocol) IN ('TCP', 'UDP')", "protocol = 6, 17"),
    ("tcp_flags_text(tcp_flags) = '00000010'", "tcp_flags = 2"),
    ("tcp_flags_text(tcp_flags) LIKE '%1_'", "not recognised"),
    ("src_node = 'edge-1'", "src_node = \"edge-1\""),
    ("src_node <> 'edge-1' AND src_node <> 'edge-2'", "src_node != \"edge-1\", \"edge-2\""),
    ("src_node IN ('a', 'b', 'c', 'd')", "src_node = \"a\", \"b\", \"c\", \"d\""),
    ("src_node LIKE 'edge-1'", "src_node = \"edge-1\""),
    ("src_node LIKE 'edge-%'", "not recognised"),
    ("src_node = ''", "src_node = \"\""),
    ("lower(src_node) = 'a'", "not recognised"),
    ("start_time >= '2025-01-29T10:00:00Z'", "start_time = 2025-01-29T10:00:00.000Z..the end of time"),
    ("start_time >= TIMESTAMP '2025-01-29 10:00:00'", "start_time = 2025-01-29T10:00:00.000Z..the end of time"),
    ("start_time >= TIMESTAMP '2025-01-29 10:00:00.0005'", "start_time = 2025-01-29T10:00:00.001Z..the end of time"),
    (
        "start_time >= DATE '2025-01-29' AND start_time < DATE '2025-01-30'",
        "start_time = 2025-01-29T00:00:00.000Z..2025-01-29T23:59:59.999Z",
    ),
    ("start_time >= DATE '2025-01-29' + INTERVAL '1 day'", "start_time = 2025-01-30T00:00:00.000Z..the end of time"),
    (
        "start_time >= to_timestamp('2025-01-29T10:00:00+02:00')",
        "start_time = 2025-01-29T08:00:00.000Z..the end of time",
    ),
    ("start_time >= to_timestamp_millis(1738144800000)", "start_time = 2025-01-29T10:00:00.000Z..the end of time"),
    ("CAST(start_time AS DATE) = DATE '2025-01-29'", "start_time = 2025-01-29T00:00:00.000Z..2025-01-29T23:59:59.999Z"),
    (
        "start_time::date IN ('2025-01-29', '2025-01-31')",
        "start_time = 2025-01-29T00:00:00.000Z..2025-01-29T23:59:59.999Z, 2025-01-31T00:00:00.000Z..2025-01-31T23:59:59.999Z",
    ),
    (
        "start_time BETWEEN '2025-01-29T10:00:00Z' AND '2025-01-29T11:00:00Z'",
        "start_time = 2025-01-29T10:00:00.000Z..2025-01-29T11:00:00.000Z",
    ),
    ("date_trunc('hour', start_time) = '2025-01-29T10:00:00Z'", "not recognised"),
    ("CAST(start_time AS BIGINT) >= 1738144800000", "start_time = 2025-01-29T10:00:00.000Z..the end of time"),
    (
        "end_time < '2025-01-29T10:00:00Z' OR end_time IS NULL",
        "end_time = the beginning of time..2025-01-29T09:59:59.999Z or absent",
    ),
    (
        "end_time >= arrow_cast('2025-01-29T10:00:00', 'Timestamp(Second, Some(\"Europe/Berlin\"))')",
        "end_time = 2025-01-29T09:00:00.000Z..the end of time",
    ),
    (
        "arrow_cast(start_time, 'Timestamp(Second, None)') = '2025-01-29T10:00:00'",
        "start_time = 2025-01-29T10:00:00.000Z..2025-01-29T10:00:00.999Z",
    ),
    ("flow_id = 7", "flow_id = 7"),
    ("src_port = dst_port", "not recognised"),
    (
        "protocol = 6 AND (dst_port = 22 OR src_port = 22) AND NOT (src_node = 'a' OR dst_node IS NULL)",
        "protocol = 6 and src_node != \"a\" and dst_node is present and (src_port = 22 or dst_port = 22)",
    ),
    ("tcp_flags & 18 <> 2", "tcp_flags lacks 0x02 or tcp_flags has 0x10"),
    ("tcp_flags & 18 = 2 OR tcp_flags IS NULL", "tcp_flags is absent or (tcp_flags has 0x02 and tcp_flags lacks 0x10)"),
    ("NOT (dst_port = 443 AND tcp_flags & 2 = 2)", "dst_port = 0..442, 444..65535 or tcp_flags lacks 0x02"),
    ("true", "constant"),
    ("dst_port = NULL", "constant"),
    ("flows.dst_port = 443 OR NULL", "dst_port = 443"),
];
