//! The bytes of a place in an order, as a cursor seals them.

use super::{Key, Order, Position, Side, seal::OVERHEAD};
use crate::{
    encoding::{Input, number, significant},
    flow::{Field, Kind, MAX_TEXT_BYTES, Value},
};

/// The longest cursor, in bytes of its text.
pub const MAX_CURSOR_BYTES: usize = 512;

/// Ends the values; what follows it is padding.
const END: u8 = 0;
const ABSENT: u8 = 1;
const NUMBER: u8 = 2;
const TEXT: u8 = 3;
/// Ends the values as well: the state of a search follows.
const SEARCH: u8 = 4;

/// Bytes of a place in the longest cursor: base64 makes 4 bytes of 3, and one is the version.
pub(super) const MOST_PLACE_BYTES: usize = MAX_CURSOR_BYTES / 4 * 3 - 1 - OVERHEAD;

/// Bytes of the fingerprint, and of the byte with the side and the length of the number of flows to pass over.
const HEAD_BYTES: usize = 9;

/// Where a page of a query begins.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Place {
    /// Of the query.
    pub(crate) fingerprint: u64,
    /// In its order.
    pub(crate) position: Option<Position>,
    /// How many flows to pass over from there.
    pub(crate) skip: u128,
    /// The state of a search from there that the budget has interrupted; empty where none was.
    pub(crate) search: Vec<u8>,
}

impl Place {
    /// How many bytes the state of its search may have.
    pub(crate) fn room(&self) -> usize {
        let rest = Self { search: Vec::new(), ..self.clone() };
        // The tag and the length take three.
        MOST_PLACE_BYTES.saturating_sub(encode(&rest).len() + 3)
    }
}

/// The bytes of a place, without padding: the fingerprint (8); the side (0 none, 1 before, 2 after) times 32 plus the
/// length of the number of flows to pass over; that number; each value as a tag, and, unless it is absent, its length (1,
/// of a text 2) and its bytes; and, if there is one, the state of the search as a tag, its length (2) and its bytes.
///
/// For example, in an order by `src_node` and `dst_port`, right after node `a` and port 443: 8 bytes of fingerprint, `40`
/// (after; no flows to pass over), `03 00 01 61` (a text of 1 byte), `02 02 01 bb` (a number of 2 bytes), and in the same
/// way the start time and the flow ID.
pub(super) fn encode(place: &Place) -> Vec<u8> {
    let Place { fingerprint, position, skip, search } = place;
    let mut bytes = fingerprint.to_be_bytes().to_vec();
    let side = match position.as_ref().map(|position| position.side) {
        None => 0,
        Some(Side::Before) => 1,
        Some(Side::After) => 2,
    };
    let skip = significant(*skip);
    bytes.push(side << 5 | skip.len() as u8);
    bytes.extend(skip);
    for value in position.iter().flat_map(|position| &position.key) {
        match value {
            None => bytes.push(ABSENT),
            Some(Value::Number(number)) => {
                let number = significant(*number);
                bytes.extend([NUMBER, number.len() as u8]);
                bytes.extend(number);
            }
            Some(Value::Text(text)) => {
                bytes.push(TEXT);
                // No cursor is long enough for a text whose length is cut here.
                bytes.extend(u16::try_from(text.len()).unwrap_or(u16::MAX).to_be_bytes());
                bytes.extend(text.bytes());
            }
        }
    }
    if !search.is_empty() {
        bytes.push(SEARCH);
        bytes.extend(u16::try_from(search.len()).unwrap_or(u16::MAX).to_be_bytes());
        bytes.extend(search);
    }
    bytes
}

/// The place in `bytes`; `None` where they are not what [`encode`] made, and maybe zeros.
pub(super) fn decode(bytes: &[u8]) -> Option<Place> {
    let mut input = Input::new(bytes);
    let fingerprint = u64::from_be_bytes(input.array()?);
    let head = input.byte()?;
    let skip = number(input.take(usize::from(head & 0x1f))?)?;
    let side = match head >> 5 {
        0 => None,
        1 => Some(Side::Before),
        2 => Some(Side::After),
        _ => return None,
    };
    let mut key = Key::new();
    let mut search = Vec::new();
    while let Some(tag) = input.byte().filter(|tag| *tag != END) {
        key.push(match tag {
            ABSENT => None,
            NUMBER => {
                let length = input.byte()?;
                Some(Value::Number(number(input.take(length.into())?)?))
            }
            TEXT => {
                let length = u16::from_be_bytes(input.array()?);
                Some(Value::Text(String::from_utf8(input.take(length.into())?.to_vec()).ok()?))
            }
            SEARCH => {
                let length = u16::from_be_bytes(input.array()?);
                search = input.take(length.into())?.to_vec();
                break;
            }
            _ => return None,
        });
    }
    let position = side.map(|side| Position { key, side });
    Some(Place { fingerprint, position, skip, search })
}

/// How long the places of an order are with their padding: as long as the longest of them, whatever its values are.
pub(super) fn padded_length(order: &Order, skip: u128) -> usize {
    let skip = if skip == 0 { 0 } else { size_of::<u128>() };
    HEAD_BYTES + skip + order.keys().iter().map(|key| widest(key.field)).sum::<usize>()
}

/// Whether `key` can be the key of a flow in this order.
pub(super) fn fits(order: &Order, key: &Key) -> bool {
    let fits = |field: Field, value: Option<&Value>| match (field.kind(), value) {
        (_, None) => !field.always_present(),
        (Kind::Text, Some(Value::Text(_))) => true,
        (Kind::Time | Kind::Number | Kind::Address, Some(Value::Number(number))) => *number <= field.greatest(),
        _ => false,
    };
    key.len() == order.keys().len() && order.keys().iter().zip(key).all(|(key, value)| fits(key.field, value.as_ref()))
}

/// Bytes of the longest value of a field, with its tag and its length.
fn widest(field: Field) -> usize {
    match field.kind() {
        // A position may lie right after a text: at the text and a zero byte.
        Kind::Text => 3 + MAX_TEXT_BYTES + 1,
        Kind::Time | Kind::Number | Kind::Address => 2 + significant(field.greatest()).len(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(20_000))]

        #[test]
        fn whatever_the_bytes_are_they_are_a_place_or_nothing(
            mut bytes in vec(prop_oneof![3 => 0u8..5, 1 => any::<u8>()], 0..60),
            side in 0u8..3,
        ) {
            if let Some(head) = bytes.get_mut(8) {
                *head = side << 5 | *head & 3;
            }
            let Some(place) = decode(&bytes) else { return Ok(()) };
            // Of no bytes of a search nothing is written.
            prop_assert_eq!(decode(&encode(&place)), Some(place));
        }
    }
}
