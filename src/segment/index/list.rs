//! The values of a list, as bytes whose order is that of the values.

use std::collections::BTreeSet;

use crate::{
    filter::{Filter, Pattern, Set},
    flow::{Field, Kind, ValueRef},
};

/// The greatest value of all.
const GREATEST: &[u8] = &[u8::MAX; 16];

/// The columns that a list is of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in super::super) struct List(pub(super) Vec<Field>);

impl List {
    /// A list of these columns.
    pub(in super::super) fn of(fields: &[Field]) -> Self {
        Self(fields.to_vec())
    }

    /// How many bytes each value has; `None` of names.
    pub(super) fn width(&self) -> Option<usize> {
        let several = self.0.len() > 1;
        let width = |field: &Field| match field.kind() {
            Kind::Text => None,
            _ => Some(bytes_of(*field) + usize::from(several && !field.always_present())),
        };
        self.0.iter().map(width).sum()
    }

    /// A number as a value of the list.
    pub(super) fn key(&self, number: u128) -> Vec<u8> {
        key(number, self.width().unwrap_or(0))
    }

    /// The value of `field` within a value of the list.
    pub(super) fn value<'v>(&self, mut value: &'v [u8], field: Field) -> Option<ValueRef<'v>> {
        let several = self.0.len() > 1;
        for each in &self.0 {
            if each.kind() == Kind::Text {
                return std::str::from_utf8(value).ok().map(ValueRef::Text);
            }
            let present = if several && !each.always_present() {
                let (present, rest) = value.split_first()?;
                value = rest;
                *present != 0
            } else {
                true
            };
            let (own, rest) = value.split_at_checked(bytes_of(*each))?;
            value = rest;
            if *each == field {
                return present.then_some(ValueRef::Number(number(own)));
            }
        }
        None
    }

    /// The values that can pass `part`, as ranges in ascending order.
    pub(in super::super) fn ranges(&self, part: &Filter) -> Vec<(Vec<u8>, Vec<u8>)> {
        let everything = || vec![(Vec::new(), GREATEST.to_vec())];
        let (Filter::Test(test), [field]) = (part, self.0.as_slice()) else { return everything() };
        match test.set() {
            Set::Numbers(ranges) => {
                let bytes = |number: u128| key(number, bytes_of(*field));
                let greatest = field.greatest();
                ranges.as_slice().iter().map(|(low, high)| (bytes(*low), bytes(*high.min(&greatest)))).collect()
            }
            Set::Texts { texts, listed: true } => {
                texts.iter().map(|text| (text.as_bytes().to_vec(), text.as_bytes().to_vec())).collect()
            }
            Set::Patterns { patterns, matched: true } => {
                let range = |pattern: &Pattern| {
                    let prefix = pattern.prefix().as_bytes();
                    (prefix.to_vec(), [prefix, GREATEST].concat())
                };
                // Those that lie within others are left out: `edge-1*` within `edge-*`.
                let mut ranges: Vec<(Vec<u8>, Vec<u8>)> = Vec::new();
                for range in patterns.iter().map(range).collect::<BTreeSet<_>>() {
                    if ranges.last().is_none_or(|(_, high)| range.0 > *high) {
                        ranges.push(range);
                    }
                }
                ranges
            }
            Set::Texts { listed: false, .. } | Set::Patterns { matched: false, .. } | Set::Flags { .. } => everything(),
        }
    }
}

/// How many bytes a value of a field that is no name has.
pub(super) fn bytes_of(field: Field) -> usize {
    (u128::BITS - field.greatest().leading_zeros()) as usize / 8
}

/// The number of such bytes as [`key`] makes.
pub(super) fn number(bytes: &[u8]) -> u128 {
    bytes.iter().fold(0, |number, byte| number << 8 | u128::from(*byte))
}

/// A number in `width` bytes, in the order of the numbers.
pub(super) fn key(number: u128, width: usize) -> Vec<u8> {
    let bytes = number.to_be_bytes();
    bytes.get(bytes.len().saturating_sub(width)..).unwrap_or_default().to_vec()
}
