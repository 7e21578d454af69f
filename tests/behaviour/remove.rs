//! Flows that match a filter are removed from every file, and nothing else is.

use std::{fs, time::Duration};

use flowseek::{
    Archive, ErrorKind, Filter, Order, StoredFlow,
    archive::{Effort, Removed, Retention},
    filter,
    flow::Timestamp,
    query::Start,
};

use crate::{
    kept::{Place, all, commit, ids, now},
    support::block_on,
};

/// Three segments of 40 flows, whose times overlap, and one of later flows.
fn archive(place: &Place) -> Archive {
    let archive = place.archive(100);
    (0..3).for_each(|first| commit(&archive, (0..40).map(|nth| nth * 3 + first)));
    commit(&archive, 500..510);
    archive
}

fn remove(archive: &Archive, filter: &Filter) -> Removed {
    archive.writer().unwrap().remove(filter).unwrap()
}

#[test]
fn what_matches_is_gone_from_every_file_and_all_else_is_as_it_was() {
    let from = |millis| filter::start_time().gte(Timestamp::from_millis(millis).unwrap());
    for (filter, whole, rewritten) in [
        (filter::dst_port().within(10..=12), 0, 3),
        (filter::src_node().eq("node-3"), 0, 2),
        (filter::src_node().any_of(["node-3", "node-4"]).or(from(300)), 1, 1),
        (from(0), 4, 0),
        (!filter::dst_port().within(500..=509), 3, 0),
        (filter::src_node().eq("nobody"), 0, 0),
        (filter::dst_port().eq(505), 0, 1),
    ] {
        let place = Place::new();
        let archive = archive(&place);
        let before = now(&archive);
        let expected: Vec<StoredFlow> = before.iter().filter(|flow| !filter.matches(flow)).cloned().collect();
        let held = archive.snapshot().unwrap();
        let done = remove(&archive, &filter);
        assert_eq!(done.rows as usize, before.len() - expected.len(), "{filter}");
        assert_eq!((done.segments, done.rewritten), (whole, rewritten), "{filter}");
        assert_eq!(done.version, archive.snapshot().unwrap().manifest().version);
        assert_eq!(now(&archive), expected, "{filter}");
        // Who reads the version before still does; a glob of the files finds none of it.
        assert_eq!(all(&held), before);
        assert_eq!(place.globbed(), ids(&expected));
        drop(held);
        assert_eq!(remove(&archive, &filter).rows, 0);
        place.assert_clean(&archive);
        // The IDs are not given again.
        commit(&archive, [1_000]);
        assert_eq!(now(&archive).last().unwrap().id.get(), 131);
    }
}

#[test]
fn a_walk_that_is_under_way_goes_on_over_what_is_left() {
    let place = Place::new();
    let archive = archive(&place);
    let gone = filter::dst_port().within(0..50);
    let before = now(&archive);
    let mut found = Vec::new();
    let mut start = Start::First;
    for page in 0.. {
        let query = archive.snapshot().unwrap().query(Filter::all()).order(Order::newest_first()).limit(7);
        let answer = block_on(query.start(start).page()).unwrap();
        found.extend(answer.flows().unwrap());
        let Some(next) = answer.next else { break };
        start = Start::At(next);
        match page {
            3 => drop(remove(&archive, &gone)),
            5 => drop(archive.writer().unwrap().compactor().run_once(Effort::Full).unwrap()),
            _ => {}
        }
    }
    // 28 flows were answered before.
    let expected = before.into_iter().rev().enumerate();
    let expected: Vec<_> =
        expected.filter(|(place, flow)| *place < 28 || !gone.matches(flow)).map(|(_, flow)| flow).collect();
    assert_eq!(found, expected);
}

#[test]
fn nothing_of_it_is_kept_for_retention_to_put_back() {
    let place = Place::new();
    let archive = archive(&place);
    let writer = archive.writer().unwrap();
    let before = Timestamp::from_millis(300);
    let retention = Retention::default().before(before).grace(Duration::from_secs(86_400));
    assert_eq!(writer.retain(retention).unwrap().segments, 3);
    assert!(place.names("retired").len() >= 3);
    assert_eq!(writer.remove(&filter::dst_port().eq(7)).unwrap().rows, 0);
    assert_eq!(writer.restore().unwrap().rows, 0);
    drop(writer);
    place.assert_clean(&archive);
    assert_eq!(place.names("retired").len(), 0);
    assert_eq!(now(&archive).len(), 10);
}

#[test]
fn what_cannot_be_read_is_named_and_the_rest_is_done() {
    let place = Place::new();
    place.expect_damage();
    let archive = archive(&place);
    let path = archive.snapshot().unwrap().manifest().segments[1].path.clone();
    let file = place.path.join(&path);
    let sound = fs::read(&file).unwrap();
    let mut damaged = sound.clone();
    damaged[60] ^= 1;
    fs::write(&file, damaged).unwrap();
    fs::create_dir_all(place.path.join("quarantine")).unwrap();
    fs::write(place.path.join("quarantine/old.parquet"), "").unwrap();
    let archive = Archive::open_with(archive.path(), place.settings(100)).unwrap();
    let gone = filter::dst_port().within(10..=20);
    let done = remove(&archive, &gone);
    assert_eq!((done.unreadable.len(), done.rewritten), (1, 2));
    assert_eq!(done.unreadable[0].kind(), ErrorKind::Damaged);
    assert_eq!(done.unreadable[0].file(), Some(file.as_path()));
    assert_eq!(done.quarantined, ["quarantine/old.parquet"]);
    fs::write(&file, sound).unwrap();
    let archive = Archive::open_with(archive.path(), place.settings(100)).unwrap();
    assert!(remove(&archive, &gone).rows > 0);
    assert!(now(&archive).iter().all(|flow| !gone.matches(flow)));
}

#[test]
fn flows_that_are_written_meanwhile_stay() {
    let place = Place::new();
    let archive = archive(&place);
    let mut writer = archive.writer().unwrap();
    let mut flows = flowseek::schema::FlowBuilder::default();
    flows.push(&crate::kept::flow(7)).unwrap();
    writer.write(&flows.finish(writer.next_id()).unwrap()).unwrap();
    let done = writer.remove(&filter::dst_port().eq(7)).unwrap();
    assert_eq!((done.rows, done.rewritten), (1, 1));
    assert_eq!(writer.commit().unwrap().flows, 1);
    drop(writer);
    assert_eq!(now(&archive).iter().filter(|flow| flow.flow.dst_port == Some(7)).count(), 1);
}
