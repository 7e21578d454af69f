//! What the lists of a segment tell of a filter.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use super::{
    BlockBounds, RowReader, RowSet, SegmentReader, Selection,
    candidates::Joined,
    index::{Blocks, Found, Tally, lists},
    limits::{Effort, Limits},
    listed_rows::{At, ListedRows},
    row_plan::Plan,
};
use crate::{
    error::Result,
    filter::{Bounds, Filter, Meaning, Test, Verdict, evaluate},
    flow::{Field, Span},
};

/// Which flows of each block pass the parts of a filter that the lists of a segment answer.
#[derive(Debug)]
pub(crate) struct Probes {
    filter: Arc<Filter>,
    parts: Answered,
    answers: Vec<ListedRows>,
    /// For each part of which a flow must pass all how its rows are made of the answers.
    plans: Vec<Option<Plan>>,
    /// What is known of the rows of some blocks.
    pub(super) joined: Option<Joined>,
}

/// The numbers of the answers to parts of one filter, found by the addresses of the parts. They are few and asked for often,
/// once for each block, so that to hash them would take longer than to find them.
#[derive(Debug)]
struct Answered(Vec<(usize, usize)>);

impl Answered {
    /// Of each part one answer.
    fn new(mut answers: Vec<(usize, usize)>) -> Self {
        answers.sort_unstable();
        Self(answers)
    }

    fn get(&self, part: &Filter) -> Option<usize> {
        let place = self.0.binary_search_by_key(&address(part), |(part, _)| *part).ok()?;
        self.0.get(place).map(|(_, answer)| *answer)
    }
}

fn address(part: &Filter) -> usize {
    std::ptr::from_ref(part).addr()
}

/// The same filter, with those parts side by side that one list answers together.
pub(crate) fn grouped(filter: &Filter) -> Filter {
    lists().iter().filter(|fields| fields.len() > 1).fold(filter.clone(), |filter, fields| filter.grouped(fields))
}

impl Probes {
    /// Asks the lists of `segment`.
    ///
    /// # Errors
    /// [`ErrorKind::Damaged`](crate::ErrorKind::Damaged) where a list is not what was written,
    /// [`ErrorKind::Io`](crate::ErrorKind::Io) where it cannot be read.
    pub(crate) async fn ask(
        filter: &Arc<Filter>,
        segment: &Arc<SegmentReader>,
        reader: &RowReader,
        effort: Effort,
    ) -> Result<Self> {
        Self::ask_within(filter, segment, reader, Limits::of(effort)).await
    }

    /// [`ask`](Self::ask), within limits.
    pub(super) async fn ask_within(
        filter: &Arc<Filter>,
        segment: &Arc<SegmentReader>,
        reader: &RowReader,
        limits: Limits,
    ) -> Result<Self> {
        let (mut parts, mut answers) = (Vec::new(), Vec::new());
        let mut asked_before: HashMap<&Filter, usize> = HashMap::new();
        let blocks = segment.blocks_in(filter.start_times());
        let most_bytes = match blocks.len() < segment.blocks().len() {
            true => {
                let rows = (blocks.len() * segment.shape().block_rows) as u64;
                limits.bytes_of_thousand_rows.saturating_mul(rows) / 1000
            }
            false => u64::MAX,
        };
        for part in wanted(filter, segment, limits.parts) {
            if let Some(answer) = asked_before.get(part) {
                parts.push((address(part), *answer));
                continue;
            }
            let directory = segment.directory();
            let direct = directory.touched(part, limits.chunks, limits.chunks_inside);
            // Of what nearly every flow passes, the few others are looked for: where less of the list tells of them.
            let fewer = direct.as_ref().map_or(limits.chunks, |touched| touched.chunks.len().saturating_sub(1));
            let others = if fewer > 0 { complement(part, segment) } else { None };
            let inverse = others.as_ref().and_then(|others| directory.touched(others, fewer, limits.chunks_inside));
            let is_others = inverse.is_some();
            let Some(touched) = inverse.or(direct).filter(|touched| touched.bytes() <= most_bytes) else { continue };
            let asked = others.as_ref().filter(|_| is_others).unwrap_or(part);
            let chunks: Vec<_> = touched.chunks.iter().map(|touched| touched.chunk).collect();
            let lists = reader.cache().lists(segment, &chunks, reader.counters()).await?;
            let is_whole = std::ptr::eq(part, filter.as_ref());
            let places = if is_whole { limits.places_of_whole } else { limits.places };
            let mut found = Found::new(Blocks::of(segment.shape()), blocks.clone(), places);
            for (chunk, bytes) in touched.chunks.iter().zip(lists) {
                let taken = found.take(touched.listed, chunk, &bytes, asked);
                taken.map_err(|error| segment.named(error))?;
            }
            parts.push((address(part), answers.len()));
            asked_before.insert(part, answers.len());
            let found = (found.sorted(), limits.values);
            answers.push(ListedRows::new(touched.listed.fields(), found, is_others, reader.cache()));
        }
        let filter = Arc::clone(filter);
        let (answers_of, none) = (Answered::new(parts), Vec::new());
        let mut probes = Self { filter, parts: answers_of, answers: none, plans: Vec::new(), joined: None };
        let plan = |part: &Filter| Plan::new(part, &|part| probes.parts.get(part), &answers);
        probes.plans = probes.conjuncts().iter().map(plan).collect();
        probes.answers = answers;
        Ok(probes)
    }

    /// The rows of a block that can match, as far as the lists tell; `None` where they tell no rows.
    ///
    /// The parts of which a flow must pass all are asked one after the other, the rarest first, until no row is left.
    ///
    /// # Errors
    /// As [`ask`](Self::ask).
    pub(crate) async fn rows(
        &self,
        segment: &Arc<SegmentReader>,
        reader: &RowReader,
        block: usize,
    ) -> Result<Option<Selection>> {
        let size = segment.block_rows(block).len();
        if let Some(joined) = self.joined.as_ref().and_then(|joined| joined.selection(block, size)) {
            return Ok(Some(joined));
        }
        if !self.tells_rows() {
            return Ok(None);
        }
        let all = Selection { rows: RowSet::all(size), open: Vec::new() };
        self.narrowed((segment, reader), block, all, &[]).await.map(Some)
    }

    /// Of rows of a block, those that can match, as the parts tell that are not `asked`, whose places ascend.
    pub(super) async fn narrowed(
        &self,
        at: At<'_>,
        block: usize,
        mut selection: Selection,
        asked: &[usize],
    ) -> Result<Selection> {
        let bounds = self.block(at.0, block);
        let size = selection.rows.rows();
        let mut listed = Vec::new();
        let parts = self.conjuncts().iter().zip(&self.plans).enumerate();
        for (place, (part, plan)) in parts.filter(|(place, _)| asked.binary_search(place).is_err()) {
            match (part.verdict(&bounds), plan) {
                (Verdict::Never, _) => return Ok(Selection::none(size)),
                (Verdict::Always, _) => {}
                (Verdict::Maybe, Some(plan)) => listed.push((part.count(&bounds).unwrap_or(u64::MAX), place, plan)),
                (Verdict::Maybe, None) => selection.open.push(place),
            }
        }
        listed.sort_by_key(|(count, place, _)| (*count, *place));
        for (_, place, plan) in listed {
            let (rows, is_exact) = plan.rows(&self.answers, at, block).await?;
            selection.rows.intersect(&rows);
            if selection.rows.is_empty() {
                return Ok(Selection::none(size));
            }
            if !is_exact {
                selection.open.push(place);
            }
        }
        selection.open.sort_unstable();
        if self.is_answered() && !selection.open.is_empty() {
            selection.open = (0..self.filter.conjuncts().len()).collect();
        }
        Ok(selection)
    }

    /// About how many flows of a block match, where lists tell the rows of several parts of which a flow must pass all: as
    /// many as if no part had to do with another.
    pub(crate) fn expected(&self, segment: &SegmentReader, block: usize) -> Option<f64> {
        let bounds = self.block(segment, block);
        let rows = segment.block_rows(block).len() as f64;
        let parts = self.conjuncts().iter().zip(&self.plans);
        let listed = parts.filter(|(_, plan)| plan.is_some()).filter_map(|(part, _)| part.count(&bounds));
        let some = listed.map(|count| count as f64).filter(|count| *count != rows);
        let (parts, expected) = some.fold((0, rows), |(parts, expected), count| (parts + 1, expected * count / rows));
        (parts > 1).then_some(expected)
    }

    /// The place of the part of which a flow must pass all that the fewest blocks can pass, and these blocks, ascending.
    /// `None` where no list names them.
    pub(crate) fn rarest(&self) -> Option<(usize, Vec<usize>)> {
        let parts = self.conjuncts().iter().enumerate();
        let named = parts.filter_map(|(place, part)| Some((place, self.named(part)?)));
        named.min_by_key(|(_, blocks)| blocks.len())
    }

    /// The blocks that can hold a flow that passes a part of the filter, ascending; `None` where no list names them.
    fn named(&self, part: &Filter) -> Option<Vec<usize>> {
        part.fold(|part, parts: Vec<Option<Vec<usize>>>| {
            if let Some(answer) = self.answer(part) {
                return answer.named().map(Iterator::collect);
            }
            match part {
                Filter::And(_) => parts.into_iter().flatten().min_by_key(Vec::len),
                Filter::Or(_) => {
                    let mut blocks: Vec<usize> = parts.into_iter().collect::<Option<Vec<_>>>()?.concat();
                    blocks.sort_unstable();
                    blocks.dedup();
                    Some(blocks)
                }
                Filter::Test(_) | Filter::Not(_) => None,
            }
        })
    }

    /// The segment as a whole, as its bounds and lists tell of it.
    pub(crate) fn whole<'a>(&'a self, segment: &'a SegmentReader) -> ProbedBlock<'a> {
        ProbedBlock { bounds: segment.whole(), probes: self, block: None }
    }

    /// A block, as the bounds and lists of its segment tell of it.
    pub(crate) fn block<'a>(&'a self, segment: &'a SegmentReader, block: usize) -> ProbedBlock<'a> {
        ProbedBlock { bounds: segment.blocks().block(block), probes: self, block: Some(block) }
    }

    /// The pages of a block that can hold a flow that matches, as far as the lists tell: bit 0 is the first.
    pub(crate) fn pages(&self, filter: &Filter, block: usize) -> u8 {
        evaluate(filter, &Pages { probes: self, block })
    }

    /// Whether one list answers the filter as a whole.
    fn is_answered(&self) -> bool {
        self.parts.get(&self.filter).is_some()
    }

    /// The parts of which a flow must pass all; the filter itself, where one list answers it as a whole.
    pub(super) fn conjuncts(&self) -> &[Filter] {
        if self.is_answered() { std::slice::from_ref(&self.filter) } else { self.filter.conjuncts() }
    }

    /// The parts of which a flow must pass all that one list answers and tells the rows of, with their places.
    pub(super) fn listed_parts(&self) -> impl Iterator<Item = (usize, &ListedRows)> {
        self.plans.iter().enumerate().filter_map(|(place, plan)| match plan {
            Some(Plan::Answer(number)) => Some((place, self.answers.get(*number)?)),
            _ => None,
        })
    }

    fn answer(&self, part: &Filter) -> Option<&ListedRows> {
        self.answers.get(self.parts.get(part)?)
    }

    fn tally(&self, part: &Filter, block: usize) -> Option<Tally> {
        Some(self.answer(part)?.tally(block))
    }

    /// Whether it tells the rows of any part of which a flow must pass all.
    pub(crate) fn tells_rows(&self) -> bool {
        self.plans.iter().any(Option::is_some)
    }
}

/// The pages of a block that can hold a flow that matches.
struct Pages<'a> {
    probes: &'a Probes,
    block: usize,
}

impl Meaning for Pages<'_> {
    type Value = u8;

    fn test(&self, _test: &Test) -> u8 {
        u8::MAX
    }

    fn neutral(&self, all: bool) -> u8 {
        if all { u8::MAX } else { 0 }
    }

    fn join(&self, all: bool, left: u8, right: u8) -> u8 {
        if all { left & right } else { left | right }
    }

    fn not(&self, _value: u8) -> u8 {
        // A page that holds a flow that matches can hold one that does not.
        u8::MAX
    }

    fn known(&self, part: &Filter) -> Option<u8> {
        self.probes.tally(part, self.block).map(|tally| tally.pages)
    }
}

/// What is asked of lists for a part of a filter.
struct Wanted<'f> {
    fields: BTreeSet<Field>,
    passes_absent: bool,
    parts: Vec<&'f Filter>,
}

/// The largest parts of a filter of which each is answered by one list, up to `most`.
fn wanted<'f>(filter: &'f Filter, segment: &SegmentReader, most: usize) -> Vec<&'f Filter> {
    let all = |parts: &[Wanted<'_>]| parts.iter().all(|part| part.passes_absent);
    let any = |parts: &[Wanted<'_>]| parts.iter().any(|part| part.passes_absent);
    let wanted = filter.fold(|filter, parts: Vec<Wanted<'f>>| {
        let passes_absent = match filter {
            Filter::Test(test) => test.passes_absent(),
            Filter::And(_) => all(&parts),
            Filter::Or(_) => any(&parts),
            Filter::Not(_) => !all(&parts),
        };
        let mut fields = BTreeSet::new();
        if let Filter::Test(test) = filter {
            fields.extend(test.fields());
        }
        fields.extend(parts.iter().flat_map(|part| &part.fields));
        let directory = segment.directory();
        let is_test = matches!(filter, Filter::Test(_));
        let parts = if directory.tells(&fields, passes_absent && !is_test) {
            vec![filter]
        } else {
            joined(parts.into_iter().map(|part| part.parts), most)
        };
        Wanted { fields, passes_absent, parts }
    });
    wanted.parts
}

/// The items of some lists, up to `most`: however deep filters are nested, none is moved at each level.
fn joined<T>(lists: impl Iterator<Item = Vec<T>>, most: usize) -> Vec<T> {
    let mut joined = lists.fold(Vec::new(), |left: Vec<T>, right| {
        let (mut more, fewer) = if left.len() < right.len() { (right, left) } else { (left, right) };
        more.extend(fewer);
        more
    });
    joined.truncate(most);
    joined
}

/// What just the other flows of a segment pass, and no flow without a value, where there is such a test.
fn complement(part: &Filter, segment: &SegmentReader) -> Option<Filter> {
    let Filter::Test(test) = part else { return None };
    let others = test.negated();
    let is_absent = segment.whole().field(test.field()?).is_none_or(|span| span.absent);
    (!others.passes_absent() || !is_absent).then(|| Filter::Test(others.of_present()))
}

/// A block, or a segment, as its bounds and lists tell of it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ProbedBlock<'a> {
    bounds: BlockBounds<'a>,
    probes: &'a Probes,
    block: Option<usize>,
}

impl Bounds for ProbedBlock<'_> {
    fn field(&self, field: Field) -> Option<Span<'_>> {
        self.bounds.field(field)
    }

    fn flag_masks(&self) -> (u8, u8) {
        self.bounds.flag_masks()
    }

    fn rows(&self) -> Option<u64> {
        Bounds::rows(&self.bounds)
    }

    fn passing(&self, part: &Filter) -> Option<u64> {
        match self.block {
            Some(block) => self.probes.tally(part, block).map(|tally| tally.count.into()),
            None => self.probes.answer(part).map(ListedRows::total),
        }
    }
}
