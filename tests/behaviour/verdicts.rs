//! What bounds and lists tell of a block is true of its rows, one by one.

use std::sync::Arc;

use arrow::array::RecordBatch;
use flowseek::{
    Archive, Filter, Settings, StoredFlow, filter,
    filter::{Bounds, Verdict},
    flow::{Address, AddressRange, Field},
    generate::Generator,
    schema::{Flows, schema},
    segment::{Effort, PageCache, Probes, ReadCounters, RowReader, SegmentOptions, SegmentReader, Selection, grouped},
};
use proptest::{collection::vec, prelude::*};

use crate::{
    folder::Folder,
    support::{self, append, block_on, flow, settings},
};

/// Holds what is told of each block, page, row and segment of an archive against its rows. Of how many blocks lists told
/// the very rows that match.
async fn check(archive: &Archive, filter: &Filter) -> Result<u64, TestCaseError> {
    let mut told = 0;
    let filter = Arc::new(grouped(&filter.normal()));
    let snapshot = archive.snapshot().unwrap();
    for entry in &snapshot.manifest().segments {
        let segment = Arc::new(SegmentReader::open(&archive.path().join(&entry.path)).unwrap());
        let reader = RowReader::new(Arc::new(PageCache::new(1 << 24)), Arc::new(ReadCounters::default()));
        let rows = std::iter::once(0..segment.shape().rows).collect();
        let columns = reader.columns(&segment, Field::ALL, &rows).await.unwrap().select(&rows).unwrap();
        let batch = RecordBatch::try_new(schema(), columns).unwrap();
        let flows: Vec<StoredFlow> = Flows::new(&batch).unwrap().iter().collect();
        verdict(&filter, entry, &flows)?;
        verdict(&filter, &segment.whole(), &flows)?;
        for effort in [Effort::Page, Effort::Count] {
            let probes = Probes::ask(&filter, &segment, &reader, effort).await.unwrap();
            verdict(&filter, &probes.whole(&segment), &flows)?;
            let named = probes.rarest().map(|(_, blocks)| blocks);
            for block in 0..segment.blocks().len() {
                let rows = segment.block_rows(block);
                let is_named = named.as_ref().is_none_or(|blocks| blocks.contains(&block));
                prop_assert!(is_named || !flows[rows.clone()].iter().any(|flow| filter.matches(flow)), "{}", filter);
                verdict(&filter, &segment.blocks().block(block), &flows[rows.clone()])?;
                verdict(&filter, &probes.block(&segment, block), &flows[rows.clone()])?;
                let pages = probes.pages(&filter, block);
                for (place, flow) in flows[rows.clone()].iter().enumerate() {
                    let page =
                        (rows.start + place) / segment.shape().page_rows - rows.start / segment.shape().page_rows;
                    prop_assert!(pages & 1 << page != 0 || !filter.matches(flow), "page {page} of block {block}");
                }
                let selection = probes.rows(&segment, &reader, block).await.unwrap();
                if let Some(Selection { rows: selected, open, .. }) = selection {
                    let conjuncts = match &*filter {
                        Filter::And(parts) => parts.as_slice(),
                        part => std::slice::from_ref(part),
                    };
                    for (place, flow) in flows[rows.clone()].iter().enumerate() {
                        let passes = |(at, part): (usize, &Filter)| open.contains(&at) || part.matches(flow);
                        let is_decided = conjuncts.iter().enumerate().all(passes);
                        let is_selected = selected.contains(place);
                        prop_assert!(is_selected || !filter.matches(flow), "row {place} of {block}: {filter}");
                        prop_assert!(!is_selected || is_decided, "row {place} of {block}: {filter}, {open:?}");
                    }
                    told += u64::from(open.is_empty());
                }
            }
        }
    }
    Ok(told)
}

fn verdict(filter: &Filter, bounds: &impl Bounds, flows: &[StoredFlow]) -> Result<(), TestCaseError> {
    let matching = flows.iter().filter(|flow| filter.matches(flow)).count();
    match filter.verdict(bounds) {
        Verdict::Never => prop_assert_eq!(matching, 0, "never: {}", filter),
        Verdict::Always => prop_assert_eq!(matching, flows.len(), "always: {}", filter),
        Verdict::Maybe => {}
    }
    if let Some(count) = filter.count(bounds) {
        prop_assert_eq!(count, matching as u64, "count: {}", filter);
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, max_shrink_iters: 60, ..ProptestConfig::default() })]

    #[test]
    fn any_filter(flows in vec(flow(), 1..60), settings in settings(), filters in vec(support::filter(), 12)) {
        let directory = Folder::new();
        let archive = Archive::open_or_create_with(directory.path(), settings).unwrap();
        append(&archive, &[flows]);
        block_on(async {
            for filter in filters {
                check(&archive, &filter).await?;
            }
            Ok::<(), TestCaseError>(())
        })?;
    }

    #[test]
    fn conjunctions_of_listed_values_are_decided_by_lists_alone(
        seed in 0u64..1000,
        picked in vec((0usize..1500, 0usize..1500), 1..8),
        block_rows in 16usize..400,
    ) {
        let directory = Folder::new();
        let segment = SegmentOptions { block_rows, row_group_blocks: 2 };
        let settings = Settings { segment, segment_rows: 800, ..Settings::default() };
        let archive = Archive::open_or_create_with(directory.path(), settings).unwrap();
        let flows: Vec<_> = Generator::new(seed).flows(1500).collect();
        append(&archive, std::slice::from_ref(&flows));
        block_on(async {
            let mut decided = 0;
            for (one, other) in picked {
                let (one, other) = (&flows[one], &flows[other]);
                let nodes = filter::src_node().any_of([one, other].into_iter().filter_map(|flow| flow.src_node.clone()));
                let ports = filter::dst_port().any_of(one.dst_port.into_iter().chain(other.dst_port));
                let protocol = filter::protocol().eq(one.protocol);
                let ends = filter::ip().any_of(one.src_ip.into_iter().chain(other.dst_ip));
                for filter in [
                    nodes.clone().and(ports.clone()).and(protocol.clone()),
                    nodes.clone().or(ports.clone()).and(!protocol.clone()),
                    ends.clone().and(ports.clone()),
                    !(nodes.clone().and(protocol)).or(ends),
                    ports.and(nodes),
                ] {
                    decided += check(&archive, &filter).await?;
                }
            }
            prop_assert!(decided > 0, "no block was decided by lists of rows");
            Ok::<(), TestCaseError>(())
        })?;
    }

    #[test]
    fn thousands_of_addresses_beside_networks_and_negations(
        seed in 0u64..1000,
        picked in vec((0usize..1500, 4u8..=31), 1..20),
        strangers in 0u32..3000,
        block_rows in 16usize..200,
    ) {
        let directory = Folder::new();
        let segment = SegmentOptions { block_rows, row_group_blocks: 2 };
        let settings = Settings { segment, segment_rows: 800, ..Settings::default() };
        let archive = Archive::open_or_create_with(directory.path(), settings).unwrap();
        let flows: Vec<_> = Generator::new(seed).flows(1500).collect();
        let hosts = picked.iter().filter_map(|(flow, _)| flows[*flow].src_ip);
        let strangers = (0..strangers).map(|n| Address::from_bits(0xffff_0a00_0000 + u128::from(n) * 977));
        let hosts: Vec<AddressRange> = hosts.chain(strangers).map(AddressRange::from).collect();
        let network = |(flow, bits): &(usize, u8)| format!("{}/{bits}", flows[*flow].dst_ip?).parse().ok();
        let networks: Vec<AddressRange> = picked.iter().filter_map(network).take(3).collect();
        append(&archive, std::slice::from_ref(&flows));
        let both: Vec<AddressRange> = hosts.iter().chain(&networks).copied().collect();
        block_on(async {
            for filter in [
                filter::src_ip().any_of(both.clone()),
                filter::ip().any_of(hosts.clone()),
                filter::ip().none_of(networks.clone()),
                !filter::ip().any_of(both.clone()),
                filter::dst_ip().any_of(networks.clone()).and(!filter::src_ip().any_of(hosts.clone())),
                filter::protocol().eq(flowseek::flow::Protocol::TCP).and(filter::ip().any_of(networks)),
            ] {
                check(&archive, &filter).await?;
            }
            Ok::<(), TestCaseError>(())
        })?;
    }
}
