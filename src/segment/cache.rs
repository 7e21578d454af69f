//! What was read of segments, ready for use.

use std::{
    collections::{HashSet, VecDeque},
    fmt,
    num::NonZero,
    ops::Range,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    thread,
};

use arrow::{
    array::{Array, ArrayRef, AsArray, FixedSizeBinaryArray, StringArray, StringBuilder},
    buffer::Buffer,
    datatypes::UInt16Type,
};
use bytes::Bytes;
use parquet::column::page::Page;
use quick_cache::{Weighter, sync::Cache};

use super::{
    SegmentReader,
    decode::{Dictionary, MOST_PLACES, decode},
    decompress::Decompressor,
    index::{Chunk, checksum},
    reader::PagePlace,
};
use crate::{
    error::{Error, ErrorKind, Result},
    flow::{Field, Kind},
    resources::{Deadline, MemoryPool, Pin, RuntimeWorkers, Workers, blocking, guarded, shared_out},
};

/// This part of the memory is for what lists have told: a sixteenth.
const TOLD_SHARE: u64 = 16;

/// So many pages at most are read from the file in one go.
const MOST_AT_ONCE: usize = 64;

/// From so many columns on, several threads read them.
const MANY_COLUMNS: usize = 4;

/// Pages, decoded, and lists of the index: those that were read before, and those that queries hold at the moment.
pub(crate) struct PageCache {
    memory: MemoryPool,
    /// What lists have told of the rows of segments, for as long as a query needs it.
    told: MemoryPool,
    held: Cache<(u64, u64), Held, ByteWeighter>,
    workers: Arc<dyn Workers>,
    /// So many of the threads read for one query at a time.
    threads: usize,
    /// What decompresses pages, and is dear to make.
    decompressors: Mutex<Vec<Decompressor>>,
}

/// A part of a segment in memory, under the number of the segment and its place in the file.
#[derive(Clone)]
enum Held {
    Column(ArrayRef),
    Dictionary(Dictionary),
    List(Bytes),
}

#[derive(Clone, Debug)]
struct ByteWeighter;

impl Weighter<(u64, u64), Held> for ByteWeighter {
    fn weight(&self, key: &(u64, u64), held: &Held) -> u64 {
        let bytes = match held {
            // Names and addresses are shared, and counted once.
            Held::Column(column) => match column.as_dictionary_opt::<UInt16Type>() {
                Some(places) => places.keys().get_array_memory_size(),
                None => column.get_array_memory_size(),
            },
            Held::Dictionary(Dictionary::Page(page)) => page.buffer().len() + size_of::<Page>(),
            Held::Dictionary(Dictionary::Values(values)) => values.get_array_memory_size(),
            Held::List(bytes) => bytes.len(),
        };
        (bytes + size_of_val(key)) as u64
    }
}

/// What is kept of what is read from a file. Dictionaries always are: each serves many pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Keep {
    /// The pages.
    Pages,
    /// No page, and those that follow one another are decoded together.
    Nothing,
}

/// Pages of columns.
pub(super) struct Decoded {
    /// The rows of each part: of a page, or of several that follow one another.
    pub(super) parts: Vec<Range<usize>>,
    /// Column by column, each with all parts. Names may be places in dictionaries.
    pub(super) arrays: Vec<ArrayRef>,
    /// The memory that they take.
    pub(super) pin: Pin,
}

/// What reading has cost.
#[derive(Debug, Default)]
pub(crate) struct ReadCounters {
    /// Bytes that were read from files.
    pub(crate) read: AtomicU64,
    /// Bytes that the cache held, as they lie on disk.
    pub(crate) cached: AtomicU64,
}

impl PageCache {
    /// At most `bytes` bytes: about three quarters of them for what was read before, and the rest for what queries hold. The
    /// threads of the runtime in which a query is polled wait for files.
    pub(crate) fn new(bytes: u64) -> Self {
        Self::with_workers(bytes, Arc::new(RuntimeWorkers))
    }

    /// The same, with other threads that wait for files.
    pub(crate) fn with_workers(bytes: u64, workers: Arc<dyn Workers>) -> Self {
        let told = MemoryPool::without_cache(bytes / TOLD_SHARE);
        let memory = MemoryPool::new(bytes - bytes / TOLD_SHARE);
        // Ten kilobytes is about a page of a column.
        let pages = usize::try_from(memory.cache_bytes() / 10_240).unwrap_or(usize::MAX).max(16);
        let held = Cache::with_weighter(pages, memory.cache_bytes(), ByteWeighter);
        let threads = thread::available_parallelism().map_or(1, NonZero::get);
        Self { memory, told, held, workers, threads, decompressors: Mutex::default() }
    }

    /// Bytes that it holds, and that queries hold of it.
    pub(crate) fn bytes(&self) -> u64 {
        self.held.weight() + self.memory.pinned_bytes() + self.told.pinned_bytes()
    }

    /// Forgets what was read of segments with these numbers.
    pub(crate) fn forget(&self, segments: &HashSet<u64>) {
        if !segments.is_empty() {
            self.held.retain(|(segment, _), _| !segments.contains(segment));
        }
    }

    /// The part of its memory that is for what was read before.
    pub(super) fn cache_bytes(&self) -> u64 {
        self.memory.cache_bytes()
    }

    /// The most that queries hold at a moment.
    pub(super) fn pin_bytes(&self) -> u64 {
        self.memory.pin_bytes()
    }

    /// Memory for what lists have told a query; `None` where too much of it is in use.
    pub(super) fn pin_told(&self, bytes: usize) -> Option<Pin> {
        self.told.try_pin(bytes as u64)
    }

    /// Pages of columns, decoded. What is not held is read and decoded where the host lets threads wait. The memory is
    /// theirs until the pin is dropped; it is waited for until the deadline is over.
    ///
    /// With [`Keep::Nothing`], pages that follow one another and of which none is held are one part. For example, of
    /// pages 4, 5, 6 and 9 the parts are 4 to 6 and 9. Otherwise each page is a part.
    pub(super) async fn columns(
        self: &Arc<Self>,
        segment: &Arc<SegmentReader>,
        fields: &[Field],
        pages: &[usize],
        keep: Keep,
        counters: &ReadCounters,
        deadline: &Deadline,
    ) -> Result<Decoded> {
        let rows = (pages.len() * segment.shape().page_rows) as u64;
        let bytes = rows * fields.iter().map(|field| segment.width(*field)).sum::<u64>();
        let pin = self.memory.pin(bytes, deadline).await?;
        let mut held = Vec::with_capacity(fields.len() * pages.len());
        let mut cached = 0;
        for field in fields {
            for page in pages {
                let known = segment.known_page(*field, *page)?;
                held.push(known.and_then(|place| match self.held.get(&(segment.number(), place.offset)) {
                    Some(Held::Column(column)) => {
                        cached += place.length;
                        Some(column)
                    }
                    _ => None,
                }));
            }
        }
        counters.cached.fetch_add(cached as u64, Ordering::Relaxed);
        let parts = match keep {
            Keep::Pages => pages.iter().map(|page| *page..page + 1).collect(),
            Keep::Nothing => {
                parts(segment, pages, |place| held.iter().skip(place).step_by(pages.len()).all(Option::is_none))
            }
        };
        let mut columns = Vec::with_capacity(fields.len() * parts.len());
        let mut missing = Vec::new();
        let mut held = held.into_iter();
        for field in fields {
            for part in &parts {
                let first = held.next().flatten();
                // Of a part of several pages none is held.
                held.by_ref().take(part.len() - 1).for_each(drop);
                missing.extend(first.is_none().then(|| (*field, part.clone())));
                columns.push(first);
            }
        }
        if !missing.is_empty() {
            let read = self.read_shared_out(segment, missing, keep).await?;
            counters.read.fetch_add(read.iter().map(|(_, bytes)| bytes).sum(), Ordering::Relaxed);
            let missing = columns.iter_mut().filter(|column| column.is_none());
            let read = read.into_iter().flat_map(|(columns, _)| columns);
            missing.zip(read).for_each(|(column, read)| *column = Some(read));
        }
        let rows = |part: &Range<usize>| segment.page_rows(part.start).start..segment.page_rows(part.end - 1).end;
        Ok(Decoded { parts: parts.iter().map(rows).collect(), arrays: columns.into_iter().flatten().collect(), pin })
    }

    /// A page of some columns. This blocks on the file system.
    pub(super) fn page(&self, segment: &SegmentReader, fields: &[Field], page: usize) -> Result<Vec<ArrayRef>> {
        let parts: Vec<_> = fields.iter().map(|field| (*field, page..page + 1)).collect();
        Ok(self.read_columns(segment, &parts, Keep::Pages)?.0)
    }

    /// Reads pages of columns from the file; and how many bytes that were. Many columns are shared out to several threads:
    /// most of the time goes to decompress their pages and dictionaries.
    async fn read_shared_out(
        self: &Arc<Self>,
        segment: &Arc<SegmentReader>,
        parts: Vec<(Field, Range<usize>)>,
        keep: Keep,
    ) -> Result<Vec<(Vec<ArrayRef>, u64)>> {
        let columns: Vec<Vec<_>> = parts.chunk_by(|left, right| left.0 == right.0).map(<[_]>::to_vec).collect();
        let (cache, reader) = (Arc::clone(self), Arc::clone(segment));
        let (threads, jobs) = if columns.len() < MANY_COLUMNS { (1, vec![parts]) } else { (self.threads, columns) };
        let read = move |parts: Vec<_>| cache.read_columns(&reader, &parts, keep);
        shared_out(self.workers.as_ref(), threads, jobs, read).await
    }

    /// Reads pages of columns from the file; and how many bytes that were. Each part is of one row group.
    fn read_columns(
        &self,
        segment: &SegmentReader,
        parts: &[(Field, Range<usize>)],
        keep: Keep,
    ) -> Result<(Vec<ArrayRef>, u64)> {
        let pool = || self.decompressors.lock().unwrap_or_else(PoisonError::into_inner);
        let mut decompressor = pool().pop().unwrap_or_default();
        let pages = parts.iter().flat_map(|(field, part)| part.clone().map(|page| segment.page(*field, page)));
        let mut input = Input::new(segment, pages.collect::<Result<_>>()?);
        let mut bytes = 0;
        let mut columns = Vec::with_capacity(parts.len());
        for (field, part) in parts {
            let mut read = || {
                let Some(first) = input.peek() else { return Err(Error::internal("a part has no page")) };
                let dictionary = self.dictionary(segment, *field, first.group, &mut decompressor, &mut bytes)?;
                let mut pages = Vec::with_capacity(part.len());
                for page in part.clone() {
                    let (place, data) = input.next()?;
                    bytes += place.length as u64;
                    pages.push((page_of(data, segment, &place, &mut decompressor)?, segment.page_rows(page).len()));
                }
                let column = guarded(|| {
                    let column = decode(segment.metadata(), *field, pages, dictionary.as_ref());
                    column.map_err(Error::with(ErrorKind::Damaged, format!("column {} is damaged", field.name())))
                })?;
                if keep == Keep::Pages {
                    self.held.insert((segment.number(), first.offset), Held::Column(Arc::clone(&column)));
                }
                Ok(column)
            };
            columns.push(read().map_err(|error| segment.named(error))?);
        }
        pool().push(decompressor);
        Ok((columns, bytes))
    }

    /// The dictionary of a column in a row group, where it has one.
    fn dictionary(
        &self,
        segment: &SegmentReader,
        field: Field,
        group: usize,
        decompressor: &mut Decompressor,
        bytes: &mut u64,
    ) -> Result<Option<Dictionary>> {
        let Some(place) = segment.dictionary(field, group)? else { return Ok(None) };
        let key = (segment.number(), place.offset);
        if let Some(Held::Dictionary(dictionary)) = self.held.get(&key) {
            return Ok(Some(dictionary));
        }
        *bytes += place.length as u64;
        let page = read_page(segment, &place, decompressor)?;
        let dictionary = match field.kind() {
            Kind::Text => Dictionary::Values(Arc::new(names(&page)?)),
            Kind::Address if page.num_values() as usize <= MOST_PLACES => {
                Dictionary::Values(Arc::new(addresses(&page)?))
            }
            _ => Dictionary::Page(Arc::new(page)),
        };
        self.held.insert(key, Held::Dictionary(dictionary.clone()));
        Ok(Some(dictionary))
    }

    /// Lists of a segment's index.
    pub(super) async fn lists(
        self: &Arc<Self>,
        segment: &Arc<SegmentReader>,
        chunks: &[&Chunk],
        counters: &ReadCounters,
    ) -> Result<Vec<Bytes>> {
        let mut lists = Vec::with_capacity(chunks.len());
        let mut missing = Vec::new();
        for chunk in chunks {
            let held = self.held_list(segment, chunk, counters);
            if held.is_none() {
                counters.read.fetch_add(chunk.place.end - chunk.place.start, Ordering::Relaxed);
                missing.push(Chunk::clone(chunk));
            }
            lists.push(held);
        }
        if !missing.is_empty() {
            let (cache, reader) = (Arc::clone(self), Arc::clone(segment));
            let read = blocking(self.workers.as_ref(), move || cache.read_lists(&reader, &missing)).await?;
            lists.iter_mut().filter(|list| list.is_none()).zip(read).for_each(|(list, read)| *list = Some(read));
        }
        Ok(lists.into_iter().flatten().collect())
    }

    /// A list of a segment's index, where it is held.
    pub(super) fn held_list(&self, segment: &SegmentReader, chunk: &Chunk, counters: &ReadCounters) -> Option<Bytes> {
        match self.held.get(&(segment.number(), chunk.place.start)) {
            Some(Held::List(list)) => {
                counters.cached.fetch_add(chunk.place.end - chunk.place.start, Ordering::Relaxed);
                Some(list)
            }
            _ => None,
        }
    }

    /// Reads lists from the file.
    fn read_lists(&self, segment: &SegmentReader, chunks: &[Chunk]) -> Result<Vec<Bytes>> {
        let read = |chunk: &Chunk| {
            let length = usize::try_from(chunk.place.end - chunk.place.start).unwrap_or(usize::MAX);
            let bytes = segment.read_exact(chunk.place.start, length).and_then(|packed| chunk.unpack(&packed));
            let bytes = bytes.map_err(|error| segment.named(error))?;
            self.held.insert((segment.number(), chunk.place.start), Held::List(bytes.clone()));
            Ok(bytes)
        };
        chunks.iter().map(read).collect()
    }
}

impl fmt::Debug for PageCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PageCache").field("bytes", &self.bytes()).finish_non_exhaustive()
    }
}

/// Parts of some pages: those that follow one another in a row group are one, if `is_missing` holds for the places of all
/// of them.
fn parts(segment: &SegmentReader, pages: &[usize], is_missing: impl Fn(usize) -> bool) -> Vec<Range<usize>> {
    let pages_of_group = segment.pages_of_group();
    let mut parts: Vec<Range<usize>> = Vec::new();
    // Whether pages may follow in the last part.
    let mut is_open = false;
    for (place, page) in pages.iter().enumerate() {
        let is_missing = is_missing(place);
        match parts.last_mut() {
            Some(part) if is_open && is_missing && part.end == *page && page % pages_of_group != 0 => part.end += 1,
            _ => parts.push(*page..page + 1),
        }
        is_open = is_missing;
    }
    parts
}

/// Pages of a file, one after the other. Those that lie side by side are read in one go.
struct Input<'s> {
    segment: &'s SegmentReader,
    pages: VecDeque<PagePlace>,
    /// What was read of the next pages.
    ahead: Bytes,
}

impl<'s> Input<'s> {
    fn new(segment: &'s SegmentReader, pages: VecDeque<PagePlace>) -> Self {
        Self { segment, pages, ahead: Bytes::new() }
    }

    fn peek(&self) -> Option<PagePlace> {
        self.pages.front().copied()
    }

    fn next(&mut self) -> Result<(PagePlace, Bytes)> {
        if self.ahead.is_empty() {
            self.ahead = match self.peek() {
                Some(place) => self.segment.read_exact(place.offset, self.adjoining())?,
                None => Bytes::new(),
            };
        }
        let place = self.pages.pop_front().ok_or_else(|| Error::internal("a part has fewer pages"))?;
        Ok((place, self.ahead.split_to(place.length.min(self.ahead.len()))))
    }

    /// How many bytes the next pages have that lie side by side in the file.
    fn adjoining(&self) -> usize {
        let mut length = 0;
        let mut end = None;
        for place in self.pages.iter().take(MOST_AT_ONCE) {
            if end.is_some_and(|end| end != place.offset) {
                break;
            }
            length += place.length;
            end = Some(place.offset + place.length as u64);
        }
        length
    }
}

fn read_page(segment: &SegmentReader, place: &PagePlace, decompressor: &mut Decompressor) -> Result<Page> {
    page_of(segment.read_exact(place.offset, place.length)?, segment, place, decompressor)
}

/// The page that these bytes of the file are.
fn page_of(bytes: Bytes, segment: &SegmentReader, place: &PagePlace, decompressor: &mut Decompressor) -> Result<Page> {
    if checksum(&bytes) != place.checksum {
        return Err(Error::damaged("a page is damaged: its bytes are not those that were written"));
    }
    let chunk = segment.chunk(place.group, place.column)?;
    guarded(|| decompressor.decompress(bytes, chunk).map_err(Error::with(ErrorKind::Damaged, "a page is damaged")))
}

/// The names in a dictionary: each its length in 4 bytes, little endian, and its bytes.
fn names(page: &Page) -> Result<StringArray> {
    let damaged = || Error::damaged("a dictionary is damaged");
    let mut names = StringBuilder::new();
    let mut rest: &[u8] = page.buffer();
    while let Some((length, more)) = rest.split_first_chunk::<4>() {
        let (name, more) = more.split_at_checked(u32::from_le_bytes(*length) as usize).ok_or_else(damaged)?;
        names.append_value(std::str::from_utf8(name).map_err(|_| damaged())?);
        rest = more;
    }
    Ok(names.finish())
}

/// The addresses in a dictionary: each its 16 bytes.
fn addresses(page: &Page) -> Result<FixedSizeBinaryArray> {
    let addresses = FixedSizeBinaryArray::try_new(16, Buffer::from(page.buffer().clone()), None);
    let addresses = addresses.map_err(Error::with(ErrorKind::Damaged, "a dictionary is damaged"))?;
    let is_whole = addresses.len() == page.num_values() as usize && page.buffer().len() == addresses.len() * 16;
    if is_whole { Ok(addresses) } else { Err(Error::damaged("a dictionary is damaged")) }
}
