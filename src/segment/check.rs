//! Whether a segment is what was written: its bytes, and what its index says of its rows.

use std::ops::Range;

use arrow::array::RecordBatch;

use super::{
    SegmentReader, Shape,
    bounds::BoundsTable,
    cores::on_all_cores,
    index::{self, Blocks, Chunk, PageTable, bloom, checksum},
    names::{AllRanks, Ranks, named},
    reader::PagePlace,
    writer::page_table,
};
use crate::{error::Result, flow::Field, resources::undamaged};

/// What a Parquet file begins and ends with.
pub(crate) const PARQUET_MAGIC: &[u8] = b"PAR1";

/// A part of a segment that is not what was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Flaw {
    /// The part.
    pub(crate) part: String,
    /// The pages whose rows cannot be read without it; none for a part that can be made anew from the rows.
    pub(crate) pages: Range<usize>,
}

impl SegmentReader {
    /// Reads every byte that has a checksum: pages, dictionaries and lists; the index was read when it was opened. And
    /// whether they lie side by side, so that no byte of the file is left out but the footer. This blocks on the file
    /// system.
    ///
    /// # Errors
    /// [`ErrorKind::Damaged`](crate::ErrorKind::Damaged) where footer and index do not say where the parts lie,
    /// [`ErrorKind::Io`](crate::ErrorKind::Io) where the system cannot read the file.
    pub(crate) fn check(&self) -> Result<Vec<Flaw>> {
        let mut flaws = Vec::new();
        let mut places = vec![self.index().clone(), self.index().end..self.file_bytes()];
        for group in 0..self.metadata().num_row_groups() {
            let pages = self.pages_of(group);
            for field in self.fields().iter().copied() {
                if let Some(place) = self.dictionary(field, group)? {
                    places.push(place.range());
                    if !self.is_sound(&place)? {
                        flaws.push(Flaw { part: format!("a dictionary of {}", field.name()), pages: pages.clone() });
                    }
                }
                for page in pages.clone() {
                    let place = self.page(field, page)?;
                    places.push(place.range());
                    if !self.is_sound(&place)? {
                        flaws.push(Flaw { part: format!("a page of {}", field.name()), pages: page..page + 1 });
                    }
                }
            }
        }
        let mut other = |part: String| flaws.push(Flaw { part, pages: 0..0 });
        for listed in self.directory().lists() {
            for part in listed.parts() {
                places.push(part.place.clone());
                if !undamaged(self.packed(part))?.is_some_and(|bytes| part.is_of(&bytes)) {
                    other(format!("the list of {}", names_of(listed.fields())));
                }
            }
        }
        if let Some(place) = self.bloom_place() {
            places.push(place.range());
            if undamaged(self.bloom_pages())?.is_none() {
                other("the Bloom filter".to_owned());
            }
        }
        if undamaged(self.read_exact(0, PARQUET_MAGIC.len()))?.is_none_or(|bytes| bytes != PARQUET_MAGIC) {
            other("the first bytes of the file".to_owned());
        }
        places.sort_unstable_by_key(|place| (place.start, place.end));
        let end = places.into_iter().try_fold(PARQUET_MAGIC.len() as u64, |end, place| {
            if place.start == end { Ok(place.end) } else { Err(end) }
        });
        if let Err(end) = end {
            other(format!("byte {end} of the file, which is of no part,"));
        }
        Ok(flaws)
    }

    /// The table of its pages, with the checksums of the bytes as they are.
    pub(super) fn actual_pages(&self) -> Result<PageTable> {
        let sum = |place: &PagePlace| {
            let bytes = undamaged(self.read_exact(place.offset, place.length))?;
            Ok(bytes.map_or(0, |bytes| checksum(&bytes)))
        };
        let mut table = self.pages().clone();
        for (column, field) in self.fields().iter().copied().enumerate() {
            if let Some(sums) = table.checksums.get_mut(column) {
                for (page, known) in sums.iter_mut().enumerate() {
                    *known = sum(&self.page(field, page)?)?;
                }
            }
            if let Some(sums) = table.dictionaries.get_mut(column) {
                for (group, known) in sums.iter_mut().enumerate() {
                    *known = self.dictionary(field, group)?.map_or(Ok(0), |place| sum(&place))?;
                }
            }
        }
        Ok(table)
    }

    /// What of the index is not true of `flows`, which are all rows of the segment.
    ///
    /// # Errors
    /// [`ErrorKind::Internal`](crate::ErrorKind::Internal) where these are not columns of a segment.
    pub(crate) fn contradictions(&self, flows: &RecordBatch) -> Result<Vec<String>> {
        let blocks = Blocks::of(self.shape());
        let Blocks { block_rows, page_rows, .. } = blocks;
        let names: AllRanks<'_> =
            on_all_cores(named(self.fields()), |field| Ok((field, Ranks::of(flows, field)?)))?.into_iter().collect();
        let mut found = Vec::new();
        if BoundsTable::build(flows, self.fields(), block_rows, &names)? != *self.blocks() {
            found.push("the bounds of its blocks".to_owned());
        }
        if page_table(flows, self.fields(), page_rows)?.times != self.pages().times {
            found.push("the times of its pages".to_owned());
        }
        let mut lists = Vec::new();
        for listed in self.directory().lists() {
            let built = index::build(flows, &names, listed.fields(), Blocks { rows: flows.num_rows(), ..blocks })?;
            let agrees = built.is_of(listed, &blocks, |part| part.unpack(&self.packed(part)?));
            if !undamaged(agrees)?.unwrap_or(false) {
                found.push(format!("the list of {}", names_of(listed.fields())));
            }
            lists.push(built);
        }
        if let Some(pages) = undamaged(self.bloom_pages())?.filter(|pages| !pages.is_empty())
            && !bloom::has(&pages, &lists)?
        {
            found.push("the Bloom filter".to_owned());
        }
        Ok(found)
    }

    /// The pages of a row group.
    pub(super) fn pages_of(&self, group: usize) -> Range<usize> {
        let Shape { rows, group_rows, page_rows, .. } = self.shape();
        let end = rows.min((group + 1) * group_rows);
        group * group_rows / page_rows..end.div_ceil(page_rows)
    }

    fn is_sound(&self, place: &PagePlace) -> Result<bool> {
        let bytes = undamaged(self.read_exact(place.offset, place.length))?;
        Ok(bytes.is_some_and(|bytes| checksum(&bytes) == place.checksum))
    }

    fn packed(&self, chunk: &Chunk) -> Result<bytes::Bytes> {
        let length = usize::try_from(chunk.place.end - chunk.place.start).unwrap_or(usize::MAX);
        self.read_exact(chunk.place.start, length)
    }
}

impl PagePlace {
    fn range(&self) -> Range<u64> {
        self.offset..self.offset + self.length as u64
    }
}

fn names_of(fields: &[Field]) -> String {
    fields.iter().map(|field| field.name()).collect::<Vec<_>>().join("+")
}

#[cfg(test)]
mod tests {
    use std::{fs::File, net::IpAddr};

    use arrow::{array::UInt32Array, compute::take};

    use super::*;
    use crate::{
        flow::{Flow, FlowFlags, FlowId, Protocol, TcpFlags, Timestamp},
        schema::{FlowBuilder, schema},
        segment::{SegmentOptions, write_segment},
    };

    /// Forty flows that differ in every column.
    fn flows() -> RecordBatch {
        let mut flows = FlowBuilder::default();
        for n in 0..40u8 {
            let name = |letter: char| Some(format!("{letter}{n}"));
            let time = |more: i64| Timestamp::from_millis(i64::from(n) * 10 + more).unwrap();
            let flow = Flow {
                end_time: Some(time(5)),
                protocol: Protocol::new(n),
                src_ip: Some(IpAddr::from([10, 0, 0, n]).into()),
                dst_ip: Some(IpAddr::from([10, 0, 1, n]).into()),
                src_port: Some(n.into()),
                dst_port: Some(1000 + u16::from(n)),
                src_bytes: Some(n.into()),
                dst_bytes: Some(u64::from(n) * 7),
                tcp_flags: Some(TcpFlags::new(n)),
                src_node: name('s'),
                dst_node: name('d'),
                node_id: name('n'),
                activity_id: name('a'),
                src_packets: Some(n.into()),
                dst_packets: Some(u64::from(n) * 3),
                flow_flags: Some(FlowFlags::new(n.into())),
                meta: Some(format!("{{\"n\":{n}}}").parse().unwrap()),
                ..Flow::starting(time(0))
            };
            flows.push(&flow).unwrap();
        }
        flows.finish(FlowId::new(1)).unwrap()
    }

    #[test]
    fn a_list_or_a_time_of_other_rows_contradicts_these() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("segment.parquet");
        let flows = flows();
        let options = SegmentOptions { block_rows: 16, row_group_blocks: 1 };
        let _ = write_segment(&flows, File::create(&path).unwrap(), options).unwrap();
        let reader = SegmentReader::open(&path).unwrap();
        assert_eq!(reader.contradictions(&flows).unwrap(), Vec::<String>::new());
        let lists: Vec<Vec<Field>> = reader.directory().lists().iter().map(|listed| listed.fields().to_vec()).collect();
        assert!(lists.len() > 5, "{lists:?}");
        // The rows 3 and 4 lie in one block, and in two pages: of all that the index says, only the lists and the times
        // tell which of the two has which value.
        let order: UInt32Array = (0..3).chain([4, 3]).chain(5..40).collect::<Vec<u32>>().into();
        for field in Field::all() {
            let mut columns = flows.columns().to_vec();
            columns[field as usize] = take(&columns[field as usize], &order, None).unwrap();
            let other = RecordBatch::try_new(schema(), columns).unwrap();
            let mut expected: Vec<String> = Vec::new();
            if field == Field::StartTime {
                expected.push("the times of its pages".to_owned());
            }
            let touched = lists.iter().filter(|fields| fields.contains(&field));
            expected.extend(touched.map(|fields| format!("the list of {}", names_of(fields))));
            assert_eq!(reader.contradictions(&other).unwrap(), expected, "{}", field.name());
        }
        // A value that none of the rows has lies outside the bounds.
        let columns = flows.columns().iter().map(|column| column.slice(1, 39)).collect();
        let fewer = RecordBatch::try_new(schema(), columns).unwrap();
        assert!(reader.contradictions(&fewer).unwrap().contains(&"the bounds of its blocks".to_owned()));
    }
}
