//! What SQL answers over an archive is what a plain loop over its flows answers.
#![cfg(feature = "sql")]

use std::{
    collections::BTreeMap,
    fs, io,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use datafusion::{
    arrow::{
        array::{Array, AsArray, RecordBatch},
        compute::cast,
        datatypes::{DataType, Int64Type, TimestampMillisecondType, UInt16Type, UInt64Type},
        util::pretty::pretty_format_batches,
    },
    catalog::TableProvider,
    common::DataFusionError,
    logical_expr::Expr,
    physical_plan::{ExecutionPlan, collect, displayable},
    prelude::{SessionConfig, SessionContext, col, lit},
};
use flowseek::{
    Archive, ErrorKind, Filter, Flow, Order, Settings, StoredFlow,
    archive::Effort,
    archive::SegmentOptions,
    filter,
    flow::{AddressRange, Field, Protocol, TcpFlags, Timestamp},
    query::{self, FlowTable},
    schema::{Flows, schema},
};
use futures::StreamExt;
use proptest::{collection::vec, prelude::*, sample::select};

use crate::{
    cursors::copied,
    folder::Folder,
    hooked::{Hooked, Step},
    support::{NAMES, append, block_on, counted, flow, oracle, settings},
};

fn session(archive: &Archive) -> SessionContext {
    let context = query::session(SessionConfig::new().with_target_partitions(3));
    let flows = FlowTable::new(archive.snapshot().unwrap());
    context.register_table("flows", Arc::new(flows)).unwrap();
    context
}

async fn rows(context: &SessionContext, sql: &str) -> Vec<RecordBatch> {
    let answer = context.sql(sql).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
    answer.collect().await.unwrap_or_else(|error| panic!("{sql}: {error}"))
}

async fn count(context: &SessionContext, from: &str) -> u64 {
    let batches = rows(context, &format!("SELECT count(*) FROM {from}")).await;
    batches[0].column(0).as_primitive::<Int64Type>().value(0) as u64
}

async fn ids(context: &SessionContext, sql: &str) -> Vec<u64> {
    let batches = rows(context, sql).await;
    let columns = batches.iter().map(|batch| batch.column_by_name("flow_id").unwrap().as_primitive::<UInt64Type>());
    columns.flat_map(|column| column.values().to_vec()).collect()
}

fn stored_flows(batch: &RecordBatch) -> Vec<StoredFlow> {
    let flows = Flows::new(batch).unwrap();
    (0..flows.len()).map(|row| flows.get(row).unwrap()).collect()
}

/// A condition in SQL, and the filter of the same meaning.
fn condition() -> impl Strategy<Value = (String, Filter)> {
    let times = (0i64..7, 0..5).prop_map(|(millis, operator)| {
        let time = Timestamp::from_millis(1_666_000_000_000 + millis).unwrap();
        let start = filter::start_time();
        let (operator, filter) = match operator {
            0 => ("=", start.eq(time)),
            1 => ("<>", start.ne(time)),
            2 => (">", start.gt(time)),
            3 => ("<=", start.lte(time)),
            _ => ("<", start.lt(time)),
        };
        (format!("start_time {operator} '{time}'"), filter)
    });
    let ports = (0u16..3, any::<bool>()).prop_map(|(port, equal)| match equal {
        true => (format!("dst_port = {port}"), filter::dst_port().eq(port)),
        false => (format!("src_port >= {port}"), filter::src_port().within(port..)),
    });
    let blocks = select(vec!["10.0.0.0/8", "10.0.0.1", "0.0.0.0/0", "::/0", "2001:db8::/32"]);
    let addresses = blocks.prop_map(|text| {
        let block: AddressRange = text.parse().unwrap();
        let sql = match text.contains('/') {
            true => format!("src_ip BETWEEN ip('{}') AND ip('{}')", block.first(), block.last()),
            false => format!("src_ip = ip('{text}')"),
        };
        (sql, filter::src_ip().within(block))
    });
    let names = (select(&NAMES[..]), any::<bool>()).prop_map(|(name, equal)| match equal {
        true => (format!("src_node = '{name}'"), filter::src_node().eq(name)),
        false => (format!("node_id <> '{name}'"), filter::node_id().ne(name)),
    });
    let flags = select(vec![1u8, 2, 18]).prop_map(|mask| {
        (format!("tcp_flags & {mask} = {mask}"), filter::tcp_flags().carries_any([TcpFlags::new(mask)]))
    });
    let protocols = select(vec![1u8, 6, 255])
        .prop_map(|number| (format!("protocol = {number}"), filter::protocol().eq(Protocol::new(number))));
    let one = prop_oneof![3 => times, 1 => ports, 1 => addresses, 1 => names, 1 => flags, 1 => protocols];
    let all = Just(("true".to_owned(), Filter::all()));
    prop_oneof![1 => all, 8 => one].prop_recursive(2, 4, 2, |inner| {
        prop_oneof![
            (inner.clone(), inner.clone()).prop_map(|(a, b)| (format!("({} AND {})", a.0, b.0), a.1.and(b.1))),
            (inner.clone(), inner).prop_map(|(a, b)| (format!("({} OR {})", a.0, b.0), a.1.or(b.1))),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, max_shrink_iters: 40, ..ProptestConfig::default() })]

    #[test]
    fn sql_answers_as_a_plain_loop_does(
        commits in vec(vec(flow(), 0..25), 1..4),
        settings in settings(),
        queries in vec((condition(), 0usize..9), 6),
    ) {
        let directory = Folder::new();
        let archive = Archive::open_or_create_with(directory.path(), settings).unwrap();
        let stored = append(&archive, &commits);
        let context = session(&archive);
        block_on(async {
            for ((condition, filter), limit) in queries {
                let told = format!("{condition}, limit {limit}");
                let expected = oracle(&stored, &filter, &Order::newest_first());
                let from = format!("flows WHERE {condition}");
                prop_assert_eq!(count(&context, &from).await, expected.len() as u64, "{}", told);

                let batches = rows(&context, &format!("SELECT * FROM {from}")).await;
                let mut found: Vec<_> = batches.iter().flat_map(stored_flows).collect();
                found.sort_by_key(|flow| flow.id);
                let mut by_id = expected.clone();
                by_id.sort_by_key(|flow| flow.id);
                prop_assert_eq!(found, by_id, "{}", told);

                for (order, direction) in [(Order::newest_first(), "DESC"), (Order::oldest_first(), "ASC")] {
                    let order_by = format!("start_time {direction}, flow_id {direction}");
                    let sql = format!("SELECT flow_id FROM {from} ORDER BY {order_by} LIMIT {limit} OFFSET 1");
                    let second = oracle(&stored, &filter, &order).into_iter().skip(1).take(limit);
                    let second: Vec<_> = second.map(|flow| flow.id.get()).collect();
                    prop_assert_eq!(ids(&context, &sql).await, second, "{} {}", direction, told);
                }

                let some = ids(&context, &format!("SELECT flow_id FROM {from} LIMIT {limit}")).await;
                prop_assert_eq!(some.len(), limit.min(expected.len()), "{}", told);
                prop_assert!(some.iter().all(|id| expected.iter().any(|flow| flow.id.get() == *id)), "{}", told);
                let counted = count(&context, &format!("(SELECT * FROM {from} LIMIT {limit})")).await;
                prop_assert_eq!(counted, limit.min(expected.len()) as u64, "{}", told);

                prop_assert_eq!(groups(&context, &from).await, expected_groups(&expected), "{}", told);
                for (sum, of) in SUMS {
                    let expected = expected.iter().filter_map(|stored| of(&stored.flow)).reduce(|left, right| left + right);
                    let sql = format!("SELECT CAST(sum({sum}) AS VARCHAR) AS text FROM {from}");
                    prop_assert_eq!(texts(&context, &sql).await, [expected.map(|sum| sum.to_string())], "{} {}", sum, told);
                }
            }
            Ok(())
        })?;
    }
}

/// What can be added up, and the same of one flow.
type Sum = (&'static str, fn(&Flow) -> Option<i128>);

const SUMS: [Sum; 4] = [
    ("src_bytes", |flow| Some(flow.src_bytes?.into())),
    ("src_bytes - dst_bytes", |flow| Some(i128::from(flow.src_bytes?) - i128::from(flow.dst_bytes?))),
    ("3 * src_bytes + dst_bytes", |flow| Some(3 * i128::from(flow.src_bytes?) + i128::from(flow.dst_bytes?))),
    ("src_port - dst_port * dst_port", |flow| {
        Some(i128::from(flow.src_port?) - i128::from(flow.dst_port?) * i128::from(flow.dst_port?))
    }),
];

/// The texts of a query that asks for one column of them.
async fn texts(context: &SessionContext, sql: &str) -> Vec<Option<String>> {
    let batches = rows(context, sql).await;
    let text = |batch: &RecordBatch| {
        let column = cast(batch.column(0), &DataType::Utf8).unwrap();
        column.as_string::<i32>().iter().map(|text| text.map(str::to_owned)).collect::<Vec<_>>()
    };
    batches.iter().flat_map(text).collect()
}

/// Of each port, absent or not: how many flows and the time of the newest.
type Groups = BTreeMap<Option<u16>, (i64, i64)>;

async fn groups(context: &SessionContext, from: &str) -> Groups {
    let sql = format!("SELECT dst_port, count(*), max(start_time) FROM {from} GROUP BY dst_port");
    let mut groups = Groups::new();
    for batch in rows(context, &sql).await {
        let ports = batch.column(0).as_primitive::<UInt16Type>();
        let counts = batch.column(1).as_primitive::<Int64Type>();
        let times = batch.column(2).as_primitive::<TimestampMillisecondType>();
        for row in 0..batch.num_rows() {
            let port = ports.is_valid(row).then(|| ports.value(row));
            assert!(groups.insert(port, (counts.value(row), times.value(row))).is_none());
        }
    }
    groups
}

fn expected_groups(flows: &[StoredFlow]) -> Groups {
    let mut groups = Groups::new();
    for stored in flows {
        let group = groups.entry(stored.flow.dst_port).or_insert((0, i64::MIN));
        *group = (group.0 + 1, group.1.max(stored.flow.start_time.as_millis()));
    }
    groups
}

/// 100 flows, a second apart, in 4 segments of 25.
fn with_segments(test: impl FnOnce(&Archive)) {
    in_segments(&Folder::new(), test);
}

/// The same, which the test damages.
fn with_damaged_segments(test: impl FnOnce(&Archive)) {
    let directory = Folder::new();
    directory.expect_damage();
    in_segments(&directory, test);
}

fn in_segments(directory: &Folder, test: impl FnOnce(&Archive)) {
    let settings = Settings::default().segment_rows(25);
    let archive = Archive::open_or_create_with(directory.path(), settings).unwrap();
    let flow = |n: u16| Flow {
        dst_port: Some(n),
        src_ip: Some(format!("10.0.0.{n}").parse().unwrap()),
        ..Flow::starting(Timestamp::from_millis(i64::from(n) * 1000).unwrap())
    };
    append(&archive, &[(0..100).map(flow).collect()]);
    test(&archive);
}

async fn explained(context: &SessionContext, sql: &str) -> String {
    pretty_format_batches(&rows(context, &format!("EXPLAIN {sql}")).await).unwrap().to_string()
}

#[test]
fn segments_that_the_time_excludes_are_not_opened() {
    with_damaged_segments(|archive| {
        let context = session(archive);
        let manifest = archive.snapshot().unwrap().manifest().clone();
        let late = Timestamp::from_millis(60_000).unwrap();
        for entry in manifest.segments.iter().filter(|entry| entry.start_times().0 > late) {
            fs::remove_file(archive.path().join(&entry.path)).unwrap();
        }
        block_on(async {
            let early = "flows WHERE start_time < '1970-01-01T00:00:30Z'";
            assert_eq!(count(&context, early).await, 30);
            let plan = explained(&context, &format!("SELECT * FROM {early}")).await;
            assert!(plan.contains("segments=2 of 4, 2 dropped by start_time"), "{plan}");
            assert!(!plan.contains("FilterExec"), "the scan filters by itself: {plan}");

            assert_eq!(count(&context, "flows WHERE start_time < '1960-01-01T00:00:00Z'").await, 0);
            assert!(context.sql("SELECT * FROM flows").await.unwrap().collect().await.is_err(), "a file is missing");
        });
    });
}

#[test]
fn counts_and_times_of_all_flows_are_known_without_reading() {
    with_damaged_segments(|archive| {
        let context = session(archive);
        fs::remove_dir_all(archive.path().join("data")).unwrap();
        block_on(async {
            assert_eq!(count(&context, "flows").await, 100);
            let times = rows(&context, "SELECT min(start_time), max(start_time) FROM flows").await;
            let time = |column: usize| times[0].column(column).as_primitive::<TimestampMillisecondType>().value(0);
            assert_eq!((time(0), time(1)), (0, 99_000));
        });
    });
}

#[test]
fn partitions_that_share_a_segment_count_each_flow_once() {
    let directory = Folder::new();
    let archive = Archive::open_or_create(directory.path()).unwrap();
    let flow = |n: u32| Flow { dst_port: Some((n % 7) as u16), ..Flow::starting(Timestamp::MAX) };
    append(&archive, &[(0..140_000).map(flow).collect()]);
    let context = query::session(SessionConfig::new().with_target_partitions(2));
    let flows = FlowTable::new(archive.snapshot().unwrap());
    context.register_table("flows", Arc::new(flows)).unwrap();
    block_on(async {
        // The first reads the list, so that the others wait for nothing: one partition then counts before the other begins.
        for port in 0..7 {
            assert_eq!(count(&context, &format!("flows WHERE dst_port = {port}")).await, 20_000, "{port}");
        }
    });
}

#[test]
fn a_table_keeps_to_its_snapshot() {
    with_segments(|archive| {
        let context = session(archive);
        append(archive, &[vec![Flow::starting(Timestamp::MAX)]]);
        assert_eq!(block_on(count(&context, "flows")), 100);
        assert_eq!(block_on(count(&session(archive), "flows")), 101);
    });
}

#[test]
fn a_live_table_answers_each_query_from_the_newest_version_and_keeps_to_it() {
    with_segments(|archive| {
        let context = query::archive_session(archive.clone(), SessionConfig::new(), Arc::default()).unwrap();
        let more = || append(archive, &[vec![Flow::starting(Timestamp::MAX)]]);
        block_on(async {
            let pairs = "SELECT count(*) FROM flows a JOIN flows b ON a.flow_id = b.flow_id";
            let mut planned = Vec::new();
            for expected in 100..104 {
                assert_eq!(count(&context, "flows").await, expected);
                for sql in ["SELECT flow_id FROM flows WHERE src_bytes IS NULL OR src_bytes >= 0", pairs] {
                    let plan = context.sql(sql).await.unwrap().create_physical_plan().await.unwrap();
                    planned.push((plan, sql == pairs, expected));
                }
                more();
            }
            let _ = archive.writer().unwrap().compactor().run_once(Effort::Thorough).unwrap();
            more();
            // Whatever came between planning and now, each is answered from the flows of its time, in every place.
            for (plan, is_count, expected) in planned {
                let batches = collect(plan, context.task_ctx()).await.unwrap();
                let answer = match is_count {
                    true => batches[0].column(0).as_primitive::<Int64Type>().value(0) as u64,
                    false => batches.iter().map(|batch| batch.num_rows() as u64).sum(),
                };
                assert_eq!(answer, expected);
            }
            assert_eq!(count(&context, "flows").await, 105);
        });
    });
}

#[test]
fn a_query_keeps_to_its_memory_or_says_that_it_cannot() {
    let directory = Folder::new();
    let archive = Archive::open_or_create(directory.path()).unwrap();
    let flow = |port| Flow { dst_port: Some(port), ..Flow::starting(Timestamp::MAX) };
    append(&archive, &[(0..60_000).map(flow).collect()]);
    let limited = |bytes| {
        let config = SessionConfig::new().with_target_partitions(2).with_sort_spill_reservation_bytes(64 << 10);
        query::archive_session(archive.clone(), config, query::limited_memory(bytes).unwrap()).unwrap()
    };
    let sql = "SELECT count(*) FROM (SELECT flow_id, dst_port, max(start_time) FROM flows GROUP BY flow_id, dst_port)";
    block_on(async {
        // The groups take several times as much: they are spilled.
        let context = limited(2 << 20);
        let plan = context.sql(sql).await.unwrap().create_physical_plan().await.unwrap();
        let batches = collect(Arc::clone(&plan), context.task_ctx()).await.unwrap();
        assert_eq!(batches[0].column(0).as_primitive::<Int64Type>().value(0), 60_000);
        assert!(spills(&plan) > 0);
        let error = limited(20 << 10).sql(sql).await.unwrap().collect().await.unwrap_err();
        assert!(matches!(error.find_root(), DataFusionError::ResourcesExhausted(_)), "{error}");
        assert!(error.to_string().contains("20.0 KB"), "{error}");
    });
}

#[test]
fn groups_that_a_summary_can_tell_are_added_up_without_rows_as_far_as_memory_goes() {
    let directory = Folder::new();
    let archive = Archive::open_or_create(directory.path()).unwrap();
    let flow = |n: u16| Flow {
        protocol: Protocol::new(n.to_le_bytes()[0]),
        src_port: Some(n / 3),
        src_bytes: n.is_multiple_of(5).then_some(u64::MAX),
        ..Flow::starting(Timestamp::MAX)
    };
    append(&archive, &[(0..60_000).map(flow).collect()]);
    let limited = |bytes| {
        let config = SessionConfig::new().with_target_partitions(2).with_sort_spill_reservation_bytes(64 << 10);
        query::archive_session(archive.clone(), config, query::limited_memory(bytes).unwrap()).unwrap()
    };
    let grouped = |key| format!("SELECT {key}, count(*) AS n, sum(src_bytes) AS s FROM flows GROUP BY {key}");
    // 20,000 ports, each of three flows, and 60,000 IDs; of the flows every fifth tells its bytes.
    let totals = |key| {
        let groups = grouped(key);
        format!(
            "SELECT count(*) AS groups, sum(n), count(s), sum(s) = 12000 * 18446744073709551615 AS exact FROM ({groups})"
        )
    };
    block_on(async {
        for bytes in [64 << 20, 2 << 20] {
            let context = limited(bytes);
            assert!(explained(&context, &grouped("src_port")).await.contains("FlowGroupsExec: by=[src_port]"));
            for (key, told) in [
                ("src_port", "| 20000  | 60000  | 12000    | true  |"),
                ("flow_id", "| 60000  | 60000  | 12000    | true  |"),
                ("protocol", "| 256    | 60000  | 256      | true  |"),
            ] {
                let batches = rows(&context, &totals(key)).await;
                let table = pretty_format_batches(&batches).unwrap().to_string();
                assert!(table.contains(told), "{bytes} bytes, {key}\n{table}");
            }
        }
        // A plan that is run again answers again.
        let context = limited(64 << 20);
        let plan = context.sql("SELECT protocol, count(*) FROM flows GROUP BY protocol").await.unwrap();
        let plan = plan.create_physical_plan().await.unwrap();
        for _ in 0..2 {
            let batches = collect(Arc::clone(&plan), context.task_ctx()).await.unwrap();
            assert_eq!(batches.iter().map(RecordBatch::num_rows).sum::<usize>(), 256);
        }
    });
}

/// How often a plan went on in files.
pub(crate) fn spills(plan: &Arc<dyn ExecutionPlan>) -> usize {
    let own = plan.metrics().and_then(|metrics| metrics.spill_count()).unwrap_or(0);
    own + plan.children().into_iter().map(spills).sum::<usize>()
}

#[test]
fn functions_answer_what_pages_answer_and_say_what_is_wrong() {
    with_segments(|archive| {
        let context = session(archive);
        block_on(async {
            let words = "protocol_name(arrow_cast(6, 'UInt8')), tcp_flags_text(arrow_cast(18, 'UInt8')), \
                         protocol_name(NULL), tcp_flags_text(NULL), cidr_contains(NULL, '::/0'), \
                         cidr_contains(ip('10.1.1.1'), '10.0.0.0/8'), cidr_contains(ip('11.1.1.1'), concat('10.0.0.0', '/8'))";
            let batches = rows(&context, &format!("SELECT {words}")).await;
            let told = batches[0].columns().iter().map(|column| {
                let text = cast(column, &DataType::Utf8).unwrap();
                let text = text.as_string::<i32>();
                text.is_valid(0).then(|| text.value(0).to_owned())
            });
            let told: Vec<_> = told.map(|text| text.unwrap_or("null".to_owned())).collect();
            assert_eq!(told, ["TCP", "00010010", "null", "null", "null", "true", "false"]);
            assert_eq!(count(&context, "flows WHERE cidr_contains(src_ip, '10.0.0.0/30')").await, 4);
            assert_eq!(count(&context, "flows WHERE cidr_contains(src_ip, ip_text(src_ip))").await, 100);
            for (wrong, problem) in [
                ("cidr_contains(src_ip, '10.0.0.0/33')", "in \"10.0.0.0/33\" is not a prefix length"),
                ("cidr_contains(src_ip, concat(ip_text(src_ip), '/x'))", "is not a prefix length from 0 to 32"),
                ("cidr_contains(src_ip)", "cidr_contains"),
                ("cidr_contains('10.0.0.0/8', src_ip)", "cidr_contains"),
                ("protocol_name(src_node) = 'TCP'", "protocol_name"),
            ] {
                let sql = format!("SELECT * FROM flows WHERE {wrong}");
                let error = match context.sql(&sql).await {
                    Ok(frame) => frame.collect().await.unwrap_err(),
                    Err(error) => error,
                };
                assert!(error.to_string().contains(problem), "{error}");
            }
        });
    });
}

#[test]
fn filters_may_hold_subqueries_and_joins() {
    with_segments(|archive| {
        let context = session(archive);
        block_on(async {
            let newest = "SELECT flow_id FROM flows WHERE start_time = (SELECT max(start_time) FROM flows)";
            assert_eq!(ids(&context, newest).await.len(), 1);
            let listed = "flows WHERE dst_port IN (SELECT dst_port FROM flows WHERE dst_port % 10 = 3)";
            assert_eq!(count(&context, listed).await, 10);
            let pairs =
                "flows a JOIN flows b ON a.dst_port = b.dst_port + 1 WHERE b.start_time < '1970-01-01T00:00:10Z'";
            assert_eq!(count(&context, pairs).await, 10);
        });
    });
}

#[test]
fn an_archive_without_flows_is_a_table_without_rows() {
    let directory = Folder::new();
    let context = session(&Archive::open_or_create(directory.path()).unwrap());
    block_on(async {
        assert_eq!(count(&context, "flows").await, 0);
        assert!(ids(&context, "SELECT flow_id FROM flows ORDER BY start_time LIMIT 3").await.is_empty());
    });
}

#[test]
fn addresses_are_written_and_read_as_text() {
    with_segments(|archive| {
        let context = session(archive);
        block_on(async {
            for same in ["10.0.0.7", "::ffff:10.0.0.7", "0:0:0:0:0:ffff:a00:7"] {
                let sql = format!("SELECT ip_text(src_ip) AS text FROM flows WHERE src_ip = ip('{same}')");
                let batches = rows(&context, &sql).await;
                assert_eq!(batches[0].column(0).as_string::<i32>().value(0), "10.0.0.7");
            }
            let folded = explained(&context, "SELECT * FROM flows WHERE src_ip = ip('10.0.0.7')").await;
            assert!(!folded.contains("ip(") && folded.contains("filter=src_ip = 10.0.0.7"), "{folded}");
            let absent = rows(&context, "SELECT ip(NULL), ip_text(NULL), ip_text(dst_ip) FROM flows LIMIT 1").await;
            assert!(absent[0].columns().iter().all(|column| column.is_null(0)));
            let joined = "flows WHERE src_ip = ip(concat('10.0.0.', dst_port))";
            assert_eq!(count(&context, joined).await, 100);
            for wrong in ["SELECT ip('10.0.0.256')", "SELECT * FROM flows WHERE src_ip = ip('10.0.0.256')"] {
                let error = context.sql(wrong).await.unwrap().collect().await.unwrap_err().to_string();
                assert!(error.contains("\"10.0.0.256\" is not an IPv4 or IPv6 address"), "{error}");
            }
        });
    });
}

/// Two flows whose numbers do not fit together.
fn extreme() -> (Folder, Archive) {
    let directory = Folder::new();
    let archive = Archive::open_or_create(directory.path()).unwrap();
    let flow = |millis, bytes: (u64, u64), ports: (u16, u16)| Flow {
        src_bytes: Some(bytes.0),
        dst_bytes: Some(bytes.1),
        src_port: Some(ports.0),
        dst_port: Some(ports.1),
        tcp_flags: Some(TcpFlags::new(2)),
        ..Flow::starting(Timestamp::from_millis(millis).unwrap())
    };
    append(&archive, &[vec![flow(0, (u64::MAX, 1), (80, 50_000)), flow(1, (3, u64::MAX), (443, 1))]]);
    (directory, archive)
}

#[test]
fn sums_differences_and_products_never_wrap() {
    let (_directory, archive) = extreme();
    let context = session(&archive);
    block_on(async {
        for (expression, expected) in [
            ("sum(src_bytes)", "18446744073709551618"),
            ("sum(src_bytes) - sum(dst_bytes)", "2"),
            ("sum(dst_bytes) - sum(src_bytes)", "-2"),
            ("sum(src_bytes - dst_bytes)", "2"),
            ("sum(DISTINCT src_bytes)", "18446744073709551618"),
            ("min(src_bytes - dst_bytes)", "-18446744073709551612"),
            ("max(src_bytes + dst_bytes)", "18446744073709551618"),
            ("max(src_bytes + dst_bytes + src_bytes)", "36893488147419103231"),
            ("max(dst_bytes * 8)", "147573952589676412920"),
            ("sum(src_bytes * src_port)", "1475739525896764130529"),
            ("min(src_port - dst_port)", "-49920"),
            ("sum(src_port * dst_port)", "4000443"),
            ("max(src_port + 65535)", "65978"),
            ("sum(tcp_flags - 200)", "-396"),
            ("sum(flow_id - 2)", "-1"),
            ("sum(CASE WHEN src_port < 100 THEN 1 ELSE 0 END)", "1"),
            ("sum(CASE WHEN src_port < 100 THEN 9223372036854775807 ELSE 1 END)", "9223372036854775808"),
            ("count(*) + 9223372036854775805", "9223372036854775807"),
            (
                "sum(total) FROM (SELECT sum(src_bytes) + 1 AS total FROM flows GROUP BY dst_port) totals",
                "18446744073709551620",
            ),
        ] {
            let from = if expression.contains(" FROM ") { "" } else { " FROM flows" };
            let found = texts(&context, &format!("SELECT {expression}{from}")).await;
            assert_eq!(found, [Some(expected.to_owned())], "{expression}");
        }
        let running = "SELECT sum(src_bytes) OVER (ORDER BY flow_id DESC) FROM flows ORDER BY flow_id";
        assert_eq!(texts(&context, running).await, [Some("18446744073709551618".to_owned()), Some("3".to_owned())]);
        let named =
            "SELECT sum(src_bytes), src_port - 100 FROM flows GROUP BY src_port - 100 HAVING sum(src_bytes) > 3";
        assert_eq!(texts(&context, named).await, [Some("18446744073709551615".to_owned())]);
        for (condition, found) in [
            ("src_bytes - dst_bytes < 0", 1),
            ("src_bytes + dst_bytes > 18446744073709551615", 2),
            ("src_port - dst_port < 0", 1),
        ] {
            assert_eq!(count(&context, &format!("flows WHERE {condition}")).await, found, "{condition}");
        }
        for wrapping in [
            "max(src_bytes * src_bytes)",
            "count(*) + 9223372036854775807",
            "min(CAST(src_port AS BIGINT)) * 9223372036854775807",
            // The type of the first branch is that of ports.
            "max((CASE WHEN src_port > 443 THEN src_port ELSE src_bytes END) + dst_port)",
        ] {
            let answer = context.sql(&format!("SELECT {wrapping} FROM flows")).await.unwrap().collect().await;
            assert!(answer.is_err(), "{wrapping}: {answer:?}");
        }
    });
}

#[test]
fn a_mean_of_bytes_is_a_double_as_that_of_any_number() {
    let (_directory, archive) = extreme();
    let context = session(&archive);
    block_on(async {
        for mean in ["avg(src_bytes)", "mean(dst_bytes)", "avg(src_port)", "avg(src_bytes) OVER ()"] {
            let batches = context.sql(&format!("SELECT {mean} FROM flows")).await.unwrap().collect().await.unwrap();
            assert_eq!(batches[0].column(0).data_type(), &DataType::Float64, "{mean}");
        }
    });
}

/// Flows of all years that there are, one of them a millisecond after another.
fn of_all_years() -> (Folder, Archive, Vec<Timestamp>) {
    let directory = Folder::new();
    let archive = Archive::open_or_create(directory.path()).unwrap();
    let starts = [
        "0000-01-01T00:00:00Z",
        "1066-10-14T09:00:00.001Z",
        "1677-09-21T00:12:43Z",
        "1969-12-31T23:59:59.999Z",
        "2024-02-29T12:34:56.789Z",
        "2024-02-29T12:34:56.790Z",
        "2262-04-11T23:47:17Z",
        "4000-12-31T23:59:59.999Z",
        "9999-12-31T23:59:59.999Z",
    ];
    let starts: Vec<Timestamp> = starts.into_iter().map(|start| start.parse().unwrap()).collect();
    append(&archive, &[starts.iter().map(|start| Flow::starting(*start)).collect()]);
    (directory, archive, starts)
}

#[test]
fn times_of_all_years_are_compared_exactly_with_their_texts() {
    let (_directory, archive, starts) = of_all_years();
    let context = session(&archive);
    // Each text, and what it means in microseconds.
    let times: [(&str, i128); 11] = [
        ("0000-01-01T00:00:00Z", -62_167_219_200_000_000),
        ("0001-01-01", -62_135_596_800_000_000),
        ("1969-12-31T23:59:59.9990005Z", -999),
        ("1969-12-31T23:59:59.9985Z", -1500),
        ("1970-01-01 00:00:00", 0),
        ("2024-02-29T12:34:56.789Z", 1_709_210_096_789_000),
        ("2024-02-29T12:34:56.7895Z", 1_709_210_096_789_500),
        ("2024-02-29T13:34:56.790+01:00", 1_709_210_096_790_000),
        ("2500-01-01T00:00:00Z", 16_725_225_600_000_000),
        ("9999-12-31T00:00:00Z", 253_402_214_400_000_000),
        ("9999-12-31T23:59:59.999Z", 253_402_300_799_999_000),
    ];
    block_on(async {
        for (text, micros) in times {
            // What lies between two microseconds is not equal to any millisecond.
            let micros = if text.contains("0005") { micros + 1 } else { micros };
            let passing = |test: &dyn Fn(std::cmp::Ordering) -> bool| {
                let compared = starts.iter().map(|start| (i128::from(start.as_millis()) * 1000).cmp(&micros));
                compared.filter(|ordering| test(*ordering)).count() as u64
            };
            for (operator, test) in [
                ("<", (|o| o.is_lt()) as fn(std::cmp::Ordering) -> bool),
                ("<=", |o| o.is_le()),
                (">", |o| o.is_gt()),
                (">=", |o| o.is_ge()),
                ("=", |o| o.is_eq()),
                ("<>", |o| o.is_ne()),
            ] {
                let expected = passing(&test);
                let mut forms = vec![format!("start_time {operator} '{text}'")];
                if operator == "<" {
                    forms.push(format!("'{text}' > start_time"));
                    forms.push(format!("start_time < TIMESTAMP '{text}'"));
                    forms.push(format!("NOT (start_time >= CAST('{text}' AS TIMESTAMP))"));
                }
                for condition in forms {
                    let found = count(&context, &format!("flows WHERE {condition}")).await;
                    assert_eq!(found, expected, "{condition}");
                }
            }
            let within = format!("flows WHERE start_time BETWEEN '{text}' AND '9999-12-31T23:59:59.999Z'");
            assert_eq!(count(&context, &within).await, passing(&std::cmp::Ordering::is_ge), "{within}");
            let listed = format!("flows WHERE start_time NOT IN ('{text}')");
            assert_eq!(count(&context, &listed).await, passing(&std::cmp::Ordering::is_ne), "{listed}");
        }
        let dated = "flows WHERE start_time >= DATE '2024-02-29' AND start_time < DATE '9999-12-31'";
        assert_eq!(count(&context, dated).await, 4);
        assert_eq!(count(&context, "flows WHERE start_time > now() - INTERVAL '1 hour'").await, 3);
        assert_eq!(count(&context, "flows WHERE start_time < to_timestamp('2024-03-01T00:00:00Z')").await, 6);
        let wrong = context.sql("SELECT * FROM flows WHERE start_time < 'yesterday'").await.unwrap().collect().await;
        assert!(wrong.is_err());
    });
}

#[test]
fn times_of_all_years_are_truncated() {
    use chrono::{DateTime, Datelike, NaiveDate, Timelike};

    let (_directory, archive, starts) = of_all_years();
    let context = session(&archive);
    block_on(async {
        for unit in ["millisecond", "second", "minute", "hour", "day", "week", "month", "quarter", "year"] {
            let sql = format!("SELECT date_trunc('{unit}', start_time) FROM flows ORDER BY flow_id");
            let batches = rows(&context, &sql).await;
            let found = batches[0].column(0).as_primitive::<TimestampMillisecondType>();
            let expected = starts.iter().map(|start| {
                let time = DateTime::from_timestamp_millis(start.as_millis()).unwrap().naive_utc();
                let date = time.date();
                let (year, month) = (date.year(), date.month());
                let first = |month| NaiveDate::from_ymd_opt(year, month, 1).unwrap();
                let date = match unit {
                    "week" => date - chrono::Days::new(date.weekday().num_days_from_monday().into()),
                    "month" => first(month),
                    "quarter" => first((month - 1) / 3 * 3 + 1),
                    "year" => first(1),
                    _ => date,
                };
                let seconds = time.num_seconds_from_midnight();
                let millis = match unit {
                    "millisecond" => seconds * 1000 + time.and_utc().timestamp_subsec_millis(),
                    "second" => seconds * 1000,
                    "minute" => seconds / 60 * 60_000,
                    "hour" => seconds / 3600 * 3_600_000,
                    _ => 0,
                };
                date.and_hms_opt(0, 0, 0).unwrap().and_utc().timestamp_millis() + i64::from(millis)
            });
            assert_eq!(found.values().to_vec(), expected.collect::<Vec<_>>(), "{unit}");
        }
        let one = "SELECT CAST(date_trunc('hour', max(start_time)) AS VARCHAR) FROM flows";
        assert_eq!(texts(&context, one).await, [Some("9999-12-31T23:00:00Z".to_owned())]);
        let grouped = "SELECT date_trunc('year', start_time) AS year, count(*) FROM flows GROUP BY year";
        assert_eq!(rows(&context, grouped).await.iter().map(RecordBatch::num_rows).sum::<usize>(), 8);
    });
}

#[test]
fn a_scan_with_filters_and_a_limit_leaves_out_no_row_that_passes() {
    with_segments(|archive| {
        let table = FlowTable::new(archive.snapshot().unwrap());
        let state = session(archive).state();
        block_on(async {
            let scanned = async |filters: &[Expr], limit| {
                let plan = table.scan(&state, Some(&vec![Field::DstPort as usize]), filters, limit).await.unwrap();
                let batches = collect(plan, state.task_ctx()).await.unwrap();
                let ports =
                    batches.iter().flat_map(|batch| batch.column(0).as_primitive::<UInt16Type>().values().to_vec());
                ports.collect::<Vec<_>>()
            };
            let filter = col("dst_port").gt(lit(90u16));
            let found = scanned(std::slice::from_ref(&filter), Some(3)).await;
            assert!(found.len() == 3 && found.iter().all(|port| *port > 90), "{found:?}");
            // One that is evaluated on the rows of the scan: all of them may be wanted.
            let later = (col("dst_port") % lit(50u16)).eq(lit(7u16));
            let mut found = scanned(&[filter, later], Some(3)).await;
            found.sort_unstable();
            assert_eq!(found, (91..100).collect::<Vec<_>>());
            assert_eq!(scanned(&[], Some(3)).await.len(), 3);
            assert_eq!(scanned(&[], None).await.len(), 100);
        });
    });
}

#[test]
fn the_keys_of_a_join_pass_over_segments_that_have_none_of_them() {
    with_segments(|archive| {
        let context = session(archive);
        let sql = "SELECT sum(b.dst_port) FROM flows a JOIN flows b ON a.dst_port = b.dst_port \
                   WHERE a.start_time < '1970-01-01T00:00:10Z'";
        block_on(async {
            let plan = context.sql(sql).await.unwrap().create_physical_plan().await.unwrap();
            let batches = collect(Arc::clone(&plan), context.task_ctx()).await.unwrap();
            assert_eq!(batches[0].column(0).as_primitive::<UInt64Type>().value(0), 45);
            assert_eq!(counted(plan.as_ref(), "segments_narrowed"), 3);
            let (read, never) = (counted(plan.as_ref(), "rows_scanned"), counted(plan.as_ref(), "segments_never"));
            assert_eq!((read, never), (35, 3), "a segment of one side, and ten flows of it on the other");
        });
    });
}

#[test]
fn the_keys_of_a_join_are_looked_up_in_the_lists() {
    with_segments(|archive| {
        // One key is in the first segment and one in the last, so that bounds tell nothing of those between.
        for (on, keys, partitions) in [
            ("a.dst_port = b.dst_port", "dst_port IN (3, 97)", 1),
            ("a.dst_port = b.dst_port", "dst_port IN (3, 97)", 7),
            ("a.src_ip = b.src_ip", "src_ip IN (ip('10.0.0.3'), ip('10.0.0.97'))", 3),
            ("a.src_ip = b.src_ip AND a.dst_port = b.dst_port", "dst_port IN (3, 97)", 3),
        ] {
            let sql = format!("SELECT sum(b.dst_port) FROM flows a JOIN flows b ON {on} WHERE a.{keys}");
            for optimizer in ["", "datafusion.optimizer.hash_join_single_partition_threshold_rows"] {
                let config = SessionConfig::new().with_target_partitions(partitions).with_batch_size(5);
                let context = query::session(config);
                let flows = FlowTable::new(archive.snapshot().unwrap());
                context.register_table("flows", Arc::new(flows)).unwrap();
                block_on(async {
                    if !optimizer.is_empty() {
                        context.sql(&format!("SET {optimizer} = 0")).await.unwrap();
                    }
                    let plan = context.sql(&sql).await.unwrap().create_physical_plan().await.unwrap();
                    let batches = collect(Arc::clone(&plan), context.task_ctx()).await.unwrap();
                    assert_eq!(batches[0].column(0).as_primitive::<UInt64Type>().value(0), 100);
                    let shown = displayable(plan.as_ref()).indent(true).to_string();
                    assert_eq!(counted(plan.as_ref(), "rows_scanned"), 4, "two flows of either side: {shown}");
                });
            }
        }
    });
}

#[test]
fn a_limit_is_reached_wherever_in_a_segment_the_flows_lie() {
    with_segments(|archive| {
        let context = session(archive);
        for limit in 0..8 {
            let sql = format!("SELECT flow_id FROM flows WHERE dst_port IN (1, 3, 4, 8, 9, 10) LIMIT {limit}");
            assert_eq!(block_on(ids(&context, &sql)).len(), limit.min(6), "{limit}");
        }
    });
}

#[test]
fn each_turn_of_a_recursive_query_looks_for_keys_of_its_own() {
    with_segments(|archive| {
        let context = session(archive);
        let sql = "WITH RECURSIVE hops AS (SELECT arrow_cast(3, 'UInt16') AS port UNION ALL \
                   SELECT arrow_cast(flows.dst_port + 30, 'UInt16') FROM hops JOIN flows ON flows.dst_port = hops.port) \
                   SELECT port FROM hops ORDER BY port";
        let ports = block_on(rows(&context, sql));
        let ports = ports.iter().flat_map(|batch| batch.column(0).as_primitive::<UInt16Type>().values().to_vec());
        assert_eq!(ports.collect::<Vec<_>>(), [3, 33, 63, 93, 123]);
    });
}

#[test]
fn a_scan_that_nobody_asks_any_more_reads_no_further() {
    with_segments(|archive| {
        let context = session(archive);
        block_on(async {
            for (order, most) in [("", 25), (" ORDER BY dst_port", 100), (" ORDER BY start_time", 100)] {
                let plan = context.sql(&format!("SELECT src_ip FROM flows{order}")).await.unwrap();
                let plan = plan.create_physical_plan().await.unwrap();
                let mut stream = plan.execute(0, context.task_ctx()).unwrap();
                assert_eq!(counted(plan.as_ref(), "rows_scanned"), 0, "nothing is read before it is asked for");
                assert!(stream.next().await.unwrap().unwrap().num_rows() > 0);
                drop(stream);
                let read = counted(plan.as_ref(), "rows_scanned");
                assert!(read > 0 && read <= most, "{order}: {read}");
            }
        });
    });
}

#[test]
fn a_scan_of_everything_leaves_the_pages_of_others_in_memory() {
    let directory = Folder::new();
    let settings = Settings::default().page_cache_bytes(2 << 20);
    let archive = Archive::open_or_create_with(directory.path(), settings).unwrap();
    let flow = |n: u16| Flow {
        src_bytes: Some(u64::from(n) * 7919),
        dst_ip: Some(format!("2001:db8::{n:x}").parse().unwrap()),
        src_node: Some(format!("node-{n}")),
        ..Flow::starting(Timestamp::from_millis(i64::from(n)).unwrap())
    };
    append(&archive, &[(0..60_000).map(flow).collect()]);
    let newest = archive.snapshot().unwrap().query(Filter::all()).order(Order::newest_first()).limit(10);
    let context = session(&archive);
    block_on(async {
        newest.page().await.unwrap();
        let before = newest.page().await.unwrap();
        assert_eq!(before.explain.bytes_read, 0, "{}", before.explain);
        let columns: Vec<String> =
            schema().fields().iter().map(|field| format!("max({0}), min({0})", field.name())).collect();
        for condition in ["", " WHERE src_bytes % 2 = 1"] {
            let sql = format!("SELECT {} FROM flows{condition}", columns.join(", "));
            let plan = context.sql(&sql).await.unwrap().create_physical_plan().await.unwrap();
            let answer = collect(Arc::clone(&plan), context.task_ctx()).await.unwrap();
            assert_eq!(answer[0].num_rows(), 1);
            assert_eq!(counted(plan.as_ref(), "rows_scanned"), 60_000);
            let after = newest.page().await.unwrap();
            assert_eq!(after.explain.bytes_read, 0, "{}", after.explain);
        }
    });
}

/// What an archive answers to some queries, each all columns of some flows or sums over them, or why not.
fn answers(archive: &Archive) -> Vec<Result<String, DataFusionError>> {
    let context = session(archive);
    let queries = [
        "SELECT * FROM flows ORDER BY flow_id",
        // Of the conditions, whole columns are read, and of the other columns those pages that are left.
        "SELECT count(*), sum(src_port), max(node_id), min(end_time) FROM flows WHERE dst_port < 9 AND src_node > 'n'",
    ];
    let answer = async |sql| context.sql(sql).await?.collect().await;
    block_on(async {
        let mut answers = Vec::new();
        for sql in queries {
            let batches = answer(sql).await;
            answers.push(batches.map(|batches| pretty_format_batches(&batches).unwrap().to_string()));
        }
        answers
    })
}

/// The error of this crate that an error of DataFusion comes from.
fn cause(error: &DataFusionError) -> &flowseek::Error {
    let mut cause: &(dyn std::error::Error + 'static) = error;
    loop {
        match cause.downcast_ref() {
            Some(error) => break error,
            None => cause = cause.source().unwrap_or_else(|| panic!("it has another cause: {error:?}")),
        }
    }
}

/// An archive of one segment with all columns, several pages, row groups, dictionaries and plain names.
fn varied(path: &Path) -> Archive {
    let segment = SegmentOptions::default().block_rows(16).row_group_blocks(2);
    let archive = Archive::open_or_create_with(path, Settings::default().segment(segment)).unwrap();
    let flow = |n: u16| Flow {
        end_time: (!n.is_multiple_of(3)).then(|| Timestamp::from_millis(i64::from(n) * 1100).unwrap()),
        src_ip: Some(format!("10.0.{}.{n}", n % 7).parse().unwrap()),
        dst_ip: (!n.is_multiple_of(4)).then(|| format!("2001:db8::{n:x}").parse().unwrap()),
        src_port: Some(n * 300),
        dst_port: (!n.is_multiple_of(5)).then_some(n / 4),
        src_bytes: Some(u64::from(n) * 1_000_000),
        dst_bytes: (!n.is_multiple_of(2)).then_some(u64::from(n)),
        tcp_flags: Some(TcpFlags::new(n as u8)),
        src_node: Some(format!("node-{}", n % 3)),
        node_id: Some(NAMES[usize::from(n) % NAMES.len()].to_owned()),
        activity_id: Some(format!("activity-{n}")),
        ..Flow::starting(Timestamp::from_millis(i64::from(n) * 1000).unwrap())
    };
    append(&archive, &[(0..60).map(flow).collect()]);
    archive
}

#[test]
fn a_damaged_byte_is_never_another_answer() {
    let directory = Folder::new();
    directory.expect_damage();
    let archive = varied(directory.path());
    let file = directory.path().join(&archive.snapshot().unwrap().manifest().segments[0].path);
    let whole = fs::read(&file).unwrap();
    let sound: Vec<String> = answers(&archive).into_iter().map(Result::unwrap).collect();
    let (mut refused, mut answered) = (0, 0);
    for at in (0..whole.len()).step_by(67) {
        let mut damaged = whole.clone();
        damaged[at] ^= 1 << (at / 67 % 8);
        fs::write(&file, &damaged).unwrap();
        let archive = Archive::open(directory.path()).unwrap();
        for (answer, sound) in answers(&archive).into_iter().zip(&sound) {
            match answer {
                Ok(answer) => {
                    assert_eq!(&answer, sound, "byte {at}");
                    answered += 1;
                }
                Err(error) => {
                    let cause = cause(&error);
                    assert_eq!(cause.kind(), ErrorKind::Damaged, "byte {at}: {error}");
                    assert!(cause.to_string().contains(file.file_name().unwrap().to_str().unwrap()), "{error}");
                    refused += 1;
                }
            }
        }
    }
    // What is answered was not read: the lists of the index, and the pages of columns that nobody asked for.
    assert!(refused > whole.len() / 67 && answered > 0, "{refused} refused, {answered} answered");
}

/// The archives of early versions have no checksums of their footers.
#[test]
fn a_damaged_footer_without_a_checksum_leaves_no_row_out() {
    let directory = Folder::new();
    directory.expect_damage();
    let archive = copied(&Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/archive"), directory.path());
    let entry = archive.snapshot().unwrap().manifest().segments[0].clone();
    assert_eq!(entry.footer, None);
    let sums = |archive: &Archive| {
        let context = session(archive);
        let conditions = ["src_port > 2000", "dst_port = 80 AND src_bytes > 100", "tcp_flags & 2 = 2"];
        let sum = async |condition: &str| {
            let sql =
                format!("SELECT count(*), sum(dst_port), sum(dst_bytes), max(end_time) FROM flows WHERE {condition}");
            let batches = context.sql(&sql).await?.collect().await?;
            Ok::<_, DataFusionError>(pretty_format_batches(&batches)?.to_string())
        };
        block_on(async { [sum(conditions[0]).await, sum(conditions[1]).await, sum(conditions[2]).await] })
    };
    let sound = sums(&archive).map(Result::unwrap);
    let file = directory.path().join(&entry.path);
    let whole = fs::read(&file).unwrap();
    let length = u32::from_le_bytes(whole[whole.len() - 8..whole.len() - 4].try_into().unwrap()) as usize;
    for at in (whole.len() - 8 - length..whole.len()).step_by(83) {
        let mut damaged = whole.clone();
        damaged[at] ^= 1 << (at / 83 % 8);
        fs::write(&file, &damaged).unwrap();
        let answers = sums(&Archive::open(directory.path()).unwrap());
        for (answer, sound) in answers.into_iter().zip(&sound) {
            assert!(
                answer.as_ref().is_err() || answer.as_ref().unwrap() == sound,
                "byte {at}: {answer:?}, not {sound}"
            );
        }
    }
}

#[test]
fn a_read_that_fails_is_no_damage_and_the_same_query_is_answered_when_reads_succeed() {
    let directory = Folder::new();
    let sound: Vec<String> = answers(&varied(directory.path())).into_iter().map(Result::unwrap).collect();
    // The n-th read of a segment fails, for each n that there is.
    let left = Arc::new(AtomicUsize::new(usize::MAX));
    let storage = {
        let left = Arc::clone(&left);
        Hooked::new(move |path, step| {
            let is_segment = path.extension().is_some_and(|ending| ending == "parquet");
            let is_struck = is_segment && matches!(step, Step::Read(_)) && left.fetch_sub(1, Ordering::Relaxed) == 0;
            if is_struck { Err(io::Error::other("the disk does not answer")) } else { Ok(()) }
        })
    };
    let storage = Arc::new(storage);
    for read in 0.. {
        let archive = Archive::open_with(directory.path(), Settings::default().storage(storage.clone())).unwrap();
        left.store(read, Ordering::Relaxed);
        let struck = answers(&archive);
        let all = struck.iter().all(Result::is_ok);
        for (answer, sound) in struck.into_iter().zip(&sound) {
            match answer {
                Ok(answer) => assert_eq!(&answer, sound, "read {read}"),
                Err(error) => assert_eq!(cause(&error).kind(), ErrorKind::Io, "read {read}: {error}"),
            }
        }
        left.store(usize::MAX, Ordering::Relaxed);
        let again: Vec<String> = answers(&archive).into_iter().map(Result::unwrap).collect();
        assert_eq!(again, sound, "read {read}");
        if all {
            assert!(read > 20, "{read} reads");
            break;
        }
    }
}

#[cfg(feature = "cli")]
mod command {
    use std::process::{Command, Output, Stdio};

    use super::*;

    fn sql(archive: &Path, arguments: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_flowseek"));
        command.arg("sql").arg(archive).args(arguments).stdin(Stdio::null()).output().unwrap()
    }

    fn answered(archive: &Archive, query: &str, format: &str) -> String {
        let output = sql(archive.path(), &[query, "--format", format]);
        assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// The status and the lines of standard error of a query that prints nothing.
    fn refused(archive: &Path, query: &str) -> (i32, Vec<String>) {
        let output = sql(archive, &[query]);
        assert!(output.stdout.is_empty(), "{output:?}");
        let lines = String::from_utf8(output.stderr).unwrap().lines().map(str::to_owned).collect();
        (output.status.code().unwrap(), lines)
    }

    #[test]
    fn rows_are_printed_in_every_format() {
        with_segments(|archive| {
            let query = "SELECT dst_port AS port, start_time, ip_text(src_ip) AS ip, dst_ip FROM flows \
                         WHERE dst_port IN (9, 10) ORDER BY dst_port";
            for (format, expected) in [
                (
                    "table",
                    "port  start_time            ip         dst_ip\n   \
                     9  1970-01-01T00:00:09Z  10.0.0.9\n  \
                     10  1970-01-01T00:00:10Z  10.0.0.10\n",
                ),
                (
                    "ndjson",
                    "{\"port\":9,\"start_time\":\"1970-01-01T00:00:09Z\",\"ip\":\"10.0.0.9\"}\n\
                     {\"port\":10,\"start_time\":\"1970-01-01T00:00:10Z\",\"ip\":\"10.0.0.10\"}\n",
                ),
                (
                    "json",
                    "[{\"port\":9,\"start_time\":\"1970-01-01T00:00:09Z\",\"ip\":\"10.0.0.9\"},\
                     {\"port\":10,\"start_time\":\"1970-01-01T00:00:10Z\",\"ip\":\"10.0.0.10\"}]\n",
                ),
                (
                    "csv",
                    "port,start_time,ip,dst_ip\r\n\
                     9,1970-01-01T00:00:09Z,10.0.0.9,\r\n\
                     10,1970-01-01T00:00:10Z,10.0.0.10,\r\n",
                ),
            ] {
                assert_eq!(answered(archive, query, format), expected, "{format}");
            }
            let piped = sql(archive.path(), &["SELECT src_ip FROM flows WHERE dst_port = 7"]).stdout;
            assert_eq!(piped, b"{\"src_ip\":\"00000000000000000000ffff0a000007\"}\n");
        });
    }

    #[test]
    fn sums_and_far_times_are_exact_in_every_format() {
        let (_directory, archive) = extreme();
        let query = "SELECT sum(src_bytes) AS sum, min(src_bytes - dst_bytes) AS least FROM flows \
                     WHERE start_time < '9999-12-31T00:00:00Z'";
        for (format, expected) in [
            ("table", "                 sum                  least\n18446744073709551618  -18446744073709551612\n"),
            ("ndjson", "{\"sum\":18446744073709551618,\"least\":-18446744073709551612}\n"),
            ("json", "[{\"sum\":18446744073709551618,\"least\":-18446744073709551612}]\n"),
            ("csv", "sum,least\r\n18446744073709551618,-18446744073709551612\r\n"),
        ] {
            assert_eq!(answered(&archive, query, format), expected, "{format}");
        }
    }

    #[test]
    fn names_with_line_breaks_and_control_characters_are_one_cell_of_one_row() {
        let directory = Folder::new();
        let archive = Archive::open_or_create(directory.path()).unwrap();
        let nasty = "a\nb\r\n\"c\",\u{1b}[2J\t\u{85}\u{2028}d\u{202e}";
        let name = || Some(nasty.to_owned());
        let flow = Flow {
            src_node: name(),
            dst_node: name(),
            node_id: name(),
            activity_id: name(),
            ..Flow::starting(Timestamp::MIN)
        };
        append(&archive, &[vec![flow]]);
        let columns = ["src_node", "dst_node", "node_id", "activity_id"];
        let query = format!("SELECT {}, src_node AS \"x\ny\" FROM flows", columns.join(", "));
        let table = answered(&archive, &query, "table");
        assert_eq!(table.lines().count(), 2, "{table}");
        assert!(table.lines().next().unwrap().ends_with(r"x\ny"), "{table}");
        let shown = r#"a\nb\r\n"c",\u{1b}[2J\t\u{85}\u{2028}d\u{202e}"#;
        assert_eq!(table.matches(shown).count(), 5, "{table}");
        let line: BTreeMap<String, String> = serde_json::from_str(&answered(&archive, &query, "ndjson")).unwrap();
        assert!(columns.iter().all(|column| line[*column] == nasty), "{line:?}");
        let array: Vec<BTreeMap<String, String>> = serde_json::from_str(&answered(&archive, &query, "json")).unwrap();
        assert_eq!(array, [line]);
        let text = answered(&archive, &query, "csv");
        let cells: Vec<csv::StringRecord> =
            csv::Reader::from_reader(text.as_bytes()).records().map(Result::unwrap).collect();
        assert!(cells.len() == 1 && cells[0].iter().all(|cell| cell == nasty), "{cells:?}");
        // Of a plan, the lines are lines.
        let plan = answered(&archive, &format!("EXPLAIN {query}"), "table");
        assert!(plan.lines().count() > 3 && !plan.contains(r"\n  "), "{plan}");
    }

    #[test]
    fn an_answer_without_rows_has_its_header() {
        with_segments(|archive| {
            let none = "SELECT dst_port, src_node FROM flows WHERE dst_port = 1000";
            for (format, expected) in
                [("table", "dst_port  src_node\n"), ("ndjson", ""), ("json", "[]\n"), ("csv", "dst_port,src_node\r\n")]
            {
                assert_eq!(answered(archive, none, format), expected, "{format}");
            }
        });
    }

    #[test]
    fn many_batches_are_one_answer() {
        let directory = Folder::new();
        let archive = Archive::open_or_create(directory.path()).unwrap();
        let flow = |millis| Flow::starting(Timestamp::from_millis(millis).unwrap());
        append(&archive, &[(0..20_000).map(flow).collect()]);
        let query = "SELECT flow_id FROM flows ORDER BY flow_id";
        for (format, around) in [("ndjson", 0), ("csv", 1), ("table", 1)] {
            let lines = answered(&archive, query, format).lines().count();
            assert_eq!(lines, 20_000 + around, "{format}");
        }
        let array: Vec<BTreeMap<String, u64>> = serde_json::from_str(&answered(&archive, query, "json")).unwrap();
        assert!(array.iter().map(|row| row["flow_id"]).is_sorted() && array.len() == 20_000);
    }

    #[test]
    fn a_wrong_query_is_one_line_and_status_2() {
        with_segments(|archive| {
            for (query, word) in [
                ("SELEC 1", "SELEC"),
                ("", "No SQL"),
                ("SELECT 1; SELECT 2", "single"),
                ("SELECT prot FROM flows", "flows.protocol"),
                ("SELECT * FROM flow", "flow"),
                ("SELECT * FROM flows WHERE src_ip = '10.0.0.1'", "ip('10.0.0.1')"),
                ("SELECT * FROM flows WHERE src_ip = ip('10.0.0.')", "\"10.0.0.\" is not an IPv4"),
                ("SELECT 1 / (dst_port - dst_port) FROM flows", "zero"),
            ] {
                let (status, lines) = refused(archive.path(), query);
                assert_eq!((status, lines.len()), (2, 1), "{query}: {lines:?}");
                assert!(lines[0].starts_with("flowseek: ") && lines[0].contains(word), "{query}: {lines:?}");
            }
        });
    }

    #[test]
    fn whatever_is_no_query_is_refused() {
        with_segments(|archive| {
            let elsewhere = archive.path().join("elsewhere.csv");
            for statement in [
                "DROP TABLE flows",
                "CREATE TABLE copy AS SELECT * FROM flows",
                "CREATE VIEW few AS SELECT * FROM flows LIMIT 1",
                "INSERT INTO flows SELECT * FROM flows",
                "DELETE FROM flows",
                "SET datafusion.execution.batch_size = 1",
                &format!("COPY flows TO '{}'", elsewhere.display()),
                &format!("EXPLAIN ANALYZE COPY flows TO '{}'", elsewhere.display()),
            ] {
                let (status, lines) = refused(archive.path(), statement);
                assert_eq!((status, lines.len()), (2, 1), "{statement}: {lines:?}");
                assert!(lines[0].starts_with("flowseek: only queries are answered"), "{statement}: {lines:?}");
            }
            assert!(!elsewhere.exists());
        });
    }

    #[test]
    fn what_cannot_be_read_is_status_1_and_named() {
        with_damaged_segments(|archive| {
            let missing = archive.path().join("nothing-here");
            let (status, lines) = refused(&missing, "SELECT 1");
            assert!(status == 1 && lines[0].contains("nothing-here"), "{lines:?}");
            let segment = archive.snapshot().unwrap().manifest().segments[0].path.clone();
            fs::remove_file(archive.path().join(&segment)).unwrap();
            let (status, lines) = refused(archive.path(), "SELECT sum(dst_port) FROM flows");
            assert!(status == 1 && lines.len() == 1 && lines[0].contains(&segment), "{lines:?}");

            let segment = archive.snapshot().unwrap().manifest().segments[1].path.clone();
            let file = archive.path().join(&segment);
            let mut bytes = fs::read(&file).unwrap();
            // In the first page of the first column.
            bytes[60] ^= 4;
            fs::write(&file, bytes).unwrap();
            let query = "SELECT sum(flow_id) FROM flows WHERE start_time >= '1970-01-01T00:00:30Z' AND flow_id < 50";
            let (status, lines) = refused(archive.path(), query);
            assert!(status == 1 && lines.len() == 1 && lines[0].contains(&segment), "{lines:?}");
            assert!(lines[0].contains("damaged"), "{lines:?}");
        });
    }

    #[test]
    fn a_closed_pipe_ends_it_quietly() {
        with_segments(|archive| {
            let mut command = Command::new(env!("CARGO_BIN_EXE_flowseek"));
            command.arg("sql").arg(archive.path()).arg("SELECT * FROM flows a, flows b, flows c, flows d");
            let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
            drop(child.stdout.take());
            let output = child.wait_with_output().unwrap();
            assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
        });
    }
}
