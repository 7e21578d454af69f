//! The values of a field within a part, as small numbers.

use std::{borrow::Cow, sync::Arc};

use arrow::{
    array::{Array, ArrayRef, ArrowPrimitiveType, AsArray, DictionaryArray, PrimitiveArray},
    datatypes::UInt16Type,
};

use super::words::{NONE, Word, Words};
use crate::{
    error::{Error, Result},
    flow::{Field, Timestamp, ValueRef},
    schema::Values,
    segment::PartRows,
};

/// No code yet.
const UNKNOWN: u32 = u32::MAX;

/// Gives the values of a field codes for as long as pages of one row group come: an address or a name that is a place in a
/// dictionary has its place, and of numbers of at most two bytes the first that comes has 0, the next 1, and so on.
#[derive(Debug)]
pub(super) struct Codes {
    field: Field,
    /// The dictionary whose places are codes.
    dictionary: Option<ArrayRef>,
    /// The codes of numbers, and at the end that of flows without one.
    numbers: Vec<u32>,
    /// The word of each code, as far as it was asked for. Of few rows those of a dictionary are looked up one by one.
    words: Vec<Word>,
}

/// The values of some rows.
#[derive(Debug)]
pub(super) enum Coded<'p> {
    /// As codes that are places in a dictionary.
    Places(Cow<'p, [u16]>),
    /// As codes.
    Codes(Vec<u32>),
    /// Where they have none.
    Words(Vec<Word>),
}

impl Codes {
    pub(super) fn new(field: Field) -> Self {
        Self { field, dictionary: None, numbers: Vec::new(), words: Vec::new() }
    }

    /// None as yet, for the values of the same field.
    pub(super) fn renewed(&self) -> Self {
        Self::new(self.field)
    }

    /// Whether the codes of a page are those of the pages before.
    pub(super) fn knows(&self, page: &ArrayRef) -> bool {
        match (&self.dictionary, page.as_dictionary_opt::<UInt16Type>()) {
            (Some(dictionary), Some(places)) => Arc::ptr_eq(dictionary, places.values()),
            (None, None) => true,
            (None, Some(_)) => self.numbers.is_empty(),
            (Some(_), None) => false,
        }
    }

    /// How many codes there are by now; none where values have no codes.
    pub(super) fn len(&self) -> usize {
        self.dictionary.as_ref().map_or(self.words.len(), |values| values.len() + 1)
    }

    /// The words of so many rows are asked for.
    pub(super) fn expect(&mut self, rows: usize, words: &Words) {
        let Some(values) = self.dictionary.as_ref().filter(|_| self.words.is_empty()) else { return };
        // Most of them are asked for, and it takes less to look at them all in a row.
        if rows >= values.len() / 4 {
            self.words = vec![NONE; values.len() + 1];
            words.known(values, &mut self.words);
        }
    }

    /// The word of a code.
    pub(super) fn word(&mut self, code: usize, words: &Words) -> Result<Word> {
        let Self { field, dictionary, words: told, .. } = self;
        if let Some(word) = told.get(code).filter(|word| **word != NONE) {
            return Ok(*word);
        }
        let values = dictionary.as_ref().filter(|values| code <= values.len());
        let values = values.ok_or_else(|| Error::internal("a value has no code"))?;
        let value = if code < values.len() { Values::new(values.as_ref(), *field)?.get(code) } else { None };
        let word = words.word(value);
        told.iter_mut().skip(code).take(1).for_each(|told| *told = word);
        Ok(word)
    }

    /// The values of some rows of a page, in their order.
    pub(super) fn of<'p>(&mut self, page: &'p ArrayRef, rows: &PartRows, words: &Words) -> Result<Coded<'p>> {
        if let Some(places) = page.as_dictionary_opt::<UInt16Type>() {
            return self.places(places, rows);
        }
        let valid = |row: usize| page.is_valid(row);
        Ok(match Values::new(page.as_ref(), self.field)? {
            Values::Small(array) => Coded::Codes(self.numbers(rows, 1 << 8, words, array)?),
            Values::Ports(array) => Coded::Codes(self.numbers(rows, 1 << 16, words, array)?),
            Values::Large(array) => {
                let number = |row| valid(row).then(|| ValueRef::Number(array.value(row).into()));
                Coded::Words(rows.map(|row| words.word(number(row))))
            }
            Values::Times(array) => {
                let time =
                    |row| valid(row).then(|| ValueRef::Number(Timestamp::millis_ordinal(array.value(row)).into()));
                Coded::Words(rows.map(|row| words.word(time(row))))
            }
            values @ (Values::Addresses(_) | Values::Texts(_)) => {
                Coded::Words(rows.map(|row| words.word(values.get(row))))
            }
        })
    }

    /// The codes of values that are places in a dictionary: flows without one have the place behind its last.
    fn places<'p>(&mut self, places: &'p DictionaryArray<UInt16Type>, rows: &PartRows) -> Result<Coded<'p>> {
        let absent = places.values().len() as u32;
        self.dictionary.get_or_insert_with(|| Arc::clone(places.values()));
        if places.keys().null_count() > 0 {
            let code = |row| places.key(row).map_or(absent, |place| place as u32);
            return Ok(Coded::Codes(rows.map(code)));
        }
        Ok(Coded::Places(rows.gather(places.keys().values())?))
    }

    /// The codes of numbers below `end`.
    fn numbers<T: ArrowPrimitiveType<Native: Into<usize>>>(
        &mut self,
        rows: &PartRows,
        end: usize,
        words: &Words,
        page: &PrimitiveArray<T>,
    ) -> Result<Vec<u32>> {
        let Self { numbers, words: told, .. } = self;
        if numbers.is_empty() {
            *numbers = vec![UNKNOWN; end + 1];
        }
        let mut code = |number: Option<usize>| {
            let Some(code) = numbers.get_mut(number.unwrap_or(end)) else { return UNKNOWN };
            if *code == UNKNOWN {
                *code = told.len() as u32;
                told.push(words.word(number.map(|number| ValueRef::Number(number as u128))));
            }
            *code
        };
        if page.null_count() > 0 {
            let number = |row: usize| page.is_valid(row).then(|| page.value(row).into());
            return Ok(rows.map(|row| code(number(row))));
        }
        Ok(rows.gather(page.values())?.iter().map(|number| code(Some((*number).into()))).collect())
    }
}
