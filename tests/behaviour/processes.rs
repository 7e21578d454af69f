//! Several processes at one archive: one that writes and is killed, others that read meanwhile.

use std::{
    collections::{BTreeMap, HashSet},
    fs,
    io::stdin,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use flowseek::{
    Archive, ErrorKind, Filter, Flow, FlowId, Order, Settings, StoredFlow,
    archive::Effort,
    filter,
    flow::{Field, Protocol, Timestamp},
    ingest::LiveOptions,
    order::{Direction, SortKey},
    query::Query,
};
use futures::future::join_all;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::{
    child::{self, Child},
    folder::Folder,
    support::{assert_sound, block_on},
};

/// How often the writer is killed.
const KILLS: u64 = 100;
/// Tasks of the writer that append at the same time.
const HANDLERS: u64 = 3;

/// Segments that are merged while others read, at least: their files go, and so do the versions that had them.
const MERGED: u64 = 24;

/// The flows of one call of the writer: it and those that check it know them by their numbers.
fn call(round: u64, handler: u64, call: u64) -> Vec<Flow> {
    let flow = |index: u64| {
        let number = ((round * HANDLERS + handler) * 1000 + call) * 10 + index;
        // Late flows among the others, and times that are shared.
        let start = 1_666_000_000_000 + (number.wrapping_mul(0x9e37_79b9) % 100_000) as i64;
        Flow {
            protocol: Protocol::TCP,
            dst_port: Some((number % 50_000) as u16),
            src_bytes: Some(number),
            src_node: Some(format!("{round}-{handler}-{call}-{index}")),
            node_id: Some(format!("round-{round}")),
            ..Flow::starting(Timestamp::from_millis(start).unwrap())
        }
    };
    (0..1 + call % 4).map(flow).collect()
}

/// The numbers of the call that a flow is of.
fn call_of(flow: &Flow) -> [u64; 3] {
    let mut numbers = flow.src_node.as_ref().unwrap().split('-').map(|number| number.parse().unwrap());
    [(); 3].map(|()| numbers.next().unwrap())
}

/// So small that many segments are merged to large ones in a short life.
fn settings() -> Settings {
    Settings::default().segment_rows(200)
}

#[test]
#[ignore = "a process that the tests here start"]
fn appending_process() {
    let Some(task) = child::task() else { return };
    let round: u64 = task[1].parse().unwrap();
    let archive = Archive::open_or_create_with(&task[0], settings()).unwrap();
    let options = LiveOptions::default().flush_rows(4).flush_age(Duration::from_millis(2));
    let appender = archive.live_appender(options).unwrap();
    let handle = async |handler: u64| {
        for number in 0..1000 {
            let receipt = appender.append(call(round, handler, number)).await.unwrap();
            if number % 2 == 0 {
                let _ = appender.commit().await.unwrap();
            }
            let ids = receipt.durable().await.unwrap();
            child::say(format!("{handler} {number} {}", ids.start));
        }
    };
    block_on(join_all((0..HANDLERS).map(handle)));
}

/// All flows that pass a filter, page by page.
fn walk(archive: &Archive, filter: &Filter, limit: usize) -> Vec<StoredFlow> {
    let mut flows = Vec::new();
    let mut query = archive.snapshot().unwrap().query(filter.clone()).limit(limit);
    block_on(async {
        loop {
            let page = query.page().await.unwrap();
            flows.extend(page.flows().unwrap());
            let Some(next) = page.next else { return flows };
            query = query.after(next);
        }
    })
}

#[test]
fn every_flow_that_was_acknowledged_before_a_kill_is_there_exactly_once() {
    let directory = Folder::new();
    let path = directory.path().join("flows");
    let mut rng = ChaCha8Rng::seed_from_u64(7);
    // Opened once, and never again.
    let reader = Archive::open_or_create(&path).unwrap();
    let mut acknowledged: BTreeMap<u64, Flow> = BTreeMap::new();
    for round in 0..KILLS {
        let writer = Child::start("processes::appending_process", &path, &round.to_string());
        let mut lines: Vec<String> = Vec::new();
        for _ in 0..rng.random_range(0..8) {
            lines.extend(writer.line());
        }
        if !lines.is_empty() {
            assert_eq!(reader.appender().unwrap_err().kind(), ErrorKind::Locked);
        }
        thread::sleep(Duration::from_micros(rng.random_range(0..12_000)));
        lines.extend(writer.kill());

        let mut said = BTreeMap::new();
        for line in lines {
            let [handler, number, first] =
                <[u64; 3]>::try_from(line.split(' ').map(|word| word.parse().unwrap()).collect::<Vec<_>>()).unwrap();
            said.extend((first..).zip(call(round, handler, number)));
        }
        let fresh = Archive::open(&path).unwrap();
        if round % 2 == 0 {
            drop(fresh.appender().expect("the lock is free"));
        }
        check_round(&reader, round, &said);
        let earlier = acknowledged.len();
        acknowledged.extend(said.clone());
        assert_eq!(acknowledged.len(), earlier + said.len(), "an ID was given twice");
    }
    assert!(acknowledged.len() > 500, "only {} flows were acknowledged", acknowledged.len());

    // Some was merged between the kills, as far as there was time; the rest is now.
    let writer = Archive::open(&path).unwrap().writer().unwrap();
    while writer.compactor().run_once(Effort::Thorough).unwrap().is_some() {}
    drop(writer);
    assert_sound(&path);
    for archive in [reader, Archive::open(&path).unwrap()] {
        let stored = walk(&archive, &Filter::all(), 700);
        let ids: HashSet<FlowId> = stored.iter().map(|stored| stored.id).collect();
        assert_eq!(ids.len(), stored.len());
        assert!(stored.is_sorted_by_key(|stored| (stored.flow.start_time, stored.id)));
        let stored: BTreeMap<u64, Flow> = stored.into_iter().map(|stored| (stored.id.get(), stored.flow)).collect();
        assert!(acknowledged.iter().all(|(id, flow)| stored.get(id) == Some(flow)));
    }
}

/// That the flows of a round are those that were acknowledged, and besides them only whole calls that were being
/// acknowledged when the writer was killed.
fn check_round(archive: &Archive, round: u64, acknowledged: &BTreeMap<u64, Flow>) {
    let stored = walk(archive, &filter::node_id().eq(format!("round-{round}")), 100);
    let mut found: BTreeMap<u64, Flow> = BTreeMap::new();
    for StoredFlow { id, flow } in stored {
        assert!(found.insert(id.get(), flow).is_none(), "flow {id} comes twice");
    }
    for (id, flow) in acknowledged {
        assert_eq!(found.get(id), Some(flow), "round {round}");
    }
    found.retain(|id, _| !acknowledged.contains_key(id));
    let mut calls: BTreeMap<[u64; 3], Vec<(u64, Flow)>> = BTreeMap::new();
    for (id, flow) in found {
        calls.entry(call_of(&flow)).or_default().push((id, flow));
    }
    assert!(calls.keys().map(|[_, handler, _]| handler).collect::<HashSet<_>>().len() == calls.len());
    for ([round, handler, number], flows) in calls {
        let first = flows[0].0;
        let whole: Vec<(u64, Flow)> = (first..).zip(call(round, handler, number)).collect();
        assert_eq!(flows, whole);
    }
}

/// Walks through the whole archive, page by page, each page of the archive as it is then; the answer is how often it
/// has changed meanwhile.
fn follow(archive: &Archive, order: &Order) -> u64 {
    let query = || archive.snapshot().unwrap().query(Filter::all()).order(order.clone()).limit(40);
    let first = archive.snapshot().unwrap();
    let (mut version, mut changes) = (first.manifest().version, 0);
    let (mut ids, mut keys) = (HashSet::new(), Vec::new());
    let mut asked: Query = query();
    block_on(async {
        loop {
            let page = asked.page().await.unwrap();
            for flow in page.flows().unwrap() {
                assert!(ids.insert(flow.id.get()), "flow {} comes twice", flow.id);
                keys.push(order.key(&flow));
            }
            let Some(next) = page.next else { break };
            let now = archive.snapshot().unwrap().manifest().version;
            changes += u64::from(now != version);
            version = now;
            asked = query().after(next);
        }
    });
    assert!(keys.is_sorted_by(|left, right| order.compare(left, right).is_lt()));
    let missing: Vec<u64> = (1..first.manifest().next_flow_id).filter(|id| !ids.contains(id)).collect();
    assert!(missing.is_empty(), "{missing:?} of the first page's archive are missing");
    changes
}

/// How many flows there are, and the ID of the last.
fn look(archive: &Archive) -> String {
    let key = SortKey { field: Field::FlowId, direction: Direction::Descending };
    let order = Order::new([key], Direction::Descending);
    let query = archive.snapshot().unwrap().query(Filter::all()).order(order).limit(1);
    let page = block_on(query.page()).unwrap();
    format!("look {} {}", page.total.unwrap(), page.flows().unwrap()[0].id)
}

#[test]
#[ignore = "a process that the tests here start"]
fn reading_process() {
    let Some(task) = child::task() else { return };
    let archive = Archive::open(Path::new(&task[0])).unwrap();
    let ended = Arc::new(AtomicBool::new(false));
    let looking = thread::spawn({
        let (archive, ended) = (archive.clone(), Arc::clone(&ended));
        move || {
            stdin().lines().for_each(|_| child::say(look(&archive)));
            ended.store(true, Ordering::Relaxed);
        }
    });
    let by = |field, direction| Order::new([SortKey { field, direction }], Direction::Ascending);
    let orders = [Order::oldest_first(), Order::newest_first(), by(Field::DstPort, Direction::Descending)];
    for order in orders.iter().cycle().skip(task[1].parse().unwrap()) {
        child::say(format!("walk {}", follow(&archive, order)));
        if ended.load(Ordering::Relaxed) || looking.is_finished() {
            break;
        }
    }
    looking.join().unwrap();
}

#[test]
fn other_processes_see_every_commit_at_once_and_page_through_everything_exactly_once_though_it_is_merged() {
    let directory = Folder::new();
    let archive = Archive::open_or_create_with(directory.path(), settings()).unwrap();
    let options = LiveOptions::default().flush_age(Duration::MAX);
    let appender = archive.live_appender(options).unwrap();
    let commit = |calls: Vec<Flow>| {
        block_on(async {
            appender.append(calls).await.unwrap();
            appender.commit().await.unwrap().flows
        })
    };
    let mut flows = commit((0..60).flat_map(|number| call(0, 0, number)).collect());
    let mut readers: Vec<Child> = (0..2)
        .map(|number| Child::start("processes::reading_process", directory.path(), &number.to_string()))
        .collect();
    // For each reader, how many of its walks a commit has fallen into.
    let mut walks = [0; 2];
    for number in 0..500 {
        flows += commit(call(0, 1, number));
        for (reader, walks) in readers.iter_mut().zip(&mut walks) {
            reader.tell("look");
            loop {
                let line = reader.line().expect("a reader goes on");
                match line.strip_prefix("walk ") {
                    Some(changes) => *walks += u64::from(changes != "0"),
                    None => break assert_eq!(line, format!("look {flows} {flows}")),
                }
            }
        }
        if walks.iter().all(|walks| *walks >= 4) && appender.status().merged >= MERGED {
            break;
        }
    }
    assert!(walks.iter().all(|walks| *walks >= 4), "{walks:?} walks while something was committed");
    let status = appender.status();
    assert!(status.merged >= MERGED && status.failures == 0, "{status:?}");
    readers.into_iter().for_each(|reader| drop(reader.finish()));
    drop(appender);
    // Nobody reads any more: what the readers had kept is gone.
    drop(archive.writer().unwrap());
    assert_eq!(fs::read_dir(directory.path().join("retired")).unwrap().count(), 0);
    assert_sound(directory.path());
}
