//! The values of a field as small numbers.

use std::sync::Arc;

use arrow::{
    array::{Array, ArrayRef, AsArray, DictionaryArray},
    datatypes::UInt16Type,
};
use hashbrown::HashMap;

use crate::{
    error::{Error, Result},
    flow::{Field, Kind, Protocol, Timestamp, ValueRef},
    schema::Values,
    segment::RowRanges,
};

/// No code yet.
const NONE: u32 = u32::MAX;

/// Gives each value of a field a number, its code: 0 to the first that comes, 1 to the next, and so on. A code is found
/// by looking into a table where there are few values, or by the place of a value in a dictionary, and else by a hash.
#[derive(Debug)]
pub(super) struct Codes {
    field: Field,
    /// The value of each code.
    values: CodeValues,
    absent: u32,
    known: Known,
    /// A dictionary, and the codes of its values as far as they were asked for. It serves many pages.
    told: Option<(ArrayRef, Vec<u32>)>,
    /// Whether values of several dictionaries may have several codes. Then no value of a dictionary is hashed.
    is_passing: bool,
    /// Bytes of the names.
    name_bytes: usize,
}

/// Values by their codes.
#[derive(Debug)]
enum CodeValues {
    Numbers(Vec<u128>),
    Names(Vec<String>),
}

#[derive(Debug)]
enum Known {
    /// The codes of numbers of at most two bytes.
    Table(Vec<u32>),
    /// The codes of other numbers and times.
    Numbers(HashMap<u128, u32>),
    /// The codes of addresses. Most are of version 4: in a table of their own more of them are in the processor's cache.
    Addresses {
        v4: HashMap<u32, u32>,
        others: HashMap<u128, u32>,
    },
    Names(HashMap<String, u32>),
}

impl Codes {
    pub(super) fn new(field: Field) -> Self {
        let known = match field {
            Field::Protocol | Field::TcpFlags => Known::Table(vec![NONE; 1 << 8]),
            Field::FlowId
            | Field::StartTime
            | Field::EndTime
            | Field::SrcPort
            | Field::DstPort
            | Field::SrcBytes
            | Field::DstBytes => Known::Numbers(HashMap::new()),
            Field::SrcIp | Field::DstIp => Known::Addresses { v4: HashMap::new(), others: HashMap::new() },
            Field::SrcNode | Field::DstNode | Field::NodeId | Field::ActivityId => Known::Names(HashMap::new()),
        };
        let values = match field.kind() {
            Kind::Text => CodeValues::Names(Vec::new()),
            Kind::Time | Kind::Number | Kind::Address => CodeValues::Numbers(Vec::new()),
        };
        Self { field, values, absent: NONE, known, told: None, is_passing: false, name_bytes: 0 }
    }

    /// The same for groups that are soon added to others: a value may have several codes, and a table may be large.
    pub(super) fn passing(field: Field) -> Self {
        let codes = Self { is_passing: true, ..Self::new(field) };
        match field {
            Field::SrcPort | Field::DstPort => Self { known: Known::Table(vec![NONE; 1 << 16]), ..codes },
            _ => codes,
        }
    }

    pub(super) fn field(&self) -> Field {
        self.field
    }

    /// How many codes there are.
    pub(super) fn len(&self) -> usize {
        match &self.values {
            CodeValues::Numbers(numbers) => numbers.len(),
            CodeValues::Names(names) => names.len(),
        }
    }

    /// The value of a code.
    pub(super) fn value(&self, code: u32) -> Option<ValueRef<'_>> {
        if code == self.absent {
            return None;
        }
        match &self.values {
            CodeValues::Numbers(numbers) => numbers.get(code as usize).copied().map(ValueRef::Number),
            CodeValues::Names(names) => names.get(code as usize).map(|name| ValueRef::Text(name)),
        }
    }

    /// About how many bytes of memory it takes.
    pub(super) fn memory(&self) -> usize {
        let known = match &self.known {
            Known::Table(table) => size_of_val(table.as_slice()),
            Known::Numbers(codes) => codes.allocation_size(),
            Known::Addresses { v4, others } => v4.allocation_size() + others.allocation_size(),
            Known::Names(codes) => codes.allocation_size(),
        };
        let values = match &self.values {
            CodeValues::Numbers(numbers) => numbers.capacity() * size_of::<u128>(),
            CodeValues::Names(names) => names.capacity() * size_of::<String>(),
        };
        values + known + self.name_bytes
    }

    /// The code of a value.
    pub(super) fn code(&mut self, value: Option<ValueRef<'_>>) -> u32 {
        match value {
            None => self.absent(),
            Some(ValueRef::Number(number)) => self.number(number),
            Some(ValueRef::Text(name)) => self.name(name),
        }
    }

    fn absent(&mut self) -> u32 {
        if self.absent == NONE {
            self.absent = self.len() as u32;
            match &mut self.values {
                CodeValues::Numbers(numbers) => numbers.push(0),
                CodeValues::Names(names) => names.push(String::new()),
            }
        }
        self.absent
    }

    fn number(&mut self, number: u128) -> u32 {
        let number = if self.field == Field::Protocol { shown_protocol(number) } else { number };
        let CodeValues::Numbers(numbers) = &mut self.values else { return NONE };
        let next = numbers.len() as u32;
        let code = match &mut self.known {
            Known::Table(table) => match usize::try_from(number).ok().and_then(|at| table.get_mut(at)) {
                Some(code) if *code != NONE => return *code,
                Some(code) => {
                    *code = next;
                    next
                }
                None => next,
            },
            Known::Numbers(codes) => *codes.entry(number).or_insert(next),
            Known::Addresses { v4, others } => match short_address(number) {
                Some(short) => *v4.entry(short).or_insert(next),
                None => *others.entry(number).or_insert(next),
            },
            Known::Names(_) => next,
        };
        if code == next {
            numbers.push(number);
        }
        code
    }

    fn name(&mut self, name: &str) -> u32 {
        let CodeValues::Names(names) = &mut self.values else { return NONE };
        let next = names.len() as u32;
        if let Known::Names(codes) = &mut self.known {
            if let Some(code) = codes.get(name) {
                return *code;
            }
            codes.insert(name.to_owned(), next);
            self.name_bytes += name.len() * 2;
        }
        names.push(name.to_owned());
        next
    }

    /// The code of a value of a dictionary, which was not asked for yet.
    fn of_dictionary(&mut self, value: Option<ValueRef<'_>>) -> u32 {
        match (value, &mut self.values) {
            (Some(ValueRef::Number(number)), CodeValues::Numbers(numbers)) if self.is_passing => {
                numbers.push(number);
                numbers.len() as u32 - 1
            }
            (Some(ValueRef::Text(name)), CodeValues::Names(names)) if self.is_passing => {
                names.push(name.to_owned());
                names.len() as u32 - 1
            }
            (value, _) => self.code(value),
        }
    }

    /// The codes of some rows of a page, in their order.
    pub(super) fn of(&mut self, page: &ArrayRef, rows: &RowRanges) -> Result<Vec<u32>> {
        let mut codes = Vec::with_capacity(rows.len());
        if let Some(places) = page.as_dictionary_opt::<UInt16Type>() {
            self.of_places(places, rows, &mut codes)?;
            return Ok(codes);
        }
        match Values::new(page.as_ref(), self.field)? {
            Values::Small(array) => self.of_numbers(page, rows, &mut codes, |row| array.value(row).into()),
            Values::Ports(array) => self.of_numbers(page, rows, &mut codes, |row| array.value(row).into()),
            Values::Large(array) => self.of_numbers(page, rows, &mut codes, |row| array.value(row).into()),
            Values::Times(array) => {
                let time = |row| Timestamp::millis_ordinal(array.value(row)).into();
                self.of_numbers(page, rows, &mut codes, time);
            }
            values @ (Values::Addresses(_) | Values::Texts(_)) => {
                codes.extend(rows.iter().map(|row| self.code(values.get(row))));
            }
        }
        Ok(codes)
    }

    fn of_numbers(&mut self, page: &ArrayRef, rows: &RowRanges, codes: &mut Vec<u32>, number: impl Fn(usize) -> u128) {
        let code = |row| if page.is_valid(row) { self.number(number(row)) } else { self.absent() };
        codes.extend(rows.iter().map(code));
    }

    /// The codes of values that are places in a dictionary.
    fn of_places(
        &mut self,
        places: &DictionaryArray<UInt16Type>,
        rows: &RowRanges,
        codes: &mut Vec<u32>,
    ) -> Result<()> {
        let (dictionary, length) = (places.values(), places.values().len());
        let values = Values::new(dictionary.as_ref(), self.field)?;
        let told = self.told.take().filter(|(told, _)| Arc::ptr_eq(told, dictionary));
        let mut told = told.map_or_else(|| vec![NONE; length], |(_, told)| told);
        for row in rows.iter() {
            let code = match places.key(row) {
                None => self.absent(),
                Some(place) => match told.get_mut(place) {
                    Some(code) if *code != NONE => *code,
                    Some(code) => {
                        *code = self.of_dictionary(values.get(place));
                        *code
                    }
                    None => return Err(Error::internal("a value is not in its dictionary")),
                },
            };
            codes.push(code);
        }
        self.told = Some((Arc::clone(dictionary), told));
        Ok(())
    }
}

/// An address of version 4 in 32 bits.
fn short_address(address: u128) -> Option<u32> {
    (address >> 32 == 0xffff).then_some(address as u32)
}

/// The number under which a protocol is grouped: those that the endpoint does not name are one group.
fn shown_protocol(number: u128) -> u128 {
    let is_named = Protocol::NAMED.into_iter().any(|protocol| u128::from(protocol.number()) == number);
    if is_named { number } else { Protocol::UNKNOWN.number().into() }
}
