//! What a list of a segment tells of a part of a filter: how many flows of each block pass it, and which.

use std::{borrow::Cow, collections::BTreeSet, sync::Arc};

use super::{
    PageCache, RowReader, RowSet, SegmentReader,
    candidates::Candidates,
    index::{Found, PIECE_BYTES, PlaceRows, Tally},
    row_pieces::{RowPieces, row_lists},
    selection::{Rows, inverted},
};
use crate::{error::Result, flow::Field, resources::Pin};

/// The segment of a list, and what reads it.
pub(super) type At<'a> = (&'a Arc<SegmentReader>, &'a RowReader);

/// So many pieces of the rows of a list are in use at a time, where there is memory for them.
const MOST_PIECES: usize = 16;

/// What a list tells of a part of a filter.
#[derive(Debug)]
pub(super) struct ListedRows {
    /// The columns of the list.
    fields: Vec<Field>,
    found: Found,
    /// In a block the rows of no more values are put together.
    most_values: usize,
    /// Whether the rows that were found are those that do not pass, and all others do.
    is_others: bool,
    /// The memory that it takes, with a piece of the rows; `None` where where the rows are listed was more than is
    /// remembered.
    pin: Option<Pin>,
}

/// What is told of the rows of some blocks that have one of the values, with the number of each block among them. They are
/// never untold.
type Told = Vec<(usize, PlaceRows)>;

impl ListedRows {
    /// What was found, and the rows of how many values in a block are put together. Where there is no memory for it in
    /// `cache`, only how many flows of each block pass is remembered.
    pub(super) fn new(
        fields: &[Field],
        (mut found, most_values): (Found, usize),
        is_others: bool,
        cache: &PageCache,
    ) -> Self {
        let memory = || cache.pin_told(found.memory() + PIECE_BYTES);
        let pin = if found.is_much() { None } else { memory() };
        if pin.is_none() {
            found.forget();
        }
        Self { fields: fields.to_vec(), found, most_values, is_others, pin }
    }

    /// How many flows of a block pass, and on which pages they can be.
    pub(super) fn tally(&self, block: usize) -> Tally {
        let tally = self.found.tally(block);
        if !self.is_others {
            return tally;
        }
        let count = (self.found.size(block) as u32).saturating_sub(tally.count);
        Tally { count, pages: if count > 0 { u8::MAX } else { 0 } }
    }

    /// How many flows of the segment pass.
    pub(super) fn total(&self) -> u64 {
        let found = self.found.total();
        if self.is_others { (self.found.all_rows() as u64).saturating_sub(found) } else { found }
    }

    /// The blocks that hold a flow that passes, ascending, where just these are known.
    pub(super) fn named(&self) -> Option<impl ExactSizeIterator<Item = usize> + '_> {
        (!self.is_others).then(|| self.found.held())
    }

    /// Whether it tells rows.
    pub(super) fn tells_rows(&self) -> bool {
        self.pin.is_some()
    }

    /// The rows of a block that pass.
    pub(super) async fn rows(&self, at: At<'_>, block: usize) -> Result<Rows> {
        let mut rows = (RowSet::none(self.found.size(block)), true);
        let told = self.told(at, std::iter::once(block)).await?;
        self.each(at, &told, |_, told, bytes| {
            match told {
                PlaceRows::Exact(pages) => rows.0.unite(&self.found.pages(block, *pages)),
                PlaceRows::Listed(packed) => rows.0.unite(&self.found.unpack(packed, bytes)?),
                PlaceRows::AtMost(pages) => {
                    rows.0.unite(&self.found.pages(block, *pages));
                    rows.1 = false;
                }
                PlaceRows::Untold(..) => {}
            }
            Ok(())
        })
        .await?;
        Ok(if self.is_others { inverted(rows) } else { rows })
    }

    /// The rows of some blocks, ascending, that pass. Blocks are left out of which not just these rows are known.
    pub(super) async fn candidates(&self, at: At<'_>, blocks: &[usize]) -> Result<Candidates> {
        if self.is_others {
            return Ok(Candidates::default());
        }
        let mut candidates = Candidates::none(blocks);
        let mut unknown = Vec::new();
        let told = self.told(at, blocks.iter().copied()).await?;
        self.each(at, &told, |number, told, bytes| {
            candidates.append(number, |rows| match told {
                PlaceRows::Listed(packed) => self.found.append(packed, bytes, rows),
                PlaceRows::Exact(pages) => {
                    let all = blocks.get(number).map(|block| self.found.pages(*block, *pages));
                    rows.extend(all.iter().flat_map(RowSet::iter).map(|row| row as u32));
                    Ok(())
                }
                PlaceRows::AtMost(_) | PlaceRows::Untold(..) => {
                    unknown.push(number);
                    Ok(())
                }
            })
        })
        .await?;
        candidates.leave_out(&unknown);
        Ok(candidates)
    }

    /// Keeps the candidates that pass `part`, of which this tells. Where others may be among them, the part is open.
    pub(super) async fn narrow(&self, at: At<'_>, candidates: &mut Candidates, part: usize) -> Result<()> {
        let (numbers, blocks): (Vec<usize>, Vec<usize>) = candidates.left().unzip();
        let told = self.told(at, blocks.into_iter()).await?;
        let mut is_found = vec![false; candidates.len()];
        let mut open = Vec::new();
        self.each(at, &told, |place, told, bytes| {
            let number = numbers.get(place).copied().unwrap_or(usize::MAX);
            let (start, rows) = candidates.rows(number);
            let mut find = |place: usize| is_found.get_mut(start + place).into_iter().for_each(|found| *found = true);
            match told {
                PlaceRows::Listed(packed) => return self.found.find(packed, bytes, rows, find),
                PlaceRows::Exact(pages) | PlaceRows::AtMost(pages) => {
                    let places = rows.iter().enumerate().filter(|(_, row)| self.found.is_in(*pages, **row));
                    places.for_each(|(place, _)| find(place));
                }
                PlaceRows::Untold(..) => {}
            }
            if let PlaceRows::AtMost(_) = told {
                open.push(number);
            }
            Ok(())
        })
        .await?;
        if self.is_others {
            // Which of them pass is not known where others than these may have been found.
            for number in &open {
                let (start, rows) = candidates.rows(*number);
                is_found.iter_mut().skip(start).take(rows.len()).for_each(|found| *found = false);
            }
        }
        candidates.retain(|place| is_found.get(place).is_some_and(|found| *found != self.is_others));
        open.into_iter().for_each(|number| candidates.open(number, [part]));
        Ok(())
    }

    /// What is told of the rows of some blocks, ascending.
    async fn told(&self, at: At<'_>, blocks: impl Iterator<Item = usize>) -> Result<Told> {
        let mut told = Vec::new();
        let mut end = None;
        for (number, block) in blocks.enumerate() {
            let tally = self.found.tally(block);
            if tally.count == 0 {
                continue;
            }
            if tally.count as usize == self.found.size(block) {
                told.push((number, PlaceRows::Exact(u8::MAX)));
                continue;
            }
            let places = end.map_or_else(|| self.found.places(block), |end| self.found.places_from(end, block));
            end = Some(places.end);
            // Where the rows of a value that is on all these pages are not listed, those of the others say nothing more.
            if places.len() > self.most_values || self.found.unlisted(&places) & tally.pages == tally.pages {
                told.push((number, PlaceRows::AtMost(tally.pages)));
                continue;
            }
            for place in places {
                let mut rows = self.found.rows(place);
                while let Some(PlaceRows::Untold(run, bytes)) = &rows {
                    let numbers = row_lists(at.0, &self.fields)?.pieces(bytes).0.collect();
                    let pieces = RowPieces::read(at, &self.fields, &numbers).await?;
                    self.found.tell(*run, &pieces.bytes(bytes)?).map_err(|error| at.0.named(error))?;
                    rows = self.found.rows(place);
                }
                told.extend(rows.map(|rows| (number, rows)));
            }
        }
        Ok(told)
    }

    /// Calls `take` with the number of each block, what is told of it, and the bytes of the rows that are listed. They are
    /// read some pieces at a time.
    async fn each(
        &self,
        at: At<'_>,
        told: &Told,
        mut take: impl FnMut(usize, &PlaceRows, &[u8]) -> Result<()>,
    ) -> Result<()> {
        let more = (MOST_PIECES - 1) * PIECE_BYTES;
        let pin = if told.len() > 1 { at.1.cache().pin_told(more) } else { None };
        let most = if pin.is_some() { MOST_PIECES } else { 1 };
        let mut left = told.as_slice();
        while !left.is_empty() {
            let mut numbers = BTreeSet::new();
            let mut length = 0;
            for (_, told) in left {
                if let PlaceRows::Listed(packed) = told {
                    let pieces = row_lists(at.0, &self.fields)?.pieces(&packed.bytes()).0;
                    if length > 0 && numbers.len() + pieces.len() > most {
                        break;
                    }
                    numbers.extend(pieces);
                }
                length += 1;
            }
            let (some, more) = left.split_at_checked(length).unwrap_or((left, &[]));
            left = more;
            let pieces = match numbers.is_empty() {
                true => None,
                false => Some(RowPieces::read(at, &self.fields, &numbers).await?),
            };
            for (number, told) in some {
                let bytes = match (told, &pieces) {
                    (PlaceRows::Listed(packed), Some(pieces)) => pieces.bytes(&packed.bytes())?,
                    _ => Cow::default(),
                };
                take(*number, told, &bytes).map_err(|error| at.0.named(error))?;
            }
        }
        Ok(())
    }
}
