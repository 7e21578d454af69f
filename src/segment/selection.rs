//! The rows of a block that can match a filter, as the lists of rows tell.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, PoisonError},
};

use bytes::{Bytes, BytesMut};

use super::{
    PageCache, RowRanges, RowReader, RowSet, SegmentReader, Tally,
    index::{Found, PIECE_BYTES, PlaceRows, RowLists},
};
use crate::{
    error::{Error, Result},
    filter::Filter,
    flow::Field,
    resources::Pin,
};

/// The rows of a block that can match.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selection {
    /// No other rows match.
    pub rows: RowSet,
    /// Of the parts of which a flow must pass all, the places of those that some of the rows may not pass, ascending.
    pub open: Vec<usize>,
}

impl Selection {
    /// The rows, where the block begins at row `start` of the segment.
    pub(crate) fn rows_from(&self, start: usize) -> RowRanges {
        RowRanges::ascending(self.rows.ranges().map(|rows| start + rows.start..start + rows.end))
    }

    /// No row of so many.
    pub(super) fn none(rows: usize) -> Self {
        Self { rows: RowSet::none(rows), open: Vec::new() }
    }
}

/// Rows of a block, and whether just these pass. If not, no others pass.
type Rows = (RowSet, bool);

/// The other rows.
fn inverted((mut rows, is_exact): Rows) -> Rows {
    if !is_exact {
        // Which of the rows are among these is not known.
        return (RowSet::all(rows.rows()), false);
    }
    rows.invert();
    (rows, true)
}

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
    /// The memory that it takes; `None` where where the rows are listed was more than is remembered.
    pin: Option<Pin>,
    /// The piece of the rows that was read last.
    last: Mutex<Option<(usize, Bytes)>>,
}

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
        Self { fields: fields.to_vec(), found, most_values, is_others, pin, last: Mutex::default() }
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
    fn tells_rows(&self) -> bool {
        self.pin.is_some()
    }

    /// The rows of a block that pass.
    async fn rows(&self, at: (&Arc<SegmentReader>, &RowReader), block: usize) -> Result<Rows> {
        let rows = self.found_rows(at, block).await?;
        Ok(if self.is_others { inverted(rows) } else { rows })
    }

    /// The rows of a block that were found.
    async fn found_rows(&self, at: (&Arc<SegmentReader>, &RowReader), block: usize) -> Result<Rows> {
        let size = at.0.block_rows(block).len();
        let places = self.found.places(block);
        let tally = self.found.tally(block);
        if tally.count as usize == size {
            return Ok((RowSet::all(size), true));
        }
        if tally.count == 0 {
            return Ok((RowSet::none(size), true));
        }
        // Where the rows of a value that is on all these pages are not listed, those of the others say nothing more.
        if places.len() > self.most_values || self.found.unlisted(&places) & tally.pages == tally.pages {
            return Ok((self.found.pages(block, tally.pages), false));
        }
        let mut rows = RowSet::none(size);
        let mut is_exact = true;
        for place in places {
            loop {
                match self.found.rows(place) {
                    None => break,
                    Some(PlaceRows::Exact(exact)) => {
                        rows.unite(&exact);
                        break;
                    }
                    Some(PlaceRows::AtMost(most)) => {
                        rows.unite(&most);
                        is_exact = false;
                        break;
                    }
                    Some(PlaceRows::Untold(run, bytes)) => {
                        let bytes = self.read(at, &bytes).await?;
                        self.found.tell(run, &bytes).map_err(|error| at.0.named(error))?;
                    }
                    Some(PlaceRows::Listed(packed)) => {
                        let bytes = self.read(at, &packed.bytes()).await?;
                        rows.unite(&self.found.unpack(&packed, &bytes).map_err(|error| at.0.named(error))?);
                        break;
                    }
                }
            }
        }
        Ok((rows, is_exact))
    }

    /// Bytes of the rows of the list.
    async fn read(
        &self,
        (segment, reader): (&Arc<SegmentReader>, &RowReader),
        bytes: &std::ops::Range<u64>,
    ) -> Result<Bytes> {
        let listed = segment.directory().lists().iter().find(|listed| listed.fields() == self.fields);
        let rows: &RowLists =
            listed.and_then(|listed| listed.rows.as_ref()).ok_or_else(|| Error::internal("a list has no rows"))?;
        let (pieces, from) = rows.pieces(bytes);
        let length = usize::try_from(bytes.end - bytes.start).unwrap_or(usize::MAX);
        let mut joined = BytesMut::new();
        let is_one = pieces.len() == 1;
        for piece in pieces {
            let read = self.piece((segment, reader), rows, piece).await?;
            if is_one {
                let damaged = || segment.named(Error::damaged("the rows of a list are shorter than its entries say"));
                return (from + length <= read.len()).then(|| read.slice(from..from + length)).ok_or_else(damaged);
            }
            joined.extend_from_slice(&read);
        }
        let joined = joined.freeze();
        let end = from.saturating_add(length).min(joined.len());
        Ok(joined.slice(from.min(end)..end))
    }

    /// A piece of the rows of the list.
    async fn piece(
        &self,
        (segment, reader): (&Arc<SegmentReader>, &RowReader),
        rows: &RowLists,
        piece: usize,
    ) -> Result<Bytes> {
        let last = || self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, bytes)) = last().as_ref().filter(|(number, _)| *number == piece) {
            return Ok(bytes.clone());
        }
        let damaged = || segment.named(Error::damaged("the rows of a list are shorter than its entries say"));
        let chunk = rows.piece(piece).ok_or_else(damaged)?;
        let read = reader.cache().lists(segment, &[chunk], reader.counters()).await?;
        let bytes = read.into_iter().next().ok_or_else(damaged)?;
        *last() = Some((piece, bytes.clone()));
        Ok(bytes)
    }
}

/// How the rows that pass a part of a filter are made of those that lists tell.
#[derive(Clone, Debug)]
pub(super) enum Plan {
    /// What a list tells: the number of the answer.
    Answer(usize),
    /// The rows that pass all of some parts. Others there are may turn rows away, where it is not of all parts.
    All(Vec<Self>, bool),
    /// The rows that pass any of some parts.
    Any(Vec<Self>),
    /// The rows that do not pass.
    Not(Box<Self>),
}

/// No plan is nested deeper.
const DEEPEST: usize = 32;

impl Plan {
    /// The plan for a part; `None` where the answers tell no rows of it.
    pub(super) fn new(
        part: &Filter,
        answer: &impl Fn(&Filter) -> Option<usize>,
        answers: &[ListedRows],
    ) -> Option<Self> {
        let made = part.fold(|part, parts: Vec<Option<(Self, usize)>>| {
            if let Some(number) = answer(part) {
                let is_named = answers.get(number).is_some_and(ListedRows::tells_rows);
                return is_named.then_some((Self::Answer(number), 1));
            }
            let depth = parts.iter().flatten().map(|(_, depth)| depth + 1).max().filter(|depth| *depth <= DEEPEST)?;
            let count = parts.len();
            let known: Vec<Self> = parts.into_iter().flatten().map(|(plan, _)| plan).collect();
            let is_all = known.len() == count;
            let plan = match part {
                Filter::And(_) => Self::All(known, is_all),
                Filter::Or(_) if is_all => Self::Any(known),
                Filter::Not(_) if is_all => Self::Not(Box::new(known.into_iter().next()?)),
                _ => return None,
            };
            Some((plan, depth))
        });
        made.map(|(plan, _)| plan)
    }

    /// The rows of a block.
    pub(super) async fn rows(
        &self,
        answers: &[ListedRows],
        at: (&Arc<SegmentReader>, &RowReader),
        block: usize,
    ) -> Result<Rows> {
        if let Self::Answer(number) = self {
            let answer = answers.get(*number).ok_or_else(|| Error::internal("a plan has no answer"))?;
            return answer.rows(at, block).await;
        }
        let mut numbers = BTreeSet::new();
        self.numbers(&mut numbers);
        let mut told = BTreeMap::new();
        for number in numbers {
            let answer = answers.get(number).ok_or_else(|| Error::internal("a plan has no answer"))?;
            told.insert(number, answer.rows(at, block).await?);
        }
        Ok(self.join(&told, at.0.block_rows(block).len()))
    }

    /// Adds the numbers of its answers, each once however often it is part of the plan.
    fn numbers(&self, numbers: &mut BTreeSet<usize>) {
        match self {
            Self::Answer(number) => {
                numbers.insert(*number);
            }
            Self::All(parts, _) | Self::Any(parts) => parts.iter().for_each(|part| part.numbers(numbers)),
            Self::Not(part) => part.numbers(numbers),
        }
    }

    /// The rows, out of `size`, made of those of its answers.
    fn join(&self, told: &BTreeMap<usize, Rows>, size: usize) -> Rows {
        match self {
            Self::Answer(number) => told.get(number).cloned().unwrap_or_else(|| (RowSet::all(size), false)),
            Self::All(parts, is_all) => {
                let mut joined = (RowSet::all(size), *is_all);
                for part in parts {
                    let (rows, is_exact) = part.join(told, size);
                    joined.0.intersect(&rows);
                    joined.1 &= is_exact;
                }
                let is_empty = joined.0.is_empty();
                (joined.0, joined.1 || is_empty)
            }
            Self::Any(parts) => {
                let mut joined = (RowSet::none(size), true);
                for part in parts {
                    let (rows, is_exact) = part.join(told, size);
                    joined.0.unite(&rows);
                    joined.1 &= is_exact;
                }
                joined
            }
            Self::Not(part) => inverted(part.join(told, size)),
        }
    }
}
