//! Batches that have numbers, so that one that is sent again is known.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Mutex, MutexGuard, PoisonError},
};

use super::{place::Place, worker::Progress};
use crate::{
    archive::Archive,
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
    open: Mutex<HashMap<String, Pending>>,
}

/// The batches of a source that were put in.
#[derive(Debug, Default)]
struct Pending {
    last: u64,
    /// The numbers and the places of those that are not known to be durable.
    places: VecDeque<(u64, Place)>,
}

impl Batches {
    pub(super) fn new(archive: Archive) -> Self {
        Self { archive, open: Mutex::default() }
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

    /// Forgets what was put in of a source.
    pub(super) fn forget(&self, source: &str) {
        self.open().remove(source);
    }

    /// The place of a batch that was put in before, as far as that is not durable already: its flows are its own where there
    /// are any.
    pub(super) fn place(&self, batch: Batch<'_>, progress: &Progress) -> Option<Place> {
        self.place_in(&mut self.open(), batch, progress)
    }

    /// Puts a batch in, unless it was put in before: nobody else puts one in meanwhile. Its place, and whether it was.
    pub(super) fn put_in(
        &self,
        batch: Batch<'_>,
        progress: &Progress,
        put_in: impl FnOnce() -> Result<Place>,
    ) -> Result<(Place, bool)> {
        let mut open = self.open();
        if let Some(place) = self.place_in(&mut open, batch, progress) {
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
        progress: &Progress,
    ) -> Option<Place> {
        match open.get_mut(source) {
            Some(pending) => pending.place(sequence, progress),
            // Nothing of it was put in since the appender began: what there is of it is durable.
            None => self.last(source).is_some_and(|last| sequence <= last).then(Place::default),
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
    fn place(&mut self, sequence: u64, progress: &Progress) -> Option<Place> {
        if sequence > self.last {
            return None;
        }
        while self.places.front().is_some_and(|(_, place)| progress.has(place)) {
            self.places.pop_front();
        }
        let after = self.places.partition_point(|(other, _)| *other < sequence);
        Some(match self.places.get(after) {
            Some((other, place)) if *other == sequence => place.clone(),
            _ => {
                let before = after.checked_sub(1).and_then(|before| self.places.get(before));
                before.map_or_else(Place::default, |(_, place)| place.behind())
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_is_found_by_its_number_until_it_is_durable() {
        let at = |flows: std::ops::Range<u64>, batch| Place { flows, batch };
        let places = VecDeque::from([(4, at(10..12, 1)), (7, at(12..15, 2)), (8, at(15..15, 3))]);
        let mut pending = Pending { last: 8, places };
        let mut place = |sequence, flows, batches| {
            let progress = Progress { durable: flows, durable_batches: batches, ..Progress::default() };
            pending.place(sequence, &progress)
        };
        assert_eq!((place(9, 0, 0), place(7, 0, 0), place(4, 0, 0)), (None, Some(at(12..15, 2)), Some(at(10..12, 1))));
        assert_eq!((place(6, 0, 0), place(3, 0, 0)), (Some(at(12..12, 1)), Some(Place::default())));
        assert_eq!((place(4, 12, 1), place(5, 12, 1)), (Some(Place::default()), Some(Place::default())));
        assert_eq!((place(7, 15, 2), place(8, 15, 2)), (Some(Place::default()), Some(at(15..15, 3))));
        assert_eq!((place(8, 15, 3), place(9, 15, 3)), (Some(Place::default()), None));
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
