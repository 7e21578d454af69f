//! Records of JSON, of which the values that a mapping names are taken in one pass.

use std::fmt;

use serde::{
    Deserializer,
    de::{DeserializeSeed, Error, IgnoredAny, MapAccess, SeqAccess, Visitor},
};
use serde_json::value::RawValue;

use super::{
    slots::Slots,
    trie::{Node, Trie},
};
use crate::import::object;

/// Puts the values of a record into their slots.
///
/// # Errors
/// Where the text is no JSON object: as far as it was read, and what is expected there.
pub(super) fn read<'a>(text: &'a str, trie: &Trie, slots: &mut Slots<'a>) -> Result<(), String> {
    if !text.trim_ascii_start().starts_with('{') {
        return Err("not a JSON object".to_owned());
    }
    let mut json = serde_json::Deserializer::from_str(text);
    let mut refused = None;
    let inner = Inner { trie, node: Trie::ROOT, slots, refused: &mut refused };
    let read = inner.deserialize(&mut json).and_then(|()| json.end());
    read.map_err(|error| refused.unwrap_or_else(|| object::fault(&error)))
}

/// Hands the elements of the list that a text is to `each`.
pub(super) fn elements<'a>(text: &'a str, each: impl FnMut(&'a str)) -> Result<(), String> {
    let mut json = serde_json::Deserializer::from_str(text);
    json.deserialize_seq(Elements(each)).map_err(|error| object::fault(&error))
}

/// An object that has values of a mapping.
struct Inner<'t, 's, 'a> {
    trie: &'t Trie,
    node: usize,
    slots: &'s mut Slots<'a>,
    refused: &'s mut Option<String>,
}

impl<'t, 'a> Inner<'t, '_, 'a> {
    fn member<A: MapAccess<'a>>(&mut self, node: usize, members: &mut A) -> Result<(), A::Error> {
        let trie: &'t Trie = self.trie;
        let (slot, is_inner) = trie.node(node).map_or((None, false), |node| (node.slot, node.is_inner()));
        let Some(slot) = slot else {
            return members.next_value_seed(Inner { trie, node, slots: self.slots, refused: self.refused });
        };
        // It is there, even where its value is cut off.
        self.slots.note(slot);
        let value: &RawValue = members.next_value()?;
        let scalar = object::Token::of(value.get()).scalar().map_err(|reason| {
            *self.refused = Some(reason);
            A::Error::custom("a member is refused")
        })?;
        self.slots.set(slot, scalar);
        if is_inner {
            let inner = Inner { trie, node, slots: self.slots, refused: self.refused };
            inner.deserialize(&mut serde_json::Deserializer::from_str(value.get())).map_err(A::Error::custom)?;
        }
        Ok(())
    }
}

impl<'a> DeserializeSeed<'a> for Inner<'_, '_, 'a> {
    type Value = ();

    fn deserialize<D: Deserializer<'a>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

/// What is no object has no members.
impl<'a> Visitor<'a> for Inner<'_, '_, 'a> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_map<A: MapAccess<'a>>(mut self, mut members: A) -> Result<(), A::Error> {
        let trie = self.trie;
        let Some(of) = trie.node(self.node) else { return Ok(()) };
        while let Some(found) = members.next_key_seed(Key(of))? {
            match found {
                Some(node) => self.member(node, &mut members)?,
                None => drop(members.next_value::<IgnoredAny>()?),
            }
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'a>>(self, mut elements: A) -> Result<(), A::Error> {
        while elements.next_element::<IgnoredAny>()?.is_some() {}
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }
}

/// A key, which is compared in place.
struct Key<'t>(&'t Node);

impl<'de> DeserializeSeed<'de> for Key<'_> {
    type Value = Option<usize>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Option<usize>, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Key<'_> {
    type Value = Option<usize>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E>(self, key: &str) -> Result<Option<usize>, E> {
        Ok(self.0.below(key))
    }
}

struct Elements<F>(F);

impl<'de, F: FnMut(&'de str)> Visitor<'de> for Elements<F> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut elements: A) -> Result<(), A::Error> {
        while let Some(element) = elements.next_element::<&RawValue>()? {
            (self.0)(element.get());
        }
        Ok(())
    }
}
