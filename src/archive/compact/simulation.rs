//! Compaction of segments that are nothing but the start times of their flows.

use proptest::{collection::vec, prelude::*};

use super::{
    job::{Effort, Job},
    pick::{GAP, PickOptions, pick},
};
use crate::archive::{Partition, SegmentEntry, merge::cutter::Cutter, partition::Group};

/// An archive: of each segment the start times, descending.
#[derive(Clone, Debug, Default)]
struct Simulation {
    segments: Vec<(SegmentEntry, Vec<i64>)>,
    written: u64,
    rewritten: u64,
    partition: Option<Partition>,
}

impl Simulation {
    fn add(&mut self, starts: Vec<i64>) {
        self.add_to(None, starts);
    }

    fn add_to(&mut self, group: Option<Group>, mut starts: Vec<i64>) {
        starts.sort_unstable_by(|one, other| other.cmp(one));
        self.written += 1;
        let entry = SegmentEntry {
            path: format!("data/{}", self.written),
            rows: starts.len() as u64,
            bytes: starts.len() as u64,
            start_time: (starts[starts.len() - 1], starts[0]),
            flow_id: (self.written, self.written),
            added: 0,
            footer: None,
            zones: None,
            bloom: None,
            group,
        };
        self.segments.push((entry, starts));
    }

    fn entries(&self) -> Vec<SegmentEntry> {
        self.segments.iter().map(|(entry, _)| entry.clone()).collect()
    }

    fn run(&mut self, job: &Job, segment_rows: u64) {
        self.rewritten += job.rows();
        let is_input = |entry: &SegmentEntry| job.inputs.iter().any(|input| input.path == entry.path);
        let (inputs, kept): (Vec<_>, Vec<_>) = self.segments.drain(..).partition(|(entry, _)| is_input(entry));
        assert_eq!(inputs.len(), job.inputs.len(), "a job names segments that are not there, or one twice");
        self.segments = kept;
        let mut starts: Vec<i64> = inputs.into_iter().flat_map(|(_, starts)| starts).collect();
        starts.sort_unstable_by(|one, other| other.cmp(one));
        match &job.partition {
            None => {
                let group = inputs_group(&job.inputs);
                self.write(starts.clone(), group, Cutter::new(starts.len() as u64, segment_rows, &job.cuts));
            }
            Some(partition) => {
                let rows = (segment_rows / u64::from(partition.groups())).max(1);
                for number in 0..partition.groups() {
                    let is_here = |start: &i64| partition.group(Some(&node(*start))) == number;
                    let group = Some(Group { of: partition.clone(), number });
                    self.write(starts.iter().copied().filter(is_here).collect(), group, Cutter::new(rows, rows, &[]));
                }
            }
        }
    }

    fn write(&mut self, starts: Vec<i64>, group: Option<Group>, mut cutter: Cutter) {
        let mut output = Vec::new();
        for start in starts {
            if cutter.is_cut_before(start) {
                self.add_to(group.clone(), std::mem::take(&mut output));
            }
            output.push(start);
        }
        if !output.is_empty() {
            self.add_to(group, output);
        }
    }

    /// Segments of a group with more than `tiny` rows between a millisecond and the next.
    fn depth(&self, group: Option<&Group>, millis: i64, tiny: u64) -> usize {
        let covers = |entry: &SegmentEntry| entry.start_time.0 <= millis && millis < entry.start_time.1;
        let is_counted = |entry: &SegmentEntry| entry.group.as_ref() == group && entry.rows > tiny && covers(entry);
        self.segments.iter().filter(|(entry, _)| is_counted(entry)).count()
    }

    fn next_job(&self, segment_rows: u64, effort: Effort) -> Option<Job> {
        let options = PickOptions {
            segment_rows,
            tiny_rows: segment_rows / 16,
            block_rows: BLOCK_ROWS,
            effort,
            partition: self.partition.as_ref(),
        };
        pick(&self.segments.iter().map(|(entry, _)| entry).collect::<Vec<_>>(), options)
    }
}

const BLOCK_ROWS: u64 = 4;

/// The node that logged a flow that has started then.
fn node(start: i64) -> String {
    format!("node-{}", start % 7)
}

fn inputs_group(inputs: &[SegmentEntry]) -> Option<Group> {
    inputs[0].group.clone().filter(|group| inputs.iter().all(|input| input.group.as_ref() == Some(group)))
}

fn effort() -> impl Strategy<Value = Effort> {
    prop_oneof![Just(Effort::Background), Just(Effort::Thorough), Just(Effort::Full)]
}

/// Segments of any width, at any time, some of them of one millisecond or one flow.
fn segments() -> impl Strategy<Value = Vec<Vec<i64>>> {
    let segment =
        (0i64..60, prop_oneof![Just(1i64), 2i64..5, 5i64..60], 1usize..40, prop_oneof![Just(1i64), Just(100_000)]);
    let starts = segment.prop_flat_map(|(from, width, rows, scale)| {
        vec((from..from + width).prop_map(move |start| start * scale), 1..=rows)
    });
    vec(starts, 0..40)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn compaction_comes_to_an_end_loses_nothing_and_never_widens(
        segments in segments(),
        segment_rows in 1u64..60,
        effort in effort(),
        groups in prop_oneof![Just(None), (1u16..5).prop_map(Some)],
    ) {
        let mut simulation = Simulation { partition: groups.map(Partition::by_node), ..Simulation::default() };
        segments.iter().for_each(|starts| simulation.add(starts.clone()));
        let mut expected: Vec<i64> = segments.concat();
        expected.sort_unstable();
        let measure = |simulation: &Simulation| {
            let entries = simulation.entries();
            let too_large = entries.iter().filter(|entry| entry.rows > segment_rows).count();
            let is_mixed = |entry: &&SegmentEntry| simulation.partition.is_some() && entry.group.is_none();
            let mixed: u64 = entries.iter().filter(is_mixed).map(|entry| entry.rows).sum();
            (mixed, too_large, entries.len(), entries.iter().map(|entry| entry.start_time.1 - entry.start_time.0).sum::<i64>())
        };
        let tiny = segment_rows / 16;
        while let Some(job) = simulation.next_job(segment_rows, effort) {
            let before = simulation.clone();
            simulation.run(&job, segment_rows);
            prop_assert!(measure(&simulation) < measure(&before), "{job:?} gains nothing");
            if job.partition.is_some() {
                continue;
            }
            // What is merged is of one group, and nothing else changes.
            let group = job.inputs[0].group.as_ref();
            let is_here = |entry: &SegmentEntry| entry.group.as_ref() == group;
            let edges = simulation.segments.iter().chain(&before.segments).filter(|(entry, _)| is_here(entry));
            for millis in edges.flat_map(|(entry, _)| [entry.start_time.0, entry.start_time.1, entry.start_time.1 - 1]) {
                // A gap of a minute is none: what lies as near counts as if it lay here.
                let near = |entry: &SegmentEntry| entry.start_time.0 <= millis + GAP && entry.start_time.1 >= millis - GAP;
                let then = before.segments.iter().filter(|(entry, _)| is_here(entry) && near(entry)).count();
                let now = simulation.depth(group, millis, tiny);
                prop_assert!(now <= then, "{millis} lies in {now} segments instead of {then} after {job:?}");
            }
        }
        let mut found: Vec<i64> = simulation.segments.iter().flat_map(|(_, starts)| starts.clone()).collect();
        found.sort_unstable();
        prop_assert_eq!(found, expected);
        for (entry, starts) in &simulation.segments {
            match (&entry.group, groups) {
                (Some(group), _) => {
                    let is_here = |start: &i64| group.of.group(Some(&node(*start))) == group.number;
                    prop_assert!(starts.iter().all(is_here), "a flow is in the segment of another group");
                }
                (None, Some(groups)) => {
                    let most = (BLOCK_ROWS * u64::from(groups)).min(segment_rows / 2).max(1);
                    prop_assert!(entry.rows < most, "{} flows are not divided", entry.rows);
                }
                (None, None) => {}
            }
        }
        if effort == Effort::Full && groups.is_none() {
            let entries = simulation.entries();
            let overlap = |one: &SegmentEntry, other: &SegmentEntry| {
                one.start_time.1.min(other.start_time.1) - one.start_time.0.max(other.start_time.0)
            };
            let pairs = entries.iter().enumerate().flat_map(|(at, one)| entries[..at].iter().map(move |other| (one, other)));
            prop_assert!(pairs.into_iter().all(|(one, other)| overlap(one, other) <= 0), "segments overlap");
        }
    }
}

/// A commit a second, of `rows` flows that have ended in it; of each commit one flow has lasted for an hour.
fn stream(simulation: &mut Simulation, seconds: i64, rows: i64) {
    const SEGMENT_ROWS: u64 = 10_000;
    for second in 0..seconds {
        let now = second * 1000;
        let mut starts: Vec<i64> = (1..rows).map(|flow| now + flow * 900 / rows).collect();
        starts.push(now - 3_600_000);
        simulation.add(starts);
        while let Some(job) = simulation.next_job(SEGMENT_ROWS, Effort::Background) {
            simulation.run(&job, SEGMENT_ROWS);
        }
        let (large, small) =
            simulation.segments.iter().partition::<Vec<_>, _>(|(entry, _)| entry.rows * 2 >= SEGMENT_ROWS);
        assert!(small.len() <= 64, "{} small segments after {second} seconds", small.len());
        assert!(large.len() as i64 <= second * rows / 5_000 + 1, "{} large segments", large.len());
    }
}

#[test]
fn a_commit_a_second_leaves_few_segments_and_is_written_again_a_few_times() {
    let mut simulation = Simulation::default();
    stream(&mut simulation, 6_000, 20);
    // A segment of a commit has 20 flows, and 10,000 when it is large: with eight at a time, that is three steps.
    assert!(simulation.rewritten <= 5 * 6_000 * 20, "{} flows written again", simulation.rewritten);
    // A query for a minute long ago meets few segments, although each commit spans an hour.
    let deepest = (0..100).map(|minute| simulation.depth(None, minute * 60_000, 0)).max().unwrap();
    assert!(deepest <= 24, "{deepest} segments cover one moment");
}

#[test]
fn late_flows_wait_until_they_weigh_a_quarter() {
    let mut simulation = Simulation::default();
    simulation.add((0..1_000).collect());
    let job = |simulation: &Simulation| simulation.next_job(1_000, Effort::Background);
    for batch in 0..3 {
        simulation.add((0..100).map(|flow| flow * 10 + batch).collect());
        assert!(job(&simulation).is_none(), "{batch}");
    }
    simulation.add((0..100).map(|flow| flow * 10 + 5).collect());
    let merged = job(&simulation).unwrap();
    assert_eq!((merged.segments(), merged.rows()), (5, 1_400));
    simulation.run(&merged, 1_000);
    assert!(job(&simulation).is_none());
    assert_eq!(simulation.segments.len(), 2);
}

#[test]
fn days_apart_stay_apart() {
    let mut simulation = Simulation::default();
    let day = 86_400_000;
    for number in [0, 10, 20, 30] {
        simulation.add((0..400).map(|flow| number * day + flow * 1_000).collect());
    }
    assert!(simulation.next_job(1_000, Effort::Thorough).is_none());
    // Unless there is next to nothing in them.
    simulation.add(vec![40 * day]);
    simulation.add(vec![50 * day]);
    assert_eq!(simulation.next_job(1_000, Effort::Thorough).unwrap().segments(), 2);
}
