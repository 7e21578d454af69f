//! Groups that all threads add to.

use std::{
    cmp::Ordering,
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
};

use hashbrown::DefaultHashBuilder;
use tokio::{runtime::Handle, task::JoinSet};

use super::{
    builder::Measure,
    entries::{Entries, Entry, Key, SHARDS, parted},
    frequent,
    result::Group,
    sums::{Added, Sums},
    words::{Apart, Words},
};
use crate::{
    error::{Error, ErrorKind, Result},
    flow::{Field, ValueRef},
    query::scan::LARGE_ROWS,
};

/// Of so many groups the first are chosen at a time, at least.
const KEPT: usize = 1 << 10;

/// Groups in shards: in which one a group is depends on a hash of its values. So each is held once, whichever thread has
/// read its flows, and threads seldom wait for one another; and what is looked at together lies together in memory.
#[derive(Debug)]
pub(in crate::query) struct SharedGroups {
    /// Of each field that flows are grouped by.
    words: Vec<Words>,
    shards: Vec<Mutex<Shard>>,
    hasher: DefaultHashBuilder,
    /// Whether what is added can be taken back until it is settled.
    is_open: bool,
    /// Bytes of the shards.
    bytes: AtomicUsize,
}

/// A shard of the groups.
#[derive(Debug, Default)]
struct Shard {
    settled: Entries,
    /// What can be taken back: entries of a round, one behind the other. To join them would be done twice.
    open: Vec<Entry>,
}

impl Shard {
    fn memory(&self) -> usize {
        self.settled.memory() + self.open.capacity() * size_of::<Entry>()
    }
}

/// A group among the first: how much it has of the measure, its key and its sums.
type Ranked = (u128, Key, Sums);

/// A group: its key and its sums.
pub(in crate::query) type Keyed = (Key, Sums);

impl SharedGroups {
    /// By the values of fields, of protocols by their names. What is added can be taken back until it is settled.
    pub(super) fn new(by: &[Field]) -> Self {
        Self { is_open: true, ..Self::by(by.iter().map(|field| (*field, Apart::Names))) }
    }

    /// By those values of fields that are told apart.
    pub(in crate::query) fn by(by: impl IntoIterator<Item = (Field, Apart)>) -> Self {
        let words: Vec<Words> = by.into_iter().map(|(field, apart)| Words::new(field, apart)).collect();
        let shards = if words.is_empty() { 0 } else { SHARDS };
        let shards = (0..shards).map(|_| Mutex::default()).collect();
        Self { words, shards, hasher: DefaultHashBuilder::default(), is_open: false, bytes: AtomicUsize::new(0) }
    }

    /// The words of the values of each field.
    pub(in crate::query) fn words(&self) -> &[Words] {
        &self.words
    }

    /// About how many bytes of memory they take.
    pub(in crate::query) fn memory(&self) -> u64 {
        (self.bytes.load(Relaxed) + self.words.iter().map(Words::memory).sum::<usize>()) as u64
    }

    /// Puts the entries of each group together, so that they take no more memory than they must.
    pub(in crate::query) fn shrink(&self) {
        for shard in &self.shards {
            self.change(shard, |Shard { settled, open }| {
                settled.join(&self.hasher);
                settled.shrink();
                open.shrink_to_fit();
            });
        }
    }

    /// Adds entries.
    pub(super) fn add(&self, entries: &[Entry]) {
        let (parted, ranges) = parted(entries, &self.hasher);
        for (shard, range) in self.shards.iter().zip(ranges).filter(|(_, range)| !range.is_empty()) {
            self.change(shard, |Shard { settled, open }| {
                let entries = parted.get(range).unwrap_or_default();
                if self.is_open { open.extend_from_slice(entries) } else { settled.extend(entries, &self.hasher) }
            });
        }
    }

    /// Lets all stay that was added.
    pub(super) fn settle(&self) {
        for shard in &self.shards {
            self.change(shard, |Shard { settled, open }| settled.extend(&std::mem::take(open), &self.hasher));
        }
    }

    /// Takes back what was added and is not settled.
    pub(super) fn take_back(&self) {
        self.shards.iter().for_each(|shard| self.change(shard, |shard| shard.open = Vec::new()));
    }

    /// Changes a shard, whose memory is counted.
    fn change(&self, shard: &Mutex<Shard>, change: impl FnOnce(&mut Shard)) {
        let mut shard = lock(shard);
        let before = shard.memory();
        change(&mut shard);
        let after = shard.memory();
        // Wraps around where it is less than before.
        self.bytes.fetch_add(after.wrapping_sub(before), Relaxed);
    }

    /// How many flows each group has, by its first value, which is no name.
    pub(super) fn flows(&self) -> HashMap<frequent::Key, u64> {
        let Some(words) = self.words.first() else { return HashMap::new() };
        let coded = words.coded();
        let mut flows = HashMap::new();
        for shard in &self.shards {
            for entry in lock(shard).settled.as_slice() {
                let number = match words.value(entry.key[0], &coded) {
                    Some(ValueRef::Number(number)) => Some(number),
                    _ => None,
                };
                *flows.entry(number).or_default() += entry.counted.flows();
            }
        }
        flows
    }

    /// How many shards there are.
    pub(in crate::query) fn shards(&self) -> usize {
        self.shards.len()
    }

    /// The groups of a shard.
    pub(in crate::query) fn groups_of(&self, shard: usize) -> Vec<Keyed> {
        let Some(shard) = self.shards.get(shard) else { return Vec::new() };
        let shard = &mut lock(shard).settled;
        shard.join(&self.hasher);
        shard.as_slice().iter().map(|entry| (entry.key, shard.sums(entry))).collect()
    }

    /// The `top` groups that have most of `measure`, in their order: on all threads of the host's runtime where there are
    /// many groups.
    pub(super) async fn top(self: &Arc<Self>, top: usize, measure: Measure, added: Added) -> Result<Vec<Group>> {
        let entries: usize = self.shards.iter().map(|shard| lock(shard).settled.as_slice().len()).sum();
        let mut found = Vec::new();
        let Some(runtime) = Handle::try_current().ok().filter(|_| entries >= LARGE_ROWS) else {
            (0..self.shards.len()).for_each(|shard| found.extend(self.top_of(shard, top, measure)));
            return Ok(self.sorted(found, top, added));
        };
        let mut shards = 0..self.shards.len();
        let mut tasks = JoinSet::new();
        loop {
            while tasks.len() < runtime.metrics().num_workers()
                && let Some(shard) = shards.next()
            {
                let groups = Arc::clone(self);
                tasks.spawn(async move { groups.top_of(shard, top, measure) });
            }
            let Some(joined) = tasks.join_next().await else { return Ok(self.sorted(found, top, added)) };
            found.extend(joined.map_err(Error::with(ErrorKind::Internal, "a summary was interrupted"))?);
        }
    }

    /// The `top` groups of a shard that have most of `measure`.
    fn top_of(&self, shard: usize, top: usize, measure: Measure) -> Vec<Ranked> {
        let Some(shard) = self.shards.get(shard) else { return Vec::new() };
        let shard = &mut lock(shard).settled;
        shard.join(&self.hasher);
        let (mut found, mut worst) = (Vec::new(), 0);
        for entry in shard.as_slice() {
            let sums = shard.sums(entry);
            let amount = amount(&sums, measure);
            if amount >= worst {
                found.push((amount, entry.key, sums));
            }
            if found.len() >= KEPT.max(2 * top) {
                self.truncate(&mut found, top);
                worst = found.iter().map(|(amount, ..)| *amount).min().unwrap_or(worst);
            }
        }
        self.truncate(&mut found, top);
        found
    }

    /// Of groups the first `top`, in any order.
    fn truncate(&self, found: &mut Vec<Ranked>, top: usize) {
        if found.len() > top {
            found.select_nth_unstable_by(top, self.order());
            found.truncate(top);
        }
    }

    /// Of groups the first `top`, in their order.
    fn sorted(&self, mut found: Vec<Ranked>, top: usize, added: Added) -> Vec<Group> {
        found.sort_unstable_by(self.order());
        found.truncate(top);
        let group = |(_, key, sums): &Ranked| Group {
            key: self
                .words
                .iter()
                .zip(key)
                .map(|(words, word)| words.value(*word, &words.coded()).map(ValueRef::to_owned))
                .collect(),
            totals: sums.totals(added),
        };
        found.iter().map(group).collect()
    }

    /// The group that has more comes first, and of equal ones the one with the lesser values, absent ones last.
    fn order(&self) -> impl FnMut(&Ranked, &Ranked) -> Ordering {
        let words: Vec<_> = self.words.iter().map(|words| (words, words.coded())).collect();
        move |left, right| {
            right.0.cmp(&left.0).then_with(|| {
                let values = words.iter().zip(left.1.iter().zip(&right.1));
                let ordered = values.map(|((words, coded), (left, right))| {
                    match (words.value(*left, coded), words.value(*right, coded)) {
                        (Some(left), Some(right)) => left.cmp(&right),
                        (left, right) => right.is_some().cmp(&left.is_some()),
                    }
                });
                ordered.into_iter().find(|ordering| ordering.is_ne()).unwrap_or(Ordering::Equal)
            })
        }
    }
}

fn lock(shard: &Mutex<Shard>) -> MutexGuard<'_, Shard> {
    shard.lock().unwrap_or_else(PoisonError::into_inner)
}

fn amount(sums: &Sums, measure: Measure) -> u128 {
    match measure {
        Measure::Flows => sums.flows.into(),
        Measure::Bytes => sums.source.saturating_add(sums.dest),
        Measure::SourceBytes => sums.source,
        Measure::DestBytes => sums.dest,
    }
}
