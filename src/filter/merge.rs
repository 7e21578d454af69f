//! Tests on one field, merged into one test.

use std::{collections::BTreeSet, mem, sync::Arc};

use super::{Filter, Operand, Pattern, Ranges, Set, Test, growing::Growing};

/// A test that others can be merged into.
#[derive(Clone, Debug)]
pub(super) struct Merged {
    operand: Operand,
    set: Merging,
    absent: bool,
}

#[derive(Clone, Debug)]
enum Merging {
    Set(Set),
    /// Numbers, of more than one test.
    Numbers(Growing),
}

/// Texts, and whether it is these or all but these.
type Texts = (Arc<BTreeSet<String>>, bool);

/// What tests have in common that can be merged: a field, and the kind of their sets.
pub(super) type Kind = (Operand, u8);

impl Merged {
    /// A test, in the one form that all spellings of it have.
    pub(super) fn of(test: Test) -> Self {
        let Test { operand, set, absent } = test;
        let set = match set {
            // No value lies above the field's greatest, so the sets of all ports and of all numbers are one.
            Set::Numbers(ranges) => Set::Numbers(ranges.up_to(operand.greatest())),
            Set::Flags { masks, carried } => flags(BTreeSet::new(), masks, carried),
            Set::Patterns { patterns, matched } => patterns_of(BTreeSet::new(), patterns, matched),
            texts @ Set::Texts { .. } => texts,
        };
        Self { operand, set: Merging::Set(set), absent: absent && !operand.always_present() }
    }

    /// What it has in common with tests that [`join`](Self::join) it in a conjunction, or where not `all` in a
    /// disjunction; `None` where there are none.
    pub(super) fn kind(&self, all: bool) -> Option<Kind> {
        match &self.set {
            Merging::Numbers(_) | Merging::Set(Set::Numbers(_)) => Some((self.operand, 0)),
            Merging::Set(Set::Texts { .. }) => Some((self.operand, 1)),
            // Flags that carry a mask and another one are not told by one list of masks.
            Merging::Set(Set::Flags { carried, .. }) => (*carried != all).then_some((self.operand, 2)),
            // So it is with patterns.
            Merging::Set(Set::Patterns { matched, .. }) => (*matched != all).then_some((self.operand, 3)),
        }
    }

    /// The test that passes what both of two of a kind pass, or where not `all` what either passes.
    pub(super) fn join(self, other: Self, all: bool) -> Self {
        let absent = if all { self.absent && other.absent } else { self.absent || other.absent };
        let set = match (self.set, other.set) {
            (
                Merging::Set(Set::Texts { texts, listed }),
                Merging::Set(Set::Texts { texts: others, listed: others_listed }),
            ) => Merging::Set(texts_of((texts, listed), (others, others_listed), all)),
            (Merging::Set(Set::Flags { masks, carried }), Merging::Set(Set::Flags { masks: others, .. })) => {
                Merging::Set(flags(masks, others, carried))
            }
            (
                Merging::Set(Set::Patterns { patterns, matched }),
                Merging::Set(Set::Patterns { patterns: others, .. }),
            ) => Merging::Set(patterns_of(patterns, others, matched)),
            (left, right) => {
                let (left, right) = (left.numbers(), right.numbers());
                Merging::Numbers(if all { left.intersection(right) } else { left.union(right) })
            }
        };
        Self { operand: self.operand, set, absent }
    }

    /// Whether it passes every flow, or none; `None` where it passes some.
    pub(super) fn constant(&self) -> Option<bool> {
        let every_value = match &self.set {
            Merging::Numbers(numbers) => numbers.constant(self.operand.greatest()),
            Merging::Set(set) => set.constant(self.operand),
        };
        every_value.filter(|every| *every == self.absent || self.operand.always_present())
    }

    pub(super) fn into_filter(self) -> Filter {
        let set = match self.set {
            Merging::Set(set) => set,
            Merging::Numbers(numbers) => Set::Numbers(Ranges::from(numbers).up_to(self.operand.greatest())),
        };
        Filter::Test(Test { operand: self.operand, set, absent: self.absent })
    }
}

impl Merging {
    fn numbers(self) -> Growing {
        match self {
            Self::Numbers(numbers) => numbers,
            Self::Set(Set::Numbers(ranges)) => (&ranges).into(),
            Self::Set(Set::Texts { .. } | Set::Flags { .. } | Set::Patterns { .. }) => Growing::default(),
        }
    }
}

impl Set {
    /// Whether it has every value of a field, or none; `None` where it has some.
    pub(super) fn constant(&self, operand: Operand) -> Option<bool> {
        match self {
            Self::Numbers(ranges) if ranges.is_empty() => Some(false),
            Self::Numbers(ranges) => ranges.covers(0, operand.greatest()).then_some(true),
            Self::Texts { texts, listed } => texts.is_empty().then_some(!listed),
            Self::Flags { masks, carried } => masks.is_empty().then_some(!carried),
            Self::Patterns { patterns, matched } => patterns.is_empty().then_some(!matched),
        }
    }
}

/// The texts of two lists, each of which says whether it is these texts or all but these.
fn texts_of((mut left, is_left): Texts, (mut right, is_right): Texts, all: bool) -> Set {
    // "Either" is "not (neither)": it is told by the same lists, each turned around.
    let (texts, listed) = match (is_left == all, is_right == all) {
        (true, true) => {
            if left.len() > right.len() {
                mem::swap(&mut left, &mut right);
            }
            let mut both = Arc::unwrap_or_clone(left);
            both.retain(|text| right.contains(text));
            (both, true)
        }
        (true, false) => (without(Arc::unwrap_or_clone(left), &right), true),
        (false, true) => (without(Arc::unwrap_or_clone(right), &left), true),
        (false, false) => {
            if left.len() < right.len() {
                mem::swap(&mut left, &mut right);
            }
            let mut either = Arc::unwrap_or_clone(left);
            either.extend(Arc::unwrap_or_clone(right));
            (either, false)
        }
    };
    Set::Texts { texts: Arc::new(texts), listed: listed == all }
}

fn without(mut texts: BTreeSet<String>, others: &BTreeSet<String>) -> BTreeSet<String> {
    if texts.len() < others.len() {
        texts.retain(|text| !others.contains(text));
    } else {
        for text in others {
            texts.remove(text);
        }
    }
    texts
}

/// Names that `patterns` or `more` match, or none of them. Where one matches every name, and where there is none, it is told by an empty list.
fn patterns_of(mut patterns: BTreeSet<Pattern>, more: BTreeSet<Pattern>, matched: bool) -> Set {
    patterns.extend(more);
    if patterns.iter().any(|pattern| *pattern == Pattern::starting_with("")) {
        return Set::Texts { texts: Arc::default(), listed: !matched };
    }
    if patterns.is_empty() {
        return Set::Texts { texts: Arc::default(), listed: matched };
    }
    Set::Patterns { patterns, matched }
}

/// Flags with `more` masks, and without masks that others imply: what carries SYN and ACK carries SYN.
fn flags(mut masks: BTreeSet<u64>, more: BTreeSet<u64>, carried: bool) -> Set {
    // Every value carries no flag.
    if more.contains(&0) {
        return Set::Flags { masks: BTreeSet::new(), carried: !carried };
    }
    for mask in more {
        if !masks.iter().any(|other| mask & other == *other) {
            masks.retain(|other| mask & other != mask);
            masks.insert(mask);
        }
    }
    Set::Flags { masks, carried }
}
