//! Whatever the flows, their segments, the filter, the order and the size of the pages: the pages joined are the plain
//! sort and filter of a list.

use std::{collections::HashSet, sync::Arc, time::Duration};

use datafusion::{execution::TaskContext, physical_plan::collect};
use flowseek::{
    Archive, ErrorKind, Filter, Order, Settings, StoredFlow,
    archive::SegmentOptions,
    filter,
    flow::{Address, AddressRange, Flow, Timestamp},
    generate::Generator,
    query::{Budget, Count, Pruning, Query, Start},
    schema::Flows,
};
use proptest::{collection::vec, prelude::*};

use crate::{
    folder::Folder,
    support::{self, append, assert_sound, block_on, flow, oracle, order, settings},
};

/// All pages of a query, joined. A page that tells the total tells that of all of them, wherever it lies.
async fn pages(query: Query, total: usize) -> Vec<StoredFlow> {
    let mut flows = Vec::new();
    let mut start = Start::First;
    for _ in 0..1_000 {
        let page = query.clone().start(start).page().await.unwrap();
        flows.extend(page.flows().unwrap());
        assert!(page.total.is_none_or(|told| told == total as u64), "a page tells a total of {:?}", page.total);
        match page.next {
            Some(next) => start = Start::At(next.to_string().parse().unwrap()),
            None => return flows,
        }
    }
    panic!("the pages do not end");
}

/// The flows of the page of a query, by its plan.
async fn planned(query: &Query) -> Vec<StoredFlow> {
    let batches = collect(query.plan().unwrap(), Arc::new(TaskContext::default())).await.unwrap();
    batches.iter().flat_map(|batch| Flows::new(batch).unwrap().iter().collect::<Vec<_>>()).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, max_shrink_iters: 60, ..ProptestConfig::default() })]

    #[test]
    fn pages_joined_are_the_plain_sort_and_filter(
        commits in vec(vec(flow(), 0..25), 1..4),
        settings in settings(),
        queries in vec((support::filter(), order(), 1usize..9, 1u64..30), 6),
    ) {
        let directory = Folder::new();
        let archive = Archive::open_or_create_with(directory.path(), settings).unwrap();
        let stored = append(&archive, &commits);
        let snapshot = archive.snapshot().unwrap();
        block_on(async {
            for (filter, order, limit, rows) in queries {
                let expected = oracle(&stored, &filter, &order);
                let query = snapshot.query(filter.clone()).order(order.clone()).limit(limit);
                let told = format!("{filter:?} {order:?} limit {limit}");

                let found = pages(query.clone(), expected.len()).await;
                prop_assert_eq!(&found, &expected, "{}", told);

                let unpruned = pages(query.clone().pruning(Pruning::Off), expected.len()).await;
                prop_assert_eq!(&unpruned, &expected, "unpruned {}", told);

                let budget = Budget::new(rows, Duration::from_secs(60));
                let short = pages(query.clone().budget(budget), expected.len()).await;
                prop_assert_eq!(&short, &expected, "budget of {} rows {}", rows, told);

                for pruning in [Pruning::On, Pruning::Off] {
                    let first = planned(&query.clone().pruning(pruning)).await;
                    prop_assert_eq!(&first, &expected[..limit.min(expected.len())], "planned {}", told);
                }
                // From wherever a page has ended, with all that is left.
                let page = query.clone().budget(budget).page().await.unwrap();
                let mut joined = page.flows().unwrap();
                if let Some(next) = page.next {
                    joined.extend(planned(&query.clone().limit(1_000).after(next)).await);
                }
                prop_assert_eq!(&joined, &expected, "planned behind a page {}", told);

                let counted = query.clone().limit(0).count(Count::Exact).page().await.unwrap();
                prop_assert_eq!(counted.total, Some(expected.len() as u64), "{}", told);
                prop_assert!(counted.next.is_none() && counted.flows().unwrap().is_empty());

                for number in 1..4u64 {
                    let page = query.clone().start(Start::Number(number)).page().await.unwrap();
                    let skip = (number as usize - 1) * limit;
                    let by_plan = planned(&query.clone().start(Start::Number(number))).await;
                    let numbered: Vec<_> = expected.iter().skip(skip).take(limit).cloned().collect();
                    prop_assert_eq!(&by_plan, &numbered, "planned page {} {}", number, told);
                    prop_assert_eq!(page.flows().unwrap(), numbered, "page {} {}", number, told);
                    prop_assert!(page.total.is_none_or(|total| total == expected.len() as u64), "{}", told);
                    let exact = query.clone().start(Start::Number(number)).count(Count::Exact).page().await.unwrap();
                    prop_assert_eq!(exact.total, Some(expected.len() as u64), "page {} {}", number, told);
                    prop_assert_eq!(page.next.is_some(), expected.len() > skip + limit);
                }
            }
            Ok(())
        })?;
    }

    #[test]
    fn flows_of_the_first_page_s_archive_come_exactly_once_while_commits_land_between_pages(
        commits in vec(vec(flow(), 0..25), 1..3),
        later in vec(vec(flow(), 1..5), 1..4),
        settings in settings(),
        (filter, order, limit) in (support::filter(), order(), 1usize..9),
    ) {
        let directory = Folder::new();
        let archive = Archive::open_or_create_with(directory.path(), settings).unwrap();
        let before = append(&archive, &commits);
        let expected = oracle(&before, &filter, &order);
        let mut later = later.into_iter();
        let mut start = Start::First;
        let mut found: Vec<StoredFlow> = Vec::new();
        block_on(async {
            loop {
                let query = archive.snapshot().unwrap().query(filter.clone()).order(order.clone()).limit(limit);
                let page = query.start(start.clone()).page().await.unwrap();
                found.extend(page.flows().unwrap());
                later.next().into_iter().for_each(|flows| drop(append(&archive, &[flows])));
                match page.next {
                    Some(next) => start = Start::At(next),
                    None => break,
                }
            }
        });
        let ids: HashSet<_> = found.iter().map(|flow| flow.id).collect();
        prop_assert_eq!(ids.len(), found.len(), "a flow came twice");
        prop_assert!(found.is_sorted_by(|a, b| order.compare(&order.key(a), &order.key(b)).is_lt()));
        let known: HashSet<_> = before.iter().map(|flow| flow.id).collect();
        let of_before: Vec<_> = found.into_iter().filter(|flow| known.contains(&flow.id)).collect();
        prop_assert_eq!(of_before, expected);
        assert_sound(directory.path());
    }

    #[test]
    fn the_negation_of_a_filter_is_every_other_flow(flows in vec(flow(), 0..20), filter in support::filter()) {
        let directory = Folder::new();
        let archive = Archive::open_or_create(directory.path()).unwrap();
        let stored = append(&archive, &[flows]);
        prop_assert_eq!((!!filter.clone()).normal(), filter.normal());
        let order = Order::oldest_first();
        let negated: Filter = !filter.clone();
        prop_assert_eq!(
            oracle(&stored, &negated, &order).len() + oracle(&stored, &filter, &order).len(),
            stored.len()
        );
        let page = block_on(archive.snapshot().unwrap().query(negated.clone()).page()).unwrap();
        prop_assert_eq!(page.flows().unwrap(), oracle(&stored, &negated, &order));
    }

    #[test]
    fn a_cursor_of_one_filter_goes_on_with_another_just_where_both_are_one(
        flows in vec(flow(), 6..12),
        filters in vec(support::filter(), 7),
        order in order(),
    ) {
        let directory = Folder::new();
        let archive = Archive::open_or_create(directory.path()).unwrap();
        append(&archive, &[flows]);
        let snapshot = archive.snapshot().unwrap();
        let spelled = filters.iter().flat_map(|filter| {
            // Other spellings of the same, and its negation, which looks at the same values.
            [filter.clone(), !!filter.clone(), filter.clone().and(filter.clone()), filter.normal(), !filter.clone()]
        });
        let filters: Vec<Filter> = spelled.collect();
        block_on(async {
            for one in &filters {
                let page = snapshot.query(one.clone()).order(order.clone()).limit(1).page().await.unwrap();
                let Some(next) = page.next else { continue };
                for other in &filters {
                    let query = snapshot.query(other.clone()).order(order.clone()).limit(1);
                    let goes_on = query.after(next.clone()).page().await;
                    let is_same = one.normal() == other.normal();
                    let refused = (!is_same).then_some(ErrorKind::InvalidCursor);
                    prop_assert_eq!(goes_on.err().map(|error| error.kind()), refused, "{:?} after {:?}", other, one);
                }
            }
            Ok(())
        })?;
    }

    #[test]
    fn lists_of_thousands_of_addresses_are_answered_as_one_by_one(
        seed in 0u64..1000,
        picked in vec((0usize..3000, 8u8..=32), 1..40),
        strangers in 0u32..4000,
        negated in any::<(bool, bool)>(),
        block_rows in 20usize..300,
        order in order(),
    ) {
        let directory = Folder::new();
        let segment = SegmentOptions::default().block_rows(block_rows).row_group_blocks(3);
        let settings = Settings::default().segment(segment).segment_rows(1500);
        let archive = Archive::open_or_create_with(directory.path(), settings).unwrap();
        let flows: Vec<_> = Generator::new(seed).flows(3000).collect();
        // Hosts that are there, the networks around some of them, and thousands that are not.
        let sources: Vec<_> = picked.iter().filter_map(|(flow, _)| flows.get(*flow)?.src_ip).collect();
        let networks: Vec<AddressRange> = picked.iter().filter_map(|(flow, bits)| {
            let address = flows.get(*flow)?.dst_ip.filter(|_| *bits < 32)?;
            format!("{address}/{bits}").parse().ok()
        }).take(3).collect();
        let strangers = (0..strangers).map(|n| Address::from_bits(0xffff_c633_0000 + u128::from(n) * 3));
        let hosts: Vec<AddressRange> = sources.into_iter().chain(strangers).map(AddressRange::from).collect();
        let stored = append(&archive, &[flows]);
        let listed = if negated.0 { filter::ip().none_of(hosts) } else { filter::ip().any_of(hosts) };
        let networks = filter::dst_ip().any_of(networks);
        let filter = listed.or(if negated.1 { !networks } else { networks });
        let expected = oracle(&stored, &filter, &order);
        let query = archive.snapshot().unwrap().query(filter).order(order).limit(500);
        block_on(async {
            prop_assert_eq!(&pages(query.clone(), expected.len()).await, &expected);
            let counted = query.limit(0).count(Count::Exact).page().await.unwrap();
            prop_assert_eq!(counted.total, Some(expected.len() as u64));
            Ok(())
        })?;
    }
}

#[test]
fn segments_with_about_as_many_names_as_a_dictionary_may_have_are_read() {
    for names in [4095, 4096, 4097] {
        let directory = Folder::new();
        let archive = Archive::open_or_create(directory.path()).unwrap();
        let named = |n: i64| Flow {
            src_node: Some(format!("node-{n}")),
            node_id: Some(format!("id-{}", n % (names - 1))),
            ..Flow::starting(Timestamp::from_millis(n).unwrap())
        };
        let stored = append(&archive, &[(0..names).map(named).collect()]);
        let query = |filter| archive.snapshot().unwrap().query(filter).limit(5000);
        block_on(async {
            assert_eq!(query(Filter::all()).page().await.unwrap().flows().unwrap(), stored);
            for n in [0, 7, names - 1] {
                let page = query(filter::src_node().eq(format!("node-{n}"))).page().await.unwrap();
                assert_eq!(page.flows().unwrap(), stored[n as usize..=n as usize]);
            }
            let page = query(filter::node_id().eq("id-0")).page().await.unwrap();
            assert_eq!(page.flows().unwrap(), [stored[0].clone(), stored[stored.len() - 1].clone()]);
        });
    }
}
