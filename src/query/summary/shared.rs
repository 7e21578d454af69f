//! Groups that all threads add to.

use std::{
    cmp::Ordering,
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use super::{
    builder::Measure,
    frequent::Key,
    groups::{GroupPlace, Groups, compare_keys},
    result::{Group, Totals},
};
use crate::flow::{Field, Value, ValueRef};

/// So many shards there are: threads add to different ones.
const SHARDS: usize = 16;

/// Groups in shards: in which one a group is depends on its first value. So each group is held once, whichever thread has
/// read its flows, and threads seldom wait for one another.
#[derive(Debug)]
pub(super) struct SharedGroups(Vec<Mutex<Groups>>);

impl SharedGroups {
    pub(super) fn new(by: &[Field]) -> Self {
        Self((0..if by.is_empty() { 0 } else { SHARDS }).map(|_| Mutex::new(Groups::new(by))).collect())
    }

    /// About how many bytes of memory they take.
    pub(super) fn memory(&self) -> u64 {
        self.0.iter().map(|shard| lock(shard).memory()).sum()
    }

    /// Adds groups.
    pub(super) fn add(&self, groups: &Groups) {
        let mut parted: Vec<Vec<GroupPlace>> = vec![Vec::new(); self.0.len()];
        for place in groups.places() {
            let shard = shard(groups.first_value(place));
            parted.iter_mut().skip(shard).take(1).for_each(|part| part.push(place));
        }
        for (shard, places) in self.0.iter().zip(parted) {
            if !places.is_empty() {
                lock(shard).add_places(groups, &places);
            }
        }
    }

    /// How many flows each group has, by its first value, which is no name.
    pub(super) fn flows(&self) -> HashMap<Key, u64> {
        let mut flows = HashMap::new();
        for shard in &self.0 {
            let shard = lock(shard);
            for place in shard.places() {
                let number = match shard.first_value(place) {
                    Some(ValueRef::Number(number)) => Some(number),
                    _ => None,
                };
                *flows.entry(number).or_default() += shard.flows(place);
            }
        }
        flows
    }

    /// The `top` groups that have most of `measure`, in their order.
    pub(super) fn top(&self, top: usize, measure: Measure, adds_bytes: bool) -> Vec<Group> {
        let mut found: Vec<Group> = self.0.iter().flat_map(|shard| lock(shard).top(top, measure, adds_bytes)).collect();
        found.sort_by(|left, right| compare(left, right, measure));
        found.truncate(top);
        found
    }
}

fn lock(shard: &Mutex<Groups>) -> MutexGuard<'_, Groups> {
    shard.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The shard of a value.
fn shard(value: Option<ValueRef<'_>>) -> usize {
    const ODD: u64 = 0x9e37_79b9_7f4a_7c15;
    let number = match value {
        None => 0,
        Some(ValueRef::Number(number)) => number as u64 ^ (number >> 64) as u64,
        Some(ValueRef::Text(name)) => name.bytes().fold(0, |sum: u64, byte| (sum ^ u64::from(byte)).wrapping_mul(ODD)),
    };
    (number.wrapping_mul(ODD) >> 32) as usize % SHARDS
}

/// The group that has more comes first, and of equal ones the one with the lesser values.
fn compare(left: &Group, right: &Group, measure: Measure) -> Ordering {
    let amount = |Totals { flows, bytes }: Totals| match (measure, bytes.unwrap_or_default()) {
        (Measure::Flows, _) => flows.into(),
        (Measure::Bytes, bytes) => bytes.both(),
        (Measure::SourceBytes, bytes) => bytes.source,
        (Measure::DestBytes, bytes) => bytes.dest,
    };
    let amounts = amount(right.totals).cmp(&amount(left.totals));
    amounts.then_with(|| compare_keys(&key(left), &key(right)))
}

/// The values of a group.
fn key(group: &Group) -> Vec<Option<ValueRef<'_>>> {
    group.key.iter().map(|value| value.as_ref().map(Value::as_ref)).collect()
}
