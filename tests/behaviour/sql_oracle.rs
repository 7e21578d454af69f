//! Whatever SQL asks of an archive, the answer is that of a plain table with the same rows in memory.
#![cfg(feature = "sql")]

use std::sync::Arc;

use datafusion::{
    arrow::{array::RecordBatch, util::pretty::pretty_format_batches},
    datasource::MemTable,
    physical_plan::{ExecutionPlan, collect},
    prelude::{SessionConfig, SessionContext},
};
use flowseek::{
    Archive, Filter, Flow, Settings,
    archive::Effort,
    query::{self, FlowTable},
    schema::schema,
};
use proptest::{collection::vec, prelude::*, sample::select, test_runner::TestCaseError};

use crate::{
    folder::Folder,
    support::{append, block_on, flow, settings},
};

const CONDITIONS: [&str; 34] = [
    "true",
    "dst_port = 443",
    "dst_port <> 443",
    "dst_port IN (0, 1, 65535)",
    "src_port NOT IN (0, 443)",
    "src_port BETWEEN 1 AND 443",
    "src_port >= 65534",
    "dst_port % 2 = 1",
    "src_bytes > dst_bytes",
    "src_bytes = 18446744073709551615",
    "dst_bytes < 2",
    "src_ip = ip('10.0.0.1')",
    "dst_ip BETWEEN ip('10.0.0.0') AND ip('10.0.0.255')",
    "dst_ip IN (ip('::1'), ip('2001:db8::1'))",
    "dst_ip IS NULL",
    "src_ip IS NOT NULL",
    "src_ip = dst_ip",
    "src_node = 'a'",
    "src_node <> 'a'",
    "src_node LIKE 'node-1%'",
    "node_id > 'a-node'",
    "dst_node IS NULL",
    "coalesce(activity_id, 'none') = 'none'",
    "tcp_flags & 2 = 2",
    "tcp_flags & 18 <> 18",
    "tcp_flags = 255",
    "protocol IN (6, 17)",
    "protocol <> 6",
    "start_time >= '2022-10-17T09:46:40.003Z'",
    "start_time < '2022-10-17T09:46:40.002Z'",
    "start_time = '2022-10-17T09:46:40.001Z'",
    "end_time > start_time",
    "end_time <= '2022-10-17T09:46:40.003Z'",
    "flow_id % 3 = 0",
];

pub(crate) fn condition() -> impl Strategy<Value = String> {
    select(&CONDITIONS[..]).prop_map(str::to_owned).prop_recursive(2, 4, 2, |inner| {
        prop_oneof![
            3 => (inner.clone(), inner.clone()).prop_map(|(left, right)| format!("({left} AND {right})")),
            2 => (inner.clone(), inner.clone()).prop_map(|(left, right)| format!("({left} OR {right})")),
            1 => inner.prop_map(|condition| format!("NOT ({condition})")),
        ]
    })
}

/// A total order: some columns, and then the ID.
fn order_by() -> impl Strategy<Value = String> {
    let columns: Vec<String> = schema().fields().iter().map(|field| field.name().clone()).collect();
    let column = prop_oneof![1 => Just("start_time".to_owned()), 2 => select(columns)];
    let how = select(vec!["", " DESC", " NULLS FIRST", " NULLS LAST", " DESC NULLS FIRST", " DESC NULLS LAST"]);
    let key = (column, how).prop_map(|(column, how)| format!("{column}{how}"));
    (vec(key, 0..3), any::<bool>()).prop_map(|(mut keys, descending)| {
        keys.push(if descending { "flow_id DESC" } else { "flow_id" }.to_owned());
        keys.join(", ")
    })
}

fn query() -> impl Strategy<Value = String> {
    let limit = (0usize..12, 0usize..5).prop_map(|(limit, offset)| format!("LIMIT {limit} OFFSET {offset}"));
    let limit = prop_oneof![1 => Just(String::new()), 3 => limit];
    let columns: Vec<String> = schema().fields().iter().map(|field| field.name().clone()).collect();
    let keys = (select(columns.clone()), select(columns));
    let asked = (0..18, condition(), condition(), order_by(), limit, keys);
    asked.prop_map(|(form, one, other, order, limit, (key, second))| match form {
        0 => format!("SELECT * FROM flows WHERE {one} ORDER BY {order} {limit}"),
        1 => format!("SELECT flow_id FROM flows WHERE {one} ORDER BY {order} {limit}"),
        2 => format!("SELECT ip_text(src_ip) AS ip, * FROM flows WHERE {one} ORDER BY {order} {limit}"),
        3 => format!("SELECT flow_id FROM flows WHERE {one} ORDER BY dst_port % 3, {order} {limit}"),
        4 => format!("SELECT count(*) AS n FROM flows WHERE {one}"),
        5 => format!(
            "SELECT count(*) AS n, count(dst_port) AS m, min(dst_port) AS a, max(src_bytes) AS b, min(src_ip) AS c, \
             max(src_node) AS d, sum(dst_bytes) AS e, max(start_time) AS f FROM flows WHERE {one}"
        ),
        6 => format!(
            "SELECT dst_port, protocol, count(*) AS n, sum(src_bytes) AS s, max(node_id) AS m FROM flows WHERE {one} \
             GROUP BY dst_port, protocol ORDER BY dst_port, protocol {limit}"
        ),
        13 => format!(
            "SELECT count(*) AS n, count(dst_ip) AS m, min(dst_port) AS a, max(src_bytes) AS b, min(src_ip) AS c, \
             max(end_time) AS d, min(protocol) AS e, max(tcp_flags) AS f FROM flows WHERE {one}"
        ),
        14 => format!(
            "SELECT {key} AS k, count(*) AS n, sum(src_bytes) AS s FROM flows WHERE {one} GROUP BY {key} \
             ORDER BY k {limit}"
        ),
        15 => format!(
            "SELECT sum(dst_bytes) AS s, {second} AS b, count(dst_bytes) AS m, {key} AS a, count(*) AS n FROM flows \
             WHERE {one} GROUP BY {key}, {second} HAVING count(*) < 9 ORDER BY a, b {limit}"
        ),
        16 => format!("SELECT count(DISTINCT {key}) AS n FROM flows WHERE {one}"),
        7 => format!("SELECT DISTINCT src_node FROM flows WHERE {one} ORDER BY src_node {limit}"),
        8 => format!(
            "SELECT a.flow_id AS x, b.flow_id AS y, b.src_node FROM (SELECT * FROM flows WHERE {one}) a \
             JOIN (SELECT * FROM flows WHERE {other}) b ON a.dst_port = b.src_port ORDER BY x, y {limit}"
        ),
        9 => format!(
            "SELECT a.flow_id AS x, b.flow_id AS y FROM (SELECT * FROM flows WHERE {one}) a \
             LEFT JOIN flows b ON a.src_ip = b.dst_ip AND a.flow_id < b.flow_id ORDER BY x, y {limit}"
        ),
        10 => format!(
            "SELECT flow_id FROM flows WHERE {one} AND dst_port IN (SELECT src_port FROM flows WHERE {other}) \
             ORDER BY {order} {limit}"
        ),
        // What is behind the limit is no part of the answer.
        11 => format!(
            "SELECT flow_id, dst_port FROM (SELECT * FROM flows WHERE {one} ORDER BY {order} LIMIT 7) AS some \
             WHERE {other} ORDER BY flow_id"
        ),
        12 => format!(
            "SELECT flow_id, sum(src_port) OVER (PARTITION BY dst_port ORDER BY {order} \
             ROWS UNBOUNDED PRECEDING) AS n FROM flows WHERE {one} ORDER BY flow_id {limit}"
        ),
        _ => format!(
            "SELECT a.n AS some, b.n AS all FROM (SELECT count(*) AS n FROM (SELECT * FROM flows WHERE {one} LIMIT 5)) a \
             CROSS JOIN (SELECT count(*) AS n FROM flows WHERE {one} AND {other}) b"
        ),
    })
}

fn context(config: &SessionConfig) -> SessionContext {
    query::session(config.clone())
}

async fn plan(context: &SessionContext, sql: &str) -> Arc<dyn ExecutionPlan> {
    let answer = context.sql(sql).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
    answer.create_physical_plan().await.unwrap_or_else(|error| panic!("{sql}: {error}"))
}

async fn answer(context: &SessionContext, plan: Arc<dyn ExecutionPlan>, sql: &str) -> String {
    let batches = collect(plan, context.task_ctx()).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
    pretty_format_batches(&batches).unwrap().to_string()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 10, max_shrink_iters: 60, ..ProptestConfig::default() })]

    #[test]
    fn sql_over_an_archive_is_sql_over_its_rows(
        commits in vec(vec(flow(), 0..25), 1..4),
        later in vec(vec(flow(), 1..5), 2),
        settings in settings(),
        shares in shares(),
        queries in vec(query(), 12),
    ) {
        same_as_rows(&commits, &later, settings, shares, &queries)?;
    }
}

/// How many partitions there are, and how many rows a batch has.
pub(crate) fn shares() -> impl Strategy<Value = (usize, usize)> {
    (select(vec![1usize, 2, 7]), select(vec![1usize, 3, 10, 8192]))
}

/// Whether queries over an archive are answered as over its rows, with more flows and a compaction between plan and answer.
pub(crate) fn same_as_rows(
    commits: &[Vec<Flow>],
    later: &[Vec<Flow>],
    settings: Settings,
    (partitions, batch_rows): (usize, usize),
    queries: &[String],
) -> Result<(), TestCaseError> {
    let directory = Folder::new();
    let archive = Archive::open_or_create_with(directory.path(), settings).unwrap();
    append(&archive, commits);
    let config = SessionConfig::new().with_target_partitions(partitions).with_batch_size(batch_rows);
    let (flows, plain) = (context(&config), context(&config));
    let snapshot = archive.snapshot().unwrap();
    flows.register_table("flows", Arc::new(FlowTable::new(snapshot.clone()))).unwrap();
    block_on(async {
        let all: RecordBatch = snapshot.query(Filter::all()).page().await.unwrap().batch;
        plain.register_table("flows", Arc::new(MemTable::try_new(schema(), vec![vec![all]]).unwrap())).unwrap();
        let mut plans = Vec::new();
        for sql in queries {
            plans.push(plan(&flows, sql).await);
        }
        change(&archive, later);
        for (sql, planned) in queries.iter().zip(plans) {
            let expected = answer(&plain, plan(&plain, sql).await, sql).await;
            let found = answer(&flows, planned, sql).await;
            prop_assert_eq!(found, expected, "{} partitions, batches of {}: {}", partitions, batch_rows, sql);
        }
        Ok(())
    })
}

/// More flows, and the segments that there were are merged.
fn change(archive: &Archive, later: &[Vec<Flow>]) {
    append(archive, later);
    let compactor = archive.writer().unwrap().compactor();
    while compactor.run_once(Effort::Full).unwrap().is_some() {}
}
