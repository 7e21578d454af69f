//! The values of a field in 64 bits.

use std::sync::{PoisonError, RwLock, RwLockReadGuard};

use arrow::array::{ArrayRef, AsArray};
use hashbrown::HashMap;

use crate::flow::{Field, Kind, Protocol, Value, ValueRef};

/// A value of a field, or that there is none. Equal words are equal values.
///
/// A number below 2^63 is its own word, a time its milliseconds since 1970, and an address of version 4 its 32 bits. Any
/// other value has a code, which is its word with the highest bit set.
pub(in crate::query) type Word = u64;

const ABSENT: Word = u64::MAX;
/// No word.
pub(super) const NONE: Word = u64::MAX - 1;
const CODED: Word = 1 << 63;

/// The values of a field that have codes: all threads give them the same.
#[derive(Debug)]
pub(in crate::query) struct Words {
    field: Field,
    apart: Apart,
    coded: RwLock<Coded>,
}

/// Which values of a field are different words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::query) enum Apart {
    /// All.
    Values,
    /// All, but for the protocols that the endpoint does not name: these are one.
    Names,
}

/// Values by their codes, and codes by their values.
#[derive(Debug, Default)]
pub(in crate::query) struct Coded {
    values: Vec<Value>,
    numbers: HashMap<u128, Word>,
    names: HashMap<String, Word>,
    /// Bytes of the names.
    name_bytes: usize,
}

impl Words {
    pub(super) fn new(field: Field, apart: Apart) -> Self {
        Self { field, apart, coded: RwLock::default() }
    }

    pub(super) fn field(&self) -> Field {
        self.field
    }

    /// The word of a value.
    pub(super) fn word(&self, value: Option<ValueRef<'_>>) -> Word {
        match value {
            None => ABSENT,
            Some(ValueRef::Number(number)) => self.number(number),
            Some(ValueRef::Text(name)) => {
                let known = self.coded().names.get(name).copied();
                known.unwrap_or_else(|| self.add(ValueRef::Text(name)))
            }
        }
    }

    fn number(&self, number: u128) -> Word {
        let number = match (self.field, self.apart) {
            (Field::Protocol, Apart::Names) => named_protocol(number),
            _ => number,
        };
        let short = match self.field.kind() {
            Kind::Address if number >> 32 == 0xffff => Some(Word::from(number as u32)),
            Kind::Address => None,
            Kind::Time => Word::try_from(number).ok().map(|ordinal| ordinal ^ CODED),
            Kind::Number | Kind::Text => Word::try_from(number).ok(),
        };
        short.filter(|short| *short < CODED).unwrap_or_else(|| {
            let known = self.coded().numbers.get(&number).copied();
            known.unwrap_or_else(|| self.add(ValueRef::Number(number)))
        })
    }

    /// The words of the values of a dictionary of addresses that need no code or have one, each at its place.
    pub(super) fn known(&self, values: &ArrayRef, words: &mut [Word]) {
        // Addresses of version 4: `::ffff:a.b.c.d`.
        const VERSION_4: [u8; 12] = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff];
        let Some(addresses) = values.as_fixed_size_binary_opt().filter(|_| self.field.kind() == Kind::Address) else {
            return;
        };
        let (addresses, _) = addresses.value_data().as_chunks::<16>();
        let coded = self.coded();
        for (word, address) in words.iter_mut().zip(addresses) {
            match address {
                [network @ .., a, b, c, d] if *network == VERSION_4 => {
                    *word = Word::from(u32::from_be_bytes([*a, *b, *c, *d]));
                }
                _ => {
                    if let Some(code) = coded.numbers.get(&u128::from_be_bytes(*address)) {
                        *word = *code;
                    }
                }
            }
        }
    }

    /// Gives a value a code, if it has none.
    fn add(&self, value: ValueRef<'_>) -> Word {
        let mut coded = self.coded.write().unwrap_or_else(PoisonError::into_inner);
        let Coded { values, numbers, names, name_bytes } = &mut *coded;
        let next = CODED | values.len() as Word;
        let word = match value {
            ValueRef::Number(number) => *numbers.entry(number).or_insert(next),
            ValueRef::Text(name) => *names.entry_ref(name).or_insert_with(|| next),
        };
        if word == next {
            values.push(value.to_owned());
            *name_bytes += if let ValueRef::Text(name) = value { name.len() * 2 } else { 0 };
        }
        word
    }

    /// The values that have codes, to look words up.
    pub(in crate::query) fn coded(&self) -> RwLockReadGuard<'_, Coded> {
        self.coded.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// The value of a word.
    pub(in crate::query) fn value<'c>(&self, word: Word, coded: &'c Coded) -> Option<ValueRef<'c>> {
        match (word, self.field.kind()) {
            (ABSENT, _) => None,
            (CODED.., _) => coded.values.get((word ^ CODED) as usize).map(Value::as_ref),
            (_, Kind::Address) => Some(ValueRef::Number(0xffff << 32 | u128::from(word))),
            (_, Kind::Time) => Some(ValueRef::Number(u128::from(word ^ CODED))),
            (_, Kind::Number | Kind::Text) => Some(ValueRef::Number(u128::from(word))),
        }
    }

    /// About how many bytes of memory they take.
    pub(super) fn memory(&self) -> usize {
        let Coded { values, numbers, names, name_bytes } = &*self.coded();
        values.capacity() * size_of::<Value>() + numbers.allocation_size() + names.allocation_size() + name_bytes
    }
}

/// The number under which a protocol is grouped: those that the endpoint does not name are one group.
fn named_protocol(number: u128) -> u128 {
    let is_named = Protocol::NAMED.into_iter().any(|protocol| u128::from(protocol.number()) == number);
    if is_named { number } else { Protocol::UNKNOWN.number().into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_value_has_one_word_and_each_word_one_value() {
        let number = ValueRef::Number;
        let mapped = 0xffff << 32;
        let values: [(Field, &[ValueRef<'_>]); 4] = [
            (Field::SrcIp, &[number(0), number(mapped), number(mapped | 0xffff_ffff), number(u128::MAX), number(1)]),
            (Field::SrcBytes, &[number(0), number(u64::MAX.into()), number(1 << 63), number((1 << 63) - 1)]),
            (Field::StartTime, &[number(0), number(1 << 63), number(u64::MAX.into()), number((1 << 63) - 1)]),
            (Field::SrcNode, &[ValueRef::Text(""), ValueRef::Text("a"), ValueRef::Text("b")]),
        ];
        for (field, values) in values {
            let words = Words::new(field, Apart::Names);
            let values: Vec<_> = values.iter().copied().map(Some).chain([None]).collect();
            let told: Vec<Word> = values.iter().map(|value| words.word(*value)).collect();
            assert_eq!(told, values.iter().map(|value| words.word(*value)).collect::<Vec<_>>());
            let coded = words.coded();
            let back: Vec<_> = told.iter().map(|word| words.value(*word, &coded)).collect();
            assert_eq!(back, values, "{field:?}");
        }
    }
}
