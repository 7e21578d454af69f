//! The text in which a page hands on where it ended.

use std::{fmt, str::FromStr};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use twox_hash::XxHash64;

use super::{Key, Order, Position, Side};
use crate::{
    error::{Error, ErrorKind, Result},
    flow::{Field, Kind, Value},
};

/// The longest cursor, in bytes of its text.
pub const MAX_CURSOR_BYTES: usize = 512;

const VERSION: u8 = 1;
const CHECKSUM_BYTES: usize = 8;

/// Where the next page begins: a position in the order of one query. Opaque, URL-safe text.
///
/// It holds no state of a server: it survives restarts, appends, compaction and patch versions. Its bytes, before
/// base64url without padding (RFC 4648, section 5): the version, the fingerprint of the query (8 bytes), the number of
/// flows still to skip (16), the side of the position or its absence (1), each key value as a tag (absent, number, text)
/// and the value (a number is its length and its big-endian bytes, a text its length and its bytes), and the XXH64
/// of all that (8).
///
/// ```
/// use flowseek::{ErrorKind, order::Cursor};
///
/// let error = "AQaaaa".parse::<Cursor>().unwrap_err();
/// assert_eq!(error.kind(), ErrorKind::InvalidCursor);
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Cursor {
    text: String,
    fingerprint: u64,
    skip: u128,
    position: Option<Position>,
}

impl Cursor {
    /// The cursor at a position of the query with this fingerprint, from which `skip` flows are passed over.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidQuery`] where the key's texts are too long for [`MAX_CURSOR_BYTES`].
    pub(crate) fn new(fingerprint: u64, position: Option<Position>, skip: u128) -> Result<Self> {
        let mut bytes = vec![VERSION];
        bytes.extend(fingerprint.to_be_bytes());
        bytes.extend(skip.to_be_bytes());
        bytes.push(match position.as_ref().map(|position| position.side) {
            None => 0,
            Some(Side::Before) => 1,
            Some(Side::After) => 2,
        });
        for value in position.iter().flat_map(|position| &position.key) {
            encode(value.as_ref(), &mut bytes)?;
        }
        bytes.extend(XxHash64::oneshot(0, &bytes).to_be_bytes());
        let text = URL_SAFE_NO_PAD.encode(&bytes);
        if text.len() > MAX_CURSOR_BYTES {
            return Err(too_long());
        }
        Ok(Self { text, fingerprint, skip, position })
    }

    /// The position and how many flows to pass over from it, for the query with this fingerprint and order.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidCursor`] where the cursor is of another query.
    pub(crate) fn resume(&self, fingerprint: u64, order: &Order) -> Result<(Option<&Position>, u128)> {
        let fits = self.position.as_ref().is_none_or(|position| {
            let mut pairs = order.keys().iter().zip(&position.key);
            position.key.len() == order.keys().len() && pairs.all(|(key, value)| fits(key.field, value.as_ref()))
        });
        if self.fingerprint != fingerprint || !fits {
            return Err(invalid("it belongs to a query with other filters or another order"));
        }
        Ok((self.position.as_ref(), self.skip))
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl FromStr for Cursor {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        if text.len() > MAX_CURSOR_BYTES {
            return Err(invalid("it is damaged: a cursor has at most 512 bytes"));
        }
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| invalid("it is damaged"))?;
        let (body, sum) = bytes.split_last_chunk::<CHECKSUM_BYTES>().ok_or_else(|| invalid("it is damaged"))?;
        if XxHash64::oneshot(0, body) != u64::from_be_bytes(*sum) {
            return Err(invalid("it is damaged"));
        }
        let (version, body) = body.split_first().ok_or_else(|| invalid("it is damaged"))?;
        if *version != VERSION {
            return Err(invalid("it was made by another version of this service"));
        }
        let (fingerprint, skip, position) = decode(body).ok_or_else(|| invalid("it is damaged"))?;
        Ok(Self { text: text.to_owned(), fingerprint, skip, position })
    }
}

fn invalid(why: &str) -> Error {
    Error::new(
        ErrorKind::InvalidCursor,
        format!("the cursor in `page` is not valid here: {why}; start at the first page"),
    )
}

fn too_long() -> Error {
    let problem = "`sort`: the names at the end of this page are too long for a cursor; sort by fewer names";
    Error::invalid_query(vec![problem.to_owned()])
}

fn encode(value: Option<&Value>, out: &mut Vec<u8>) -> Result<()> {
    match value {
        None => out.push(0),
        Some(Value::Number(number)) => {
            let bytes = number.to_be_bytes();
            let bytes = bytes.get(number.leading_zeros() as usize / 8..).unwrap_or_default();
            out.push(1);
            out.push(u8::try_from(bytes.len()).map_err(|_| too_long())?);
            out.extend(bytes);
        }
        Some(Value::Text(text)) => {
            out.push(2);
            out.extend(u16::try_from(text.len()).map_err(|_| too_long())?.to_be_bytes());
            out.extend(text.bytes());
        }
    }
    Ok(())
}

fn decode(bytes: &[u8]) -> Option<(u64, u128, Option<Position>)> {
    let (fingerprint, bytes) = bytes.split_first_chunk::<8>()?;
    let (skip, bytes) = bytes.split_first_chunk::<16>()?;
    let (side, mut bytes) = bytes.split_first()?;
    let side = match side {
        0 => None,
        1 => Some(Side::Before),
        2 => Some(Side::After),
        _ => return None,
    };
    let mut key = Key::new();
    while let Some((tag, rest)) = bytes.split_first() {
        let (value, rest) = match tag {
            0 => (None, rest),
            1 => {
                let (length, rest) = rest.split_first()?;
                let (number, rest) = rest.split_at_checked(usize::from(*length))?;
                let number = number.iter().fold(0, |sum: u128, byte| sum << 8 | u128::from(*byte));
                (Some(Value::Number(number)), rest)
            }
            2 => {
                let (length, rest) = rest.split_first_chunk::<2>()?;
                let (text, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes(*length)))?;
                (Some(Value::Text(String::from_utf8(text.to_vec()).ok()?)), rest)
            }
            _ => return None,
        };
        key.push(value);
        bytes = rest;
    }
    let position = side.map(|side| Position { key, side });
    Some((u64::from_be_bytes(*fingerprint), u128::from_be_bytes(*skip), position))
}

fn fits(field: Field, value: Option<&Value>) -> bool {
    match (field.kind(), value) {
        (_, None) => !field.always_present(),
        (Kind::Text, Some(Value::Text(_))) => true,
        (Kind::Time | Kind::Number | Kind::Address, Some(Value::Number(number))) => *number <= field.greatest(),
        _ => false,
    }
}
