//! Where a sweep stands that the budget has interrupted: what the cursor of its page carries.

use crate::{
    archive::SegmentEntry,
    encoding::{Input, write_leb128},
};

/// Names a segment, the same in every version that has it: the version that added it, and its least flow ID, which no
/// other segment of a version has.
///
/// Segments are swept in the order of these keys. What is appended or merged later has a greater key than all that was
/// there before, so whatever lies before a [`Mark`] stays what it was, or is gone and lies behind the mark in a new
/// segment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct SegmentKey {
    added: u64,
    first: u64,
}

impl SegmentKey {
    pub(super) fn of(entry: &SegmentEntry) -> Self {
        Self { added: entry.added, first: entry.flow_id.0 }
    }
}

/// A place in the sequence of all blocks: those before it are swept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Mark {
    pub(super) segment: SegmentKey,
    pub(super) block: u64,
}

/// The state of a sweep.
///
/// Invariant: each flow that matches, is still to come, and lies before the mark is one of `best`, or `more` is set and
/// it comes after all of `best`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Checkpoint {
    pub(super) mark: Mark,
    /// Whether flows before the mark may be missing in `best`.
    pub(super) more: bool,
    /// The best flows that were found: segment and row, best first.
    pub(super) best: Vec<(SegmentKey, u64)>,
}

impl Checkpoint {
    /// Its bytes, at most `room` of them, with as many of the best flows as these hold; `None` where that is too little.
    ///
    /// A byte that is 1, or 3 where there are more flows; the mark as three numbers; and for each flow the number of its
    /// segment among those named before, from 1 on, or 0 and the key of a segment that was not named yet, and its row.
    /// Numbers are LEB128.
    pub(super) fn encode(&self, room: usize) -> Option<Vec<u8>> {
        let mut bytes = vec![1];
        for number in [self.mark.segment.added, self.mark.segment.first, self.mark.block] {
            write_leb128(&mut bytes, number);
        }
        let mut named: Vec<SegmentKey> = Vec::new();
        let mut kept = 0;
        for (segment, row) in &self.best {
            let before = bytes.len();
            match named.iter().position(|each| each == segment) {
                Some(place) => write_leb128(&mut bytes, place as u64 + 1),
                None => {
                    named.push(*segment);
                    [0, segment.added, segment.first].into_iter().for_each(|number| write_leb128(&mut bytes, number));
                }
            }
            write_leb128(&mut bytes, *row);
            if bytes.len() > room {
                bytes.truncate(before);
                break;
            }
            kept += 1;
        }
        // Before a mark at the start nothing can be missing.
        let more = self.mark != Mark::default() && (self.more || kept < self.best.len());
        if let Some(flags) = bytes.first_mut().filter(|_| more) {
            *flags = 3;
        }
        // Without one of the best flows it would not be known from where on flows are missing.
        (bytes.len() <= room && (kept > 0 || !more)).then_some(bytes)
    }

    /// What [`encode`](Self::encode) made these bytes of; `None` where it did not.
    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let mut input = Input::new(bytes);
        let more = match input.byte()? {
            1 => false,
            3 => true,
            _ => return None,
        };
        let segment = SegmentKey { added: input.leb128()?, first: input.leb128()? };
        let mark = Mark { segment, block: input.leb128()? };
        let mut named = Vec::new();
        let mut best = Vec::new();
        while input.left() > 0 {
            let segment = match input.leb128()?.checked_sub(1) {
                Some(place) => *named.get(usize::try_from(place).ok()?)?,
                None => {
                    let segment = SegmentKey { added: input.leb128()?, first: input.leb128()? };
                    named.push(segment);
                    segment
                }
            };
            best.push((segment, input.leb128()?));
        }
        Some(Self { mark, more, best })
    }
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;

    fn segment() -> impl Strategy<Value = SegmentKey> {
        (0u64..5, any::<u64>()).prop_map(|(added, first)| SegmentKey { added, first: first >> (added * 12) })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        #[test]
        fn a_checkpoint_keeps_its_invariant_whatever_room_there_is(
            (mark, block, more) in (segment(), 0u64..300, any::<bool>()),
            best in vec((segment(), any::<u32>().prop_map(u64::from)), 0..40),
            room in 0usize..300,
        ) {
            let more = more && !best.is_empty();
            let checkpoint = Checkpoint { mark: Mark { segment: mark, block }, more, best };
            let Some(bytes) = checkpoint.encode(room) else {
                // One flow, the mark and the flags need at most so many bytes.
                prop_assert!(room < 60);
                return Ok(());
            };
            prop_assert!(bytes.len() <= room);
            let read = Checkpoint::decode(&bytes).unwrap();
            prop_assert_eq!(read.mark, checkpoint.mark);
            prop_assert!(checkpoint.best.starts_with(&read.best));
            let lacks = more || read.best.len() < checkpoint.best.len();
            prop_assert_eq!(read.more, lacks && checkpoint.mark != Mark::default());
        }

        #[test]
        fn whatever_the_bytes_are_they_are_a_checkpoint_or_nothing(bytes in vec(any::<u8>(), 0..60)) {
            if let Some(checkpoint) = Checkpoint::decode(&bytes) {
                prop_assert!(checkpoint.best.len() < 60);
            }
        }
    }
}
