//! Chosen rows of chosen columns.

use std::{
    cell::OnceCell,
    ops::Range,
    sync::{Arc, OnceLock, atomic::Ordering},
};

use arrow::{
    array::{
        Array, ArrayRef, AsArray, BooleanArray, DictionaryArray, FixedSizeBinaryArray, StringBuilder, UInt32Array,
        builder::NullBufferBuilder, new_empty_array, new_null_array,
    },
    buffer::BooleanBuffer,
    compute::{concat, interleave, take},
    datatypes::UInt16Type,
    error::ArrowError,
};

use super::{
    PageCache, PagedRows, PartRows, ReadCounters, RowRanges, RowSet, SegmentReader, bit_words, cache::Keep,
    reader::width,
};
use crate::{
    error::{Error, ErrorKind, Result},
    flow::{Field, Kind},
    resources::{Deadline, Pin},
    schema::column_type,
};

/// Of at least so many rows on average, ranges are copied one by one, and not row by row.
const COHERENT_ROWS: usize = 16;

/// Reads rows of segments, page by page, through a cache.
#[derive(Clone, Debug)]
pub(crate) struct RowReader {
    cache: Arc<PageCache>,
    counters: Arc<ReadCounters>,
    deadline: Deadline,
    keep: Keep,
}

impl RowReader {
    /// Reads through `cache`, and counts in `counters`.
    pub(crate) fn new(cache: Arc<PageCache>, counters: Arc<ReadCounters>) -> Self {
        Self { cache, counters, deadline: Deadline::never(), keep: Keep::Pages }
    }

    /// The same, which waits for memory until a deadline is over.
    pub(crate) fn until(self, deadline: Deadline) -> Self {
        Self { deadline, ..self }
    }

    /// The same for rows so many that keeping their pages would leave no room for others: it takes from the cache what is
    /// there, and puts nothing in. Pages that follow one another are decoded together: the parts of [`Columns`] are no
    /// pages then.
    pub(crate) fn passing(self) -> Self {
        Self { keep: Keep::Nothing, ..self }
    }

    /// Whether the pages of so many rows would take more than a quarter of the cache.
    pub(crate) fn is_large(&self, fields: &[Field], rows: u64) -> bool {
        let row: u64 = fields.iter().map(|field| width(*field)).sum();
        rows.saturating_mul(row) > self.cache.cache_bytes() / 4
    }

    /// The cache.
    pub(super) fn cache(&self) -> &Arc<PageCache> {
        &self.cache
    }

    /// How many pages of all columns a query holds at a time: an eighth of what all queries may hold, but one at least.
    pub(crate) fn pages_at_once(&self, segment: &SegmentReader) -> usize {
        let row = segment.fields().iter().map(|field| segment.width(*field)).sum::<u64>();
        let page = segment.shape().page_rows as u64 * row;
        usize::try_from(self.cache.pin_bytes() / 8 / page.max(1)).unwrap_or(usize::MAX).max(1)
    }

    /// Bytes that were read from files.
    pub(crate) fn bytes_read(&self) -> u64 {
        self.counters.read.load(Ordering::Relaxed)
    }

    /// What reading has cost.
    pub(crate) fn counters(&self) -> &ReadCounters {
        &self.counters
    }

    /// The pages of some columns that hold some rows.
    ///
    /// # Errors
    /// [`ErrorKind::Io`] where the file cannot be read, [`ErrorKind::Damaged`] where it is not what was written,
    /// [`ErrorKind::Busy`] where the memory for them is not free in time.
    pub(crate) async fn columns(
        &self,
        segment: &Arc<SegmentReader>,
        fields: &[Field],
        rows: &RowRanges,
    ) -> Result<Columns> {
        self.pages(segment, fields, &rows.pages(segment.shape().page_rows)).await
    }

    /// The same for rows that are given page by page.
    ///
    /// # Errors
    /// As [`columns`](Self::columns).
    pub(crate) async fn paged_columns(
        &self,
        segment: &Arc<SegmentReader>,
        fields: &[Field],
        rows: &PagedRows,
    ) -> Result<Columns> {
        let pages: Vec<usize> = rows.pages().iter().map(|(page, _)| *page).collect();
        self.pages(segment, fields, &pages).await
    }

    async fn pages(&self, segment: &Arc<SegmentReader>, fields: &[Field], pages: &[usize]) -> Result<Columns> {
        let stored = stored(segment, fields);
        let read = self.cache.columns(segment, &stored, pages, self.keep, &self.counters, &self.deadline).await?;
        let columns = with_absent(segment, fields, read.parts.len(), read.arrays);
        let page_rows = segment.shape().page_rows;
        Ok(Columns { fields: fields.to_vec(), page_rows, parts: read.parts, columns, _pin: Some(read.pin) })
    }

    /// The values of one page, a column for each field. This blocks on the file system.
    ///
    /// # Errors
    /// As [`columns`](Self::columns).
    pub(crate) fn page(&self, segment: &SegmentReader, fields: &[Field], page: usize) -> Result<Vec<ArrayRef>> {
        let parts = vec![segment.page_rows(page)];
        let read = self.cache.page(segment, &stored(segment, fields), page)?;
        let columns = with_absent(segment, fields, parts.len(), read);
        let (rows, page_rows) = (parts.iter().cloned().collect(), segment.shape().page_rows);
        Columns { fields: fields.to_vec(), page_rows, parts, columns, _pin: None }.select(&rows)
    }
}

/// Those of some fields that a segment has columns of.
fn stored(segment: &SegmentReader, fields: &[Field]) -> Vec<Field> {
    fields.iter().copied().filter(|field| segment.fields().contains(field)).collect()
}

/// The parts of all of some fields, where those are given that a segment has columns of.
fn with_absent(segment: &SegmentReader, fields: &[Field], parts: usize, read: Vec<ArrayRef>) -> Vec<Column> {
    let mut read = read.into_iter();
    let column = |field: &Field| match segment.fields().contains(field) {
        true => Column::Stored(read.by_ref().take(parts).collect()),
        false => Column::Absent(vec![OnceLock::new(); parts]),
    };
    fields.iter().map(column).collect()
}

/// A column of several parts.
#[derive(Debug)]
enum Column {
    Stored(Vec<ArrayRef>),
    /// The segment does not have it: all values are absent. The parts are made when they are asked for.
    Absent(Vec<OnceLock<ArrayRef>>),
}

/// Pages of some columns, decoded.
#[derive(Debug)]
pub(crate) struct Columns {
    fields: Vec<Field>,
    page_rows: usize,
    /// The rows of each part: of a page, or of several that follow one another.
    parts: Vec<Range<usize>>,
    /// For each field its parts. Names and addresses may be places in dictionaries.
    columns: Vec<Column>,
    /// The memory that they take, where a query holds them.
    _pin: Option<Pin>,
}

impl Columns {
    /// Each part, with those of `rows` that it holds.
    pub(crate) fn parts<'a>(&'a self, rows: &'a PagedRows) -> impl Iterator<Item = PartColumns<'a>> {
        self.parts.iter().enumerate().map(move |(place, part)| {
            let first = part.start / self.page_rows;
            let pages = rows.of_pages(&(first..part.end.div_ceil(self.page_rows)));
            PartColumns { columns: self, place, first, pages }
        })
    }

    /// The values of some rows, a column for each field.
    ///
    /// # Errors
    /// [`ErrorKind::Internal`] where the rows are not among those that were read.
    pub(crate) fn select(&self, rows: &RowRanges) -> Result<Vec<ArrayRef>> {
        let parts = self.parts.iter().map(|part| rows.within(part).moved_back(part.start)).enumerate();
        let (places, rows): (Vec<usize>, Vec<RowRanges>) = parts.filter(|(_, rows)| !rows.is_empty()).unzip();
        let chosen = Chosen::new(rows.iter().collect());
        let count = rows.iter().map(RowRanges::len).sum();
        let select = |(column, field): (usize, &Field)| {
            if let Some(Column::Absent(_)) = self.columns.get(column) {
                return Ok(new_null_array(&column_type(*field), count));
            }
            let arrays: Option<Vec<_>> = places.iter().map(|place| self.array(column, *place)).collect();
            gather(*field, &arrays.ok_or_else(not_read)?, &chosen)
        };
        self.fields.iter().enumerate().map(select).collect()
    }

    fn array(&self, column: usize, part: usize) -> Option<&ArrayRef> {
        match self.columns.get(column)? {
            Column::Stored(parts) => parts.get(part),
            Column::Absent(parts) => {
                let (field, rows) = (self.fields.get(column)?, self.parts.get(part)?.len());
                Some(parts.get(part)?.get_or_init(|| new_null_array(&column_type(*field), rows)))
            }
        }
    }
}

/// The columns of one part, of which some rows are chosen.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PartColumns<'a> {
    columns: &'a Columns,
    place: usize,
    /// Its first page.
    first: usize,
    /// The rows that are chosen.
    pages: &'a [(usize, RowSet)],
}

impl<'a> PartColumns<'a> {
    /// A column of the part, as it was decoded: names and addresses may be places in a dictionary.
    pub(crate) fn column(&self, column: usize) -> Option<&'a ArrayRef> {
        self.columns.array(column, self.place)
    }

    /// The rows that are chosen, numbered within the part.
    pub(crate) fn rows(&self) -> PartRows {
        PartRows::of(self.pages, self.first, self.columns.page_rows)
    }

    /// Adds those of the chosen rows to `passing` for which `test` is true.
    ///
    /// It is given columns of the part, as they are, where most of it is asked for; of few rows, just these. Addresses may be
    /// places in a dictionary. Of values in a small dictionary it is given each once, and `told` remembers what it said of
    /// them.
    pub(crate) fn filter(
        &self,
        passing: &mut PagedRows,
        told: &mut ToldNames,
        test: impl Fn(Vec<ArrayRef>, usize) -> Result<BooleanArray>,
    ) -> Result<()> {
        let fields = self.columns.fields.as_slice();
        let arrays: Option<Vec<_>> = (0..fields.len()).map(|column| self.column(column)).collect();
        let arrays = arrays.ok_or_else(not_read)?;
        let length = arrays.first().map_or(0, |array| array.len());
        if let [array] = arrays.as_slice()
            && let Some(names) = array.as_dictionary_opt::<UInt16Type>()
            && (names.values().len() <= length || told.knows(names))
        {
            told.ask(names, &test)?;
            for (page, rows) in self.pages {
                let start = (page - self.first) * self.columns.page_rows;
                passing.push(*page, told.passing(names, rows, start));
            }
            return Ok(());
        }
        let count: usize = self.pages.iter().map(|(_, rows)| rows.len()).sum();
        if arrays.is_empty() || count * 4 < length {
            let rows = self.rows().ranges();
            let chosen = Chosen::new(vec![&rows]);
            let gathered = fields.iter().zip(&arrays).map(|(field, array)| gather(*field, &[array], &chosen));
            let mask = test(gathered.collect::<Result<_>>()?, count)?;
            let mut passes = mask.values().iter();
            for (page, rows) in self.pages {
                let mut kept = RowSet::none(rows.rows());
                rows.iter()
                    .zip(passes.by_ref().take(rows.len()))
                    .filter(|(_, passes)| *passes)
                    .for_each(|(row, _)| kept.insert(row));
                passing.push(*page, kept);
            }
            return Ok(());
        }
        let whole = RowRanges::from_iter(std::iter::once(0..length));
        let whole = Chosen::new(vec![&whole]);
        let columns = fields.iter().zip(arrays).map(|(field, array)| match field.kind() {
            Kind::Address => Ok(Arc::clone(array)),
            Kind::Time | Kind::Number | Kind::Text => gather(*field, &[array], &whole),
        });
        self.masked(passing, test(columns.collect::<Result<_>>()?, length)?.values());
        Ok(())
    }

    /// Adds the chosen rows to `passing` for which `mask` is true; it has a value for each row of the part.
    fn masked(&self, passing: &mut PagedRows, mask: &BooleanBuffer) {
        for (page, rows) in self.pages {
            let start = (page - self.first) * self.columns.page_rows;
            let length = rows.rows().min(mask.len().saturating_sub(start));
            let mut kept = rows.clone();
            kept.intersect(&RowSet::of_bits(&mask.slice(start, length)));
            passing.push(*page, kept);
        }
    }
}

fn not_read() -> Error {
    Error::internal("a page was not read")
}

/// What a test has told of the values of a dictionary, which serves many pages.
#[derive(Debug, Default)]
pub(crate) struct ToldNames {
    dictionary: Option<ArrayRef>,
    present: Vec<bool>,
    absent: bool,
}

impl ToldNames {
    fn knows(&self, names: &DictionaryArray<UInt16Type>) -> bool {
        self.dictionary.as_ref().is_some_and(|dictionary| Arc::ptr_eq(dictionary, names.values()))
    }

    fn ask(
        &mut self,
        names: &DictionaryArray<UInt16Type>,
        test: impl Fn(Vec<ArrayRef>, usize) -> Result<BooleanArray>,
    ) -> Result<()> {
        if self.knows(names) {
            return Ok(());
        }
        let passes = |names: ArrayRef| {
            let length = names.len();
            test(vec![names], length).map(|mask| mask.iter().map(Option::unwrap_or_default).collect::<Vec<bool>>())
        };
        self.absent = passes(new_null_array(names.values().data_type(), 1))?.first().copied().unwrap_or(false);
        self.present = passes(Arc::clone(names.values()))?;
        self.dictionary = Some(Arc::clone(names.values()));
        Ok(())
    }

    /// Those of some rows whose names pass, where row 0 of them is row `start` of `names`.
    fn passing(&self, names: &DictionaryArray<UInt16Type>, rows: &RowSet, start: usize) -> RowSet {
        let passes = |place: usize| self.present.get(place).copied().unwrap_or(false);
        if rows.len() * 4 < rows.rows() || names.keys().null_count() > 0 {
            let mut kept = RowSet::none(rows.rows());
            let is_kept = |row: &usize| names.key(start + row).map_or(self.absent, passes);
            rows.iter().filter(is_kept).for_each(|row| kept.insert(row));
            return kept;
        }
        let places = names.keys().values().get(start..).unwrap_or_default();
        let places = places.get(..rows.rows()).unwrap_or(places);
        let mut kept = RowSet::of_words(bit_words(places, |place| passes(usize::from(*place))), rows.rows());
        kept.intersect(rows);
        kept
    }
}

/// Rows of pages, of which several columns are put together.
struct Chosen<'r> {
    /// Of each page its rows.
    pages: Vec<&'r RowRanges>,
    is_coherent: bool,
    /// The rows of the only page.
    rows: OnceCell<UInt32Array>,
    /// The page and the row of each.
    places: OnceCell<Vec<(usize, usize)>>,
}

impl<'r> Chosen<'r> {
    fn new(pages: Vec<&'r RowRanges>) -> Self {
        let is_coherent = is_coherent(pages.iter().copied());
        Self { pages, is_coherent, rows: OnceCell::new(), places: OnceCell::new() }
    }

    /// The values of these rows, page by page.
    fn copied(&self, pages: &[&ArrayRef]) -> Result<ArrayRef, ArrowError> {
        if let ([page], [rows]) = (pages, self.pages.as_slice()) {
            let rows = self.rows.get_or_init(|| rows.iter().map(|row| row as u32).collect::<Vec<_>>().into());
            return take(page, rows, None);
        }
        let places = self.places.get_or_init(|| {
            let places = self.pages.iter().enumerate();
            places.flat_map(|(page, rows)| rows.iter().map(move |row| (page, row))).collect()
        });
        interleave(&pages.iter().map(|page| page.as_ref()).collect::<Vec<_>>(), places)
    }
}

/// Rows of pages of one column, put together.
fn gather(field: Field, pages: &[&ArrayRef], chosen: &Chosen<'_>) -> Result<ArrayRef> {
    let pairs = || pages.iter().zip(chosen.pages.iter().copied());
    match field.kind() {
        Kind::Text => {
            if let Some(places) = places_of_one_dictionary(pages, chosen)? {
                return take(places.values(), places.keys(), None).map_err(failed);
            }
            let mut names = StringBuilder::new();
            for (page, rows) in pairs() {
                match (page.as_dictionary_opt::<UInt16Type>(), page.as_string_opt::<i32>()) {
                    (Some(places), _) => {
                        let dictionary = places.values().as_string_opt::<i32>();
                        let dictionary = dictionary.ok_or_else(|| Error::internal("a dictionary has no names"))?;
                        let place = |row| places.key(row).filter(|place| *place < dictionary.len());
                        rows.iter()
                            .for_each(|row| names.append_option(place(row).map(|place| dictionary.value(place))));
                    }
                    (None, Some(texts)) => {
                        let text = |row| texts.is_valid(row).then(|| texts.value(row));
                        rows.iter().for_each(|row| names.append_option(text(row)));
                    }
                    (None, None) => return Err(Error::internal("names are not text")),
                }
            }
            Ok(Arc::new(names.finish()))
        }
        Kind::Address if pages.iter().any(|page| page.as_dictionary_opt::<UInt16Type>().is_some()) => {
            addresses(&pairs().collect::<Vec<_>>())
        }
        _ => match (pages, chosen.pages.first().map(|rows| rows.as_slice())) {
            ([], _) => Ok(new_empty_array(&column_type(field))),
            // What lies together needs no copy, unless it would keep much else in memory.
            ([page], Some([range])) if range.len() * 8 >= page.len() => Ok(page.slice(range.start, range.len())),
            // Long ranges are copied as a whole.
            _ if chosen.is_coherent => {
                let ranges = pairs().flat_map(|(page, rows)| rows.as_slice().iter().map(move |range| (page, range)));
                let parts: Vec<_> = ranges.map(|(page, range)| page.slice(range.start, range.len())).collect();
                let parts: Vec<&dyn Array> = parts.iter().map(|part| part.as_ref()).collect();
                concat(&parts).map_err(failed)
            }
            _ if field.kind() == Kind::Address => addresses(&pairs().collect::<Vec<_>>()),
            (pages, _) => chosen.copied(pages).map_err(failed),
        },
    }
}

/// The places of names in a dictionary, where all pages have the same one: then the names are copied at once.
fn places_of_one_dictionary(pages: &[&ArrayRef], chosen: &Chosen<'_>) -> Result<Option<DictionaryArray<UInt16Type>>> {
    let mut names: Option<&ArrayRef> = None;
    let mut places: Vec<ArrayRef> = Vec::with_capacity(pages.len());
    for page in pages {
        let Some(page) = page.as_dictionary_opt::<UInt16Type>() else { return Ok(None) };
        if !Arc::ptr_eq(names.get_or_insert(page.values()), page.values()) {
            return Ok(None);
        }
        places.push(Arc::new(page.keys().clone()));
    }
    let Some(names) = names else { return Ok(None) };
    let keys = if chosen.is_coherent {
        let ranges = places
            .iter()
            .zip(&chosen.pages)
            .flat_map(|(page, rows)| rows.as_slice().iter().map(move |range| (page, range)));
        let parts: Vec<ArrayRef> = ranges.map(|(page, range)| page.slice(range.start, range.len())).collect();
        concat(&parts.iter().map(|part| part.as_ref()).collect::<Vec<_>>()).map_err(failed)?
    } else {
        chosen.copied(&places.iter().collect::<Vec<_>>()).map_err(failed)?
    };
    let keys = keys.as_primitive_opt::<UInt16Type>().ok_or_else(|| Error::internal("places are not numbers"))?;
    DictionaryArray::try_new(keys.clone(), Arc::clone(names)).map(Some).map_err(failed)
}

/// Whether rows lie in few ranges for their number.
fn is_coherent<'r>(parts: impl Iterator<Item = &'r RowRanges>) -> bool {
    let (ranges, rows) = parts.fold((0, 0), |sum, rows| (sum.0 + rows.as_slice().len(), sum.1 + rows.len()));
    ranges > 0 && rows / ranges >= COHERENT_ROWS
}

/// Addresses as 16 bytes each, that may have been places in a dictionary.
pub(crate) fn whole_addresses(column: ArrayRef) -> Result<ArrayRef> {
    match column.as_dictionary_opt::<UInt16Type>() {
        None => Ok(column),
        Some(places) => addresses(&[(&&column, &std::iter::once(0..places.len()).collect())]),
    }
}

/// Addresses of rows of pages, of which some are places in a dictionary.
fn addresses(pages: &[(&&ArrayRef, &RowRanges)]) -> Result<ArrayRef> {
    let total = pages.iter().map(|(_, rows)| rows.len()).sum();
    let not_addresses = || Error::internal("addresses are not 16 bytes");
    let (mut chosen, mut valid) = (Vec::with_capacity(total), NullBufferBuilder::new(total));
    for (page, rows) in pages {
        let places = page.as_dictionary_opt::<UInt16Type>();
        let values = places.map_or(page.as_ref(), |places| places.values().as_ref());
        let values: &FixedSizeBinaryArray = values.as_fixed_size_binary_opt().ok_or_else(not_addresses)?;
        let (values, _) = values.value_data().as_chunks::<16>();
        if page.null_count() > 0 {
            for row in rows.iter() {
                let place = match places {
                    Some(places) => places.key(row),
                    None => page.is_valid(row).then_some(row),
                };
                let value = place.map(|place| values.get(place).ok_or_else(not_addresses)).transpose()?;
                chosen.push(value.copied().unwrap_or_default());
                valid.append(value.is_some());
            }
            continue;
        }
        // A condition asks for whole pages of them: without absent ones it takes a few instructions a row.
        for range in rows.as_slice() {
            match places {
                Some(places) => {
                    let places = places.keys().values().get(range.clone()).ok_or_else(not_addresses)?;
                    let known = chosen.len() + places.len();
                    chosen.extend(places.iter().map_while(|place| values.get(usize::from(*place)).copied()));
                    if chosen.len() < known {
                        return Err(not_addresses());
                    }
                }
                None => chosen.extend_from_slice(values.get(range.clone()).ok_or_else(not_addresses)?),
            }
            valid.append_n_non_nulls(range.len());
        }
    }
    let bytes = chosen.into_flattened();
    let addresses = FixedSizeBinaryArray::try_new(16, bytes.into(), valid.finish());
    Ok(Arc::new(addresses.map_err(failed)?))
}

fn failed(error: ArrowError) -> Error {
    Error::with(ErrorKind::Internal, "rows could not be put together")(error)
}
