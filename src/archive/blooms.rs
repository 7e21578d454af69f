//! The pages of Bloom filters that were asked before.

use std::{
    collections::{BTreeSet, HashSet},
    sync::Arc,
};

use quick_cache::{Weighter, sync::Cache};

use super::{Manifest, SegmentEntry, files::Files};
use crate::{
    error::{Error, Result},
    filter::Filter,
    resources::io_error,
    segment::BloomPage,
};

/// Bytes of a page.
const PAGE_BYTES: u64 = 4 << 10;

/// So many pages, of 256 kilobytes together, are read at most beside those that are needed now.
const MOST_AHEAD: usize = 64;

/// Pages of Bloom filters of all archives: at most so many bytes of them.
#[derive(Debug)]
pub(super) struct BloomCache(Cache<Key, Arc<BloomPage>, BloomWeighter>);

/// The number of an archive, the checksum of all bytes of a filter, and the number of a page.
type Key = (u64, u64, usize);

/// The Bloom filters of an archive.
#[derive(Clone, Copy, Debug)]
pub(super) struct Blooms<'a> {
    cache: &'a Cache<Key, Arc<BloomPage>, BloomWeighter>,
    archive: u64,
}

#[derive(Clone, Debug)]
struct BloomWeighter;

impl Weighter<Key, Arc<BloomPage>> for BloomWeighter {
    fn weight(&self, key: &Key, page: &Arc<BloomPage>) -> u64 {
        (size_of_val(key) + page.memory()) as u64
    }
}

impl BloomCache {
    pub(super) fn new(bytes: u64) -> Self {
        let pages = usize::try_from(bytes / PAGE_BYTES).unwrap_or(usize::MAX).max(16);
        Self(Cache::with_weighter(pages, bytes, BloomWeighter))
    }

    /// Bytes that it holds.
    pub(super) fn bytes(&self) -> u64 {
        self.0.weight()
    }

    /// Those of an archive.
    pub(super) fn of(&self, archive: u64) -> Blooms<'_> {
        Blooms { cache: &self.0, archive }
    }
}

impl Blooms<'_> {
    /// Forgets those that no segment of a version has.
    pub(super) fn keep(&self, manifest: &Manifest) {
        let places = manifest.segments.iter().filter_map(|segment| segment.bloom);
        let named: HashSet<u64> = places.map(|place| place.checksum).collect();
        self.cache.retain(|(archive, checksum, _), _| *archive != self.archive || named.contains(checksum));
    }

    /// So many pages are read ahead at most: a part of those that it keeps.
    pub(super) fn pages_ahead(&self) -> usize {
        usize::try_from(self.cache.capacity() / PAGE_BYTES / 4).unwrap_or(usize::MAX).min(MOST_AHEAD)
    }

    /// Whether the Bloom filter of a segment tells that no flow passes a part of a filter, as far as its pages are in memory.
    pub(super) fn excludes(&self, entry: &SegmentEntry, part: &Filter) -> bool {
        entry.bloom.is_some_and(|place| place.excludes(part, |page| self.page(place.checksum, page)))
    }

    /// The pages of the Bloom filter of a segment that tell of a filter and are not in memory.
    pub(super) fn missing(&self, entry: &SegmentEntry, filter: &Filter) -> BTreeSet<usize> {
        let Some(place) = entry.bloom else { return BTreeSet::new() };
        let mut pages = place.pages_for(filter);
        pages.retain(|page| self.page(place.checksum, *page).is_none());
        pages
    }

    fn page(&self, checksum: u64, page: usize) -> Option<Arc<BloomPage>> {
        self.cache.get(&(self.archive, checksum, page))
    }

    /// Reads pages of Bloom filters. How many bytes that were. What cannot be read of another segment than the first is left
    /// out. This blocks on the file system.
    ///
    /// # Errors
    /// As of a segment that is opened.
    pub(super) fn read(&self, missing: &[(SegmentEntry, BTreeSet<usize>)], files: &Files) -> Result<u64> {
        let mut bytes = 0;
        for (number, (entry, pages)) in missing.iter().enumerate() {
            let read = entry.read_blooms(pages, files, |(checksum, number), page, length| {
                bytes += length;
                self.cache.insert((self.archive, checksum, number), Arc::new(page));
            });
            if number == 0 {
                read.map_err(|error| error.of_file(&files.root().join(&entry.path)))?;
            }
        }
        Ok(bytes)
    }
}

impl SegmentEntry {
    /// Reads pages of its Bloom filter, and gives each out with the number of bytes that were read for it.
    fn read_blooms(
        &self,
        pages: &BTreeSet<usize>,
        files: &Files,
        mut take: impl FnMut((u64, usize), BloomPage, u64),
    ) -> Result<()> {
        let Some(place) = self.bloom.filter(|_| !pages.is_empty()) else { return Ok(()) };
        let message = || format!("segment {} cannot be read", self.path);
        let file = files.segment(self).map_err(io_error(message()))?;
        let mut read = |page: usize| {
            let range = place.page(page)?;
            if range.end > file.size() {
                return Err(Error::damaged("it ends before its Bloom filter does"));
            }
            let length = range.end - range.start;
            let mut bytes = vec![0; usize::try_from(length).unwrap_or(0)];
            file.read_exact_at(&mut bytes, range.start).map_err(io_error("its Bloom filter cannot be read"))?;
            take((place.checksum, page), BloomPage::decode(page, &bytes)?, length);
            Ok(())
        };
        for page in pages {
            read(*page).map_err(|error: Error| Error::with(error.kind(), message())(error))?;
        }
        Ok(())
    }
}
