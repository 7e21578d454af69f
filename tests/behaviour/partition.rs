//! Flows of different groups of nodes come to lie in different segments, and nobody notices but by what is read.

use std::collections::BTreeMap;

use flowseek::{
    Archive, Filter, Flow, LiveOptions, Order, StoredFlow,
    archive::{Depth, Effort, FindingKind, Partition},
    filter,
    flow::Timestamp,
    query::Start,
};
use proptest::{collection::vec, prelude::*};

use crate::{
    folder::Folder,
    kept::{Place, all, now},
    support::{self, append, assert_sound, block_on, edit_manifest, oracle, settings},
};

const TENANTS: i64 = 6;

/// Flows of all tenants in turn.
fn flows(starts: impl IntoIterator<Item = i64>) -> impl Iterator<Item = Flow> {
    starts.into_iter().map(|start| {
        let node = format!("tenant-{}/edge-{}", start % TENANTS, start % 5);
        Flow { node_id: Some(node), ..Flow::starting(Timestamp::from_millis(start * 1000).unwrap()) }
    })
}

fn commit(archive: &Archive, starts: impl IntoIterator<Item = i64>) {
    let mut appender = archive.appender().unwrap();
    flows(starts).for_each(|flow| appender.push(&flow).unwrap());
    let _ = appender.commit().unwrap();
}

fn tenant(tenant: i64) -> Filter {
    filter::node_id().any_of((0..5).map(|edge| format!("tenant-{tenant}/edge-{edge}")))
}

fn divide(archive: &Archive, partition: Option<Partition>, effort: Effort) {
    let writer = archive.writer().unwrap();
    let _ = writer.partition(partition).unwrap();
    while writer.compactor().run_once(effort).unwrap().is_some() {}
}

/// How many segments have flows of each tenant.
fn segments_of_tenants(archive: &Archive) -> BTreeMap<i64, usize> {
    let snapshot = archive.snapshot().unwrap();
    let count = |tenant_of: &i64| {
        let explained = block_on(snapshot.query(tenant(*tenant_of)).limit(1000).page()).unwrap().explain;
        (explained.segments - explained.segments_never) as usize
    };
    (0..TENANTS).map(|tenant| (tenant, count(&tenant))).collect()
}

#[test]
fn a_query_for_a_tenant_opens_the_segments_of_its_group_alone() {
    let place = Place::new();
    let archive = place.archive(240);
    (0..6).for_each(|nth| commit(&archive, nth * 200..nth * 200 + 200));
    let before = now(&archive);
    assert!(segments_of_tenants(&archive).values().all(|segments| *segments == 6));
    let partition = Partition::by_node(16).up_to("/");
    divide(&archive, Some(partition.clone()), Effort::Thorough);
    assert_eq!(now(&archive), before);
    let groups: Vec<u16> = (0..TENANTS).map(|tenant| partition.group(Some(&format!("tenant-{tenant}/x")))).collect();
    for (tenant, segments) in segments_of_tenants(&archive) {
        let others = groups.iter().filter(|group| **group == groups[tenant as usize]).count();
        // 200 flows a tenant, 240 a segment.
        assert!(segments <= others, "{segments} segments have flows of {others} tenants");
    }
    // Whoever opens the archive later goes on with it.
    drop(archive);
    let archive = place.archive(240);
    assert_eq!(archive.snapshot().unwrap().manifest().partition, Some(partition));
    commit(&archive, 1200..1400);
    let compactor = archive.writer().unwrap().compactor();
    while compactor.run_once(Effort::Background).unwrap().is_some() {}
    drop(compactor);
    assert!(segments_of_tenants(&archive).values().all(|segments| *segments <= 6));
    place.assert_clean(&archive);
}

#[test]
fn another_partition_or_none_takes_the_place_of_the_one_before() {
    let place = Place::new();
    let archive = place.archive(100);
    (0..5).for_each(|nth| commit(&archive, (0..60).map(|flow| flow * 5 + nth)));
    let before = now(&archive);
    let partition = |groups| Some(Partition::by_node(groups).up_to("/"));
    for partition in [partition(4), partition(2), None, Some(Partition::by_node(3)), partition(1)] {
        divide(&archive, partition.clone(), Effort::Full);
        assert_eq!(now(&archive), before, "{partition:?}");
        let manifest = std::sync::Arc::clone(archive.snapshot().unwrap().manifest());
        assert_eq!(manifest.partition, partition);
        let groups = partition.map_or(1, |partition| partition.groups()) as usize;
        // At most one of each group is not full.
        assert!(manifest.segments.len() <= 3 + groups, "{} segments of {groups} groups", manifest.segments.len());
    }
    place.assert_clean(&archive);
}

#[test]
fn a_walk_goes_on_while_segments_are_divided() {
    let place = Place::new();
    let archive = place.archive(100);
    (0..10).for_each(|nth| commit(&archive, (0..60).map(|flow| flow * 10 + nth)));
    let expected = now(&archive);
    let writer = archive.writer().unwrap();
    let _ = writer.partition(Partition::by_node(4).up_to("/")).unwrap();
    let (mut found, mut start, mut merges) = (Vec::<StoredFlow>::new(), Start::First, 0);
    loop {
        let query = archive.snapshot().unwrap().query(Filter::all()).order(Order::oldest_first());
        let page = block_on(query.limit(7).start(start).page()).unwrap();
        found.extend(page.flows().unwrap());
        let Some(next) = page.next else { break };
        start = Start::At(next);
        merges += usize::from(writer.compactor().run_once(Effort::Background).unwrap().is_some());
    }
    assert_eq!(found, expected);
    assert!(merges > 1, "{merges}");
}

#[test]
fn removal_and_retention_keep_the_groups() {
    let place = Place::new();
    let archive = place.archive(100);
    commit(&archive, 0..600);
    divide(&archive, Some(Partition::by_node(4).up_to("/")), Effort::Thorough);
    let segments = segments_of_tenants(&archive);
    let writer = archive.writer().unwrap();
    assert_eq!(writer.remove(&tenant(2)).unwrap().rows, 100);
    let retention = flowseek::Retention::default().before(Timestamp::from_millis(50_000)).exact(true);
    assert!(writer.retain(retention).unwrap().rows > 0);
    drop(writer);
    assert!(segments_of_tenants(&archive).iter().all(|(tenant, left)| *left <= segments[tenant]));
    assert!(
        segments_of_tenants(&archive)
            .values()
            .any(|left| *left < archive.snapshot().unwrap().manifest().segments.len())
    );
    place.assert_clean(&archive);
}

#[test]
fn verification_finds_flows_of_another_group() {
    let place = Place::new();
    place.expect_damage();
    let archive = place.archive(100);
    commit(&archive, 0..300);
    divide(&archive, Some(Partition::by_node(4).up_to("/")), Effort::Thorough);
    assert_sound(&place.path);
    let path = archive.snapshot().unwrap().manifest().segments[0].path.clone();
    drop(archive);
    edit_manifest(&place.path, |manifest| {
        let number = &mut manifest["segments"][0]["group"]["number"];
        *number = (number.as_u64().unwrap() ^ 1).into();
    });
    let report = Archive::verify(&place.path, Depth::Rows, &mut |_| {}).unwrap();
    assert_eq!(report.findings.len(), 1, "{report:?}");
    assert_eq!((&report.findings[0].path, report.findings[0].kind), (&path, FindingKind::Mismatch));
    assert!(report.findings[0].message.contains("flows are of other nodes than the manifest says"), "{report:?}");
}

#[test]
fn a_live_appender_divides_what_it_merges() {
    let place = Place::new();
    let archive = place.archive(400);
    let _ = archive.writer().unwrap().partition(Partition::by_node(4).up_to("/")).unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let appender = archive.live_appender(LiveOptions::default()).unwrap();
        for nth in 0..40 {
            let _ = appender.append(flows(nth * 20..nth * 20 + 20)).await.unwrap();
            let _ = appender.commit().await.unwrap();
        }
        while appender.status().is_busy {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
        let _ = appender.close().await.unwrap();
    });
    let segments = archive.snapshot().unwrap().manifest().segments.len();
    assert!(segments <= 40, "{segments} segments");
    assert!(segments_of_tenants(&archive).values().all(|of_tenant| *of_tenant < segments));
    assert_eq!(now(&archive).len(), 800);
    place.assert_clean(&archive);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, max_shrink_iters: 60, ..ProptestConfig::default() })]

    #[test]
    fn pages_of_divided_flows_are_the_plain_sort_and_filter(
        commits in vec(vec(support::flow(), 1..25), 1..6),
        settings in settings(),
        groups in 1u16..5,
        effort in prop_oneof![Just(Effort::Background), Just(Effort::Thorough), Just(Effort::Full)],
        queries in vec((support::filter(), support::filter(), support::order()), 6),
    ) {
        let directory = Folder::new();
        let archive = Archive::open_or_create_with(directory.path(), settings).unwrap();
        let stored = append(&archive, &commits);
        divide(&archive, Some(Partition::by_node(groups).up_to("-")), effort);
        let snapshot = archive.snapshot().unwrap();
        let nodes: Vec<String> = stored.iter().filter_map(|flow| flow.flow.node_id.clone()).collect();
        for (nth, (one, other, order)) in queries.into_iter().enumerate() {
            let names = nodes.iter().skip(nth).step_by(5).cloned();
            let filter = match nth % 3 {
                0 => one.and(filter::node_id().any_of(names)),
                1 => one.and(filter::node_id().none_of(names)),
                _ => one.or(other),
            };
            let expected = oracle(&stored, &filter, &order);
            let query = snapshot.query(filter).order(order).limit(1000);
            prop_assert_eq!(block_on(query.page()).unwrap().flows().unwrap(), expected);
        }
        prop_assert_eq!(all(&snapshot).len(), stored.len());
        drop(archive);
        assert_sound(directory.path());
    }
}
