//! What bounds and lists tell of a block is true of its rows, one by one.

use std::{fs::File, sync::Arc};

use arrow::array::RecordBatch;
use proptest::{collection::vec, prelude::*};

use super::{
    Effort, PageCache, Probes, ReadCounters, RowReader, SegmentOptions, SegmentReader, SegmentSummary, Selection,
    ZoneMap, grouped, laws::block_on, write_segment,
};
use crate::{
    filter::{self, Bounds, Filter, Verdict, sample::wide},
    flow::{Address, AddressRange, Field, Flow, FlowId, Protocol, StoredFlow, sample},
    generate::Generator,
    schema::{Flows, sample::batch, schema},
};

/// A segment of flows, and what reads it.
struct Written {
    segment: Arc<SegmentReader>,
    reader: RowReader,
    zones: ZoneMap,
    _directory: tempfile::TempDir,
}

impl Written {
    fn new(flows: &[StoredFlow], options: SegmentOptions) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("segment.parquet");
        let (batch, _) = batch(flows);
        let SegmentSummary { zones, .. } = write_segment(&batch, File::create(&path).unwrap(), options).unwrap();
        let reader = RowReader::new(Arc::new(PageCache::new(1 << 24)), Arc::new(ReadCounters::default()));
        Self { segment: Arc::new(SegmentReader::open(&path).unwrap()), reader, zones, _directory: directory }
    }

    /// Of generated flows, in blocks of so many rows.
    fn generated(seed: u64, block_rows: usize) -> (Vec<Flow>, Self) {
        let flows: Vec<Flow> = Generator::new(seed).flows(1500).collect();
        let stored = flows.iter().cloned().zip(1..).map(|(flow, id)| StoredFlow { id: FlowId::new(id), flow });
        let written = Self::new(&stored.collect::<Vec<_>>(), SegmentOptions { block_rows, row_group_blocks: 2 });
        (flows, written)
    }
}

/// Holds what is told of a segment, its blocks, pages and rows against its flows. Of how many blocks lists told the very rows
/// that match.
async fn check(written: &Written, filter: &Filter) -> Result<u64, TestCaseError> {
    let Written { segment, reader, zones, .. } = written;
    let mut told = 0;
    let filter = Arc::new(grouped(&filter.normal()));
    let rows = std::iter::once(0..segment.shape().rows).collect();
    let columns = reader.columns(segment, Field::ALL, &rows).await.unwrap().select(&rows).unwrap();
    let batch = RecordBatch::try_new(schema(), columns).unwrap();
    let flows: Vec<StoredFlow> = Flows::new(&batch).unwrap().iter().collect();
    verdict(&filter, zones, &flows)?;
    verdict(&filter, &segment.whole(), &flows)?;
    for effort in [Effort::Page, Effort::Count] {
        let probes = Probes::ask(&filter, segment, reader, effort).await.unwrap();
        verdict(&filter, &probes.whole(segment), &flows)?;
        let named = probes.rarest().map(|(_, blocks)| blocks);
        for block in 0..segment.blocks().len() {
            let rows = segment.block_rows(block);
            let is_named = named.as_ref().is_none_or(|blocks| blocks.contains(&block));
            prop_assert!(is_named || !flows[rows.clone()].iter().any(|flow| filter.matches(flow)), "{}", filter);
            verdict(&filter, &segment.blocks().block(block), &flows[rows.clone()])?;
            verdict(&filter, &probes.block(segment, block), &flows[rows.clone()])?;
            let (pages, page_rows) = (probes.pages(&filter, block), segment.shape().page_rows);
            for (place, flow) in flows[rows.clone()].iter().enumerate() {
                let page = (rows.start + place) / page_rows - rows.start / page_rows;
                prop_assert!(pages & 1 << page != 0 || !filter.matches(flow), "page {page} of block {block}");
            }
            let selection = probes.rows(segment, reader, block).await.unwrap();
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
    Ok(told)
}

/// Holds what is told of some flows against these.
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
    fn any_filter(
        flows in sample::flows(60).prop_filter("no flow", |flows| !flows.is_empty()),
        block_rows in 1usize..10,
        row_group_blocks in 1usize..4,
        filters in vec(wide(), 12),
    ) {
        let written = Written::new(&flows, SegmentOptions { block_rows, row_group_blocks });
        block_on(async {
            for filter in filters {
                check(&written, &filter).await?;
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
        let (flows, written) = Written::generated(seed, block_rows);
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
                    decided += check(&written, &filter).await?;
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
        let (flows, written) = Written::generated(seed, block_rows);
        let hosts = picked.iter().filter_map(|(flow, _)| flows[*flow].src_ip);
        let strangers = (0..strangers).map(|n| Address::from_bits(0xffff_0a00_0000 + u128::from(n) * 977));
        let hosts: Vec<AddressRange> = hosts.chain(strangers).map(AddressRange::from).collect();
        let network = |(flow, bits): &(usize, u8)| format!("{}/{bits}", flows[*flow].dst_ip?).parse().ok();
        let networks: Vec<AddressRange> = picked.iter().filter_map(network).take(3).collect();
        let both: Vec<AddressRange> = hosts.iter().chain(&networks).copied().collect();
        block_on(async {
            for filter in [
                filter::src_ip().any_of(both.clone()),
                filter::ip().any_of(hosts.clone()),
                filter::ip().none_of(networks.clone()),
                !filter::ip().any_of(both.clone()),
                filter::dst_ip().any_of(networks.clone()).and(!filter::src_ip().any_of(hosts.clone())),
                filter::protocol().eq(Protocol::TCP).and(filter::ip().any_of(networks)),
            ] {
                check(&written, &filter).await?;
            }
            Ok::<(), TestCaseError>(())
        })?;
    }
}
