//! Laws of filters, over thousands of them.

use std::{
    collections::{BTreeSet, hash_map::DefaultHasher},
    hash::{Hash, Hasher},
};

use proptest::prelude::*;

use super::{
    Bounds, Filter, Set, Verdict, dst_port,
    sample::{narrow, wide},
};
use crate::flow::{Field, Span, StoredFlow, ValueRef, sample::flows};

fn encoded(filter: &Filter) -> Vec<u8> {
    let mut bytes = Vec::new();
    filter.encode(&mut bytes);
    bytes
}

fn hash(filter: &Filter) -> u64 {
    let mut hasher = DefaultHasher::new();
    filter.hash(&mut hasher);
    hasher.finish()
}

/// Whether a filter is in the form that [`Filter::normal`] promises.
fn is_normal(filter: &Filter, above: Option<bool>) -> bool {
    let (parts, all) = match filter {
        Filter::Test(_) => return true,
        Filter::Not(_) => return false,
        Filter::And(parts) => (parts, true),
        Filter::Or(parts) => (parts, false),
    };
    // Numbers and names of one field merge, whatever they are; so do flags that are all carried, or all lacked.
    let kind = |part: &Filter| match part {
        Filter::Test(test) => match test.set() {
            Set::Numbers(_) => Some((test.operand(), 0)),
            Set::Texts { .. } => Some((test.operand(), 1)),
            Set::Flags { carried, .. } => (*carried != all).then_some((test.operand(), 2)),
            Set::Patterns { matched, .. } => (*matched != all).then_some((test.operand(), 3)),
        },
        _ => None,
    };
    let kinds: Vec<_> = parts.iter().filter_map(kind).collect();
    let is_constant = parts.is_empty() && above.is_none();
    // Several tests on flags of a field agree on those that are absent.
    let flags = parts.iter().filter_map(|part| match part {
        Filter::Test(test) if test.field().is_some_and(Field::is_flags) => Some((test.operand(), test.passes_absent())),
        _ => None,
    });
    let flags: BTreeSet<_> = flags.collect();
    flags.iter().map(|(field, _)| field).collect::<BTreeSet<_>>().len() == flags.len()
        && (is_constant || parts.len() > 1)
        && above != Some(all)
        && parts.is_sorted_by(|left, right| left < right)
        && kinds.iter().collect::<BTreeSet<_>>().len() == kinds.len()
        && parts.iter().all(|part| is_normal(part, Some(all)))
}

/// Bounds of some flows, and of others that only widen them; with the counts of some parts of a filter, as lists tell them.
struct Told<'a> {
    flows: &'a [StoredFlow],
    wider: &'a [StoredFlow],
    /// The counts of parts whose hash this divides are told.
    counted: u64,
}

impl Bounds for Told<'_> {
    fn field(&self, field: Field) -> Option<Span<'_>> {
        let values = || self.flows.iter().chain(self.wider).map(move |flow| flow.value(field));
        let present = || values().flatten();
        let values = present().min().zip(present().max());
        Some(Span { values, absent: self.flows.iter().chain(self.wider).any(|flow| flow.value(field).is_none()) })
    }

    fn flag_masks(&self) -> (u8, u8) {
        let flags = self.flows.iter().chain(self.wider).filter_map(|flow| flow.flow.tcp_flags);
        flags.fold((0, u8::MAX), |(any, all), flags| (any | flags.bits(), all & flags.bits()))
    }

    fn rows(&self) -> Option<u64> {
        Some(self.flows.len() as u64)
    }

    fn passing(&self, part: &Filter) -> Option<u64> {
        let is_told = self.counted > 0 && hash(part).is_multiple_of(self.counted);
        is_told.then(|| self.flows.iter().filter(|flow| part.matches(flow)).count() as u64)
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4000, ..ProptestConfig::default() })]

    #[test]
    fn a_normal_form_is_one_and_means_the_same(filter in prop_oneof![3 => narrow(), 1 => wide()], flows in flows(24)) {
        let normal = filter.normal();
        prop_assert!(is_normal(&normal, None), "{:?} of {:?}", normal, filter);
        prop_assert_eq!(&normal.normal(), &normal);
        prop_assert_eq!((!!filter.clone()).normal(), normal.clone());
        let negated = (!filter.clone()).normal();
        prop_assert_eq!((!negated.clone()).normal(), normal.clone());
        let grouped = normal.grouped(&[Field::Protocol, Field::TcpFlags]);
        for flow in &flows {
            let matches = filter.matches(flow);
            prop_assert_eq!(normal.matches(flow), matches, "{:?} of {:?} at {:?}", normal, filter, flow);
            prop_assert_eq!(negated.matches(flow), !matches, "{:?} of {:?} at {:?}", negated, filter, flow);
            prop_assert_eq!(grouped.matches(flow), matches, "{:?} of {:?} at {:?}", grouped, filter, flow);
        }
    }

    #[test]
    fn joins_are_those_of_a_lattice(a in narrow(), b in narrow(), c in narrow()) {
        let same = |left: Filter, right: Filter| {
            prop_assert_eq!(left.normal(), right.normal(), "{:?} and {:?}", left, right);
            Ok(())
        };
        let (all, nothing) = (Filter::all, Filter::nothing);
        same(a.clone().and(b.clone()), b.clone().and(a.clone()))?;
        same(a.clone().or(b.clone()), b.clone().or(a.clone()))?;
        same(a.clone().and(b.clone()).and(c.clone()), a.clone().and(b.clone().and(c.clone())))?;
        same(a.clone().or(b.clone()).or(c.clone()), a.clone().or(b.clone().or(c)))?;
        same(!(a.clone().and(b.clone())), (!a.clone()).or(!b.clone()))?;
        same(!(a.clone().or(b.clone())), (!a.clone()).and(!b))?;
        same(a.clone().and(all()).or(nothing()), a.clone())?;
        same(a.clone().or(all()), all())?;
        same(a.clone().and(nothing()), nothing())?;
        same(a.clone().and(a.clone()).or(a.clone()), a)?;
    }

    #[test]
    fn bytes_are_equal_just_for_equal_normal_forms(a in narrow(), b in narrow(), flows in flows(12)) {
        let (a, b) = (a.normal(), b.normal());
        prop_assert_eq!(a == b, encoded(&a) == encoded(&b), "{:?} and {:?}", a, b);
        prop_assert_eq!(encoded(&a), encoded(&a.clone()));
        // Whatever the form: where the bytes are equal, so is the meaning.
        let differ = flows.iter().any(|flow| a.matches(flow) != b.matches(flow));
        prop_assert!(!differ || encoded(&a) != encoded(&b));
    }

    #[test]
    fn a_filter_is_equal_to_its_copy_and_in_one_order_with_others(a in narrow(), b in narrow(), c in narrow()) {
        prop_assert_eq!(&a, &a.clone());
        prop_assert_eq!(hash(&a), hash(&a.clone()));
        prop_assert_eq!(a.cmp(&b), b.cmp(&a).reverse());
        prop_assert_eq!(a == b, a.cmp(&b).is_eq());
        prop_assert_eq!(a == b, format!("{a:?}") == format!("{b:?}"));
        let mut filters = [&a, &b, &c];
        filters.sort();
        prop_assert!(filters[0] <= filters[1] && filters[1] <= filters[2] && filters[0] <= filters[2]);
    }

    #[test]
    fn what_is_told_of_flows_is_true_of_each(
        filter in prop_oneof![narrow(), wide()],
        flows in flows(6),
        wider in flows(3),
        counted in 0u64..4,
    ) {
        for (filter, wider) in [(filter.clone(), &wider[..]), (filter.clone(), &[]), (filter.normal(), &wider[..])] {
            let told = Told { flows: &flows, wider, counted };
            let matching = flows.iter().filter(|flow| filter.matches(flow)).count();
            match filter.verdict(&told) {
                Verdict::Never => prop_assert_eq!(matching, 0, "never: {:?}", filter),
                Verdict::Always => prop_assert_eq!(matching, flows.len(), "always: {:?}", filter),
                Verdict::Maybe => {}
            }
            if let Some(count) = filter.count(&told) {
                prop_assert_eq!(count, matching as u64, "count: {:?}", filter);
            }
        }
    }

    #[test]
    fn a_test_on_flows_that_are_alike_is_decided(filter in narrow(), flows in flows(1)) {
        // Of one flow the bounds are its values, so nothing is left open; flags are told by their masks.
        let told = Told { flows: &flows, wider: &[], counted: 0 };
        for flow in &flows {
            let expected = if filter.matches(flow) { Verdict::Always } else { Verdict::Never };
            prop_assert_eq!(filter.verdict(&told), expected, "{:?}", filter);
            prop_assert_eq!(filter.count(&told), Some(u64::from(filter.matches(flow))));
        }
    }
}

#[test]
fn bounds_that_say_nothing_prune_nothing() {
    struct Nothing;
    impl Bounds for Nothing {
        fn field(&self, _field: Field) -> Option<Span<'_>> {
            None
        }
        fn flag_masks(&self) -> (u8, u8) {
            (u8::MAX, 0)
        }
    }
    let filter = super::dst_port().eq(1).and(super::src_node().ne("a"));
    assert_eq!(filter.verdict(&Nothing), Verdict::Maybe);
    assert_eq!(filter.count(&Nothing), None);
    assert_eq!((!filter).verdict(&Nothing), Verdict::Maybe);
    assert_eq!(Filter::all().verdict(&Nothing), Verdict::Always);
    assert_eq!(Filter::nothing().verdict(&Nothing), Verdict::Never);
    // Bounds of another kind than the field's values tell nothing, either.
    struct Other;
    impl Bounds for Other {
        fn field(&self, _field: Field) -> Option<Span<'_>> {
            Some(Span { values: Some((ValueRef::Text("a"), ValueRef::Text("b"))), absent: false })
        }
        fn flag_masks(&self) -> (u8, u8) {
            (u8::MAX, 0)
        }
    }
    assert_eq!(super::dst_port().eq(1).verdict(&Other), Verdict::Maybe);
}

#[test]
fn filters_that_are_joined_in_one_way_are_one_list() {
    let [a, b, c, d] = [1, 2, 3, 4].map(|port| dst_port().eq(port));
    let all = |parts: &[&Filter]| Filter::And(parts.iter().map(|part| (*part).clone()).collect());
    let any = |parts: &[&Filter]| Filter::Or(parts.iter().map(|part| (*part).clone()).collect());
    let (both, either) = (a.clone().and(b.clone()), a.clone().or(b.clone()));
    assert_eq!((&both, &either), (&all(&[&a, &b]), &any(&[&a, &b])));
    let [others, another] = [c.clone().and(d.clone()), c.clone().or(d.clone())];
    assert_eq!(both.clone().and(c.clone()), all(&[&a, &b, &c]));
    assert_eq!(both.clone().and(others), all(&[&a, &b, &c, &d]));
    assert_eq!(either.clone().or(c.clone()), any(&[&a, &b, &c]));
    assert_eq!(either.clone().or(another), any(&[&a, &b, &c, &d]));
    assert_eq!(both.clone().or(c.clone()), any(&[&both, &c]));
    assert_eq!(either.clone().and(c.clone()), all(&[&either, &c]));
    // Every flow and no flow are the neutral elements, from either side.
    for filter in [&a, &both, &either] {
        assert_eq!(&Filter::all().and(filter.clone()), filter);
        assert_eq!(&filter.clone().and(Filter::all()), filter);
        assert_eq!(&Filter::nothing().or(filter.clone()), filter);
        assert_eq!(&filter.clone().or(Filter::nothing()), filter);
    }
}
