//! Filters in Rust: a function for each field, an operator on it.

use std::{
    collections::BTreeSet,
    marker::PhantomData,
    ops::{Bound, RangeBounds},
    time::Duration,
};

use super::{Filter, Operand, Pattern, Ranges, Set, Test};
use crate::flow::{AddressRange, Field, FlowFlags, FlowId, Instant, Protocol, TcpFlags};

/// Tests on a number. A flow without the number passes none of them, [`ne`](Self::ne) included.
///
/// Of the ports of either end, a flow passes where one end does. Only [`ne`](Self::ne) and [`none_of`](Self::none_of)
/// look at both: neither end is in the list, and at least one of them has a port.
///
/// ```
/// use flowseek::filter;
///
/// let web = filter::dst_port().any_of([80, 443]);
/// let ephemeral = filter::src_port().within(1024..);
/// let filter = web.and(ephemeral);
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct Numbers<T> {
    operands: Vec<Operand>,
    number: PhantomData<T>,
}

/// Numbers that a field can have.
///
/// ```
/// use flowseek::{filter::Number, flow::Protocol};
///
/// assert_eq!((443_u16.widen(), Protocol::TCP.widen()), (443, 6));
/// ```
pub trait Number: Copy {
    /// The number, widened.
    fn widen(self) -> u128;
}

impl Number for u16 {
    fn widen(self) -> u128 {
        self.into()
    }
}

impl Number for u64 {
    fn widen(self) -> u128 {
        self.into()
    }
}

/// Its whole milliseconds.
impl Number for Duration {
    fn widen(self) -> u128 {
        self.as_millis()
    }
}

impl Number for FlowId {
    fn widen(self) -> u128 {
        self.get().into()
    }
}

impl Number for Protocol {
    fn widen(self) -> u128 {
        self.number().into()
    }
}

impl<T: Number> Numbers<T> {
    fn of(fields: impl IntoIterator<Item = Field>) -> Self {
        Self { operands: fields.into_iter().map(Operand::Field).collect(), number: PhantomData }
    }

    /// Of a number that two fields make.
    fn made(operand: Operand) -> Self {
        Self { operands: vec![operand], number: PhantomData }
    }

    /// It is this number.
    pub fn eq(self, number: T) -> Filter {
        self.any_of([number])
    }

    /// It is another number.
    pub fn ne(self, number: T) -> Filter {
        self.none_of([number])
    }

    /// It is one of these.
    pub fn any_of(self, numbers: impl IntoIterator<Item = T>) -> Filter {
        self.ranges(numbers.into_iter().map(|number| (number.widen(), number.widen())).collect())
    }

    /// It is none of these.
    pub fn none_of(self, numbers: impl IntoIterator<Item = T>) -> Filter {
        self.outside(numbers.into_iter().map(|number| (number.widen(), number.widen())).collect())
    }

    /// It lies in this range.
    pub fn within(self, range: impl RangeBounds<T>) -> Filter {
        let first = match range.start_bound() {
            Bound::Included(first) => Some(first.widen()),
            Bound::Excluded(first) => first.widen().checked_add(1),
            Bound::Unbounded => Some(0),
        };
        let last = match range.end_bound() {
            Bound::Included(last) => Some(last.widen()),
            Bound::Excluded(last) => last.widen().checked_sub(1),
            Bound::Unbounded => Some(u128::MAX),
        };
        self.ranges(first.zip(last).into_iter().collect())
    }

    pub(crate) fn ranges(self, ranges: Ranges) -> Filter {
        either(&self.operands, |operand| Filter::Test(Test::new(operand, Set::Numbers(ranges.clone()))))
    }

    /// It lies in none of these.
    pub(crate) fn outside(self, ranges: Ranges) -> Filter {
        let others = ranges.complement();
        neither(&self.operands, |operand, listed| {
            let ranges = if listed { &ranges } else { &others };
            Filter::Test(Test::new(operand, Set::Numbers(ranges.clone())))
        })
    }
}

/// Tests on a point in time. A flow without it passes none of them.
///
/// ```
/// use flowseek::{Flow, FlowId, StoredFlow, Timestamp, filter};
///
/// let (from, to): (Timestamp, Timestamp) = ("2022-11-01T00:00:00Z".parse()?, "2022-11-02T00:00:00Z".parse()?);
/// let day = filter::start_time().gte(from).and(filter::start_time().lt(to));
/// let at = |time| StoredFlow { id: FlowId::new(1), flow: Flow::starting(time) };
/// assert!(day.matches(&at(from)) && !day.matches(&at(to)));
/// # Ok::<(), flowseek::error::ParseError>(())
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct Times(Field);

impl Times {
    /// It is this time.
    pub fn eq(self, time: impl Into<Instant>) -> Filter {
        let time = time.into();
        let at = ordinal(time);
        self.ranges(time.is_exact().then_some((at, at)))
    }

    /// It is another time.
    pub fn ne(self, time: impl Into<Instant>) -> Filter {
        let time = time.into();
        let at = ordinal(time);
        let equal: Ranges = time.is_exact().then_some((at, at)).into_iter().collect();
        Test::numbers(self.0, equal.complement())
    }

    /// It is later.
    pub fn gt(self, time: impl Into<Instant>) -> Filter {
        self.ranges(Some((ordinal(time.into()) + 1, u128::MAX)))
    }

    /// It is this time or later.
    pub fn gte(self, time: impl Into<Instant>) -> Filter {
        let time = time.into();
        self.ranges(Some((ordinal(time) + u128::from(!time.is_exact()), u128::MAX)))
    }

    /// It is earlier.
    pub fn lt(self, time: impl Into<Instant>) -> Filter {
        let time = time.into();
        self.ranges((ordinal(time) + u128::from(!time.is_exact())).checked_sub(1).map(|last| (0, last)))
    }

    /// It is this time or earlier.
    pub fn lte(self, time: impl Into<Instant>) -> Filter {
        self.ranges(Some((0, ordinal(time.into()))))
    }

    fn ranges(self, range: Option<(u128, u128)>) -> Filter {
        Test::numbers(self.0, range.into_iter().collect())
    }
}

fn ordinal(time: Instant) -> u128 {
    time.floor().ordinal().into()
}

/// Tests on an address: addresses, CIDR blocks and ranges. A flow without it passes none of them. Of the addresses of
/// either end, a flow passes [`none_of`](Self::none_of) where neither is in the list, and at least one is there.
///
/// ```
/// use flowseek::{filter, flow::AddressRange};
///
/// let net: AddressRange = "10.0.0.0/8".parse()?;
/// let host: AddressRange = "2001:db8::7".parse()?;
/// let filter = filter::ip().any_of([net, host]); // either end
/// # Ok::<(), String>(())
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct Addresses(Vec<Field>);

impl Addresses {
    /// It lies in one of these.
    pub fn any_of(self, ranges: impl IntoIterator<Item = impl Into<AddressRange>>) -> Filter {
        let ranges = address_ranges(ranges);
        either(&self.0, |field| Test::numbers(field, ranges.clone()))
    }

    /// It lies in none of these.
    pub fn none_of(self, ranges: impl IntoIterator<Item = impl Into<AddressRange>>) -> Filter {
        let ranges = address_ranges(ranges);
        let others = ranges.complement();
        neither(&self.0, |field, listed| Test::numbers(field, if listed { &ranges } else { &others }.clone()))
    }

    /// It lies in this block, or is this address.
    pub fn within(self, range: impl Into<AddressRange>) -> Filter {
        self.any_of([range])
    }
}

fn address_ranges(ranges: impl IntoIterator<Item = impl Into<AddressRange>>) -> Ranges {
    let bits = |range: AddressRange| (range.first().to_bits(), range.last().to_bits());
    ranges.into_iter().map(|range| bits(range.into())).collect()
}

/// Tests on a name: exact, as bytes. A flow without it passes none of them. Of the names of either end, a flow passes
/// [`ne`](Self::ne) and [`none_of`](Self::none_of) where neither is in the list, and at least one is there.
///
/// ```
/// use flowseek::{Flow, FlowId, StoredFlow, filter};
///
/// let start = "2022-11-01T22:46:01Z".parse()?;
/// let flow = Flow { dst_node: Some("fw-2".to_owned()), ..Flow::starting(start) };
/// let stored = StoredFlow { id: FlowId::new(1), flow };
/// assert!(filter::any_node().any_of(["fw-1", "fw-2"]).matches(&stored));
/// // Without a name of the source's node, neither test on it passes.
/// assert!(!filter::src_node().eq("fw-1").matches(&stored) && !filter::src_node().ne("fw-1").matches(&stored));
/// # Ok::<(), flowseek::error::ParseError>(())
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct Names(Vec<Field>);

impl Names {
    /// It is this name.
    pub fn eq(self, name: impl Into<String>) -> Filter {
        self.any_of([name])
    }

    /// It is another name.
    pub fn ne(self, name: impl Into<String>) -> Filter {
        self.none_of([name])
    }

    /// It is one of these.
    pub fn any_of(self, names: impl IntoIterator<Item = impl Into<String>>) -> Filter {
        let texts: BTreeSet<String> = names.into_iter().map(Into::into).collect();
        either(&self.0, |field| Test::texts(field, texts.clone(), true))
    }

    /// It is none of these.
    pub fn none_of(self, names: impl IntoIterator<Item = impl Into<String>>) -> Filter {
        let texts: BTreeSet<String> = names.into_iter().map(Into::into).collect();
        neither(&self.0, |field, listed| Test::texts(field, texts.clone(), listed))
    }

    /// It begins with this text.
    ///
    /// ```
    /// use flowseek::filter;
    ///
    /// let of_tenant = filter::node_id().starts_with("tenant-7/");
    /// assert_eq!(of_tenant.to_string(), r#"nodeid "tenant-7/*""#);
    /// ```
    pub fn starts_with(self, text: impl Into<String>) -> Filter {
        self.like([Pattern::starting_with(text)])
    }

    /// One of these patterns matches it.
    ///
    /// ```
    /// use flowseek::filter;
    ///
    /// let gateways = filter::any_node().like(["gw-?".parse()?, "gateway*".parse()?]);
    /// # Ok::<(), flowseek::error::ParseError>(())
    /// ```
    pub fn like(self, patterns: impl IntoIterator<Item = Pattern>) -> Filter {
        let patterns = patterns.into_iter().collect();
        either(&self.0, |field| patterns_of(field, &patterns, true))
    }

    /// None of these patterns matches it.
    pub fn unlike(self, patterns: impl IntoIterator<Item = Pattern>) -> Filter {
        let patterns = patterns.into_iter().collect();
        neither(&self.0, |field, matched| patterns_of(field, &patterns, matched))
    }
}

/// A test that a pattern matches, or that none does. A pattern without wildcards is a name.
pub(super) fn patterns_of(field: Field, patterns: &BTreeSet<Pattern>, matched: bool) -> Filter {
    let (names, patterns): (BTreeSet<_>, BTreeSet<_>) =
        patterns.iter().cloned().partition(|pattern| pattern.literal().is_some());
    let names: BTreeSet<String> = names.iter().filter_map(|name| name.literal().map(str::to_owned)).collect();
    let like = |patterns| Filter::Test(Test::new(Operand::Field(field), Set::Patterns { patterns, matched }));
    match (names.is_empty(), patterns.is_empty(), matched) {
        (true, _, _) => like(patterns),
        (false, true, _) => Test::texts(field, names, matched),
        (false, false, true) => Test::texts(field, names, true).or(like(patterns)),
        (false, false, false) => Test::texts(field, names, false).and(like(patterns)),
    }
}

/// Tests on flags. A flow without flags passes none of them.
///
/// ```
/// use flowseek::{filter, flow::FlowFlags};
///
/// let defunct = filter::flow_flags().carries_any(FlowFlags::DEFUNCT.iter().copied());
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct Flags<T> {
    field: Field,
    flags: PhantomData<T>,
}

/// Sets of flags that a field can have.
///
/// ```
/// use flowseek::{filter::FlagSet, flow::{FlowFlags, TcpFlags}};
///
/// assert_eq!((TcpFlags::new(0x12).mask(), FlowFlags::new(65_536).mask()), (0x12, 65_536));
/// ```
pub trait FlagSet: Copy {
    /// The flags, one bit each.
    fn mask(self) -> u64;
}

impl FlagSet for TcpFlags {
    fn mask(self) -> u64 {
        self.bits().into()
    }
}

impl FlagSet for FlowFlags {
    fn mask(self) -> u64 {
        self.bits()
    }
}

impl<T: FlagSet> Flags<T> {
    fn of(field: Field) -> Self {
        Self { field, flags: PhantomData }
    }

    /// All flags of at least one of these are set.
    pub fn carries_any(self, masks: impl IntoIterator<Item = T>) -> Filter {
        self.test(masks, true)
    }

    /// Of each of these, some flag is not set.
    pub fn carries_none(self, masks: impl IntoIterator<Item = T>) -> Filter {
        self.test(masks, false)
    }

    fn test(self, masks: impl IntoIterator<Item = T>, carried: bool) -> Filter {
        let masks = masks.into_iter().map(T::mask).collect();
        Filter::Test(Test::new(Operand::Field(self.field), Set::Flags { masks, carried }))
    }
}

/// The test on one field, or on either of two.
pub(super) fn either<T: Copy>(fields: &[T], test: impl Fn(T) -> Filter) -> Filter {
    match fields {
        [field] => test(*field),
        fields => Filter::Or(fields.iter().map(|field| test(*field)).collect()),
    }
}

/// The test that the field is outside of a set; of two fields, that neither is inside and at least one has a value.
/// `test` makes the test that a field is inside (`true`) or outside of it; no absent value passes either.
///
/// Of the ports of either end and 443 it is `(src != 443 or dst != 443) and not (src = 443 or dst = 443)`: the first half
/// turns away a flow without ports, the second one with 443 at either end.
pub(super) fn neither<T: Copy>(fields: &[T], test: impl Fn(T, bool) -> Filter) -> Filter {
    match fields {
        [field] => test(*field, false),
        fields => either(fields, |field| test(field, false)).and(!either(fields, |field| test(field, true))),
    }
}

macro_rules! operands {
    ($($(#[$doc:meta])* $name:ident: $operand:ty = $value:expr;)*) => {
        $($(#[$doc])* pub fn $name() -> $operand { $value })*
    };
}

operands! {
    /// The ID that the archive has given it: flows that are committed later have greater ones.
    flow_id: Numbers<FlowId> = Numbers::of([Field::FlowId]);
    /// When the flow began.
    start_time: Times = Times(Field::StartTime);
    /// When it ended.
    end_time: Times = Times(Field::EndTime);
    /// Its protocol.
    protocol: Numbers<Protocol> = Numbers::of([Field::Protocol]);
    /// The source's address.
    src_ip: Addresses = Addresses(vec![Field::SrcIp]);
    /// The destination's address.
    dst_ip: Addresses = Addresses(vec![Field::DstIp]);
    /// The address of either end.
    ip: Addresses = Addresses(vec![Field::SrcIp, Field::DstIp]);
    /// The source's port.
    src_port: Numbers<u16> = Numbers::of([Field::SrcPort]);
    /// The destination's port.
    dst_port: Numbers<u16> = Numbers::of([Field::DstPort]);
    /// The port of either end.
    port: Numbers<u16> = Numbers::of([Field::SrcPort, Field::DstPort]);
    /// Bytes sent by the source.
    src_bytes: Numbers<u64> = Numbers::of([Field::SrcBytes]);
    /// Bytes sent by the destination.
    dst_bytes: Numbers<u64> = Numbers::of([Field::DstBytes]);
    /// Bytes of both directions, added up: [`Operand::Bytes`].
    bytes: Numbers<u64> = Numbers::made(Operand::Bytes);
    /// Packets of both directions, added up: [`Operand::Packets`].
    packets: Numbers<u64> = Numbers::made(Operand::Packets);
    /// How long the flow has lasted: [`Operand::Duration`].
    duration: Numbers<Duration> = Numbers::made(Operand::Duration);
    /// The TCP flags.
    tcp_flags: Flags<TcpFlags> = Flags::of(Field::TcpFlags);
    /// Packets sent by the source.
    src_packets: Numbers<u64> = Numbers::of([Field::SrcPackets]);
    /// Packets sent by the destination.
    dst_packets: Numbers<u64> = Numbers::of([Field::DstPackets]);
    /// The flow flags.
    flow_flags: Flags<FlowFlags> = Flags::of(Field::FlowFlags);
    /// The name of the source's node.
    src_node: Names = Names(vec![Field::SrcNode]);
    /// The name of the destination's node.
    dst_node: Names = Names(vec![Field::DstNode]);
    /// The name of the node of either end.
    any_node: Names = Names(vec![Field::SrcNode, Field::DstNode]);
    /// The ID of the node that logged the flow.
    node_id: Names = Names(vec![Field::NodeId]);
    /// The threat-intelligence activity ID.
    activity_id: Names = Names(vec![Field::ActivityId]);
}

#[cfg(test)]
mod tests {
    use proptest::{prelude::*, sample::select};

    use super::*;
    use crate::flow::{Flow, StoredFlow, Timestamp};

    /// Parts of a millisecond that are counted here: as many as 13 digits tell.
    const PARTS: i128 = 10_000_000_000_000;

    /// A point in time as a number of seconds and as RFC 3339, exactly.
    fn spelled(millis: i64, part: i128) -> [String; 2] {
        let total = i128::from(millis) * PARTS + part;
        let (second, sign) = (PARTS * 1000, if total < 0 { "-" } else { "" });
        let seconds = format!("{sign}{}.{:016}", total.abs() / second, total.abs() % second);
        let text = Timestamp::from_millis(millis).unwrap().to_string();
        [seconds, format!("{}{part:013}Z", text.trim_end_matches('Z'))]
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 4000, ..ProptestConfig::default() })]

        #[test]
        fn a_bound_between_two_milliseconds_is_between_them(
            millis in prop_oneof![
                Just(0i64), Just(-1), Just(1), Just(1_666_012_671_001), -5000i64..5000,
                Just(Timestamp::MIN.as_millis()), Just(Timestamp::MAX.as_millis()), Just(99_999_999_999_998),
            ],
            part in select(vec![0, 1, 1000, 10_000, 1_000_000, PARTS / 2, PARTS - 1]),
        ) {
            for text in spelled(millis, part) {
                let Ok(bound) = text.parse::<Instant>() else {
                    // Seconds from the year 5138 on look like milliseconds.
                    prop_assert!(millis >= 100_000_000_000_000, "{}", text);
                    continue;
                };
                for near in [millis - 1, millis, millis + 1] {
                    let Some(start) = Timestamp::from_millis(near) else { continue };
                    let flow = Flow { end_time: Some(start), ..Flow::starting(start) };
                    let flow = StoredFlow { id: FlowId::new(1), flow };
                    let order = (i128::from(near) * PARTS).cmp(&(i128::from(millis) * PARTS + part));
                    for times in [start_time(), end_time()] {
                        let holds = |filter: Filter| (filter.matches(&flow), filter.normal().matches(&flow));
                        let told = |expected: bool| (expected, expected);
                        prop_assert_eq!(holds(times.clone().eq(bound)), told(order.is_eq()), "{} eq {}", near, text);
                        prop_assert_eq!(holds(times.clone().ne(bound)), told(order.is_ne()), "{} ne {}", near, text);
                        prop_assert_eq!(holds(times.clone().gt(bound)), told(order.is_gt()), "{} gt {}", near, text);
                        prop_assert_eq!(holds(times.clone().gte(bound)), told(order.is_ge()), "{} gte {}", near, text);
                        prop_assert_eq!(holds(times.clone().lt(bound)), told(order.is_lt()), "{} lt {}", near, text);
                        prop_assert_eq!(holds(times.clone().lte(bound)), told(order.is_le()), "{} lte {}", near, text);
                    }
                }
            }
        }

        #[test]
        fn a_number_is_in_a_range_as_rust_tells(
            first in select(vec![0u16, 1, 2, 65_534, 65_535]),
            last in select(vec![0u16, 1, 2, 65_534, 65_535]),
            port in select(vec![0u16, 1, 2, 3, 65_533, 65_534, 65_535]),
        ) {
            let flow = Flow { dst_port: Some(port), ..Flow::starting(Timestamp::MIN) };
            let flow = StoredFlow { id: FlowId::new(1), flow };
            let open = (Bound::Excluded(first), Bound::Excluded(last));
            prop_assert_eq!(dst_port().within(first..last).matches(&flow), (first..last).contains(&port));
            prop_assert_eq!(dst_port().within(first..=last).matches(&flow), (first..=last).contains(&port));
            prop_assert_eq!(dst_port().within(..last).matches(&flow), (..last).contains(&port));
            prop_assert_eq!(dst_port().within(..=last).matches(&flow), (..=last).contains(&port));
            prop_assert_eq!(dst_port().within(first..).matches(&flow), (first..).contains(&port));
            prop_assert_eq!(dst_port().within(open).matches(&flow), open.contains(&port));
            prop_assert!(dst_port().within(..).matches(&flow));
        }
    }

    #[test]
    fn an_absent_value_passes_no_test_and_either_end_is_either() {
        let stored = |src: Option<u16>, dst: Option<u16>| StoredFlow {
            id: FlowId::new(1),
            flow: Flow { src_port: src, dst_port: dst, ..Flow::starting(Timestamp::MIN) },
        };
        let none = stored(None, None);
        for filter in [
            dst_port().eq(1),
            dst_port().ne(1),
            port().ne(1),
            port().eq(1),
            dst_port().within(..),
            dst_bytes().ne(1),
            end_time().ne(Timestamp::MIN),
            end_time().gte(Timestamp::MIN),
            src_node().ne("a"),
            any_node().none_of(["a"]),
            activity_id().none_of([""; 0]),
            tcp_flags().carries_none([TcpFlags::new(1)]),
            ip().none_of(Vec::<AddressRange>::new()),
        ] {
            assert!(!filter.matches(&none), "{filter}");
        }
        assert!(port().eq(1).matches(&stored(Some(1), None)) && port().eq(1).matches(&stored(Some(2), Some(1))));
        assert!(port().ne(1).matches(&stored(None, Some(2))) && !port().ne(1).matches(&stored(Some(1), Some(2))));
    }
}
