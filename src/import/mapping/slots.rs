//! The values of one record, by the paths of its mapping.

use crate::import::scalar::Scalar;

/// The values of one record, one for each path.
#[derive(Clone, Debug)]
pub(crate) struct Slots<'a> {
    values: Vec<Scalar<'a>>,
    /// One bit for each path that occurs.
    seen: u128,
}

impl<'a> Slots<'a> {
    /// So many of them, all absent.
    pub(crate) fn new(paths: usize) -> Self {
        Self { values: vec![Scalar::Absent; paths], seen: 0 }
    }

    /// A path occurs, whatever its value.
    pub(crate) fn note(&mut self, slot: usize) {
        self.seen |= 1u128.checked_shl(slot as u32).unwrap_or(0);
    }

    /// A path has this value.
    pub(crate) fn set(&mut self, slot: usize, value: Scalar<'a>) {
        self.note(slot);
        if let Some(place) = self.values.get_mut(slot) {
            *place = value;
        }
    }

    /// The value of a path.
    pub(crate) fn get(&self, slot: usize) -> &Scalar<'a> {
        self.values.get(slot).unwrap_or(&Scalar::Absent)
    }

    /// One bit for each path that occurs.
    pub(crate) fn seen(&self) -> u128 {
        self.seen
    }

    /// Values that are among these texts are absent.
    pub(crate) fn clear(&mut self, absent: &[String]) {
        if absent.is_empty() {
            return;
        }
        for value in &mut self.values {
            if let Scalar::Text(text) = value
                && absent.iter().any(|known| **known == **text)
            {
                *value = Scalar::Absent;
            }
        }
    }
}
