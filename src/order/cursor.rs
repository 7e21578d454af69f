//! The text in which a page hands on where it ended.

use std::{fmt, str::FromStr};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};

use super::{
    Order,
    place::{self, MAX_CURSOR_BYTES, MOST_PLACE_BYTES, Place},
    seal::{OVERHEAD, Seal},
};
use crate::error::{Error, ErrorKind, Result};

/// The version of the form of cursors: their first byte.
const VERSION: u8 = 2;

/// Where the next page begins: a position in the order of one query. Opaque, URL-safe text.
///
/// It needs no state of a server: it survives restarts, appends, compaction and patch versions.
///
/// # Its text
/// Its bytes, before base64url without padding (RFC 4648, section 5), are the version, a nonce (16), the encrypted
/// place, and an authentication tag (16). The place is the fingerprint of the query (8), the side of the position, how
/// many flows to pass over, the values of the sort keys, and the state of a search that the budget has interrupted.
///
/// - *Encrypted*: where a page ends on its budget, the position may lie at values of flows that the reader may not see.
///   The length tells nothing either: the place is padded to a length that depends on the order alone, or to the longest
///   where the budget has interrupted a search.
/// - *Authenticated*, with the identity of the archive and its [`CursorKey`](super::CursorKey): whatever is changed, and
///   in any other archive, the cursor is refused. Copies of an archive have the same identity and the same key.
/// - *Deterministic*: the same place in the same query of the same archive is always the same text, because the nonce is
///   a keyed hash of the place and not random. So an answer is reproducible byte by byte, a repeated request can be
///   answered from a cache, and cursors are compared and hashed as texts. The only thing that this tells the holder of
///   two cursors is whether they are equal.
///
/// Reading a cursor from its text checks the form only. Whether it is good is seen where a query resumes from it.
///
/// ```
/// use flowseek::{ErrorKind, order::Cursor};
///
/// let error = "AQaaaa".parse::<Cursor>().unwrap_err();
/// assert_eq!(error.kind(), ErrorKind::InvalidCursor);
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Cursor(String);

impl Cursor {
    /// The cursor at a place in this order.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidQuery`] where the key's texts are too long for [`MAX_CURSOR_BYTES`].
    pub(crate) fn new(seal: &Seal, order: &Order, place: &Place) -> Result<Self> {
        let length = match place.search.is_empty() {
            true => place::padded_length(order, place.skip).min(MOST_PLACE_BYTES),
            false => MOST_PLACE_BYTES,
        };
        let mut place = place::encode(place);
        if place.len() > length {
            return Err(Self::too_long());
        }
        place.resize(length, 0);
        let mut bytes = vec![VERSION];
        bytes.extend(seal.seal(VERSION, &place)?);
        Ok(Self(URL_SAFE_NO_PAD.encode(bytes)))
    }

    /// The place in the query with this fingerprint and order.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidCursor`] where the cursor is damaged, of another archive or of another query.
    pub(crate) fn resume(&self, seal: &Seal, fingerprint: u64, order: &Order) -> Result<Place> {
        let sealed = sealed(&self.0)?;
        let place = sealed.split_first().and_then(|(version, sealed)| seal.open(*version, sealed));
        let place = place.as_deref().and_then(place::decode);
        let place = place.ok_or_else(|| invalid("it is damaged, or another archive has given it"))?;
        let fits = place.position.as_ref().is_none_or(|position| place::fits(order, &position.key));
        match place.fingerprint == fingerprint && fits {
            true => Ok(place),
            false => Err(invalid("it belongs to a query with other filters or another order")),
        }
    }
}

impl Cursor {
    /// What the cursor has to hold is longer than a cursor may be.
    pub(crate) fn too_long() -> Error {
        let problem = "`sort`: the names at the end of this page are too long for a cursor; sort by fewer names";
        Error::invalid_query(vec![problem.to_owned()])
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Cursor {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        sealed(text).map(|_| Self(text.to_owned()))
    }
}

/// The bytes of a cursor's text, which has the form of a cursor.
fn sealed(text: &str) -> Result<Vec<u8>> {
    if text.len() > MAX_CURSOR_BYTES {
        return Err(invalid("it is damaged: a cursor has at most 512 bytes"));
    }
    // Bits that the text does not need must be zero: no other text has the same bytes.
    let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| invalid("it is damaged"))?;
    match bytes.first() {
        Some(&VERSION) if bytes.len() > OVERHEAD => Ok(bytes),
        Some(&VERSION) | None => Err(invalid("it is damaged")),
        Some(_) => Err(invalid("it is damaged, or another version of this service has made it")),
    }
}

fn invalid(why: &str) -> Error {
    Error::new(
        ErrorKind::InvalidCursor,
        format!("the cursor in `page` is not valid here: {why}; start at the first page"),
    )
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, option, prelude::*};

    use super::*;
    use crate::{
        flow::{Field, Kind, Value},
        order::{CursorKey, Direction, Key, Position, SortKey},
    };

    fn seal_of(key: u8, archive: u8) -> Seal {
        Seal::new(&CursorKey::new([key; 32]), [archive; 16]).unwrap()
    }

    fn by(fields: &[Field]) -> Order {
        let keys = fields.iter().map(|field| SortKey { field: *field, direction: Direction::Descending });
        Order::new(keys, Direction::Ascending)
    }

    fn at(fingerprint: u64, position: Option<&Position>, skip: u128) -> Place {
        Place { fingerprint, position: position.cloned(), skip, search: Vec::new() }
    }

    fn new(seal: &Seal, fingerprint: u64, order: &Order, position: Option<&Position>, skip: u128) -> Result<Cursor> {
        Cursor::new(seal, order, &at(fingerprint, position, skip))
    }

    fn refused(result: Result<impl fmt::Debug>) {
        assert_eq!(result.unwrap_err().kind(), ErrorKind::InvalidCursor);
    }

    fn key(order: &Order) -> impl Strategy<Value = Key> + use<> {
        let value = |key: &SortKey| {
            let greatest = key.field.greatest();
            let value = match key.field.kind() {
                Kind::Text => "[a-z\u{e9}]{1,60}".prop_map(Value::Text).boxed(),
                _ => (0..=greatest).prop_map(Value::Number).boxed(),
            };
            if key.field.always_present() { value.prop_map(Some).boxed() } else { option::of(value).boxed() }
        };
        order.keys().iter().map(value).collect::<Vec<_>>()
    }

    fn place() -> impl Strategy<Value = (u64, Order, Option<Position>, u128)> {
        let skip = prop_oneof![Just(0), any::<u128>()];
        let order = vec(prop::sample::select(Field::ALL.to_vec()), 0..3).prop_map(|fields| by(&fields));
        (any::<u64>(), order, skip).prop_flat_map(|(fingerprint, order, skip)| {
            let sides = prop_oneof![Just(Position::before as fn(Key) -> Position), Just(Position::after as _)];
            let position = option::of((key(&order), sides).prop_map(|(key, side)| side(key)));
            (Just(fingerprint), Just(order), position, Just(skip))
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        #[test]
        fn a_cursor_resumes_where_it_was_made_and_nowhere_else((fingerprint, order, position, skip) in place()) {
            let seal = seal_of(1, 1);
            let cursor = new(&seal, fingerprint, &order, position.as_ref(), skip).unwrap();
            let text = cursor.to_string();
            prop_assert!(text.len() <= MAX_CURSOR_BYTES);
            let read: Cursor = text.parse().unwrap();
            prop_assert_eq!(&read, &cursor);
            prop_assert_eq!(read.resume(&seal, fingerprint, &order).unwrap(), at(fingerprint, position.as_ref(), skip));
            refused(read.resume(&seal, fingerprint ^ 1, &order));
            refused(read.resume(&seal_of(2, 1), fingerprint, &order));
            refused(read.resume(&seal_of(1, 2), fingerprint, &order));
            // The same place is the same text, and every other place another.
            prop_assert_eq!(new(&seal, fingerprint, &order, position.as_ref(), skip).unwrap(), cursor.clone());
            let further = new(&seal, fingerprint, &order, position.as_ref(), skip ^ 1).unwrap();
            prop_assert_ne!(further, cursor);
        }

        #[test]
        fn all_cursors_of_an_order_have_one_length((fingerprint, order, position, _) in place()) {
            let seal = seal_of(1, 1);
            let cursor = new(&seal, fingerprint, &order, position.as_ref(), 0).unwrap();
            let first = new(&seal, 0, &order, None, 0).unwrap();
            prop_assert_eq!(cursor.to_string().len(), first.to_string().len());
        }
    }

    #[test]
    fn the_text_of_a_cursor_is_the_same_in_every_patch_version() {
        let order = by(&[Field::SrcNode]);
        let key =
            vec![Some(Value::Text("edge-1".to_owned())), Some(Value::Number(1 << 63 | 1000)), Some(Value::Number(5))];
        let cursor = new(&seal_of(1, 2), 3, &order, Some(&Position::after(key)), 4).unwrap();
        let sum = twox_hash::XxHash64::oneshot(0, cursor.to_string().as_bytes());
        assert_eq!((cursor.to_string().len(), sum), (450, 11_208_828_730_365_597_361));
    }

    #[test]
    fn the_state_of_a_search_has_the_room_that_the_place_leaves_and_shows_no_length() {
        let (seal, order) = (seal_of(1, 1), by(&[Field::SrcNode]));
        let name = "n".repeat(crate::flow::MAX_TEXT_BYTES);
        let key = vec![Some(Value::Text(name)), Some(Value::Number(u128::MAX >> 64)), Some(Value::Number(1 << 60))];
        for position in [None, Some(Position::after(key))] {
            let place = at(7, position.as_ref(), u128::MAX);
            let room = place.room();
            assert!(room >= 30, "{room}");
            for length in [1, room / 2, room] {
                let place = Place { search: vec![9; length], ..place.clone() };
                let cursor = Cursor::new(&seal, &order, &place).unwrap();
                let text = cursor.to_string();
                assert_eq!(text.len(), MAX_CURSOR_BYTES);
                let read: Cursor = text.parse().unwrap();
                assert_eq!(read.resume(&seal, 7, &order).unwrap(), place);
                refused(format!("{text}AAAA").parse::<Cursor>());
            }
            let place = Place { search: vec![9; room + 1], ..place };
            assert_eq!(Cursor::new(&seal, &order, &place).unwrap_err().kind(), ErrorKind::InvalidQuery);
        }
    }

    #[test]
    fn a_cursor_of_the_form_before_is_refused_by_its_version() {
        // Version 1 with its fingerprint, skip, side and XXH64.
        let mut old = vec![1u8];
        old.extend([0; 25]);
        old.extend(twox_hash::XxHash64::oneshot(0, &old).to_be_bytes());
        let error = URL_SAFE_NO_PAD.encode(old).parse::<Cursor>().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidCursor);
        assert!(error.to_string().contains("another version"), "{error}");
    }

    #[test]
    fn a_key_of_other_kinds_than_the_order_is_refused_even_under_the_right_seal() {
        let seal = seal_of(1, 1);
        let (numbers, names) = (by(&[Field::DstPort]), by(&[Field::SrcNode]));
        let key = vec![Some(Value::Text("a".to_owned())), Some(Value::Number(1)), Some(Value::Number(1))];
        let cursor = new(&seal, 7, &names, Some(&Position::after(key)), 0).unwrap();
        assert!(cursor.resume(&seal, 7, &names).is_ok());
        refused(cursor.resume(&seal, 7, &numbers));
        refused(cursor.resume(&seal, 7, &by(&[])));
    }
}
