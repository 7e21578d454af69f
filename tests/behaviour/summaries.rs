//! Whatever the flows, their segments, the filter and the budget: a summary is what adding up a list gives.

use std::{
    collections::{BTreeMap, HashMap},
    time::Duration,
};

use flowseek::{
    Archive, ErrorKind, Filter, Flow, Settings, StoredFlow,
    archive::SegmentOptions,
    filter,
    flow::{Field, Protocol, Timestamp, Value},
    generate::Generator,
    query::{Bucket, Budget, Every, Group, Measure, Pruning, Summary, SummaryQuery, Totals},
};
use proptest::{collection::vec, option::of, prelude::*, sample::select};

use crate::{
    folder::Folder,
    support::{append, block_on, filter as any_filter, flow, settings},
};

pub(crate) const UNLIMITED: Budget = Budget::new(u64::MAX, Duration::MAX);

/// What is asked for.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) by: Vec<Field>,
    pub(crate) measure: Measure,
    pub(crate) top: usize,
    pub(crate) every: Option<Every>,
    pub(crate) flows_only: bool,
}

pub(crate) fn asked() -> impl Strategy<Value = Asked> {
    let by = select(Field::ALL);
    let by = prop_oneof![Just(Vec::new()), vec(by.clone(), 1), vec(by, 2)];
    let by = by.prop_filter("a field once", |by| by.len() < 2 || by[0] != by[1]);
    let measure = select(vec![Measure::Flows, Measure::Bytes, Measure::SourceBytes, Measure::DestBytes]);
    let length = select(vec![1u64, 2, 3, 1000]).prop_map(|millis| Every::Length(Duration::from_millis(millis)));
    let every = of(prop_oneof![Just(Every::Auto), length]);
    (by, measure, 1usize..6, every, any::<bool>()).prop_map(|(by, measure, top, every, flows_only)| Asked {
        by,
        measure,
        top,
        every,
        flows_only,
    })
}

impl Asked {
    pub(crate) fn query(&self, archive: &Archive, filter: &Filter) -> SummaryQuery {
        let query = archive.snapshot().unwrap().summarize(filter.clone()).by(self.by.clone());
        let query = query.measure(self.measure).top(self.top);
        let query = self.every.iter().fold(query, |query, every| query.every(*every));
        if self.flows_only { query.flows_only() } else { query }
    }

    fn totals<'a>(&self, flows: impl IntoIterator<Item = &'a StoredFlow>) -> Totals {
        let adds = |measure| !self.flows_only || [measure, Measure::Bytes].contains(&self.measure);
        let mut totals = Totals::default();
        totals.source_bytes = adds(Measure::SourceBytes).then_some(0);
        totals.dest_bytes = adds(Measure::DestBytes).then_some(0);
        for stored in flows {
            totals.flows += 1;
            totals.source_bytes = totals.source_bytes.map(|sum| sum + u128::from(stored.flow.src_bytes.unwrap_or(0)));
            totals.dest_bytes = totals.dest_bytes.map(|sum| sum + u128::from(stored.flow.dst_bytes.unwrap_or(0)));
        }
        totals
    }

    /// A value as flows are grouped by it.
    fn value(stored: &StoredFlow, field: Field) -> Option<Value> {
        let value = stored.value(field).map(flowseek::flow::ValueRef::to_owned);
        match (field, &value) {
            (Field::Protocol, Some(Value::Number(6 | 17 | 1))) => value,
            (Field::Protocol, _) => Some(Value::Number(Protocol::UNKNOWN.number().into())),
            _ => value,
        }
    }

    /// The groups that there must be: keys, and what they add up to.
    fn groups(&self, flows: &[&StoredFlow]) -> Vec<(Vec<Option<Value>>, Totals)> {
        if self.by.is_empty() {
            return Vec::new();
        }
        let mut groups: HashMap<Vec<Option<Value>>, Vec<&StoredFlow>> = HashMap::new();
        for stored in flows {
            let key = self.by.iter().map(|field| Self::value(stored, *field)).collect();
            groups.entry(key).or_default().push(stored);
        }
        let mut groups: Vec<_> =
            groups.into_iter().map(|(key, flows)| (key, self.totals(flows.iter().copied()))).collect();
        let amount = |totals: &Totals| match self.measure {
            Measure::Flows => totals.flows.into(),
            Measure::Bytes => totals.bytes().unwrap(),
            Measure::SourceBytes => totals.source_bytes.unwrap(),
            Measure::DestBytes => totals.dest_bytes.unwrap(),
        };
        let place =
            |key: &Vec<Option<Value>>| key.iter().map(|value| (value.is_none(), value.clone())).collect::<Vec<_>>();
        groups.sort_by(|left, right| {
            amount(&right.1).cmp(&amount(&left.1)).then_with(|| place(&left.0).cmp(&place(&right.0)))
        });
        groups.truncate(self.top);
        groups
    }

    /// The buckets that there must be, of a length: when they begin, and what they add up to.
    fn buckets(&self, flows: &[&StoredFlow], length: Option<Duration>) -> Vec<(Timestamp, Totals)> {
        let Some(length) = length.map(|length| i64::try_from(length.as_millis()).unwrap()) else { return Vec::new() };
        let mut buckets: BTreeMap<i64, Vec<&StoredFlow>> = BTreeMap::new();
        for stored in flows {
            buckets.entry(stored.flow.start_time.as_millis().div_euclid(length)).or_default().push(stored);
        }
        let (Some(first), Some(last)) = (buckets.keys().next(), buckets.keys().last()) else { return Vec::new() };
        let bucket = |number: i64| {
            let flows = buckets.get(&number).map(Vec::as_slice).unwrap_or_default();
            (Timestamp::from_millis(number * length).unwrap(), self.totals(flows.iter().copied()))
        };
        (*first..=*last).map(bucket).collect()
    }

    /// Holds a summary against the flows that it must tell of.
    pub(crate) fn check(&self, summary: &Summary, flows: &[&StoredFlow]) {
        assert_eq!(summary.totals, self.totals(flows.iter().copied()));
        let groups = summary.groups.iter().map(|Group { key, totals, .. }| (key.clone(), *totals));
        assert_eq!(groups.collect::<Vec<_>>(), self.groups(flows));
        assert_eq!(summary.every.is_some(), self.every.is_some());
        let buckets = summary.buckets.iter().map(|Bucket { start, totals, .. }| (*start, *totals));
        assert_eq!(buckets.collect::<Vec<_>>(), self.buckets(flows, summary.every));
    }
}

pub(crate) fn archive(commits: &[Vec<Flow>], settings: Settings) -> (Folder, Archive, Vec<StoredFlow>) {
    let directory = Folder::new();
    let archive = Archive::open_or_create_with(directory.path(), settings).unwrap();
    let flows = append(&archive, commits);
    (directory, archive, flows)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, max_shrink_iters: 60, ..ProptestConfig::default() })]

    #[test]
    fn a_summary_is_what_a_list_adds_up_to(
        commits in vec(vec(flow(), 0..40), 1..4),
        settings in settings(),
        questions in vec((any_filter(), asked(), select(vec![Pruning::On, Pruning::On, Pruning::Off])), 12),
    ) {
        let (_directory, archive, flows) = archive(&commits, settings);
        for (filter, asked, pruning) in questions {
            let query = asked.query(&archive, &filter).budget(UNLIMITED).pruning(pruning);
            let summary = block_on(query.summary()).unwrap();
            prop_assert!(summary.is_complete());
            let matching: Vec<&StoredFlow> = flows.iter().filter(|flow| filter.matches(flow)).collect();
            asked.check(&summary, &matching);
        }
    }

    #[test]
    fn a_partial_summary_is_exact_over_what_it_covers_and_each_gets_on(
        commits in vec(vec(flow(), 0..40), 1..4),
        settings in settings(),
        questions in vec((any_filter(), asked(), 0u64..30, 0u64..3), 6),
    ) {
        let (_directory, archive, flows) = archive(&commits, settings);
        for (filter, asked, rows, limit) in questions {
            let (budget, group_bytes) = match limit {
                0 => (UNLIMITED.rows(rows), u64::MAX),
                1 => (UNLIMITED.time(Duration::ZERO), u64::MAX),
                _ => (UNLIMITED, rows * 100),
            };
            let mut left = filter.clone();
            let mut told = 0;
            let mut matching: Vec<&StoredFlow> = flows.iter().filter(|flow| filter.matches(flow)).collect();
            let all = matching.len() as u64;
            // There are six start times: each step covers one at least.
            for step in 0.. {
                prop_assert!(step < 7, "no end after {step} steps");
                let query = asked.query(&archive, &left).budget(budget).group_bytes(group_bytes);
                let summary = block_on(query.summary()).unwrap();
                told += summary.totals.flows;
                let Some((oldest, newest)) = summary.searched else {
                    asked.check(&summary, &matching);
                    break;
                };
                prop_assert!(summary.explain.budget_spent && oldest <= newest);
                let (covered, rest): (Vec<&StoredFlow>, _) =
                    matching.into_iter().partition(|stored| stored.flow.start_time >= oldest);
                prop_assert!(covered.iter().all(|stored| stored.flow.start_time <= newest));
                asked.check(&summary, &covered);
                matching = rest;
                left = filter.clone().and(filter::start_time().lt(oldest));
            }
            prop_assert_eq!(told, all);
        }
    }
}

/// So many flows, in segments of 30,000 and blocks of 1,000.
pub(crate) fn generated(flows: usize) -> (Folder, Archive, Vec<StoredFlow>) {
    let segment = SegmentOptions::default().block_rows(1000).row_group_blocks(4);
    let settings = Settings::default().segment(segment).segment_rows(30_000);
    archive(&[Generator::new(7).flows(flows as u64).collect()], settings)
}

#[test]
fn all_threads_together_add_up_what_one_does() {
    let (_directory, archive, flows) = generated(150_000);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(3).enable_all().build().unwrap();
    for (filter, by, every) in [
        (Filter::all(), vec![Field::SrcIp], Some(Every::Auto)),
        (Filter::all(), vec![Field::DstPort, Field::SrcNode], None),
        (filter::dst_port().eq(443), vec![Field::SrcIp, Field::DstIp], Some(Every::Length(Duration::from_secs(300)))),
        (filter::protocol().eq(Protocol::UDP), Vec::new(), Some(Every::Length(Duration::from_secs(7)))),
    ] {
        let asked = Asked { by, measure: Measure::Bytes, top: 25, every, flows_only: false };
        let summary = runtime.block_on(asked.query(&archive, &filter).summary()).unwrap();
        let matching: Vec<&StoredFlow> = flows.iter().filter(|flow| filter.matches(flow)).collect();
        assert!(summary.is_complete());
        asked.check(&summary, &matching);
    }
    // Groups that take more memory than they may: a part of the time is told, and told exactly.
    let asked = Asked {
        by: vec![Field::SrcIp, Field::SrcPort],
        measure: Measure::Flows,
        top: 9,
        every: None,
        flows_only: true,
    };
    let query = asked.query(&archive, &Filter::all()).group_bytes(4 << 20);
    let summary = runtime.block_on(query.summary()).unwrap();
    let (oldest, newest) = summary.searched.unwrap();
    let covered: Vec<&StoredFlow> = flows.iter().filter(|flow| flow.flow.start_time >= oldest).collect();
    assert!(covered.len() > 1000 && covered.len() < flows.len(), "{}", covered.len());
    assert_eq!(covered.iter().map(|flow| flow.flow.start_time).max(), Some(newest));
    asked.check(&summary, &covered);
}

#[test]
fn the_bytes_of_one_direction_are_read_alone_where_no_others_are_asked_for() {
    let (_directory, archive, flows) = generated(20_000);
    let snapshot = archive.snapshot().unwrap();
    let ask = |query: SummaryQuery| {
        let summary = block_on(query.by([Field::SrcPort]).top(3).summary()).unwrap();
        let read = summary.explain.bytes_read + summary.explain.bytes_cached;
        (summary.totals, summary.groups, read)
    };
    let web = || snapshot.summarize(filter::dst_port().eq(443));
    let (both, groups, most) = ask(web().measure(Measure::SourceBytes));
    let (source, of_source, less) = ask(web().measure(Measure::SourceBytes).sums([Field::SrcBytes]));
    let (dest, of_dest, as_less) = ask(web().sums([Field::DstBytes]));
    let matching = || flows.iter().filter(|flow| flow.flow.dst_port == Some(443));
    let sum: u128 = matching().map(|flow| u128::from(flow.flow.src_bytes.unwrap_or(0))).sum();
    assert_eq!((both.source_bytes, source.source_bytes, dest.source_bytes), (Some(sum), Some(sum), None));
    assert_eq!((source.dest_bytes, dest.dest_bytes), (None, both.dest_bytes));
    assert!(both.dest_bytes > Some(0) && of_dest.iter().all(|group| group.totals.source_bytes.is_none()));
    let keys = |groups: &[Group]| {
        groups.iter().map(|group| (group.key.clone(), group.totals.source_bytes)).collect::<Vec<_>>()
    };
    assert_eq!(keys(&groups), keys(&of_source));
    assert!(less < most * 9 / 10 && as_less < most * 9 / 10, "{less} and {as_less} of {most}");
    // What is the measure is summed, too.
    let (measured, ..) = ask(web().measure(Measure::Bytes).sums([]));
    assert_eq!(measured, both);
    let error = block_on(web().sums([Field::SrcPort]).summary()).unwrap_err();
    assert_eq!(error.problems(), ["`sums`: there is none of src_port; allowed: src_bytes, dst_bytes"]);
}

#[test]
fn what_bounds_decide_is_not_read() {
    let (_directory, archive, flows) = generated(60_000);
    let snapshot = archive.snapshot().unwrap();
    let cost = |query: SummaryQuery| {
        let summary = block_on(query.summary()).unwrap();
        assert!(summary.is_complete());
        let explain = summary.explain;
        (summary.totals.flows, explain.segments_opened, explain.rows_scanned, explain.bytes_read + explain.bytes_cached)
    };
    // How many flows there are is in the manifest.
    assert_eq!(cost(snapshot.summarize(Filter::all()).flows_only()), (60_000, 0, 0, 0));
    let century = Every::Length(Duration::from_secs(36_400 * 86_400));
    assert_eq!(cost(snapshot.summarize(Filter::all()).flows_only().every(century)), (60_000, 0, 0, 0));
    // How many have a port is in its list.
    let https = flows.iter().filter(|flow| flow.flow.dst_port == Some(443)).count() as u64;
    let (counted, _, rows, _) = cost(snapshot.summarize(filter::dst_port().eq(443)).flows_only());
    assert_eq!((counted, rows), (https, 0));
    // In buckets, start times are read of those pages alone that belong to several.
    let query = snapshot.summarize(Filter::all()).flows_only();
    let whole = flows.iter().map(|flow| flow.flow.start_time.as_millis());
    let span = (whole.clone().max().unwrap() - whole.min().unwrap()).unsigned_abs();
    let (_, _, rows, _) = cost(query.every(Every::Length(Duration::from_millis(span / 10))));
    assert!(rows > 0 && rows <= 12 * 1000, "{rows}");
    // A time that lies in one block costs the segments of that time.
    let noon = flows.iter().map(|flow| flow.flow.start_time).max().unwrap();
    let (_, opened, rows, _) = cost(snapshot.summarize(filter::start_time().eq(noon)));
    assert!(opened == 1 && rows <= 2000, "{opened} {rows}");
}

#[test]
fn what_is_beyond_the_limits_is_told_at_once() {
    let (_directory, archive, _) = archive(&[Generator::new(7).flows(10).collect()], Settings::default());
    let query = || archive.snapshot().unwrap().summarize(Filter::all());
    let problems = |query: SummaryQuery| {
        let error = block_on(query.summary()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidQuery);
        error.problems().to_vec()
    };
    let all = [Field::SrcIp, Field::DstIp, Field::DstPort];
    let zero = Every::Length(Duration::ZERO);
    assert_eq!(problems(query().by(all).top(0).every(zero)).len(), 3);
    assert_eq!(problems(query().by([Field::SrcIp, Field::SrcIp]).top(1001)).len(), 2);
    for length in [Duration::from_nanos(1_500_000), Duration::from_secs(36_501 * 86_400), Duration::MAX] {
        assert_eq!(problems(query().every(Every::Length(length))).len(), 1, "{length:?}");
    }
}

#[test]
fn there_are_at_most_ten_thousand_buckets_from_the_first_match_to_the_last() {
    let at = |millis: i64| Flow {
        dst_port: Some(u16::from(millis > 9999)),
        ..Flow::starting(Timestamp::from_millis(millis).unwrap())
    };
    let (_directory, archive, _) = archive(&[vec![at(0), at(9_999), at(10_000)]], Settings::default());
    let millisecond = Every::Length(Duration::from_millis(1));
    let summary = |filter| block_on(archive.snapshot().unwrap().summarize(filter).every(millisecond).summary());
    let most = summary(filter::dst_port().eq(0)).unwrap();
    assert_eq!((most.buckets.len(), most.totals.flows), (10_000, 2));
    let error = summary(Filter::all()).unwrap_err();
    assert!(
        error.problems()[0].starts_with("`every`: the flows that match begin in more than 10000 buckets of 1ms"),
        "{error}"
    );
    // A length is chosen that makes few.
    let auto = block_on(archive.snapshot().unwrap().summarize(Filter::all()).every(Every::Auto).summary()).unwrap();
    assert_eq!((auto.every, auto.buckets.len()), (Some(Duration::from_millis(100)), 101));
}

#[test]
fn bytes_by_time_are_added_up_with_memory_for_one_page() {
    let at = |second: i64| Flow {
        src_bytes: Some(second.unsigned_abs()),
        ..Flow::starting(Timestamp::from_millis(second * 1000).unwrap())
    };
    let segment = SegmentOptions::default().block_rows(8).row_group_blocks(2);
    let settings = Settings::default().segment(segment).page_cache_bytes(1 << 10);
    let (_directory, archive, flows) = archive(&[(0..100).map(at).collect()], settings);
    let every = Some(Every::Length(Duration::from_secs(3)));
    let asked = Asked { by: Vec::new(), measure: Measure::Bytes, top: 1, every, flows_only: false };
    let soon = UNLIMITED.time(Duration::from_millis(100));
    let summary = block_on(asked.query(&archive, &Filter::all()).budget(soon).summary()).unwrap();
    let covered = |flow: &&StoredFlow| summary.searched.is_none_or(|(oldest, _)| flow.flow.start_time >= oldest);
    asked.check(&summary, &flows.iter().filter(covered).collect::<Vec<_>>());
}
