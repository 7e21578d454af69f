//! Batches that have numbers, so that one that is sent again is known.

use std::{
    collections::{HashMap, VecDeque},
    ops::Range,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use crate::{
    archive::{Archive, Manifest},
    error::{Error, ErrorKind, Result},
};

/// The longest name of a source, in bytes.
const LONGEST: usize = 255;

/// A batch: the name of its source, and its number there.
pub(super) type Batch<'a> = (&'a str, u64);

/// What was put in of each source and may not be part of the archive yet.
#[derive(Debug)]
pub(super) struct Batches {
    archive: Archive,
    /// The version that the appender began with.
    first: Arc<Manifest>,
    open: Mutex<HashMap<String, Pending>>,
}

/// The batches of a source that were put in.
#[derive(Debug, Default)]
struct Pending {
    last: u64,
    /// The numbers and the places of those that are not known to be durable.
    places: VecDeque<(u64, Range<u64>)>,
}

impl Batches {
    pub(super) fn new(archive: Archive) -> Self {
        let first = archive.known();
        Self { archive, first, open: Mutex::default() }
    }

    /// # Errors
    /// [`ErrorKind::InvalidInput`] where no source can have this name.
    pub(super) fn check((source, _): Batch<'_>) -> Result<()> {
        match source.len() {
            1..=LONGEST => Ok(()),
            length => {
                let message = format!("the name of a source has {length} bytes; allowed are 1 to {LONGEST}");
                Err(Error::new(ErrorKind::InvalidInput, message))
            }
        }
    }

    /// The number of the last batch of a source that is part of the archive.
    pub(super) fn last(&self, source: &str) -> Option<u64> {
        self.archive.known().sources.get(source).copied()
    }

    /// The place of a batch that was put in before, where `durable` flows are durable: it is so when all flows before the end
    /// of the place are, and they are its own where there are any.
    pub(super) fn place(&self, batch: Batch<'_>, durable: u64) -> Option<Range<u64>> {
        self.place_in(&mut self.open(), batch, durable)
    }

    /// Puts a batch in, unless it was put in before: nobody else puts one in meanwhile. Its place, and whether it was.
    pub(super) fn put_in(
        &self,
        batch: Batch<'_>,
        durable: u64,
        put_in: impl FnOnce() -> Result<Range<u64>>,
    ) -> Result<(Range<u64>, bool)> {
        let mut open = self.open();
        if let Some(place) = self.place_in(&mut open, batch, durable) {
            return Ok((place, true));
        }
        let place = put_in()?;
        let (source, sequence) = batch;
        let pending = open.entry(source.to_owned()).or_default();
        pending.last = sequence;
        pending.places.push_back((sequence, place.clone()));
        Ok((place, false))
    }

    fn place_in(
        &self,
        open: &mut HashMap<String, Pending>,
        (source, sequence): Batch<'_>,
        durable: u64,
    ) -> Option<Range<u64>> {
        match open.get_mut(source) {
            Some(pending) => pending.place(sequence, durable),
            None => self.first.sources.get(source).is_some_and(|last| sequence <= *last).then_some(0..0),
        }
    }

    fn open(&self) -> MutexGuard<'_, HashMap<String, Pending>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Pending {
    /// The place of a batch, if one of its number or a greater one was put in. For example, with 4 and 7 at the places 10..12
    /// and 12..15, of which none is durable:
    ///
    /// ```text
    /// 8: none, as it is new     7: 12..15     6, 5: 12..12, known as soon as 4 is     4: 10..12     3: 0..0, durable
    /// ```
    fn place(&mut self, sequence: u64, durable: u64) -> Option<Range<u64>> {
        if sequence > self.last {
            return None;
        }
        while self.places.front().is_some_and(|(_, place)| place.end <= durable) {
            self.places.pop_front();
        }
        let after = self.places.partition_point(|(other, _)| *other < sequence);
        Some(match self.places.get(after) {
            Some((other, place)) if *other == sequence => place.clone(),
            _ => {
                let before = after.checked_sub(1).and_then(|before| self.places.get(before));
                before.map_or(0..0, |(_, place)| place.end..place.end)
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_is_found_by_its_number_until_it_is_durable() {
        let places = VecDeque::from([(4, 10..12), (7, 12..15)]);
        let mut pending = Pending { last: 7, places };
        let mut place = |sequence, durable| pending.place(sequence, durable);
        assert_eq!((place(8, 0), place(7, 0), place(4, 0)), (None, Some(12..15), Some(10..12)));
        assert_eq!((place(6, 0), place(5, 0), place(3, 0)), (Some(12..12), Some(12..12), Some(0..0)));
        assert_eq!((place(4, 12), place(5, 12), place(7, 12)), (Some(0..0), Some(0..0), Some(12..15)));
        assert_eq!((place(7, 15), place(8, 15)), (Some(0..0), None));
    }

    #[test]
    fn a_source_has_a_name_of_1_to_255_bytes() {
        for name in ["a", "knoten-7", &"n".repeat(255)] {
            assert!(Batches::check((name, 1)).is_ok(), "{name}");
        }
        for name in ["", &"n".repeat(256)] {
            let error = Batches::check((name, 1)).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidInput);
            assert!(error.to_string().ends_with("allowed are 1 to 255"), "{error}");
        }
    }
}
