//! Groups in SQL that lists of values tell of: the same as those of rows, and no row is read for them.
#![cfg(feature = "sql")]

use std::{collections::BTreeSet, sync::Arc};

use datafusion::{
    arrow::util::pretty::pretty_format_batches,
    physical_plan::{collect, displayable},
    prelude::SessionConfig,
};
use flowseek::{Archive, Flow, Settings, archive::SegmentOptions, flow::Timestamp, generate::Generator, query};
use proptest::{collection::vec, prelude::*, sample::select};

use crate::{
    sql::spills,
    sql_oracle::{condition, same_as_rows, shares},
    summaries::{self, generated},
    support::{block_on, counted, flow, settings},
};

/// Columns that lists tell of by themselves.
const LISTED: [&str; 9] =
    ["protocol", "tcp_flags", "src_ip", "dst_ip", "dst_port", "src_node", "dst_node", "node_id", "activity_id"];

/// Conditions that look at listed columns alone, or that bounds often decide.
const OWN: [&str; 8] = [
    "true",
    "dst_port <= 443",
    "NOT (dst_port = 443)",
    "dst_port IS NULL",
    "dst_port IN (0, 1)",
    "protocol = 6 AND tcp_flags & 2 = 2",
    "src_ip > ip('10.0.0.1')",
    "start_time > '2022-10-17T09:46:40.002Z'",
];

/// Functions of one column, by the values of which flows are grouped.
const FUNCTIONS: [&str; 13] = [
    "ip_text(src_ip)",
    "ip_text(dst_ip)",
    "tcp_flags_text(tcp_flags)",
    "protocol_name(protocol)",
    "date_bin(INTERVAL '2 milliseconds', start_time)",
    "date_bin(INTERVAL '5 minutes', start_time)",
    "date_bin(INTERVAL '3 milliseconds', start_time, TIMESTAMP '2022-10-17T09:46:40.001Z')",
    "date_bin(INTERVAL '1 month', start_time, TIMESTAMP '2022-10-17T09:46:40.002Z')",
    "date_bin(INTERVAL '1 week', start_time)",
    "date_trunc('millisecond', start_time)",
    "date_trunc('hour', start_time)",
    "date_trunc('quarter', start_time)",
    // Another column, and another function, than is known.
    "date_trunc('second', end_time)",
];

/// What is added up for each group, and whether that is done without a row of SQL.
const ADDED: [(&str, bool); 14] = [
    ("sum(src_bytes)", true),
    ("sum(src_bytes), sum(dst_bytes)", true),
    ("sum(src_bytes) + sum(dst_bytes), count(*)", true),
    ("sum(src_bytes + dst_bytes)", true),
    ("sum(coalesce(src_bytes, 0) + coalesce(dst_bytes, 0)), sum(src_bytes), sum(dst_bytes)", true),
    ("sum(coalesce(dst_bytes, 0) + src_bytes)", true),
    ("sum(src_bytes + coalesce(dst_bytes, 0)), count(1)", true),
    ("sum(coalesce(dst_bytes, 0))", true),
    ("count(src_bytes), sum(dst_packets)", true),
    ("sum(src_packets + dst_packets)", true),
    ("sum(coalesce(src_bytes, 1))", false),
    ("sum(src_bytes + src_bytes)", false),
    ("sum(src_bytes - dst_bytes)", false),
    ("sum(src_bytes), sum(dst_bytes), sum(src_packets)", false),
];

fn groups() -> impl Strategy<Value = String> {
    let limit = (0usize..12, 0usize..3).prop_map(|(limit, offset)| format!("LIMIT {limit} OFFSET {offset}"));
    let limit = prop_oneof![Just(String::new()), limit];
    let condition = prop_oneof![3 => select(&OWN[..]).prop_map(str::to_owned), 2 => condition()];
    let keys = (select(&LISTED[..]), select(&FUNCTIONS[..]));
    (0..10, keys, select(&ADDED[..]), condition, limit).prop_map(
        |(form, (key, function), (added, _), condition, limit)| {
            let from = format!("FROM flows WHERE {condition}");
            match form {
                0 => format!("SELECT {key} AS k, count(*) AS n {from} GROUP BY {key} ORDER BY n DESC, k {limit}"),
                1 => {
                    format!(
                        "SELECT count(1) AS n, {key} AS k {from} GROUP BY {key} HAVING count(*) > 1 ORDER BY k {limit}"
                    )
                }
                2 => format!(
                    "SELECT protocol, tcp_flags, count(*) AS n {from} GROUP BY tcp_flags, protocol \
                 ORDER BY protocol, tcp_flags {limit}"
                ),
                3 => format!("SELECT DISTINCT {key} AS k {from} ORDER BY k {limit}"),
                4 => format!("SELECT count(DISTINCT {key}) AS n {from}"),
                5 => {
                    format!(
                        "SELECT {function} AS k, {key} AS l, count(*) AS n {from} GROUP BY k, l ORDER BY k, l {limit}"
                    )
                }
                6 => format!(
                    "SELECT sum(dst_bytes) AS s, count(dst_bytes) AS m, {function} AS k, count(*) AS n {from} \
                 GROUP BY {function} ORDER BY k {limit}"
                ),
                7 => format!("SELECT {key} AS k, {added} {from} GROUP BY k ORDER BY k {limit}"),
                8 => format!("SELECT {function} AS k, {added} {from} GROUP BY k ORDER BY k {limit}"),
                _ => format!("SELECT {function} AS k, count(*) AS n {from} GROUP BY 1 ORDER BY n DESC, k {limit}"),
            }
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, max_shrink_iters: 60, ..ProptestConfig::default() })]

    #[test]
    fn groups_of_an_archive_are_those_of_its_rows(
        commits in vec(vec(flow(), 0..60), 1..4),
        later in vec(vec(flow(), 1..5), 1),
        settings in settings(),
        shares in shares(),
        queries in vec(groups(), 12),
    ) {
        same_as_rows(&commits, &later, settings, shares, &queries)?;
    }
}

/// What a query answers, how many rows are read for it and how many bytes are taken from files or from memory, and its plan.
fn asked(archive: &Archive, sql: &str) -> (String, [u64; 2], String) {
    let config = SessionConfig::new().with_target_partitions(2);
    let context = query::archive_session(archive.clone(), config, Arc::default()).unwrap();
    block_on(async {
        let plan = context.sql(sql).await.unwrap().create_physical_plan().await.unwrap();
        let batches = collect(Arc::clone(&plan), context.task_ctx()).await.unwrap();
        let counted = |name| counted(plan.as_ref(), name);
        let cost = [counted("rows_scanned"), counted("bytes_read") + counted("bytes_cached")];
        let answer = pretty_format_batches(&batches).unwrap().to_string();
        (answer, cost, displayable(plan.as_ref()).indent(true).to_string())
    })
}

#[test]
fn no_row_is_read_where_lists_tell_of_groups() {
    let (_directory, archive, flows) = generated(60_000);
    let times: BTreeSet<_> = flows.iter().map(|flow| flow.flow.start_time).collect();
    let middle = *times.iter().nth(times.len() / 3).unwrap();
    let late = format!("start_time >= '{middle}'");
    // Of the two blocks in which the time lies all rows may be read.
    for (condition, keys, list, most_rows) in [
        ("true", "dst_port", "dst_port", 0),
        ("true", "protocol", "protocol, tcp_flags", 0),
        ("protocol = 6", "tcp_flags, protocol", "protocol, tcp_flags", 0),
        ("NOT (tcp_flags & 2 = 2)", "protocol", "protocol, tcp_flags", 0),
        ("true", "node_id", "node_id", 0),
        ("true", "src_ip", "src_ip", 0),
        ("NOT (dst_port = 443)", "dst_port", "dst_port", 0),
        (late.as_str(), "dst_port", "dst_port", 2000),
    ] {
        let from = format!("FROM flows WHERE {condition} GROUP BY {keys}");
        let (answer, [rows, bytes], plan) =
            asked(&archive, &format!("SELECT {keys}, count(*) AS n {from} ORDER BY n DESC, {keys} LIMIT 10"));
        assert!(plan.contains(&format!("FlowGroupsExec: by=[{keys}], listed=[{list}], filter=")), "{plan}");
        assert!(rows <= most_rows && bytes > 0, "{condition}, {keys}: {rows} rows, {bytes} bytes");
        // Where more is asked of the groups, each row is read.
        let (read, [rows, _], plan) = asked(
            &archive,
            &format!(
                "SELECT {keys}, n FROM (SELECT {keys}, count(*) AS n, max(end_time) AS m {from}) \
                 WHERE m IS NULL OR m > '1970-01-01' ORDER BY n DESC, {keys} LIMIT 10"
            ),
        );
        assert!(rows >= 10_000 && !plan.contains("FlowGroupsExec"), "{rows} rows, {plan}");
        assert_eq!(answer, read, "{condition}, {keys}");
    }
    // A filter on another list does not say which flows it is.
    let (_, [rows, _], _) =
        asked(&archive, "SELECT protocol, count(*) FROM flows WHERE dst_port = 443 GROUP BY protocol");
    assert!(rows > 0);
    let (_, [rows, _], plan) = asked(&archive, "SELECT dst_port, sum(src_bytes) FROM flows GROUP BY dst_port");
    assert!(rows == 60_000 && !plan.contains("listed"), "bytes are in no list: {rows} rows, {plan}");
    for (key, list) in [
        ("ip_text(dst_ip)", "dst_ip"),
        ("protocol_name(protocol)", "protocol, tcp_flags"),
        ("tcp_flags_text(tcp_flags)", "protocol, tcp_flags"),
    ] {
        let (_, [rows, bytes], plan) = asked(&archive, &format!("SELECT {key} AS k, count(*) FROM flows GROUP BY k"));
        assert!(plan.contains(&format!("listed=[{list}], filter=")), "{plan}");
        assert!(rows == 0 && bytes > 0, "{key}: {rows} rows, {bytes} bytes");
    }
    // The statement of the README.
    let sql = "SELECT ip_text(src_ip), sum(src_bytes) FROM flows WHERE cidr_contains(dst_ip, '10.0.0.0/8') GROUP BY 1";
    let (_, _, plan) = asked(&archive, sql);
    assert!(plan.contains("FlowGroupsExec: by=[ip_text(src_ip@0)], filter="), "{plan}");
}

#[test]
fn sums_of_two_columns_are_added_up_without_rows_of_sql() {
    let (_directory, archive, _) = generated(20_000);
    for (added, is_grouped) in ADDED {
        let sql =
            format!("SELECT src_node, {added} FROM flows WHERE dst_port = 443 GROUP BY src_node ORDER BY src_node");
        let (_, _, plan) = asked(&archive, &sql);
        assert_eq!(plan.contains("FlowGroupsExec: by=[src_node]"), is_grouped, "{added}: {plan}");
    }
}

#[test]
fn no_row_is_read_of_pages_that_lie_in_one_bucket() {
    let (_directory, archive, flows) = generated(60_000);
    let mut times: Vec<_> = flows.iter().map(|flow| flow.flow.start_time).collect();
    times.sort_unstable();
    let middle = times[times.len() / 3 + 333];
    // Buckets that end where the middle flow of all begins: of the pages that hold it, rows are read.
    let halves = format!("date_bin(INTERVAL '10000 days', start_time, TIMESTAMP '{}')", times[times.len() / 2]);
    for (what, key, condition, least, most) in [
        ("count(*)", "date_bin(INTERVAL '10000 days', start_time)", "true", 0, 0),
        ("count(*)", halves.as_str(), "true", 1, 500),
        ("count(*)", "date_bin(INTERVAL '10000 days', start_time)", "dst_port = 443", 0, 0),
        ("count(*)", "date_bin(INTERVAL '10000 days', start_time)", &format!("start_time >= '{middle}'"), 1, 2000),
        ("sum(src_bytes)", "date_bin(INTERVAL '10000 days', start_time)", "true", 60_000, 60_000),
    ] {
        let sql = format!("SELECT {what} AS n, {key} AS k FROM flows WHERE {condition} GROUP BY k ORDER BY k");
        let (_, [rows, _], plan) = asked(&archive, &sql);
        assert!(plan.contains("FlowGroupsExec: by=[date_"), "{plan}");
        assert!((least..=most).contains(&rows), "{sql}: {rows} rows");
    }
}

#[test]
fn groups_of_a_list_that_do_not_fit_into_memory_are_those_of_rows() {
    let flow = |port| Flow { dst_port: Some(port), ..Flow::starting(Timestamp::MAX) };
    let (_directory, archive, _) = summaries::archive(&[(0..60_000).map(flow).collect()], Settings::default());
    let sql =
        "SELECT count(*) AS ports, sum(n) AS flows FROM (SELECT dst_port, count(*) AS n FROM flows GROUP BY dst_port)";
    for (bytes, is_spilled) in [(64 << 20, false), (2 << 20, true)] {
        let config = SessionConfig::new().with_target_partitions(2).with_sort_spill_reservation_bytes(64 << 10);
        let memory = query::limited_memory(bytes).unwrap();
        let context = query::archive_session(archive.clone(), config, memory).unwrap();
        block_on(async {
            let plan = context.sql(sql).await.unwrap().create_physical_plan().await.unwrap();
            assert!(displayable(plan.as_ref()).indent(true).to_string().contains("listed=[dst_port]"));
            let batches = collect(Arc::clone(&plan), context.task_ctx()).await.unwrap();
            let answer = pretty_format_batches(&batches).unwrap().to_string();
            assert!(answer.contains("| 60000 | 60000 |"), "{answer}");
            assert_eq!((counted(plan.as_ref(), "rows_scanned"), spills(&plan) > 0), (0, is_spilled));
        });
    }
}

#[test]
fn buckets_of_all_years_are_those_of_rows() {
    let starts = [-62_167_219_200_000, -9_200_000_000_000, -1, 0, 1, 1_666_000_000_000, 9_200_000_000_000];
    let flow = |millis: &i64| Flow::starting(Timestamp::from_millis(*millis).unwrap());
    let flows: Vec<Flow> = starts.iter().chain(&starts).map(flow).collect();
    // The nanoseconds of date_bin end in 1677: whether or not a page holds earlier flows, only those that match count.
    let late = "start_time > '1677-09-22'";
    let binned = ["'1000 years'", "'-2 months'", "'-1 hour'", "'1 nanosecond'", "'106750 days'"];
    let binned = binned.map(|length| (format!("date_bin(INTERVAL {length}, start_time)"), late));
    let truncated =
        FUNCTIONS.into_iter().filter(|key| key.starts_with("date_trunc")).map(|key| (key.to_owned(), "true"));
    let queries: Vec<String> = truncated
        .chain(binned)
        .map(|(key, condition)| {
            format!("SELECT {key} AS k, count(*) AS n, count(src_bytes) AS s FROM flows WHERE {condition} GROUP BY 1 ORDER BY k")
        })
        .collect();
    for block_rows in [3, 8192] {
        let segment = SegmentOptions::default().block_rows(block_rows).row_group_blocks(1);
        let settings = || Settings::default().segment(segment);
        same_as_rows(std::slice::from_ref(&flows), &[], settings(), (2, 8192), &queries).unwrap();
        let (_directory, archive, _) = summaries::archive(std::slice::from_ref(&flows), settings());
        for wrong in ["INTERVAL '1 day', start_time", "INTERVAL '0 days', start_time"] {
            let context = query::archive_session(archive.clone(), SessionConfig::new(), Arc::default()).unwrap();
            let sql = format!("SELECT date_bin({wrong}), count(*) FROM flows GROUP BY 1");
            let error = block_on(async { context.sql(&sql).await?.collect().await }).unwrap_err().to_string();
            assert!(error.contains("Cannot cast") || error.contains("stride must be non-zero"), "{error}");
        }
    }
}

#[test]
fn buckets_are_the_same_where_pages_are_decoded_together() {
    let flows: Vec<Flow> = Generator::new(7).flows(5000).collect();
    // A scan of these columns is more than the smaller cache may keep, and several pages are read at a time.
    let caches = [64 << 10, Settings::default().page_cache_bytes];
    let answers = caches.map(|page_cache_bytes| {
        let segment = SegmentOptions::default().block_rows(16).row_group_blocks(4);
        let settings = Settings::default().segment(segment).page_cache_bytes(page_cache_bytes);
        let (_directory, archive, _) = summaries::archive(std::slice::from_ref(&flows), settings);
        ["true", "dst_port = 443"].map(|condition| {
            let sql = format!(
                "SELECT date_bin(INTERVAL '1 second', start_time) AS k, count(*) AS n, sum(dst_bytes) AS s FROM flows \
                 WHERE {condition} GROUP BY 1 ORDER BY k"
            );
            let (answer, _, plan) = asked(&archive, &sql);
            assert!(plan.contains("FlowGroupsExec") && answer.lines().count() > 100, "{plan} {answer}");
            answer
        })
    });
    assert_eq!(answers[0], answers[1]);
}
