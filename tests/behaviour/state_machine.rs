//! An archive against a list, through everything that can happen to an archive, in any order.

use std::{
    collections::{BTreeMap, HashSet},
    time::Duration,
};

use flowseek::{
    Archive, Cursor, Filter, FlowId, Order, Snapshot, StoredFlow,
    archive::{Effort, Retention, Writer},
    flow::Timestamp,
    query::Start,
    schema::FlowBuilder,
};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::{
    kept::{Place, all, flow, ids},
    support::block_on,
};

const SEEDS: u64 = 12;
const STEPS: usize = 200;
const SEGMENT_ROWS: usize = 40;

/// Pages of a snapshot that was taken at some time, and what they must be.
struct Held {
    snapshot: Snapshot,
    flows: Vec<StoredFlow>,
    order: Order,
    read: usize,
    next: Option<Cursor>,
}

/// Pages of the archive as it is, by nothing but a cursor.
struct Walk {
    /// The archive when it began.
    known: Vec<StoredFlow>,
    found: Vec<StoredFlow>,
    order: Order,
    next: Cursor,
}

struct Machine {
    place: Place,
    random: ChaCha8Rng,
    archive: Archive,
    /// Opened once, and never told anything.
    reader: Archive,
    writer: Option<Writer>,
    /// What is committed.
    flows: BTreeMap<FlowId, StoredFlow>,
    /// What was removed.
    gone: BTreeMap<FlowId, StoredFlow>,
    /// What of it must come back when it is put back.
    promised: HashSet<FlowId>,
    /// What is written and not committed.
    staged: Vec<StoredFlow>,
    held: Vec<Held>,
    walk: Option<Walk>,
    clock: i64,
}

impl Machine {
    fn new(seed: u64) -> Self {
        let place = Place::new();
        let archive = place.archive(SEGMENT_ROWS);
        let reader = Archive::open_with(&place.path, place.settings(SEGMENT_ROWS)).unwrap();
        Self {
            place,
            random: ChaCha8Rng::seed_from_u64(seed),
            archive,
            reader,
            writer: None,
            flows: BTreeMap::new(),
            gone: BTreeMap::new(),
            promised: HashSet::new(),
            staged: Vec::new(),
            held: Vec::new(),
            walk: None,
            clock: 0,
        }
    }

    fn step(&mut self) -> &'static str {
        match self.random.random_range(0..100) {
            0..30 => self.write(),
            30..50 => self.commit(),
            50..66 => self.compact(),
            66..74 => self.retain(),
            74..76 => self.restore(),
            76..82 => self.hold(),
            82..92 => self.page(),
            92..97 => self.walk(),
            _ => self.reopen(),
        }
    }

    fn writer(&mut self) -> &mut Writer {
        let Self { archive, writer, .. } = self;
        writer.get_or_insert_with(|| archive.writer().unwrap())
    }

    /// Some flows of now, and some that come late.
    fn write(&mut self) -> &'static str {
        self.clock += self.random.random_range(0..20);
        let mut flows = FlowBuilder::default();
        let first = self.writer().next_id().get();
        for id in first..first + self.random.random_range(1..9) {
            let late = if self.random.random_bool(0.1) { 200 } else { 4 };
            let flow = flow(self.clock - self.random.random_range(0..late));
            flows.push(&flow).unwrap();
            self.staged.push(StoredFlow { id: FlowId::new(id), flow });
        }
        let writer = self.writer();
        let batch = flows.finish(writer.next_id()).unwrap();
        writer.write(&batch).unwrap();
        "write"
    }

    fn commit(&mut self) -> &'static str {
        let done = self.writer().commit().unwrap();
        assert_eq!(done.flows, self.staged.len() as u64);
        self.flows.extend(self.staged.drain(..).map(|flow| (flow.id, flow)));
        "commit"
    }

    fn compact(&mut self) -> &'static str {
        let effort = [Effort::Background, Effort::Background, Effort::Thorough, Effort::Full];
        let effort = effort[self.random.random_range(0..effort.len())];
        let _ = self.writer().compactor().run_once(effort).unwrap();
        "compact"
    }

    fn retain(&mut self) -> &'static str {
        let exact = self.random.random_bool(0.5);
        let before = self.clock - self.random.random_range(50..300);
        let bytes = self.archive.snapshot().unwrap().manifest().bytes();
        let bytes = self.random.random_bool(0.2).then(|| bytes * 3 / 4);
        let before = Timestamp::from_millis(before).unwrap();
        let grace = if self.random.random_bool(0.5) { Duration::from_secs(86_400) } else { Duration::ZERO };
        let retention = Retention::default().before(before).bytes(bytes).exact(exact).grace(grace);
        let done = self.writer().retain(retention).unwrap();
        let left: HashSet<FlowId> = all(&self.archive.snapshot().unwrap()).iter().map(|flow| flow.id).collect();
        let count = self.flows.len();
        self.flows.retain(|id, flow| {
            let is_old = flow.flow.start_time < before;
            assert!(left.contains(id) || is_old || bytes.is_some(), "{id} was not too old");
            assert!(!left.contains(id) || !is_old || !exact, "{id} is too old");
            if !left.contains(id) {
                self.gone.insert(*id, flow.clone());
                self.promised.extend((!exact && !grace.is_zero()).then_some(*id));
            }
            left.contains(id)
        });
        assert_eq!(done.rows as usize, count - self.flows.len());
        let kept = self.archive.snapshot().unwrap().manifest().bytes();
        assert!(bytes.is_none_or(|most| kept <= most));
        "retain"
    }

    /// What was removed for a time is put back, and nothing else.
    fn restore(&mut self) -> &'static str {
        let done = self.writer().restore().unwrap();
        let count = self.flows.len();
        for flow in all(&self.archive.snapshot().unwrap()) {
            if !self.flows.contains_key(&flow.id) {
                assert_eq!(self.gone.remove(&flow.id).as_ref(), Some(&flow));
                self.promised.remove(&flow.id);
                self.flows.insert(flow.id, flow);
            }
        }
        assert_eq!(done.rows as usize, self.flows.len() - count);
        assert!(self.promised.is_empty(), "{:?} were not put back", self.promised);
        "restore"
    }

    fn hold(&mut self) -> &'static str {
        if self.held.len() >= 4 || self.random.random_bool(0.3) {
            let at = self.random.random_range(0..self.held.len().max(1));
            if at < self.held.len() {
                drop(self.held.swap_remove(at));
            }
            return "let go";
        }
        let from = if self.random.random_bool(0.5) { &self.archive } else { &self.reader };
        let (newest, mut flows) = (self.random.random_bool(0.5), self.sorted());
        let order = if newest { Order::newest_first() } else { Order::oldest_first() };
        if newest {
            flows.reverse();
        }
        self.held.push(Held { snapshot: from.snapshot().unwrap(), flows, order, read: 0, next: None });
        "hold"
    }

    /// Reads on in the snapshots that are held; behind the last page comes the first again.
    fn page(&mut self) -> &'static str {
        for held in &mut self.held {
            let query = held.snapshot.query(Filter::all()).order(held.order.clone()).limit(7);
            let start = held.next.take().map_or(Start::First, Start::At);
            let page = block_on(query.start(start).page()).unwrap();
            let found = page.flows().unwrap();
            assert_eq!(found, held.flows[held.read..held.read + found.len()], "an old snapshot has changed");
            held.read += found.len();
            held.next = page.next;
            if held.next.is_none() {
                assert_eq!(held.read, held.flows.len(), "an old snapshot has lost flows");
                held.read = 0;
            }
        }
        "page"
    }

    fn walk(&mut self) -> &'static str {
        let newest = self.random.random_bool(0.5);
        let order = if newest { Order::newest_first() } else { Order::oldest_first() };
        let (mut walk, start) = match self.walk.take() {
            Some(walk) => {
                let next = walk.next.to_string().parse().unwrap();
                (walk, Start::At(next))
            }
            None => {
                let first = self.archive.snapshot().unwrap().query(Filter::all()).order(order.clone()).limit(1);
                let Some(next) = block_on(first.page()).unwrap().next else { return "no walk" };
                (Walk { known: self.sorted(), found: Vec::new(), order, next }, Start::First)
            }
        };
        let query = self.archive.snapshot().unwrap().query(Filter::all()).order(walk.order.clone()).limit(9);
        let page = block_on(query.start(start).page()).unwrap();
        walk.found.extend(page.flows().unwrap());
        match page.next {
            Some(next) => self.walk = Some(Walk { next, ..walk }),
            None => {
                let key = |flow| walk.order.key(flow);
                assert!(walk.found.is_sorted_by(|one, other| walk.order.compare(&key(one), &key(other)).is_lt()));
                let found: HashSet<FlowId> = walk.found.iter().map(|flow| flow.id).collect();
                let missed = |flow: &&StoredFlow| self.flows.contains_key(&flow.id) && !found.contains(&flow.id);
                assert_eq!(walk.known.iter().find(missed), None, "a flow that was kept was not found");
            }
        }
        "walk"
    }

    fn reopen(&mut self) -> &'static str {
        self.writer = None;
        self.staged.clear();
        if self.random.random_bool(0.5) {
            self.archive = Archive::open_with(&self.place.path, self.place.settings(SEGMENT_ROWS)).unwrap();
        }
        "reopen"
    }

    /// What is committed, oldest first.
    fn sorted(&self) -> Vec<StoredFlow> {
        let mut flows: Vec<StoredFlow> = self.flows.values().cloned().collect();
        flows.sort_by_key(|flow| (flow.flow.start_time, flow.id));
        flows
    }

    fn validate(&self) {
        let expected = self.sorted();
        let archive = if expected.len().is_multiple_of(2) { &self.archive } else { &self.reader };
        let snapshot = archive.snapshot().unwrap();
        assert_eq!(all(&snapshot), expected);
        let manifest = snapshot.manifest();
        assert_eq!(manifest.rows() as usize, expected.len());
        assert!(manifest.segments.iter().all(|segment| segment.rows <= SEGMENT_ROWS as u64));
        assert!(manifest.next_flow_id > expected.iter().map(|flow| flow.id.get()).max().unwrap_or(0));
        assert_eq!(self.place.globbed(), ids(&expected), "other tools find other flows");
    }
}

fn run(seed: u64) {
    let mut machine = Machine::new(seed);
    for step in 0..STEPS {
        let name = machine.step();
        // What only reads has changed nothing, and was looked at itself.
        let told = match name {
            "hold" | "let go" | "page" | "walk" | "no walk" => continue,
            _ => std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| machine.validate())),
        };
        assert!(told.is_ok(), "seed {seed}, step {step}: after {name}");
    }
    let Machine { place, archive, reader, writer, held, .. } = machine;
    drop((reader, writer, held));
    drop(archive.writer().unwrap());
    place.assert_clean(&archive);
}

/// `FLOWSEEK_SEED` runs another seed, alone.
#[test]
fn an_archive_holds_what_a_list_would_whatever_happens_to_it() {
    match std::env::var("FLOWSEEK_SEED") {
        Ok(seed) => run(seed.parse().unwrap()),
        Err(_) => (0..SEEDS).for_each(|seed| {
            println!("seed {seed}");
            run(seed);
        }),
    }
}
